"""A recipe, run from frames to bundle, keeps groups apart and its figures true."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit

from thyro_demo.bundle import card, compress, store
from thyro_demo.data import datasets, phantom
from thyro_demo.data.roi import nodule_boxes
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import BundleError, DataError, RecipeError
from thyro_demo.evaluate import metrics, operating_points
from thyro_demo.files import relative
from thyro_demo.models import pipeline
from thyro_demo.models.backbones import backbone
from thyro_demo.models.features import pooled
from thyro_demo.models.networks import build
from thyro_demo.training import (
    cross_fit,
    initial_weights,
    nodule_stage,
    out_of_fold,
    pretrain,
    stage_images,
)
from thyro_demo.training import run as runs
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import RECIPES, Recipe
from thyro_demo.training.run import cross_validate, run, run_once
from thyro_demo.training.sources import SOURCES, Source
from thyro_demo.training.stage import Stage

pytestmark = pytest.mark.usefixtures("eagerly", "small_heads", "few_resamples")

# Calibration on the other folds needs two of them; more would only take longer. An epoch is one
# step, on images of few pixels.
STAGE = replace(RECIPES["two-layer-cnn"].stages[0][1], input_size=32, batch=64)
RECIPE = replace(RECIPES["two-layer-cnn"], stages=(("thyroid", STAGE),), folds=3)


def draw_frames(folder, sources):
    """Draw 24 patients, two frames each, of both classes, in turn from each source."""
    phantom.write(phantom.cohort(24, 2, seed=3, shape=(120, 160)), folder)
    index = pd.read_csv(folder / "index.csv")
    patients = pd.factorize(index["group"])[0]
    index["label"] = np.where(patients % 2 == 0, "benign", "malignant")
    index["source"] = np.array(sources)[patients // 2 % len(sources)]
    index["group"] = patients + 100
    index.to_csv(folder / "index.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """Return phantoms that pass for real frames of two places."""
    return draw_frames(tmp_path_factory.mktemp("data") / "frames", ["east", "west"])


@pytest.fixture(scope="module")
def quick():
    """Let phantoms be few pixels: a chain is run more than once here."""
    with pytest.MonkeyPatch.context() as patch:
        drawn = phantom.cohort
        patch.setattr(phantom, "cohort", lambda *a, **k: drawn(*a, **{"shape": (120, 160)} | k))
        yield


@pytest.fixture(scope="module")
def done(clinic, quick, tmp_path_factory):
    """Run the recipe of the two-layer network, two epochs a stage."""
    work = tmp_path_factory.mktemp("run")
    job = TrainingJob(
        RECIPE, "two-layer-cnn", clinic, work, work / "out" / "two-layer-cnn", epochs=2
    )
    seen = {}

    def remember(network, slope, intercept):
        layer = network.get_layer("logits")
        seen["before"], seen["platt"] = layer.get_weights(), (slope, intercept)
        calibrate(network, slope, intercept)
        seen["after"] = layer.get_weights()

    calibrate = runs._calibrate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_calibrate", remember)
        run(job)
    return job, seen


@pytest.fixture(scope="module")
def scores(done):
    return pd.read_csv(done[0].work / "oof.csv")


def test_the_bundle_is_whole_and_loads(done, scores):
    loaded = store.load(done[0].out)
    assert (loaded.name, loaded.title) == ("two-layer-cnn", "Two-layer CNN")
    assert loaded.classes == ["benign", "malignant"]
    assert set(loaded.heads) == {"svm", "forest"}
    assert len(loaded.manifest["training_images"]) == scores["path"].nunique() > 48
    drawn = scores.loc[scores["source"] == "phantom", "group"].nunique()
    assert loaded.manifest["training_phantoms"] == {"phantom-7": drawn}


def test_the_manifest_is_strict_json_without_paths_of_this_host(done, tmp_path_factory):
    def refuse(word):
        raise AssertionError(word)

    for file in (done[0].out / "manifest.json", done[0].work / "job.json"):
        text = file.read_text("utf-8")
        json.loads(text, parse_constant=refuse)
        assert str(tmp_path_factory.getbasetemp()) not in text


def test_every_image_is_scored_once_by_every_head(done, scores):
    assert list(scores.columns) == [
        "path", "group", "source", "label", "fold", "head", "probability",
    ]  # fmt: skip
    counts = scores.groupby(["head", "path"]).size()
    assert set(counts) == {1}
    assert set(scores["head"]) == {"softmax", "svm", "forest"}
    drawn = scores[scores["source"] == "phantom"]["path"].nunique()
    assert scores["path"].nunique() == 48 + drawn
    assert 0 < drawn <= 0.2 * (48 + drawn)
    assert scores["probability"].between(0, 1).all()


def test_paths_of_the_scores_lead_from_the_data_or_the_work_folder(done, scores):
    for path in scores["path"]:
        assert (done[0].data / path).is_file() or (done[0].work / path).is_file()


def test_no_group_crosses_a_fold(scores):
    assert set(scores.groupby("group")["fold"].nunique()) == {1}
    assert set(scores["fold"]) == set(range(RECIPE.folds))


def test_groups_are_those_of_the_set(clinic, scores):
    given = datasets.load(clinic)["group"].astype(str)
    assert set(given) <= set(scores["group"].astype(str))


def test_figures_are_of_the_real_frames_and_follow_from_the_scores(done, scores):
    figures = json.loads((done[0].out / "manifest.json").read_text("utf-8"))["metrics"]
    real = scores[scores["source"] != "phantom"]
    assert (figures["n"], figures["split"], figures["unit"]) == (48, "out-of-fold", "group")
    for head, rows in real.groupby("head"):
        value = metrics.auroc(rows["label"] == "malignant", rows["probability"])
        assert figures["heads"][head]["auroc"]["value"] == pytest.approx(value, abs=1e-9)
        assert set(figures["heads"][head]["by_source"]) == {"east", "west"}
    assert out_of_fold.BASELINE in figures["heads"]


def test_phantoms_are_reported_apart(done, scores):
    figures = json.loads((done[0].out / "manifest.json").read_text("utf-8"))["phantom_metrics"]
    assert figures["n"] == scores[scores["source"] == "phantom"]["path"].nunique()


def test_thresholds_follow_from_the_scores_of_the_real_frames(done, scores):
    thresholds = json.loads((done[0].out / "manifest.json").read_text("utf-8"))["thresholds"]
    assert set(thresholds) == {"softmax", "svm", "forest"}
    for head, rows in scores[scores["source"] != "phantom"].groupby("head"):
        positive = rows["label"] == "malignant"
        at = thresholds[head]
        assert at["youden"] == pytest.approx(operating_points.youden(positive, rows["probability"]))
        # Reading a table back may move a score by a last digit across its own threshold.
        assert metrics.sensitivity(positive, rows["probability"], at["sens95"] - 1e-12) >= 0.95
        assert 0 <= min(at.values()) <= max(at.values()) <= 1


def test_calibration_is_folded_into_the_logits_exactly(done):
    _, seen = done
    slope, intercept = seen["platt"]
    features = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    before, after = (features @ kernel + bias for kernel, bias in (seen["before"], seen["after"]))
    odds = before[:, 1] - before[:, 0]
    softmax = np.exp(after[:, 1]) / np.exp(after).sum(axis=1)
    np.testing.assert_allclose(softmax, expit(slope * odds + intercept), atol=1e-6)


def test_the_card_states_for_what_it_is_and_quotes_the_manifest(done):
    text = (done[0].out / "README.md").read_text("utf-8")
    manifest = json.loads((done[0].out / "manifest.json").read_text("utf-8"))
    assert "Teaching and research only" in text
    for head, points in manifest["thresholds"].items():
        figure = manifest["metrics"]["heads"][head]["auroc"]
        shown = f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"
        assert f"| {head} | {shown} |" in text
        assert f"| {head} | {points['youden']:.3f} | {points['sens95']:.3f} |" in text
    assert "nan" not in text.lower().split()
    # Every figure of three decimals is one that the manifest holds.
    quoted = {word.strip("()|.,") for word in text.replace("–", " ").split()}
    numbers = {word for word in quoted if word.count(".") == 1 and len(word) == 5
               and word.replace(".", "").isdigit()}  # fmt: skip
    assert numbers <= {f"{value:.3f}" for value in _numbers(manifest)}


def test_the_card_claims_no_set_that_the_network_never_saw(done):
    """Frames of a folder of one's own are not the public thyroid set, nor Tiny ImageNet."""
    manifest = json.loads((done[0].out / "manifest.json").read_text("utf-8"))
    own = " ".join(card.write(manifest).split())
    assert "(sources: east, west)" in own
    assert not any(word in own for word in ("P1", "DDTI", "ImageNet", "Kermany", "grades"))
    renamed = json.loads(
        json.dumps(manifest).replace('"east"', '"ddti"').replace('"west"', '"other"')
    )
    renamed["chain"].insert(0, manifest["chain"][0] | {"stage": "natural-64"})
    public = card.write(renamed)
    assert all(word in public for word in ("P1", "DDTI", "ImageNet", "grades"))
    assert "Kermany" not in public


def _numbers(part):
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list):
        return [number for each in part for number in _numbers(each)]
    return [part] if isinstance(part, int | float) else []


def test_a_work_folder_of_another_job_is_refused(done, tmp_path):
    job, _ = done
    with pytest.raises(RecipeError, match=r"same recipe, network, .* and epochs.*Received: "):
        run(replace(job, epochs=3, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changed", [{"folds": 4}, {"phantoms": 0.3}, {"pooling": "nodule"}], ids=str
)
def test_a_work_folder_with_other_folds_or_features_is_refused(changed, done, tmp_path):
    job, _ = done
    with pytest.raises(RecipeError, match=r"must be empty or hold the same recipe.*Received: "):
        run(replace(job, recipe=replace(job.recipe, **changed), out=tmp_path / "out"))


def test_a_work_folder_of_other_images_is_refused(done, clinic, tmp_path):
    """Done folds are taken as they are: with other labels they would be another set's figures."""
    job, _ = done
    other = tmp_path / "frames"
    shutil.copytree(clinic, other)
    index = pd.read_csv(other / "index.csv")
    index["label"] = index["label"].map({"benign": "malignant", "malignant": "benign"})
    index.to_csv(other / "index.csv", index=False)
    with pytest.raises(RecipeError, match=r"the images that it began with.*Received: "):
        run(replace(job, data=other, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_same_images_in_another_place_are_the_same(clinic, tmp_path):
    shutil.copytree(clinic, tmp_path / "frames")
    here, there = (
        stage_images.content(datasets.load(root), root) for root in (clinic, tmp_path / "frames")
    )
    assert here == there


def test_a_mended_outline_makes_other_images(clinic, tmp_path):
    records = datasets.load(clinic)
    before = stage_images.content(records, clinic)
    assert stage_images.content(datasets.load(clinic), clinic) == before
    masked = records.index[records["mask_path"].notna()][0]
    mended = tmp_path / "mask.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(mended)
    records.loc[masked, "mask_path"] = str(mended)
    assert stage_images.content(records, clinic) != before


def test_a_finished_job_is_not_trained_again_and_writes_the_same_network(done, tmp_path,
                                                                         monkeypatch):  # fmt: skip
    job, _ = done
    monkeypatch.setattr(cross_fit.CrossFit, "_fold", lambda *_: pytest.fail("trained a fold again"))
    again = store.load(run(replace(job, out=tmp_path / "two-layer-cnn")))
    first = store.load(job.out)
    for a, b in zip(first.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("out", ["thesis", ".", "my net!", "a-file"])
def test_a_place_that_is_no_bundles_is_refused_before_training(out, clinic, tmp_path, monkeypatch):
    """Writing replaces the whole folder: somebody's thesis is not to go for a bundle."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis").mkdir()
    for name in ("thesis/chapter.txt", "a-file"):
        (tmp_path / name).write_text("years of work")
    with pytest.raises(BundleError, match=r"A bundle's folder must be .*Received: .*\.$"):
        run(TrainingJob(RECIPE, "two-layer-cnn", clinic, tmp_path / "work", Path(out), epochs=1))
    assert (tmp_path / "thesis" / "chapter.txt").exists()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("command", [run, cross_validate])
def test_a_recipe_for_other_networks_is_refused(command, clinic, tmp_path):
    with pytest.raises(RecipeError, match=r"must be one of two-layer-cnn\. Received: 'vgg16'\.$"):
        command(TrainingJob(RECIPE, "vgg16", clinic, tmp_path, tmp_path / "out"))


def headed(weights, clinic, folder, **settings):
    """Return a job that trains a softmax on some weights, in small."""
    stage = Stage("thyroid", "head", 2, input_size=32, batch=64, views=1)
    recipe = replace(RECIPES["head"], stages=(("thyroid", stage),), heads=("softmax",),
                     primary="softmax", folds=2)  # fmt: skip
    return TrainingJob(
        recipe, "two-layer-cnn", clinic, folder / "work", folder / "out", weights, **settings
    )


@pytest.mark.parametrize("command", [run, cross_validate])
@pytest.mark.parametrize("named", [".", "model.keras"])
def test_weights_trained_on_thyroid_frames_are_refused(command, named, done, clinic, tmp_path):
    """A fold forgets the head of its weights alone, so its body would know tested labels."""
    job = headed(str(done[0].out / named), clinic, tmp_path)
    sentence = r"no thyroid frame: a bundle .*Received: .*, trained on them: all\.$"
    with pytest.raises(RecipeError, match=sentence):
        command(job)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_bundle_lists_the_stages_of_the_bundle_it_goes_on_from(done, clinic, tmp_path):
    frozen = tmp_path / "frozen"
    shutil.copytree(done[0].out, frozen)
    facts = json.loads((frozen / "manifest.json").read_text("utf-8"))
    (row,) = facts["chain"]
    facts["chain"] = [row | {"stage": "natural-64"}, row | {"trained": "head"}]
    (frozen / "manifest.json").write_text(json.dumps(facts), "utf-8")
    out = run(headed(str(frozen), clinic, tmp_path))
    chain = json.loads((out / "manifest.json").read_text("utf-8"))["chain"]
    assert chain[:2] == facts["chain"]
    assert [(stage["stage"], stage["trained"]) for stage in chain[2:]] == [("thyroid", "head")]
    initial_weights.check_not_trained_on(out)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_weights_trained_anew_under_their_old_name_are_refused(clinic, tmp_path):
    """Done folds belong to the network that they were computed with, not to its path."""

    def begun_from(seed):
        keras.utils.set_random_seed(seed)
        build(backbone("two-layer-cnn"), input_size=32).save(tmp_path / "initial.keras")

    begun_from(1)
    job = headed(str(tmp_path / "initial.keras"), clinic, tmp_path)
    first = cross_validate(job)
    # As if killed before its last fold: it goes on with the same network alone.
    for suffix in ("csv", "json"):
        (job.work / "thyroid" / f"fold1.{suffix}").unlink()
    resumed = cross_validate(job)
    pd.testing.assert_frame_equal(resumed, first)
    begun_from(2)
    with pytest.raises(RecipeError, match=r"same recipe, network, .* and epochs.*Received: "):
        cross_validate(job)


@pytest.mark.slow
def test_a_chain_starts_each_stage_from_the_one_before(clinic, quick, tmp_path, monkeypatch):
    """Parts that a source brings are kept; resuming after a stage changes nothing."""

    def parted(root):
        records = datasets.load(root)
        return records.assign(split=np.where(records.index % 4 == 0, "validation", "train"))

    monkeypatch.setitem(SOURCES, "natural", Source("frames", parted, crop=False))
    monkeypatch.setitem(SOURCES, "thyroid", Source("frames", datasets.load, crop=True))
    two = Recipe(
        "two-stages", "for this test",
        (("natural", Stage("first", "all", 1, input_size=32, batch=64)),
         ("thyroid", Stage("second", "head", 1, input_size=32, batch=64, views=1))),
        ("two-layer-cnn",), heads=("softmax", "svm"), folds=2,
    )  # fmt: skip
    job = TrainingJob(two, "two-layer-cnn", clinic.parent, tmp_path / "work", tmp_path / "a")
    first = store.load(run(job))
    stage = first.manifest["chain"][0]
    assert (stage["images"], stage["validation images"], stage["epochs"]) == (36, 12, 1)
    # As if killed between the two stages: the first is read from its file.
    again = TrainingJob(two, "two-layer-cnn", clinic.parent, tmp_path / "again", tmp_path / "b")
    (tmp_path / "again").mkdir()
    (tmp_path / "work" / "first").rename(tmp_path / "again" / "first")
    second = store.load(run(again))
    for a, b in zip(first.network.get_weights(), second.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


ALONE = Recipe(
    "alone", "for this test",
    (("natural", Stage("first", "all", 2, input_size=32, sides=(16, 32), seed=4,
                       precision="mixed_bfloat16")),),
    ("two-layer-cnn",), heads=(), primary="",
)  # fmt: skip


@pytest.fixture(scope="module")
def alone(clinic, quick, tmp_path_factory):
    """Run a recipe without a bundle, on growing images in short arithmetic."""
    work = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SOURCES, "natural", Source("frames", datasets.load, crop=False))
        run(TrainingJob(ALONE, "two-layer-cnn", clinic.parent, work, work / "net.keras"))
    return work


def test_a_recipe_without_a_bundle_writes_a_network_for_plain_keras(alone):
    network = keras.saving.load_model(alone / "net.keras")
    assert network.input_shape == (None, 32, 32, 3)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(network(images).numpy().sum(axis=1), 1.0, atol=1e-6)
    # It is the network of its last stage, which was trained, in fewer bits.
    stage = keras.saving.load_model(alone / "first" / "network.keras")
    compress.shorten(stage)
    for kept, trained in zip(network.get_weights(), stage.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, trained)
    keras.utils.set_random_seed(4)
    fresh = build(backbone("two-layer-cnn"), input_size=32).get_layer("conv2").get_weights()[0]
    assert np.abs(network.get_layer("conv2").get_weights()[0] - fresh).max() > 1e-3


@pytest.mark.parametrize("fails", [False, True])
def test_short_arithmetic_ends_with_its_stage(fails, clinic, quick, alone, tmp_path, monkeypatch):
    """Also on images of another side than the network's own, and where a stage fails."""
    monkeypatch.setitem(SOURCES, "natural", Source("frames", datasets.load, crop=False))
    stage = Stage("next", "last block", 1, input_size=48, precision="mixed_bfloat16", views=1)
    recipe = replace(ALONE, stages=(("natural", stage),))
    seen, train = [], pretrain.train_stage

    def watched(network, *arguments):
        seen.append((keras.config.dtype_policy().name, network.get_layer("conv2").compute_dtype))
        if fails:
            raise KeyboardInterrupt
        return train(network, *arguments)

    monkeypatch.setattr(pretrain, "train_stage", watched)
    first = alone / "net.keras"
    job = TrainingJob(
        recipe, "two-layer-cnn", clinic.parent, tmp_path, tmp_path / "b.keras", str(first)
    )
    if fails:
        with pytest.raises(KeyboardInterrupt):
            run(job)
    else:
        before, after = (keras.saving.load_model(file) for file in (first, run(job)))
        moved = {name: (before.get_layer(name).get_weights()[0]
                        != after.get_layer(name).get_weights()[0]).any()
                 for name in ("conv1", "conv2")}  # fmt: skip
        assert moved == {"conv1": False, "conv2": True}
    assert seen == [("mixed_bfloat16", "bfloat16")]
    assert keras.config.dtype_policy().name == "float32"


def test_a_network_is_taken_as_it_is_from_its_own_job_alone(clinic, alone, tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "natural", Source("frames", datasets.load, crop=False))
    job = TrainingJob(ALONE, "two-layer-cnn", clinic.parent, alone, alone / "net.keras")
    written = job.out.stat().st_mtime_ns
    assert run_once(job) == job.out
    assert job.out.stat().st_mtime_ns == written
    other = tmp_path / "sets"
    shutil.copytree(clinic, other / "frames")
    index = pd.read_csv(other / "frames" / "index.csv")
    index.iloc[:-2].to_csv(other / "frames" / "index.csv", index=False)
    for changed in ({"initial_weights": str(job.out)}, {"epochs": 1}, {"data": other}):
        with pytest.raises(
            RecipeError, match=r"must .*(same recipe|images that it began).*Received"
        ):
            run_once(replace(job, **changed))


def test_a_network_is_written_to_a_keras_file_or_not_at_all(clinic, tmp_path):
    with pytest.raises(RecipeError, match=r"to a file named \*\.keras\. Received: .*net\.$"):
        run(TrainingJob(ALONE, "two-layer-cnn", clinic, tmp_path / "work", tmp_path / "net"))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("limit", [None, 3, 17, 40, 99])
def test_a_limited_stage_keeps_whole_groups_and_as_many_as_fit(limit):
    sizes = [1, 5, 2, 4, 3, 6, 1, 2, 9, 7]
    groups = [group for name, size in zip("abcdefghij", sizes, strict=True)
              for group in [name] * size]  # fmt: skip
    table = pd.DataFrame({"path": [f"{row}.png" for row in range(40)], "group": groups})
    table.loc[table["group"].isin(["a", "g"]), "group"] = np.nan
    kept = pretrain.limited(table, Stage("some", "all", 1, limit=limit))
    assert list(kept.index) == list(range(len(kept)))
    assert kept["path"].is_unique
    if limit is None or limit >= 40:
        assert len(kept) == 40
        return
    assert limit - 9 < len(kept) <= limit
    whole = table["group"].value_counts()
    assert all(count == whole[group] for group, count in kept["group"].value_counts().items())


@pytest.mark.parametrize(
    ("weights", "named"),
    [("imagenet", "imagenet"), ("weights/b0", "weights/b0"), ("{here}/a/b0", "a/b0"),
     ("{here}/../b0/net.keras", "net.keras")],
)  # fmt: skip
def test_weights_are_named_without_folders_of_the_host(weights, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert relative(weights.format(here=tmp_path), (tmp_path,)) == named


def test_a_stage_that_trains_nothing_hands_its_network_on(clinic, quick, tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "natural", Source("frames", datasets.load, crop=False))
    job = TrainingJob(RECIPE, "two-layer-cnn", clinic.parent, tmp_path, tmp_path / "out")
    stage = Stage("still", "none", 1, input_size=48)
    before = pretrain.run(job, backbone("two-layer-cnn"), (("natural", stage),))
    assert Path(before.weights).is_file()
    assert (before.history[0]["epochs"], before.history[0]["validation accuracy"]) == (0, None)


@pytest.mark.slow
def test_a_set_of_phantoms_alone_is_reported_as_such(quick, tmp_path):
    folder = draw_frames(tmp_path / "phantoms", ["phantom"])
    stage = replace(RECIPES["head"].stages[0][1], input_size=32, batch=64)
    head = replace(RECIPES["head"], stages=(("thyroid", stage),), heads=("softmax", "svm"), folds=2)
    out = run(
        TrainingJob(head, "two-layer-cnn", folder, tmp_path / "work", tmp_path / "out", epochs=1)
    )
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["metrics"]["n"] == len(manifest["training_images"]) == 48
    assert "phantoms" in (out / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_mlp_of_p1_ends_a_network_when_a_recipe_asks_for_it(clinic, quick, tmp_path):
    recipe = replace(RECIPE, network_head="mlp", heads=("softmax",), primary="softmax", phantoms=0)
    job = TrainingJob(recipe, "two-layer-cnn", clinic, tmp_path, tmp_path / "out" / "mlp", epochs=1)
    loaded = store.load(run(job))
    assert [layer.name for layer in loaded.network.layers if "mlp" in layer.name] == [
        "mlp_dropout", "mlp_dense1", "mlp_dense2", "mlp_dense3",
    ]  # fmt: skip
    frames = np.zeros((2, loaded.input_size, loaded.input_size, 3), np.float32)
    forward = loaded.forward(frames)
    assert forward.features.shape == (2, np.prod(forward.feature_map.shape[1:]))
    assert forward.softmax_gradient.shape == forward.feature_map.shape


def test_frames_are_cropped_to_nodules_where_the_source_asks_for_it_alone(clinic, tmp_path):
    """A set with a column `roi`, as `evaluate` reads it, trains a recipe on scan areas as any."""
    marked = tmp_path / "marked"
    shutil.copytree(clinic, marked)
    index = pd.read_csv(marked / "index.csv")
    index.assign(roi="40 30 90 80").to_csv(marked / "index.csv", index=False)
    frames = {}
    for source in ("thyroid", "nodule"):
        recipe = replace(RECIPE, stages=((source, STAGE),), phantoms=0)
        for root in (clinic, marked):
            work = tmp_path / f"{source}-{root.name}"
            job = TrainingJob(recipe, "two-layer-cnn", root, work, work / "out")
            frames[source, root] = cross_fit.CrossFit(job, backbone("two-layer-cnn"), "none").frames
    np.testing.assert_array_equal(
        frames["thyroid", clinic].images, frames["thyroid", marked].images
    )
    nodules = datasets.load(clinic)
    masks = pipeline.load_frames(nodules, out_of_fold.CLASSES, 32, boxes=nodule_boxes(nodules))
    np.testing.assert_array_equal(frames["nodule", clinic].images, masks.images)
    regions = pipeline.load_frames(
        nodules, out_of_fold.CLASSES, 32, boxes=[Box(40, 30, 90, 80)] * len(nodules)
    )
    np.testing.assert_array_equal(frames["nodule", marked].images, regions.images)


def test_a_set_too_small_for_its_folds_is_refused_before_training(quick, tmp_path):
    frames = draw_frames(tmp_path / "frames", ["east"])
    index = pd.read_csv(frames / "index.csv")
    few = index["group"].isin(index["group"].unique()[:10])
    index[few].to_csv(frames / "index.csv", index=False)
    job = TrainingJob(
        RECIPE, "two-layer-cnn", frames, tmp_path / "w", tmp_path / "out" / "b", epochs=1
    )
    with pytest.raises(DataError, match=r"Received: 5 of (benign|malignant)\.$"):
        run(job)


@pytest.mark.slow
def test_a_frozen_network_is_rounded_first_and_meets_a_fifth_of_phantoms(
    clinic, quick, alone, tmp_path, monkeypatch
):
    """What the card reports of rounding and phantoms, and that no pass has more than a fifth."""
    exact = keras.saving.load_model(alone / "first" / "network.keras")
    head = Stage("thyroid", "head", 2, input_size=32, batch=64, precision="mixed_bfloat16", views=2)
    recipe = replace(RECIPES["head"], heads=("softmax", "svm"), folds=2, phantoms=0.2,
                     stages=(("thyroid", head),))  # fmt: skip
    runs, train = {}, cross_fit.train_stage

    def watched(network, spec, stage, frames, training, validation, folder, views):
        runs[folder.name] = np.concatenate([training, validation]), views
        return train(network, spec, stage, frames, training, validation, folder, views)

    monkeypatch.setattr(cross_fit, "train_stage", watched)
    first = alone / "first" / "network.keras"
    job = TrainingJob(recipe, "two-layer-cnn", clinic, tmp_path / "w", tmp_path / "out", str(first))
    out = run(job)
    facts = json.loads((out / "manifest.json").read_text("utf-8"))
    scores = pd.read_csv(job.work / "oof.csv")

    # The frozen body of the bundle is that of the initial weights, in fewer bits.
    compress.shorten(exact)
    kept = store.load(out).network
    for name in ("conv1", "conv2", "conv1_bn", "conv2_bn"):
        for a, b in zip(kept.get_layer(name).get_weights(), exact.get_layer(name).get_weights(),
                        strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b)
    assert facts["rounding"]["mantissa_bits"] == compress.BITS
    assert 0 < facts["rounding"]["largest_move"] < 0.2

    # Figures of the real frames follow from the scores; those without phantoms are beside them.
    both = facts["with_and_without_phantoms"]
    for name, rows in scores[scores["source"] != "phantom"].groupby("head"):
        value = metrics.auroc(rows["label"] == "malignant", rows["probability"])
        assert facts["metrics"]["heads"][name]["auroc"]["value"] == pytest.approx(value, abs=1e-9)
        assert both["with"][name]["all"] == facts["metrics"]["heads"][name]["auroc"]
        assert set(both["without"][name]["by_source"]) == {"east", "west"}
        assert both["without"][name] != both["with"][name]

    # 12 phantoms beside 48 frames, each row once a pass; none where they are left out.
    records = cross_fit._records(job)
    drawn = (records["source"] == "phantom").to_numpy()
    frames = pipeline.load_frames(records, out_of_fold.CLASSES, 32)
    assert (len(drawn), drawn.sum()) == (60, 12)
    assert set(runs) == {"fold0", "fold1", "real-fold0", "real-fold1", "final"}
    for name, (rows, views) in runs.items():
        assert views.every.shape[:2] == (2, 60)
        assert len(set(rows)) == len(rows)
        assert drawn[rows].any() != name.startswith("real")
        (plain,) = pooled(kept, frames.images)
        np.testing.assert_allclose(views.plain, plain, atol=1e-4)
        assert (views.every[1] != plain).any(axis=1).all()
    assert drawn[runs["final"][0]].mean() == pytest.approx(0.2)
    for fold in ("fold0", "fold1"):
        assert drawn[runs[fold][0]].mean() <= 0.25


@pytest.fixture(scope="module")
def revealing():
    """Return features that reveal the label of a row by its group alone: no other group helps."""
    groups = np.repeat(np.arange(24), 2)
    labels = groups // 2 % 2
    records = pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(48)],
            "group": groups.astype(str),
            "source": "east",
            "label": np.where(labels == 1, "malignant", "benign"),
            "fold": groups // 8,
        }
    )
    features = np.eye(24)[groups] * np.where(labels == 1, 1.0, -1.0)[:, None]
    return features.astype(np.float32), records


def _aurocs(found):
    return [metrics.auroc(rows["label"] == "malignant", rows["raw"])
            for _, rows in found.groupby("fold")]  # fmt: skip


@pytest.fixture
def oddly_named():
    """Return scores of two folds, of groups and sources that a CSV reader may take for others."""
    groups = ["NA", "None", "nan", "007"]
    table = pd.DataFrame({"path": [f"{row}.png" for row in range(8)], "group": groups * 2})
    table["source"] = ["007", "NA", np.nan, "null"] * 2
    rows = np.arange(8)
    table["label"] = np.array(out_of_fold.CLASSES)[rows % 2]
    return table.assign(set="one", fold=rows // 4, head="svm", raw=rows % 3 - 1.0)


def _assert_names_are_kept(found, table):
    for column in ("path", "group", "source"):
        read, written = found[column].astype(object), table[column].astype(object)
        assert read.fillna("missing").tolist() == written.fillna("missing").tolist()


def test_names_of_groups_and_sources_outlive_the_files_of_the_folds(oddly_named, tmp_path):
    fit = object.__new__(cross_fit.CrossFit)
    fit.records, fit.folder = oddly_named, tmp_path
    fit._fold = lambda fold, *_: (oddly_named[oddly_named["fold"] == fold], {"epochs": 1})
    found, _ = fit.out_of_fold()
    _assert_names_are_kept(found, oddly_named)
    np.testing.assert_array_equal(found["raw"], oddly_named["raw"])


def test_names_of_groups_and_sources_outlive_the_file_of_learned_outlines(oddly_named, tmp_path):
    oddly_named.to_csv(tmp_path / "outlined.csv", index=False)
    _assert_names_are_kept(nodule_stage.learned(tmp_path), oddly_named)


@pytest.mark.parametrize("more", [False, True], ids=["alone", "with more rows"])
def test_heads_never_learn_from_the_fold_they_are_tested_on(more, revealing):
    features, records = revealing
    # The same rows once more would reveal their own labels.
    found = out_of_fold.score_features(features, records, more=revealing if more else None)
    assert list(found["path"]) == list(records["path"])
    assert found["score"].between(0, 1).all()
    assert max(_aurocs(found)) < 0.6


def test_heads_do_learn_from_more_rows_of_other_folds(revealing):
    features, records = revealing
    elsewhere = records.assign(fold=(records["fold"] + 1) % 3)
    found = out_of_fold.score_features(features, records, more=(features, elsewhere))
    assert len(found) == len(records)
    assert min(_aurocs(found)) > 0.9


def test_weights_of_training_rows_reach_the_heads(revealing):
    _, records = revealing
    noise = np.random.default_rng(0).normal(size=(48, 4)).astype(np.float32)
    met = []

    def weights(rows):
        met.append(rows["fold"].unique())
        return np.where(rows["label"] == "malignant", 20.0, 1.0)

    even, tilted = (
        out_of_fold.score_features(noise, records, weights=how) for how in (None, weights)
    )
    assert [sorted(folds) for folds in met] == [[1, 2], [0, 2], [0, 1]]
    assert tilted["raw"].mean() > even["raw"].mean() + 0.1
