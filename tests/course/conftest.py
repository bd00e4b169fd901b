"""What several chapters are tested with: a small network and a task that it can learn."""

import keras
import numpy as np
import pytest
from keras import layers

from thyro_demo.bundle import store

SIDE = 16


@pytest.fixture(scope="module")
def tiny(tiny_weights):
    return store.load(tiny_weights / "tiny")


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    built = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 127.5, -1.0),
            layers.Conv2D(4, 3, padding="same", name="conv1"),
            layers.ReLU(name="relu1"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.0),
            layers.Dense(2, activation="softmax"),
        ]
    )
    built.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    return built


@pytest.fixture(scope="module")
def squares():
    """Dark and bright noise: a task that a network can learn."""
    rng = np.random.default_rng(0)
    labels = np.arange(32) % 2
    images = rng.normal(90 + 70 * labels[:, None, None, None], 20, (32, SIDE, SIDE, 1))
    return np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int64)
