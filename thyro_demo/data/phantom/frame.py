"""Draw one phantom frame: patient, probe, physics, label."""

import zlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from thyro_demo.clinical.tirads import Features, points
from thyro_demo.data.phantom import anatomy, nodule, physics
from thyro_demo.data.phantom.canvas import Canvas
from thyro_demo.data.phantom.scanner import ScannerFrame
from thyro_demo.errors import DataError

LABEL_SLOPE = 1.0
"""Rise of the log odds of "malignant" per TI-RADS point."""

LABEL_MIDDLE = 5.5
"""Points at which a phantom is malignant as often as benign."""

SIZE_RANGE_MM = (4.0, 40.0)
"""Longest diameters that can be drawn, in millimetres."""

DEPTH_RANGE_MM = (20.0, 80.0)
"""Depths that can be asked for, in millimetres."""

GAIN_RANGE_DB = (-20.0, 20.0)
"""Gains that can be asked for, in decibel."""

_DEPTH_STEP_MM = 2.5


# Compared by identity: frames are arrays, whose == is no single truth.
@dataclass(frozen=True, eq=False)
class Phantom:
    """One frame and everything that is true of it.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W)
        Grey values.
    mask : ndarray of bool, shape (H, W)
        The nodule; all False when there is none.
    spacing_mm : float
        Pixel spacing in millimetres, the same along both axes.
    features : Features or None
        The nodule's features; None when there is no nodule.
    points : int or None
        TI-RADS points of `features`.
    label : str
        "benign" or "malignant", drawn with `malignant_probability`; without a nodule the
        texture, "normal" or "autoimmune".
    patient : str
        Patient id. Frames of one id share neck, nodule and label.
    size_mm : float
        Longest diameter in millimetres; 0 when there is no nodule.
    seed : int
        Seed of the frame.
    """

    frame: np.ndarray
    mask: np.ndarray
    spacing_mm: float
    features: Features | None
    points: int | None
    label: str
    patient: str
    size_mm: float
    seed: int

    @property
    def rgb(self) -> np.ndarray:
        """The frame as networks expect it: uint8 (H, W, 3), three equal channels."""
        return np.repeat(self.frame[..., None], 3, axis=2)


def malignant_probability(points: int) -> float:
    """Compute the probability with which a phantom is labelled "malignant".

    The logistic ``1 / (1 + exp(-LABEL_SLOPE * (points - LABEL_MIDDLE)))``. It is a rule of
    this teaching set. It is far steeper than the clinic's risk by level, so that the label
    can be learned from hundreds of frames.

    Parameters
    ----------
    points : int
        TI-RADS points.

    Returns
    -------
    float
        Probability, 0–1; it rises with the points.

    Examples
    --------
    >>> [round(malignant_probability(points), 2) for points in (0, 3, 7)]
    [0.0, 0.08, 0.82]
    """
    return float(1.0 / (1.0 + np.exp(-LABEL_SLOPE * (points - LABEL_MIDDLE))))


def label_of(features: Features | None, patient: str, texture: str = "normal") -> str:
    """Draw a patient's label, without drawing a frame.

    Parameters
    ----------
    features : Features or None
        The nodule's features; None for a gland without one.
    patient : str
        Patient id, the seed of the draw.
    texture : str
        Texture of the gland, the label where there is no nodule.

    Returns
    -------
    str
        "malignant" with `malignant_probability`, else "benign"; or `texture`.
    """
    if features is None:
        return texture
    chance = np.random.default_rng([zlib.crc32(patient.encode()), 0]).random()
    return "malignant" if chance < malignant_probability(points(features)) else "benign"


def draw(
    features: Features | None,
    size_mm: float = 15.0,
    seed: int = 0,
    shape: tuple[int, int] = (360, 480),
    texture: str = "normal",
    scanner: ScannerFrame | None = None,
    patient: str | None = None,
    depth_mm: float | None = None,
    gain_db: float = 0.0,
    all_else_equal: bool = False,
) -> Phantom:
    """Draw one frame.

    Parameters
    ----------
    features : Features or None
        Features of the nodule; None draws a gland without one.
    size_mm : float
        Longest diameter in millimetres, 4–40; ignored without a nodule.
    seed : int
        Seed of the frame, 0 or more: speckle, gain, depth, place of the probe.
    shape : tuple of int
        Rows and columns of the frame, scanner margin included.
    texture : str
        "normal" or "autoimmune".
    scanner : ScannerFrame, optional
        Margin and marks around the scan; without it the scan fills the frame.
    patient : str, optional
        Patient id. It decides neck, outline and label, so frames with one id, the same
        features and different seeds show one patient. By default an id made from `seed`.
    depth_mm : float, optional
        Depth of the scan in millimetres, 20–80, and more where gland and nodule need it. By
        default one is chosen by the seed, as a sonographer would.
    gain_db : float
        Gain beyond that of the seed, −20 to 20 dB: everything is brighter, noise as well.
    all_else_equal : bool
        Draw the nodule from random numbers of its own, so that frames of one seed that differ
        in its features alone have the same tissue and speckle around it, and the same gain; but
        where the gland has to make room for the nodule, it still moves.

    Returns
    -------
    Phantom
        The same arguments draw the same frame.

    Raises
    ------
    DataError
        If size, seed, shape, texture, depth or gain is out of range.

    Examples
    --------
    >>> cyst = ("cystic or almost completely cystic", "anechoic", "wider than tall", "smooth")
    >>> phantom = draw(Features(*cyst), size_mm=16.0, seed=11)
    >>> phantom.frame.shape, phantom.points, phantom.label
    ((360, 480), 0, 'benign')
    """
    _check(features, size_mm, seed, shape, texture)
    _check_scan(depth_mm, gain_db)
    patient = f"seed-{seed}" if patient is None else patient
    scan_shape = scanner.scan_shape(shape) if scanner else shape
    wish = _Wish(depth_mm, gain_db, all_else_equal)
    frame, mask, spacing_mm = _scan(features, size_mm, seed, scan_shape, texture, patient, wish)
    if scanner:
        top, right, bottom, left = scanner.margins
        frame = scanner.surround(frame, spacing_mm)
        mask = np.pad(mask, ((top, bottom), (left, right)))
    return Phantom(
        frame=frame,
        mask=mask,
        spacing_mm=spacing_mm,
        features=features,
        points=None if features is None else points(features),
        label=label_of(features, patient, texture),
        patient=patient,
        size_mm=0.0 if features is None else float(size_mm),
        seed=seed,
    )


class _Wish(NamedTuple):
    """What is asked of a scan beyond its seed."""

    depth_mm: float | None
    gain_db: float
    all_else_equal: bool


def _scan(
    features: Features | None,
    size_mm: float,
    seed: int,
    shape: tuple[int, int],
    texture: str,
    patient: str,
    wish: _Wish,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Draw the scan area: grey values, mask of the nodule, pixel spacing in millimetres."""
    identity = zlib.crc32(patient.encode())
    rng = np.random.default_rng([seed, identity])
    outline = None
    extent = (0.0, 0.0)
    if features is not None:
        outline = nodule.sample_outline(np.random.default_rng([identity, 1]), features, size_mm)
        extent = outline.extent
    body = np.random.default_rng([identity, 2])
    neck = anatomy.sample_neck(body, texture, 0.5 * extent[0], 0.5 * extent[1])
    neck = _probe(neck, rng)
    centre = (0.0, 0.0)
    if features is not None and outline is not None:
        centre = nodule.place(np.random.default_rng([identity, 3]), features, outline, neck)
    spacing_mm = _spacing(shape, neck, centre, extent, rng, wish.depth_mm)

    canvas = Canvas(shape, spacing_mm)
    anatomy.paint(canvas, neck, rng)
    mask = np.zeros(shape, bool)
    if features is not None and outline is not None:
        inside = np.random.default_rng([seed, identity, 1]) if wish.all_else_equal else rng
        nodule.paint(canvas, features, outline, centre, neck.gland_db, inside)
        mask = nodule.mask(outline, centre, shape, spacing_mm)
    return _develop(canvas, rng, wish.gain_db), mask, spacing_mm


def _check(
    features: Features | None, size_mm: float, seed: int, shape: tuple[int, int], texture: str
) -> None:
    low, high = SIZE_RANGE_MM
    if features is not None and not low <= size_mm <= high:
        raise DataError(
            f"The longest diameter of a nodule must be {low:g}–{high:g} mm. "
            f"Received: size_mm={size_mm}."
        )
    if seed < 0:
        raise DataError(f"A seed must be a whole number, 0 or more. Received: seed={seed}.")
    if min(shape) < 64 or max(shape) > 4096:
        raise DataError(f"The sides of a frame must be 64–4096 pixels. Received: shape={shape}.")
    if texture not in anatomy.TEXTURES:
        raise DataError(
            f"texture must be one of {', '.join(anatomy.TEXTURES)}. Received: texture={texture!r}."
        )


def _check_scan(depth_mm: float | None, gain_db: float) -> None:
    low, high = DEPTH_RANGE_MM
    if depth_mm is not None and not low <= depth_mm <= high:
        raise DataError(
            f"The depth of a scan must be {low:g}–{high:g} mm. Received: depth_mm={depth_mm}."
        )
    low, high = GAIN_RANGE_DB
    if not low <= gain_db <= high:
        raise DataError(f"The gain must be {low:g} to {high:g} dB. Received: gain_db={gain_db}.")


def _probe(neck: anatomy.Neck, rng: np.random.Generator) -> anatomy.Neck:
    """Slide the probe sideways and press it on the neck by this frame's amount."""
    slide = rng.uniform(-3.0, 3.0)
    press = rng.uniform(0.85, 1.1)
    fat, strap = neck.fat * press, neck.strap * press
    lift = fat + strap - neck.fat - neck.strap
    x0, z0, wide, high = neck.lobe
    return replace(neck, fat=fat, strap=strap, lobe=(x0 + slide, z0 + lift, wide, high))


def _spacing(
    shape: tuple[int, int],
    neck: anatomy.Neck,
    centre: tuple[float, float],
    extent: tuple[float, float],
    rng: np.random.Generator,
    asked_mm: float | None,
) -> float:
    """Choose the depth as a sonographer does: in steps, with the gland and nodule in view."""
    usual = rng.uniform(32.0, 42.0)
    wish = usual if asked_mm is None else asked_mm
    tall = max(neck.bottom + 4.0, centre[1] + 0.5 * extent[1] + 5.0)
    wide = 2.0 * (abs(centre[0]) + 0.5 * extent[0] + 1.0)
    depth = max(wish, tall, wide * shape[0] / shape[1])
    return float(np.ceil(depth / _DEPTH_STEP_MM) * _DEPTH_STEP_MM / shape[0])


def _across_beams(loss: np.ndarray) -> np.ndarray:
    """Average attenuation over the aperture, whose beams cross at different angles."""
    padded = np.pad(loss, ((0, 0), (4, 4)), mode="edge")
    pairs = padded[:, 2:] + padded[:, :-2]
    fours = pairs[:, 4:] + pairs[:, :-4]
    fours += 2.0 * pairs[:, 2:-2]
    return fours[:, 1:-1] * np.float32(0.125)


def _develop(canvas: Canvas, rng: np.random.Generator, gain_db: float) -> np.ndarray:
    """Turn the maps into grey values with this frame's gain and grey curve."""
    rows, beam_count = canvas.shape
    loss = np.cumsum(canvas.attenuation, axis=0)
    loss *= np.float32(canvas.spacing_mm)
    np.clip(loss, -8.0, 26.0, out=loss)
    canvas.echo -= _across_beams(loss)
    depth = np.linspace(0.0, 1.0, rows, dtype=np.float32)
    gain = 1.2 * physics.smooth_curve(rng, rows, rows / 4) - rng.uniform(1.0, 8.0) * depth**2
    beams = 0.7 * physics.smooth_curve(rng, beam_count, beam_count / 8)
    if rng.random() < 0.15:
        # A hair or a bubble under the probe keeps some of the beams out.
        gap = (canvas.columns - rng.uniform(-18.0, 18.0)) / rng.uniform(0.8, 2.0)
        beams = beams - rng.uniform(4.0, 9.0) * np.exp(-(gap**2))
    canvas.echo += gain[:, None] + beams.astype(np.float32)
    columns = canvas.pixels[1]
    echo = physics.scan_convert(canvas.echo, columns)
    coherence = physics.scan_convert(canvas.coherence, columns)
    power = physics.echo_power(rng, echo, coherence, canvas.spacing_mm)
    dynamic_range, level, smoothing = rng.uniform((54.0, 0.43, 0.5), (61.0, 0.51, 1.6)).tolist()
    grey = physics.log_compress(power, dynamic_range, level + gain_db / dynamic_range, smoothing)
    np.clip(grey, 0.0, 1.0, out=grey)
    # A gentle curve through black, middle and white, as scanners' grey maps have it.
    bend = np.float32(rng.uniform(-0.15, 0.35))
    grey += bend * grey * (grey - 1.0) * (1.0 - grey) * 2.0
    return (grey * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
