"""Decode image files to RGB arrays, and refuse what is none in one sentence: the one reader."""

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from thyro_demo.data import dicom, raster
from thyro_demo.data.contents import ACCEPTED, read
from thyro_demo.data.frame import Frame
from thyro_demo.errors import ImageError


@dataclass(frozen=True, eq=False)
class Preview:
    """A small copy of a frame, to be looked at.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
        RGB, 0–255.
    size : tuple of int
        Width and height of the frame itself in pixels.
    count : int
        How many frames of the file can be read.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    count: int


def decode(source: str | Path | bytes) -> np.ndarray:
    """Decode the first frame of an image to RGB.

    The orientation in the EXIF data, or in the container of a HEIC file, is applied,
    transparency is laid over black, and grey images of more than 8 bits without
    transparency are scaled by their own least and greatest value, or, in a DICOM file, as
    its window asks. Of 16 bits in colour, or in grey with transparency, the upper eight
    are kept.

    Parameters
    ----------
    source : str, Path or bytes
        A file, a member of a zip archive as ``"archive.zip::folder/name.webp"``, or
        the content of a file.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3), RGB, 0–255; both sides at least `frame.MIN_SIDE` pixels.

    Raises
    ------
    ImageError
        If the source is missing, empty, a folder, of another format, damaged, smaller
        than `frame.MIN_SIDE`, larger than `frame.MAX_PIXELS`, or holds values that are
        not finite.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (64, 48), 90).save(file, "PNG")
    >>> decode(file.getvalue()).shape
    (48, 64, 3)
    """
    return load(source).pixels


def load(source: str | Path | bytes, number: int = 1) -> Frame:
    """Decode one frame of an image, with what its file reports of it.

    Parameters
    ----------
    source : str, Path or bytes
        As `decode` takes it.
    number : int, optional
        Which frame of a loop, a stack or a multi-frame DICOM file, from 1.

    Returns
    -------
    Frame
        The pixels as `decode` returns them; of a DICOM file also scan area and pixel
        spacing, where it has them, and nothing else of what it holds.

    Raises
    ------
    ImageError
        As `decode`, or if the file has no frame of that number.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> pages = [Image.new("L", (64, 48), shade) for shade in (30, 90)]
    >>> pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    >>> frame = load(file.getvalue(), 2)
    >>> int(frame.pixels.max()), frame.number, frame.count, frame.spacing
    (90, 2, 2, None)
    """
    content, name = _content(source)
    with _quiet():
        if dicom.is_dicom(content):
            return dicom.load(content, name, number)
        held = raster.read(content, name, number)
    return Frame(held.pixels, number, held.count, notices=held.notices)


def preview(source: str | Path | bytes, number: int = 1, *, longest: int) -> Preview:
    """Decode a frame no finer than a preview needs.

    Parameters
    ----------
    source : str, Path or bytes
        As `decode` takes it.
    number : int, optional
        As `load` takes it.
    longest : int
        Longest side of the preview in pixels; a smaller frame stays as it is.

    Returns
    -------
    Preview
        The small copy, the size of the frame, and how many there are.

    Raises
    ------
    ImageError
        As `load`.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (640, 480), 90).save(file, "JPEG")
    >>> small = preview(file.getvalue(), longest=100)
    >>> small.pixels.shape, small.size, small.count
    ((75, 100, 3), (640, 480), 1)
    """
    content, name = _content(source)
    with _quiet():
        if not dicom.is_dicom(content):
            held = raster.read(content, name, number, longest)
            return Preview(held.pixels, held.size, held.count)
        frame = dicom.load(content, name, number)
    image = Image.fromarray(frame.pixels)
    full = image.size
    image.thumbnail((longest, longest))
    return Preview(np.asarray(image), full, frame.count)


def size(source: str | Path | bytes) -> tuple[int, int]:
    """Read width and height of an image as `decode` returns it, without decoding the pixels."""
    content, name = read(source)
    with _quiet():
        found = dicom.size(content, name) if dicom.is_dicom(content) else raster.size(content)
    if found is not None:
        return found
    height, width = decode(source).shape[:2]
    return width, height


def unreadable(sources: Sequence[str | Path]) -> dict[int, str]:
    """Decode all images of a set, and report which cannot be read.

    Parameters
    ----------
    sources : sequence of str or Path
        As `decode` takes them.

    Returns
    -------
    dict of int to str
        By position one sentence on what is wrong.
    """
    bad = {}
    for row, path in enumerate(tqdm(sources, "decoding", unit="image", leave=False, disable=None)):
        try:
            decode(path)
        except ImageError as error:
            bad[row] = str(error)
    return bad


def begins_like_one(path: Path) -> bool:
    """Check by the beginning of a file whether it is an image, without decoding the pixels.

    Parameters
    ----------
    path : Path
        A file.

    Returns
    -------
    bool
        False also where it cannot be read, and for the directory of a DICOM disk.
    """
    with _quiet(), contextlib.suppress(Exception):
        # Pillow's parsers raise nearly anything on what is no image.
        with open(path, "rb") as file:
            head = file.read(1024)
        if dicom.is_dicom(head):
            return not dicom.is_directory(head)
        if raster.is_heif(head):
            return True
        with Image.open(path, formats=raster.FORMATS):
            return True
    return False


def _content(source: str | Path | bytes) -> tuple[bytes, str]:
    content, name = read(source)
    if not content:
        raise ImageError(f"An image file must be {ACCEPTED}. Received: {name} with 0 bytes.")
    return content, name


class _Silence:
    """Hold back what libraries warn of, which is refused here or does no harm to the pixels."""

    # `warnings.catch_warnings` swaps a list that all threads share: it is swapped by the first of
    # those who decode at the same time, and swapped back by the last.

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoding = 0
        self._caught: warnings.catch_warnings | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._decoding += 1
            if self._decoding == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
        try:
            yield
        finally:
            with self._lock:
                self._decoding -= 1
                if self._decoding == 0 and self._caught is not None:
                    self._caught.__exit__(None, None, None)


_quiet = _Silence()
