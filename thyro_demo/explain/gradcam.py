"""Grad-CAM and HiResCAM: weigh the maps of a layer by the gradient of a score.

Plain arithmetic on arrays: feature map and gradient come out of the one forward pass behind
the scores (`bundle.bundle.Forward`), so that a heatmap costs no second run of the network
and this module needs no network framework.
"""

import numpy as np


def grad_cam(feature_map: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Draw where a score finds its evidence.

    Any score serves whose gradient by the feature map is known: the log-odds of a
    softmax, the decision value of an SVM.

    Parameters
    ----------
    feature_map : ndarray of float32, shape (..., h, w, c)
        Output of the last convolutional block; a leading axis holds a batch.
    gradient : ndarray of float32, shape (..., h, w, c)
        Gradient of the score by `feature_map`.

    Returns
    -------
    ndarray of float32, shape (..., h, w)
        0–1, each map scaled by its own maximum. A map without positive evidence, as
        every map of a dead activation is, stays zero.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via
    gradient-based localization", ICCV 2017, section 3, equations 1 and 2. Two
    departures: the score is the log-odds of the positive class, because with two classes
    the logit of one alone leaves out half of what moves the softmax, and the softmax
    itself has no gradient left where it saturates; and the map is scaled to 0–1.

    Examples
    --------
    >>> feature_map = np.array([[[2.0, 0.0], [0.0, 1.0]]], np.float32)  # a row of two cells
    >>> gradient = np.full((1, 2, 2), [1.0, -1.0], np.float32)
    >>> grad_cam(feature_map, gradient)
    array([[1., 0.]], dtype=float32)
    """
    weights = gradient.mean(axis=(-3, -2), keepdims=True, dtype=np.float32)
    # As a matrix product: an elementwise product of map and weights would write an array
    # as large as the feature map first.
    evidence = np.matmul(feature_map, np.swapaxes(weights, -1, -2))[..., 0]
    return scale(evidence)


def hires_cam(feature_map: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Draw where a score finds its evidence, cell by cell.

    Where the pooling weighs cells, the gradient differs from cell to cell, and Grad-CAM's mean
    of it would forget the weights. Where all cells weigh alike, both draw the same map.

    Parameters
    ----------
    feature_map, gradient : ndarray of float32, shape (..., h, w, c)
        As for `grad_cam`.

    Returns
    -------
    ndarray of float32, shape (..., h, w)
        0–1, where 1 is the strongest evidence for or against the positive class.

    References
    ----------
    Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks", arXiv:2011.08891, 2020, section 3.3.

    Examples
    --------
    >>> feature_map = np.array([[[2.0, 0.0], [0.0, 1.0]]], np.float32)  # a row of two cells
    >>> gradient = np.array([[[1.0, 0.0], [0.0, -4.0]]], np.float32)
    >>> hires_cam(feature_map, gradient)
    array([[0.5, 0. ]], dtype=float32)
    """
    return scale(np.einsum("...c,...c->...", feature_map, gradient), either_sign=True)


def scale(evidence: np.ndarray, either_sign: bool = False) -> np.ndarray:
    """Keep the positive part of a map and scale it to 0–1.

    Parameters
    ----------
    evidence : ndarray of float, shape (..., h, w)
        Signed evidence for the positive class; NaN and infinities count as none.
    either_sign : bool
        Let 1 be the strongest evidence for or against the class, not only for it. A pooling with
        weights leaves a trace of every cell in the score: where the nodule speaks against the
        class, that trace would else fill the map.

    Returns
    -------
    ndarray of float32, shape (..., h, w)
        0–1; all zero where there is no positive evidence.
    """
    known = np.where(np.isfinite(evidence), evidence, 0).astype(np.float32)
    positive = np.maximum(known, 0)
    strongest = np.abs(known) if either_sign else positive
    top = strongest.max(axis=(-2, -1), keepdims=True, initial=0)
    return np.divide(positive, top, out=np.zeros_like(positive), where=top > 0)
