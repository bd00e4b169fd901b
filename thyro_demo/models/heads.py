"""Heads on pooled features: support vector machine and random forest, calibrated.

scikit-learn fits and stores them; scoring one image goes past its per-call checks, which
cost more than the arithmetic when a class waits for a single frame.
"""

import functools
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import RecipeError

KINDS = ("svm", "linear-svm", "forest")
TREES = 300
COSTS = {"svm": (1.0, 3.0, 10.0), "linear-svm": (0.0003, 0.001, 0.01, 0.1)}
WIDTHS = (0.3, 1.0, 3.0)
"""Settings that an SVM chooses from: C, and γ of the RBF as a multiple of 1 / d."""


def fit(
    kind: str,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> CalibratedClassifierCV:
    """Fit a head, its settings chosen and its scores calibrated in grouped inner folds.

    Parameters
    ----------
    kind : {"svm", "linear-svm", "forest"}
        RBF or linear support vector machine on standardised features, or a random forest
        of 300 trees.
    features : ndarray of float32 (n, d)
        Pooled features of the training part.
    labels : ndarray of int (n,)
        1 for the positive class.
    groups : ndarray (n,)
        Groups, which the inner folds keep whole.
    folds : int
        Inner folds.
    seed : int
        Of folds and trees.
    weights : ndarray of float (n,), optional
        Weight of each row in the fit; the choice of settings counts all rows alike.

    Returns
    -------
    CalibratedClassifierCV
        With one sigmoid fitted on the inner folds' out-of-fold scores (Platt 1999) and one
        estimator fitted on all rows.

    Raises
    ------
    RecipeError
        If `kind` is unknown, or a class has fewer groups than there are inner folds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> groups = np.repeat(np.arange(20), 2)
    >>> labels = groups % 2
    >>> features = (rng.normal(size=(40, 3)) + 3 * labels[:, None]).astype(np.float32)
    >>> head = CalibratedHead(fit("linear-svm", features, labels, groups))
    >>> head.scores(np.array([[0, 0, 0], [3, 3, 3]])) > 0.5
    array([False,  True])
    """
    estimator, inner = _chosen(kind, features, labels, groups, folds, seed, weights)
    calibrated = CalibratedClassifierCV(estimator, method="sigmoid", cv=inner, ensemble=False)
    return calibrated.fit(features, np.asarray(labels, int), **_weighted(kind, weights))


def fit_uncalibrated(
    kind: str,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> Pipeline | RandomForestClassifier:
    """Fit a head whose scores are calibrated elsewhere, in a fraction of the time of `fit`.

    Parameters
    ----------
    kind : str
        As for `fit`, like all others.
    features, labels, groups : ndarray
        The training part.
    folds, seed : int
        Of the inner folds in which settings are chosen.
    weights : ndarray of float (n,), optional
        Weight of each row.

    Returns
    -------
    Pipeline or RandomForestClassifier
        The estimator that `fit` wraps, as `raw` takes it.

    Raises
    ------
    RecipeError
        As from `fit`.
    """
    estimator, _ = _chosen(kind, features, labels, groups, folds, seed, weights)
    return estimator.fit(features, np.asarray(labels, int), **_weighted(kind, weights))


def _chosen(
    kind: str,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int,
    seed: int,
    weights: np.ndarray | None,
) -> tuple[Pipeline | RandomForestClassifier, list[tuple[np.ndarray, np.ndarray]]]:
    """Choose the settings of a head in grouped inner folds; nothing is fitted yet."""
    if kind not in KINDS:
        raise RecipeError(f"A head must be one of {', '.join(KINDS)}. Received: {kind!r}.")
    labels, groups = np.asarray(labels, int), np.asarray(groups)
    fewest = min(len(set(groups[labels == value])) for value in (0, 1))
    if fewest < folds:
        raise RecipeError(
            f"A head must have at least {folds} groups in each class for its inner folds. "
            f"Received: {fewest}."
        )
    inner = grouped_folds(labels, groups, folds, seed)
    if kind == "forest":
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=3, class_weight="balanced_subsample", random_state=seed
        )
        return forest, inner
    grid: dict[str, list[Any]] = {"svc__C": list(COSTS[kind])}
    if kind == "svm":
        widths = [factor / features.shape[1] for factor in WIDTHS]
        # The kernel as matrix products takes a tenth of the time of libsvm's own loops.
        grid["svc__kernel"] = [functools.partial(rbf_kernel, gamma=width) for width in widths]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), SVC(kernel="linear")),
        grid,
        scoring="roc_auc",
        cv=inner,
        refit=False,
    )
    search.fit(features, labels, **_weighted(kind, weights))
    chosen: dict[str, Any] = {"C": search.best_params_["svc__C"], "kernel": "linear"}
    if kind == "svm":
        width = search.best_params_["svc__kernel"].keywords["gamma"]
        chosen |= {"kernel": "rbf", "gamma": width}
    return make_pipeline(StandardScaler(), SVC(**chosen)), inner


def _weighted(kind: str, weights: np.ndarray | None) -> dict[str, np.ndarray]:
    if weights is None:
        return {}
    # An SVM is the last step of a pipeline, which takes weights under its name.
    return {"sample_weight" if kind == "forest" else "svc__sample_weight": weights}


def platt(odds: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Fit the sigmoid that turns log-odds into calibrated probabilities (Platt 1999).

    Parameters
    ----------
    odds : ndarray of float (n,)
        Log-odds of the positive class on images that were not trained on.
    positive : ndarray of bool (n,)
        True for the positive class.

    Returns
    -------
    slope, intercept : float
        Calibrated log-odds are slope · odds + intercept.
    """
    fitted = LogisticRegression(C=1e6).fit(np.asarray(odds)[:, None], np.asarray(positive))
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def recalibrate(model: CalibratedClassifierCV, slope: float, intercept: float) -> None:
    """Replace the sigmoid of a fitted head, in place.

    Parameters
    ----------
    model : CalibratedClassifierCV
        From `fit`.
    slope, intercept : float
        From `platt`: calibrated log-odds are slope · raw + intercept.
    """
    (inner,) = model.calibrated_classifiers_
    (sigmoid,) = inner.calibrators
    # scikit-learn's sigmoid is 1 / (1 + exp(a · raw + b)).
    sigmoid.a_, sigmoid.b_ = -slope, -intercept


def slim(model: CalibratedClassifierCV) -> None:
    """Round the support vectors of an SVM to few digits, in place.

    They are standardised, so the rounding moves scores by 0.001 or so, and the file deflates to a
    quarter. A forest is left as it is.

    Parameters
    ----------
    model : CalibratedClassifierCV
        From `fit`.
    """
    (inner,) = model.calibrated_classifiers_
    if isinstance(inner.estimator, Pipeline):
        svm = inner.estimator[-1]
        svm.support_vectors_ = rounded(svm.support_vectors_)


def rounded(values: np.ndarray) -> np.ndarray:
    """Keep 8 bits of mantissa of an array of float64: the rest deflates to nothing in a file."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**9) / 2**9, exponent)


def raw(model: Pipeline | RandomForestClassifier, features: np.ndarray) -> np.ndarray:
    """Compute the scores of a head before calibration.

    Parameters
    ----------
    model : Pipeline or RandomForestClassifier
        From `fit_uncalibrated`, or what `fit` wraps.
    features : ndarray of float32 (n, d)
        Pooled features.

    Returns
    -------
    ndarray of float64 (n,)
        Decision value of an SVM, mean vote of a forest (0–1).
    """
    if isinstance(model, Pipeline):
        return model.decision_function(np.asarray(features, np.float64))
    rows = np.ascontiguousarray(features, np.float32)
    votes = np.zeros(len(rows))
    for tree in model.estimators_:
        leaf = tree.tree_.predict(rows).reshape(len(rows), -1)
        votes += leaf[:, 1] / leaf.sum(axis=1)
    return votes / len(model.estimators_)


class CalibratedHead:
    """A fitted head, ready to score feature vectors one by one.

    Parameters
    ----------
    model : CalibratedClassifierCV
        From `fit`.

    Attributes
    ----------
    model : CalibratedClassifierCV
        What is saved.
    kind : {"svm", "forest"}
        A linear SVM is an "svm" too.
    pipeline : Pipeline or None
        `StandardScaler` and `SVC` of an SVM.
    forest : RandomForestClassifier or None
        The forest.
    slope, intercept : float
        Of the sigmoid: score = 1 / (1 + exp(slope · raw + intercept)), slope below zero.
    """

    def __init__(self, model: CalibratedClassifierCV):
        (inner,) = model.calibrated_classifiers_
        (sigmoid,) = inner.calibrators
        self.model = model
        self.slope, self.intercept = float(sigmoid.a_), float(sigmoid.b_)
        self.pipeline: Pipeline | None = None
        self.forest: RandomForestClassifier | None = None
        if isinstance(inner.estimator, RandomForestClassifier):
            self.kind, self.forest = "forest", inner.estimator
        else:
            self.kind, self.pipeline = "svm", inner.estimator

    def raw(self, features: np.ndarray) -> np.ndarray:
        """Compute the score before calibration.

        Parameters
        ----------
        features : ndarray of float32 (n, d)
            Pooled features.

        Returns
        -------
        ndarray of float64 (n,)
            Decision value of an SVM, mean vote of a forest (0–1).
        """
        return raw(self.model.calibrated_classifiers_[0].estimator, features)

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Compute the calibrated score of the positive class.

        Parameters
        ----------
        features : ndarray of float32 (n, d)
            Pooled features.

        Returns
        -------
        ndarray of float64 (n,)
            Probabilities, 0–1.
        """
        return expit(-(self.slope * self.raw(features) + self.intercept))
