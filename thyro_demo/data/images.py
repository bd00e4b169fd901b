"""Decode image files to RGB arrays, and refuse what is not one image in one sentence."""

import contextlib
import functools
import io
import os
import re
import threading
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from thyro_demo.errors import ImageError

MIN_SIDE = 32
"""Shortest side of an image in pixels; less holds no anatomy."""

MAX_PIXELS = 64_000_000
"""Most pixels of an image; known from the header, before anything is decoded."""

ACCEPTED = "a PNG, JPEG, BMP, TIFF, WebP, PGM or still GIF file"

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
# A JPEG with further pictures, a preview or a depth map, after the photo: phones write it.
_FIRST_FRAME_IS_THE_IMAGE = frozenset({"MPO"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ARCHIVE_MEMBER = "::"

# Tags of TIFF, and what they hold.
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339
_WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 0, (1,), (2,)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Of a PNG the chunks that make its pixels, and the one that marks an animation.
_PNG = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNK = re.compile(rb"IHDR|PLTE|tRNS|acTL|IDAT|IEND")
# What a PNG with an orientation holds somewhere; chance may put it into the pixels as well.
_ORIENTED = (b"eXIf", b"type exif", b"adobe.xmp")
_ON_ITS_SIDE = (5, 6, 7, 8)  # orientations that swap width and height

# `warnings.catch_warnings` swaps a list that all threads share.
_quiet = threading.Lock()


def decode(source: str | Path | bytes) -> np.ndarray:
    """Decode one still image to RGB.

    The orientation in the EXIF data is applied, transparency is laid over black,
    and grey images of more than 8 bits without transparency are scaled by their own
    least and greatest value. Of 16 bits in colour, or in grey with transparency, Pillow
    keeps the upper eight.

    Parameters
    ----------
    source : str, Path or bytes
        A file, a member of a zip archive as ``"archive.zip::folder/name.webp"``, or
        the content of a file.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3), RGB, 0–255; both sides at least `MIN_SIDE` pixels.

    Raises
    ------
    ImageError
        If the source is missing, empty, a folder, of another format, animated,
        damaged, smaller than `MIN_SIDE`, larger than `MAX_PIXELS`, or holds values
        that are not finite.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> Image.new("L", (64, 48), 90).save(file, "PNG")
    >>> decode(file.getvalue()).shape
    (48, 64, 3)
    """
    content, name = read(source)
    if not content:
        raise ImageError(f"An image file must be {ACCEPTED}. Received: {name} with 0 bytes.")
    with _quiet, warnings.catch_warnings():
        # What Pillow warns of is refused below or does no harm to the pixels.
        warnings.simplefilter("ignore")
        try:
            return _pixels(content, name)
        except ImageError:
            raise
        except Image.DecompressionBombError:
            raise _too_large(name, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,}") from None
        except Exception as error:
            return _rescued(content, name, error)


def size(source: str | Path | bytes) -> tuple[int, int]:
    """Read width and height of an image as `decode` returns it, without decoding the pixels."""
    content, _ = read(source)
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                # Asking a PNG for its orientation decodes all of it.
                is_bare = image.format == "PNG" and not any(map(content.count, _ORIENTED))
                turn = 1 if is_bare else image.getexif().get(_ORIENTATION, 1)
                if image.format != "TIFF" or turn == 1:  # Pillow's versions turn it here or later
                    return image.size[::-1] if turn in _ON_ITS_SIDE else image.size
        except Exception:
            pass  # `decode` may still read it, or reports in one sentence why not.
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


def _pixels(content: bytes, name: str) -> np.ndarray:
    """Decode what Pillow reads; it raises nearly anything on a damaged file."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check(image, name)
        if _is_misread(image, content):
            return _by_tifffile(content, name)
        image.load()
        tags = dict(getattr(image, "tag_v2", {}))
        upright = _upright(image)
        deep = _deep_values(upright, tags)
        return _to_rgb(upright) if deep is None else _grey(deep, name)


def _is_misread(image: Image.Image, content: bytes) -> bool:
    """Recognise a compressed TIFF whose bytes Pillow swaps, though libtiff has done so already."""
    return (
        content.startswith(b"MM")
        and image.mode in _DEEP_MODES
        and image.info.get("compression", "raw") != "raw"
        and getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, _UNSIGNED) != _UNSIGNED
    )


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation of the EXIF data; damaged data have none."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _rescued(content: bytes, name: str, error: Exception) -> np.ndarray:
    """Decode what is whole in a file that Pillow refuses, or report why it is refused."""
    bare = _without_notes(content)
    if bare is not None:
        with contextlib.suppress(Exception):
            return _pixels(bare, name)
    if not isinstance(error, UnidentifiedImageError):
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ImageError(
            "An image file must be whole and undamaged; save or export it again. "
            f"Received: {name} ({reason})."
        ) from error
    if content[:4] in _TIFF:
        return _by_tifffile(content, name)
    raise ImageError(
        f"An image file must be {ACCEPTED}. Received: {name}, {_kind(content)}."
    ) from None


def _without_notes(content: bytes) -> bytes | None:
    """Leave of a PNG what its pixels need; None where that is damaged, or it is no PNG."""
    # A chunk of text, time or EXIF data may be damaged in any place, its length too: what is
    # kept is found by its name and its checksum.
    if not content.startswith(_PNG):
        return None
    kept, place = [_PNG], len(_PNG)
    while found := _PIXEL_CHUNK.search(content, place + 4):
        start = found.start() - 4
        end = found.end() + int.from_bytes(content[start : found.start()]) + 4
        body, checksum = content[found.start() : end - 4], content[end - 4 : end]
        if len(checksum) == 4 and zlib.crc32(body) == int.from_bytes(checksum):
            kept.append(content[start:end])
            place = end
        elif start == place:
            return None
        else:
            place = found.start()
    return b"".join(kept)


def _by_tifffile(content: bytes, name: str) -> np.ndarray:
    """Decode a grey TIFF of a depth that Pillow does not read, such as 64 bits."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages.first
            _check_size(page.imagewidth, page.imagelength, name)
            if len(file.pages) > 1:
                raise _several(name)
            values = page.asarray()
            if values.ndim != 2 or values.dtype.kind not in "iuf":
                raise ValueError(f"{values.dtype} of {values.ndim} dimensions")
            turn = int(page.tags.valueof(_ORIENTATION, 1))
            inverted = page.photometric == _WHITE_IS_ZERO
    except ImageError:
        raise
    except Exception as error:
        # tifffile, too, raises nearly anything.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ImageError(
            "A TIFF must hold one grey or colour image in a common form; save it again with 8 or "
            f"16 bits and without compression. Received: {name} ({reason[:100]})."
        ) from error
    image = Image.fromarray(_grey(-values.astype(np.float64) if inverted else values, name))
    image.getexif()[_ORIENTATION] = turn
    return np.asarray(_upright(image))


def read(source: str | Path | bytes) -> tuple[bytes, str]:
    """Read the content of an image file, and name it as messages should."""
    if isinstance(source, bytes):
        return source, f"{len(source):,} bytes"
    archive, mark, member = str(source).partition(_ARCHIVE_MEMBER)
    path = Path(archive)
    name = path.name + mark + member
    # Not `path.is_dir()`, which raises where a path is too long.
    if os.path.isdir(path):
        raise ImageError(f"An image must be one file, {ACCEPTED}. Received: the folder {name}.")
    try:
        return _member(path, member, name) if mark else path.read_bytes(), name
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"An image must be a file that exists and can be read. Received: {source} ({reason})."
        ) from None


def _member(path: Path, member: str, name: str) -> bytes:
    """Read one member of an archive; what the disk refuses is left to the caller."""
    # The process is in the key because a forked child shares the file's position.
    key = path.stat().st_mtime_ns, os.getpid()
    try:
        return _archive(path, *key).read(member)
    except KeyError:
        raise ImageError(
            f"A zip archive must hold the member that is asked of it. Received: {name}."
        ) from None
    except OSError:
        raise
    except Exception as error:
        # zipfile raises nearly anything as well: BadZipFile, zlib.error, EOFError, RuntimeError
        # where a password is needed, NotImplementedError where the compression is unknown, ….
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ImageError(
            f"The part before '{_ARCHIVE_MEMBER}' must be an undamaged zip archive without a "
            f"password. Received: {name} ({reason})."
        ) from error


@functools.lru_cache(maxsize=4)
def _archive(path: Path, modified: int, process: int) -> zipfile.ZipFile:
    """Keep an archive open: reading the directory of 60,000 members takes a second."""
    return zipfile.ZipFile(path)


def _check(image: Image.Image, name: str) -> None:
    """Refuse by the header alone, before pixels are decoded."""
    _check_size(*image.size, name)
    # `n_frames` would decode a whole GIF to count.
    if getattr(image, "is_animated", False) and image.format not in _FIRST_FRAME_IS_THE_IMAGE:
        raise _several(name)


def _check_size(width: int, height: int, name: str) -> None:
    """Refuse an image that is too large or too small."""
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} × {height} = {width * height:,}")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"Both sides of an image must have at least {MIN_SIDE} pixels. "
            f"Received: {name} with {width} × {height} pixels."
        )


def _several(name: str) -> ImageError:
    return ImageError(
        "An image must be one still frame; export the frame of interest from an animation, "
        f"a loop or a stack. Received: {name} with more than one frame."
    )


def _too_large(name: str, pixels: str) -> ImageError:
    return ImageError(
        f"An image may have at most {MAX_PIXELS:,} pixels; scale it down first. "
        f"Received: {name} with {pixels} pixels."
    )


def _deep_values(image: Image.Image, tags: dict[int, Any]) -> np.ndarray | None:
    """Return the grey values, (H, W), of an image with other than 8 bits; else None."""
    kinds = tags.get(_SAMPLE_FORMAT, _UNSIGNED)
    if image.mode in _DEEP_MODES:
        values = np.asarray(image)
        if image.mode == "I" and tags.get(_BITS) == (32,) and kinds == _UNSIGNED:
            # Pillow has 32 bits with a sign alone.
            values = values.astype(np.int32).view(np.uint32)
    elif image.mode == "L" and kinds == _SIGNED:
        values = np.asarray(image).view(np.int8)
    else:
        return None
    # Pillow turns white-is-zero round at 8 bits or fewer alone.
    return -values.astype(np.float64) if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else values


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Convert any mode of Pillow to uint8 (H, W, 3)."""
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _grey(values: np.ndarray, name: str) -> np.ndarray:
    """Make uint8 (H, W, 3) of grey values of any range."""
    return np.repeat(_own_range(values, name)[..., None], 3, axis=2)


def _own_range(values: np.ndarray, name: str) -> np.ndarray:
    """Scale (H, W) numbers of any range to uint8 0–255; a constant image becomes 0."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError(
            "The pixels of an image must be finite numbers. "
            f"Received: {name} with {np.count_nonzero(~np.isfinite(values)):,} pixels that are "
            "NaN or infinite."
        )
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(values.shape, np.uint8)
    # Halved first: the span of two finite numbers can overflow.
    scaled = (values / 2 - low / 2) / (high / 2 - low / 2)
    return np.rint(scaled * 255).astype(np.uint8)


def _kind(content: bytes) -> str:
    """Describe what the content of a file that is no image seems to be."""
    head = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in head.lower():
        return "an SVG drawing, which has no pixels"
    if content[128:132] == b"DICM":
        return "a DICOM file (export the frame as PNG)"
    if content.startswith(_PNG):
        return "a damaged PNG file"
    if head.startswith(b"%PDF"):
        return "a PDF document"
    printable = sum(byte in b"\t\n\r" or 32 <= byte != 127 for byte in head)
    return "a text file" if head and printable == len(head) else "in an unknown format"
