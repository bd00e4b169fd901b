"""Small networks, frames and heads, made once for this room."""

import functools

import keras
import numpy as np
import pytest

from thyro_demo.models import backbones, heads
from thyro_demo.models.pipeline import Frames
from thyro_demo.models.transfer import freeze


@pytest.fixture(scope="session")
def built():
    @functools.cache
    def build(name):
        keras.utils.set_random_seed(0)
        network = backbones.build(backbones.backbone(name), input_size=64)
        return network, network.get_weights()

    return build


@pytest.fixture
def network(built, request):
    """Give the 64 px network that the test is parametrised with, as it was built."""
    name = request.param
    network, weights = built(name)
    network.set_weights(weights)
    freeze(network, backbones.backbone(name), "all")
    return network


@pytest.fixture
def frames(spotted_frames):
    """Give 40 frames with their classes."""
    return Frames(*spotted_frames, ("benign", "malignant"))


@pytest.fixture
def small():
    """Give a function that builds the two-layer network for 64 px, always with one start."""

    def build(head="softmax"):
        keras.utils.set_random_seed(0)
        return backbones.build(backbones.backbone("two-layer-cnn"), head=head, input_size=64)

    return build


@pytest.fixture(scope="session")
def vectors():
    """Draw 90 feature vectors of 30 groups, float32 (90, 8), labels and groups."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), 3)
    labels = groups % 2
    features = rng.normal(size=(90, 8)) + rng.normal(size=(30, 8))[groups]
    features[:, 0] += 1.5 * labels
    return features.astype(np.float32), labels, groups


@pytest.fixture(scope="session")
def fitted(vectors):
    """Fit every kind of head."""
    return {kind: heads.fit(kind, *vectors) for kind in heads.KINDS}
