"""The backbones: one frozen row each, one flat graph each.

Every network takes RGB float32 (n, s, s, 3) in 0–255 and normalises inside the graph,
so that a saved file needs no companion code and no caller can forget the step (one of
the flaws of the system this project teaches from). The graph is flat: a backbone nested
as a single layer would hide its feature map from Grad-CAM.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from thyro_demo.errors import RecipeError

# Mean and standard deviation of ImageNet in RGB, 0–1 ("torch"), and the BGR means in
# 0–255 of the original Caffe networks ("caffe").
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def normalise(image: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """Add the normalisation that published weights expect to the graph.

    Parameters
    ----------
    image : KerasTensor
        RGB, float32 (n, h, w, 3), 0–255.
    mode : {"caffe", "tf", "torch", "unit"}
        "caffe": BGR minus the mean; "tf": −1 to 1; "torch": 0–1 minus mean over standard
        deviation; "unit": 0–1.

    Returns
    -------
    KerasTensor
        Same shape.

    Raises
    ------
    RecipeError
        If `mode` is none of the four.
    """
    if mode == "caffe":
        offset = [-mean for mean in _CAFFE_MEAN_BGR]
        return layers.Rescaling(1.0, offset, name="normalise")(keras.ops.flip(image, axis=-1))
    if mode == "tf":
        return layers.Rescaling(1 / 127.5, -1.0, name="normalise")(image)
    if mode == "torch":
        scale = [1 / (255 * std) for std in _TORCH_STD]
        offset = [-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)]
        return layers.Rescaling(scale, offset, name="normalise")(image)
    if mode == "unit":
        return layers.Rescaling(1 / 255, name="normalise")(image)
    raise RecipeError(f"The normalisation has to be caffe, tf, torch or unit. Received: {mode!r}.")


def _keras_application(name: str) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    def body(tensor: keras.KerasTensor) -> keras.KerasTensor:
        builder = getattr(keras.applications, name)
        return builder(weights=None, include_top=False, input_tensor=tensor).output

    return body


_VGG16_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def _vgg16_normalised(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """VGG-16 with batch normalisation after each convolution, named as in Keras.

    The plain network hardly learns from random weights (Simonyan & Zisserman 2015, section
    3.1, start it from a shallower one). `fold_normalisation` turns the result into it.
    """
    x = tensor
    for block, (depth, width) in enumerate(_VGG16_BLOCKS, start=1):
        for number in range(1, depth + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=name)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.Activation("relu", name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return x


def _plain_keras(layer: layers.Layer) -> layers.Layer:
    """Replace the two parts of `efficientnet` that plain Keras cannot load."""
    config = layer.get_config()
    if type(layer).__name__ == "FixedDropout":
        return layers.Dropout(config["rate"], noise_shape=(None, 1, 1, 1), name=config["name"])
    if "swish" in str(getattr(layer, "activation", "")):
        config["activation"] = "silu"
    return type(layer).from_config(config)


def _efficientnet_b0(tensor: keras.KerasTensor, dropping: bool = True) -> keras.KerasTensor:
    # The import registers custom objects globally and takes a second: only who builds
    # this network pays for it.
    import efficientnet.tfkeras as efn

    # The package refuses Keras 3 tensors as `input_tensor`, so its graph is laid again,
    # layer by layer, over ours.
    original = efn.EfficientNetB0(weights=None, include_top=False, input_shape=(64, 64, 3))
    laid = {id(original.inputs[0]): tensor}
    for layer in original.layers[1:]:
        inputs = layer.input
        if type(layer).__name__ == "FixedDropout" and not dropping:
            laid[id(layer.output)] = laid[id(inputs)]
            continue
        if isinstance(inputs, list):
            laid[id(layer.output)] = _plain_keras(layer)([laid[id(x)] for x in inputs])
        else:
            laid[id(layer.output)] = _plain_keras(layer)(laid[id(inputs)])
    return laid[id(original.outputs[0])]


def _efficientnet_b0_undropped(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """EfficientNet-B0 without stochastic depth, which a few passes have no use for."""
    return _efficientnet_b0(tensor, dropping=False)


def _two_layer_cnn(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Two convolutions trained from scratch (Kim, "Image classification using deep learning").

    The paper draws two convolutional layers and gives no widths; 5×5 kernels with 32 and
    64 maps follow LeCun et al. 1998, which it cites. Batch normalisation is ours, with a short
    memory: a few hundred frames make few steps, and the running mean has to keep up.
    """
    x = tensor
    for index, width in enumerate((32, 64), start=1):
        x = layers.Conv2D(width, 5, padding="same", use_bias=False, name=f"conv{index}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"conv{index}_bn")(x)
        x = layers.Activation("relu", name=f"conv{index}_relu")(x)
        x = layers.MaxPooling2D(4, name=f"conv{index}_pool")(x)
    return x


@dataclass(frozen=True)
class BackboneSpec:
    """What the project needs to know about one network.

    Parameters
    ----------
    name : str
        Key on the command line and folder name of a bundle.
    title : str
        Name as the field writes it.
    body : callable
        Takes the normalised input tensor, gives the last feature map.
    input_size : int
        Side of the square input, pixels.
    normalisation : str
        See `normalise`.
    cam_layer : str
        Layer whose output is the last feature map: heatmaps and pooled features come
        from it.
    boundaries : dict of str to str
        For "last block" and "last two blocks": the last layer that stays frozen. The
        graph passes through that one tensor, so it can be cut and cached there.
    weights : tuple of str
        Published starts that can be downloaded (see `starts`).
    scratch_body : callable or None
        Like `body`, in the form that learns from random weights in a few passes; what it adds
        or leaves out, `fold_normalisation` folds away. None trains `body` itself.
    """

    name: str
    title: str
    body: Callable[[keras.KerasTensor], keras.KerasTensor]
    input_size: int
    normalisation: str
    cam_layer: str
    boundaries: dict[str, str]
    weights: tuple[str, ...] = ()
    scratch_body: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None


_SPECS = (
    BackboneSpec(
        "vgg16",
        "VGG-16",
        _keras_application("VGG16"),
        224,
        "caffe",
        "block5_pool",
        {"last block": "block4_pool", "last two blocks": "block3_pool"},
        ("imagenet",),
        _vgg16_normalised,
    ),
    BackboneSpec(
        "resnet50",
        "ResNet-50",
        _keras_application("ResNet50"),
        224,
        "caffe",
        "conv5_block3_out",
        {"last block": "conv4_block6_out", "last two blocks": "conv3_block4_out"},
        ("imagenet",),
    ),
    BackboneSpec(
        "resnet50v2",
        "ResNet-50 V2",
        _keras_application("ResNet50V2"),
        224,
        "tf",
        "post_relu",
        {"last block": "conv4_block6_out", "last two blocks": "conv3_block4_out"},
        ("imagenet",),
    ),
    BackboneSpec(
        "efficientnet-b0",
        "EfficientNet-B0",
        _efficientnet_b0,
        224,
        "torch",
        "top_activation",
        {"last block": "block6d_add", "last two blocks": "block5c_add"},
        ("imagenet", "noisy-student"),
        _efficientnet_b0_undropped,
    ),
    BackboneSpec(
        "two-layer-cnn",
        "Two-layer CNN",
        _two_layer_cnn,
        96,
        "unit",
        "conv2_pool",
        {"last block": "conv1_pool"},
    ),
)

BACKBONES: dict[str, BackboneSpec] = {spec.name: spec for spec in _SPECS}


def backbone(name: str) -> BackboneSpec:
    """Look a backbone up by name.

    Parameters
    ----------
    name : str
        A key of `BACKBONES`.

    Returns
    -------
    BackboneSpec
        Its row.

    Raises
    ------
    RecipeError
        If no backbone has this name.
    """
    if name not in BACKBONES:
        raise RecipeError(
            f"The backbone has to be one of {', '.join(BACKBONES)}. Received: {name!r}."
        )
    return BACKBONES[name]


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
    head : {"softmax", "mlp"}
        "softmax": global average pool and one dense layer. "mlp": flatten, dropout 0.5,
        three dense layers of 128 ReLU, as in P1 (PROTOCOLS: table of heads).
    input_size : int, optional
        Side of the square input in pixels, when it is not the row's own.
    scratch : bool
        Build what is trained from random weights: images of any side, and the row's
        `scratch_body` where it has one.

    Returns
    -------
    keras.Model
        Flat functional graph: input "image" float32 (n, s, s, 3) 0–255, output
        "probabilities" float32 (n, classes). The layer "logits" holds the scores before
        the softmax; "features" the vector that SVM and forest heads read.

    Raises
    ------
    RecipeError
        If `head` is not known.
    """
    if head not in ("softmax", "mlp"):
        raise RecipeError(f"The head has to be softmax or mlp. Received: {head!r}.")
    size = None if scratch else input_size or spec.input_size
    image = keras.Input((size, size, 3), name="image", dtype="float32")
    body = (spec.scratch_body if scratch else None) or spec.body
    x = body(normalise(image, spec.normalisation))
    if head == "softmax":
        x = layers.GlobalAveragePooling2D(name="features")(x)
    else:
        x = layers.Flatten(name="features")(x)
        x = layers.Dropout(0.5, name="mlp_dropout")(x)
        for index in (1, 2, 3):
            x = layers.Dense(128, activation="relu", name=f"mlp_dense{index}")(x)
    # The logits stand alone so that heatmaps can follow the score before the softmax
    # flattens it; float32 also under mixed precision.
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    x = layers.Softmax(name="probabilities", dtype="float32")(x)
    return keras.Model(image, x, name=spec.name.replace("-", "_"))


def silence_branches(network: keras.Model) -> int:
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
