"""Compose a comparison into one picture for a slide or a notebook."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from thyro_demo.engine import NOTICE, Comparison, Prediction
from thyro_demo.explain.overlay import overlay
from thyro_demo.ui.catalogue import figure as written
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.pictures import blank
from thyro_demo.ui.results import wording
from thyro_demo.ui.sentences import said

_ABOVE, _BELOW, _INK = "#b4530a", "#0f6b74", "#16232b"
_WIDTH = 12.0
_HEAD, _LINE, _FOOT = 1.0, 0.32, 0.6
_TITLE = 0.35
_STEEPEST, _TALLEST = 2.0, 60.0
"""Height of a tile in its widths, and inches of all rows of them, at most."""


def compose(
    comparison: Comparison,
    maps: Sequence[Prediction],
    titles: Mapping[str, str],
    opacity: float,
    colormap: str,
) -> bytes:
    """Draw frame, heatmaps in their order, and scores as a PNG file, 1,800 pixels wide."""
    pictures = _pictures(comparison, maps, titles, opacity, colormap)
    columns = min(len(pictures), 4)
    rows = -(-len(pictures) // columns)
    heights = [
        _HEAD,
        _height(comparison.frame.shape, rows, columns),
        _LINE * (len(comparison.predictions) + 1),
        _FOOT,
    ]
    figure = Figure((_WIDTH, sum(heights)), dpi=150, layout="constrained")
    head, body, bars, foot = figure.subfigures(4, 1, squeeze=False, height_ratios=heights)[:, 0]
    _write_head(head, comparison)
    _draw_pictures(body.subplots(rows, columns, squeeze=False).ravel(), pictures)
    _draw_scores(bars.subplots(), comparison.predictions, titles)
    foot.text(0.01, 0.5, said(NOTICE), fontsize=9, color=_INK, va="center")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return stream.getvalue()


def _height(shape: tuple[int, ...], rows: int, columns: int) -> float:
    """Return inches for rows of frames of a shape (H, W, 3).

    A strip would else take gigabytes; within a tile that is too low for it a picture is narrower.
    """
    tile = _WIDTH / columns * min(shape[0] / shape[1], _STEEPEST) + _TITLE
    return min(rows * tile, _TALLEST)


def _pictures(
    comparison: Comparison,
    maps: Sequence[Prediction],
    titles: Mapping[str, str],
    opacity: float,
    colormap: str,
) -> list[tuple[str, np.ndarray]]:
    text = words("compare")["figure"]
    return [(text["frame"], comparison.frame)] + [
        (
            f"{titles[shown.model]} · {wording(shown).head} · {wording(shown).score}"
            + (f" · {text['empty']}" if blank(shown.heatmap) else ""),
            overlay(comparison.frame, shown.heatmap, opacity, colormap),
        )
        for shown in maps
        if shown.heatmap is not None
    ]


def _write_head(head: SubFigure, comparison: Comparison) -> None:
    title = words("compare")["figure"]["title"]
    head.text(0.01, 0.75, title, fontsize=15, weight="bold", color=_INK)
    lines = "\n".join(said(line) for line in [*comparison.notices, comparison.agreement])
    head.text(0.01, 0.35, lines, fontsize=9.5, color=_INK, va="center", wrap=True)


def _draw_pictures(places: Sequence[Axes], pictures: Sequence[tuple[str, np.ndarray]]) -> None:
    """Fill the grid in reading order; places that are left over stay empty."""
    for axes in places:
        axes.axis("off")
    for axes, (title, picture) in zip(places, pictures, strict=False):
        axes.set_title(title, fontsize=9, color=_INK)
        axes.imshow(picture)


def _draw_scores(axes: Axes, predictions: Sequence[Prediction], titles: Mapping[str, str]) -> None:
    """Draw one bar a head, with its threshold marked and its side of it in words."""
    lines = np.arange(len(predictions))
    colours = [_ABOVE if shown.positive else _BELOW for shown in predictions]
    axes.barh(lines, [shown.score for shown in predictions], 0.55, color=colours)
    axes.vlines(
        [shown.threshold for shown in predictions], lines - 0.4, lines + 0.4, _INK, linewidth=2
    )
    rounded = [wording(shown) for shown in predictions]
    for line, each in enumerate(rounded):
        axes.text(1.01, line, f"{each.score}  {each.side}", fontsize=8.5, va="center")
    names = [
        f"{titles[shown.model]} · {each.head}"
        for shown, each in zip(predictions, rounded, strict=True)
    ]
    axes.set_yticks(lines, names, fontsize=8.5)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda at, _: written(f"{at:.1f}"))
    axes.set_xlabel(words("compare")["figure"]["axis"], fontsize=8.5)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
