"""A chain starts from what was asked for, or is told in one sentence why not."""

import efficientnet.tfkeras as efn
import keras
import numpy as np
import pytest

from thyro_demo.errors import RecipeError
from thyro_demo.models import starts
from thyro_demo.models.backbones import backbone, build

TWO = backbone("two-layer-cnn")


def assert_same_body(network, source):
    for name in ("conv1", "conv2", "conv2_bn"):
        for a, b in zip(network.get_layer(name).get_weights(),
                        source.get_layer(name).get_weights(), strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b)


def test_none_leaves_the_network_as_it_was_built(small):
    network = small()
    before = network.get_weights()
    assert starts.apply(network, TWO, "none") == 0
    for a, b in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_keras_file_of_other_classes_gives_its_body(small, tmp_path):
    keras.utils.set_random_seed(5)
    source = build(TWO, classes=7, input_size=96)
    source.save(tmp_path / "start.keras")
    network = small()
    starts.apply(network, TWO, str(tmp_path / "start.keras"))
    assert_same_body(network, source)


def test_a_bundle_gives_its_network(tiny_weights):
    keras.utils.set_random_seed(9)
    network = build(TWO, input_size=64)
    starts.apply(network, TWO, str(tiny_weights / "tiny"))
    source = keras.saving.load_model(tiny_weights / "tiny" / "model.keras", compile=False)
    assert_same_body(network, source)


def test_a_file_of_another_network_is_refused(tmp_path, small):
    image = keras.Input((64, 64, 3))
    # Its one layer shares a name with the head: that does not make it a start.
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    keras.Model(image, keras.layers.Dense(2, name="logits")(pooled)).save(tmp_path / "a.keras")
    with pytest.raises(RecipeError, match=r"all 4 layers of Two-layer CNN.*with 0 of them\.$"):
        starts.apply(small(), TWO, str(tmp_path / "a.keras"))


def test_a_file_that_lacks_one_layer_of_the_body_is_refused(tmp_path, small):
    whole = small()
    cut = keras.Model(whole.inputs[0], keras.layers.Dense(2, name="logits")(
        keras.layers.GlobalAveragePooling2D()(whole.get_layer("conv2").output)))  # fmt: skip
    cut.save(tmp_path / "a.keras")
    with pytest.raises(RecipeError, match=r"with 3 of them\.$"):
        starts.apply(small(), TWO, str(tmp_path / "a.keras"))


def test_a_damaged_file_is_refused(tmp_path, small):
    (tmp_path / "a.keras").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(RecipeError, match=r"undamaged Keras network\. Received: .*\(\w+\)\.$"):
        starts.apply(small(), TWO, str(tmp_path / "a.keras"))


@pytest.mark.parametrize("start", ["nothing.keras", "photo.jpg", "", "imagnet"])
def test_what_is_no_start_is_refused(start, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"A start has to be none, imagenet.*Received: '.*'\.$"):
        starts.apply(small(), TWO, start)


@pytest.mark.parametrize(
    ("name", "start"), [("two-layer-cnn", "imagenet"), ("vgg16", "noisy-student")]
)
def test_a_start_that_this_network_lacks_is_refused(name, start, small):
    with pytest.raises(RecipeError, match=rf"can start from none,.* Received: '{start}'\.$"):
        starts.apply(small(), backbone(name), start)


def test_a_failed_download_is_told_in_one_sentence(monkeypatch):
    def offline(**_):
        raise OSError("URL fetch failure on https://example.org/vgg16.h5: unreachable")

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    with pytest.raises(RecipeError) as caught:
        starts.apply(build(TWO, input_size=64), backbone("vgg16"), "imagenet")
    message = str(caught.value)
    assert "could not be downloaded" in message
    assert "~/.keras/models" in message
    assert "Received: URL fetch failure on https://example.org/vgg16.h5" in message
    assert "\n" not in message


@pytest.mark.parametrize("network", ["vgg16", "resnet50", "resnet50v2", "efficientnet-b0"],
                         indirect=True)  # fmt: skip
def test_published_weights_reach_every_layer_of_the_body(network, monkeypatch):
    """The published layouts are those of the builders, here with random weights in them."""
    spec = backbone(network.name.replace("_", "-"))
    module, name = (
        (efn, "EfficientNetB0")
        if spec.name == "efficientnet-b0"
        else (keras.applications, starts._KERAS_NAMES[spec.name])
    )
    original, made = getattr(module, name), []

    def without_download(*, weights, **settings):
        assert weights == "imagenet"
        keras.utils.set_random_seed(77)
        made.append(original(weights=None, **settings))
        return made[0]

    monkeypatch.setattr(module, name, without_download)
    starts.apply(network, spec, "imagenet")
    for layer in made[0].layers:
        for a, b in zip(layer.get_weights(), network.get_layer(layer.name).get_weights()
                        if layer.weights else [], strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b)
