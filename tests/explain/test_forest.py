"""The map of a forest shows the cells whose loss lowers its score."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from thyro_demo.explain.forest import forest_occlusion


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
