"""Heads on features: SVM, forest and softmax fitted on all folds but one, and their scores."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import RecipeError, StudyError
from thyro_demo.models import heads
from thyro_demo.study.graph import Job, Outcome, Values
from thyro_demo.study.steps.networks import check_fold, check_folded
from thyro_demo.training import out_of_fold

_FIXED = {
    "svm": ("C", "gamma", "standardise"),
    "linear-svm": ("C", "standardise"),
    "forest": ("trees", "standardise"),
}

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C that a softmax layer chooses from."""


class Split(NamedTuple):
    """Which rows heads are fitted on, and which they score.

    Parameters
    ----------
    labels : ndarray of int (n,)
        1 for the positive class.
    learned : ndarray of int (k,)
        Rows to fit on.
    tested : ndarray of int (m,)
        Rows to score.
    inner : sequence of (ndarray of int, ndarray of int)
        Places within `learned` to fit on and to validate on, one pair for each inner fold.
    """

    labels: np.ndarray
    learned: np.ndarray
    tested: np.ndarray
    inner: Sequence[tuple[np.ndarray, np.ndarray]]


def split(shown: Mapping[str, np.ndarray], fold: int, positive: str, inner: int) -> Split:
    """Split frames for heads that learn from all folds but one.

    Parameters
    ----------
    shown : mapping of str to ndarray
        Value of `networks.frames`.
    fold : int
        Tested.
    positive : str
        The label that counts as positive.
    inner : int
        Grouped folds of the training part, in which settings are chosen.

    Returns
    -------
    Split
        With as many inner folds.

    Raises
    ------
    StudyError
        If a class has fewer groups to learn from than there are inner folds.
    """
    labels = (shown["label"] == positive).astype(int)
    tested = shown["fold"] == fold
    learned, groups = np.flatnonzero(~tested), shown["group"][~tested]
    fewest = min(len(set(groups[labels[learned] == value])) for value in (0, 1))
    if fewest < inner:
        raise StudyError(
            f"Each class must have at least {inner} groups to learn from, one for each fold in "
            f"which settings are chosen. Received: {fewest} groups."
        )
    folds = grouped_folds(labels[learned], groups, inner, seed=0)
    return Split(labels, learned, np.flatnonzero(tested), folds)


def head(
    kind: str,
    read: Sequence[tuple[Job, str]],
    shown: Job,
    fold: int,
    positive: str = out_of_fold.CLASSES[1],
    **fixed: float | bool,
) -> Job:
    """Make the job of a head that is fitted on all folds but one.

    Parameters
    ----------
    kind : {"svm", "linear-svm", "forest"}
        See `models.heads.fit`, which chooses its settings in grouped inner folds.
    read : sequence of (Job, str)
        Features: a job and the tap of it; several are set side by side.
    shown : Job
        From `networks.frames`.
    fold : int
        Tested; the others are fitted on.
    positive : str
        The label that counts as positive.
    **fixed : float or bool
        `C`, `gamma`, `trees`, `standardise`: with any of them nothing is chosen, and what is
        left out is scikit-learn's default (`standardise` True).

    Returns
    -------
    Job
        Its value: `raw` float64 (m,), decision value of an SVM or mean vote of a forest on the
        tested rows, and `rows` int64 (m,).

    Raises
    ------
    RecipeError
        If a fixed setting is unknown.
    StudyError
        If no row is in the fold, or none has the positive label.
    LeakError
        If something below the features was trained on the tested rows.
    """
    check_folded(shown, fold, positive)
    if unknown := sorted(set(fixed) - set(_FIXED[kind])) if kind in _FIXED else [kind]:
        raise RecipeError(
            "A head must be svm, linear-svm or forest, fixed by C, gamma, standardise, or trees. "
            f"Received: {unknown[0]!r} for {kind!r}."
        )
    check_fold([job for job, _ in read], shown, fold)
    sources = list(dict.fromkeys(job for job, _ in read))
    settings = {
        "kind": kind,
        "read": [[sources.index(job), tap] for job, tap in read],
        "fold": int(fold),
        "positive": positive,
        "fixed": dict(fixed),
    }
    how = "".join(f" {name}={value}" for name, value in fixed.items())
    what = " + ".join(f"{tap} of {job.name}" for job, tap in read)
    title = f"{kind}{how} on {what}, tested on fold {fold}"
    return Job(fit, settings, (shown, *sources), title)


def fit(settings: dict[str, Any], shown: Values, *sources: Values) -> Values:
    """Fit a head on all folds but one and score that one; see `head`."""
    rows = np.concatenate([sources[place][tap] for place, tap in settings["read"]], axis=1)
    tested = shown["fold"] == settings["fold"]
    labels = (shown["label"] == settings["positive"]).astype(int)
    learned = (rows[~tested], labels[~tested])
    if settings["fixed"]:
        raw = _fixed(settings["kind"], settings["fixed"], *learned, rows[tested])
    else:
        model = heads.fit_uncalibrated(settings["kind"], *learned, shown["group"][~tested])
        raw = heads.raw(model, rows[tested])
    return {"raw": raw, "rows": np.flatnonzero(tested)}


def _fixed(
    kind: str, fixed: dict[str, Any], rows: np.ndarray, labels: np.ndarray, tested: np.ndarray
) -> np.ndarray:
    """Fit a head whose settings are fixed, and score the tested rows before calibration."""
    chosen = {name: value for name, value in fixed.items() if name in ("C", "gamma")}
    if kind == "forest":
        chosen = {"n_estimators": fixed["trees"]} if "trees" in fixed else {}
        estimator = RandomForestClassifier(**chosen, random_state=0)
    else:
        estimator = SVC(kernel="rbf" if kind == "svm" else "linear", **chosen)
    scaler = StandardScaler() if fixed.get("standardise", True) else "passthrough"
    model = make_pipeline(scaler, estimator).fit(rows.astype(np.float64), labels)
    if kind == "forest":
        return model.predict_proba(tested.astype(np.float64))[:, 1]
    return model.decision_function(tested.astype(np.float64))


def softmax(
    read: tuple[Job, str],
    shown: Job,
    fold: int,
    positive: str = out_of_fold.CLASSES[1],
    *,
    inner: int = 5,
    ridges: Sequence[float] = RIDGES,
    balanced: bool = False,
) -> Job:
    """Make the job of a softmax layer that is fitted on features of all folds but one.

    Of two classes it is logistic regression. It is fitted to its optimum, where Adam would stop
    somewhere before.

    Parameters
    ----------
    read : (Job, str)
        Features: a job and the tap of it.
    shown : Job
        From `networks.frames`.
    fold : int
        Tested; the others are fitted on.
    positive : str
        The label that counts as positive.
    inner : int
        Grouped folds of the training part, in which C is chosen by AUROC.
    ridges : sequence of float
        Values of C.
    balanced : bool
        Whether classes weigh alike.

    Returns
    -------
    Job
        Its value: `raw` float64 (m,), log-odds of the positive class, and `rows` int64 (m,).

    Raises
    ------
    LeakError
        If something below the features was trained on the tested rows.
    """
    job, tap = read
    check_fold([job], shown, fold)
    settings = {
        "tap": tap,
        "fold": int(fold),
        "positive": positive,
        "inner": inner,
        "ridges": list(ridges),
        "balanced": balanced,
    }
    title = f"softmax on {tap} of {job.name}, tested on fold {fold}"
    return Job(fit_softmax, settings, (shown, job), title)


def fit_softmax(settings: dict[str, Any], shown: Values, read: Values) -> Values:
    """Fit a softmax layer on all folds but one and score that one; see `softmax`."""
    assigned = split(shown, settings["fold"], settings["positive"], settings["inner"])
    weights = "balanced" if settings["balanced"] else None
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(class_weight=weights, max_iter=5000)),
        {"logisticregression__C": settings["ridges"]},
        scoring="roc_auc",
        cv=assigned.inner,
    )
    rows = read[settings["tap"]].astype(np.float64)
    search.fit(rows[assigned.learned], assigned.labels[assigned.learned])
    return {"raw": search.decision_function(rows[assigned.tested]), "rows": assigned.tested}


def scores(
    outcome: Outcome,
    systems: Mapping[str, Sequence[Job]],
    records: pd.DataFrame,
    positive: str = out_of_fold.CLASSES[1],
) -> pd.DataFrame:
    """Gather out-of-fold scores, those of each fold calibrated on the others.

    Parameters
    ----------
    outcome : Outcome
        Of the graph.
    systems : mapping of str to sequence of Job
        By name of the system: one job for each fold, with `raw` and `rows`.
    records : DataFrame
        The table that `networks.frames` was made of.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame
        `path, group, source, label, fold, head, raw, score`; a system with a failed job is
        left out.

    Raises
    ------
    StudyError
        If every system failed, or one scores a row twice.
    """
    known = records[["path", "group", "source", "label", "fold"]].reset_index(drop=True)
    parts = []
    for name, jobs in systems.items():
        if not all(job in outcome for job in jobs):
            continue
        found = [outcome[job] for job in jobs]
        rows = np.concatenate([one["rows"] for one in found])
        if len(set(rows)) < len(rows):
            raise StudyError(f"A system must score each frame once. Received: {name}, some twice.")
        raw = np.concatenate([one["raw"] for one in found])
        parts.append(known.iloc[rows].assign(head=name, raw=raw))
    if not parts:
        raise StudyError(f"One system at least must not fail. Received: {outcome.first_failure}")
    return out_of_fold.cross_calibrated(pd.concat(parts, ignore_index=True), positive=positive)
