"""A network that first draws where the nodule is, and whose heads read what is there."""

import functools
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from thyro_demo.data import phantom
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.explain.forest import nodule_occlusion
from thyro_demo.explain.gradcam import grad_cam, hires_cam
from thyro_demo.models import backbones, networks, nodule_map
from thyro_demo.models.pipeline import Augmentation, Frames, augment, load_outlined
from thyro_demo.models.pooling import EVERYWHERE, FLOOR
from thyro_demo.training import loop, outlined_set
from thyro_demo.training.frozen_cache import cache_views
from thyro_demo.training.loop import train_stage
from thyro_demo.training.stage import Stage, learning_rate

pytestmark = pytest.mark.usefixtures("eagerly")

WITH_MAP = [name for name, spec in backbones.BACKBONES.items() if spec.fine_layer]


@pytest.fixture(scope="module")
def with_map():
    """Return a function that builds a network with a nodule map once."""

    @functools.cache
    def build(name):
        return networks.build(backbones.backbone(name), head="nodule", input_size=64)

    return build


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return networks.build(backbones.backbone("two-layer-cnn"), head="nodule", input_size=64)


@pytest.fixture(scope="module")
def spotted():
    """Return 64 frames of 64 px with a bright nodule each, and its mask as the fourth channel."""
    rng = np.random.default_rng(1)
    images = np.zeros((64, 64, 64, 4), np.uint8)
    images[..., :3] = rng.integers(20, 80, (64, 64, 64, 1))
    for image in images:
        top, left = rng.integers(4, 40, 2)
        image[top : top + 20, left : left + 20, :3] += 150
        image[top : top + 20, left : left + 20, 3] = 255
    labels = np.where(np.arange(64) % 4 < 2, np.arange(64) % 2, -1)
    return Frames(images, labels, ("benign", "malignant"), np.ones(64, bool))


@pytest.mark.parametrize("name", WITH_MAP)
def test_the_nodule_map_has_the_cells_of_the_finer_map(name, with_map):
    spec, built = backbones.backbone(name), with_map(name)
    fine = built.get_layer(spec.fine_layer).output.shape
    probabilities, nodule = built.outputs
    assert probabilities.shape == (None, 2)
    assert nodule.shape == (*fine[:3], 1)
    assert built.get_layer(nodule_map.READ).output.shape == fine


def test_a_saved_network_opens_with_keras_alone_and_draws_the_same(network, tmp_path):
    frame = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    for ours, theirs in zip(network(frame), again(frame), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert again.get_layer(nodule_map.OUTPUT).output.shape[1:] == (16, 16, 1)


def test_features_are_weighted_means_and_standard_deviations():
    rng = np.random.default_rng(0)
    cells = rng.normal(3, 2, (2, 4, 5, 3)).astype(np.float32)
    nodule = rng.random((2, 4, 5, 1)).astype(np.float32)
    read, weight = keras.Input((4, 5, 3)), keras.Input((4, 5, 1))
    pooled = keras.Model([read, weight], nodule_map.pool(read, weight))([cells, nodule]).numpy()
    for row in range(2):
        weights = (nodule[row] + EVERYWHERE).ravel().astype(np.float64)
        rows = cells[row].reshape(-1, 3).astype(np.float64)
        mean = np.average(rows, axis=0, weights=weights)
        spread = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weights) + FLOOR)
        expected = np.concatenate([mean, spread]) / np.sqrt(1 + 1e-3)
        np.testing.assert_allclose(pooled[row], expected, rtol=1e-5)


@pytest.mark.parametrize(("name", "size"), [("alexnet", 224), ("two-layer-cnn", 100)])
def test_what_has_no_nodule_map_is_refused_in_one_sentence(name, size):
    with pytest.raises(RecipeError, match=r"Received: .*\.$"):
        networks.build(backbones.backbone(name), head="nodule", input_size=size)


def test_a_mask_moves_with_its_image_and_keeps_its_values():
    mask = np.zeros((8, 64, 64, 1), np.uint8)
    mask[:, 20:45, 10:30] = 255
    images = np.concatenate([np.repeat(mask, 3, axis=-1), mask], axis=-1)
    still = Augmentation(gain=0.0, speckle=0.0)
    moved = augment(images, tf.constant([3, 4]), still).numpy()
    np.testing.assert_allclose(moved[..., 3], moved[..., 0], atol=1e-3)
    assert not np.allclose(moved[..., 3], mask[..., 0])
    toned = augment(images, tf.constant([3, 4]), Augmentation(gamma=0.3, depth=0.5, shadow=1.0))
    np.testing.assert_allclose(toned[..., 3], moved[..., 3], atol=1e-3)
    assert not np.allclose(toned[..., :3], moved[..., :3], atol=1)


def test_a_view_stays_an_image_however_the_scanner_is_set():
    noise = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3)).astype(np.uint8)
    wild = Augmentation(gain=0.5, speckle=0.5, gamma=1.0, depth=2.0, grain=1.0, shadow=1.0)
    views = augment(noise, tf.constant([1, 2]), wild).numpy()
    assert np.isfinite(views).all()
    assert views.min() >= 0
    assert views.max() <= 255


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_a_network_learns_to_draw_the_nodule_and_leaves_what_is_frozen(network, spotted, tmp_path):
    spec = backbones.backbone("two-layer-cnn")
    frozen = [w.copy() for w in network.get_layer("conv1").get_weights()]
    stage = Stage("nodules", "last block", 12, learning_rate=1e-2, batch=16, norm_momentum=0.5)
    rows = train_stage(
        network, spec, stage, spotted, np.arange(48), np.arange(48, 64), tmp_path / "stage"
    )
    assert rows[-1]["validation_loss"] < 0.6 * rows[0]["validation_loss"]
    _, nodule = network.predict(spotted.images[48:, ..., :3].astype(np.float32), verbose=0)
    masks = spotted.images[48:, 2::4, 2::4, 3] > 127
    hit = [mask.ravel()[np.argmax(drawn)] for mask, drawn in zip(masks, nodule, strict=True)]
    assert np.mean(hit) > 0.8
    for before, after in zip(frozen, network.get_layer("conv1").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_a_stage_with_outlines_resumes_where_it_was_killed(network, spotted, tmp_path, monkeypatch):
    spec, parts = backbones.backbone("two-layer-cnn"), (np.arange(48), np.arange(48, 64))
    stage = Stage("nodules", "last block", 3, batch=16)
    first, killed = network.get_weights(), tmp_path / "killed"

    def watched(of, progress):
        # What a process leaves behind that is killed in its third epoch.
        if progress > 2 and not killed.exists():
            shutil.copytree(tmp_path / "whole", killed)
        return learning_rate(of, progress)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", watched)
        whole = train_stage(network, spec, stage, spotted, *parts, tmp_path / "whole")
    through = network.get_weights()
    network.set_weights(first)
    again = train_stage(network, spec, stage, spotted, *parts, killed)
    assert [row["loss"] for row in again] == pytest.approx([row["loss"] for row in whole])
    for one, other in zip(through, network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_image_without_a_label_teaches_the_label_nothing(network, spotted):
    spec = backbones.backbone("two-layer-cnn")
    unknown = Frames(spotted.images, np.full(64, -1), spotted.classes, spotted.outlined)
    before = network.get_layer("logits").get_weights()
    train_stage(
        network, spec, Stage("nodules", "last block", 1, batch=16), unknown,
        np.arange(48), np.empty(0, np.int64),
    )  # fmt: skip
    for one, other in zip(before, network.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_outlines_need_a_frozen_part(network, spotted):
    with pytest.raises(RecipeError, match="frozen part"):
        train_stage(
            network, backbones.backbone("two-layer-cnn"), Stage("nodules", "all", 1), spotted,
            np.arange(48), np.arange(48, 64),
        )  # fmt: skip


def test_where_all_cells_weigh_alike_both_arithmetics_draw_one_map():
    rng = np.random.default_rng(0)
    cells = rng.random((3, 4, 5, 6), np.float32)
    gradient = np.broadcast_to(rng.normal(size=6).astype(np.float32), cells.shape)
    drawn = hires_cam(cells, gradient)
    # The one is scaled by the strongest evidence of either sign, the other by that for the class.
    top = drawn.max(axis=(1, 2), keepdims=True)
    drawn = np.divide(drawn, top, out=np.zeros_like(drawn), where=top > 0)
    np.testing.assert_allclose(drawn, grad_cam(cells, gradient), atol=1e-6)


def test_the_map_of_a_forest_is_the_fall_of_its_score_without_each_cell():
    rng = np.random.default_rng(0)
    cells = rng.normal(2, 1, (4, 5, 3)).astype(np.float32)
    nodule = rng.random((4, 5)).astype(np.float32)
    spread = rng.normal(size=6).astype(np.float32), rng.uniform(1, 2, 6).astype(np.float32)
    slope = rng.normal(size=6)

    class Head:
        def scores(self, features):
            return features @ slope

    def pooled(weights):
        rows = cells.reshape(-1, 3).astype(np.float64)
        mean = np.average(rows, axis=0, weights=weights)
        std = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weights) + FLOOR)
        return (np.concatenate([mean, std]) - spread[0]) / spread[1] @ slope

    weights = (nodule.astype(np.float64) + EVERYWHERE).ravel()
    falls = [pooled(weights) - pooled(np.where(np.arange(20) == cell, 0, weights))
             for cell in range(20)]  # fmt: skip
    expected = np.maximum(falls, 0).reshape(4, 5)
    drawn = nodule_occlusion(Head(), cells, nodule, spread)
    np.testing.assert_allclose(drawn, expected / np.abs(falls).max(), atol=1e-4)


def test_outlines_of_frames_that_will_be_scored_are_refused(tmp_path):
    frame = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    for name in ("scored", "copy"):
        Image.fromarray(frame).save(tmp_path / f"{name}.png")
    scored = pd.DataFrame({"path": [str(tmp_path / "scored.png")]})
    learned = pd.DataFrame({"path": [str(tmp_path / "copy.png")], "source": ["ddti"]})
    with pytest.raises(DataError, match="must not have lent"):
        outlined_set.check_apart(learned, scored)


def test_masks_are_cropped_and_resized_with_their_frames(tmp_path):
    phantom.write(phantom.cohort(3, frames_per_patient=1, seed=5), tmp_path / "p")
    records = pd.read_csv(tmp_path / "p" / "index.csv")
    records["path"] = [str(tmp_path / "p" / path) for path in records["path"]]
    masks = [np.asarray(Image.open(tmp_path / "p" / path)) > 127 for path in records["mask_path"]]
    frames = load_outlined(records, [*masks[:2], None], ("benign", "malignant"), 64)
    assert frames.outlined is not None
    assert frames.outlined.tolist() == [True, True, False]
    shares = (frames.images[..., 3] > 127).mean(axis=(1, 2))
    assert (shares[:2] > 0).all()
    assert shares[2] == 0


def test_the_features_of_a_frame_without_a_nodule_are_those_of_the_whole_frame():
    cells = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    nothing = np.zeros((1, 4, 4, 1), np.float32)
    given, weight = keras.Input((4, 4, 2)), keras.Input((4, 4, 1))
    pooled = keras.Model([given, weight], nodule_map.pool(given, weight))([cells, nothing])
    np.testing.assert_allclose(pooled[0, :2], cells.mean(axis=(1, 2))[0], rtol=2e-3)


def test_the_nodule_is_learned_at_the_size_of_its_map_however_deep_the_cut_is(with_map):
    spec, network = backbones.backbone("efficientnet-b0"), with_map("efficientnet-b0")
    masked = np.zeros((4, 64, 64, 4), np.uint8)
    masked[:, :32, :, 3] = 255
    frames = Frames(masked, np.zeros(4, np.int64), ("benign", "malignant"), np.ones(4, bool))
    stage = Stage("nodules", "last four blocks", 1, augmentation=None)
    views = cache_views(network, spec, stage, frames)
    assert views.nodules.shape[2:] == network.get_layer(nodule_map.LOGITS).output.shape[1:]
    np.testing.assert_array_equal(views.nodules[0, 0, :, 0, 0], [1, 1, 0, 0])
