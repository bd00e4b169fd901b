"""Decode what Pillow and tifffile read: photos, screenshots, scans, loops and stacks."""

import contextlib
import io
import re
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from thyro_demo.data.contents import ACCEPTED
from thyro_demo.data.frame import (
    MAX_FRAMES,
    check_number,
    check_size,
    grey,
    too_large,
    too_many,
    within,
)
from thyro_demo.errors import ImageError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
"""Formats of Pillow that are opened, apart from HEIF, which a package adds to it."""

LOOP_PIXELS = 500_000_000
"""Pixels that may be decoded on the way to a frame of a loop, each of which needs those before."""

# Files whose first image is the image: phones write a preview or a depth map after it.
_FIRST_IS_THE_IMAGE = frozenset({"MPO", "HEIF"})
_LOOPS = frozenset({"GIF", "PNG", "WEBP"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

# Tags of TIFF, and what they hold.
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339
_WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 0, (1,), (2,)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Of a PNG the chunks that make its pixels.
_PNG = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNK = re.compile(rb"IHDR|PLTE|tRNS|IDAT|IEND")
# What a PNG with an orientation holds somewhere; chance may put it into the pixels as well.
_ORIENTED = (b"eXIf", b"type exif", b"adobe.xmp")
_ON_ITS_SIDE = (5, 6, 7, 8)  # orientations that swap width and height
# What is between two frames of a GIF: the end of one block, the beginning of the next.
_GIF_FRAME = b"\0,"
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)


@dataclass(frozen=True, eq=False)
class Held:
    """A frame, uint8 (H, W, 3), its width and height in the file, and how many frames there are.

    The pixels may be fewer than in the file, for a preview.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    count: int
    notices: tuple[str, ...] = ()


def read(content: bytes, name: str, number: int, longest: int | None = None) -> Held:
    """Decode one frame of a file.

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        What messages call it.
    number : int
        Which frame, from 1.
    longest : int, optional
        Longest side of a preview in pixels; a JPEG is decoded no finer than it needs.

    Returns
    -------
    Held
        The frame.

    Raises
    ------
    ImageError
        If it is not a file of `FORMATS` or HEIF, is damaged, or does not hold the frame.
    """
    try:
        return _by_pillow(content, name, number, longest)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise too_large(name, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,}") from None
    except Exception as error:
        return _rescued(content, name, number, longest, error)


def size(content: bytes) -> tuple[int, int] | None:
    """Read the width and height of the first frame without decoding it; None where that fails."""
    try:
        with _opened(content) as image:
            # Asking a PNG for its orientation decodes all of it.
            is_bare = image.format == "PNG" and not any(map(content.count, _ORIENTED))
            turn = 1 if is_bare else image.getexif().get(_ORIENTATION, 1)
            if image.format != "TIFF" or turn == 1:  # Pillow's versions turn it here or later
                return image.size[::-1] if turn in _ON_ITS_SIDE else image.size
    except Exception:
        # `read` may still decode it, or reports in one sentence why not.
        return None
    return None


def is_heif(head: bytes) -> bool:
    """Check whether a file begins as HEIF does."""
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _opened(content: bytes) -> Image.Image:
    """Open a file of the formats that are read; pixels are decoded later."""
    formats: tuple[str, ...] = FORMATS
    if is_heif(content):
        import pillow_heif

        # It turns the image as its container asks, and sets the orientation in its EXIF data,
        # which states the same once more, to upright.
        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
        formats = ("HEIF",)
    return Image.open(io.BytesIO(content), formats=formats)


def _by_pillow(content: bytes, name: str, number: int, longest: int | None) -> Held:
    """Decode what Pillow reads; it raises nearly anything on a damaged file."""
    with _opened(content) as image:
        check_size(*image.size, name)
        count, notices = _frames(image, content, name)
        check_number(number, count, name)
        if count > 1:
            image.seek(number - 1)
            check_size(*image.size, name)
        if _is_misread(image, content):
            return _by_tifffile(content, name, number, longest)
        full = image.size
        wanted = within(full, longest)
        drafted = image.format in ("JPEG", "MPO") and wanted != full and image.draft(None, wanted)
        image.load()
        full = full if drafted else image.size
        tags = dict(getattr(image, "tag_v2", {}))
        turned = upright(image)
        if turned.size != image.size:
            full = full[::-1]
        deep = _deep_values(turned, tags)
        shown = _to_rgb(turned) if deep is None else Image.fromarray(grey(deep, name))
        return Held(_fitted(shown, longest), full, count, notices)


def _frames(image: Image.Image, content: bytes, name: str) -> tuple[int, tuple[str, ...]]:
    """Count the frames that can be reached, and report where there are more."""
    if not getattr(image, "is_animated", False) or image.format in _FIRST_IS_THE_IMAGE:
        return 1, ()
    # Counting takes long where there are many. Chance may put the mark into the pixels as well.
    if image.format == "GIF" and content.count(_GIF_FRAME) - len(content) // 2**15 > MAX_FRAMES:
        raise too_many(name, f"more than {MAX_FRAMES:,}")
    count = _pages(content) if image.format == "TIFF" else int(getattr(image, "n_frames", 1))
    if image.format == "PNG":
        # What its header states need not be there.
        count = max(1, min(count, content.count(b"fcTL") + 1))
    if image.format not in _LOOPS:
        return count, ()
    within = max(1, LOOP_PIXELS // (image.width * image.height))
    if count <= within:
        return count, ()
    return within, (f"This loop has {count:,} frames; the first {within:,} can be shown.",)


def _pages(content: bytes) -> int:
    """Count the pages of a TIFF, which Pillow would read one by one."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            return max(1, len(file.pages))
    except Exception:
        # tifffile raises nearly anything on a damaged file; the first page may be whole.
        return 1


def _fitted(image: Image.Image, longest: int | None) -> np.ndarray:
    """Shrink an RGB image to a preview."""
    if longest is not None:
        image.thumbnail((longest, longest))
    return np.array(image)


def _is_misread(image: Image.Image, content: bytes) -> bool:
    """Recognise a compressed TIFF whose bytes Pillow swaps, though libtiff has done so already."""
    return (
        content.startswith(b"MM")
        and image.mode in _DEEP_MODES
        and image.info.get("compression", "raw") != "raw"
        and getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, _UNSIGNED) != _UNSIGNED
    )


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as the orientation of its EXIF data asks; damaged data have none.

    Parameters
    ----------
    image : Image
        As it is stored.

    Returns
    -------
    Image
        The same pixels, turned or mirrored.
    """
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _rescued(content: bytes, name: str, number: int, longest: int | None, error: Exception) -> Held:
    """Decode what is whole in a file that Pillow refuses, or report why it is refused."""
    bare = _without_notes(content)
    if bare is not None:
        with contextlib.suppress(Exception):
            return _by_pillow(bare, name, number, longest)
    if is_heif(content):
        raise _damaged(name, "no whole HEIC image") from error
    if not isinstance(error, UnidentifiedImageError):
        raise _damaged(name, _reason(error)) from error
    if content[:4] in _TIFF:
        return _by_tifffile(content, name, number, longest)
    raise ImageError(
        f"An image file must be {ACCEPTED}. Received: {name}, {_kind(content)}."
    ) from None


def _damaged(name: str, reason: str) -> ImageError:
    return ImageError(
        "An image file must be whole and undamaged; save or export it again. "
        f"Received: {name} ({reason})."
    )


def _reason(error: Exception) -> str:
    """Write what a library raised as the end of a sentence."""
    return (" ".join(str(error).split()).rstrip(".") or type(error).__name__)[:200]


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


def _by_tifffile(content: bytes, name: str, number: int, longest: int | None) -> Held:
    """Decode a grey TIFF of a depth that Pillow does not read, such as 64 bits."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            count = len(file.pages)
            check_number(number, count, name)
            page = file.pages[number - 1].aspage()
            check_size(page.imagewidth, page.imagelength, name)
            values = page.asarray()
            if values.ndim != 2 or values.dtype.kind not in "iuf":
                raise ValueError(f"{values.dtype} of {values.ndim} dimensions")
            turn = int(page.tags.valueof(_ORIENTATION, 1))
            inverted = page.photometric == _WHITE_IS_ZERO
    except ImageError:
        raise
    except Exception as error:
        # tifffile, too, raises nearly anything.
        raise ImageError(
            "A TIFF must hold grey or colour images in a common form; save it again with 8 or "
            f"16 bits and without compression. Received: {name} ({_reason(error)[:100]})."
        ) from error
    image = Image.fromarray(grey(-values.astype(np.float64) if inverted else values, name))
    image.getexif()[_ORIENTATION] = turn
    turned = upright(image)
    return Held(_fitted(turned, longest), turned.size, count)


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


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode of Pillow to RGB."""
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return image.convert("RGB")


def _kind(content: bytes) -> str:
    """Describe what the content of a file that is no image seems to be."""
    head = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in head.lower():
        return "an SVG drawing, which has no pixels"
    if content.startswith(_PNG):
        return "a damaged PNG file"
    if head.startswith(b"%PDF"):
        return "a PDF document"
    printable = sum(byte in b"\t\n\r" or 32 <= byte != 127 for byte in head)
    return "a text file" if head and printable == len(head) else "in an unknown format"
