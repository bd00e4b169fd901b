"""The contract that every row of the table of backbones keeps."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import efficientnet.tfkeras as efn
import keras
import numpy as np
import pytest
import tensorflow as tf

from thyro_demo.errors import RecipeError
from thyro_demo.models import backbones
from thyro_demo.models.backbones import BACKBONES, backbone, normalise
from thyro_demo.models.networks import build, copy_weights, fold_normalisation, zero_init_residual
from thyro_demo.models.pipeline import Frames
from thyro_demo.training.frozen_cache import base_layers, cut_layer, freeze, lower_part, upper_part
from thyro_demo.training.loop import train_stage
from thyro_demo.training.stage import Stage

# Those that the project trains, and a quick one; the others are checked where time is no matter.
_FIRST = ("vgg16", "resnet50", "efficientnet-b0", "two-layer-cnn")
_ROWS = [name if name in _FIRST else pytest.param(name, marks=pytest.mark.slow)
         for name in BACKBONES]  # fmt: skip


def frames_of(count, side=64):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, side, side, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=_ROWS)
def row(request, built):
    """Return a row of the table, its network and two images for it."""
    spec = backbone(request.param)
    network = built(spec.name)
    return spec, network, frames_of(2, network.input_shape[1])


@pytest.fixture(scope="module")
def passed(row):
    """Run a row's network once: its outputs by layer, and the gradients of its weights."""
    spec, network, images = row
    ends = [*spec.boundaries.values(), spec.taps["avg"], spec.cam_layer, "logits", "probabilities"]
    whole = keras.Model(network.inputs[0], [network.get_layer(name).output for name in ends])
    with tf.GradientTape() as tape:
        outputs = dict(zip(ends, whole(images), strict=True))
        found = outputs["probabilities"]
        loss = keras.losses.sparse_categorical_crossentropy(np.array([0, 1]), found)
    gradients = tape.gradient(loss, network.trainable_variables)
    return {name: tensor.numpy() for name, tensor in outputs.items()}, gradients


def test_a_row_is_a_network_from_images_to_one_distribution_over_the_classes(row, passed):
    (spec, network, _), (found, _) = row, passed
    cuts = [*spec.boundaries.values(), spec.taps["avg"]]
    assert found["probabilities"].shape == (2, 2)
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1.0, atol=1e-6)
    # Pooled features are the means of the last feature map.
    assert found[spec.cam_layer].ndim == 4
    means = found[spec.cam_layer].mean(axis=(1, 2))
    np.testing.assert_allclose(found["features"], means, rtol=1e-4, atol=1e-5)
    # The graph passes through one tensor at every boundary: Keras would refuse the upper part of
    # one that does not.
    uppers = [upper_part(network, cut) for cut in cuts]
    np.testing.assert_allclose(
        uppers[0](found[cuts[0]]), found["logits"],
        rtol=1e-4, atol=1e-5 * np.abs(found["logits"]).max(),
    )  # fmt: skip
    assert not any(isinstance(layer, keras.Model) for layer in network.layers)


def test_gradients_reach_every_weight_that_is_trained(row, passed):
    variables, gradients = row[1].trainable_variables, passed[1]
    unreached = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    assert variables
    assert unreached == []
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.fixture
def restored(row, built):
    """Leave the network as it was built."""
    yield
    built(row[0].name)


@pytest.mark.usefixtures("eagerly", "restored")
def test_a_training_step_leaves_the_frozen_part_as_it_was(row):
    spec, network, images = row
    trainable = next(iter(spec.boundaries))
    trained = set(freeze(network, spec, trainable))
    before = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    frames = Frames(images.astype(np.uint8), np.array([0, 1]), ("benign", "malignant"))
    stage = Stage("step", trainable, epochs=1, augmentation=None)
    train_stage(network, spec, stage, frames, np.arange(2), np.empty(0, np.int64))
    changed = {
        name
        for name, weights in before.items()
        if any((a != b).any() for a, b in zip(weights, network.get_layer(name).get_weights(),
                                              strict=True))
    }  # fmt: skip
    assert "logits" in changed
    # Batch statistics are weights too: frozen ones do not move, trained ones learn.
    assert changed <= trained
    assert len(trained) < len(before)
    assert all(name in changed for name in trained if hasattr(network.get_layer(name), "momentum"))


# Those that a protocol counts in, and two more; the largest are left out for their time.
_PUBLISHERS = {
    "vgg16": keras.applications.VGG16,
    "resnet50": keras.applications.ResNet50,
    "resnet50v2": keras.applications.ResNet50V2,
    "efficientnet-b0": efn.EfficientNetB0,
    "vgg19": keras.applications.VGG19,
    "inception-v3": keras.applications.InceptionV3,
    "mobilenetv2": keras.applications.MobileNetV2,
    "xception": keras.applications.Xception,
}


_OWN = {
    "two-layer-cnn": "conv1 conv1_bn conv1_relu conv1_pool conv2 conv2_bn conv2_relu conv2_pool",
    "alexnet": "conv1 pool1 norm1 conv2 pool2 norm2 conv3 conv4 conv5 pool5",
    "overfeat": "conv1 pool1 conv2 pool2 conv3 conv4 conv5 conv6 pool6",
    "vgg-f": "conv1 norm1 pool1_pad pool1 conv2 norm2 pool2_pad pool2 conv3 conv4 conv5 "
    "pool5_pad pool5",
}


def structure(layers):
    """Describe layers without their names: kind, shapes of weights, places of what they read."""
    places, described = {}, []
    for place, layer in enumerate(layers):
        places[layer.name] = place
        read = layer.input if isinstance(layer.input, list) else [layer.input]
        # Our images are normalised before the first layer reads them.
        sources = [places.get(x._keras_history.operation.name, 0) for x in read]
        kind = type(layer).__name__.replace("FixedDropout", "Dropout")
        described.append((kind, [tuple(w.shape) for w in layer.weights], sources))
    return described


def test_layers_are_counted_as_their_publishers_count_them(row):
    spec, network, _ = row
    names = base_layers(network, spec)
    if spec.name in _OWN:
        assert names == ["image", *_OWN[spec.name].split()]
    elif spec.name in _PUBLISHERS:
        shape = network.input_shape[1:]
        theirs = _PUBLISHERS[spec.name](weights=None, include_top=False, input_shape=shape)
        ours = [network.get_layer(name) for name in names]
        assert structure(ours) == structure(theirs.layers)
    else:
        pytest.skip("no protocol freezes a number of its layers")


# What P1 and P5 freeze, and the layer up to which that runs once. 162 layers of EfficientNet-B0
# end inside a block, 221 among those that read a tensor beside the one they rescale.
_FROZEN = {
    ("vgg16", 11): ("block3_pool", "block3_pool"),
    ("vgg16", 19): ("block5_pool", "features"),
    ("efficientnet-b0", 162): ("block6a_activation", "block6a_activation"),
    ("efficientnet-b0", 221): ("block7a_se_squeeze", "block7a_activation"),
    ("resnet50v2", 188): ("conv5_block3_out", "conv5_block3_out"),
    ("resnet50v2", 154): ("conv4_block6_out", "conv4_block6_out"),
    ("vgg19", 22): ("block5_pool", "features"),
    ("inception-v3", 249): ("mixed8", "mixed8"),
}


def test_the_layers_that_protocols_freeze_are_cached_as_far_as_one_tensor_carries_them(row):
    spec, network, _ = row
    for name, count in _FROZEN:
        if name == spec.name:
            last, cut = _FROZEN[name, count]
            stage = Stage("stage", "all", 1, frozen_layers=count)
            assert base_layers(network, spec)[count - 1] == last
            assert cut_layer(network, spec, stage) == cut


def test_the_least_side_leaves_one_cell_and_a_smaller_one_is_refused(row):
    spec, _, _ = row
    with pytest.raises(RecipeError, match=rf"at least {spec.smallest} .*: {spec.smallest - 1}\.$"):
        build(spec, input_size=spec.smallest - 1)


@pytest.mark.parametrize(
    ("mode", "published"),
    [
        ("caffe", keras.applications.vgg16.preprocess_input),
        ("caffe", keras.applications.resnet50.preprocess_input),
        ("tf", keras.applications.resnet_v2.preprocess_input),
        ("torch", efn.preprocess_input),
        ("caffe", keras.applications.vgg19.preprocess_input),
        ("tf", keras.applications.inception_v3.preprocess_input),
        ("torch", keras.applications.densenet.preprocess_input),
        ("tf", keras.applications.mobilenet_v2.preprocess_input),
        ("tf", keras.applications.xception.preprocess_input),
        ("tf", keras.applications.inception_resnet_v2.preprocess_input),
    ],
)
def test_normalisation_in_the_graph_is_the_published_one(mode, published):
    image = keras.Input((8, 8, 3))
    graph = keras.Model(image, normalise(image, mode))
    images = frames_of(2, side=8)
    # The published functions change their argument in place.
    np.testing.assert_allclose(graph(images), published(images.copy()), rtol=1e-5, atol=1e-4)


def test_unit_normalisation_yields_shares_of_full_brightness():
    image = keras.Input((2, 2, 3))
    graph = keras.Model(image, normalise(image, "unit"))
    assert np.unique(graph(np.full((1, 2, 2, 3), 255.0, np.float32))) == pytest.approx([1.0])


def test_unknown_normalisation_is_refused():
    with pytest.raises(RecipeError, match=r"Received: 'sigmoid'\.$"):
        normalise(keras.Input((8, 8, 3)), "sigmoid")


@pytest.mark.slow
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
image = np.linspace(0, 255, 80 * 80 * 3, dtype="float32").reshape(1, 80, 80, 3)
scores = {path: keras.saving.load_model(path)(image).numpy()[0].tolist() for path in sys.argv[1:]}
foreign = [name for name in ("efficientnet", "thyro_demo") if name in sys.modules]
print(json.dumps([scores, foreign]))
"""
# What a row may hold beside the layers of Keras: our normalisations, local response normalisation,
# parts of a foreign package, a class that Keras does not export.
_UNUSUAL = ("alexnet", "overfeat", "vgg-f", "efficientnet-b0", "inception-resnet-v2")


@pytest.mark.slow
def test_saved_networks_load_with_plain_keras_in_a_fresh_process(tmp_path):
    image = np.linspace(0, 255, 80 * 80 * 3, dtype=np.float32).reshape(1, 80, 80, 3)
    small = backbone("two-layer-cnn")
    specs = {mode: replace(small, normalisation=mode) for mode in ("caffe", "tf", "torch", "unit")}
    specs |= {name: backbone(name) for name in _UNUSUAL}
    expected = {}
    for name, spec in specs.items():
        network = build(spec, input_size=80)
        path = tmp_path / f"{name}.keras"
        network.save(path)
        expected[str(path)] = network(image).numpy()[0]
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, *expected],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    # pytest keeps the folders of three runs.
    for path in expected:
        Path(path).unlink()
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
    assert zero_init_residual(network) == 16
    silent = {f"conv{stage}_block{block}_3_bn" for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3))
              for block in range(1, blocks + 1)}  # fmt: skip
    for name, before in gammas.items():
        expected = np.zeros_like(before) if name in silent else before
        np.testing.assert_array_equal(network.get_layer(name).get_weights()[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["efficientnet-b0"], indirect=True)
def test_what_efficientnet_learns_without_dropout_fits_the_network_with_it(network):
    keras.utils.set_random_seed(1)
    scratch = build(backbone("efficientnet-b0"), scratch=True)
    dropouts = [[layer for layer in each.layers if isinstance(layer, keras.layers.Dropout)]
                for each in (network, scratch)]  # fmt: skip
    assert len(dropouts[0]) == 9
    assert dropouts[1] == []
    assert weighted(scratch) == weighted(network)
    assert zero_init_residual(scratch) == 9
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


@pytest.mark.parametrize(("head", "width"), [("mlp-512", 512), ("mlp-256", 256)])
def test_the_mlp_heads_of_p5_are_one_dense_layer_over_the_average(head, width, small):
    network = small(head)
    dense = network.get_layer("mlp_dense")
    assert (dense.units, dense.activation) == (width, keras.activations.relu)
    assert network.get_layer("features").output.shape == (None, 64)
    assert weighted(network)["logits"] == [(width, 2), (2,)]


def test_the_fully_connected_head_is_that_of_alexnet_and_its_successors():
    spec = replace(backbone("alexnet"), dense=(12, 7))
    network = build(spec, classes=3, head="fc", input_size=99)
    assert weighted(network) | {"fc1": [(4 * 256, 12), (12,)], "fc2": [(12, 7), (7,)],
                                "logits": [(7, 3), (3,)]} == weighted(network)  # fmt: skip
    assert [network.get_layer(f"fc{n}_dropout").rate for n in (1, 2)] == [0.5, 0.5]
    read = [network.get_layer(spec.taps[tap]).output for tap in ("fc1", "fc2")]
    fc1, fc2 = (x.numpy() for x in keras.Model(network.inputs[0], read)(frames_of(4, side=99)))
    # After the ReLU, and before the dropout.
    assert fc1.min() == 0 < fc1.max()
    kernel, bias = network.get_layer("fc2").get_weights()
    np.testing.assert_allclose(fc2, np.maximum(fc1 @ kernel + bias, 0), rtol=1e-3, atol=1e-4)


def test_networks_with_fully_connected_layers_have_their_taps():
    rows = {name for name, spec in BACKBONES.items() if spec.dense}
    assert rows == {"alexnet", "overfeat", "vgg-f", "vgg16", "vgg19"}
    for name, spec in BACKBONES.items():
        assert list(spec.taps) == (["avg", "fc1", "fc2"] if name in rows else ["avg"])
        assert spec.dense in ((), (4096, 4096))


def test_a_head_that_flattens_fixes_the_side_of_a_network_trained_from_random_weights():
    """Other networks take images of any side, so that these can grow."""
    spec = replace(backbone("vgg-f"), dense=(8, 6))
    connected = build(spec, head="fc", input_size=48, scratch=True)
    assert connected.input_shape == (None, 48, 48, 3)
    assert build(spec, input_size=48, scratch=True).input_shape == (None, None, None, 3)
    plain = build(spec, head="fc", input_size=48)
    assert "conv2_bn" in weighted(connected)
    fold_normalisation(connected, plain)
    images = frames_of(2, side=48)
    np.testing.assert_allclose(plain(images), connected(images), rtol=1e-4, atol=1e-5)


def test_a_network_without_fully_connected_layers_refuses_their_head():
    with pytest.raises(RecipeError, match=r"head fc must be .*overfeat.* Received: 'resnet50'"):
        build(backbone("resnet50"), head="fc")


@pytest.mark.parametrize(
    "wrong", [lambda: backbone("lenet"), lambda: build(backbone("vgg16"), head="svm")]
)
def test_unknown_names_are_refused_with_what_would_be_right(wrong):
    with pytest.raises(RecipeError, match=r"must be .*Received: '\w+'\.$"):
        wrong()


def test_every_row_is_found_by_its_name():
    assert {name: spec.name for name, spec in BACKBONES.items()} == {n: n for n in BACKBONES}
    assert backbones.backbone("vgg16").title == "VGG-16"
