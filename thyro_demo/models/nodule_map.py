"""The nodule map: a network's second output, and the pooling that is weighted with it.

A network that is asked for a label alone may lean on anything in the frame. Here the last
layers first draw where the nodule is, cell by cell, and every head reads what lies there:
the features are means and standard deviations of the feature maps, weighted with the drawn
map. A heatmap through such a pooling cannot leave what the network takes for the nodule.
Standard Keras layers alone, so that `keras.saving.load_model` opens the file.
"""

import keras
from keras import layers, ops

from thyro_demo.errors import RecipeError
from thyro_demo.models.pooling import EVERYWHERE, FLOOR

OUTPUT = "nodule"
"""Layer of the nodule map, float32 (n, h, w, 1), 0–1: "here is nodule"."""

LOGITS = "nodule_logits"
"""Layer below it, before the sigmoid: the loss reads this one."""

READ = "read_map"
"""Layer of what is pooled, (n, h, w, c): the finer map and the enlarged last one side by side."""

_WIDTH = 64


def check(title: str, fine_layer: str | None, side: int) -> None:
    """Refuse a network without a finer map, or a size at which the two maps don't fit.

    Parameters
    ----------
    title : str
        The network, for the message.
    fine_layer : str or None
        Of its `BackboneSpec`.
    side : int
        Side of the input, pixels.

    Raises
    ------
    RecipeError
        If there is no nodule map for it.
    """
    if fine_layer is None:
        raise RecipeError(
            "A nodule map needs a network whose row names a finer map, as those of "
            f"EfficientNet-B0, ResNet-50 and VGG-16 do. Received: head='nodule' for {title}."
        )
    if side % 32:
        raise RecipeError(
            "The side of the input of a network with a nodule map must be a multiple of 32 pixels. "
            f"Received: input_size={side}."
        )


def draw(fine: keras.KerasTensor, last: keras.KerasTensor) -> keras.KerasTensor:
    """Add the decoder that draws the nodule map.

    Parameters
    ----------
    fine : KerasTensor
        The finer feature map, (n, k h, k w, c), with k = 2 or another whole number.
    last : KerasTensor
        The last feature map, (n, h, w, d).

    Returns
    -------
    KerasTensor
        float32 (n, k h, k w, 1), 0–1.

    References
    ----------
    Lin et al., "Feature pyramid networks for object detection", CVPR 2017, section 3: maps
    of two resolutions, each through a convolution of 1 × 1, the coarser one enlarged, added.
    We take one such step, and normalise each part, as the two maps differ in scale.
    """
    lateral = layers.Conv2D(_WIDTH, 1, use_bias=False, name="nodule_fine")(fine)
    lateral = layers.BatchNormalization(name="nodule_fine_bn")(lateral)
    above = layers.Conv2D(_WIDTH, 1, use_bias=False, name="nodule_last")(last)
    above = layers.BatchNormalization(name="nodule_last_bn")(above)
    above = layers.UpSampling2D(_factor(fine, last), interpolation="bilinear", name="nodule_up")(
        above
    )
    x = layers.ReLU(name="nodule_join")(lateral + above)
    x = layers.Conv2D(_WIDTH, 3, padding="same", use_bias=False, name="nodule_conv")(x)
    x = layers.ReLU(name="nodule_relu")(layers.BatchNormalization(name="nodule_conv_bn")(x))
    x = layers.Conv2D(1, 1, name=LOGITS, dtype="float32")(x)
    return layers.Activation("sigmoid", name=OUTPUT, dtype="float32")(x)


def join(fine: keras.KerasTensor, last: keras.KerasTensor) -> keras.KerasTensor:
    """Put the finer map and the enlarged last one side by side.

    Parameters
    ----------
    fine, last : KerasTensor
        As for `draw`.

    Returns
    -------
    KerasTensor
        float32 (n, k h, k w, c + d).
    """
    last = layers.UpSampling2D(
        _factor(fine, last), interpolation="bilinear", name="last_up", dtype="float32"
    )(last)
    return layers.Concatenate(name=READ, dtype="float32")([ops.cast(fine, "float32"), last])


def pool(read: keras.KerasTensor, nodule: keras.KerasTensor) -> keras.KerasTensor:
    """Pool a feature map with the nodule map as weights: mean and standard deviation.

    Parameters
    ----------
    read : KerasTensor
        float32 (n, h, w, c).
    nodule : KerasTensor
        float32 (n, h, w, 1), 0–1. Its square is the weight, so that a wide faint
        surrounding does not outweigh a small nodule.

    Returns
    -------
    KerasTensor
        float32 (n, 2c): means, then standard deviations, each over its own spread in training.
    """
    weight = nodule * nodule + EVERYWHERE
    share = weight / ops.sum(weight, axis=(1, 2), keepdims=True)
    mean = ops.sum(share * read, axis=(1, 2), keepdims=True)
    # About the mean: squares less the squared mean would lose all digits of a flat channel.
    spread = ops.sqrt(ops.sum(share * (read - mean) ** 2, axis=(1, 2)) + FLOOR)
    pooled = layers.Concatenate(name="pooled", dtype="float32")([mean[:, 0, 0], spread])
    return layers.BatchNormalization(center=False, scale=False, name="features", dtype="float32")(
        pooled
    )


def _factor(fine: keras.KerasTensor, last: keras.KerasTensor) -> int:
    """Tell how many cells of the finer map lie along one of the last."""
    return fine.shape[1] // last.shape[1]
