"""The plan of P6: three experiments, one network trained from scratch in every fold of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from thyro_demo.data import datasets, patches, splits
from thyro_demo.data.patches import MASS
from thyro_demo.errors import StudyError
from thyro_demo.evaluate import results
from thyro_demo.evaluate.results import Result
from thyro_demo.study.graph import Job, Outcome
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Protocol, Published, Report
from thyro_demo.study.setting import FOLDS, SOURCES, SPLIT, Setting, drawn, thyroid
from thyro_demo.study.steps import heads, networks
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.recipes import TWO_LAYER
from thyro_demo.training.stage import Stage

HERE = Path(__file__).parent

NETWORK = "two-layer-cnn"
SYSTEM = "Two-layer CNN"
CONTRAST = "contrast alone"
"""A single number in place of the network: how much the middle of a patch stands out."""

SIDE = 96
"""Side of the input for frames, pixels; the text names none."""

PATCH_SIDE = 64
"""That for patches: on films at half scale the median mass is as wide with its margin."""

STAGE = replace(TWO_LAYER, name="from scratch")
"""All layers from random weights, as the project trains this network elsewhere."""

FAST = replace(STAGE, epochs=6, patience=None, batch=16)
FAST_SIDE, FAST_FOLDS = 64, 3
"""The rehearsal on phantoms; frames keep their folds, which other protocols share."""

_GLANDS = 24
"""Patients whose glands, half of them normal, yield the patches without a nodule when fast."""

PROTOCOL = Protocol(
    "P6",
    "a network of two layers, on mammogram patches and on thyroid frames",
    "Kim, “Image classification using deep learning algorithm for thyroid imaging”, Gachon "
    "University (no year printed)",
    CLASSES[1],
    tuple(row for row, _ in report.published(HERE / "published.csv")),
)


@dataclass(frozen=True)
class Experiment:
    """One question to the network.

    Parameters
    ----------
    title : str
        The two classes.
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

    def networks(self) -> list[Job]:
        """Make the jobs of the network, one for each fold in their order."""
        shown = networks.frames(self.records, self.crop)
        return [
            networks.fine_tuned(
                NETWORK, "none", shown, fold, self.stage, size=self.side, positive=self.positive
            )
            for fold in sorted(self.records["fold"].unique())
        ]

    def score(self, outcome: Outcome, trained: list[Job]) -> pd.DataFrame:
        """Gather the scores of the network and, for patches, of the contrast alone."""
        found = heads.scores(outcome, {SYSTEM: trained}, self.records, self.positive)
        if "contrast" not in self.records:
            return found
        known = self.records[["path", "group", "source", "label", "fold"]]
        alone = known.assign(head=CONTRAST, raw=self.records["contrast"])
        alone = out_of_fold.cross_calibrated(alone, positive=self.positive)
        return pd.concat([found, alone], ignore_index=True)

    @property
    def counted(self) -> str:
        """Its images, in words."""
        counts = self.records["label"].value_counts()
        shares = " and ".join(f"{count} {label}" for label, count in counts.items())
        sources = ", ".join(sorted(self.records["source"].unique()))
        groups = self.records["group"].nunique()
        return f"{self.title}: {shares} in {groups} groups, from {sources}"


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
        If a job of every experiment failed.
    DataError
        If a set is missing, or not in the layout that is read.
    """
    experiments = _experiments(setting)
    trained = {one.title: one.networks() for one in experiments}
    outcome = setting.compute(job for row in trained.values() for job in row)
    tables, summaries, scores = [], {}, []
    for one in experiments:
        if not all(job in outcome for job in trained[one.title]):
            continue
        found = one.score(outcome, trained[one.title])
        summary = summaries[one.title] = report.summarise(found, one.records, one.positive)
        title = f"{SYSTEM}, {one.title}"
        tables.append(report.overall(title, summary, {SYSTEM: one.published}))
        if one.records["source"].nunique() > 1:
            tables.append(report.by_source(f"{title}: within each source", summary))
        scores.append(found.assign(head=found["head"] + ", " + one.title))
    if not scores:
        raise StudyError(f"One experiment must not fail. Received: {outcome.first_failure}")
    return Report(
        PROTOCOL,
        "; ".join(one.counted for one in experiments) + ". Folds by patient.",
        setting.fast,
        tuple(tables),
        report.differences(
            HERE / "differences.md", ["fast"] if setting.fast else [],
            masses=", ".join(patches.MASSES), epochs=FAST.epochs, side=FAST_SIDE,
        ),
        setting.published(pd.concat(scores, ignore_index=True)),
        summaries,
        failures=outcome.failures,
        results={"p6": to_result(summaries)},
    )  # fmt: skip


def to_result(summaries: Mapping[str, Mapping[str, Any]]) -> Result:
    """Make the table that a README shows.

    Parameters
    ----------
    summaries : mapping of str to mapping
        From `report.summarise`, by title of the experiment.

    Returns
    -------
    Result
        One row an experiment and system.
    """
    return results.by_source(
        [
            (f"{title}: {head}", summary, head)
            for title, summary in summaries.items()
            for head in (SYSTEM, CONTRAST)
        ],
        SOURCES,
        what="AUROC of a network of two layers, on mammogram patches and on thyroid frames.",
        made_by="python -m thyro_demo study P6 --data sets",
        split=SPLIT,
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
    """Write patches and assign their patients to folds."""
    if setting.fast:
        # Nodules and glands come from other simulated scanners, which is no fact about them.
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
    glands = drawn(folder, _GLANDS, 2, seed=61, shape=(120, 160), diffuse=True)
    return pd.concat([thyroid(setting), glands], ignore_index=True)
