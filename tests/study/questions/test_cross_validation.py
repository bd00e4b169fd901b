"""A recipe is scored out of fold, by weights that have seen none of the frames."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import metrics
from thyro_demo.models.backbones import backbone
from thyro_demo.models.networks import build
from thyro_demo.study.questions import cross_validation
from thyro_demo.training import run
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import RECIPES, recipe
from thyro_demo.training.stage import Stage

pytestmark = pytest.mark.usefixtures("eagerly", "small_heads", "few_resamples")


def test_a_recipe_that_writes_a_network_alone_is_refused(clinic, tmp_path):
    with pytest.raises(RecipeError, match=r"end on thyroid frames.*Received: 'radiographs'\.$"):
        cross_validation.run("radiographs", None, clinic, None, tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("given", ["folder", "network", "name"])
def test_a_start_that_was_trained_on_thyroid_frames_is_refused(given, trained_bundle, clinic,
                                                               tmp_path, monkeypatch):  # fmt: skip
    """Also where the folder is named like a network, or its file is given in its place."""
    folder = trained_bundle("last block")
    monkeypatch.chdir(folder.parent)
    start = {"folder": str(folder), "network": str(folder / "model.keras"), "name": folder.name}
    with pytest.raises(RecipeError, match=r"no thyroid frame.*Received: .*last block\.$"):
        cross_validation.run("head", "two-layer-cnn", clinic, start[given], tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_the_shipped_bundle_is_the_usual_start_and_is_checked_too(trained_bundle, clinic, tmp_path,
                                                                  monkeypatch):  # fmt: skip
    monkeypatch.setenv("THYRO_WEIGHTS", str(trained_bundle("all").parent))
    with pytest.raises(RecipeError, match=r"Received: .*two-layer-cnn, trained on them: all\.$"):
        cross_validation.run("head", "two-layer-cnn", clinic, None, tmp_path / "work")


@pytest.mark.parametrize("given", ["none", "imagenet", "file", "bundle", "network", "shipped"])
def test_a_start_goes_through_the_stages_that_it_has_not_been_through(
    given, trained_bundle, clinic, tmp_path, monkeypatch
):
    """As in `train`, but that a bundle, whose stages are done, is met by the last one alone."""
    folder = trained_bundle("head", "resnet50")
    monkeypatch.setenv("THYRO_WEIGHTS", str(folder.parent))
    jobs = []
    monkeypatch.setattr(
        cross_validation, "cross_validations", lambda job, repeats: [jobs.append(job)] * repeats
    )
    start = {"file": str(tmp_path / "net.keras"), "bundle": str(folder),
             "network": str(folder / "model.keras"), "shipped": None}.get(given, given)  # fmt: skip
    cross_validation.run("progressive", "resnet50", clinic, start, tmp_path / "work")
    (job,) = jobs
    known = recipe("progressive", "resnet50", job.initial_weights)
    whole = given in ("none", "imagenet", "file")
    assert job.recipe.stages == (known.stages if whole else known.stages[-1:])
    assert len(known.stages) == (4 if given == "none" else 3)
    assert job.initial_weights == (str(folder) if given == "shipped" else start)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_the_scores_are_those_of_train_whatever_head_the_start_has(clinic, tmp_path, monkeypatch):
    """A bundle's own head was trained on all the frames, so a fold may not start from it."""
    stage = Stage("thyroid", "head", 3, learning_rate=1e-3, input_size=48)
    stages, kinds = (("thyroid", stage),), ("softmax", "svm")
    monkeypatch.setitem(
        RECIPES, "head", replace(RECIPES["head"], stages=stages, heads=kinds, folds=2)
    )
    keras.utils.set_random_seed(5)
    network = build(backbone("two-layer-cnn"), input_size=48)
    starts = [str(tmp_path / f"{name}.keras") for name in ("first", "second")]
    network.save(starts[0])
    logits = network.get_layer("logits")
    logits.set_weights([5.0 * weights + 1.0 for weights in logits.get_weights()])
    network.save(starts[1])
    job = TrainingJob(recipe("head", "two-layer-cnn"), "two-layer-cnn", clinic, tmp_path / "train",
              tmp_path / "out", starts[0])  # fmt: skip
    run.run(job)
    (found,) = cross_validation.run("head", "two-layer-cnn", clinic, starts[1], tmp_path / "study")
    trained, studied = (tmp_path / name / "oof.csv" for name in ("train", "study"))
    assert studied.read_bytes() == trained.read_bytes()
    pd.testing.assert_frame_equal(found, pd.read_csv(studied, dtype={"group": str}))
    assert not (tmp_path / "study" / "two-layer-cnn").exists()


def test_what_is_printed_is_what_was_found(scored):
    """Frames and phantoms apart, each head over all and within each source."""
    table = scored(1.0).rename(columns={"score": "probability"})
    drawn = scored(3.0, seed=1).rename(columns={"score": "probability"}).assign(source="phantom")
    printed = cross_validation.lines(pd.concat([table, drawn], ignore_index=True))
    assert [line.split(",")[0] for line in printed if ":" in line] == [
        "Frames: 80 in 40 groups", "Phantoms: 80 in 40 groups",
    ]  # fmt: skip
    rows = [line.split()[:3] for line in printed if line.startswith("  ")]
    expected = []
    for source, part in (("all", table), ("east", table[table["source"] == "east"]),
                         ("west", table[table["source"] == "west"]), ("all", drawn),
                         ("phantom", drawn)):  # fmt: skip
        value = metrics.auroc(part["label"] == "malignant", part["probability"])
        expected.append(["svm", source, f"{value:.3f}"])
    assert rows == expected


def test_figures_of_several_splits_are_averaged_within_and_over_the_sources():
    rng = np.random.default_rng(0)
    known = pd.DataFrame(
        {
            "path": [f"{place}{number}" for place in "ab" for number in range(60)],
            "group": [f"{place}{number // 2}" for place in "ab" for number in range(60)],
            "source": np.repeat(["a", "b"], 60),
            "label": np.where(rng.random(120) < np.repeat([0.3, 0.7], 60), "malignant", "benign"),
            "head": "svm",
            "fold": 0,
        }
    )
    tables = [known.assign(probability=rng.random(120)).sample(frac=1, random_state=seed)
              for seed in range(3)]  # fmt: skip
    found = cross_validation.repeated(tables)["svm"]
    within = [
        metrics.auroc(rows["label"] == "malignant", rows["probability"])
        for table in tables
        for _, rows in table.groupby("source")
    ]
    over = [metrics.auroc(table["label"] == "malignant", table["probability"]) for table in tables]
    assert found["within sources"].value == pytest.approx(np.mean(within))
    assert found["all"].value == pytest.approx(np.mean(over))
    assert found["all"].low < found["all"].value < found["all"].high


def test_a_gain_is_the_difference_of_both_means_on_the_same_resamples(scored):
    ours, theirs = ([scored(spread, seed=seed).rename(columns={"score": "probability"})
                     for seed in range(2)] for spread in (1.0, 3.0))  # fmt: skip
    gain = cross_validation.gained(ours, theirs)["svm"]
    for key, figure in cross_validation.repeated(ours)["svm"].items():
        other = cross_validation.repeated(theirs)["svm"][key]
        assert gain[key].value == pytest.approx(figure.value - other.value)
        assert gain[key].low < gain[key].value < gain[key].high
    same = cross_validation.gained(ours, ours)["svm"]
    assert all(tuple(figure) == (0.0, 0.0, 0.0) for figure in same.values())


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_each_repeat_splits_the_same_frames_otherwise_and_goes_on_after_a_kill(
    clinic, tmp_path, monkeypatch
):
    stage = Stage("thyroid", "head", 1, input_size=48)
    monkeypatch.setitem(
        RECIPES,
        "head",
        replace(RECIPES["head"], stages=(("thyroid", stage),), heads=("softmax",), folds=2),
    )
    work = tmp_path / "work"

    def repeat(repeats):
        return cross_validation.run("head", "two-layer-cnn", clinic, "none", work, repeats)

    (first,) = repeat(1)
    one, other = repeat(2)
    pd.testing.assert_frame_equal(one, first)
    folds = [table.set_index("path")["fold"] for table in (one, other)]
    assert set(folds[0].index) == set(folds[1].index)
    assert (folds[0] != folds[1].loc[folds[0].index]).any()
    written = pd.read_csv(work / "split-1" / "oof.csv", dtype={"group": str})
    pd.testing.assert_frame_equal(written, other)
