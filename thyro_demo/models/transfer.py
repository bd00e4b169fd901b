"""One training stage: what is frozen, how it is trained, how it resumes after a kill.

A stage freezes a network up to a boundary, runs the frozen part once over a few fixed
views of every image, and trains what lies above on those cached activations.
Only a stage that trains everything, or nearly so, runs the whole network in every epoch.
"""

import csv
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from thyro_demo.errors import RecipeError
from thyro_demo.files import whole
from thyro_demo.models import nodule_map
from thyro_demo.models.backbones import BackboneSpec
from thyro_demo.models.pipeline import Augmentation, Frames, batches

TRAINABLE = ("none", "head", "last block", "last two blocks", "last four blocks", "all")


@dataclass(frozen=True)
class Stage:
    """Settings of one training stage.

    Parameters
    ----------
    name : str
        Name of the stage, also of its folder.
    trainable : {"none", "head", "last block", "last two blocks", "last four blocks", "all"}
        What is trained; all below is frozen, its batch normalisation included.
    epochs : int
        Most passes over the training part.
    learning_rate : float
        Peak of the schedule.
    optimiser : {"adam", "adamw", "sgd", "rmsprop"}
        SGD uses a momentum of 0.9.
    schedule : {"constant", "cosine", "step", "log"}
        Cosine falls to zero over `epochs`. "step" multiplies the rate by `decay` after every
        `decay_every` epochs. "log" gives each epoch a rate of its own, evenly spaced in the
        logarithm from `learning_rate` in the first to `final_rate` in the last. The latter two
        are those of P2.
    warm_up : float
        Epochs of linear rise at the start.
    batch : int
        Batch size, images.
    input_size : int or None
        Side of the input in pixels; None takes the backbone's own.
    patience : int or None
        Stop after so many epochs without a lower validation loss, and go back to the
        best epoch. None trains to the end and keeps the last epoch.
    stop_after : int or None
        End after so many epochs although the schedule is longer.
    class_weights : bool
        Weigh each class by the inverse of its frequency in the training part.
    label_smoothing : float
        Share of the target spread over all classes, 0–1.
    weight_decay : float
        Of AdamW.
    norm_momentum : float or None
        Momentum of the running statistics of trained batch normalisation; None keeps the
        network's own. A stage of few steps needs a short memory, or validation sees
        statistics of weights long gone.
    views : int
        Cached views of each image when something is frozen: the image as it is, as
        validation sees it too, and `views` − 1 augmented ones.
    augmentation : Augmentation or None
        None trains on the images as they are.
    seed : int
        Fixes order, views and dropout.
    sides : tuple of int
        Side of the images in each epoch, for a stage that trains all layers: small images
        first teach the same network in a fraction of the time (progressive learning, Tan &
        Le 2021, "EfficientNetV2"). The last one goes on; empty keeps `input_size`.
    precision : {"float32", "mixed_bfloat16"}
        Of the arithmetic in training; weights are float32 in both.
    limit : int or None
        Most images of a stage before the last, drawn in whole groups; None takes all.
    frozen_layers : int or None
        Number of layers of the base model that are frozen in a stage that otherwise trains all:
        its first ones, in the order of `base_layers`, the input layer counted. Published
        protocols draw the line so, in the middle of a block where it falls there. What can be
        run once is, over `views` of each image; see `cut_layer`.
    decay : float
        Factor of the schedule "step", above 0 and at most 1.
    decay_every : int
        Epochs from one step to the next.
    final_rate : float
        Rate of the last epoch of the schedule "log", above 0 and at most `learning_rate`.
    label_share : float
        Weight of the label's loss beside that of the nodule map, in a stage with outlines.
    """

    name: str
    trainable: str
    epochs: int
    learning_rate: float = 1e-3
    optimiser: str = "adam"
    schedule: str = "constant"
    warm_up: float = 0.0
    batch: int = 32
    input_size: int | None = None
    patience: int | None = None
    stop_after: int | None = None
    class_weights: bool = False
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    norm_momentum: float | None = None
    views: int = 2
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    seed: int = 0
    sides: tuple[int, ...] = ()
    precision: str = "float32"
    limit: int | None = None
    frozen_layers: int | None = None
    decay: float = 0.1
    decay_every: int = 5
    final_rate: float = 1e-4
    label_share: float = 1.0

    def __post_init__(self) -> None:
        if self.trainable not in TRAINABLE:
            raise RecipeError(
                f"A stage trains one of {', '.join(TRAINABLE)}. Received: {self.trainable!r}."
            )
        if self.optimiser not in ("adam", "adamw", "sgd", "rmsprop"):
            raise RecipeError(
                "The optimiser has to be adam, adamw, sgd or rmsprop. "
                f"Received: {self.optimiser!r}."
            )
        self._check_rates()
        if self.precision not in ("float32", "mixed_bfloat16"):
            raise RecipeError(
                f"The precision has to be float32 or mixed_bfloat16. Received: {self.precision!r}."
            )
        if self.sides and self.trainable != "all":
            raise RecipeError(
                "Images can grow only in a stage that trains all layers. "
                f"Received: {self.trainable!r}."
            )
        if self.frozen_layers is not None and (
            self.frozen_layers < 1 or self.trainable != "all" or self.sides
        ):
            raise RecipeError(
                "A number of frozen layers has to be at least 1, in a stage that trains all others "
                "on images of one size. Received: "
                f"{self.frozen_layers}, {self.trainable!r}, sides={self.sides}."
            )
        if self.epochs < 0 or self.batch < 1 or self.views < 1:
            raise RecipeError(
                "A stage needs epochs ≥ 0, batch ≥ 1 and views ≥ 1. Received: "
                f"epochs={self.epochs}, batch={self.batch}, views={self.views}."
            )

    def _check_rates(self) -> None:
        if self.schedule not in ("constant", "cosine", "step", "log"):
            raise RecipeError(
                "The schedule has to be constant, cosine, step or log. "
                f"Received: {self.schedule!r}."
            )
        if not 0 < self.decay <= 1 or self.decay_every < 1:
            raise RecipeError(
                "A schedule of steps needs a decay above 0 and at most 1, and one epoch or more "
                f"between steps. Received: decay={self.decay}, decay_every={self.decay_every}."
            )
        if self.schedule == "log" and not 0 < self.final_rate <= self.learning_rate:
            raise RecipeError(
                "A schedule on a log scale falls to a rate above 0 and no higher than its first. "
                f"Received: {self.learning_rate} to {self.final_rate}."
            )

    def side(self, epoch: int) -> int | None:
        """Give the side of the images in an epoch.

        Parameters
        ----------
        epoch : int
            From 0.

        Returns
        -------
        int or None
            Pixels; None leaves the images as they are loaded.
        """
        return self.sides[min(epoch, len(self.sides) - 1)] if self.sides else None


def boundary(spec: BackboneSpec, trainable: str) -> str | None:
    """Name the last layer that a stage leaves frozen.

    Parameters
    ----------
    spec : BackboneSpec
        The network's row.
    trainable : str
        See `Stage`.

    Returns
    -------
    str or None
        A layer name; None when everything is trained.

    Raises
    ------
    RecipeError
        If the network has no such block.
    """
    if trainable == "all":
        return None
    if trainable in ("none", "head"):
        return "features"
    if trainable not in spec.boundaries:
        raise RecipeError(
            f"{spec.title} can train head, {', '.join(spec.boundaries)} or all. "
            f"Received: {trainable!r}."
        )
    return spec.boundaries[trainable]


def base_layers(network: keras.Model, spec: BackboneSpec) -> list[str]:
    """Name the layers of the base model, as `frozen_layers` counts them.

    The order is that of the model without a head in `keras.applications` (or in `efficientnet`):
    the input layer comes first, and what we add in front, the normalisation, is left out.

    Parameters
    ----------
    network : keras.Model
        Flat network from `backbones.build`.
    spec : BackboneSpec
        Its row.

    Returns
    -------
    list of str
        Names up to the last feature map.
    """
    return [layer.name for layer in lower_part(network, spec.cam_layer).layers
            if layer.name != "normalise"]  # fmt: skip


def _frozen_layers(network: keras.Model, spec: BackboneSpec, count: int) -> list[str]:
    base = base_layers(network, spec)
    if count > len(base):
        raise RecipeError(
            f"{spec.title} has {len(base)} layers that can be frozen. Received: {count}."
        )
    return base[:count]


def freeze(
    network: keras.Model, spec: BackboneSpec, trainable: str, frozen_layers: int | None = None
) -> list[str]:
    """Set `trainable` on every layer of a network.

    Parameters
    ----------
    network : keras.Model
        Flat network from `backbones.build`.
    spec : BackboneSpec
        Its row.
    trainable, frozen_layers : str and int, optional
        See `Stage`.

    Returns
    -------
    list of str
        Names of the layers that are trained and have weights.

    Raises
    ------
    RecipeError
        If the network has no such block, or fewer layers.
    """
    cut = boundary(spec, trainable)
    frozen = set() if cut is None else {layer.name for layer in lower_part(network, cut).layers}
    if frozen_layers is not None:
        frozen |= set(_frozen_layers(network, spec, frozen_layers))
    for layer in network.layers:
        layer.trainable = trainable != "none" and layer.name not in frozen
    return [layer.name for layer in network.layers if layer.trainable and layer.weights]


_WORTH_KEEPING = 4
"""Most numbers that a cached view of an image may take, as a multiple of those of the image."""


def cut_layer(network: keras.Model, spec: BackboneSpec, stage: Stage) -> str | None:
    """Name the layer up to which a stage runs its network only once.

    Where a stage freezes a number of layers, this is the last of them through whose output
    everything above passes; frozen layers above it run along, as frozen as they are.

    Parameters
    ----------
    network : keras.Model
        Flat network from `backbones.build`.
    spec : BackboneSpec
        Its row.
    stage : Stage
        Says what is frozen.

    Returns
    -------
    str or None
        A layer name; None where the whole network runs in every epoch, because all of it is
        trained or because the frozen part gives too much to keep.

    Raises
    ------
    RecipeError
        If the network has no such block, or fewer layers.
    """
    if stage.frozen_layers is None:
        return boundary(spec, stage.trainable)
    frozen = _frozen_layers(network, spec, stage.frozen_layers)
    if frozen[-1] == spec.cam_layer:
        return boundary(spec, "head")
    cut = next(name for name in reversed(frozen) if _all_passes(network, name))
    side = network.inputs[0].shape[1]
    shape = network.get_layer(cut).output.shape[1:]
    if cut == frozen[0] or side is None or math.prod(shape) > _WORTH_KEEPING * 3 * side**2:
        return None
    return cut


def _all_passes(network: keras.Model, name: str) -> bool:
    """Tell whether the logits depend on the image through the output of this layer alone."""
    gate, waiting = network.get_layer(name), [network.get_layer("logits")]
    seen = {id(gate)}
    while waiting:
        operation = waiting.pop()
        if id(operation) in seen:
            continue
        if isinstance(operation, keras.layers.InputLayer):
            return False
        seen.add(id(operation))
        waiting += [x._keras_history.operation for x in tf.nest.flatten(operation.input)]
    return True


def lower_part(network: keras.Model, cut: str) -> keras.Model:
    """Give the frozen part of a network, up to and with the layer `cut`."""
    return keras.Model(network.inputs[0], network.get_layer(cut).output)


def upper_part(network: keras.Model, cut: str | None) -> keras.Model:
    """Give what lies above `cut`, up to the logits: the loss reads those, not the softmax."""
    start = network.inputs[0] if cut is None else network.get_layer(cut).output
    return keras.Model(start, network.get_layer("logits").output)


def _with_nodule(network: keras.Model, cut: str) -> keras.Model:
    """Give what lies above `cut`, up to the logits of the label and of the nodule map."""
    ends = [network.get_layer(name).output for name in ("logits", nodule_map.LOGITS)]
    return keras.Model(network.get_layer(cut).output, ends)


@dataclass(frozen=True)
class Views:
    """Activations at a boundary: the plain view and the augmented views of every image.

    Parameters
    ----------
    every : ndarray of float32 (k, n, …)
        Of the images as they are, then of k − 1 fixed augmented views.
    nodules : ndarray of float32 (k, n, h, w, 1), or None
        Share of each cell that the nodule takes in the same views, 0–1, for frames with masks.
    """

    every: np.ndarray
    nodules: np.ndarray | None = None

    @property
    def plain(self) -> np.ndarray:
        """Activations of the images as they are, float32 (n, …)."""
        return self.every[0]


def cache_views(
    network: keras.Model,
    spec: BackboneSpec,
    stage: Stage,
    frames: Frames,
    parts: tuple[np.ndarray, np.ndarray] | None = None,
) -> Views:
    """Run the frozen part of a network once over fixed views of every image.

    Parameters
    ----------
    network : keras.Model
        The network.
    spec : BackboneSpec
        Its row.
    stage : Stage
        Says what is frozen, how many views are drawn, and from which seed.
    frames : Frames
        All images.
    parts : tuple of ndarray of int64, optional
        Training and validation rows, where these are settled: augmented views are then
        drawn of the first alone, and those of the others stay zero.

    Returns
    -------
    Views
        Activations at the boundary.

    Raises
    ------
    RecipeError
        If the stage has nothing to cache; see `cut_layer`.
    """
    cut = cut_layer(network, spec, stage)
    if cut is None:
        raise RecipeError(
            "A stage that trains all layers, or nearly so, has no frozen part to cache. "
            f"Received: {stage.name!r}."
        )
    lower = lower_part(network, cut)
    run = tf.function(lambda x: lower(x, training=False), reduce_retracing=True)
    shape = tuple(lower.output.shape[1:])
    views = stage.views if stage.augmentation is not None else 1
    everything = np.arange(len(frames))
    training, validation = (everything, everything) if parts is None else parts
    # A stage may draw an image more than once in an epoch; its views are the same.
    wanted = [np.union1d(training, validation), *[np.unique(training)] * (views - 1)]
    # Zeros take no memory until they are written over.
    stored = np.zeros((views, len(frames), *shape), np.float32)
    nodules = None
    if frames.outlined is not None:
        cells = network.get_layer(nodule_map.LOGITS).output.shape[1:3]
        nodules = np.zeros((views, len(frames), *cells, 1), np.float32)
    total = sum(map(len, wanted))
    with tqdm(total=total, desc=f"{stage.name}: frozen layers", unit="image") as bar:
        for view, rows in enumerate(wanted):
            how = stage.augmentation if view else None
            done = 0
            for x in batches(frames.images, rows, 32, (stage.seed, view), how):
                y = run(x[..., :3]).numpy()
                here = rows[done : done + len(y)]
                stored[view, here] = y
                if nodules is not None:
                    nodules[view, here] = _shares(x[..., 3:], cells)
                done += len(y)
                bar.update(len(y))
    return Views(stored, nodules)


def _shares(masks: tf.Tensor, cells: tuple[int, ...]) -> np.ndarray:
    """Average masks (n, s, s, 1) of 0–255 over the cells of a map, 0–1."""
    return tf.image.resize(masks / 255.0, cells, "area").numpy()


def _optimiser(stage: Stage) -> keras.optimizers.Optimizer:
    rate = stage.learning_rate
    if stage.optimiser == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9)
    if stage.optimiser == "rmsprop":
        return keras.optimizers.RMSprop(rate)
    if stage.optimiser == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=stage.weight_decay)
    return keras.optimizers.Adam(rate)


def learning_rate(stage: Stage, progress: float) -> float:
    """Compute the learning rate at a moment of a stage.

    Parameters
    ----------
    stage : Stage
        Gives peak, schedule, warm-up and length.
    progress : float
        Epochs done, fractions included.

    Returns
    -------
    float
        Learning rate.
    """
    if progress < stage.warm_up:
        return stage.learning_rate * progress / stage.warm_up
    if stage.schedule == "constant":
        return stage.learning_rate
    # The last batch of an epoch still has that epoch's rate.
    finished = max(math.ceil(progress) - 1, 0)
    if stage.schedule == "step":
        return stage.learning_rate * stage.decay ** (finished // stage.decay_every)
    if stage.schedule == "log":
        fallen = min(finished / max(stage.epochs - 1, 1), 1.0)
        return stage.learning_rate * (stage.final_rate / stage.learning_rate) ** fallen
    share = (progress - stage.warm_up) / max(stage.epochs - stage.warm_up, 1e-9)
    return stage.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))


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
        losses = [row["validation_loss"] for row in self.history]
        return len(losses) - 1 - int(np.argmin(losses)) >= self.stage.patience

    def _variables(self) -> list[keras.Variable]:
        return [*self.upper.variables, *self.optimiser.variables]

    def end_epoch(self, row: dict[str, float]) -> None:
        self.history.append(row)
        losses = [past["validation_loss"] for past in self.history]
        if self.stage.patience is not None and int(np.argmin(losses)) == len(losses) - 1:
            self.best = [v.numpy() for v in self.upper.variables]
        if self.file is not None and self.log is not None:
            self._save(self.file, self.log)

    def _save(self, file: Path, log: Path) -> None:
        arrays = {f"now{i}": v.numpy() for i, v in enumerate(self._variables())}
        arrays |= {f"best{i}": v for i, v in enumerate(self.best)}
        note = json.dumps({"fingerprint": self.fingerprint, "history": self.history})
        with whole(file) as temporary:
            np.savez(temporary, note=np.array(note), **arrays)
        with whole(log) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, self.history[0])
            writer.writeheader()
            writer.writerows(self.history)

    def _restore(self, file: Path) -> None:
        with np.load(file) as state:
            note = json.loads(str(state["note"]))
            if note["fingerprint"] != self.fingerprint:
                raise RecipeError(
                    "The folder of a stage has to be empty or hold the same stage on the same "
                    "data, so that it can be resumed; give another --work folder or delete this "
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
        Keeps the epoch of least validation loss where it has `patience`, else the last.

    Returns
    -------
    int
        0 without an epoch.
    """
    if stage.patience is None or not history:
        return len(history)
    return 1 + int(np.argmin([row["validation_loss"] for row in history]))


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
) -> list[dict[str, float]]:
    """Train one stage in place, or go on where a killed run stood.

    Parameters
    ----------
    network : keras.Model
        Flat network from `backbones.build` with as many outputs as `frames` has classes.
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

    Returns
    -------
    list of dict
        One row an epoch: epoch, learning_rate, loss, validation_loss, validation_accuracy
        (share, 0–1).

    Raises
    ------
    RecipeError
        If the folder holds another run, or the network cannot be frozen so.
    """
    freeze(network, spec, stage.trainable, stage.frozen_layers)
    if stage.trainable == "none" or stage.epochs == 0:
        return []
    cut = cut_layer(network, spec, stage)
    if frames.outlined is None:
        upper = upper_part(network, cut)
    elif cut is None:
        raise RecipeError(
            "A stage that learns outlines needs a frozen part. "
            f"Received: trainable={stage.trainable!r}."
        )
    else:
        upper = _with_nodule(network, cut)
    for layer in upper.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and stage.norm_momentum is not None:
            layer.momentum = stage.norm_momentum
    run = _Run(upper, stage, _fingerprint(stage, frames, training, upper), folder)
    if not run.finished and cut is not None and views is None:
        views = cache_views(network, spec, stage, frames, (training, validation))
    step, look = _steps(upper, run.optimiser, stage, frames, training)
    first = len(run.history)
    with tqdm(total=stage.epochs, initial=first, desc=stage.name, unit="epoch") as bar:
        while not run.finished:
            epoch = len(run.history)
            loss = _epoch(step, run, frames, training, views, epoch)
            seen = _look(look, stage, frames, validation, views, epoch)
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
        return stage.label_share * each + _outline_losses(target, found[1])

    @tf.function(reduce_retracing=True, autograph=False)
    def step(x: tf.Tensor, target: _Target) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(losses(target, upper(x, training=True), smooth))
        variables = upper.trainable_variables
        optimiser.apply(tape.gradient(loss, variables), variables)
        return loss

    @tf.function(reduce_retracing=True, autograph=False)
    def look(x: tf.Tensor, target: _Target) -> tuple[tf.Tensor, tf.Tensor]:
        found = upper(x, training=False)
        logits = found if target.nodule is None else found[0]
        hits = tf.cast(tf.argmax(logits, 1) == target.label, tf.float32)
        return tf.reduce_sum(losses(target, found, 0.0)), tf.reduce_sum(hits)

    return step, look


class _Target(NamedTuple):
    """What a batch is to learn: labels, and for frames with masks the nodule in each cell."""

    label: tf.Tensor
    nodule: tf.Tensor | None = None
    outlined: tf.Tensor | None = None


def _outline_losses(target: _Target, logits: tf.Tensor) -> tf.Tensor:
    """Give cross-entropy plus Dice of the nodule map for each image, 0 where none is known.

    Milletari et al. 2016, "V-Net", section 3, for Dice; one is added above and below, so that
    a frame without a nodule has a loss too.
    """
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(target.nodule, logits)
    found = tf.sigmoid(logits)
    axes = (1, 2, 3)
    both = 2.0 * tf.reduce_sum(found * target.nodule, axes) + 1.0
    dice = both / (tf.reduce_sum(found + target.nodule, axes) + 1.0)
    return target.outlined * (tf.reduce_mean(entropy, axes) + 1.0 - dice)


def _chosen(
    frames: Frames,
    order: np.ndarray,
    stage: Stage,
    views: Views | None,
    epoch: int,
    plain: bool = False,
) -> Iterator[tuple[tf.Tensor, _Target]]:
    """Give an epoch's batches of inputs and targets, augmented or `plain`."""
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
    step: Any,
    run: _Run,
    frames: Frames,
    training: np.ndarray,
    views: Views | None,
    epoch: int,
) -> float:
    """Train for one epoch and give its mean loss."""
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
        total += float(step(x, target)) * len(x)
        seen += len(x)
        if number % 20 == 0:
            bar.set_postfix({"loss": f"{total / seen:.3f}"})
    return total / len(order)


def _look(
    look: Any,
    stage: Stage,
    frames: Frames,
    validation: np.ndarray,
    views: Views | None,
    epoch: int,
) -> dict[str, float]:
    """Give loss and accuracy on the validation part, NaN where there is none."""
    if len(validation) == 0:
        return {"validation_loss": math.nan, "validation_accuracy": math.nan}
    loss = hits = 0.0
    for x, target in _chosen(frames, validation, stage, views, epoch, plain=True):
        batch_loss, batch_hits = look(x, target)
        loss, hits = loss + float(batch_loss), hits + float(batch_hits)
    labelled = max(int((frames.labels[validation] >= 0).sum()), 1)
    return {"validation_loss": loss / len(validation), "validation_accuracy": hits / labelled}
