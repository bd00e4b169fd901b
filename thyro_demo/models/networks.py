"""Build a network from its row of the table, and copy weights between its forms."""

import keras
import numpy as np
from keras import layers

from thyro_demo.errors import RecipeError
from thyro_demo.models import nodule_map
from thyro_demo.models.backbones import BACKBONES, BackboneSpec, normalise

HEADS = ("softmax", "mlp", "mlp-512", "mlp-256", "fc", "nodule")


def build(
    spec: BackboneSpec,
    classes: int = 2,
    head: str = "softmax",
    input_size: int | None = None,
    scratch: bool = False,
) -> keras.Model:
    """Build a network from a row of the table, with random weights.

    Parameters
    ----------
    spec : BackboneSpec
        The row.
    classes : int
        Number of classes of the softmax.
    head : {"softmax", "mlp", "mlp-512", "mlp-256", "fc", "nodule"}
        "softmax": global average pool and one dense layer. "mlp": flatten, dropout 0.5,
        three dense layers of 128 ReLU, as in P1 (its table of heads). "mlp-512" and
        "mlp-256": global average pool and one dense layer of so many ReLU, as in P5. "fc":
        flatten and the fully connected layers of the row's `dense`, each with ReLU and
        dropout 0.5, as AlexNet and its successors end (Krizhevsky et al. 2012, section 4.2).
        "nodule": a nodule map, and one dense layer on what is pooled with it; see `nodule_map`.
    input_size : int, optional
        Side of the square input in pixels, when it is not the row's own.
    scratch : bool
        Build what is trained from random weights: the row's `scratch_body` where it has one,
        and images of any side unless the head flattens the map.

    Returns
    -------
    keras.Model
        Flat functional graph: input "image" float32 (n, s, s, 3) 0–255, output
        "probabilities" float32 (n, classes), and with the head "nodule" also "nodule" float32
        (n, h, w, 1) 0–1. The layer "logits" holds the scores before the softmax; "features" the
        vector that SVM and forest heads read.

    Raises
    ------
    RecipeError
        If `head` is not known, the network has no fully connected layers or no finer map for
        it, or the images are too small.

    Notes
    -----
    P5 does not describe how its dense layer reads the map. It freezes the 249 layers of the example
    of fine-tuning in the guide of Keras, and that one averages.

    Examples
    --------
    >>> from thyro_demo.models.backbones import backbone
    >>> network = build(backbone("two-layer-cnn"), input_size=64)
    >>> network.output_shape, network.get_layer("features").output.shape
    ((None, 2), (None, 64))
    """
    if head not in HEADS:
        raise RecipeError(f"The head must be one of {', '.join(HEADS)}. Received: {head!r}.")
    if head == "fc" and not spec.dense:
        offered = ", ".join(name for name, row in BACKBONES.items() if row.dense)
        raise RecipeError(
            f"A network with the head fc must be one of {offered}, which have fully connected "
            f"layers. Received: {spec.name!r}."
        )
    side = input_size or spec.input_size
    if head == "nodule":
        nodule_map.check(spec.title, spec.fine_layer, side)
    if side < spec.smallest:
        raise RecipeError(
            f"Images for {spec.title} must have at least {spec.smallest} pixels a side. "
            f"Received: {side}."
        )
    size = None if scratch and head not in ("mlp", "fc") else side
    image = keras.Input((size, size, 3), name="image", dtype="float32")
    body = (spec.scratch_body if scratch else None) or spec.body
    x = body(normalise(image, spec.normalisation))
    outputs: list[keras.KerasTensor] = []
    if head == "nodule":
        fine = keras.Model(image, x).get_layer(spec.fine_layer).output
        nodule = nodule_map.draw(fine, x)
        outputs.append(nodule)
        x = nodule_map.pool(nodule_map.read(fine), nodule)
    else:
        x = _head(x, head, spec.dense)
    # The logits are a layer of their own so that heatmaps can follow the score before the softmax
    # flattens it; float32 also under mixed precision.
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    x = layers.Softmax(name="probabilities", dtype="float32")(x)
    return keras.Model(image, [x, *outputs] if outputs else x, name=spec.name.replace("-", "_"))


def _head(x: keras.KerasTensor, head: str, dense: tuple[int, ...]) -> keras.KerasTensor:
    """Add what is between the last feature map and the logits."""
    if head in ("mlp", "fc"):
        x = layers.Flatten(name="features")(x)
    else:
        x = layers.GlobalAveragePooling2D(name="features")(x)
    if head == "mlp":
        x = layers.Dropout(0.5, name="mlp_dropout")(x)
        for index in (1, 2, 3):
            x = layers.Dense(128, activation="relu", name=f"mlp_dense{index}")(x)
    elif head == "fc":
        for index, width in enumerate(dense, start=1):
            x = layers.Dense(width, activation="relu", name=f"fc{index}")(x)
            x = layers.Dropout(0.5, name=f"fc{index}_dropout")(x)
    elif head != "softmax":
        width = int(head.removeprefix("mlp-"))
        x = layers.Dense(width, activation="relu", name="mlp_dense")(x)
    return x


def zero_init_residual(network: keras.Model) -> int:
    """Start every residual branch at zero, so that a deep network learns like a shallow one.

    The scale γ of the last batch normalisation of each branch is set to 0 (Goyal et al. 2017,
    "Accurate, large minibatch SGD", section 5.1).

    Parameters
    ----------
    network : keras.Model
        Flat network with random weights.

    Returns
    -------
    int
        Number of branches.
    """
    branches = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Add):
            ends = [tensor._keras_history.operation for tensor in layer.input]
            # A shortcut that is itself a convolution keeps its scale; the branch comes last
            # in the names of both families.
            norms = [end for end in ends if isinstance(end, keras.layers.BatchNormalization)]
            if norms:
                last = max(norms, key=lambda norm: norm.name)
                last.gamma.assign(keras.ops.zeros_like(last.gamma))
                branches += 1
    return branches


def copy_weights(source: keras.Model, target: keras.Model) -> int:
    """Copy the weights of all layers that two networks share by name and shape.

    The head of another number of classes is left as it is in `target`.

    Parameters
    ----------
    source, target : keras.Model
        Flat networks, for example of different input sizes or numbers of classes.

    Returns
    -------
    int
        Number of layers copied (those that have weights).
    """
    known = {layer.name: layer for layer in source.layers if layer.weights}
    copied = 0
    for layer in target.layers:
        if not layer.weights or layer.name not in known:
            continue
        weights = known[layer.name].get_weights()
        if [w.shape for w in weights] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(weights)
            copied += 1
    return copied


def fold_normalisation(source: keras.Model, target: keras.Model) -> None:
    """Copy a network trained with batch normalisation into the plain one, exactly.

    A convolution followed by batch normalisation at inference is one convolution: the
    kernel is scaled by γ/√(σ² + ε), the bias is β − μ·γ/√(σ² + ε) (Ioffe & Szegedy 2015).

    Parameters
    ----------
    source : keras.Model
        Network whose normalisation layers are named after their convolutions plus "_bn";
        one without such layers is copied as it is.
    target : keras.Model
        The same network without them, with biases.
    """
    copy_weights(source, target)
    folded = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        if (norm := folded.get(f"{layer.name}_bn")) is None:
            continue
        if not isinstance(layer, keras.layers.Conv2D) or not layer.use_bias:
            continue
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        layer.set_weights([folded[layer.name].get_weights()[0] * scale, beta - mean * scale])
