"""The maps that a frame is made from: echo level, coherence and attenuation on scan lines."""

from typing import NamedTuple

import numpy as np

from thyro_demo.data.phantom.physics import BEAM_PIXELS, smooth_noise


class Window(NamedTuple):
    """A rectangle of the canvas: its slices and the warped coordinates inside, in mm."""

    where: tuple[slice, slice]
    x: np.ndarray
    z: np.ndarray


class Canvas:
    """The maps a frame is made from, on scan lines `BEAM_PIXELS` pixels apart.

    Parameters
    ----------
    pixels : tuple of int
        Rows and columns of the scan area.
    spacing_mm : float
        Pixel spacing in millimetres.

    Attributes
    ----------
    echo : ndarray of float32, shape (H, B)
        Echo level in decibel; 0 is normal thyroid.
    coherence : ndarray of float32, shape (H, B)
        Specular over diffuse amplitude, 0 or more.
    attenuation : ndarray of float32, shape (H, B)
        Two-way attenuation in dB/mm beyond what the gain makes up for; negative in fluid.
    x, z : ndarray of float32, shape (H, B)
        Tissue coordinates in millimetres: lateral, 0 in the middle; depth, 0 at the probe.
        `warp` bends them, so that no outline is a perfect curve.
    """

    def __init__(self, pixels: tuple[int, int], spacing_mm: float) -> None:
        shape = (pixels[0], pixels[1] // BEAM_PIXELS + 1)
        self.pixels = pixels
        self.shape = shape
        self.spacing_mm = spacing_mm
        self.beam_mm = BEAM_PIXELS * spacing_mm
        self.columns = lateral_mm(pixels[1], spacing_mm, shape[1], BEAM_PIXELS)
        self.rows = ((np.arange(shape[0]) + 0.5) * spacing_mm).astype(np.float32)
        self.echo = np.zeros(shape, np.float32)
        self.coherence = np.zeros(shape, np.float32)
        self.attenuation = np.zeros(shape, np.float32)
        self.x: np.ndarray = np.broadcast_to(self.columns, shape)
        self.z: np.ndarray = np.broadcast_to(self.rows[:, None], shape)

    def warp(self, rng: np.random.Generator) -> None:
        """Bend the coordinates smoothly by a fraction of a millimetre."""
        self.x = self.columns + 0.8 * self.noise(rng, (8.0, 8.0))
        self.z = self.rows[:, None] + 0.4 * self.noise(rng, (8.0, 6.0))
        self.z += 0.1 * self.noise(rng, (1.6, 1.1))

    def noise(
        self,
        rng: np.random.Generator,
        grain_mm: tuple[float, float],
        shape: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Draw unit noise with a grain in millimetres (depth, lateral)."""
        cells = (grain_mm[0] / self.spacing_mm, grain_mm[1] / self.beam_mm)
        return smooth_noise(rng, shape or self.shape, cells)

    def window(self, left: float, right: float, top: float, bottom: float) -> Window:
        """Cut out the rectangle between these millimetres, clipped to the canvas."""
        first, last = np.searchsorted(self.columns, (left, right))
        upper, lower = np.searchsorted(self.rows, (top, bottom))
        where = (slice(int(upper), int(lower)), slice(int(first), int(last)))
        return Window(where, self.x[where], self.z[where])

    def straight(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return the unbent coordinates of a window, (1, w) and (h, 1), in millimetres."""
        return self.columns[None, window.where[1]], self.rows[window.where[0], None]

    def fill(
        self,
        window: Window,
        weight: np.ndarray,
        echo: float | np.ndarray,
        attenuation: float | np.ndarray = 0.0,
    ) -> None:
        """Replace tissue in a window, blending by weight (0–1)."""
        part = self.echo[window.where]
        part += weight * (echo - part)
        part = self.attenuation[window.where]
        part += weight * (attenuation - part)
        part = self.coherence[window.where]
        part *= 1.0 - weight

    def interface(self, window: Window, weight: np.ndarray, echo: float, coherence: float) -> None:
        """Lift an interface towards at least `echo` and make it specular."""
        part = self.echo[window.where]
        part += weight * np.maximum(echo - part, 0.0)
        part = self.coherence[window.where]
        np.maximum(part, coherence * weight, out=part)


def lateral_mm(columns: int, spacing_mm: float, count: int, step: int = 1) -> np.ndarray:
    """Place `count` columns `step` pixels apart, in mm from the middle of the scan area."""
    offset = np.arange(count) * step - (columns - 1) / 2
    return (offset * spacing_mm).astype(np.float32)


def ramp(distance: np.ndarray, softness: float) -> np.ndarray:
    """Turn a signed distance into a membership of 0–1 over `softness` millimetres."""
    return np.clip(distance * np.float32(1.0 / softness) + np.float32(0.5), 0.0, 1.0)


def ridge(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 1 on the zero line of a distance, falling to 0 at `width` millimetres."""
    return np.clip(1.0 - np.abs(distance) * np.float32(1.0 / width), 0.0, 1.0)
