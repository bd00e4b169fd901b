"""SVMs and forests on every concatenation of several networks' features.

The squared distance of two concatenated vectors is the sum of the squared distances of their
parts, and standardisation works column by column. So each network's distances are computed once
for each training part, and an SVM on any subset of the networks reads a sum of them: no
concatenated matrix is ever standardised or multiplied.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm.auto import tqdm

from thyro_demo.errors import RecipeError
from thyro_demo.models import heads
from thyro_demo.study.graph import Job, Values
from thyro_demo.study.steps.heads import Split, split
from thyro_demo.study.steps.networks import check_fold
from thyro_demo.training import out_of_fold

Subset = tuple[str, ...]
Features = Mapping[str, np.ndarray]

INNER_FOLDS = 6
"""Grouped folds of the training part, in which settings are chosen (P2)."""

COSTS = heads.COSTS["svm"]
WIDTHS = heads.WIDTHS
"""What an SVM chooses from: C, and gamma times the number of dimensions."""

LEAVES = (1, 3, 5)
"""Fewest frames of a leaf that a forest chooses from."""

TREES = 100


def subsets(names: Sequence[str], least: int = 2) -> list[Subset]:
    """List the subsets of networks, smaller ones first.

    Parameters
    ----------
    names : sequence of str
        The networks.
    least : int
        Networks of the smallest subset.

    Returns
    -------
    list of tuple of str
        In each the networks in the order of `names`. Of six networks there are 57 with two or
        more, and 63 in all.
    """
    sizes = range(least, len(names) + 1)
    return [chosen for size in sizes for chosen in combinations(names, size)]


class Found(NamedTuple):
    """What the heads on all subsets found, row k for subset k.

    Parameters
    ----------
    raw : ndarray of float64 (k, m)
        Decision values of SVMs, or mean votes of forests (0–1), on the tested rows.
    chosen : ndarray of float64 (k, s)
        The settings that were chosen: C and gamma of an SVM, fewest frames of a leaf.
    """

    raw: np.ndarray
    chosen: np.ndarray


def squared_distances(features: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Compute the squared distances of standardised feature vectors.

    Parameters
    ----------
    features : ndarray of float (n, d)
        Of one network.
    fitted : ndarray of int (k,)
        Rows that the mean and the standard deviation of each column come from.

    Returns
    -------
    ndarray of float64 (n, n)
        Squared distances ≥ 0; in float32 they would be off by 1e-5.
    """
    wide = np.asarray(features, np.float64)
    scaled = StandardScaler().fit(wide[fitted]).transform(wide)
    products = scaled @ scaled.T
    squares = np.diag(products)
    return np.maximum(squares[:, None] + squares - 2.0 * products, 0.0)


def svms(
    features: Features,
    split: Split,
    wanted: Sequence[Subset],
    costs: Sequence[float] = COSTS,
    widths: Sequence[float] = WIDTHS,
) -> Found:
    """Fit an SVM on each concatenation, C and gamma chosen in the inner folds, and score.

    The same as scikit-learn's `GridSearchCV` over `StandardScaler` and `SVC` on concatenated
    float64 matrices, scored by AUROC: the same decision values, and the same choice among
    settings that are equally good.

    Parameters
    ----------
    features : mapping of str to ndarray of float (n, d)
        By network.
    split : Split
        Rows and labels.
    wanted : sequence of tuple of str
        The subsets.
    costs : sequence of float
        Values of C.
    widths : sequence of float
        Values of gamma times the number of dimensions of the concatenation.

    Returns
    -------
    Found
        Decision values; in `chosen` C and gamma.
    """
    grids = [_grid(features, subset, costs, widths) for subset in wanted]
    # scikit-learn would look at every kernel for NaN, and at every setting for its type.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        best = [
            grid[_first_best(scores)]
            for grid, scores in zip(grids, _validated(features, split, wanted, grids), strict=True)
        ]
        rows = np.concatenate([split.learned, split.tested])
        fitted, held = np.split(np.arange(len(rows)), [len(split.learned)])
        parts = _distances(features, rows, fitted)
        raw = [
            _decisions(_summed(parts, subset), split.labels[rows], fitted, held, [setting])[0]
            for subset, setting in zip(wanted, best, strict=True)
        ]
    return Found(np.array(raw), np.array(best))


def _grid(
    features: Features, subset: Subset, costs: Sequence[float], widths: Sequence[float]
) -> list[tuple[float, float]]:
    """List C and gamma of a subset, in scikit-learn's order."""
    dims = sum(features[name].shape[1] for name in subset)
    return list(product(costs, [width / dims for width in widths]))


def _first_best(scores: np.ndarray) -> int:
    """Choose the setting (row) with the best mean over the folds, as `GridSearchCV` does."""
    return int(np.argmax(np.average(scores, axis=1)))


def _distances(features: Features, rows: np.ndarray, fitted: np.ndarray) -> dict[str, np.ndarray]:
    return {name: squared_distances(found[rows], fitted) for name, found in features.items()}


def _summed(parts: Features, subset: Subset) -> np.ndarray:
    return np.sum([parts[name] for name in subset], axis=0)


def _validated(
    features: Features,
    split: Split,
    wanted: Sequence[Subset],
    grids: Sequence[Sequence[tuple[float, float]]],
) -> np.ndarray:
    """Compute the AUROC of every subset, setting and inner fold, float64 (k, s, folds)."""
    labels = split.labels[split.learned]
    scores = np.zeros((len(wanted), len(grids[0]), len(split.inner)))
    with tqdm(total=len(wanted) * len(split.inner), desc="SVMs", leave=False) as bar:
        for fold, (fitted, held) in enumerate(split.inner):
            parts = _distances(features, split.learned, fitted)
            for place, subset in enumerate(wanted):
                values = _decisions(_summed(parts, subset), labels, fitted, held, grids[place])
                scores[place, :, fold] = [roc_auc_score(labels[held], one) for one in values]
                bar.update()
    return scores


def _decisions(
    distances: np.ndarray,
    labels: np.ndarray,
    fitted: np.ndarray,
    held: np.ndarray,
    settings: Sequence[tuple[float, float]],
) -> list[np.ndarray]:
    """Fit an SVM with each C and gamma, and return its decision values of the held rows."""
    within, across = distances[np.ix_(fitted, fitted)], distances[np.ix_(held, fitted)]
    kernels = {gamma: (np.exp(-gamma * within), np.exp(-gamma * across)) for _, gamma in settings}
    return [
        SVC(C=cost, kernel="precomputed")
        .fit(kernels[gamma][0], labels[fitted])
        .decision_function(kernels[gamma][1])
        for cost, gamma in settings
    ]


def forests(
    features: Features,
    split: Split,
    wanted: Sequence[Subset],
    leaves: Sequence[int] = LEAVES,
    trees: int = TREES,
) -> Found:
    """Fit a forest on each concatenation, its leaves chosen in the inner folds, and score rows.

    A node looks at log2(d) of the d columns, about as many as in the forests of Breiman (2001,
    section 5): where thousands of columns say much the same, the usual √d ask for several times
    the work. The fewest frames of a leaf are chosen once for all subsets, by the mean AUROC of
    the networks one by one; to choose anew for each subset would take 18 forests for every one
    that is used.

    Parameters
    ----------
    features : mapping of str to ndarray of float (n, d)
        By network.
    split : Split
        Rows and labels.
    wanted : sequence of tuple of str
        The subsets.
    leaves : sequence of int
        Values of the fewest frames of a leaf.
    trees : int
        Trees of a forest.

    Returns
    -------
    Found
        Mean votes; in `chosen` the fewest frames of a leaf.
    """
    labels = split.labels[split.learned]
    scores = np.zeros((len(leaves), len(features), len(split.inner)))
    with tqdm(total=scores.size + len(wanted), desc="Forests", leave=False) as bar:
        for place, network in enumerate(features.values()):
            rows = network[split.learned]
            for (row, leaf), (fold, inner) in product(enumerate(leaves), enumerate(split.inner)):
                fitted, held = inner
                votes = _votes(rows[fitted], labels[fitted], rows[held], leaf, trees)
                scores[row, place, fold] = roc_auc_score(labels[held], votes)
                bar.update()
        leaf = leaves[_first_best(scores.reshape(len(leaves), -1))]
        raw = []
        for subset in wanted:
            rows = np.concatenate([features[name] for name in subset], axis=1)
            raw.append(_votes(rows[split.learned], labels, rows[split.tested], leaf, trees))
            bar.update()
    return Found(np.array(raw), np.full((len(wanted), 1), float(leaf)))


def _votes(
    fitted: np.ndarray, labels: np.ndarray, held: np.ndarray, leaf: int, trees: int
) -> np.ndarray:
    forest = RandomForestClassifier(
        trees, min_samples_leaf=leaf, max_features="log2", class_weight="balanced_subsample",
        random_state=0,
    )  # fmt: skip
    # A tree reads column after column.
    forest.fit(np.asfortranarray(fitted, np.float32), labels)
    return forest.predict_proba(held)[:, 1]


def on_subsets(
    kind: str,
    read: Mapping[str, tuple[Job, str]],
    shown: Job,
    fold: int,
    least: int = 1,
    positive: str = out_of_fold.CLASSES[1],
    trees: int = TREES,
) -> Job:
    """Make the job of one kind of head on every subset of networks, in one fold.

    Parameters
    ----------
    kind : {"svm", "forest"}
        Of the heads.
    read : mapping of str to (Job, str)
        By name of the network: a job of features, and the tap of it.
    shown : Job
        From `networks.frames`.
    fold : int
        Tested; the others are learned from.
    least : int
        Networks of the smallest subset.
    positive : str
        The label that counts as positive.
    trees : int
        Trees of a forest.

    Returns
    -------
    Job
        Its value: `raw` float64 (k, m), scores before calibration of subset k on tested row m;
        `rows` int64 (m,); `chosen` float64 (k, s), see `Found`. Subsets are in the order of
        `subsets(list(read), least)`.

    Raises
    ------
    RecipeError
        If there is no such kind of head.
    LeakError
        If something below the features was trained on the tested rows.
    """
    if kind not in ("svm", "forest"):
        raise RecipeError(f"A head on concatenations must be svm or forest. Received: {kind!r}.")
    sources = list(dict.fromkeys(features for features, _ in read.values()))
    check_fold(sources, shown, fold)
    settings: dict[str, Any] = {
        "kind": kind,
        "read": {name: [sources.index(found), tap] for name, (found, tap) in read.items()},
        "order": list(read),
        "least": least,
        "fold": int(fold),
        "positive": positive,
    }
    if kind == "forest":
        settings["trees"] = trees
    title = f"{kind} on the subsets of {', '.join(read)}, fold {fold}"
    return Job(fit, settings, (shown, *sources), title)


def fit(settings: dict[str, Any], shown: Values, *sources: Values) -> Values:
    """Fit heads on every subset on all folds but one, and score that one; see `on_subsets`."""
    features = {
        name: sources[settings["read"][name][0]][settings["read"][name][1]]
        for name in settings["order"]
    }
    assigned = split(shown, settings["fold"], settings["positive"], INNER_FOLDS)
    wanted = subsets(settings["order"], settings["least"])
    if settings["kind"] == "svm":
        found = svms(features, assigned, wanted)
    else:
        found = forests(features, assigned, wanted, trees=settings["trees"])
    return {"raw": found.raw, "rows": assigned.tested, "chosen": found.chosen}
