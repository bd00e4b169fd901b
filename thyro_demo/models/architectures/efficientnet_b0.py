"""EfficientNet-B0 of the package `efficientnet`, in parts that plain Keras can load."""

import keras
from keras import layers


def _plain_keras(layer: layers.Layer) -> layers.Layer:
    """Replace the two parts of `efficientnet` that plain Keras cannot load."""
    config = layer.get_config()
    if type(layer).__name__ == "FixedDropout":
        return layers.Dropout(config["rate"], noise_shape=(None, 1, 1, 1), name=config["name"])
    if "swish" in str(getattr(layer, "activation", "")):
        config["activation"] = "silu"
    return type(layer).from_config(config)


def efficientnet_b0(tensor: keras.KerasTensor, dropping: bool = True) -> keras.KerasTensor:
    """Lay the graph of EfficientNet-B0.

    Parameters
    ----------
    tensor : KerasTensor
        Normalised image, float32 (n, s, s, 3), s ≥ 32.
    dropping : bool
        With stochastic depth, which a few passes have no use for.

    Returns
    -------
    KerasTensor
        float32 (n, s / 32, s / 32, 1280).
    """
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
