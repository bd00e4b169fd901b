"""How tissue becomes a B-mode image: scatterers, point spread, envelope, grey map.

The field is simulated at baseband. A scatterer is a random complex number, one a pixel;
convolution with the point spread yields the demodulated analytic signal, and its modulus
is the envelope. The finer the pixels, the more scatterers are within the point spread,
and the nearer the envelope of uniform tissue comes to a Rayleigh law, whose mean is 1.91
standard deviations: 1.92 at 0.05 mm a pixel, 1.95 at 0.1 mm, 2.2 at 0.3 mm, all to a depth
of 36 mm.

References
----------
Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans Sonics Ultrason
25(1):1–6, 1978. Wagner et al., "Statistics of speckle in ultrasound B-scans", IEEE
Trans Sonics Ultrason 30(3):156–163, 1983. We depart from an RF simulation in leaving
the carrier out: at 0.1 mm a pixel a 10 MHz carrier is below the grid.
"""

import functools

import numpy as np
from scipy import fft

AXIAL_MM = 0.085
"""Standard deviation of the axial point spread in millimetres."""

LATERAL_MM = 0.13
"""Standard deviation of the lateral point spread in the near field, in millimetres."""

APERTURE_DEPTH_MM = 14.0
"""Depth beyond which the aperture no longer grows and the beam widens."""

BEAM_PIXELS = 2
"""Pixels between two scan lines: tissue is mapped on lines, the scan converter fills in."""

_DECIBEL = np.float32(np.log(10.0) / 20.0)
_MARGIN = 12
_KNOTS_PER_STEP = 4


@functools.lru_cache(maxsize=64)
def _spectra(shape: tuple[int, int], spacing_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the transfer functions along depth and, row by row, across the beam."""
    rows, columns = shape
    axial_length = fft.next_fast_len(rows + _MARGIN)
    lateral_length = fft.next_fast_len(columns + _MARGIN)
    depth = np.arange(rows) * spacing_mm
    width = LATERAL_MM * np.hypot(1.0, depth / APERTURE_DEPTH_MM) / spacing_mm
    axial = np.exp(-2.0 * (np.pi * fft.fftfreq(axial_length) * AXIAL_MM / spacing_mm) ** 2)
    lateral = np.exp(-2.0 * (np.pi * fft.fftfreq(lateral_length) * width[:, None]) ** 2)
    # Unit energy (Parseval), so that uniform tissue is equally bright at every depth.
    axial /= np.sqrt(np.mean(axial**2))
    lateral /= np.sqrt(np.mean(lateral**2, axis=1, keepdims=True))
    return axial.astype(np.float32)[:, None], lateral.astype(np.float32)


def spread(field: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Convolve a scatterer field with the point spread, wider with depth.

    The axial filter is one for the whole field. The lateral one is a different Gaussian in each
    row, so no zones have to be blended. Both are applied by FFT with cached spectra, on a field
    padded with silence, so that bright skin does not come round at the bottom.

    Parameters
    ----------
    field : ndarray of complex64, shape (H, W)
        Scatterer amplitudes.
    spacing_mm : float
        Pixel spacing in millimetres.

    Returns
    -------
    ndarray of complex64, shape (H, W)
        Demodulated echo signal. White unit-power input yields unit power everywhere but
        within a few pixels of the border.
    """
    rows, columns = field.shape
    axial, lateral = _spectra((rows, columns), spacing_mm)
    padded = np.zeros((len(axial), lateral.shape[1]), np.complex64)
    padded[:rows, :columns] = field
    spectrum = fft.fft(padded, axis=0, overwrite_x=True)
    spectrum *= axial
    lines = fft.ifft(spectrum, axis=0, overwrite_x=True)[:rows]
    spectrum = fft.fft(lines, axis=1, overwrite_x=True)
    spectrum *= lateral
    return fft.ifft(spectrum, axis=1, overwrite_x=True)[:, :columns]


def scatterers(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw random scatterers of unit power, complex64 (H, W)."""
    # Real and imaginary part are uniform: raw bytes cost a fifth of Gaussian numbers. Their sum
    # over the point spread is nearly Gaussian where that holds many of them. At 0.1 mm a pixel
    # its effective number is about 7 near the probe and 18 at 36 mm. At 0.3 mm it is 1 and 3:
    # small frames have speckle that is more even than by the Rayleigh law.
    numbers = np.frombuffer(rng.bytes(4 * shape[0] * shape[1]), np.int16)
    parts = numbers.astype(np.float32).reshape(*shape, 2)
    parts *= np.float32(np.sqrt(1.5) / 2**15)
    return parts.view(np.complex64)[..., 0]


def scan_convert(lines: np.ndarray, columns: int) -> np.ndarray:
    """Fill in the pixels between scan lines, linearly: float32 (H, columns)."""
    pixels = np.empty((lines.shape[0], columns), np.float32)
    pixels[:, ::2] = lines[:, : (columns + 1) // 2]
    half = columns // 2
    between = lines[:, :half] + lines[:, 1 : half + 1]
    between *= np.float32(0.5)
    pixels[:, 1::2] = between
    return pixels


def echo_power(
    rng: np.random.Generator,
    echo_db: np.ndarray,
    coherence: np.ndarray,
    spacing_mm: float,
    noise_db: float = -42.0,
) -> np.ndarray:
    """Simulate the squared envelope of tissue.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    echo_db : ndarray of float32, shape (H, W)
        Echo level in decibel, attenuation and gain included; 0 is normal thyroid.
    coherence : ndarray of float32, shape (H, W)
        Amplitude of the specular part over that of the diffuse part, 0 or more: a flat
        interface is a smooth line, not a row of speckles.
    spacing_mm : float
        Pixel spacing in millimetres.
    noise_db : float
        Level of the receiver's noise in decibel.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Squared envelope; its mean is 1 in tissue at 0 dB.
    """
    noise = scatterers(rng, (echo_db.shape[0], echo_db.shape[1]))
    field = noise + coherence
    field *= np.exp(echo_db * _DECIBEL)
    signal = spread(field, spacing_mm)
    # The receiver's noise is independent of the tissue a few beam widths away, so the
    # same numbers, turned round, serve again.
    noise *= np.float32(10.0 ** (noise_db / 20.0))
    signal += noise[::-1, ::-1]
    power = np.square(signal.real)
    power += np.square(signal.imag)
    return power


def uniform_envelope(
    seed: int = 0, shape: tuple[int, int] = (360, 480), spacing_mm: float = 0.1
) -> np.ndarray:
    """Simulate uniform tissue up to the envelope, before log compression.

    Parameters
    ----------
    seed : int
        Seed.
    shape : tuple of int
        Rows and columns.
    spacing_mm : float
        Pixel spacing in millimetres.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Envelope, 0 or more, with mean square 1; close to a Rayleigh law at fine spacing.
    """
    rim = _MARGIN
    tissue = np.zeros((shape[0] + 2 * rim, shape[1] + 2 * rim), np.float32)
    power = echo_power(np.random.default_rng(seed), tissue, tissue, spacing_mm)
    return np.sqrt(power[rim:-rim, rim:-rim])


def log_compress(
    power: np.ndarray, dynamic_range_db: float, level: float, smoothing: float = 0.5
) -> np.ndarray:
    """Compress the squared envelope to grey values and smooth lightly.

    Parameters
    ----------
    power : ndarray of float32, shape (H, W)
        Squared envelope.
    dynamic_range_db : float
        Decibels from black to white.
    level : float
        Grey, 0–1, of an envelope of 0 dB.
    smoothing : float
        Share, 0–2, of a 1-2-1 mean across the beams and of half as much along them, as a
        scanner averages neighbours: softer grains, same speckle.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Grey, not clipped; 0 is black and 1 is white.
    """
    grey = np.log(power + np.float32(1e-9))
    grey *= np.float32(10.0 / np.log(10.0) / dynamic_range_db)
    grey += np.float32(level)
    grey[:, 1:-1] += np.float32(0.25 * smoothing) * (
        grey[:, :-2] + grey[:, 2:] - 2.0 * grey[:, 1:-1]
    )
    grey[1:-1] += np.float32(0.125 * smoothing) * (grey[:-2] + grey[2:] - 2.0 * grey[1:-1])
    return grey


@functools.lru_cache(maxsize=512)
def _spline(length: int, quarters: int) -> np.ndarray:
    """Return the cubic B-spline matrix that lifts knots `quarters` / 4 samples apart."""
    position = np.arange(length) * (_KNOTS_PER_STEP / quarters)
    base = position.astype(int)
    t = position - base
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    # Mean squared sum of the four weights over a cell, so that white knots yield unit noise.
    weights /= 6.0 * np.sqrt(151.0 / 315.0)
    matrix = np.zeros((length, base[-1] + 4), np.float32)
    for offset in range(4):
        matrix[np.arange(length), base + offset] = weights[offset]
    return matrix


def _lift(length: int, cell: float) -> np.ndarray:
    """Return the spline matrix for `length` samples and a grain of `cell` samples."""
    # Rounding length and grain leaves few distinct matrices to keep.
    whole = -(-length // 128) * 128
    matrix = _spline(whole, max(_KNOTS_PER_STEP, round(cell * _KNOTS_PER_STEP)))[:length]
    used = int(np.flatnonzero(matrix[-1])[-1]) + 1
    return matrix[:, :used]


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float]
) -> np.ndarray:
    """Draw smooth Gaussian noise of unit variance, grain `cells` in pixels: float32 (H, W)."""
    down, across = _lift(shape[0], cells[0]), _lift(shape[1], cells[1])
    knots = rng.standard_normal((down.shape[1], across.shape[1]), dtype=np.float32)
    return down @ knots @ across.T


def smooth_curve(rng: np.random.Generator, length: int, cell: float) -> np.ndarray:
    """Draw a smooth Gaussian curve of unit variance, with a grain of `cell` samples."""
    matrix = _lift(length, cell)
    return matrix @ rng.standard_normal(matrix.shape[1], dtype=np.float32)
