"""Write small DICOM files in every form that is read: what fuzzing and tests start from."""

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BASELINE, LOSSLESS_J2K, J2K = (f"1.2.840.10008.1.2.4.{last}" for last in (50, 90, 91))
LOSSLESS = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": LOSSLESS_J2K,
}
"""Transfer syntaxes that keep every value, by a name for them."""

LOSSY = {"JPEG": BASELINE, "JPEG-LS": "1.2.840.10008.1.2.4.81", "JPEG 2000": J2K}
"""Transfer syntaxes that do not."""


def write(frames: np.ndarray, syntax: str, photometric: str, **tags: Any) -> bytes:
    """Write frames as an ultrasound file.

    Parameters
    ----------
    frames : np.ndarray
        (n, H, W) or (n, H, W, 3), integers of 8 or 16 bits, in the colours of `photometric`.
    syntax : str
        One of `LOSSLESS` or `LOSSY`.
    photometric : str
        How the values are to be read, such as "MONOCHROME2".
    **tags : Any
        Further tags by keyword; None leaves one out.

    Returns
    -------
    bytes
        The file.
    """
    with warnings.catch_warnings():
        # Some values are meant to be wrong.
        warnings.simplefilter("ignore")
        held = _described(frames, photometric, tags)
        _pack(held, frames, syntax, photometric)
        stream = io.BytesIO()
        held.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _described(frames: np.ndarray, photometric: str, tags: dict[str, Any]) -> "Dataset":
    """Describe frames, uncompressed so far."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, UltrasoundMultiFrameImageStorage

    held, bits = Dataset(), 8 * frames.dtype.itemsize
    held.file_meta = FileMetaDataset()
    held.file_meta.TransferSyntaxUID = UID(LOSSLESS["explicit"])
    held.SOPClassUID = held.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    held.SOPInstanceUID = held.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    held.Modality = "US"
    held.NumberOfFrames, held.Rows, held.Columns = frames.shape[:3]
    held.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    held.PhotometricInterpretation = photometric
    held.BitsAllocated = held.BitsStored = bits
    held.HighBit, held.PixelRepresentation = bits - 1, int(frames.dtype.kind == "i")
    if frames.ndim == 4:
        held.PlanarConfiguration = 0
    for keyword, value in tags.items():
        if value is not None:
            setattr(held, keyword, value)
        elif keyword in held:
            delattr(held, keyword)
    return held


def _pack(held: "Dataset", frames: np.ndarray, syntax: str, photometric: str) -> None:
    """Put the frames into a file."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    is_big = syntax == LOSSLESS["big endian"]
    held.PixelData = frames.astype(frames.dtype.newbyteorder(">" if is_big else "<")).tobytes()
    held["PixelData"].VR = "OB" if frames.dtype.itemsize == 1 else "OW"
    if syntax in (BASELINE, LOSSLESS_J2K, J2K):
        held.PixelData = encapsulate([_packed(frame, syntax, photometric) for frame in frames])
        held["PixelData"].VR = "OB"
    elif UID(syntax).is_encapsulated:
        held.compress(UID(syntax), generate_instance_uid=False)
    held.file_meta.TransferSyntaxUID = UID(syntax)


def _packed(frame: np.ndarray, syntax: str, photometric: str) -> bytes:
    """Pack a frame as JPEG, in its own colours, or as JPEG 2000."""
    stream = io.BytesIO()
    if syntax == BASELINE:
        is_ybr = photometric.startswith("YBR")
        image = Image.fromarray(frame, "YCbCr") if is_ybr else Image.fromarray(frame)
        image.save(stream, "JPEG", quality=95, keep_rgb=not is_ybr)
    else:
        options = {} if syntax == LOSSLESS_J2K else {"quality_layers": [20], "irreversible": True}
        Image.fromarray(frame).save(stream, "JPEG2000", no_jp2=True, **options)
    return stream.getvalue()
