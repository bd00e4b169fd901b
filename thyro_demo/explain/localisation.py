"""How a head's heatmap compares with the outline that a radiologist drew of the nodule.

Two figures from the literature: does the maximum of the map lie on the nodule, and what
share of the map does. Both say little by themselves, because nodules are large and are
put near the middle of the view, so every map is compared, frame by frame, with a
Gaussian in the middle of the scan area that has not seen the image.

Three limits. A map of 7 × 7 cells is no sharper than a cell, so on a smaller nodule the
share stays low wherever the map lies. On a split screen the middle of the scan area is
the seam between two views, where the Gaussian finds no nodule: such frames and single
views are best summarised apart. And a map on the nodule shows where a head found its
evidence, not that the evidence is sound or the score right.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thyro_demo.data import images, masks, preprocess
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.explain.cam import scale

BASELINE = "gaussian"
"""Name of the Gaussian in the column `head`."""

FIGURES = ("pointing", "energy")


def mask(polygons: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Fill the outlines of a frame.

    Parameters
    ----------
    polygons : sequence of float arrays, shape (n, 2)
        The corners as x, y in pixels, at least three each. All of them count: the nodule
        in a second view, a second nodule, an outline that is stored twice.
    shape : tuple of int
        Height and width of the frame in pixels.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True on the polygons and their outlines; all False without polygons.

    Raises
    ------
    ImageError
        If a polygon has fewer than three corners or corners that are not finite.
    """
    filled = np.zeros(shape, bool)
    for polygon in polygons:
        filled |= preprocess.polygon_mask(polygon, shape)
    return filled


def pointing(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """Tell whether the maximum of a map lies on the nodule.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        The map, of the scan area alone where there is a border around it: without
        positive evidence (`cam.scale`) a map counts as flat, and a flat map reads
        `mask`'s share of the array.
    mask : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        1 inside, 0 outside. Pixels that share the maximum count as the share of them
        that is inside: what one of them, drawn at random, would score on average.

    Raises
    ------
    ThyroError
        If map and mask differ in shape.

    References
    ----------
    Zhang et al., "Top-down neural attention by excitation backprop", International
    Journal of Computer Vision 126, 2018, the pointing game. Two departures: ties, which
    the first pixel in memory would decide; and no tolerance around the object (15 pixels
    in the usual implementations, for instance TorchRay), which would add more to a small
    nodule than to a large one.
    """
    evidence, inside = _evidence(heatmap, mask)
    return float(inside[evidence == evidence.max()].mean())


def energy(heatmap: np.ndarray, mask: np.ndarray) -> float:
    """Compute the share of a map that lies on the nodule.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        The map, of the scan area alone as in `pointing`; its positive part counts.
    mask : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        0–1. A map without positive evidence counts as flat and reads `mask`'s share of
        the array: it tells no place from another, which 0 would punish as looking away.

    Raises
    ------
    ThyroError
        If map and mask differ in shape.

    References
    ----------
    Wang et al., "Score-CAM: Score-weighted visual explanations for convolutional neural
    networks", CVPR Workshops 2020, the energy-based pointing game, with the outline in
    place of the bounding box.
    """
    evidence, inside = _evidence(heatmap, mask)
    # Summed apart, so that a map that lies inside altogether reads 1 without rounding.
    hit = evidence[inside].sum(dtype=np.float64)
    missed = evidence[~inside].sum(dtype=np.float64)
    return float(hit / (hit + missed))


def within(heatmap: np.ndarray, box: preprocess.Box, nodule: np.ndarray) -> dict[str, float]:
    """Measure a heatmap within the scan area.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        In the frame's coordinates, 0 outside the scan area, as `preprocess.place` gives it.
    box : Box
        The scan area.
    nodule : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    dict of str to float
        `pointing` and `energy`, 0–1.

    Raises
    ------
    ThyroError
        If map and nodule differ in shape.
    """
    _check_shapes(heatmap, nodule)
    cut = preprocess.crop(heatmap, box), preprocess.crop(nodule, box)
    return {"pointing": pointing(*cut), "energy": energy(*cut)}


def centred_gaussian(
    shape: tuple[int, int], box: preprocess.Box, spread: float = 0.25
) -> np.ndarray:
    """Draw the map of an onlooker who looks at the centre whatever the image shows.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the frame in pixels.
    box : Box
        The scan area.
    spread : float
        Standard deviation along each axis as a fraction of the box's side, above 0: in
        the square that a network sees, the Gaussian is round.

    Returns
    -------
    ndarray of float32, shape (H, W)
        0–1, with its peak in the middle of the box; 0 outside the box.

    Raises
    ------
    ThyroError
        If the spread is not above 0.
    ImageError
        If the box is empty or reaches out of the frame.
    """
    if not spread > 0:
        raise ThyroError(f"The spread must be above 0. Received: spread={spread}.")
    frame = np.zeros(shape, np.float32)
    down, across = (
        np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (spread * side)) ** 2)
        for side in (box.height, box.width)
    )
    preprocess.crop(frame, box)[:] = np.outer(down, across)
    return frame


def outlined(records: pd.DataFrame) -> pd.DataFrame:
    """Keep the frames that have an outline; the difference in length is what is left out.

    Parameters
    ----------
    records : DataFrame
        Record table with the column `polygons` (list of (n, 2) arrays), as
        `datasets.ddti` gives it.

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
            "Heatmaps are compared with outlines, a column polygons. "
            f"Received: the columns {', '.join(map(str, records.columns))}"
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
        float (H, W), 0 outside the scan area, as `preprocess.place` gives it. Only of
        networks that read the whole scan area: one that is handed the nodule's box has
        been told the answer.

    Returns
    -------
    DataFrame
        Columns `path`, `group`, `head`, `pointing` and `energy` (0–1, within the scan
        area): first one row per frame for the head `BASELINE`, in the order of the
        records, then one row per map, in the order of the maps.

    Raises
    ------
    DataError
        If there is no record, a record lacks its outline or group or stands there twice,
        or a map belongs to none of the records.
    ImageError
        If a frame cannot be read.
    ThyroError
        If a map has not the height and width of its frame.
    """
    nodules = _nodules(records)
    groups = dict(zip(records["path"], records["group"], strict=True))
    areas: dict[str, tuple[preprocess.Box, np.ndarray]] = {}
    rows = []
    for path, nodule in nodules.items():
        box = preprocess.scan_area(images.decode(path))
        areas[path] = box, nodule
        blind = centred_gaussian((nodule.shape[0], nodule.shape[1]), box)
        rows.append({"path": path, "head": BASELINE, **within(blind, box, nodule)})
    for head, path, heatmap in maps:
        if path not in areas:
            raise DataError(f"Every map belongs to one of the records. Received: one of {path}")
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
        As `measure` gives it.
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
    """Count frames and their groups, and name what the bootstrap resamples.

    Parameters
    ----------
    groups : Series
        One row a frame; NaN where a frame has none.

    Returns
    -------
    dict
        ``n``, ``groups`` and ``unit``, as `summarise` reports them.
    """
    grouped = bool(groups.notna().any())
    return {
        "n": len(groups),
        "groups": int(groups.nunique() + groups.isna().sum()) if grouped else None,
        "unit": "group" if grouped else "image",
    }


def average(rows: pd.DataFrame, name: str, resamples: int, seed: int) -> dict[str, float | None]:
    """Average a column over frames, with an interval over groups.

    Parameters
    ----------
    rows : DataFrame
        One row a frame, with `group` and the column.
    name : str
        The column.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to float or None
        ``value``, ``low`` and ``high`` (95 %).
    """
    unused = np.zeros(len(rows), bool)
    return intervals.group_bootstrap(
        metrics.mean, unused, rows[name], rows["group"], resamples, seed
    ).told()


def _evidence(heatmap: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Give the positive part of a map, ones where there is none, and the mask as bool."""
    _check_shapes(heatmap, mask)
    evidence = scale(heatmap)
    return evidence if evidence.any() else np.ones_like(evidence), mask.astype(bool)


def _check_shapes(heatmap: np.ndarray, mask: np.ndarray) -> None:
    if heatmap.ndim != 2 or heatmap.shape != mask.shape:
        raise ThyroError(
            "A heatmap must have the height and width of its mask. "
            f"Received: heatmap {heatmap.shape}, mask {mask.shape}."
        )


def _means(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    return {name: average(rows, name, resamples, seed) for name in FIGURES}


def _gains(rows: pd.DataFrame, blind: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    unused = np.zeros(len(rows), bool)
    return {
        f"{name}_gain": intervals.paired_group_bootstrap(
            metrics.mean, unused, rows[name], blind[name], rows["group"], resamples, seed
        ).told()
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
            "Measured maps are a table of path, group, head, pointing and energy. "
            f"Received: no {', '.join(missing)}"
        )
    frames = set(table["path"][table["head"] == BASELINE])
    for head, rows in table.groupby("head")["path"]:
        if set(rows) != frames or rows.size != len(frames):
            raise DataError(
                f"Every head has one map of each of the {len(frames)} frames that the head "
                f"{BASELINE} has. Received: {rows.size} of {rows.nunique()} frames by {head}"
            )
