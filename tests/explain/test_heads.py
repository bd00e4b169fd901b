"""The maps of the support vector machine and of the forest."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.errors import BundleError
from thyro_demo.explain.cam import grad_cam
from thyro_demo.explain.heads import forest_occlusion, heatmap, svm_gradient


def _training_rows(features=6):
    rng = np.random.default_rng(0)
    rows = rng.normal(3, 2, (80, features)) * np.arange(1, features + 1)
    labels = (rows[:, 0] - 0.2 * rows[:, 1] * rng.random(80) > 1).astype(int)
    return rows, labels


@pytest.fixture(params=[("linear", "scale"), ("rbf", "scale"), ("rbf", 0.3)], ids=str)
def machine(request):
    kernel, gamma = request.param
    pipeline = make_pipeline(StandardScaler(), SVC(kernel=kernel, gamma=gamma))
    return SimpleNamespace(pipeline=pipeline.fit(*_training_rows()))


def _finite_differences(function, row, step=1e-5):
    steps = step * np.eye(len(row))
    return (function(row + steps) - function(row - steps)) / (2 * step)


def test_svm_gradient_equals_finite_differences(machine):
    rows, _ = _training_rows()
    for row in rows[:5] + 0.1:
        np.testing.assert_allclose(
            svm_gradient(machine, row),
            _finite_differences(machine.pipeline.decision_function, row),
            atol=1e-7,
            rtol=1e-5,
        )


def test_a_step_along_the_gradient_raises_the_decision_value(machine):
    rows, _ = _training_rows()
    steps = svm_gradient(machine, rows)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    decide = machine.pipeline.decision_function
    assert (decide(rows + 1e-4 * steps) > decide(rows)).all()


def test_svm_gradient_of_a_batch_is_that_of_its_rows(machine):
    rows, _ = _training_rows()
    single = [svm_gradient(machine, row) for row in rows[:4]]
    np.testing.assert_allclose(svm_gradient(machine, rows[:4]), single, rtol=1e-12, atol=1e-15)


class _Scores:
    """A head that scores rows with a plain function and counts its calls."""

    def __init__(self, function):
        self.function = function
        self.calls = 0

    def scores(self, features):
        self.calls += 1
        return self.function(features)


@pytest.fixture(scope="module")
def forest():
    """Train a forest to look at the first of eight features alone."""
    rng = np.random.default_rng(0)
    rows = rng.random((300, 8), np.float32)
    model = RandomForestClassifier(40, max_features=None, random_state=0)
    model.fit(rows, rows[:, 0] > 0.3)
    return _Scores(lambda features: model.predict_proba(features)[:, 1])


def test_the_forest_points_at_the_one_cell_it_depends_on(forest):
    feature_map = np.full((4, 5, 8), 0.1, np.float32)
    feature_map[2, 3, 0] = 9.0
    feature_map[0, 1, 1] = 9.0
    heatmap = forest_occlusion(forest, feature_map)
    assert heatmap.dtype == np.float32
    assert heatmap[2, 3] == 1.0
    assert np.count_nonzero(heatmap) == 1


def test_the_forest_is_asked_once(forest):
    forest.calls = 0
    forest_occlusion(forest, np.random.default_rng(0).random((7, 7, 8), np.float32))
    assert forest.calls == 1


def test_a_constant_map_holds_no_evidence(forest):
    np.testing.assert_array_equal(forest_occlusion(forest, np.full((3, 3, 8), 0.7)), 0)


def test_a_single_cell_has_no_others_to_compare_with(forest):
    np.testing.assert_array_equal(forest_occlusion(forest, np.ones((1, 1, 8))), [[0]])


def test_the_shortcut_for_the_global_average_equals_real_occlusion():
    head = _Scores(lambda features: 1 / (1 + np.exp(-(features**2).sum(axis=1))))
    feature_map = np.random.default_rng(2).standard_normal((3, 4, 5), np.float32)
    np.testing.assert_allclose(
        forest_occlusion(head, feature_map),
        forest_occlusion(head, feature_map, pool=lambda maps: maps.mean(axis=(1, 2))),
        atol=1e-5,
    )


def test_occlusion_by_hand():
    # The score is the mean, 4.5. Without 6 it is 4, without 9 it is 3; without 1 or 2 it rises.
    head = _Scores(lambda features: features[:, 0])
    feature_map = np.array([[[1.0], [2.0]], [[6.0], [9.0]]], np.float32)
    np.testing.assert_allclose(forest_occlusion(head, feature_map), [[0, 0], [1 / 3, 1]])


def test_flattened_features_are_occluded_in_place():
    head = _Scores(lambda features: features[:, 3])
    feature_map = np.array([[[0.0], [0.0]], [[0.0], [1.0]]], np.float32)
    heatmap = forest_occlusion(head, feature_map, pool=lambda maps: maps.reshape(len(maps), -1))
    np.testing.assert_array_equal(heatmap, [[0, 0], [0, 1]])


@pytest.fixture(scope="module")
def read(tiny_weights, spotted_frames):
    """Load the tiny bundle and run it over four frames."""
    from thyro_demo.models import bundle

    tiny = bundle.load(tiny_weights / "tiny")
    return tiny, tiny.forward(spotted_frames[0][:4].astype(np.float32))


def test_the_svm_map_of_a_network_is_grad_cam_over_finite_differences(read):
    tiny, forward = read
    for row, feature_map in enumerate(forward.feature_map):

        def decide(maps, shape=feature_map.shape):
            features = maps.reshape(-1, *shape).mean(axis=(1, 2))
            return tiny.heads["svm"].pipeline.decision_function(features)

        gradient = _finite_differences(decide, feature_map.ravel().astype(np.float64), 1e-3)
        np.testing.assert_allclose(
            heatmap(tiny, [forward], "svm", row),
            grad_cam(feature_map, gradient.reshape(feature_map.shape)),
            atol=1e-3,
        )


@pytest.mark.parametrize("head", ["softmax", "svm", "forest"])
def test_each_head_of_a_network_draws_its_own_map(read, head):
    tiny, forward = read
    drawn = heatmap(tiny, [forward], head, row=1)
    assert drawn.shape == forward.feature_map.shape[1:3]
    assert drawn.max() == 1
    others = {"softmax", "svm", "forest"} - {head}
    assert not any(np.allclose(drawn, heatmap(tiny, [forward], other, row=1)) for other in others)


def test_the_map_of_an_image_does_not_depend_on_its_batch(read):
    tiny, forward = read
    parts = {name: part[2:3] for name, part in vars(forward).items() if part is not None}
    alone = type(forward)(**parts)
    for head in ("softmax", "svm", "forest"):
        np.testing.assert_allclose(
            heatmap(tiny, [alone], head), heatmap(tiny, [forward], head, row=2), atol=1e-6
        )


def test_a_kernel_without_known_gradient_is_refused_in_one_sentence():
    rows, labels = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    machine = make_pipeline(StandardScaler(), SVC(kernel="poly")).fit(rows, labels)
    with pytest.raises(BundleError, match=r"Received: 'poly'\.$"):
        svm_gradient(SimpleNamespace(pipeline=machine), rows[0])
