"""Changes of a frame after which a model might predict something else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter
from scipy.ndimage import binary_dilation, gaussian_filter

from thyro_demo.data import scan_area
from thyro_demo.data.roi import mask_box, widen
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ImageError

_GAIN = 1.35
_ARM = 5
# How far aside speckle is looked for, in widths of the nodule, and its size in pixels.
_ASIDE = (1.1, 1.25, 1.5)
_GRAIN = 4.0
_NEAR, _FAR = 0.35, 0.65


def brighter(frame: np.ndarray) -> np.ndarray:
    """Raise the gain by 35 %, of a frame of uint8, (H, W) or (H, W, 3)."""
    return np.clip(frame.astype(np.float32) * _GAIN, 0, 255).astype(np.uint8)


def mirrored(frame: np.ndarray) -> np.ndarray:
    """Mirror a frame, (H, W) or (H, W, 3), left for right."""
    return frame[:, ::-1].copy()


def blurred(frame: np.ndarray) -> np.ndarray:
    """Blur a frame of uint8, (H, W) or (H, W, 3), as a file that was enlarged too far."""
    radius = min(frame.shape[:2]) / 120
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))


def split(frame: np.ndarray) -> np.ndarray:
    """Show a frame, (H, W) or (H, W, 3), twice side by side, as a split screen does."""
    half = frame[:, ::2]
    return np.concatenate([half, half], axis=1)


def with_calipers(frame: np.ndarray, ends: Sequence[tuple[int, int]] | None = None) -> np.ndarray:
    """Print the crosses of a caliper into a frame.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W) or (H, W, 3)
        At least 32 pixels a side.
    ends : sequence of (int, int), optional
        Row and column of each cross; by default two on the frame's diagonal.

    Returns
    -------
    ndarray
        A copy with the crosses.
    """
    height, width = frame.shape[:2]
    if ends is None:
        ends = [(round(part * height), round(part * width)) for part in (_NEAR, _FAR)]
    marked = frame.copy()
    for y, x in ends:
        marked[max(y - _ARM, 0) : y + _ARM + 1, x] = 255
        marked[y, max(x - _ARM, 0) : x + _ARM + 1] = 255
    return marked


def without_nodule(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cover a nodule with tissue like that around it.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        RGB.
    mask : ndarray of bool, shape (H, W)
        The nodule; somewhere True.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        A copy: below a soft edge, the brightness of the tissue around the nodule with the speckle
        of the side whose structure is most like it, so that no airway or vessel comes along.
    """
    box = _box(mask)
    near = max(3, box.width // 12)
    # All that matters of a frame that may be large.
    window = widen(box, 4 * near / min(box.width, box.height), mask.shape)
    part, nodule = scan_area.crop(frame, window), scan_area.crop(mask, window)
    # What borders on the nodule may be its own rim.
    rim = binary_dilation(nodule, iterations=near)
    ring = binary_dilation(rim, iterations=2 * near) & ~rim
    around = part[ring].mean() if ring.any() else frame.mean()
    steps = [sign * round(aside * box.width) for aside in _ASIDE for sign in (-1, 1)]
    sides = (_aside(frame, window, step) for step in steps)
    side = min(sides, key=lambda one: np.abs(one[nodule] - around).mean())
    # Else the noise of a dark vessel would be blown up.
    floor = 0.25 * around + 1
    speckle = (side + floor) / (_smooth(side, _GRAIN) + floor)
    tissue = np.clip(_spread(part, ring, around, box.width / 3) * speckle, 0, 255)
    covered = frame.copy()
    scan_area.crop(covered, window)[:] = _blended(part, tissue, _soft(nodule, box.width))
    return covered


def with_nodule_moved(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Move a nodule aside, to where there is more room.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        RGB.
    mask : ndarray of bool, shape (H, W)
        The nodule; somewhere True.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        A copy: the nodule a little more than its own width from where it was, or at the edge.
    """
    box = _box(mask)
    left, right = box.left, frame.shape[1] - box.right
    step = min(round(1.1 * box.width), max(left, right)) * (-1 if left >= right else 1)
    alpha = _soft(mask, box.width)
    return _blended(
        without_nodule(frame, mask), np.roll(frame, step, axis=1), np.roll(alpha, step, axis=1)
    )


def longest(mask: np.ndarray) -> list[tuple[int, int]]:
    """Find where a caliper goes on a mask, bool (H, W): the ends of its longest row or column."""
    box = _box(mask)
    if box.width >= box.height:
        row = int(mask.sum(axis=1).argmax())
        columns = np.flatnonzero(mask[row])
        return [(row, int(columns[0])), (row, int(columns[-1]))]
    column = int(mask.sum(axis=0).argmax())
    rows = np.flatnonzero(mask[:, column])
    return [(int(rows[0]), column), (int(rows[-1]), column)]


def _box(mask: np.ndarray) -> Box:
    box = mask_box(mask)
    if box is None:
        raise ImageError("A nodule's mask must be True somewhere. Received: an empty mask.")
    return box


def _aside(frame: np.ndarray, window: Box, step: int) -> np.ndarray:
    """Take what is beside a window; what would be beyond the frame's edge is its mirror image."""
    width = frame.shape[1]
    source = np.abs(np.arange(window.left, window.right) + step)
    source = np.where(source >= width, 2 * (width - 1) - source, source).clip(0, width - 1)
    return frame[window.top : window.bottom, source].astype(np.float32)


def _smooth(frame: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(frame, (sigma, sigma, 0))


def _spread(frame: np.ndarray, ring: np.ndarray, around: float, sigma: float) -> np.ndarray:
    """Spread the brightness of a ring over what it encloses; `around` is its mean."""
    weight = ring[..., np.newaxis].astype(np.float32)
    spread, reach = _smooth(frame * weight, sigma), _smooth(weight, sigma)
    # Where the filter does not reach, it is the mean that counts.
    return (spread + 1e-3 * around) / (reach + 1e-3)


def _soft(mask: np.ndarray, width: int) -> np.ndarray:
    """Give a mask an edge that fades, 1 inside."""
    sigma = max(1.0, width / 25)
    return np.clip(2 * gaussian_filter(mask.astype(np.float32), sigma), 0, 1)


def _blended(below: np.ndarray, above: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    mixed = below + alpha[..., np.newaxis] * (above.astype(np.float32) - below)
    return np.rint(mixed).astype(np.uint8)
