"""The networks that Keras publishes, with the same names in every process."""

from collections.abc import Callable

import keras


def keras_application(name: str) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Return the graph of a network of `keras.applications`, without its head."""

    def body(tensor: keras.KerasTensor) -> keras.KerasTensor:
        builder = getattr(keras.applications, name)
        network = builder(weights=None, include_top=False, input_tensor=tensor)
        _count_afresh(network)
        return network.output

    return body


def _count_afresh(network: keras.Model) -> None:
    """Let layers that Keras numbers over the whole process be numbered within the network."""
    # Weights go from network to network by the names of their layers.
    counted: dict[str, list[tuple[int, keras.layers.Layer]]] = {}
    for layer in network.layers:
        kind, _, number = layer.name.rpartition("_")
        kind, number = (kind, number) if number.isdigit() else (layer.name, "0")
        if kind.replace("_", "") == type(layer).__name__.lower():
            counted.setdefault(kind, []).append((int(number), layer))
    for kind, found in counted.items():
        for place, (_, layer) in enumerate(sorted(found, key=lambda pair: pair[0])):
            layer.name = f"{kind}_{place}" if place else kind
