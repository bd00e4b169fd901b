"""P2: features of six networks, their concatenations and ensembles, beside radiologists.

`DEPTHS` says how far each network is fine-tuned on real images. With `PUBLISHED_DEPTHS` in its
place every network is tuned for all its published epochs at its own input size, which keeps two
processor cores busy for about two days.

References
----------
Lee et al., "Differentiation of thyroid nodules on US using features learned and extracted from
various convolutional neural networks", Scientific Reports 9, 2019, 19854. The published figures
are in `lee_2019`; where we depart from the work stands in `_differs`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from thyro_demo.errors import StudyError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.evaluate.plots import with_interval
from thyro_demo.models import out_of_fold
from thyro_demo.models.backbones import backbone
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.study import concatenation, grid, scoreboard
from thyro_demo.study.concatenation import subsets
from thyro_demo.study.protocols import lee_2019
from thyro_demo.study.published import Protocol, Published
from thyro_demo.study.report import Report, Table
from thyro_demo.study.setting import Setting, thyroid
from thyro_demo.study.six_networks import (
    CONCATENATION,
    ENSEMBLE,
    FEATURES,
    FINE_TUNED,
    HEADS,
    LETTERS,
    NETS,
    TRANSFERRED,
    Depth,
    Net,
    System,
    Systems,
)

BEST_CONCATENATION, BEST_ENSEMBLE = ("O", "V", "R"), ("A", "V", "R")
"""The best published ones."""

PROTOCOL = Protocol(
    "P2",
    "features of six networks, their concatenations and ensembles, beside radiologists",
    "Lee et al., Differentiation of thyroid nodules on US using features learned and extracted "
    "from various convolutional neural networks, Scientific Reports 9, 2019, 19854",
    CLASSES[1],
    (
        *lee_2019.READERS,
        *lee_2019.NETWORKS.values(),
        lee_2019.CONCATENATIONS["svm"][BEST_CONCATENATION],
        lee_2019.ENSEMBLES[BEST_ENSEMBLE],
    ),
)

PUBLISHED_DEPTHS = {letter: Depth() for letter in LETTERS}

AFFORDABLE_DEPTHS = {
    "A": Depth(),
    "O": Depth(2, 149),
    "V": Depth(4),
    "Vv": Depth(1, 64),
    "R": Depth(5, 112),
    "I": Depth(2, 139),
}
"""What two cores do in one to two hours."""

DEPTHS = AFFORDABLE_DEPTHS
"""How far networks are fine-tuned on real images."""

FAST_SIDE, FAST_TREES = 96, 5
FAST_DEPTHS = {letter: Depth(0) for letter in LETTERS} | {"A": Depth(2, FAST_SIDE)}
"""The rehearsal on phantoms: one network is tuned, the others only read."""

NAMED: dict[str, System] = {
    "OverFeat + VGG-F + ResNet-50, SVM": System(CONCATENATION, BEST_CONCATENATION, "svm"),
    "AlexNet + VGG-F + ResNet-50, averaged": System(ENSEMBLE, BEST_ENSEMBLE, "average"),
    "all six, SVM": System(CONCATENATION, LETTERS, "svm"),
    "all six, forest": System(CONCATENATION, LETTERS, "forest"),
    "all six, averaged": System(ENSEMBLE, LETTERS, "average"),
}
"""Named before a frame of ours was scored: the best published ones, and those of all networks."""

Figures = dict[str, Interval]
"""`accuracy`, `sensitivity`, `specificity` and `auroc`, each 0–1 with its interval."""

_RATES = ("accuracy", "sensitivity", "specificity")


def run(setting: Setting) -> Report:
    """Run the four experiments.

    Parameters
    ----------
    setting : Setting
        On which images, and where to keep the parts.

    Returns
    -------
    Report
        Our tables beside the published ones.

    Raises
    ------
    StudyError
        If no network of its own, and no head, could be scored.
    DataError
        If the images are not in the layout that is read.
    """
    records = thyroid(setting)
    starts = {net.letter: _first(setting, net) for net in NETS}
    depths = FAST_DEPTHS if setting.fast else DEPTHS
    size, trees = (FAST_SIDE, FAST_TREES) if setting.fast else (None, concatenation.TREES)
    systems = Systems(records, starts, depths, PROTOCOL.positive, size, trees)
    outcome = grid.run(systems.cells(), setting.work / "cells", setting.workers, setting.ray)
    scored = systems.scored(outcome)
    if not scored:
        why = next(iter(outcome.failures.items()))
        raise StudyError(f"P2 needs a system without a failure. Received: {': '.join(why)}")
    found = {
        system: figures(rows)
        for system, rows in tqdm(scored.items(), "Intervals", unit="system", leave=False)
    }
    summaries = _summaries(scored, records)
    folders = (setting.work,) if setting.data is None else (setting.work, setting.data)
    return Report(
        key=PROTOCOL.key,
        title=PROTOCOL.title,
        reference=PROTOCOL.reference,
        images=scoreboard.caption(next(iter(summaries.values()))),
        fast=setting.fast,
        tables=tuple(_tables(found, summaries, starts, depths)),
        differs=_differs(starts, depths, setting.fast),
        scores=out_of_fold.published(pd.concat(scored.values(), ignore_index=True), folders),
        summaries=summaries,
        pictures={"plane": (_PLANE, plane(found))},
        failures=outcome.failures,
    )


def _first(setting: Setting, net: Net) -> str:
    """Choose first weights; random ones where those that are asked for do not exist."""
    start = setting.first(net.backbone)
    known = start in ("none", *backbone(net.backbone).weights) or Path(start).exists()
    return start if known else "none"


def figures(rows: pd.DataFrame) -> Figures:
    """Compute the figures of one system, its rates at the Youden points of the other folds.

    Parameters
    ----------
    rows : DataFrame
        Out-of-fold rows: `group, label, fold, score`.

    Returns
    -------
    dict of str to Interval
        `accuracy`, `sensitivity`, `specificity` and `auroc`, 0–1, each with its interval over
        groups.
    """
    labels, groups = rows["label"] == PROTOCOL.positive, rows["group"]
    decided = out_of_fold.decisions(rows, PROTOCOL.positive)["score"]
    rates = {name: partial(getattr(metrics, name), threshold=0.5) for name in _RATES}
    return intervals.group_bootstraps(rates, labels, decided, groups) | {
        "auroc": intervals.group_bootstrap(metrics.auroc, labels, rows["score"], groups)
    }


def _summaries(
    scored: Mapping[System, pd.DataFrame], records: pd.DataFrame
) -> dict[str, Mapping[str, Any]]:
    """Summarise the networks themselves, and the systems that were named beforehand."""
    chosen = {
        experiment: [rows for system, rows in scored.items() if system.experiment == experiment]
        for experiment in (FINE_TUNED, TRANSFERRED)
    }
    chosen["named beforehand"] = [
        scored[system].assign(head=name) for name, system in NAMED.items() if system in scored
    ]
    return {
        name: scoreboard.summarise(pd.concat(tables), records, PROTOCOL.positive)
        for name, tables in chosen.items()
        if tables
    }


def _tables(
    found: Mapping[System, Figures],
    summaries: Mapping[str, Mapping[str, Any]],
    starts: Mapping[str, str],
    depths: Mapping[str, Depth],
) -> Iterator[Table]:
    """Set every experiment beside its published table."""
    published = {
        System(FINE_TUNED, (net.letter,), "softmax").name: lee_2019.NETWORKS[net.letter]
        for net in NETS
    } | {name: _published(system) for name, system in NAMED.items()}
    for name, summary in summaries.items():
        title = name[0].upper() + name[1:]
        yield scoreboard.overall(title, summary, published)
        yield scoreboard.by_source(f"{title}: within each source", summary)
    caption = scoreboard.caption(next(iter(summaries.values()))) + _READ
    yield settings(starts, depths)
    yield readers()
    yield features(found, caption)
    yield concatenations(found, caption)
    yield ensembles(found, caption)


_READ = (
    " Each cell: ours with its 95 % interval and, after “/”, what was published, on other images "
    "and without interval. Rates in percent, at the Youden point of the other folds; AUROC 0–1. "
    "Among so many rows the best one is best by luck as well: it is no result to quote."
)
_LETTERS = " " + ", ".join(f"{net.letter} {net.title}" for net in NETS) + "."


def _published(system: System) -> Published:
    """Give the published row of heads on the features that the paper chose."""
    if system.experiment == ENSEMBLE:
        return lee_2019.ENSEMBLES[system.networks]
    return lee_2019.CONCATENATIONS[system.head][system.networks]


def _cells(ours: Figures | None, row: Published) -> list[str]:
    """Write accuracy, sensitivity, specificity and AUROC of a system beside a published row."""
    cells = []
    for name, scale, digits in (*((rate, 100, 1) for rate in _RATES), ("auroc", 1, 3)):
        shown: dict[str, float | None] = dict.fromkeys(Interval._fields)
        if ours is not None:
            known = ours[name]._asdict()
            shown = {key: None if isnan(value) else scale * value for key, value in known.items()}
        printed = getattr(row, name)
        cells.append(with_interval(shown, digits) + ("" if printed is None else f" / {printed}"))
    return cells


_FIGURES = ("accuracy", "sensitivity", "specificity", "AUROC")


def settings(starts: Mapping[str, str], depths: Mapping[str, Depth]) -> Table:
    """Say how each network was fine-tuned, there and here.

    Parameters
    ----------
    starts : mapping of str to str
        First weights by letter.
    depths : mapping of str to Depth
        By letter.

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
        rows.append(
            (
                net.title, str(stage.epochs), f"{stage.learning_rate:g}", decay,
                _told_start(starts[net.letter]), _told_depth(net, depths[net.letter]),
            )
        )  # fmt: skip
    caption = "SGD with momentum 0.9, mini-batches of 33, cross-entropy, all layers."
    heads = ("Network", "Epochs", "Learning rate", "Decay", "First weights here", "Here")
    return Table("How the networks are fine-tuned", caption, heads, tuple(rows))


def _told_start(start: str) -> str:
    known = {"none": "random", "imagenet": "ImageNet, published"}
    return known.get(start, f"{Path(start).name}, of the natural stage")


def _told_depth(net: Net, depth: Depth) -> str:
    if depth.epochs == 0:
        return "not fine-tuned"
    size = depth.size or backbone(net.backbone).input_size
    share = "all" if depth.epochs is None else f"{depth.epochs} of"
    return f"{share} {net.stage.epochs} epochs, {size} pixels"


def readers() -> Table:
    """Show that the radiologists' rates take benign as positive, and correct them.

    Returns
    -------
    Table
        One row a reading: as printed, what its rates imply, corrected.
    """
    rows = []
    for row in lee_2019.READERS:
        found, right = lee_2019.check(row), lee_2019.corrected(row)
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
        f"Percent, on the {lee_2019.BENIGN} benign and {lee_2019.MALIGNANT} malignant test images "
        "of the paper, which gives no intervals. A rate times the images of its class gives those "
        "called right, and both together the accuracy. It is the printed one only where benign "
        "counts as positive; for the networks, only where malignant does. So the columns of the "
        "radiologists have to be swapped before both are compared."
    )
    return Table("Radiologists, as printed and corrected", caption, heads, tuple(rows))


def features(found: Mapping[System, Figures], caption: str) -> Table:
    """Set heads on each network's features beside the published ones.

    Parameters
    ----------
    found : mapping of System to dict
        From `figures`.
    caption : str
        Of the table.

    Returns
    -------
    Table
        28 rows: network, features, head; before and after fine-tuning.
    """
    rows = []
    for (letter, read, head), printed in lee_2019.FEATURES.items():
        net = NETS[LETTERS.index(letter)]
        both = [System(FEATURES, (letter,), head, read, tuned) for tuned in (False, True)]
        cells = [_cells(found.get(one), row) for one, row in zip(both, printed, strict=True)]
        rows.append((net.title, read, head, *cells[0], *cells[1]))
    heads = [f"{when}: {name}" for when in ("frozen", FINE_TUNED) for name in _FIGURES]
    return Table(
        "Features of one network, before and after fine-tuning",
        caption,
        ("Network", "Features", "Head", *heads),
        tuple(rows),
    )


def concatenations(found: Mapping[System, Figures], caption: str) -> Table:
    """Set heads on the features of every subset beside the published ones.

    Parameters
    ----------
    found : mapping of System to dict
        From `figures`.
    caption : str
        Of the table.

    Returns
    -------
    Table
        63 rows, the six networks one by one first.
    """
    rows = []
    for chosen in subsets(LETTERS, least=1):
        cells = [
            _cells(found.get(system), _published(system))
            for system in (System(CONCATENATION, chosen, head) for head in HEADS)
        ]
        rows.append(("+".join(chosen), *cells[0], *cells[1]))
    heads = ("Networks", *(f"{head}: {name}" for head in HEADS for name in _FIGURES))
    return Table("Concatenated features", caption + _LETTERS, heads, tuple(rows))


def ensembles(found: Mapping[System, Figures], caption: str) -> Table:
    """Set the averages of machine and forest over every subset beside the published ones.

    Parameters
    ----------
    found : mapping of System to dict
        From `figures`.
    caption : str
        Of the table.

    Returns
    -------
    Table
        63 rows.
    """
    rows = [
        ("+".join(system.networks), *_cells(found.get(system), _published(system)))
        for system in (System(ENSEMBLE, one, "average") for one in subsets(LETTERS, least=1))
    ]
    told = " Probabilities of machine and forest are averaged in each network, then over networks."
    return Table(
        "Ensembles of averaged probabilities", caption + told + _LETTERS, ("Networks", *_FIGURES),
        tuple(rows),
    )  # fmt: skip


_PLANE = (
    "Sensitivity and specificity of our systems, with 95 % intervals over groups for the networks "
    "and for the systems named beforehand, beside the published networks and the radiologists, "
    "whose columns are swapped as the check demands. Theirs are from other images: no point of "
    "ours can be held against one of theirs."
)
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#888888"


def plane(found: Mapping[System, Figures]) -> Figure:
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
    _dots(axes, drawn[CONCATENATION], _GREY, f"{CONCATENATION}s, svm and forest")
    _dots(axes, drawn[ENSEMBLE], _GREEN, f"{ENSEMBLE}s")
    _crosses(axes, drawn[FINE_TUNED], _BLUE, f"networks, {FINE_TUNED}")
    named = [found[system] for system in NAMED.values() if system in found]
    _crosses(axes, named, _ORANGE, "named beforehand")
    _printed(axes, list(lee_2019.NETWORKS.values()), "s", _BLUE, "networks, published")
    corrected = [lee_2019.corrected(row) for row in lee_2019.READERS]
    _printed(axes, corrected, "^", _PURPLE, "radiologists, corrected")
    axes.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
    axes.set_xlabel("100 − specificity, %", fontsize=12)
    axes.set_ylabel("Sensitivity, %", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.25)
    axes.plot([0, 100], [0, 100], color=_GREY, linewidth=1, linestyle=":", label="guessing")
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


def _fine_tuning(depths: Mapping[str, Depth]) -> str:
    """Say which networks are tuned for less than was published."""
    cut = [
        f"{net.title}: {_told_depth(net, depths[net.letter])}"
        for net in NETS
        if depths[net.letter] != PUBLISHED_DEPTHS[net.letter]
    ]
    if not cut:
        return "as long and at the size that was published."
    return (
        "cut down, because six large networks in five folds are out of reach of two processor "
        f"cores. {'; '.join(cut)}. Any other is tuned as published; all of them are where the "
        "constant DEPTHS of the protocol's module is PUBLISHED_DEPTHS."
    )


def _differs(
    starts: Mapping[str, str], depths: Mapping[str, Depth], fast: bool
) -> tuple[tuple[str, str], ...]:
    """Say what differs from the original, and why."""
    random = [net.title for net in NETS if starts[net.letter] == "none"]
    others = [net.title for net in NETS if starts[net.letter] != "none"]
    found = [
        (
            "Images",
            "the paper's regions of interest (297 + 297 to train, 100 benign and 50 malignant to "
            "test) are not public. Ours are whole scan areas, and every image is tested once, in "
            "five folds that keep groups whole; the classes are weighed where the paper had as "
            "many of each.",
        ),
        (
            "First weights",
            f"all networks of the paper start from ImageNet. Here {', '.join(random) or 'none'} "
            "start from random weights, because no others are at hand offline, so their frozen "
            "features are those of random filters, and fine-tuning is training from scratch; "
            f"from other networks' weights: {', '.join(others) or 'none'}.",
        ),
        (
            "Fine-tuning",
            f"{_fine_tuning(depths)} Epochs and rates are the published ones. The paper chose "
            "them in six folds (for OverFeat and VGG-F not yet, the lecture says); here they are "
            "not chosen again.",
        ),
        (
            "Heads",
            "C and gamma of a machine are chosen for each subset by AUROC in six grouped folds of "
            "the training part; the paper's are not given. Forests look at log2 of the columns in "
            "a node, and the size of their leaves is chosen in the same folds for all subsets "
            "together. After fine-tuning, heads learn from images that the network has learned "
            "from: their inner folds flatter them, the tested fold does not.",
        ),
        (
            "Which features",
            "for concatenations and ensembles they are those that the paper chose, whatever our "
            "tables say; where a network is not fine-tuned here, they are the frozen ones.",
        ),
        (
            "Operating point",
            "the paper makes scores binary at the Youden index, and does not say of which images. "
            "Ours is that of the other folds.",
        ),
        (
            "Published figures",
            "the radiologists' columns are swapped (see the check). A few numbers are damaged in "
            "the copy at hand; they are given where the other two of their row settle them and "
            "left out where they do not.",
        ),
    ]
    if fast:
        told = "drawn frames in place of images, few epochs, small images, small forests."
        found.append(("Rehearsal", told))
    return tuple(found)
