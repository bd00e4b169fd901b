"""Chapter 4: heads on the features of frozen networks, one by one and joined.

What a head does in a plane, in pictures, is in `boundaries`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from thyro_demo.bundle import ensemble
from thyro_demo.bundle.manifest import read_manifest, weights_root
from thyro_demo.course import cached
from thyro_demo.course.lesson import Lesson
from thyro_demo.data import masks
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.models import heads
from thyro_demo.models.backbones import backbone
from thyro_demo.study import graph, setting
from thyro_demo.study.graph import Job
from thyro_demo.study.protocols.p1.tables import PRINTED
from thyro_demo.study.protocols.p2 import published as lee_2019
from thyro_demo.study.steps import heads as head_steps
from thyro_demo.study.steps import networks as network_steps
from thyro_demo.study.steps import subsets
from thyro_demo.study.steps.handcrafted import ALL, classify
from thyro_demo.training import initial_weights, out_of_fold
from thyro_demo.training.out_of_fold import CLASSES

TAPS = ("avg", "std")
"""Poolings of each network that are kept: the softmax reads the average, the others `std`."""

FOLDS, FAST_FOLDS = 5, 3

_TREES, _FAST_TREES = 50, 10
_FAST_SIDE = 112
_FAST_OUTLINED = 45


class Network(NamedTuple):
    """A frozen network whose features heads read.

    Parameters
    ----------
    backbone : str
        A key of `BACKBONES`.
    weights : str
        As `initial_weights.load` takes them.
    side : int or None
        Side of its input in pixels; its own without it.
    """

    backbone: str
    weights: str
    side: int | None


def frames(lesson: Lesson) -> pd.DataFrame:
    """Read the frames of chapters 2, 4 and 5; in a rehearsal those of the cached features."""
    return cached.frames(lesson) if cached.serve(lesson) else lesson.thyroid()


def shown(lesson: Lesson, records: pd.DataFrame) -> Job:
    """Make the leaf of a chapter's frames, as `networks.frames` does.

    Parameters
    ----------
    lesson : Lesson
        In a rehearsal on phantoms no image is read, so that none has to be drawn.
    records : DataFrame
        From `frames`, with `fold`.

    Returns
    -------
    Job
        For `features` and `score`.

    Raises
    ------
    DataError
        If an image is missing, or has no label, group or fold.
    """
    if not cached.serve(lesson):
        return network_steps.frames(records)
    known = {name: records[name].to_numpy(str) for name in ("label", "group", "source")}
    return graph.leaf(f"{len(records)} frames", fold=records["fold"].to_numpy(np.int64), **known)


def networks(lesson: Lesson) -> dict[str, Network]:
    """Choose the networks whose features the chapter reads.

    Parameters
    ----------
    lesson : Lesson
        A rehearsal on phantoms takes shipped networks whose features were computed beforehand;
        one on real frames takes two networks, on small frames.

    Returns
    -------
    dict of str to Network
        By title, the one of chapter 3 first.
    """
    if cached.serve(lesson):
        return {
            backbone(name).title: Network(name, os.path.relpath(weights_root() / name), None)
            for name in cached.READ
        }
    first = lesson.bundle("progressive")
    try:
        initial_weights.check_not_trained_on(first)
    except RecipeError:
        first = weights_root() / "efficientnet-b0"
        initial_weights.check_not_trained_on(first)
    key = str(read_manifest(first)["backbone"])
    chosen = [Network(key, os.path.relpath(first), _FAST_SIDE if lesson.fast else None)]
    # Smaller frames keep three networks within a lesson on two cores.
    others = (("resnet50", 160), ("vgg16", 112), ("efficientnet-b0", 160))
    at_hand = [(name, side) for name, side in others if (weights_root() / name).is_dir()]
    for name, side in [pair for pair in at_hand if pair[0] != key][: 1 if lesson.fast else 2]:
        initial_weights.check_not_trained_on(weights_root() / name)
        small = _FAST_SIDE if lesson.fast else side
        chosen.append(Network(name, os.path.relpath(weights_root() / name), small))
    return {backbone(one.backbone).title: one for one in chosen}


def features(
    lesson: Lesson, chosen: Mapping[str, Network], shown: Job
) -> tuple[dict[str, Job], dict[str, dict[str, np.ndarray]]]:
    """Compute and keep the features of every frame by every network.

    Parameters
    ----------
    lesson : Lesson
        Features are kept in its folder.
    chosen : mapping of str to Network
        From `networks`.
    shown : Job
        From `shown`.

    Returns
    -------
    read : dict of str to Job
        By title, for `score`.
    rows : dict of str to dict of str to ndarray
        By title and tap (`TAPS`), float32 (n, d).

    Raises
    ------
    StudyError
        If a network cannot be run.
    """
    if cached.serve(lesson):
        # A shipped network's heads all read the same features, so both taps hold these.
        rows = {
            title: dict.fromkeys(TAPS, cached.features(lesson, one.backbone))
            for title, one in chosen.items()
        }
        given = {title: graph.leaf(f"features of {title}", None, **rows[title]) for title in rows}
        return given, rows
    read = {
        title: network_steps.features(one.backbone, one.weights, shown, TAPS, one.side)
        for title, one in chosen.items()
    }
    outcome = graph.run(read.values(), lesson.here / "jobs", 0)
    return read, {title: dict(outcome[job]) for title, job in read.items()}


def score(
    lesson: Lesson, read: Mapping[str, Job], shown: Job, records: pd.DataFrame
) -> pd.DataFrame:
    """Score every frame out of fold by every head on every set of networks.

    Parameters
    ----------
    lesson : Lesson
        Results are kept in its folder; a rehearsal grows small forests.
    read : mapping of str to Job
        From `features`.
    shown : Job
        From the function of this name.
    records : DataFrame
        What `shown` was made of, with `fold`.

    Returns
    -------
    DataFrame
        `path, group, source, label, fold, head, raw, score`, the scores of each fold calibrated
        on the others. Heads are named "NETWORK: softmax" (of the first network), "NETWORK +
        NETWORK: SVM" or "…: forest" for each set of networks, and "…: average" for each set of
        two or more.

    Raises
    ------
    StudyError
        If a head cannot be fitted, for instance on too few groups.
    """
    sets = subsets.subsets(list(read), 1)
    single = out_of_fold.cross_calibrated(_uncalibrated(lesson, read, shown, records, sets))
    joined = [
        averaged(single, [f"{name}: SVM" for name in names], f"{' + '.join(names)}: average")
        for names in sets
        if len(names) > 1
    ]
    return pd.concat([single, *joined], ignore_index=True)


def _uncalibrated(
    lesson: Lesson,
    read: Mapping[str, Job],
    shown: Job,
    records: pd.DataFrame,
    sets: Sequence[tuple[str, ...]],
) -> pd.DataFrame:
    """Score every frame by a softmax on the first network, and an SVM and a forest on each set."""
    folds = sorted(records["fold"].unique())
    taps = {title: (job, "std") for title, job in read.items()}
    trees = _FAST_TREES if lesson.fast else _TREES
    first = next(iter(read))
    svms = [subsets.on_subsets("svm", taps, shown, fold) for fold in folds]
    forests = [subsets.on_subsets("forest", taps, shown, fold, trees=trees) for fold in folds]
    lines = [head_steps.softmax((read[first], "avg"), shown, fold) for fold in folds]
    # On small matrices several threads wait for each other longer than they compute.
    with threadpool_limits(1, "blas"):
        outcome = graph.run([*svms, *forests, *lines], lesson.here / "jobs", 0)
    known = records[["path", "group", "source", "label", "fold"]].reset_index(drop=True)
    parts = []
    for job in lines:
        found = outcome[job]
        parts.append(known.iloc[found["rows"]].assign(head=f"{first}: softmax", raw=found["raw"]))
    for kind, made in (("SVM", svms), ("forest", forests)):
        for place, names in enumerate(sets):
            for job in made:
                found = outcome[job]
                named = known.iloc[found["rows"]].assign(head=f"{' + '.join(names)}: {kind}")
                parts.append(named.assign(raw=found["raw"][place]))
    return pd.concat(parts, ignore_index=True)


def averaged(scored: pd.DataFrame, names: Sequence[str], title: str) -> pd.DataFrame:
    """Average the calibrated scores of heads on the same frames, and calibrate the average."""
    tables = [scored[scored["head"] == name].sort_values("path") for name in names]
    raw = ensemble.mean_log_odds([table["score"].to_numpy() for table in tables])
    return out_of_fold.cross_calibrated(tables[0].assign(head=title, raw=raw))


def area(rows: pd.DataFrame, unit: str = "group") -> dict[str, float | None]:
    """Compute the AUROC of one head, out of fold, with its interval.

    Parameters
    ----------
    rows : DataFrame
        `label`, `score` and `group` of the head.
    unit : {"group", "image"}
        What is resampled: whole groups or, unsoundly, single images.

    Returns
    -------
    dict of str to float or None
        `value`, `low` and `high`, 0–1; see `Interval.to_dict`.

    Raises
    ------
    DataError
        If the unit is neither.
    """
    if unit not in ("group", "image"):
        raise DataError(f"The unit must be group or image. Received: unit={unit}.")
    groups = rows["group"] if unit == "group" else np.arange(len(rows))
    malignant = rows["label"] == CLASSES[1]
    return intervals.group_bootstrap(metrics.auroc, malignant, rows["score"], groups).to_dict()


def areas(scored: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Compute the AUROC of each head, out of fold, with its interval over groups.

    Parameters
    ----------
    scored : DataFrame
        Out-of-fold scores.

    Returns
    -------
    dict of str to dict
        By head, in the order of the table; see `area`.
    """
    return {str(head): area(rows) for head, rows in scored.groupby("head", sort=False)}


def gains(scored: pd.DataFrame, reference: str) -> dict[str, dict[str, float]]:
    """Compare the AUROC of each head with that of one of them, on the same resampled groups.

    Parameters
    ----------
    scored : DataFrame
        Out-of-fold scores, each head on the same frames.
    reference : str
        The head named before any test fold was scored.

    Returns
    -------
    dict of str to dict
        By head: `value`, `low`, `high` of the difference, head minus reference.

    Raises
    ------
    DataError
        If the reference has no scores.
    """
    tables = {
        str(head): rows.sort_values("path") for head, rows in scored.groupby("head", sort=False)
    }
    if reference not in tables:
        raise DataError(
            f"Heads must be compared with one of {', '.join(tables)}. Received: {reference}."
        )
    base = tables.pop(reference)
    labels = base["label"] == CLASSES[1]
    return {
        head: intervals.paired_group_bootstrap(
            metrics.auroc, labels, rows["score"], base["score"], base["group"]
        )._asdict()
        for head, rows in tables.items()
    }


def outlined(lesson: Lesson, records: pd.DataFrame) -> pd.DataFrame:
    """Choose the frames whose nodule is outlined: phantoms, and the real ones from DDTI.

    Parameters
    ----------
    lesson : Lesson
        Where real outlines are looked for.
    records : DataFrame
        From `lesson.thyroid`, with `fold`.

    Returns
    -------
    DataFrame
        Those rows, with `mask_path` or `polygons`; none where no set has outlines.
    """
    if "mask_path" in records:
        some = records["group"].drop_duplicates().sample(frac=1, random_state=lesson.seed)
        kept = some.head(_FAST_OUTLINED) if lesson.fast else some
        records = records[records["group"].isin(kept)].reset_index(drop=True)
        setting.draw_planned(records)
        return records
    folder = lesson.find("p1")
    if folder is None or lesson.find("ddti") is None or "ddti_file" not in records:
        return records.iloc[:0]
    records = masks.with_outlines(records, folder)
    if "polygons" not in records:
        return records.iloc[:0]
    return records[records["polygons"].map(len) > 0].reset_index(drop=True)


def classical(lesson: Lesson, records: pd.DataFrame) -> pd.DataFrame:
    """Score outlined nodules out of fold by the classical system (P3).

    Parameters
    ----------
    lesson : Lesson
        Results are kept in its folder.
    records : DataFrame
        From `outlined`.

    Returns
    -------
    DataFrame
        As `score` returns it, with the heads "classical: SVM" and "classical: forest" on shape,
        grey levels and textures measured within the outline.

    Raises
    ------
    StudyError
        If neither head can be fitted.
    """
    shown, measured = network_steps.frames(records), classify.features(records)
    trees = _FAST_TREES if lesson.fast else heads.TREES
    systems = {
        f"classical: {kind}": [
            classify.system(kind, ALL, shown, measured, fold, CLASSES[1], trees)
            for fold in sorted(records["fold"].unique())
        ]
        for kind in classify.KINDS
    }
    wanted = [job for made in systems.values() for job in made]
    outcome = graph.run(wanted, lesson.here / "jobs", 0)
    return head_steps.scores(outcome, systems, records)


def published_accuracies() -> dict[str, dict[str, float]]:
    """Report published accuracies, with the intervals that their counts imply.

    Returns
    -------
    dict of str to dict
        By system: `value`, `low`, `high`, 0–1; exact binomial intervals of 95 %, as if no two
        images were of one patient, which makes them too narrow.
    """
    rows = [(f"P1: {one.row.system}", one.right, one.images) for one in PRINTED if not one.row.note]
    total = lee_2019.BENIGN + lee_2019.MALIGNANT
    named = {
        "P2: ResNet, SVM": lee_2019.CONCATENATIONS["svm"]["R",],
        "P2: OverFeat + VGG + ResNet, SVM": lee_2019.CONCATENATIONS["svm"]["O", "V", "R"],
        "P2: AlexNet + VGG + ResNet, averaged": lee_2019.ENSEMBLES["A", "V", "R"],
    }
    rows += [(name, round((row.accuracy or 0) * total / 100), total) for name, row in named.items()]
    return {name: intervals.share(right, images, "exact")._asdict() for name, right, images in rows}


def accuracies(scored: pd.DataFrame, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Compute the accuracy of heads at the Youden points of the other folds.

    Parameters
    ----------
    scored : DataFrame
        Out-of-fold scores.
    names : iterable of str
        Heads.

    Returns
    -------
    dict of str to dict
        By head: `value`, `low`, `high`, 0–1, with intervals over groups.
    """
    # Decisions are 0 or 1, and any threshold between separates them.
    right = partial(metrics.accuracy, threshold=0.5)
    found = {}
    for name in names:
        decided = out_of_fold.decisions(scored[scored["head"] == name])
        labels = decided["label"] == CLASSES[1]
        found[name] = intervals.group_bootstrap(
            right, labels, decided["score"], decided["group"]
        )._asdict()
    return found
