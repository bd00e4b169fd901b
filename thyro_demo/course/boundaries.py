"""Chapter 4, heads in pictures: the boundary of each kind, and what its settings do."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.special import expit
from sklearn.base import ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thyro_demo.course.show import BLUE, ORANGE
from thyro_demo.data.splits import grouped_folds
from thyro_demo.evaluate import metrics
from thyro_demo.training.out_of_fold import CLASSES

_COLOURS = LinearSegmentedColormap.from_list("benign to malignant", [BLUE, "white", ORANGE])


def plane(rows: np.ndarray) -> np.ndarray:
    """Project features to the plane in which they differ most, for pictures alone.

    Parameters
    ----------
    rows : ndarray of float (n, d)
        Features, d ≥ 2.

    Returns
    -------
    ndarray of float64 (n, 2)
        The first two principal components of the standardised features, each with mean 0 and
        standard deviation 1.
    """
    wide = make_pipeline(StandardScaler(), PCA(2, random_state=0), StandardScaler())
    return wide.fit_transform(np.asarray(rows, np.float64))


def draw_boundary(
    axes: Axes, model: ClassifierMixin, points: np.ndarray, labels: np.ndarray, title: str
) -> None:
    """Draw the score of a fitted head everywhere in a plane, and the frames it was fitted on.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    model : classifier
        Fitted on `points`.
    points : ndarray of float (n, 2)
        From `plane`.
    labels : ndarray of int (n,)
        1 for malignant.
    title : str
        Of the picture.
    """
    low, high = points.min(axis=0) - 0.4, points.max(axis=0) + 0.4
    across, up = (np.linspace(low[axis], high[axis], 90) for axis in (0, 1))
    everywhere = np.stack(np.meshgrid(across, up), axis=-1)
    scores = raw_scores(model, everywhere.reshape(-1, 2)).reshape(everywhere.shape[:2])
    levels = np.linspace(0, 1, 11)
    axes.contourf(across, up, scores, levels, cmap=_COLOURS, alpha=0.6)
    if scores.min() < 0.5 < scores.max():
        axes.contour(across, up, scores, [0.5], colors="black", linewidths=1.2)
    for value, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "^")):
        mine = points[labels == value]
        axes.scatter(
            mine[:, 0], mine[:, 1], s=22, color=colour, marker=marker, edgecolor="white",
            linewidth=0.5, label=CLASSES[value],
        )  # fmt: skip
    axes.set(title=title, xlabel="First component", ylabel="Second component")


def raw_scores(model: ClassifierMixin, points: np.ndarray) -> np.ndarray:
    """Score points (n, d) before calibration, 0–1; a decision value of 0 becomes 0.5."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(points)[:, 1]
    return expit(model.decision_function(points))


class Judgement(NamedTuple):
    """How well a head separates frames that it was fitted on, and frames that it was not.

    Parameters
    ----------
    learned : float
        AUROC on the frames it was fitted on.
    inner : float
        Mean AUROC over grouped inner folds, each scored by a head fitted on the others.
    """

    learned: float
    inner: float


def judge(
    model: ClassifierMixin,
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
) -> Judgement:
    """Evaluate a head on frames it was fitted on, and on those held out in grouped folds.

    Parameters
    ----------
    model : classifier
        Its settings; a fit of it is not used.
    rows : ndarray of float (n, d)
        Features of the training part.
    labels : ndarray of int (n,)
        1 for malignant.
    groups : ndarray (n,)
        Kept whole by the folds.
    folds : int
        Inner folds.

    Returns
    -------
    Judgement
        Both figures, 0–1; `inner` is NaN where an inner fold has one class alone.
    """
    own = metrics.auroc(labels, raw_scores(clone(model).fit(rows, labels), rows))
    reached = [
        metrics.auroc(
            labels[held], raw_scores(clone(model).fit(rows[known], labels[known]), rows[held])
        )
        for known, held in grouped_folds(labels, groups, folds, seed=0)
    ]
    return Judgement(float(own), float(np.mean(reached)))


def search(
    model: ClassifierMixin,
    settings: Mapping[str, Sequence[float]],
    rows: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
) -> pd.DataFrame:
    """Try every pair of two settings of a head.

    Parameters
    ----------
    model : classifier
        The head.
    settings : mapping of str to sequence of float
        Two settings and their values, as `set_params` takes them.
    rows, labels, groups : ndarray
        As for `judge`.

    Returns
    -------
    DataFrame
        One row a pair: the two settings, `learned` and `inner`, see `Judgement`.
    """
    tried = []
    for values in product(*settings.values()):
        chosen: dict[str, Any] = dict(zip(settings, values, strict=True))
        found = judge(clone(model).set_params(**chosen), rows, labels, groups)
        tried.append(chosen | found._asdict())
    return pd.DataFrame(tried)


def draw_search(tried: pd.DataFrame, names: Mapping[str, str], title: str) -> Figure:
    """Draw the AUROC of each pair of settings on the fitted frames and in the inner folds.

    Parameters
    ----------
    tried : DataFrame
        From `search`.
    names : mapping of str to str
        Column of each setting to the name of its axis; rows first.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        Two tables in colour, the chosen pair framed in the second.
    """
    (row, row_name), (column, column_name) = names.items()
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    asked = (("learned", "Asked about frames it learned from"), ("inner", "Inner folds: new ones"))
    for axes, (key, head) in zip(panels, asked, strict=True):
        table = tried.pivot(index=row, columns=column, values=key)
        picture = axes.imshow(table, cmap="viridis", vmin=0.4, vmax=1, aspect="auto")
        for (down, across), value in np.ndenumerate(table.to_numpy()):
            dark = value < 0.8
            axes.text(
                across, down, f"{value:.2f}", ha="center", va="center",
                color="white" if dark else "black",
            )  # fmt: skip
        axes.set(title=head, xlabel=column_name, ylabel=row_name)
        axes.set_xticks(range(table.shape[1]), [f"{value:g}" for value in table.columns])
        axes.set_yticks(range(table.shape[0]), [f"{value:g}" for value in table.index])
    table = tried.pivot(index=row, columns=column, values="inner").to_numpy()
    down, across = np.unravel_index(np.argmax(table), table.shape)
    panels[1].plot(across, down, "s", markersize=34, fillstyle="none", color=ORANGE, mew=3)
    figure.colorbar(picture, ax=panels, label="AUROC (0–1)")
    figure.suptitle(title)
    return figure
