"""The jobs of a classical system: features of outlined nodules, SVMs and forests on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm.auto import tqdm

from thyro_demo.data import masks
from thyro_demo.data.images import decode
from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.files import sha256
from thyro_demo.study.graph import Job, Values, digest, leaf
from thyro_demo.study.steps import handcrafted
from thyro_demo.study.steps.handcrafted import ALL
from thyro_demo.study.steps.handcrafted.region import SIDE
from thyro_demo.study.steps.networks import check_fold

KINDS = ("SVM", "forest")
"""An SVM, linear or RBF, and a random forest."""

_TOGETHER = 64
"""Frames whose features are one job."""

_INNER = 5
"""Grouped folds in which the kernel, C and gamma of an SVM are chosen."""

_LINEAR_C = (0.001, 0.01, 0.1, 1.0)
_RBF_C = (0.1, 1.0, 10.0)
_GAMMAS = (0.3, 1.0, 3.0)
"""Times one over the number of features."""


def largest_outline(row: pd.Series) -> np.ndarray:
    """Fill the largest outline of a frame.

    Parameters
    ----------
    row : Series
        Of a record table, as `masks.nodule_mask` takes it.

    Returns
    -------
    ndarray of bool (H, W)
        The nodule. Other outlines are a second view, a second nodule, or drawn twice.

    Raises
    ------
    DataError
        If the frame has no outline.
    """
    drawn = masks.outlines(row)
    if not any(mask.any() for mask in drawn):
        raise DataError(
            f"Every frame must have an outlined nodule. Received: {row['path']} without."
        )
    return max(drawn, key=np.count_nonzero)


def features(records: pd.DataFrame) -> list[Job]:
    """Make the jobs that compute every handcrafted feature of a set.

    Parameters
    ----------
    records : DataFrame
        Record table as `largest_outline` takes its rows.

    Returns
    -------
    list of Job
        Each of some frames, in order; the value of each is `features` float64 (n, 132).

    Raises
    ------
    DataError
        If a frame has no outline.
    """
    rows = [row for _, row in records.iterrows()]
    outlines = [largest_outline(row) for row in tqdm(rows, "Outlines", unit="frame")]
    jobs = []
    for first in range(0, len(rows), _TOGETHER):
        some = slice(first, first + _TOGETHER)
        paths, drawn = [str(row["path"]) for row in rows[some]], outlines[some]
        arrays = {
            "shape": np.array([mask.shape for mask in drawn]),
            "bits": np.concatenate([np.packbits(mask) for mask in drawn]),
        }
        known = {"images": [sha256(path) for path in paths], "outlines": digest(arrays)}
        title = f"nodules {first + 1} to {first + len(paths)} of {len(rows)}"
        nodules = leaf(title, known, path=np.array(paths), **arrays)
        settings = {"features": [name for _, name in handcrafted.NAMES], "side": SIDE}
        jobs.append(Job(extract, settings, (nodules,), f"handcrafted features of {title}"))
    return jobs


def extract(settings: dict[str, Any], nodules: Values) -> Values:
    """Compute the features of some frames; see `features`, whose settings only name them."""
    rows, first = [], 0
    for path, shape in zip(nodules["path"], nodules["shape"], strict=True):
        pixels = int(shape[0] * shape[1])
        stop = first + -(-pixels // 8)
        mask = np.unpackbits(nodules["bits"][first:stop], count=pixels).reshape(shape)
        rows.append(handcrafted.measure(decode(str(path)), mask.astype(bool)))
        first = stop
    return {"features": np.stack(rows)}


def system(
    kind: str,
    family: str,
    shown: Job,
    measured: Sequence[Job],
    fold: int,
    positive: str,
    trees: int,
    repeats: int = 0,
) -> Job:
    """Make the job of a classifier that is fitted on all folds but one.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    family : str
        A key of `FAMILIES`, or `ALL`.
    shown : Job
        From `networks.frames`.
    measured : sequence of Job
        From `features`, of the same frames.
    fold : int
        Tested; the others are fitted on.
    positive : str
        The label that counts as positive.
    trees : int
        Of a forest.
    repeats : int
        How often each family is shuffled among the tested rows.

    Returns
    -------
    Job
        Its value: `rows` int64 (m,), the tested ones; `raw` float64 (m,), decision value of an
        SVM or mean vote of a forest; `chosen`, a string of the settings of an SVM; and
        `shuffled` float64 (repeats, families, m), the same scores after all features of one
        family were shuffled among the tested rows.

    Raises
    ------
    RecipeError
        If kind or family is unknown.
    LeakError
        If something below the features was trained on the tested rows.
    """
    if kind not in KINDS or family not in (*handcrafted.FAMILIES, ALL):
        raise RecipeError(
            f"A classical system must be one of {', '.join(KINDS)} on a family of features or "
            f"{ALL}. Received: {kind!r} on {family!r}."
        )
    check_fold(measured, shown, fold)
    settings = {"kind": kind, "family": family, "fold": int(fold), "positive": positive}
    settings |= {"trees": trees} if kind == "forest" else {}
    settings |= {"repeats": repeats}
    title = f"{kind} on {family} of {shown.name}, fold {fold}"
    return Job(fit, settings, (shown, *measured), title)


def fit(settings: dict[str, Any], shown: Values, *measured: Values) -> Values:
    """Fit a classifier on all folds but one and score that one; see `system`."""
    every = np.concatenate([part["features"] for part in measured])
    own = handcrafted.columns(settings["family"])
    tested = shown["fold"] == settings["fold"]
    labels = (shown["label"] == settings["positive"]).astype(int)
    learned = every[~tested][:, own], labels[~tested], shown["group"][~tested]
    if settings["kind"] == "forest":
        model, chosen = _forest(*learned[:2], settings["trees"]), ""
    else:
        model, chosen = _svm(*learned)

    def score(rows: np.ndarray) -> np.ndarray:
        if settings["kind"] == "forest":
            return model.predict_proba(rows[:, own])[:, 1]
        return model.decision_function(rows[:, own])

    rng = np.random.default_rng(settings["fold"])
    shuffled = [
        [score(_shuffled(every[tested], family, rng)) for family in handcrafted.FAMILIES]
        for _ in range(settings["repeats"])
    ]
    empty = (settings["repeats"], len(handcrafted.FAMILIES), int(tested.sum()))
    return {
        "rows": np.flatnonzero(tested),
        "raw": score(every[tested]),
        "chosen": np.array(chosen),
        "shuffled": np.array(shuffled).reshape(empty),
    }


def _shuffled(rows: np.ndarray, family: str, rng: np.random.Generator) -> np.ndarray:
    """Swap the features of a family between rows, those of a row together."""
    assigned = rows.copy()
    own = handcrafted.columns(family)
    assigned[:, own] = rows[rng.permutation(len(rows))][:, own]
    return assigned


def _forest(rows: np.ndarray, labels: np.ndarray, trees: int) -> RandomForestClassifier:
    forest = RandomForestClassifier(
        trees, min_samples_leaf=3, class_weight="balanced_subsample", random_state=0
    )
    return forest.fit(rows, labels)


def _svm(rows: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[Any, str]:
    """Fit an SVM with the kernel, C and gamma that rank best in grouped inner folds."""
    fewest = min(len(set(groups[labels == value])) for value in (0, 1))
    if fewest < _INNER:
        raise RecipeError(
            f"An SVM must have at least {_INNER} groups in each class for its inner folds. "
            f"Received: {fewest}."
        )
    gammas = [factor / rows.shape[1] for factor in _GAMMAS]
    grid = [
        {"svc__kernel": ["linear"], "svc__C": _LINEAR_C},
        {"svc__kernel": ["rbf"], "svc__C": _RBF_C, "svc__gamma": gammas},
    ]
    search = GridSearchCV(
        # Without weights, a class of one in eight frames would be outvoted at every C.
        make_pipeline(StandardScaler(), SVC(class_weight="balanced")),
        grid,
        scoring="roc_auc",
        cv=grouped_folds(labels, groups, _INNER, seed=0),
    )
    search.fit(rows, labels)
    best = {name.removeprefix("svc__"): value for name, value in search.best_params_.items()}
    return search.best_estimator_, f"{best['kernel']}, C {best['C']:g}"
