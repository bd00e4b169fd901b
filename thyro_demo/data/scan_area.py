"""Find the scan area of a frame, cut it out, and place a map of the cut back on the frame."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from thyro_demo.errors import ImageError

# How the scan area is separated from its border; lengths are fractions of the frame's sides.
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


def find(image: np.ndarray) -> Box:
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
        whole frame where no border is found.

    Examples
    --------
    >>> frame = np.zeros((200, 300, 3), np.uint8)
    >>> frame[40:180, 50:250] = 90
    >>> find(frame)
    Box(left=49, top=39, right=251, bottom=181)
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

    Examples
    --------
    >>> crop(np.arange(12).reshape(3, 4), Box(left=1, top=0, right=3, bottom=2))
    array([[1, 2],
           [5, 6]])
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

    Examples
    --------
    >>> square = resize(np.full((60, 80, 3), 90, np.uint8), 32)
    >>> square.shape, square.dtype.name, float(square.max())
    ((32, 32, 3), 'float32', 90.0)
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

    Examples
    --------
    >>> frame = np.zeros((200, 300, 3), np.uint8)
    >>> frame[40:180, 50:250] = 90
    >>> square, box = prepare(frame, 64)
    >>> square.shape, box.width, box.height
    ((64, 64, 3), 202, 142)
    """
    box = find(image) if roi is None else Box(*roi)
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

    Examples
    --------
    >>> heatmap = np.array([[0.0, 1.0]], np.float32)
    >>> place(heatmap, Box(left=1, top=1, right=3, bottom=2), (2, 4))
    array([[0., 0., 0., 0.],
           [0., 0., 1., 0.]], dtype=float32)
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


def _check_inside(box: Box, shape: tuple[int, ...]) -> None:
    height, width = shape[:2]
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise ImageError(
            f"A box must hold at least one pixel and be inside the frame of {width} × {height} "
            f"pixels. Received: {tuple(box)}."
        )
