"""P6: both films of a patient stay together, and a single number stands beside the network."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw

from thyro_demo.data import splits
from thyro_demo.data.patches import MASS, NORMAL
from thyro_demo.errors import DataError, StudyError
from thyro_demo.study import setting
from thyro_demo.study.protocols.p6 import plan
from thyro_demo.study.report import report
from thyro_demo.study.setting import Setting
from thyro_demo.study.steps import networks

pytestmark = pytest.mark.usefixtures("eagerly")

PAIRS = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write a small mini-MIAS of 12 patients: a mass on one film, nothing on the other."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "mini_mias"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for number in range(1, 2 * PAIRS + 1):
        image = Image.new("L", (128, 128), 3)
        pen = ImageDraw.Draw(image)
        pen.ellipse((-80, 4, 80, 124), fill=int(rng.integers(80, 120)))
        row = "D NORM"
        if number % 2:
            x, y, radius = int(rng.integers(20, 40)), int(rng.integers(40, 90)), 10
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=200)
            row = f"G CIRC M {8 * x} {1024 - 8 * y} {8 * radius}"
        image.save(folder / f"mdb{number:03d}.png")
        lines.append(f"mdb{number:03d} {row}")
    (folder / "Info.txt").write_text("\n".join(lines), encoding="utf-8")
    return root


@pytest.fixture(scope="module", params=[True, False], ids=["standing out", "anywhere"])
def patches(request, data, tmp_path_factory):
    return plan._patches(Setting(data, tmp_path_factory.mktemp("work")), request.param)


def test_left_and_right_film_of_a_patient_are_in_one_fold(patches):
    films = patches["film"].str[3:].astype(int)
    assert not splits.crossing((films + 1) // 2, patches["fold"])
    splits.check(patches, "fold", hashes=False)
    assert patches["fold"].nunique() == 5
    # A patient with a film of each kind would cross a split by film.
    kinds = patches.groupby("group")["label"].nunique()
    assert (kinds == 2).any()


def test_every_patch_is_an_image_of_its_own(patches):
    assert patches["path"].is_unique
    assert set(patches["label"]) == {MASS, NORMAL}
    assert networks.frames(patches, crop=False).value["sha256"].shape == (len(patches),)


def test_a_set_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match="mini_mias"):
        plan.run(Setting(tmp_path, tmp_path / "work"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Make a rehearsal cut down further: one simulated scanner, two folds, one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setting, "_SCANNERS", {"scanner A": (64, 80)})
        patch.setattr(setting, "_PATIENTS", 10)
        patch.setattr(setting, "FOLDS", 2)
        patch.setattr(plan, "FAST", dataclasses.replace(plan.FAST, epochs=1))
        patch.setattr(plan, "FAST_SIDE", 32)
        patch.setattr(plan, "FAST_FOLDS", 2)
        patch.setattr(plan, "_GLANDS", 12)
        yield Setting(None, tmp_path_factory.mktemp("small"), workers=0)


@pytest.mark.slow
def test_the_report_sets_each_task_beside_what_was_printed(small, tmp_path):
    found = plan.run(small)
    assert not found.failures
    titles = [table.title for table in found.tables]
    assert titles == [
        "Two-layer CNN, masses or false positives",
        "Two-layer CNN, masses or any tissue",
        "Two-layer CNN, benign or malignant",
    ]
    accuracies = [table.rows[0][1] for table in found.tables]
    assert accuracies[0].endswith("/ 80.0")
    assert "/" not in accuracies[1]
    assert accuracies[2].endswith("/ 76.0")
    for table in found.tables[:2]:
        assert [row[0] for row in table.rows] == ["Two-layer CNN", "contrast alone",
                                                  "image size only"]  # fmt: skip
    assert found.summaries["masses or false positives"]["positive"] == MASS
    assert found.summaries["benign or malignant"]["positive"] == "malignant"
    for _, rows in found.scores.groupby("head"):
        assert rows["path"].is_unique
        assert not splits.crossing(rows["group"], rows["fold"])
    assert report.write(found, tmp_path / "P6").exists()


@pytest.mark.slow
def test_a_fold_that_fails_leaves_the_other_tasks(small, monkeypatch, written, holds):
    good, _, frames = plan._experiments(small)
    # A text in place of an image.
    paths = frames.records["path"].mask(frames.records["fold"] == 0, __file__)
    broken = dataclasses.replace(frames, records=frames.records.assign(path=paths))
    monkeypatch.setattr(plan, "_experiments", lambda _: [good, broken])
    found = plan.run(small)
    assert list(found.summaries) == [good.title]
    assert all("test_p6.py, a text file" in why for why in found.failures.values())
    assert len(found.failures) == 2
    table = written(found)["p6"]
    assert len(table.rows) == 2
    for row in table.rows:
        holds(row, found.summaries[good.title], row["system"].removeprefix(f"{good.title}: "))
    monkeypatch.setattr(plan, "_experiments", lambda _: [broken])
    with pytest.raises(StudyError, match="must not fail"):
        plan.run(small)


def test_the_result_file_can_replace_the_committed_one(summary_of, replaces):
    heads = [plan.SYSTEM, plan.CONTRAST, "image size only"]
    patches = ("masses or false positives", "masses or any tissue")
    summaries = {title: summary_of(heads, ("mini_mias",), 472) for title in patches}
    summaries["benign or malignant"] = summary_of([plan.SYSTEM, "image size only"])
    replaces(plan.to_result(summaries), "p6")
