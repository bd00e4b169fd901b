"""Features made by hand from a nodule and its outline, as classical systems read it.

Five families, each a module with the formulas of its properties: `shape`, `first_order`, `glcm`,
`glrlm` and `wavelet`. `region` makes regions comparable before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from thyro_demo.study.steps.handcrafted import first_order, glcm, glrlm, shape, wavelet
from thyro_demo.study.steps.handcrafted.region import Region, cut


@dataclass(frozen=True)
class Family:
    """Features of one kind.

    Parameters
    ----------
    properties : mapping of str to str
        Each property and its formula.
    names : tuple of str
        Features: properties in each direction, at each number of levels, of each band.
    measure : callable
        Takes a `Region`, returns float64 (d,) in the order of the names.
    """

    properties: Mapping[str, str]
    names: tuple[str, ...]
    measure: Callable[[Region], np.ndarray]


FAMILIES = {
    "shape": Family(shape.PROPERTIES, shape.NAMES, shape.measure),
    "first order": Family(first_order.PROPERTIES, first_order.NAMES, first_order.measure),
    "GLCM": Family(glcm.PROPERTIES, glcm.NAMES, glcm.measure),
    "GLRLM": Family(glrlm.PROPERTIES, glrlm.NAMES, glrlm.measure),
    "wavelet": Family(wavelet.PROPERTIES, wavelet.NAMES, wavelet.measure),
}
"""Every family, in the order of its features in a row."""

NAMES = tuple((kind, name) for kind, family in FAMILIES.items() for name in family.names)
"""Family and name of each feature, in the order of `measure`."""


ALL = "all families"
"""The families together."""


def columns(family: str) -> np.ndarray:
    """Find the places of the features of a family in a row.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`, or `ALL`.

    Returns
    -------
    ndarray of int (d,)
        Positions in `NAMES`.
    """
    return np.array([place for place, (own, _) in enumerate(NAMES) if family in (own, ALL)])


def measure(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Compute every feature of an outlined nodule.

    Parameters
    ----------
    frame : ndarray of uint8 (H, W, 3)
        RGB, 0–255.
    mask : ndarray of bool (H, W)
        The nodule.

    Returns
    -------
    ndarray of float64 (132,)
        In the order of `NAMES`, all finite.

    Raises
    ------
    DataError
        If the mask is empty or not as large as the frame.
    """
    region = cut(frame, mask)
    return np.concatenate([family.measure(region) for family in FAMILIES.values()])
