"""Heads are compared on frames they have not met, and a picture shows what they answer."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from thyro_demo.data import splits
from thyro_demo.errors import DataError, LeakError
from thyro_demo.evaluate import metrics
from thyro_demo.models import manifest
from thyro_demo.study import cells
from thyro_demo.study.grid import given
from thyro_demo.teach import heads
from thyro_demo.teach.lesson import Lesson


def made_up(skill, groups=40, dims=12, seed=0):
    """Make features of groups of two alike frames, their classes `skill` apart."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 2)
    labels = group % 2
    rows = rng.normal(size=(groups, dims))[group] + 0.05 * rng.normal(size=(2 * groups, dims))
    return rows + skill * labels[:, None], labels, group


def lesson_at(folder, data=None, fast=True):
    return Lesson(4, fast, 0, data, folder)


@pytest.fixture
def small(tmp_path):
    """Write 48 noisy images of 24 patients, and give their table in two folds."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(48):
        path = tmp_path / "phantoms" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48), dtype=np.uint8)).save(path)
        group = number // 2
        label = "malignant" if group % 2 else "benign"
        rows.append((str(path), label, f"patient {group}", ["east", "west"][group // 2 % 2]))
    table = pd.DataFrame(rows, columns=["path", "label", "group", "source"])
    return splits.kfold(table, 2, seed=0)


def scored_by(leaves, records, tmp_path):
    shown = cells.frames(records)
    read = {name: leaf() for name, leaf in leaves.items()}
    return heads.score(lesson_at(tmp_path), read, shown, records)


def knows(records, skill, seed):
    """Give a function that makes the leaf of features whose classes lie `skill` apart."""
    rng = np.random.default_rng(seed)
    sick = (records["label"] == "malignant").to_numpy()
    rows = (rng.normal(size=(len(records), 6)) + skill * sick[:, None]).astype(np.float32)

    def made():
        return given(f"drawn {seed}", {"drawn": [skill, seed]}, avg=rows, deviation=rows)

    return made


@pytest.mark.parametrize(
    "stages",
    [
        [{"stage": "thyroid", "trained": "last block"}],
        # Frozen in the end, on a body that had been trained on the frames before.
        [{"stage": "thyroid", "trained": "all"}, {"stage": "thyroid", "trained": "head"}],
    ],
)
def test_a_network_that_learned_from_the_frames_is_refused(stages, tmp_path, monkeypatch):
    (tmp_path / "manifest.json").touch()
    monkeypatch.setattr(manifest, "read_manifest", lambda folder: {"chain": stages})
    with pytest.raises(LeakError, match=f"Received: .*{stages[0]['trained']}"):
        heads.unspoilt(tmp_path)
    frozen = [{"stage": "thyroid", "trained": "head"}]
    monkeypatch.setattr(manifest, "read_manifest", lambda folder: {"chain": frozen})
    assert heads.unspoilt(tmp_path) == tmp_path


def test_a_plane_keeps_the_directions_in_which_frames_differ_most():
    rng = np.random.default_rng(0)
    along = rng.normal(size=80)
    # Five columns say the same thing, and three say nothing.
    rows = np.c_[np.outer(along, np.ones(5)), rng.normal(size=(80, 3))]
    points = heads.plane(rows)
    assert points.shape == (80, 2)
    assert np.allclose(points.std(axis=0), 1)
    assert abs(np.corrcoef(points[:, 0], along)[0, 1]) > 0.98


def test_answers_of_every_head_lie_between_0_and_1_and_part_at_a_half():
    rows, labels, _ = made_up(3.0, dims=2)
    for model in (LogisticRegression(), SVC(), RandomForestClassifier(20, random_state=0)):
        found = heads.answers(model.fit(rows, labels), rows)
        assert found.min() >= 0
        assert found.max() <= 1
        assert ((found >= 0.5) == (model.predict(rows) == 1)).mean() > 0.97


def test_a_head_recalls_what_it_learned_and_inner_folds_tell():
    rows, labels, groups = made_up(0.0)
    grown = RandomForestClassifier(30, random_state=0)
    by_group = heads.judged(grown, rows, labels, groups)
    by_image = heads.judged(grown, rows, labels, np.arange(len(labels)))
    assert by_group.learned == 1.0
    assert by_group.inner < 0.7
    # With the other frame of a patient at hand, a forest recognises the patient.
    assert by_image.inner > by_group.inner + 0.2


def test_a_search_tries_every_pair_and_frames_the_best_in_the_inner_folds():
    rows, labels, groups = made_up(0.8)
    tried = heads.search(SVC(), {"C": [0.1, 10.0], "gamma": [0.01, 5.0]}, rows, labels, groups)
    assert len(tried) == 4
    assert (tried["learned"] >= tried["inner"]).all()
    # So narrow a kernel knows nobody but those it has met.
    narrow = tried[tried["gamma"] == 5.0]
    assert narrow["inner"].max() < tried[tried["gamma"] == 0.01]["inner"].max()
    drawn = heads.draw_search(tried, {"C": "C", "gamma": "Gamma"}, "Choosing")
    best = tried.loc[tried["inner"].idxmax()]
    mark = drawn.axes[1].lines[0]
    across, down = int(mark.get_xdata()[0]), int(mark.get_ydata()[0])
    assert drawn.axes[1].get_xticklabels()[across].get_text() == f"{best['gamma']:g}"
    assert drawn.axes[1].get_yticklabels()[down].get_text() == f"{best['C']:g}"


def test_a_boundary_lies_where_the_head_is_undecided():
    rows, labels, _ = made_up(2.0, dims=2)
    axes = Figure().subplots()
    heads.boundary(axes, LogisticRegression().fit(rows, labels), rows, labels, "A line")
    assert axes.get_title() == "A line"
    assert axes.get_xlabel()
    assert {text.get_text() for text in axes.legend().get_texts()} == {"benign", "malignant"}


def test_every_head_scores_every_frame_once_and_knowledge_shows(small, tmp_path):
    drawn = {"A": knows(small, 3.0, 1), "B": knows(small, 0.0, 2)}
    scored = scored_by(drawn, small, tmp_path)
    assert set(scored["head"]) == {
        "A: softmax", "A: SVM", "B: SVM", "A + B: SVM", "A: forest", "B: forest", "A + B: forest",
        "A + B: average",
    }  # fmt: skip
    assert scored.groupby("head")["path"].nunique().eq(len(small)).all()
    assert len(scored) == 8 * len(small)
    found = heads.areas(scored)
    for name in ("A: softmax", "A: SVM", "A: forest"):
        assert found[name]["value"] > 0.9
    assert found["B: SVM"]["value"] < 0.75
    gained = heads.gains(scored, "A: SVM")
    assert "A: SVM" not in gained
    assert gained["B: SVM"]["high"] < 0
    with pytest.raises(DataError, match="Received: absent"):
        heads.gains(scored, "absent")


def test_an_average_of_a_head_with_itself_keeps_the_order_within_a_fold(small, tmp_path):
    scored = scored_by({"A": knows(small, 1.0, 1), "B": knows(small, 1.0, 2)}, small, tmp_path)
    alone = scored[scored["head"] == "A: SVM"].sort_values("path")
    twice = heads.averaged(scored, ["A: SVM", "A: SVM"], "twice")
    assert set(twice["head"]) == {"twice"}
    for fold in (0, 1):
        one, other = (table[table["fold"] == fold]["score"] for table in (alone, twice))
        assert np.array_equal(np.argsort(one.to_numpy()), np.argsort(other.to_numpy()))
    with pytest.raises(DataError, match="absent with 0"):
        heads.averaged(scored, ["A: SVM", "absent"], "nothing")


def test_accuracies_take_their_threshold_from_the_other_folds(small):
    known = small.assign(head="sure", score=(small["label"] == "malignant") * 0.8 + 0.1)
    assert heads.accuracies(known, ["sure"])["sure"]["value"] == 1.0
    # In fold 1 every score is lower by more than the classes are apart.
    moved = known.assign(score=known["score"] - (known["fold"] == 1) * 0.85)
    assert heads.accuracies(moved, ["sure"])["sure"]["value"] < 1.0
    assert metrics.auroc(moved["label"] == "malignant", moved["score"]) < 1.0


def test_printed_accuracies_lie_in_the_intervals_of_their_counts():
    found = heads.printed()
    assert any(name.startswith("P1") for name in found)
    assert any(name.startswith("P2") for name in found)
    for one in found.values():
        assert 0 < one["low"] < one["value"] < one["high"] < 1
        # About 150 images say no more than this.
        assert one["high"] - one["low"] > 0.05


def test_frames_without_an_outline_are_left_out(small, tmp_path):
    assert len(heads.outlined(lesson_at(tmp_path), small)) == 0
    drawn = small.assign(mask_path=small["path"])
    assert len(heads.outlined(lesson_at(tmp_path), drawn)) == len(small)


def test_the_classical_system_tells_striped_nodules_from_smooth_ones(small, tmp_path):
    mask = np.zeros((40, 48), np.uint8)
    mask[8:32, 10:38] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for number, (path, label) in enumerate(zip(small["path"], small["label"], strict=True)):
        frame = np.random.default_rng(number).integers(80, 120, (40, 48))
        frame[:, ::4] += 100 * (label == "malignant")
        Image.fromarray(frame.astype(np.uint8)).save(path)
    outlined = small.assign(mask_path=str(tmp_path / "mask.png"))
    scored = heads.classical(lesson_at(tmp_path), outlined)
    assert scored.groupby("head")["path"].nunique().eq(len(small)).all()
    found = heads.areas(scored)
    assert set(found) == {"classical: SVM", "classical: forest"}
    assert min(one["value"] for one in found.values()) > 0.9
