"""What an outline asks of a network: to draw the nodule, or to look at it."""

from collections.abc import Callable

import tensorflow as tf

OutlineLoss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From what a network computes in each cell, and the share of each cell that the nodule takes."""

_AXES = (1, 2, 3)
_LEAST = 1e-6


def of_nodule_map(logits: tf.Tensor, nodule: tf.Tensor) -> tf.Tensor:
    """Compute cross-entropy plus Dice of a nodule map for each image.

    Parameters
    ----------
    logits : Tensor of float32 (n, h, w, 1)
        Of the map, before its sigmoid.
    nodule : Tensor of float32 (n, h, w, 1)
        Share of each cell that the nodule takes, 0–1.

    Returns
    -------
    Tensor of float32 (n,)
        Losses.

    References
    ----------
    Milletari et al. 2016, "V-Net", section 3, for Dice; one is added above and below, so that a
    frame without a nodule has a loss too.
    """
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(nodule, logits)
    found = tf.sigmoid(logits)
    both = 2.0 * tf.reduce_sum(found * nodule, _AXES) + 1.0
    dice = both / (tf.reduce_sum(found + nodule, _AXES) + 1.0)
    return tf.reduce_mean(entropy, _AXES) + 1.0 - dice


def of_heatmap(
    feature_map: tf.Tensor, nodule: tf.Tensor, kernel: tf.Tensor, weight: float
) -> tf.Tensor:
    """Compute what share of a heatmap lies outside the outline, for each image.

    Parameters
    ----------
    feature_map : Tensor of float32 (n, h, w, c)
        The last map of a network that averages it and has one dense layer above.
    nodule : Tensor of float32 (n, h, w, 1)
        Share of each cell that the nodule takes, 0–1.
    kernel : Tensor of float32 (c, 2)
        Of the dense layer: the heatmap is what each cell adds to the log-odds of the second class,
        where that is positive, as in Grad-CAM.
    weight : float
        Of this loss.

    Returns
    -------
    Tensor of float32 (n,)
        Losses, 0 to `weight`; 0 where there is no nodule.

    References
    ----------
    Rao et al. 2023, "Studying how to efficiently and effectively guide models with explanations",
    section 3, the energy loss. After Ross et al. 2017, "Right for the right reasons".
    """
    evidence = tf.cast(feature_map, tf.float32) * (kernel[:, 1] - kernel[:, 0])
    heat = tf.nn.relu(tf.reduce_sum(evidence, -1, keepdims=True))
    inside = tf.reduce_sum(heat * nodule, _AXES) / (tf.reduce_sum(heat, _AXES) + _LEAST)
    has_nodule = tf.cast(tf.reduce_sum(nodule, _AXES) > 0, tf.float32)
    return weight * has_nodule * (1.0 - inside)
