"""The figures of a report, drawn to be read on a phone as well as on paper.

Each figure is 4.8 inches wide with letters of 10 to 12 points: shown 350 pixels wide, a
letter is about as high as the text around it. Figures are drawn on their own `Figure`
objects; no state of pyplot is touched.
"""

import io
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thyro_demo.evaluate import curves, intervals
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.evaluate.palette import BLUE, COLOURS, GREY, LINE_STYLES, ORANGE

FIGURES = ("roc", "pr", "calibration", "confusion", "sources")

_WIDTH = 4.8
_DPI = 200


def draw(table: pd.DataFrame, summary: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw every figure of a report: PNG files by the names in `FIGURES`."""
    painters: dict[str, Callable[[pd.DataFrame, Mapping[str, Any]], Figure]] = {
        "roc": _roc,
        "pr": _pr,
        "calibration": _calibration,
        "confusion": _confusion,
        "sources": _sources,
    }
    return {name: _png(painters[name](table, summary)) for name in FIGURES}


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, facecolor="white")
    return stream.getvalue()


def _heads(table: pd.DataFrame) -> list[tuple[int, str, pd.DataFrame]]:
    return [(i, str(h), rows) for i, (h, rows) in enumerate(table.groupby("head", sort=False))]


def _line(index: int) -> dict[str, Any]:
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
        "linewidth": 2,
    }


def _square(heads: int) -> tuple[Figure, Axes]:
    """Make a square plot of two rates with room for one legend line per head below."""
    side = 3.9
    height = 0.15 + side + 0.6 + _legend_height(heads + 1)
    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.add_axes((0.7 / _WIDTH, 1 - (side + 0.15) / height, side / _WIDTH, side / height))
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def _legend_height(lines: int) -> float:
    return 0.15 + 0.235 * lines


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", fontsize=11, frameon=False)


def _roc(table: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    heads = _heads(table)
    figure, axes = _square(len(heads))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="guessing  0.50")
    for index, head, rows in heads:
        labels, scores = rows["positive"].to_numpy(), rows["score"].to_numpy()
        points = curves.roc_points(labels, scores)
        rates, low, high = intervals.roc_band(
            labels,
            scores,
            rows["group"].to_numpy(),
            resamples=summary["interval"]["resamples"],
            seed=summary["interval"]["seed"],
        )
        line = _line(index)
        axes.fill_between(rates, low, high, color=line["color"], alpha=0.15, linewidth=0)
        axes.plot(
            points.false_positive_rate,
            points.true_positive_rate,
            label=f"{head}  {with_interval(summary['heads'][head]['auroc'])}",
            **line,
        )
    axes.set_xlabel("1 − specificity", fontsize=12)
    axes.set_ylabel("Sensitivity", fontsize=12)
    _legend(figure, axes)
    return figure


def _pr(table: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    heads = _heads(table)
    figure, axes = _square(len(heads))
    prevalence = summary["positives"] / summary["n"]
    axes.axhline(
        prevalence,
        color=GREY,
        linewidth=1,
        linestyle=":",
        label=f"guessing (prevalence)  {prevalence:.2f}",
    )
    for index, head, rows in heads:
        points = curves.pr_points(rows["positive"], rows["score"])
        axes.step(
            points.recall,
            points.precision,
            where="pre",
            label=f"{head}  {with_interval(summary['heads'][head]['average_precision'])}",
            **_line(index),
        )
    axes.set_xlabel("Sensitivity (recall)", fontsize=12)
    axes.set_ylabel("Precision", fontsize=12)
    _legend(figure, axes)
    return figure


def _calibration(table: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    heads = _heads(table)
    legend = _legend_height(len(heads) + 1)
    height = 5.3 + legend
    figure = Figure(figsize=(_WIDTH, height))
    left, width = 0.7 / _WIDTH, 3.9 / _WIDTH
    axes = figure.add_axes((left, (1.65 + legend) / height, width, 3.5 / height))
    histogram = figure.add_axes((left, (0.6 + legend) / height, width, 0.9 / height))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="perfect  ECE 0.00")
    for index, head, rows in heads:
        bins = curves.calibration_bins(rows["positive"], rows["score"])
        filled = bins.rows > 0
        axes.plot(
            bins.score[filled],
            bins.observed[filled],
            marker="o",
            markersize=5,
            label=f"{head}  ECE {with_interval(summary['heads'][head]['ece'])}",
            **_line(index),
        )
        histogram.stairs(
            bins.rows, bins.edges, **{k: v for k, v in _line(index).items() if k != "linewidth"}
        )
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.tick_params(labelbottom=False)
    axes.set_ylabel(f"Observed {summary['positive']}", fontsize=12)
    histogram.set(xlim=(-0.01, 1.01))
    histogram.set_xlabel("Model score", fontsize=12)
    histogram.set_ylabel("Images", fontsize=12)
    _plain(axes)
    _plain(histogram)
    figure.align_ylabels([axes, histogram])
    _legend(figure, axes)
    return figure


def _confusion(table: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    heads = [head for head, part in summary["heads"].items() if part["confusion"] is not None]
    if not heads:
        figure = Figure(figsize=(_WIDTH, 1))
        figure.text(0.5, 0.5, "No head has a threshold", ha="center", va="center", fontsize=12)
        return figure
    across = min(2, len(heads))
    down = -(-len(heads) // across)
    figure = Figure(figsize=(_WIDTH, 2.6 * down if across == 2 else 3.9), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    others = table.loc[~table["positive"], "label"]
    names = [str(others.iloc[0]) if len(others) else "other", summary["positive"]]
    for axes, head in zip(panels.flat, heads, strict=False):
        counts, threshold = (summary["heads"][head][key] for key in ("confusion", "threshold"))
        draw_matrix(axes, np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]]))
        axes.set_title(textwrap.fill(f"{head} ≥ {threshold:.2f}", 20), fontsize=11)
        axes.set_xticks([0, 1], names, fontsize=10)
        axes.set_yticks([0, 1], names, fontsize=10, rotation=90, va="center")
    for axes in panels.flat[len(heads) :]:
        axes.set_axis_off()
    figure.supxlabel("Called by the model", fontsize=12)
    figure.supylabel("Label", fontsize=12)
    return figure


def draw_matrix(axes: Axes, counts: np.ndarray) -> None:
    """Draw a confusion matrix: counts, and shares of each row, of ((tn, fp), (fn, tp))."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros((2, 2)), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(counts):
        share = f"\n{shares[row, column]:.0%}" if totals[row, 0] else ""
        axes.text(
            column,
            row,
            f"{count}{share}",
            ha="center",
            va="center",
            fontsize=12,
            color="white" if shares[row, column] > 0.55 else "black",
        )


def _sources(table: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    heads = _heads(table)
    sources = list(summary["heads"][heads[0][1]]["by_source"])
    panel = 0.45 + 0.62 * len(sources)
    figure = Figure(figsize=(_WIDTH, panel * len(heads) + 0.8), layout="constrained")
    panels = figure.subplots(len(heads), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (_, head, rows) in zip(panels, heads, strict=True):
        _strips(axes, rows, sources)
        threshold = summary["heads"][head]["threshold"]
        if threshold is not None:
            axes.axvline(threshold, color="black", linewidth=1.2, linestyle="--")
        axes.set(xlim=(-0.02, 1.02), ylim=(len(sources) - 0.4, -0.6))
        axes.set_title(head, fontsize=12, loc="left")
        axes.set_yticks(range(len(sources)), sources, fontsize=11)
        _plain(axes)
    panels[-1].set_xlabel("Model score", fontsize=12)
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        unique = dict(zip(names, handles, strict=True))
        figure.legend(
            unique.values(),
            unique.keys(),
            loc="outside lower center",
            ncols=2,
            fontsize=11,
            frameon=False,
            markerscale=4,
        )
    return figure


def _strips(axes: Axes, rows: pd.DataFrame, sources: list[str]) -> None:
    generator = np.random.default_rng(0)
    for place, source in enumerate(sources):
        for shift, colour, positive in ((-0.2, BLUE, False), (0.2, ORANGE, True)):
            part = rows[(rows["source"] == source) & (rows["positive"] == positive)]
            if part.empty:
                continue
            at = place + shift
            axes.scatter(
                part["score"],
                at + generator.uniform(-0.13, 0.13, len(part)),
                s=5,
                alpha=0.35,
                color=colour,
                linewidths=0,
                label=str(part["label"].iloc[0]),
            )
            axes.boxplot(
                part["score"],
                positions=[at],
                widths=0.3,
                orientation="horizontal",
                showfliers=False,
                showcaps=False,
                manage_ticks=False,
                boxprops={"color": colour, "linewidth": 1.4},
                whiskerprops={"color": colour, "linewidth": 1},
                medianprops={"color": "black", "linewidth": 1.6},
            )
