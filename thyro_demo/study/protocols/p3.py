"""P3: the classical system, features made by hand from an outlined nodule, SVM and forest.

References
----------
The lecture that P2 comes from describes it: region of interest, normalisation, features of shape
and texture, then a soft-margin SVM (linear or RBF) or a random forest. It prints no figures. The
formulas stand in `study/handcrafted`; what we do otherwise in `_DIFFERS`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from thyro_demo.data import datasets, splits
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.models import out_of_fold
from thyro_demo.models.heads import TREES
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.models.recipes import SOURCES
from thyro_demo.study import cells, grid, scoreboard
from thyro_demo.study.grid import Cell, Outcome
from thyro_demo.study.handcrafted import ALL, FAMILIES, NAMES, classify
from thyro_demo.study.handcrafted.classify import KINDS
from thyro_demo.study.handcrafted.region import SIDE
from thyro_demo.study.published import Protocol
from thyro_demo.study.report import Report, Table
from thyro_demo.study.setting import FOLDS, Setting, thyroid

PROTOCOL = Protocol(
    key="P3",
    title="Classical CAD: handcrafted features of the outlined nodule, SVM and forest",
    reference=(
        "The classical system of the lecture on deep learning in thyroid ultrasound, with the "
        "features of Haralick et al. 1973 and Galloway 1975; no figures were printed."
    ),
    positive=CLASSES[1],
    published=(),
)

PRIMARY = f"SVM, {ALL}"
"""The system that is quoted first, named before any fold was scored."""

ALONE = {
    "nodule area only": ("shape", "area"),
    "convexity of the outline only": ("shape", "convexity"),
}
"""Single features set beside the systems: how much size tells, and how much the drawn line."""

_REPEATS = 10
"""How often a family is shuffled for its importance."""

_FAST_TREES = 100


@dataclass(frozen=True)
class _Set:
    """A set of outlined lesions, and the cells of every system on it."""

    name: str
    said: str
    records: pd.DataFrame
    trees: int

    @property
    def title(self) -> str:
        return self.name[0].upper() + self.name[1:]

    @cached_property
    def shown(self) -> Cell:
        return cells.frames(self.records)

    @cached_property
    def measured(self) -> list[Cell]:
        return classify.features(self.records)

    @cached_property
    def systems(self) -> dict[str, list[Cell]]:
        folds = sorted(self.records["fold"].unique())
        return {
            f"{kind}, {family}": [
                classify.system(
                    kind, family, self.shown, self.measured, fold, PROTOCOL.positive,
                    self.trees, _REPEATS if family == ALL else 0,
                )
                for fold in folds
            ]
            for family in (ALL, *FAMILIES)
            for kind in KINDS
        }  # fmt: skip

    def scored(self, outcome: Outcome) -> bool:
        return any(all(cell in outcome for cell in folds) for folds in self.systems.values())


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
    wanted = [
        cell for one in sets for folds in (one.measured, *one.systems.values()) for cell in folds
    ]
    outcome = grid.run(wanted, setting.work / "cells", setting.workers, setting.ray)
    # A set of which nothing came through stands among the failures; others are reported.
    told = [one for one in sets if one.scored(outcome)] or sets
    scores, summaries, pictures = [], {}, {}
    tables: list[Table] = []
    for one in told:
        found = _scores(one, outcome)
        summary = scoreboard.summarise(found, one.records, PROTOCOL.positive)
        scores.append(out_of_fold.published(found, (setting.data or setting.work, setting.work)))
        summaries[one.name] = summary
        tables += _tables(one, summary, outcome)
        name = f"importance-{one.name.replace(' ', '-')}"
        pictures[name] = (
            _MATTERS.format(set=one.title, repeats=_REPEATS, caption=scoreboard.caption(summary)),
            _drawn(_importance(one, outcome)),
        )
    return Report(
        key=PROTOCOL.key,
        title=PROTOCOL.title,
        reference=PROTOCOL.reference,
        images=" ".join(one.said for one in sets),
        fast=setting.fast,
        tables=(*tables, _features()),
        differs=_DIFFERS,
        scores=pd.concat(scores, ignore_index=True),
        summaries=summaries,
        pictures=pictures,
        failures=outcome.failures,
    )


_NEAR_CHANCE = (
    f" Named before any fold was scored: {PRIMARY}; the best of many rows is best by chance too. "
    "A system that tells nothing lands a little below 0.5, not on it: each fold is scaled by the "
    "others, which lean the other way."
)


_MATTERS = (
    "{set}: what the AUROC loses when all features of a family are dealt anew among the frames of "
    "a held-out fold, {repeats} times. {caption} Families share what they say: one that loses "
    "nothing may be stood in for by another."
)


def _tables(one: _Set, summary: Mapping[str, Any], outcome: Outcome) -> Iterator[Table]:
    table = scoreboard.overall(f"{one.title}: every system", summary, {})
    yield replace(table, caption=table.caption + _NEAR_CHANCE)
    if one.records["source"].nunique() > 1:
        yield scoreboard.by_source(f"{one.title}: by source", summary)
    yield _chosen(one, outcome)


def _sets(setting: Setting) -> Iterator[_Set]:
    """Read the outlined sets, each dealt to grouped folds."""
    nodules = thyroid(setting)
    if setting.fast:
        said = "Phantoms of three simulated scanners with the masks that they were drawn with."
        yield _Set("phantoms", _counted(nodules, said), nodules, _FAST_TREES)
        return
    known = SOURCES["nodule"].read(str(setting.folder("thyroid_us")))
    outlines = dict(zip(known["path"], known["polygons"], strict=True))
    polygons = nodules["path"].map(outlines)
    nodules = nodules.assign(polygons=polygons)[polygons.notna()].reset_index(drop=True)
    yield _Set("thyroid nodules", _counted(nodules, _DDTI), nodules, TREES)
    lesions = breast(setting)
    yield _Set("breast lesions", _counted(lesions, _BUSI), lesions, TREES)


_DDTI = (
    "Thyroid: the frames of the thyroid set that stem from DDTI and are outlined there, in the "
    "folds of the other protocols; benign is TI-RADS 2 or 3, malignant 4a to 5 (a few frames "
    "without a TI-RADS have the label of their folder), which is no pathology."
)
_BUSI = (
    "Breast: BUSI, the same features on lesions of another organ, with masks. The set gives no "
    "patients: near copies are grouped, other frames of one woman may stand on two sides, and "
    "figures may be too high for it."
)


def breast(setting: Setting) -> pd.DataFrame:
    """Read the benign and malignant breast lesions, dealt to grouped folds.

    Parameters
    ----------
    setting : Setting
        Where the set lies.

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
    sizes = []
    for path in lesions["path"]:
        with Image.open(path) as image:
            sizes.append(image.size)
    lesions = lesions.assign(width=[w for w, _ in sizes], height=[h for _, h in sizes])
    return splits.kfold(splits.group_near_duplicates(lesions), FOLDS, seed=0)


def _counted(records: pd.DataFrame, said: str) -> str:
    positive = int((records["label"] == PROTOCOL.positive).sum())
    return (
        f"{said} {len(records)} images in {records['group'].nunique()} groups, {positive} "
        f"{PROTOCOL.positive}; {records['fold'].nunique()} grouped folds, every score out of fold."
    )


def _scores(one: _Set, outcome: Outcome) -> pd.DataFrame:
    """Gather the scores of every system, and of single features."""
    found = cells.scores(outcome, one.systems, one.records, PROTOCOL.positive)
    known = one.records[["path", "group", "source", "label", "fold"]]
    rows = np.concatenate([outcome[cell]["features"] for cell in one.measured])
    single = [
        known.assign(head=head, raw=rows[:, NAMES.index(feature)])
        for head, feature in ALONE.items()
    ]
    # The sigmoid of the other folds also says whether more of it means malignant.
    alone = out_of_fold.cross_calibrated(
        pd.concat(single, ignore_index=True), positive=PROTOCOL.positive
    )
    return pd.concat([found, alone], ignore_index=True)


def _chosen(one: _Set, outcome: Outcome) -> Table:
    rows = []
    for family in (ALL, *FAMILIES):
        folds = one.systems[f"SVM, {family}"]
        cells_said = [str(outcome[cell]["chosen"]) if cell in outcome else "–" for cell in folds]
        rows.append((f"SVM, {family}", *cells_said))
    return Table(
        f"{one.title}: kernel and C of each machine",
        "Chosen by AUROC in five grouped folds of the training part; gamma of RBF too.",
        ("System", *(f"fold {place}" for place in range(len(rows[0]) - 1))),
        tuple(rows),
    )


def _importance(one: _Set, outcome: Outcome) -> dict[str, dict[str, Interval]]:
    """Measure what AUROC each classifier on all families loses by each family, by groups."""
    found: dict[str, dict[str, Interval]] = {}
    for kind in KINDS:
        folds = one.systems[f"{kind}, {ALL}"]
        if not all(cell in outcome for cell in folds):
            continue
        odds, shuffled = _log_odds(one.records, [outcome[cell] for cell in folds])
        labels = np.tile(one.records["label"] == PROTOCOL.positive, _REPEATS)
        groups = np.tile(one.records["group"], _REPEATS)
        found[kind] = {
            family: intervals.paired_group_bootstrap(
                metrics.auroc, labels, np.tile(odds, _REPEATS), shuffled[:, place].ravel(), groups
            )
            for place, family in enumerate(FAMILIES)
        }
    return found


def _log_odds(
    records: pd.DataFrame, values: list[dict[str, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrate the scores of each fold, float (n,) and (repeats, families, n), on the others.

    Only so can scores of machines from different folds be ranked together.
    """
    rows = np.concatenate([value["rows"] for value in values])
    fold = records["fold"].to_numpy()
    raw, shuffled = np.empty(len(records)), np.empty((_REPEATS, len(FAMILIES), len(records)))
    raw[rows] = np.concatenate([value["raw"] for value in values])
    shuffled[..., rows] = np.concatenate([value["shuffled"] for value in values], axis=2)
    scored = records.assign(raw=raw)
    for held in np.unique(fold):
        here = fold == held
        slope, intercept = out_of_fold.sigmoid(scored[~here], PROTOCOL.positive)
        raw[here] = slope * raw[here] + intercept
        shuffled[..., here] = slope * shuffled[..., here] + intercept
    return raw, shuffled


# Okabe and Ito, "Color universal design", 2008.
_COLOURS = dict(zip(KINDS, ("#0072B2", "#D55E00"), strict=True))


def _drawn(matter: dict[str, dict[str, Interval]]) -> Figure:
    """Draw the loss of each family as a bar with its interval."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(FAMILIES))
    for shift, (kind, losses) in zip((-0.2, 0.2), matter.items(), strict=False):
        values = np.array([losses[family] for family in FAMILIES])
        axes.barh(places + shift, values[:, 0], 0.36, color=_COLOURS[kind], label=kind)
        axes.hlines(places + shift, values[:, 1], values[:, 2], color="black", linewidth=1.5)
    names = [f"{name} ({len(family.names)})" for name, family in FAMILIES.items()]
    axes.set_yticks(places, names, fontsize=11)
    axes.invert_yaxis()
    axes.axvline(0, color="#666666", linewidth=1)
    axes.set_xlabel("AUROC lost, with 95 % interval", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    if matter:
        figure.legend(loc="outside lower center", ncols=len(matter), frameon=False, fontsize=11)
    return figure


def _features() -> Table:
    rows = [
        (f"{name} ({len(family.names)})", what, formula)
        for name, family in FAMILIES.items()
        for what, formula in family.properties.items()
    ]
    return Table(
        "Every feature",
        f"{len(NAMES)} features; in brackets how many a family has, with directions (0°, 45°, "
        "90°, 135°, all), numbers of grey levels (GLCM 16 and 256, GLRLM 16) and bands of the "
        "wavelet (LL, LH, HL, HH). No unit but where one is given; nothing here is a result.",
        ("Family", "Property", "Formula"),
        tuple(rows),
    )


_DIFFERS = (
    (
        "No figures beside ours",
        "the lecture describes the system but prints no result and names no images for it",
    ),
    (
        "Images and labels",
        "the hospital's images are not public; those of DDTI are labelled by TI-RADS, which reads "
        "shape, margin and texture: features that find them again find the label's own rule, not "
        "disease",
    ),
    (
        "Region",
        "a radiologist's box there, an outline drawn by hand here, around which the box is put; "
        "whoever drew it judged the margin, or knew the finding, so that a smooth or ragged line "
        "can tell it: the row of the outline's convexity shows how far that goes, and a system "
        "whose outlines are drawn by another hand, or by a machine, would lose it",
    ),
    (
        "Size",
        f"no frame tells how long a pixel is, so every nodule is resampled to {SIDE} pixels on "
        "its longer side before texture and perimeter are measured, and area and perimeter count "
        "against the scan area; a nodule's millimetres stay unknown",
    ),
    (
        "Normalisation",
        "the lecture shows a normalised region without saying how; we map mean ± 3 standard "
        "deviations of the whole region, surroundings included, to 0–255, which takes gain away "
        "and keeps how much darker the nodule is than what lies around it",
    ),
    (
        "Formulas",
        "circularity and sphericity are the lecture's; roundness, compactness and convexity, "
        "which it only names, follow ISO 9276-6; the wavelet, which it does not name, is Haar's; "
        "the non-uniformities of run lengths are divided by the number of runs once more, so that "
        "they do not grow with the nodule; aspect, kurtosis and interquartile range are added",
    ),
    (
        "Classifiers",
        "kernel (linear or RBF), C and gamma of the SVM are chosen by AUROC in grouped inner "
        "folds; both classifiers weigh classes alike, because few thyroid frames are benign",
    ),
    (
        "Breast lesions",
        "there are too few benign outlined thyroid frames for narrow intervals; a larger set of "
        "another organ shows what the same features can do, and is no result on the thyroid",
    ),
)
