"""What P5 shows beside its scores: a curve for each class, and what the leak adds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.evaluate import intervals, metrics, results
from thyro_demo.evaluate.curves import pr_points
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.evaluate.palette import BLUE, ORANGE
from thyro_demo.evaluate.results import Result
from thyro_demo.study.report.report import Table, caption
from thyro_demo.study.setting import SPLIT

CURVES = (
    "Precision against recall of each class, out of fold: split by patient (full lines), and "
    "augmented before the split (broken lines, which leak). A dotted line is the share of a "
    "class: what guessing reaches."
)

_COLOURS = (ORANGE, BLUE)


def by_class(found: pd.DataFrame, label: str, positive: str) -> tuple[np.ndarray, np.ndarray]:
    """Turn scores to those of one class.

    Parameters
    ----------
    found : DataFrame
        Rows of one system, with `label` and `score`, P(positive).
    label : str
        One of the two classes.
    positive : str
        The class that the scores are of.

    Returns
    -------
    labels : ndarray of bool (n,)
        True for the class.
    scores : ndarray of float64 (n,)
        Higher for the class: its probability, or that of the other one with its sign turned,
        for less than one, near 1, rounds different scores to one.
    """
    score = found["score"].to_numpy(np.float64)
    return (found["label"] == label).to_numpy(), score if label == positive else -score


def draw_curves(
    found: pd.DataFrame, pairs: Mapping[str, tuple[str, str]], classes: tuple[str, str]
) -> Figure:
    """Draw the precision–recall curve of each class for every network.

    Parameters
    ----------
    found : DataFrame
        Out-of-fold scores of all systems.
    pairs : mapping of str to (str, str)
        By network: the system split by patient, and the one that leaks.
    classes : tuple of str
        The class that scores are of, and the other.

    Returns
    -------
    Figure
        One panel a network; a system without scores is left out.
    """
    figure = Figure(figsize=(4.8 * len(pairs), 4.8), layout="constrained")
    panels = figure.subplots(1, len(pairs), squeeze=False, sharey=True)[0]
    for axes, (network, names) in zip(panels, pairs.items(), strict=True):
        for name, line in zip(names, ("-", "--"), strict=True):
            part = found[found["head"] == name]
            for label, colour in zip(classes, _COLOURS, strict=True) if len(part) else ():
                points = pr_points(*by_class(part, label, classes[0]))
                shown = label + ("" if line == "-" else ", leaks")
                axes.plot(points.recall, points.precision, line, color=colour, label=shown)
                axes.axhline((part["label"] == label).mean(), color=colour, ls=":", lw=1)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), title=network)
        axes.set_xlabel("Recall", fontsize=12)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("Precision", fontsize=12)
    named = panels[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=2, fontsize=11, frameon=False)
    return figure


def areas(found: pd.DataFrame, summary: Mapping[str, Any], classes: tuple[str, str]) -> Table:
    """Show the area under the precision–recall curve of each class.

    Parameters
    ----------
    found : DataFrame
        Out-of-fold scores of all systems.
    summary : mapping
        From `report.summarise`, of the same scores.
    classes : tuple of str
        The class that scores are of, and the other.

    Returns
    -------
    Table
        One row a system.
    """
    rows = []
    for name, part in found.groupby("head", sort=False):
        groups = part["group"].to_numpy()
        cells = []
        for label in classes:
            one = by_class(part, label, classes[0])
            area = intervals.group_bootstrap(metrics.average_precision, *one, groups)
            cells.append(with_interval(area, 3))
        rows.append((str(name), *cells))
    return Table(
        "Average precision of each class",
        caption(summary) + " The area under each curve of the picture.",
        ("System", *classes),
        tuple(rows),
    )


def gains(title: str, summary: Mapping[str, Any], pairs: Mapping[str, tuple[str, str]]) -> Table:
    """Show what the leak adds to the AUROC of each network, on the same images.

    Parameters
    ----------
    title : str
        Of the reading.
    summary : mapping
        From `report.summarise`.
    pairs : mapping of str to (str, str)
        By network: the system split by patient, and the one that leaks.

    Returns
    -------
    Table
        One row a network, as far as both its systems have scores.
    """
    differences = {(one["a"], one["b"]): one for one in summary["auroc_differences"]}
    rows = []
    for network, (sound, leaking) in pairs.items():
        # Sound less leaking, in the order of the systems.
        found = differences.get((sound, leaking))
        if found is not None:
            turned = (found["value"], found["high"], found["low"])
            added = [None if end is None else -end for end in turned]
            rows.append((network, with_interval(added, 3)))
    return Table(
        f"{title}: what the leak adds",
        caption(summary) + " AUROC of the split that leaks, less that by patient.",
        ("Network", "Difference of AUROC"),
        tuple(rows),
    )


def to_result(summaries: Mapping[str, Mapping[str, Any]]) -> Result:
    """Make the table that a README shows.

    Parameters
    ----------
    summaries : mapping of str to mapping
        From `report.summarise`, by name of the reading.

    Returns
    -------
    Result
        One row a reading and system.
    """
    return results.by_source(
        [
            (f"{reading}: {head}", summary, head)
            for reading, summary in summaries.items()
            for head in summary["heads"]
        ],
        {},
        what="AUROC of two networks on autoimmune and normal glands, split by patient, and by the "
        "split that leaks.",
        made_by="python -m thyro_demo study P5 --data sets",
        split=f"{SPLIT}; by patient, except where it leaks",
    )
