"""A network's file is opened where it holds plain layers with finite numbers, and not else."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from thyro_demo.bundle import network_file, store
from thyro_demo.errors import BundleError
from thyro_demo.models import backbones, networks

# One of each kind of layer; the others are checked where time is no matter.
_FIRST = ("vgg16", "efficientnet-b0", "two-layer-cnn")
_NAMES = [name if name in _FIRST else pytest.param(name, marks=pytest.mark.slow)
          for name in backbones.BACKBONES]  # fmt: skip


def described(network):
    """Describe a network as its file does."""
    return json.loads(json.dumps(keras.saving.serialize_keras_object(network)))


@pytest.mark.parametrize("network", _NAMES, indirect=True)
def test_every_network_of_this_project_is_made_of_plain_layers(network):
    network_file.check_layers(Path("model.keras"), described(network))


def test_the_scaled_sum_of_inception_resnet_is_plain():
    """The one layer of our networks that Keras keeps to itself."""
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, CustomScaleLayer(0.2)([image, image]))
    network_file.check_layers(Path("model.keras"), described(network))


@pytest.mark.parametrize("head", ["mlp", "nodule"])
def test_every_head_is_made_of_plain_layers(head):
    spec = backbones.backbone("vgg16")
    network = networks.build(spec, head=head, input_size=64)
    network_file.check_layers(Path("model.keras"), described(network))


def test_a_network_comes_back_as_it_was_saved(small, spotted_frames, tmp_path):
    network = small()
    network.save(tmp_path / "a.keras")
    loaded = network_file.load(tmp_path / "a.keras")
    batch = spotted_frames[0][:4].astype(np.float32)
    np.testing.assert_array_equal(loaded(batch), network(batch))


def from_another_keras(file, setting, folder):
    """Copy a network as a Keras would write it whose initializers have one more setting."""
    named = folder / "another.keras"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(named, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                more = f'"class_name": "GlorotUniform", "config": {{"wanted_axes": {setting}, '
                content = content.replace(
                    b'"class_name": "GlorotUniform", "config": {', more.encode()
                )
                assert b"wanted_axes" in content
            target.writestr(name, content)
    return named


def test_a_network_of_a_later_keras_is_read_without_settings_that_do_nothing(
    small, spotted_frames, tmp_path, monkeypatch
):
    monkeypatch.setitem(network_file._IDLE, "wanted_axes", None)
    network = small()
    network.save(tmp_path / "a.keras")
    loaded = network_file.load(from_another_keras(tmp_path / "a.keras", "null", tmp_path))
    batch = spotted_frames[0][:4].astype(np.float32)
    np.testing.assert_array_equal(loaded(batch), network(batch))
    with pytest.raises(BundleError, match="this Keras must know them"):
        network_file.load(from_another_keras(tmp_path / "a.keras", "[0]", tmp_path))


def test_what_is_saved_names_no_setting_that_an_earlier_keras_refuses(small, tmp_path):
    store.save_network(small(), tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        description = archive.read("config.json").decode()
    assert "GlorotUniform" in description
    assert not any(f'"{name}"' in description for name in ("input_axes", "renorm"))
    assert network_file.load(tmp_path / "a.keras").count_params() == small().count_params()


@pytest.mark.parametrize("description", [None, [], "Functional", {}, {"class_name": "Dense"}])
def test_what_describes_no_network_is_refused(description):
    with pytest.raises(BundleError, match=r"must be a Keras model\. Received: a with .*\.$"):
        network_file.check_layers(Path("a"), description)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("keras.layers", "TFSMLayer"),
        ("keras.layers", "TorchModuleWrapper"),
        ("keras.src.ops.core", "Map"),
        ("keras.src.ops.custom", "Add"),
        ("os", "system"),
        ("builtins", "eval"),
        (None, "Dense"),
        (["keras.layers"], "Dense"),
        ("keras.layers", ["Dense"]),
    ],
)
def test_what_does_more_than_compute_is_refused_at_any_depth(module, name):
    part = {"module": module, "class_name": name, "config": {"name": "x" * 500}}
    description = {"class_name": "Functional", "config": {"layers": [{"deep": [part]}]}}
    with pytest.raises(BundleError, match=r"only compute.*Received: a with .*\.$") as caught:
        network_file.check_layers(Path("a"), description)
    assert len(str(caught.value)) < 400
