import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.data import datasets, splits
from thyro_demo.data.images import decode
from thyro_demo.data.scan_area import prepare
from thyro_demo.evaluate import metrics
from thyro_demo.models.backbones import backbone
from thyro_demo.models.features import pooled, readout
from thyro_demo.models.networks import build
from thyro_demo.study import graph
from thyro_demo.study.questions import leaks
from thyro_demo.study.questions.leaks import FLAWS, SOUND

pytestmark = pytest.mark.usefixtures("eagerly")

BY_NAME = {flaw.name: flaw for flaw in FLAWS}


@pytest.fixture(scope="module", autouse=True)
def one_setting():
    """Let SVMs choose nothing: what is tested is whom they meet, not how well they do."""

    def fit(kind, features, labels, groups):
        assert kind == "svm"
        inner = splits.grouped_folds(labels, groups, 3, 0)
        svm = make_pipeline(StandardScaler(), SVC())
        return CalibratedClassifierCV(svm, cv=inner, ensemble=False).fit(features, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaks.heads, "fit", fit)
        yield


@pytest.fixture(scope="module")
def records():
    """Make a table of 40 groups of three images, whose label follows the group alone."""
    groups = np.repeat(np.arange(40), 3)
    table = pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(120)],
            "group": groups.astype(str),
            "source": "east",
            "label": np.where(groups % 2 == 1, "malignant", "benign"),
        }
    )
    return splits.kfold(table, 5)


@pytest.fixture(scope="module")
def recognised(records):
    """Make features that identify a group, and depend in nothing on its class."""
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(40, 12))[records["group"].astype(int)]
    return (groups + 0.05 * rng.normal(size=groups.shape)).astype(np.float32)


def both_sides(flaw, records):
    """List for each fold the groups, and the rows, that are trained and tested on."""
    folds = leaks.assigned_folds(records, flaw)
    groups = records["group"].to_numpy()
    for held in np.unique(folds):
        learned, tested = leaks.parts(folds, held, flaw)
        yield set(groups[learned]) & set(groups[tested]), np.intersect1d(learned, tested), tested


def test_in_the_sound_run_no_group_crosses_and_every_image_is_tested_once(records):
    found = list(both_sides(SOUND, records))
    assert all(not groups and not len(rows) for groups, rows, _ in found)
    assert sorted(np.concatenate([tested for *_, tested in found])) == list(range(len(records)))


@pytest.mark.parametrize("name", ["test images in training", "a third of them in training"])
def test_copied_images_are_on_both_sides(records, name):
    for _, rows, tested in both_sides(BY_NAME[name], records):
        assert len(rows) == round(BY_NAME[name].copied * len(tested)) > 0


def test_an_image_level_split_cuts_groups_but_copies_no_image(records):
    found = list(both_sides(BY_NAME["image-level split"], records))
    assert all(groups and not len(rows) for groups, rows, _ in found)


def test_the_share_of_twins_is_that_of_the_notebooks_split():
    images = np.arange(20_000)
    listed = np.concatenate([images[:16_000], images[:4_000]])
    training, test = train_test_split(listed, test_size=0.2, random_state=80)
    assert np.isin(test, training).mean() == pytest.approx(leaks.TWINS, abs=0.01)
    assert {flaw.copied for flaw in FLAWS} == {0.0, 1.0, leaks.TWINS}


def test_a_shuffled_generator_makes_a_perfect_score_chance():
    positive = np.arange(2000) % 3 == 0
    table = pd.DataFrame({"fold": np.arange(2000) % 5, "score": np.where(positive, 0.9, 0.1)})
    mixed = leaks.shuffled(table)
    assert metrics.auroc(positive, table["score"]) == 1
    assert metrics.auroc(positive, mixed["score"]) == pytest.approx(0.5, abs=0.04)
    for fold in range(5):
        mine = table["fold"] == fold
        assert sorted(mixed["score"][mine]) == sorted(table["score"][mine])


def test_an_svm_that_knows_patients_is_caught_by_the_sound_run_alone(records, recognised):
    names = ("test images in training", "image-level split", "shuffled predictions")
    found = {
        flaw.name: leaks.score(flaw, {"scan": recognised}, records)
        for flaw in (SOUND, *(BY_NAME[name] for name in names))
    }
    positive = records["label"] == "malignant"
    reached = {name: metrics.auroc(positive, table["score"]) for name, table in found.items()}
    assert reached["sound"] < 0.65
    assert reached["test images in training"] > 0.95
    assert reached["image-level split"] > 0.95
    assert reached["shuffled predictions"] == pytest.approx(0.5, abs=0.12)


def test_a_flaw_of_normalisation_trains_on_one_kind_of_features_and_asks_about_the_other(records):
    flaw = BY_NAME["training images not normalised"]
    signal = (records["label"] == "malignant").to_numpy(np.float32)[:, None]
    noise = np.random.default_rng(1).normal(size=(len(signal), 3)).astype(np.float32)
    read = {"scan": 0.1 * noise + signal, "scan, raw": 100 * (0.1 * noise + signal)}
    asked = leaks.score(flaw, read, records)["score"]
    sound = leaks.score(SOUND, read, records)["score"]
    positive = records["label"] == "malignant"
    assert metrics.accuracy(positive, sound, leaks.HALF) == 1
    # Every test image looks like the faintest training images, and is called what they are.
    assert metrics.specificity(positive, asked, leaks.HALF) in (0, 1)


def test_the_last_two_runs_have_every_flaw():
    in_order, mixed = FLAWS[-2:]
    for flaw in (in_order, mixed):
        assert all((flaw.copied, flaw.image_level, flaw.whole))
        assert "training" in flaw.raw
    assert (in_order.shuffled, mixed.shuffled) == (False, True)
    # Validation images came from the training generator, test images from one of their own.
    assert leaks.view(in_order, "test") == "whole, raw"
    assert leaks.view(mixed, "test") == "whole"


def test_gains_are_those_over_the_sound_run(records, recognised):
    flaws = (SOUND, BY_NAME["test images in training"])
    scored = [leaks.score(flaw, {"scan": recognised}, records) for flaw in flaws]
    found = leaks.compare(scored).set_index(["flaw", "figure"])
    sound, copied = (found.loc[flaw.name] for flaw in flaws)
    assert (sound[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    np.testing.assert_allclose(copied["gain"], copied["value"] - sound["value"])
    assert copied.loc["auroc", "gain_low"] > 0
    figures, explained = leaks.tabulate(found.reset_index(), flaws, "Split, unit, interval.")
    assert [row[0] for row in figures.rows] == [row[0] for row in explained.rows]
    assert "; +" in figures.rows[1][1]
    axes = leaks.draw(found.reset_index()).axes
    assert [panel.get_title() for panel in axes] == ["AUROC", "Accuracy"]
    assert "interval" in axes[0].figure.get_supxlabel() + axes[0].get_xlabel()


@pytest.fixture(scope="module")
def planned(clinic, eagerly, tmp_path_factory):
    """Judge drawn frames under every flaw by the small network with random weights."""
    table = datasets.phantoms(clinic)
    table = splits.kfold(table, 3)
    wanted = leaks.plan("two-layer-cnn", "none", table, 32)
    outcome = graph.run(wanted.values(), tmp_path_factory.mktemp("jobs"), workers=0)
    return table, wanted, outcome


@pytest.mark.slow
def test_a_graph_judges_every_flaw_on_the_same_images(planned):
    table, wanted, outcome = planned
    assert not outcome.failures
    scored = leaks.gather(outcome, wanted, table)
    assert [rows["head"].iloc[0] for rows in scored] == list(BY_NAME)
    for rows in scored:
        assert list(rows["path"]) == list(table["path"])
        assert rows["score"].between(0, 1).all()
    assert (scored[0]["fold"] == table["fold"]).all()


@pytest.mark.slow
def test_features_of_a_view_are_computed_once(planned):
    _, wanted, outcome = planned
    assert len(wanted) == len(FLAWS)
    assert len(outcome.table) == len(FLAWS) + len(leaks.VIEWS)


def test_unnormalised_images_are_those_that_undo_the_normalisation(planned):
    table, wanted, outcome = planned
    name = "training images not normalised"
    job = next(need for need in wanted[name].needs if "not normalised" in need.title)
    keras.utils.set_random_seed(0)
    spec = backbone("two-layer-cnn")
    network = build(spec, 2, input_size=32)
    frames = np.stack([np.round(prepare(decode(path), 32)[0]) for path in table["path"]])
    # This network divides by 255.
    expected = pooled(network, frames * 255, [readout(network, spec.cam_layer, "std")])[0]
    np.testing.assert_allclose(outcome[job]["std"], expected, rtol=1e-4, atol=1e-3)
