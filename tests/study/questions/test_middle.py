"""The middle stage is judged on the same frames, chain beside chain."""

import keras
import numpy as np
import pandas as pd
import pytest

from thyro_demo.bundle.manifest import weights_root
from thyro_demo.data import datasets, splits
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import metrics
from thyro_demo.models.backbones import backbone
from thyro_demo.models.features import pooled, readout
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import load_frames
from thyro_demo.study.questions import middle, paired, short_chains
from thyro_demo.study.steps import networks
from thyro_demo.training import out_of_fold
from thyro_demo.training.recipes import RECIPES, precision

pytestmark = pytest.mark.usefixtures("eagerly", "small_heads")


@pytest.fixture(scope="module")
def table(scored):
    """Compare three made-up chains on two networks, one of them frozen and fine-tuned.

    The second chain gains, the third loses.
    """
    chains = {"natural": scored(1.0), "better": scored(2.5), "worse": scored(0.0, seed=2)}
    compared = paired.against(chains, middle.REFERENCE, "chain")
    parts = [compared.assign(backbone=name, trained=trained) for name, trained, _ in WAYS]
    return pd.concat(parts, ignore_index=True)


WAYS = (
    ("vgg16", middle.FROZEN, "VGG-16"),
    ("efficientnet-b0", middle.FROZEN, "EfficientNet-B0"),
    ("efficientnet-b0", middle.LAST_BLOCK, "EfficientNet-B0, last block fine-tuned"),
)


def test_every_chain_goes_on_from_one_above_it():
    names = [row.name for row in middle.ROWS]
    assert len(set(names)) == len(names)
    assert middle.REFERENCE in names
    for place, row in enumerate(middle.ROWS):
        assert row.base is None or row.base in names[:place]


def test_a_gain_is_the_difference_to_natural_images_on_the_same_frames(table, scored):
    chains = {"natural": scored(1.0), "better": scored(2.5), "worse": scored(0.0, seed=2)}
    assert len(table) == len(WAYS) * 3 * 3
    for row in table.to_dict("records"):
        found, reference = chains[row["chain"]], chains["natural"]
        mask = (found["source"] == row["source"]) | (row["source"] == "all")
        positive = found["label"][mask] == "malignant"
        value = metrics.auroc(positive, found["score"][mask])
        assert row["auroc"] == pytest.approx(value)
        gain = value - metrics.auroc(positive, reference["score"][mask])
        assert row["gain"] == pytest.approx(gain, abs=1e-12)
        assert row["low"] <= row["auroc"] <= row["high"]
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    assert set(table["source"]) == {"all", "east", "west"}
    plain = table[table["chain"] == "natural"]
    assert (plain[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)


def test_the_table_has_a_row_for_each_chain_and_a_column_for_each_way(table):
    head, rule, *rows = middle.result(table).markdown().splitlines()
    titles = [title for _, _, title in WAYS]
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["Chain", *titles]
    assert rule.count("|") == head.count("|")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["natural", "better", "worse"]
    for name, *shown in cells:
        (row,) = table[(table["chain"] == name) & (table["source"] == "all")
                       & (table["backbone"] == "vgg16")].to_dict("records")  # fmt: skip
        (cell,) = set(shown)
        assert cell.startswith(f"{row['auroc']:.3f}")
        if name == "natural":
            assert cell == f"{row['auroc']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
        else:
            gain = [f"{row[key]:+.3f}".replace("-", "−") for key in
                    ("gain", "gain_low", "gain_high")]  # fmt: skip
            assert cell.endswith(f", {gain[0]} ({gain[1]} to {gain[2]})")


def test_the_figure_shows_the_gains_without_the_chain_they_are_against(table):
    panels = middle.draw(table).axes
    assert [axes.get_title().replace("\n", " ") for axes in panels] == [way[2] for way in WAYS]
    # The panels share their names, which are beside the first.
    names = [tick.get_text() for tick in panels[0].get_yticklabels()]
    for axes, (name, trained, _) in zip(panels, WAYS, strict=True):
        mine = table[(table["source"] == "all") & (table["backbone"] == name)
                     & (table["trained"] == trained)].set_index("chain")  # fmt: skip
        points = [line for line in axes.lines if line.get_marker() == "o"]
        gains = {names[int(line.get_ydata()[0])]: line.get_xdata()[0] for line in points}
        assert gains == pytest.approx(mine.loc[["better", "worse"], "gain"].to_dict())


def test_each_network_is_frozen_and_those_to_be_fine_tuned_are_trained_in_every_fold(
    tmp_path, monkeypatch, scored
):
    asked = []

    def frozen(place, records, shown):
        asked.append((place.name, "svm", place.row.name))
        return scored(1.0)

    def tuned(job):
        ((_, stage),) = job.recipe.stages
        asked.append((job.backbone, *job.recipe.heads, job.work.parent.name))
        assert (stage.trainable, job.initial_weights) == (middle.LAST_BLOCK, "none")
        assert (job.recipe.phantoms, job.epochs) == (0, middle.FINE_TUNED_EPOCHS)
        return scored(1.0).rename(columns={"score": "probability"})

    monkeypatch.setattr(middle, "_frozen", frozen)
    monkeypatch.setattr(middle, "cross_validate", tuned)
    monkeypatch.setattr(middle, "thyroid_frames", lambda data, work: None)
    monkeypatch.setattr(middle.networks, "frames", lambda records: None)
    rows = [middle.Row(name, None, None) for name in (middle.REFERENCE, "other")]
    # Its heads read below the last block, so that this block can't be trained alone.
    rows.append(middle.Row("drawn", middle.REFERENCE, "nodules"))
    monkeypatch.setattr(middle, "ROWS", rows)
    files = {name: tmp_path / f"{name}.keras" for name in ("vgg16", "efficientnet-b0")}
    for file in files.values():
        file.touch()
    table = middle.run(tmp_path, tmp_path / "work", files)
    heads = (("vgg16", "svm"), ("efficientnet-b0", "svm"), ("efficientnet-b0", "softmax"))
    assert asked == [
        (*way, row.name)
        for way in heads
        for row in rows
        if (way[1], row.name) != ("softmax", "drawn")
    ]
    ways = table[["backbone", "trained"]].drop_duplicates().itertuples(index=False, name=None)
    assert list(ways) == [way[:2] for way in WAYS]
    assert (tmp_path / "work" / "middle.csv").is_file()


@pytest.mark.slow
def test_a_frozen_chain_is_scored_once_by_svms_on_its_pooled_features(clinic, tmp_path):
    records = splits.kfold(datasets.load(clinic), 3, seed=0)
    random = next(row for row in middle.ROWS if row.recipe is None)
    place = middle._Place(random, "two-layer-cnn", tmp_path, tmp_path, tmp_path / "work")
    found = middle._frozen(place, records, networks.frames(records))
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "work" / "jobs").glob("*.npz")}
    again = middle._frozen(place, records, networks.frames(records))
    pd.testing.assert_frame_equal(found, again)
    assert files == {file: file.stat().st_mtime_ns for file in files}

    spec = backbone(place.name)
    keras.config.set_dtype_policy(precision(place.name))
    keras.utils.set_random_seed(0)
    network = build(spec)
    frames = load_frames(records, ("benign", "malignant"), spec.input_size)
    features = pooled(network, frames.images, [readout(network, spec.cam_layer, "std")])[0]
    keras.config.set_dtype_policy("float32")
    known = out_of_fold.score_features(features, records)
    columns = ["path", "group", "source", "label", "fold", "head", "raw", "score"]
    pd.testing.assert_frame_equal(found[columns], known[columns], check_exact=True)


@pytest.mark.parametrize(("pooling", "tap"), [("nodule", "nodule"), ("std", "std")])
def test_the_shipped_network_is_read_as_its_own_heads_read_it(pooling, tap, tmp_path, monkeypatch):
    (tmp_path / "vgg16").mkdir()
    monkeypatch.setattr(middle.manifest, "weights_root", lambda: tmp_path)
    monkeypatch.setattr(middle.manifest, "read_manifest", lambda folder: {"pooling": pooling})
    read = []
    monkeypatch.setattr(short_chains, "score", lambda *asked: read.append(asked[1:3]))
    row = next(row for row in middle.ROWS if row.recipe == "shipped")
    middle._frozen(middle._Place(row, "vgg16", tmp_path, tmp_path, tmp_path), None, None)
    assert read == [(str(tmp_path / "vgg16"), tap)]


def test_a_network_that_is_missing_is_named_before_any_work(tmp_path):
    with pytest.raises(RecipeError, match=r"train natural-64 --backbone vgg16.*is missing\.$"):
        middle.run(tmp_path, tmp_path / "work", {"vgg16": tmp_path / "none.keras"})
    assert not (tmp_path / "work").exists()


def test_each_chain_is_trained_once_from_the_network_of_its_base(tmp_path, monkeypatch):
    jobs = []

    def fake(job):
        if job not in jobs:
            jobs.append(job)
        return job.out

    monkeypatch.setattr(short_chains, "run_once", fake)
    natural = tmp_path / "natural.keras"
    places = [middle._Place(row, "vgg16", natural, tmp_path, tmp_path / "work")
              for row in middle.ROWS]  # fmt: skip
    found = {place.row.name: middle._network(place) for _ in range(2) for place in places}
    assert (found["random"], found["natural"]) == ("none", str(natural))
    shipped = [row for row in middle.ROWS if row.recipe == "shipped"]
    assert {found[row.name] for row in shipped} <= {str(weights_root() / "vgg16")}
    trained = [row for row in middle.ROWS if row.recipe in RECIPES and row.recipe != "natural-64"]
    assert [str(job.out) for job in jobs] == [found[row.name] for row in trained]
    assert [job.initial_weights for job in jobs] == [found[row.base] for row in trained]
    assert len({job.work for job in jobs}) == len(trained)
    for job, row in zip(jobs, trained, strict=True):
        ((_, stage),) = job.recipe.stages
        assert job.recipe.name == row.recipe
        # A nodule map joins two maps, whose sides have to fit.
        assert stage.input_size == (128 if row.recipe == "nodules" else short_chains.SIDE)
        assert stage.limit == short_chains.IMAGES
        assert stage.epochs == short_chains.EPOCHS
    assert np.unique([job.backbone for job in jobs]) == ["vgg16"]
