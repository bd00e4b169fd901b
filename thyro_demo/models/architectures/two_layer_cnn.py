"""The small network of P6."""

import keras
from keras import layers


def two_layer_cnn(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Lay two convolutions that are trained from scratch.

    Parameters
    ----------
    tensor : KerasTensor
        Normalised image, float32 (n, s, s, 3), s ≥ 16.

    Returns
    -------
    KerasTensor
        float32 (n, s / 16, s / 16, 64).

    References
    ----------
    Kim, "Image classification using deep learning", draws two convolutional layers and no
    widths; 5×5 kernels with 32 and 64 maps follow LeCun et al. 1998, which it cites. Batch
    normalisation is ours, with a short memory: a few hundred frames make few steps, and the
    running mean has to keep up.
    """
    x = tensor
    for index, width in enumerate((32, 64), start=1):
        x = layers.Conv2D(width, 5, padding="same", use_bias=False, name=f"conv{index}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"conv{index}_bn")(x)
        x = layers.Activation("relu", name=f"conv{index}_relu")(x)
        x = layers.MaxPooling2D(4, name=f"conv{index}_pool")(x)
    return x
