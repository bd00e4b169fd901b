"""Pooled features of a network: the vectors that SVM and forest heads read."""

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from thyro_demo.models.pipeline import Augmentation, batches


def pooled(
    network: keras.Model,
    images: np.ndarray,
    batch: int = 32,
    seed: tuple[int, int] = (0, 0),
    how: Augmentation | None = None,
) -> np.ndarray:
    """Run a network up to its layer "features" over images, as they are or augmented.

    Parameters
    ----------
    network : keras.Model
        Network from `backbones.build`.
    images : ndarray of uint8 (n, s, s, 3)
        RGB.
    batch : int
        Images a forward pass.
    seed, how : tuple of int and Augmentation, optional
        Of the views to draw; see `batches`.

    Returns
    -------
    ndarray of float32 (n, d)
        Features.
    """
    part = keras.Model(network.inputs[0], network.get_layer("features").output)
    run = tf.function(lambda x: part(x, training=False), reduce_retracing=True)
    rows = batches(images, np.arange(len(images)), batch, seed, how)
    steps = -(-len(images) // batch)
    found = [run(x).numpy() for x in tqdm(rows, "Features", steps, leave=False)]
    return np.concatenate(found).astype(np.float32)


def pooled_above(
    network: keras.Model, cut: str, activations: np.ndarray, batch: int = 64
) -> np.ndarray:
    """Run a network from a frozen boundary up to its layer "features".

    Parameters
    ----------
    network : keras.Model
        Network from `backbones.build`.
    cut : str
        Layer that gave the activations.
    activations : ndarray of float32 (n, …)
        Output of `cut` for every image.
    batch : int
        Images a pass.

    Returns
    -------
    ndarray of float32 (n, d)
        Features, as `pooled` gives them.
    """
    if cut == "features":
        return activations
    part = keras.Model(network.get_layer(cut).output, network.get_layer("features").output)
    run = tf.function(lambda x: part(x, training=False), reduce_retracing=True)
    starts = range(0, len(activations), batch)
    return np.concatenate(
        [run(tf.constant(activations[start : start + batch])).numpy() for start in starts]
    )
