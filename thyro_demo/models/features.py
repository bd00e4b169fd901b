"""What heads read of a feature map: its average, or how much it varies across the frame."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from thyro_demo.errors import RecipeError
from thyro_demo.models import nodule_map
from thyro_demo.models.pipeline import Augmentation, batches
from thyro_demo.models.pooling import FLOOR, POOLINGS


def readout(network: keras.Model, cam_layer: str, pooling: str) -> keras.KerasTensor:
    """Return the tensor that SVMs and forests read.

    The standard deviation of each channel over the feature map, second-order pooling cut
    down to its diagonal (Carreira et al. 2012), measures how much of a pattern is seen
    somewhere, whatever its average: texture, rather than brightness.

    Parameters
    ----------
    network : keras.Model
        Network from `networks.build`.
    cam_layer : str
        Its last feature map.
    pooling : {"average", "std", "nodule"}
        "average" and "nodule" are the network's own layer "features".

    Returns
    -------
    KerasTensor
        float32 (n, d).

    Raises
    ------
    RecipeError
        If there is no such pooling.
    """
    if pooling not in POOLINGS:
        raise RecipeError(
            f"The pooling must be one of {', '.join(POOLINGS)}. Received: pooling={pooling!r}."
        )
    if pooling in ("average", "nodule"):
        return network.get_layer("features").output
    cells = keras.ops.cast(network.get_layer(cam_layer).output, "float32")
    return keras.ops.sqrt(keras.ops.var(cells, axis=(1, 2)) + FLOOR)


def whole_frame(cells: keras.KerasTensor) -> keras.KerasTensor:
    """Average a feature map over the whole frame, beside its standard deviation.

    The difference between a chest film and a scan is outside the nodule too.

    Parameters
    ----------
    cells : KerasTensor or array
        float32 (n, h, w, c).

    Returns
    -------
    KerasTensor or tensor
        float32 (n, 2c): means, then standard deviations.
    """
    spread = keras.ops.sqrt(keras.ops.var(cells, axis=(1, 2)) + FLOOR)
    return keras.ops.concatenate([keras.ops.mean(cells, axis=(1, 2)), spread], axis=1)


def ood_readout(network: keras.Model, cam_layer: str, pooling: str) -> keras.KerasTensor:
    """Return the tensor by which a frame out of distribution is recognised.

    Parameters
    ----------
    network : keras.Model
        Network from `networks.build`.
    cam_layer, pooling : str
        As for `readout`.

    Returns
    -------
    KerasTensor
        float32 (n, d): the finer map over the whole frame, where heads read the nodule alone;
        else what the heads read.
    """
    if pooling == "nodule":
        return whole_frame(network.get_layer(nodule_map.READ).output)
    return readout(network, cam_layer, pooling)


def pooled(
    network: keras.Model,
    images: np.ndarray,
    tensors: Sequence[keras.KerasTensor] | None = None,
    batch: int = 32,
    seed: tuple[int, int] = (0, 0),
    how: Augmentation | None = None,
) -> list[np.ndarray]:
    """Run a network over images, as they are or augmented, up to some of its tensors.

    Parameters
    ----------
    network : keras.Model
        Network from `networks.build`.
    images : ndarray of uint8 (n, s, s, 3)
        RGB.
    tensors : sequence of KerasTensor, optional
        What to return, each (n, d); the layer "features" without it.
    batch : int
        Images a forward pass.
    seed, how : tuple of int and Augmentation, optional
        Of the views to draw; see `batches`.

    Returns
    -------
    list of ndarray of float32 (n, d)
        One for each tensor.
    """
    wanted = list(tensors or [network.get_layer("features").output])
    part = keras.Model(network.inputs[0], wanted)
    # One tensor comes back bare, several in a list.
    run = tf.function(lambda x: tf.nest.flatten(part(x, training=False)), reduce_retracing=True)
    rows = batches(images, np.arange(len(images)), batch, seed, how)
    steps = -(-len(images) // batch)
    found = [run(x) for x in tqdm(rows, "Features", steps, leave=False)]
    return [
        np.concatenate([tf.cast(batch_found[place], tf.float32).numpy() for batch_found in found])
        for place in range(len(wanted))
    ]


def pooled_above(
    network: keras.Model,
    cut: str,
    activations: np.ndarray,
    tensors: Sequence[keras.KerasTensor],
    batch: int = 64,
) -> list[np.ndarray]:
    """Run a network from a frozen boundary up to some of its tensors.

    Parameters
    ----------
    network : keras.Model
        Network from `networks.build`.
    cut : str
        Layer whose output the activations are.
    activations : ndarray of float32 (n, …)
        Output of `cut` for every image.
    tensors : sequence of KerasTensor
        As for `pooled`, above `cut`.
    batch : int
        Images a pass.

    Returns
    -------
    list of ndarray of float32 (n, d)
        From `pooled`.
    """
    part = keras.Model(network.get_layer(cut).output, list(tensors))
    run = tf.function(lambda x: tf.nest.flatten(part(x, training=False)), reduce_retracing=True)
    starts = range(0, len(activations), batch)
    found = [run(tf.constant(activations[start : start + batch])) for start in starts]
    return [
        np.concatenate([batch_found[place].numpy() for batch_found in found])
        for place in range(len(tensors))
    ]
