"""Lay a heatmap over its frame, in colours that the page and every picture share."""

from __future__ import annotations

import functools

import numpy as np
from matplotlib import colormaps

from thyro_demo.errors import ThyroError

COLOUR_SCALES = ("inferno", "viridis", "cividis", "turbo")
"""Matplotlib colormaps on offer: the first three rise evenly in lightness, cividis also
for colour-blind readers; turbo is the rainbow known from papers."""


def overlay(
    frame: np.ndarray, heatmap: np.ndarray, opacity: float = 0.5, colormap: str = "inferno"
) -> np.ndarray:
    """Lay a heatmap over its frame.

    A pixel's colour covers the frame by ``opacity × heatmap``: where the heatmap is 0,
    the frame stays as it is, so that a cold region is never darkened into a finding.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        The image, RGB, 0–255.
    heatmap : ndarray of float, shape (H, W)
        The map, 0–1.
    opacity : float, optional
        How far the hottest colour covers the frame, 0–1.
    colormap : str, optional
        One of `COLOUR_SCALES`.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        A new image, RGB, 0–255.

    Raises
    ------
    ThyroError
        If frame and heatmap differ in height or width, the opacity is outside 0–1,
        or the colour scale is unknown.

    Examples
    --------
    >>> frame, heatmap = np.full((1, 2, 3), 100, np.uint8), np.array([[0.0, 1.0]])
    >>> overlay(frame, heatmap, opacity=1.0).tolist()
    [[[100, 100, 100], [252, 255, 164]]]
    """
    if frame.shape != (*heatmap.shape, 3):
        raise ThyroError(
            "A heatmap must have the height and width of its RGB frame. "
            f"Received: frame {frame.shape}, heatmap {heatmap.shape}."
        )
    if not 0 <= opacity <= 1:
        raise ThyroError(f"The opacity must be between 0 and 1. Received: opacity={opacity}.")
    heat = np.clip(heatmap, 0, 1).astype(np.float32)
    colours = colour_table(colormap)[np.rint(heat * 255).astype(np.uint8)]
    cover = opacity * heat[..., np.newaxis]
    mixed = frame + cover * (255 * colours - frame)
    return np.rint(mixed).astype(np.uint8)


@functools.cache
def colour_table(colormap: str) -> np.ndarray:
    """Return the colour of each grey level of a heatmap.

    Parameters
    ----------
    colormap : str
        One of `COLOUR_SCALES`.

    Returns
    -------
    ndarray of float32, shape (256, 3)
        RGB, 0–1, from the coldest colour to the hottest. Read-only.

    Raises
    ------
    ThyroError
        If the colour scale is unknown.
    """
    if colormap not in COLOUR_SCALES:
        raise ThyroError(
            f"The colour scale must be one of {', '.join(COLOUR_SCALES)}. "
            f"Received: colormap={colormap}."
        )
    table = colormaps[colormap](np.linspace(0, 1, 256))[:, :3].astype(np.float32)
    table.flags.writeable = False
    return table
