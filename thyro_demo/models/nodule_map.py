"""The nodule map: a network's second output, and the pooling that is weighted with it.

A network that is asked for a label alone may lean on anything in the frame. Here the last
layers first draw where the nodule is, cell by cell, and every head reads what is there:
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
"""Layer of what is pooled, float32 (n, h, w, c): the finer map. The last map draws the nodule, but
is not read: it learns the labels of its stage by heart, and reads real frames worse than the frozen
map below it."""

_WIDTH = 64


def check(title: str, fine_layer: str | None, side: int) -> None:
    """Refuse a network without a finer map, or a size at which the two maps don't fit."""
    if fine_layer is None:
        raise RecipeError(
            "A network with a nodule map must be one whose row names a finer map, as those of "
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


def read(fine: keras.KerasTensor) -> keras.KerasTensor:
    """Name the map that is pooled, apart from the branch that draws the nodule from it."""
    return layers.Activation("linear", name=READ, dtype="float32")(fine)


def pool(features: keras.KerasTensor, nodule: keras.KerasTensor) -> keras.KerasTensor:
    """Pool a feature map with the nodule map as weights: mean and standard deviation.

    Parameters
    ----------
    features : KerasTensor
        float32 (n, h, w, c).
    nodule : KerasTensor
        float32 (n, h, w, 1), 0–1. The weight is this and a little everywhere
        (`pooling.EVERYWHERE`): what surrounds a nodule tells its margin and its echogenicity.

    Returns
    -------
    KerasTensor
        float32 (n, 2c): means, then standard deviations, each over its own spread in training.
    """
    weight = nodule + EVERYWHERE
    share = weight / ops.sum(weight, axis=(1, 2), keepdims=True)
    mean = ops.sum(share * features, axis=(1, 2), keepdims=True)
    # About the mean: squares less the squared mean would lose all digits of a flat channel.
    spread = ops.sqrt(ops.sum(share * (features - mean) ** 2, axis=(1, 2)) + FLOOR)
    pooled = layers.Concatenate(name="pooled", dtype="float32")([mean[:, 0, 0], spread])
    return layers.BatchNormalization(center=False, scale=False, name="features", dtype="float32")(
        pooled
    )


def _factor(fine: keras.KerasTensor, last: keras.KerasTensor) -> int:
    """Compute how many cells of the finer map span one of the last."""
    return fine.shape[1] // last.shape[1]
