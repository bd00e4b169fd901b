"""VGG-F, the fast one of three networks (CNN-F, CNN-M, CNN-S) of the VGG group."""

import keras
from keras import layers

from thyro_demo.models.architectures.convolution import convolution
from thyro_demo.models.architectures.response import local_response


def _halved(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Pool 3×3 cells at every second one; a further row and column below and right count as 0."""
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def vgg_f(tensor: keras.KerasTensor, normalised: bool = False) -> keras.KerasTensor:
    """Lay the five convolutions of VGG-F.

    Parameters
    ----------
    tensor : KerasTensor
        Normalised image, float32 (n, s, s, 3), s ≥ 39; 224 in the paper.
    normalised : bool
        With batch normalisation, to be trained from random weights.

    Returns
    -------
    KerasTensor
        float32 (n, h, h, 256); 6×6 cells at 224 pixels.

    References
    ----------
    Chatfield et al. 2014, "Return of the devil in the details: delving deep into convolutional
    nets", table 1. It describes the pools as halving the map; their side of 3 and their
    padding are those of the weights its authors published for MatConvNet.
    """
    x = convolution(tensor, 64, 11, "conv1", strides=4, normalised=normalised)
    x = local_response(x, "norm1")
    x = _halved(x, "pool1")
    x = convolution(x, 256, 5, "conv2", padding="same", normalised=normalised)
    x = local_response(x, "norm2")
    x = _halved(x, "pool2")
    x = convolution(x, 256, 3, "conv3", padding="same", normalised=normalised)
    x = convolution(x, 256, 3, "conv4", padding="same", normalised=normalised)
    x = convolution(x, 256, 3, "conv5", padding="same", normalised=normalised)
    return _halved(x, "pool5")
