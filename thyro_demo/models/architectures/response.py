"""Local response normalisation, which Keras has no layer for."""

import keras
from keras import layers, ops


def local_response(
    x: keras.KerasTensor,
    name: str,
    radius: int = 2,
    bias: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> keras.KerasTensor:
    """Divide each value by the activity of its neighbours across channels.

    A graph of standard operations, so that a saved network loads with Keras alone.

    Parameters
    ----------
    x : KerasTensor
        float32 (n, h, w, c).
    name : str
        Name of the layer that has the result.
    radius : int
        Channels on either side that count; the paper's n is 2 · radius + 1.
    bias, alpha, beta : float
        The paper's k, α and β.

    Returns
    -------
    KerasTensor
        float32 (n, h, w, c): x / (bias + alpha · Σ x²)^beta.

    References
    ----------
    Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional
    neural networks", section 3.3, which also has the four constants.
    """
    # α is small against k: in half precision its share would be rounded away.
    squares = ops.square(ops.cast(x, "float32"))
    padded = ops.pad(squares, ((0, 0), (0, 0), (0, 0), (radius, radius)))
    channels = x.shape[-1]
    activity = padded[..., :channels]
    for shift in range(1, 2 * radius + 1):
        activity = activity + padded[..., shift : shift + channels]
    return layers.Multiply(name=name)([x, ops.power(bias + alpha * activity, -beta)])
