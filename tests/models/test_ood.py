"""Frames out of distribution are recognised."""

import numpy as np
import pytest

from thyro_demo.models import ood


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
    return ood.fit(cloud(600, 1), np.arange(600) // 2, ["scan"] * 600)


@pytest.mark.slow
def test_about_one_in_a_hundred_new_training_like_images_is_out_of_distribution(space, cloud):
    share = (ood.score(*space, cloud(4000, 2)) > 1).mean()
    assert share < 0.03


def test_images_from_elsewhere_are_out_of_distribution(space, cloud):
    rng = np.random.default_rng(5)
    assert (ood.score(*space, 6 * rng.normal(size=(200, 100))) > 1).all()
    assert (ood.score(*space, 8 * cloud(50, 3)) > 1).mean() > 0.9


def test_distance_is_about_one_for_training_images(space, cloud):
    distance = ood.distance(space[0]["scan"], cloud(600, 1))
    assert np.mean(distance**2) == pytest.approx(1, rel=0.1)


def test_the_limit_is_measured_on_groups_that_were_left_out():
    """Features that differ from group to group: only left out do they look far."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    features = 0.01 * rng.normal(size=(200, 60))
    features[np.arange(200), groups] += 5
    spaces, limits = ood.fit(features, groups, ["scan"] * 200)
    assert limits["scan"] > 2 * ood.distance(spaces["scan"], features).max()


def test_features_that_never_vary_have_finite_distances():
    features = np.zeros((60, 40))
    features[:, 0] = np.random.default_rng(0).normal(size=60)
    spaces, limits = ood.fit(features, np.arange(60), ["scan"] * 60)
    assert np.isfinite(limits["scan"])
    strange = np.zeros((1, 40))
    strange[0, 5] = 1.0
    assert 1 < ood.score(spaces, limits, strange)[0] < np.inf


def test_what_is_between_two_kinds_is_of_neither(cloud):
    """One Gaussian over both would be widest there."""
    here, there = cloud(200, 1) + 60, cloud(200, 2) - 60
    features = np.concatenate([here, there])
    kinds = ["phantom"] * 200 + ["ddti"] * 200
    between = cloud(50, 3)
    both = ood.fit(features, np.arange(400), kinds)
    one = ood.fit(features, np.arange(400), ["all"] * 400)
    assert (ood.score(*both, between) > 1).all()
    assert (ood.score(*one, between) <= 1).all()
    assert (ood.score(*both, cloud(50, 4) - 60) <= 1).mean() > 0.9


def test_a_kind_of_few_images_joins_the_largest(cloud):
    kinds = ["web"] * 100 + ["ddti"] * 10 + ["other"] * 60
    groups = np.concatenate([np.arange(110), np.repeat([200, 201], 30)])
    spaces, limits = ood.fit(cloud(170, 1), groups, kinds)
    assert list(spaces) == list(limits) == ["web"]
