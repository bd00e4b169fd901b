"""Heads are compared on frames they have not met."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import heads
from thyro_demo.course.lesson import Lesson
from thyro_demo.data import splits
from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics
from thyro_demo.study import graph
from thyro_demo.study.steps import networks


def lesson_at(folder, data=None, fast=True):
    return Lesson(4, fast, 0, data, folder)


@pytest.fixture
def small(tmp_path):
    """Write 48 noisy images of 24 patients, and return their table in two folds."""
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
    shown = networks.frames(records)
    return heads.score(lesson_at(tmp_path), leaves, shown, records)


def knows(records, skill, seed):
    """Make the leaf of features whose classes are `skill` apart."""
    rng = np.random.default_rng(seed)
    sick = (records["label"] == "malignant").to_numpy()
    rows = (rng.normal(size=(len(records), 6)) + skill * sick[:, None]).astype(np.float32)
    return graph.leaf(f"drawn {seed}", avg=rows, std=rows)


@pytest.mark.parametrize(("trained", "kept"), [("last block", False), ("head", True)])
def test_a_network_that_learned_from_the_frames_gives_way_to_the_shipped_one(
    trained, kept, tmp_path
):
    shipped, own = weights_root() / "efficientnet-b0", tmp_path / "chapter-3/bundles/progressive"
    facts = json.loads((shipped / "manifest.json").read_text(encoding="utf-8"))
    facts["chain"][-1]["trained"] = trained
    own.mkdir(parents=True)
    (own / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    first, *_ = heads.networks(lesson_at(tmp_path, fast=False)).values()
    assert Path(first.weights).resolve() == (own if kept else shipped).resolve()


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_average_of_a_head_with_itself_keeps_the_order_within_a_fold(small, tmp_path):
    scored = scored_by({"A": knows(small, 1.0, 1), "B": knows(small, 1.0, 2)}, small, tmp_path)
    alone = scored[scored["head"] == "A: SVM"].sort_values("path")
    twice = heads.averaged(scored, ["A: SVM", "A: SVM"], "twice")
    assert set(twice["head"]) == {"twice"}
    for fold in (0, 1):
        one, other = (table[table["fold"] == fold]["score"] for table in (alone, twice))
        assert np.array_equal(np.argsort(one.to_numpy()), np.argsort(other.to_numpy()))


def test_accuracies_take_their_threshold_from_the_other_folds(small):
    known = small.assign(head="sure", score=(small["label"] == "malignant") * 0.8 + 0.1)
    assert heads.accuracies(known, ["sure"])["sure"]["value"] == 1.0
    # In fold 1 every score is lower by more than the classes are apart.
    moved = known.assign(score=known["score"] - (known["fold"] == 1) * 0.85)
    assert heads.accuracies(moved, ["sure"])["sure"]["value"] < 1.0
    assert metrics.auroc(moved["label"] == "malignant", moved["score"]) < 1.0


def test_published_accuracies_are_in_the_intervals_of_their_counts():
    found = heads.published_accuracies()
    assert any(name.startswith("P1") for name in found)
    assert any(name.startswith("P2") for name in found)
    for one in found.values():
        assert 0 < one["low"] < one["value"] < one["high"] < 1
        # About 150 images allow no more than this.
        assert one["high"] - one["low"] > 0.05


def test_frames_without_an_outline_are_left_out(small, tmp_path):
    assert len(heads.outlined(lesson_at(tmp_path), small)) == 0
    drawn = small.assign(mask_path=small["path"])
    assert len(heads.outlined(lesson_at(tmp_path), drawn)) == len(small)


@pytest.mark.slow
def test_the_classical_system_separates_striped_nodules_from_smooth_ones(small, tmp_path):
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


def test_nothing_but_groups_and_images_is_resampled(small):
    rows = small.assign(score=0.5)
    with pytest.raises(DataError, match="Received: unit=groups"):
        heads.area(rows, "groups")
