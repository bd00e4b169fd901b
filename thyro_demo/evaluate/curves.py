"""Points of the ROC, precision–recall and calibration curves."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thyro_demo.evaluate import counts
from thyro_demo.evaluate.counts import FloatArray

CALIBRATION_BINS = 10


class RocPoints(NamedTuple):
    """Points of a ROC curve, from "nothing is positive" to "everything is positive".

    Attributes
    ----------
    false_positive_rate, true_positive_rate : (k,) float64, 0–1
        One point per distinct score, after the origin. NaN where the class is absent.
    thresholds : (k,) float64
        The score at and above which a row is positive; infinity at the origin.
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    thresholds: FloatArray


class PrPoints(NamedTuple):
    """Points of a precision–recall curve, by falling threshold.

    Attributes
    ----------
    recall, precision : (k,) float64, 0–1
        One point per distinct score, after the conventional start (0, 1).
    thresholds : (k,) float64
        The score at and above which a row is positive; infinity at the start.
    """

    recall: FloatArray
    precision: FloatArray
    thresholds: FloatArray


class CalibrationBins(NamedTuple):
    """Observed frequency beside mean score, in bins of equal width.

    Attributes
    ----------
    edges : (bins + 1,) float64, 0–1
        Bin i holds the scores in (edges[i], edges[i + 1]]; the first holds 0 as well.
    rows : (bins,) int64
        How many rows the bin holds.
    score, observed : (bins,) float64, 0–1
        Mean score, and fraction of positives; NaN in an empty bin.
    """

    edges: FloatArray
    rows: NDArray[np.int64]
    score: FloatArray
    observed: FloatArray


def roc_points(labels: ArrayLike, scores: ArrayLike) -> RocPoints:
    """Trace the ROC curve, one point per distinct score.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Higher means more positive.

    Returns
    -------
    RocPoints
        Rates and thresholds, starting at the origin.

    Raises
    ------
    DataError
        When labels and scores do not belong together.

    Examples
    --------
    >>> points = roc_points([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8])
    >>> points.false_positive_rate, points.true_positive_rate
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    """
    found, called, thresholds = counts.descent(labels, scores, None)
    false = called - found
    return RocPoints(
        counts.ratio(false, np.broadcast_to(false[-1], false.shape)),
        counts.ratio(found, np.broadcast_to(found[-1], found.shape)),
        thresholds,
    )


def pr_points(labels: ArrayLike, scores: ArrayLike) -> PrPoints:
    """Trace the precision–recall curve, one point per distinct score.

    Parameters
    ----------
    labels, scores : array_like
        As in `roc_points`.

    Returns
    -------
    PrPoints
        Recall, precision and thresholds, starting at (0, 1).

    Raises
    ------
    DataError
        When labels and scores do not belong together.

    Examples
    --------
    >>> points = pr_points([0, 1, 1], [0.1, 0.4, 0.8])
    >>> points.recall, points.precision.round(2)
    (array([0. , 0.5, 1. , 1. ]), array([1.  , 1.  , 1.  , 0.67]))
    """
    found, called, thresholds = counts.descent(labels, scores, None)
    recall = counts.ratio(found, np.broadcast_to(found[-1], found.shape))
    precision = counts.ratio(found, called)
    precision[0] = 1.0
    return PrPoints(recall, precision, thresholds)


def calibration_bins(
    labels: ArrayLike, scores: ArrayLike, bins: int = CALIBRATION_BINS
) -> CalibrationBins:
    """Collect mean score and observed frequency in bins of equal width.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float, 0–1
        Read as probabilities of the positive class.
    bins : int
        Number of bins.

    Returns
    -------
    CalibrationBins
        Edges, counts, mean scores and observed frequencies.

    Raises
    ------
    DataError
        When labels and scores do not belong together, or a score is outside 0–1.

    Examples
    --------
    >>> found = calibration_bins([0, 1, 1], [0.25, 0.25, 0.75], bins=2)
    >>> found.rows, found.score, found.observed
    (array([2, 1]), array([0.25, 0.75]), array([0.5, 1. ]))
    """
    y, p, _ = counts.checked(labels, scores, None, probabilities=True)
    edges, where = equal_bins(p, bins)
    count = np.bincount(where, minlength=bins)
    return CalibrationBins(
        edges=edges,
        rows=count,
        score=counts.ratio(np.bincount(where, weights=p, minlength=bins), count),
        observed=counts.ratio(np.bincount(where, weights=y, minlength=bins), count),
    )


def sensitivity_at(
    labels: ArrayLike,
    scores: ArrayLike,
    false_positive_rates: ArrayLike,
    weights: ArrayLike | None = None,
) -> FloatArray:
    """Interpolate the ROC curve linearly at false positive rates: (k,), or (r, k) with weights."""
    # Where the curve rises, the upper end of the rise.
    found, called, _ = counts.descent(labels, scores, weights)
    false = called - found
    tpr = np.atleast_2d(counts.ratio(found, np.broadcast_to(found[..., -1:], found.shape)))
    fpr = np.atleast_2d(counts.ratio(false, np.broadcast_to(false[..., -1:], false.shape)))
    rates = np.asarray(false_positive_rates, dtype=np.float64)
    read = np.full((len(tpr), rates.size), np.nan)
    for row in np.flatnonzero(~np.isnan(tpr[:, -1] + fpr[:, -1])):
        read[row] = np.interp(rates, fpr[row], tpr[row])
    return read.reshape((*found.shape[:-1], rates.size))


def equal_bins(scores: FloatArray, bins: int) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the edges of bins of equal width over 0–1, and the bin of each score."""
    edges = np.linspace(0, 1, bins + 1)
    return edges, np.searchsorted(edges[1:-1], scores, side="left")
