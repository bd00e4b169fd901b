"""Train one stage, epoch by epoch; a run that was killed goes on after its last epoch.

Where something is frozen, what is above it trains on cached activations; only a stage that
trains everything, or nearly so, runs the whole network in every epoch.
"""

import csv
import functools
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from thyro_demo.errors import RecipeError
from thyro_demo.files import atomic_write
from thyro_demo.models.backbones import BackboneSpec
from thyro_demo.models.pipeline import Frames, batches
from thyro_demo.training.frozen_cache import (
    Views,
    cache_views,
    cut_layer,
    draws_nodules,
    freeze,
    upper_part,
    with_outlines,
)
from thyro_demo.training.outline_losses import OutlineLoss, of_heatmap, of_nodule_map
from thyro_demo.training.stage import Stage, learning_rate


def _optimiser(stage: Stage) -> keras.optimizers.Optimizer:
    rate = stage.learning_rate
    if stage.optimiser == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9)
    if stage.optimiser == "rmsprop":
        return keras.optimizers.RMSprop(rate)
    if stage.optimiser == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=stage.weight_decay)
    return keras.optimizers.Adam(rate)


class _Run:
    """The state of a stage between two epochs, and how it is kept on disk."""

    def __init__(self, upper: keras.Model, stage: Stage, fingerprint: str, folder: Path | None):
        self.upper, self.stage, self.fingerprint = upper, stage, fingerprint
        self.file = None if folder is None else folder / "state.npz"
        self.log = None if folder is None else folder / "log.csv"
        self.optimiser = _optimiser(stage)
        self.optimiser.build(upper.trainable_variables)
        self.history: list[dict[str, float]] = []
        self.best: list[np.ndarray] = []
        if self.file is not None and self.file.exists():
            self._restore(self.file)

    @property
    def finished(self) -> bool:
        """Whether early stopping or the last epoch has been reached."""
        if len(self.history) >= min(self.stage.epochs, self.stage.stop_after or self.stage.epochs):
            return True
        if self.stage.patience is None or not self.history:
            return False
        return len(self.history) - _best_epoch(self.history) >= self.stage.patience

    def _variables(self) -> list[keras.Variable]:
        return [*self.upper.variables, *self.optimiser.variables]

    def end_epoch(self, row: dict[str, float]) -> None:
        self.history.append(row)
        if self.stage.patience is not None and _best_epoch(self.history) == len(self.history):
            self.best = [v.numpy() for v in self.upper.variables]
        if self.file is not None and self.log is not None:
            self._save(self.file, self.log)

    def _save(self, file: Path, log: Path) -> None:
        arrays = {f"now{i}": v.numpy() for i, v in enumerate(self._variables())}
        arrays |= {f"best{i}": v for i, v in enumerate(self.best)}
        note = json.dumps({"fingerprint": self.fingerprint, "history": self.history})
        with atomic_write(file) as temporary:
            np.savez(temporary, note=np.array(note), **arrays)
        with atomic_write(log) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, self.history[0])
            writer.writeheader()
            writer.writerows(self.history)

    def _restore(self, file: Path) -> None:
        with np.load(file) as state:
            note = json.loads(str(state["note"]))
            if note["fingerprint"] != self.fingerprint:
                raise RecipeError(
                    "The folder of a stage must be empty or hold the same stage on the same "
                    "data, so that it can be resumed; choose another --work folder or delete this "
                    f"one. Received: {file.parent}."
                )
            self.history = note["history"]
            for i, variable in enumerate(self._variables()):
                variable.assign(state[f"now{i}"])
            self.best = [state[f"best{i}"] for i in range(len(self.upper.variables))
                         if f"best{i}" in state]  # fmt: skip

    def close(self) -> None:
        """Go back to the best epoch when the stage chose by validation loss."""
        for variable, value in zip(self.upper.variables, self.best, strict=False):
            variable.assign(value)


def epochs_kept(history: list[dict[str, float]], stage: Stage) -> int:
    """Count the epochs up to the one whose weights a stage kept.

    Parameters
    ----------
    history : list of dict
        From `train_stage`.
    stage : Stage
        Keeps the epoch of least validation loss where it has `patience`, else the last, as
        where no such loss is finite.

    Returns
    -------
    int
        0 without an epoch.
    """
    if stage.patience is None or not history:
        return len(history)
    return _best_epoch(history)


def _best_epoch(history: list[dict[str, float]]) -> int:
    """Find the epoch of least finite validation loss; the last one where none is finite."""
    losses = np.array([row["validation_loss"] for row in history])
    # NumPy's least value of a list with NaN is NaN.
    finite = np.isfinite(losses)
    return 1 + int(np.argmin(np.where(finite, losses, np.inf))) if finite.any() else len(losses)


def _fingerprint(stage: Stage, frames: Frames, training: np.ndarray, upper: keras.Model) -> str:
    """Hash what fixes a run: settings, labels, a sample of pixels, starting weights."""
    digest = hashlib.sha256(json.dumps(asdict(stage), sort_keys=True).encode())
    digest.update(np.ascontiguousarray(frames.images[:: max(1, len(frames) // 64)]).tobytes())
    for array in (frames.labels, training, *(v.numpy() for v in upper.variables[:8])):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def train_stage(
    network: keras.Model,
    spec: BackboneSpec,
    stage: Stage,
    frames: Frames,
    training: np.ndarray,
    validation: np.ndarray,
    folder: Path | None = None,
    views: Views | None = None,
    guidance: float = 0.0,
) -> list[dict[str, float]]:
    """Train one stage in place, or go on where a killed run ended.

    Parameters
    ----------
    network : keras.Model
        Flat network from `networks.build` with as many outputs as `frames` has classes.
    spec : BackboneSpec
        Its row.
    stage : Stage
        Settings.
    frames : Frames
        All images of the stage.
    training, validation : ndarray of int64
        Rows of `frames`. The validation part is only looked at.
    folder : Path, optional
        Where checkpoints and `log.csv` are kept after every epoch; None keeps nothing.
    views : Views, optional
        Cached activations of all of `frames`, when the caller shares them between runs.
    guidance : float
        Weight of `outline_losses.of_heatmap` beside the label's loss, for a network without a
        nodule map that is trained on frames with outlines.

    Returns
    -------
    list of dict
        One row an epoch: epoch, learning_rate, loss, validation_loss, validation_accuracy
        (share, 0–1).

    Raises
    ------
    RecipeError
        If the folder holds another run, the network cannot be frozen so, or the training
        loss is no longer finite.
    """
    freeze(network, spec, stage.trainable, stage.frozen_layers)
    if stage.trainable == "none" or stage.epochs == 0:
        return []
    cut = cut_layer(network, spec, stage)
    outline_loss: OutlineLoss = of_nodule_map
    if frames.outlined is None:
        upper = upper_part(network, cut)
    elif cut is None:
        raise RecipeError(
            "A stage that learns outlines must have a frozen part. "
            f"Received: trainable={stage.trainable!r}."
        )
    else:
        upper = with_outlines(network, spec, cut)
        if not draws_nodules(network):
            kernel = upper.get_layer("logits").kernel
            outline_loss = functools.partial(of_heatmap, kernel=kernel, weight=guidance)
    for layer in upper.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and stage.norm_momentum is not None:
            layer.momentum = stage.norm_momentum
    fingerprint = _fingerprint(stage, frames, training, upper)
    # Only where it counts, so that runs from before it did can still be resumed.
    fingerprint += f"-{guidance}" if guidance else ""
    run = _Run(upper, stage, fingerprint, folder)
    if not run.finished and cut is not None and views is None:
        views = cache_views(network, spec, stage, frames, (training, validation))
    train_step, eval_step = _steps(upper, run.optimiser, stage, frames, training, outline_loss)
    first = len(run.history)
    with tqdm(total=stage.epochs, initial=first, desc=stage.name, unit="epoch") as bar:
        while not run.finished:
            epoch = len(run.history)
            loss = _epoch(train_step, run, frames, training, views, epoch)
            seen = _validate(eval_step, stage, frames, validation, views, epoch)
            rate = learning_rate(stage, epoch + 1)
            run.end_epoch({"epoch": epoch + 1, "learning_rate": rate, "loss": loss, **seen})
            bar.update(1)
            bar.set_postfix({"loss": f"{loss:.3f}", **{k: f"{v:.3f}" for k, v in seen.items()}})
    run.close()
    return run.history


def _steps(
    upper: keras.Model,
    optimiser: keras.optimizers.Optimizer,
    stage: Stage,
    frames: Frames,
    training: np.ndarray,
    outline_loss: OutlineLoss,
) -> tuple[Any, Any]:
    """Trace the step that trains on a batch, and the one that only looks at it."""
    classes = len(frames.classes)
    labelled = frames.labels[training]
    counts = np.bincount(labelled[labelled >= 0], minlength=classes)
    weights = np.ones(classes)
    if stage.class_weights:
        weights = counts.sum() / (np.maximum(counts, 1) * (counts > 0).sum())
    table = tf.constant(weights, tf.float32)
    smooth = stage.label_smoothing

    def losses(target: _Target, found: Any, smoothing: float) -> tf.Tensor:
        logits = found if target.nodule is None else found[0]
        wanted = tf.one_hot(target.label, classes) * (1.0 - smoothing) + smoothing / classes
        known = tf.cast(target.label >= 0, tf.float32)
        weight = known * tf.gather(table, tf.maximum(target.label, 0))
        each = weight * tf.nn.softmax_cross_entropy_with_logits(wanted, logits)
        if target.nodule is None:
            return each
        return stage.label_share * each + target.outlined * outline_loss(found[1], target.nodule)

    @tf.function(reduce_retracing=True, autograph=False)
    def train_step(x: tf.Tensor, target: _Target) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(losses(target, upper(x, training=True), smooth))
        variables = upper.trainable_variables
        optimiser.apply(tape.gradient(loss, variables), variables)
        return loss

    @tf.function(reduce_retracing=True, autograph=False)
    def eval_step(x: tf.Tensor, target: _Target) -> tuple[tf.Tensor, tf.Tensor]:
        found = upper(x, training=False)
        logits = found if target.nodule is None else found[0]
        hits = tf.cast(tf.argmax(logits, 1) == target.label, tf.float32)
        return tf.reduce_sum(losses(target, found, 0.0)), tf.reduce_sum(hits)

    return train_step, eval_step


class _Target(NamedTuple):
    """What a batch is to learn: labels, and for frames with masks the nodule in each cell."""

    label: tf.Tensor
    nodule: tf.Tensor | None = None
    outlined: tf.Tensor | None = None


def _chosen(
    frames: Frames,
    order: np.ndarray,
    stage: Stage,
    views: Views | None,
    epoch: int,
    plain: bool = False,
) -> Iterator[tuple[tf.Tensor, _Target]]:
    """Yield an epoch's batches of inputs and targets, augmented or `plain`."""
    starts = range(0, len(order), stage.batch)
    if views is None:
        how = None if plain else stage.augmentation
        seed = (stage.seed, epoch + 1)
        inputs: Iterator[tf.Tensor] = iter(
            batches(frames.images, order, stage.batch, seed, how, stage.side(epoch))
        )
        for start, x in zip(starts, inputs, strict=True):
            yield x, _Target(tf.constant(frames.labels[order[start : start + stage.batch]]))
        return
    pick = np.random.default_rng((stage.seed, 2, epoch)).integers(len(views.every), size=len(order))
    for start in starts:
        rows = order[start : start + stage.batch]
        view = np.zeros(len(rows), np.int64) if plain else pick[start : start + stage.batch]
        target = _Target(tf.constant(frames.labels[rows]))
        if views.nodules is not None and frames.outlined is not None:
            known = tf.constant(frames.outlined[rows], tf.float32)
            target = _Target(target.label, tf.constant(views.nodules[view, rows]), known)
        yield tf.constant(views.every[view, rows]), target


def _epoch(
    train_step: Any,
    run: _Run,
    frames: Frames,
    training: np.ndarray,
    views: Views | None,
    epoch: int,
) -> float:
    """Train for one epoch and return its mean loss."""
    stage = run.stage
    # Order, views and dropout follow from seed and epoch alone, so that a resumed run
    # meets the same batches as one that was never stopped.
    order = np.random.default_rng((stage.seed, 1, epoch)).permutation(training)
    for number, layer in enumerate(run.upper.layers):
        if hasattr(layer, "seed_generator"):
            # Each layer has a sequence of its own: with one for all, stochastic depth would
            # skip every block of the same images at once.
            sequence = np.random.SeedSequence((stage.seed, epoch, number))
            layer.seed_generator.state.assign(sequence.generate_state(2))
    steps = math.ceil(len(order) / stage.batch)
    total = 0.0
    chosen = _chosen(frames, order, stage, views, epoch)
    name = f"epoch {epoch + 1}"
    hidden = len(order) < 2_000
    seen = 0
    bar = tqdm(chosen, name, steps, leave=False, disable=hidden)
    for number, (x, target) in enumerate(bar):
        run.optimiser.learning_rate.assign(learning_rate(stage, epoch + (number + 1) / steps))
        loss = float(train_step(x, target))
        if not math.isfinite(loss):
            raise RecipeError(
                "The training loss must stay finite, or nothing more is learned: begin from other "
                "initial weights or with a smaller learning rate. "
                f"Received: loss={loss} in epoch {epoch + 1} of the stage {stage.name}."
            )
        total += loss * len(x)
        seen += len(x)
        if number % 20 == 0:
            bar.set_postfix({"loss": f"{total / seen:.3f}"})
    return total / len(order)


def _validate(
    eval_step: Any,
    stage: Stage,
    frames: Frames,
    validation: np.ndarray,
    views: Views | None,
    epoch: int,
) -> dict[str, float]:
    """Compute loss and accuracy on the validation part, NaN where there is none."""
    if len(validation) == 0:
        return {"validation_loss": math.nan, "validation_accuracy": math.nan}
    loss = hits = 0.0
    for x, target in _chosen(frames, validation, stage, views, epoch, plain=True):
        batch_loss, batch_hits = eval_step(x, target)
        loss, hits = loss + float(batch_loss), hits + float(batch_hits)
    labelled = max(int((frames.labels[validation] >= 0).sum()), 1)
    return {"validation_loss": loss / len(validation), "validation_accuracy": hits / labelled}
