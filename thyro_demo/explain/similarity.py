"""How alike two heatmaps are, and how alike two networks describe the same frames."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from thyro_demo.errors import DataError

_FEWEST = 4  # frames; with fewer, the unbiased estimate divides by 0


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compare the order of the cells of two maps, from cold to hot (Spearman).

    Parameters
    ----------
    first, second : ndarray of float, of one shape
        Heatmaps.

    Returns
    -------
    float
        −1 to 1: 1 for the same order of cells, about 0 for unrelated maps. 0 where a map is
        flat: it orders nothing.

    Examples
    --------
    >>> round(rank_correlation(np.array([0.1, 0.2, 0.9]), np.array([0.1, 0.8, 0.9])), 2)
    1.0
    """
    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return 0.0
    ranks = rankdata(first.ravel()), rankdata(second.ravel())
    return float(np.corrcoef(*ranks)[0, 1])


def correlation(first: np.ndarray, second: np.ndarray) -> NDArray[np.float64]:
    """Correlate two heatmaps of each frame, cell by cell (Pearson).

    Parameters
    ----------
    first, second : ndarray of float, shape (m, h, w)
        Heatmaps of the same frames.

    Returns
    -------
    ndarray of float64, shape (m,)
        −1 to 1; NaN where a map is flat.

    Examples
    --------
    >>> heatmap = np.array([[[0.0, 0.5], [0.5, 1.0]]])
    >>> correlation(heatmap, 1 - heatmap).round(2)
    array([-1.])
    """
    rows = [
        each.reshape(len(each), -1) - each.mean(axis=(1, 2))[:, None] for each in (first, second)
    ]
    lengths = np.prod([np.linalg.norm(each, axis=1) for each in rows], axis=0)
    shared = np.einsum("ij,ij->i", *rows)
    return np.divide(shared, lengths, out=np.full(len(shared), np.nan), where=lengths > 0)


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Measure how alike two representations of the same frames are.

    Centred kernel alignment asks whether frames that are alike for one network are alike for the
    other. It does not depend on which channel holds what, nor on how large the numbers are.

    Parameters
    ----------
    first, second : ndarray of float, shape (n, …)
        Outputs of two networks, or of two stages of one, for the same frames; n at least 4.

    Returns
    -------
    float
        1 for the same up to rotation and scale, about 0 (or below) for unrelated ones; NaN where
        one of them is the same for every frame.

    Raises
    ------
    DataError
        If the numbers of frames differ, or there are fewer than 4.

    References
    ----------
    Kornblith et al., "Similarity of neural network representations revisited", ICML 2019,
    section 3, with a linear kernel. We depart from it in one point: with few frames and many
    numbers for each, its estimate calls even unrelated representations alike, so we take the
    unbiased one, as Nguyen, Raghu and Kornblith, "Do wide and deep networks learn the same
    things?", ICLR 2021, section 3, equation 3.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(size=(8, 3))
    >>> round(cka(features, 2 * features[:, ::-1]), 2)
    1.0
    """
    if len(first) != len(second) or len(first) < _FEWEST:
        raise DataError(
            f"Two representations must be of the same frames, {_FEWEST} or more. "
            f"Received: {len(first)} and {len(second)} frames."
        )
    grams = [_gram(each) for each in (first, second)]
    both, one, other = (_alignment(a, b) for a, b in (grams, grams[:1] * 2, grams[1:] * 2))
    return both / math.sqrt(one * other) if one > 0 and other > 0 else math.nan


def _gram(features: np.ndarray) -> NDArray[np.float64]:
    """Compute inner products of all pairs of frames, (n, n), those with themselves 0."""
    rows = features.reshape(len(features), -1).astype(np.float64)
    # Centring changes no estimate, and keeps large averages from eating up the digits.
    rows -= rows.mean(axis=0)
    gram = rows @ rows.T
    np.fill_diagonal(gram, 0.0)
    return gram


def _alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Estimate the Hilbert–Schmidt independence criterion without bias (Song et al. 2012)."""
    n = len(first)
    shared = np.sum(first * second)
    sums = first.sum() * second.sum() / ((n - 1) * (n - 2))
    crossed = 2.0 / (n - 2) * np.sum(first.sum(axis=0) * second.sum(axis=0))
    return float(shared + sums - crossed) / (n * (n - 3))
