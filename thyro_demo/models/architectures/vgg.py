"""VGG-16 and VGG-19 in the form that learns from random weights."""

from collections.abc import Callable

import keras
from keras import layers

from thyro_demo.models.architectures.convolution import convolution

_WIDTHS = (64, 128, 256, 512, 512)


def vgg_normalised(*depths: int) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Return a VGG with batch normalisation after each convolution, named as in Keras.

    The plain network hardly learns from random weights (Simonyan & Zisserman 2015, section
    3.1, initialise it from a shallower one); `networks.fold_normalisation` turns this one into it.

    Parameters
    ----------
    *depths : int
        Convolutions of each of the five blocks: 2, 2, 3, 3, 3 in VGG-16.

    Returns
    -------
    callable
        Takes the normalised image, returns the last feature map, float32 (n, s / 32, s / 32, 512).
    """

    def body(tensor: keras.KerasTensor) -> keras.KerasTensor:
        x = tensor
        for block, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True), start=1):
            for number in range(1, depth + 1):
                name = f"block{block}_conv{number}"
                x = convolution(x, width, 3, name, padding="same", normalised=True)
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        return x

    return body
