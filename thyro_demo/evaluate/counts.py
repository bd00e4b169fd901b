"""Check labels, scores and weights, and count the rows at and above each score."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thyro_demo.errors import DataError

FloatArray = NDArray[np.float64]

OUTCOMES = ("tp", "fp", "tn", "fn")


def checked(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None, probabilities: bool = False
) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
    """Check arrays that belong together, and return them as bool and float64."""
    y = np.asarray(labels)
    s = np.asarray(scores, dtype=np.float64)
    w = row_weights(y, s, weights)
    if y.dtype != np.bool_ and not np.isin(y, (0, 1)).all():
        values = np.unique(y.astype(str))[:5].tolist()
        raise DataError(f"Labels must be True or False, 1 or 0. Received: {', '.join(values)}.")
    if not np.isfinite(s).all():
        raise DataError(
            "Every score must be a finite number. "
            f"Received: {np.count_nonzero(~np.isfinite(s))} of {s.size} that are not."
        )
    if probabilities and s.size and not (s.min() >= 0 and s.max() <= 1):
        raise DataError(
            f"Every score must be a probability from 0 to 1. Received: {s.min():g} to {s.max():g}."
        )
    return y.astype(bool), s, w


def row_weights(labels: NDArray[Any], scores: FloatArray, weights: ArrayLike | None) -> FloatArray:
    """Return the weight of each row, once labels, scores and weights are known to fit."""
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError(
            "Labels and scores must be two one-dimensional arrays of the same length. "
            f"Received: shapes {labels.shape} and {scores.shape}."
        )
    w = np.ones(scores.size) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.ndim not in (1, 2) or w.shape[-1] != scores.size:
        raise DataError(
            f"Weights must have the shape (n,) or (resamples, n) with n = {scores.size}. "
            f"Received: shape {w.shape}."
        )
    return w


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Any:
    """Divide; NaN where the denominator is 0."""
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return ratio if ratio.ndim else float(ratio)


def by_score(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum the weights of positives and of negatives at each distinct score, ascending."""
    y, s, w = checked(labels, scores, weights)
    order = np.argsort(s, kind="stable")
    s, y, w = s[order], y[order], w[..., order]
    start = np.flatnonzero(np.diff(s, prepend=-np.inf) > 0)
    positive, negative = w * y, w * ~y
    if start.size < s.size:
        positive = np.add.reduceat(positive, start, axis=-1)
        negative = np.add.reduceat(negative, start, axis=-1)
    return positive, negative, s[start]


def descent(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Count the positives found and the rows called as the threshold falls from infinity."""
    positive, negative, score = by_score(labels, scores, weights)
    origin = np.zeros((*positive.shape[:-1], 1))
    found = np.cumsum(np.concatenate([origin, positive[..., ::-1]], axis=-1), axis=-1)
    false = np.cumsum(np.concatenate([origin, negative[..., ::-1]], axis=-1), axis=-1)
    return found, found + false, np.concatenate([[np.inf], score[::-1]])


def outcomes(
    labels: ArrayLike, scores: ArrayLike, threshold: float, weights: ArrayLike | None
) -> tuple[Any, Any, Any, Any]:
    """Count `OUTCOMES` at a threshold, weighted."""
    if np.isnan(threshold):
        raise DataError(f"A threshold must be a number. Received: threshold={threshold!r}.")
    y, s, w = checked(labels, scores, weights)
    called = s >= threshold
    tp, fp, tn, fn = np.moveaxis(
        w @ np.stack([y & called, ~y & called, ~y & ~called, y & ~called], axis=1), -1, 0
    )
    return tp, fp, tn, fn
