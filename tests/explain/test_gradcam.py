"""Grad-CAM against hand arithmetic and against another implementation."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from thyro_demo.explain.gradcam import grad_cam, scale


def test_hand_arithmetic():
    # Two maps of 2×2. The gradient means are 0.5 and −1, so the evidence is
    # 0.5·[[2, 4], [0, 8]] − [[0, 1], [1, 5]] = [[1, 1], [−1, −1]].
    feature_map = np.stack([[[2, 4], [0, 8]], [[0, 1], [1, 5]]], axis=-1).astype(np.float32)
    gradient = np.stack([[[2, 0], [0, 0]], [[-1, -1], [-1, -1]]], axis=-1).astype(np.float32)
    np.testing.assert_allclose(grad_cam(feature_map, gradient), [[1, 1], [0, 0]])


def test_the_strongest_cell_reads_one():
    feature_map = np.array([[[1.0], [3.0]], [[4.0], [2.0]]], np.float32)
    heatmap = grad_cam(feature_map, np.ones_like(feature_map))
    np.testing.assert_allclose(heatmap, [[0.25, 0.75], [1.0, 0.5]])


@pytest.mark.parametrize("value", [0.0, 3.0])
@pytest.mark.parametrize("slope", [0.0, -2.0])
def test_no_positive_evidence_draws_zeros_and_never_nan(value, slope):
    feature_map = np.full((3, 3, 4), value, np.float32)
    heatmap = grad_cam(feature_map, np.full_like(feature_map, slope))
    np.testing.assert_array_equal(heatmap, np.zeros((3, 3)))


def test_scale_ignores_what_is_not_finite():
    evidence = np.array([[np.nan, np.inf], [-1.0, 2.0]])
    np.testing.assert_array_equal(scale(evidence), [[0, 0], [0, 1]])


def test_a_batch_has_the_maps_of_its_images():
    rng = np.random.default_rng(0)
    feature_map = rng.random((5, 7, 6, 8), np.float32)
    gradient = rng.standard_normal((5, 7, 6, 8), np.float32)
    single = [grad_cam(a, g) for a, g in zip(feature_map, gradient, strict=True)]
    heatmaps = grad_cam(feature_map, gradient)
    assert heatmaps.dtype == np.float32
    np.testing.assert_allclose(heatmaps, single, atol=1e-6)


def test_the_maps_do_not_depend_on_the_scale_of_the_score():
    rng = np.random.default_rng(1)
    feature_map = rng.random((4, 4, 3), np.float32)
    gradient = rng.standard_normal((4, 4, 3), np.float32)
    np.testing.assert_allclose(
        grad_cam(feature_map, gradient), grad_cam(feature_map, 1000 * gradient), atol=1e-6
    )


SHAPES = npst.array_shapes(min_dims=3, max_dims=4, min_side=1, max_side=5)
FINITE = st.floats(-(2.0**20), 2.0**20, width=32)
ANYTHING = st.floats(width=32)


@given(st.data())
def test_every_map_is_between_zero_and_one_and_reaches_its_ends(data):
    shape = data.draw(SHAPES)
    feature_map, gradient = (
        data.draw(npst.arrays(np.float32, shape, elements=FINITE)) for _ in range(2)
    )
    heatmap = grad_cam(feature_map, gradient)
    assert heatmap.shape == shape[:-1]
    assert (heatmap >= 0).all()
    assert (heatmap <= 1).all()
    assert set(np.unique(heatmap.max(axis=(-2, -1)))) <= {np.float32(0), np.float32(1)}


@given(npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=3, max_side=6),
                   elements=ANYTHING))  # fmt: skip
def test_no_evidence_however_odd_leaves_the_range(evidence):
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        heatmap = scale(evidence)
    assert ((heatmap >= 0) & (heatmap <= 1)).all()
    assert (heatmap[~(evidence > 0)] == 0).all()


@given(st.integers(1, 6), st.integers(1, 6), npst.arrays(np.float32, 3, elements=FINITE),
       npst.arrays(np.float32, 3, elements=FINITE))  # fmt: skip
def test_a_constant_image_has_no_place_to_point_at(height, width, cell, slope):
    """All cells have the same evidence: the map is zero, or the same everywhere."""
    feature_map = np.broadcast_to(cell, (height, width, 3)).astype(np.float32)
    heatmap = grad_cam(feature_map, np.broadcast_to(slope, (height, width, 3)))
    assert len(np.unique(heatmap)) == 1


@pytest.fixture(scope="module")
def trained():
    """Train a small net on frames with a bright spot (odd rows) and frames without."""
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.random((64, 16, 16, 3), np.float32)
    labels = np.arange(64) % 2
    for spotted in images[1::2]:
        top, left = rng.integers(0, 12, 2)
        spotted[top : top + 4, left : left + 4] += 1

    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", padding="same", strides=2)(image)
    x = keras.layers.Conv2D(8, 3, activation="relu", padding="same", name="last_map")(x)
    # Flatten and a hidden layer: the gradient then differs from cell to cell.
    x = keras.layers.Dense(8, activation="relu")(keras.layers.Flatten()(x))
    logits = keras.layers.Dense(2, name="logits")(x)
    model = keras.Model(image, keras.layers.Softmax()(logits))
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(images, labels, batch_size=16, epochs=15, verbose=0)
    assert history.history["accuracy"][-1] > 0.9
    return model, images


def _map_and_gradient(model, images):
    import keras
    import tensorflow as tf

    tapped = keras.Model(
        model.input, [model.get_layer("last_map").output, model.get_layer("logits").output]
    )
    with tf.GradientTape() as tape:
        feature_map, logits = tapped(images)
        score = logits[:, 1] - logits[:, 0]
    return feature_map.numpy(), tape.gradient(score, feature_map).numpy()


def _peer_maps(model, images):
    """Grad-CAM of tf-keras-vis on the same score, at the size of the feature map."""
    import keras

    with warnings.catch_warnings():
        # tf-keras-vis imports a module of SciPy and one of its own that are on their way out.
        warnings.simplefilter("ignore", DeprecationWarning)
        from tf_keras_vis.gradcam import Gradcam

    logits = keras.Model(model.input, model.get_layer("logits").output)
    return Gradcam(logits, clone=False)(
        lambda output: output[:, 1] - output[:, 0],
        images,
        penultimate_layer="last_map",
        expand_cam=False,
    )


def test_equals_tf_keras_vis_on_a_trained_net(trained):
    model, images = trained
    positives = images[1:16:2]
    ours = grad_cam(*_map_and_gradient(model, positives))
    peer = np.asarray(_peer_maps(model, positives))
    for own_map, peer_map in zip(ours, peer, strict=True):
        assert np.corrcoef(own_map.ravel(), peer_map.ravel())[0, 1] > 0.999


def test_a_saturated_softmax_still_has_a_map(trained):
    import keras

    model, images = trained
    sure = keras.models.clone_model(model)
    sure.set_weights(model.get_weights())
    kernel, bias = sure.get_layer("logits").get_weights()
    sure.get_layer("logits").set_weights([1000 * kernel, 1000 * bias])
    assert sure(images[1:2]).numpy().max() == 1.0
    plain = grad_cam(*_map_and_gradient(model, images[1:2]))
    np.testing.assert_allclose(grad_cam(*_map_and_gradient(sure, images[1:2])), plain, atol=1e-4)
    assert plain.max() == 1.0
