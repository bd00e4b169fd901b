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
    """Add a convolution and its ReLU to the graph.

    Parameters
    ----------
    x : KerasTensor
        float32 (n, h, w, c).
    width : int
        Number of kernels.
    side : int
        Side of each kernel, cells.
    name : str
        Name of the layer.
    strides : int
        Step of the kernel, cells.
    padding : {"valid", "same"}
        See `keras.layers.Conv2D`.
    normalised : bool
        Put batch normalisation, named after the convolution plus "_bn", before the ReLU in
        place of the bias; `backbones.fold_normalisation` folds it away.

    Returns
    -------
    KerasTensor
        float32 (n, h', w', width), not negative.
    """
    if not normalised:
        return layers.Conv2D(width, side, strides, padding, activation="relu", name=name)(x)
    x = layers.Conv2D(width, side, strides, padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
