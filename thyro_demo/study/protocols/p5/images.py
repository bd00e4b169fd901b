"""The images of P5: a user's own or phantoms, split by patient, and the copies that leak."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from thyro_demo.data import datasets, near_duplicates, splits
from thyro_demo.data.images import decode
from thyro_demo.errors import DataError
from thyro_demo.files import atomic_write
from thyro_demo.models.pipeline import Augmentation, augment, load_frames
from thyro_demo.study.setting import FOLDS, Setting, drawn

AUTOIMMUNE, NORMAL = "autoimmune", "normal"

MOVED = Augmentation(flip=False, shift=0.1, zoom=0.1, gain=0.0, speckle=0.0)
"""Resizing and shifting; the text does not say how far."""

COPIES = (563 + 138) / 615 - 1
"""Augmented copies for each image: the text counts 563 and 138 images, of 615 that were taken."""


@dataclass(frozen=True)
class Rehearsal:
    """How far a run on phantoms is cut down.

    Parameters
    ----------
    patients, frames : int
        Drawn patients, and frames of each.
    side : int
        Side of the input, pixels.
    epochs : int
        In place of 100.
    folds : int
        Grouped folds.
    """

    patients: int
    frames: int
    side: int
    epochs: int
    folds: int


PHANTOMS = Rehearsal(patients=40, frames=5, side=75, epochs=50, folds=FOLDS)
FAST = Rehearsal(patients=12, frames=3, side=75, epochs=8, folds=2)
_SHAPE, _SEED = (120, 160), 50  # half of the patients of both cohorts are autoimmune


def read(setting: Setting) -> tuple[pd.DataFrame, Rehearsal | None]:
    """Read a user's images, assigned to folds by patient, or draw phantoms.

    Parameters
    ----------
    setting : Setting
        Its folder may hold `autoimmune`.

    Returns
    -------
    DataFrame
        Record table with `fold`, `width` and `height`, labels "autoimmune" and "normal".
    Rehearsal or None
        How far the run is cut down; None for a user's images.

    Raises
    ------
    DataError
        If the folder is there in another layout, or an image has no patient.
    """
    folder = None if setting.data is None else setting.data / AUTOIMMUNE
    if folder is not None and folder.is_dir():
        return splits.kfold(_own(folder), FOLDS, seed=0), None
    cut = FAST if setting.fast else PHANTOMS
    place = setting.work / "phantoms" / f"diffuse-{cut.patients}-{cut.frames}"
    records = drawn(place, cut.patients, cut.frames, seed=_SEED, shape=_SHAPE, diffuse=True)
    return splits.kfold(records, cut.folds, seed=0), cut


def _own(folder: Path) -> pd.DataFrame:
    """Read class folders with patients; near duplicates of a frame count as one patient's."""
    table, names = folder / "groups.csv", {AUTOIMMUNE, NORMAL}
    found = {path.name for path in folder.iterdir() if path.is_dir()}
    if not table.is_file() or not names <= found:
        raise DataError(
            f"The set {AUTOIMMUNE} must be folders {AUTOIMMUNE} and {NORMAL} with the images, and "
            "groups.csv with the columns path and group, the patient of each. "
            f"Received: {folder} with {', '.join(sorted(p.name for p in folder.iterdir()))}."
        )
    records = datasets.class_folders(folder, table)
    records = records[records["label"].isin(names)].reset_index(drop=True)
    if records["group"].isna().any():
        bare = records["path"][records["group"].isna()].iloc[0]
        raise DataError(f"Every image of {table} must have a patient. Received: none for {bare}.")
    shapes = [decode(path).shape for path in records["path"]]
    sizes = {"width": [shape[1] for shape in shapes], "height": [shape[0] for shape in shapes]}
    return near_duplicates.group(records.assign(**sizes))


def leaky(records: pd.DataFrame, folder: Path, side: int, folds: int) -> pd.DataFrame:
    """Make the augmented set of the unsound reading, split at random image by image.

    Parameters
    ----------
    records : DataFrame
        Record table with patients as groups.
    folder : Path
        Where the squares are written.
    side : int
        Of the squares, pixels.
    folds : int
        Into which images and copies are split.

    Returns
    -------
    DataFrame
        Record table of all images and of moved copies of some of them, each a group of its own,
        with `fold`, `original` and `patient` (whose image it is) and `copy` (whether it is moved).
    """
    frames = load_frames(records, sorted(set(records["label"])), side)
    chosen = np.random.default_rng(0).permutation(len(records))[: round(COPIES * len(records))]
    moved = np.round(augment(frames.images[chosen], np.array([0, 0], np.int32), MOVED).numpy())
    squares = np.concatenate([frames.images, moved.astype(np.uint8)])
    names = [f"{number:05d}.png" for number in range(len(squares))]
    with atomic_write(folder) as temporary:
        temporary.mkdir(parents=True)
        for name, square in zip(names, squares, strict=True):
            Image.fromarray(square).save(temporary / name)
    rows = np.concatenate([np.arange(len(records)), chosen])
    table = records.iloc[rows].reset_index(drop=True)
    table = table.assign(
        original=table["path"],
        patient=table["group"],
        path=[str(folder / name) for name in names],
        group=names,
        copy=np.arange(len(rows)) >= len(records),
    )
    return splits.kfold(table, folds, seed=0)


def shuffled_labels(records: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Assign the labels of the patients to patients at random, so that images show nothing of them.

    Parameters
    ----------
    records : DataFrame
        Record table.
    seed : int
        Of the shuffling.

    Returns
    -------
    DataFrame
        The same table with other labels; all images of a patient have one.
    """
    labels = records.drop_duplicates("group").set_index("group")["label"]
    names = dict(zip(labels.index, np.random.default_rng(seed).permutation(labels), strict=True))
    return records.assign(label=records["group"].map(names))
