"""Split record tables so that nothing stands on two sides.

What must stay together is the group (patient, case). Where a set has none,
`group_near_duplicates` makes groups of near copies, found by a perceptual hash;
without either, a split is an explicit image-level choice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from tqdm import tqdm

from thyro_demo.data import images, preprocess
from thyro_demo.errors import DataError, ImageError, LeakError

PARTS = ("train", "validation", "test")

# `split` deals this many folds at most to its three parts: steps of five per cent.
_MOST_FOLDS = 20

# Near copies: the scan area at 64×64, its cosine transform, and of that only signs,
# which neither gain nor recompression changes. The 8×8 lowest frequencies are the hash,
# which proposes; the 960 above them up to 32 are the detail, which decides. Measured: 37
# pairs in the P1 set, all of one group; 16 in DDTI; 208 in BUSI, neighbouring frames of
# one lesion among them; none in mini-MIAS; 2 in 8.5 million pairs of radiographs, both
# real. The hash alone would join nearly 20,000 of these: one outline, other patients. The
# agreement of pairs that are no copies stays below 0.4 (mammograms and chests come closest).
_SIDE, _HASH_SIDE, _DETAIL_SIDE = 64, 8, 32
NEAR_DISTANCE = 10
"""Largest Hamming distance of two hashes, in bits of 64, that may be near copies."""
NEAR_AGREEMENT = 0.4
"""Least agreement of two details (−1 to 1, 0 by chance) that makes them near copies."""

# From so many images on, hashing takes long enough to show progress.
_SHOW_PROGRESS_FROM = 200
_NAMED = 3  # unreadable images that are named; the count says how many there are
_BLOCK = 2048  # images compared with all others at a time: 2048 × 60,000 distances


def perceptual_hash(image: np.ndarray) -> np.uint64:
    """Hash what an image looks like: near copies differ in few bits.

    Parameters
    ----------
    image : ndarray
        uint8 (H, W, 3), 0–255.

    Returns
    -------
    uint64
        One bit per low frequency of the scan area's cosine transform.

    References
    ----------
    Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010,
    section 3.2. We hash the scan area, not the frame, for scanners share their frames.
    """
    return _signature(image)[0]


def near_duplicates(records: pd.DataFrame) -> np.ndarray:
    """Cluster the near copies of a table: same frame, perhaps another size or text.

    Parameters
    ----------
    records : DataFrame
        Record table.

    Returns
    -------
    ndarray
        int64 (n,), the cluster of each image; images with the same number are linked by
        a chain of near copies. An image without one is alone in its cluster.

    Raises
    ------
    ImageError
        If an image cannot be decoded.
    """
    return _clusters(*_signatures(records))


def group_near_duplicates(records: pd.DataFrame) -> pd.DataFrame:
    """Fill missing groups from near copies, and merge groups that share one.

    Parameters
    ----------
    records : DataFrame
        Record table.

    Returns
    -------
    DataFrame
        Copy of `records` without a missing group. A group made here is named after the
        hash of its first image (``near-…``), so it has the same name on every machine;
        merged groups are joined by ``+``.

    Raises
    ------
    ImageError
        If an image cannot be decoded.
    """
    hashes, details = _signatures(records)
    codes, known = pd.factorize(records["group"])
    clusters = _clusters(hashes, details)
    # Images are linked to their cluster and to their group, all of them nodes of one graph.
    n, grouped = len(records), np.flatnonzero(codes >= 0)
    ends = np.concatenate([n + clusters, 2 * n + codes[grouped]])
    starts = np.concatenate([np.arange(n), grouped])
    joined = _components(starts, ends, 2 * n + len(known))[:n]
    names = {}
    for component, members in pd.Series(np.arange(n)).groupby(joined):
        old = sorted(set(records["group"].iloc[members].dropna()))
        names[component] = "+".join(old) or f"near-{hashes[members.iloc[0]]:016x}"
    return records.assign(group=[names[component] for component in joined])


def crossing(keys: Sequence[object] | np.ndarray | pd.Series, sides: pd.Series) -> list[np.ndarray]:
    """Find what stands on more than one side of a split.

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
    """
    table = pd.DataFrame({"key": np.asarray(keys), "side": np.asarray(sides)}).dropna()
    several = table.groupby("key", sort=False)["side"].transform("nunique") > 1
    return [members.index.to_numpy() for _, members in table[several].groupby("key", sort=False)]


def check(records: pd.DataFrame, column: str, hashes: bool = True) -> None:
    """Refuse a split in which a group, or a near copy, stands on two sides.

    Parameters
    ----------
    records : DataFrame
        Record table.
    column : str
        Column that tells the sides: ``split``, ``fold``, ``published_split``.
    hashes : bool
        Look for near copies as well, which decodes every image.

    Raises
    ------
    DataError
        If there is no such column.
    LeakError
        If a group or a near copy stands on two sides.
    """
    if column not in records.columns:
        raise DataError(
            f"A check needs the column that tells the sides of a split. Received: {column}, not "
            f"one of {', '.join(map(str, records.columns))}"
        )
    if leaks := crossing(records["group"], records[column]):
        raise LeakError(
            "A group stands on one side of a split. Received: group "
            f"{records['group'].iloc[leaks[0][0]]} with {_one_per_side(records, column, leaks[0])}"
            f", one of {len(leaks)} such groups"
        )
    if hashes and (leaks := crossing(near_duplicates(records), records[column])):
        raise LeakError(
            "Near copies of an image stand on one side of a split. Received: "
            f"{_one_per_side(records, column, leaks[0])}, one of {len(leaks)} such sets of copies"
        )


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
        If a group is missing and `image_level` is False, a label is missing, a label has
        fewer groups than there are folds, or the seed is out of range.
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
        `image_level` is False, a label is missing, a label has fewer groups than
        there are parts, or the seed is out of range.
    """
    wanted = np.asarray(fractions, np.float64)
    # Said so that NaN, which compares false with everything, is refused.
    if wanted.shape != (3,) or not ((wanted >= 0).all() and abs(wanted.sum() - 1) < 1e-6):
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
    if not 0 <= seed < 2**32:
        raise DataError(f"A seed is a number from 0 to {2**32 - 1}. Received: {seed}")
    strata = _strata(records, folds)
    dealt = np.empty(len(records), np.int64)
    for fold, (_, held_out) in enumerate(grouped_folds(strata, groups, folds, seed)):
        dealt[held_out] = fold
    return dealt


def grouped_folds(
    strata: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Deal rows to stratified folds that keep groups whole.

    Parameters
    ----------
    strata : ndarray (n,)
        What the folds should hold in like proportions, such as labels.
    groups : ndarray (n,)
        Group of each row.
    folds : int
        Number of folds.
    seed : int
        Of the order in which groups are dealt.

    Returns
    -------
    list of (ndarray of int, ndarray of int)
        Rows outside and inside of each fold.
    """
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if codes.max() + 1 == len(codes):
        # Says the same where every image stands alone, hundreds of times faster.
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


def _signature(image: np.ndarray) -> tuple[np.uint64, np.ndarray]:
    """Compute hash (64 bits) and detail (int8 (960,), −1 or 1) of an image."""
    scan = preprocess.crop(image, preprocess.scan_area(image))
    small = Image.fromarray(scan).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    waves = dctn(np.asarray(small, np.float32), norm="ortho")[:_DETAIL_SIDE, :_DETAIL_SIDE]
    low = waves[:_HASH_SIDE, :_HASH_SIDE].ravel()
    # The first is the mean grey, no feature; it would drag the median.
    bits = low > np.median(low[1:])
    high = np.ones(waves.shape, bool)
    high[:_HASH_SIDE, :_HASH_SIDE] = False
    detail = np.where(waves[high] > 0, 1, -1).astype(np.int8)
    return np.packbits(bits).view(">u8")[0].astype(np.uint64), detail


def _signatures(records: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Compute hashes, uint64 (n,), and details, int8 (n, 960), of a table."""
    hashes = np.empty(len(records), np.uint64)
    details = np.empty((len(records), _DETAIL_SIDE**2 - _HASH_SIDE**2), np.int8)
    bar = tqdm(
        records["path"],
        desc="comparing images",
        unit="image",
        disable=len(records) < _SHOW_PROGRESS_FROM,
        leave=False,
    )
    bad = []
    for row, path in enumerate(bar):
        try:
            hashes[row], details[row] = _signature(images.decode(path))
        except ImageError as error:
            bad.append((str(path), error))
    if len(bad) > 1:
        names = ", ".join(path for path, _ in bad[:_NAMED]) + ", …" * (len(bad) > _NAMED)
        raise ImageError(
            "Every image of a set must be one that can be read; mend or remove the others. "
            f"Received: {len(bad)} that cannot: {names}."
        )
    if bad:
        raise bad[0][1]
    return hashes, details


def _clusters(hashes: np.ndarray, details: np.ndarray) -> np.ndarray:
    """Give each image the number of its chain of near copies, int64 (n,)."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8)).reshape(-1, 64)
    signs = 2 * bits.astype(np.float32) - 1
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(signs), _BLOCK):
        # Of ±1 vectors the product is 64 less twice the Hamming distance.
        products = signs[start : start + _BLOCK] @ signs[start:].T
        first, second = np.nonzero(products >= 64 - 2 * NEAR_DISTANCE)
        first, second = first[first < second] + start, second[first < second] + start
        for pairs in np.array_split(np.arange(len(first)), len(first) // _BLOCK + 1):
            a, b = details[first[pairs]], details[second[pairs]]
            near = (a == b).mean(1) * 2 - 1 >= NEAR_AGREEMENT
            firsts.append(first[pairs][near])
            seconds.append(second[pairs][near])
    return _components(np.concatenate(firsts), np.concatenate(seconds), len(hashes))


def _components(starts: np.ndarray, ends: np.ndarray, nodes: int) -> np.ndarray:
    """Give each node of a graph the number of its component, int64 (nodes,)."""
    links = coo_array((np.ones(len(starts), bool), (starts, ends)), shape=(nodes, nodes))
    return connected_components(links, directed=False)[1].astype(np.int64)
