"""Wavelets: the nodule parted into smooth and fine, down and across.

References
----------
The lecture's single-level transform, X_LH(i, j) = ΣΣ L(p)·H(r)·X(i + p, j + r), which keeps every
pixel: the first letter is the filter down the rows, the second that along them. It names no
wavelet; we take Haar's, whose two pixels reach least over the outline.
"""

import numpy as np
import pywt

from thyro_demo.study.steps.handcrafted import first_order
from thyro_demo.study.steps.handcrafted.region import Region

BANDS = ("LL", "LH", "HL", "HH")
"""Low or high pass down the rows, then along them."""

PROPERTIES = first_order.PROPERTIES | {"energy of the band": "Σ x² / n"}
"""Each property and its formula, of the coefficients x of a band."""

NAMES = tuple(f"{name}, {band}" for band in BANDS for name in PROPERTIES)
"""Features in the order of `measure`."""


def bands(grey: np.ndarray) -> np.ndarray:
    """Part grey levels into four bands.

    Parameters
    ----------
    grey : ndarray of uint8 (H, W)
        Grey levels.

    Returns
    -------
    ndarray of float64 (4, H, W)
        In the order of `BANDS`. Coefficients are at the upper left one of the four pixels
        that they are computed from; beyond the last row and column these are repeated. Of an
        image with a black border, the squares of all coefficients add up to those of its pixels.
    """
    height, width = grey.shape
    # The transform takes even sides, and goes on at the far end.
    padded = np.pad(
        np.asarray(grey, np.float64), ((0, 2 - height % 2), (0, 2 - width % 2)), mode="edge"
    )
    ((low, (down, along, both)),) = pywt.swt2(padded, "haar", level=1, norm=True)
    return np.stack([low, along, down, both])[:, :height, :width]


def measure(region: Region) -> np.ndarray:
    """Describe each band of a nodule by its first-order statistics.

    Parameters
    ----------
    region : Region
        Coefficients that a pixel outside its mask has a part in don't count.

    Returns
    -------
    ndarray of float64 (40,)
        In the order of `NAMES`; 0 for a nodule without four pixels in a square.
    """
    whole = np.pad(region.mask, ((0, 1), (0, 1)))
    inside = whole[:-1, :-1] & whole[1:, :-1] & whole[:-1, 1:] & whole[1:, 1:]
    rows = []
    for band in bands(region.grey):
        values = band[inside]
        energy = (values**2).mean() if values.size else 0.0
        rows.append(np.append(first_order.statistics(values), energy))
    return np.concatenate(rows)
