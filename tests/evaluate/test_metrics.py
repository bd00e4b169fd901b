"""Metrics agree with scikit-learn where it defines them, and are NaN where nothing does."""

import math

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from thyro_demo.errors import DataError
from thyro_demo.evaluate import curves, metrics, operating_points

# Few distinct values, so that ties within and between the classes are the rule.
TIED = st.integers(0, 8).map(lambda eighth: eighth / 8)
SCORES = st.one_of(TIED, st.floats(0, 1))


@st.composite
def labelled_scores(draw, both_classes=True):
    rows = draw(st.lists(st.tuples(st.booleans(), SCORES), min_size=2, max_size=40))
    labels = np.array([label for label, _ in rows])
    if both_classes:
        labels[:2] = (True, False)
    return labels, np.array([score for _, score in rows])


@given(labelled_scores())
def test_ranking_metrics_agree_with_scikit_learn(data):
    labels, scores = data
    assert metrics.auroc(labels, scores) == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, scores), abs=1e-12
    )
    assert metrics.average_precision(labels, scores) == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-12
    )


@given(labelled_scores(), SCORES)
def test_metrics_at_a_threshold_agree_with_scikit_learn(data, threshold):
    labels, scores = data
    called = scores >= threshold
    (tn, fp), (fn, tp) = sklearn.metrics.confusion_matrix(labels, called)
    expected = {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
    assert metrics.confusion(labels, scores, threshold) == expected
    assert metrics.accuracy(labels, scores, threshold) == pytest.approx(
        sklearn.metrics.accuracy_score(labels, called)
    )
    assert metrics.sensitivity(labels, scores, threshold) == pytest.approx(
        sklearn.metrics.recall_score(labels, called)
    )
    assert metrics.specificity(labels, scores, threshold) == pytest.approx(
        sklearn.metrics.recall_score(labels, called, pos_label=False)
    )
    assert metrics.f1(labels, scores, threshold) == pytest.approx(
        sklearn.metrics.f1_score(labels, called)
    )


@given(labelled_scores())
def test_curves_agree_with_scikit_learn(data):
    labels, scores = data
    roc = curves.roc_points(labels, scores)
    fpr, tpr, thresholds = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc.false_positive_rate, fpr)
    np.testing.assert_allclose(roc.true_positive_rate, tpr)
    np.testing.assert_array_equal(roc.thresholds, thresholds)
    pr = curves.pr_points(labels, scores)
    precision, recall, thresholds = sklearn.metrics.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(pr.precision, precision[::-1])
    np.testing.assert_allclose(pr.recall, recall[::-1])
    np.testing.assert_array_equal(pr.thresholds[1:], thresholds[::-1])


@given(labelled_scores())
def test_calibration_agrees_with_scikit_learn(data):
    labels, scores = data
    assert metrics.brier(labels, scores) == pytest.approx(
        sklearn.metrics.brier_score_loss(labels, scores)
    )
    bins = curves.calibration_bins(labels, scores)
    observed, mean_score = sklearn.calibration.calibration_curve(labels, scores, n_bins=10)
    filled = bins.rows > 0
    np.testing.assert_allclose(bins.observed[filled], observed)
    np.testing.assert_allclose(bins.score[filled], mean_score)
    assert np.isnan(bins.observed[~filled]).all()
    gaps = np.abs(observed - mean_score) * bins.rows[filled]
    assert metrics.expected_calibration_error(labels, scores) == pytest.approx(
        gaps.sum() / labels.size
    )


@given(labelled_scores(both_classes=False), st.data())
def test_weights_count_rows(data, choice):
    labels, scores = data
    times = choice.draw(st.lists(st.integers(0, 3), min_size=labels.size, max_size=labels.size))
    again = np.repeat(np.arange(labels.size), times)
    weights = np.array([times, np.ones_like(times)])
    for figure, *at in (
        (metrics.auroc,),
        (metrics.average_precision,),
        (metrics.brier,),
        (metrics.expected_calibration_error,),
        (metrics.accuracy, 0.5),
        (metrics.sensitivity, 0.5),
        (metrics.specificity, 0.5),
        (metrics.f1, 0.5),
        (curves.sensitivity_at, (0.0, 0.3, 1.0)),
    ):
        repeated, once = figure(labels, scores, *at, weights=weights)
        np.testing.assert_allclose(repeated, figure(labels[again], scores[again], *at))
        np.testing.assert_allclose(once, figure(labels, scores, *at))


@given(labelled_scores())
def test_auroc_of_swapped_classes_mirrors(data):
    labels, scores = data
    mirrored = metrics.auroc(~labels, scores)
    assert metrics.auroc(labels, scores) + mirrored == pytest.approx(1)


@given(st.floats(0, 1), st.integers(1, 10), st.integers(1, 10))
def test_constant_scores_rank_like_guessing(score, positives, negatives):
    labels = np.arange(positives + negatives) < positives
    assert metrics.auroc(labels, np.full(labels.size, score)) == 0.5


@given(labelled_scores())
def test_youden_threshold_has_the_best_index_of_all(data):
    labels, scores = data

    def index(at):
        return metrics.sensitivity(labels, scores, at) + metrics.specificity(labels, scores, at)

    chosen = index(operating_points.youden(labels, scores))
    assert chosen == pytest.approx(max(index(at) for at in scores))


def test_of_two_equal_indices_youden_takes_the_higher_sensitivity():
    assert operating_points.youden([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]) == pytest.approx(0.65)


@given(labelled_scores(), st.floats(0.05, 1))
def test_sensitivity_threshold_is_the_largest_that_reaches_the_target(data, target):
    labels, scores = data
    threshold = operating_points.at_sensitivity(labels, scores, target)
    assert metrics.sensitivity(labels, scores, threshold) >= target
    assert metrics.sensitivity(labels, scores, np.nextafter(threshold, 2)) < target


def test_sens95_of_twenty_positives_may_miss_one():
    scores = np.arange(1, 21) / 20
    assert operating_points.at_sensitivity(np.ones(20), scores) == scores[1]


def test_a_perfect_classifier_is_perfect():
    labels = np.array([0, 0, 0, 1, 1])
    scores = np.array([0.0, 0.1, 0.2, 0.8, 1.0])
    threshold = operating_points.youden(labels, scores)
    assert threshold == pytest.approx(0.5)
    assert metrics.auroc(labels, scores) == 1
    assert metrics.average_precision(labels, scores) == 1
    assert metrics.sensitivity(labels, scores, threshold) == 1
    assert metrics.specificity(labels, scores, threshold) == 1
    assert metrics.f1(labels, scores, threshold) == 1


@pytest.mark.parametrize("label", [True, False])
def test_one_class_leaves_rankings_undefined_without_a_warning(label):
    labels, scores = np.full(3, label), np.array([0.2, 0.4, 0.4])
    assert math.isnan(metrics.auroc(labels, scores))
    assert math.isnan(metrics.average_precision(labels, scores))
    assert math.isnan(operating_points.youden(labels, scores))
    assert math.isnan(metrics.sensitivity(labels, scores, 0.3)) is not label
    assert math.isnan(metrics.specificity(labels, scores, 0.3)) is label
    assert math.isnan(operating_points.at_sensitivity(labels, scores)) is not label
    assert np.isnan(curves.roc_points(labels, scores)[0 if label else 1]).all()


def test_no_rows_leave_everything_undefined_without_a_warning():
    for figure in (
        metrics.mean,
        metrics.auroc,
        metrics.brier,
        metrics.expected_calibration_error,
    ):
        assert math.isnan(figure([], []))
    assert math.isnan(metrics.accuracy([], [], 0.5))


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([0, 1], [0.5]),
        ([0, 2], [0.5, 0.6]),
        (["benign", "malignant"], [0.5, 0.6]),
        ([0, 1], [0.5, float("nan")]),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(labels, scores):
    with pytest.raises(DataError, match="Received: "):
        metrics.auroc(labels, scores)


@pytest.mark.parametrize(
    ("labels", "values", "weights"),
    [([0], [0.5, 0.6], None), ([0, 0], [[0.5, 0.6]], None), ([0, 0], [0.5, 0.6], [[1, 1, 1]])],
)
def test_a_mean_is_taken_of_arrays_that_belong_together(labels, values, weights):
    with pytest.raises(DataError, match="Received: shape"):
        metrics.mean(labels, values, weights)


def test_a_mean_over_resamples_counts_each_row_as_often_as_it_was_drawn():
    means = metrics.mean(["a", "b"], [1.0, 4.0], [[1, 1], [2, 1], [0, 0]])
    np.testing.assert_array_equal(means, [2.5, 2.0, np.nan])


def test_calibration_refuses_scores_that_are_no_probabilities():
    with pytest.raises(DataError, match="probability from 0 to 1"):
        metrics.brier([0, 1], [-0.5, 2.0])
