"""Grey level run lengths: how far one level goes on.

Written here: scikit-image and PyWavelets have no run lengths, and of the packages that have them
one needs newer versions than Colab brings and the other is no longer released.

References
----------
Galloway, "Texture analysis using gray level run lengths", Computer Graphics and Image Processing
4, 1975, the five features of section 3. We divide the two non-uniformities by the number of runs
once more, so that they don't grow with the nodule.
"""

import numpy as np

from thyro_demo.study.steps.handcrafted.glcm import DIRECTIONS, quantised
from thyro_demo.study.steps.handcrafted.region import Region

LEVELS = 16
"""Grey levels; among 256 hardly two neighbours are alike."""

PROPERTIES = {
    "short runs": "Σ r / j² / R",
    "long runs": "Σ r·j² / R",
    "grey level non-uniformity": "Σᵢ (Σⱼ r)² / R²",
    "run length non-uniformity": "Σⱼ (Σᵢ r)² / R²",
    "run percentage": "R / pixels",
}
"""Each property and its formula: r is the number of runs of level i and length j, R their sum."""

NAMES = tuple(f"{name}, {direction}" for name in PROPERTIES for direction in DIRECTIONS)
"""Features in the order of `measure`."""


def matrices(image: np.ndarray, levels: int) -> np.ndarray:
    """Count runs of equal grey levels inside a nodule.

    Parameters
    ----------
    image : ndarray of int (h, w)
        From `quantised`: 1 to `levels` inside, 0 outside.
    levels : int
        Number of grey levels.

    Returns
    -------
    ndarray of int64 (5, levels, max(h, w))
        Runs by level and length less one, in the order of `DIRECTIONS`.
    """
    longest = max(image.shape)
    ways = (image, _sheared(image).T, image.T, _sheared(image[::-1]).T)
    found = np.stack([_runs(lines, levels, longest) for lines in ways])
    return np.concatenate([found, found.sum(axis=0, keepdims=True)])


def measure(region: Region) -> np.ndarray:
    """Describe how far the grey levels of a nodule go on.

    Parameters
    ----------
    region : Region
        What lies outside its mask doesn't count.

    Returns
    -------
    ndarray of float64 (25,)
        In the order of `NAMES`.
    """
    runs = matrices(quantised(region, LEVELS), LEVELS).astype(np.float64)
    length = np.arange(1, runs.shape[2] + 1)
    total = runs.sum(axis=(1, 2))
    pixels = (runs * length).sum(axis=(1, 2))
    of_level, of_length = runs.sum(axis=2), runs.sum(axis=1)
    return np.concatenate(
        [
            (of_length / length**2).sum(axis=1) / total,
            (of_length * length**2).sum(axis=1) / total,
            (of_level**2).sum(axis=1) / total**2,
            (of_length**2).sum(axis=1) / total**2,
            total / pixels,
        ]
    )


def _sheared(image: np.ndarray) -> np.ndarray:
    """Move each row one pixel further, so that columns are what rose to the right before."""
    height, width = image.shape
    moved = np.zeros((height, height + width - 1), image.dtype)
    rows, columns = np.indices(image.shape)
    moved[rows, rows + columns] = image
    return moved


def _runs(lines: np.ndarray, levels: int, longest: int) -> np.ndarray:
    """Count the runs along the rows of int (n, m) by level and length less one."""
    # A pixel outside parts each row from the next.
    flat = np.pad(lines, ((0, 0), (0, 1))).ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(starts, append=flat.size)
    inside = flat[starts] > 0
    places = (flat[starts][inside] - 1) * longest + lengths[inside] - 1
    return np.bincount(places, minlength=levels * longest).reshape(levels, longest)
