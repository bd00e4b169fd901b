"""Chapter 3: one network along its stages: what is frozen, what moves, what stays alike."""

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from thyro_demo.course.show import BLUE
from thyro_demo.data import datasets, near_duplicates, splits
from thyro_demo.data.phantom import chest_film
from thyro_demo.data.places import Places
from thyro_demo.explain.similarity import cka
from thyro_demo.files import atomic_write
from thyro_demo.models.backbones import BackboneSpec
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import Frames, batches
from thyro_demo.training import initial_weights
from thyro_demo.training.frozen_cache import freeze
from thyro_demo.training.loop import train_stage
from thyro_demo.training.pretrain import limited
from thyro_demo.training.stage import Stage

STRATEGIES = ("head", "last block", "last two blocks", "all")
"""What a stage may train, from least to most; see `stage.Stage`."""

_BLOCK = re.compile(r"stem|top|block\d+|conv\d+")
_HEAD = "head"
_BATCH = 16
_FILMS, _FILM_SIDE = 300, 128


def freezing(built: keras.Model, spec: BackboneSpec) -> pd.DataFrame:
    """Count how many weights each strategy trains, block by block.

    Parameters
    ----------
    built : keras.Model
        From `networks.build`; all of its layers can be trained afterwards.
    spec : BackboneSpec
        Its row.

    Returns
    -------
    DataFrame
        One row a strategy and block: `strategy`, `block`, `weights` and `trained`, numbers of
        weights.

    Raises
    ------
    RecipeError
        If the network has no two blocks to train one after the other.
    """
    rows = []
    for strategy in STRATEGIES:
        freeze(built, spec, strategy)
        for block, names in _blocks(built).items():
            layers = [built.get_layer(name) for name in names]
            sizes = [
                (sum(math.prod(v.shape) for v in _trainable(layer)), layer) for layer in layers
            ]
            trained = sum(size for size, layer in sizes if layer.trainable)
            total = sum(size for size, _ in sizes)
            rows.append(
                {"strategy": strategy, "block": block, "weights": total, "trained": trained}
            )
    freeze(built, spec, "all")
    return pd.DataFrame(rows)


def _blocks(built: keras.Model) -> dict[str, list[str]]:
    """Sort the names of a network's layers into its blocks, from the image to the head."""
    found: dict[str, list[str]] = {}
    block = ""
    for layer in built.layers:
        if layer.name == "features":
            block = _HEAD
        elif block != _HEAD and (named := _BLOCK.match(layer.name)):
            block = named.group()
        # The input and its normalisation come before the first block.
        if block:
            found.setdefault(block, []).append(layer.name)
    return found


def _trainable(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return the variables that gradients move: running statistics are measured, not learned."""
    return [variable for variable in layer.weights if not variable.name.startswith("moving_")]


def draw_freezing(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw networks as chains of blocks, the trained ones in colour, a row a strategy.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Title of each network to its table from `freezing`.

    Returns
    -------
    Figure
        One pair of axes a network.
    """
    figure = Figure(figsize=(10, 2.5 * len(tables)), layout="constrained")
    for axes, (title, table) in zip(
        np.atleast_1d(figure.subplots(len(tables))), tables.items(), strict=True
    ):
        names = list(dict.fromkeys(table["block"]))
        for place, strategy in enumerate(STRATEGIES):
            rows = table[table["strategy"] == strategy]
            for left, row in enumerate(rows.itertuples()):
                learns = row.trained > 0
                axes.barh(place, 0.94, left=left, height=0.8, color=BLUE if learns else "#DDDDDD")
                axes.text(
                    left + 0.47, place, _short(row.weights), ha="center", va="center",
                    fontsize=9, color="white" if learns else "#333333",
                )  # fmt: skip
            share = rows["trained"].sum() / rows["weights"].sum()
            trained = _short(rows["trained"].sum())
            axes.text(
                len(names) + 0.1, place, f"{trained} ({100 * share:.3g} %)", va="center", fontsize=9
            )
        axes.set_xticks(np.arange(len(names)) + 0.47, names)
        axes.set_yticks(range(len(STRATEGIES)), STRATEGIES)
        axes.set(xlim=(0, len(names) + 1.9), title=title)
        axes.set(xlabel="Block, from the image to the score", ylabel="What is trained")
    return figure


def _short(count: int) -> str:
    """Write a number of weights in three digits: 7.1k, 2.3M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)


@dataclass(frozen=True)
class Snapshot:
    """A network at one stage of its path: its weights, and its outputs for the frames.

    Parameters
    ----------
    weights : dict of str to list of ndarray of float32
        What training moves, by block, without the head, which is new at each stage.
    features : ndarray of float32 (n, d)
        Averages of the last feature map, of every frame.
    blocks : dict of str to ndarray of float32 (m, h, w, c)
        Outputs of each block, for the watched frames alone.
    """

    weights: dict[str, list[np.ndarray]]
    features: np.ndarray
    blocks: dict[str, np.ndarray]

    @property
    def maps(self) -> np.ndarray:
        """The last feature maps of the watched frames, float32 (m, h, w, c)."""
        return list(self.blocks.values())[-1]


def follow(
    spec: BackboneSpec,
    path: Mapping[str, str],
    images: np.ndarray,
    watched: np.ndarray,
    seed: int = 0,
) -> dict[str, Snapshot]:
    """Run the same frames through one network at every stage of a path.

    Parameters
    ----------
    spec : BackboneSpec
        The network's row.
    path : mapping of str to str
        Stage to weights, as `initial_weights.load` takes them.
    images : ndarray of uint8 (n, s, s, 3)
        RGB.
    watched : ndarray of int64 (m,)
        Rows of `images` of which the output of each block is kept.
    seed : int
        Of random weights.

    Returns
    -------
    dict of str to Snapshot
        By stage.

    Raises
    ------
    RecipeError
        If weights do not fit.
    """
    keras.utils.set_random_seed(seed)
    built = build(spec, input_size=images.shape[1])
    random_weights = built.get_weights()
    sorted_layers = _blocks(built)
    del sorted_layers[_HEAD]
    tops = ["features", *(names[-1] for names in sorted_layers.values())]
    part = keras.Model(built.inputs[0], [built.get_layer(name).output for name in tops])
    # Compiled once: weights are variables, which every stage may set anew.
    run = tf.function(lambda x: part(x, training=False), reduce_retracing=True)
    found = {}
    for stage, weights_of_stage in tqdm(path.items(), "Stages", unit="stage"):
        built.set_weights(random_weights)
        initial_weights.load(built, spec, weights_of_stage)
        weights = {
            block: [v.numpy() for name in names for v in _trainable(built.get_layer(name))]
            for block, names in sorted_layers.items()
        }
        features, outputs = _run(run, images, watched)
        found[stage] = Snapshot(weights, features, dict(zip(sorted_layers, outputs, strict=True)))
    return found


def _run(run: Any, images: np.ndarray, watched: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Compute the features of all frames, and the outputs of all blocks for the watched ones."""
    features, kept = [], []
    steps = range(0, len(images), _BATCH)
    rows = batches(images, np.arange(len(images)), _BATCH)
    for first, x in tqdm(zip(steps, rows, strict=True), "Frames", len(steps), leave=False):
        average, *outputs = run(x)
        features.append(average.numpy())
        here = np.sort(watched[(watched >= first) & (watched < first + len(average))])
        kept.append([tf.gather(each, here - first).numpy() for each in outputs])
    # Back from the order of the frames to that in which they were asked for.
    order = np.argsort(np.argsort(watched))
    return np.concatenate(features), [
        np.concatenate(each)[order] for each in zip(*kept, strict=True)
    ]


def weight_changes(before: Snapshot, after: Snapshot) -> pd.Series:
    """Measure how far the weights of each block moved.

    Parameters
    ----------
    before, after : Snapshot
        The same network at two stages.

    Returns
    -------
    Series of float
        By block, the length of the change divided by the length of the weights before it; 0
        where nothing moved.
    """
    return pd.Series(
        {
            block: _length(new - old for old, new in zip(olds, after.weights[block], strict=True))
            / _length(olds)
            for block, olds in before.weights.items()
            if olds
        },
        dtype=float,
    )


def _length(arrays: Iterable[np.ndarray]) -> float:
    return math.sqrt(sum(float(np.sum(np.square(each))) for each in arrays))


def block_similarity(first: Snapshot, second: Snapshot) -> pd.Series:
    """Compare two stages block by block.

    Parameters
    ----------
    first, second : Snapshot
        Of the same frames by the same kind of network.

    Returns
    -------
    Series of float
        `cka` by block.
    """
    return pd.Series(
        {block: cka(first.blocks[block], second.blocks[block]) for block in first.blocks}
    )


@dataclass(frozen=True)
class Trained:
    """The outcome of one stage of training.

    Parameters
    ----------
    file : Path
        The network, in float32 whatever it was trained in.
    history : list of dict
        One row an epoch, as `loop.train_stage` returns them.
    seconds : float
        Per step, compiling and the frozen part included.
    """

    file: Path
    history: list[dict[str, float]]
    seconds: float


def train(
    spec: BackboneSpec,
    weights: str,
    stage: Stage,
    rates: Mapping[str, float],
    frames: Frames,
    parts: Sequence[np.ndarray],
    folder: Path,
) -> dict[str, Trained]:
    """Train one stage with several strategies, each from the same weights, and measure the time.

    Parameters
    ----------
    spec : BackboneSpec
        The network's row.
    weights : str
        Initial weights; see `initial_weights.load`.
    stage : Stage
        Settings, precision included, for every strategy.
    rates : mapping of str to float
        Strategy to the peak of its learning rate.
    frames : Frames
        Its images.
    parts : sequence of two ndarray of int64
        Training and validation rows of `frames`; the latter are only evaluated.
    folder : Path
        Where the networks are kept.

    Returns
    -------
    dict of str to Trained
        By strategy.

    Raises
    ------
    RecipeError
        If the weights do not fit, or the network cannot be frozen so.
    """
    keras.utils.set_random_seed(stage.seed)
    plain = build(spec, len(frames.classes), input_size=frames.images.shape[1])
    initial_weights.load(plain, spec, weights)
    first = plain.get_weights()
    learner = plain if stage.precision == "float32" else _built_in(stage.precision, spec, frames)
    training, validation = parts
    found = {}
    for strategy, rate in rates.items():
        began = time.perf_counter()
        learner.set_weights(first)
        how = replace(stage, trainable=strategy, learning_rate=rate)
        history = train_stage(learner, spec, how, frames, training, validation)
        steps = len(history) * math.ceil(len(training) / stage.batch)
        seconds = (time.perf_counter() - began) / max(steps, 1)
        plain.set_weights(learner.get_weights())
        file = folder / f"{strategy.replace(' ', '-')}.keras"
        with atomic_write(file) as temporary:
            plain.save(temporary)
        found[strategy] = Trained(file, history, seconds)
    return found


def _built_in(precision: str, spec: BackboneSpec, frames: Frames) -> keras.Model:
    """Build a network that computes in another precision."""
    keras.config.set_dtype_policy(precision)
    try:
        return build(spec, len(frames.classes), input_size=frames.images.shape[1])
    finally:
        keras.config.set_dtype_policy("float32")


def chests(data: Places | None, drawn: Path, stage: Stage) -> pd.DataFrame:
    """Read the images of the middle stage: radiographs where there are any, or else drawn films.

    Parameters
    ----------
    data : Places or None
        Folders that hold the real sets.
    drawn : Path
        Where drawn films are kept.
    stage : Stage
        Its `limit` is the number of images, its `input_size` the side of drawn films.

    Returns
    -------
    DataFrame
        Record table whose column `split` is "train" or "validation"; no group, and no near
        duplicate, is in both.

    Raises
    ------
    DataError
        If the radiographs are not in a known layout.
    """
    sets = [None if data is None else data.find(key) for key in ("covid", "paediatric")]
    if any(sets):
        records = near_duplicates.group(limited(datasets.films(*sets), stage))
    else:
        # Drawn films look alike, and yet no two are of one chest.
        records = chest_film.cohort(
            drawn, stage.limit or _FILMS, stage.input_size or _FILM_SIDE, stage.seed
        )
    return splits.split(records, (0.8, 0.2, 0.0), stage.seed)
