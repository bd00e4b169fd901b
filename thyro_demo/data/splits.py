"""Split record tables so that nothing is on two sides.

What must stay together is the group (patient, case). Where a set has none,
`near_duplicates.group` makes groups of near duplicates, found by a perceptual hash;
without either, a split is an explicit image-level choice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from thyro_demo.data import near_duplicates
from thyro_demo.errors import DataError, LeakError

PARTS = ("train", "validation", "test")

# `split` assigns this many folds at most to its three parts: steps of five per cent.
_MOST_FOLDS = 20


def crossing(keys: Sequence[object] | np.ndarray | pd.Series, sides: pd.Series) -> list[np.ndarray]:
    """Find what is on more than one side of a split.

    Parameters
    ----------
    keys : sequence of length n
        What must stay together: a group or a cluster per image; missing ones are free.
    sides : Series of length n
        The part or fold of each image; images without one are left out.

    Returns
    -------
    list of ndarray
        For each key on two or more sides, int64 positions of its images.

    Examples
    --------
    >>> crossing(["Ann", "Ann", "Bob"], pd.Series(["train", "test", "test"]))
    [array([0, 1])]
    """
    table = pd.DataFrame({"key": np.asarray(keys), "side": np.asarray(sides)}).dropna()
    several = table.groupby("key", sort=False)["side"].transform("nunique") > 1
    return [members.index.to_numpy() for _, members in table[several].groupby("key", sort=False)]


def check(records: pd.DataFrame, column: str, hashes: bool = True) -> None:
    """Refuse a split in which a group, or a near duplicate, is on two sides.

    Parameters
    ----------
    records : DataFrame
        Record table.
    column : str
        Column that names the sides: ``split``, ``fold``, ``published_split``.
    hashes : bool
        Look for near duplicates as well, which decodes every image.

    Raises
    ------
    DataError
        If there is no such column.
    LeakError
        If a group or a near duplicate is on two sides.

    Examples
    --------
    >>> records = pd.DataFrame({"path": ["a.png", "b.png"], "group": "Ann", "fold": [0, 1]})
    >>> check(records, "fold", hashes=False)
    Traceback (most recent call last):
        ...
    thyro_demo.errors.LeakError: A group must be on one side of a split. Received: group Ann ...
    """
    if column not in records.columns:
        raise DataError(
            f"A table must have the column that names the sides of a split. Received: "
            f"column={column}, not one of {', '.join(map(str, records.columns))}."
        )
    if leaks := crossing(records["group"], records[column]):
        raise LeakError(
            "A group must be on one side of a split. Received: group "
            f"{records['group'].iloc[leaks[0][0]]} with {_one_per_side(records, column, leaks[0])}"
            f", one of {len(leaks)} such groups."
        )
    if hashes and (leaks := crossing(near_duplicates.clusters(records), records[column])):
        raise LeakError(
            "Near duplicates must be on one side of a split. Received: "
            f"{_one_per_side(records, column, leaks[0])}, one of {len(leaks)} such sets."
        )


def kfold(
    records: pd.DataFrame, folds: int = 5, seed: int = 0, image_level: bool = False
) -> pd.DataFrame:
    """Assign the groups of a table to folds of like size, label and source.

    Parameters
    ----------
    records : DataFrame
        Record table.
    folds : int
        Number of folds, 2 or more.
    seed : int
        Seed of the shuffle; the same seed returns the same folds.
    image_level : bool
        Let every image without a group be a group of its own. Results then are per image,
        and images of one patient may be on two sides.

    Returns
    -------
    DataFrame
        Copy of `records` with the column `fold`, int64, 0 to `folds` − 1.

    Raises
    ------
    DataError
        If a group is missing and `image_level` is False, a label is missing, a label has
        fewer groups than there are folds, or the seed is out of range.

    Examples
    --------
    >>> records = pd.DataFrame(
    ...     {"path": list("abcdefgh"), "label": ["benign", "malignant"] * 4, "source": "clinic"}
    ... ).assign(group=list("12123434"))
    >>> kfold(records, folds=2).groupby("group")["fold"].nunique().tolist()
    [1, 1, 1, 1]
    """
    if folds < 2:
        raise DataError(f"A cross-validation must have two or more folds. Received: folds={folds}.")
    groups = _groups(records, image_level)
    scarce = _scarcest(records["label"], groups)
    if scarce.iloc[0] < folds:
        raise DataError(
            f"Each label must have at least one group per fold, {folds} in all. Received: "
            f"{scarce.iloc[0]} of label {scarce.index[0]}."
        )
    return records.assign(fold=_assign_folds(records, groups, folds, seed))


def split(
    records: pd.DataFrame,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    image_level: bool = False,
) -> pd.DataFrame:
    """Assign the groups of a table to training, validation and test.

    Parameters
    ----------
    records : DataFrame
        Record table.
    fractions : sequence of three floats
        Share of the images in each part, adding up to 1; 0 leaves a part empty. They
        are met to the nearest twentieth, coarser where a label has few groups.
    seed : int
        Seed of the shuffle; the same seed returns the same parts.
    image_level : bool
        Let every image without a group be a group of its own (see `kfold`).

    Returns
    -------
    DataFrame
        Copy of `records` with the column `split`, one of `PARTS`.

    Raises
    ------
    DataError
        If the fractions are no shares of a whole, a group is missing and
        `image_level` is False, a label is missing, a label has fewer groups than
        there are parts, or the seed is out of range.

    Examples
    --------
    >>> records = pd.DataFrame(
    ...     {"path": list("abcdefgh"), "label": ["benign", "malignant"] * 4, "source": "clinic"}
    ... ).assign(group=list("12123434"))
    >>> parts = split(records, (0.5, 0.0, 0.5))
    >>> parts.groupby("split")["group"].nunique().to_dict()
    {'test': 2, 'train': 2}
    """
    wanted = np.asarray(fractions, np.float64)
    # Written so that NaN, which compares false with everything, is refused.
    if wanted.shape != (3,) or not ((wanted >= 0).all() and abs(wanted.sum() - 1) < 1e-6):
        raise DataError(
            "Fractions must be three shares, of training, validation and test, that add up to 1. "
            f"Received: fractions={tuple(fractions)}."
        )
    groups = _groups(records, image_level)
    scarce = _scarcest(records["label"], groups)
    parts = int((wanted > 0).sum())
    if scarce.iloc[0] < parts:
        raise DataError(
            f"Each label must have at least one group per part, {parts} in all. Received: "
            f"{scarce.iloc[0]} of label {scarce.index[0]}."
        )
    if parts == 1:
        return records.assign(split=PARTS[int(wanted.argmax())])
    shares = _shares(wanted, most=min(_MOST_FOLDS, int(scarce.iloc[0])))
    names = np.repeat(np.array(PARTS, dtype=object), shares)
    return records.assign(split=names[_assign_folds(records, groups, len(names), seed)])


def _groups(records: pd.DataFrame, image_level: bool) -> np.ndarray:
    """Return the number of the group of each image, int64 (n,); if wanted, one of its own."""
    if records["label"].isna().any():
        raise DataError(
            "Every image of a split must have a label. Received: none for "
            f"{records['path'][records['label'].isna()].iloc[0]}."
        )
    codes, known = pd.factorize(records["group"])
    alone = codes < 0
    if alone.any() and not image_level:
        raise DataError(
            "Every image of a split must have a group (patient, case): group near duplicates "
            "first, or choose an image-level split explicitly. Received: "
            f"{alone.sum()} of {len(records)} images without a group."
        )
    codes[alone] = len(known) + np.arange(alone.sum())
    return codes


def _scarcest(labels: pd.Series, groups: np.ndarray) -> pd.Series:
    """Count the groups of each label, the scarcest first."""
    if labels.empty:
        raise DataError("A split must have at least one image. Received: an empty table.")
    counts = pd.Series(groups, index=labels.index).groupby(labels).nunique()
    return counts.sort_values(kind="stable")


def _strata(records: pd.DataFrame, folds: int) -> np.ndarray:
    """Return the number of the label × source of each image, int64 (n,), rare ones merged."""
    strata = records["label"].astype(str) + "\x1f" + records["source"].fillna("").astype(str)
    rare = strata.map(strata.value_counts()) < folds
    strata = strata.mask(rare, records["label"].astype(str))
    still_rare = strata.map(strata.value_counts()) < folds
    # What is left over of a label joins its largest stratum.
    largest = strata.groupby(records["label"]).transform(lambda s: s.value_counts().index[0])
    return pd.factorize(strata.mask(still_rare, largest))[0]


def _assign_folds(records: pd.DataFrame, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Assign each image its fold, int64 (n,)."""
    if not 0 <= seed < 2**32:
        raise DataError(f"A seed must be a number from 0 to {2**32 - 1}. Received: seed={seed}.")
    strata = _strata(records, folds)
    assigned = np.empty(len(records), np.int64)
    for fold, (_, held_out) in enumerate(grouped_folds(strata, groups, folds, seed)):
        assigned[held_out] = fold
    return assigned


def grouped_folds(
    strata: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Assign rows to stratified folds that keep groups whole.

    Parameters
    ----------
    strata : ndarray (n,)
        What the folds should hold in like proportions, such as labels.
    groups : ndarray (n,)
        Group of each row.
    folds : int
        Number of folds.
    seed : int
        Of the order in which groups are assigned.

    Returns
    -------
    list of (ndarray of int, ndarray of int)
        Rows outside and inside of each fold.

    Examples
    --------
    >>> labels, patients = np.array([0, 0, 1, 1, 0, 1]), np.array([1, 1, 2, 2, 3, 4])
    >>> [set(patients[outside]) & set(patients[inside])
    ...  for outside, inside in grouped_folds(labels, patients, folds=2, seed=0)]
    [set(), set()]
    """
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if codes.max() + 1 == len(codes):
        # Splits the same where every image is its own group, hundreds of times faster.
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        return list(splitter.split(strata, strata))
    # The order of groups is shuffled here: `shuffle=True` of scikit-learn before 1.8 mixes up
    # which group has which labels, and folds would differ from version to version.
    order = np.random.default_rng(seed).permutation(codes.max() + 1)
    return list(StratifiedGroupKFold(folds).split(strata, strata, order[codes]))


def _shares(wanted: np.ndarray, most: int) -> np.ndarray:
    """Choose how many of at most `most` equal folds each part gets, int64 (3,)."""
    best, smallest = np.zeros(3, np.int64), np.inf
    for folds in range(int((wanted > 0).sum()), most + 1):
        shares = (wanted > 0).astype(np.int64)
        while shares.sum() < folds:
            shares[np.argmax(wanted * folds - shares)] += 1
        error = np.abs(shares / folds - wanted).max()
        if error < smallest - 1e-9:
            best, smallest = shares, error
    return best


def _one_per_side(records: pd.DataFrame, column: str, members: np.ndarray) -> str:
    """Name one image on each side, for an error."""
    firsts = records.iloc[members].drop_duplicates(column)
    return " and ".join(
        f"{path} in {side}" for path, side in zip(firsts["path"], firsts[column], strict=True)
    )
