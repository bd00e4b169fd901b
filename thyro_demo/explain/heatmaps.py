"""The heatmap of each head of a bundle, and its nodule map, from the forward passes.

The softmax, the SVM and the forest read the same features of one backbone and weigh them
differently. Showing the softmax's map under the other two would explain a decision that another
head made, so each has its own: the analytic gradient of the SVM's decision value, and the drop of
the forest's score when a cell of the feature map is taken away. An SVM that reads several networks
is drawn from the share that each contributes to its decision value, an average of heads from
their own maps.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from thyro_demo.explain.forest import forest_occlusion, nodule_occlusion
from thyro_demo.explain.gradcam import grad_cam, hires_cam, scale
from thyro_demo.explain.svm import svm_contributions

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle, Forward
    from thyro_demo.bundle.ensemble import Ensemble

_HALF = 0.5


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
        return softmax_map(forwards[0])(feature_map, forwards[0].softmax_gradient[row])
    classifier = bundle.heads[head]
    if classifier.kind == "svm":
        parts = svm_contributions(classifier, bundle.networks, forwards, row)
        weighted = all(forward.nodule is not None for forward in forwards)
        return scale(np.sum(_on_one_grid(parts), axis=0), either_sign=weighted)
    network = bundle.networks[0]
    if nodule is not None:
        return nodule_occlusion(classifier, feature_map, nodule[row], network.spread)
    named = forwards[0].features.shape[1] == feature_map.shape[-1]
    return forest_occlusion(classifier, feature_map, network.pooling if named else network.pool)


def softmax_map(forward: "Forward") -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Choose how a softmax is drawn: features that a nodule map weighs count cell by cell."""
    return grad_cam if forward.nodule is None else hires_cam


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
    """Return the least maximum of a nodule map that counts as a nodule.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        Whose networks draw one.

    Returns
    -------
    float
        0–1, the mean over the manifests of its networks.
    """
    facts = [network.manifest for network in bundle.networks]
    return float(np.mean([each.get("nodule_threshold", _HALF) for each in facts]))


def _on_one_grid(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Resize float32 maps (h, w) bilinearly to the height and width of the largest."""
    height, width = np.max([drawn.shape for drawn in maps], axis=0).tolist()
    return [
        np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.BILINEAR))
        for drawn in maps
    ]
