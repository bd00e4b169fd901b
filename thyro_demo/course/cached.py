"""What the shipped networks read in phantoms, computed beforehand: a rehearsal teaches with it.

A rehearsal has no minute to run five networks over hundreds of frames, and on a few frames the
figures of the chapters would be noise. `python -c "from thyro_demo.course import cached;
cached.write()"` computes the file anew; a test refuses it where the shipped weights have changed.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import ladder, progressive
from thyro_demo.course.lesson import Lesson
from thyro_demo.errors import DataError
from thyro_demo.files import atomic_write, sha256
from thyro_demo.models.backbones import backbone
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import load_frames
from thyro_demo.study import setting
from thyro_demo.training import initial_weights
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.recipes import recipe

FILE = Path(__file__).with_name("cached_features.npz")
"""Of each network and stage, one number a frame and channel, rounded to 256 levels a channel."""

NETWORK = "efficientnet-b0"
"""The network whose stages are kept."""

READ = (NETWORK, "resnet50")
"""Bundles of which is kept what their heads read: features weighted by the nodule map."""

FILMS = "then drawn films"
"""The stage on drawn films at full length, in place of the short one of a rehearsal."""

_COHORTS, _PATIENTS, _SCALE, _SIDE, _BATCH = (100, 110, 120), 50, 2, 192, 20
_CHESTS, _CHEST_SIDE, _EPOCHS, _RATE = 600, 112, 3, 5e-4
_LEVELS = 255


def serve(lesson: Lesson) -> bool:
    """Return whether a chapter reads cached features: in a rehearsal on phantoms."""
    return lesson.fast and lesson.find("p1") is None


def frames(lesson: Lesson, every: bool = False) -> pd.DataFrame:
    """List the phantoms of the file; `setting.draw_planned` draws those whose images are needed.

    Parameters
    ----------
    lesson : Lesson
        Its seed chooses a cohort; its folder is where all chapters find the frames.
    every : bool
        Whether all three cohorts are wanted.

    Returns
    -------
    DataFrame
        Record table of 300 frames of 150 drawn patients, or of 900 of 450, seen by three scanners;
        as `setting.planned` returns it.
    """
    return _planned(lesson.root / "cohorts", _cohorts(lesson, every))


def _cohorts(lesson: Lesson, every: bool) -> tuple[int, ...]:
    return _COHORTS if every else (_COHORTS[lesson.seed % len(_COHORTS)],)


def _planned(folder: Path, cohorts: Sequence[int]) -> pd.DataFrame:
    """List cohorts, each in a folder of its own."""
    parts = [
        setting.planned(folder / str(seed), _PATIENTS, seed, _SCALE).assign(cohort=str(seed))
        for seed in cohorts
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(group=table["cohort"] + "-" + table["group"]).drop(columns="cohort")


def features(lesson: Lesson, name: str, every: bool = False) -> np.ndarray:
    """Read the features of each frame of `frames`.

    Parameters
    ----------
    lesson : Lesson
        As for `frames`.
    name : str
        A stage of `ladder` or `FILMS` for the averaged channels of `NETWORK` there, or one of
        `READ` for what the heads of this bundle read.
    every : bool
        As for `frames`.

    Returns
    -------
    ndarray of float32 (n, d)
        Row by row those of `frames`.

    Raises
    ------
    DataError
        If the file holds nothing of this name.
    """
    with np.load(FILE) as kept:
        if f"{name}|levels" not in kept:
            names = sorted({key.partition("|")[0] for key in kept})
            raise DataError(f"Cached features must be one of {', '.join(names)}. Received: {name}.")
        low, step = kept[f"{name}|scale"]
        rows = (low + step * kept[f"{name}|levels"]).astype(np.float32)
    parts = dict(zip(_COHORTS, np.split(rows, len(_COHORTS)), strict=True))
    return np.concatenate([parts[seed] for seed in _cohorts(lesson, every)])


def write(file: Path = FILE) -> None:
    """Compute the features of all stages and bundles, and keep them.

    Parameters
    ----------
    file : Path
        Where they go.
    """
    kept = {f"of|{one.parent.name}/{one.name}": np.array(sha256(one)) for one in sources()}
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in _computed(Path(folder)):
            kept |= _packed(name, rows)
    with atomic_write(file) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **kept)


def _packed(name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Round each channel to its levels."""
    low = rows.min(axis=0).astype(np.float64)
    step = np.maximum(rows.max(axis=0) - low, 1e-12) / _LEVELS
    levels = np.round((rows - low) / step).astype(np.uint8)
    return {f"{name}|levels": levels, f"{name}|scale": np.stack([low, step]).astype(np.float32)}


def sources() -> list[Path]:
    """List the weights that the file depends on."""
    stages = [Path(file) for file in ladder.chain(NETWORK).values() if file != "none"]
    return [*stages, *(weights_root() / name / "model.keras" for name in READ[1:])]


def made_of() -> dict[str, str]:
    """Return the sha256 of each network that the file was computed with, by bundle and name."""
    with np.load(FILE) as kept:
        return {key.partition("|")[2]: str(kept[key]) for key in kept if key.startswith("of|")}


def _computed(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Compute features, (n, d), stage by stage and then bundle by bundle."""
    records = _planned(folder / "frames", _COHORTS)
    setting.draw_planned(records)
    images = load_frames(records, CLASSES, _SIDE).images
    spec = backbone(NETWORK)
    chain = ladder.chain(NETWORK)
    chain[FILMS] = str(_films(folder, chain[ladder.NATURAL]))
    keras.utils.set_random_seed(0)
    built = build(spec, input_size=_SIDE)
    initial = built.get_weights()
    part = keras.Model(built.inputs[0], built.get_layer("features").output)
    for name, weights in chain.items():
        built.set_weights(initial)
        initial_weights.load(built, spec, weights)
        yield name, part.predict(images, batch_size=_BATCH, verbose=0)
    for name in READ:
        yield name, ladder.read_on_nodule(name, records)


def _films(folder: Path, weights: str) -> Path:
    """Train the middle stage on drawn films, as chapter 3 does at full length."""
    _, usual = recipe("radiographs").stages[0]
    stage = replace(
        usual,
        input_size=_CHEST_SIDE,
        limit=_CHESTS,
        epochs=_EPOCHS,
        batch=16,
        patience=None,
        seed=0,
    )
    chests = progressive.chests(None, folder / "films", stage)
    classes = tuple(sorted(set(chests["label"])))
    films = load_frames(chests, classes, _CHEST_SIDE, crop=False)
    parts = [np.flatnonzero(chests["split"] == part) for part in ("train", "validation")]
    rates = {"last block": _RATE}
    trained = progressive.train(
        backbone(NETWORK), weights, stage, rates, films, parts, folder / "middle"
    )
    return trained["last block"].file
