"""The lecture of 50 minutes: its kept features are of the shipped networks, its bug is one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from thyro_demo.bundle import store
from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import hour, show
from thyro_demo.data import scan_area
from thyro_demo.errors import DataError


@pytest.fixture(scope="module")
def people():
    return hour.read()


@pytest.mark.slow
def test_kept_features_are_of_frames_that_are_drawn_again(people):
    frames = hour.drawn(2)
    table = people.records.iloc[: len(frames)]
    assert [one.patient for one in frames] == table["group"].tolist()
    assert [one.label for one in frames] == table["label"].tolist()
    assert [one.points for one in frames] == table["points"].tolist()
    bundle = store.load(weights_root() / "efficientnet-b0")
    square, _ = scan_area.prepare(frames[0].rgb, bundle.input_size)
    forward = bundle.forward(square[None])
    kept = people.features["efficientnet-b0"][0]
    np.testing.assert_allclose(kept, forward.features[0], rtol=0.02, atol=0.02)
    score = bundle.score(forward, bundle.manifest["primary"])
    assert people.scores["efficientnet-b0"][0] == pytest.approx(score[0], abs=0.01)


def test_features_of_other_networks_are_refused(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="must be in a file"):
        hour.read(tmp_path / "none.npz")
    monkeypatch.setattr(hour, "_version", lambda name: "another")
    with pytest.raises(DataError, match="course features"):
        hour.read()


def test_chosen_frames_are_of_different_patients_half_of_them_malignant(people):
    rows = hour.chosen(people, 8, seed=0)
    asked = people.records.loc[rows]
    assert asked["group"].is_unique
    assert (asked["label"] == "malignant").sum() == 4
    assert not np.array_equal(rows, hour.chosen(people, 8, seed=1))


def test_guesses_are_set_beside_points_and_networks(people):
    rows = hour.chosen(people, 4, seed=0)
    assert "you" not in hour.votes(people, rows, "")
    called = hour.votes(people, rows, "B, m, m b")
    assert called["you"].tolist() == ["benign", "malignant", "malignant", "benign"]
    assert {"counts points", "VGG-16", "ResNet-50", "EfficientNet-B0"} < set(called)
    with pytest.raises(DataError, match="4 letters"):
        hour.votes(people, rows, "bm")


def test_frames_are_drawn_with_and_without_their_labels(people):
    frames = hour.drawn(1)[:2]
    called = pd.DataFrame({"label": ["benign", "malignant"], "you": ["benign", "benign"]})
    titles = [axes.get_title() for axes in hour.draw_frames(frames, called).axes]
    assert titles == ["Frame 1: benign\nwrong: nobody", "Frame 2: malignant\nwrong: you"]
    hidden = [axes.get_title() for axes in hour.draw_frames(frames).axes]
    assert hidden == ["Frame 1", "Frame 2"]


@pytest.mark.parametrize("make", [LogisticRegression, SVC])
def test_a_frame_is_scored_by_a_head_that_has_not_seen_it(make):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    folds = np.arange(60) // 2 % 5
    telling = hour.out_of_fold(make, labels[:, None] + rng.normal(0, 0.1, (60, 1)), labels, folds)
    assert (telling[labels == 1].min()) > telling[labels == 0].max()
    # A feature that is the frame's own number helps on frames that were learned alone.
    own = hour.out_of_fold(make, np.eye(60), labels, folds)
    assert len(np.unique(own.round(6))) <= 5


def test_the_ladder_begins_below_photographs_and_is_drawn(monkeypatch):
    gains = hour.ladder()
    assert list(gains) == ["VGG-16", "ResNet-50", "EfficientNet-B0"]
    assert all(list(rungs) == list(hour.RUNGS) for rungs in gains.values())
    assert all(rungs["photographs"] == (0.0, 0.0, 0.0) for rungs in gains.values())
    monkeypatch.setattr("IPython.display.display", lambda shown: None)
    areas = hour.reached()
    for network, rungs in gains.items():
        for rung, (gained, _, _) in rungs.items():
            difference = areas[network][rung] - areas[network]["photographs"]
            assert difference == pytest.approx(gained, abs=0.0021)
    assert 0.5 < hour.control() < min(areas[network]["random weights"] for network in areas)
    show.picture(hour.draw_ladder(gains, areas, hour.control(), "A ladder"))


def test_the_verdict_knows_whole_patients_from_torn_ones():
    records = pd.DataFrame({"group": np.repeat(["a", "b", "c"], 2)})
    assert hour.verdict(lambda table: [0, 0, 1, 1, 2, 2], records).startswith("Found")
    torn = hour.verdict(lambda table: [0, 1, 1, 1, 2, 0], records)
    assert torn.startswith("Not yet: 2 of 3 patients")
    assert hour.verdict(lambda table: [0, 1], records).startswith("Not yet: one fold for each")
    assert hour.verdict(lambda table: np.zeros(6), records).startswith("Not yet: there must be two")
