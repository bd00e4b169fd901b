"""Heatmaps under the name of the head that earned them.

The softmax, the support vector machine and the forest read the same features of one
backbone and weigh them differently. Showing the softmax's map under the other two would
explain a decision that another head made, so each has its own: the analytic gradient of
the machine's decision value, and the drop of the forest's score when a cell of the
feature map is taken away. A machine that reads several networks is drawn from the share
that each contributes to its decision value, an average of heads from their own maps.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from thyro_demo.errors import BundleError
from thyro_demo.explain.cam import grad_cam, hires_cam, scale
from thyro_demo.models.pooling import EVERYWHERE, FLOOR

if TYPE_CHECKING:
    from thyro_demo.models.bundle import Bundle, Forward
    from thyro_demo.models.ensemble import Ensemble


_HALF = 0.5


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
    pool: str | Callable[[np.ndarray], np.ndarray] = "average",
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
    pool : {"average", "deviation"} or callable
        What the head reads. Of the two named ones the effect of a cell is known without a
        copy of the map; a callable takes feature maps (n, h, w, c) and gives (n, d).

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
    by giving it no weight.

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
    weight = nodule.astype(np.float64).reshape(-1, 1) ** 2 + EVERYWHERE
    left = np.concatenate([np.zeros((1, 1)), weight])
    first, second = weight * cells, weight * cells**2
    mean = (first.sum(axis=0) - np.pad(first, ((1, 0), (0, 0)))) / (weight.sum() - left)
    square = (second.sum(axis=0) - np.pad(second, ((1, 0), (0, 0)))) / (weight.sum() - left)
    deviation = np.sqrt(np.maximum(square - mean**2, 0) + FLOOR)
    rows = (np.concatenate([mean + middle, deviation], axis=1) - spread[0]) / spread[1]
    scores = head.scores(rows.astype(np.float32))
    return scale((scores[0] - scores[1:]).reshape(nodule.shape), either_sign=True)


def heatmap(
    bundle: "Bundle | Ensemble", forwards: Sequence["Forward"], head: str, row: int = 0
) -> np.ndarray:
    """Draw the map of one head on one image, from the forward passes that scored it.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        Which the forward passes come from.
    forwards : sequence of Forward
        One of each of ``bundle.networks``, with the gradient of the softmax.
    head : str
        "softmax", "average" or a key of ``bundle.heads``.
    row : int
        Which image of the forward passes.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0–1, at the resolution of the feature map, of the largest one of an ensemble.
        The mean of an average is not scaled again: it reaches 1 only where the maps of
        all its heads do.
    """
    if head == "average":
        maps = [
            heatmap(bundle.networks[place], [forwards[place]], averaged, row)
            for place, averaged in bundle.averaged  # type: ignore[union-attr]
        ]
        return np.mean(_on_one_grid(maps), axis=0)
    feature_map = forwards[0].feature_map[row]
    nodule = forwards[0].nodule
    if head == "softmax":
        draw = grad_cam if nodule is None else hires_cam
        return draw(feature_map, forwards[0].softmax_gradient[row])
    classifier = bundle.heads[head]
    if classifier.kind == "svm":
        return _svm_map(bundle, forwards, classifier, row)
    network = bundle.networks[0]
    if nodule is not None:
        return nodule_occlusion(classifier, feature_map, nodule[row], network.spread)
    known = forwards[0].features.shape[1] == feature_map.shape[-1]
    return forest_occlusion(classifier, feature_map, network.pooling if known else network.pool)


def nodule_map(forwards: Sequence["Forward"], row: int = 0) -> np.ndarray | None:
    """Draw where the networks of a bundle see the nodule in one image.

    Parameters
    ----------
    forwards : sequence of Forward
        One of each of ``bundle.networks``.
    row : int
        Which image of the forward passes.

    Returns
    -------
    ndarray of float32, shape (h, w), or None
        0–1, the mean over the networks, at the resolution of the largest map; None unless each
        of them has one.
    """
    maps = [forward.nodule[row] for forward in forwards if forward.nodule is not None]
    if not maps or len(maps) < len(forwards):
        return None
    return np.mean(_on_one_grid(maps), axis=0)


def least_peak(bundle: "Bundle | Ensemble") -> float:
    """Give the least maximum of a nodule map that counts as a nodule.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        Whose networks draw one.

    Returns
    -------
    float
        0–1, the mean of what its networks' manifests say.
    """
    facts = [network.manifest for network in bundle.networks]
    return float(np.mean([each.get("nodule_threshold", _HALF) for each in facts]))


def _svm_map(
    bundle: "Bundle | Ensemble",
    forwards: Sequence["Forward"],
    classifier: SupportVectorHead,
    row: int,
) -> np.ndarray:
    """Add up what each network's feature map contributes to one decision value."""
    features = [forward.features[row] for forward in forwards]
    slope = svm_gradient(classifier, np.concatenate(features)).astype(np.float32)
    ends = np.cumsum([len(part) for part in features])[:-1]
    maps = []
    for network, forward, part in zip(
        bundle.networks, forwards, np.split(slope, ends), strict=True
    ):
        feature_map = forward.feature_map[row]
        nodule = None if forward.nodule is None else forward.nodule[row][None]
        gradient = network.pull_back(feature_map[None], part[None], nodule)[0]
        # Gradient times activation, cell by cell (HiResCAM, Draelos and Carin 2020): under
        # average pooling it is Grad-CAM's weighted sum, under a deviation, whose gradients
        # add up to zero, Grad-CAM would see nothing. Left at its own scale: scaled one by
        # one, a network that hardly moves the machine would be drawn like one that does.
        evidence = np.einsum("hwc,hwc->hw", feature_map, gradient).astype(np.float32)
        # Per area of the image, so that a map of many small cells counts as one of few.
        maps.append(evidence * evidence.size)
    weighted = all(forward.nodule is not None for forward in forwards)
    return scale(np.sum(_on_one_grid(maps), axis=0), either_sign=weighted)


def _on_one_grid(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Resize float32 maps (h, w) bilinearly to the height and width of the largest."""
    height, width = np.max([drawn.shape for drawn in maps], axis=0).tolist()
    return [
        np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.BILINEAR))
        for drawn in maps
    ]
