"""What the page shows of a nodule: its outline, and how much of each heatmap is on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion

from thyro_demo.data import scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Comparison
from thyro_demo.explain.localisation import centred_gaussian, energy
from thyro_demo.ui.pictures import blank, encoded

DRAWN = 0.5
"""From which value on a nodule map says "nodule"."""

KNOWN = "the nodule"
"""What a mask is of that came with its frame."""

WHITE, GREEN = (255, 255, 255, 230), (110, 235, 131, 255)


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
    """Choose what is known of a frame's nodule: the mask of an example before a marked box."""
    if mask is not None and mask.any():
        return Nodule(mask, KNOWN)
    if roi is None:
        return None
    box = np.zeros(shape, bool)
    scan_area.crop(box, roi)[:] = True
    return Nodule(box, "the marked box")


def shares(comparison: Comparison, nodule: Nodule | None) -> dict[tuple[str, str], str]:
    """Write how much of each heatmap is on the nodule, beside a blob that has not looked."""
    box, found = comparison.box, {}
    blind = scan_area.crop(centred_gaussian(comparison.frame.shape[:2], box), box)
    for shown in comparison.predictions:
        # Where the nodule is not known, each network is compared with the one it draws itself.
        drawn = nodule or _own(comparison.nodules, shown.model)
        if drawn is None or shown.heatmap is None or blank(shown.heatmap):
            continue
        mask = scan_area.crop(drawn.mask, box)
        share, guess = energy(scan_area.crop(shown.heatmap, box), mask), energy(blind, mask)
        found[shown.model, shown.head] = (
            f"{share:.0%} of this map is on {drawn.what}; a blob in the middle: {guess:.0%}."
        )
    return found


def border(nodule: np.ndarray, colour: tuple[int, int, int, int] = WHITE) -> str | None:
    """Draw the outline of a nodule map or mask (H, W), 0–1, as a transparent PNG, if it has one."""
    mask = nodule >= DRAWN
    if not mask.any():
        return None
    width = max(2, round(min(mask.shape) / 160))
    # What is beyond the frame counts as nodule, so that its edge is no part of the outline.
    line = mask & ~binary_erosion(mask, iterations=width, border_value=1)
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[line] = colour
    return encoded(pixels, "PNG")


def _own(nodules: Mapping[str, np.ndarray], model: str) -> Nodule | None:
    """Take what a network draws itself for the nodule."""
    mask = nodules[model] >= DRAWN if model in nodules else np.zeros((1, 1), bool)
    return Nodule(mask, "the nodule that this network draws") if mask.any() else None
