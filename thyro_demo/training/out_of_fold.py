"""Scores that no image helped to make: fold by fold, calibrated, decided and summed up.

Each fold's score is calibrated, and turned into a decision, by the scores of the other folds; a
frame is never judged by a threshold or a sigmoid that it had a part in.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from tqdm.auto import tqdm

from thyro_demo import files
from thyro_demo.data import splits
from thyro_demo.data.records import PHANTOM
from thyro_demo.evaluate import baseline, operating_points, report
from thyro_demo.models import heads

CLASSES = ("benign", "malignant")

INNER_FOLDS = 6
"""Grouped folds of a training part; one of them is what early stopping looks at."""


def reported(table: pd.DataFrame) -> pd.Series:
    """Mark the rows that figures are about: real frames, or all where there are phantoms alone.

    Parameters
    ----------
    table : DataFrame
        With a column `source`.

    Returns
    -------
    Series of bool
        True for those rows.
    """
    real = table["source"] != PHANTOM
    return real if real.any() else ~real


def set_aside(learned: pd.DataFrame, fold: int) -> np.ndarray:
    """Set whole groups of a training part aside, for early stopping to look at.

    Parameters
    ----------
    learned : DataFrame
        Record table of all folds but the one that is tested.
    fold : int
        The one that is tested; another one sets other groups aside.

    Returns
    -------
    ndarray of bool (n,)
        True for those rows, one of `INNER_FOLDS` grouped folds.
    """
    return splits.kfold(learned, INNER_FOLDS, seed=fold)["fold"].to_numpy() == 0


def score_features(
    features: np.ndarray,
    records: pd.DataFrame,
    kinds: tuple[str, ...] = ("svm",),
    more: tuple[np.ndarray, pd.DataFrame] | None = None,
    weights: Callable[[pd.DataFrame], np.ndarray] | None = None,
    positive: str = CLASSES[1],
) -> pd.DataFrame:
    """Score frames out of fold by heads on the features of a frozen network.

    Parameters
    ----------
    features : ndarray of float32 (n, d)
        Pooled features of a network that has not been trained on these frames.
    records : DataFrame
        Their record table with a column `fold`.
    kinds : tuple of str
        Kinds of heads; see `heads.fit`.
    more : tuple of ndarray and DataFrame, optional
        Features and records of further training rows, each used where its fold is not tested.
    weights : callable, optional
        Takes the training rows' records, returns a weight for each.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame
        One row a frame and head: `path, group, source, label, fold, head, raw, score`, the
        scores of each fold calibrated on the others.
    """
    table, rows = records, features
    if more is not None:
        table = pd.concat([records.assign(tested=True), more[1].assign(tested=False)])
        rows = np.concatenate([features, more[0]])
    fold = table["fold"].to_numpy()
    tested = table["tested"].to_numpy(bool) if "tested" in table else np.ones(len(table), bool)
    labels = (table["label"] == positive).to_numpy(int)
    parts = []
    for held in tqdm(sorted(set(fold)), desc="Heads", unit="fold", leave=False):
        outer, learned = (fold == held) & tested, fold != held
        known = table.loc[outer, ["path", "group", "source", "label", "fold"]]
        shares = None if weights is None else weights(table[learned])
        for kind in kinds:
            fitted = heads.fit_uncalibrated(
                kind, rows[learned], labels[learned], table["group"].to_numpy()[learned],
                weights=shares,
            )  # fmt: skip
            parts.append(known.assign(head=kind, raw=heads.raw(fitted, rows[outer])))
    return cross_calibrated(pd.concat(parts, ignore_index=True), positive=positive)


def cross_calibrated(
    found: pd.DataFrame, column: str = "raw", positive: str = CLASSES[1]
) -> pd.DataFrame:
    """Calibrate each fold's heads on the other folds' out-of-fold scores.

    A sigmoid fitted inside the training part would be too sure of itself: the network has
    seen those images, and their features part the classes better than new ones will.

    Parameters
    ----------
    found : DataFrame
        One row a frame and head, with `raw`, the score before calibration.
    column : str
        Which scores to calibrate by the sigmoids of `raw`.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame
        With a column `score`, 0–1.
    """
    found = found.copy()
    for head in found["head"].unique():
        for fold in sorted(set(found["fold"])):
            mine = found["head"] == head
            here, others = mine & (found["fold"] == fold), mine & (found["fold"] != fold)
            slope, intercept = sigmoid(found[others], positive)
            found.loc[here, "score"] = expit(slope * found.loc[here, column] + intercept)
    return found


def sigmoid(scored: pd.DataFrame, positive: str = CLASSES[1]) -> tuple[float, float]:
    """Fit slope and intercept on the frames that figures are about: real ones, if any.

    Parameters
    ----------
    scored : DataFrame
        Out-of-fold rows of one head.
    positive : str
        The label that counts as positive.

    Returns
    -------
    slope, intercept : float
        See `heads.platt`.
    """
    rows = scored[reported(scored)]
    return heads.platt(rows["raw"].to_numpy(), (rows["label"] == positive).to_numpy())


BASELINE = "image size only"


def figures(records: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    """Compute thresholds and out-of-fold figures; real frames and phantoms stay apart.

    Parameters
    ----------
    records : DataFrame
        The frames, with `fold`.
    found : DataFrame
        Out-of-fold scores, from `score_features`.

    Returns
    -------
    dict
        "thresholds", "metrics", and "phantom_metrics" where there are phantoms.
    """
    real = records[reported(records)]
    scored = found[reported(found)]
    thresholds = {
        str(head): operating_points.both(rows["label"] == CLASSES[1], rows["score"])
        for head, rows in scored.groupby("head", sort=False)
    }
    facts = {"thresholds": thresholds, "metrics": summary(scored, size_rows(real))}
    drawn = found[~reported(found)]
    if len(drawn):
        facts["phantom_metrics"] = summary(drawn, None)
    return facts


def size_rows(real: pd.DataFrame, positive: str = CLASSES[1]) -> pd.DataFrame | None:
    """Score the frames by their width and height alone: what the source reveals.

    Parameters
    ----------
    real : DataFrame
        Record table with `fold`.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame or None
        As `summary` takes it; None where a frame has no size.
    """
    sizes = real.reindex(columns=["width", "height"])
    if sizes.isna().to_numpy().any():
        return None
    known = real[["path", "group", "source", "label", "fold"]]
    return known.assign(head=BASELINE, score=baseline.image_size_scores(real, positive))


def summary(
    scored: pd.DataFrame, size: pd.DataFrame | None, positive: str = CLASSES[1]
) -> dict[str, Any]:
    """Summarise out-of-fold scores; each fold's operating point comes from the others.

    Parameters
    ----------
    scored : DataFrame
        One row a frame and head: `path, group, source, label, fold, head, score`.
    size : DataFrame or None
        The same of the baseline that reads the size of the image alone.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict
        From `report.summarise`; figures at a threshold are those at the Youden points.
    """
    decided = [decisions(rows, positive) for _, rows in scored.groupby("head", sort=False)]
    table = scored if size is None else pd.concat([scored, size], ignore_index=True)
    none = {str(head): float("nan") for head in table["head"].unique()}
    found = report.summarise(table, none, positive)
    half = {str(head): 0.5 for head in scored["head"].unique()}
    at_points = report.summarise(pd.concat(decided, ignore_index=True), half, positive)
    for head, figures in at_points["heads"].items():
        _take_over(found["heads"][head], figures)
        for source, within in figures["by_source"].items():
            _take_over(found["heads"][head]["by_source"][source], within)
    return found


_AT_A_POINT = ("accuracy", "sensitivity", "specificity", "f1", "confusion")


def _take_over(into: dict[str, Any], figures: dict[str, Any]) -> None:
    into |= {name: figures[name] for name in _AT_A_POINT if name in figures}


def decisions(
    rows: pd.DataFrame,
    positive: str = CLASSES[1],
    choose: Callable[[Any, Any], float] = operating_points.youden,
) -> pd.DataFrame:
    """Turn one head's scores to 0 or 1 at the operating point of the other folds.

    Parameters
    ----------
    rows : DataFrame
        Out-of-fold rows of one head.
    positive : str
        The label that counts as positive.
    choose : callable
        Takes labels and scores, returns the threshold; the Youden point without it.

    Returns
    -------
    DataFrame
        The same rows, their `score` 0 or 1.
    """
    decided = rows.copy()
    for fold in sorted(set(rows["fold"])):
        here, others = rows["fold"] == fold, rows[rows["fold"] != fold]
        point = choose(others["label"] == positive, others["score"])
        decided.loc[here, "score"] = (rows.loc[here, "score"] >= point).astype(float)
    return decided


def split_folder(work: Path, seed: int) -> Path:
    """Name the folder of one of several splits into folds; the first has no folder of its own."""
    return work / f"split-{seed}" if seed else work


def read_back(file: Path) -> pd.DataFrame:
    """Read a table of frames that this project has written, names as they were.

    Parameters
    ----------
    file : Path
        Written by `DataFrame.to_csv`.

    Returns
    -------
    DataFrame
        Its rows; what was missing is missing.
    """
    # A patient may be called NA, and a hospital 007: only an empty cell is missing.
    names = dict.fromkeys(("path", "group", "source"), str)
    return pd.read_csv(file, dtype=names, keep_default_na=False, na_values=[""])


def published(found: pd.DataFrame, folders: tuple[Path, ...]) -> pd.DataFrame:
    """Return the columns of `oof.csv`.

    Parameters
    ----------
    found : DataFrame
        Out-of-fold scores, from `score_features`.
    folders : tuple of Path
        Folders that the paths are to be relative to, the first that fits.

    Returns
    -------
    DataFrame
        `path, group, source, label, fold, head, probability`.
    """
    paths = [files.relative(path, folders) for path in found["path"]]
    table = found.assign(path=paths).rename(columns={"score": "probability"})
    return table[["path", "group", "source", "label", "fold", "head", "probability"]]


def write(found: pd.DataFrame, folder: Path, roots: tuple[Path, ...]) -> pd.DataFrame:
    """Write `oof.csv`, which cards and README quote.

    Parameters
    ----------
    found : DataFrame
        Out-of-fold scores, from `score_features`.
    folder : Path
        Folder of the file.
    roots : tuple of Path
        Folders that the paths are to be relative to: of what was drawn, and of the frames.

    Returns
    -------
    DataFrame
        Its content, from `published`.
    """
    table = published(found, roots)
    with files.atomic_write(folder / "oof.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table
