"""Initial weights: published ones, a file, or random."""

import hashlib
import os
from pathlib import Path
from typing import Any

import keras

from thyro_demo.bundle import manifest, network_file
from thyro_demo.errors import BundleError, RecipeError
from thyro_demo.files import atomic_write
from thyro_demo.models.backbones import BackboneSpec
from thyro_demo.models.networks import copy_weights

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_TOP = "_weights_tf_dim_ordering_tf_kernels.h5"
_NO_TOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

# Address and checksum (SHA-256, or MD5 where no more is published) of each file, as in
# keras.applications and efficientnet, for the networks without their head. The publishers state
# no checksum of MobileNetV2: its file is held to the layers of the network alone.
_PUBLISHED: dict[tuple[str, str], tuple[str, str | None]] = {
    ("vgg16", "imagenet"): (
        f"{_KERAS}vgg16/vgg16{_NO_TOP}",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    ("resnet50", "imagenet"): (
        f"{_KERAS}resnet/resnet50{_NO_TOP}",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    ("resnet50v2", "imagenet"): (
        f"{_KERAS}resnet/resnet50v2{_NO_TOP}",
        "fac2f116257151a9d068a22e544a4917",
    ),
    ("efficientnet-b0", "imagenet"): (
        "https://github.com/Callidior/keras-applications/releases/download/efficientnet/"
        "efficientnet-b0_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5",
        "c1421ad80a9fc67c2cc4000f666aa50789ce39eedb4e06d531b0c593890ccff3",
    ),
    ("efficientnet-b0", "noisy-student"): (
        "https://github.com/qubvel/efficientnet/releases/download/v0.0.1/"
        "efficientnet-b0_noisy-student_notop.h5",
        "a5b48ae7547fc990c7e4f3951230290d",
    ),
    ("vgg19", "imagenet"): (
        f"{_KERAS}vgg19/vgg19{_NO_TOP}",
        "253f8cb515780f3b799900260a226db6",
    ),
    ("inception-v3", "imagenet"): (
        f"{_KERAS}inception_v3/inception_v3{_NO_TOP}",
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
    ("densenet201", "imagenet"): (
        f"{_KERAS}densenet/densenet201{_NO_TOP}",
        "c13680b51ded0fb44dff2d8f86ac8bb1",
    ),
    ("mobilenetv2", "imagenet"): (
        f"{_KERAS}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        None,
    ),
    ("resnet101", "imagenet"): (
        f"{_KERAS}resnet/resnet101{_NO_TOP}",
        "88cf7a10940856eca736dc7b7e228a21",
    ),
    ("xception", "imagenet"): (
        f"{_KERAS}xception/xception{_NO_TOP}",
        "b0042744bf5b25fce3cb969f33bebb97",
    ),
    ("inception-resnet-v2", "imagenet"): (
        f"{_KERAS}inception_resnet_v2/inception_resnet_v2{_NO_TOP}",
        "d19885ff4a710c122648d3b5c3b684e4",
    ),
}

# The same for networks whose fully connected layers are wanted too, and the number of classes
# that these files end in.
_PUBLISHED_CONNECTED: dict[str, tuple[str, str | None]] = {
    "vgg16": (f"{_KERAS}vgg16/vgg16{_TOP}", "64373286793e3c8b2b4e3219cbf3544b"),
    "vgg19": (f"{_KERAS}vgg19/vgg19{_TOP}", "cbe5617147190e668d6c5d5026f83318"),
}
_IMAGENET_CLASSES = 1000


def load(network: keras.Model, spec: BackboneSpec, weights: str) -> int:
    """Load initial weights into a network.

    Parameters
    ----------
    network : keras.Model
        From `networks.build`.
    spec : BackboneSpec
        Its row.
    weights : str
        "none" (random, as built), "imagenet" (as far as the row of the table offers it: nobody
        publishes AlexNet, OverFeat or VGG-F for Keras), "noisy-student" (EfficientNet-B0 alone),
        or the path of a `.keras` file, or of a bundle's folder. With "imagenet", a VGG with the
        head "fc" its fully connected layers too, at the input size it was published with; at
        another size they have another shape and stay as built.

    Returns
    -------
    int
        Number of layers whose weights were taken over.

    Raises
    ------
    RecipeError
        If this network has no such weights, a download fails, or a file is damaged or does not fit.
    """
    check_available(spec, weights)
    if weights == "none":
        return 0
    file = manifest.network_file(weights)
    if file is None:
        return _take_published(network, spec, weights)
    try:
        source = network_file.load(file)
    except BundleError as error:
        raise RecipeError(str(error)) from error
    return _take_over(source, network, spec, weights)


def check_available(spec: BackboneSpec, weights: str) -> None:
    """Refuse weights that are neither a word for this network nor a file that is there."""
    file = manifest.network_file(weights)
    if file is None and weights not in ("none", *spec.weights):
        offered = ", ".join(("none", *spec.weights)) + " or a file"
        raise RecipeError(
            f"The initial weights of {spec.title} must be {offered}. Received: {weights!r}."
        )
    if file is not None and (file.suffix != ".keras" or not file.is_file()):
        raise RecipeError(
            "Initial weights must be none, imagenet, noisy-student, a .keras file or a bundle's "
            f"folder. Received: {weights!r}."
        )


def history(weights: str | Path) -> list[dict[str, Any]]:
    """List the stages that weights have gone through; none where there is no record of them."""
    file = manifest.network_file(weights)
    early = file is not None and file.stem in manifest.CHECKPOINTS
    if file is None or not early or not (file.parent / "manifest.json").is_file():
        return manifest.trained_on(weights).get("chain", [])
    chain = manifest.read_manifest(file.parent).get("chain", [])
    # The network of an earlier stage, kept beside the bundle's own, has gone through no later one.
    names = [row["stage"] for row in chain]
    return chain[: names.index(file.stem) + 1] if file.stem in names else []


# Before, heads on outlined nodules were a stage with a name of its own.
_ON_THYROID = ("thyroid", "nodule")


def check_not_trained_on(weights: str | Path) -> None:
    """Refuse a network that was trained on thyroid frames: folds of them would leak.

    Parameters
    ----------
    weights : str or Path
        See `load`; known are the stages of a bundle, and of a file with a note beside it.

    Raises
    ------
    RecipeError
        If a stage on thyroid frames, of the network or of one that it started from, trained more
        than a head, or if a bundle does not list its stages.
    BundleError
        If its manifest, or the note beside it, is damaged.
    """
    facts = manifest.trained_on(weights)
    if manifest.bundle_of(weights) is None:
        chain, last = facts.get("chain", []), []
    elif manifest.kind(facts) == "ensemble":
        # It has no network to start from, which `load` reports.
        return
    else:
        # Whatever its name, the last stage of a bundle is on thyroid frames.
        *chain, end = facts.get("chain") or [{}]
        last = [end]
    met = [*(stage for stage in chain if stage.get("stage") in _ON_THYROID), *last]
    trained = [str(stage.get("trained", "unknown")) for stage in met]
    spoilt = [what for what in trained if what not in manifest.UNTOUCHED]
    if spoilt:
        raise RecipeError(
            "The network behind out-of-fold figures must have seen no thyroid frame: a bundle that "
            "was frozen on them, the network of an earlier stage, or none. "
            f"Received: {weights}, trained on them: {', '.join(dict.fromkeys(spoilt))}."
        )


def _body(network: keras.Model, spec: BackboneSpec) -> keras.Model:
    """Return the network without its head."""
    return keras.Model(network.inputs[0], network.get_layer(spec.cam_layer).output)


def _connected(network: keras.Model, spec: BackboneSpec) -> bool:
    """Check whether the network holds fully connected layers of the published shapes."""
    held = {layer.name for layer in network.layers}
    fitting = spec.name in _PUBLISHED_CONNECTED and network.inputs[0].shape[1] == spec.input_size
    return fitting and held >= {"fc1", "fc2"}


def _take_published(network: keras.Model, spec: BackboneSpec, weights: str) -> int:
    """Load a published file from Keras' folder, which is downloaded into it if it is not there."""
    connected = _connected(network, spec)
    url, checksum = _PUBLISHED_CONNECTED[spec.name] if connected else _PUBLISHED[spec.name, weights]
    # Left alone, Keras would go on to /tmp where this folder cannot be written.
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser().absolute() / "models"
    file = folder / url.rpartition("/")[2]
    what = f"The {weights} weights of {spec.title}"
    by_hand = f"put the file of {url} into {folder} by hand"
    try:
        if not file.exists():
            with atomic_write(file) as temporary:
                keras.utils.get_file(
                    temporary.name, url, cache_subdir=str(folder), file_hash=checksum
                )
    except Exception as error:
        # Downloads fail in as many ways as networks do.
        raise RecipeError(
            f"{what} must be downloaded once; try again, or {by_hand}. Received: {_reason(error)}."
        ) from error
    part = _published_part(network, spec, connected)
    try:
        # Keras would replace a wrong file unasked, and delete it where the network fails.
        _check(file, checksum)
        part.load_weights(file)
    except Exception as error:
        raise RecipeError(
            f"{what} must be whole and those of this network; delete {file.name} to have it "
            f"downloaded again, or {by_hand}. Received: {_reason(error)}."
        ) from error
    own = {layer.name for layer in network.layers}
    return sum(1 for layer in part.layers if layer.weights and layer.name in own)


def _published_part(network: keras.Model, spec: BackboneSpec, connected: bool) -> keras.Model:
    """Return what a published file holds: files are loaded by order, down to the last layer."""
    if not connected:
        return _body(network, spec)
    last = keras.layers.Dense(_IMAGENET_CLASSES)(network.get_layer("fc2").output)
    return keras.Model(network.inputs[0], last)


def _check(file: Path, checksum: str | None) -> None:
    """Refuse a file of another content than the published one."""
    if checksum is None:
        return
    kind = "sha256" if len(checksum) == 64 else "md5"
    with open(file, "rb") as stream:
        found = hashlib.file_digest(stream, kind).hexdigest()
    if found != checksum:
        raise ValueError(f"a file with {kind} {found} in place of {checksum}")


def _reason(error: Exception) -> str:
    """Bring the sentences and lines of a message into one."""
    message = " ".join(str(error).split()).rstrip(".").replace(". ", "; ")
    return message or type(error).__name__


def _take_over(source: keras.Model, network: keras.Model, spec: BackboneSpec, weights: str) -> int:
    """Copy weights, and refuse a source that would leave part of the body random."""
    body = _body(network, spec)
    needed = sum(1 for layer in body.layers if layer.weights)
    found = copy_weights(source, body)
    if found < needed:
        raise RecipeError(
            f"Initial weights must hold all {needed} layers of {spec.title}. Received: {weights!r} "
            f"with {found} of them."
        )
    return copy_weights(source, network)
