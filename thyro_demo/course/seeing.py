"""Chapter 1: the physics of an ultrasound frame, one effect at a time.

The physics is that of `data/phantom/physics`, taken apart. What comes after it,
from a stored frame to a fair split, is in `collection`.

References
----------
Bushberg et al., *The Essential Physics of Medical Imaging* (3rd ed. 2012), chapter 14, for the
impedances and the rule of 0.5 dB/(cm MHz). Speeds of sound: Szabo, *Diagnostic Ultrasound Imaging*
(2nd ed. 2014), appendix B.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import hilbert

from thyro_demo.data.phantom import physics
from thyro_demo.errors import DataError

SPEED = 1.54
"""Speed of sound that every scanner assumes, in millimetres per microsecond."""

SPEEDS: dict[str, float] = {"fat": 1.45, "soft tissue, assumed": SPEED, "muscle": 1.58}
"""Speeds of sound in tissue, in millimetres per microsecond."""

IMPEDANCES: dict[str, float] = {
    "air": 0.0004,
    "fat": 1.34,
    "water": 1.48,
    "soft tissue": 1.65,
    "muscle": 1.71,
    "bone": 7.8,
}
"""Acoustic impedances in MRayl (10⁶ kg m⁻² s⁻¹): density times speed of sound."""

LOSS_DB_CM_MHZ = 0.5
"""Loss of sound in soft tissue on one way, in dB per centimetre and megahertz."""

SPACING_MM = 0.1
"""Pixel spacing of the small blocks of tissue in this chapter, in millimetres."""

_SAMPLES_PER_US = 100


class Line(NamedTuple):
    """The echo along one scan line.

    Attributes
    ----------
    time_us : ndarray of float64, shape (n,)
        Microseconds since the pulse left.
    signal : ndarray of float64, shape (n,)
        Pressure at the probe, in units of the pulse.
    envelope : ndarray of float64, shape (n,)
        Strength of the echo, 0 or more.
    """

    time_us: np.ndarray
    signal: np.ndarray
    envelope: np.ndarray


def listen(
    depths_mm: np.ndarray,
    strengths: np.ndarray,
    frequency_mhz: float = 7.5,
    cycles: float = 2.0,
    longest_us: float = 60.0,
) -> Line:
    """Send one pulse into tissue and record the echo.

    Parameters
    ----------
    depths_mm : ndarray of float64, shape (k,)
        Depths of what reflects, in millimetres.
    strengths : ndarray of float64, shape (k,)
        Amplitude that comes back from each.
    frequency_mhz : float
        Frequency of the pulse.
    cycles : float
        Length of the pulse, in oscillations (standard deviation of its Gaussian envelope times
        two): a short pulse keeps close depths apart.
    longest_us : float
        How long to record, microseconds.

    Returns
    -------
    Line
        Each echo arrives after the way down and back at `SPEED`.

    Raises
    ------
    DataError
        If a depth is negative, or depths and strengths differ in number.
    """
    depths, strong = np.asarray(depths_mm, np.float64), np.asarray(strengths, np.float64)
    if depths.shape != strong.shape or (depths < 0).any():
        raise DataError(
            "Each reflector must have a depth of 0 mm or more and a strength. "
            f"Received: depths_mm={depths.tolist()}, strengths={strong.tolist()}."
        )
    time = np.arange(0, longest_us, 1 / _SAMPLES_PER_US)
    since = time - 2 * depths[:, None] / SPEED
    length = cycles / frequency_mhz / 2
    waves = np.exp(-0.5 * (since / length) ** 2) * np.cos(2 * np.pi * frequency_mhz * since)
    signal = strong @ waves
    return Line(time, signal, np.abs(hilbert(signal)))


def reflected(first: str, second: str) -> float:
    """Compute the share of energy that a flat border between two materials sends back.

    Parameters
    ----------
    first, second : str
        Keys of `IMPEDANCES`.

    Returns
    -------
    float
        Share, 0–1, for sound that meets the border at a right angle.

    Raises
    ------
    DataError
        If a material is not in the table.

    Examples
    --------
    >>> round(reflected("soft tissue", "air"), 3), round(reflected("soft tissue", "muscle"), 4)
    (0.999, 0.0003)
    """
    for name in (first, second):
        if name not in IMPEDANCES:
            raise DataError(f"A material must be one of {', '.join(IMPEDANCES)}. Received: {name}.")
    one, other = IMPEDANCES[first], IMPEDANCES[second]
    return ((other - one) / (other + one)) ** 2


def loss(frequency_mhz: float) -> float:
    """Compute the attenuation of soft tissue on the way down and back.

    Parameters
    ----------
    frequency_mhz : float
        Frequency of the sound, above 0.

    Returns
    -------
    float
        Decibels per millimetre of depth.
    """
    return 2 * LOSS_DB_CM_MHZ * frequency_mhz / 10


def insonate(
    echo_db: np.ndarray,
    loss_db_mm: np.ndarray | float = 0.0,
    gain_db_mm: float = 0.0,
    coherence: np.ndarray | float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """Make an image of a block of tissue, up to the squared envelope.

    Parameters
    ----------
    echo_db : ndarray of float32, shape (H, W)
        How strongly the tissue scatters, in decibel; 0 is normal thyroid.
    loss_db_mm : ndarray of float32, shape (H, W), or float
        Attenuation at each place on the way down and back, dB/mm.
    gain_db_mm : float
        What the receiver adds for each millimetre of depth, to echoes and to its own noise.
    coherence : ndarray of float32, shape (H, W), or float
        Amplitude of the mirror-like part over that of the scattered part, 0 or more.
    seed : int
        Of the scatterers.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Squared envelope; its mean is 1 in tissue at 0 dB without loss.
    """
    echo = np.asarray(echo_db, np.float32)
    lost = np.broadcast_to(np.asarray(loss_db_mm, np.float32), echo.shape)
    mirror = np.broadcast_to(np.asarray(coherence, np.float32), echo.shape)
    heard = echo - np.cumsum(lost, axis=0) * np.float32(SPACING_MM)
    power = physics.echo_power(np.random.default_rng(seed), heard, mirror, SPACING_MM)
    depth = (np.arange(len(echo), dtype=np.float32) + 0.5) * np.float32(SPACING_MM)
    return power * np.float32(10) ** (np.float32(gain_db_mm) * depth / 10)[:, None]


def grey(power: np.ndarray, dynamic_range_db: float = 60.0, level: float = 0.55) -> np.ndarray:
    """Show a squared envelope as a scanner does: on a logarithmic scale.

    Parameters
    ----------
    power : ndarray of float32, shape (H, W)
        Squared envelope.
    dynamic_range_db : float
        Decibels from black to white.
    level : float
        Grey, 0–1, of 0 dB.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        Grey values, 0–255.
    """
    shown = physics.log_compress(power.astype(np.float32), dynamic_range_db, level, smoothing=0.0)
    return np.round(np.clip(shown, 0, 1) * 255).astype(np.uint8)


def decibels(power: np.ndarray) -> np.ndarray:
    """Average a squared envelope over each row.

    Parameters
    ----------
    power : ndarray of float32, shape (H, W)
        Squared envelope.

    Returns
    -------
    ndarray of float64, shape (H,)
        Mean level of each depth in decibel.
    """
    return 10 * np.log10(np.asarray(power, np.float64).mean(axis=1))


def disc(shape: tuple[int, int], centre_mm: tuple[float, float], radius_mm: float) -> np.ndarray:
    """Mark a disc in a block of tissue.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the block.
    centre_mm : tuple of float
        Depth and distance from the left edge, millimetres.
    radius_mm : float
        Radius, millimetres.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True inside.
    """
    rows, columns = ((np.arange(side) + 0.5) * SPACING_MM for side in shape)
    return np.hypot(rows[:, None] - centre_mm[0], columns - centre_mm[1]) <= radius_mm


def points(places_mm: np.ndarray, size_mm: tuple[float, float], spacing_mm: float) -> np.ndarray:
    """Image points that are far smaller than a pixel: the point-spread function at each.

    Parameters
    ----------
    places_mm : ndarray of float64, shape (k, 2)
        Depth and distance from the left edge of each point, millimetres.
    size_mm : tuple of float
        Depth and width of the block.
    spacing_mm : float
        Pixel spacing.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Envelope, 0 or more; points in phase, no noise.

    Raises
    ------
    DataError
        If a point is outside the block.
    """
    shape = tuple(round(side / spacing_mm) for side in size_mm)
    field = np.zeros(shape, np.complex64)
    cells = np.floor(np.asarray(places_mm) / spacing_mm).astype(int)
    outside = ((cells < 0) | (cells >= shape)).any(axis=1)
    if outside.any():
        raise DataError(
            f"Points must be within the block of {size_mm[0]} mm by {size_mm[1]} mm. "
            f"Received: {np.asarray(places_mm)[outside].tolist()}."
        )
    np.add.at(field, tuple(cells.T), 1)
    return np.abs(physics.spread(field, spacing_mm))


def width(profile: np.ndarray, spacing_mm: float) -> float:
    """Measure how wide a peak is at half its height.

    Parameters
    ----------
    profile : ndarray of float, shape (n,)
        One peak, falling below half its height on both sides.
    spacing_mm : float
        Distance of its samples.

    Returns
    -------
    float
        Full width at half maximum in millimetres, linear between samples.

    Raises
    ------
    DataError
        If the profile does not fall below half its height on both sides.
    """
    profile = np.asarray(profile, np.float64)
    top, half = int(profile.argmax()), profile.max() / 2
    left, right = np.flatnonzero(profile[:top] < half), np.flatnonzero(profile[top:] < half)
    if not len(left) or not len(right):
        raise DataError(
            "A peak must fall below half its height on both sides. Received: one that does not, "
            f"with its top at sample {top} of {len(profile)}."
        )
    before, after = int(left[-1]), top + int(right[0])
    rise = (half - profile[before]) / (profile[before + 1] - profile[before])
    fall = (profile[after - 1] - half) / (profile[after - 1] - profile[after])
    return float((after - 1 + fall - before - rise) * spacing_mm)


def speckle(per_mm2: float, seed: int = 0, side_mm: float = 12.0) -> np.ndarray:
    """Image scatterers at random places, few or many.

    Parameters
    ----------
    per_mm2 : float
        Scatterers in a square millimetre, above 0.
    seed : int
        Of their places and phases.
    side_mm : float
        Side of the block.

    Returns
    -------
    ndarray of float32, shape (H, H)
        Envelope with mean square 1. Many scatterers make it follow a Rayleigh law.
    """
    rng = np.random.default_rng(seed)
    side, rim = round(side_mm / SPACING_MM), 12
    whole = side + 2 * rim
    # Where chance leaves none at all, there would be nothing to scale.
    count = max(1, rng.poisson(per_mm2 * (whole * SPACING_MM) ** 2))
    field = np.zeros((whole, whole), np.complex64)
    phases = np.exp(2j * np.pi * rng.random(count)).astype(np.complex64)
    np.add.at(field, tuple(rng.integers(whole, size=(2, count))), phases)
    heard = np.abs(physics.spread(field, SPACING_MM))[rim:-rim, rim:-rim]
    return heard / np.float32(np.sqrt(np.mean(np.square(heard))))


def rayleigh(envelope: np.ndarray) -> np.ndarray:
    """Compute the Rayleigh law, which the envelope of many random scatterers follows.

    Parameters
    ----------
    envelope : ndarray of float, any shape
        Values, 0 or more, of an envelope with mean square 1.

    Returns
    -------
    ndarray of float
        Probability density at each value.
    """
    return 2 * envelope * np.exp(-np.square(envelope))
