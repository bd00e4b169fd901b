"""Chapter 2, a training that can be watched: batches, curves that grow, early stopping."""

import time
from dataclasses import dataclass
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from thyro_demo.course import show
from thyro_demo.errors import StudyError
from thyro_demo.models import pipeline
from thyro_demo.models.pipeline import Augmentation

_REDRAW_S = 0.4


class Live(keras.callbacks.Callback):
    """Watch a training: a progress bar, and curves that are drawn again after each epoch.

    Without a notebook there is the bar alone; the history is kept all the same.

    Parameters
    ----------
    title : str, optional
        Of the picture; without one, the history alone is kept.

    Attributes
    ----------
    history : list of dict
        A row an epoch: `epoch` from 1, `loss`, `validation_loss` and `seconds`.
    """

    def __init__(self, title: str | None = None) -> None:
        super().__init__()
        self.title = title
        self.history: list[dict[str, Any]] = []
        self._place: Any = None
        self._drawn = 0.0
        self._began = 0.0

    @property
    def figure(self) -> Figure:
        """The curves so far."""
        return show.curves(self.history, self.title or "")

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step, the median over epochs but the first, which sets up."""
        later = [row["seconds"] for row in self.history[1:] or self.history]
        return 1000 * float(np.median(later)) / max(1, self.params.get("steps") or 1)

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget an earlier training."""
        self.history = []
        self._place, self._drawn = None, 0.0
        self._bar = tqdm(
            total=self.params["epochs"], desc=self.title, unit="epoch", leave=False,
            disable=self.title is None,
        )  # fmt: skip

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
        """Draw the last picture."""
        self._bar.close()
        self._draw()

    def _draw(self) -> None:
        if self.title is None:
            return
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
        Of the order and the views.
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
        """Shuffle the images."""
        self._epoch += 1
        rng = np.random.default_rng([self.seed, self._epoch])
        self._order = rng.permutation(len(self.images))


@dataclass(frozen=True, eq=False)
class Trained:
    """The outcome of a training.

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


def reinitialise(network: keras.Model, seed: int) -> None:
    """Set a compiled network to new random weights, as if it had just been built.

    Parameters
    ----------
    network : Model
        Changed in place; what is compiled stays compiled, which saves seconds.
    seed : int
        Of the weights, and of dropout afterwards.

    Raises
    ------
    StudyError
        If the network is not compiled.
    """
    if not network.compiled:
        raise StudyError(
            "A network must be compiled before it is trained. Received: one without an optimiser."
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
    images, labels : ndarray
        As for `Views`.
    training, validation : ndarray of int64
        Rows to train on, and rows to evaluate after each epoch.
    epochs : int
        Passes over the training rows, at most.
    seed, batch, augmentation : int, int and Augmentation, optional
        As for `Views`; the seed fixes the whole training.
    patience : int, optional
        Stop once the validation loss has not fallen for so many epochs, and go back to the best;
        None trains to the end.
    title : str, optional
        See `Live`.

    Returns
    -------
    Trained
        History and weights.

    Raises
    ------
    StudyError
        If the network is not compiled.
    """
    reinitialise(network, seed)
    watch = Live(title)
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
            "A network must have a Dropout layer for its rate to be changed. "
            f"Received: {', '.join(layer.name for layer in network.layers)}."
        )
    # Keras compiles a clone as what it was cloned from.
    return keras.models.clone_model(network, clone_function=built)
