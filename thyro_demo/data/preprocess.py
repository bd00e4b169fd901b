"""Find the scan area of a frame, cut it out, and lay a map of the cut back on the frame."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from thyro_demo.data.images import decode
from thyro_demo.errors import DataError, ImageError

if TYPE_CHECKING:
    import pandas as pd

NODULE_MARGIN = 0.2
"""What a network that reads a nodule sees beside it, as a share of the box's sides on each side."""

# How the scan area is told from its border; lengths are fractions of the frame's sides.
_BLACK = 10  # grey level up to which a pixel may be border: JPEG rings around text reach it
_WINDOW = 0.015  # radius of the square in which density is measured
_DENSE = 0.8  # part of the square that is bright in tissue; strokes of text stay below
_VIEW = 0.1  # a region this large beside the largest is a view of a split screen
_EDGE = 0.15  # part of a row or column that is bright at the edge of the scan area
_FAINT = 2  # grey level of the weak echoes at the bottom, where attenuation is greatest
_DEEP = 0.12  # part of a row with weak echoes that still belongs to the scan area
_MARGIN = 0.005  # freehand outlines stray this far over the edge
_LEAST = 0.05  # part of the frame below which a find is no scan area
_LONGEST = 1000  # pixels; a longer frame is searched at every second, third, … pixel


class Box(NamedTuple):
    """A rectangle of pixels; `right` and `bottom` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows in pixels."""
        return self.bottom - self.top


def scan_area(image: np.ndarray) -> Box:
    """Find the ultrasound scan area of a frame.

    Tissue is dense with echoes, whereas text, icons and scales are thin strokes on
    black. The box around the dense regions is widened to their edges: on three sides
    as far as rows and columns stay bright, at the bottom, where attenuation leaves
    only weak echoes, as far as these go.

    Parameters
    ----------
    image : np.ndarray
        uint8 (H, W, 3), RGB.

    Returns
    -------
    Box
        The scan area, of both views on a split screen, with a margin of 0.5 %; the
        whole frame where no border can be told from it.
    """
    height, width = image.shape[:2]
    step = -(-max(height, width) // _LONGEST)
    sparse = image[::step, ::step]
    grey = np.maximum(np.maximum(sparse[..., 0], sparse[..., 1]), sparse[..., 2])
    core = _dense_core(grey > _BLACK)
    if core is None:
        return Box(0, 0, width, height)
    found = _widen(core, grey)
    right, bottom = min(found.right * step, width), min(found.bottom * step, height)
    across = math.ceil(_MARGIN * (right - found.left * step))
    down = math.ceil(_MARGIN * (bottom - found.top * step))
    box = Box(
        max(found.left * step - across, 0),
        max(found.top * step - down, 0),
        min(right + across, width),
        min(bottom + down, height),
    )
    if box.width * box.height < _LEAST * width * height:
        return Box(0, 0, width, height)
    return box


def _dense_core(bright: np.ndarray) -> Box | None:
    """Find the box around the large regions of bool (H, W) in which most pixels are True."""
    radius = max(2, round(_WINDOW * min(bright.shape)))
    mask = Image.fromarray(bright.view(np.uint8) * np.uint8(255))
    density = np.asarray(mask.filter(ImageFilter.BoxBlur(radius)))
    regions, count = ndimage.label(density > 255 * _DENSE)
    if not count:
        return None
    sizes = np.bincount(regions.ravel())[1:]
    found = ndimage.find_objects(regions)
    views = [found[index] for index in np.flatnonzero(sizes >= _VIEW * sizes.max())]
    return Box(
        min(columns.start for _, columns in views),
        min(rows.start for rows, _ in views),
        max(columns.stop for _, columns in views),
        max(rows.stop for rows, _ in views),
    )


def _widen(core: Box, grey: np.ndarray) -> Box:
    """Move the sides of `core` outwards to the edges of the scan area in uint8 (H, W)."""
    bright = grey > _BLACK
    columns = bright[core.top : core.bottom].mean(axis=0) > _EDGE
    rows = bright[: core.top, core.left : core.right].mean(axis=1) > _EDGE
    deep = (grey[core.bottom :, core.left : core.right] > _FAINT).mean(axis=1) > _DEEP
    return Box(
        core.left - _run(columns[: core.left][::-1]),
        core.top - _run(rows[::-1]),
        core.right + _run(columns[core.right :]),
        core.bottom + _run(deep),
    )


def _run(values: np.ndarray) -> int:
    """Count the True values at the start of bool (n,)."""
    return len(values) if values.all() else int(np.argmin(values))


def polygon_mask(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill a polygon.

    Parameters
    ----------
    polygon : np.ndarray
        float (n, 2), the corners as x, y in pixels; at least three.
    shape : tuple of int
        Height and width of the frame in pixels.

    Returns
    -------
    np.ndarray
        bool (H, W), True on the polygon and its outline.

    Raises
    ------
    ImageError
        If the polygon has fewer than three corners or corners that are not finite.
    """
    corners = _corners(polygon)
    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in corners.tolist()], fill=1, outline=1)
    return np.array(canvas)


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
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def regions(records: "pd.DataFrame") -> list[Box | None]:
    """Find the box around the nodule of each record, as tight as it was outlined.

    Parameters
    ----------
    records : DataFrame
        Record table that says where the nodule is, in the first of these that it has:
        a column `roi` (a `Box`, or "left top right bottom" in pixels), columns `x0`, `y0`,
        `x1` and `y1` of the same meaning, `polygons` as `datasets.ddti` gives them, of which
        the largest counts (others are a second view, or a second nodule), or `mask_path` as
        `datasets.phantoms` gives it.

    Returns
    -------
    list of Box or None
        One a row, without a margin (see `widen`); None where no nodule is outlined. A
        freehand outline may stray over the edge of its frame, and its box with it.

    Raises
    ------
    DataError
        If the table has none of these columns, or a box cannot be read.
    """
    if "roi" in records:
        return [_written_box(cell) for cell in records["roi"]]
    if {"x0", "y0", "x1", "y1"} <= set(records.columns):
        corners = records[["x0", "y0", "x1", "y1"]].itertuples(index=False)
        return [_written_box(" ".join(map(str, row))) for row in corners]
    if "polygons" in records:
        return [_largest(outlines) for outlines in records["polygons"]]
    if "mask_path" in records:
        masks = [path if isinstance(path, str) else None for path in records["mask_path"]]
        return [None if path is None else mask_box(decode(path)[..., 0] > 0) for path in masks]
    raise DataError(
        "A bundle that reads a marked nodule needs a table with a column roi "
        "(left top right bottom), polygons or mask_path. "
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
            "A region of interest has to be left top right bottom in pixels, each apart by a "
            f"space, right and bottom the larger ones. Received: {text!r}."
        )
    return box


def _largest(outlines: list[np.ndarray]) -> Box | None:
    """Find the box of pixels around the largest of some polygons, float (n, 2)."""
    boxes = [_around(_corners(outline)) for outline in outlines]
    return max(boxes, key=lambda box: box.width * box.height, default=None)


def _around(corners: np.ndarray) -> Box:
    """Find the box of pixels around corners, float (n, 2)."""
    left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
    # A corner names the pixel it lies on, so the pixel itself belongs to the box.
    right, bottom = (np.floor(corners.max(axis=0)).astype(int) + 1).tolist()
    return Box(left, top, right, bottom)


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """Cut a box out of an image.

    Parameters
    ----------
    image : np.ndarray
        (H, W) or (H, W, channels), any dtype.
    box : Box
        What to keep, inside the image.

    Returns
    -------
    np.ndarray
        A view of `image`, (box.height, box.width, …).

    Raises
    ------
    ImageError
        If the box is empty or reaches out of the image.
    """
    _check_inside(box, image.shape)
    return image[box.top : box.bottom, box.left : box.right]


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize an image to a square, bilinearly, without padding.

    Parameters
    ----------
    image : np.ndarray
        uint8 (H, W, 3).
    size : int
        Side of the result in pixels.

    Returns
    -------
    np.ndarray
        float32 (size, size, 3), 0–255. Shrinking averages over all pixels that are
        merged (Pillow's bilinear filter), so that speckle does not alias.
    """
    square = Image.fromarray(np.ascontiguousarray(image)).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    return np.asarray(square, np.float32)


def prepare(image: np.ndarray, size: int, roi: Box | None = None) -> tuple[np.ndarray, Box]:
    """Cut the scan area, or a region of interest, and resize it for a network.

    Parameters
    ----------
    image : np.ndarray
        uint8 (H, W, 3), RGB.
    size : int
        Input size of the network in pixels.
    roi : Box, optional
        Region of interest in the frame's coordinates; the scan area without one.

    Returns
    -------
    square : np.ndarray
        float32 (size, size, 3), 0–255.
    box : Box
        What was cut out.

    Raises
    ------
    ImageError
        If `roi` is empty or reaches out of the image.
    """
    box = scan_area(image) if roi is None else Box(*roi)
    return resize(crop(image, box), size), box


def place(heatmap: np.ndarray, box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Lay a map of a cut back on the frame it was cut from.

    Parameters
    ----------
    heatmap : np.ndarray
        float32 (h, w), any resolution.
    box : Box
        The cut, as `prepare` returned it.
    shape : tuple of int
        Height and width of the frame in pixels.

    Returns
    -------
    np.ndarray
        float32 (H, W): bilinear inside the box, within the range of `heatmap`; 0
        outside.

    Raises
    ------
    ImageError
        If the box is empty or reaches out of the frame.
    """
    _check_inside(box, shape)
    heatmap = np.ascontiguousarray(heatmap, np.float32)
    inside = Image.fromarray(heatmap).resize((box.width, box.height), Image.Resampling.BILINEAR)
    frame = np.zeros(shape[:2], np.float32)
    # Weights that add up to 1 only within rounding must not lead out of the range.
    frame[box.top : box.bottom, box.left : box.right] = np.clip(
        np.asarray(inside), heatmap.min(), heatmap.max()
    )
    return frame


def _corners(polygon: np.ndarray) -> np.ndarray:
    corners = np.asarray(polygon, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ImageError(
            "A polygon must have at least three corners of x and y. "
            f"Received: an array of shape {corners.shape}."
        )
    if not np.isfinite(corners).all():
        raise ImageError(
            "The corners of a polygon must be finite numbers of pixels. "
            f"Received: {corners[~np.isfinite(corners).all(axis=1)][0].tolist()}."
        )
    return corners


def _check_inside(box: Box, shape: tuple[int, ...]) -> None:
    height, width = shape[:2]
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise ImageError(
            f"A box must hold at least one pixel and lie in the frame of {width} × {height} "
            f"pixels. Received: {tuple(box)}."
        )
