"""First-order statistics: how grey levels are spread, wherever they are.

References
----------
The lecture's list: energy, entropy, mean, variance, standard deviation, skewness, median. Energy
and entropy are those of the histogram, as in Haralick, "Statistical and structural approaches to
texture", Proc. IEEE 67, 1979. Kurtosis and the range of the middle half are added.
"""

import numpy as np

from thyro_demo.study.steps.handcrafted.region import Region

PROPERTIES = {
    "energy": "Σ p², p the share of each grey level",
    "entropy": "−Σ p·log₂ p, bits",
    "mean": "Σ x / n",
    "variance": "Σ (x − mean)² / n",
    "standard deviation": "√variance",
    "skewness": "Σ (x − mean)³ / (n·standard deviation³), 0 for a constant",
    "kurtosis": "Σ (x − mean)⁴ / (n·variance²) − 3, 0 for a constant",
    "median": "middle value",
    "interquartile range": "75th − 25th percentile",
}
"""Each property and its formula."""

NAMES = tuple(PROPERTIES)
"""Features in the order of `measure`."""


def measure(region: Region) -> np.ndarray:
    """Describe the grey levels of a nodule.

    Parameters
    ----------
    region : Region
        What lies outside its mask doesn't count.

    Returns
    -------
    ndarray of float64 (9,)
        In the order of `NAMES`.
    """
    return statistics(region.inside)


def statistics(values: np.ndarray) -> np.ndarray:
    """Compute the first-order statistics of some values.

    Parameters
    ----------
    values : ndarray of float (n,)
        Grey levels or coefficients; a histogram counts them rounded to whole levels.

    Returns
    -------
    ndarray of float64 (9,)
        In the order of `NAMES`; all 0 where there is no value.
    """
    x = np.asarray(values, np.float64)
    if not x.size:
        return np.zeros(len(NAMES))
    shares = np.unique(np.round(x), return_counts=True)[1] / x.size
    mean, variance = x.mean(), x.var()
    # Below this, a variance is what rounding leaves of a constant.
    z = (x - mean) / np.sqrt(variance) if variance > 1e-12 else np.zeros_like(x)
    low, middle, high = np.percentile(x, (25, 50, 75))
    return np.array(
        [
            (shares**2).sum(),
            # Adding 0 makes −0 plain.
            -(shares * np.log2(shares)).sum() + 0.0,
            mean,
            variance,
            np.sqrt(variance),
            (z**3).mean(),
            (z**4).mean() - 3 if z.any() else 0.0,
            middle,
            high - low,
        ]
    )
