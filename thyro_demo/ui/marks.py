"""Mark a nodule: two clicks on opposite corners of a box, drawn on a small copy of the frame.

A mark is a tuple: empty, one corner (x, y), or a box (left, top, right, bottom), in pixels
of the frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thyro_demo.data.roi import NODULE_MARGIN, widen
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ThyroError
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.html import render
from thyro_demo.ui.pictures import frame_address

Mark = tuple[int, ...]

_SHORTEST_SIDE = 8


def click(mark: Mark, x: int, y: int) -> Mark:
    """Take a click on the pixel (x, y) into a mark; after a box it is a new first corner."""
    if len(mark) != 2:
        return (x, y)
    # A second corner too near to the first, as in a double click, is passed over.
    box = Box(min(mark[0], x), min(mark[1], y), max(mark[0], x) + 1, max(mark[1], y) + 1)
    return mark if min(box.width, box.height) < _SHORTEST_SIDE else tuple(box)


def region(mark: Mark) -> Box | None:
    """Return the box of a mark; None while the mark is incomplete."""
    return Box(*mark) if len(mark) == 4 else None


def edges(box: Any) -> tuple[float, ...] | None:
    """Read a box that a page sends as shares of a frame's sides.

    Parameters
    ----------
    box : list of float or None
        Left, top, right and bottom, 0–1.

    Returns
    -------
    tuple of float or None
        The same, checked; None without a box.

    Raises
    ------
    ThyroError
        If it is no such box.
    """
    if box is None:
        return None
    if not (_are_shares(box, 4) and box[0] < box[2] and box[1] < box[3]):
        raise ThyroError(
            "A box must be left, top, right and bottom as shares of the frame's sides, from 0 to "
            f"1. Received: {str(box)[:60]}."
        )
    return tuple(float(one) for one in box)


def ends(calipers: Any) -> list[tuple[float, float]]:
    """Read where a page puts the two ends of calipers, as shares of a frame's sides.

    Parameters
    ----------
    calipers : list of list of float, or None
        x and y of each end, 0–1.

    Returns
    -------
    list of (float, float)
        The same, checked; empty without calipers.

    Raises
    ------
    ThyroError
        If they are no such ends.
    """
    if calipers is None:
        return []
    is_pair = isinstance(calipers, list) and len(calipers) == 2
    if not (is_pair and all(_are_shares(end, 2) for end in calipers)):
        raise ThyroError(
            "Calipers must be two ends, each x and y as shares of the frame's sides, from 0 to 1. "
            f"Received: {str(calipers)[:60]}."
        )
    return [(float(x), float(y)) for x, y in calipers]


def _are_shares(values: Any, count: int) -> bool:
    """Check for a list of so many plain numbers from 0 to 1."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(one) in (int, float) and 0 <= one <= 1 for one in values)
    )


def sketch(
    frame: np.ndarray | None, mark: Mark, models: str, size: tuple[int, int] | None = None
) -> str:
    """Write what is marked, a line, and what models see of it, dashed, on a copy of the frame.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3), or None
        The frame, or a small copy of it.
    mark : tuple of int
        In pixels of the frame.
    models : str
        Titles of those that read it.
    size : tuple of int, optional
        Width and height of the frame, needed where `frame` is a copy.

    Returns
    -------
    str
        HTML.
    """
    text = words("compare")["mark"]
    if frame is None or not mark:
        sentence = text["asked"].format(models=models)
        return render("mark", sentence=sentence, mark=())
    box = region(mark)
    sentence = text["corner"] if box is None else text["marked"].format(models=models)
    width, height = frame.shape[1::-1] if size is None else size
    return render(
        "mark",
        sentence=sentence,
        mark=mark,
        box=box,
        seen=box and widen(box, NODULE_MARGIN, (height, width)),
        width=width,
        height=height,
        picture=frame_address(frame),
    )
