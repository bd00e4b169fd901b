"""The networks of the early papers are what the papers draw."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from thyro_demo.models.architectures.response import local_response
from thyro_demo.models.backbones import backbone
from thyro_demo.models.networks import build, copy_weights, fold_normalisation

# Layer by layer: side of the map, weights and biases. AlexNet: the text that P2 follows;
# OverFeat: Sermanet et al. 2014, table 3; VGG-F: Chatfield et al. 2014, table 1.
_PAPERS = {
    "alexnet": {
        "conv1": (55, 11 * 11 * 3 * 96 + 96),
        "pool1": (27, 0),
        "norm1": (27, 0),
        "conv2": (27, 5 * 5 * 96 * 256 + 256),
        "pool2": (13, 0),
        "norm2": (13, 0),
        "conv3": (13, 3 * 3 * 256 * 384 + 384),
        "conv4": (13, 3 * 3 * 384 * 384 + 384),
        "conv5": (13, 3 * 3 * 384 * 256 + 256),
        "pool5": (6, 0),
    },
    "overfeat": {
        "conv1": (108, 7 * 7 * 3 * 96 + 96),
        "pool1": (36, 0),
        "conv2": (30, 7 * 7 * 96 * 256 + 256),
        "pool2": (15, 0),
        "conv3": (15, 3 * 3 * 256 * 512 + 512),
        "conv4": (15, 3 * 3 * 512 * 512 + 512),
        "conv5": (15, 3 * 3 * 512 * 1024 + 1024),
        "conv6": (15, 3 * 3 * 1024 * 1024 + 1024),
        "pool6": (5, 0),
    },
    "vgg-f": {
        "conv1": (54, 11 * 11 * 3 * 64 + 64),
        "norm1": (54, 0),
        "pool1": (27, 0),
        "conv2": (27, 5 * 5 * 64 * 256 + 256),
        "norm2": (27, 0),
        "pool2": (13, 0),
        "conv3": (13, 3 * 3 * 256 * 256 + 256),
        "conv4": (13, 3 * 3 * 256 * 256 + 256),
        "conv5": (13, 3 * 3 * 256 * 256 + 256),
        "pool5": (6, 0),
    },
}
# Millions of weights at 1,000 classes; AlexNet without its two groups.
_MILLIONS = {"alexnet": 62.4, "overfeat": 144.7, "vgg-f": 60.8}
early = pytest.mark.parametrize("name", _PAPERS)


@pytest.fixture(scope="module")
def published():
    """Return the early networks at the size of their papers, by name."""
    return {name: build(backbone(name)) for name in _PAPERS}


@early
def test_every_layer_has_the_map_and_the_weights_of_the_paper(name, published):
    found = {
        layer.name: (layer.output.shape[1], layer.count_params())
        for layer in published[name].layers
        if layer.name in _PAPERS[name]
    }
    assert found == _PAPERS[name]
    assert list(found) == list(_PAPERS[name])


@early
def test_with_its_fully_connected_layers_a_network_has_the_published_number_of_weights(
    name, published
):
    spec = backbone(name)
    flat = np.prod(published[name].get_layer(spec.cam_layer).output.shape[1:])
    count = sum(weights for _, weights in _PAPERS[name].values())
    for inputs, width in zip((flat, *spec.dense), (*spec.dense, 1000), strict=True):
        count += inputs * width + width
    assert count / 1e6 == pytest.approx(_MILLIONS[name], abs=0.05)


def cells(spec, side):
    """Return the side of the last feature map, 0 where a layer has nothing left to read."""
    try:
        return spec.body(keras.Input((side, side, 3))).shape[1]
    except ValueError:
        return 0


@pytest.mark.parametrize("name", [*_PAPERS, "two-layer-cnn"])
def test_the_least_side_is_the_least_that_leaves_a_cell(name):
    spec = backbone(name)
    assert [cells(spec, spec.smallest - less) for less in (0, 1)] == [1, 0]


@pytest.mark.parametrize("channels", [3, 7, 96])
def test_local_response_normalisation_is_that_of_tensorflow(channels):
    """On values of the size that AlexNet meets: its α hardly counts on smaller ones."""
    values = np.random.default_rng(0).normal(0, 80, (2, 5, 4, channels)).astype(np.float32)
    image = keras.Input((None, None, channels))
    graph = keras.Model(image, local_response(image, "norm"))
    expected = tf.nn.local_response_normalization(values, 2, 2.0, 1e-4, 0.75).numpy()
    assert np.abs(expected / values).min() < 0.75 * 2**-0.75
    np.testing.assert_allclose(graph(values), expected, rtol=1e-5)


def test_local_response_normalisation_keeps_its_constants_under_half_precision():
    values = np.random.default_rng(0).normal(0, 10, (1, 6, 6, 16)).astype(np.float32)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        image = keras.Input((6, 6, 16), dtype="bfloat16")
        graph = keras.Model(image, local_response(image, "norm"))
    finally:
        keras.config.set_dtype_policy("float32")
    half = tf.cast(values, tf.bfloat16)
    exact = tf.nn.local_response_normalization(tf.cast(half, tf.float32), 2, 2.0, 1e-4, 0.75)
    found = graph(half)
    assert found.dtype == tf.bfloat16
    # bfloat16 has eight bits: two roundings, of the factor and of the product.
    np.testing.assert_allclose(tf.cast(found, tf.float32), exact, rtol=2**-7)


@pytest.mark.parametrize("name", [*_PAPERS, "vgg19"])
def test_the_form_that_is_trained_from_random_weights_folds_into_the_plain_one(name):
    spec = backbone(name)
    side = max(spec.smallest, 48)
    keras.utils.set_random_seed(0)
    trained, plain = build(spec, scratch=True), build(spec, input_size=side)
    rng = np.random.default_rng(0)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scale, *rest = (rng.uniform(0.5, 1.5, w.shape) for w in layer.weights)
            layer.set_weights([scale, *rest])
    fold_normalisation(trained, plain)
    images = rng.uniform(0, 255, (2, side, side, 3)).astype(np.float32)
    expected = trained(images, training=False).numpy()
    assert np.ptp(expected[:, 0]) > 0
    np.testing.assert_allclose(plain(images), expected, rtol=1e-3, atol=1e-5)


def test_layers_have_the_same_names_however_many_networks_were_built_before(built):
    """Keras numbers them on and on; weights would find no layer of their name."""
    first, second = built("xception"), build(backbone("xception"), input_size=71)
    assert copy_weights(first, second) == sum(1 for layer in first.layers if layer.weights)
    adds = [layer.name for layer in first.layers if isinstance(layer, keras.layers.Add)]
    assert adds == ["add", *(f"add_{number}" for number in range(1, 12))]


def test_no_weights_of_the_early_networks_are_published():
    assert all(backbone(name).weights == () for name in _PAPERS)
