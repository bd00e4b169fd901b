"""The plan of P3: every kind of classifier on every family of features, in grouped folds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data import datasets, near_duplicates, splits
from thyro_demo.data.records import with_sizes
from thyro_demo.models.heads import TREES
from thyro_demo.study.graph import Job, Outcome
from thyro_demo.study.protocols.p3 import tables
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Protocol, Report
from thyro_demo.study.setting import FOLDS, Setting, thyroid
from thyro_demo.study.steps import heads, networks
from thyro_demo.study.steps.handcrafted import ALL, FAMILIES, NAMES, classify
from thyro_demo.study.steps.handcrafted.classify import KINDS
from thyro_demo.study.steps.handcrafted.region import SIDE
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.sources import SOURCES

PROTOCOL = Protocol(
    "P3",
    "Classical CAD: handcrafted features of the outlined nodule, SVM and forest",
    "The classical system of the lecture on deep learning in thyroid ultrasound, with the "
    "features of Haralick et al. 1973 and Galloway 1975; no figures were printed.",
    CLASSES[1],
    (),
)

PRIMARY = f"SVM, {ALL}"
"""The system that is quoted first, named before any fold was scored."""

ALONE = {
    "nodule area only": ("shape", "area"),
    "convexity of the outline only": ("shape", "convexity"),
}
"""Single features set beside the systems: what size is worth, and what the drawn line is."""

REPEATS = 10
"""How often a family is shuffled for its importance."""

_FAST_TREES = 100


@dataclass(frozen=True)
class OutlinedSet:
    """A set of outlined lesions, and the jobs of every system on it."""

    name: str
    images: str
    records: pd.DataFrame
    trees: int

    @property
    def title(self) -> str:
        """Its name as a table has it."""
        return self.name[0].upper() + self.name[1:]

    @cached_property
    def measured(self) -> list[Job]:
        """The jobs of every handcrafted feature."""
        return classify.features(self.records)

    @cached_property
    def systems(self) -> dict[str, list[Job]]:
        """By name of the system, one job for each fold."""
        shown = networks.frames(self.records)
        folds = sorted(self.records["fold"].unique())
        return {
            f"{kind}, {family}": [
                classify.system(
                    kind, family, shown, self.measured, fold, PROTOCOL.positive,
                    self.trees, REPEATS if family == ALL else 0,
                )
                for fold in folds
            ]
            for family in (ALL, *FAMILIES)
            for kind in KINDS
        }  # fmt: skip

    def is_scored(self, outcome: Outcome) -> bool:
        """Whether one system at least did not fail."""
        return any(all(job in outcome for job in folds) for folds in self.systems.values())

    def scores(self, outcome: Outcome) -> pd.DataFrame:
        """Gather the scores of every system, and of single features."""
        found = heads.scores(outcome, self.systems, self.records, PROTOCOL.positive)
        known = self.records[["path", "group", "source", "label", "fold"]]
        rows = np.concatenate([outcome[job]["features"] for job in self.measured])
        single = [
            known.assign(head=head, raw=rows[:, NAMES.index(feature)])
            for head, feature in ALONE.items()
        ]
        # The sigmoid of the other folds also shows whether more of it means malignant.
        alone = out_of_fold.cross_calibrated(
            pd.concat(single, ignore_index=True), positive=PROTOCOL.positive
        )
        return pd.concat([found, alone], ignore_index=True)


def run(setting: Setting) -> Report:
    """Run the classical system on outlined thyroid nodules and on breast lesions.

    Parameters
    ----------
    setting : Setting
        On which images, and where to keep the parts.

    Returns
    -------
    Report
        For each set every system's figures out of fold, image size and single features beside
        them, and how much each family of features matters.

    Raises
    ------
    StudyError
        If every system failed.
    DataError
        If a set is missing or not in the layout that is read.
    """
    sets = list(_sets(setting))
    outcome = setting.compute(
        job for one in sets for folds in (one.measured, *one.systems.values()) for job in folds
    )
    # A set of which nothing came through is among the failures; others are reported.
    shown = [one for one in sets if one.is_scored(outcome)] or sets
    scores, summaries, pictures = [], {}, {}
    found_tables: list[report.Table] = []
    for one in shown:
        found = one.scores(outcome)
        summary = summaries[one.name] = report.summarise(found, one.records, PROTOCOL.positive)
        scores.append(setting.published(found))
        table = report.overall(f"{one.title}: every system", summary, {})
        found_tables.append(replace(table, caption=table.caption + _NEAR_CHANCE))
        if one.records["source"].nunique() > 1:
            found_tables.append(report.by_source(f"{one.title}: by source", summary))
        found_tables.append(tables.chosen(one.title, one.systems, outcome))
        losses = tables.importance(one.records, one.systems, outcome, PROTOCOL.positive)
        pictures[f"importance-{one.name.replace(' ', '-')}"] = (
            _MATTERS.format(set=one.title, repeats=REPEATS, caption=report.caption(summary)),
            tables.draw(losses),
        )
    return Report(
        PROTOCOL,
        " ".join(one.images for one in sets),
        setting.fast,
        (*found_tables, tables.features()),
        report.differences(Path(__file__).with_name("differences.md"), side=SIDE),
        pd.concat(scores, ignore_index=True),
        summaries,
        pictures,
        outcome.failures,
        tables.to_results(summaries, list(ALONE)),
    )


_NEAR_CHANCE = (
    f" Named before any fold was scored: {PRIMARY}; the best of many rows is best by chance too. "
    "A system that knows nothing lands a little below 0.5, not on it: each fold is scaled by the "
    "others, which lean the other way."
)


_MATTERS = (
    "{set}: what the AUROC loses when all features of a family are shuffled among the frames of "
    "a held-out fold, {repeats} times. {caption} Families share what they say: one that loses "
    "nothing may be replaced by another."
)


def _sets(setting: Setting) -> Iterator[OutlinedSet]:
    """Read the outlined sets, each assigned to grouped folds."""
    nodules = thyroid(setting)
    if setting.fast:
        drawn = "Phantoms of three simulated scanners with the masks that they were drawn with."
        yield OutlinedSet("phantoms", _counted(nodules, drawn), nodules, _FAST_TREES)
        return
    known = SOURCES["nodule"].read(str(setting.folder("thyroid_us")))
    outlines = dict(zip(known["path"], known["polygons"], strict=True))
    polygons = nodules["path"].map(outlines)
    nodules = nodules.assign(polygons=polygons)[polygons.notna()].reset_index(drop=True)
    yield OutlinedSet("thyroid nodules", _counted(nodules, _DDTI), nodules, TREES)
    lesions = breast(setting)
    yield OutlinedSet("breast lesions", _counted(lesions, _BUSI), lesions, TREES)


_DDTI = (
    "Thyroid: the frames of the thyroid set that stem from DDTI and are outlined there, in the "
    "folds of the other protocols; benign is TI-RADS 2 or 3, malignant 4a to 5 (a few frames "
    "without a TI-RADS have the label of their folder), which is no pathology."
)
_BUSI = (
    "Breast: BUSI, the same features on lesions of another organ, with masks. The set names no "
    "patients: near duplicates are grouped, other frames of one woman may be on two sides, and "
    "figures may be too high for it."
)


def breast(setting: Setting) -> pd.DataFrame:
    """Read the benign and malignant breast lesions, assigned to grouped folds.

    Parameters
    ----------
    setting : Setting
        Where the set is.

    Returns
    -------
    DataFrame
        Record table with `mask_paths`, `fold`, `width` and `height`.

    Raises
    ------
    DataError
        If the set is missing, or not in the layout that is read.
    """
    records = datasets.busi(setting.folder("busi"))
    lesions = records[records["label"].isin(CLASSES)].reset_index(drop=True)
    return splits.kfold(near_duplicates.group(with_sizes(lesions)), FOLDS, seed=0)


def _counted(records: pd.DataFrame, what: str) -> str:
    positive = int((records["label"] == PROTOCOL.positive).sum())
    return (
        f"{what} {len(records)} images in {records['group'].nunique()} groups, {positive} "
        f"{PROTOCOL.positive}; {records['fold'].nunique()} grouped folds, every score out of fold."
    )
