"""Which cells of a feature map a forest's score depends on, by occluding them one by one."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from thyro_demo.explain.gradcam import scale
from thyro_demo.models.pooling import EVERYWHERE, FLOOR


class ScoringHead(Protocol):
    """A head that scores feature vectors."""

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the model score of each row (n, d)."""
        ...


def forest_occlusion(
    head: ScoringHead,
    feature_map: np.ndarray,
    pool: str | Callable[[np.ndarray], np.ndarray] = "average",
) -> np.ndarray:
    """Draw which cells of the feature map hold up the score of a forest.

    A forest is a staircase: its gradient is zero nearly everywhere. So each cell is
    replaced in turn by the mean of the others, and the fall of the score is drawn. The
    mean, not zero: a zeroed cell lowers all pooled features at once and takes the vector
    to a place where no training image is, while the mean leaves a vector that an image
    without this cell would have.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "forest"; anything with ``scores((n, d)) -> (n,)`` serves.
    feature_map : ndarray of float32, shape (h, w, c)
        Output of the last convolutional block.
    pool : {"average", "std"} or callable
        What the head reads. Of the two named ones the effect of a cell is known without a
        copy of the map; a callable takes feature maps (n, h, w, c) and returns (n, d).

    Returns
    -------
    ndarray of float32, shape (h, w)
        0–1, scaled by the largest fall; zero where the score rises or stays, and zero
        all over on a map of a single cell, which has no others.

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV
    2014, section 4.2. We occlude cells of the last feature map instead of patches of the
    image, so that one forward pass of the backbone is enough.
    """
    height, width, channels = feature_map.shape
    cells = feature_map.reshape(-1, channels)
    if len(cells) == 1:
        return np.zeros((height, width), np.float32)
    others = (cells.sum(axis=0, dtype=np.float32) - cells) / (len(cells) - 1)
    if pool == "average":
        # The average over a map whose cell i is the mean of the others is that mean.
        rows = np.concatenate([cells.mean(axis=0, keepdims=True), others])
    elif isinstance(pool, str):
        # The cell adds nothing to the sum of squares about the mean of the others.
        squares = np.einsum("ij,ij->j", cells, cells) - cells**2
        spread = squares / len(cells) - others**2 * (len(cells) - 1) / len(cells)
        whole = cells.var(axis=0, keepdims=True)
        rows = np.sqrt(np.maximum(np.concatenate([whole, spread]), 0) + FLOOR)
    else:
        occluded = np.repeat(cells[None], len(cells) + 1, axis=0)
        index = np.arange(len(cells))
        occluded[index + 1, index] = others
        rows = pool(occluded.reshape(-1, height, width, channels))
    scores = head.scores(rows.astype(np.float32, copy=False))
    return scale((scores[0] - scores[1:]).reshape(height, width))


def nodule_occlusion(
    head: ScoringHead,
    feature_map: np.ndarray,
    nodule: np.ndarray,
    spread: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Draw which cells hold up the score of a forest that reads a nodule's features.

    As `forest_occlusion`, for features that are weighted with a nodule map: a cell is left out
    by setting its weight to 0.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "forest"; anything with ``scores((n, d)) -> (n,)`` serves.
    feature_map : ndarray of float32, shape (h, w, c)
        What is pooled.
    nodule : ndarray of float32, shape (h, w)
        Nodule map, 0–1.
    spread : tuple of two ndarrays of float32, shape (2c,)
        Mean and standard deviation by which the pooled features are scaled.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0–1, scaled by the largest change; zero where the score rises or stays.
    """
    cells = feature_map.reshape(-1, feature_map.shape[-1]).astype(np.float64)
    # About the mean, so that no digits are lost in squares of large numbers.
    middle = cells.mean(axis=0)
    cells -= middle
    weight = nodule.astype(np.float64).reshape(-1, 1) + EVERYWHERE
    left_out = np.concatenate([np.zeros((1, 1)), weight])
    first, second = weight * cells, weight * cells**2
    mean = (first.sum(axis=0) - np.pad(first, ((1, 0), (0, 0)))) / (weight.sum() - left_out)
    square = (second.sum(axis=0) - np.pad(second, ((1, 0), (0, 0)))) / (weight.sum() - left_out)
    std = np.sqrt(np.maximum(square - mean**2, 0) + FLOOR)
    rows = (np.concatenate([mean + middle, std], axis=1) - spread[0]) / spread[1]
    scores = head.scores(rows.astype(np.float32))
    return scale((scores[0] - scores[1:]).reshape(nodule.shape), either_sign=True)
