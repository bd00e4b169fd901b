"""A chain goes on from the weights that were asked for, or one sentence reports why not."""

import hashlib
import io
import json
import shutil
import urllib.error
import urllib.request
import urllib.response
from dataclasses import replace

import efficientnet.tfkeras as efn
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.utils import file_utils

from thyro_demo.bundle import manifest
from thyro_demo.errors import BundleError, RecipeError
from thyro_demo.models.backbones import BACKBONES, backbone
from thyro_demo.models.networks import build
from thyro_demo.training import initial_weights
from thyro_demo.training.frozen_cache import base_layers

TWO = backbone("two-layer-cnn")


# The layers with weights in the order of the published files, each as (name, shapes by weight):
# written out, so that a network whose layers come in another order cannot make its own file.


def conv(name, side, inputs, outputs, bias=True):
    return name, {"kernel": (side, side, inputs, outputs)} | ({"bias": (outputs,)} if bias else {})


def norm(name, width):
    return name, dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (width,))


def vgg(depths, connected=()):
    inputs = 3
    for block, depth in enumerate(depths, start=1):
        width = min(32 * 2**block, 512)
        for number in range(1, depth + 1):
            name = f"block{block}_conv{number}"
            yield name, {f"{name}_W_1": (3, 3, inputs, width), f"{name}_b_1": (width,)}
            inputs = width
    inputs *= 7 * 7
    for name, width in connected:
        yield name, {f"{name}_W_1": (inputs, width), f"{name}_b_1": (width,)}
        inputs = width


def vgg16():
    return vgg((2, 2, 3, 3, 3))


def vgg19():
    return vgg((2, 2, 4, 4, 4))


def resnet50():
    yield conv("conv1_conv", 7, 3, 64)
    yield norm("conv1_bn", 64)
    inputs = 64
    for stack, depth in enumerate((3, 4, 6, 3), start=2):
        width = 16 * 2**stack
        for block in range(1, depth + 1):
            name = f"conv{stack}_block{block}"
            yield conv(f"{name}_1_conv", 1, inputs, width)
            yield norm(f"{name}_1_bn", width)
            yield conv(f"{name}_2_conv", 3, width, width)
            yield norm(f"{name}_2_bn", width)
            if block == 1:
                yield conv(f"{name}_0_conv", 1, inputs, 4 * width)
            yield conv(f"{name}_3_conv", 1, width, 4 * width)
            if block == 1:
                yield norm(f"{name}_0_bn", 4 * width)
            yield norm(f"{name}_3_bn", 4 * width)
            inputs = 4 * width


def resnet50v2():
    yield conv("conv1_conv", 7, 3, 64)
    inputs = 64
    for stack, depth in enumerate((3, 4, 6, 3), start=2):
        width = 16 * 2**stack
        for block in range(1, depth + 1):
            name = f"conv{stack}_block{block}"
            yield norm(f"{name}_preact_bn", inputs)
            yield conv(f"{name}_1_conv", 1, inputs, width, bias=False)
            yield norm(f"{name}_1_bn", width)
            yield conv(f"{name}_2_conv", 3, width, width, bias=False)
            yield norm(f"{name}_2_bn", width)
            if block == 1:
                yield conv(f"{name}_0_conv", 1, inputs, 4 * width)
            yield conv(f"{name}_3_conv", 1, width, 4 * width)
            inputs = 4 * width
    yield norm("post_bn", inputs)


def efficientnet_b0():
    yield conv("stem_conv", 3, 3, 32, bias=False)
    yield norm("stem_bn", 32)
    inputs = 32
    for stage, (depth, side, expansion, width) in enumerate(
        ((1, 3, 1, 16), (2, 3, 6, 24), (2, 5, 6, 40), (3, 3, 6, 80), (3, 5, 6, 112),
         (4, 5, 6, 192), (1, 3, 6, 320)), start=1):  # fmt: skip
        for letter in "abcd"[:depth]:
            name, inner = f"block{stage}{letter}_", inputs * expansion
            if expansion > 1:
                yield conv(f"{name}expand_conv", 1, inputs, inner, bias=False)
                yield norm(f"{name}expand_bn", inner)
            yield f"{name}dwconv", {"depthwise_kernel": (side, side, inner, 1)}
            yield norm(f"{name}bn", inner)
            yield conv(f"{name}se_reduce", 1, inner, inputs // 4)
            yield conv(f"{name}se_expand", 1, inputs // 4, inner)
            yield conv(f"{name}project_conv", 1, inner, width, bias=False)
            yield norm(f"{name}project_bn", width)
            inputs = width
    yield conv("top_conv", 1, inputs, 1280, bias=False)
    yield norm("top_bn", 1280)


def mobilenetv2():
    yield conv("Conv1", 3, 3, 32, bias=False)
    yield norm("bn_Conv1", 32)
    inputs, number = 32, 0
    for depth, expansion, width in ((1, 1, 16), (2, 6, 24), (3, 6, 32), (4, 6, 64), (3, 6, 96),
                                    (3, 6, 160), (1, 6, 320)):  # fmt: skip
        for _ in range(depth):
            name, inner = f"block_{number}_" if number else "expanded_conv_", inputs * expansion
            if number:
                yield conv(f"{name}expand", 1, inputs, inner, bias=False)
                yield norm(f"{name}expand_BN", inner)
            yield f"{name}depthwise", {"depthwise_kernel": (3, 3, inner, 1)}
            yield norm(f"{name}depthwise_BN", inner)
            yield conv(f"{name}project", 1, inner, width, bias=False)
            yield norm(f"{name}project_BN", width)
            inputs, number = width, number + 1
    yield conv("Conv_1", 1, 320, 1280, bias=False)
    yield norm("Conv_1_bn", 1280)


def inception_v3():
    """Return the layers of the publishers' own network, whose branches come row by row.

    The names, which Keras numbers, are not those of the file and play no part.
    """
    for layer in keras.applications.InceptionV3(weights=None, include_top=False).layers:
        if layer.weights:
            yield layer.name, {weight.name: tuple(weight.shape) for weight in layer.weights}


LAYOUTS = {"vgg16": vgg16, "resnet50": resnet50, "resnet50v2": resnet50v2,
           "efficientnet-b0": efficientnet_b0, "vgg19": vgg19, "inception-v3": inception_v3,
           "mobilenetv2": mobilenetv2}  # fmt: skip
B0 = "efficientnet-b0"
OTHERS = set(LAYOUTS) - {"vgg16", "resnet50", B0}
BUILDERS = {
    B0: efn.EfficientNetB0,
    "vgg16": keras.applications.VGG16,
    "vgg19": keras.applications.VGG19,
    "resnet50": keras.applications.ResNet50,
    "resnet50v2": keras.applications.ResNet50V2,
    "resnet101": keras.applications.ResNet101,
    "inception-v3": keras.applications.InceptionV3,
    "densenet201": keras.applications.DenseNet201,
    "mobilenetv2": keras.applications.MobileNetV2,
    "xception": keras.applications.Xception,
    "inception-resnet-v2": keras.applications.InceptionResNetV2,
}


def write(file, layers):
    """Write layers in Keras' legacy layout, with random numbers, which are returned."""
    rng = np.random.default_rng(11)
    numbers = {}
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as root:
        # Layers without weights are listed too.
        root.attrs["layer_names"] = [b"input_1", *(name.encode() for name, _ in layers)]
        root.create_group("input_1").attrs["weight_names"] = []
        for name, shapes in layers:
            # VGG-16 was stored before weights were named after their layer as a folder.
            paths = {weight: f"{weight}:0" if name in weight else f"{name}/{weight}:0"
                     for weight in shapes}  # fmt: skip
            group = root.create_group(name)
            group.attrs["weight_names"] = [path.encode() for path in paths.values()]
            numbers[name] = [rng.random(shape, np.float32) for shape in shapes.values()]
            for path, values in zip(paths.values(), numbers[name], strict=True):
                group[path] = values
    return numbers


def digest(file, kind="md5"):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()


def cached(root, name, weights="imagenet"):
    """Return the place of a published file in Keras' folder."""
    return root / "models" / initial_weights._PUBLISHED[name, weights][0].rpartition("/")[2]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((name, layers), id=name, marks=[pytest.mark.slow] if name in OTHERS else [])
        for name, layers in LAYOUTS.items()
    ],
)
def published(request, tmp_path_factory):
    """Return Keras' folder with the file of one network, and the numbers in it."""
    name, layers = request.param
    root = tmp_path_factory.mktemp("keras")
    numbers = write(cached(root, name), list(layers()))
    yield name, root, numbers
    # pytest keeps the folders of three runs.
    cached(root, name).unlink()


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def unreachable(*_, **__):
        raise urllib.error.URLError("unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)


def expect(monkeypatch, name, checksum, weights="imagenet"):
    """Let weights have another checksum than the published one."""
    row = (initial_weights._PUBLISHED[name, weights][0], checksum)
    monkeypatch.setitem(initial_weights._PUBLISHED, (name, weights), row)


def refusal(network, name, home, weights="imagenet"):
    """Return what weights are refused with, which has to name a way out."""
    with pytest.raises(RecipeError) as caught:
        initial_weights.load(network, backbone(name), weights)
    sentence, received = str(caught.value).split(" Received: ")
    url = initial_weights._PUBLISHED[name, weights][0]
    assert sentence.startswith(f"The {weights} weights of {backbone(name).title} ")
    assert sentence.endswith(f"or put the file of {url} into {home / 'models'} by hand.")
    assert received.endswith(".")
    assert ". " not in sentence + received
    assert "\n" not in received
    return received


def assert_same_body(network, source):
    for name in ("conv1", "conv2", "conv2_bn"):
        for a, b in zip(network.get_layer(name).get_weights(),
                        source.get_layer(name).get_weights(), strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b)


def test_none_leaves_the_network_as_it_was_built(small):
    network = small()
    before = network.get_weights()
    assert initial_weights.load(network, TWO, "none") == 0
    for a, b in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_keras_file_of_other_classes_lends_its_body(small, tmp_path):
    keras.utils.set_random_seed(5)
    source = build(TWO, classes=7, input_size=96)
    source.save(tmp_path / "initial.keras")
    network = small()
    initial_weights.load(network, TWO, str(tmp_path / "initial.keras"))
    assert_same_body(network, source)


def test_a_bundle_lends_its_network(tiny_weights):
    keras.utils.set_random_seed(9)
    network = build(TWO, input_size=64)
    initial_weights.load(network, TWO, str(tiny_weights / "tiny"))
    source = keras.saving.load_model(tiny_weights / "tiny" / "model.keras", compile=False)
    assert_same_body(network, source)


@pytest.fixture
def chained(tiny_weights, tmp_path):
    """Return a function that copies the tiny bundle as one with some stages, or none."""

    def copy(stages):
        folder = tmp_path / "chained"
        shutil.copytree(tiny_weights / "tiny", folder)
        facts = json.loads((folder / "manifest.json").read_text("utf-8"))
        if stages is not None:
            facts["chain"] = [{"stage": name, "trained": what} for name, what in stages]
        (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
        return folder

    return copy


NATURAL, HEAD = ("natural-64", "all"), ("thyroid", "head")


@pytest.mark.parametrize(
    "stages",
    [[HEAD], [NATURAL, HEAD], [NATURAL, ("phantoms", "last block"), HEAD], [NATURAL, HEAD, HEAD],
     [("thyroid", "none")], [("nodule", "head"), ("second", "head")]],
)  # fmt: skip
def test_a_body_that_no_thyroid_frame_has_changed_may_be_tested_on_them(stages, chained):
    folder = chained(stages)
    for weights in (folder, str(folder), folder / "model.keras"):
        initial_weights.check_not_trained_on(weights)
        assert [tuple(row.values()) for row in initial_weights.history(weights)] == stages


@pytest.mark.parametrize(
    ("stages", "trained"),
    [([("thyroid", "all"), HEAD], "all"), ([NATURAL, ("nodule", "last block"), HEAD], "last block"),
     ([("thyroid", "all"), HEAD, HEAD], "all"), ([HEAD, ("thyroid", "all")], "all"),
     ([("second", "last block")], "last block"), ([], "unknown"), (None, "unknown")],
)  # fmt: skip
def test_a_body_that_a_thyroid_frame_may_have_changed_is_refused(stages, trained, chained):
    """At whatever depth of its history: new heads on a spoilt body do not mend it."""
    folder = chained(stages)
    for weights in (folder, str(folder / "model.keras")):
        with pytest.raises(RecipeError, match=rf"no thyroid frame:.*on them: {trained}\.$"):
            initial_weights.check_not_trained_on(weights)


def test_the_network_of_an_earlier_stage_has_gone_through_no_later_one(chained):
    folder = chained([NATURAL, ("radiographs", "last block"), ("nodules", "last block"), HEAD])
    for name, count in (("natural-64", 1), ("radiographs", 2)):
        shutil.copy(folder / "model.keras", folder / f"{name}.keras")
        history = initial_weights.history(folder / f"{name}.keras")
        assert [row["stage"] for row in history] == ["natural-64", "radiographs"][:count]
    (folder / "manifest.json").unlink()
    assert initial_weights.history(folder / "radiographs.keras") == []


def test_a_network_without_a_bundle_has_the_history_of_the_note_beside_it(tmp_path):
    network = tmp_path / "net.keras"
    rows = [{"stage": "natural-64", "trained": "all"}, {"stage": "nodules", "trained": "head"}]
    facts = {"chain": rows, "training_phantoms": {"phantom-21": 3}, "training_outlines": ["ab"]}
    manifest.note_beside(network).write_text(json.dumps(facts), "utf-8")
    assert initial_weights.history(network) == rows
    assert manifest.trained_on(str(network)) == facts
    initial_weights.check_not_trained_on(network)
    rows.insert(1, {"stage": "thyroid", "trained": "last block"})
    manifest.note_beside(network).write_text(json.dumps(facts), "utf-8")
    with pytest.raises(RecipeError, match=r"no thyroid frame:.*net\.keras.*on them: last block\.$"):
        initial_weights.check_not_trained_on(network)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"chain": [], "training_phantoms": {}}',
        '{"chain": 3, "training_phantoms": {}, "training_outlines": []}',
        '{"chain": [], "training_phantoms": 1, "training_outlines": []}',
    ],
)
def test_a_damaged_note_is_no_clean_history(text, tmp_path):
    (tmp_path / "net.json").write_text(text, "utf-8")
    with pytest.raises(BundleError, match=r"must list what.*Received: .*net\.json, which is dam"):
        initial_weights.history(tmp_path / "net.keras")


@pytest.mark.parametrize("weights", ["none", "imagenet", "noisy-student", "net.keras", "nowhere"])
def test_what_is_no_bundle_has_no_history(weights, chained, tmp_path, monkeypatch):
    """A folder that happens to be called like published weights is not meant by it."""
    monkeypatch.chdir(tmp_path)
    if weights in manifest.WORDS:
        chained([("thyroid", "all")]).rename(tmp_path / weights)
    assert initial_weights.history(weights) == []
    initial_weights.check_not_trained_on(weights)


def test_a_file_of_another_network_is_refused(tmp_path, small):
    image = keras.Input((64, 64, 3))
    # Its one layer shares a name with the head: that does not make it initial weights.
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    keras.Model(image, keras.layers.Dense(2, name="logits")(pooled)).save(tmp_path / "a.keras")
    with pytest.raises(RecipeError, match=r"all 4 layers of Two-layer CNN.*with 0 of them\.$"):
        initial_weights.load(small(), TWO, str(tmp_path / "a.keras"))


def test_a_file_that_lacks_one_layer_of_the_body_is_refused(tmp_path, small):
    whole = small()
    cut = keras.Model(whole.inputs[0], keras.layers.Dense(2, name="logits")(
        keras.layers.GlobalAveragePooling2D()(whole.get_layer("conv2").output)))  # fmt: skip
    cut.save(tmp_path / "a.keras")
    with pytest.raises(RecipeError, match=r"with 3 of them\.$"):
        initial_weights.load(small(), TWO, str(tmp_path / "a.keras"))


def test_a_damaged_file_is_refused(tmp_path, small):
    (tmp_path / "a.keras").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(RecipeError, match=r"undamaged \.keras.*Received: .*\(BadZipFile.*\)\.$"):
        initial_weights.load(small(), TWO, str(tmp_path / "a.keras"))


@pytest.mark.parametrize("weights", ["nothing.keras", "photo.jpg", "", "imagnet"])
def test_what_is_no_file_of_weights_is_refused(weights, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"must be none, imagenet.*Received: '.*'\.$"):
        initial_weights.load(small(), TWO, weights)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("two-layer-cnn", "imagenet"),
        ("alexnet", "imagenet"),
        ("overfeat", "imagenet"),
        ("vgg-f", "imagenet"),
        ("vgg16", "noisy-student"),
    ],
)
def test_initial_weights_that_this_network_lacks_are_refused(name, weights, small):
    with pytest.raises(RecipeError, match=rf"must be none.* or a file\. Received: '{weights}'\.$"):
        initial_weights.load(small(), backbone(name), weights)


@pytest.mark.slow
def test_every_offered_download_is_the_one_of_its_publisher(monkeypatch):
    asked = []

    def note(name, url, cache_subdir, file_hash=None):
        assert cache_subdir == "models"
        assert url.endswith(f"/{name}")
        asked.append((url, file_hash))
        raise InterruptedError  # before the builder reads a file

    monkeypatch.setattr(file_utils, "get_file", note)
    monkeypatch.setattr(tf.keras.utils, "get_file", note)
    for (name, weights), row in initial_weights._PUBLISHED.items():
        with pytest.raises(InterruptedError):
            BUILDERS[name](weights=weights, include_top=False, input_shape=(224, 224, 3))
        assert asked.pop() == row
    for name, row in initial_weights._PUBLISHED_CONNECTED.items():
        with pytest.raises(InterruptedError):
            BUILDERS[name](weights="imagenet")
        assert asked.pop() == row
    offered = {(spec.name, weights) for spec in BACKBONES.values() for weights in spec.weights}
    assert set(initial_weights._PUBLISHED) == offered


def test_a_published_file_reaches_every_layer(published, built, monkeypatch):
    name, root, numbers = published
    monkeypatch.setenv("KERAS_HOME", str(root))
    expect(monkeypatch, name, digest(cached(root, name)))
    spec = backbone(name)
    network = built(name)
    assert initial_weights.load(network, spec, "imagenet") == len(numbers)
    layers = [network.get_layer(each) for each in base_layers(network, spec)]
    held = {layer.name: layer.get_weights() for layer in layers if layer.weights}
    for found, expected in zip(held.values(), numbers.values(), strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert name == "inception-v3" or list(held) == list(numbers)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "connected"), [(224, True), (96, False)])
def test_fully_connected_layers_are_read_where_they_have_the_published_shape(
    side, connected, keras_home, monkeypatch
):
    """They are those of one input size; at another, the file of the body alone is asked for."""
    table, key = initial_weights._PUBLISHED, ("vgg19", "imagenet")
    if connected:
        table, key = initial_weights._PUBLISHED_CONNECTED, "vgg19"
    url, _ = table[key]
    file = keras_home / "models" / url.rpartition("/")[2]
    ends = [("fc1", 3), ("fc2", 5), ("predictions", 1000)] if connected else []
    numbers = write(file, list(vgg((2, 2, 4, 4, 4), ends)))
    monkeypatch.setitem(table, key, (url, digest(file)))
    spec = replace(backbone("vgg19"), dense=(3, 5))
    network = build(spec, head="fc", input_size=side)
    expected = {name: network.get_layer(name).get_weights() for name in ("fc1", "fc2", "logits")}
    assert initial_weights.load(network, spec, "imagenet") == 16 + 2 * connected
    # pytest keeps the folders of three runs.
    file.unlink()
    numbers.pop("predictions", None)
    for name, values in (expected | numbers).items():
        for a, b in zip(network.get_layer(name).get_weights(), values, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("network", [B0], indirect=True)
@pytest.mark.parametrize(("weights", "kind"), [("imagenet", "sha256"), ("noisy-student", "md5")])
def test_a_download_is_kept_for_the_next_time(weights, kind, network, keras_home, monkeypatch):
    numbers = write(keras_home / "server.h5", list(efficientnet_b0()))
    content = (keras_home / "server.h5").read_bytes()
    expect(monkeypatch, B0, digest(keras_home / "server.h5", kind), weights)
    asked = []

    def serve(url, data=None):
        asked.append(url)
        return urllib.response.addinfourl(io.BytesIO(content), {}, url)

    monkeypatch.setattr(urllib.request, "urlopen", serve)
    for _ in range(2):
        initial_weights.load(network, backbone(B0), weights)
    assert asked == [initial_weights._PUBLISHED[B0, weights][0]]
    assert list((keras_home / "models").iterdir()) == [cached(keras_home, B0, weights)]
    (kernel,) = network.get_layer("top_conv").get_weights()
    np.testing.assert_array_equal(kernel, numbers["top_conv"][0])


def test_a_damaged_download_is_refused_and_leaves_nothing(small, keras_home, monkeypatch):
    def serve(url, data=None):
        return urllib.response.addinfourl(io.BytesIO(b"<html>Please log in"), {}, url)

    monkeypatch.setattr(urllib.request, "urlopen", serve)
    assert "hash does not match" in refusal(small(), "vgg16", keras_home)
    assert not list((keras_home / "models").iterdir())


@pytest.mark.parametrize(("name", "weights"), initial_weights._PUBLISHED)
def test_without_file_and_network_the_sentence_states_so(name, weights, small, keras_home):
    received = refusal(small(), name, keras_home, weights)
    assert received.startswith("URL fetch failure on https://")
    assert received.endswith("unreachable.")


@pytest.mark.parametrize("network", [B0], indirect=True)
@pytest.mark.parametrize(("weights", "kind"), [("imagenet", "sha256"), ("noisy-student", "md5")])
def test_a_file_of_another_checksum_is_refused_and_kept(weights, kind, network, keras_home):
    file = cached(keras_home, B0, weights)
    file.parent.mkdir()
    file.write_bytes(b"cut")
    right = initial_weights._PUBLISHED[B0, weights][1]
    assert refusal(network, B0, keras_home, weights) == (
        f"a file with {kind} {digest(file, kind)} in place of {right}."
    )
    assert file.read_bytes() == b"cut"


@pytest.mark.parametrize("network", [B0], indirect=True)
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda layers: layers[:-1], "found 129 saved layers."),
        (
            lambda layers: [conv("stem_conv", 3, 1, 32, bias=False), *layers[1:]],
            "saved weight with shape (3, 3, 1, 32).",
        ),
        (
            lambda layers: [conv("stem_conv", 3, 3, 32), *layers[1:]],
            "Received 2 saved weight(s).",
        ),
    ],
    ids=["a layer missing", "another shape", "another number of weights"],
)
def test_a_file_of_other_layers_is_refused(change, complaint, network, keras_home, monkeypatch):
    file = cached(keras_home, B0)
    write(file, change(list(efficientnet_b0())))
    expect(monkeypatch, B0, digest(file))
    assert refusal(network, B0, keras_home).endswith(complaint)


@pytest.mark.parametrize("network", [B0], indirect=True)
def test_what_is_no_hdf5_is_refused(network, keras_home, monkeypatch):
    file = cached(keras_home, B0)
    file.parent.mkdir()
    file.write_bytes(b"cut")
    expect(monkeypatch, B0, digest(file))
    assert "file signature not found" in refusal(network, B0, keras_home)
