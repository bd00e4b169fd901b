"""Operating points: thresholds chosen on scores of validation images, then frozen."""

import numpy as np
from numpy.typing import ArrayLike

from thyro_demo.errors import DataError
from thyro_demo.evaluate import counts
from thyro_demo.evaluate.curves import roc_points

TARGET_SENSITIVITY = 0.95


def youden(labels: ArrayLike, scores: ArrayLike) -> float:
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

    Examples
    --------
    >>> youden([0, 0, 1, 1], [0.25, 0.5, 0.75, 1.0])
    0.625
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


def at_sensitivity(
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

    Examples
    --------
    >>> at_sensitivity([0, 1, 1, 1], [0.1, 0.2, 0.6, 0.9], target=0.66)
    0.6
    """
    if not 0 < target <= 1:
        raise DataError(
            f"A target sensitivity must be above 0 and at most 1. Received: target={target!r}."
        )
    y, s, _ = counts.checked(labels, scores, None)
    found = np.sort(s[y])[::-1]
    if not found.size:
        return float("nan")
    reached = np.arange(1, found.size + 1) / found.size >= target
    return float(found[np.argmax(reached)])


def both(labels: ArrayLike, scores: ArrayLike) -> dict[str, float]:
    """Choose both thresholds that a bundle keeps of a head.

    Parameters
    ----------
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Positive when at or above the threshold.

    Returns
    -------
    dict of str to float
        "youden", and "sens95" at `TARGET_SENSITIVITY`.

    Raises
    ------
    DataError
        When labels and scores do not belong together.
    """
    return {"youden": youden(labels, scores), "sens95": at_sensitivity(labels, scores)}
