"""The neck around the nodule: layers, thyroid lobe, trachea, vessels, deep muscles.

A `Neck` holds one patient's sizes in millimetres. `paint` draws it on a `Canvas`: three
maps over the scan area from which the physics makes a frame. Shadows and enhancement
behind nodules are never drawn, they follow from the attenuation map; the dark column
behind the trachea is painted.
"""

from dataclasses import dataclass

import numpy as np

from thyro_demo.data.phantom.canvas import Canvas, Window, ramp, ridge
from thyro_demo.data.phantom.physics import smooth_curve

TEXTURES = ("normal", "autoimmune")
"""Textures of the gland."""

_TABLE_STEP_MM = 0.04


@dataclass(frozen=True)
class Neck:
    """One patient's neck in the scan plane; lengths in millimetres, levels in decibel.

    Parameters
    ----------
    view : str
        "transverse" or "longitudinal".
    side : int
        +1 when the trachea is on the right of the frame, -1 on the left.
    texture : str
        A member of `TEXTURES`.
    skin, fat, strap : float
        Thickness of the layers over the gland.
    lobe : tuple of float
        Lateral centre, depth of the centre, lateral and axial half axis.
    tilt : float
        Slope of the lobe in a longitudinal view.
    trachea_radius, carotid_radius : float
        Radii.
    vein : float
        Height over width of the jugular vein, 0 when it is compressed away.
    deep : float
        Thickness of the tissue between the gland and the bright prevertebral line.
    gland_db, muscle_db : float
        Echo levels.
    """

    view: str
    side: int
    texture: str
    skin: float
    fat: float
    strap: float
    lobe: tuple[float, float, float, float]
    tilt: float
    trachea_radius: float
    carotid_radius: float
    vein: float
    deep: float
    gland_db: float
    muscle_db: float

    @property
    def bottom(self) -> float:
        """Depth of the lobe's lowest point in millimetres."""
        return self.lobe[1] + self.lobe[3]


def sample_neck(
    rng: np.random.Generator, texture: str, half_width: float = 0.0, half_height: float = 0.0
) -> Neck:
    """Draw one patient's neck whose lobe has room for half a nodule's extents in millimetres."""
    # Every number is drawn whatever the nodule is, so that two nodules of one seed are in
    # the same neck.
    longitudinal = rng.random() < 0.3
    side = 1 if rng.random() < 0.5 else -1
    # Python floats leave float32 maps as they are; NumPy's would widen them.
    skin, fat, strap = rng.uniform((1.1, 1.2, 2.2), (1.9, 4.0, 5.0)).tolist()
    wide, high = rng.uniform((8.5, 7.0), (12.0, 9.5)).tolist()
    if texture == "autoimmune":
        wide, high = wide * 1.1, high * 1.15
    wide = max(wide, half_width + 2.2)
    high = max(high, half_height + 2.0)
    if longitudinal:
        wide = max(30.0, wide * 3.2)
    centre = rng.uniform(-2.0, 2.0)
    trachea_radius, carotid_radius, vein, deep = rng.uniform(
        (7.5, 2.5, -0.25, 3.5), (9.5, 3.5, 0.75, 7.0)
    ).tolist()
    tilt, gland, muscle = rng.uniform((-0.08, -1.5, -17.5), (0.08, 1.5, -13.0)).tolist()
    return Neck(
        view="longitudinal" if longitudinal else "transverse",
        side=side,
        texture=texture,
        skin=skin,
        fat=fat,
        strap=strap,
        lobe=(centre, skin + fat + strap + high - 0.6, wide, high),
        tilt=tilt if longitudinal else 0.0,
        trachea_radius=trachea_radius,
        carotid_radius=carotid_radius,
        vein=max(vein, 0.0),
        deep=deep,
        gland_db=gland - (5.0 if texture == "autoimmune" else 0.0),
        muscle_db=muscle,
    )


def paint(canvas: Canvas, neck: Neck, rng: np.random.Generator) -> None:
    """Draw a neck without a nodule on a blank canvas."""
    canvas.warp(rng)
    _layers(canvas, neck, rng)
    _longus_colli(canvas, neck, rng)
    _lobe(canvas, neck, rng)
    if neck.view == "transverse":
        _vessels(canvas, neck, rng)
        _oesophagus(canvas, neck, rng)
        _trachea(canvas, neck, rng)


def _layers(canvas: Canvas, neck: Neck, rng: np.random.Generator) -> None:
    """Paint the layers, by tables over the depth in tissue."""
    x0, _, wide, high = neck.lobe
    arch: np.ndarray = neck.tilt * canvas.columns
    if neck.view == "transverse":
        bulge = np.exp(-np.square((canvas.columns - x0) / (1.1 * wide))) - 1.0
        arch = np.float32(0.35 * high) * bulge
    fade = np.clip((canvas.rows - neck.skin) / (neck.fat + neck.strap), 0.0, 1.0).astype(np.float32)
    depth = canvas.z + fade[:, None] * arch
    index = depth * np.float32(1.0 / _TABLE_STEP_MM)
    level, streak, mirror = _tables(neck, float(canvas.rows[-1]) + 8.0, rng)
    rows = np.clip(index, 0, len(level) - 1).astype(np.intp)
    patchy = canvas.noise(rng, (1.6, 4.0))
    canvas.echo[:] = level[rows]
    canvas.echo += streak[rows] * (0.7 + 0.6 * patchy)
    # Loose tissue behind the gland is in patches, layers in front don't.
    behind = np.clip((canvas.rows - neck.lobe[1]) / neck.lobe[3], 0.0, 1.0)[:, None]
    canvas.echo += behind * (4.0 * canvas.noise(rng, (1.1, 2.6)))
    # A fascia across the beam is a bright line, one that slopes away is not.
    strength = mirror[rows] * np.clip(0.55 + 0.5 * patchy, 0.0, 1.2)
    canvas.echo += 15.0 * strength
    np.multiply(strength, 1.3, out=canvas.coherence)


def _tables(
    neck: Neck, deepest: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tabulate level, streaks (dB) and fasciae (0–1) over the depth in tissue."""
    depth = np.arange(0.0, deepest, _TABLE_STEP_MM, dtype=np.float32)
    fat = neck.skin
    strap = fat + neck.fat
    deep = neck.bottom + 0.3
    spine = deep + neck.deep
    middle = neck.lobe[1]
    knots = [0.0, 0.25, 0.5, 0.8, fat - 0.3, fat + 0.3, strap, strap + 0.4, middle]
    knots += [deep, spine, spine + 1.5, spine + 9]
    levels = [2.0, 12.0, 3.0, 9.0, 5.0, -8.0, -8.0, neck.muscle_db, neck.muscle_db + 5]
    levels += [-7.0, -8.0, -13.0, -23.0]
    level = np.interp(depth, knots, levels).astype(np.float32)
    fibres = smooth_curve(rng, len(depth), 0.30 / _TABLE_STEP_MM)
    sheets = smooth_curve(rng, len(depth), 0.75 / _TABLE_STEP_MM)
    fine = np.interp(depth, [fat, fat + 0.3, strap, strap + 0.3, middle, deep], [1, 3, 3, 6, 5, 3])
    coarse = np.interp(
        depth, [fat, fat + 0.3, strap, strap + 0.3, deep, spine + 6], [2, 5, 5, 3, 6, 5]
    )
    streak = fine * np.maximum(fibres, -0.8) + coarse * np.maximum(sheets, -0.6)
    mirror = np.zeros_like(depth)
    between = strap + neck.strap * rng.uniform(0.4, 0.6)
    for place, strength, width in (
        (fat, 0.3, 0.22),
        (strap, 0.8, 0.24),
        (between, 0.6, 0.18),
        (deep + 0.8, 0.5, 0.25),
        (spine, 0.95, 0.4),
    ):
        mirror = np.maximum(mirror, strength * np.exp(-(((depth - place) / width) ** 2)))
    return level, streak.astype(np.float32), mirror.astype(np.float32)


def _lobe_distance(canvas: Canvas, neck: Neck) -> np.ndarray:
    """Measure the signed distance into the gland in millimetres, positive inside."""
    x0, z0, wide, high = neck.lobe
    across = (canvas.x - x0) * np.float32(1.0 / wide)
    down = canvas.z - z0
    if neck.view == "transverse":
        # The lobe leans against the trachea: its back is nearer to the midline.
        across -= (0.16 * neck.side / high) * down
    if neck.tilt:
        down = down + neck.tilt * canvas.columns
    down = down * np.float32(1.0 / high)
    # Exponent 2.5 in depth: a lobe is flatter in front than an ellipse.
    reach = np.sqrt(np.square(across) + np.square(down) * np.sqrt(np.abs(down)))
    distance = (1.0 - reach) * np.float32(high)
    if neck.view == "transverse":
        xt, zt, radius = trachea(neck)
        outside = np.hypot(canvas.x - xt, canvas.z - zt) - np.float32(radius + 1.0)
        isthmus = np.float32(1.4) - np.abs(outside - np.float32(1.5))
        np.minimum(isthmus, zt - 0.35 * radius - canvas.z, out=isthmus)
        np.maximum(distance, isthmus, out=distance)
    return distance


def _lobe(canvas: Canvas, neck: Neck, rng: np.random.Generator) -> None:
    """Paint the gland, its texture and its capsule."""
    distance = _lobe_distance(canvas, neck)
    if neck.texture == "autoimmune":
        distance += 0.5 * canvas.noise(rng, (3.0, 3.0))
    window = canvas.window(-np.inf, np.inf, -np.inf, np.inf)
    texture = neck.gland_db + gland_texture(canvas, neck.texture, rng)
    canvas.fill(window, ramp(distance, 0.7), texture)
    slope = np.abs(canvas.columns - neck.lobe[0]) / neck.lobe[2]
    facing = np.clip(1.1 - slope**2, 0.0, 1.0).astype(np.float32)
    broken = np.clip(0.5 + 0.5 * canvas.noise(rng, (3.0, 2.0)), 0.0, 1.0)
    weight = ridge(distance, 0.32) * broken
    weight *= facing
    canvas.interface(window, weight, 11.0, 1.1)


def gland_texture(canvas: Canvas, texture: str, rng: np.random.Generator) -> np.ndarray:
    """Draw the gland's deviation from its mean level in decibel, shape (H, B)."""
    uneven = canvas.noise(rng, (3.5, 3.5))
    if texture == "normal":
        return 0.8 * uneven
    # Hashimoto's pattern: small dark lymphocytic islands parted by bright fibrous septa,
    # the zero lines of a noise field.
    islands = canvas.noise(rng, (1.1, 1.3)) + 0.4 * uneven
    septa = canvas.noise(rng, (1.6, 4.0))
    change = 2.0 * uneven
    change -= 9.0 * ramp(islands - 0.45, 0.6)
    change += ridge(septa, 0.2) * (6.0 + 5.0 * canvas.noise(rng, (2.0, 2.0)))
    return change


def trachea(neck: Neck) -> tuple[float, float, float]:
    """Place the trachea: lateral centre, depth of the centre, radius, in millimetres."""
    x0, z0, wide, high = neck.lobe
    radius = neck.trachea_radius
    return x0 + neck.side * (wide + 0.72 * radius), z0 - high + 3.4 + radius, radius


def _trachea(canvas: Canvas, neck: Neck, rng: np.random.Generator) -> None:
    """Paint ring, bright air surface, reverberations and the dark column behind."""
    xt, zt, radius = trachea(neck)
    window = canvas.window(xt - radius - 3, xt + radius + 3, zt - radius - 3, np.inf)
    if window.x.size == 0:
        return
    shape = window.x.shape
    rough = canvas.noise(rng, (3.0, 2.0), shape)
    # Below its equator the ring throws a shadow as wide as itself.
    inside = radius - np.hypot(window.x - xt, np.minimum(window.z - zt, 0.0)) + 0.25 * rough
    behind = np.maximum(inside - 1.3, 0.0)
    # The shadow's edge blurs with the beam, the ring's front does not.
    soft = 0.6 + 0.12 * np.maximum(window.z - (zt - radius), 0.0)
    canvas.fill(window, np.clip(inside / soft + 0.7, 0.0, 1.0), -11.0 + 2.0 * rough)
    arcs = np.cos(behind * (2 * np.pi / rng.uniform(1.6, 2.6))) + 0.5 * rough
    fade = np.exp(behind * (-1.0 / rng.uniform(2.5, 6.0)))
    lumen = -18.0 - 1.2 * behind + rng.uniform(5.0, 13.0) * np.maximum(arcs, 0.0) * fade
    lumen += 3.0 * canvas.noise(rng, (1.2, 2.5), shape)
    canvas.fill(window, np.clip((inside - 1.3) / soft + 0.5, 0.0, 1.0), lumen)
    front = np.clip((zt - 0.1 * radius - window.z) / (0.7 * radius), 0.0, 1.0)
    bright = np.square(front) * np.clip(0.8 + 0.4 * rough, 0.2, 1.2)
    canvas.interface(window, ridge(inside - 1.5, 0.5) * bright, rng.uniform(10.0, 16.0), 1.1)
    canvas.interface(window, ridge(inside, 0.3) * front, 3.0, 0.8)


def _ellipse(
    window: Window, x: float, z: float, wide: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Measure the distance into an ellipse (mm) and how squarely its wall faces the beam."""
    across = (window.x - x) * np.float32(1.0 / wide)
    down = (window.z - z) * np.float32(1.0 / high)
    reach = np.hypot(across, down)
    distance = (1.0 - reach) * np.float32(min(wide, high))
    facing = np.square(down) / np.maximum(np.square(reach), 1e-3)
    return distance, facing


def _tube(
    canvas: Canvas,
    rng: np.random.Generator,
    place: tuple[float, float],
    axes: tuple[float, float],
    wall_db: float,
) -> None:
    """Paint a blood vessel: dark lumen, bright wall where it faces the beam."""
    (x, z), (wide, high) = place, axes
    window = canvas.window(x - wide - 2, x + wide + 2, z - high - 2, z + high + 2)
    if window.x.size == 0:
        return
    distance, facing = _ellipse(window, x, z, wide, high)
    canvas.fill(window, 0.6 * ramp(distance + 0.8, 0.8), -4.0)
    # Clutter under the near wall keeps a real lumen from being black throughout.
    haze = np.maximum(0.0, 1.0 - (window.z - (z - high)) / (0.9 * high))
    lumen_noise = canvas.noise(rng, (1.0, 1.5), window.x.shape)
    lumen = -27.0 + 10.0 * haze + 2.0 * lumen_noise
    canvas.fill(window, ramp(distance, 0.5), lumen, -0.9)
    facing = np.square(np.square(facing)) * np.clip(1.0 + 0.3 * lumen_noise, 0.3, 1.2)
    canvas.interface(window, ridge(distance + 0.2, 0.32) * facing, wall_db, 1.1)


def _vessels(canvas: Canvas, neck: Neck, rng: np.random.Generator) -> None:
    """Paint the carotid beside the lobe and the jugular vein in front of it."""
    x0, z0, wide, high = neck.lobe
    radius = neck.carotid_radius * rng.uniform(0.95, 1.05)
    x = x0 - neck.side * (wide + 0.85 * radius)
    z = z0 + 0.25 * high
    if neck.vein > 0.08:
        place = (x - neck.side * 3.4, z - radius - 1.5 - 2.2 * neck.vein)
        _tube(canvas, rng, place, (4.2, 4.2 * neck.vein), 3.0)
    _tube(canvas, rng, (x, z), (radius, radius * rng.uniform(0.9, 1.0)), 12.0)


def _striated(
    canvas: Canvas,
    rng: np.random.Generator,
    window: Window,
    distance: np.ndarray,
    level: float,
) -> None:
    """Paint a muscle cut across its fibres."""
    fibres = canvas.noise(rng, (0.55, 2.2), window.x.shape)
    canvas.fill(window, ramp(distance, 0.6), level + 5.0 * np.maximum(fibres, -0.6))


def _longus_colli(canvas: Canvas, neck: Neck, rng: np.random.Generator) -> None:
    """Paint the muscle behind the lobe."""
    x0, _, wide, _ = neck.lobe
    if neck.view == "longitudinal":
        place = (x0, neck.bottom + 0.5 * neck.deep, 60.0, 0.5 * neck.deep)
    else:
        place = (
            x0 + neck.side * 0.35 * wide,
            neck.bottom + 0.45 * neck.deep,
            0.75 * wide,
            0.55 * neck.deep,
        )
    x, z, half, high = place
    window = canvas.window(x - half - 1, x + half + 1, z - high - 3, z + high + 3)
    if window.x.size:
        distance, _ = _ellipse(window, *place)
        _striated(canvas, rng, window, distance, neck.muscle_db + 0.5)


def _oesophagus(canvas: Canvas, neck: Neck, rng: np.random.Generator) -> None:
    """Paint the gullet, a small target that shows beside the trachea on the left lobe."""
    if neck.side != -1:
        return
    xt, zt, radius = trachea(neck)
    x, z = xt + 0.9 * radius + 1.0, zt + 0.75 * radius
    window = canvas.window(x - 5, x + 5, z - 4, z + 4)
    if window.x.size == 0:
        return
    distance, _ = _ellipse(window, x, z, 3.6, 2.6)
    canvas.fill(window, ramp(distance, 0.5), -13.0)
    canvas.fill(window, ramp(distance - 1.1, 0.5), rng.uniform(-1.0, 5.0))
