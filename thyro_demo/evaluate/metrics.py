"""Figures of merit of a two-class score, and the operating points chosen on it.

Every figure takes an optional `weights` array. One row of weights per resample lets
`intervals` compute a figure over two thousand resamples in one call, with the same
lines of code that compute the figure itself.

A figure that the labels leave undefined (the AUROC of one class alone, the sensitivity
without a positive) is NaN, without a warning.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thyro_demo.errors import DataError

FloatArray = NDArray[np.float64]
# A float; an array (r,) where `weights` has the shape (r, n).
Figure = Any

TARGET_SENSITIVITY = 0.95
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
    times = _weights(np.asarray(labels), rows, weights)
    return _ratio(times @ rows, times.sum(axis=-1))


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
    """
    positive, negative, _ = _weights_by_score(labels, scores, weights)
    wins = np.sum(positive * (np.cumsum(negative, axis=-1) - negative / 2), axis=-1)
    return _ratio(wins, positive.sum(axis=-1) * negative.sum(axis=-1))


def average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> Figure:
    """Compute the area under the precision–recall steps, without interpolation.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Higher means more positive.
    weights : (n,) or (r, n) float, optional
        How often each row counts; by default once.

    Returns
    -------
    float or (r,) float64
        0–1; NaN with one class (scikit-learn answers 0 or 1, which says nothing of a ranking).

    Raises
    ------
    DataError
        When labels, scores and weights do not belong together.
    """
    positive, negative, _ = _weights_by_score(labels, scores, weights)
    positive, negative = positive[..., ::-1], negative[..., ::-1]
    found = np.cumsum(positive, axis=-1)
    called = found + np.cumsum(negative, axis=-1)
    # Above the highest score that was drawn, a resample has called nothing yet.
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    both = negative.sum(axis=-1) > 0
    return _ratio(np.sum(positive * precision, axis=-1), positive.sum(axis=-1) * both)


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
    """
    counts = _outcomes(labels, scores, threshold, None)
    return {name: int(count) for name, count in zip(_OUTCOMES, counts, strict=True)}


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
    """
    tp, fp, tn, fn = _outcomes(labels, scores, threshold, weights)
    return _ratio(tp + tn, tp + fp + tn + fn)


def sensitivity(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Figure:
    """Compute the fraction of positives at or above the threshold.

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
        0–1; NaN without a positive.

    Raises
    ------
    DataError
        When the arrays do not belong together, or the threshold is NaN.
    """
    tp, _, _, fn = _outcomes(labels, scores, threshold, weights)
    return _ratio(tp, tp + fn)


def specificity(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Figure:
    """Compute the fraction of negatives below the threshold.

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
        0–1; NaN without a negative.

    Raises
    ------
    DataError
        When the arrays do not belong together, or the threshold is NaN.
    """
    _, fp, tn, _ = _outcomes(labels, scores, threshold, weights)
    return _ratio(tn, tn + fp)


def f1(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> Figure:
    """Compute the harmonic mean of precision and sensitivity.

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
        0–1; NaN when no row is positive, neither by label nor by score.

    Raises
    ------
    DataError
        When the arrays do not belong together, or the threshold is NaN.
    """
    tp, fp, _, fn = _outcomes(labels, scores, threshold, weights)
    return _ratio(2 * tp, 2 * tp + fp + fn)


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
    """
    y, p, w = _checked(labels, scores, weights, probabilities=True)
    return _ratio(w @ (p - y) ** 2, w.sum(axis=-1))


def expected_calibration_error(
    labels: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None = None,
    bins: int = CALIBRATION_BINS,
) -> Figure:
    """Compute the mean gap between score and observed frequency over bins of equal width.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float, 0–1
        Read as probabilities of the positive class.
    weights : (n,) or (r, n) float, optional
        How often each row counts; by default once.
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
    """
    y, p, w = _checked(labels, scores, weights, probabilities=True)
    _, where = _bins(p, bins)
    gaps = np.zeros((p.size, bins))
    gaps[np.arange(p.size), where] = y - p
    return _ratio(np.abs(w @ gaps).sum(axis=-1), w.sum(axis=-1))


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
    """
    y, p, _ = _checked(labels, scores, None, probabilities=True)
    edges, where = _bins(p, bins)
    count = np.bincount(where, minlength=bins)
    return CalibrationBins(
        edges=edges,
        rows=count,
        score=_ratio(np.bincount(where, weights=p, minlength=bins), count),
        observed=_ratio(np.bincount(where, weights=y, minlength=bins), count),
    )


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
    """
    found, called, thresholds = _descent(labels, scores, None)
    false = called - found
    return RocPoints(
        _ratio(false, np.broadcast_to(false[-1], false.shape)),
        _ratio(found, np.broadcast_to(found[-1], found.shape)),
        thresholds,
    )


def pr_points(labels: ArrayLike, scores: ArrayLike) -> PrPoints:
    """Trace the precision–recall curve, one point per distinct score.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Higher means more positive.

    Returns
    -------
    PrPoints
        Recall, precision and thresholds, starting at (0, 1).

    Raises
    ------
    DataError
        When labels and scores do not belong together.
    """
    found, called, thresholds = _descent(labels, scores, None)
    recall = _ratio(found, np.broadcast_to(found[-1], found.shape))
    precision = _ratio(found, called)
    precision[0] = 1.0
    return PrPoints(recall, precision, thresholds)


def sensitivity_at(
    labels: ArrayLike,
    scores: ArrayLike,
    false_positive_rates: ArrayLike,
    weights: ArrayLike | None = None,
) -> Figure:
    """Read the ROC curve at given false positive rates, linearly between its points.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Higher means more positive.
    false_positive_rates : (k,) float, 0–1
        Where to read the curve.
    weights : (n,) or (r, n) float, optional
        How often each row counts; by default once.

    Returns
    -------
    (k,) or (r, k) float64
        0–1; NaN with one class. Where the curve rises, the upper end of the rise.

    Raises
    ------
    DataError
        When labels, scores and weights do not belong together.
    """
    found, called, _ = _descent(labels, scores, weights)
    false = called - found
    tpr = np.atleast_2d(_ratio(found, np.broadcast_to(found[..., -1:], found.shape)))
    fpr = np.atleast_2d(_ratio(false, np.broadcast_to(false[..., -1:], false.shape)))
    rates = np.asarray(false_positive_rates, dtype=np.float64)
    read = np.full((len(tpr), rates.size), np.nan)
    for row in np.flatnonzero(~np.isnan(tpr[:, -1] + fpr[:, -1])):
        read[row] = np.interp(rates, fpr[row], tpr[row])
    return read.reshape((*found.shape[:-1], rates.size))


def youden_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """Choose the threshold with the largest sensitivity + specificity − 1.

    Choose it on validation data and freeze it before the test data are scored.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Positive when at or above the threshold.

    Returns
    -------
    float
        Midway between the lowest score called positive and the next below it, so that
        rounding moves no row across it; NaN with one class. Of equal choices, the one
        with the higher sensitivity.

    Raises
    ------
    DataError
        When labels and scores do not belong together.

    References
    ----------
    Youden, Cancer 3:32–35 (1950).
    """
    points = roc_points(labels, scores)
    index = points.true_positive_rate - points.false_positive_rate
    if np.isnan(index).any():
        return float("nan")
    # "Nothing is positive" (the first point) is no operating point; it ties with
    # "everything is positive" at an index of 0, never better. Rates that are equal on
    # paper differ by rounding, hence the tolerance.
    best = np.flatnonzero(index[1:] >= index[1:].max() - 1e-12)[-1] + 1
    at = points.thresholds[best]
    if best + 1 == index.size:
        return float(at)
    below = points.thresholds[best + 1]
    midway = below + (at - below) / 2
    # Between neighbouring floats there is no midway.
    return float(midway if midway > below else at)


def sensitivity_threshold(
    labels: ArrayLike, scores: ArrayLike, target: float = TARGET_SENSITIVITY
) -> float:
    """Choose the largest threshold whose sensitivity reaches a target.

    Choose it on validation data and freeze it before the test data are scored.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Positive when at or above the threshold.
    target : float
        The sensitivity to reach, above 0 and at most 1.

    Returns
    -------
    float
        The score of a positive; NaN without a positive.

    Raises
    ------
    DataError
        When labels and scores do not belong together, or the target is outside (0, 1].
    """
    if not 0 < target <= 1:
        raise DataError(
            f"A target sensitivity is above 0 and at most 1. Received: target={target!r}"
        )
    y, s, _ = _checked(labels, scores, None)
    found = np.sort(s[y])[::-1]
    if not found.size:
        return float("nan")
    reached = np.arange(1, found.size + 1) / found.size >= target
    return float(found[np.argmax(reached)])


_OUTCOMES = ("tp", "fp", "tn", "fn")


def _checked(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None, probabilities: bool = False
) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
    y = np.asarray(labels)
    s = np.asarray(scores, dtype=np.float64)
    w = _weights(y, s, weights)
    if y.dtype != np.bool_ and not np.isin(y, (0, 1)).all():
        values = np.unique(y.astype(str))[:5].tolist()
        raise DataError(f"Labels are True or False, 1 or 0. Received: {', '.join(values)}")
    if not np.isfinite(s).all():
        raise DataError(
            "Every score is a finite number. "
            f"Received: {np.count_nonzero(~np.isfinite(s))} of {s.size} that are not"
        )
    if probabilities and s.size and not (s.min() >= 0 and s.max() <= 1):
        raise DataError(
            f"Every score is a probability from 0 to 1. Received: {s.min():g} to {s.max():g}"
        )
    return y.astype(bool), s, w


def _weights(labels: NDArray[Any], scores: FloatArray, weights: ArrayLike | None) -> FloatArray:
    """Give a weight to each row of arrays that belong together."""
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError(
            "Labels and scores are two one-dimensional arrays of the same length. "
            f"Received: shapes {labels.shape} and {scores.shape}"
        )
    w = np.ones(scores.size) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.ndim not in (1, 2) or w.shape[-1] != scores.size:
        raise DataError(
            f"Weights have the shape (n,) or (resamples, n) with n = {scores.size}. "
            f"Received: shape {w.shape}"
        )
    return w


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> Any:
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return ratio if ratio.ndim else float(ratio)


def _weights_by_score(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum the weights of positives and of negatives at each distinct score, ascending."""
    y, s, w = _checked(labels, scores, weights)
    order = np.argsort(s, kind="stable")
    s, y, w = s[order], y[order], w[..., order]
    start = np.flatnonzero(np.diff(s, prepend=-np.inf) > 0)
    positive, negative = w * y, w * ~y
    if start.size < s.size:
        positive = np.add.reduceat(positive, start, axis=-1)
        negative = np.add.reduceat(negative, start, axis=-1)
    return positive, negative, s[start]


def _descent(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Count the positives found and the rows called as the threshold falls from infinity."""
    positive, negative, score = _weights_by_score(labels, scores, weights)
    origin = np.zeros((*positive.shape[:-1], 1))
    found = np.cumsum(np.concatenate([origin, positive[..., ::-1]], axis=-1), axis=-1)
    false = np.cumsum(np.concatenate([origin, negative[..., ::-1]], axis=-1), axis=-1)
    return found, found + false, np.concatenate([[np.inf], score[::-1]])


def _outcomes(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None
) -> tuple[Any, Any, Any, Any]:
    if np.isnan(threshold):
        raise DataError(f"A threshold is a number. Received: threshold={threshold!r}")
    y, s, w = _checked(labels, scores, weights)
    called = s >= threshold
    tp, fp, tn, fn = np.moveaxis(
        w @ np.stack([y & called, ~y & called, ~y & ~called, y & ~called], axis=1), -1, 0
    )
    return tp, fp, tn, fn


def _bins(scores: FloatArray, bins: int) -> tuple[FloatArray, NDArray[np.intp]]:
    edges = np.linspace(0, 1, bins + 1)
    return edges, np.searchsorted(edges[1:-1], scores, side="left")
