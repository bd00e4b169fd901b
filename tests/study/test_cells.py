import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.data import datasets, phantom, splits
from thyro_demo.data.preprocess import Box
from thyro_demo.errors import DataError, LeakError, RecipeError, StudyError
from thyro_demo.models import heads, out_of_fold
from thyro_demo.models.backbones import backbone, build
from thyro_demo.models.features import pooled
from thyro_demo.models.pipeline import load_frames
from thyro_demo.models.pooling import FLOOR
from thyro_demo.models.transfer import Stage
from thyro_demo.study import cells, networks
from thyro_demo.study.grid import given, run

NET, SIDE, FOLDS = "two-layer-cnn", 32, 3
STAGE = Stage("thyroid", "all", 1, batch=16, augmentation=None)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Draw 24 patients, two frames each, dealt to three folds."""
    folder = tmp_path_factory.mktemp("drawn")
    phantom.write(phantom.cohort(24, 2, seed=5, shape=(96, 128)), folder)
    table = datasets.phantoms(folder).assign(source="drawn")
    number = table.groupby("group").ngroup()
    labels = np.where(number % 2 == 0, "benign", "malignant")
    return splits.kfold(table.assign(label=labels), FOLDS, seed=0)


@pytest.fixture(scope="module")
def shown(records):
    return cells.frames(records)


@pytest.fixture(scope="module")
def read(records):
    """Give made-up features that tell something of the label, by two taps."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(len(records), 6)).astype(np.float32)
    wide[:, 0] += records["label"] == "malignant"
    return given("made up", avg=wide, deviation=rng.normal(size=(len(records), 3)))


def value(cell, folder):
    """Compute one cell in this process."""
    return run([cell], folder, workers=0)[cell]


def test_frames_are_keyed_by_what_they_hold(records, shown, tmp_path):
    """An image's bytes, a label, a group, a source, a fold, a box, the crop, and the order."""
    image = tmp_path / "brighter.png"
    content = bytearray(Path(records["path"][3]).read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)
    changed = [
        records.replace({"path": {records["path"][3]: str(image)}}),
        records.assign(label=records["label"].where(records.index != 3, "benign ")),
        records.assign(group=records["group"].where(records.index != 3, "other")),
        records.assign(source=records["source"].where(records.index != 3, "other")),
        records.assign(fold=records["fold"].where(records.index != 3, 7)),
        records.assign(roi=[Box(0, 0, 9, 9)] * len(records)),
        records.assign(roi=[Box(0, 0, 9, 8)] * len(records)),
        records.assign(roi=[None, *[Box(0, 0, 9, 8)] * (len(records) - 1)]),
        records[::-1],
        records[1:],
    ]
    keys = {cells.frames(table).key for table in changed}
    assert len({*keys, shown.key, cells.frames(records, crop=False).key}) == len(changed) + 2


def test_frames_are_not_keyed_by_where_they_lie(records, shown, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(Path(records["path"][0]).parent, moved)
    there = records.assign(path=[str(moved / Path(path).name) for path in records["path"]])
    again = cells.frames(there)
    assert again == shown
    assert (again.value["path"] != shown.value["path"]).all()
    assert cells.features(NET, "none", again) == cells.features(NET, "none", shown)


@pytest.mark.parametrize("column", ["path", "label", "group", "source", "fold"])
def test_frames_without_a_column_are_refused(records, column):
    with pytest.raises(DataError, match=f"no {column}"):
        cells.frames(records.drop(columns=column))


def test_frames_that_cannot_be_read_are_refused(records):
    with pytest.raises(DataError, match="can be read"):
        cells.frames(records.assign(path="nowhere.png"))
    with pytest.raises(DataError, match="empty"):
        cells.frames(records[:0])


def test_features_serve_every_deal_of_labels_and_folds(records, shown):
    dealt = records.assign(fold=records["fold"][::-1].to_numpy(), label="benign")
    assert cells.features(NET, "none", cells.frames(dealt)) == cells.features(NET, "none", shown)


def test_features_are_keyed_by_their_settings_and_the_content_of_their_start(shown, tmp_path):
    files = [tmp_path / name for name in ("one.keras", "copy.keras", "other.keras")]
    for file, content in zip(files, (b"weights", b"weights", b"others"), strict=True):
        file.write_bytes(content)
    one, copy, other = (cells.features(NET, str(file), shown) for file in files)
    assert one == copy
    found = [
        one,
        other,
        cells.features(NET, "none", shown),
        cells.features("vgg16", "none", shown),
        cells.features(NET, "none", shown, ("deviation",)),
        cells.features(NET, "none", shown, size=64),
    ]
    assert len(set(found)) == len(found)


def test_tuning_and_heads_are_keyed_by_every_setting(shown, read):
    found = [
        cells.tuned(NET, "none", shown, 0, STAGE),
        cells.tuned(NET, "none", shown, 1, STAGE),
        cells.tuned(NET, "none", shown, 0, Stage("thyroid", "all", 2, batch=16, augmentation=None)),
        cells.tuned(NET, "none", shown, 0, Stage("thyroid", "all", 1, batch=16)),
        cells.tuned(NET, "none", shown, 0, STAGE, "mlp"),
        cells.tuned(NET, "none", shown, 0, STAGE, positive="benign"),
        cells.head("svm", [(read, "avg")], shown, 0),
        cells.head("svm", [(read, "avg")], shown, 1),
        cells.head("svm", [(read, "deviation")], shown, 0),
        cells.head("svm", [(read, "avg"), (read, "deviation")], shown, 0),
        cells.head("svm", [(read, "deviation"), (read, "avg")], shown, 0),
        cells.head("svm", [(read, "avg")], shown, 0, C=1.0),
        cells.head("svm", [(read, "avg")], shown, 0, C=2.0),
        cells.head("svm", [(read, "avg")], shown, 0, positive="benign"),
        cells.head("forest", [(read, "avg")], shown, 0),
    ]
    assert len(set(found)) == len(found)


def test_features_are_those_of_the_network(records, shown, tmp_path):
    found = value(cells.features(NET, "none", shown, ("avg", "deviation", "map"), SIDE), tmp_path)
    keras.utils.set_random_seed(0)
    spec = backbone(NET)
    network = build(spec, 2, "softmax", SIDE)
    frames = load_frames(records, ("benign", "malignant"), SIDE)
    outputs = [network.get_layer(name).output for name in ("features", spec.cam_layer)]
    average, cam = pooled(network, frames.images, outputs)
    np.testing.assert_allclose(found["avg"], average, atol=1e-6)
    np.testing.assert_array_equal(found["map"], cam.reshape(len(records), -1))
    spread = np.sqrt(cam.var((1, 2)) + FLOOR)
    np.testing.assert_allclose(found["deviation"], spread, atol=1e-6)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_boxes_and_crop_decide_what_the_network_sees(records, tmp_path):
    whole = cells.features(NET, "none", cells.frames(records, crop=False), size=SIDE)
    inner = records.assign(roi=[Box(40, 30, 80, 70)] * len(records))
    none = records.assign(roi=[None] * len(records))
    boxed, bare, plain = (
        cells.features(NET, "none", cells.frames(table), size=SIDE)
        for table in (inner, none, records)
    )
    outcome = run([whole, boxed, bare, plain], tmp_path, workers=0)
    assert np.abs(outcome[boxed]["avg"] - outcome[whole]["avg"]).max() > 1e-3
    np.testing.assert_array_equal(outcome[bare]["avg"], outcome[plain]["avg"])


def test_an_unknown_tap_fails_with_a_sentence(shown, tmp_path):
    made = [cells.features(NET, "none", shown, (tap,), SIDE) for tap in ("flat", "fc1")]
    sentences = run(made, tmp_path, workers=0).failures.values()
    assert all("Received: " in sentence for sentence in sentences)
    assert len(sentences) == 2


def test_the_labels_of_the_tested_fold_have_no_say(records, shown, read, tmp_path):
    """Neither in tuning, nor in early stopping, nor in the choice of a head's settings."""
    swapped = {"benign": "malignant", "malignant": "benign"}
    tested = records["fold"] == 0
    other = records.assign(label=records["label"].where(~tested, records["label"].map(swapped)))
    stage = Stage("thyroid", "all", 2, batch=16, augmentation=None, patience=1)
    for make in (
        lambda table: cells.tuned(NET, "none", table, 0, stage, size=SIDE),
        lambda table: cells.head("svm", [(read, "avg")], table, 0),
    ):
        found = value(make(shown), tmp_path)
        again = value(make(cells.frames(other)), tmp_path)
        np.testing.assert_array_equal(found["rows"], np.flatnonzero(tested))
        assert found["raw"].tobytes() == again["raw"].tobytes()


def test_a_tuned_network_gives_log_odds_and_features_of_what_it_became(records, shown, tmp_path):
    epochs = [Stage("thyroid", "all", number, augmentation=None) for number in (0, 2)]
    untouched, tuned = (
        value(cells.tuned(NET, "none", shown, 1, stage, size=SIDE), tmp_path) for stage in epochs
    )
    frozen = value(cells.features(NET, "none", shown, size=SIDE), tmp_path)
    np.testing.assert_allclose(untouched["avg"], frozen["avg"], atol=1e-6)
    assert np.abs(tuned["avg"] - frozen["avg"]).max() > 1e-3
    assert (int(untouched["epochs"]), int(tuned["epochs"])) == (0, 2)
    assert tuned["avg"].shape == (len(records), 64)
    for found in (untouched, tuned):
        np.testing.assert_array_equal(found["rows"], np.flatnonzero(records["fold"] == 1))
        assert found["raw"].shape == found["rows"].shape
        assert found["raw"].dtype == np.float64
    keras.utils.set_random_seed(STAGE.seed)
    network = build(backbone(NET), 2, "softmax", SIDE)
    frames = load_frames(records, ("benign", "malignant"), SIDE)
    odds = np.log(network.predict(frames.images[untouched["rows"]], verbose=0))
    np.testing.assert_allclose(untouched["raw"], odds[:, 1] - odds[:, 0], atol=1e-5)


def test_no_group_crosses_from_training_to_validation_or_test(shown):
    for fold in range(FOLDS):
        parts = networks._inner(shown.value, fold, Stage("thyroid", "all", 1, patience=1))
        tested = np.flatnonzero(shown.value["fold"] == fold)
        groups = [set(shown.value["group"][rows]) for rows in (*parts, tested)]
        assert sum(map(len, groups)) == len(set().union(*groups)) == 24
        assert all(groups)
        everything, nothing = networks._inner(shown.value, fold, STAGE)
        assert sorted([*everything, *tested]) == list(range(len(shown.value["fold"])))
        assert len(nothing) == 0


def test_heads_with_given_settings_are_scikit_learns(records, shown, read, tmp_path):
    tested = (records["fold"] == 2).to_numpy()
    labels = (records["label"] == "malignant").to_numpy(int)
    both = np.hstack([read.value["deviation"], read.value["avg"]])
    taps = [(read, "deviation"), (read, "avg")]
    for kind, fixed, model in (
        ("svm", {"C": 3.0, "gamma": 0.05}, make_pipeline(StandardScaler(), SVC(C=3, gamma=0.05))),
        ("svm", {"C": 2.0, "gamma": 0.1, "standardise": False}, SVC(C=2, gamma=0.1)),
        ("linear-svm", {"C": 0.1}, make_pipeline(StandardScaler(), SVC(C=0.1, kernel="linear"))),
        ("forest", {"trees": 7, "standardise": False}, RandomForestClassifier(7, random_state=0)),
    ):
        model.fit(both[~tested], labels[~tested])
        known = (
            model.predict_proba(both[tested])[:, 1]
            if kind == "forest"
            else model.decision_function(both[tested])
        )
        found = value(cells.head(kind, taps, shown, 2, **fixed), tmp_path)
        np.testing.assert_allclose(found["raw"], known, atol=1e-9)
        np.testing.assert_array_equal(found["rows"], np.flatnonzero(tested))


def test_heads_without_given_settings_are_those_of_bundles(records, shown, read, tmp_path):
    learned = (records["fold"] != 0).to_numpy()
    labels = (records["label"] == "malignant").to_numpy(int)
    model = heads.fit("linear-svm", read.value["avg"][learned], labels[learned],
                      records["group"].to_numpy()[learned])  # fmt: skip
    found = value(cells.head("linear-svm", [(read, "avg")], shown, 0), tmp_path)
    known = heads.CalibratedHead(model).raw(read.value["avg"][~learned])
    np.testing.assert_array_equal(found["raw"], known)


@pytest.mark.parametrize(
    ("kind", "fixed"), [("svm", {"trees": 3}), ("forest", {"C": 1.0}), ("tree", {})]
)
def test_a_head_that_nobody_knows_is_refused(shown, read, kind, fixed):
    with pytest.raises(RecipeError, match="A head is svm"):
        cells.head(kind, [(read, "avg")], shown, 0, **fixed)


def test_a_fold_or_a_label_that_is_not_there_is_refused(shown, read):
    for fold, positive in ((FOLDS, "malignant"), (0, "autoimmune")):
        with pytest.raises(StudyError, match="A fold that is scored"):
            cells.head("svm", [(read, "avg")], shown, fold, positive)
        with pytest.raises(StudyError, match="A fold that is scored"):
            cells.tuned(NET, "none", shown, fold, STAGE, positive=positive)


def test_a_head_does_not_test_what_its_network_was_tuned_on(shown):
    tuned = cells.tuned(NET, "none", shown, 0, STAGE)
    cells.head("svm", [(tuned, "avg")], shown, 0)
    with pytest.raises(LeakError, match="fold 1"):
        cells.head("svm", [(tuned, "avg")], shown, 1)


def test_scores_are_gathered_and_calibrated_out_of_fold(records, shown, read, tmp_path):
    systems = {
        "SVM": [cells.head("svm", [(read, "avg")], shown, fold, C=1.0) for fold in range(FOLDS)],
        "broken": [cells.head("svm", [(read, "fc1")], shown, fold) for fold in range(FOLDS)],
        "half": [
            cells.head("svm", [(read, tap)], shown, fold, C=1.0)
            for fold, tap in enumerate(("avg", "avg", "fc1"))
        ],
    }
    outcome = run([cell for folds in systems.values() for cell in folds], tmp_path, workers=0)
    found = cells.scores(outcome, systems, records.sample(frac=1, random_state=0).sort_index())
    assert set(found["head"]) == {"SVM"}
    assert sorted(found["path"]) == sorted(records["path"])
    known = records[["path", "group", "source", "label", "fold"]].copy()
    for cell in systems["SVM"]:
        known.loc[outcome[cell]["rows"], "raw"] = outcome[cell]["raw"]
    known = out_of_fold.cross_calibrated(known.assign(head="SVM"))
    pd.testing.assert_frame_equal(
        found.sort_values("path", ignore_index=True), known.sort_values("path", ignore_index=True),
        check_like=True,
    )  # fmt: skip
    with pytest.raises(StudyError, match="without a failure"):
        cells.scores(outcome, {"broken": systems["broken"]}, records)
    with pytest.raises(StudyError, match="each frame once"):
        cells.scores(outcome, {"twice": systems["SVM"][:1] * 2}, records)


def test_frames_heads_and_scores_need_no_network_framework():
    heavy = "{'tensorflow', 'keras', 'ray'}"
    line = f"import sys, thyro_demo.study.cells; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", line],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_networks_give_the_same_bits_whatever_a_worker_did_before(shown, tmp_path):
    made = [
        cells.features(NET, "none", shown, size=SIDE),
        cells.tuned(NET, "none", shown, 0, STAGE, size=SIDE),
        cells.tuned(NET, "none", shown, 1, STAGE, size=SIDE),
    ]
    one = run(made, tmp_path / "one", workers=1)
    two = run(made[::-1], tmp_path / "two", workers=1)
    assert one.failures == two.failures == {}
    for cell in made:
        for name, array in one[cell].items():
            assert array.tobytes() == two[cell][name].tobytes(), (cell.title, name)
