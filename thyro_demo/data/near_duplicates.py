"""Find the near duplicates of a set, and group them so that no split parts them."""

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from thyro_demo.data import images, scan_area
from thyro_demo.errors import ImageError

# Near duplicates: the scan area at 64×64, its cosine transform, and of that only signs,
# which neither gain nor recompression changes. The 8×8 lowest frequencies are the hash,
# which proposes; the 960 above them up to 32 are the detail, which decides. Measured: 37
# pairs in the P1 set, all of one group; 16 in DDTI; 208 in BUSI, neighbouring frames of
# one lesion among them; none in mini-MIAS; 2 in 8.5 million pairs of radiographs, both
# real. The hash alone would join nearly 20,000 of these: one outline, other patients. The
# agreement of pairs that are no copies stays below 0.4 (mammograms and chests come closest).
_SIDE, _HASH_SIDE, _DETAIL_SIDE = 64, 8, 32
MAX_DISTANCE = 10
"""Largest Hamming distance of two hashes, in bits of 64, that may be near duplicates."""
MIN_AGREEMENT = 0.4
"""Least agreement of two details (−1 to 1, 0 by chance) that makes them near duplicates."""

# From so many images on, hashing takes long enough to show progress.
_SHOW_PROGRESS_FROM = 200
_NAMED = 3  # unreadable images that are named; the count is of all
_BLOCK = 2048  # images compared with all others at a time: 2048 × 60,000 distances


def perceptual_hash(image: np.ndarray) -> np.uint64:
    """Hash what an image looks like: near duplicates differ in few bits.

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

    Examples
    --------
    >>> from thyro_demo.data import phantom
    >>> frame = phantom.example("Spongiform").rgb
    >>> brighter = np.round(np.minimum(frame * 1.1, 255)).astype(np.uint8)
    >>> differ = int(perceptual_hash(frame)) ^ int(perceptual_hash(brighter))
    >>> differ.bit_count() <= MAX_DISTANCE
    True
    """
    return _signature(image)[0]


def clusters(records: pd.DataFrame) -> np.ndarray:
    """Cluster the near duplicates of a table: same frame, perhaps another size or text.

    Parameters
    ----------
    records : DataFrame
        Record table.

    Returns
    -------
    ndarray
        int64 (n,), the cluster of each image; images with the same number are linked by
        a chain of near duplicates. An image without one is alone in its cluster.

    Raises
    ------
    ImageError
        If an image cannot be decoded.
    """
    return _clusters(*_signatures(records))


def group(records: pd.DataFrame) -> pd.DataFrame:
    """Fill missing groups from near duplicates, and merge groups that share one.

    Parameters
    ----------
    records : DataFrame
        Record table.

    Returns
    -------
    DataFrame
        Copy of `records` without a missing group. A group made here is named after the
        hash of its first image (``near-…``), so it has the same name on every host;
        merged groups are joined by ``+``.

    Raises
    ------
    ImageError
        If an image cannot be decoded.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thyro_demo.data import phantom
    >>> frame = Image.fromarray(phantom.example("Spongiform").frame)
    >>> with TemporaryDirectory() as folder:
    ...     paths = [f"{folder}/frame.png", f"{folder}/again.jpg"]
    ...     for path in paths:
    ...         frame.save(path)
    ...     grouped = group(pd.DataFrame({"path": paths, "group": ["Ann", None]}))
    >>> grouped["group"].tolist()
    ['Ann', 'Ann']
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


def _signature(image: np.ndarray) -> tuple[np.uint64, np.ndarray]:
    """Compute hash (64 bits) and detail (int8 (960,), −1 or 1) of an image."""
    scan = scan_area.crop(image, scan_area.find(image))
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
    """Return the number of the chain of near duplicates of each image, int64 (n,)."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8)).reshape(-1, 64)
    signs = 2 * bits.astype(np.float32) - 1
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(signs), _BLOCK):
        # Of ±1 vectors the product is 64 less twice the Hamming distance.
        products = signs[start : start + _BLOCK] @ signs[start:].T
        first, second = np.nonzero(products >= 64 - 2 * MAX_DISTANCE)
        first, second = first[first < second] + start, second[first < second] + start
        for pairs in np.array_split(np.arange(len(first)), len(first) // _BLOCK + 1):
            a, b = details[first[pairs]], details[second[pairs]]
            near = (a == b).mean(1) * 2 - 1 >= MIN_AGREEMENT
            firsts.append(first[pairs][near])
            seconds.append(second[pairs][near])
    return _components(np.concatenate(firsts), np.concatenate(seconds), len(hashes))


def _components(starts: np.ndarray, ends: np.ndarray, nodes: int) -> np.ndarray:
    """Return the number of the component of each node of a graph, int64 (nodes,)."""
    links = coo_array((np.ones(len(starts), bool), (starts, ends)), shape=(nodes, nodes))
    return connected_components(links, directed=False)[1].astype(np.int64)
