"""AlexNet, the network that won ImageNet in 2012."""

import keras
from keras import layers

from thyro_demo.models.architectures.convolution import convolution
from thyro_demo.models.architectures.response import local_response


def alexnet(tensor: keras.KerasTensor, normalised: bool = False) -> keras.KerasTensor:
    """Lay the five convolutions of AlexNet.

    Parameters
    ----------
    tensor : KerasTensor
        Normalised image, float32 (n, s, s, 3), s ≥ 67; 227 in the text.
    normalised : bool
        With batch normalisation, to be trained from random weights.

    Returns
    -------
    KerasTensor
        float32 (n, h, h, 256); 6×6 cells at 227 pixels.

    References
    ----------
    Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural
    networks", section 3.5, in the geometry of the text that P2 follows. That one pools before it
    normalises, where the paper does it the other way round, and it draws one stream: the paper
    cut its second, fourth and fifth convolution into two groups to fit two processors, and here
    they are whole (62.4 million weights at 1,000 classes in place of 61.0).
    """
    x = convolution(tensor, 96, 11, "conv1", strides=4, normalised=normalised)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = local_response(x, "norm1")
    x = convolution(x, 256, 5, "conv2", padding="same", normalised=normalised)
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    x = local_response(x, "norm2")
    x = convolution(x, 384, 3, "conv3", padding="same", normalised=normalised)
    x = convolution(x, 384, 3, "conv4", padding="same", normalised=normalised)
    x = convolution(x, 256, 3, "conv5", padding="same", normalised=normalised)
    return layers.MaxPooling2D(3, 2, name="pool5")(x)
