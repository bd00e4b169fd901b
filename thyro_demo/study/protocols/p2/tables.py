"""The tables and the picture of P2: every experiment beside its published table."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thyro_demo.evaluate import intervals, metrics, results
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.evaluate.palette import BLUE, GREEN, GREY, ORANGE, PURPLE
from thyro_demo.evaluate.results import Result
from thyro_demo.study.protocols.p2 import published
from thyro_demo.study.protocols.p2.published import (
    BEST_CONCATENATION,
    CONCATENATION,
    ENSEMBLE,
    FEATURES,
    FINE_TUNED,
    HEADS,
    LETTERS,
    NAMED,
    NETS,
    TRANSFERRED,
    System,
)
from thyro_demo.study.questions import paired
from thyro_demo.study.report import report
from thyro_demo.study.report.report import RATES, Published, Table
from thyro_demo.study.setting import SOURCES, SPLIT
from thyro_demo.study.steps.subsets import subsets
from thyro_demo.training import out_of_fold

NAMED_BEFOREHAND = "named beforehand"
"""Name of the summary of the systems in `NAMED`."""

Figures = dict[str, Interval]
"""`accuracy`, `sensitivity`, `specificity` and `auroc`, each 0–1 with its interval."""

PLANE = (
    "Sensitivity and specificity of our systems, with 95 % intervals over groups for the networks "
    "and for the systems named beforehand, beside the published networks and the radiologists, "
    "whose columns are swapped as the check demands. Theirs are from other images: no point of "
    "ours can be held against one of theirs."
)

_BESIDE = (
    " Each cell: ours with its 95 % interval and, after “/”, what was published, on other images "
    "and without interval. Rates in percent, at the Youden point of the other folds; AUROC 0–1. "
    "Among so many rows the best one is best by luck as well: it is no result to quote."
)
_LETTERS = " " + ", ".join(f"{net.letter} {net.title}" for net in NETS) + "."
_FIGURES = ("accuracy", "sensitivity", "specificity", "AUROC")
_UNKNOWN = dict.fromkeys(("accuracy", "sensitivity", "specificity", "auroc"), (None, None, None))


def figures(rows: pd.DataFrame, positive: str) -> Figures:
    """Compute the figures of one system, its rates at the Youden points of the other folds.

    Parameters
    ----------
    rows : DataFrame
        Out-of-fold rows: `group, label, fold, score`.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict of str to Interval
        `accuracy`, `sensitivity`, `specificity` and `auroc`, 0–1, each with its interval over
        groups.
    """
    labels, groups = rows["label"] == positive, rows["group"]
    decided = out_of_fold.decisions(rows, positive)["score"]
    rates = {name: partial(getattr(metrics, name), threshold=0.5) for name in RATES}
    return intervals.group_bootstraps(rates, labels, decided, groups) | {
        "auroc": intervals.group_bootstrap(metrics.auroc, labels, rows["score"], groups)
    }


def summaries(
    scored: Mapping[System, pd.DataFrame], records: pd.DataFrame, positive: str
) -> dict[str, Mapping[str, Any]]:
    """Summarise the networks themselves, and the systems that were named beforehand.

    Parameters
    ----------
    scored : mapping of System to DataFrame
        Out-of-fold scores.
    records : DataFrame
        The frames.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict of str to mapping
        From `report.summarise`, by name of the experiment.
    """
    chosen = {
        experiment: [rows for system, rows in scored.items() if system.experiment == experiment]
        for experiment in (FINE_TUNED, TRANSFERRED)
    }
    chosen[NAMED_BEFOREHAND] = [
        scored[system].assign(head=name) for name, system in NAMED.items() if system in scored
    ]
    return {
        name: report.summarise(pd.concat(parts), records, positive)
        for name, parts in chosen.items()
        if parts
    }


def tables(
    found: Mapping[System, Figures],
    summaries: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, str],
    cuts: Mapping[str, str],
) -> Iterator[Table]:
    """Set every experiment beside its published table.

    Parameters
    ----------
    found : mapping of System to dict
        From `figures`.
    summaries : mapping
        From `summaries`.
    weights, cuts : mapping of str to str
        Initial weights by letter, and how far each network is fine-tuned.

    Yields
    ------
    Table
        In the order of the paper.
    """
    rows = {
        System(FINE_TUNED, (net.letter,), "softmax").name: published.NETWORKS[net.letter]
        for net in NETS
    } | {name: _published(system) for name, system in NAMED.items()}
    for name, summary in summaries.items():
        title = name[0].upper() + name[1:]
        yield report.overall(title, summary, rows)
        yield report.by_source(f"{title}: within each source", summary)
    caption = report.caption(next(iter(summaries.values()))) + _BESIDE
    yield settings(weights, cuts)
    yield readers()
    yield _features(found, caption)
    yield _concatenations(found, caption)
    yield _ensembles(found, caption)


def _published(system: System) -> Published:
    """Find the published row of heads on the features that the paper chose."""
    if system.experiment == ENSEMBLE:
        return published.ENSEMBLES[system.networks]
    return published.CONCATENATIONS[system.head][system.networks]


def _beside(found: Mapping[System, Figures], system: System, row: Published) -> list[str]:
    """Write accuracy, sensitivity, specificity and AUROC of a system beside a published row."""
    return report.beside(found.get(system, _UNKNOWN), row)


def settings(weights: Mapping[str, str], cuts: Mapping[str, str]) -> Table:
    """Show how each network was fine-tuned, there and here.

    Parameters
    ----------
    weights, cuts : mapping of str to str
        Initial weights by letter, and how far each network is fine-tuned.

    Returns
    -------
    Table
        One row a network.
    """
    rows = []
    for net in NETS:
        stage = net.stage
        decay = {
            "step": f"× {stage.decay:g} every {stage.decay_every} epochs",
            "log": f"on a log scale to {stage.final_rate:g}",
            "constant": "none",
        }[stage.schedule]
        initial = weights[net.letter]
        known = {"none": "random", "imagenet": "ImageNet, published"}
        initial = known.get(initial, f"{Path(initial).name}, of the natural stage")
        rows.append(
            (net.title, str(stage.epochs), f"{stage.learning_rate:g}", decay, initial,
             cuts[net.letter])
        )  # fmt: skip
    caption = "SGD with momentum 0.9, mini-batches of 33, cross-entropy, all layers."
    heads = ("Network", "Epochs", "Learning rate", "Decay", "Initial weights here", "Here")
    return Table("How the networks are fine-tuned", caption, heads, tuple(rows))


def readers() -> Table:
    """Show that the radiologists' rates take benign as positive, and correct them.

    Returns
    -------
    Table
        One row a reader: as printed, what its rates imply, corrected.
    """
    rows = []
    for row in published.READERS:
        found, right = published.check(row), published.corrected(row)
        rows.append(
            (
                row.system, f"{row.accuracy}", f"{row.sensitivity} / {row.specificity}",
                f"{found.malignant:.1f}", f"{found.benign:.1f}", found.positive,
                f"{right.sensitivity} / {right.specificity}",
            )
        )  # fmt: skip
    heads = (
        "Reading", "Accuracy, printed", "Sensitivity / specificity, printed",
        "Accuracy that follows, malignant positive", "benign positive", "Taken as positive",
        "Sensitivity / specificity, corrected",
    )  # fmt: skip
    caption = (
        f"Percent, on the {published.BENIGN} benign and {published.MALIGNANT} malignant test "
        "images of the paper, which prints no intervals. A rate times the images of its class is "
        "the number called right, and both together yield the accuracy. It is the printed one "
        "only where benign counts as positive; for the networks, only where malignant does. So the "
        "columns of the radiologists have to be swapped before both are compared."
    )
    return Table("Radiologists, as printed and corrected", caption, heads, tuple(rows))


def _features(found: Mapping[System, Figures], caption: str) -> Table:
    """Set heads on each network's features beside the published ones, 28 rows."""
    rows = []
    for (letter, read, head), printed in published.SINGLE.items():
        net = NETS[LETTERS.index(letter)]
        both = [System(FEATURES, (letter,), head, read, after) for after in (False, True)]
        cells = [_beside(found, one, row) for one, row in zip(both, printed, strict=True)]
        rows.append((net.title, read, head, *cells[0], *cells[1]))
    heads = [f"{when}: {name}" for when in ("frozen", FINE_TUNED) for name in _FIGURES]
    return Table(
        "Features of one network, before and after fine-tuning",
        caption,
        ("Network", "Features", "Head", *heads),
        tuple(rows),
    )


def _concatenations(found: Mapping[System, Figures], caption: str) -> Table:
    """Set heads on the features of every subset beside the published ones, 63 rows."""
    rows = []
    for chosen in subsets(LETTERS, least=1):
        both = [System(CONCATENATION, chosen, head) for head in HEADS]
        cells = [_beside(found, system, _published(system)) for system in both]
        rows.append(("+".join(chosen), *cells[0], *cells[1]))
    heads = ("Networks", *(f"{head}: {name}" for head in HEADS for name in _FIGURES))
    return Table("Concatenated features", caption + _LETTERS, heads, tuple(rows))


def _ensembles(found: Mapping[System, Figures], caption: str) -> Table:
    """Set the averages of SVM and forest over every subset beside the published ones, 63 rows."""
    rows = [
        ("+".join(system.networks), *_beside(found, system, _published(system)))
        for system in (System(ENSEMBLE, one, "average") for one in subsets(LETTERS, least=1))
    ]
    note = " Probabilities of SVM and forest are averaged in each network, then over networks."
    return Table(
        "Ensembles of averaged probabilities", caption + note + _LETTERS, ("Networks", *_FIGURES),
        tuple(rows),
    )  # fmt: skip


def to_results(
    scored: Mapping[System, pd.DataFrame],
    summaries: Mapping[str, Mapping[str, Any]],
    cut: Collection[str],
    positive: str,
) -> dict[str, Result]:
    """Make the tables that a README shows.

    Parameters
    ----------
    scored : mapping of System to DataFrame
        Out-of-fold scores.
    summaries : mapping
        From `summaries`.
    cut : collection of str
        Letters of the networks that were fine-tuned for less than was published.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict of str to Result
        "p2" and, where both systems have scores, the paired difference of the best published
        concatenation to an SVM on ResNet-50 alone.
    """
    networks = {letter: System(FINE_TUNED, (letter,), "softmax").name for letter in LETTERS}
    rows = [
        (name + " (cut down)" * (letter in cut), FINE_TUNED, name)
        for letter, name in networks.items()
    ]
    alone = System(TRANSFERRED, ("R",), "softmax").name
    rows += [(alone, TRANSFERRED, alone), *((name, NAMED_BEFOREHAND, name) for name in NAMED)]
    found = {
        "p2": results.by_source(
            [(name, summaries[part], head) for name, part, head in rows if part in summaries],
            SOURCES,
            what="AUROC of six networks, fine-tuned and joined, on the real frames.",
            made_by="python -m thyro_demo study P2 --data sets",
            split=SPLIT,
        )
    }
    both = [System(CONCATENATION, letters, "svm") for letters in (BEST_CONCATENATION, ("R",))]
    if all(system in scored for system in both):
        ours, others = (scored[system].sort_values("path") for system in both)
        gain = intervals.paired_group_bootstrap(
            metrics.auroc, ours["label"] == positive, ours["score"], others["score"], ours["group"]
        )
        names = ("best published combination", "SVM on ResNet-50's features alone")
        found[paired.FILE] = paired.result("P2", *names, len(ours), gain)
    return found


def draw_plane(found: Mapping[System, Figures]) -> Figure:
    """Draw the plane of sensitivity and specificity.

    Parameters
    ----------
    found : mapping of System to dict
        From `figures`.

    Returns
    -------
    Figure
        Our systems, the published networks, the radiologists corrected.
    """
    figure = Figure(figsize=(6.4, 7.4), layout="constrained")
    axes = figure.subplots()
    drawn = {
        experiment: [ours for system, ours in found.items() if system.experiment == experiment]
        for experiment in (CONCATENATION, ENSEMBLE, FINE_TUNED)
    }
    _dots(axes, drawn[CONCATENATION], GREY, f"{CONCATENATION}s, svm and forest")
    _dots(axes, drawn[ENSEMBLE], GREEN, f"{ENSEMBLE}s")
    _crosses(axes, drawn[FINE_TUNED], BLUE, f"networks, {FINE_TUNED}")
    named = [found[system] for system in NAMED.values() if system in found]
    _crosses(axes, named, ORANGE, "named beforehand")
    _printed(axes, list(published.NETWORKS.values()), "s", BLUE, "networks, published")
    corrected = [published.corrected(row) for row in published.READERS]
    _printed(axes, corrected, "^", PURPLE, "radiologists, corrected")
    axes.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
    axes.set_xlabel("100 − specificity, %", fontsize=12)
    axes.set_ylabel("Sensitivity, %", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.25)
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":", label="guessing")
    figure.legend(loc="outside lower center", ncols=2, fontsize=10, frameon=False)
    return figure


def _dots(axes: Axes, drawn: Sequence[Figures], colour: str, label: str) -> None:
    x = [100 - 100 * ours["specificity"].value for ours in drawn]
    y = [100 * ours["sensitivity"].value for ours in drawn]
    axes.scatter(x, y, s=9, color=colour, alpha=0.6, linewidths=0, label=label)


def _crosses(axes: Axes, drawn: Sequence[Figures], colour: str, label: str) -> None:
    """Draw systems with the intervals of both rates."""
    for place, ours in enumerate(drawn):
        across, up = (np.array(ours[rate]) * 100 for rate in ("specificity", "sensitivity"))
        axes.errorbar(
            100 - across[0],
            up[0],
            xerr=[[across[2] - across[0]], [across[0] - across[1]]],
            yerr=[[up[0] - up[1]], [up[2] - up[0]]],
            color=colour,
            marker="o",
            markersize=5,
            linewidth=1,
            label="_" if place else label,
        )


def _printed(axes: Axes, rows: Sequence[Published], marker: str, colour: str, label: str) -> None:
    """Draw published rows as hollow marks."""
    x = [100 - (row.specificity or 0) for row in rows]
    y = [row.sensitivity or 0 for row in rows]
    axes.scatter(x, y, s=60, marker=marker, facecolors="none", edgecolors=colour, label=label)
