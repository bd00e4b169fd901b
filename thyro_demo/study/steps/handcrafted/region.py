"""Cut the region of interest out of a frame and make it comparable with others.

Frames differ in gain and in how many pixels a millimetre has, and no frame shows its spacing.
So every nodule is brought to one size in pixels and every region to one mean and spread of grey
levels before a feature is computed; size, where a feature is about size, is kept as a share of
the scan area.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from thyro_demo.data import scan_area
from thyro_demo.data.roi import NODULE_MARGIN, mask_box, widen
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError

SIDE = 64
"""Pixels of the longer side of every nodule. At least 88 % of the outlined nodules of DDTI and
BUSI are larger: to enlarge one would invent a smooth texture, and betray its size."""

_SPREAD = 3.0
"""Standard deviations on each side of the mean that the grey levels 0 to 255 span."""


@dataclass(frozen=True)
class Region:
    """A region of interest: what every feature is computed from.

    Parameters
    ----------
    grey : ndarray of uint8 (H, W)
        Grey levels, 0–255.
    mask : ndarray of bool (H, W)
        The nodule, one connected part.
    pixel : float
        Side of a pixel as a share of the side of the square that is as large as the scan area.
    """

    grey: np.ndarray
    mask: np.ndarray
    pixel: float

    @property
    def inside(self) -> np.ndarray:
        """Grey levels of the nodule, uint8 (n,)."""
        return self.grey[self.mask]


def cut(frame: np.ndarray, mask: np.ndarray) -> Region:
    """Cut the region around a nodule, resample it and even out its grey levels.

    Parameters
    ----------
    frame : ndarray of uint8 (H, W, 3)
        RGB, 0–255.
    mask : ndarray of bool (H, W)
        The nodule; of several parts the largest counts.

    Returns
    -------
    Region
        The nodule's box and `roi.NODULE_MARGIN` of it on each side, as far as the scan
        area goes, resampled so that the nodule's longer side has `SIDE` pixels.

    Raises
    ------
    DataError
        If the mask is empty or not as large as the frame.
    """
    if mask.shape != frame.shape[:2] or not mask.any():
        raise DataError(
            "A nodule is a mask as large as its frame with at least one pixel set. "
            f"Received: mask {mask.shape} with {int(mask.sum())} pixels, frame {frame.shape}."
        )
    nodule = _largest_part(mask)
    scan = scan_area.find(frame)
    tight, around = _boxes(nodule, scan)
    factor = SIDE / max(tight.width, tight.height)
    size = max(round(factor * around.width), 1), max(round(factor * around.height), 1)
    shares = _resized(scan_area.crop(nodule, around).astype(np.float32), size)
    grey = np.asarray(Image.fromarray(scan_area.crop(frame, around)).convert("L"), np.float32)
    # A line thinner than a new pixel fills no pixel by half.
    inside = _largest_part(shares >= min(0.5, float(shares.max())))
    pixel = 1 / (factor * (scan.width * scan.height) ** 0.5)
    return Region(even(_resized(grey, size)), inside, pixel)


def even(grey: np.ndarray) -> np.ndarray:
    """Scale grey levels to the same mean and spread as those of every other region.

    The whole region counts, not the nodule alone: a nodule stays as much darker or brighter
    than its surroundings as it was.

    Parameters
    ----------
    grey : ndarray of float (H, W)
        Grey levels of a region.

    Returns
    -------
    ndarray of uint8 (H, W)
        Mean ± three standard deviations as 0–255, what is beyond cut off; 128 where the
        region is constant.

    References
    ----------
    Collewet, Strzelecki, Mariette, "Influence of MRI acquisition protocols and image intensity
    normalization methods on texture classification", Magnetic Resonance Imaging 22, 2004.
    """
    values = np.asarray(grey, np.float64)
    # Rounding alone leaves a constant region a spread of its own.
    spread = max(float(values.std()), 1e-6)
    shares = 0.5 + (values - values.mean()) / (2 * _SPREAD * spread)
    return np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8)


def _largest_part(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def _boxes(nodule: np.ndarray, scan: Box) -> tuple[Box, Box]:
    """Find the box of a nodule, and the one with its surroundings inside the scan area."""
    tight = mask_box(nodule)
    assert tight is not None
    wide = widen(tight, NODULE_MARGIN, nodule.shape)
    # An outline drawn over the edge of the scan area still counts as nodule.
    return tight, Box(
        min(tight.left, max(wide.left, scan.left)),
        min(tight.top, max(wide.top, scan.top)),
        max(tight.right, min(wide.right, scan.right)),
        max(tight.bottom, min(wide.bottom, scan.bottom)),
    )


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))
