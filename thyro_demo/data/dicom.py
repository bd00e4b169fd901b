"""Read a frame of a DICOM file: its pixels, its scan area, its pixel spacing, and nothing else.

Only the tags that describe the pixels are read at all: no name, date or number of a patient
can be kept, shown or reported. For the same reason no message repeats what pydicom wrote.

References
----------
DICOM PS3.3, C.7.6.3 (image pixels), C.8.5.5 (ultrasound regions), C.11.1 and C.11.2 (modality
and VOI LUT); PS3.5, A (transfer syntaxes).
"""

import contextlib
import functools
import io
import logging
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from thyro_demo.clinical.measurement import SPACING
from thyro_demo.data.frame import (
    MIN_SIDE,
    Frame,
    Spacing,
    check_number,
    check_size,
    grey,
    repeat,
    to_bytes,
)
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

MAX_INFLATED = 192_000_000
"""Most bytes of an unpacked deflated file: those of one colour image of the most pixels."""

MAX_READS = 100_000
"""Most steps in which a file is read, two or three an element; more take minutes."""

MAX_SEQUENCE = 300_000
"""Most bytes of a sequence: a table of the most entries, or regions by the hundred."""

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_SEQUENCES = ("ModalityLUTSequence", "VOILUTSequence", "SequenceOfUltrasoundRegions")
_TAGS = (
    *_PIXELS, *_SEQUENCES, "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "NumberOfFrames", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "RescaleSlope", "RescaleIntercept",
    "VOILUTFunction", "WindowCenter", "WindowWidth", "Modality", "BurnedInAnnotation",
    "PixelSpacing",
)  # fmt: skip

_PREFIX, _MAGIC = 128, b"DICM"
_DIRECTORY = b"1.2.840.10008.1.3.10\0"
_DEFLATED = "1.2.840.10008.1.2.1.99"
# JPEG baseline, extended and lossless: Pillow decodes no more than eight bits.
_OF_EIGHT_BITS = tuple(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 57, 70))
_START_OF_FRAME = 0xFFF7  # of JPEG-LS
_KINDS = (
    "MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT",
    "PALETTE COLOR",
)  # fmt: skip
_MOST_LEVELS = 2**16
_BEYOND = (-(2**40), 2**40)  # below and above all that a window can have between its ends
_ULTRASOUND = ("US", "IVUS")
# Of a region: an image of tissue, not a spectrum or a curve; and its unit, centimetres.
_TISSUE, _CENTIMETRES = 1, 3
_ALIKE = 0.01  # regions whose pixels differ by less have one spacing

_BURNED = (
    "Its file reports text burned into this image: it may name a patient, so cover it before "
    "you show or share the image."
)
_PERHAPS_BURNED = (
    "Its file does not rule out text burned into this image: look for names and dates before "
    "you show or share it."
)


def is_dicom(head: bytes) -> bool:
    """Check whether a file begins as DICOM does."""
    return head[_PREFIX : _PREFIX + 4] == _MAGIC


def is_directory(head: bytes) -> bool:
    """Check whether the beginning of a DICOM file is that of a disk's directory (DICOMDIR)."""
    return _DIRECTORY in head


def load(content: bytes, name: str, number: int) -> Frame:
    """Decode one frame.

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        What messages call it.
    number : int
        Which frame, from 1.

    Returns
    -------
    Frame
        MONOCHROME1 and 2 through modality and VOI LUT, or their own range where they have
        more than 8 bits and no window; palettes looked up; YBR as RGB.

    Raises
    ------
    ImageError
        If it is damaged, holds no image or not that frame, is too large, or packed in a way
        that is not read.
    """
    try:
        held = _read(content, name)
        # They are taken apart only when they are asked for.
        for raw in (held.get_item(tag) for tag in _SEQUENCES if tag in held):
            if isinstance(raw.value, bytes) and len(raw.value) > MAX_SEQUENCE:
                raise _too_long(name)
        syntax = _syntax(held, name)
        check_size(held.Columns, held.Rows, name)
        count = _count(held, syntax, name)
        check_number(number, count, name)
        if syntax.is_encapsulated:
            _check_stream(held, syntax, number, count)
        pixels = _rgb(held, number, name)
        return Frame(pixels, number, count, _area(held), _spacing(held), _notices(held))
    except ImageError:
        raise
    except Exception:
        # pydicom and the decoders raise nearly anything, and may repeat a tag in it.
        raise _damaged(name) from None


def size(content: bytes, name: str) -> tuple[int, int] | None:
    """Read the width and height without decoding the pixels; None where that fails."""
    try:
        held = _read(content, name, ("Rows", "Columns"))
        return int(held.Columns), int(held.Rows)
    except Exception:
        # `load` reports in one sentence why not.
        return None


def _read(content: bytes, name: str, tags: tuple[str, ...] = _TAGS) -> "Dataset":
    """Read the tags that are asked for, and none beside them."""
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag
    from pydicom.uid import ExplicitVRLittleEndian

    # What pydicom warns of can repeat a tag. Its import sets the level, and a logger that is merely
    # disabled is switched on again by whoever configures logging next, such as the page's server.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

    wanted: list[int] = [Tag(tag) for tag in tags]
    stream = _Steps(content, name)
    stream.seek(_PREFIX + 4)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if meta.get("TransferSyntaxUID") != _DEFLATED:
        # Without the pixels, a file that is cut off has its size all the same.
        held: Dataset = dcmread(
            _Steps(content, name), specific_tags=wanted, stop_before_pixels=tags is not _TAGS
        )
        held.file_meta.setdefault("TransferSyntaxUID", ExplicitVRLittleEndian)
        return held
    inflated = _Steps(_inflated(content[stream.tell() :], name), name)
    held = read_dataset(inflated, False, True, specific_tags=wanted)
    held.file_meta = FileMetaDataset()
    held.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return held


class _Steps(io.BytesIO):
    """Bytes that are read in so many steps at most."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self._name, self._left = name, MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise _too_long(self._name)
        return super().read(size)


def _inflated(packed: bytes, name: str) -> bytes:
    """Unpack a deflated file, as far as it may go."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = unpacker.decompress(packed, MAX_INFLATED)
    if unpacker.unconsumed_tail:
        raise ImageError(
            f"A deflated DICOM file may unpack to at most {MAX_INFLATED // 10**6} MB. "
            f"Received: {name} with more."
        )
    return inflated


def _syntax(held: "Dataset", name: str) -> "UID":
    """Return how the pixels are packed, if that is read."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID_dictionary

    if not any(tag in held for tag in _PIXELS):
        raise ImageError(
            "A DICOM file must hold an image; a report, a plan or the directory of a disk holds "
            f"none. Received: {name} without pixels."
        )
    _add_lossless_jpeg()
    syntax = held.file_meta.TransferSyntaxUID
    try:
        is_read = get_decoder(syntax).is_available
    except NotImplementedError:
        is_read = False
    if not is_read or (syntax in _OF_EIGHT_BITS and held.get("BitsStored", 8) > 8):
        what = syntax.name if syntax in UID_dictionary else "an unknown form"
        raise ImageError(
            "The pixels of a DICOM file must be uncompressed, RLE, JPEG of 8 bits, JPEG-LS or "
            f"JPEG 2000; export it in one of these forms. Received: {name}, {what}."
        )
    return syntax


@functools.cache
def _add_lossless_jpeg() -> None:
    """Let pydicom decode lossless JPEG with Pillow."""
    from pydicom.pixels.decoders import JPEGLosslessDecoder, JPEGLosslessSV1Decoder

    from thyro_demo.data import lossless_jpeg

    for decoder in (JPEGLosslessDecoder, JPEGLosslessSV1Decoder):
        decoder.add_plugin("thyro_demo", (lossless_jpeg.__name__, "decode_frame"))


def _count(held: "Dataset", syntax: "UID", name: str) -> int:
    """Count the frames; refuse a file that holds fewer than it states."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments
    from pydicom.pixels.utils import get_expected_length

    count = int(held.get("NumberOfFrames") or 1)
    stream = _Steps(next(held[tag].value for tag in _PIXELS if tag in held), name)
    if syntax.is_encapsulated:
        parse_basic_offsets(stream)
        stated, found = count, parse_fragments(stream)[0]
    else:
        stated, found = get_expected_length(held), stream.getbuffer().nbytes
    if not 0 < stated <= found:
        raise _damaged(name)
    return count


def _check_stream(held: "Dataset", syntax: "UID", number: int, count: int) -> None:
    """Refuse a frame that unpacks to another size than its file states."""
    from pydicom.encaps import get_frame
    from pydicom.uid import JPEGLSTransferSyntaxes, RLELossless

    if syntax == RLELossless:
        return
    offsets = held.get("ExtendedOffsetTable"), held.get("ExtendedOffsetTableLengths")
    stream = get_frame(
        held.PixelData,
        number - 1,
        extended_offsets=offsets if all(offsets) else None,
        number_of_frames=count,
    )
    if syntax in JPEGLSTransferSyntaxes:
        found = _jpeg_ls_size(stream)
    else:
        with Image.open(io.BytesIO(stream), formats=("JPEG", "JPEG2000")) as image:
            found = image.size
    if found != (held.Columns, held.Rows):
        raise ValueError("another size than stated")


def _jpeg_ls_size(stream: bytes) -> tuple[int, int]:
    """Read width and height out of a JPEG-LS stream, whose decoder would believe them."""
    place = 2
    while True:
        marker, length = struct.unpack_from(">HH", stream, place)
        if marker == _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", stream, place + 5)
            return width, height
        place += 2 + length


def _rgb(held: "Dataset", number: int, name: str) -> np.ndarray:
    """Decode a frame to uint8 (H, W, 3), RGB."""
    from pydicom.pixels import apply_color_lut, pixel_array

    kind = held.PhotometricInterpretation
    if kind not in _KINDS:
        raise ImageError(
            "The colours of a DICOM file must be MONOCHROME1 or 2, RGB, YBR or PALETTE COLOR; "
            f"export it in one of these. Received: {name} in others."
        )
    values = pixel_array(held, index=number - 1)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, held)
        # Some write palettes of eight bits into sixteen.
        return values.astype(np.uint8) if values.max() < 256 else (values >> 8).astype(np.uint8)
    if values.ndim == 3:
        return (values >> max(held.BitsStored - 8, 0)).astype(np.uint8)
    levels = _levels(values, held, name)
    return repeat(255 - levels if kind == "MONOCHROME1" else levels)


def _levels(values: np.ndarray, held: "Dataset", name: str) -> np.ndarray:
    """Return the grey levels, uint8 (H, W), of a frame (H, W), as its LUTs and windows ask."""
    if values.dtype.kind == "f":
        return grey(values, name)[..., 0]
    low, high = int(values.min()), int(values.max())
    if high - low > _MOST_LEVELS:
        return _shown(values, held)
    # Each level once, not each pixel.
    table = _shown(np.arange(low, high + 1), held)
    return table[values.astype(np.int64) - low]


def _shown(levels: np.ndarray, held: "Dataset") -> np.ndarray:
    """Map stored values to uint8, of the same shape."""
    from pydicom.pixels import apply_modality_lut

    rescaled = apply_modality_lut(levels, held)
    # A table that cannot be, or a window without width or centre, is none.
    with contextlib.suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        with contextlib.suppress(NotImplementedError):
            if held.get("VOILUTSequence"):
                return _looked_up(rescaled, held)
        if None not in (held.get("WindowWidth"), held.get("WindowCenter")):
            return _windowed(rescaled, held)
    if held.BitsStored == 8 and not held.PixelRepresentation and "ModalityLUTSequence" not in held:
        stored = levels.astype(np.uint8)
        # A slope below zero turns black into white; any other leaves the order as it is.
        return 255 - stored if float(held.get("RescaleSlope") or 1) < 0 else stored
    return to_bytes(rescaled, float(rescaled.min()), float(rescaled.max()))


def _looked_up(rescaled: np.ndarray, held: "Dataset") -> np.ndarray:
    """Look values up in the table of the VOI LUT."""
    from pydicom.pixels import apply_voi

    entries, first, bits = held.VOILUTSequence[0].LUTDescriptor
    # pydicom lets those beyond the ends of a table of eight bits begin anew.
    ends = first, first + (entries or 2**16) - 1
    return to_bytes(apply_voi(np.clip(np.rint(rescaled), *ends).astype(int), held), 0, 2**bits - 1)


def _windowed(rescaled: np.ndarray, held: "Dataset") -> np.ndarray:
    """Spread the values of the window over all grey levels."""
    from pydicom.pixels import apply_windowing

    # What pydicom makes of the ends depends on the bits and on the rescaling.
    low, high = apply_windowing(np.array(_BEYOND), held)
    return to_bytes(apply_windowing(rescaled, held), float(low), float(high))


def _regions(held: "Dataset") -> list["Dataset"]:
    """List the ultrasound regions that show tissue; spectra and curves are others."""
    regions = held.get("SequenceOfUltrasoundRegions") or []
    return [one for one in regions if one.get("RegionSpatialFormat") == _TISSUE]


def _area(held: "Dataset") -> Box | None:
    """Return the box around the regions of tissue; None where there is none worth it."""
    boxes = []
    with contextlib.suppress(TypeError, ValueError, AttributeError):
        for one in _regions(held):
            left, top = int(one.RegionLocationMinX0), int(one.RegionLocationMinY0)
            right, bottom = int(one.RegionLocationMaxX1) + 1, int(one.RegionLocationMaxY1) + 1
            boxes.append(
                Box(max(left, 0), max(top, 0), min(right, held.Columns), min(bottom, held.Rows))
            )
    boxes = [box for box in boxes if min(box.width, box.height) >= MIN_SIDE]
    if not boxes:
        return None
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def _spacing(held: "Dataset") -> Spacing | None:
    """Return the millimetres a pixel, where all regions of tissue have the same."""
    with contextlib.suppress(TypeError, ValueError, AttributeError):
        regions = _regions(held)
        found = [_region_spacing(one) for one in regions]
        if not regions and held.get("PixelSpacing"):
            down, across = held.PixelSpacing
            found = [_plausible(float(across), float(down))]
        first = found[0] if found else None
        if first is not None and all(
            one is not None
            and math.isclose(one.across, first.across, rel_tol=_ALIKE)
            and math.isclose(one.down, first.down, rel_tol=_ALIKE)
            for one in found
        ):
            return first
    return None


def _region_spacing(region: "Dataset") -> Spacing | None:
    units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
    if units != (_CENTIMETRES, _CENTIMETRES):
        return None
    across, down = float(region.PhysicalDeltaX), float(region.PhysicalDeltaY)
    return _plausible(10 * abs(across), 10 * abs(down))


def _plausible(across: float, down: float) -> Spacing | None:
    """Return a spacing that could be typed as well; None for any other."""
    usable = all(SPACING.least <= one <= SPACING.most for one in (across, down))
    return Spacing(across, down) if usable else None


def _notices(held: "Dataset") -> tuple[str, ...]:
    """Warn of text within the image, which no removal of tags takes away."""
    stated = str(held.get("BurnedInAnnotation") or "").upper()
    if stated == "YES":
        return (_BURNED,)
    return (_PERHAPS_BURNED,) if stated != "NO" and held.get("Modality") in _ULTRASOUND else ()


def _too_long(name: str) -> ImageError:
    return ImageError(
        "A DICOM file must describe its image in fewer elements; export the frame of interest. "
        f"Received: {name} with more than are read."
    )


def _damaged(name: str) -> ImageError:
    return ImageError(
        "A DICOM file must be whole and undamaged; export it again. "
        f"Received: {name}, from which no frame can be decoded."
    )
