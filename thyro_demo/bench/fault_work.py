"""What the children of `faults` do until they are struck: train a stage, compute a graph of jobs.

Apart from `faults`, since a graph needs no TensorFlow and should not wait for its import.
"""

import os
import signal
from pathlib import Path

import numpy as np

from thyro_demo.study.graph import Job

JOBS = 4
"""Jobs of the graph; also the number of a job that is never reached."""

_STRUCK = "THYRO_BENCH_STRUCK"


def trained(folder: Path) -> np.ndarray:
    """Train a small network for a few epochs, or go on after a kill; return its weights."""
    # Imports TensorFlow, which the other faults have no use for.
    import keras

    from thyro_demo.models.backbones import backbone
    from thyro_demo.models.networks import build
    from thyro_demo.models.pipeline import Frames
    from thyro_demo.training.loop import train_stage
    from thyro_demo.training.stage import Stage

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (24, 64, 64, 3)).astype(np.uint8)
    frames = Frames(images, np.arange(24) % 2, ("benign", "malignant"))
    spec = backbone("two-layer-cnn")
    network = build(spec, input_size=64)
    stage = Stage("fault", "head", epochs=4)
    train_stage(network, spec, stage, frames, np.arange(16), np.arange(16, 24), folder)
    return np.concatenate([weight.ravel() for weight in network.get_weights()])


def jobs(kills: int) -> list[Job]:
    """List jobs, each drawing from the one before; number `kills` ends the process."""
    found: list[Job] = []
    for number in range(JOBS):
        settings = {"seed": number, "last": JOBS - 1}
        found.append(Job(draw, settings, tuple(found[-1:]), f"job {number}"))
    if kills < JOBS:
        os.environ[_STRUCK] = str(kills)
    return found


def draw(settings: dict[str, int], *needs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draw numbers, or end the process as the kernel does when memory runs out."""
    if os.environ.get(_STRUCK) == str(settings["seed"]):
        os.kill(os.getpid(), signal.SIGKILL)
    values = np.random.default_rng(settings["seed"]).normal(size=9)
    return {"values": values + sum(need["values"] for need in needs)}
