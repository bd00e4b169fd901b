"""What the page shows of a nodule: its outline, and how much of each heatmap lies on it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from thyro_demo.data import preprocess
from thyro_demo.data.preprocess import Box
from thyro_demo.engine import Comparison
from thyro_demo.explain.localisation import centred_gaussian, energy

_DRAWN = 0.5
_LINE = (255, 255, 255, 230)


@dataclass(frozen=True)
class Nodule:
    """Where the nodule is known to be.

    Attributes
    ----------
    mask : ndarray of bool, shape (H, W)
        In the coordinates of the frame.
    what : str
        How it is known, for a sentence: "the nodule", "the marked box".
    """

    mask: np.ndarray
    what: str


def known(mask: np.ndarray | None, roi: Box | None, shape: tuple[int, int]) -> Nodule | None:
    """Choose what is known of a frame's nodule: its mask before a marked box.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W), or None
        Of an example that has one.
    roi : Box or None
        What the reader marked.
    shape : tuple of int
        Height and width of the frame.

    Returns
    -------
    Nodule or None
        None where nobody said where it is.
    """
    if mask is not None and mask.any():
        return Nodule(mask, "the nodule")
    if roi is None:
        return None
    box = np.zeros(shape, bool)
    preprocess.crop(box, roi)[:] = True
    return Nodule(box, "the marked box")


def shares(comparison: Comparison, nodule: Nodule | None) -> dict[tuple[str, str], str]:
    """Count how much of each heatmap lies on the nodule, beside a blob that has not looked.

    Parameters
    ----------
    comparison : Comparison
        With heatmaps.
    nodule : Nodule or None
        Where it is known to be; else each network is held to the nodule it draws itself.

    Returns
    -------
    dict of (model, head) to str
        One sentence a heatmap; none where nothing is known and the network draws none.
    """
    box, found = comparison.box, {}
    blind = preprocess.crop(centred_gaussian(comparison.frame.shape[:2], box), box)
    for shown in comparison.predictions:
        drawn = nodule or _own(comparison.nodules, shown.model)
        if drawn is None or shown.heatmap is None:
            continue
        mask = preprocess.crop(drawn.mask, box)
        share, guess = energy(preprocess.crop(shown.heatmap, box), mask), energy(blind, mask)
        found[shown.model, shown.head] = (
            f"{share:.0%} of this map lies on {drawn.what}; a blob in the middle: {guess:.0%}."
            if shown.heatmap.any()
            else "No evidence for the label “malignant”: the map is empty."
        )
    return found


def border(nodule: np.ndarray) -> str | None:
    """Draw the outline of a nodule map as a picture to lay over its frame.

    Parameters
    ----------
    nodule : ndarray of float32, shape (H, W)
        Nodule map, 0–1.

    Returns
    -------
    str or None
        A PNG as a data address, transparent but for the line; None where no nodule is drawn.
    """
    mask = nodule >= _DRAWN
    if not mask.any():
        return None
    width = max(2, round(min(mask.shape) / 160))
    # What lies beyond the frame counts as nodule, so that its edge is no part of the outline.
    line = mask & ~binary_erosion(mask, iterations=width, border_value=1)
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[line] = _LINE
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _own(nodules: Mapping[str, np.ndarray], model: str) -> Nodule | None:
    """Take what a network draws itself for the nodule."""
    mask = nodules[model] >= _DRAWN if model in nodules else np.zeros((1, 1), bool)
    return Nodule(mask, "the nodule that this network draws") if mask.any() else None
