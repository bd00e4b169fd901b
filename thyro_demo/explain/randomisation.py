"""Whether a heatmap depends on what the network has learned: its weights are shuffled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from thyro_demo.data import scan_area
from thyro_demo.explain.heatmaps import softmax_map
from thyro_demo.explain.similarity import rank_correlation
from thyro_demo.models.backbones import backbone

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle

TRAINED = "as trained"
"""The stage at which nothing is shuffled yet."""


def cascade(
    bundle: "Bundle", frames: Sequence[np.ndarray], groups: Sequence[str], draws: int, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Shuffle a network's weights from the top down, and compare its Grad-CAM with before.

    Within each layer the weights change places: their values stay, what they meant is lost.
    Layers that normalise measure their averages again on these frames. The bundle is as before
    when this returns.

    Parameters
    ----------
    bundle : Bundle
        One network with a softmax.
    frames : sequence of ndarray of uint8, shape (H, W, 3)
        RGB.
    groups : sequence of str
        Patient of each frame.
    draws : int
        How many times to shuffle.
    seed : int
        Of the shuffles.

    Returns
    -------
    DataFrame
        One row a stage and frame: `stage, group, agreement`, the rank correlation with the map
        as trained, −1 to 1, the mean of all draws. Stages go from `TRAINED` through the head to
        the whole network.
    dict of str to ndarray of float32, shape (n, h, w)
        The maps of the first draw, by stage.

    References
    ----------
    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3, the
    cascading randomisation. They draw new weights; shuffled ones keep the scale of every
    layer, without which networks that lack their training statistics fail altogether.
    """
    squares = np.stack([scan_area.prepare(one, bundle.input_size)[0] for one in frames])
    network, trained = bundle.network, bundle.network.get_weights()
    maps = {TRAINED: _softmax_maps(bundle, squares)}
    found: dict[str, list[list[float]]] = {
        TRAINED: [[rank_correlation(one, one) for one in maps[TRAINED]]]
    }
    try:
        for draw in range(draws):
            for stage, cut in _stages(bundle).items():
                network.set_weights(trained)
                _shuffle(network, cut, squares, np.random.default_rng([seed, draw]))
                now = _softmax_maps(bundle, squares)
                maps.setdefault(stage, now)
                pairs = zip(maps[TRAINED], now, strict=True)
                found.setdefault(stage, []).append([rank_correlation(*pair) for pair in pairs])
    finally:
        network.set_weights(trained)
    rows = [
        {"stage": stage, "group": group, "agreement": value}
        for stage, several in found.items()
        for group, value in zip(groups, np.mean(several, axis=0), strict=True)
    ]
    return pd.DataFrame(rows), maps


def _stages(bundle: "Bundle") -> dict[str, str]:
    """Name the stages of shuffling, and the last layer that each leaves alone."""
    blocks = backbone(bundle.manifest["backbone"]).boundaries
    stages = {"the head": "features"} | {f"+ {name}": cut for name, cut in blocks.items()}
    return stages | {"the whole network": "normalise"}


def _softmax_maps(bundle: "Bundle", squares: np.ndarray) -> np.ndarray:
    forward = bundle.forward(squares)
    return softmax_map(forward)(forward.feature_map, forward.softmax_gradient)


def _shuffle(network: keras.Model, cut: str, squares: np.ndarray, rng: np.random.Generator) -> None:
    """Shuffle the weights of every layer above a cut, in place."""
    names = [layer.name for layer in network.layers]
    above = network.layers[names.index(cut) + 1 :]
    for layer in reversed(above):
        # From the head down, so that a deeper stage shuffles the head as a shallower one did.
        weights = [rng.permutation(one.ravel()).reshape(one.shape) for one in layer.get_weights()]
        layer.set_weights(weights)
    averaging = [one for one in above if isinstance(one, keras.layers.BatchNormalization)]
    if averaging:
        momenta = [layer.momentum for layer in averaging]
        for layer in averaging:
            layer.momentum = 0.0
        crossing = _crossing(network, cut)
        below = keras.Model(network.inputs[0], crossing)(squares, training=False)
        keras.Model(crossing, network.outputs[0])(below, training=True)
        for layer, momentum in zip(averaging, momenta, strict=True):
            layer.momentum = momentum


def _crossing(network: keras.Model, cut: str) -> list[keras.KerasTensor]:
    """List what the part above a layer starts from: a nodule map is read from a lower one too."""
    operations = network.operations
    place = operations.index(network.get_layer(cut))
    lower = {id(operation) for operation in operations[: place + 1]}
    inputs = [x for operation in operations[place + 1 :] for x in tf.nest.flatten(operation.input)]
    crossing = {id(x): x for x in inputs if id(x._keras_history.operation) in lower}
    return list(crossing.values())
