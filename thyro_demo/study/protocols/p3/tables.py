"""The tables and the picture of P3: what was chosen, which features there are, which matter."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.evaluate import intervals, metrics, results
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.evaluate.palette import BLUE, GREY, ORANGE
from thyro_demo.evaluate.results import Result
from thyro_demo.study.graph import Job, Outcome
from thyro_demo.study.questions import paired
from thyro_demo.study.report.report import Table
from thyro_demo.study.setting import SOURCES, SPLIT
from thyro_demo.study.steps.handcrafted import ALL, FAMILIES, NAMES
from thyro_demo.study.steps.handcrafted.classify import KINDS
from thyro_demo.training import out_of_fold

_COLOURS = dict(zip(KINDS, (BLUE, ORANGE), strict=True))


def chosen(title: str, systems: Mapping[str, Sequence[Job]], outcome: Outcome) -> Table:
    """Show the settings that inner folds chose for each SVM.

    Parameters
    ----------
    title : str
        Of the set.
    systems : mapping of str to sequence of Job
        By name of the system, one job for each fold.
    outcome : Outcome
        Of the graph.

    Returns
    -------
    Table
        One row a family of features.
    """
    rows = []
    for family in (ALL, *FAMILIES):
        name = f"SVM, {family}"
        shown = [str(outcome[job]["chosen"]) if job in outcome else "–" for job in systems[name]]
        rows.append((name, *shown))
    return Table(
        f"{title}: kernel and C of each SVM",
        "Chosen by AUROC in five grouped folds of the training part; gamma of RBF too.",
        ("System", *(f"fold {place}" for place in range(len(rows[0]) - 1))),
        tuple(rows),
    )


Losses = dict[str, dict[str, Interval]]
"""By kind of classifier and family of features."""


def importance(
    records: pd.DataFrame, systems: Mapping[str, Sequence[Job]], outcome: Outcome, positive: str
) -> Losses:
    """Measure what AUROC each classifier on all families loses by each family, by groups.

    Parameters
    ----------
    records : DataFrame
        The frames, with `fold`.
    systems : mapping of str to sequence of Job
        By name of the system, one job for each fold.
    outcome : Outcome
        Of the graph.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict of str to dict of str to Interval
        Losses; a classifier with a failed job is left out.
    """
    found: Losses = {}
    for kind in KINDS:
        folds = systems[f"{kind}, {ALL}"]
        if not all(job in outcome for job in folds):
            continue
        odds, shuffled = _log_odds(records, [outcome[job] for job in folds], positive)
        repeats = len(shuffled)
        labels = np.tile(records["label"] == positive, repeats)
        groups = np.tile(records["group"], repeats)
        found[kind] = {
            family: intervals.paired_group_bootstrap(
                metrics.auroc, labels, np.tile(odds, repeats), shuffled[:, place].ravel(), groups
            )
            for place, family in enumerate(FAMILIES)
        }
    return found


def _log_odds(
    records: pd.DataFrame, values: list[dict[str, np.ndarray]], positive: str
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrate the scores of each fold, float (n,) and (repeats, families, n), on the others.

    Only so can scores of SVMs from different folds be ranked together.
    """
    rows = np.concatenate([value["rows"] for value in values])
    fold = records["fold"].to_numpy()
    raw = np.empty(len(records))
    raw[rows] = np.concatenate([value["raw"] for value in values])
    parts = np.concatenate([value["shuffled"] for value in values], axis=2)
    shuffled = np.empty_like(parts)
    shuffled[..., rows] = parts
    scored = records.assign(raw=raw)
    for held in np.unique(fold):
        here = fold == held
        slope, intercept = out_of_fold.sigmoid(scored[~here], positive)
        raw[here] = slope * raw[here] + intercept
        shuffled[..., here] = slope * shuffled[..., here] + intercept
    return raw, shuffled


def draw(losses: Losses) -> Figure:
    """Draw the loss of each family as a bar with its interval.

    Parameters
    ----------
    losses : dict of str to dict of str to Interval
        From `importance`.

    Returns
    -------
    Figure
        Two bars a family, one for each classifier.
    """
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(FAMILIES))
    for shift, (kind, mine) in zip((-0.2, 0.2), losses.items(), strict=False):
        values = np.array([mine[family] for family in FAMILIES])
        axes.barh(places + shift, values[:, 0], 0.36, color=_COLOURS[kind], label=kind)
        axes.hlines(places + shift, values[:, 1], values[:, 2], color="black", linewidth=1.5)
    names = [f"{name} ({len(family.names)})" for name, family in FAMILIES.items()]
    axes.set_yticks(places, names, fontsize=11)
    axes.invert_yaxis()
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_xlabel("AUROC lost, with 95 % interval", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    if losses:
        figure.legend(loc="outside lower center", ncols=len(losses), frameon=False, fontsize=11)
    return figure


def features() -> Table:
    """List every feature with its formula.

    Returns
    -------
    Table
        One row a property.
    """
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


def to_results(
    summaries: Mapping[str, Mapping[str, Any]], single: Sequence[str]
) -> dict[str, Result]:
    """Make the tables that a README shows.

    Parameters
    ----------
    summaries : mapping of str to mapping
        From `report.summarise`, by name of the set, whose first word names the organ.
    single : sequence of str
        Names of the single features, that of the area first.

    Returns
    -------
    dict of str to Result
        "p3" and, for breast lesions, the paired difference of the SVM to the area.
    """
    systems = [f"{kind}, {ALL}" for kind in KINDS]
    rows = [
        (f"{name.split()[0]}: {head}", summary, head)
        for name, summary in summaries.items()
        for head in (*systems, *single)
    ]
    found = {
        "p3": results.by_source(
            rows,
            SOURCES,
            what="AUROC of classical features of the outlined nodule, on thyroid and on breast "
            "ultrasound.",
            made_by="python -m thyro_demo study P3 --data sets",
            split=SPLIT,
        )
    }
    summary = summaries.get("breast lesions", {"auroc_differences": ()})
    for gain in summary["auroc_differences"]:
        if (gain["a"], gain["b"]) == (systems[0], single[0]):
            ours, other = (f"breast: {gain[one]}" for one in "ab")
            found[paired.FILE] = paired.result("P3", ours, other, summary["n"], gain)
    return found
