"""Chapter 2: what a network computes, step by step, and watching one learn by heart."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.signal import correlate2d
from scipy.special import expit, logit
from tqdm.auto import tqdm

from thyro_demo.data import datasets, patches, phantom, splits
from thyro_demo.errors import DataError, StudyError
from thyro_demo.models import out_of_fold, pipeline
from thyro_demo.models.pipeline import Augmentation
from thyro_demo.teach import show
from thyro_demo.teach.lesson import Lesson

KERNELS: dict[str, np.ndarray] = {
    "average": np.full((5, 5), 1 / 25, np.float32),
    "edges that lie": np.repeat([[-1], [-1], [0], [1], [1]], 5, axis=1).astype(np.float32) / 10,
    "edges that stand": np.repeat([[-1, -1, 0, 1, 1]], 5, axis=0).astype(np.float32) / 10,
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
_HIGHEST = 2.5  # nats; early epochs may lie above, which would press all others together
_REDRAW_S = 0.4
_SURE = 1e-6
_PATCH_SIDE = 64


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Slide a filter over an image: at each place multiply, and add up.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W)
        Any range.
    kernel : ndarray of float32, shape (k, k)
        The filter, not turned round: what networks call a convolution.

    Returns
    -------
    ndarray of float32, shape (H, W)
        The answer at each place; beyond the edge the image counts as 0.
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
    """
    rows, columns = (side // step for side in image.shape)
    squares = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return squares.max(axis=(1, 3))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn any numbers into shares.

    Parameters
    ----------
    logits : ndarray of float, shape (..., classes)
        Any range.

    Returns
    -------
    ndarray of float, shape (..., classes)
        Each 0–1; they add up to 1.
    """
    raised = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


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
    start: float = -2.0,
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
        Images that a step looks at; all of them without it.
    start : float
        The first weight.
    seed : int
        Of the order of images.

    Returns
    -------
    ndarray of float64, shape (steps + 1,)
        The weight before the first step and after each.
    """
    rng, size = np.random.default_rng(seed), len(feature) if batch is None else batch
    walked = [start]
    for _ in range(epochs):
        order = rng.permutation(len(feature))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            missed = expit(walked[-1] * feature[rows]) - positive[rows]
            walked.append(walked[-1] - rate * float(np.mean(missed * feature[rows])))
    return np.array(walked)


class Live(keras.callbacks.Callback):
    """Watch a training: a progress bar, and curves that are drawn again after each epoch.

    Without a notebook there is the bar alone; the history is kept all the same.

    Parameters
    ----------
    title : str
        Of the picture.

    Attributes
    ----------
    history : list of dict
        A row an epoch: `epoch` from 1, `loss`, `validation_loss` and `seconds`.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.history: list[dict[str, Any]] = []
        self._place: Any = None
        self._drawn = 0.0
        self._began = 0.0

    @property
    def figure(self) -> Figure:
        """The curves so far."""
        return show.curves(self.history, self.title)

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step, the median over epochs but the first, which sets up."""
        later = [row["seconds"] for row in self.history[1:] or self.history]
        return 1000 * float(np.median(later)) / max(1, self.params.get("steps") or 1)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew."""
        self.history = []
        self._place, self._drawn = None, 0.0
        self._bar = tqdm(total=self.params["epochs"], desc=self.title, unit="epoch", leave=False)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note both losses, and draw unless that was just done."""
        known = logs or {}
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": float(known["loss"]),
                "validation_loss": float(known.get("val_loss", np.nan)),
                "seconds": time.perf_counter() - self._began,
            }
        )
        self._bar.update()
        if time.perf_counter() - self._drawn > _REDRAW_S:
            self._draw()

    def on_train_end(self, logs: Any = None) -> None:
        """Leave the last picture standing."""
        self._bar.close()
        self._draw()

    def _draw(self) -> None:
        # A notebook brings IPython along; nothing else needs it.
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is None:
            return
        # IPython learns to show figures when pyplot makes its first one.
        plt.close(plt.figure())
        figure = self.figure
        if self._place is None:
            self._place = display(figure, display_id=True)
        else:
            self._place.update(figure)
        plt.close(figure)
        self._drawn = time.perf_counter()


class Views(keras.utils.PyDataset):
    """Batches of one part of the images, in another order and other views each epoch.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, s, s, c)
        0–255.
    labels : ndarray of int64, shape (n,)
        Index of the class.
    batch : int
        Images of a step.
    seed : int
        The same seed gives the same batches and views.
    augmentation : Augmentation, optional
        How far views may depart from the images; None shows them as they are.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.images, self.labels, self.batch = images, labels, batch
        self.seed, self.augmentation = seed, augmentation
        self._epoch = -1
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch)

    def __getitem__(self, number: int) -> tuple[Any, np.ndarray]:
        rows = self._order[number * self.batch : (number + 1) * self.batch]
        picked: Any = self.images[rows].astype(np.float32)
        if self.augmentation is not None:
            key = np.array([self.seed, 100_003 * self._epoch + number], np.int32)
            picked = pipeline.augment(picked, key, self.augmentation)
        return picked, self.labels[rows]

    def on_epoch_end(self) -> None:
        """Deal the images anew."""
        self._epoch += 1
        rng = np.random.default_rng([self.seed, self._epoch])
        self._order = rng.permutation(len(self.images))


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training leaves.

    Parameters
    ----------
    history : list of dict
        As `Live` keeps it.
    weights : list of ndarray
        For `set_weights`; those of the best epoch where training stopped early.
    """

    history: list[dict[str, Any]]
    weights: list[np.ndarray]

    @property
    def best(self) -> dict[str, Any]:
        """The epoch with the lowest validation loss."""
        return min(self.history, key=lambda row: row["validation_loss"])


def forget(network: keras.Model, seed: int) -> None:
    """Give a compiled network new random weights, as if it had just been built.

    Parameters
    ----------
    network : Model
        Changed in place; what is compiled stays compiled, which saves seconds.
    seed : int
        The same seed gives the same weights, and the same dropout afterwards.

    Raises
    ------
    StudyError
        If the network is not compiled.
    """
    if not network.compiled:
        raise StudyError(
            "A network is trained once it is compiled. Received: a network without an optimiser"
        )
    keras.utils.set_random_seed(seed)
    network.set_weights(keras.models.clone_model(network).get_weights())
    for variable in network.optimizer.variables:
        if variable is not network.optimizer.learning_rate:
            variable.assign(keras.ops.zeros_like(variable))


def train(
    network: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    training: np.ndarray,
    validation: np.ndarray,
    epochs: int,
    *,
    seed: int = 0,
    batch: int = 16,
    augmentation: Augmentation | None = None,
    patience: int | None = None,
    title: str | None = None,
) -> Trained:
    """Train a network from new random weights.

    Parameters
    ----------
    network : Model
        Compiled; its weights are lost.
    images : ndarray of uint8, shape (n, s, s, c)
        0–255.
    labels : ndarray of int64, shape (n,)
        Index of the class.
    training, validation : ndarray of int64
        Rows to learn from, and rows to look at after each epoch.
    epochs : int
        Passes over the training rows, at most.
    seed : int
        The same seed gives the same training.
    batch : int
        Images of a step.
    augmentation : Augmentation, optional
        How far training views may depart from the images.
    patience : int, optional
        Stop once the validation loss has not fallen for so many epochs, and go back to the best;
        None trains to the end.
    title : str, optional
        Watch under this title; None shows nothing.

    Returns
    -------
    Trained
        History and weights.

    Raises
    ------
    StudyError
        If the network is not compiled.
    """
    forget(network, seed)
    watch = Live(title) if title else _Quiet()
    callbacks: list[keras.callbacks.Callback] = [watch]
    if patience is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
        )
    held = (images[validation].astype(np.float32), labels[validation])
    network.fit(
        Views(images[training], labels[training], batch, seed, augmentation),
        validation_data=held,
        epochs=epochs,
        verbose=0,
        callbacks=callbacks,
    )
    return Trained(watch.history, network.get_weights())


class _Quiet(Live):
    """Keep the history alone."""

    def __init__(self) -> None:
        super().__init__("")

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin anew."""
        self.history = []
        self._bar = tqdm(disable=True)

    def _draw(self) -> None:
        """Draw nothing."""


def with_dropout(network: keras.Model, rate: float) -> keras.Model:
    """Build a network again, with another rate of dropout.

    Parameters
    ----------
    network : Model
        Compiled, with a Dropout layer or several.
    rate : float
        Share of the numbers that are left out in training, 0 up to 1.

    Returns
    -------
    Model
        Compiled alike, with weights of its own.

    Raises
    ------
    StudyError
        If no layer is a Dropout layer.
    """

    def built(layer: keras.layers.Layer) -> keras.layers.Layer:
        settings = layer.get_config()
        if isinstance(layer, keras.layers.Dropout):
            settings["rate"] = rate
        return layer.__class__.from_config(settings)

    if not any(isinstance(layer, keras.layers.Dropout) for layer in network.layers):
        raise StudyError(
            "The rate of dropout is changed where there is a Dropout layer. "
            f"Received: {', '.join(layer.name for layer in network.layers)}"
        )
    # Keras compiles a clone as what it was cloned from.
    return keras.models.clone_model(network, clone_function=built)


def parts(
    records: pd.DataFrame, few: int, seed: int = 0, share: float = 0.4
) -> dict[str, np.ndarray]:
    """Deal groups to training and validation, and choose a few of the training ones.

    Parameters
    ----------
    records : DataFrame
        Record table with two labels.
    few : int
        Groups of each label in the small training part, 1 or more.
    seed : int
        Of the deal.
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
    dealt = splits.split(records, (1 - share, share, 0), seed)
    many = np.flatnonzero(dealt["split"] == "train")
    groups = dealt.iloc[many].groupby("group")["label"].first().sample(frac=1, random_state=seed)
    if not 1 <= few <= groups.value_counts().min():
        raise DataError(
            "The small part has groups of each label, no more than there are. "
            f"Received: few={few}, of {groups.value_counts().min()} groups"
        )
    chosen = groups.groupby(groups).head(few).index
    rows = many[dealt["group"].iloc[many].isin(chosen)]
    held_out = np.flatnonzero(dealt["split"] == "validation")
    return {"many": many, "few": rows, "validation": held_out}


def feature_maps(network: keras.Model, image: np.ndarray, layer: str) -> np.ndarray:
    """Compute what one layer of a network answers to one image.

    Parameters
    ----------
    network : Model
        With a layer of this name.
    image : ndarray of uint8, shape (s, s, c)
        0–255.
    layer : str
        Name of a layer whose output is a stack of maps.

    Returns
    -------
    ndarray of float32, shape (maps, h, w)
        One picture a filter.
    """
    lower = keras.Model(network.inputs[0], network.get_layer(layer).output)
    answer = np.asarray(lower(image[None].astype(np.float32), training=False))
    return np.moveaxis(answer[0], -1, 0)


def grid(pictures: Sequence[np.ndarray], title: str, columns: int = 8) -> Figure:
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


def compared(runs: Mapping[str, Trained], title: str) -> Figure:
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

    Of the other folds a quarter tells when to stop; the image's own fold is not looked at before
    it is scored.

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
    patience : int
        See `train`.
    seed : int
        Of weights, batches and views.
    batch : int
        Images of a step.
    augmentation : Augmentation, optional
        See `train`.
    head : str
        What the rows are called.

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
    return by_number(table, raw, positive, head)


def by_number(records: pd.DataFrame, number: np.ndarray, positive: str, head: str) -> pd.DataFrame:
    """Score every image by one number, whose direction and scale the other folds tell.

    Parameters
    ----------
    records : DataFrame
        Record table with `fold`.
    number : ndarray of float, shape (n,)
        One number an image: mean brightness, say.
    positive : str
        The label that counts as positive.
    head : str
        What the rows are called.

    Returns
    -------
    DataFrame
        As `score_out_of_fold` gives it.
    """
    known = records[["path", "group", "source", "label", "fold"]]
    return out_of_fold.cross_calibrated(known.assign(head=head, raw=number), positive=positive)


def masses(lesson: Lesson) -> pd.DataFrame:
    """Cut patches with and without a mass, as P6 does.

    Parameters
    ----------
    lesson : Lesson
        The chapter; with real data the films of mini-MIAS, otherwise drawn nodules against
        places in drawn glands.

    Returns
    -------
    DataFrame
        Record table of "mass" and "normal", with `contrast`; the files hold 64 × 64 pixels.
    """
    folder = lesson.find("mini_mias")
    if folder is not None:
        chosen = patches.mini_mias(datasets.mini_mias(folder))
    else:
        count, shape = (22, (120, 160)) if lesson.fast else (50, (240, 320))
        drawn = []
        for diffuse in (False, True):
            place = lesson.here / ("glands" if diffuse else "nodules")
            if not (place / "index.csv").exists():
                people = phantom.cohort(
                    count, 2, seed=300 + lesson.seed, shape=shape, diffuse=diffuse
                )
                phantom.write(people, place, total=2 * count)
            # Both kinds of patients are counted from one.
            found = datasets.phantoms(place)
            drawn.append(found.assign(group=place.name + "-" + found["group"].astype(str)))
        chosen = patches.phantoms(pd.concat(drawn, ignore_index=True))
    return patches.write(chosen, lesson.here / "patches", _PATCH_SIDE)
