"""Run a bundle over records, and measure how well it finds the nodules that are outlined.

The nodule map is compared with the outline as a whole. The heatmap of each head is compared
with it as in `localisation`, beside two controls: a Gaussian that has not seen the image, and the
same heatmap against the outline of another case, which it meets as often as nodules lie alike.
Scores and maps come from the same forward passes.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from thyro_demo.bundle import passes
from thyro_demo.data import masks, scan_area
from thyro_demo.errors import DataError
from thyro_demo.evaluate import intervals
from thyro_demo.evaluate.report import COLUMNS, UNKNOWN_SOURCE
from thyro_demo.explain import evaluate_maps
from thyro_demo.explain.heatmaps import heatmap, least_peak, nodule_map
from thyro_demo.explain.localisation import centred_gaussian, dice, within

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle
    from thyro_demo.bundle.ensemble import Ensemble

_HALF = 0.5
"""Pixels of a nodule map at or above it are the drawn nodule."""

_FRAME = ("path", "group", "source", "nodule", "peak", "dice", "pointing")
_SHUFFLED = {"shuffled_pointing": "pointing", "shuffled_energy": "energy"}
_MAP = ("path", "group", "source", "head", "pointing", "energy", *_SHUFFLED)


class Localised(NamedTuple):
    """What was measured of the maps of a bundle.

    Attributes
    ----------
    frames : DataFrame
        One row a frame whose nodule is known: ``path, group, source``; ``nodule``, whether it
        has one; of a bundle with a nodule map ``peak``, its maximum, and, on a nodule,
        ``dice`` and ``pointing``, all 0–1.
    maps : DataFrame
        One row a frame with a nodule and head, or `evaluate_maps.BASELINE`: ``path, group,
        source, head, pointing, energy, score``, and ``shuffled_pointing`` and
        ``shuffled_energy`` of a head: against the outline of the last frame of another group,
        NaN before there is one; a frame without a group is one of its own.
    without_outline : int
        Frames of which nothing is known of the nodule.
    kept_apart : int
        Frames on which the networks have learned where the nodule is.
    """

    frames: pd.DataFrame
    maps: pd.DataFrame
    without_outline: int
    kept_apart: int


def has_nodule(records: pd.DataFrame) -> pd.Series:
    """Report on which frames there is a nodule.

    Parameters
    ----------
    records : DataFrame
        Record table with what `masks.nodule_mask` reads.

    Returns
    -------
    Series of object
        True or False, None where nothing is known, on the index of `records`.
    """
    found = []
    for _, record in records.iterrows():
        nodule = masks.nodule_mask(record)
        found.append(None if nodule is None else bool(nodule.any()))
    return pd.Series(found, records.index, dtype=object)


def run(
    bundle: "Bundle | Ensemble", records: pd.DataFrame, learned: pd.Series, batch: int = 16
) -> tuple[pd.DataFrame, Localised]:
    """Score every image of a table and measure every map on the outlined ones, in one pass.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        A bundle that reads the whole scan area.
    records : DataFrame
        With ``path, label, group, source``, one row an image, and what `masks.nodule_mask`
        reads.
    learned : Series of bool
        Frames whose maps are not measured, on the index of `records`: see `training_set.learned`.
    batch : int
        Images a forward pass.

    Returns
    -------
    predictions : DataFrame
        As `engine.score_records` returns it.
    localised : Localised
        What was measured of the maps.

    Raises
    ------
    DataError
        If an image or a mask cannot be read, or a mask has not the size of its image.
    """
    scores: list[pd.DataFrame] = []
    frames: list[dict[str, Any]] = []
    maps: list[dict[str, Any]] = []
    without = apart = 0
    last: list[tuple[Any, np.ndarray]] = []
    for seen in passes.run(bundle, records, batch):
        scores.append(seen.scores(bundle))
        for row, (index, record) in enumerate(seen.rows.iterrows()):
            nodule = masks.nodule_mask(record)
            if nodule is None:
                without += 1
            elif learned[index]:
                apart += 1
            else:
                before = [one for one in last if not _same(one[0], record["group"])][-1:]
                frame, drawn = _measured(bundle, seen, row, nodule, [mask for _, mask in before])
                frames.append(frame)
                maps += drawn
                if frame["nodule"]:
                    own = scan_area.crop(nodule, seen.boxes[row])
                    last = [*before, (record["group"], own)]
    nothing = pd.DataFrame(columns=pd.Index(COLUMNS))
    predictions = pd.concat(scores, ignore_index=True) if scores else nothing
    table = pd.DataFrame(maps, columns=pd.Index(_MAP)).merge(
        predictions[["path", "head", "score"]], how="left", on=["path", "head"]
    )
    return predictions, Localised(
        pd.DataFrame(frames, columns=pd.Index(_FRAME)), table, without, apart
    )


def _same(group: Any, other: Any) -> bool:
    """Check whether two groups are one; where a group is not known, a frame is a case of its own.

    Two missing groups are equal as None, and are not as NaN.
    """
    return bool(pd.notna(group) and pd.notna(other) and group == other)


def _measured(
    bundle: "Bundle | Ensemble",
    seen: passes.Batch,
    row: int,
    nodule: np.ndarray,
    others: Sequence[np.ndarray],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure the nodule map, the heatmaps and the Gaussian on one frame."""
    record, box, shape = seen.rows.iloc[row], seen.boxes[row], seen.shapes[row]
    if nodule.shape != shape:
        raise DataError(
            "A mask must have the height and width of its frame. "
            f"Received: mask {nodule.shape}, frame {shape} of {record['path']}."
        )
    facts = {name: record[name] for name in ("path", "group", "source")}
    frame = facts | {"nodule": bool(nodule.any())}
    found = nodule_map(seen.forwards, row)
    if found is not None:
        frame["peak"] = float(found.max())
    if not frame["nodule"]:
        return frame, []
    if found is not None:
        placed = scan_area.place(found, box, shape)
        frame["pointing"] = within(placed, box, nodule)["pointing"]
        frame["dice"] = dice(scan_area.crop(placed, box) >= _HALF, scan_area.crop(nodule, box))
    drawn = {evaluate_maps.BASELINE: centred_gaussian(shape, box)}
    for head in bundle.manifest["heads"]:
        drawn[head] = scan_area.place(heatmap(bundle, seen.forwards, head, row), box, shape)
    rows = {
        head: facts | {"head": head} | within(each, box, nodule) for head, each in drawn.items()
    }
    for outline in others:
        other = scan_area.place(outline.astype(np.float32), box, shape) >= _HALF
        for head in bundle.manifest["heads"]:
            met = within(drawn[head], box, other)
            rows[head] |= {name: met[figure] for name, figure in _SHUFFLED.items()}
    return frame, list(rows.values())


def summarise(
    localised: Localised,
    bundle: "Bundle | Ensemble",
    thresholds: Mapping[str, float],
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Average what was measured, with intervals over groups.

    Parameters
    ----------
    localised : Localised
        From `run`.
    bundle : Bundle or Ensemble
        Whose maps they are.
    thresholds : mapping of str to float
        Operating point of each head.
    resamples : int
        Bootstrap resamples.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict or None
        Ready for JSON; None where there is nothing to measure. ``n`` (frames with a nodule),
        ``groups``, ``unit``, ``heads`` and ``gaussian`` as `evaluate_maps.summarise` reports
        them; ``nodule`` with ``dice`` and ``pointing`` of a bundle with a nodule map;
        ``shuffled``, by head ``pointing`` and ``energy`` against the outline of another case;
        ``positive``, by head the same on the frames whose score is at or above its threshold;
        ``by_source``; ``empty``, frames known to have no nodule, and the share of them ``below``
        the ``threshold`` that the maximum of the nodule map must reach; ``without_outline`` and
        ``kept_apart``, frames that are not measured.
    """
    frames, maps = localised.frames, localised.maps
    holds = frames["nodule"].astype(bool)
    outlined, empty = frames[holds], frames[~holds]
    has_peaks = bool(empty["peak"].notna().any())
    if outlined.empty and not has_peaks and not localised.kept_apart:
        return None
    heads = maps.loc[maps["head"] != evaluate_maps.BASELINE, "head"].unique()
    summary = _figures(outlined, maps, resamples, seed)
    summary["positive"] = {
        str(head): _positive(maps, head, thresholds[head], resamples, seed) for head in heads
    }
    if maps["shuffled_energy"].notna().any():
        summary["shuffled"] = {
            str(head): _shuffled(maps[maps["head"] == head], resamples, seed) for head in heads
        }
    summary["by_source"] = _by_source(outlined, maps, resamples, seed)
    summary["empty"] = evaluate_maps.counts(empty["group"]) if len(empty) else {"n": 0}
    if has_peaks:
        least = least_peak(bundle)
        below = empty.assign(below=(empty["peak"] < least).astype(float))
        summary["empty"] |= {
            "threshold": least, "below": evaluate_maps.average(below, "below", resamples, seed)
        }  # fmt: skip
    summary["without_outline"] = localised.without_outline
    summary["kept_apart"] = localised.kept_apart
    return summary


def _figures(frames: pd.DataFrame, maps: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    """Summarise nodule map, heads and Gaussian on frames with a nodule."""
    if frames.empty:
        return {"n": 0, "groups": None, "unit": None, "heads": {}}
    found = evaluate_maps.summarise(maps, resamples, seed)
    if frames["dice"].isna().all():
        return found
    nodule = {
        name: evaluate_maps.average(frames, name, resamples, seed) for name in ("dice", "pointing")
    }
    counted = {key: found.pop(key) for key in ("n", "groups", "unit")}
    return counted | {"nodule": nodule} | found


def _shuffled(rows: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    """Average a head's figures against the outlines of other cases."""
    paired = rows.dropna(subset=list(_SHUFFLED))
    return {
        figure: evaluate_maps.average(paired, name, resamples, seed)
        for name, figure in _SHUFFLED.items()
    }


def _positive(
    maps: pd.DataFrame, head: str, threshold: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Summarise a head on the frames whose score is at or above its threshold."""
    own = maps[(maps["head"] == head) & (maps["score"] >= threshold)]
    if own.empty:
        return {"n": 0}
    blind = maps[(maps["head"] == evaluate_maps.BASELINE) & maps["path"].isin(own["path"])]
    found = evaluate_maps.summarise(pd.concat([blind, own]), resamples, seed)
    figures = found.pop("heads")[head]
    return found | figures


def _by_source(
    frames: pd.DataFrame, maps: pd.DataFrame, resamples: int, seed: int
) -> dict[str, Any]:
    """Summarise within each source, the largest first."""
    names = frames["source"].astype(object).fillna(UNKNOWN_SOURCE).astype(str)
    order = names.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    parts = {}
    for source in order.index:
        own = frames[names == source]
        part = _figures(own, maps[maps["path"].isin(own["path"])], resamples, seed)
        parts[str(source)] = {key: value for key, value in part.items() if key != "unit"}
    return parts
