"""What SVMs on every concatenation of six networks cost beside scikit-learn's grid search.

`subsets.svms` computes each network's distances once and adds them up. The peer, as
most would write it, passes `GridSearchCV` the concatenated matrix of each subset.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm.auto import tqdm

from thyro_demo.bench.clock import Entrant, race
from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.data.splits import grouped_folds
from thyro_demo.study.steps.heads import Split
from thyro_demo.study.steps.subsets import (
    COSTS,
    INNER_FOLDS,
    WIDTHS,
    Found,
    Subset,
    subsets,
    svms,
)

TARGET = 50.0
CLOSENESS = 1e-6
OUTER_FOLDS = 5


def run(
    images: int = 638,
    dims: Sequence[int] = (4096, 4096, 4096, 4096, 2048, 2048),
    peer_subsets: int = 2,
    rounds: int = 1,
) -> Outcome:
    """Fit SVMs on the concatenations of one outer fold both ways.

    Parameters
    ----------
    images : int
        Images, a fifth of them tested; their features are drawn.
    dims : sequence of int
        Features of each network: four fully connected layers and two average pools in P2.
    peer_subsets : int
        Subsets that scikit-learn really fits, spread over the sizes. Time goes with the
        columns, so the others count by theirs.
    rounds : int
        Repetitions of both sides, in turns.

    Returns
    -------
    Outcome
        Seconds of both sides for all subsets, and the largest difference of their decision
        values on the tested images.
    """
    features, split = _drawn(images, dims)
    wanted = subsets(list(features))
    sample = _spread(wanted, features, peer_subsets)
    ours: list[Found] = []
    theirs: list[np.ndarray] = []
    seconds = race(
        [
            Entrant("ours", lambda _: ours.append(svms(features, split, wanted))),
            Entrant("peer", lambda _: theirs.append(_searched(features, split, sample))),
        ],
        rounds,
        0,
        "Concatenating both ways",
    )
    share = _columns(features, wanted) / _columns(features, sample)
    places = [wanted.index(subset) for subset in sample]
    apart = float(np.abs(ours[-1].raw[places] - theirs[-1]).max())
    settings = {
        "images": images,
        "features of each network": list(dims),
        "subsets": len(wanted),
        "of them fitted by the peer": len(sample),
        "inner folds": INNER_FOLDS,
        "C": list(COSTS),
        "gamma × dimensions": list(WIDTHS),
        "rounds": rounds,
    }
    figures = _figures(len(wanted), len(sample), seconds["ours"], share * seconds["peer"], apart)
    return Outcome("concat", figures, settings=settings)


def _figures(count: int, fitted: int, ours: float, peer: float, apart: float) -> list[Figure]:
    peer_name = "GridSearchCV over StandardScaler and SVC on the concatenated matrices"
    rest = f"; {fitted} of {count} subsets measured, the others extrapolated by their columns"
    speed = Figure(
        f"SVMs on {count} concatenations, one outer fold",
        ours=ours,
        unit="s",
        value=peer / ours,
        bound=TARGET,
        target=f"≥ {TARGET:.0f} ×",
        at_least=True,
        peer=peer,
        peer_name=peer_name + (rest if fitted < count else ""),
        ratio=peer / ours,
    )
    closeness = Figure(
        "largest difference of a decision value from the peer's",
        ours=apart / CLOSENESS,
        unit="millionths",
        value=apart,
        bound=CLOSENESS,
        target="≤ 1 millionth",
    )
    return [speed, closeness]


def _drawn(images: int, dims: Sequence[int]) -> tuple[dict[str, np.ndarray], Split]:
    """Draw features that share a few causes, cut off at zero as after a ReLU; two a group."""
    rng = np.random.default_rng(0)
    groups = np.arange(images) // 2
    labels = groups % 2
    causes = rng.normal(size=(images, 16)) + 0.4 * labels[:, None]
    features = {}
    for place, count in enumerate(dims, start=1):
        mixed = causes @ rng.normal(size=(16, count)) + 3.0 * rng.normal(size=(images, count))
        features[f"network {place}"] = np.maximum(mixed, 0.0)
    learned, tested = grouped_folds(labels, groups, OUTER_FOLDS, seed=0)[0]
    inner = grouped_folds(labels[learned], groups[learned], INNER_FOLDS, seed=0)
    return features, Split(labels, learned, tested, inner)


def _spread(wanted: Sequence[Subset], features: dict[str, np.ndarray], count: int) -> list[Subset]:
    """Choose subsets from the middle of equal parts of all, ordered by their columns."""
    ordered = sorted(wanted, key=lambda subset: _columns(features, [subset]))
    parts = np.array_split(np.arange(len(ordered)), min(count, len(ordered)))
    return [ordered[part[len(part) // 2]] for part in parts]


def _columns(features: dict[str, np.ndarray], chosen: Sequence[Subset]) -> int:
    return sum(features[name].shape[1] for subset in chosen for name in subset)


def _searched(
    features: dict[str, np.ndarray], split: Split, sample: Sequence[Subset]
) -> np.ndarray:
    """Return the decision values of scikit-learn on each subset, float64 (k, m)."""
    found = []
    for subset in tqdm(sample, "GridSearchCV", unit="subset", leave=False):
        rows = np.concatenate([features[name] for name in subset], axis=1)
        gammas = [width / rows.shape[1] for width in WIDTHS]
        search = GridSearchCV(
            make_pipeline(StandardScaler(), SVC()),
            {"svc__C": COSTS, "svc__gamma": gammas},
            scoring="roc_auc",
            cv=split.inner,
        )
        search.fit(rows[split.learned], split.labels[split.learned])
        found.append(search.decision_function(rows[split.tested]))
    return np.array(found)
