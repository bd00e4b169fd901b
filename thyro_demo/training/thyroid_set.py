"""The frames of the last stage: grouped, with their share of phantoms, assigned to folds."""

import math
from pathlib import Path

import pandas as pd

from thyro_demo.data import near_duplicates, phantom, splits
from thyro_demo.data.datasets import phantoms as read_phantoms
from thyro_demo.data.records import PHANTOM
from thyro_demo.data.roi import nodule_boxes
from thyro_demo.errors import DataError
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import CLASSES


def assemble(
    records: pd.DataFrame,
    work: Path,
    folds: int = 5,
    phantoms: float = 0.0,
    seed: int = 0,
    roi: bool = False,
) -> pd.DataFrame:
    """Group the labelled frames of a set, add phantoms, and assign all to folds.

    Parameters
    ----------
    records : DataFrame
        Record table of the set.
    work : Path
        Where phantoms are drawn.
    folds : int
        Grouped folds.
    phantoms : float
        Share of phantom frames among all, 0–0.5.
    seed : int
        Of the split into folds.
    roi : bool
        Whether each frame is cropped to its outlined nodule; frames without an outline are
        left out.

    Returns
    -------
    DataFrame
        Record table with a column `fold`, and `roi` where nodules are cropped to.

    Raises
    ------
    DataError
        If there are too few groups for the folds.
    """
    records = records[records["label"].isin(CLASSES)].reset_index(drop=True)
    records = near_duplicates.group(records)
    records = _with_regions(records) if roi else records
    _check_enough(records, folds)
    if phantoms and (records["source"] != PHANTOM).any():
        drawn = _phantoms(work, round(len(records) * phantoms / (1.0 - phantoms)))
        drawn = _with_regions(drawn) if roi else drawn
        records = pd.concat([records, drawn], ignore_index=True)
    return splits.kfold(records, folds, seed=seed)


def _phantoms(work: Path, count: int) -> pd.DataFrame:
    """Read so many phantom frames, two a patient, drawn where they are missing."""
    folder = work / f"phantoms-{count}"
    if not (folder / "index.csv").exists():
        phantom.write(phantom.cohort(count // 2, frames_per_patient=2, seed=7), folder)
    return read_phantoms(folder)


def _with_regions(records: pd.DataFrame) -> pd.DataFrame:
    """Keep the records whose nodule is outlined, each with its box."""
    boxes = pd.Series(nodule_boxes(records), index=records.index, dtype=object)
    return records.assign(roi=boxes)[boxes.notna()].reset_index(drop=True)


def _check_enough(records: pd.DataFrame, folds: int) -> None:
    """Refuse a set too small for its folds before hours of training, not after."""
    counts = records.groupby("label")["group"].nunique().reindex(CLASSES, fill_value=0)
    fewest, label = int(counts.min()), str(counts.idxmin())
    if fewest - math.ceil(fewest / folds) < out_of_fold.INNER_FOLDS:
        raise DataError(
            f"A set for {folds} folds must have groups of both labels, {out_of_fold.INNER_FOLDS} "
            f"of each when a fold is left out. Received: {fewest} of {label}."
        )
