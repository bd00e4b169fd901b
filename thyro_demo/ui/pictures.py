"""Pictures as data addresses: they travel inside the page and are never written to disk."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from thyro_demo.data.frame import within

THUMBNAIL = (176, 132)
"""Width and height of a thumbnail on the page, in its own pixels."""

LONGEST_SIDE = 960
"""Longest side of a frame or a map on the page, in pixels."""


def fitted(pixels: np.ndarray) -> np.ndarray:
    """Shrink a frame (H, W, 3) or a map (H, W) to what the page and its picture can show."""
    height, width = pixels.shape[:2]
    size = within((width, height), LONGEST_SIDE)
    if size == (width, height):
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def frame_address(frame: np.ndarray) -> str:
    """Write a frame, uint8 (H, W, 3), RGB, as the address of a JPEG."""
    return encoded(fitted(frame), "JPEG", quality=90)


def map_address(heatmap: np.ndarray) -> str:
    """Write a heatmap, float (H, W), 0–1, as the address of a grey PNG."""
    return encoded(fitted(np.rint(255 * np.clip(heatmap, 0, 1)).astype(np.uint8)), "PNG")


def blank(heatmap: np.ndarray) -> bool:
    """Check whether a heatmap, float (H, W), 0–1, is drawn without any colour."""
    return bool(np.rint(255 * heatmap.max()) < 1)


def thumbnail(frame: np.ndarray) -> str:
    """Write a frame, uint8 (H, W, 3), RGB, as the address of a small picture."""
    image = Image.fromarray(frame)
    # Twice the size, for screens of fine pixels.
    image.thumbnail((2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))
    return encoded(np.asarray(image), "WEBP", quality=70)


def encoded(pixels: np.ndarray, kind: str, **options: Any) -> str:
    """Write pixels as a file of a kind that Pillow knows, with its options for that kind."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return data_address(stream.getvalue(), f"image/{kind.lower()}")


def data_address(content: bytes, kind: str) -> str:
    """Write the content of a file as an address; the kind is that of MIME."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()
