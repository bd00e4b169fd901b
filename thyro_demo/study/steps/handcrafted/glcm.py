"""Grey level co-occurrence: which levels are side by side.

References
----------
Haralick, Shanmugam, Dinstein, "Textural features for image classification", IEEE Trans. Systems,
Man, and Cybernetics SMC-3, 1973, appendix I: f1, f2, f3, f5 and f9. Directions and their sum as
in Eichkitz et al., "Grey level co-occurrence matrix and its application to seismic data", First
Break 33, 2015, which the lecture shows.
"""

import numpy as np
from skimage.feature import graycomatrix, graycoprops

from thyro_demo.study.steps.handcrafted.region import Region

LEVELS = (16, 256)
"""Numbers of grey levels: 4 and 8 bits, as the lecture has them."""

DIRECTIONS = ("0°", "45°", "90°", "135°", "all")
"""Horizontal, up to the right, vertical, up to the left, and their sum."""

PROPERTIES = {
    "angular second moment": "Σ p²  (f1)",
    "contrast": "Σ (i − j)²·p  (f2)",
    "correlation": "Σ (i − mean)·(j − mean)·p / variance, 1 for a constant  (f3)",
    "homogeneity": "Σ p / (1 + (i − j)²)  (f5)",
    "entropy": "−Σ p·log₂ p, bits  (f9)",
}
"""Each property and its formula: p is the share of neighbours with the levels i and j."""

NAMES = tuple(
    f"{name}, {levels} levels, {direction}"
    for levels in LEVELS
    for name in PROPERTIES
    for direction in DIRECTIONS
)
"""Features in the order of `measure`."""

# scikit-image counts angles downward from the row, Haralick upward.
_ANGLES = (0, 3 * np.pi / 4, np.pi / 2, np.pi / 4)
_KEPT = ("ASM", "contrast", "correlation", "homogeneity")


def quantised(region: Region, levels: int) -> np.ndarray:
    """Reduce the grey levels of a nodule.

    Parameters
    ----------
    region : Region
        Grey levels and mask.
    levels : int
        How many levels are left, a divisor of 256.

    Returns
    -------
    ndarray of int (h, w)
        The nodule's box: 1 to `levels` inside the mask, 0 outside.
    """
    rows, columns = np.nonzero(region.mask)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.where(region.mask[box], 1 + region.grey[box].astype(int) * levels // 256, 0)


def matrices(image: np.ndarray, levels: int) -> np.ndarray:
    """Count pairs of neighbours that are both inside a nodule.

    Parameters
    ----------
    image : ndarray of int (h, w)
        From `quantised`.
    levels : int
        Number of grey levels.

    Returns
    -------
    ndarray of float64 (levels, levels, 5)
        Pairs one pixel apart, each counted both ways, in the order of `DIRECTIONS`.
    """
    dtype = np.uint8 if levels < 256 else np.uint16
    found = graycomatrix(image.astype(dtype), [1], _ANGLES, levels=levels + 1, symmetric=True)
    # Level 0 is what lies outside: a pair with one end there is none.
    pairs = found[1:, 1:, 0, :].astype(np.float64)
    return np.concatenate([pairs, pairs.sum(axis=2, keepdims=True)], axis=2)


def measure(region: Region) -> np.ndarray:
    """Describe which grey levels of a nodule are side by side.

    Parameters
    ----------
    region : Region
        What lies outside its mask doesn't count.

    Returns
    -------
    ndarray of float64 (50,)
        In the order of `NAMES`.
    """
    return np.concatenate([_properties(region, levels) for levels in LEVELS])


def _properties(region: Region, levels: int) -> np.ndarray:
    image = quantised(region, levels)
    low = image[image > 0].min()
    # None of the properties asks where the scale of levels begins or ends.
    image = np.where(image > 0, image - low + 1, 0)
    pairs = matrices(image, int(image.max()))
    kept = [graycoprops(pairs[:, :, None], name)[0] for name in _KEPT]
    shares = pairs / np.maximum(pairs.sum(axis=(0, 1)), 1)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.concatenate([*kept, -(shares * logs).sum(axis=(0, 1)) + 0.0])
