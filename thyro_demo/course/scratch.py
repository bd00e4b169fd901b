"""Chapter 2: what a network computes, step by step, and how well a small one does.

The training that can be watched is in `live`.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.signal import correlate2d
from scipy.special import expit, logit
from tqdm.auto import tqdm

from thyro_demo.course import show
from thyro_demo.course.live import Trained, train
from thyro_demo.data import splits
from thyro_demo.errors import DataError
from thyro_demo.models.pipeline import Augmentation
from thyro_demo.training import out_of_fold

KERNELS: dict[str, np.ndarray] = {
    "average": np.full((5, 5), 1 / 25, np.float32),
    "horizontal edges": np.repeat([[-1], [-1], [0], [1], [1]], 5, axis=1).astype(np.float32) / 10,
    "vertical edges": np.repeat([[-1, -1, 0, 1, 1]], 5, axis=0).astype(np.float32) / 10,
}
"""Filters of 5 × 5 numbers, chosen by hand."""

_LINES = (
    (show.GREY, "-"),
    ("black", ":"),
    (show.BLUE, "-"),
    (show.ORANGE, "-"),
    (show.GREEN, "-"),
    (show.OUTLINE, "-"),
)
_HIGHEST = 2.5  # nats; early epochs may be above, which would press all others together
_SURE = 1e-6


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Slide a filter over an image: at each place multiply, and add up.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
        Any range.
    kernel : ndarray of float32, shape (k, k)
        The filter, not flipped: what networks call a convolution.

    Returns
    -------
    ndarray of float32, shape (H, W)
        The sum at each place; beyond the edge the image counts as 0.

    Examples
    --------
    >>> diagonal = np.eye(3, dtype=np.float32)
    >>> convolve(diagonal, np.full((3, 3), 1 / 3, np.float32)).round(2)
    array([[0.67, 0.67, 0.33],
           [0.67, 1.  , 0.67],
           [0.33, 0.67, 0.67]], dtype=float32)
    """
    return correlate2d(image, kernel, mode="same").astype(np.float32)


def pool(image: np.ndarray, step: int) -> np.ndarray:
    """Keep the largest number of each square.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
        Any range.
    step : int
        Side of the squares; what is left over at the right and at the bottom is dropped.

    Returns
    -------
    ndarray of float32, shape (H // step, W // step)
        The maxima.

    Examples
    --------
    >>> pool(np.arange(16, dtype=np.float32).reshape(4, 4), 2)
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    rows, columns = (side // step for side in image.shape)
    squares = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return squares.max(axis=(1, 3))


def losses(feature: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the loss of a model with one feature and one weight, for many weights.

    Parameters
    ----------
    feature : ndarray of float, shape (n,)
        One number an image.
    positive : ndarray of bool, shape (n,)
        The labels.
    weights : ndarray of float, shape (k,)
        Weights to try.

    Returns
    -------
    ndarray of float64, shape (k,)
        Mean cross-entropy in nats, 0 or more.
    """
    odds = np.multiply.outer(np.asarray(weights, np.float64), feature)
    return np.logaddexp(0, np.where(positive, -odds, odds)).mean(axis=-1)


def descend(
    feature: np.ndarray,
    positive: np.ndarray,
    rate: float,
    epochs: int,
    batch: int | None = None,
    initial: float = -2.0,
    seed: int = 0,
) -> np.ndarray:
    """Walk down the loss of one weight, step by step against the gradient.

    Parameters
    ----------
    feature : ndarray of float, shape (n,)
        One number an image.
    positive : ndarray of bool, shape (n,)
        The labels.
    rate : float
        Learning rate: how far a step goes for a given gradient.
    epochs : int
        Passes over all images.
    batch : int, optional
        Images of one step; all of them without it.
    initial : float
        The initial weight.
    seed : int
        Of the order of images.

    Returns
    -------
    ndarray of float64, shape (steps + 1,)
        The weight before the first step and after each.
    """
    rng, size = np.random.default_rng(seed), len(feature) if batch is None else batch
    walked = [initial]
    for _ in range(epochs):
        order = rng.permutation(len(feature))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            missed = expit(walked[-1] * feature[rows]) - positive[rows]
            walked.append(walked[-1] - rate * float(np.mean(missed * feature[rows])))
    return np.array(walked)


def parts(
    records: pd.DataFrame, few: int, seed: int = 0, share: float = 0.4
) -> dict[str, np.ndarray]:
    """Assign groups to training and validation, and choose a few of the training ones.

    Parameters
    ----------
    records : DataFrame
        Record table with two labels.
    few : int
        Groups of each label in the small training part, 1 or more.
    seed : int
        Of the split.
    share : float
        Share of the images for validation.

    Returns
    -------
    dict of str to ndarray of int64
        Rows of the parts "many", "few" (some of "many") and "validation"; no group is both in
        "many" and in "validation".

    Raises
    ------
    DataError
        If a label has fewer training groups than `few`, or `few` is below 1.
    """
    assigned = splits.split(records, (1 - share, share, 0), seed)
    many = np.flatnonzero(assigned["split"] == "train")
    groups = assigned.iloc[many].groupby("group")["label"].first().sample(frac=1, random_state=seed)
    if not 1 <= few <= groups.value_counts().min():
        raise DataError(
            "The small part must have groups of each label, no more than there are. "
            f"Received: few={few}, of {groups.value_counts().min()} groups."
        )
    chosen = groups.groupby(groups).head(few).index
    rows = many[assigned["group"].iloc[many].isin(chosen)]
    held_out = np.flatnonzero(assigned["split"] == "validation")
    return {"many": many, "few": rows, "validation": held_out}


def draw_grid(pictures: Sequence[np.ndarray], title: str, columns: int = 8) -> Figure:
    """Draw many small pictures, each on a scale of its own.

    Parameters
    ----------
    pictures : sequence of ndarray (h, w)
        Any range.
    title : str
        Of the whole.
    columns : int
        Pictures in a row.

    Returns
    -------
    Figure
        For `show.picture`.
    """
    rows = -(-len(pictures) // columns)
    drawn = Figure(figsize=(9, 0.5 + 9 * rows / columns), layout="constrained")
    every = drawn.subplots(rows, columns, squeeze=False).ravel()
    for axes in every:
        axes.set_axis_off()
    for axes, picture in zip(every, pictures, strict=False):
        axes.imshow(picture, cmap="gray")
    drawn.suptitle(title)
    return drawn


def draw_losses(runs: Mapping[str, Trained], title: str) -> Figure:
    """Draw the losses of several trainings side by side.

    Parameters
    ----------
    runs : mapping of str to Trained
        By name, six at most.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        Training losses on the left, validation losses on the right, on one scale.
    """
    drawn = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = drawn.subplots(1, 2, sharey=True)
    for (name, run), (colour, line) in zip(runs.items(), _LINES, strict=False):
        epochs = [row["epoch"] for row in run.history]
        for axes, key in ((left, "loss"), (right, "validation_loss")):
            losses_of_run = [row[key] for row in run.history]
            axes.plot(epochs, losses_of_run, line, color=colour, label=name, linewidth=2)
    right.axhline(np.log(2), color=show.GREY, linestyle="--", linewidth=1, label="“half and half”")
    left.set(title="On its own patients", xlabel="Epoch", ylabel="Loss (nats)")
    right.set(title="On other patients", xlabel="Epoch", ylabel="Loss (nats)")
    left.set_ylim(0, _HIGHEST)
    drawn.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    drawn.suptitle(title)
    return drawn


def score_out_of_fold(
    network: keras.Model,
    images: np.ndarray,
    records: pd.DataFrame,
    positive: str,
    epochs: int,
    patience: int,
    *,
    seed: int = 0,
    batch: int = 16,
    augmentation: Augmentation | None = None,
    head: str = "network",
) -> pd.DataFrame:
    """Score every image by a network that has seen neither it nor its group.

    A quarter of the other folds decides when to stop; the image's own fold has no part before it
    is scored.

    Parameters
    ----------
    network : Model
        Compiled, with two outputs, the second for `positive`; its weights are lost.
    images : ndarray of uint8, shape (n, s, s, c)
        0–255, row by row those of the table.
    records : DataFrame
        Record table with `fold`.
    positive : str
        The label that counts as positive.
    epochs : int
        At most.
    patience, seed, batch, augmentation : int, int, int and Augmentation, optional
        As for `live.train`.
    head : str
        Name of the rows.

    Returns
    -------
    DataFrame
        `path`, `group`, `source`, `label`, `fold`, `head`, `raw` (log odds) and `score`, 0–1,
        calibrated on the other folds.
    """
    table = records.reset_index(drop=True)
    labels = (table["label"] == positive).to_numpy(np.int64)
    folds, raw = table["fold"].to_numpy(), np.full(len(table), np.nan)
    for fold in tqdm(sorted(set(folds)), desc="folds", unit="fold", leave=False):
        others = np.flatnonzero(folds != fold)
        inner = splits.kfold(table.iloc[others], 4, seed)["fold"].to_numpy() == 0
        train(
            network, images, labels, others[~inner], others[inner], epochs,
            seed=seed, batch=batch, augmentation=augmentation, patience=patience,
        )  # fmt: skip
        here = np.flatnonzero(folds == fold)
        shares = network.predict(images[here].astype(np.float32), verbose=0)[:, 1]
        sure = np.clip(shares.astype(np.float64), _SURE, 1 - _SURE)
        raw[here] = logit(sure)
    return score_by_number(table, raw, positive, head)


def score_by_number(
    records: pd.DataFrame, number: np.ndarray, positive: str, head: str
) -> pd.DataFrame:
    """Score every image by one number, its direction and scale fitted on the other folds.

    Parameters
    ----------
    records : DataFrame
        Record table with `fold`.
    number : ndarray of float, shape (n,)
        One number an image, such as its mean brightness.
    positive : str
        The label that counts as positive.
    head : str
        Name of the rows.

    Returns
    -------
    DataFrame
        As `score_out_of_fold` returns it.
    """
    known = records[["path", "group", "source", "label", "fold"]]
    return out_of_fold.cross_calibrated(known.assign(head=head, raw=number), positive=positive)
