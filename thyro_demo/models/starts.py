"""Where a chain starts: published weights, a local file, or nothing."""

import hashlib
import os
from pathlib import Path

import keras

from thyro_demo.errors import RecipeError
from thyro_demo.files import whole
from thyro_demo.models.backbones import BackboneSpec, copy_weights

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_NO_TOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"

# Address and checksum (SHA-256, or MD5 where no more is published) of each file, as in
# keras.applications and efficientnet, for the networks without their last layer.
_PUBLISHED = {
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
}


def apply(network: keras.Model, spec: BackboneSpec, start: str) -> int:
    """Give a network its first weights.

    Parameters
    ----------
    network : keras.Model
        From `backbones.build`.
    spec : BackboneSpec
        Its row.
    start : str
        "none" (random, as built), "imagenet", "noisy-student" (EfficientNet-B0 alone), or the
        path of a `.keras` file, or of a bundle's folder.

    Returns
    -------
    int
        Number of layers whose weights were taken over.

    Raises
    ------
    RecipeError
        If this network has no such start, a download fails, or a file is damaged or does not fit.
    """
    if start == "none":
        return 0
    if start in ("imagenet", "noisy-student"):
        if start not in spec.weights:
            offered = ", ".join(("none", *spec.weights, "a file"))
            raise RecipeError(f"{spec.title} can start from {offered}. Received: {start!r}.")
        return _take_published(network, spec, start)
    path = Path(start)
    file = path / "model.keras" if path.is_dir() else path
    if file.suffix != ".keras" or not file.exists():
        raise RecipeError(
            "A start has to be none, imagenet, noisy-student, a .keras file or a bundle's folder. "
            f"Received: {start!r}."
        )
    try:
        source = keras.saving.load_model(file, compile=False)
    except Exception as error:
        raise RecipeError(
            f"A start file has to be an undamaged Keras network. Received: {start!r} "
            f"({type(error).__name__})."
        ) from error
    return _take_over(source, network, spec, start)


def _body(network: keras.Model, spec: BackboneSpec) -> tuple[keras.Model, int]:
    """Give the network without its head, and the number of its layers that have weights."""
    body = keras.Model(network.inputs[0], network.get_layer(spec.cam_layer).output)
    return body, sum(1 for layer in body.layers if layer.weights)


def _take_published(network: keras.Model, spec: BackboneSpec, start: str) -> int:
    """Load a published file from Keras' folder, which is downloaded into it if it is not there."""
    url, checksum = _PUBLISHED[spec.name, start]
    # Left alone, Keras would go on to /tmp where this folder cannot be written.
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser().absolute() / "models"
    file = folder / url.rpartition("/")[2]
    weights = f"The {start} weights of {spec.title}"
    by_hand = f"put the file of {url} into {folder} by hand"
    try:
        if not file.exists():
            with whole(file) as temporary:
                keras.utils.get_file(
                    temporary.name, url, cache_subdir=str(folder), file_hash=checksum
                )
    except Exception as error:
        # Downloads fail in as many ways as networks do.
        raise RecipeError(
            f"{weights} cannot be downloaded now; try again, or {by_hand}. "
            f"Received: {_reason(error)}."
        ) from error
    body, layers = _body(network, spec)
    try:
        # Keras would replace a wrong file unasked, and delete it where the network fails.
        with open(file, "rb") as stream:
            kind = "sha256" if len(checksum) == 64 else "md5"
            found = hashlib.file_digest(stream, kind).hexdigest()
        if found != checksum:
            raise ValueError(f"a file with {kind} {found} in place of {checksum}")
        # By order, as the publishers load it.
        body.load_weights(file)
    except Exception as error:
        raise RecipeError(
            f"{weights} have to be whole and those of this network; delete {file.name} to have it "
            f"downloaded again, or {by_hand}. Received: {_reason(error)}."
        ) from error
    return layers


def _reason(error: Exception) -> str:
    """Bring the sentences and lines of a message into one."""
    message = " ".join(str(error).split()).rstrip(".").replace(". ", "; ")
    return message or type(error).__name__


def _take_over(source: keras.Model, network: keras.Model, spec: BackboneSpec, start: str) -> int:
    """Copy weights, and refuse a source that would leave part of the body random."""
    body, needed = _body(network, spec)
    found = copy_weights(source, body)
    if found < needed:
        raise RecipeError(
            f"A start has to hold all {needed} layers of {spec.title}. Received: {start!r} "
            f"with {found} of them."
        )
    return copy_weights(source, network)
