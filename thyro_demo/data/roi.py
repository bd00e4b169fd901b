"""Regions of interest: the box around each nodule, and what a network sees beside it."""

import math

import numpy as np
import pandas as pd

from thyro_demo.data.masks import corners, nodule_mask, polygons
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError

NODULE_MARGIN = 0.2
"""What a network that reads a nodule sees beside it, as a share of the box's sides on each side."""


def widen(box: Box, share: float, shape: tuple[int, ...]) -> Box:
    """Move the sides of a box outwards, as far as the frame goes.

    Parameters
    ----------
    box : Box
        A box in the frame's coordinates; it may stray over the frame's edge.
    share : float
        What is added on each side, as a share of the box's width or height, ≥ 0.
    shape : tuple of int
        Height and width of the frame in pixels.

    Returns
    -------
    Box
        Whole pixels, rounded outwards.

    Examples
    --------
    >>> widen(Box(100, 50, 200, 100), 0.2, (360, 480))
    Box(left=80, top=40, right=220, bottom=110)
    """
    across, down = share * box.width, share * box.height
    return Box(
        max(math.floor(box.left - across), 0),
        max(math.floor(box.top - down), 0),
        min(math.ceil(box.right + across), shape[1]),
        min(math.ceil(box.bottom + down), shape[0]),
    )


def mask_box(mask: np.ndarray) -> Box | None:
    """Find the box around a mask.

    Parameters
    ----------
    mask : np.ndarray
        bool (H, W).

    Returns
    -------
    Box or None
        The smallest box that holds every True pixel; None where there is none.

    Examples
    --------
    >>> mask = np.zeros((5, 5), bool)
    >>> mask[1:3, 2:4] = True
    >>> mask_box(mask)
    Box(left=2, top=1, right=4, bottom=3)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def nodule_boxes(records: pd.DataFrame) -> list[Box | None]:
    """Find the box around the nodule of each record, as tight as it was outlined.

    Parameters
    ----------
    records : DataFrame
        Record table that holds where the nodule is, in the first of these that it has:
        a column `roi` (a `Box`, or "left top right bottom" in pixels), columns `x0`, `y0`,
        `x1` and `y1` of the same meaning, or what `masks.nodule_mask` reads: `polygons`, of
        which the largest counts (others are a second view, or a second nodule), else the masks
        of `mask_paths` or `mask_path`, united.

    Returns
    -------
    list of Box or None
        One a row, without a margin (see `widen`); None where no nodule is outlined. A
        freehand outline may stray over the edge of its frame, and its box with it.

    Raises
    ------
    DataError
        If the table has none of these columns, or a box cannot be read.
    ImageError
        If a polygon is none, or a mask cannot be read.

    Examples
    --------
    >>> records = pd.DataFrame({"path": ["a.png", "b.png"], "roi": ["20 30 60 70", None]})
    >>> nodule_boxes(records)
    [Box(left=20, top=30, right=60, bottom=70), None]
    """
    if "roi" in records:
        return [_written_box(cell) for cell in records["roi"]]
    if {"x0", "y0", "x1", "y1"} <= set(records.columns):
        corners = records[["x0", "y0", "x1", "y1"]].itertuples(index=False)
        return [_written_box(" ".join(map(str, row))) for row in corners]
    if {"polygons", "mask_paths", "mask_path"} & set(records.columns):
        return [_outlined_box(record) for _, record in records.iterrows()]
    raise DataError(
        "A table for a bundle that reads a marked nodule must have a column roi "
        "(left top right bottom), polygons, mask_paths or mask_path. "
        f"Received: {', '.join(map(str, records.columns))}."
    )


def _written_box(cell: object) -> Box | None:
    """Read "left top right bottom"; an empty cell, or NaN in each place, is no box."""
    if isinstance(cell, Box):
        return cell
    text = str(cell).strip()
    if not set(text.lower().split()) - {"nan", "none", "<na>"}:
        return None
    try:
        box = Box(*(int(float(number)) for number in text.split()))
    except (ValueError, TypeError, OverflowError):
        box = Box(0, 0, 0, 0)
    if box.width < 1 or box.height < 1:
        raise DataError(
            "A region of interest must be left top right bottom in pixels, separated by spaces, "
            f"right and bottom the larger ones. Received: {text!r}."
        )
    return box


def _outlined_box(record: pd.Series) -> Box | None:
    """Find the box around the largest polygon of a frame, else around its masks."""
    # Polygons are not drawn: one that strays over the edge of its frame keeps its box.
    if boxes := [_around(corners(polygon)) for polygon in polygons(record)]:
        return max(boxes, key=lambda box: box.width * box.height)
    mask = nodule_mask(record)
    return None if mask is None else mask_box(mask)


def _around(corners: np.ndarray) -> Box:
    """Find the box of pixels around corners, float (n, 2)."""
    left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
    # A corner names the pixel it is on, so the pixel itself belongs to the box.
    right, bottom = (np.floor(corners.max(axis=0)).astype(int) + 1).tolist()
    return Box(left, top, right, bottom)
