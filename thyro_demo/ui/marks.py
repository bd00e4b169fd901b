"""Mark a nodule: two clicks on opposite corners of a box, drawn on a small copy of the frame.

A mark is a tuple: empty, one corner (x, y), or a box (left, top, right, bottom), in pixels
of the frame.
"""

from __future__ import annotations

from html import escape

import numpy as np

from thyro_demo.data.preprocess import NODULE_MARGIN, Box, widen
from thyro_demo.ui.results import jpeg

Mark = tuple[int, ...]

_SHORTEST_SIDE = 8


def click(mark: Mark, x: int, y: int) -> Mark:
    """Take a click on the frame into a mark.

    Parameters
    ----------
    mark : tuple of int
        The mark so far. A box that is complete gives way to a new first corner.
    x, y : int
        The pixel that was clicked.

    Returns
    -------
    tuple of int
        The mark now. A second corner too near to the first, as in a double click, is
        passed over.
    """
    if len(mark) != 2:
        return (x, y)
    box = Box(min(mark[0], x), min(mark[1], y), max(mark[0], x) + 1, max(mark[1], y) + 1)
    return mark if min(box.width, box.height) < _SHORTEST_SIDE else tuple(box)


def region(mark: Mark) -> Box | None:
    """Give the box of a mark.

    Parameters
    ----------
    mark : tuple of int
        The mark.

    Returns
    -------
    Box or None
        None while the mark is incomplete.
    """
    return Box(*mark) if len(mark) == 4 else None


def sketch(frame: np.ndarray | None, mark: Mark, readers: str) -> str:
    """Write what is marked, in a sentence and on a copy of the frame.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3), or None
        The frame in the box, RGB.
    mark : tuple of int
        What is marked on it.
    readers : str
        Titles of the models that read a marked nodule.

    Returns
    -------
    str
        HTML: the mark as a line, what the models see as a dashed one.
    """
    box = region(mark)
    if frame is None or not mark:
        said = (
            f"For {readers}, mark the nodule: click two opposite corners of a box around it, "
            "on the frame."
        )
        return f'<p class="thyro-fine">{escape(said)}</p>'
    if box is None:
        said = "One corner is set: click the opposite one."
        lines = f'<path d="M{mark[0] + 0.5} 0V{len(frame)}M0 {mark[1] + 0.5}H{frame.shape[1]}"/>'
    else:
        said = f"Nodule marked: {readers}, if ticked, will see it with a margin (dashed)."
        seen = widen(box, NODULE_MARGIN, frame.shape)
        lines = _rectangle(box) + _rectangle(seen, ' stroke-dasharray="5 4"')
    height, width = frame.shape[:2]
    return (
        f'<p class="thyro-fine">{escape(said)}</p>'
        f'<svg class="thyro-sketch" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="The frame with the marked nodule">'
        f'<image href="{jpeg(frame)}" width="{width}" height="{height}"/>{lines}</svg>'
    )


def _rectangle(box: Box, style: str = "") -> str:
    return f'<rect x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}"{style}/>'
