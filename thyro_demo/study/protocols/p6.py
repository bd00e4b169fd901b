"""P6: a network of two convolutional layers, on mammogram patches and on thyroid frames.

References
----------
Kim, "Image classification using deep learning algorithm for thyroid imaging", Gachon University:
the text draws the network for breast masses, true ones against false positives, and gives two
accuracies. Widths, optimiser and numbers of images are not printed. What we do otherwise stands
in `_DIFFERS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from thyro_demo.data import datasets, patches, phantom, splits
from thyro_demo.data.patches import MASS
from thyro_demo.errors import StudyError
from thyro_demo.models import out_of_fold
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.models.recipes import TWO_LAYER
from thyro_demo.models.transfer import Stage
from thyro_demo.study import cells, grid, scoreboard
from thyro_demo.study.grid import Cell, Outcome
from thyro_demo.study.published import Protocol, Published
from thyro_demo.study.report import Report, Table
from thyro_demo.study.setting import FOLDS, Setting, thyroid

NETWORK = "two-layer-cnn"
SYSTEM = "Two-layer CNN"
CONTRAST = "contrast alone"
"""A single number in place of the network: how much the middle of a patch stands out."""

SIDE = 96
"""Side of the input for frames, pixels; the text gives none."""

PATCH_SIDE = 64
"""That for patches: on films at half scale the median mass is as wide with its margin."""

STAGE = replace(TWO_LAYER, name="from scratch")
"""All layers from random weights, as the project trains this network elsewhere."""

FAST = replace(STAGE, epochs=6, patience=None, batch=16)
FAST_SIDE, FAST_FOLDS = 64, 3
"""The rehearsal on phantoms; frames keep their folds, which other protocols share."""

_GLANDS = 24
"""Patients whose glands, half of them normal, give the patches without a nodule when fast."""

_OVER = "printed as “over”, for test images of which neither number nor split is given"
PROTOCOL = Protocol(
    "P6",
    "a network of two layers, on mammogram patches and on thyroid frames",
    "Kim, “Image classification using deep learning algorithm for thyroid imaging”, Gachon "
    "University (no year printed)",
    CLASSES[1],
    (
        Published("CNN, mass or false positive", accuracy=80.0, note=_OVER),
        Published("CNN, benign or malignant", accuracy=76.0, note=_OVER),
    ),
)

_DIFFERS = (
    (
        "Network",
        "the paper draws two convolutional layers for the masses and prints no widths; ours has "
        "32 and 64 maps of 5×5 with batch normalisation and an average pool. The thyroid network "
        "is not drawn; the same one is used, and the paper's may be another.",
    ),
    (
        "Masses",
        "the paper names no set. We take mini-MIAS and of its classes those that are masses "
        f"({', '.join(patches.MASSES)}); calcifications, distortions and asymmetries are none.",
    ),
    (
        "False positives",
        "the paper's come from a detector that is not described. Ours are places in films "
        "without abnormality that stand out in brightness; size and share of tissue are those "
        "of the masses. Tissue from anywhere makes an easier task, shown beside it; how "
        "far one number gets in either, the contrast, is shown too.",
    ),
    (
        "Thyroid images",
        "the paper's are not public and seem to be cut to the nodule. Ours are whole scan areas "
        "of the P1 set, for most of which no outline of the nodule is known.",
    ),
    (
        "Split",
        "the paper does not say how images were split. Ours are five folds by patient: left and "
        "right film, and all frames of a case, stay together.",
    ),
    (
        "Operating point",
        "the paper's is not given. Ours is the Youden point of the other folds, so sensitivity "
        "and specificity weigh alike although masses are few.",
    ),
    (
        "Published accuracies",
        "they are printed as “over 80 %” and “over 76 %”, without intervals or numbers of images.",
    ),
)
_FAST_DIFFERS = (
    "Rehearsal",
    f"drawn frames in place of images; nodules against glands stand in for masses. {FAST.epochs} "
    f"epochs at {FAST_SIDE} pixels.",
)


@dataclass(frozen=True)
class Experiment:
    """One question to the network.

    Parameters
    ----------
    title : str
        What is told from what.
    records : DataFrame
        Record table with `fold`, `width` and `height`; with `contrast` for patches.
    positive : str
        The label that counts as positive.
    published : Published or None
        What was printed of it.
    crop : bool
        Whether images are frames of a scanner, to be cropped to the scan area.
    side : int
        Side of the input, pixels.
    stage : Stage
        How the network is trained.
    """

    title: str
    records: pd.DataFrame
    positive: str
    published: Published | None
    crop: bool
    side: int
    stage: Stage

    def networks(self) -> list[Cell]:
        """Give the cells of the network, one for each fold.

        Returns
        -------
        list of Cell
            In the order of the folds.
        """
        shown = cells.frames(self.records, self.crop)
        return [
            cells.tuned(
                NETWORK, "none", shown, fold, self.stage, size=self.side, positive=self.positive
            )
            for fold in sorted(self.records["fold"].unique())
        ]

    def score(self, outcome: Outcome, trained: list[Cell]) -> pd.DataFrame:
        """Gather the scores of the network and, for patches, of the contrast alone.

        Parameters
        ----------
        outcome : Outcome
            Of the grid.
        trained : list of Cell
            From `networks`.

        Returns
        -------
        DataFrame
            As `cells.scores` gives it.
        """
        found = cells.scores(outcome, {SYSTEM: trained}, self.records, self.positive)
        if "contrast" not in self.records:
            return found
        known = self.records[["path", "group", "source", "label", "fold"]]
        alone = known.assign(head=CONTRAST, raw=self.records["contrast"])
        alone = out_of_fold.cross_calibrated(alone, positive=self.positive)
        return pd.concat([found, alone], ignore_index=True)


def run(setting: Setting) -> Report:
    """Train the network on patches and on frames, and set both beside what was printed.

    Parameters
    ----------
    setting : Setting
        Its folder holds mini_mias and thyroid_us; without one, phantoms are drawn.

    Returns
    -------
    Report
        Tables of patches against false positives, against tissue from anywhere, and of frames.

    Raises
    ------
    StudyError
        If a cell of every experiment failed.
    DataError
        If a set is missing, or not in the layout that is read.
    """
    experiments = _experiments(setting)
    trained = {one.title: one.networks() for one in experiments}
    outcome = grid.run(
        [cell for row in trained.values() for cell in row],
        setting.work / "cells", setting.workers, setting.ray,
    )  # fmt: skip
    tables: list[Table] = []
    summaries: dict[str, Mapping[str, Any]] = {}
    scores = []
    for one in experiments:
        if not all(cell in outcome for cell in trained[one.title]):
            continue
        found = one.score(outcome, trained[one.title])
        summaries[one.title] = scoreboard.summarise(found, one.records, one.positive)
        tables += _tables(one, summaries[one.title])
        scores.append(found.assign(head=found["head"] + ", " + one.title))
    if not scores:
        why = next(iter(outcome.failures.items()))
        raise StudyError(
            f"A report needs an experiment without a failure. Received: {': '.join(why)}"
        )
    folders = (setting.work,) if setting.data is None else (setting.work, setting.data)
    return Report(
        key=PROTOCOL.key,
        title=PROTOCOL.title,
        reference=PROTOCOL.reference,
        images="; ".join(_said(one) for one in experiments) + ". Folds by patient.",
        fast=setting.fast,
        tables=tuple(tables),
        differs=_DIFFERS + ((_FAST_DIFFERS,) if setting.fast else ()),
        scores=out_of_fold.published(pd.concat(scores, ignore_index=True), folders),
        summaries=summaries,
        failures=outcome.failures,
    )


def _experiments(setting: Setting) -> list[Experiment]:
    masses, nodules = PROTOCOL.published
    stage = FAST if setting.fast else STAGE
    small, large = (FAST_SIDE, FAST_SIDE) if setting.fast else (PATCH_SIDE, SIDE)
    near, any_tissue = _patches(setting, True), _patches(setting, False)
    frames = thyroid(setting)
    return [
        Experiment("masses or false positives", near, MASS, masses, False, small, stage),
        Experiment("masses or any tissue", any_tissue, MASS, None, False, small, stage),
        Experiment("benign or malignant", frames, CLASSES[1], nodules, True, large, stage),
    ]


def _patches(setting: Setting, false_positives: bool) -> pd.DataFrame:
    """Write patches and deal their patients to folds."""
    if setting.fast:
        # Nodules and glands come from other simulated scanners, which says nothing of them.
        frames = _frames(setting).assign(source="drawn")
        chosen = patches.phantoms(frames, false_positives=false_positives)
    else:
        films = datasets.mini_mias(setting.folder("mini_mias"))
        chosen = patches.mini_mias(films, false_positives=false_positives)
    folder = setting.work / ("patches-standing-out" if false_positives else "patches-anywhere")
    written = patches.write(chosen, folder, PATCH_SIDE)
    return splits.kfold(written, FAST_FOLDS if setting.fast else FOLDS, seed=0)


def _frames(setting: Setting) -> pd.DataFrame:
    """Draw frames with nodules, and glands of other patients without."""
    folder = setting.work / "phantoms" / "glands"
    if not (folder / "index.csv").exists():
        drawn = phantom.cohort(_GLANDS, 2, seed=61, shape=(120, 160), diffuse=True)
        phantom.write(drawn, folder, total=2 * _GLANDS)
    return pd.concat([thyroid(setting), datasets.phantoms(folder)], ignore_index=True)


def _tables(one: Experiment, summary: Mapping[str, Any]) -> list[Table]:
    """Set an experiment beside what was printed; within the sources, where there are several."""
    title = f"{SYSTEM}, {one.title}"
    found = [scoreboard.overall(title, summary, {SYSTEM: one.published})]
    if one.records["source"].nunique() > 1:
        found.append(scoreboard.by_source(f"{title}: within each source", summary))
    return found


def _said(one: Experiment) -> str:
    counts = one.records["label"].value_counts()
    shares = " and ".join(f"{count} {label}" for label, count in counts.items())
    sources = ", ".join(sorted(one.records["source"].unique()))
    return f"{one.title}: {shares} in {one.records['group'].nunique()} groups, from {sources}"
