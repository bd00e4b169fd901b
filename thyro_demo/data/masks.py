"""The nodule of a frame as pixels, whichever way its set outlines it."""

import hashlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from thyro_demo.data import contents, images
from thyro_demo.data.frame import check_size
from thyro_demo.data.loaders.ddti import ddti
from thyro_demo.data.raster import FORMATS, upright
from thyro_demo.errors import ImageError

# Labels of frames in which there is no nodule, nor a lesion.
_WITHOUT = ("normal", "autoimmune")
_HALF = 127  # of 255: masks that were resampled, or stored as JPEG, have grey edges


def nodule_mask(record: pd.Series | Mapping[str, Any]) -> np.ndarray | None:
    """Draw the nodule of a frame, or the lesion of another organ.

    Parameters
    ----------
    record : Series or mapping
        A row of a record table: `path` and, in this order, `polygons` (list of (n, 2), x and
        y in pixels), `mask_paths` (list of str) or `mask_path`; `label` and `nodule_share`
        may state that there is none.

    Returns
    -------
    ndarray or None
        bool (H, W), True on the nodule, of the size of the frame as `images.decode` returns it;
        several outlines or masks are united, and a mask of another size is resized to the
        nearest pixel. All False where the set states that there is no nodule; None where
        nothing is known.

    Raises
    ------
    ImageError
        If a mask cannot be read, or the frame, where its set does not list `width` and `height`.
    """
    drawn = outlines(record)
    if drawn:
        return np.logical_or.reduce(drawn)
    return np.zeros(_shape(record), bool) if _is_without(record) else None


def outlines(record: pd.Series | Mapping[str, Any]) -> list[np.ndarray]:
    """Draw each outline of a frame by itself.

    Parameters
    ----------
    record : Series or mapping
        As for `nodule_mask`.

    Returns
    -------
    list of ndarray
        bool (H, W) each, of the size of the frame; empty where the set outlines none.

    Raises
    ------
    ImageError
        If a mask cannot be read, or the frame, where its set does not list `width` and `height`.
    """
    shapes, paths = polygons(record), _paths(record)
    if not shapes and not paths:
        return []
    shape = _shape(record)
    if shapes:
        return [polygon_mask(polygon, shape) for polygon in shapes]
    return [_fitted(read_mask(path), shape) for path in paths]


def digest(record: pd.Series | Mapping[str, Any]) -> str:
    """Hash what outlines a frame, without the frame.

    Parameters
    ----------
    record : Series or mapping
        As for `nodule_mask`.

    Returns
    -------
    str
        64 hexadecimal digits, of the corners of its polygons and the content of its masks; empty
        where there is neither.

    Raises
    ------
    ImageError
        If a mask cannot be read.
    """
    parts = [np.asarray(polygon, float).tobytes() for polygon in polygons(record)]
    parts += [contents.read(path)[0] for path in _paths(record)]
    lengths = [len(part).to_bytes(8) for part in parts]
    return hashlib.sha256(b"".join([*lengths, *parts])).hexdigest() if parts else ""


def _paths(record: pd.Series | Mapping[str, Any]) -> list[str]:
    """Return the files of the masks of a frame."""
    only = record.get("mask_path")
    return _list(record, "mask_paths") or ([only] if isinstance(only, str) and only else [])


def _shape(record: pd.Series | Mapping[str, Any]) -> tuple[int, int]:
    """Return height and width of a frame; of one that is torn, those that its set lists."""
    try:
        width, height = images.size(record["path"])
        return height, width
    except ImageError:
        listed = [record.get(side) for side in ("height", "width")]
        known = [int(side) for side in listed if side is not None and not math.isnan(side)]
        if len(known) < 2:
            raise
        # Whoever asks for the pixels of a torn frame meets the refusal there.
        return known[0], known[1]


def polygons(record: pd.Series | Mapping[str, Any]) -> list[np.ndarray]:
    """Return the polygons of a frame, float (n, 2) each; none where its set gives none."""
    return _list(record, "polygons")


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

    Examples
    --------
    >>> int(polygon_mask(np.array([[1, 1], [3, 1], [3, 2], [1, 2]]), (4, 5)).sum())
    6
    """
    points = corners(polygon)
    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in points.tolist()], fill=1, outline=1)
    return np.array(canvas)


def corners(polygon: np.ndarray) -> np.ndarray:
    """Check a polygon and return its corners, float64 (n, 2)."""
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


def read_mask(path: str) -> np.ndarray:
    """Read a mask, drawn in white, in numbers from 1 on, or in colours on black: bool (H, W)."""
    content, name = contents.read(path)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as stored:
            is_lossy = stored.format in ("JPEG", "WEBP")
            check_size(*stored.size, name)
            # As its frame is: a mask of the same file is turned with it.
            image = upright(stored)
            is_grey = image.mode in ("1", "L") or image.mode[0] in "IF"
            values = np.asarray(image if is_grey else image.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:
        # Pillow's parsers raise nearly anything on a damaged file.
        raise ImageError(
            "A mask must be a PNG, JPEG, BMP, TIFF, WebP, PGM or GIF file. "
            f"Received: {name} ({type(error).__name__})."
        ) from error
    if values.ndim == 3:
        values = values.max(axis=2)
    is_byte = values.dtype == np.uint8
    return values > (_HALF if is_byte and (is_lossy or values.max() > _HALF) else 0)


def _list(record: pd.Series | Mapping[str, Any], column: str) -> list[Any]:
    """Read a cell that holds a list; tables that were joined have NaN in some."""
    cell = record.get(column)
    return list(cell) if isinstance(cell, list | tuple) else []


def _is_without(record: pd.Series | Mapping[str, Any]) -> bool:
    """Check whether the set states that a frame shows no nodule."""
    return record.get("label") in _WITHOUT or record.get("nodule_share") == 0


def _fitted(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize a mask to the size of its frame."""
    if mask.shape == shape:
        return mask
    resized = Image.fromarray(mask.view(np.uint8)).resize(shape[::-1], Image.Resampling.NEAREST)
    return np.asarray(resized).view(bool)


def with_outlines(records: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Add the outlines of DDTI to frames that stem from it.

    Parameters
    ----------
    records : DataFrame
        Record table; one with a column `ddti_file` and without outlines of its own is joined.
    root : Path
        Where its images are; DDTI is the folder `ddti` beside it.

    Returns
    -------
    DataFrame
        The same records, with a column `polygons` (an empty list where there is none) if they
        could be joined.
    """
    beside = root.resolve().parent / "ddti"
    outlined = {"polygons", "mask_path", "mask_paths"} & set(records.columns)
    if outlined or "ddti_file" not in records or not beside.is_dir():
        return records
    frames = ddti(beside)
    names = [Path(path).name for path in frames["path"]]
    known = dict(zip(names, frames["polygons"], strict=True))
    return records.assign(polygons=[known.get(name, []) for name in records["ddti_file"]])
