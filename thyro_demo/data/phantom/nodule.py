"""A nodule from its five ACR TI-RADS features: outline, inside, margin and foci.

References
----------
Tessler et al., J Am Coll Radiol 14(5):587–595, 2017, for what each feature looks like.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from thyro_demo.clinical.tirads import Features
from thyro_demo.data.phantom.anatomy import Neck
from thyro_demo.data.phantom.canvas import Canvas, Window, lateral_mm, ramp, ridge

ECHO_DB: dict[str, float] = {
    "anechoic": -30.0,
    "hyperechoic": 5.5,
    "isoechoic": -1.5,
    "hypoechoic": -7.5,
    "very hypoechoic": -15.0,
    "cannot be determined": -3.0,
}
"""Echo level of a nodule's solid part against the gland, in decibel."""

FLUID_DB = -34.0
"""Echo level of a cyst, in decibel."""

CYSTIC = "cystic or almost completely cystic"

_ANGLES = np.linspace(0.0, 2 * np.pi, 360, endpoint=False)
_DIRECTIONS = np.stack([np.cos(_ANGLES[:180]), np.sin(_ANGLES[:180])])


@dataclass(frozen=True)
class Outline:
    """A star-shaped outline around the origin.

    Parameters
    ----------
    radius : ndarray of float64, shape (360,)
        Radius in millimetres at each degree, from lateral towards depth.
    """

    radius: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Corners (360, 2) as lateral and axial millimetres."""
        return self.radius[:, None] * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)

    @property
    def extent(self) -> tuple[float, float]:
        """Lateral and axial extent in millimetres."""
        wide, high = np.ptp(self.points, axis=0)
        return float(wide), float(high)

    def distance(self, across: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Measure the radial distance to the outline in millimetres, positive inside."""
        degree = np.arctan2(down, across) * np.float32(180 / np.pi)
        closed = np.append(self.radius, self.radius[0]).astype(np.float32)
        place = np.where(degree < 0, degree + np.float32(360), degree)
        base = np.minimum(place.astype(np.intp), 359)
        part = place - base.astype(np.float32)
        edge = closed[base] + part * (closed[base + 1] - closed[base])
        return edge - np.hypot(across, down)


def sample_outline(rng: np.random.Generator, features: Features, size_mm: float) -> Outline:
    """Draw an outline by shape and margin; `size_mm` is its longest (largest Feret) diameter."""
    ratio = rng.uniform(1.2, 1.55)
    waves = rng.normal(size=(2, 16)) / np.arange(2, 18) ** 1.2
    order = np.arange(2, 18)[:, None]
    bumps = waves[0] @ np.cos(order * _ANGLES) + waves[1] @ np.sin(order * _ANGLES)
    count, phase = rng.integers(6, 10), rng.uniform(0, 2 * np.pi)
    radius = 1.0 + 0.04 * bumps / bumps.std()
    if features.margin == "lobulated or irregular":
        lobes = np.abs(np.sin(0.5 * (count * _ANGLES) + phase + 1.2 * bumps))
        radius = 1.0 + 0.28 * (lobes - 0.6) + 0.045 * bumps / bumps.std()
    elif features.margin == "extrathyroidal extension":
        radius = 1.0 + 0.07 * bumps / bumps.std()
    points = Outline(radius).points
    points /= np.ptp(points, axis=0)
    points[:, 1] *= ratio if features.shape == "taller than wide" else 1.0 / ratio
    points -= 0.5 * (points.max(axis=0) + points.min(axis=0))
    points *= size_mm / np.ptp(points @ _DIRECTIONS, axis=0).max()
    angle = np.arctan2(points[:, 1], points[:, 0])
    return Outline(np.interp(_ANGLES, angle, np.hypot(*points.T), period=2 * np.pi))


def place(
    rng: np.random.Generator, features: Features, outline: Outline, neck: Neck
) -> tuple[float, float]:
    """Choose the nodule's centre (mm) inside the lobe, or through its front for an extension."""
    x0, z0, wide, high = neck.lobe
    half_width, half_height = 0.5 * outline.extent[0], 0.5 * outline.extent[1]
    across, down = rng.uniform(-0.75, 0.75, size=2)
    x = x0 + across * max(min(wide, 14.0) - half_width - 1.8, 0.0)
    z = z0 + down * max(high - half_height - 1.4, 0.0) * np.sqrt(1 - across**2)
    if features.margin == "extrathyroidal extension":
        # As far through the capsule as the muscle in front leaves room for.
        z = z0 - high + half_height - min(0.4 * half_height, neck.strap)
    return float(x), float(z - neck.tilt * x)


def paint(
    canvas: Canvas,
    features: Features,
    outline: Outline,
    centre: tuple[float, float],
    gland_db: float,
    rng: np.random.Generator,
) -> None:
    """Draw a nodule with its centre (mm) on the canvas of a neck."""
    half_width, half_height = np.abs(outline.points).max(axis=0) + 2.5
    window = canvas.window(
        centre[0] - half_width,
        centre[0] + half_width,
        centre[1] - half_height,
        centre[1] + half_height,
    )
    across, down = canvas.straight(window)
    across, down = np.broadcast_arrays(across - centre[0], down - centre[1])
    distance = outline.distance(across, down)
    soft = 2.6 if features.margin in ("ill-defined", "cannot be determined") else 0.35
    edge = distance
    if soft > 1.0:
        edge = distance + 0.7 * canvas.noise(rng, (1.6, 1.6), distance.shape)
    inside, attenuation = _inside(canvas, features, distance, down, gland_db, rng)
    canvas.fill(window, ramp(edge, soft), inside, attenuation)
    if features.composition != CYSTIC:
        _rim(canvas, features, window, distance, gland_db)
    _walls(canvas, features, window, distance, down)
    _foci(canvas, features, outline, centre, window, distance, rng)


def mask(
    outline: Outline, centre: tuple[float, float], shape: tuple[int, int], spacing_mm: float
) -> np.ndarray:
    """Draw the nodule's mask on the pixels of the scan area, bool (H, W)."""
    columns = lateral_mm(shape[1], spacing_mm, shape[1]) - np.float32(centre[0])
    rows = ((np.arange(shape[0]) + 0.5) * spacing_mm).astype(np.float32) - np.float32(centre[1])
    reach = float(outline.radius.max()) + spacing_mm
    across = slice(*np.searchsorted(columns, (-reach, reach)))
    down = slice(*np.searchsorted(rows, (-reach, reach)))
    inside = np.zeros(shape, bool)
    grid = np.broadcast_arrays(columns[None, across], rows[down, None])
    inside[down, across] = outline.distance(*grid) > 0
    return inside


def _rim(
    canvas: Canvas, features: Features, window: Window, distance: np.ndarray, gland_db: float
) -> None:
    """Paint the thin dark seam of a margin that can be followed."""
    dark = gland_db + min(-8.0, ECHO_DB[features.echogenicity] - 2.0)
    if features.margin == "smooth":
        canvas.fill(window, ridge(distance + 0.1, 0.7), dark)
    elif features.margin not in ("ill-defined", "cannot be determined"):
        canvas.fill(window, 0.75 * ridge(distance, 0.6), dark - 2.0)


def _inside(
    canvas: Canvas,
    features: Features,
    distance: np.ndarray,
    down: np.ndarray,
    gland_db: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw echo level and attenuation by composition and echogenicity."""
    shape = distance.shape
    solid = gland_db + ECHO_DB[features.echogenicity] + 1.2 * canvas.noise(rng, (2.2, 2.6), shape)
    solid += 1.8 * canvas.noise(rng, (0.9, 1.1), shape)
    fluid = np.zeros(shape, np.float32)
    if features.composition == CYSTIC:
        fluid = np.ones(shape, np.float32)
    elif features.composition == "spongiform":
        fluid = _honeycomb(canvas, distance, rng)
    elif features.composition == "mixed cystic and solid":
        fluid = _cavity(canvas, distance, rng)
    # Reverberation clouds the near part of a cyst.
    near = np.clip(1.0 - distance / 3.0, 0.0, 1.0) * (down < 0)
    haze = FLUID_DB + 12.0 * near + 3.0 * canvas.noise(rng, (1.5, 2.0), shape)
    dense = 0.9 if features.composition == "cannot be determined" else 0.0
    return solid + fluid * (haze - solid), dense + fluid * np.float32(-0.75 - dense)


def _honeycomb(canvas: Canvas, distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fill about two fifths of the inside with tiny cysts parted by septa."""
    # A quarter to a half, by nodule. TI-RADS asks for more than half; the septa here are
    # thicker than life.
    rows, columns = distance.shape
    high, wide = rows * canvas.spacing_mm, columns * canvas.beam_mm
    count = int(high * wide / 1.7)
    seeds = rng.uniform((0.0, 0.0), (high, wide), size=(count, 2))
    inner = distance > 0.3
    z, x = np.nonzero(inner)
    places = np.stack([z * canvas.spacing_mm, x * canvas.beam_mm], axis=1)
    # Cells of a Voronoi diagram: the wall is near the edge between two.
    near, owner = cKDTree(seeds).query(places, k=2)
    wall = ramp((near[:, 1] - near[:, 0]).astype(np.float32) - 0.3, 0.3)
    depth = rng.uniform(0.25, 1.0, size=count).astype(np.float32)
    fluid = np.zeros(distance.shape, np.float32)
    fluid[inner] = wall * depth[owner[:, 0]]
    return fluid


def _cavity(canvas: Canvas, distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hollow out a cavity of about two fifths of the inside, a third to a half by nodule."""
    grain = max(2.0, 0.3 * float(distance.max()))
    hollow = canvas.noise(rng, (grain, grain * 1.3), distance.shape)
    hollow = hollow + 0.25 * canvas.noise(rng, (1.2, 1.2), distance.shape)
    inner = distance > 0.7
    level = np.median(hollow[inner]) if inner.any() else 0.0
    return ramp(hollow - level, 0.25) * ramp(distance - 0.7, 0.4)


def _walls(
    canvas: Canvas, features: Features, window: Window, distance: np.ndarray, down: np.ndarray
) -> None:
    """Paint the specular front and back wall of a smooth cyst."""
    if features.composition != CYSTIC:
        return
    facing = np.abs(down) / max(float(np.abs(down).max()) - 2.5, 1.0)
    strength = ridge(distance + 0.1, 0.3) * np.clip(facing - 0.25, 0.0, 1.0)
    canvas.interface(window, strength, 12.0, 1.3)


def _foci(
    canvas: Canvas,
    features: Features,
    outline: Outline,
    centre: tuple[float, float],
    window: Window,
    distance: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paint every kind of echogenic focus that is named."""
    if "peripheral (rim) calcifications" in features.foci:
        _eggshell(canvas, window, distance, centre, rng)
    if "macrocalcifications" in features.foci:
        for x, z in _spots(rng, outline, centre, int(rng.integers(1, 3)), 0.5):
            _macrocalcification(canvas, x, z, rng)
    if "large comet-tail artifacts" in features.foci:
        for x, z in _spots(rng, outline, centre, int(rng.integers(2, 4)), 0.6):
            _comet(canvas, x, z, rng)
    if "punctate echogenic foci" in features.foci:
        count = int(np.clip(0.9 * float(outline.radius.mean()) ** 1.2, 8, 26))
        for x, z in _spots(rng, outline, centre, count, 0.8):
            _dot(canvas, x, z, rng.uniform(0.14, 0.26), rng.uniform(15.0, 22.0))


def _spots(
    rng: np.random.Generator,
    outline: Outline,
    centre: tuple[float, float],
    count: int,
    reach: float,
) -> np.ndarray:
    """Scatter `count` places inside `reach` times the outline, shape (count, 2), mm."""
    degree = rng.integers(0, 360, size=count)
    share = reach * np.sqrt(rng.uniform(0.02, 1.0, size=count))
    return outline.points[degree] * share[:, None] + np.asarray(centre)


def _dot(canvas: Canvas, x: float, z: float, sigma: float, level: float) -> None:
    """Paint one bright point of less than a millimetre."""
    window = canvas.window(x - 1.0, x + 1.0, z - 1.0, z + 1.0)
    across, down = canvas.straight(window)
    weight = np.exp(-0.5 * (np.square(across - x) + np.square(down - z)) / sigma**2)
    canvas.interface(window, weight.astype(np.float32), level, 2.5)


def _macrocalcification(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """Paint a bright curved plate that lets little sound through."""
    half, thick, loss = rng.uniform((1.3, 0.8, 20.0), (2.4, 1.4, 28.0)).tolist()
    window = canvas.window(x - half - 1, x + half + 1, z - 1.5, z + 3.0)
    across, down = canvas.straight(window)
    bend = 0.12 * np.square(across - x) + 0.22 * canvas.noise(rng, (1, 0.9), (1, across.size))
    plate = np.minimum(0.5 * thick - np.abs(down - z - bend), half - np.abs(across - x))
    weight = ramp(plate, 0.4).astype(np.float32)
    canvas.attenuation[window.where] += weight * np.float32(loss / thick)
    canvas.interface(window, weight, 23.0, 1.8)


def _eggshell(
    canvas: Canvas,
    window: Window,
    distance: np.ndarray,
    centre: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Paint a calcified shell with gaps; its front half shadows what is behind."""
    across, down = canvas.straight(window)
    angle = np.arctan2(down - centre[1], across - centre[0])
    gaps = np.cos(2 * angle + rng.uniform(0, 6)) + 0.6 * np.cos(5 * angle + rng.uniform(0, 6))
    rough = canvas.noise(rng, (0.9, 0.9), distance.shape)
    shell = ridge(distance - 0.3 + 0.15 * rough, 0.6) * ramp(gaps + 0.7 + 0.3 * rough, 0.6)
    facing = 0.45 + 0.55 * np.abs(np.sin(angle))
    weight = (shell * facing).astype(np.float32)
    front = (down < centre[1]).astype(np.float32)
    canvas.attenuation[window.where] += weight * front * np.float32(10.0)
    canvas.interface(window, weight, 20.0, 1.2)


def _comet(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """Paint a bright colloid crystal with its fading row of reverberations."""
    length, period = rng.uniform((3.5, 0.5), (6.5, 0.7)).tolist()
    window = canvas.window(x - 2.0, x + 2.0, z - 1.0, z + length)
    across, down = canvas.straight(window)
    behind = np.maximum(down - z, 0.0)
    width = 0.6 * (1.0 - behind / length) + 0.1
    lean = 0.1 * canvas.noise(rng, (1.0, 1.0), (behind.shape[0], 1))
    train = 0.85 + 0.15 * np.cos(2 * np.pi * behind / period)
    tail = np.clip(1.3 - np.abs(across - x - lean) / width, 0.0, 1.0) * train * (down > z - 0.3)
    weight = (tail * (0.95 - 0.5 * behind / length)).astype(np.float32)
    canvas.interface(window, weight, 10.0, 0.5)
    _dot(canvas, x, z, 0.32, 19.0)
