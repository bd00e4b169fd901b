"""The tables and pictures of P4: inside and outside, and how far the cut-off travels."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.evaluate import curves, intervals, metrics, results
from thyro_demo.evaluate.forest_plot import draw_interval
from thyro_demo.evaluate.formatting import gain, with_interval
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.evaluate.palette import BLUE, COLOURS, GREY, ORANGE
from thyro_demo.evaluate.results import Result
from thyro_demo.study import setting
from thyro_demo.study.questions import held_out
from thyro_demo.study.questions.held_out import Test
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Published, Table
from thyro_demo.training.out_of_fold import BASELINE

Tests = Sequence[Test]
Range = Sequence[Published]
"""The lowest and the highest published row of a kind of test."""

SOURCES = (
    "AUROC on the frames of each source, with 95 % intervals: while the other frames of the source "
    "are trained on (hollow), and when the source is held out whole (filled). Shaded: what was "
    "published for internal (blue) and external tests (orange), on other images."
)
CUTOFFS = (
    "ROC curves of the largest system: inside the sources that it knows (dashed) and on the source "
    "held out (solid). Hollow dots: inside, each fold at the Youden point of the others, so that "
    "they may be beside their curve; filled ones: outside, at the cut-off frozen inside."
)

_FIRST = "Held out: system"
_MOVED = (
    "95 % intervals from "
    f"{intervals.RESAMPLES} bootstrap resamples by group, those of both sides drawn together."
)
_RATES = ("sensitivity", "specificity")
_WHERE = ("inside, %", "held out, %", "change, points")
_INSIDE, _OUTSIDE = BLUE, ORANGE


def _range(published: Range) -> str:
    return "–".join(f"{row.auroc:.3f}" for row in published)


def internal(summary: dict[str, Any], published: Range) -> Table:
    """Set the internal test beside the published range, which names no system.

    Parameters
    ----------
    summary : dict
        From `report.summarise`.
    published : sequence of Published
        Lowest and highest.

    Returns
    -------
    Table
        One row a system.
    """
    table = report.overall("Internal test: every source is trained on", summary, {})
    rows = tuple((*row, "–" if row[0] == BASELINE else _range(published)) for row in table.rows)
    note = f" Published: lowest and highest of four systems on {published[0].note}."
    return Table(table.title, table.caption + note, (*table.columns, "AUROC, published"), rows)


def external(tests: Tests, published: Range) -> Table:
    """Set the test on each source held out beside the published range.

    Parameters
    ----------
    tests : sequence of Test
        From `held_out.freeze`.
    published : sequence of Published
        Lowest and highest.

    Returns
    -------
    Table
        One row a source and system.
    """
    shown = {test.source: report.overall("", test.beyond, {}) for test in tests}
    counts = "; ".join(
        f"{test.source}: {test.beyond['n']} images in {test.beyond['groups']} groups, "
        f"{test.beyond['positives']} {test.beyond['positive']}"
        for test in tests
    )
    return Table(
        "External test: the source is held out whole",
        f"{counts}. Split: the source held out whole. Rates at the cut-off frozen on the other "
        f"sources; 95 % intervals from {intervals.RESAMPLES} bootstrap resamples by group. "
        "Published: lowest and highest of four systems on three other hospitals, "
        f"{published[0].note}.",
        (_FIRST, *shown[tests[0].source].columns[1:], "AUROC, published"),
        tuple(
            (f"{source}: {name}", *figures, "–" if name == BASELINE else _range(published))
            for source, table in shown.items()
            for name, *figures in table.rows
        ),
    )


def drops(tests: Tests, inside: pd.DataFrame, positive: str) -> Table:
    """Compare the AUROC inside and outside, on different and on the same images.

    Parameters
    ----------
    tests : sequence of Test
        From `held_out.freeze`.
    inside : DataFrame
        Out-of-fold scores of all sources.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Table
        One row a source and system.
    """
    rows = []
    for test in tests:
        for head in _in_all(test.outside, test.inside, inside):
            known, beyond, same = (
                part[part["head"] == head] for part in (test.inside, test.outside, inside)
            )
            cells = (test.within["heads"][head]["auroc"], test.beyond["heads"][head]["auroc"])
            moved = held_out.change(metrics.auroc, known, beyond, positive)
            rows.append(
                (
                    f"{test.source}: {head}",
                    *(with_interval(figure, 3) for figure in cells),
                    gain(moved),
                    gain(_on_the_same_frames(same, beyond, positive)),
                )
            )
    return Table(
        "From internal to external",
        "AUROC inside the other sources, out of fold in grouped folds; on the source held out; "
        "and the change. Those are different images, and sources differ in how hard they are: the "
        "last column compares on the same images, those of the source held out, scored by systems "
        f"that trained on other groups of that source too. {_MOVED}",
        (_FIRST, "Inside the others", "Held out whole", "Change",
         "Change on the same images"),
        tuple(rows),
    )  # fmt: skip


def _in_all(first: pd.DataFrame, *others: pd.DataFrame) -> list[str]:
    """List the heads that no failure took from any of the tables."""
    known = set(first["head"]).intersection(*(set(each["head"]) for each in others))
    return [head for head in dict.fromkeys(first["head"]) if head in known]


def _on_the_same_frames(inside: pd.DataFrame, beyond: pd.DataFrame, positive: str) -> Interval:
    """Compute what a system loses on a source because it was held out."""
    known = inside.set_index("path")["score"].reindex(beyond["path"]).to_numpy()
    return intervals.paired_group_bootstrap(
        metrics.auroc, beyond["label"] == positive, beyond["score"], known, beyond["group"]
    )


def cutoffs(tests: Tests, positive: str) -> Table:
    """Show how the rates move when the cut-off travels to the source held out.

    Parameters
    ----------
    tests : sequence of Test
        From `held_out.freeze`.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Table
        One row a source and system.
    """
    rates = {name: partial(getattr(metrics, name), threshold=0.5) for name in _RATES}
    rows = []
    for test in tests:
        for head, cutoff in test.cutoffs.items():
            parts = held_out.decided(test, head, positive)
            cells = []
            for name, rate in rates.items():
                both = (test.within["heads"][head][name], test.beyond["heads"][head][name])
                cells += [with_interval(figure, 1, scale=100) for figure in both]
                cells.append(gain(held_out.change(rate, *parts, positive), 1, scale=100))
            rows.append((f"{test.source}: {head}", f"{cutoff:.3f}", *cells))
    columns = [f"{name.capitalize()} {where}" for name in _RATES for where in _WHERE]
    return Table(
        "How the frozen cut-off travels",
        "The cut-off is the Youden point of the out-of-fold scores inside the other sources, their "
        "grouped validation. Inside: rates out of fold, at the Youden point of the other folds. "
        f"Held out: rates of the source held out, at the cut-off. {_MOVED}",
        (_FIRST, "Cut-off, 0–1", *columns),
        tuple(rows),
    )


def to_result(summary: dict[str, Any], tests: Tests, systems: Sequence[str]) -> Result:
    """Make the table that a README shows.

    Parameters
    ----------
    summary : dict
        Of the internal test, from `report.summarise`.
    tests : sequence of Test
        From `held_out.freeze`.
    systems : sequence of str
        Their names, the largest last: the one that external tests show.

    Returns
    -------
    Result
        The internal test, the external ones in the order of the columns, and the baseline.
    """
    titles = setting.SOURCES
    order = list(titles)
    known = sorted((test for test in tests if test.source in order),
                   key=lambda test: order.index(test.source))  # fmt: skip
    others = [test for test in tests if test.source not in order]
    largest = systems[-1]
    external = [
        (f"external, {titles.get(test.source, test.source).removesuffix(' frames')} held out: "
         f"{largest}", test.beyond, largest)
        for test in (*known, *others)
    ]  # fmt: skip
    return results.by_source(
        [
            *((f"internal: {system}", summary, system) for system in systems),
            *external,
            (BASELINE, summary, BASELINE),
        ],
        titles,
        what="AUROC inside the sources that were trained on, and on a source that was held out "
        "whole.",
        made_by="python -m thyro_demo study P4 --data sets",
        split=f"{setting.SPLIT}; external: whole sources",
        note="External rows: one source held out whole, trained on the others.",
    )


def draw_sources(
    tests: Tests, inside: pd.DataFrame, internal: Range, external: Range, positive: str
) -> Figure:
    """Draw the AUROC of each system on each source, known and held out.

    Parameters
    ----------
    tests : sequence of Test
        From `held_out.freeze`.
    inside : DataFrame
        Out-of-fold scores of all sources.
    internal, external : sequence of Published
        Lowest and highest.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Figure
        One panel a source.
    """
    heads = list(dict.fromkeys(inside["head"]))
    height = 0.9 + (0.5 + 0.32 * len(heads)) * len(tests)
    figure = Figure(figsize=(4.8, height), layout="constrained")
    panels = figure.subplots(len(tests), 1, sharex=True, squeeze=False)[:, 0]
    for axes, test in zip(panels, tests, strict=True):
        for published, colour in ((internal, _INSIDE), (external, _OUTSIDE)):
            axes.axvspan(*(row.auroc for row in published), color=colour, alpha=0.15, linewidth=0)
        mine = inside[inside["source"] == test.source]
        for row, head in enumerate(heads):
            for rows, shift, colour, face in (
                (mine, -0.15, _INSIDE, "white"), (test.outside, 0.15, _OUTSIDE, _OUTSIDE)
            ):  # fmt: skip
                found = _auroc(rows[rows["head"] == head], positive)
                draw_interval(axes, row + shift, found, colour, face)
        axes.set_yticks(range(len(heads)), heads, fontsize=10)
        axes.set_ylim(len(heads) - 0.5, -0.5)
        axes.set_title(test.source, fontsize=11, loc="left")
        axes.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("AUROC", fontsize=11)
    return figure


def _auroc(rows: pd.DataFrame, positive: str) -> Interval:
    return intervals.group_bootstrap(
        metrics.auroc, rows["label"] == positive, rows["score"], rows["group"]
    )


def draw_cutoffs(tests: Tests, positive: str) -> Figure:
    """Draw where the frozen cut-off is inside, and where outside.

    Parameters
    ----------
    tests : sequence of Test
        From `held_out.freeze`.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Figure
        ROC curves of the largest system.
    """
    figure = Figure(figsize=(4.8, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    for colour, test in zip(itertools.cycle(COLOURS), tests, strict=False):
        largest = list(test.cutoffs)[-1]
        for rows, style in ((test.inside, "--"), (test.outside, "-")):
            mine = rows[rows["head"] == largest]
            points = curves.roc_points(mine["label"] == positive, mine["score"])
            held = test.source if style == "-" else None
            axes.plot(points.false_positive_rate, points.true_positive_rate, style, color=colour,
                      linewidth=1.5, label=held)  # fmt: skip
        for part, face in zip(
            held_out.decided(test, largest, positive), ("white", colour), strict=True
        ):
            labels, scores = part["label"] == positive, part["score"]
            x = 1 - metrics.specificity(labels, scores, 0.5)
            y = metrics.sensitivity(labels, scores, 0.5)
            axes.plot(x, y, "o", color=colour, markerfacecolor=face, markersize=8, zorder=3)
    axes.set(xlabel="1 − specificity", ylabel="Sensitivity", aspect="equal")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(tests), frameon=False, title="Held out")
    return figure
