"""A chain with a nodule map: its outlines come from other cases than those it is scored on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bundle import store
from thyro_demo.data import phantom
from thyro_demo.errors import DataError
from thyro_demo.explain.heatmaps import heatmap
from thyro_demo.files import sha256
from thyro_demo.training import outlined_set, provenance
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import RECIPES
from thyro_demo.training.run import cross_validate, run
from thyro_demo.training.stage import Stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("eagerly", "small_heads", "few_resamples"),
]

SIDE = 64
RECIPE = replace(
    RECIPES["find-and-read"],
    stages=(
        (
            "nodules",
            Stage("nodules", "last block", 2, batch=128, input_size=SIDE, norm_momentum=0.5),
        ),
        ("thyroid", Stage("thyroid", "head", 2, batch=128, input_size=SIDE)),
    ),
    backbones=("two-layer-cnn",),
    folds=2,
)


def write_frames(folder, seed, patients=24):
    """Write phantoms that pass for real frames of one place."""
    phantom.write(phantom.cohort(patients, 2, seed=seed, shape=(120, 160)), folder)
    index = pd.read_csv(folder / "index.csv")
    number = pd.factorize(index["group"])[0]
    index = index.assign(source="clinic", group=number + 100)
    index["label"] = np.where(number % 2 == 0, "benign", "malignant")
    index.to_csv(folder / "index.csv", index=False)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Return a folder with a thyroid set, and sweeps of which four frames are in it as well."""
    root = tmp_path_factory.mktemp("sets")
    write_frames(root / "thyroid_us", seed=3)
    write_frames(root / "thyroid_sweeps", seed=4, patients=8)
    index = pd.read_csv(root / "thyroid_sweeps" / "index.csv").drop(columns="label")
    for copied, own in zip(sorted((root / "thyroid_us" / "frames").iterdir()), index["path"][:4],
                           strict=False):  # fmt: skip
        shutil.copy(copied, root / "thyroid_sweeps" / own)
    index.to_csv(root / "thyroid_sweeps" / "index.csv", index=False)
    return root


@pytest.fixture(scope="module")
def few():
    """Let the stage draw few phantoms, and small ones."""
    drawn = phantom.cohort
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlined_set, "PATIENTS", 24)
        patch.setattr(outlined_set, "GLANDS", 12)
        patch.setattr(phantom, "cohort", lambda *a, **k: drawn(*a, **{"shape": (120, 160)} | k))
        yield


@pytest.fixture(scope="module")
def done(sets, few, tmp_path_factory):
    work = tmp_path_factory.mktemp("run")
    job = TrainingJob(RECIPE, "two-layer-cnn", sets, work, work / "out" / "finder")
    run(job)
    return job, store.load(job.out)


def test_no_frame_that_is_scored_has_lent_its_outline(done, sets):
    scored = {sha256(path) for path in (sets / "thyroid_us" / "frames").iterdir()}
    learned = set(done[1].manifest["training_outlines"])
    assert learned
    assert not learned & scored


def test_phantoms_and_images_without_a_label_are_counted_apart(done):
    """The accuracy of the stage is of labelled images alone, and its count with it."""
    job, loaded = done
    (stage,) = (row for row in loaded.manifest["chain"] if row["stage"] == "nodules")
    learned = pd.read_csv(job.work / "nodules" / "outlined.csv")
    drawn = learned["source"] == "phantom"
    assert (stage["images"], stage["phantoms"]) == ((~drawn).sum(), drawn.sum())
    right = stage["validation accuracy"] * stage["validation images"]
    assert right == pytest.approx(round(right))
    assert 0 < stage["validation images"] < 20  # sweeps have no label


def test_another_frame_of_a_scored_case_lends_no_outline(tmp_path):
    """Its number alone gives it away: it is no copy of the frame that is scored."""
    (tmp_path / "ddti").mkdir()
    one, *drawn = phantom.cohort(4, 1, seed=5, shape=(120, 160))
    for case, each in enumerate(drawn, 7):
        Image.fromarray(each.rgb).save(tmp_path / "ddti" / f"{case}_1.png")
        (tmp_path / "ddti" / f"{case}.xml").write_text("<case><tirads>3</tirads></case>")
    Image.fromarray(one.rgb).save(tmp_path / "scored.png")
    thyroid = pd.DataFrame(
        {"path": [str(tmp_path / "scored.png")], "label": "benign", "group": "a",
         "source": "ddti", "ddti_case": [8.0]}
    )  # fmt: skip
    found = outlined_set.read(tmp_path, drawn_few(tmp_path), thyroid)
    assert list(found.loc[found["set"] == "ddti", "case"]) == ["7", "9"]


def test_what_a_network_of_this_stage_alone_has_learned_is_not_forgotten(sets, tmp_path, few):
    """Its outlines are refused, its phantoms known, also after a stage of another run."""
    finds = replace(RECIPE, stages=RECIPE.stages[:1], heads=(), primary="")
    job = TrainingJob(
        finds, "two-layer-cnn", sets, tmp_path / "w", tmp_path / "net.keras", epochs=1
    )
    run(job)
    met = json.loads((tmp_path / "net.json").read_text("utf-8"))
    assert [row["stage"] for row in met["chain"]] == ["nodules"]
    assert met["training_outlines"]
    assert set(met["training_phantoms"]) == {"phantom-21", "phantom-22"}
    reads = replace(RECIPE, stages=RECIPE.stages[1:])
    later = TrainingJob(reads, "two-layer-cnn", sets, tmp_path / "x", tmp_path / "b", str(job.out))
    assert provenance.outlines(later) == met["training_outlines"]
    assert provenance.phantoms(later) == met["training_phantoms"]
    learned = pd.read_csv(tmp_path / "w" / "nodules" / "outlined.csv")
    with pytest.raises(DataError, match=r"must not have learned the outlines"):
        provenance.check_outlines(later, learned[learned["source"] != "phantom"])


def drawn_few(folder):
    """Draw a few phantoms where the stage looks for its own."""
    for name in ("nodules", "glands"):
        phantom.write(phantom.cohort(2, 1, seed=6, shape=(120, 160)), folder / name)
    return folder


def test_phantoms_with_and_without_nodules_are_known_by_their_patients(done):
    met = done[1].manifest["training_phantoms"]
    assert {"phantom-21", "phantom-22", "phantom-7"} <= set(met)


def test_the_bundle_reports_when_there_is_no_nodule(done):
    _, loaded = done
    assert 0 <= loaded.manifest["nodule_threshold"] <= 1
    assert loaded.manifest["pooling"] == "nodule"
    forward = loaded.forward(np.full((2, SIDE, SIDE, 3), 90, np.float32))
    assert forward.nodule is not None
    assert forward.nodule.shape == forward.feature_map.shape[:3]
    assert forward.nodule.min() >= 0
    assert forward.nodule.max() <= 1


@pytest.mark.parametrize("head", ["softmax", "svm", "forest"])
def test_the_map_of_every_head_stays_where_the_network_sees_the_nodule(done, head):
    _, loaded = done
    frame = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
    forward = loaded.forward(frame)
    nodule = np.zeros_like(forward.nodule)
    nodule[:, 4:8, 4:8] = 1.0
    features = loaded.pool(forward.feature_map, nodule)
    # The gradient of the softmax's log-odds, linear in the features, through the same pooling.
    slope = loaded.network.get_layer("logits").get_weights()[0] @ np.array([-1.0, 1.0])
    gradient = loaded.pull_back(forward.feature_map, slope[None].astype(np.float32), nodule)
    looked = replace(forward, nodule=nodule, features=features, softmax_gradient=gradient)
    drawn = heatmap(loaded, [looked], head)
    assert drawn.shape == nodule.shape[1:]
    outside = drawn.copy()
    outside[4:8, 4:8] = 0.0
    # Of the strongest evidence for or against, which may leave the nodule itself blank.
    assert outside.max() < 0.05


def test_pull_back_through_the_weights_is_the_transpose_of_pooling(done):
    _, loaded = done
    rng = np.random.default_rng(1)
    forward = loaded.forward(rng.uniform(0, 255, (2, SIDE, SIDE, 3)).astype(np.float32))
    cotangent = rng.normal(size=forward.features.shape).astype(np.float32)
    pulled = loaded.pull_back(forward.feature_map, cotangent, forward.nodule)
    step = 1e-3 * rng.normal(size=forward.feature_map.shape).astype(np.float32)
    pools = [loaded.pool(forward.feature_map + sign * step, forward.nodule) for sign in (1, -1)]
    expected = ((pools[0] - pools[1]).astype(np.float64) * cotangent).sum()
    assert 2 * (pulled.astype(np.float64) * step).sum() == pytest.approx(expected, rel=2e-2)


def test_weights_that_know_the_outlines_of_the_frames_are_refused(done, sets, tmp_path):
    job, _ = done
    spoilt = tmp_path / "spoilt"
    shutil.copytree(job.out, spoilt)
    facts = json.loads((spoilt / "manifest.json").read_text("utf-8"))
    known = next((sets / "thyroid_us" / "frames").iterdir())
    facts["training_outlines"].append(sha256(known))
    (spoilt / "manifest.json").write_text(json.dumps(facts), "utf-8")
    last = replace(RECIPE, stages=RECIPE.stages[-1:])
    again = TrainingJob(
        last, "two-layer-cnn", sets, tmp_path / "work", tmp_path / "out", str(spoilt)
    )
    with pytest.raises(DataError, match="must not have learned the outlines"):
        cross_validate(again)
