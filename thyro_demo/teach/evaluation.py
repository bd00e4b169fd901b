"""Chapter 5: what an evaluation has to say for itself, and what it may not say."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from thyro_demo.errors import DataError, StudyError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.models.manifest import read_manifest
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.study import grid, leaks
from thyro_demo.study.protocols import lee_2019
from thyro_demo.study.published import Published
from thyro_demo.teach.heads import Network, unspoilt
from thyro_demo.teach.lesson import Lesson
from thyro_demo.teach.show import BLUE, GREEN, GREY, ORANGE

Told = dict[str, float | None]
"""`value`, `low` and `high` of a figure; None where it is undefined."""


def network(lesson: Lesson) -> Network:
    """Choose the network that the chapter evaluates, which stays frozen.

    Parameters
    ----------
    lesson : Lesson
        A rehearsal takes the network of two layers, since the others take minutes to read.

    Returns
    -------
    Network
        That of chapter 4 or, where it was left out, the shipped one.

    Raises
    ------
    LeakError
        If the network has learned from the frames it is to be tested on.
    """
    found = unspoilt(lesson.bundle("heads"))
    key = str(read_manifest(found)["backbone"])
    if lesson.fast and key != "two-layer-cnn":
        return Network("two-layer-cnn", "none", 64)
    return Network(key, os.path.relpath(found), 64 if lesson.fast else 160)


def area(rows: pd.DataFrame, unit: str = "group") -> Told:
    """Compute an AUROC with its interval.

    Parameters
    ----------
    rows : DataFrame
        `label`, `score` and `group` of one head, out of fold.
    unit : {"group", "image"}
        What is drawn again and again: whole groups or, unsoundly, single images.

    Returns
    -------
    dict
        As `told` gives it.

    Raises
    ------
    DataError
        If the unit is neither.
    """
    if unit not in ("group", "image"):
        raise DataError(f"What is drawn is a group or an image. Received: {unit}.")
    groups = rows["group"] if unit == "group" else np.arange(len(rows))
    malignant = rows["label"] == CLASSES[1]
    return intervals.group_bootstrap(metrics.auroc, malignant, rows["score"], groups).told()


def within(rows: pd.DataFrame) -> dict[str, Told]:
    """Compute the AUROC over all frames and within each source.

    Parameters
    ----------
    rows : DataFrame
        `label`, `score`, `group` and `source` of one head, out of fold.

    Returns
    -------
    dict of str to dict
        "all sources" first, then each source; see `told`.
    """
    found = {"all sources": area(rows)}
    for source, mine in rows.groupby("source"):
        found[f"within {source}"] = area(mine)
    return found


def shrinking(
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
        Draws of so many groups, over which lengths are averaged.
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
        raise DataError(f"There are {len(known)} groups to draw from. Received: {max(counts)}.")
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


def unequal(records: pd.DataFrame, shares: Mapping[str, float], seed: int = 0) -> pd.DataFrame:
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
                "Shares of malignant groups lie between 0 and 1, for sources of the table. "
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
                    "A share is chosen where a source has groups of both classes. "
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


def frozen(rows: pd.DataFrame, choose: Choose) -> pd.DataFrame:
    """Call each fold by a threshold that was chosen on the other folds.

    Parameters
    ----------
    rows : DataFrame
        `label`, `score` and `fold` of one head, out of fold.
    choose : callable
        Takes labels and scores, gives a threshold: `metrics.youden_threshold`, for example.

    Returns
    -------
    DataFrame
        The same rows with `threshold` and `called` (bool, True for malignant).
    """
    parts = []
    for fold, mine in rows.groupby("fold"):
        others = rows[rows["fold"] != fold]
        point = choose(others["label"] == CLASSES[1], others["score"])
        parts.append(mine.assign(threshold=point, called=mine["score"] >= point))
    return pd.concat(parts).sort_index()


def rates(called: pd.DataFrame) -> dict[str, Told]:
    """Compute sensitivity, specificity and accuracy of decisions, with intervals over groups.

    Parameters
    ----------
    called : DataFrame
        From `frozen`.

    Returns
    -------
    dict of str to dict
        By name of the rate, 0–1; see `told`.
    """
    wanted: dict[str, intervals.Statistic] = {
        name: partial(getattr(metrics, name), threshold=0.5)
        for name in ("sensitivity", "specificity", "accuracy")
    }
    labels = called["label"] == CLASSES[1]
    decided = called["called"].astype(float)
    found = intervals.group_bootstraps(wanted, labels, decided, called["group"])
    return {name: figure.told() for name, figure in found.items()}


class Predictive(NamedTuple):
    """What a decision means for the patient it was made about.

    Parameters
    ----------
    positive : float or ndarray
        Share of malignant nodules among those that are flagged, 0–1.
    negative : float or ndarray
        Share of benign nodules among those that are not, 0–1.
    """

    positive: Any
    negative: Any


def predictive(sensitivity: float, specificity: float, prevalence: ArrayLike) -> Predictive:
    """Apply Bayes' rule: what a flag is worth where so many nodules are malignant.

    Parameters
    ----------
    sensitivity, specificity : float
        Of the decision, 0–1.
    prevalence : float or ndarray
        Share of malignant nodules among those who come, 0–1.

    Returns
    -------
    Predictive
        Both predictive values; NaN where nobody is flagged, or everybody.
    """
    sick = np.asarray(prevalence, float)
    flagged = np.stack([sensitivity * sick, (1 - specificity) * (1 - sick)])
    left = np.stack([specificity * (1 - sick), (1 - sensitivity) * sick])
    with np.errstate(invalid="ignore"):
        return Predictive(flagged[0] / flagged.sum(axis=0), left[0] / left.sum(axis=0))


def net_benefit(
    sensitivity: float, specificity: float, prevalence: float, price: ArrayLike
) -> np.ndarray:
    """Weigh cancers found against needless biopsies.

    Parameters
    ----------
    sensitivity, specificity : float
        Of the decision, 0–1.
    prevalence : float
        Share of malignant nodules, 0–1.
    price : float or ndarray
        Threshold probability, 0 up to 1: whoever would still biopsy at a chance of cancer of one in
        ten (0.1) counts nine needless biopsies as much as one cancer found.

    Returns
    -------
    ndarray of float64
        Cancers found a nodule, less needless biopsies at that price; 0 for doing nothing.

    References
    ----------
    Vickers and Elkin, Medical Decision Making 26:565–574 (2006), the formula of Peirce.
    """
    cost = np.asarray(price, float)
    false = (1 - specificity) * (1 - prevalence)
    return sensitivity * prevalence - false * cost / (1 - cost)


def moved(scores: ArrayLike, before: float, after: float) -> np.ndarray:
    """Move calibrated probabilities to another share of malignant cases.

    Parameters
    ----------
    scores : ndarray of float (n,)
        Probabilities, 0–1, calibrated where the share is `before`.
    before, after : float
        Shares of malignant cases, above 0 and below 1.

    Returns
    -------
    ndarray of float64 (n,)
        Probabilities where the share is `after`, if nodules of each class look the same there.
    """
    certain = np.clip(np.asarray(scores, float), 1e-12, 1 - 1e-12)
    return expit(logit(certain) + logit(after) - logit(before))


def reliability(sets: Mapping[str, tuple[ArrayLike, ArrayLike]], title: str) -> Figure:
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
        bins = metrics.calibration_bins(labels, scores, bins=5)
        full = bins.rows > 0
        axes.plot(bins.score[full], bins.observed[full], color=colour, label=name)
        sizes = 30 + 400 * bins.rows[full] / bins.rows.sum()
        axes.scatter(bins.score[full], bins.observed[full], sizes, color=colour)
    axes.set(title=title, xlabel="Mean score in the bin (0–1)", ylabel="Share malignant (0–1)")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(loc="upper left")
    return figure


def confusion(axes: Axes, called: pd.DataFrame, title: str) -> None:
    """Draw the four outcomes of decisions.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    called : DataFrame
        From `frozen`.
    title : str
        Of the picture.
    """
    counts = metrics.confusion(called["label"] == CLASSES[1], called["called"].astype(float), 0.5)
    table = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (down, across), count in np.ndenumerate(table):
        axes.text(
            across, down, f"{count}\n{shares[down, across]:.0%}", ha="center", va="center",
            color="white" if shares[down, across] > 0.55 else "black", fontsize=12,
        )  # fmt: skip
    axes.set(title=title, xlabel="Called", ylabel="Label")
    axes.set_xticks([0, 1], CLASSES)
    axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")


def flawed(
    lesson: Lesson, chosen: Network, records: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """Evaluate one network soundly, and under flaws of a first evaluation (P1).

    Parameters
    ----------
    lesson : Lesson
        Parts are kept in its folder.
    chosen : Network
        Frozen.
    records : DataFrame
        With `fold`.
    names : sequence of str
        Of `leaks.FLAWS`; the sound run is always made.

    Returns
    -------
    DataFrame
        As `leaks.compare` gives it, the sound run first.

    Raises
    ------
    StudyError
        If a run fails, or a name is unknown.
    """
    planned = leaks.plan(chosen.backbone, chosen.start, records, chosen.side)
    if unknown := set(names) - set(planned):
        raise StudyError(
            f"A flaw is one of {', '.join(planned)}. Received: {', '.join(sorted(unknown))}."
        )
    wanted = {name: planned[name] for name in dict.fromkeys((leaks.SOUND.name, *names))}
    outcome = grid.run(wanted.values(), lesson.here / "cells", 0)
    return leaks.compare(leaks.gather(outcome, wanted, records))


def readers() -> pd.DataFrame:
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


def coin(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Deal labels anew, whole groups at a time, so that nothing is left to be learned.

    Parameters
    ----------
    labels : ndarray of int (n,)
        0 or 1.
    groups : ndarray (n,)
        All rows of a group get one label.
    seed : int
        Of the deal.

    Returns
    -------
    ndarray of int (n,)
        Each group has the first label of another group: as many groups of each class as before.
    """
    codes, _ = pd.factorize(np.asarray(groups))
    firsts = np.unique(codes, return_index=True)[1]
    dealt = np.random.default_rng(seed).permutation(np.asarray(labels)[firsts])
    return dealt[codes]


Evaluation = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""Takes features (n, d), labels (n,) and groups (n,); gives a figure that a coin brings to 0.5."""


def trials(
    evaluations: Mapping[str, Evaluation],
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    deals: int,
) -> pd.DataFrame:
    """Run evaluations on the true labels, and on labels dealt by a coin.

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
    deals : int
        Deals of the coin.

    Returns
    -------
    DataFrame
        `evaluation`, `labels` ("true" or "coin"), `deal` and `value`, 0–1.
    """
    dealt = [("true", 0, labels)]
    dealt += [("coin", seed, coin(labels, groups, seed)) for seed in range(deals)]
    return pd.DataFrame(
        {"evaluation": name, "labels": kind, "deal": deal, "value": evaluate(rows, known, groups)}
        for name, evaluate in evaluations.items()
        for kind, deal, known in dealt
    )


def draw_trials(found: pd.DataFrame) -> Figure:
    """Draw what evaluations say on labels dealt by a coin, and on the true ones.

    Parameters
    ----------
    found : DataFrame
        From `trials`.

    Returns
    -------
    Figure
        Grey dots for the deals of the coin, a black bar for their mean, an orange diamond for
        the true labels.
    """
    names = list(found["evaluation"].unique())
    figure = Figure(figsize=(8.5, 1.4 + 0.55 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0.5, color=GREY, linestyle="--", linewidth=1)
    for place, name in enumerate(names):
        mine = found[found["evaluation"] == name]
        dealt = mine[mine["labels"] == "coin"]["value"]
        true = mine[mine["labels"] == "true"]["value"]
        axes.plot(dealt, [place] * len(dealt), "o", color=GREY, alpha=0.4)
        axes.plot(dealt.mean(), place, "|", color="black", markersize=20, markeredgewidth=3)
        axes.plot(true, [place], "D", color=ORANGE, markersize=8)
    for marker, colour, name in (("o", GREY, "a deal of the coin"), ("|", "black", "their mean"),
                                 ("D", ORANGE, "true labels")):  # fmt: skip
        axes.plot([], [], marker, color=colour, label=name)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.set(title="What each evaluation says where there is nothing to learn, and where there is")
    axes.set(xlabel="Its figure (0–1; a coin has 0.5)", ylabel="Evaluation")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
