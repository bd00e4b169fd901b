"""Frozen blocks stay as they are, and what is trained moves."""

import keras
import numpy as np
import pytest

from thyro_demo.course import progressive
from thyro_demo.data import splits
from thyro_demo.data.phantom import chest_film
from thyro_demo.data.places import Places
from thyro_demo.models.backbones import backbone
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import Frames
from thyro_demo.training.stage import Stage

pytestmark = pytest.mark.usefixtures("eagerly")

OTHERS = ("resnet50", "efficientnet-b0")


@pytest.mark.parametrize(
    "name", ["vgg16", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_each_strategy_trains_whole_blocks_and_more_than_the_one_before(name, built):
    spec, network = backbone(name), built(name)
    table = progressive.freezing(network, spec)
    # A block is frozen or trained, never cut in two.
    assert ((table["trained"] == 0) | (table["trained"] == table["weights"])).all()
    trained = table.groupby("strategy", sort=False)["trained"].sum()[list(progressive.STRATEGIES)]
    assert (np.diff(trained) > 0).all()
    assert trained["all"] == sum(np.prod(v.shape) for v in network.trainable_weights)
    assert trained["head"] == 2 * network.get_layer("features").output.shape[-1] + 2


@pytest.fixture(scope="module")
def frames(spotted_frames):
    return Frames(*spotted_frames, ("benign", "malignant"))


@pytest.fixture(scope="module")
def followed(frames, eagerly, tmp_path_factory):
    """Train the last block of the small network and run both stages."""
    spec = backbone("two-layer-cnn")
    folder = tmp_path_factory.mktemp("path")
    keras.utils.set_random_seed(0)
    first = folder / "first.keras"
    build(spec, input_size=64).save(first)
    stage, rates = Stage("middle", "all", 3), {"all": 0.01, "last block": 0.01}
    rows = np.arange(40)
    trained = progressive.train(
        spec, str(first), stage, rates, frames, (rows[:32], rows[32:]), folder
    )
    watched = np.array([33, 5, 17, 2])  # two of one batch, the later one first
    stages = {"first": str(first)} | {name: str(one.file) for name, one in trained.items()}
    return trained, progressive.follow(spec, stages, frames.images, watched), watched


@pytest.mark.slow
def test_a_frozen_block_neither_moves_nor_changes_its_output(followed):
    _, stages, _ = followed
    moved = progressive.weight_changes(stages["first"], stages["last block"])
    alike = progressive.block_similarity(stages["first"], stages["last block"])
    assert moved["conv1"] == 0.0
    assert progressive.weight_changes(stages["first"], stages["all"])["conv1"] > 0.0
    assert moved["conv2"] > 0.0
    assert alike["conv1"] == pytest.approx(1.0)
    assert alike["conv2"] < 1.0 - 1e-6


def test_watched_frames_come_in_the_order_they_were_asked_for(followed):
    _, stages, watched = followed
    for snapshot in stages.values():
        np.testing.assert_allclose(
            snapshot.maps.mean(axis=(1, 2)), snapshot.features[watched], rtol=1e-4, atol=1e-5
        )


def test_training_reports_every_epoch_and_its_time(followed):
    trained, _, _ = followed
    for one in trained.values():
        assert [row["epoch"] for row in one.history] == [1, 2, 3]
        assert one.seconds > 0


def test_every_strategy_begins_with_the_same_weights(followed, frames, tmp_path):
    trained, _, _ = followed
    known = trained["last block"].file.with_name("first.keras")
    rows = np.arange(40)
    alone = progressive.train(
        backbone("two-layer-cnn"), str(known), Stage("middle", "all", 3), {"last block": 0.01},
        frames, (rows[:32], rows[32:]), tmp_path,
    )  # fmt: skip
    found, expected = (
        [row["loss"] for row in one["last block"].history] for one in (alone, trained)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_training_in_half_precision_leaves_a_network_in_float32(frames, tmp_path):
    stage = Stage("middle", "all", 1, precision="mixed_bfloat16", views=1)
    parts = (np.arange(32), np.arange(32, 40))
    rates = {"last block": 1e-3}
    spec = backbone("two-layer-cnn")
    trained = progressive.train(spec, "none", stage, rates, frames, parts, tmp_path)
    network = keras.saving.load_model(trained["last block"].file, compile=False)
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_the_middle_stage_is_drawn_where_there_are_no_radiographs(tmp_path):
    stage = Stage("radiographs", "last block", 1, limit=20, input_size=32)
    records = progressive.chests(Places((tmp_path / "nothing",)), tmp_path / "films", stage)
    assert set(records["source"]) == {chest_film.SOURCE}
    assert set(records["split"]) == {"train", "validation"}
    assert not splits.crossing(records["group"], records["split"])
