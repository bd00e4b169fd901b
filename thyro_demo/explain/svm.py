"""How cells of a feature map move the decision value of an SVM, by its analytic gradient."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from thyro_demo.errors import BundleError
from thyro_demo.explain.gradcam import grad_cam

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle, Forward


class SupportVectorHead(Protocol):
    """A head whose `pipeline` is a fitted StandardScaler followed by a binary SVC."""

    pipeline: Any


def svm_gradient(head: SupportVectorHead, features: np.ndarray) -> np.ndarray:
    """Differentiate the decision value of an SVM by its raw features.

    With the standardised features z = (x − mean) / scale, support vectors s and dual
    coefficients a, the linear SVM has the gradient Σ a s, and the RBF SVM
    −2 γ Σ a exp(−γ |z − s|²) (z − s), both over scale.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "svm", linear or RBF.
    features : ndarray of float, shape (d,) or (n, d)
        Pooled features as they leave the backbone, before the scaler.

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
    scaler, svm = head.pipeline[0], head.pipeline[-1]
    spread = scaler.scale_
    rows = np.atleast_2d(features).astype(np.float64)
    if svm.kernel == "linear":
        slope = np.broadcast_to(svm.coef_, rows.shape)
    elif svm.kernel == "rbf":
        slope = _rbf_gradient(svm, (rows - scaler.mean_) / spread)
    else:
        raise BundleError(
            "The kernel of an SVM must be linear or rbf, so that its gradient is known. "
            f"Received: kernel={svm.kernel!r}."
        )
    return (slope / spread).reshape(np.shape(features))


def _rbf_gradient(svm: Any, rows: np.ndarray) -> np.ndarray:
    """Differentiate the decision value of an RBF SVM by standardised rows (n, d)."""
    # scikit-learn resolves gamma="scale" on the training rows and keeps the number only
    # under this private name.
    gamma = svm._gamma
    vectors, dual = svm.support_vectors_, svm.dual_coef_[0]
    # Squares are summed as they arise: an array of them would be as large as the vectors.
    squared = (
        np.einsum("ij,ij->i", rows, rows)[:, None]
        - 2 * rows @ vectors.T
        + np.einsum("ij,ij->i", vectors, vectors)[None, :]
    )
    pull = dual * np.exp(-gamma * np.maximum(squared, 0))
    return -2 * gamma * (pull.sum(axis=1, keepdims=True) * rows - pull @ vectors)


def svm_contributions(
    head: SupportVectorHead,
    networks: "Sequence[Bundle]",
    forwards: "Sequence[Forward]",
    row: int = 0,
) -> list[np.ndarray]:
    """Split what moves one decision value over the cells of each network's feature map.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "svm", which reads the features of all networks, one after the other.
    networks : sequence of Bundle
        The networks.
    forwards : sequence of Forward
        One of each network.
    row : int
        Which image of the forward passes.

    Returns
    -------
    list of ndarray of float32, shape (h, w)
        Signed contributions, one map a network at its own resolution. They are not scaled one
        by one, which would draw a network that hardly moves the SVM like one that does.
    """
    features = [forward.features[row] for forward in forwards]
    slope = svm_gradient(head, np.concatenate(features)).astype(np.float32)
    ends = np.cumsum([len(part) for part in features])[:-1]
    maps = []
    for network, forward, part in zip(networks, forwards, np.split(slope, ends), strict=True):
        feature_map = forward.feature_map[row]
        nodule = None if forward.nodule is None else forward.nodule[row][None]
        gradient = network.pull_back(feature_map[None], part[None], nodule)[0]
        # Gradient times activation, cell by cell (HiResCAM, Draelos and Carin 2020): under
        # average pooling it is Grad-CAM's weighted sum; under standard-deviation pooling, whose
        # gradients add up to zero, Grad-CAM would see nothing.
        evidence = np.einsum("hwc,hwc->hw", feature_map, gradient).astype(np.float32)
        # Per area of the image, so that a map of many small cells counts as one of few.
        maps.append(evidence * evidence.size)
    return maps


def average_svm_map(head: SupportVectorHead, feature_map: np.ndarray) -> np.ndarray:
    """Draw Grad-CAM of an SVM that reads the averages of one feature map.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "svm", fitted on averages of feature maps.
    feature_map : ndarray of float32, shape (h, w, c)
        Last feature map of one frame.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0–1; see `gradcam.grad_cam`.
    """
    high, wide, _ = feature_map.shape
    # Every cell has the same share in an average.
    slope = svm_gradient(head, feature_map.mean(axis=(0, 1))) / (high * wide)
    return grad_cam(feature_map, np.broadcast_to(slope.astype(np.float32), feature_map.shape))
