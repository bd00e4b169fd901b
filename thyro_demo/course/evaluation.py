"""Chapter 5: intervals, sources, operating points, flaws, and the coin that finds bugs."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from thyro_demo.bundle.manifest import read_manifest, weights_root
from thyro_demo.course import cached
from thyro_demo.course.heads import Network, area
from thyro_demo.course.lesson import Lesson
from thyro_demo.course.show import BLUE, GREEN, GREY, ORANGE
from thyro_demo.errors import DataError, StudyError
from thyro_demo.evaluate import curves, intervals, metrics
from thyro_demo.evaluate.plots import draw_matrix
from thyro_demo.study import graph
from thyro_demo.study.protocols.p2 import published as lee_2019
from thyro_demo.study.protocols.p5.images import shuffled_labels
from thyro_demo.study.questions import leaks
from thyro_demo.study.report.report import Published
from thyro_demo.training import initial_weights, out_of_fold
from thyro_demo.training.out_of_fold import CLASSES


def network(lesson: Lesson) -> Network:
    """Choose the network that the chapter evaluates, which stays frozen.

    Parameters
    ----------
    lesson : Lesson
        A rehearsal on phantoms takes the shipped one, whose features were computed beforehand.

    Returns
    -------
    Network
        That of chapter 4 or, where it was left out, the shipped one.

    Raises
    ------
    RecipeError
        If the network was trained on the frames it is to be tested on.
    """
    if cached.serve(lesson):
        return Network(cached.NETWORK, os.path.relpath(weights_root() / cached.NETWORK), None)
    found = lesson.bundle("heads")
    initial_weights.check_not_trained_on(found)
    key = str(read_manifest(found)["backbone"])
    return Network(key, os.path.relpath(found), 112 if lesson.fast else 160)


def by_source(rows: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Compute the AUROC over all frames and within each source.

    Parameters
    ----------
    rows : DataFrame
        `label`, `score`, `group` and `source` of one head, out of fold.

    Returns
    -------
    dict of str to dict
        "all sources" first, then each source; see `Interval.to_dict`.
    """
    found = {"all sources": area(rows)}
    for source, mine in rows.groupby("source"):
        found[f"within {source}"] = area(mine)
    return found


def interval_lengths(
    rows: pd.DataFrame, counts: Sequence[int], repeats: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Measure how long the interval of an AUROC is with fewer groups.

    Parameters
    ----------
    rows : DataFrame
        `label`, `score` and `group` of one head, out of fold.
    counts : sequence of int
        Numbers of groups to keep, 2 or more.
    repeats : int
        Draws of each number, over which lengths are averaged.
    seed : int
        Of the draws.

    Returns
    -------
    DataFrame
        `groups` and `length` (of an AUROC, 0–1), NaN where one class alone was drawn.

    Raises
    ------
    DataError
        If more groups are asked for than there are.
    """
    known = rows["group"].unique()
    if max(counts) > len(known):
        raise DataError(
            f"Counts must be at most the number of groups, {len(known)}. Received: {max(counts)}."
        )
    rng = np.random.default_rng(seed)
    lengths = []
    for count in counts:
        drawn = [rng.choice(known, count, replace=False) for _ in range(repeats)]
        found = [area(rows[rows["group"].isin(set(some))]) for some in drawn]
        long = [
            one["high"] - one["low"]
            for one in found
            if one["high"] is not None and one["low"] is not None
        ]
        lengths.append({"groups": count, "length": float(np.mean(long)) if long else np.nan})
    return pd.DataFrame(lengths)


def unequal_sources(
    records: pd.DataFrame, shares: Mapping[str, float], seed: int = 0
) -> pd.DataFrame:
    """Choose groups so that each source has its own share of malignant ones.

    Parameters
    ----------
    records : DataFrame
        Record table; the groups of a source have one label each.
    shares : mapping of str to float
        By source, the share of malignant groups to come close to, above 0 and below 1.
    seed : int
        Of the choice.

    Returns
    -------
    DataFrame
        Some of the rows, whole groups, nothing changed in them.

    Raises
    ------
    DataError
        If a source is unknown or has one class alone, or a share is not between 0 and 1.
    """
    for source, share in shares.items():
        if source not in set(records["source"]) or not 0 < share < 1:
            raise DataError(
                "Shares of malignant groups must be between 0 and 1, for sources of the table. "
                f"Received: {share} for {source}."
            )
    rng = np.random.default_rng(seed)
    kept: list[str] = []
    for source, mine in records.groupby("source"):
        firsts = mine.drop_duplicates("group")
        asked = shares.get(str(source))
        parts = [list(firsts["group"][firsts["label"] == name]) for name in CLASSES]
        if asked is not None:
            benign, malignant = (len(part) for part in parts)
            if not (benign and malignant):
                raise DataError(
                    "A source must have groups of both classes for its share to be chosen. "
                    f"Received: {source}, with {benign} benign and {malignant} malignant."
                )
            total = min(benign / (1 - asked), malignant / asked)
            wanted = (max(1, round(total * (1 - asked))), max(1, round(total * asked)))
            parts = [
                list(rng.permutation(part)[:count])
                for part, count in zip(parts, wanted, strict=True)
            ]
        kept += parts[0] + parts[1]
    return records[records["group"].isin(kept)].reset_index(drop=True)


Choose = Callable[[ArrayLike, ArrayLike], float]


def decide(rows: pd.DataFrame, choose: Choose) -> pd.DataFrame:
    """Decide each fold at a threshold that was chosen on the other folds.

    Parameters
    ----------
    rows : DataFrame
        `label`, `score` and `fold` of one head, out of fold.
    choose : callable
        Takes labels and scores, returns a threshold: `operating_points.youden`, for example.

    Returns
    -------
    DataFrame
        The same rows with `called` (bool, True for malignant).
    """
    decided = out_of_fold.decisions(rows, choose=choose)
    return rows.assign(called=decided["score"] == 1)


def rates(called: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Compute sensitivity, specificity and accuracy of decisions, with intervals over groups.

    Parameters
    ----------
    called : DataFrame
        From `decide`.

    Returns
    -------
    dict of str to dict
        By name of the rate, 0–1; see `Interval.to_dict`.
    """
    wanted: dict[str, intervals.Statistic] = {
        name: partial(getattr(metrics, name), threshold=0.5)
        for name in ("sensitivity", "specificity", "accuracy")
    }
    labels = called["label"] == CLASSES[1]
    decided = called["called"].astype(float)
    found = intervals.group_bootstraps(wanted, labels, decided, called["group"])
    return {name: figure.to_dict() for name, figure in found.items()}


def chance_ece(scores: np.ndarray, seed: int = 0, draws: int = 200) -> float:
    """Compute the calibration error that perfectly calibrated scores have by chance.

    Parameters
    ----------
    scores : ndarray of float (n,)
        Scores, 0–1.
    seed : int
        Of the labels.
    draws : int
        How often labels are drawn, over which errors are averaged.

    Returns
    -------
    float
        Mean expected calibration error of labels that are drawn at the very odds the scores name.
    """
    drawn = np.random.default_rng(seed).random((draws, len(scores))) < scores
    return float(np.mean([metrics.expected_calibration_error(one, scores) for one in drawn]))


def draw_reliability(sets: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Figure:
    """Draw how often frames of a given score are malignant.

    Parameters
    ----------
    sets : mapping of str to (labels, scores)
        By name, three at most: labels bool (n,) and scores (n,), 0–1.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        One line a set, in five bins of equal width; the larger a dot, the more frames.
    """
    figure = Figure(figsize=(6.2, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    for (name, (labels, scores)), colour in zip(sets.items(), (ORANGE, BLUE, GREEN), strict=False):
        bins = curves.calibration_bins(labels, scores, bins=5)
        full = bins.rows > 0
        axes.plot(bins.score[full], bins.observed[full], color=colour, label=name)
        sizes = 30 + 400 * bins.rows[full] / bins.rows.sum()
        axes.scatter(bins.score[full], bins.observed[full], sizes, color=colour)
    axes.set(title=title, xlabel="Mean score in the bin (0–1)", ylabel="Share malignant (0–1)")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(loc="upper left")
    return figure


def draw_confusion(axes: Axes, called: pd.DataFrame, title: str) -> None:
    """Draw the four outcomes of decisions.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    called : DataFrame
        From `decide`.
    title : str
        Of the picture.
    """
    counts = metrics.confusion(called["label"] == CLASSES[1], called["called"].astype(float), 0.5)
    draw_matrix(axes, np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]]))
    axes.set_aspect("auto")
    axes.set(title=title, xlabel="Called", ylabel="Label")
    axes.set_xticks([0, 1], CLASSES)
    axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")


def evaluate_flaws(
    lesson: Lesson, chosen: Network, records: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """Evaluate one network soundly, and under flaws of a first evaluation (P1).

    Parameters
    ----------
    lesson : Lesson
        Results are kept in its folder.
    chosen : Network
        Frozen.
    records : DataFrame
        With `fold`.
    names : sequence of str
        Of `leaks.FLAWS`; the sound run is always made. A rehearsal on phantoms has features of
        the scan area alone, so that none may change what the network is shown.

    Returns
    -------
    DataFrame
        As `leaks.compare` returns it, the sound run first.

    Raises
    ------
    StudyError
        If a run fails, or a name is unknown.
    """
    wanted = {leaks.SOUND.name, *names}
    flaws = [flaw for flaw in leaks.FLAWS if flaw.name in wanted]
    if unknown := wanted - {flaw.name for flaw in flaws}:
        known = ", ".join(flaw.name for flaw in leaks.FLAWS)
        raise StudyError(f"A flaw must be one of {known}. Received: {', '.join(sorted(unknown))}.")
    if cached.serve(lesson):
        read = {"scan": cached.features(lesson, chosen.backbone)}
        return leaks.compare([leaks.score(flaw, read, records) for flaw in flaws])
    planned = leaks.plan(chosen.backbone, chosen.weights, records, chosen.side)
    asked = {flaw.name: planned[flaw.name] for flaw in flaws}
    outcome = graph.run(asked.values(), lesson.here / "jobs", 0)
    return leaks.compare(leaks.gather(outcome, asked, records))


def radiologists() -> pd.DataFrame:
    """Recompute the accuracy of the radiologists of P2 from their printed rates.

    Returns
    -------
    DataFrame
        One row a reader, in percent: `accuracy` (printed), `sensitivity` and `specificity`
        (printed), `if malignant` and `if benign` (the accuracy that follows with this class as
        positive), `positive` (the class that fits), and both rates set right.
    """
    return pd.DataFrame([_reader(row) for row in lee_2019.READERS])


def _reader(row: Published) -> dict[str, Any]:
    found, right = lee_2019.check(row), lee_2019.corrected(row)
    return {
        "reader": row.system,
        "sensitivity": row.sensitivity,
        "specificity": row.specificity,
        "accuracy": row.accuracy,
        "if malignant": round(found.malignant, 1),
        "if benign": round(found.benign, 1),
        "positive": found.positive,
        "sensitivity set right": right.sensitivity,
        "specificity set right": right.specificity,
    }


Evaluation = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""Takes features (n, d), labels (n,) and groups (n,); returns a figure, 0.5 for a coin."""


def trials(
    evaluations: Mapping[str, Evaluation],
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    draws: int,
) -> pd.DataFrame:
    """Run evaluations on the true labels, and on labels assigned by a coin.

    The coin shuffles labels whole groups at a time, so that nothing is left to be learned.

    Parameters
    ----------
    evaluations : mapping of str to callable
        By name.
    rows : ndarray of float (n, d)
        Features.
    labels : ndarray of int (n,)
        1 for malignant.
    groups : ndarray (n,)
        Of the frames.
    draws : int
        How often labels are assigned by a coin.

    Returns
    -------
    DataFrame
        `evaluation`, `labels` ("true" or "coin"), `draw` and `value`, 0–1.
    """
    assigned = [("true", 0, labels)]
    table = pd.DataFrame({"group": groups, "label": labels})
    assigned += [
        ("coin", seed, shuffled_labels(table, seed)["label"].to_numpy()) for seed in range(draws)
    ]
    return pd.DataFrame(
        {"evaluation": name, "labels": kind, "draw": draw, "value": evaluate(rows, known, groups)}
        for name, evaluate in evaluations.items()
        for kind, draw, known in assigned
    )


def draw_trials(found: pd.DataFrame) -> Figure:
    """Draw the figures of evaluations on labels assigned by a coin, and on the true ones.

    Parameters
    ----------
    found : DataFrame
        From `trials`.

    Returns
    -------
    Figure
        Grey dots for labels by a coin, a black bar for their mean, an orange diamond for the true
        labels.
    """
    names = list(found["evaluation"].unique())
    figure = Figure(figsize=(8.5, 1.4 + 0.55 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0.5, color=GREY, linestyle="--", linewidth=1)
    for place, name in enumerate(names):
        mine = found[found["evaluation"] == name]
        assigned = mine[mine["labels"] == "coin"]["value"]
        true = mine[mine["labels"] == "true"]["value"]
        axes.plot(assigned, [place] * len(assigned), "o", color=GREY, alpha=0.4)
        axes.plot(assigned.mean(), place, "|", color="black", markersize=20, markeredgewidth=3)
        axes.plot(true, [place], "D", color=ORANGE, markersize=8)
    for marker, colour, name in (("o", GREY, "labels by a coin"), ("|", "black", "their mean"),
                                 ("D", ORANGE, "true labels")):  # fmt: skip
        axes.plot([], [], marker, color=colour, label=name)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.set(title="Figures of each evaluation where there is nothing to learn, and where there is")
    axes.set(xlabel="Its figure (0–1; a coin has 0.5)", ylabel="Evaluation")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
