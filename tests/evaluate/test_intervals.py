"""Intervals hold the truth as often as they promise, and know that frames are not patients."""

import math
from functools import partial

import numpy as np
import pytest
import sklearn.metrics

from thyro_demo.errors import DataError
from thyro_demo.evaluate import curves, intervals, metrics


def frames_of_patients(generator, patients=80, frames=1, shift=1.5):
    """Draw scores whose noise belongs to the patient; AUROC is Φ(shift / √2)."""
    labels = np.repeat(np.arange(patients) % 2 == 0, frames)
    noise = np.repeat(generator.normal(size=patients), frames)
    return labels, shift * labels + noise, np.repeat(np.arange(patients), frames)


def coverage(truth, found):
    return np.mean([interval.low <= truth <= interval.high for interval in found])


def test_the_interval_of_the_auroc_covers_its_truth():
    truth = 0.5 * (1 + math.erf(1.5 / 2))
    generator = np.random.default_rng(7)
    found = [
        intervals.group_bootstrap(metrics.auroc, *frames_of_patients(generator), resamples=400)
        for _ in range(200)
    ]
    assert 0.90 <= coverage(truth, found) <= 0.985


def test_resampling_frames_instead_of_patients_is_too_sure():
    truth = 0.5 * (1 + math.erf(1.5 / 2))
    generator = np.random.default_rng(8)
    by_group, by_frame = [], []
    for _ in range(100):
        labels, scores, groups = frames_of_patients(generator, frames=6)
        bootstrap = partial(intervals.group_bootstrap, metrics.auroc, labels, scores, resamples=300)
        by_group.append(bootstrap(groups=groups))
        by_frame.append(bootstrap(groups=np.arange(labels.size)))
    assert coverage(truth, by_group) >= 0.88
    assert coverage(truth, by_frame) <= 0.75


def test_a_statistic_without_weights_has_the_same_interval():
    labels, scores, groups = frames_of_patients(np.random.default_rng(1), patients=40, frames=2)
    fast = intervals.group_bootstrap(metrics.auroc, labels, scores, groups, resamples=50)
    slow = intervals.group_bootstrap(
        sklearn.metrics.roc_auc_score, labels, scores, groups, resamples=50
    )
    assert fast == pytest.approx(slow)


def test_the_same_seed_yields_the_same_interval_whatever_is_held_at_once(monkeypatch):
    data = frames_of_patients(np.random.default_rng(2))
    whole = intervals.group_bootstrap(metrics.auroc, *data, resamples=100, seed=3)
    monkeypatch.setattr(intervals, "_WEIGHTS_AT_ONCE", 700)
    assert intervals.group_bootstrap(metrics.auroc, *data, resamples=100, seed=3) == whole
    assert intervals.group_bootstrap(metrics.auroc, *data, resamples=100, seed=4) != whole


def test_the_names_and_order_of_groups_do_not_matter():
    labels, scores, groups = frames_of_patients(np.random.default_rng(3), patients=30, frames=2)
    names = np.array([f"case {group}" for group in groups])
    by_name = intervals.group_bootstrap(metrics.auroc, labels, scores, names, resamples=100)
    by_number = intervals.group_bootstrap(metrics.auroc, labels, scores, groups, resamples=100)
    assert by_name == by_number


def test_a_row_without_a_group_is_its_own_group():
    labels, scores, groups = frames_of_patients(np.random.default_rng(4), patients=30)
    unknown = np.full(30, np.nan)
    assert intervals.group_bootstrap(
        metrics.auroc, labels, scores, unknown, resamples=100
    ) == intervals.group_bootstrap(metrics.auroc, labels, scores, groups, resamples=100)


def test_one_group_shows_nothing_about_other_patients():
    found = intervals.group_bootstrap(metrics.auroc, [0, 1, 1], [0.1, 0.5, 0.9], ["a", "a", "a"])
    assert found.value == 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    _, low, high = intervals.roc_band([0, 1, 1], [0.1, 0.5, 0.9], ["a", "a", "a"], resamples=9)
    assert np.isnan([low, high]).all()


def test_one_class_leaves_the_interval_undefined():
    found = intervals.group_bootstrap(metrics.auroc, [1, 1], [0.1, 0.5], ["a", "b"])
    assert all(math.isnan(number) for number in found)


def test_a_model_does_not_differ_from_itself():
    labels, scores, groups = frames_of_patients(np.random.default_rng(5))
    found = intervals.paired_group_bootstrap(metrics.auroc, labels, scores, scores, groups)
    assert found == (0, 0, 0)


def test_pairing_narrows_the_interval_of_a_difference():
    generator = np.random.default_rng(6)
    labels, scores, groups = frames_of_patients(generator)
    nearly = scores + generator.normal(scale=0.1, size=scores.size)
    difference = intervals.paired_group_bootstrap(metrics.auroc, labels, scores, nearly, groups)
    alone = intervals.group_bootstrap(metrics.auroc, labels, scores, groups)
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)
    assert difference.value == metrics.auroc(labels, scores) - metrics.auroc(labels, nearly)
    assert difference.low <= difference.value <= difference.high


def test_the_band_of_a_roc_curve_holds_the_curve():
    labels, scores, groups = frames_of_patients(np.random.default_rng(9))
    rates, low, high = intervals.roc_band(labels, scores, groups, resamples=500)
    curve = curves.sensitivity_at(labels, scores, rates)
    assert ((low <= curve) & (curve <= high)).mean() > 0.95
    assert (high[-1], low[-1]) == (1, 1)


def test_every_row_needs_a_group_entry():
    with pytest.raises(DataError, match="Groups and scores must have the same length"):
        intervals.group_bootstrap(metrics.auroc, [0, 1], [0.1, 0.9], ["a"])
    with pytest.raises(DataError, match="same rows"):
        intervals.paired_group_bootstrap(metrics.auroc, [0, 1], [0.1, 0.9], [0.5], ["a", "b"])


def test_a_share_is_within_its_interval_and_the_exact_one_is_wider():
    for count in (3, 10):
        wilson, exact = (intervals.share(count, 20, method) for method in ("wilson", "exact"))
        assert wilson.value == exact.value == count / 20
        assert 0 < exact.low < wilson.low < wilson.value < wilson.high < exact.high < 1
    # Wilson's formula by hand: 5 of 20.
    z, p, n = 1.959964, 0.25, 20
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = intervals.share(5, 20)
    assert found.low == pytest.approx((middle - half) / (1 + z**2 / n), abs=1e-6)
    assert found.high == pytest.approx((middle + half) / (1 + z**2 / n), abs=1e-6)
