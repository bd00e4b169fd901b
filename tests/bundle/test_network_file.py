"""A network's file is opened where it holds plain layers with finite numbers, and not else."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from thyro_demo.bundle import network_file
from thyro_demo.errors import BundleError
from thyro_demo.models import backbones, networks

# One more block of the same layers takes longer to build, and is like the last.
_LARGEST = (
    "densenet201", "resnet101", "inception-resnet-v2", "inception-v3", "xception", "resnet50v2",
)  # fmt: skip
_NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in _LARGEST else name
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
