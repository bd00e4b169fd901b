"""Heads score as scikit-learn does, and keep groups whole."""

import copy

import numpy as np
import pytest
from scipy.special import expit

from thyro_demo.errors import RecipeError
from thyro_demo.models import heads
from thyro_demo.models.heads import KINDS, CalibratedHead

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_the_fast_score_is_that_of_scikit_learn(kind, fitted, vectors):
    head, rows = CalibratedHead(fitted[kind]), vectors[0]
    expected = fitted[kind].predict_proba(rows.astype(float))[:, 1]
    np.testing.assert_allclose(head.scores(rows), expected, atol=1e-12)
    alone = np.concatenate([head.scores(row[None]) for row in rows[:5]])
    np.testing.assert_allclose(alone, head.scores(rows[:5]), atol=1e-12)


@every_kind
def test_the_raw_score_rises_with_the_calibrated_one(kind, fitted, vectors):
    head = CalibratedHead(fitted[kind])
    assert head.kind == ("forest" if kind == "forest" else "svm")
    order = np.argsort(head.raw(vectors[0]))
    assert (np.diff(head.scores(vectors[0])[order]) >= 0).all()


@every_kind
def test_a_head_without_calibration_has_the_same_raw_scores(kind, vectors):
    features, labels, _ = vectors
    weights = np.linspace(0.5, 2.0, len(labels))
    for given in (None, weights):
        whole = CalibratedHead(heads.fit(kind, *vectors, weights=given))
        alone = heads.fit_uncalibrated(kind, *vectors, weights=given)
        np.testing.assert_array_equal(heads.raw(alone, features), whole.raw(features))


def test_a_forest_votes_between_zero_and_one_with_200_trees_or_more(fitted, vectors):
    votes = CalibratedHead(fitted["forest"]).raw(vectors[0])
    assert 0 <= votes.min() <= votes.max() <= 1
    grown = heads.fit("forest", *vectors, folds=2)
    assert len(CalibratedHead(grown).forest.estimators_) >= 200


@every_kind
def test_far_vectors_get_probabilities_without_overflow(kind, fitted):
    far = np.full((1, 8), 1e6, np.float32)
    for rows in (far, -far):
        (score,) = CalibratedHead(fitted[kind]).scores(rows)
        assert 0 <= score <= 1


@every_kind
def test_inner_folds_never_split_a_group(kind, vectors, monkeypatch):
    features, labels, groups = vectors
    seen = []

    def spy(original):
        def make(*args, cv, **settings):
            seen.append(cv)
            return original(*args, cv=cv, **settings)

        return make

    for name in ("GridSearchCV", "CalibratedClassifierCV"):
        monkeypatch.setattr(heads, name, spy(getattr(heads, name)))
    monkeypatch.setattr(heads, "TREES", 5)
    heads.fit(kind, features, labels, groups)
    assert len(seen) == (1 if kind == "forest" else 2)
    for folds in seen:
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(labels)))
        for training, test in folds:
            assert not set(groups[training]) & set(groups[test])
            assert set(labels[training]) == {0, 1}


def test_the_same_seed_grows_the_same_forest(vectors, monkeypatch):
    monkeypatch.setattr(heads, "TREES", 10)
    first, second, other = (
        CalibratedHead(heads.fit("forest", *vectors, seed=seed)).scores(vectors[0])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@every_kind
def test_heads_learn_what_can_be_learned(kind, fitted, vectors):
    scores = CalibratedHead(fitted[kind]).scores(vectors[0])
    assert scores[vectors[1] == 1].mean() > scores[vectors[1] == 0].mean() + 0.2


@every_kind
def test_too_few_groups_are_refused_in_a_sentence(kind, vectors):
    features, labels, groups = vectors
    with pytest.raises(RecipeError, match=r"at least 5 groups in each class.*Received: 4\.$"):
        heads.fit(kind, features[:24], labels[:24], groups[:24])


def test_an_unknown_kind_is_refused(vectors):
    with pytest.raises(RecipeError, match=r"one of svm, linear-svm, forest\. Received: 'tree'\.$"):
        heads.fit("tree", *vectors)


@every_kind
def test_weights_of_rows_reach_the_fit(kind, vectors, monkeypatch):
    """Rows without weight are as good as absent: their wrong labels teach nothing."""
    monkeypatch.setattr(heads, "TREES", 20)
    features, labels, groups = vectors
    wrong = groups % 3 == 0
    taught = np.where(wrong, 1 - labels, labels)
    even, weighted = (
        CalibratedHead(heads.fit(kind, features, taught, groups, weights=weights)).raw(features)
        for weights in (None, np.where(wrong, 1e-3, 1.0))
    )
    apart = [raw[wrong & (labels == 1)].mean() - raw[wrong & (labels == 0)].mean()
             for raw in (even, weighted)]  # fmt: skip
    assert apart[1] > apart[0] + 0.1


def test_platt_finds_the_slope_that_was_drawn():
    rng = np.random.default_rng(0)
    odds = rng.normal(scale=2, size=20_000)
    slope, intercept = heads.platt(odds, rng.random(20_000) < expit(0.5 * odds - 1))
    assert (slope, intercept) == pytest.approx((0.5, -1.0), abs=0.06)


@every_kind
def test_a_replaced_sigmoid_is_the_one_that_scores(kind, fitted, vectors):
    model = copy.deepcopy(fitted[kind])
    heads.recalibrate(model, 2.0, -0.5)
    head = CalibratedHead(model)
    np.testing.assert_allclose(head.scores(vectors[0]), expit(2.0 * head.raw(vectors[0]) - 0.5))


@every_kind
def test_rounded_support_vectors_hardly_move_a_score(kind, fitted, vectors):
    model = copy.deepcopy(fitted[kind])
    heads.slim(model)
    before, after = (CalibratedHead(each).scores(vectors[0]) for each in (fitted[kind], model))
    np.testing.assert_allclose(after, before, atol=1e-3)
    assert (kind == "forest") == (after == before).all()
