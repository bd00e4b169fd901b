"""A picture of a head shows its scores, and its settings are chosen on frames it has not met."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from thyro_demo.course import boundaries


def made_up(skill, groups=40, dims=12, seed=0):
    """Make features of groups of two alike frames, their classes `skill` apart."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 2)
    labels = group % 2
    rows = rng.normal(size=(groups, dims))[group] + 0.05 * rng.normal(size=(2 * groups, dims))
    return rows + skill * labels[:, None], labels, group


def test_a_plane_keeps_the_directions_in_which_frames_differ_most():
    rng = np.random.default_rng(0)
    along = rng.normal(size=80)
    # Five columns agree, and three are noise.
    rows = np.c_[np.outer(along, np.ones(5)), rng.normal(size=(80, 3))]
    points = boundaries.plane(rows)
    assert points.shape == (80, 2)
    assert np.allclose(points.std(axis=0), 1)
    assert abs(np.corrcoef(points[:, 0], along)[0, 1]) > 0.98


def test_scores_of_every_head_are_between_0_and_1_and_split_at_a_half():
    rows, labels, _ = made_up(3.0, dims=2)
    for model in (LogisticRegression(), SVC(), RandomForestClassifier(20, random_state=0)):
        found = boundaries.raw_scores(model.fit(rows, labels), rows)
        assert found.min() >= 0
        assert found.max() <= 1
        assert ((found >= 0.5) == (model.predict(rows) == 1)).mean() > 0.97


def test_a_head_recalls_what_it_learned_and_inner_folds_show_it():
    rows, labels, groups = made_up(0.0)
    grown = RandomForestClassifier(30, random_state=0)
    by_group = boundaries.judge(grown, rows, labels, groups)
    by_image = boundaries.judge(grown, rows, labels, np.arange(len(labels)))
    assert by_group.learned == 1.0
    assert by_group.inner < 0.7
    # With the other frame of a patient at hand, a forest recognises the patient.
    assert by_image.inner > by_group.inner + 0.2


def test_a_search_tries_every_pair_and_frames_the_best_in_the_inner_folds():
    rows, labels, groups = made_up(0.8)
    tried = boundaries.search(SVC(), {"C": [0.1, 10.0], "gamma": [0.01, 5.0]}, rows, labels, groups)
    assert len(tried) == 4
    assert (tried["learned"] >= tried["inner"]).all()
    # So narrow a kernel knows nobody but those it has met.
    narrow = tried[tried["gamma"] == 5.0]
    assert narrow["inner"].max() < tried[tried["gamma"] == 0.01]["inner"].max()
    drawn = boundaries.draw_search(tried, {"C": "C", "gamma": "Gamma"}, "Choosing")
    best = tried.loc[tried["inner"].idxmax()]
    mark = drawn.axes[1].lines[0]
    across, down = int(mark.get_xdata()[0]), int(mark.get_ydata()[0])
    assert drawn.axes[1].get_xticklabels()[across].get_text() == f"{best['gamma']:g}"
    assert drawn.axes[1].get_yticklabels()[down].get_text() == f"{best['C']:g}"


def test_a_boundary_is_where_the_head_is_undecided():
    rows, labels, _ = made_up(2.0, dims=2)
    axes = Figure().subplots()
    boundaries.draw_boundary(axes, LogisticRegression().fit(rows, labels), rows, labels, "A line")
    assert axes.get_title() == "A line"
    assert axes.get_xlabel()
    assert {text.get_text() for text in axes.legend().get_texts()} == {"benign", "malignant"}
