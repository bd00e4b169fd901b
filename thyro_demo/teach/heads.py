"""Chapter 4: heads on frozen features, their boundaries, and what joins several networks."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.special import expit, logit
from sklearn.base import ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import DataError, LeakError, RecipeError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.models import heads, out_of_fold, starts
from thyro_demo.models.backbones import backbone
from thyro_demo.models.manifest import read_manifest, weights_root
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.models.recipes import SOURCES
from thyro_demo.study import cells, concatenation, grid
from thyro_demo.study.grid import Cell
from thyro_demo.study.handcrafted import ALL, classify
from thyro_demo.study.protocols import lee_2019, p1
from thyro_demo.teach.lesson import Lesson
from thyro_demo.teach.show import BLUE, ORANGE

TAPS = ("avg", "deviation")
"""What is kept of each network: the softmax reads the average, the others the deviation."""

FOLDS, FAST_FOLDS = 5, 2

_TREES, _FAST_TREES = 50, 10


class Network(NamedTuple):
    """A network whose features are read, and stay as they are.

    Parameters
    ----------
    backbone : str
        A key of `BACKBONES`.
    start : str
        Its weights, as `starts.apply` takes them.
    side : int or None
        Side of its input in pixels; its own without it.
    """

    backbone: str
    start: str
    side: int | None


def unspoilt(folder: Path) -> Path:
    """Refuse a bundle whose network has learned from the frames that heads are tested on.

    Parameters
    ----------
    folder : Path
        Of the bundle.

    Returns
    -------
    Path
        The same folder.

    Raises
    ------
    LeakError
        If a stage on thyroid frames changed the network: its features of these frames then
        know their labels, and no split of the heads helps.
    """
    try:
        starts.check_unseen(folder)
    except RecipeError as error:
        raise LeakError(str(error)) from error
    return folder


def networks(lesson: Lesson) -> dict[str, Network]:
    """Choose the networks whose features the chapter reads.

    Parameters
    ----------
    lesson : Lesson
        A rehearsal takes the first network on small frames, and one of two layers.

    Returns
    -------
    dict of str to Network
        By title, the one of chapter 3 first.
    """
    try:
        first = unspoilt(lesson.bundle("progressive"))
    except LeakError:
        first = unspoilt(weights_root() / "efficientnet-b0")
    key = str(read_manifest(first)["backbone"])
    chosen = [Network(key, os.path.relpath(first), 64 if lesson.fast else None)]
    if lesson.fast:
        chosen.append(Network("two-layer-cnn", "none", 64))
    else:
        # Smaller frames keep three networks within a lesson on two cores.
        others = (("resnet50", 160), ("vgg16", 112), ("efficientnet-b0", 160))
        at_hand = [(name, side) for name, side in others if (weights_root() / name).is_dir()]
        left = [(name, side) for name, side in at_hand if name != key][:2]
        chosen += [
            Network(name, os.path.relpath(unspoilt(weights_root() / name)), side)
            for name, side in left
        ]
    return {backbone(one.backbone).title: one for one in chosen}


def features(
    lesson: Lesson, chosen: Mapping[str, Network], shown: Cell
) -> tuple[dict[str, Cell], dict[str, dict[str, np.ndarray]]]:
    """Read every frame by every network, once, and keep what was read.

    Parameters
    ----------
    lesson : Lesson
        Features are kept in its folder.
    chosen : mapping of str to Network
        From `networks`.
    shown : Cell
        From `cells.frames`.

    Returns
    -------
    read : dict of str to Cell
        By title, for `score`.
    rows : dict of str to dict of str to ndarray
        By title and tap (`TAPS`), float32 (n, d).

    Raises
    ------
    StudyError
        If a network cannot be run.
    """
    read = {
        title: cells.features(one.backbone, one.start, shown, TAPS, one.side)
        for title, one in chosen.items()
    }
    outcome = grid.run(read.values(), lesson.here / "cells", 0)
    return read, {title: dict(outcome[cell]) for title, cell in read.items()}


def plane(rows: np.ndarray) -> np.ndarray:
    """Project features to the plane in which they differ most, for pictures alone.

    Parameters
    ----------
    rows : ndarray of float (n, d)
        Features, d ≥ 2.

    Returns
    -------
    ndarray of float64 (n, 2)
        The first two principal components of the standardised features, each with mean 0 and
        deviation 1.
    """
    wide = make_pipeline(StandardScaler(), PCA(2, random_state=0), StandardScaler())
    return wide.fit_transform(np.asarray(rows, np.float64))


_COLOURS = LinearSegmentedColormap.from_list("benign to malignant", [BLUE, "white", ORANGE])


def boundary(
    axes: Axes, model: ClassifierMixin, points: np.ndarray, labels: np.ndarray, title: str
) -> None:
    """Draw what a fitted head answers everywhere in a plane, and the frames it learned from.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    model : classifier
        Fitted on `points`.
    points : ndarray of float (n, 2)
        From `plane`.
    labels : ndarray of int (n,)
        1 for malignant.
    title : str
        Of the picture.
    """
    low, high = points.min(axis=0) - 0.4, points.max(axis=0) + 0.4
    across, up = (np.linspace(low[axis], high[axis], 90) for axis in (0, 1))
    everywhere = np.stack(np.meshgrid(across, up), axis=-1)
    answered = answers(model, everywhere.reshape(-1, 2)).reshape(everywhere.shape[:2])
    levels = np.linspace(0, 1, 11)
    axes.contourf(across, up, answered, levels, cmap=_COLOURS, alpha=0.6)
    if answered.min() < 0.5 < answered.max():
        axes.contour(across, up, answered, [0.5], colors="black", linewidths=1.2)
    for value, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "^")):
        mine = points[labels == value]
        axes.scatter(
            mine[:, 0], mine[:, 1], s=22, color=colour, marker=marker, edgecolor="white",
            linewidth=0.5, label=CLASSES[value],
        )  # fmt: skip
    axes.set(title=title, xlabel="First component", ylabel="Second component")


def answers(model: ClassifierMixin, points: np.ndarray) -> np.ndarray:
    """Give a head's answer before calibration, between 0 and 1.

    Parameters
    ----------
    model : classifier
        With `predict_proba`, or with `decision_function`, whose 0 becomes 0.5.
    points : ndarray of float (n, d)
        What is asked about.

    Returns
    -------
    ndarray of float64 (n,)
        0 for benign to 1 for malignant.
    """
    if hasattr(model, "predict_proba"):
        return model.predict_proba(points)[:, 1]
    return expit(model.decision_function(points))


class Fitted(NamedTuple):
    """How well a head tells apart what it learned from, and what it did not.

    Parameters
    ----------
    learned : float
        AUROC on the frames it was fitted on.
    inner : float
        Mean AUROC over grouped inner folds, each scored by a head fitted on the others.
    """

    learned: float
    inner: float


def judged(
    model: ClassifierMixin,
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
) -> Fitted:
    """Ask a head about frames it learned from, and about those held out in grouped folds.

    Parameters
    ----------
    model : classifier
        Its settings; what it has learned is not used.
    rows : ndarray of float (n, d)
        Features of the training part.
    labels : ndarray of int (n,)
        1 for malignant.
    groups : ndarray (n,)
        Kept whole.
    folds : int
        Inner folds.

    Returns
    -------
    Fitted
        Both figures, 0–1; `inner` is NaN where an inner fold holds one class alone.
    """
    own = metrics.auroc(labels, answers(clone(model).fit(rows, labels), rows))
    reached = [
        metrics.auroc(
            labels[held], answers(clone(model).fit(rows[known], labels[known]), rows[held])
        )
        for known, held in grouped_folds(labels, groups, folds, seed=0)
    ]
    return Fitted(float(own), float(np.mean(reached)))


def search(
    model: ClassifierMixin,
    settings: Mapping[str, Sequence[float]],
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
) -> pd.DataFrame:
    """Try every pair of two settings of a head.

    Parameters
    ----------
    model : classifier
        What to set.
    settings : mapping of str to sequence of float
        Two settings and their values, as `set_params` takes them.
    rows, labels, groups : ndarray
        As for `judged`.

    Returns
    -------
    DataFrame
        One row a pair: the two settings, `learned` and `inner`, see `Fitted`.
    """
    tried = []
    for values in product(*settings.values()):
        chosen: dict[str, Any] = dict(zip(settings, values, strict=True))
        found = judged(clone(model).set_params(**chosen), rows, labels, groups)
        tried.append(chosen | found._asdict())
    return pd.DataFrame(tried)


def draw_search(tried: pd.DataFrame, names: Mapping[str, str], title: str) -> Figure:
    """Draw what each pair of settings reaches on learned frames and in the inner folds.

    Parameters
    ----------
    tried : DataFrame
        From `search`.
    names : mapping of str to str
        Column of each setting, and what its axis is called; rows first.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        Two tables in colour, the chosen pair framed in the second.
    """
    (row, row_name), (column, column_name) = names.items()
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    asked = (("learned", "Asked about frames it learned from"), ("inner", "Inner folds: new ones"))
    for axes, (key, head) in zip(panels, asked, strict=True):
        table = tried.pivot(index=row, columns=column, values=key)
        picture = axes.imshow(table, cmap="viridis", vmin=0.4, vmax=1, aspect="auto")
        for (down, across), value in np.ndenumerate(table.to_numpy()):
            dark = value < 0.8
            axes.text(
                across, down, f"{value:.2f}", ha="center", va="center",
                color="white" if dark else "black",
            )  # fmt: skip
        axes.set(title=head, xlabel=column_name, ylabel=row_name)
        axes.set_xticks(range(table.shape[1]), [f"{value:g}" for value in table.columns])
        axes.set_yticks(range(table.shape[0]), [f"{value:g}" for value in table.index])
    table = tried.pivot(index=row, columns=column, values="inner").to_numpy()
    down, across = np.unravel_index(np.argmax(table), table.shape)
    panels[1].plot(across, down, "s", markersize=34, fillstyle="none", color=ORANGE, mew=3)
    figure.colorbar(picture, ax=panels, label="AUROC (0–1)")
    figure.suptitle(title)
    return figure


def score(
    lesson: Lesson, read: Mapping[str, Cell], shown: Cell, records: pd.DataFrame
) -> pd.DataFrame:
    """Score every frame out of fold by every head on every set of networks.

    Parameters
    ----------
    lesson : Lesson
        Parts are kept in its folder; a rehearsal grows small forests.
    read : mapping of str to Cell
        From `features`.
    shown : Cell
        From `cells.frames`.
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
    folds = sorted(records["fold"].unique())
    sets = concatenation.subsets(list(read), 1)
    taps = {title: (cell, "deviation") for title, cell in read.items()}
    trees = _FAST_TREES if lesson.fast else _TREES
    first = next(iter(read))
    machines = [concatenation.cell("svm", taps, shown, fold) for fold in folds]
    forests = [concatenation.cell("forest", taps, shown, fold, trees=trees) for fold in folds]
    lines = [_softmax(read[first], shown, fold) for fold in folds]
    # On small matrices several threads wait for each other longer than they compute.
    with threadpool_limits(1, "blas"):
        outcome = grid.run([*machines, *forests, *lines], lesson.here / "cells", 0)
    known = records[["path", "group", "source", "label", "fold"]].reset_index(drop=True)
    parts = []
    for cell in lines:
        found = outcome[cell]
        parts.append(known.iloc[found["rows"]].assign(head=f"{first}: softmax", raw=found["raw"]))
    for kind, made in (("SVM", machines), ("forest", forests)):
        for place, names in enumerate(sets):
            for cell in made:
                found = outcome[cell]
                named = known.iloc[found["rows"]].assign(head=f"{' + '.join(names)}: {kind}")
                parts.append(named.assign(raw=found["raw"][place]))
    single = out_of_fold.cross_calibrated(pd.concat(parts, ignore_index=True))
    joined = [
        averaged(single, [f"{name}: SVM" for name in names], f"{' + '.join(names)}: average")
        for names in sets
        if len(names) > 1
    ]
    return pd.concat([single, *joined], ignore_index=True)


def _softmax(read: Cell, shown: Cell, fold: int) -> Cell:
    settings = {"fold": int(fold), "positive": CLASSES[1]}
    return Cell(f"{p1.__name__}:softmax", settings, (shown, read), f"softmax, fold {fold}")


def averaged(scored: pd.DataFrame, names: Sequence[str], title: str) -> pd.DataFrame:
    """Average the calibrated scores of several heads, and calibrate the average.

    Parameters
    ----------
    scored : DataFrame
        Out-of-fold scores with `head`, each head on the same frames.
    names : sequence of str
        Heads to average.
    title : str
        Name of the average.

    Returns
    -------
    DataFrame
        Rows of the new head, its scores calibrated on the other folds.

    Raises
    ------
    DataError
        If a head is missing, or has not scored the same frames.
    """
    tables = [scored[scored["head"] == name].sort_values("path") for name in names]
    asked = [list(table["path"]) for table in tables]
    if not asked or not asked[0] or any(paths != asked[0] for paths in asked):
        raise DataError(
            "Heads are averaged over the same frames. Received: "
            + ", ".join(
                f"{name} with {len(paths)}" for name, paths in zip(names, asked, strict=True)
            )
        )
    mean = np.mean([table["score"] for table in tables], axis=0)
    # Scores of exactly 0 or 1 have no finite log-odds.
    raw = logit(np.clip(mean, 1e-6, 1 - 1e-6))
    return out_of_fold.cross_calibrated(tables[0].assign(head=title, raw=raw))


def areas(scored: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Compute the AUROC of each head, out of fold, with its interval over groups.

    Parameters
    ----------
    scored : DataFrame
        Out-of-fold scores.

    Returns
    -------
    dict of str to dict
        By head: `value`, `low`, `high`, 0–1, in the order of the table.
    """
    return {
        str(head): intervals.group_bootstrap(
            metrics.auroc, rows["label"] == CLASSES[1], rows["score"], rows["group"]
        )._asdict()
        for head, rows in scored.groupby("head", sort=False)
    }


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
            f"Heads are compared with one of them: {', '.join(tables)}. Received: {reference}."
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
    """Choose the frames whose nodule is outlined: all phantoms, and the real ones from DDTI.

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
        return records.reset_index(drop=True)
    folder = lesson.find("p1")
    if folder is None or lesson.find("ddti") is None or "ddti_file" not in records:
        return records.iloc[:0]
    known = SOURCES["nodule"].read(str(folder))
    polygons = records["path"].map(dict(zip(known["path"], known["polygons"], strict=True)))
    return records.assign(polygons=polygons)[polygons.notna()].reset_index(drop=True)


def classical(lesson: Lesson, records: pd.DataFrame) -> pd.DataFrame:
    """Score outlined nodules out of fold by the classical system (P3).

    Parameters
    ----------
    lesson : Lesson
        Parts are kept in its folder.
    records : DataFrame
        From `outlined`.

    Returns
    -------
    DataFrame
        As `score` gives it, with the heads "classical: SVM" and "classical: forest" on shape,
        grey levels and textures measured within the outline.

    Raises
    ------
    StudyError
        If neither head can be fitted.
    """
    shown, measured = cells.frames(records), classify.features(records)
    trees = _FAST_TREES if lesson.fast else heads.TREES
    systems = {
        f"classical: {kind}": [
            classify.system(kind, ALL, shown, measured, fold, CLASSES[1], trees)
            for fold in sorted(records["fold"].unique())
        ]
        for kind in classify.KINDS
    }
    wanted = [cell for made in systems.values() for cell in made]
    outcome = grid.run(wanted, lesson.here / "cells", 0)
    return cells.scores(outcome, systems, records)


def printed() -> dict[str, dict[str, float]]:
    """Give accuracies that were published, with the interval that their counts imply.

    Returns
    -------
    dict of str to dict
        By system: `value`, `low`, `high`, 0–1; exact binomial intervals of 95 %, as if no two
        images were of one patient, which makes them too narrow.
    """
    rows = [
        (f"P1: {one.row.system}", one.right, one.images) for one in p1.PRINTED if not one.row.note
    ]
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
    # Decisions are 0 or 1, and any point between parts them.
    right = partial(metrics.accuracy, threshold=0.5)
    found = {}
    for name in names:
        decided = out_of_fold.decisions(scored[scored["head"] == name])
        labels = decided["label"] == CLASSES[1]
        found[name] = intervals.group_bootstrap(
            right, labels, decided["score"], decided["group"]
        )._asdict()
    return found
