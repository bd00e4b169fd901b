"""P5: autoimmune or normal gland, split by patient, and the split of augmented copies that leaks.

The images are not public. A user's own lie in a folder `autoimmune` under `--data`: folders
`autoimmune` and `normal` with the images, and `groups.csv` with the columns `path` (relative to
that folder) and `group` (the patient). Without it phantoms stand in.

References
----------
Vasile et al., "Assessment of deep learning methods for differentiating autoimmune disorders in
ultrasound images", Current Health Sciences Journal 47, 2021 (PMC8551890). The text says two
things of its split; ours is the sound one, and `leaky` is the other. What we do otherwise stands
in `_DIFFERS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from thyro_demo.data import datasets, phantom, splits
from thyro_demo.data.images import decode
from thyro_demo.errors import DataError, StudyError
from thyro_demo.files import whole
from thyro_demo.models import out_of_fold
from thyro_demo.models.pipeline import Augmentation, augment, load_frames
from thyro_demo.models.transfer import Stage
from thyro_demo.study import cells, grid, scoreboard
from thyro_demo.study.grid import Cell, Outcome
from thyro_demo.study.protocols import p5_figures
from thyro_demo.study.published import Protocol, Published
from thyro_demo.study.report import Report, Table
from thyro_demo.study.setting import FOLDS, Setting

AUTOIMMUNE, NORMAL = "autoimmune", "normal"

PROTOCOL = Protocol(
    "P5",
    "autoimmune or normal, split by patient, and the split that leaks",
    "Vasile et al., “Assessment of deep learning methods for differentiating autoimmune disorders "
    "in ultrasound images”, Current Health Sciences Journal 47, 2021",
    AUTOIMMUNE,
    (
        Published(
            "VGG-19", accuracy=98.6, sensitivity=95.94, specificity=100.0, auroc=0.98,
            note="the accuracy is the mean of 98.8 and 98.4, printed for the two classes",
        ),
        Published(
            "Inception-v3", accuracy=96.4, sensitivity=100.0, specificity=91.17, auroc=0.96
        ),
    ),
)  # fmt: skip

MOVED = Augmentation(flip=False, shift=0.1, zoom=0.1, gain=0.0, speckle=0.0)
"""Resizing and shifting; the text does not say how far."""

COPIES = (563 + 138) / 615 - 1
"""Augmented copies for each image: the text counts 563 and 138 images, of 615 that were taken."""


@dataclass(frozen=True)
class Network:
    """One of the two networks, with the settings of the text.

    Parameters
    ----------
    title : str
        As the paper writes it.
    backbone : str
        A key of `BACKBONES`.
    head : str
        As `backbones.build` takes it.
    stage : Stage
        How it is trained.
    """

    title: str
    backbone: str
    head: str
    stage: Stage


_STAGE = Stage(
    "autoimmune", trainable="all", epochs=100, batch=32, input_size=224, augmentation=MOVED
)
NETWORKS = (
    Network(
        "VGG-19",
        "vgg19",
        "mlp-512",
        replace(_STAGE, trainable="head", optimiser="adam", learning_rate=1e-4, views=4),
    ),
    Network(
        "Inception-v3",
        "inception-v3",
        "mlp-256",
        replace(_STAGE, frozen_layers=249, optimiser="rmsprop", learning_rate=1e-3, views=4),
    ),
)
"""The settings in full, for a user's images."""


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

_TASK = "autoimmune or normal"
_CLASSES = (AUTOIMMUNE, NORMAL)
_BY_PATIENT, _LEAKY = "split by patient", "augmented, then split (leaks)"

_DIFFERS = (
    (
        "Split",
        "the text splits 99 and 24 patients, and also the augmented set of 701 images at random "
        "(563 and 138). Ours are folds by patient, augmented after the split; each fold tests "
        "about as large a share as those 24 patients. The other reading stands beside it as the "
        "lesson: its test images have other images, and moved copies, of the same patients in "
        "training. Of both, the same images are scored, without copies, and intervals are by "
        "patient.",
    ),
    (
        "Numbers of the text",
        "they do not fit each other: 32 patients × 5 images are given as 256, and the two classes "
        "of a test of two classes as having different accuracies. Nor are they those of the 24 "
        "patients: no whole number of their 80 autoimmune images is 95.94 % (71 of 74 is), and "
        "none of their 40 normal ones 91.17 % (31 of 34 is). The rows beside ours take autoimmune "
        "as positive.",
    ),
    (
        "Operating point",
        "the text's is not given. Ours is the Youden point of the other folds.",
    ),
    (
        "Augmentation",
        "resizing and shifting by up to a tenth, drawn for each image in a few views that stay the "
        "same where the layers below are frozen. The text does not say how far, nor how often.",
    ),
    (
        "Head",
        "the text does not say how its dense layer reads the last feature map; ours reads its "
        "average.",
    ),
    ("Images", "frames are cropped to the scan area first, so that no printed text is read."),
)


def images(setting: Setting) -> tuple[pd.DataFrame, Rehearsal | None]:
    """Read a user's images, dealt to folds by patient, or draw phantoms.

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
    if not (place / "index.csv").exists():
        drawn = phantom.cohort(cut.patients, cut.frames, seed=_SEED, shape=_SHAPE, diffuse=True)
        phantom.write(drawn, place, total=cut.patients * cut.frames)
    return splits.kfold(datasets.phantoms(place), cut.folds, seed=0), cut


def _own(folder: Path) -> pd.DataFrame:
    """Read class folders with patients; near copies of a frame count as one patient's."""
    table, names = folder / "groups.csv", {AUTOIMMUNE, NORMAL}
    found = {path.name for path in folder.iterdir() if path.is_dir()}
    if not table.is_file() or not names <= found:
        raise DataError(
            f"The set {AUTOIMMUNE} is folders {AUTOIMMUNE} and {NORMAL} with the images, and "
            "groups.csv with the columns path and group, the patient of each. "
            f"Received: {folder} with {', '.join(sorted(p.name for p in folder.iterdir()))}."
        )
    records = datasets.class_folders(folder, table)
    records = records[records["label"].isin(names)].reset_index(drop=True)
    if records["group"].isna().any():
        bare = records["path"][records["group"].isna()].iloc[0]
        raise DataError(f"Every image of {table} has a patient. Received: none for {bare}.")
    shapes = [decode(path).shape for path in records["path"]]
    sizes = {"width": [shape[1] for shape in shapes], "height": [shape[0] for shape in shapes]}
    return splits.group_near_duplicates(records.assign(**sizes))


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
        Into which images and copies are dealt.

    Returns
    -------
    DataFrame
        Record table of all images and of moved copies of some of them, each a group of its own,
        with `fold`; `original` and `patient` tell whose image it is, `copy` whether it is moved.
    """
    frames = load_frames(records, sorted(set(records["label"])), side)
    chosen = np.random.default_rng(0).permutation(len(records))[: round(COPIES * len(records))]
    moved = np.round(augment(frames.images[chosen], np.array([0, 0], np.int32), MOVED).numpy())
    squares = np.concatenate([frames.images, moved.astype(np.uint8)])
    names = [f"{number:05d}.png" for number in range(len(squares))]
    with whole(folder) as temporary:
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


def dealt(records: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Deal the labels of the patients to patients at random, so that images tell nothing.

    Parameters
    ----------
    records : DataFrame
        Record table.
    seed : int
        Of the deal.

    Returns
    -------
    DataFrame
        The same table with other labels; all images of a patient have one.
    """
    labels = records.drop_duplicates("group").set_index("group")["label"]
    names = dict(zip(labels.index, np.random.default_rng(seed).permutation(labels), strict=True))
    return records.assign(label=records["group"].map(names))


@dataclass(frozen=True)
class Reading:
    """Both readings of the split on one deal of labels.

    Parameters
    ----------
    title : str
        What is told from what.
    records : DataFrame
        Split by patient.
    copied : DataFrame
        From `leaky`.
    networks : tuple of Network
        Which are trained.
    """

    title: str
    records: pd.DataFrame
    copied: pd.DataFrame
    networks: tuple[Network, ...]

    @property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """Name the sound and the leaking system of each network."""
        return {
            one.title: (f"{one.title}, {_BY_PATIENT}", f"{one.title}, {_LEAKY}")
            for one in self.networks
        }

    def systems(self, setting: Setting) -> dict[str, list[Cell]]:
        """Give the cells of every system, one for each fold.

        Parameters
        ----------
        setting : Setting
            Says where networks start.

        Returns
        -------
        dict of str to list of Cell
            By network and way of splitting.
        """
        sound = cells.frames(self.records)
        unsound = cells.frames(self.copied.drop(columns=["width", "height"]), crop=False)
        folds = range(self.records["fold"].nunique())
        return {
            f"{network.title}, {way}": [
                cells.tuned(
                    network.backbone, setting.first(network.backbone), shown, fold, network.stage,
                    network.head, taps=(), positive=AUTOIMMUNE,
                )
                for fold in folds
            ]
            for network in self.networks
            for way, shown in ((_BY_PATIENT, sound), (_LEAKY, unsound))
        }  # fmt: skip

    def score(self, outcome: Outcome, systems: Mapping[str, Sequence[Cell]]) -> pd.DataFrame:
        """Gather the scores of both readings on the same images, with their patients.

        Parameters
        ----------
        outcome : Outcome
            Of the grid.
        systems : mapping of str to sequence of Cell
            From `systems`.

        Returns
        -------
        DataFrame
            As `cells.scores` gives it, without copies; empty if every system failed.
        """
        parts = {}
        for sound, leaking in self.pairs.values():
            for name, table in ((sound, self.records), (leaking, self.copied)):
                if all(cell in outcome for cell in systems[name]):
                    found = cells.scores(outcome, {name: systems[name]}, table, AUTOIMMUNE)
                    parts[name] = found if name == sound else _own_images(found, table)
        return pd.concat(parts.values(), ignore_index=True) if parts else pd.DataFrame()


def _own_images(found: pd.DataFrame, copied: pd.DataFrame) -> pd.DataFrame:
    """Keep the scores of the images themselves, and give these their paths and patients again."""
    known = copied.set_index("path").loc[found["path"]]
    named = found.assign(path=known["original"].to_numpy(), group=known["patient"].to_numpy())
    return named[~known["copy"].to_numpy(bool)]


def run(setting: Setting) -> Report:
    """Train both networks under both readings of the split, and set all beside the paper.

    Parameters
    ----------
    setting : Setting
        Its folder may hold `autoimmune`; phantoms are drawn where it does not.

    Returns
    -------
    Report
        Both readings beside the published rows, the control, and the curves of each class.

    Raises
    ------
    StudyError
        If every system of a reading failed.
    DataError
        If a user's images are in another layout.
    """
    records, cut = images(setting)
    readings = _readings(setting, records, cut)
    systems = {one.title: one.systems(setting) for one in readings}
    outcome = grid.run(
        [cell for named in systems.values() for row in named.values() for cell in row],
        setting.work / "cells", setting.workers, setting.ray,
    )  # fmt: skip
    scored = {one.title: one.score(outcome, systems[one.title]) for one in readings}
    if scored[_TASK].empty:
        why = next(iter(outcome.failures.items()))
        raise StudyError(f"A report needs a system without a failure. Received: {': '.join(why)}")
    tables: list[Table] = []
    summaries: dict[str, Mapping[str, Any]] = {}
    for one in readings:
        found = scored[one.title]
        if found.empty:
            continue
        summary = scoreboard.summarise(found, one.records, AUTOIMMUNE)
        published = _published() if one.title == _TASK else {}
        tables.append(scoreboard.overall(one.title, summary, published))
        tables.append(p5_figures.gains(one.title, summary, one.pairs))
        summaries[one.title] = summary
    tables.append(p5_figures.areas(scored[_TASK], summaries[_TASK], _CLASSES))
    picture = p5_figures.curves(scored[_TASK], readings[0].pairs, _CLASSES)
    named = [found.assign(head=found["head"] + ", " + title)
             for title, found in scored.items() if len(found)]  # fmt: skip
    folders = (setting.work,) if setting.data is None else (setting.work, setting.data)
    return Report(
        key=PROTOCOL.key,
        title=PROTOCOL.title,
        reference=PROTOCOL.reference,
        images=_said(records, cut),
        fast=cut is not None,
        tables=tuple(tables),
        differs=_differs(setting, cut),
        scores=out_of_fold.published(pd.concat(named, ignore_index=True), folders),
        summaries=summaries,
        pictures={"precision-recall": (p5_figures.SEEN, picture)},
        failures=outcome.failures,
    )


def _readings(setting: Setting, records: pd.DataFrame, cut: Rehearsal | None) -> list[Reading]:
    """Plan the labels as they are, and the control with labels that say nothing."""
    networks = NETWORKS if cut is None else tuple(_cut_down(one, cut) for one in NETWORKS)
    side, folds = networks[0].stage.input_size or 224, records["fold"].nunique()
    copied = leaky(records, setting.work / f"autoimmune-{side}", side, folds)
    shuffled = dealt(records)
    names = shuffled.drop_duplicates("group").set_index("group")["label"]
    return [
        Reading(_TASK, records, copied, networks),
        Reading(
            "control: labels dealt to patients at random",
            splits.kfold(shuffled.drop(columns="fold"), folds, seed=0),
            copied.assign(label=copied["patient"].map(names)),
            networks[:1],
        ),
    ]


def _cut_down(network: Network, cut: Rehearsal) -> Network:
    # So few steps would leave the running statistics of trained normalisation behind.
    stage = replace(
        network.stage, input_size=cut.side, epochs=cut.epochs, views=2, norm_momentum=0.9
    )
    return replace(network, stage=stage)


def _published() -> dict[str, Published | None]:
    return {
        f"{row.system}, {way}": row for row in PROTOCOL.published for way in (_BY_PATIENT, _LEAKY)
    }


def _said(records: pd.DataFrame, cut: Rehearsal | None) -> str:
    counts = records.drop_duplicates("group")["label"].value_counts()
    shares = " and ".join(f"{count} {label}" for label, count in counts.items())
    what = "images of the user" if cut is None else "phantoms that stand in for the images"
    return (
        f"{len(records)} {what}, of {records['group'].nunique()} patients ({shares}); "
        f"{records['fold'].nunique()} folds by patient"
    )


def _differs(setting: Setting, cut: Rehearsal | None) -> tuple[tuple[str, str], ...]:
    """Say what this run does otherwise, with what it was cut down to and started from."""
    found = list(_DIFFERS)
    if cut is not None:
        found.insert(0, (
            "Phantoms",
            "the images are not public, and no folder autoimmune lies in --data: drawn glands, "
            "diffusely changed or not, stand in for them (for images of one's own that folder "
            "holds folders autoimmune and normal, and groups.csv with the columns path and group, "
            f"the patient of each image). {cut.patients} patients with "
            f"{cut.frames} frames each in place of 123 with 5, {cut.side} pixels in place of 224, "
            f"{cut.epochs} epochs in place of 100, {cut.folds} folds; running statistics of "
            "trained normalisation follow faster. These figures say nothing of any patient.",
        ))  # fmt: skip
    bare = [one.title for one in NETWORKS if setting.first(one.backbone) == "none"]
    if bare:
        found.append((
            "First weights",
            f"the paper's networks start from ImageNet; {' and '.join(bare)} start from random "
            "weights here, and so do the layers that stay frozen (--start imagenet takes those "
            "that were published).",
        ))  # fmt: skip
    return tuple(found)
