"""Networks read frames by their bytes, and no label or fold that is not theirs."""

import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError, StudyError
from thyro_demo.models.backbones import backbone
from thyro_demo.models.features import pooled, readout
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import load_frames
from thyro_demo.models.pooling import FLOOR
from thyro_demo.study.graph import run
from thyro_demo.study.steps import heads, networks
from thyro_demo.training.stage import Stage

pytestmark = pytest.mark.usefixtures("eagerly")

NET, SIDE, FOLDS = "two-layer-cnn", 32, 3
STAGE = Stage("thyroid", "all", 1, batch=16, augmentation=None)


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
    keys = {networks.frames(table).key for table in changed}
    assert len({*keys, shown.key, networks.frames(records, crop=False).key}) == len(changed) + 2


def test_frames_are_not_keyed_by_where_they_are(records, shown, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(Path(records["path"][0]).parent, moved)
    there = records.assign(path=[str(moved / Path(path).name) for path in records["path"]])
    again = networks.frames(there)
    assert again == shown
    assert (again.value["path"] != shown.value["path"]).all()
    assert networks.features(NET, "none", again) == networks.features(NET, "none", shown)


@pytest.mark.parametrize("column", ["path", "label", "group", "source", "fold"])
def test_frames_without_a_column_are_refused(records, column):
    with pytest.raises(DataError, match=f"no {column}"):
        networks.frames(records.drop(columns=column))


def test_frames_that_cannot_be_read_are_refused(records):
    with pytest.raises(DataError, match="can be read"):
        networks.frames(records.assign(path="nowhere.png"))
    with pytest.raises(DataError, match="empty"):
        networks.frames(records[:0])


def test_features_serve_every_split_and_labelling(records, shown):
    other = records.assign(fold=records["fold"][::-1].to_numpy(), label="benign")
    assert networks.features(NET, "none", networks.frames(other)) == networks.features(
        NET, "none", shown
    )


def test_features_are_keyed_by_settings_and_the_content_of_initial_weights(shown, tmp_path):
    files = [tmp_path / name for name in ("one.keras", "copy.keras", "other.keras")]
    for file, content in zip(files, (b"weights", b"weights", b"others"), strict=True):
        file.write_bytes(content)
    one, copy, other = (networks.features(NET, str(file), shown) for file in files)
    assert one == copy
    found = [
        one,
        other,
        networks.features(NET, "none", shown),
        networks.features("vgg16", "none", shown),
        networks.features(NET, "none", shown, ("std",)),
        networks.features(NET, "none", shown, size=64),
        networks.features(NET, "none", shown, precision="mixed_bfloat16"),
        networks.features(NET, "none", shown, normalised=False),
    ]
    assert len(set(found)) == len(found)


def test_fine_tuning_is_keyed_by_every_setting(shown):
    found = [
        networks.fine_tuned(NET, "none", shown, 0, STAGE),
        networks.fine_tuned(NET, "none", shown, 1, STAGE),
        networks.fine_tuned(NET, "none", shown, 0, replace(STAGE, epochs=2)),
        networks.fine_tuned(NET, "none", shown, 0, Stage("thyroid", "all", 1, batch=16)),
        networks.fine_tuned(NET, "none", shown, 0, STAGE, "mlp"),
        networks.fine_tuned(NET, "none", shown, 0, STAGE, positive="benign"),
    ]
    assert len(set(found)) == len(found)


def test_features_are_those_of_the_network(records, shown, value):
    found = value(networks.features(NET, "none", shown, ("avg", "std", "map"), SIDE))
    keras.utils.set_random_seed(0)
    spec = backbone(NET)
    network = build(spec, 2, "softmax", SIDE)
    frames = load_frames(records, ("benign", "malignant"), SIDE)
    outputs = [network.get_layer(name).output for name in ("features", spec.cam_layer)]
    average, cam = pooled(network, frames.images, outputs)
    np.testing.assert_allclose(found["avg"], average, atol=1e-6)
    np.testing.assert_array_equal(found["map"], cam.reshape(len(records), -1))
    spread = np.sqrt(cam.var((1, 2)) + FLOOR)
    np.testing.assert_allclose(found["std"], spread, atol=1e-6)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_a_network_with_a_nodule_map_is_read_where_it_draws_the_nodule(records, shown, value):
    found = value(networks.features(NET, "none", shown, ("nodule",), SIDE))["nodule"]
    keras.utils.set_random_seed(0)
    spec = backbone(NET)
    network = build(spec, 2, "nodule", SIDE)
    frames = load_frames(records, ("benign", "malignant"), SIDE)
    expected = pooled(network, frames.images, [readout(network, spec.cam_layer, "nodule")])[0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_faster_arithmetic_is_used_for_the_features_that_ask_for_it_alone(shown, value):
    exact, fast = (
        value(networks.features(NET, "none", shown, size=SIDE, precision=precision))["avg"]
        for precision in ("float32", "mixed_bfloat16")
    )
    assert keras.config.dtype_policy().name == "float32"
    assert 0 < np.abs(fast - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.slow
def test_boxes_and_crop_decide_what_the_network_sees(records, tmp_path):
    whole = networks.features(NET, "none", networks.frames(records, crop=False), size=SIDE)
    inner = records.assign(roi=[Box(40, 30, 80, 70)] * len(records))
    none = records.assign(roi=[None] * len(records))
    boxed, bare, plain = (
        networks.features(NET, "none", networks.frames(table), size=SIDE)
        for table in (inner, none, records)
    )
    outcome = run([whole, boxed, bare, plain], tmp_path, workers=0)
    assert np.abs(outcome[boxed]["avg"] - outcome[whole]["avg"]).max() > 1e-3
    np.testing.assert_array_equal(outcome[bare]["avg"], outcome[plain]["avg"])


def test_an_unknown_tap_fails_with_a_sentence(shown, tmp_path):
    made = [networks.features(NET, "none", shown, (tap,), SIDE) for tap in ("flat", "fc1")]
    sentences = run(made, tmp_path, workers=0).failures.values()
    assert all("Received: " in sentence for sentence in sentences)
    assert len(sentences) == 2


def test_the_labels_of_the_tested_fold_change_nothing(records, shown, read, value):
    """Neither in fine-tuning, nor in early stopping, nor in the choice of a head's settings."""
    swapped = {"benign": "malignant", "malignant": "benign"}
    tested = records["fold"] == 0
    other = records.assign(label=records["label"].where(~tested, records["label"].map(swapped)))
    stage = Stage("thyroid", "all", 2, batch=16, augmentation=None, patience=1)
    for make in (
        lambda table: networks.fine_tuned(NET, "none", table, 0, stage, size=SIDE),
        lambda table: heads.head("svm", [(read, "avg")], table, 0),
    ):
        found = value(make(shown))
        again = value(make(networks.frames(other)))
        np.testing.assert_array_equal(found["rows"], np.flatnonzero(tested))
        assert found["raw"].tobytes() == again["raw"].tobytes()


@pytest.mark.slow
def test_a_fine_tuned_network_scores_log_odds_and_features_of_what_it_became(records, shown, value):
    epochs = [Stage("thyroid", "all", number, augmentation=None) for number in (0, 2)]
    untouched, tuned = (
        value(networks.fine_tuned(NET, "none", shown, 1, stage, size=SIDE)) for stage in epochs
    )
    frozen = value(networks.features(NET, "none", shown, size=SIDE))
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


def test_a_fold_or_a_label_that_is_not_there_is_refused(shown, read):
    for fold, positive in ((FOLDS, "malignant"), (0, "autoimmune")):
        with pytest.raises(StudyError, match="A fold that is scored"):
            heads.head("svm", [(read, "avg")], shown, fold, positive)
        with pytest.raises(StudyError, match="A fold that is scored"):
            networks.fine_tuned(NET, "none", shown, fold, STAGE, positive=positive)


@pytest.mark.slow
def test_networks_find_the_same_bits_whatever_a_worker_did_before(shown, tmp_path):
    made = [
        networks.features(NET, "none", shown, size=SIDE),
        networks.fine_tuned(NET, "none", shown, 0, STAGE, size=SIDE),
        networks.fine_tuned(NET, "none", shown, 1, STAGE, size=SIDE),
    ]
    one = run(made, tmp_path / "one", workers=1)
    two = run(made[::-1], tmp_path / "two", workers=1)
    assert one.failures == two.failures == {}
    for job in made:
        for name, array in one[job].items():
            assert array.tobytes() == two[job][name].tobytes(), (job.title, name)
