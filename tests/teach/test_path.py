"""The path holds: frozen blocks stay, likeness is a likeness, and heatmaps follow their head."""

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thyro_demo.data import datasets, splits
from thyro_demo.errors import DataError
from thyro_demo.models import heads
from thyro_demo.models.backbones import backbone, build
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.models.pipeline import Frames
from thyro_demo.models.transfer import Stage
from thyro_demo.teach import path

SEEDS = st.integers(0, 1000)


@given(SEEDS)
def test_likeness_does_not_care_for_rotation_scale_or_shift(seed):
    rng = np.random.default_rng(seed)
    described = rng.normal(size=(12, 5))
    turned, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert path.cka(described, 3.0 * described @ turned + 100.0) == pytest.approx(1.0)


def test_unrelated_descriptions_are_not_alike_however_many_numbers_they_have():
    rng = np.random.default_rng(0)
    found = [path.cka(*rng.normal(size=(2, 20, 2000))) for _ in range(20)]
    # The estimate of Kornblith et al. with its bias is above 0.9 here.
    assert abs(np.mean(found)) < 0.02


def test_likeness_is_symmetric_and_falls_with_noise():
    rng = np.random.default_rng(1)
    described, noise = rng.normal(size=(2, 30, 8))
    falling = [path.cka(described, described + share * noise) for share in (0.0, 0.5, 2.0)]
    assert falling == sorted(falling, reverse=True)
    assert path.cka(described, noise) == pytest.approx(path.cka(noise, described))


def test_what_says_the_same_of_every_frame_has_no_likeness():
    assert np.isnan(path.cka(np.ones((6, 3)), np.arange(18.0).reshape(6, 3)))


@pytest.mark.parametrize("counts", [(5, 6), (3, 3)])
def test_descriptions_of_other_or_too_few_frames_are_refused(counts):
    with pytest.raises(DataError, match="4 or more"):
        path.cka(*[np.ones((count, 2)) for count in counts])


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "efficientnet-b0"])
def test_each_strategy_trains_whole_blocks_and_more_than_the_one_before(name):
    spec = backbone(name)
    built = build(spec, input_size=64)
    table = path.freezing(built, spec)
    # A block is frozen or trained, never cut in two.
    assert ((table["trained"] == 0) | (table["trained"] == table["weights"])).all()
    trained = table.groupby("strategy", sort=False)["trained"].sum()[list(path.STRATEGIES)]
    assert (np.diff(trained) > 0).all()
    assert trained["all"] == sum(np.prod(v.shape) for v in built.trainable_weights)
    assert trained["head"] == 2 * built.get_layer("features").output.shape[-1] + 2


@pytest.fixture(scope="module")
def frames(spotted_frames):
    return Frames(*spotted_frames, ("benign", "malignant"))


@pytest.fixture(scope="module")
def followed(frames, tmp_path_factory):
    """Train the last block of the small network and read both stages."""
    spec = backbone("two-layer-cnn")
    folder = tmp_path_factory.mktemp("path")
    keras.utils.set_random_seed(0)
    first = folder / "first.keras"
    build(spec, input_size=64).save(first)
    stage, rates = Stage("middle", "all", 3), {"all": 0.01, "last block": 0.01}
    rows = np.arange(40)
    trained = path.train(spec, str(first), stage, rates, frames, (rows[:32], rows[32:]), folder)
    watched = np.array([33, 5, 17, 2])  # two of one batch, the later one first
    stages = {"first": str(first)} | {name: str(one.file) for name, one in trained.items()}
    return trained, path.walk(spec, stages, frames.images, watched), watched


def test_a_frozen_block_neither_moves_nor_speaks_otherwise(followed):
    _, stages, _ = followed
    moved = path.moved(stages["first"], stages["last block"])
    alike = path.alike(stages["first"], stages["last block"])
    assert moved["conv1"] == 0.0
    assert path.moved(stages["first"], stages["all"])["conv1"] > 0.0
    assert moved["conv2"] > 0.0
    assert alike["conv1"] == pytest.approx(1.0)
    assert alike["conv2"] < 1.0 - 1e-6


def test_watched_frames_come_in_the_order_they_were_asked_for(followed):
    _, stages, watched = followed
    for reading in stages.values():
        np.testing.assert_allclose(
            reading.maps.mean(axis=(1, 2)), reading.features[watched], rtol=1e-4, atol=1e-5
        )


def test_training_tells_every_epoch_and_its_time(followed):
    trained, _, _ = followed
    for one in trained.values():
        assert [row["epoch"] for row in one.history] == [1, 2, 3]
        assert one.seconds > 0


def test_every_strategy_begins_with_the_same_weights(followed, frames, tmp_path):
    trained, _, _ = followed
    known = trained["last block"].file.with_name("first.keras")
    rows = np.arange(40)
    alone = path.train(
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
    trained = path.train(spec, "none", stage, rates, frames, parts, tmp_path)
    network = keras.saving.load_model(trained["last block"].file, compile=False)
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_a_map_glows_where_the_channel_is_that_the_head_learned_from():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = rng.normal(size=(60, 6)).astype(np.float32)
    features[:, 2] += 4.0 * labels
    head = CalibratedHead(heads.fit("linear-svm", features, labels, np.arange(60)))
    cells = np.zeros((3, 4, 6), np.float32)
    cells[1, 2, 2] = 24.0
    drawn = path.evidence(head, cells)
    assert drawn.shape == (3, 4)
    assert drawn[1, 2] == 1.0
    assert np.count_nonzero(drawn) == 1


def test_maps_agree_with_themselves_and_flat_maps_with_none():
    rng = np.random.default_rng(0)
    maps = rng.random((3, 4, 4))
    maps[2] = 0.0
    found = path.agreement(maps, 1.0 - maps)
    np.testing.assert_allclose(found[:2], -1.0)
    assert np.isnan(found[2])


def test_lungs_are_dark_and_a_cloud_brightens_them():
    clear, cloudy = (
        np.mean([path.film(np.random.default_rng(seed), 48, opaque) for seed in range(20)], axis=0)
        for opaque in (False, True)
    )
    left_lung, border = (slice(14, 34), slice(11, 16)), (slice(None), slice(0, 3))
    assert clear[left_lung].mean() < clear[border].mean() - 50
    assert cloudy[left_lung].mean() > clear[left_lung].mean()


def test_a_film_is_seeded_and_a_cloud_makes_it_brighter():
    drawn = {
        opaque: [path.film(np.random.default_rng(seed), 64, opaque) for seed in range(20)]
        for opaque in (False, True)
    }
    again = path.film(np.random.default_rng(3), 64, False)
    assert np.array_equal(again, drawn[False][3])
    assert not np.array_equal(drawn[False][3], drawn[False][4])
    assert np.mean(drawn[True]) > np.mean(drawn[False]) + 1


def test_films_are_drawn_once_balanced_and_each_chest_is_a_group(tmp_path):
    first = path.films(tmp_path, 10, 32)
    again = path.films(tmp_path, 99, 32)
    pd.testing.assert_frame_equal(first, again)
    assert first["label"].value_counts().eq(5).all()
    assert first["group"].is_unique


def test_the_middle_stage_is_drawn_where_there_are_no_radiographs(tmp_path):
    stage = Stage("radiographs", "last block", 1, limit=20, input_size=32)
    records = path.chests(tmp_path / "nothing", tmp_path / "films", stage)
    assert set(records["source"]) == {path.FILMS}
    assert set(records["split"]) == {"train", "validation"}
    assert not splits.crossing(records["group"], records["split"])


def test_an_index_lets_a_recipe_read_the_frames_of_a_chapter(tmp_path):
    parts = [path.films(tmp_path / name, 4, 32).assign(source=name) for name in ("a", "b")]
    records = pd.concat(parts, ignore_index=True)
    found = datasets.load(path.index(records, tmp_path))
    pd.testing.assert_frame_equal(found, records)


def test_a_chain_without_one_of_its_stages_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"natural-64\.keras"):
        path.shipped(root=tmp_path)
