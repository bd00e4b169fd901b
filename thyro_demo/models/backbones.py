"""The backbones: one frozen row each, one flat graph each.

Every network takes RGB float32 (n, s, s, 3) in 0–255 and normalises inside the graph,
so that a saved file needs no companion code and no caller can forget the step (one of
the flaws of the system this project teaches from). The graph is flat: a backbone nested
as a single layer would hide its feature map from Grad-CAM.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
from keras import layers

from thyro_demo.errors import RecipeError
from thyro_demo.models.architectures.alexnet import alexnet
from thyro_demo.models.architectures.efficientnet_b0 import efficientnet_b0
from thyro_demo.models.architectures.overfeat import overfeat
from thyro_demo.models.architectures.published import keras_application
from thyro_demo.models.architectures.two_layer_cnn import two_layer_cnn
from thyro_demo.models.architectures.vgg import vgg_normalised
from thyro_demo.models.architectures.vgg_f import vgg_f

# Whatever is in a reader's keras.json: every network here has its channels last.
keras.config.set_image_data_format("channels_last")


# Mean and standard deviation of ImageNet in RGB, 0–1 ("torch"), and the BGR means in
# 0–255 of the original Caffe networks ("caffe").
TORCH_MEAN = (0.485, 0.456, 0.406)


TORCH_STD = (0.229, 0.224, 0.225)


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
        scale = [1 / (255 * std) for std in TORCH_STD]
        offset = [-mean / std for mean, std in zip(TORCH_MEAN, TORCH_STD, strict=True)]
        return layers.Rescaling(scale, offset, name="normalise")(image)
    if mode == "unit":
        return layers.Rescaling(1 / 255, name="normalise")(image)
    raise RecipeError(f"The normalisation must be caffe, tf, torch or unit. Received: {mode!r}.")


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
        Takes the normalised input tensor, returns the last feature map.
    input_size : int
        Side of the square input, pixels.
    normalisation : str
        See `normalise`.
    cam_layer : str
        Layer whose output is the last feature map: heatmaps and pooled features come
        from it.
    boundaries : dict of str to str
        For "last block", "last two blocks" and the like: the last layer that stays frozen. The
        graph passes through that one tensor, so it can be cut and cached there.
    weights : tuple of str
        Published weights that can be downloaded (see `initial_weights`).
    scratch_body : callable or None
        Like `body`, in the form that learns from random weights in a few passes; what it adds
        or leaves out, `fold_normalisation` folds away. None trains `body` itself.
    dense : tuple of int
        Widths of the fully connected layers that the network was published with, below its
        last one; see the head "fc" of `build`.
    smallest : int
        Least side of the input that leaves a cell of every map, pixels.
    fine_layer : str or None
        Layer whose output has a whole multiple of the last feature map's cells: the nodule map
        is drawn at this resolution. None where the network has no nodule map.
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
    dense: tuple[int, ...] = ()
    smallest: int = 32
    fine_layer: str | None = None

    @property
    def taps(self) -> dict[str, str]:
        """Name the layer with each kind of feature vector.

        Returns
        -------
        dict of str to str
            "avg" is the global average pool of a network built with head "softmax"; "fc1" and
            "fc2" are the fully connected layers, after their ReLU, of one built with head "fc".
        """
        connected = [f"fc{number}" for number in range(1, len(self.dense) + 1)]
        return {"avg": "features"} | {name: name for name in connected}


_RESNET_BLOCKS = {"last block": "conv4_block6_out", "last two blocks": "conv3_block4_out"}


_VGG_BLOCKS = {"last block": "block4_pool", "last two blocks": "block3_pool"}


_CONNECTED = (4096, 4096)


_IMAGENET = ("imagenet",)


_SPECS = (
    BackboneSpec(
        "vgg16",
        "VGG-16",
        keras_application("VGG16"),
        224,
        "caffe",
        "block5_pool",
        _VGG_BLOCKS,
        _IMAGENET,
        vgg_normalised(2, 2, 3, 3, 3),
        _CONNECTED,
        fine_layer="block4_pool",
    ),
    BackboneSpec(
        "resnet50",
        "ResNet-50",
        keras_application("ResNet50"),
        224,
        "caffe",
        "conv5_block3_out",
        _RESNET_BLOCKS,
        _IMAGENET,
        fine_layer="conv4_block6_out",
    ),
    BackboneSpec(
        "resnet50v2",
        "ResNet-50 V2",
        keras_application("ResNet50V2"),
        224,
        "tf",
        "post_relu",
        _RESNET_BLOCKS,
        _IMAGENET,
    ),
    BackboneSpec(
        "efficientnet-b0",
        "EfficientNet-B0",
        efficientnet_b0,
        224,
        "torch",
        "top_activation",
        {
            "last block": "block6d_add",
            "last two blocks": "block5c_add",
            "last four blocks": "block3b_add",
        },
        ("imagenet", "noisy-student"),
        partial(efficientnet_b0, dropping=False),
        fine_layer="block5c_add",
    ),
    BackboneSpec(
        "two-layer-cnn",
        "Two-layer CNN",
        two_layer_cnn,
        96,
        "unit",
        "conv2_pool",
        {"last block": "conv1_pool"},
        smallest=16,
        fine_layer="conv1_pool",
    ),
    # The networks of P2. The early ones took raw values about the mean of their training images,
    # OverFeat divided by their spread as well. No weights of these three are published for Keras.
    BackboneSpec(
        "alexnet",
        "AlexNet",
        alexnet,
        227,
        "caffe",
        "pool5",
        {"last block": "norm2", "last two blocks": "norm1"},
        scratch_body=partial(alexnet, normalised=True),
        dense=_CONNECTED,
        smallest=67,
    ),
    BackboneSpec(
        "overfeat",
        "OverFeat-accurate",
        overfeat,
        221,
        "torch",
        "pool6",
        {"last block": "pool2", "last two blocks": "pool1"},
        scratch_body=partial(overfeat, normalised=True),
        dense=_CONNECTED,
        smallest=77,
    ),
    BackboneSpec(
        "vgg-f",
        "VGG-F",
        vgg_f,
        224,
        "caffe",
        "pool5",
        {"last block": "pool2", "last two blocks": "pool1"},
        scratch_body=partial(vgg_f, normalised=True),
        dense=_CONNECTED,
        smallest=39,
    ),
    BackboneSpec(
        "vgg19",
        "VGG-19",
        keras_application("VGG19"),
        224,
        "caffe",
        "block5_pool",
        _VGG_BLOCKS,
        _IMAGENET,
        vgg_normalised(2, 2, 4, 4, 4),
        _CONNECTED,
    ),
    BackboneSpec(
        "inception-v3",
        "Inception-v3",
        keras_application("InceptionV3"),
        299,
        "tf",
        "mixed10",
        {"last block": "mixed7", "last two blocks": "mixed2"},
        _IMAGENET,
        smallest=75,
    ),
    # More networks of P4's list.
    BackboneSpec(
        "densenet201",
        "DenseNet-201",
        keras_application("DenseNet201"),
        224,
        "torch",
        "relu",
        {"last block": "pool4_pool", "last two blocks": "pool3_pool"},
        _IMAGENET,
    ),
    BackboneSpec(
        "mobilenetv2",
        "MobileNetV2",
        keras_application("MobileNetV2"),
        224,
        "tf",
        "out_relu",
        {"last block": "block_12_add", "last two blocks": "block_5_add"},
        _IMAGENET,
    ),
    BackboneSpec(
        "resnet101",
        "ResNet-101",
        keras_application("ResNet101"),
        224,
        "caffe",
        "conv5_block3_out",
        {"last block": "conv4_block23_out", "last two blocks": "conv3_block4_out"},
        _IMAGENET,
    ),
    BackboneSpec(
        "xception",
        "Xception",
        keras_application("Xception"),
        299,
        "tf",
        "block14_sepconv2_act",
        {"last block": "add_10", "last two blocks": "add_2"},
        _IMAGENET,
        smallest=71,
    ),
    BackboneSpec(
        "inception-resnet-v2",
        "Inception-ResNet-v2",
        keras_application("InceptionResNetV2"),
        299,
        "tf",
        "conv_7b_ac",
        {"last block": "block17_20_ac", "last two blocks": "block35_10_ac"},
        _IMAGENET,
        smallest=75,
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

    Examples
    --------
    >>> spec = backbone("vgg16")
    >>> spec.title, spec.input_size, spec.cam_layer
    ('VGG-16', 224, 'block5_pool')
    """
    if name not in BACKBONES:
        raise RecipeError(
            f"The backbone must be one of {', '.join(BACKBONES)}. Received: {name!r}."
        )
    return BACKBONES[name]
