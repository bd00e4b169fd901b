"""Pictures that several chapters share: frames in millimetres, heatmaps, figures with intervals.

The colours are those of `evaluate.palette`, at hand here for the notebooks.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.formatting import Estimate
from thyro_demo.evaluate.palette import BLUE, GREEN, GREY, ORANGE, SKY
from thyro_demo.explain.overlay import overlay

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "OUTLINE", "curves", "frame", "intervals", "picture"]

OUTLINE = SKY
"""Colour of a nodule's outline."""


def picture(figure: Figure) -> None:
    """Show a picture in a notebook, provided that it has a title and its axes have names.

    Parameters
    ----------
    figure : Figure
        It has a title, or each pair of axes has one; both directions have a name, unless all
        axes are switched off.

    Raises
    ------
    ValueError
        If a title or a name is missing: nobody can read such a picture.
    """
    # A notebook brings IPython along; nothing else needs it.
    from IPython.display import Image, display

    drawn = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    headed = figure.get_suptitle() or all(axes.get_title() for axes in drawn)
    # Of axes side by side, the outer ones carry the names for all.
    measured = [axes for axes in drawn if axes.axison]
    across = figure.get_supxlabel() or any(axes.get_xlabel() for axes in measured)
    down = figure.get_supylabel() or any(axes.get_ylabel() for axes in measured)
    if not headed or (measured and not (across and down)):
        found = [(axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) for axes in drawn]
        raise ValueError(
            f"A picture of the course must have a title and names on its axes. Received: {found}."
        )
    # Not the figure itself: a kernel that has not opened one yet shows its name instead.
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100, bbox_inches="tight")
    display(Image(png.getvalue()))
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
    figures: Mapping[str, Estimate],
    title: str,
    unit: str,
    reference: float | None = 0.5,
    colours: Sequence[str] = (BLUE,),
) -> Figure:
    """Draw figures one under the other, each with its interval and its numbers.

    Parameters
    ----------
    figures : mapping of str to Estimate
        Name to value, low and high, see `formatting.Estimate`; rows without a value are left out.
    title : str
        Of the picture.
    unit : str
        What the axis measures, with its range.
    reference : float, optional
        Where to draw a dashed line: what guessing reaches, or "no difference".
    colours : sequence of str
        Rows take them in turn.

    Returns
    -------
    Figure
        For `picture`.
    """
    drawn = forest_plot(
        {title: figures}, unit, reference=reference, colours=colours, decimals=2,
        size=(8.5, 1.3 + 0.42 * len(figures)),
    )  # fmt: skip
    drawn.axes[0].set_ylabel("With 95 % interval")
    return drawn


def curves(history: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Draw how the loss fell in training and on the validation part.

    Parameters
    ----------
    history : sequence of mapping
        Rows of `loop.train_stage`, with `epoch`, `loss` and `validation_loss`.
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
