"""P5: patients stay on one side, except in the reading that is shown to leak."""

import dataclasses
import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from thyro_demo.data import splits
from thyro_demo.data.images import decode
from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics, results
from thyro_demo.study.protocols.p5 import images, plan, tables
from thyro_demo.study.report import report
from thyro_demo.study.setting import Setting

pytestmark = pytest.mark.usefixtures("eagerly")

PATIENTS, EACH = 24, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a user's set: 24 patients with 3 images each, every patient of a colour of its own."""
    root = tmp_path_factory.mktemp("data") / "autoimmune"
    rng = np.random.default_rng(0)
    colours = rng.permutation(list(itertools.product((60, 130, 200), repeat=3)))
    rows = []
    for patient in range(PATIENTS):
        label = "autoimmune" if patient % 3 else "normal"
        (root / label).mkdir(parents=True, exist_ok=True)
        squares = np.kron(rng.integers(-40, 40, (3, 3)), np.ones((16, 16)))
        look = colours[patient] + squares[..., None]
        for number in range(EACH):
            image = np.clip(look + rng.normal(0, 10, (48, 48, 1)), 20, 255).astype(np.uint8)
            path = f"{label}/{patient:02d}-{number}.png"
            Image.fromarray(image).save(root / path)
            rows.append({"path": path, "group": f"patient {patient}"})
    pd.DataFrame(rows).to_csv(root / "groups.csv", index=False)
    return root


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    found, cut = images.read(Setting(folder.parent, tmp_path_factory.mktemp("work")))
    assert cut is None
    return found


@pytest.fixture(scope="module")
def copied(records, tmp_path_factory):
    return images.leaky(records, tmp_path_factory.mktemp("squares") / "48", 48, 5)


def test_a_users_images_are_split_by_patient(records):
    assert len(records) == PATIENTS * EACH
    assert records["group"].nunique() == PATIENTS
    assert sorted(set(records["fold"])) == [0, 1, 2, 3, 4]
    splits.check(records, "fold")


def test_the_unsound_reading_shares_patients_and_copies_between_folds(records, copied):
    """What the text did; the group that its split knows is the file, so nothing warns of it."""
    assert not splits.crossing(copied["group"], copied["fold"])
    patients = splits.crossing(copied["patient"], copied["fold"])
    assert len(patients) > PATIENTS / 2
    moved = copied[copied["copy"]].set_index("original")
    still = copied[~copied["copy"]].set_index("original").loc[moved.index]
    assert (moved["fold"] != still["fold"]).any()


def test_the_augmented_set_grows_as_that_of_the_text_did(records, copied):
    """615 images became 563 and 138; each image itself is there once."""
    assert round(615 * (1 + images.COPIES)) == 563 + 138
    assert copied["copy"].sum() == round(len(records) * 86 / 615)
    assert list(copied.loc[~copied["copy"], "original"]) == list(records["path"])
    assert not copied.loc[copied["copy"], "original"].duplicated().any()


def test_the_printed_rates_are_no_shares_of_the_tested_patients_images():
    """Says why the figures of the text cannot be those of its split by patient."""
    vgg, inception = plan.PROTOCOL.published
    for rate, tested, fits in (
        (vgg.sensitivity, 80, (71, 74)),
        (inception.specificity, 40, (31, 34)),
    ):
        assert np.abs(100 * np.arange(tested + 1) / tested - rate).min() > 0.1
        assert 100 * fits[0] / fits[1] == pytest.approx(rate, abs=0.01)


def test_copies_are_moved_images_of_their_patients(copied):
    still = copied[~copied["copy"]]
    looks = np.stack([decode(path).ravel() for path in still["path"]])
    for row in copied[copied["copy"]].itertuples():
        view = decode(row.path).ravel()
        likeness = [np.corrcoef(view, look)[0, 1] for look in looks]
        (own,) = np.flatnonzero(still["original"] == row.original)
        assert still["patient"].iloc[int(np.argmax(likeness))] == row.patient
        assert np.abs(view.astype(float) - looks[own]).mean() > 1
        assert (row.label, row.patient) == tuple(still[["label", "patient"]].iloc[own])


def test_shuffled_labels_belong_to_patients(records):
    shuffled = images.shuffled_labels(records)
    assert (shuffled.groupby("group")["label"].nunique() == 1).all()
    assert shuffled["label"].value_counts().equals(records["label"].value_counts())
    assert (shuffled["label"] != records["label"]).any()


def test_a_memory_for_patients_knows_shuffled_labels_in_the_leaking_reading_alone(records, copied):
    """The nearest training image is of the same patient wherever the split lets it be."""
    labels = images.shuffled_labels(records).drop_duplicates("group").set_index("group")["label"]

    def hits(paths, patients, folds):
        looks = np.stack([decode(path).ravel() for path in paths]).astype(float)
        known_labels = patients.map(labels).to_numpy()
        right = []
        for fold in range(5):
            known = (folds != fold).to_numpy()
            memory = KNeighborsClassifier(1).fit(looks[known], known_labels[known])
            right += list(memory.predict(looks[~known]) == known_labels[~known])
        return np.mean(right)

    sound = hits(records["path"], records["group"], records["fold"])
    leaking = hits(copied["path"], copied["patient"], copied["fold"])
    assert abs(sound - 0.5) < 0.2
    assert leaking > 0.9


def test_phantoms_are_drawn_where_there_are_no_images(tmp_path, monkeypatch):
    cut = dataclasses.replace(images.FAST, patients=8, frames=2)
    monkeypatch.setattr(images, "PHANTOMS", cut)
    records, found = images.read(Setting(tmp_path, tmp_path / "work"))
    assert found == cut
    assert set(records["source"]) == {"phantom"}
    assert set(records["label"]) == {"autoimmune", "normal"}
    splits.check(records, "fold", hashes=False)


@pytest.mark.parametrize("lacking", ["groups.csv", "normal"])
def test_another_layout_is_refused_in_one_sentence(folder, tmp_path, lacking):
    shutil.copytree(folder, tmp_path / "autoimmune")
    path = tmp_path / "autoimmune" / lacking
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=r"path and group, the patient of each\. Received:"):
        images.read(Setting(tmp_path, tmp_path / "work"))


def test_an_image_without_a_patient_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "autoimmune")
    table = pd.read_csv(folder / "groups.csv")
    table.loc[4, "group"] = None
    table.to_csv(tmp_path / "autoimmune" / "groups.csv", index=False)
    with pytest.raises(DataError, match=r"must have a patient\. Received: none for .*01-1\.png"):
        images.read(Setting(tmp_path, tmp_path / "work"))


def test_the_curve_of_the_other_class_ranks_the_other_way_round():
    """Scores so small that one less them would be a tie."""
    found = pd.DataFrame(
        {"label": ["autoimmune", "normal", "normal"], "score": [1e-18, 1e-19, 1e-20]}
    )
    labels, scores = tables.by_class(found, "normal", "autoimmune")
    np.testing.assert_array_equal(labels, [False, True, True])
    assert metrics.average_precision(labels, scores) == 1.0
    assert metrics.average_precision(*tables.by_class(found, "autoimmune", "autoimmune")) == 1.0


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    """Run the protocol with the smallest network in place of both, for a few epochs."""
    small = dataclasses.replace(
        plan.NETWORKS[0],
        backbone="two-layer-cnn",
        stage=dataclasses.replace(plan.NETWORKS[0].stage, input_size=48, epochs=2, views=1),
    )
    work = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "NETWORKS", (small,))
        patch.setattr(images, "FOLDS", 2)
        found = plan.run(Setting(folder.parent, work / "parts", workers=0))
    report.write(found, work / "P5")
    return found, work / "P5"


@pytest.mark.slow
def test_both_readings_are_beside_the_published_row_on_the_same_images(written):
    found, folder = written
    first = found.tables[0]
    names = [row[0] for row in first.rows]
    assert names == ["VGG-19, split by patient", "VGG-19, augmented, then split (leaks)",
                     "image size only"]  # fmt: skip
    assert all(row[1].endswith("/ 98.6") for row in first.rows[:2])
    assert not found.failures
    heads = found.scores.groupby("head")["path"]
    assert (heads.nunique() == PATIENTS * EACH).all()
    assert len(heads) == 4
    # Intervals of both are by patient, not by image.
    for summary in found.summaries.values():
        assert (summary["groups"], summary["unit"]) == (PATIENTS, "group")
    assert (folder / "precision-recall.png").stat().st_size > 5_000
    assert "leaks" in (folder / "report.md").read_text("utf-8")


@pytest.mark.slow
def test_the_gain_is_that_of_the_leaking_system(written):
    found, _ = written
    figures = found.summaries["autoimmune or normal"]["heads"]
    sound, leaking = (figures[row[0]]["auroc"]["value"] for row in found.tables[0].rows[:2])
    shown = found.tables[1].rows[0][1].split()[0].replace("−", "-")
    assert float(shown) == pytest.approx(leaking - sound, abs=6e-4)


def test_the_result_file_holds_a_row_for_each_system_of_each_reading(summary_of, holds):
    summaries = {one: summary_of(["a", "image size only"], (None,)) for one in ("first", "control")}
    table = tables.to_result(summaries)
    for row, (reading, head) in zip(
        table.rows, itertools.product(summaries, ("a", "image size only")), strict=True
    ):
        assert row["system"] == f"{reading}: {head}"
        holds(row, summaries[reading], head)
    assert [column.key for column in table.columns] == ["system", "images", "all"]


@pytest.mark.slow
def test_the_written_result_holds_the_figures_of_the_report(written, holds):
    found, folder = written
    table = results.read(folder / "p5.json")
    assert not table.note
    for row in table.rows:
        reading, _, head = row["system"].rpartition(": ")
        holds(row, found.summaries[reading], head)
