"""OverFeat, the accurate model of the two that its authors published."""

import keras
from keras import layers

from thyro_demo.models.architectures.convolution import convolution


def overfeat(tensor: keras.KerasTensor, normalised: bool = False) -> keras.KerasTensor:
    """Lay the six convolutions of OverFeat-accurate.

    Parameters
    ----------
    tensor : KerasTensor
        Normalised image, float32 (n, s, s, 3), s ≥ 77; 221 in the paper.
    normalised : bool
        With batch normalisation, to be trained from random weights.

    Returns
    -------
    KerasTensor
        float32 (n, h, h, 1024); 5×5 cells at 221 pixels.

    References
    ----------
    Sermanet et al. 2014, "OverFeat: integrated recognition, localization and detection using
    convolutional networks", table 3. Pools do not overlap, and nothing is normalised on the way
    (section 3.2).
    """
    x = convolution(tensor, 96, 7, "conv1", strides=2, normalised=normalised)
    x = layers.MaxPooling2D(3, name="pool1")(x)
    x = convolution(x, 256, 7, "conv2", normalised=normalised)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = convolution(x, 512, 3, "conv3", padding="same", normalised=normalised)
    x = convolution(x, 512, 3, "conv4", padding="same", normalised=normalised)
    x = convolution(x, 1024, 3, "conv5", padding="same", normalised=normalised)
    x = convolution(x, 1024, 3, "conv6", padding="same", normalised=normalised)
    return layers.MaxPooling2D(3, name="pool6")(x)
