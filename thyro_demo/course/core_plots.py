"""Pictures of chapter 0b, the core in plain Keras."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.course.core import HEADS
from thyro_demo.data import scan_area
from thyro_demo.evaluate import curves, metrics
from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.formatting import number
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.evaluate.palette import BLUE, GREEN, GREY, ORANGE
from thyro_demo.evaluate.plots import draw_matrix
from thyro_demo.models.backbones import backbone

_LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."))


def enlarged(heatmap: np.ndarray, side: int) -> np.ndarray:
    """Enlarge a heatmap, float32 (h, w), bilinearly to (side, side)."""
    return scan_area.place(heatmap, scan_area.Box(0, 0, side, side), (side, side))


def draw_samples(sets: Sequence[tuple[np.ndarray, pd.Series]]) -> Figure:
    """Draw the first image of each class of some sets.

    Parameters
    ----------
    sets : sequence of (ndarray of uint8 (n, s, s, 3), Series of str)
        Images and their labels.

    Returns
    -------
    Figure
        Side by side, in the order of the sets.
    """
    first = [(x, y, row) for x, y in sets for row in (~y.duplicated()).to_numpy().nonzero()[0]]
    figure = Figure(figsize=(3.2 * len(first), 3.5), layout="constrained")
    for axes, (x, y, row) in zip(figure.subplots(1, len(first)), first, strict=True):
        axes.imshow(x[row])
        axes.set(title=y.iloc[row], xlabel="Across (pixels)", ylabel="Down (pixels)")
        axes.label_outer()
    figure.suptitle("One image of each class, as the networks see it")
    return figure


def draw_history(histories: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw loss and accuracy by epoch, one column a stage.

    Parameters
    ----------
    histories : mapping of str to mapping
        Title of a stage to its history as Keras returns it, with the entry "unfrozen", the number
        of epochs before the last block was unfrozen.

    Returns
    -------
    Figure
        Two rows: loss above, accuracy below.
    """
    figure = Figure(figsize=(4.6 * len(histories), 5.4), layout="constrained")
    grid = figure.subplots(2, len(histories), sharex="col", sharey="row", squeeze=False)
    for column, (title, history) in zip(grid.T, histories.items(), strict=True):
        for axes, measure in zip(column, ("loss", "accuracy"), strict=True):
            epochs = np.arange(1, len(history[measure]) + 1)
            axes.plot(epochs, history[measure], "o-", color=GREY, label="training")
            axes.plot(epochs, history[f"val_{measure}"], "s-", color=BLUE, label="validation")
            axes.axvline(history["unfrozen"] + 0.5, color=ORANGE, linestyle="--", label="unfrozen")
            axes.xaxis.get_major_locator().set_params(integer=True)
        column[0].set_title(title)
        column[1].set_xlabel("Epoch")
    grid[0, 0].set_ylabel("Loss (cross-entropy, nats)")
    grid[1, 0].set_ylabel("Accuracy (0–1)")
    grid[0, 0].legend()
    figure.suptitle("Loss and accuracy, stage by stage")
    return figure


def draw_verdict(labels: np.ndarray, scores: Mapping[str, np.ndarray], point: float) -> Figure:
    """Draw the ROC curve of each head, and the confusion matrix of the first.

    Parameters
    ----------
    labels : ndarray of int (n,)
        1 for malignant.
    scores : mapping of str to ndarray of float (n,)
        By head.
    point : float
        Operating point of the first head, chosen on validation frames.

    Returns
    -------
    Figure
        ROC curves at the left, the matrix at the right.
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], ":", color=GREY, label="guessing 0.50")
    for (head, found), (colour, style) in zip(scores.items(), _LINES, strict=False):
        roc = curves.roc_points(labels, found)
        area = number(float(metrics.auroc(labels, found)))
        left.plot(roc.false_positive_rate, roc.true_positive_rate, style, color=colour,
                  linewidth=2, label=f"{head} {area}")  # fmt: skip
    first, found = next(iter(scores.items()))
    cells = metrics.confusion(labels, found, point)
    caught = cells["tp"] / max(cells["tp"] + cells["fn"], 1)
    alarms = cells["fp"] / max(cells["fp"] + cells["tn"], 1)
    left.plot(alarms, caught, "o", color=_LINES[0][0], markersize=9, label="operating point")
    left.set(title="ROC curve, test frames", aspect="equal")
    left.set(xlabel="1 − specificity", ylabel="Sensitivity")
    left.legend(loc="lower right")
    draw_matrix(right, np.array([[cells["tn"], cells["fp"]], [cells["fn"], cells["tp"]]]))
    right.set_xticks([0, 1], ["benign", "malignant"])
    right.set_yticks([0, 1], ["benign", "malignant"])
    right.set(title=f"Confusion matrix of {first}, threshold {number(point)}")
    right.set(xlabel="Predicted", ylabel="Labelled")
    return figure


def draw_grid(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the AUROC of every network, head and chain, with its interval.

    Parameters
    ----------
    rows : sequence of mapping
        As for `core.beside_published`.

    Returns
    -------
    Figure
        One panel a network.
    """
    panels: dict[str, dict[str, Interval]] = {}
    # Head by head, so that the chains take the two colours in turn.
    for row in sorted(rows, key=lambda row: list(HEADS).index(row["head"])):
        panel = panels.setdefault(backbone(row["network"]).title, {})
        chain = "progressive" if row["chain"] == "progressive" else "start only"
        panel[f"{row['head']}, {chain}"] = row["AUROC"]
    figure = forest_plot(
        panels, "AUROC on test frames, 95 % interval (dashed line: guessing)",
        reference=0.5, colours=(GREY, BLUE),
    )  # fmt: skip
    figure.axes[0].set_ylabel("Head and chain")
    if len(panels) == 1:
        figure.set_size_inches(8.5, 3.4)
    return figure
