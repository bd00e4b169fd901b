"""Figures of merit of a two-class score.

Every figure takes an optional `weights` array. One row of weights per resample lets
`intervals` compute a figure over two thousand resamples in one call, with the same
lines of code that compute the figure itself.

A figure that the labels leave undefined (the AUROC of one class alone, the sensitivity
without a positive) is NaN, without a warning.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thyro_demo.evaluate import counts
from thyro_demo.evaluate.curves import CALIBRATION_BINS, equal_bins

# A float; an array (r,) where `weights` has the shape (r, n).
Figure = Any


def mean(labels: ArrayLike, values: ArrayLike, weights: ArrayLike | None = None) -> Figure:
    """Average, in the form that the bootstrap asks for.

    Parameters
    ----------
    labels : (n,)
        What every statistic is handed; a mean has no use for them.
    values : (n,) float
        What to average.
    weights : (r, n) float, optional
        How often each row was drawn, for r resamples at once.

    Returns
    -------
    float, or ndarray of float64, shape (r,)
        The mean of each resample; NaN without a row.

    Raises
    ------
    DataError
        When labels, values and weights do not belong together.
    """
    rows = np.asarray(values, np.float64)
    times = counts.row_weights(np.asarray(labels), rows, weights)
    return counts.ratio(times @ rows, times.sum(axis=-1))


def auroc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Figure:
    """Compute the area under the ROC curve as the Mann–Whitney statistic.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Higher means more positive. A tie between two classes counts one half.
    weights : (n,) or (r, n) float, optional
        How often each row counts; by default once.

    Returns
    -------
    float or (r,) float64
        0–1; NaN with one class.

    Raises
    ------
    DataError
        When labels, scores and weights do not belong together.

    References
    ----------
    Hanley and McNeil, Radiology 143:29–36 (1982), section "The meaning of the area".

    Examples
    --------
    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    positive, negative, _ = counts.by_score(labels, scores, weights)
    wins = np.sum(positive * (np.cumsum(negative, axis=-1) - negative / 2), axis=-1)
    return counts.ratio(wins, positive.sum(axis=-1) * negative.sum(axis=-1))


def average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> Figure:
    """Compute the area under the precision–recall steps, without interpolation.

    Parameters
    ----------
    labels, scores, weights : array_like
        As in `auroc`.

    Returns
    -------
    float or (r,) float64
        0–1; NaN with one class (scikit-learn returns 0 or 1, which is no measure of a ranking).

    Raises
    ------
    DataError
        When labels, scores and weights do not belong together.

    Examples
    --------
    >>> round(float(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])), 3)
    0.833
    """
    positive, negative, _ = counts.by_score(labels, scores, weights)
    positive, negative = positive[..., ::-1], negative[..., ::-1]
    found = np.cumsum(positive, axis=-1)
    called = found + np.cumsum(negative, axis=-1)
    # Above the highest score that was drawn, a resample has called nothing yet.
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    both = negative.sum(axis=-1) > 0
    return counts.ratio(np.sum(positive * precision, axis=-1), positive.sum(axis=-1) * both)


def confusion(labels: ArrayLike, scores: ArrayLike, threshold: float) -> dict[str, int]:
    """Count the four outcomes at a threshold.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Positive when at or above the threshold.
    threshold : float
        The operating point.

    Returns
    -------
    dict of str to int
        ``tp``, ``fp``, ``tn`` and ``fn``.

    Raises
    ------
    DataError
        When labels and scores do not belong together, or the threshold is NaN.

    Examples
    --------
    >>> confusion([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8], threshold=0.5)
    {'tp': 1, 'fp': 1, 'tn': 1, 'fn': 1}
    """
    found = counts.outcomes(labels, scores, threshold, None)
    return {name: int(count) for name, count in zip(counts.OUTCOMES, found, strict=True)}


def accuracy(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Figure:
    """Compute the fraction of rows on the right side of the threshold.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Positive when at or above the threshold.
    threshold : float
        The operating point.
    weights : (n,) or (r, n) float, optional
        How often each row counts; by default once.

    Returns
    -------
    float or (r,) float64
        0–1; NaN without rows.

    Raises
    ------
    DataError
        When the arrays do not belong together, or the threshold is NaN.

    Examples
    --------
    >>> accuracy([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.8], threshold=0.5)
    0.75
    """
    tp, fp, tn, fn = counts.outcomes(labels, scores, threshold, weights)
    return counts.ratio(tp + tn, tp + fp + tn + fn)


def sensitivity(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Figure:
    """Compute the fraction of positives at or above the threshold.

    Parameters
    ----------
    labels, scores, threshold, weights : array_like or float
        As in `accuracy`.

    Returns
    -------
    float or (r,) float64
        0–1; NaN without a positive.

    Raises
    ------
    DataError
        When the arrays do not belong together, or the threshold is NaN.

    Examples
    --------
    >>> sensitivity([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.8], threshold=0.5)
    0.5
    """
    tp, _, _, fn = counts.outcomes(labels, scores, threshold, weights)
    return counts.ratio(tp, tp + fn)


def specificity(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Figure:
    """Compute the fraction of negatives below the threshold.

    Parameters
    ----------
    labels, scores, threshold, weights : array_like or float
        As in `accuracy`.

    Returns
    -------
    float or (r,) float64
        0–1; NaN without a negative.

    Raises
    ------
    DataError
        When the arrays do not belong together, or the threshold is NaN.

    Examples
    --------
    >>> specificity([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.8], threshold=0.5)
    1.0
    """
    _, fp, tn, _ = counts.outcomes(labels, scores, threshold, weights)
    return counts.ratio(tn, tn + fp)


def f1(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Figure:
    """Compute the harmonic mean of precision and sensitivity.

    Parameters
    ----------
    labels, scores, threshold, weights : array_like or float
        As in `accuracy`.

    Returns
    -------
    float or (r,) float64
        0–1; NaN when no row is positive, neither by label nor by score.

    Raises
    ------
    DataError
        When the arrays do not belong together, or the threshold is NaN.

    Examples
    --------
    >>> round(float(f1([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.8], threshold=0.5)), 3)
    0.667
    """
    tp, fp, _, fn = counts.outcomes(labels, scores, threshold, weights)
    return counts.ratio(2 * tp, 2 * tp + fp + fn)


def brier(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Figure:
    """Compute the mean squared distance between score and label.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float, 0–1
        Read as probabilities of the positive class.
    weights : (n,) or (r, n) float, optional
        How often each row counts; by default once.

    Returns
    -------
    float or (r,) float64
        0–1, lower is better; NaN without rows.

    Raises
    ------
    DataError
        When the arrays do not belong together, or a score is outside 0–1.

    References
    ----------
    Brier, Monthly Weather Review 78:1–3 (1950), in the form for one of two classes (half
    of the sum over both).

    Examples
    --------
    >>> brier([0, 1], [0.5, 1.0])
    0.125
    """
    y, p, w = counts.checked(labels, scores, weights, probabilities=True)
    return counts.ratio(w @ (p - y) ** 2, w.sum(axis=-1))


def expected_calibration_error(
    labels: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    bins: int = CALIBRATION_BINS,
) -> Figure:
    """Compute the mean gap between score and observed frequency over bins of equal width.

    Parameters
    ----------
    labels, scores, weights : array_like
        As in `brier`.
    bins : int
        Number of bins.

    Returns
    -------
    float or (r,) float64
        0–1, lower is better; NaN without rows.

    Raises
    ------
    DataError
        When the arrays do not belong together, or a score is outside 0–1.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017, section 2. They bin
    the score of the class that was chosen; we bin the score of the positive class.

    Examples
    --------
    >>> round(float(expected_calibration_error([0, 1, 1, 1], [0.25, 0.25, 0.75, 0.75])), 3)
    0.25
    """
    y, p, w = counts.checked(labels, scores, weights, probabilities=True)
    _, where = equal_bins(p, bins)
    gaps = np.zeros((p.size, bins))
    gaps[np.arange(p.size), where] = y - p
    return counts.ratio(np.abs(w @ gaps).sum(axis=-1), w.sum(axis=-1))
