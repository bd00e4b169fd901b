"""A loss is led into the outline: what it asks for, and what a network makes of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from thyro_demo.explain import localisation
from thyro_demo.models import backbones, networks
from thyro_demo.models.pipeline import Frames
from thyro_demo.training.loop import train_stage
from thyro_demo.training.outline_losses import of_heatmap
from thyro_demo.training.stage import Stage

SPEC = backbones.backbone("two-layer-cnn")
CELLS = (4, 4)


def nodules(*places):
    """Fill one cell of each map."""
    shares = np.zeros((len(places), *CELLS, 1), np.float32)
    for number, place in enumerate(places):
        shares[(number, *place)] = 1.0
    return shares


def test_the_loss_is_the_share_of_grad_cam_outside_the_outline():
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(3, *CELLS, 8)).astype(np.float32)
    kernel = rng.normal(size=(8, 2)).astype(np.float32)
    shares = nodules((1, 1), (0, 3), (2, 2))
    found = of_heatmap(tf.constant(cells), tf.constant(shares), tf.constant(kernel), 2.0)
    heat = np.maximum(cells @ (kernel[:, 1] - kernel[:, 0]), 0)
    inside = [
        localisation.energy(one, mask[..., 0] > 0) for one, mask in zip(heat, shares, strict=True)
    ]
    np.testing.assert_allclose(found, 2.0 * (1.0 - np.array(inside)), rtol=1e-5)


@pytest.mark.parametrize(("places", "expected"), [(((0, 0),), 0.0), (((3, 3),), 1.0), ((), 0.0)])
def test_all_inside_costs_nothing_all_outside_costs_the_weight(places, expected):
    """Where there is no nodule there is nothing to look at."""
    cells = np.zeros((1, *CELLS, 1), np.float32)
    cells[0, 0, 0] = 5.0
    shares = nodules(*places) if places else np.zeros((1, *CELLS, 1), np.float32)
    kernel = tf.constant([[0.0, 1.0]])
    (found,) = of_heatmap(tf.constant(cells), tf.constant(shares), kernel, 1.0).numpy()
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def frames():
    """Return 48 frames whose label shows twice: in a nodule, and in a mark far from it."""
    rng = np.random.default_rng(2)
    images = np.zeros((48, 64, 64, 4), np.uint8)
    images[..., :3] = rng.integers(20, 60, (48, 64, 64, 1))
    labels = np.arange(48) % 2
    images[:, 36:56, 36:56, :3] += np.where(labels, 120, 0).astype(np.uint8)[:, None, None, None]
    images[:, 4:12, 4:12, :3] += np.where(labels, 180, 0).astype(np.uint8)[:, None, None, None]
    images[:, 36:56, 36:56, 3] = 255
    return Frames(images, labels, ("benign", "malignant"), np.ones(48, bool))


def inside(frames, guidance):
    """Train a network, and measure the energy of its Grad-CAM in nodules of the second class."""
    keras.utils.set_random_seed(0)
    network = networks.build(SPEC, input_size=64)
    stage = Stage("stage", "last block", 12, learning_rate=5e-3, batch=16, augmentation=None)
    train_stage(
        network, SPEC, stage, frames, np.arange(48), np.empty(0, np.int64), guidance=guidance
    )
    cells = keras.Model(network.inputs[0], network.get_layer(SPEC.cam_layer).output)
    kernel = network.get_layer("logits").get_weights()[0]
    shown = frames.images[1::2]
    heat = np.maximum(
        cells(shown[..., :3].astype(np.float32)).numpy() @ (kernel[:, 1] - kernel[:, 0]), 0
    )
    masks = tf.image.resize(shown[..., 3:] / 255.0, heat.shape[1:3], "area").numpy()[..., 0]
    scores = network.predict(frames.images[..., :3].astype(np.float32), verbose=0)
    assert np.mean(scores.argmax(1) == frames.labels) > 0.9
    return float(np.mean((heat * masks).sum((1, 2)) / heat.sum((1, 2))))


@pytest.mark.usefixtures("eagerly")
def test_a_led_network_looks_at_the_nodule_where_it_could_look_elsewhere(frames):
    assert inside(frames, 5.0) > 1.5 * inside(frames, 0.0)
