"""Split record tables so that nothing stands on two sides.

What must stay together is the group (patient, case). Where a set has none,
`group_near_duplicates` makes groups of near copies, found by a perceptual hash;
without either, a split is an explicit image-level choice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from thyro_demo.errors import DataError

PARTS = ("train", "validation", "test")

# `split` deals this many folds at most to its three parts: steps of five per cent.
_MOST_FOLDS = 20


def kfold(
    records: pd.DataFrame, folds: int = 5, seed: int = 0, image_level: bool = False
) -> pd.DataFrame:
    """Deal the groups of a table to folds of like size, label and source.

    Parameters
    ----------
    records : DataFrame
        Record table.
    folds : int
        Number of folds, 2 or more.
    seed : int
        Seed of the shuffle; the same seed gives the same folds.
    image_level : bool
        Let every image without a group stand alone. Results then are per image, and
        images of one patient may stand on two sides.

    Returns
    -------
    DataFrame
        Copy of `records` with the column `fold`, int64, 0 to `folds` − 1.

    Raises
    ------
    DataError
        If a group is missing and `image_level` is False, a label is missing, or a
        label has fewer groups than there are folds.
    """
    if folds < 2:
        raise DataError(f"A cross-validation has two or more folds. Received: {folds}")
    groups = _groups(records, image_level)
    scarce = _scarcest(records["label"], groups)
    if scarce.iloc[0] < folds:
        raise DataError(
            f"Each label needs at least one group per fold, {folds} in all. Received: "
            f"{scarce.iloc[0]} of label {scarce.index[0]}"
        )
    return records.assign(fold=_deal(records, groups, folds, seed))


def split(
    records: pd.DataFrame,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    image_level: bool = False,
) -> pd.DataFrame:
    """Deal the groups of a table to training, validation and test.

    Parameters
    ----------
    records : DataFrame
        Record table.
    fractions : sequence of three floats
        Share of the images in each part, adding up to 1; 0 leaves a part empty. They
        are met to the nearest twentieth, coarser where a label has few groups.
    seed : int
        Seed of the shuffle; the same seed gives the same parts.
    image_level : bool
        Let every image without a group stand alone (see `kfold`).

    Returns
    -------
    DataFrame
        Copy of `records` with the column `split`, one of `PARTS`.

    Raises
    ------
    DataError
        If the fractions are no shares of a whole, a group is missing and
        `image_level` is False, a label is missing, or a label has fewer groups than
        there are parts.
    """
    wanted = np.asarray(fractions, np.float64)
    if wanted.shape != (3,) or (wanted < 0).any() or abs(wanted.sum() - 1) > 1e-6:
        raise DataError(
            "Fractions are three shares, of training, validation and test, that add up to 1. "
            f"Received: {tuple(fractions)}"
        )
    groups = _groups(records, image_level)
    scarce = _scarcest(records["label"], groups)
    parts = int((wanted > 0).sum())
    if scarce.iloc[0] < parts:
        raise DataError(
            f"Each label needs at least one group per part, {parts} in all. Received: "
            f"{scarce.iloc[0]} of label {scarce.index[0]}"
        )
    if parts == 1:
        return records.assign(split=PARTS[int(wanted.argmax())])
    shares = _shares(wanted, most=min(_MOST_FOLDS, int(scarce.iloc[0])))
    names = np.repeat(np.array(PARTS, dtype=object), shares)
    return records.assign(split=names[_deal(records, groups, len(names), seed)])


def _groups(records: pd.DataFrame, image_level: bool) -> np.ndarray:
    """Give each image the number of its group, int64 (n,); if wanted, one of its own."""
    if records["label"].isna().any():
        raise DataError(
            "Every image of a split needs a label. Received: none for "
            f"{records['path'][records['label'].isna()].iloc[0]}"
        )
    codes, known = pd.factorize(records["group"])
    alone = codes < 0
    if alone.any() and not image_level:
        raise DataError(
            "A split needs a group (patient, case) for every image: group near duplicates "
            "first, or choose an image-level split explicitly. Received: "
            f"{alone.sum()} of {len(records)} images without a group"
        )
    codes[alone] = len(known) + np.arange(alone.sum())
    return codes


def _scarcest(labels: pd.Series, groups: np.ndarray) -> pd.Series:
    """Count the groups of each label, the scarcest first."""
    if labels.empty:
        raise DataError("A split needs at least one image. Received: an empty table")
    counts = pd.Series(groups, index=labels.index).groupby(labels).nunique()
    return counts.sort_values(kind="stable")


def _strata(records: pd.DataFrame, folds: int) -> np.ndarray:
    """Give each image the number of its label × source, int64 (n,), rare ones merged."""
    strata = records["label"].astype(str) + "\x1f" + records["source"].fillna("").astype(str)
    rare = strata.map(strata.value_counts()) < folds
    strata = strata.mask(rare, records["label"].astype(str))
    still_rare = strata.map(strata.value_counts()) < folds
    # What is left over of a label joins its largest stratum.
    largest = strata.groupby(records["label"]).transform(lambda s: s.value_counts().index[0])
    return pd.factorize(strata.mask(still_rare, largest))[0]


def _deal(records: pd.DataFrame, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Give each image its fold, int64 (n,)."""
    strata = _strata(records, folds)
    dealing = {"n_splits": folds, "shuffle": True, "random_state": seed}
    if len(np.unique(groups)) == len(groups):
        # Says the same where every image stands alone, hundreds of times faster.
        parts = StratifiedKFold(**dealing).split(strata, strata)
    else:
        parts = StratifiedGroupKFold(**dealing).split(strata, strata, groups)
    dealt = np.empty(len(records), np.int64)
    for fold, (_, held_out) in enumerate(parts):
        dealt[held_out] = fold
    return dealt


def _shares(wanted: np.ndarray, most: int) -> np.ndarray:
    """Choose how many of at most `most` equal folds each part gets, int64 (3,)."""
    best, smallest = np.zeros(3, np.int64), np.inf
    for folds in range(int((wanted > 0).sum()), most + 1):
        shares = np.maximum(np.floor(wanted * folds + 1e-9), wanted > 0).astype(np.int64)
        while shares.sum() < folds:
            shares[np.argmax(wanted * folds - shares)] += 1
        error = np.abs(shares / shares.sum() - wanted).max()
        if shares.sum() == folds and error < smallest - 1e-9:
            best, smallest = shares, error
    return best
