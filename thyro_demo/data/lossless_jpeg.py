"""Decode lossless JPEG of DICOM files: Pillow can, for eight bits, but pydicom does not ask it.

A plugin of `pydicom.pixels`, which wants these names.
"""

import io
from typing import TYPE_CHECKING

from PIL import Image, features
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

DECODER_DEPENDENCIES = dict.fromkeys((JPEGLossless, JPEGLosslessSV1), ("pillow with libjpeg 3",))
"""What a transfer syntax needs."""


def is_available(uid: str) -> bool:
    """Check whether a transfer syntax can be decoded: libjpeg-turbo can since version 3."""
    version = features.version_feature("libjpeg_turbo") or "0"
    return uid in DECODER_DEPENDENCIES and int(version.split(".")[0]) >= 3


def decode_frame(src: bytes, runner: "DecodeRunner") -> bytes:
    """Decode one frame to the bytes of its samples, in the colours in which it is packed."""
    image = Image.open(io.BytesIO(src), formats=("JPEG",))
    if runner.samples_per_pixel > 1 and "adobe_transform" not in image.info and _is_ybr(runner):
        # Lossless JPEG is never converted: what is packed must be asked for.
        image.draft("YCbCr", image.size)
    return image.tobytes()


def _is_ybr(runner: "DecodeRunner") -> bool:
    return str(runner.photometric_interpretation).startswith("YBR")
