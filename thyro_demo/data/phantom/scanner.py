"""What a scanner prints around the image: border, depth ticks, text and a probe icon."""

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from thyro_demo.errors import DataError


@dataclass(frozen=True)
class ScannerFrame:
    """A black margin around the scan area and what is printed on it.

    Parameters
    ----------
    margins : tuple of int
        Pixels above, right of, below and left of the scan area.
    border, ticks, text, icon : bool
        Which marks are printed. With none of them the margin stays black, so that frames
        with and without marks have the same scan area.
    """

    margins: tuple[int, int, int, int] = (14, 62, 40, 34)
    border: bool = True
    ticks: bool = True
    text: bool = True
    icon: bool = True

    @property
    def blank(self) -> "ScannerFrame":
        """The same margins without any mark."""
        return ScannerFrame(self.margins, False, False, False, False)

    def scan_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Subtract the margins from the shape of a frame."""
        top, right, bottom, left = self.margins
        inner = (shape[0] - top - bottom, shape[1] - left - right)
        if min(inner) < 64:
            raise DataError(
                "The margins of a frame must leave at least 64 × 64 pixels for the scan area. "
                f"Received: shape={shape}, margins={self.margins}."
            )
        return inner

    def surround(self, scan: np.ndarray, spacing_mm: float) -> np.ndarray:
        """Put a scan, uint8 (h, w), on the margin and print the marks."""
        frame = _marks(self, scan.shape, round(spacing_mm, 6)).copy()
        top, _, _, left = self.margins
        frame[top : top + scan.shape[0], left : left + scan.shape[1]] = scan
        return frame


@functools.lru_cache(maxsize=32)
def _marks(scanner: ScannerFrame, scan: tuple[int, int], spacing_mm: float) -> np.ndarray:
    """Draw the margin of a frame; the scan area is black."""
    top, right, bottom, left = scanner.margins
    height, width = scan[0] + top + bottom, scan[1] + left + right
    image = Image.new("L", (width, height))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=10)
    edge, floor = left + scan[1], top + scan[0]
    if scanner.border:
        pen.rectangle((1, 1, width - 2, height - 2), outline=110)
    if scanner.ticks:
        depth_cm = int(scan[0] * spacing_mm / 10)
        for half in range(2 * depth_cm + 1):
            y = top + round(half * 5 / spacing_mm)
            pen.line((left - (9 if half % 2 == 0 else 6), y, left - 4, y), fill=190)
            if half % 2 == 0:
                pen.text((left - 20, y - 6), str(half // 2), fill=190, font=font)
    if scanner.text:
        lines = ("P100", "L12-5", "10 MHz", "31fps", "DR 60", f"{scan[0] * spacing_mm / 10:.1f}cm")
        for row, line in enumerate(lines):
            pen.text((edge + 12, top + 4 + 13 * row), line, fill=200, font=font)
        pen.text((left + 4, floor + 12), "THYROID  PHANTOM", fill=210, font=font)
    if scanner.icon:
        x, y = edge - 46, floor + 10
        pen.arc((x, y, x + 34, y + 26), 180, 360, fill=220, width=2)
        pen.arc((x + 10, y + 6, x + 24, y + 20), 0, 360, fill=220)
        pen.line((x + 26, y + 2, x + 33, y + 9), fill=255, width=3)
        pen.text((edge - 12, top - 13), "T", fill=220, font=font)
    return np.asarray(image)
