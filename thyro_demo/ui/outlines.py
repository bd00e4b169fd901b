"""What the page shows of a nodule: its outline, and how much of each heatmap is on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_erosion

from thyro_demo.data import scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Comparison
from thyro_demo.explain.localisation import centred_gaussian, energy
from thyro_demo.ui.catalogue import percent, words
from thyro_demo.ui.pictures import blank, encoded
from thyro_demo.ui.sentences import said

DRAWN = 0.5
"""From which value on a nodule map says "nodule"."""

KNOWN = "the nodule"
"""What a mask is of that came with its frame; in English as the next, for programs read it, too."""

BY_READER = "the box that you drew"
"""What a mask is of that a reader drew over the heatmaps."""

_OWN = "the nodule that this network draws"
_SHORT = {BY_READER: "own_box", _OWN: "own_outline"}

WHITE, GREEN, YELLOW = (255, 255, 255, 230), (110, 235, 131, 255), (255, 209, 102, 255)


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


class Share(NamedTuple):
    """How much of a heatmap is on a nodule.

    Attributes
    ----------
    part : float
        Share of the map's energy within the scan area, 0–1.
    blind : float
        The same of a blob in the middle, which has not looked.
    what : str
        How the nodule is known.
    """

    part: float
    blind: float
    what: str

    @property
    def sentence(self) -> str:
        """Both shares in words."""
        return words("compare")["maps"]["share"].format(
            part=percent(self.part), what=said(self.what), blind=percent(self.blind)
        )

    @property
    def short(self) -> str:
        """The share of the map alone, for a caption."""
        text = words("compare")["maps"]
        what = text[_SHORT[self.what]] if self.what in _SHORT else said(self.what)
        return text["share_short"].format(part=percent(self.part), what=what)


def known(mask: np.ndarray | None, roi: Box | None, shape: tuple[int, int]) -> Nodule | None:
    """Choose what is known of a frame's nodule: the mask of an example before a marked box."""
    if mask is not None and mask.any():
        return Nodule(mask, KNOWN)
    if roi is None:
        return None
    box = np.zeros(shape, bool)
    scan_area.crop(box, roi)[:] = True
    return Nodule(box, "the marked box")


def found(comparison: Comparison) -> dict[str, np.ndarray]:
    """Take the nodule maps, by model, without those that are too faint for a nodule found."""
    empty = comparison.without_nodule
    return {name: drawn for name, drawn in comparison.nodules.items() if name not in empty}


def boxed(edges: tuple[float, ...], shape: tuple[int, int]) -> Nodule:
    """Turn a box that a reader drew into a mask.

    Parameters
    ----------
    edges : tuple of float
        Left, top, right and bottom, as shares of the frame's sides, 0–1.
    shape : tuple of int
        Height and width of the frame.

    Returns
    -------
    Nodule
        At least one pixel.
    """
    mask = np.zeros(shape, bool)
    left, right = (round(edge * shape[1]) for edge in edges[::2])
    top, bottom = (round(edge * shape[0]) for edge in edges[1::2])
    mask[
        min(top, shape[0] - 1) : max(bottom, top + 1),
        min(left, shape[1] - 1) : max(right, left + 1),
    ] = True
    return Nodule(mask, BY_READER)


def shares(comparison: Comparison, nodule: Nodule | None) -> dict[tuple[str, str], Share]:
    """Measure how much of each heatmap is on the nodule, beside a blob that has not looked."""
    box, own, measured = comparison.box, found(comparison), {}
    blind = scan_area.crop(centred_gaussian(comparison.frame.shape[:2], box), box)
    for shown in comparison.predictions:
        # Where the nodule is not known, each network is compared with the one it draws itself.
        drawn = nodule or _own(own, shown.model)
        if drawn is None or shown.heatmap is None or blank(shown.heatmap):
            continue
        mask = scan_area.crop(drawn.mask, box)
        share, guess = energy(scan_area.crop(shown.heatmap, box), mask), energy(blind, mask)
        measured[shown.model, shown.head] = Share(share, guess, drawn.what)
    return measured


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
    return Nodule(mask, _OWN) if mask.any() else None
