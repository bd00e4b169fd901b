"""What the children of `faults` do until they are struck: train a stage, compute a grid.

Apart from `faults`, since a grid needs no TensorFlow and should not wait for its import.
"""

import os
import signal
from pathlib import Path

import numpy as np

from thyro_demo.study.grid import Cell

CELLS = 4
"""Cells of the grid; also the number of a cell that is never reached."""

_STRUCK = "THYRO_BENCH_STRUCK"


def trained(folder: Path) -> np.ndarray:
    """Train a small network for a few epochs, or go on where a killed run was.

    Parameters
    ----------
    folder : Path
        Its work folder.

    Returns
    -------
    ndarray of float32 (n,)
        All weights at the end, one after the other.
    """
    # Imports TensorFlow, which the other faults have no use for.
    import keras

    from thyro_demo.models.backbones import backbone, build
    from thyro_demo.models.pipeline import Frames
    from thyro_demo.models.transfer import Stage, train_stage

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (24, 64, 64, 3)).astype(np.uint8)
    frames = Frames(images, np.arange(24) % 2, ("benign", "malignant"))
    spec = backbone("two-layer-cnn")
    network = build(spec, input_size=64)
    stage = Stage("fault", "head", epochs=4)
    train_stage(network, spec, stage, frames, np.arange(16), np.arange(16, 24), folder)
    return np.concatenate([weight.ravel() for weight in network.get_weights()])


def cells(kills: int) -> list[Cell]:
    """List cells, of which one ends the process.

    Parameters
    ----------
    kills : int
        Number of the cell that does; `CELLS` for none.

    Returns
    -------
    list of Cell
        Each draws from the one before.
    """
    work = "thyro_demo.bench.fault_work:draw"
    found: list[Cell] = []
    for number in range(CELLS):
        settings = {"seed": number, "last": CELLS - 1}
        found.append(Cell(work, settings, tuple(found[-1:]), f"cell {number}"))
    if kills < CELLS:
        os.environ[_STRUCK] = str(kills)
    return found


def draw(settings: dict[str, int], *needs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draw numbers, or end the process as the kernel does when memory runs out.

    Parameters
    ----------
    settings : dict
        With a "seed".
    *needs : dict of str to ndarray
        What was drawn before.

    Returns
    -------
    dict of str to ndarray
        "values", float64 (9,).
    """
    if os.environ.get(_STRUCK) == str(settings["seed"]):
        os.kill(os.getpid(), signal.SIGKILL)
    values = np.random.default_rng(settings["seed"]).normal(size=9)
    return {"values": values + sum(need["values"] for need in needs)}
