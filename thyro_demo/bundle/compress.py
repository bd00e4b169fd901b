"""Shorter mantissas: the same network in a file of half the size."""

import keras
import numpy as np

BITS = 7
"""Bits of mantissa kept of every kernel: as in bfloat16, two significant decimal digits."""


def shorten(network: keras.Model, bits: int = BITS) -> None:
    """Round the kernels of a network to fewer bits of mantissa, in place, kept as float32.

    The zeros that fill up each number deflate to nothing in the file. Vectors (biases,
    normalisation) take no room and stay exact.

    Parameters
    ----------
    network : keras.Model
        Any network.
    bits : int
        Bits of mantissa to keep, 1–22, rounded half to even.
    """
    for variable in network.variables:
        if variable.dtype == "float32" and len(variable.shape) > 1:
            variable.assign(shortened(variable.numpy(), bits))


def shortened(values: np.ndarray, bits: int = BITS) -> np.ndarray:
    """Round finite float32 to 1–22 bits of mantissa, each within 2^−(bits + 1) of its size."""
    dropped = np.uint32(23 - bits)
    raw = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (raw >> dropped) & np.uint32(1)
    half = (np.uint32(1) << (dropped - np.uint32(1))) - np.uint32(1)
    return (((raw + half + odd) >> dropped) << dropped).view(np.float32)
