"""Heatmaps under the name of the head that earned them.

The softmax, the support vector machine and the forest read the same features of one
backbone and weigh them differently. Showing the softmax's map under the other two would
explain a decision that another head made, so each has its own: the analytic gradient of
the machine's decision value, and the drop of the forest's score when a cell of the
feature map is taken away.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from thyro_demo.errors import BundleError
from thyro_demo.explain.cam import grad_cam, scale

if TYPE_CHECKING:
    from thyro_demo.models.bundle import Bundle, Forward


class SupportVectorHead(Protocol):
    """A head whose `pipeline` is a fitted StandardScaler followed by a binary SVC."""

    pipeline: Any


class ScoringHead(Protocol):
    """A head that scores feature vectors."""

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Give the model score of each row."""
        ...


def svm_gradient(head: SupportVectorHead, features: np.ndarray) -> np.ndarray:
    """Differentiate the decision value of a support vector machine by its raw features.

    With the standardised features z = (x − mean) / scale, support vectors s and dual
    coefficients a, the linear machine has the gradient Σ a s, and the RBF machine
    −2 γ Σ a exp(−γ |z − s|²) (z − s), both over scale.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "svm", linear or RBF.
    features : ndarray of float, shape (d,) or (n, d)
        Pooled features as the backbone gives them, before the scaler.

    Returns
    -------
    ndarray of float64, same shape as `features`
        Positive where more of a feature pushes towards the positive class. The
        calibration is left out: it is monotone and would flatten sure decisions.

    Raises
    ------
    BundleError
        If the kernel is neither linear nor RBF.
    """
    scaler, machine = head.pipeline[0], head.pipeline[-1]
    spread = scaler.scale_
    rows = np.atleast_2d(features).astype(np.float64)
    if machine.kernel == "linear":
        slope = np.broadcast_to(machine.coef_, rows.shape)
    elif machine.kernel == "rbf":
        slope = _rbf_slope(machine, (rows - scaler.mean_) / spread)
    else:
        raise BundleError(
            "The kernel of a machine has to be linear or rbf, so that its gradient is known. "
            f"Received: {machine.kernel!r}."
        )
    return (slope / spread).reshape(np.shape(features))


def _rbf_slope(machine: Any, rows: np.ndarray) -> np.ndarray:
    """Gradient of an RBF machine at standardised rows (n, d), by these rows."""
    # scikit-learn resolves gamma="scale" on the training rows and keeps the number only
    # under this private name.
    gamma = machine._gamma
    vectors, dual = machine.support_vectors_, machine.dual_coef_[0]
    # Squares are summed as they arise: an array of them would be as large as the vectors.
    squared = (
        np.einsum("ij,ij->i", rows, rows)[:, None]
        - 2 * rows @ vectors.T
        + np.einsum("ij,ij->i", vectors, vectors)[None, :]
    )
    pull = dual * np.exp(-gamma * np.maximum(squared, 0))
    return -2 * gamma * (pull.sum(axis=1, keepdims=True) * rows - pull @ vectors)


def forest_occlusion(
    head: ScoringHead,
    feature_map: np.ndarray,
    pool: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Draw which cells of the feature map hold up the score of a forest.

    A forest is a staircase: its gradient is zero nearly everywhere. So each cell is
    replaced in turn by the mean of the others, and the fall of the score is drawn. The
    mean, not zero: a zeroed cell lowers all pooled features at once and takes the vector
    to a place where no training image lies, while the mean leaves a vector that an image
    without this cell would have given.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "forest"; anything with ``scores((n, d)) -> (n,)`` serves.
    feature_map : ndarray of float32, shape (h, w, c)
        Output of the last convolutional block.
    pool : callable, optional
        Takes feature maps (n, h, w, c), gives what the head reads, (n, d). By default
        the global average, which needs no copy of the map per cell.

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
    if pool is None:
        # The average over a map whose cell i is the mean of the others is that mean.
        rows = np.concatenate([cells.mean(axis=0, keepdims=True), others])
    else:
        occluded = np.repeat(cells[None], len(cells) + 1, axis=0)
        index = np.arange(len(cells))
        occluded[index + 1, index] = others
        rows = pool(occluded.reshape(-1, height, width, channels))
    scores = head.scores(rows.astype(np.float32, copy=False))
    return scale((scores[0] - scores[1:]).reshape(height, width))


def heatmap(bundle: "Bundle", forward: "Forward", head: str, row: int = 0) -> np.ndarray:
    """Draw the map of one head on one image, from the forward pass that scored it.

    Parameters
    ----------
    bundle : Bundle
        Which the forward pass comes from.
    forward : Forward
        With the gradient of the softmax.
    head : str
        "softmax" or a key of ``bundle.heads``.
    row : int
        Which image of the forward pass.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0–1, at the resolution of the feature map.
    """
    feature_map, features = forward.feature_map[row], forward.features[row]
    if head == "softmax":
        return grad_cam(feature_map, forward.softmax_gradient[row])
    classifier = bundle.heads[head]
    if classifier.kind == "svm":
        slope = svm_gradient(classifier, features).astype(np.float32)
        return grad_cam(feature_map, bundle.pull_back(feature_map[None], slope[None])[0])
    averaged = features.size == feature_map.shape[-1]
    return forest_occlusion(classifier, feature_map, None if averaged else bundle.pool)
