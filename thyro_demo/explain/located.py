"""How well a bundle finds the nodule, on frames whose nodule is outlined.

The nodule map is compared with the outline as a whole. The heatmap of each head is compared
with it as in `localisation`, beside a Gaussian that has not seen the image. Scores and maps come
from the same forward passes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from thyro_demo.data import masks, preprocess
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.evaluate import intervals
from thyro_demo.evaluate.report import COLUMNS, UNKNOWN_SOURCE
from thyro_demo.explain import localisation
from thyro_demo.explain.heads import heatmap, least_peak, nodule_map
from thyro_demo.models import passes

if TYPE_CHECKING:
    from thyro_demo.models.bundle import Bundle
    from thyro_demo.models.ensemble import Ensemble

_HALF = 0.5
"""Pixels of a nodule map at or above it are the drawn nodule."""

_FRAME = ("path", "group", "source", "nodule", "peak", "dice", "pointing")
_MAP = ("path", "group", "source", "head", "pointing", "energy")


class Located(NamedTuple):
    """What was measured of the maps of a bundle.

    Attributes
    ----------
    frames : DataFrame
        One row a frame whose nodule is known: ``path, group, source``; ``nodule``, whether it
        has one; of a bundle with a nodule map ``peak``, its maximum, and, on a nodule,
        ``dice`` and ``pointing``, all 0–1.
    maps : DataFrame
        One row a frame with a nodule and head, or `localisation.BASELINE`: ``path, group,
        source, head, pointing, energy, score``.
    without_outline : int
        Frames of which nothing is known of the nodule.
    kept_apart : int
        Frames on which the networks have learned where the nodule is.
    """

    frames: pd.DataFrame
    maps: pd.DataFrame
    without_outline: int
    kept_apart: int


def dice(drawn: np.ndarray, mask: np.ndarray) -> float:
    """Compute how far a drawn nodule and the outlined one overlap.

    Parameters
    ----------
    drawn : ndarray of bool, shape (H, W)
        What a network takes for the nodule, of the scan area alone where there is a border.
    mask : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        Twice the pixels that both share over the sum of the pixels of each: 0 without a shared
        pixel, 1 where both are the same, and where both are empty.

    Raises
    ------
    ThyroError
        If both differ in shape.

    References
    ----------
    Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945:
    the coincidence index, with pixels in place of samples.
    """
    if drawn.shape != mask.shape:
        raise ThyroError(
            "A drawn nodule must have the height and width of its mask. "
            f"Received: drawn {drawn.shape}, mask {mask.shape}."
        )
    size = np.count_nonzero(drawn) + np.count_nonzero(mask)
    return 2 * np.count_nonzero(drawn & mask) / size if size else 1.0


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


def read(
    bundle: "Bundle | Ensemble", records: pd.DataFrame, learned: pd.Series, batch: int = 16
) -> tuple[pd.DataFrame, Located]:
    """Score every image of a table and measure every map on the outlined ones, in one pass.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        A bundle that reads the whole scan area.
    records : DataFrame
        With ``path, label, group, source``, one row an image, and what `masks.nodule_mask`
        reads.
    learned : Series of bool
        Frames whose maps are not measured, on the index of `records`: see `provenance.learned`.
    batch : int
        Images a forward pass.

    Returns
    -------
    predictions : DataFrame
        As `engine.score_records` gives it.
    located : Located
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
    for seen in passes.run(bundle, records, batch):
        scores.append(seen.scores(bundle))
        for row, (index, record) in enumerate(seen.rows.iterrows()):
            nodule = masks.nodule_mask(record)
            if nodule is None:
                without += 1
            elif learned[index]:
                apart += 1
            else:
                frame, drawn = _measured(bundle, seen, row, nodule)
                frames.append(frame)
                maps += drawn
    nothing = pd.DataFrame(columns=pd.Index(COLUMNS))
    predictions = pd.concat(scores, ignore_index=True) if scores else nothing
    table = pd.DataFrame(maps, columns=pd.Index(_MAP)).merge(
        predictions[["path", "head", "score"]], how="left", on=["path", "head"]
    )
    return predictions, Located(
        pd.DataFrame(frames, columns=pd.Index(_FRAME)), table, without, apart
    )


def _measured(
    bundle: "Bundle | Ensemble", seen: passes.Batch, row: int, nodule: np.ndarray
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
        placed = preprocess.place(found, box, shape)
        frame["pointing"] = localisation.within(placed, box, nodule)["pointing"]
        frame["dice"] = dice(preprocess.crop(placed, box) >= _HALF, preprocess.crop(nodule, box))
    drawn = {localisation.BASELINE: localisation.centred_gaussian(shape, box)}
    for head in bundle.manifest["heads"]:
        drawn[head] = preprocess.place(heatmap(bundle, seen.forwards, head, row), box, shape)
    return frame, [
        facts | {"head": head} | localisation.within(each, box, nodule)
        for head, each in drawn.items()
    ]


def summarise(
    located: Located,
    bundle: "Bundle | Ensemble",
    thresholds: Mapping[str, float],
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Average what was measured, with intervals over groups.

    Parameters
    ----------
    located : Located
        From `read`.
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
        ``groups``, ``unit``, ``heads`` and ``gaussian`` as `localisation.summarise` reports
        them; ``nodule`` with ``dice`` and ``pointing`` of a bundle with a nodule map;
        ``positive``, by head the same on the frames that it reads at or above its threshold;
        ``by_source``; ``empty``, frames known to have no nodule, and the share of them ``below``
        the ``threshold`` that the maximum of the nodule map must reach; ``without_outline`` and
        ``kept_apart``, frames that are not measured.
    """
    frames, maps = located.frames, located.maps
    holds = frames["nodule"].astype(bool)
    outlined, empty = frames[holds], frames[~holds]
    has_peaks = bool(empty["peak"].notna().any())
    if outlined.empty and not has_peaks and not located.kept_apart:
        return None
    heads = maps.loc[maps["head"] != localisation.BASELINE, "head"].unique()
    summary = _figures(outlined, maps, resamples, seed)
    summary["positive"] = {
        str(head): _positive(maps, head, thresholds[head], resamples, seed) for head in heads
    }
    summary["by_source"] = _by_source(outlined, maps, resamples, seed)
    summary["empty"] = localisation.counts(empty["group"]) if len(empty) else {"n": 0}
    if has_peaks:
        least = least_peak(bundle)
        below = empty.assign(below=(empty["peak"] < least).astype(float))
        summary["empty"] |= {
            "threshold": least, "below": localisation.average(below, "below", resamples, seed)
        }  # fmt: skip
    summary["without_outline"] = located.without_outline
    summary["kept_apart"] = located.kept_apart
    return summary


def _figures(frames: pd.DataFrame, maps: pd.DataFrame, resamples: int, seed: int) -> dict[str, Any]:
    """Summarise nodule map, heads and Gaussian on frames with a nodule."""
    if frames.empty:
        return {"n": 0, "groups": None, "unit": None, "heads": {}}
    found = localisation.summarise(maps, resamples, seed)
    if frames["dice"].isna().all():
        return found
    nodule = {
        name: localisation.average(frames, name, resamples, seed) for name in ("dice", "pointing")
    }
    counted = {key: found.pop(key) for key in ("n", "groups", "unit")}
    return counted | {"nodule": nodule} | found


def _positive(
    maps: pd.DataFrame, head: str, threshold: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Summarise a head on the frames that it reads at or above its threshold."""
    own = maps[(maps["head"] == head) & (maps["score"] >= threshold)]
    if own.empty:
        return {"n": 0}
    blind = maps[(maps["head"] == localisation.BASELINE) & maps["path"].isin(own["path"])]
    found = localisation.summarise(pd.concat([blind, own]), resamples, seed)
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
        within = frames[names == source]
        part = _figures(within, maps[maps["path"].isin(within["path"])], resamples, seed)
        parts[str(source)] = {key: value for key, value in part.items() if key != "unit"}
    return parts
