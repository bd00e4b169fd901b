"""Measure heatmaps against the outlines of many frames, and average with intervals.

Each figure of a head is compared with that of a Gaussian that has not seen the image; what the
figures mean, and their limits, is in `localisation`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from thyro_demo.data import images, masks
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.explain.localisation import centred_gaussian, within

BASELINE = "gaussian"
"""Name of the Gaussian in the column `head`."""

FIGURES = ("pointing", "energy")


def outlined(records: pd.DataFrame) -> pd.DataFrame:
    """Keep the frames that have an outline; the difference in length is what is left out.

    Parameters
    ----------
    records : DataFrame
        Record table with the column `polygons` (list of (n, 2) arrays), as
        `datasets.ddti` returns it.

    Returns
    -------
    DataFrame
        The records with at least one polygon, under their own index. Of an outline whose
        file is cut, the points before the cut are closed.

    Raises
    ------
    DataError
        If the column is missing.
    """
    if "polygons" not in records:
        raise DataError(
            "Records with outlines must have a column polygons. "
            f"Received: columns {', '.join(map(str, records.columns))}."
        )
    return records[records["polygons"].map(len) > 0]


def measure(records: pd.DataFrame, maps: Iterable[tuple[str, str, np.ndarray]]) -> pd.DataFrame:
    """Measure heatmaps, and the Gaussian, against the outlines of their frames.

    Maps are taken one at a time, in any order (network by network, fold by fold), so
    they can come from a generator that runs the networks. What is held meanwhile is one
    mask per frame, a byte per pixel.

    Parameters
    ----------
    records : DataFrame
        Columns `path` (each once), `group`, and what `masks.nodule_mask` reads: `polygons`,
        `mask_path` or `mask_paths`, with a nodule on each frame.
    maps : iterable of (head, path, heatmap)
        Name of the head, path of the frame, and its map in the frame's coordinates:
        float (H, W), 0 outside the scan area, as `scan_area.place` returns it. Only of
        networks that read the whole scan area: one that is handed the nodule's box knows
        the answer.

    Returns
    -------
    DataFrame
        Columns `path`, `group`, `head`, `pointing` and `energy` (0–1, within the scan
        area): first one row per frame for the head `BASELINE`, in the order of the
        records, then one row per map, in the order of the maps.

    Raises
    ------
    DataError
        If there is no record, a record lacks its outline or group or is listed twice,
        or a map belongs to none of the records.
    ImageError
        If a frame cannot be read.
    ThyroError
        If a map has not the height and width of its frame.
    """
    nodules = _nodules(records)
    groups = dict(zip(records["path"], records["group"], strict=True))
    areas: dict[str, tuple[Box, np.ndarray]] = {}
    rows = []
    for path, nodule in nodules.items():
        box = images.load(path).scan_area()
        areas[path] = box, nodule
        blind = centred_gaussian((nodule.shape[0], nodule.shape[1]), box)
        rows.append({"path": path, "head": BASELINE, **within(blind, box, nodule)})
    for head, path, heatmap in maps:
        if path not in areas:
            raise DataError(f"Every map must belong to one of the records. Received: path={path}.")
        rows.append({"path": path, "head": head, **within(heatmap, *areas[path])})
    table = pd.DataFrame(rows)
    table.insert(1, "group", table["path"].map(groups))
    return table


def summarise(
    table: pd.DataFrame, resamples: int = intervals.RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Average both figures over frames, with intervals over groups.

    Parameters
    ----------
    table : DataFrame
        As `measure` returns it.
    resamples : int
        Bootstrap resamples.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        Ready for JSON: ``n`` (frames), ``groups``, ``unit`` ("group", what the bootstrap
        resamples), ``heads`` and ``gaussian``. Each figure has its ``value`` (mean over
        frames), ``low`` and ``high`` (95 %; null with one group alone). The Gaussian has
        ``pointing`` and ``energy``; a head also has ``pointing_gain`` and
        ``energy_gain``, the mean of its own minus the Gaussian's on the same frame. Where no
        frame has a group, ``groups`` is null and ``unit`` "image"; else a frame without one
        counts as a group of its own.

    Raises
    ------
    DataError
        If a column or the Gaussian is missing, or the heads did not draw the same frames.
    """
    _check_table(table)
    blind = table[table["head"] == BASELINE].set_index("path")
    heads: dict[str, dict[str, Any]] = {}
    for head, rows in table[table["head"] != BASELINE].groupby("head", sort=False):
        own = rows.set_index("path").loc[blind.index]
        heads[str(head)] = _means(own, resamples, seed) | _gains(own, blind, resamples, seed)
    return {
        **counts(blind["group"]),
        "heads": heads,
        "gaussian": _means(blind, resamples, seed),
    }


def counts(groups: pd.Series) -> dict[str, Any]:
    """Count frames (`n`) and their `groups`, and name the `unit` that the bootstrap resamples."""
    grouped = bool(groups.notna().any())
    return {
        "n": len(groups),
        "groups": int(groups.nunique() + groups.isna().sum()) if grouped else None,
        "unit": "group" if grouped else "image",
    }


def average(
    rows: pd.DataFrame, name: str, resamples: int = intervals.RESAMPLES, seed: int = 0
) -> dict[str, float | None]:
    """Average a column over frames: value, low and high of a 95 % interval over groups."""
    unused = np.zeros(len(rows), bool)
    return intervals.group_bootstrap(
        metrics.mean, unused, rows[name], rows["group"], resamples, seed
    ).to_dict()


def _means(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    return {name: average(rows, name, resamples, seed) for name in FIGURES}


def _gains(rows: pd.DataFrame, blind: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    unused = np.zeros(len(rows), bool)
    return {
        f"{name}_gain": intervals.paired_group_bootstrap(
            metrics.mean, unused, rows[name], blind[name], rows["group"], resamples, seed
        ).to_dict()
        for name in FIGURES
    }


def _nodules(records: pd.DataFrame) -> dict[str, np.ndarray]:
    """Read the nodule of every frame, bool (H, W) by path."""
    missing = [name for name in ("path", "group") if name not in records]
    if missing or records.empty:
        raise DataError(
            "Frames with outlines must be a table of path, group and outlines. "
            f"Received: {len(records)} rows without {', '.join(missing) or 'any'}."
        )
    twice = records["path"].duplicated()
    if twice.any():
        raise DataError(
            f"Every frame must be named once. Received: {records['path'][twice].iloc[0]} twice."
        )
    nodules = {record["path"]: masks.nodule_mask(record) for _, record in records.iterrows()}
    grouped = dict(zip(records["path"], records["group"].notna(), strict=True))
    found = {
        path: nodule
        for path, nodule in nodules.items()
        if nodule is not None and nodule.any() and grouped[path]
    }
    if bare := [path for path in nodules if path not in found]:
        raise DataError(
            "Every frame must have a group and at least one outline. "
            f"Received: {len(bare)} without, among them {bare[0]}."
        )
    return found


def _check_table(table: pd.DataFrame) -> None:
    missing = [name for name in ("path", "group", "head", *FIGURES) if name not in table]
    if missing:
        raise DataError(
            "Measured maps must be a table of path, group, head, pointing and energy. "
            f"Received: no {', '.join(missing)}."
        )
    frames = set(table["path"][table["head"] == BASELINE])
    for head, rows in table.groupby("head")["path"]:
        if set(rows) != frames or rows.size != len(frames):
            raise DataError(
                f"Every head must have one map of each of the {len(frames)} frames that the head "
                f"{BASELINE} has. Received: {rows.size} of {rows.nunique()} frames by {head}."
            )
