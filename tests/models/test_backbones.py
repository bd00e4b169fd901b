"""The contract that every row of the table of backbones keeps."""

import json
import subprocess
import sys
from dataclasses import replace

import efficientnet.tfkeras as efn
import keras
import numpy as np
import pytest
import tensorflow as tf

from thyro_demo.errors import RecipeError
from thyro_demo.models import backbones
from thyro_demo.models.backbones import (
    BACKBONES,
    backbone,
    build,
    copy_weights,
    fold_normalisation,
    normalise,
    silence_branches,
)
from thyro_demo.models.pipeline import Frames
from thyro_demo.models.transfer import Stage, freeze, lower_part, train_stage, upper_part

every_backbone = pytest.mark.parametrize("network", BACKBONES, indirect=True)


def spec_of(network):
    return backbone(network.name.replace("_", "-"))


def frames_of(count, side=64):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, side, side, 3)).astype(np.float32)


@every_backbone
def test_every_image_gets_one_distribution_over_the_classes(network):
    probabilities = network(frames_of(3)).numpy()
    assert probabilities.shape == (3, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


@every_backbone
def test_pooled_features_are_the_means_of_the_last_feature_map(network):
    spec = spec_of(network)
    part = keras.Model(
        network.inputs[0],
        [network.get_layer(spec.cam_layer).output, network.get_layer("features").output],
    )
    feature_map, features = (tensor.numpy() for tensor in part(frames_of(2)))
    assert feature_map.ndim == 4
    np.testing.assert_allclose(features, feature_map.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)


@every_backbone
def test_the_graph_is_flat(network):
    assert not any(isinstance(layer, keras.Model) for layer in network.layers)


@every_backbone
def test_the_graph_passes_through_one_tensor_at_every_boundary(network):
    images = frames_of(2)
    whole = upper_part(network, None)(images).numpy()
    for cut in (*spec_of(network).boundaries.values(), "features"):
        parts = upper_part(network, cut)(lower_part(network, cut)(images)).numpy()
        np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


@every_backbone
def test_gradients_reach_every_weight_that_is_trained(network):
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(np.array([0, 1]), network(frames_of(2)))
    variables = network.trainable_variables
    gradients = tape.gradient(loss, variables)
    unreached = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    assert variables
    assert unreached == []
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.fixture
def eagerly():
    """Run without tracing: a single step of a deep network is traced longer than it runs."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.filterwarnings("ignore:Even though the:UserWarning")  # tf.data traces all the same
@pytest.mark.usefixtures("eagerly")
@every_backbone
def test_a_training_step_leaves_the_frozen_part_as_it_was(network):
    spec = spec_of(network)
    trainable = next(iter(spec.boundaries))
    trained = set(freeze(network, spec, trainable))
    before = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    frames = Frames(frames_of(4).astype(np.uint8), np.array([0, 1, 0, 1]), ("benign", "malignant"))
    stage = Stage("step", trainable, epochs=1, augmentation=None)
    train_stage(network, spec, stage, frames, np.arange(4), np.empty(0, np.int64))
    changed = {
        name
        for name, weights in before.items()
        if any((a != b).any() for a, b in zip(weights, network.get_layer(name).get_weights(),
                                              strict=True))
    }  # fmt: skip
    assert "logits" in changed
    # Batch statistics are weights too: frozen ones stand still, trained ones learn.
    assert changed <= trained
    assert len(trained) < len(before)
    assert all(name in changed for name in trained if hasattr(network.get_layer(name), "momentum"))


@pytest.mark.parametrize(
    ("mode", "published"),
    [
        ("caffe", keras.applications.vgg16.preprocess_input),
        ("caffe", keras.applications.resnet50.preprocess_input),
        ("tf", keras.applications.resnet_v2.preprocess_input),
        ("torch", efn.preprocess_input),
    ],
)
def test_normalisation_in_the_graph_is_the_published_one(mode, published):
    image = keras.Input((8, 8, 3))
    graph = keras.Model(image, normalise(image, mode))
    images = frames_of(2, side=8)
    # The published functions change their argument in place.
    np.testing.assert_allclose(graph(images), published(images.copy()), rtol=1e-5, atol=1e-4)


def test_unit_normalisation_gives_shares_of_full_brightness():
    image = keras.Input((2, 2, 3))
    graph = keras.Model(image, normalise(image, "unit"))
    assert np.unique(graph(np.full((1, 2, 2, 3), 255.0, np.float32))) == pytest.approx([1.0])


def test_unknown_normalisation_is_refused():
    with pytest.raises(RecipeError, match=r"Received: 'sigmoid'\.$"):
        normalise(keras.Input((8, 8, 3)), "sigmoid")


@pytest.mark.parametrize("network", ["efficientnet-b0"], indirect=True)
def test_the_cleaned_efficientnet_computes_what_the_package_does(network):
    original = efn.EfficientNetB0(weights=None, include_top=False, input_shape=(64, 64, 3))
    body = lower_part(network, "top_activation")
    needed = sum(1 for layer in original.layers if layer.weights)
    assert copy_weights(original, network) == needed
    images = frames_of(2)
    expected = original(efn.preprocess_input(images.copy()), training=False).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(body(images), expected, rtol=1e-4, atol=1e-4 * expected.max())


_LOAD = """
import json, sys
import keras, numpy as np
image = np.linspace(0, 255, 64 * 64 * 3, dtype="float32").reshape(1, 64, 64, 3)
scores = {path: keras.saving.load_model(path)(image).numpy()[0].tolist() for path in sys.argv[1:]}
foreign = [name for name in ("efficientnet", "thyro_demo") if name in sys.modules]
print(json.dumps([scores, foreign]))
"""


def test_saved_networks_load_with_plain_keras_in_a_fresh_process(built, tmp_path):
    image = np.linspace(0, 255, 64 * 64 * 3, dtype=np.float32).reshape(1, 64, 64, 3)
    small = backbone("two-layer-cnn")
    networks = {mode: build(replace(small, normalisation=mode), input_size=64)
                for mode in ("caffe", "tf", "torch", "unit")}  # fmt: skip
    networks["efficientnet-b0"] = built("efficientnet-b0")[0]
    expected = {}
    for name, network in networks.items():
        path = tmp_path / f"{name}.keras"
        network.save(path)
        expected[str(path)] = network(image).numpy()[0]
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, *expected],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    scores, foreign = json.loads(done.stdout.splitlines()[-1])
    assert foreign == []
    for path, score in expected.items():
        np.testing.assert_allclose(scores[path], score, atol=1e-5)


def test_a_network_of_another_size_and_number_of_classes_takes_over_the_body(small):
    source = small()
    target = build(backbone("two-layer-cnn"), classes=5, input_size=96)
    head = target.get_layer("logits").get_weights()
    copied = copy_weights(source, target)
    assert copied == sum(1 for layer in target.layers if layer.weights) - 1
    np.testing.assert_array_equal(
        target.get_layer("conv2").get_weights(), source.get_layer("conv2").get_weights()
    )
    for old, new in zip(head, target.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def weighted(network):
    return {layer.name: [w.shape for w in layer.weights] for layer in network.layers
            if layer.weights}  # fmt: skip


def test_folded_normalisation_computes_what_the_trained_network_does():
    """VGG-16 learns with batch normalisation and is kept without: no feature may move."""
    keras.utils.set_random_seed(0)
    trained = build(backbone("vgg16"), scratch=True)
    plain = build(backbone("vgg16"), input_size=32)
    assert len(weighted(trained)) == 2 * 13 + 1
    assert len(weighted(plain)) == 13 + 1
    rng = np.random.default_rng(0)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (w.shape for w in layer.weights)
            layer.set_weights([
                rng.uniform(0.5, 2.0, gamma), rng.normal(0.2, 0.3, beta),
                rng.normal(0, 0.3, mean), rng.uniform(0.2, 2.0, variance),
            ])  # fmt: skip
    fold_normalisation(trained, plain)
    images = frames_of(2, side=32)
    expected = lower_part(trained, "features")(images, training=False).numpy()
    assert expected.std() > 0
    found = lower_part(plain, "features")(images, training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())
    for old, new in zip(trained.get_layer("logits").get_weights(),
                        plain.get_layer("logits").get_weights(), strict=True):  # fmt: skip
        np.testing.assert_array_equal(new, old)


def test_normalisation_that_the_plain_network_keeps_is_copied_as_it_is(small):
    source, target = small(), small()
    source.set_weights([w + 0.5 for w in source.get_weights()])
    fold_normalisation(source, target)
    for new, old in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("network", ["resnet50"], indirect=True)
def test_every_residual_branch_of_a_resnet_starts_silent(network):
    gammas = {layer.name: layer.get_weights()[0] for layer in network.layers
              if isinstance(layer, keras.layers.BatchNormalization)}  # fmt: skip
    assert silence_branches(network) == 16
    silent = {f"conv{stage}_block{block}_3_bn" for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3))
              for block in range(1, blocks + 1)}  # fmt: skip
    for name, before in gammas.items():
        expected = np.zeros_like(before) if name in silent else before
        np.testing.assert_array_equal(network.get_layer(name).get_weights()[0], expected)


@pytest.mark.parametrize("network", ["efficientnet-b0"], indirect=True)
def test_what_efficientnet_learns_without_dropout_fits_the_network_with_it(network):
    keras.utils.set_random_seed(1)
    scratch = build(backbone("efficientnet-b0"), scratch=True)
    dropouts = [[layer for layer in each.layers if isinstance(layer, keras.layers.Dropout)]
                for each in (network, scratch)]  # fmt: skip
    assert len(dropouts[0]) == 9
    assert dropouts[1] == []
    assert weighted(scratch) == weighted(network)
    assert silence_branches(scratch) == 9
    fold_normalisation(scratch, network)
    images = frames_of(1)
    expected = lower_part(scratch, "features")(images, training=False).numpy()
    assert expected.std() > 0
    found = lower_part(network, "features")(images, training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_mlp_head_is_that_of_p1(small):
    network = small("mlp")
    widths = [network.get_layer(f"mlp_dense{index}").units for index in (1, 2, 3)]
    assert widths == [128, 128, 128]
    assert network.get_layer("mlp_dropout").rate == 0.5
    np.testing.assert_allclose(network(frames_of(2)).numpy().sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    "wrong", [lambda: backbone("alexnet"), lambda: build(backbone("vgg16"), head="svm")]
)
def test_unknown_names_are_refused_with_what_would_be_right(wrong):
    with pytest.raises(RecipeError, match=r"has to be .*Received: '\w+'\.$"):
        wrong()


def test_every_row_is_found_by_its_name():
    assert {name: spec.name for name, spec in BACKBONES.items()} == {n: n for n in BACKBONES}
    assert backbones.backbone("vgg16").title == "VGG-16"
