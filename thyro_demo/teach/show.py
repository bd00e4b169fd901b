"""Pictures that several chapters share: frames in millimetres, heatmaps, figures with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thyro_demo.evaluate.plots import with_interval
from thyro_demo.explain.overlay import overlay

OUTLINE, BLUE, ORANGE, GREEN, GREY = "#56B4E9", "#0072B2", "#D55E00", "#009E73", "#888888"
"""Colours of the course, told apart in every kind of colour vision (Okabe & Ito 2008)."""


def picture(figure: Figure) -> None:
    """Show a picture in a notebook, once it says what it shows.

    Parameters
    ----------
    figure : Figure
        Every pair of axes has a title, or the figure has one for all, and both axes have names,
        or are switched off.

    Raises
    ------
    ValueError
        If a title or a name is missing: nobody can read such a picture.
    """
    # A notebook brings IPython along; nothing else needs it.
    from IPython.display import display

    headed = bool(figure.get_suptitle())
    for axes in figure.axes:
        named = not axes.axison or (
            axes.get_label() == "<colorbar>" or (axes.get_xlabel() and axes.get_ylabel())
        )
        if not named or not (headed or axes.get_title() or axes.get_label() == "<colorbar>"):
            raise ValueError(
                "A picture of the course has a title and names on its axes. Received: "
                f"title={axes.get_title()!r}, x={axes.get_xlabel()!r}, y={axes.get_ylabel()!r}"
            )
    display(figure)
    plt.close(figure)


def frame(
    axes: Axes,
    image: np.ndarray,
    title: str,
    mask: np.ndarray | None = None,
    spacing_mm: float | None = None,
    heatmap: np.ndarray | None = None,
) -> None:
    """Show a frame, its nodule outlined, with a heatmap over it.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        Grey or RGB, 0–255.
    title : str
        Of the picture.
    mask : ndarray of bool, shape (H, W), optional
        The nodule.
    spacing_mm : float, optional
        Millimetres a pixel; axes are in pixels without it.
    heatmap : ndarray of float32, shape (H, W), optional
        0–1, in the frame's coordinates.
    """
    shown = np.dstack([image] * 3) if image.ndim == 2 else image
    if heatmap is not None:
        shown = overlay(shown, heatmap, 0.6)
    scale = 1.0 if spacing_mm is None else spacing_mm
    high, wide = scale * np.array(image.shape[:2])
    axes.imshow(shown, extent=(0, wide, high, 0))
    if mask is not None and mask.any() and not mask.all():
        # `contour` counts rows upward where `imshow` counts them downward.
        axes.contour(mask, levels=[0.5], colors=OUTLINE, linewidths=1.2, extent=(0, wide, 0, high))
    unit = "pixels" if spacing_mm is None else "mm"
    axes.set(title=title, xlabel=f"Across ({unit})", ylabel=f"Depth ({unit})")


def intervals(
    figures: Mapping[str, Mapping[str, float | None]],
    title: str,
    unit: str,
    reference: float | None = 0.5,
    colours: Sequence[str] = (BLUE,),
) -> Figure:
    """Draw figures one under the other, each with its interval and its numbers.

    Parameters
    ----------
    figures : mapping of str to mapping
        Name to `value`, `low` and `high`, as summaries and `Interval._asdict()` have them; rows
        without a value are left out.
    title : str
        Of the picture.
    unit : str
        What the axis measures, with its range.
    reference : float, optional
        Where to draw a dashed line: what guessing reaches, or "no difference".
    colours : sequence of str
        Taken in turn.

    Returns
    -------
    Figure
        For `picture`.
    """
    rows = {name: found for name, found in figures.items() if found["value"] is not None}
    drawn = Figure(figsize=(8, 1.3 + 0.36 * len(rows)), layout="constrained")
    axes = drawn.subplots()
    if reference is not None:
        axes.axvline(reference, color=GREY, linestyle="--", linewidth=1)
    for place, (name, found) in enumerate(rows.items()):
        colour = colours[place % len(colours)]
        if found["low"] is not None:
            axes.plot([found["low"], found["high"]], [place] * 2, color=colour, linewidth=3)
        axes.plot(found["value"], place, "o", color=colour, markersize=8)
        axes.annotate(
            f"{name}: {with_interval(found)}",
            (0, place),
            (0, 7),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=9,
        )
    axes.set(title=title, xlabel=unit, ylabel="One row each", yticks=[])
    axes.set_ylim(len(rows) - 0.4, -0.8)
    return drawn


def curves(history: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw how the loss fell in training and on the validation part.

    Parameters
    ----------
    history : sequence of mapping
        Rows of `transfer.train_stage`, with `epoch`, `loss` and `validation_loss`.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        Losses by epoch.
    """
    drawn = Figure(figsize=(7, 3.6), layout="constrained")
    axes = drawn.subplots()
    epochs = [row["epoch"] for row in history]
    for key, name, colour in (
        ("loss", "training", GREY),
        ("validation_loss", "validation", BLUE),
    ):
        axes.plot(epochs, [row[key] for row in history], "o-", color=colour, label=name)
    axes.set(title=title, xlabel="Epoch", ylabel="Loss (cross-entropy, nats)")
    axes.legend()
    return drawn
