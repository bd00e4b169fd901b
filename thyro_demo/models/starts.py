"""Where a chain starts: published weights, a local file, or nothing."""

from pathlib import Path

import keras

from thyro_demo.errors import RecipeError
from thyro_demo.models.backbones import BackboneSpec, copy_weights

_KERAS_NAMES = {"vgg16": "VGG16", "resnet50": "ResNet50", "resnet50v2": "ResNet50V2"}


def _published(spec: BackboneSpec, weights: str) -> keras.Model:
    if spec.name in _KERAS_NAMES:
        builder = getattr(keras.applications, _KERAS_NAMES[spec.name])
        return builder(weights=weights, include_top=False)
    import efficientnet.tfkeras as efn

    return efn.EfficientNetB0(weights=weights, include_top=False, input_shape=(224, 224, 3))


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
        If this network has no such start, a download fails, or a file does not fit.
    """
    if start == "none":
        return 0
    if start in ("imagenet", "noisy-student"):
        if start not in spec.weights:
            offered = ", ".join(("none", *spec.weights, "a file"))
            raise RecipeError(f"{spec.title} can start from {offered}. Received: {start!r}.")
        try:
            source = _published(spec, start)
        except Exception as error:
            # Downloads fail in as many ways as networks do.
            raise RecipeError(
                f"The {start} weights of {spec.title} could not be downloaded; connect to the "
                "network, or put the file that the message names into ~/.keras/models. "
                f"Received: {str(error).strip() or type(error).__name__}."
            ) from error
        return _take_over(source, network, spec, start)
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


def _take_over(source: keras.Model, network: keras.Model, spec: BackboneSpec, start: str) -> int:
    """Copy weights, and refuse a source that would leave part of the body random."""
    body = keras.Model(network.inputs[0], network.get_layer(spec.cam_layer).output)
    needed = sum(1 for layer in body.layers if layer.weights)
    found = copy_weights(source, body)
    if found < needed:
        raise RecipeError(
            f"A start has to hold all {needed} layers of {spec.title}. Received: {start!r} "
            f"with {found} of them."
        )
    return copy_weights(source, network)
