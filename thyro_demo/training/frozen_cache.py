"""The frozen part of a network: where it ends, and what it computes once for all epochs."""

import math
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from thyro_demo.errors import RecipeError
from thyro_demo.models import nodule_map
from thyro_demo.models.backbones import BackboneSpec
from thyro_demo.models.pipeline import Frames, batches
from thyro_demo.training.stage import Stage


def boundary(spec: BackboneSpec, trainable: str) -> str | None:
    """Name the last layer that a stage leaves frozen; None when everything is trained."""
    if trainable == "all":
        return None
    if trainable in ("none", "head"):
        return "features"
    if trainable not in spec.boundaries:
        raise RecipeError(
            f"What is trained of {spec.title} must be head, {', '.join(spec.boundaries)} or all. "
            f"Received: {trainable!r}."
        )
    return spec.boundaries[trainable]


def base_layers(network: keras.Model, spec: BackboneSpec) -> list[str]:
    """Name the layers of the base model, as `Stage.frozen_layers` counts them."""
    # The order is that of the model without a head in `keras.applications` (or in `efficientnet`):
    # the input layer comes first; the normalisation, which we add in front, is left out.
    return [layer.name for layer in lower_part(network, spec.cam_layer).layers
            if layer.name != "normalise"]  # fmt: skip


def _frozen_layers(network: keras.Model, spec: BackboneSpec, count: int) -> list[str]:
    base = base_layers(network, spec)
    if count > len(base):
        raise RecipeError(
            f"The frozen layers of {spec.title} must be at most {len(base)}. Received: {count}."
        )
    return base[:count]


def freeze(
    network: keras.Model, spec: BackboneSpec, trainable: str, frozen_layers: int | None = None
) -> list[str]:
    """Set `trainable` on every layer of a network.

    Parameters
    ----------
    network : keras.Model
        Flat network from `networks.build`.
    spec : BackboneSpec
        Its row.
    trainable, frozen_layers : str and int, optional
        See `Stage`.

    Returns
    -------
    list of str
        Names of the layers that are trained and have weights.

    Raises
    ------
    RecipeError
        If the network has no such block, or fewer layers.
    """
    cut = boundary(spec, trainable)
    frozen = set() if cut is None else {layer.name for layer in lower_part(network, cut).layers}
    if frozen_layers is not None:
        frozen |= set(_frozen_layers(network, spec, frozen_layers))
    for layer in network.layers:
        layer.trainable = trainable != "none" and layer.name not in frozen
    return [layer.name for layer in network.layers if layer.trainable and layer.weights]


_WORTH_KEEPING = 4
"""Most numbers that a cached view of an image may take, as a multiple of those of the image."""


def cut_layer(network: keras.Model, spec: BackboneSpec, stage: Stage) -> str | None:
    """Name the layer up to which a stage runs its network only once; None where all of it runs."""
    if stage.frozen_layers is None:
        return boundary(spec, stage.trainable)
    frozen = _frozen_layers(network, spec, stage.frozen_layers)
    if frozen[-1] == spec.cam_layer:
        return boundary(spec, "head")
    # Frozen layers above the cut run along, as frozen as they are.
    cut = next(name for name in reversed(frozen) if _all_passes(network, name))
    side = network.inputs[0].shape[1]
    shape = network.get_layer(cut).output.shape[1:]
    if cut == frozen[0] or side is None or math.prod(shape) > _WORTH_KEEPING * 3 * side**2:
        return None
    return cut


def _all_passes(network: keras.Model, name: str) -> bool:
    """Check whether the logits depend on the image through the output of this layer alone."""
    gate, waiting = network.get_layer(name), [network.get_layer("logits")]
    seen = {id(gate)}
    while waiting:
        operation = waiting.pop()
        if id(operation) in seen:
            continue
        if isinstance(operation, keras.layers.InputLayer):
            return False
        seen.add(id(operation))
        waiting += [x._keras_history.operation for x in tf.nest.flatten(operation.input)]
    return True


def lower_part(network: keras.Model, cut: str) -> keras.Model:
    """Return the frozen part of a network, up to and with the layer `cut`."""
    return keras.Model(network.inputs[0], network.get_layer(cut).output)


def upper_part(network: keras.Model, cut: str | None) -> keras.Model:
    """Return what is above `cut`, up to the logits: the loss reads those, not the softmax."""
    start = network.inputs[0] if cut is None else network.get_layer(cut).output
    return keras.Model(start, network.get_layer("logits").output)


def draws_nodules(network: keras.Model) -> bool:
    """Check whether a network has a nodule map."""
    return nodule_map.LOGITS in {layer.name for layer in network.layers}


def outline_layer(network: keras.Model, spec: BackboneSpec) -> str:
    """Name the layer whose cells outlines are compared with: the nodule map, or the last map."""
    return nodule_map.LOGITS if draws_nodules(network) else spec.cam_layer


def with_outlines(network: keras.Model, spec: BackboneSpec, cut: str) -> keras.Model:
    """Return what is above `cut`, up to the logits of the label and what outlines are met by."""
    ends = [network.get_layer(name).output for name in ("logits", outline_layer(network, spec))]
    return keras.Model(network.get_layer(cut).output, ends)


@dataclass(frozen=True)
class Views:
    """Activations at a boundary: the plain view and the augmented views of every image.

    Parameters
    ----------
    every : ndarray of float32 (k, n, …)
        Of the images as they are, then of k − 1 fixed augmented views.
    nodules : ndarray of float32 (k, n, h, w, 1), or None
        Share of each cell that the nodule takes in the same views, 0–1, for frames with masks.
    """

    every: np.ndarray
    nodules: np.ndarray | None = None

    @property
    def plain(self) -> np.ndarray:
        """Activations of the images as they are, float32 (n, …)."""
        return self.every[0]


def cache_views(
    network: keras.Model,
    spec: BackboneSpec,
    stage: Stage,
    frames: Frames,
    parts: tuple[np.ndarray, np.ndarray] | None = None,
) -> Views:
    """Run the frozen part of a network once over fixed views of every image."""
    cut = cut_layer(network, spec, stage)
    if cut is None:
        raise RecipeError(
            "A stage with cached views must have a frozen part that is worth keeping. "
            f"Received: {stage.name!r}."
        )
    lower = lower_part(network, cut)
    run = tf.function(lambda x: lower(x, training=False), reduce_retracing=True)
    shape = tuple(lower.output.shape[1:])
    views = stage.views if stage.augmentation is not None else 1
    everything = np.arange(len(frames))
    training, validation = (everything, everything) if parts is None else parts
    # A stage may draw an image more than once in an epoch; its views are the same. Rows that are
    # only validated need no augmented view.
    wanted = [np.union1d(training, validation), *[np.unique(training)] * (views - 1)]
    # Zeros take no memory until they are written over.
    stored = np.zeros((views, len(frames), *shape), np.float32)
    nodules = None
    if frames.outlined is not None:
        cells = network.get_layer(outline_layer(network, spec)).output.shape[1:3]
        nodules = np.zeros((views, len(frames), *cells, 1), np.float32)
    total = sum(map(len, wanted))
    with tqdm(total=total, desc=f"{stage.name}: frozen layers", unit="image") as bar:
        for view, rows in enumerate(wanted):
            how = stage.augmentation if view else None
            done = 0
            for x in batches(frames.images, rows, 32, (stage.seed, view), how):
                y = run(x[..., :3]).numpy()
                here = rows[done : done + len(y)]
                stored[view, here] = y
                if nodules is not None:
                    nodules[view, here] = _shares(x[..., 3:], cells)
                done += len(y)
                bar.update(len(y))
    return Views(stored, nodules)


def _shares(masks: tf.Tensor, cells: tuple[int, ...]) -> np.ndarray:
    """Average masks (n, s, s, 1) of 0–255 over the cells of a map, 0–1."""
    return tf.image.resize(masks / 255.0, cells, "area").numpy()
