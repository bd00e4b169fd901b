"""The cells of a classical system: features of outlined nodules, machines and forests on them."""

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

from thyro_demo.data import preprocess
from thyro_demo.data.images import decode
from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.files import sha256
from thyro_demo.study import handcrafted
from thyro_demo.study.grid import Cell, content, given
from thyro_demo.study.handcrafted import ALL
from thyro_demo.study.handcrafted.region import SIDE

Values = dict[str, np.ndarray]

KINDS = ("SVM", "forest")
"""A support vector machine, linear or RBF, and a random forest."""

_TOGETHER = 64
"""Frames whose features are one cell."""

_INNER = 5
"""Grouped folds in which a machine's kernel, C and gamma are chosen."""

_LINEAR_C = (0.001, 0.01, 0.1, 1.0)
_RBF_C = (0.1, 1.0, 10.0)
_GAMMAS = (0.3, 1.0, 3.0)
"""Times one over the number of features."""


def largest_outline(row: pd.Series) -> np.ndarray:
    """Fill the largest outline of a frame.

    Parameters
    ----------
    row : Series
        Of a record table: `polygons` with `width` and `height` (pixels), `mask_paths` (list of
        str) or `mask_path`.

    Returns
    -------
    ndarray of bool (H, W)
        The nodule. Other outlines are a second view, a second nodule, or drawn twice.

    Raises
    ------
    DataError
        If the frame has no outline.
    """
    if "polygons" in row:
        shape = int(row["height"]), int(row["width"])
        masks = [preprocess.polygon_mask(polygon, shape) for polygon in row["polygons"]]
    else:
        paths = row["mask_paths"] if "mask_paths" in row else [row["mask_path"]]
        # Resampled masks have grey edges.
        masks = [decode(path)[..., 0] > 127 for path in paths]
    if not any(mask.any() for mask in masks):
        raise DataError(f"Every frame has an outlined nodule. Received: {row['path']} without.")
    return max(masks, key=np.count_nonzero)


def features(records: pd.DataFrame) -> list[Cell]:
    """Make the cells that compute every handcrafted feature of a set.

    Parameters
    ----------
    records : DataFrame
        Record table as `largest_outline` takes its rows.

    Returns
    -------
    list of Cell
        Each of some frames, in order; the value of each is `features` float64 (n, 132).

    Raises
    ------
    DataError
        If a frame has no outline.
    """
    rows = [row for _, row in records.iterrows()]
    outlines = [largest_outline(row) for row in tqdm(rows, "Outlines", unit="frame")]
    cells = []
    for first in range(0, len(rows), _TOGETHER):
        some = slice(first, first + _TOGETHER)
        paths, masks = [str(row["path"]) for row in rows[some]], outlines[some]
        arrays = {
            "shape": np.array([mask.shape for mask in masks]),
            "bits": np.concatenate([np.packbits(mask) for mask in masks]),
        }
        known = {"images": [sha256(path) for path in paths], "outlines": content(arrays)}
        title = f"nodules {first + 1} to {first + len(paths)} of {len(rows)}"
        leaf = given(title, known, path=np.array(paths), **arrays)
        settings = {"features": [name for _, name in handcrafted.NAMES], "side": SIDE}
        work = f"{__name__}:extract"
        cells.append(Cell(work, settings, (leaf,), f"handcrafted features of {title}"))
    return cells


def extract(settings: dict[str, Any], nodules: Values) -> Values:
    """Compute the features of some frames.

    Parameters
    ----------
    settings : dict
        Nothing of it is read: it tells the features of one version from those of another.
    nodules : dict of str to ndarray
        `path` (n,), `shape` int (n, 2) and `bits`, the outlines packed one after the other.

    Returns
    -------
    dict of str to ndarray
        `features` float64 (n, 132).
    """
    rows, start = [], 0
    for path, shape in zip(nodules["path"], nodules["shape"], strict=True):
        pixels = int(shape[0] * shape[1])
        stop = start + -(-pixels // 8)
        mask = np.unpackbits(nodules["bits"][start:stop], count=pixels).reshape(shape)
        rows.append(handcrafted.measure(decode(str(path)), mask.astype(bool)))
        start = stop
    return {"features": np.stack(rows)}


def system(
    kind: str,
    family: str,
    shown: Cell,
    measured: Sequence[Cell],
    fold: int,
    positive: str,
    trees: int,
    repeats: int = 0,
) -> Cell:
    """Make the cell of a classifier that is fitted on all folds but one.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    family : str
        A key of `FAMILIES`, or `ALL`.
    shown : Cell
        From `cells.frames`.
    measured : sequence of Cell
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
    Cell
        Its value: as `fit` gives it.

    Raises
    ------
    RecipeError
        If kind or family is unknown.
    """
    if kind not in KINDS or family not in (*handcrafted.FAMILIES, ALL):
        raise RecipeError(
            f"A classical system is one of {', '.join(KINDS)} on a family of features or {ALL}. "
            f"Received: {kind!r} on {family!r}."
        )
    settings = {"kind": kind, "family": family, "fold": int(fold), "positive": positive}
    settings |= {"trees": trees} if kind == "forest" else {}
    settings |= {"repeats": repeats}
    title = f"{kind} on {family} of {shown.name}, fold {fold}"
    return Cell(f"{__name__}:fit", settings, (shown, *measured), title)


def fit(settings: dict[str, Any], shown: Values, *measured: Values) -> Values:
    """Fit a classifier on all folds but one and score that one.

    Parameters
    ----------
    settings : dict
        As `system` sets them.
    shown : dict of str to ndarray
        From `cells.frames`.
    *measured : dict of str to ndarray
        `features` of all frames, in order.

    Returns
    -------
    dict of str to ndarray
        `rows` int64 (m,), the tested ones; `raw` float64 (m,), decision value of a machine or
        mean vote of a forest; `chosen`, a string that tells the settings of a machine; and
        `shuffled` float64 (repeats, families, m), the same scores after all features of one
        family were dealt anew among the tested rows.

    Raises
    ------
    RecipeError
        If a class has fewer groups than there are inner folds.
    """
    every = np.concatenate([part["features"] for part in measured])
    own = handcrafted.columns(settings["family"])
    tested = shown["fold"] == settings["fold"]
    labels = (shown["label"] == settings["positive"]).astype(int)
    learned = every[~tested][:, own], labels[~tested], shown["group"][~tested]
    if settings["kind"] == "forest":
        model, chosen = _forest(*learned[:2], settings["trees"]), ""
    else:
        model, chosen = _machine(*learned)

    def score(rows: np.ndarray) -> np.ndarray:
        if settings["kind"] == "forest":
            return model.predict_proba(rows[:, own])[:, 1]
        return model.decision_function(rows[:, own])

    rng = np.random.default_rng(settings["fold"])
    shuffled = [
        [score(_dealt_anew(every[tested], family, rng)) for family in handcrafted.FAMILIES]
        for _ in range(settings["repeats"])
    ]
    empty = (settings["repeats"], len(handcrafted.FAMILIES), int(tested.sum()))
    return {
        "rows": np.flatnonzero(tested),
        "raw": score(every[tested]),
        "chosen": np.array(chosen),
        "shuffled": np.array(shuffled).reshape(empty),
    }


def _dealt_anew(rows: np.ndarray, family: str, rng: np.random.Generator) -> np.ndarray:
    """Give each row the features that another one has of a family, all from the same one."""
    dealt = rows.copy()
    own = handcrafted.columns(family)
    dealt[:, own] = rows[rng.permutation(len(rows))][:, own]
    return dealt


def _forest(rows: np.ndarray, labels: np.ndarray, trees: int) -> RandomForestClassifier:
    forest = RandomForestClassifier(
        trees, min_samples_leaf=3, class_weight="balanced_subsample", random_state=0
    )
    return forest.fit(rows, labels)


def _machine(rows: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[Any, str]:
    """Fit a machine with the kernel, C and gamma that rank best in grouped inner folds."""
    fewest = min(len(set(groups[labels == value])) for value in (0, 1))
    if fewest < _INNER:
        raise RecipeError(
            f"A machine needs at least {_INNER} groups in each class for its inner folds. "
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
