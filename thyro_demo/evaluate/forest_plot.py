"""The plot of figures with intervals: one row a figure, one panel or several."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thyro_demo.evaluate.formatting import Estimate, ends, with_interval
from thyro_demo.evaluate.palette import BLUE, GREY


def forest_plot(
    panels: Mapping[str, Mapping[str, Estimate]],
    axis: str,
    *,
    reference: float | None = None,
    colours: Sequence[str] = (BLUE,),
    decimals: int | None = None,
    size: tuple[float, float] | None = None,
) -> Figure:
    """Draw figures one under the other, each with its interval.

    Parameters
    ----------
    panels : mapping of str to mapping
        Title to the figures of one panel: name of the row to value, low and high, see
        `formatting.Estimate`. A row without a value is left out; an empty title is not drawn.
        Panels are side by side and share their rows, named at the left, the first on top.
    axis : str
        What the horizontal axis measures, with its unit or range.
    reference : float, optional
        Where to draw a dashed line: what guessing reaches, or "no difference".
    colours : sequence of str
        Rows take them in turn.
    decimals : int, optional
        Write each figure with as many digits under the name of its row. For one panel.
    size : (float, float), optional
        Width and height in inches; by default they follow panels and rows.

    Returns
    -------
    Figure
        Not known to pyplot; its `axes` are the panels, for what a caller adds.
    """
    known = {title: _known(rows) for title, rows in panels.items()}
    names = list(dict.fromkeys(name for rows in known.values() for name in rows))
    row_height = 0.32 if decimals is None else 0.42
    size = size or (4.5 + 2.5 * len(known), 1.1 + row_height * len(names))
    figure = Figure(figsize=size, layout="constrained")
    drawn = figure.subplots(1, len(known), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, rows) in zip(drawn, known.items(), strict=True):
        if reference is not None:
            axes.axvline(reference, color=GREY, linestyle="--", linewidth=1)
        for name, estimate in rows.items():
            place = names.index(name)
            draw_interval(axes, place, estimate, colours[place % len(colours)])
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
    labels = names
    if decimals is not None:
        (rows,) = known.values()
        labels = [f"{name}\n{with_interval(rows[name], decimals)}" for name in names]
    drawn[0].set_yticks(range(len(names)), labels)
    drawn[0].set_ylim(len(names) - 0.5, -0.5)
    if len(known) == 1:
        drawn[0].set_xlabel(axis)
    elif axis:
        figure.supxlabel(axis)
    return figure


def _known(rows: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {name: estimate for name, estimate in rows.items() if ends(estimate)[0] is not None}


def draw_interval(
    axes: Axes, place: float, estimate: Estimate, colour: str = BLUE, face: str | None = None
) -> None:
    """Draw one figure with its interval into a plot.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    place : float
        Of the row, on the vertical axis.
    estimate : mapping or sequence of (float or None)
        Value, low and high, see `formatting.Estimate`; what is undefined is not drawn.
    colour : str
        Of point and line.
    face : str, optional
        Of the inside of the point, where it differs.
    """
    value, low, high = np.array(ends(estimate), float)
    axes.plot([low, high], [place, place], color=colour, linewidth=2)
    axes.plot([value], [place], "o", color=colour, markerfacecolor=face or colour, markersize=7)
