"""The step that the early networks repeat: a convolution and its ReLU."""

import keras
from keras import layers


def convolution(
    x: keras.KerasTensor,
    width: int,
    side: int,
    name: str,
    strides: int = 1,
    padding: str = "valid",
    normalised: bool = False,
) -> keras.KerasTensor:
    """Add a convolution and its ReLU to the graph, batch-normalised (NAME_bn) if asked for."""
    if not normalised:
        return layers.Conv2D(width, side, strides, padding, activation="relu", name=name)(x)
    x = layers.Conv2D(width, side, strides, padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
