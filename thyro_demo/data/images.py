"""Decode image files to RGB arrays, and refuse what is not one image in one sentence."""

import functools
import io
import os
import threading
import warnings
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from thyro_demo.errors import ImageError

MIN_SIDE = 32
"""Shortest side of an image in pixels; less holds no anatomy."""

MAX_PIXELS = 64_000_000
"""Most pixels of an image; known from the header, before anything is decoded."""

ACCEPTED = "a PNG, JPEG, BMP, TIFF, WebP, PGM or still GIF file"

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
# A JPEG with further pictures, a preview or a depth map, after the photo: phones write it.
_FIRST_FRAME_IS_THE_IMAGE = frozenset({"MPO"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_ARCHIVE_MEMBER = "::"

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
    """
    content, name = _read(source)
    if not content:
        raise ImageError(f"An image file must be {ACCEPTED}. Received: {name} with 0 bytes.")
    with _quiet, warnings.catch_warnings():
        # What Pillow warns of is refused below or does no harm to the pixels.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                _check(image, name)
                return _to_rgb(ImageOps.exif_transpose(image), name)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError(
                f"An image file must be {ACCEPTED}. Received: {name}, {_kind(content)}."
            ) from None
        except Image.DecompressionBombError:
            raise _too_large(name, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,}") from None
        except Exception as error:
            # Pillow's parsers raise nearly anything on a damaged file: OSError,
            # SyntaxError, struct.error, KeyError, EOFError, zlib.error, ….
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise ImageError(
                "An image file must be whole and undamaged; save or export it again. "
                f"Received: {name} ({reason})."
            ) from error


def _read(source: str | Path | bytes) -> tuple[bytes, str]:
    """Read the content of `source` and name it as messages should."""
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
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} × {height} = {width * height:,}")
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"Both sides of an image must have at least {MIN_SIDE} pixels. "
            f"Received: {name} with {width} × {height} pixels."
        )
    # `n_frames` would decode a whole GIF to count.
    if getattr(image, "is_animated", False) and image.format not in _FIRST_FRAME_IS_THE_IMAGE:
        raise ImageError(
            "An image must be one still frame; export the frame of interest from an animation, "
            f"a loop or a stack. Received: {name} with more than one frame."
        )


def _too_large(name: str, pixels: str) -> ImageError:
    return ImageError(
        f"An image may have at most {MAX_PIXELS:,} pixels; scale it down first. "
        f"Received: {name} with {pixels} pixels."
    )


def _to_rgb(image: Image.Image, name: str) -> np.ndarray:
    """Convert any mode of Pillow to uint8 (H, W, 3)."""
    if image.mode in _DEEP_MODES:
        return np.repeat(_own_range(np.asarray(image), name)[..., None], 3, axis=2)
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


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
    """Say in words what the content of a file that is no image seems to be."""
    head = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in head.lower():
        return "an SVG drawing, which has no pixels"
    if content[128:132] == b"DICM":
        return "a DICOM file (export the frame as PNG)"
    if head.startswith(b"%PDF"):
        return "a PDF document"
    printable = sum(byte in b"\t\n\r" or 32 <= byte != 127 for byte in head)
    return "a text file" if head and printable == len(head) else "in an unknown format"
