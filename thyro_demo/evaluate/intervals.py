"""Bootstrap intervals over groups: how far a figure moves with other patients.

Frames of one patient resemble each other, so the patient (case, near-duplicate
cluster), not the frame, is drawn with replacement. Resampling frames would count
copies as evidence and make intervals too narrow.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from thyro_demo.errors import DataError
from thyro_demo.evaluate import curves

Statistic = Callable[..., Any]

RESAMPLES = 2000
LEVEL = 0.95

# Weights that are held at once: 4 million float64 are 32 MB.
_WEIGHTS_AT_ONCE = 4_000_000


class Interval(NamedTuple):
    """A figure with its 95 % interval.

    Attributes
    ----------
    value : float
        The figure on the data as they are.
    low, high : float
        2.5th and 97.5th percentile over the resamples. NaN where the value is NaN, where
        there is one group alone, and where the figure is undefined in half of the
        resamples or more.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """Return the figure as reports and pictures take it, with None in place of NaN."""
        return {
            name: None if math.isnan(number) else float(number)
            for name, number in self._asdict().items()
        }


def share(count: int, total: int, method: str = "wilson") -> Interval:
    """Compute a share of independent cases with its 95 % interval.

    Parameters
    ----------
    count, total : int
        How many of how many, 1 or more.
    method : {"wilson", "exact"}
        Score interval (Wilson 1927), or the wider one of Clopper and Pearson (1934).

    Returns
    -------
    Interval
        0–1.

    Examples
    --------
    >>> [round(end, 2) for end in share(3, 40)]
    [0.07, 0.03, 0.2]
    """
    ends = binomtest(count, total).proportion_ci(LEVEL, method)
    return Interval(count / total, float(ends.low), float(ends.high))


def group_bootstrap(
    statistic: Statistic,
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Compute a figure and its percentile interval over resampled groups.

    Parameters
    ----------
    statistic : callable
        ``statistic(labels, scores)`` returns a float. Where it also takes ``weights`` of the
        shape (r, n), as all of `metrics` do, it is called once for many resamples;
        otherwise once per resample, on repeated rows.
    labels : (n,) bool or int
        True or 1 for the positive class.
    scores : (n,) float
        Model scores.
    groups : (n,) of str or int
        Patient, case or cluster of each row. A row without one (NaN, None) is its own group.
    resamples : int
        How often as many groups as there are get drawn, with replacement.
    seed : int
        Of the draw.

    Returns
    -------
    Interval
        Value, low and high.

    Raises
    ------
    DataError
        When the arrays differ in length, or fewer than one resample is asked for.

    References
    ----------
    Davison and Hinkley, *Bootstrap Methods and their Application* (1997), section 3.8 for
    groups and 5.3 for percentiles. A resample that leaves the figure undefined (no
    positive was drawn) is set aside.

    Examples
    --------
    >>> from thyro_demo.evaluate import metrics
    >>> patients = np.repeat(np.arange(20), 2)
    >>> labels = patients % 2
    >>> scores = np.linspace(0, 0.3, 40) + 0.1 * labels
    >>> found = group_bootstrap(metrics.auroc, labels, scores, patients)
    >>> [round(end, 2) for end in found]
    [0.8, 0.58, 0.96]
    """
    every = group_bootstraps({"": statistic}, labels, scores, groups, resamples, seed)
    return every[""]


def group_bootstraps(
    statistics: Mapping[str, Statistic],
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute several figures and their intervals over the same resamples.

    Parameters
    ----------
    statistics : mapping of str to callable
        Name and statistic, as in `group_bootstrap`.
    labels, scores, groups, resamples, seed : array_like or int
        As in `group_bootstrap`.

    Returns
    -------
    dict of str to Interval
        By the same names.

    Raises
    ------
    DataError
        When the arrays differ in length, or fewer than one resample is asked for.
    """
    y, s = np.asarray(labels), np.asarray(scores)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in statistics}
    for weights in _resampled_weights(groups, s.shape, resamples, seed):
        for name, statistic in statistics.items():
            drawn[name].append(_over_resamples(statistic, y, s, weights))
    several = _group_codes(groups).max(initial=0) > 0
    return {
        name: _interval(float(statistic(y, s)), np.concatenate(drawn[name]), several)
        for name, statistic in statistics.items()
    }


def paired_group_bootstrap(
    statistic: Statistic,
    labels: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    groups: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Compute the difference of a figure between two models on the same images.

    Both models are scored on the same resampled groups, so what makes a resample hard for
    both cancels out: the interval of the difference is narrower than two intervals beside
    each other suggest.

    Parameters
    ----------
    statistic, labels : callable, array_like
        As in `group_bootstrap`.
    scores_a, scores_b : (n,) float
        Scores of the two models, row by row for the same images.
    groups, resamples, seed : array_like or int
        As in `group_bootstrap`.

    Returns
    -------
    Interval
        Of ``statistic(a) − statistic(b)``.

    Raises
    ------
    DataError
        When the arrays differ in length, or fewer than one resample is asked for.

    Examples
    --------
    >>> from thyro_demo.evaluate import metrics
    >>> patients = np.repeat(np.arange(20), 2)
    >>> labels, scores = patients % 2, np.linspace(0, 0.3, 40)
    >>> better = scores + 0.1 * labels
    >>> found = paired_group_bootstrap(metrics.auroc, labels, better, scores, patients)
    >>> [round(end, 2) for end in found]
    [0.25, 0.13, 0.38]
    """
    y, a, b = np.asarray(labels), np.asarray(scores_a), np.asarray(scores_b)
    if a.shape != b.shape:
        raise DataError(
            "Two models must be compared on the same rows. "
            f"Received: scores of shapes {a.shape} and {b.shape}."
        )
    drawn = [
        _over_resamples(statistic, y, a, weights) - _over_resamples(statistic, y, b, weights)
        for weights in _resampled_weights(groups, a.shape, resamples, seed)
    ]
    several = _group_codes(groups).max(initial=0) > 0
    value = float(statistic(y, a)) - float(statistic(y, b))
    return _interval(value, np.concatenate(drawn), several)


def roc_band(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    resamples: int = RESAMPLES,
    seed: int = 0,
    points: int = 101,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compute the pointwise 95 % band of the sensitivity along a ROC curve.

    Parameters
    ----------
    labels, scores, groups, resamples, seed : array_like or int
        As in `group_bootstrap`.
    points : int
        Number of false positive rates, evenly from 0 to 1.

    Returns
    -------
    tuple of three (points,) float64 arrays, 0–1
        False positive rate, and low and high of the sensitivity there (NaN with one class
        or one group).

    Raises
    ------
    DataError
        When the arrays differ in length, or fewer than one resample is asked for.
    """
    y, s = np.asarray(labels), np.asarray(scores)
    rates = np.linspace(0, 1, points)
    along = partial(curves.sensitivity_at, false_positive_rates=rates)
    drawn = np.concatenate(
        [
            along(y, s, weights=weights)
            for weights in _resampled_weights(groups, s.shape, resamples, seed)
        ]
    )
    drawn = drawn[~np.isnan(drawn[:, 0])]
    several = _group_codes(groups).max(initial=0) > 0
    if not several or 2 * len(drawn) <= resamples:
        return rates, np.full(points, np.nan), np.full(points, np.nan)
    low, high = np.quantile(drawn, _TAILS, axis=0)
    return rates, low, high


_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def _group_codes(groups: ArrayLike) -> NDArray[np.intp]:
    """Code groups from 0, each row without a group by a number of its own."""
    codes, names = pd.factorize(pd.Series(np.asarray(groups)))
    alone = codes < 0
    codes = codes.copy()
    codes[alone] = len(names) + np.arange(np.count_nonzero(alone))
    return codes


def _resampled_weights(
    groups: ArrayLike, shape: tuple[int, ...], resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield how often each row is drawn, (r, n) resamples at a time."""
    codes = _group_codes(groups)
    if codes.shape != shape:
        raise DataError(
            "Groups and scores must have the same length. "
            f"Received: shapes {codes.shape} and {shape}."
        )
    if resamples < 1:
        raise DataError(f"resamples must be 1 or more. Received: resamples={resamples!r}.")
    count = int(codes.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // max(1, codes.size))
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        drawn = generator.integers(0, max(1, count), size=(rows, count))
        flat = (drawn + count * np.arange(rows)[:, None]).ravel()
        times = np.bincount(flat, minlength=rows * count).reshape(rows, count)
        yield times[:, codes].astype(np.float64)


def _over_resamples(
    statistic: Statistic, labels: NDArray[Any], scores: NDArray[Any], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    if "weights" in inspect.signature(statistic).parameters:
        return np.asarray(statistic(labels, scores, weights=weights), dtype=np.float64)
    values = np.empty(len(weights))
    for resample, times in enumerate(weights.astype(np.intp)):
        rows = np.repeat(np.arange(times.size), times)
        values[resample] = statistic(labels[rows], scores[rows])
    return values


def _interval(value: float, drawn: NDArray[np.float64], several_groups: bool) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not several_groups or 2 * defined.size <= drawn.size:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, _TAILS)
    return Interval(value, float(low), float(high))
