"""Drawn films in place of chest radiographs, for a middle stage without real ones.

Nothing here follows the physics of X-rays. The films offer a middle stage of the same kind: grey
pictures of another part of the body, with a question of their own.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from thyro_demo.data import datasets
from thyro_demo.files import atomic_write

SOURCE = "drawn films"
"""The `source` of these films in a record table."""


def draw(rng: np.random.Generator, side: int, opaque: bool) -> np.ndarray:
    """Draw one film: two dark lungs, ribs, heart and diaphragm.

    Parameters
    ----------
    rng : Generator
        Varies the build of the chest.
    side : int
        Pixels.
    opaque : bool
        Whether there is a bright cloud in one of the lungs.

    Returns
    -------
    ndarray of uint8, shape (side, side)
        Grey, 0–255.
    """
    down, across = np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")
    lungs = np.zeros((side, side))
    centres = [sign * rng.uniform(0.38, 0.48) for sign in (-1, 1)]
    wide, high = rng.uniform(0.26, 0.36), rng.uniform(0.55, 0.72)
    for centre in centres:
        inside = ((across - centre) / wide) ** 2 + (down / high) ** 2
        lungs = np.maximum(lungs, 1.0 / (1.0 + np.exp(14.0 * (inside - 1.0))))
    heart = np.exp(-(((across - 0.14) / 0.3) ** 4 + ((down - 0.35) / 0.3) ** 4))
    lungs *= 1.0 - 0.9 * heart
    arcs = np.sin(rng.uniform(13, 17) * (down + 0.35 * across**2) + rng.uniform(0, 6))
    bright = 0.72 - 0.5 * lungs + 0.1 * np.maximum(arcs, 0) ** 2
    if opaque:
        x, y = rng.choice(centres) + rng.uniform(-0.1, 0.1), rng.uniform(-0.35, 0.4)
        spread = rng.uniform(0.14, 0.26)
        cloud = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * spread**2))
        bright += rng.uniform(0.2, 0.4) * cloud * lungs
    bright = (bright + rng.normal(0, 0.03, bright.shape)) * rng.uniform(0.85, 1.1)
    return np.round(255 * np.clip(bright, 0, 1)).astype(np.uint8)


def cohort(folder: Path, count: int, side: int = 128, seed: int = 0) -> pd.DataFrame:
    """Draw films into a folder, or read those that are there.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    count : int
        Chests, every second one with a cloud.
    side : int
        Pixels.
    seed : int
        Of the drawing.

    Returns
    -------
    DataFrame
        Record table with labels "clear" and "cloud"; every chest is its own group.
    """
    if not (folder / "index.csv").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        rows = []
        for number in range(count):
            name, label = f"film-{number:04d}.png", ("clear", "cloud")[number % 2]
            Image.fromarray(draw(rng, side, label == "cloud")).save(folder / name)
            rows.append({"path": name, "label": label, "group": f"chest-{number}"})
        with atomic_write(folder / "index.csv") as temporary:
            pd.DataFrame(rows).assign(source=SOURCE).to_csv(temporary, index=False)
    return datasets.load(folder)
