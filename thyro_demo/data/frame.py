"""One frame as its file holds it, and the limits that every format is read within."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from thyro_demo.data import scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ImageError

MIN_SIDE = 32
"""Shortest side of an image in pixels; less holds no anatomy."""

MAX_PIXELS = 64_000_000
"""Most pixels of an image; known from the header, before anything is decoded."""

MAX_FRAMES = 5_000
"""Most frames of a file: minutes of a loop. More take long only to be counted."""


class Spacing(NamedTuple):
    """How many millimetres of the patient a pixel covers."""

    across: float
    down: float


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of an image file, with what the file reports of it.

    Nothing that names a patient is among it.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        RGB, 0–255.
    number : int
        Which frame of the file it is, from 1.
    count : int
        How many frames of the file can be read.
    area : Box or None
        The scan area as the scanner recorded it; None where it recorded none.
    spacing : Spacing or None
        Millimetres a pixel; None where they are not known.
    notices : tuple of str
        Sentences to show with the frame.
    """

    pixels: np.ndarray
    number: int = 1
    count: int = 1
    area: Box | None = None
    spacing: Spacing | None = None
    notices: tuple[str, ...] = ()

    def scan_area(self) -> Box:
        """Return the scan area: as recorded, else as `scan_area.find` finds it.

        Returns
        -------
        Box
            In pixels of the frame.

        Examples
        --------
        >>> Frame(np.zeros((48, 64, 3), np.uint8)).scan_area()
        Box(left=0, top=0, right=64, bottom=48)
        """
        return scan_area.find(self.pixels) if self.area is None else self.area


def check_size(width: int, height: int, name: str) -> None:
    """Refuse an image that is too large or too small.

    Parameters
    ----------
    width, height : int
        In pixels, as its header states them.
    name : str
        What the message calls the file.

    Raises
    ------
    ImageError
        If there are more than `MAX_PIXELS`, or a side is shorter than `MIN_SIDE`.
    """
    if width * height > MAX_PIXELS:
        raise too_large(name, f"{width} × {height} = {width * height:,}")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"Both sides of an image must have at least {MIN_SIDE} pixels. "
            f"Received: {name} with {width} × {height} pixels."
        )


def too_large(name: str, pixels: str) -> ImageError:
    """Word the refusal of an image with so many pixels."""
    return ImageError(
        f"An image may have at most {MAX_PIXELS:,} pixels; scale it down first. "
        f"Received: {name} with {pixels} pixels."
    )


def check_number(number: int, count: int, name: str) -> None:
    """Refuse a frame that a file does not hold.

    Parameters
    ----------
    number : int
        Which frame is asked for, from 1.
    count : int
        How many there are.
    name : str
        What the message calls the file.

    Raises
    ------
    ImageError
        If there are more than `MAX_FRAMES`, or none of that number.
    """
    if count > MAX_FRAMES:
        raise too_many(name, f"{count:,}")
    if not 1 <= number <= count:
        held = "1, the only one" if count == 1 else f"one from 1 to {count}"
        raise ImageError(f"The frame must be {held}. Received: frame={number} of {name}.")


def too_many(name: str, frames: str) -> ImageError:
    """Word the refusal of a file with so many frames."""
    return ImageError(
        f"A file may hold at most {MAX_FRAMES:,} frames; export the part of interest. "
        f"Received: {name} with {frames} frames."
    )


def within(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """Return width and height, or height and width, made to fit into a square of this side."""
    if longest is None or max(size) <= longest:
        return size
    share = longest / max(size)
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def shrunk(box: Box, share: float, shape: tuple[int, ...]) -> Box:
    """Shrink a box with its frame to the frame's new shape, one pixel a side at least."""
    left, top = int(box.left * share), int(box.top * share)
    right = min(max(round(box.right * share), left + 1), shape[1])
    return Box(left, top, right, min(max(round(box.bottom * share), top + 1), shape[0]))


def grey(values: np.ndarray, name: str) -> np.ndarray:
    """Scale grey values by their own least and greatest value, and make RGB of them.

    Parameters
    ----------
    values : np.ndarray
        (H, W), numbers of any range.
    name : str
        What the message calls the file.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3), 0–255; a constant image becomes 0.

    Raises
    ------
    ImageError
        If a value is not finite.

    Examples
    --------
    >>> grey(np.array([[-1.0, 0.0, 1.0]]), "values")[0, :, 0]
    array([  0, 128, 255], dtype=uint8)
    """
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError(
            "The pixels of an image must be finite numbers. "
            f"Received: {name} with {np.count_nonzero(~np.isfinite(values)):,} pixels that are "
            "NaN or infinite."
        )
    return repeat(to_bytes(values, values.min(), values.max()))


def to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale finite numbers between two to uint8 0–255; all become 0 where these are equal."""
    if low == high:
        return np.zeros(values.shape, np.uint8)
    # Halved first: the span of two finite numbers can overflow.
    scaled = (values / 2 - low / 2) / (high / 2 - low / 2)
    return np.rint(scaled * 255).astype(np.uint8)


def repeat(values: np.ndarray) -> np.ndarray:
    """Make RGB, uint8 (H, W, 3), of grey values, uint8 (H, W)."""
    return np.repeat(values[..., None], 3, axis=2)
