"""Frames like those of the training are told from frames unlike any of them."""

import numpy as np
import pytest

from thyro_demo.models import familiarity


@pytest.fixture(scope="module")
def cloud():
    """Draw features that vary along 20 of 100 directions, with a little noise in all."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(20, 100))

    def draw(count, seed):
        own = np.random.default_rng(seed)
        return own.normal(size=(count, 20)) @ mixing + 0.3 * own.normal(size=(count, 100))

    return draw


@pytest.fixture(scope="module")
def space(cloud):
    return familiarity.fit(cloud(600, 1), np.arange(600) // 2)


def test_about_one_in_a_hundred_new_training_like_images_is_unlike(space, cloud):
    pipeline, limit = space
    share = (familiarity.distance(pipeline, cloud(4000, 2)) > limit).mean()
    assert share < 0.03


def test_images_from_elsewhere_are_unlike(space, cloud):
    pipeline, limit = space
    rng = np.random.default_rng(5)
    assert (familiarity.distance(pipeline, 6 * rng.normal(size=(200, 100))) > limit).all()
    assert (familiarity.distance(pipeline, 8 * cloud(50, 3)) > limit).mean() > 0.9


def test_distance_is_about_one_for_training_images(space, cloud):
    assert np.mean(familiarity.distance(space[0], cloud(600, 1)) ** 2) == pytest.approx(1, rel=0.1)


def test_the_limit_is_measured_on_groups_that_were_left_out():
    """Features that tell each group from all others: only left out do they look far."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    features = 0.01 * rng.normal(size=(200, 60))
    features[np.arange(200), groups] += 5
    pipeline, limit = familiarity.fit(features, groups)
    fitted = familiarity.distance(pipeline, features)
    assert limit > 2 * fitted.max()


def test_features_that_never_vary_give_finite_distances():
    features = np.zeros((60, 40))
    features[:, 0] = np.random.default_rng(0).normal(size=60)
    pipeline, limit = familiarity.fit(features, np.arange(60))
    assert np.isfinite(limit)
    strange = np.zeros((1, 40))
    strange[0, 5] = 1.0
    assert limit < familiarity.distance(pipeline, strange)[0] < np.inf
