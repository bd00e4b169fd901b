"""Heads on concatenations: the same as scikit-learn's on the matrix, and no row helps itself."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import LeakError, RecipeError
from thyro_demo.study import graph
from thyro_demo.study.steps import subsets as module
from thyro_demo.study.steps.heads import Split
from thyro_demo.study.steps.networks import fine_tune
from thyro_demo.study.steps.subsets import forests, subsets, svms

DIMS = {"a": 30, "b": 20, "c": 7}


def drawn(skill: float, seed: int = 0) -> tuple[dict[str, np.ndarray], Split, np.ndarray]:
    """Draw features of 60 groups of two frames, in folds; return them, a split and groups."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), 2)
    labels = groups % 2
    features = {}
    for name, dims in DIMS.items():
        mixed = rng.normal(size=(120, dims)) + skill * labels[:, None]
        features[name] = np.maximum(mixed, 0) * rng.uniform(0.1, 50, dims)
    # A filter that answers to nothing but one tested frame.
    learned, tested = grouped_folds(labels, groups, 4, seed=1)[0]
    features["a"][:, 0] = 0.0
    features["a"][tested[0], 0] = 3.0
    inner = grouped_folds(labels[learned], groups[learned], 3, seed=0)
    return features, Split(labels, learned, tested, inner), groups


def searched(features: dict[str, np.ndarray], split: Split, subset) -> tuple[np.ndarray, dict]:
    """Return decision values and settings of scikit-learn's search on the concatenated matrix."""
    rows = np.concatenate([features[name] for name in subset], axis=1)
    grid = {
        "svc__C": module.COSTS,
        "svc__gamma": [width / rows.shape[1] for width in module.WIDTHS],
    }
    model = make_pipeline(StandardScaler(), SVC())
    search = GridSearchCV(model, grid, scoring="roc_auc", cv=split.inner)
    search.fit(rows[split.learned], split.labels[split.learned])
    return search.decision_function(rows[split.tested]), search.best_params_


def test_six_networks_have_57_concatenations_and_63_ensembles():
    names = list("AOVWRI")
    assert len(subsets(names)) == len(set(subsets(names))) == 57
    assert len(subsets(names, least=1)) == 63
    assert subsets("abc") == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]


def test_distances_are_those_of_standardised_vectors():
    features, split, _ = drawn(0.5)
    scaled = StandardScaler().fit(features["a"][split.learned]).transform(features["a"])
    found = module.squared_distances(features["a"].astype(np.float32), split.learned)
    np.testing.assert_allclose(found, cdist(scaled, scaled, "sqeuclidean"), rtol=1e-5, atol=1e-9)
    assert found.dtype == np.float64
    assert found.min() == 0


@pytest.mark.parametrize(("skill", "seed"), [(0.3, 0), (0.0, 1)])
def test_svms_are_those_of_a_grid_search_on_the_concatenated_matrix(skill, seed):
    features, split, _ = drawn(skill, seed)
    wanted = [("a",), ("b", "c"), ("a", "b", "c")]
    found = svms(features, split, wanted)
    for subset, raw, chosen in zip(wanted, found.raw, found.chosen, strict=True):
        values, settings = searched(features, split, subset)
        np.testing.assert_allclose(raw, values, rtol=0, atol=1e-6)
        assert tuple(chosen) == (settings["svc__C"], settings["svc__gamma"])


def test_among_equally_good_settings_the_choice_is_that_of_the_grid_search():
    # Every setting parts the classes without an error.
    features, split, _ = drawn(6.0)
    found = svms(features, split, [("b", "c")])
    values, settings = searched(features, split, ("b", "c"))
    assert tuple(found.chosen[0]) == (settings["svc__C"], settings["svc__gamma"])
    assert found.chosen[0, 0] == module.COSTS[0]
    np.testing.assert_allclose(found.raw[0], values, rtol=0, atol=1e-6)


def test_a_forest_is_that_of_the_concatenated_matrix_with_the_best_leaf_of_the_networks():
    features, split, _ = drawn(0.3)
    leaves = (1, 25)
    found = forests(features, split, [("a", "c")], leaves=leaves, trees=7)
    labels = split.labels[split.learned]

    def votes(rows, labels, held, leaf):
        forest = RandomForestClassifier(
            7, min_samples_leaf=leaf, max_features="log2", class_weight="balanced_subsample",
            random_state=0,
        )  # fmt: skip
        return forest.fit(rows, labels).predict_proba(held)[:, 1]

    means = [
        np.mean(
            [
                roc_auc_score(labels[held], votes(rows[fitted], labels[fitted], rows[held], leaf))
                for rows in (features[name][split.learned] for name in features)
                for fitted, held in split.inner
            ]
        )
        for leaf in leaves
    ]
    best = leaves[int(np.argmax(means))]
    assert found.chosen.tolist() == [[best]]
    joined = np.concatenate([features["a"], features["c"]], axis=1)
    expected = votes(joined[split.learned], labels, joined[split.tested], best)
    np.testing.assert_allclose(found.raw[0], expected, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("head", [svms, forests])
def test_shuffled_labels_leave_nothing_to_find(head):
    wanted = [("a", "b", "c")]
    options = {"trees": 10, "leaves": (3,)} if head is forests else {}
    reached = {}
    for shuffled in (False, True):
        areas = []
        for seed in range(4):
            features, split, groups = drawn(0.5, seed)
            if shuffled:
                mixed = np.random.default_rng(seed).permutation(np.arange(60) % 2)
                split = split._replace(labels=mixed[groups])
            raw = head(features, split, wanted, **options).raw[0]
            areas.append(roc_auc_score(split.labels[split.tested], raw))
        reached[shuffled] = np.mean(areas)
    assert reached[False] > 0.8
    assert abs(reached[True] - 0.5) < 0.2


@pytest.fixture
def frames() -> dict[str, np.ndarray]:
    features, _, groups = drawn(0.3)
    fold = np.zeros(len(groups), np.int64)
    label = np.where(groups % 2, "malignant", "benign")
    for number, (_, tested) in enumerate(grouped_folds(groups % 2, groups, 3, seed=0)):
        fold[tested] = number
    return {"label": label, "group": groups.astype(str), "fold": fold, **features}


def jobs_of(frames: dict[str, np.ndarray], kind: str, fold: int, trees: int = 5) -> graph.Job:
    shown = graph.leaf("frames", **{name: frames[name] for name in ("label", "group", "fold")})
    read = {
        name: (graph.leaf(name, avg=frames[name].astype(np.float32)), "avg") for name in ("a", "b")
    }
    return module.on_subsets(kind, read, shown, fold, trees=trees)


@pytest.mark.parametrize("kind", ["svm", pytest.param("forest", marks=pytest.mark.slow)])
def test_what_a_tested_frame_is_called_never_reaches_its_score(frames, kind, tmp_path):
    job = jobs_of(frames, kind, 1)
    renamed = dict(frames, label=frames["label"].copy())
    tested = frames["fold"] == 1
    renamed["label"][tested] = np.where(frames["label"][tested] == "benign", "malignant", "benign")
    other = jobs_of(renamed, kind, 1)
    found = graph.run([job, other], tmp_path, workers=0)
    assert found.failures == {}
    assert job.key != other.key
    np.testing.assert_array_equal(found[job]["rows"], np.flatnonzero(tested))
    np.testing.assert_array_equal(found[job]["raw"], found[other]["raw"])
    assert found[job]["raw"].shape == (3, tested.sum())


def test_no_group_crosses_a_fold_in_which_settings_are_chosen(frames, tmp_path, monkeypatch):
    noted = []

    def noting(features, split, wanted):
        noted.append(split)
        return svms(features, split, wanted)

    monkeypatch.setattr(module, "svms", noting)
    graph.run([jobs_of(frames, "svm", 0)], tmp_path, workers=0)
    (split,) = noted
    groups = frames["group"]
    assert not set(groups[split.learned]) & set(groups[split.tested])
    assert len(split.inner) == 6
    for fitted, held in split.inner:
        assert not set(groups[split.learned[fitted]]) & set(groups[split.learned[held]])
    together = np.concatenate([held for _, held in split.inner])
    assert sorted(together) == list(range(len(split.learned)))


def test_features_of_a_network_that_was_fine_tuned_on_the_tested_frames_are_refused(frames):
    shown = graph.leaf("frames", fold=frames["fold"])
    tuned = graph.Job(fine_tune, {"fold": 2})
    with pytest.raises(LeakError, match="Received: fold 1 on"):
        module.on_subsets("svm", {"a": (tuned, "fc1")}, shown, 1)
    assert module.on_subsets("svm", {"a": (tuned, "fc1")}, shown, 2).settings["fold"] == 2
    with pytest.raises(RecipeError, match="Received: 'boosting'"):
        module.on_subsets("boosting", {}, shown, 0)


def test_more_trees_are_another_job_and_an_svm_has_none(frames):
    few, more = jobs_of(frames, "forest", 0, trees=5), jobs_of(frames, "forest", 0, trees=6)
    assert few.key != more.key
    assert jobs_of(frames, "svm", 0, 5).key == jobs_of(frames, "svm", 0, 6).key
