"""Progressive transfer, looked into: what is frozen, what moves, and what stays alike.

Chapter 3 follows one network down its chain of stages. This module reads a network stage by
stage on the same frames, and draws the stand-ins of chest radiographs for those without any.
"""

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
from PIL import Image
from tqdm.auto import tqdm

from thyro_demo.data import datasets, splits
from thyro_demo.errors import DataError
from thyro_demo.explain.cam import grad_cam
from thyro_demo.explain.heads import svm_gradient
from thyro_demo.files import whole
from thyro_demo.models import starts
from thyro_demo.models.backbones import BackboneSpec, build
from thyro_demo.models.chain import limited
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.models.manifest import weights_root
from thyro_demo.models.pipeline import Frames, batches
from thyro_demo.models.recipes import SOURCES
from thyro_demo.models.transfer import Stage, freeze, train_stage
from thyro_demo.teach.show import BLUE

STRATEGIES = ("head", "last block", "last two blocks", "all")
"""What a stage may train, from least to most; see `transfer.Stage`."""

RANDOM, NATURAL = "random weights", "photographs"
RADIOGRAPHS, FULL = "then radiographs", "then phantoms"

FILMS = "drawn films"
"""Source of stand-ins of chest radiographs."""

_FILES = {NATURAL: "natural-64.keras", RADIOGRAPHS: "radiographs.keras", FULL: "model.keras"}
_BLOCK = re.compile(r"stem|top|block\d+|conv\d+")
_HEAD = "head"
_BATCH = 16
_FEWEST = 4  # frames; with fewer, the unbiased estimate of likeness divides by 0
_FILMS, _FILM_SIDE = 300, 128


def shipped(backbone: str = "efficientnet-b0", root: Path | None = None) -> dict[str, str]:
    """Name the start of each stage of a shipped chain.

    Parameters
    ----------
    backbone : str
        Name of the bundle that keeps its stages.
    root : Path, optional
        Folder of the bundles; that of the project without it.

    Returns
    -------
    dict of str to str
        `RANDOM`, `NATURAL`, `RADIOGRAPHS` and `FULL`, each with a start as `starts.apply` takes
        it: the network after this stage.

    Raises
    ------
    DataError
        If a file of the chain is missing.
    """
    folder = (root or weights_root()) / backbone
    for name in _FILES.values():
        if not (folder / name).is_file():
            raise DataError(
                "This chapter looks into the shipped chain, natural-64.keras, radiographs.keras "
                f"and model.keras in one folder. Received: {folder}, without {name}."
            )
    return {RANDOM: "none"} | {stage: str(folder / name) for stage, name in _FILES.items()}


def blocks(built: keras.Model) -> dict[str, list[str]]:
    """Sort the layers of a network into its blocks, from the image to the score.

    Parameters
    ----------
    built : keras.Model
        VGG, ResNet or EfficientNet from `backbones.build`.

    Returns
    -------
    dict of str to list of str
        Block to names of its layers, in order; "head" is all above the last feature map.
    """
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


def _taught(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Give the variables that gradients move: running statistics are measured, not taught."""
    return [variable for variable in layer.weights if not variable.name.startswith("moving_")]


def freezing(built: keras.Model, spec: BackboneSpec) -> pd.DataFrame:
    """Count how many weights each strategy trains, block by block.

    Parameters
    ----------
    built : keras.Model
        From `backbones.build`; all of its layers can be trained afterwards.
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
        If the network has no two blocks to set free one after the other.
    """
    rows = []
    for strategy in STRATEGIES:
        freeze(built, spec, strategy)
        for block, names in blocks(built).items():
            layers = [built.get_layer(name) for name in names]
            sizes = [(sum(math.prod(v.shape) for v in _taught(layer)), layer) for layer in layers]
            trained = sum(size for size, layer in sizes if layer.trainable)
            total = sum(size for size, _ in sizes)
            rows.append(
                {"strategy": strategy, "block": block, "weights": total, "trained": trained}
            )
    freeze(built, spec, "all")
    return pd.DataFrame(rows)


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
class Reading:
    """A network at one stage of its path: its weights, and what it says of the frames.

    Parameters
    ----------
    weights : dict of str to list of ndarray of float32
        What training moves, by block without the head, which each stage has of its own.
    features : ndarray of float32 (n, d)
        Averages of the last feature map, of every frame.
    blocks : dict of str to ndarray of float32 (m, h, w, c)
        Outputs of each block, of the watched frames alone.
    """

    weights: dict[str, list[np.ndarray]]
    features: np.ndarray
    blocks: dict[str, np.ndarray]

    @property
    def maps(self) -> np.ndarray:
        """The last feature map of the watched frames, float32 (m, h, w, c)."""
        return list(self.blocks.values())[-1]


def walk(
    spec: BackboneSpec,
    path: Mapping[str, str],
    images: np.ndarray,
    watched: np.ndarray,
    seed: int = 0,
) -> dict[str, Reading]:
    """Read the same frames with one network at every stage of a path.

    Parameters
    ----------
    spec : BackboneSpec
        The network's row.
    path : mapping of str to str
        Stage to start, as `starts.apply` takes it.
    images : ndarray of uint8 (n, s, s, 3)
        RGB.
    watched : ndarray of int64 (m,)
        Rows of `images` of which the output of each block is kept.
    seed : int
        Of random weights.

    Returns
    -------
    dict of str to Reading
        By stage.

    Raises
    ------
    RecipeError
        If a start does not fit.
    """
    keras.utils.set_random_seed(seed)
    built = build(spec, input_size=images.shape[1])
    untaught = built.get_weights()
    sorted_layers = blocks(built)
    del sorted_layers[_HEAD]
    tops = ["features", *(names[-1] for names in sorted_layers.values())]
    part = keras.Model(built.inputs[0], [built.get_layer(name).output for name in tops])
    # Compiled once: weights are variables, which every stage may set anew.
    run = tf.function(lambda x: part(x, training=False), reduce_retracing=True)
    found = {}
    for stage, start in tqdm(path.items(), "Stages", unit="stage"):
        built.set_weights(untaught)
        starts.apply(built, spec, start)
        weights = {
            block: [v.numpy() for name in names for v in _taught(built.get_layer(name))]
            for block, names in sorted_layers.items()
        }
        features, outputs = _run(run, images, watched)
        found[stage] = Reading(weights, features, dict(zip(sorted_layers, outputs, strict=True)))
    return found


def _run(run: Any, images: np.ndarray, watched: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Give the features of all frames, and what the blocks give for the watched ones."""
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


def moved(before: Reading, after: Reading) -> pd.Series:
    """Measure how far the weights of each block moved.

    Parameters
    ----------
    before, after : Reading
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


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Measure how alike two descriptions of the same frames are.

    Centred kernel alignment asks whether frames that are alike for one network are alike for the
    other. It does not care which channel holds what, nor how large the numbers are.

    Parameters
    ----------
    first, second : ndarray of float (n, …)
        What two networks, or two stages of one, say of the same frames; n at least 4.

    Returns
    -------
    float
        1 for the same up to rotation and scale, about 0 (below it, too) for unrelated ones; NaN
        where one of them says the same of every frame.

    Raises
    ------
    DataError
        If the numbers of frames differ, or there are fewer than 4.

    References
    ----------
    Kornblith et al., "Similarity of neural network representations revisited", ICML 2019,
    section 3, with a linear kernel. We depart from it in one point: with few frames and many
    numbers for each, its estimate calls even unrelated descriptions alike, so we take the
    unbiased one, as Nguyen, Raghu and Kornblith, "Do wide and deep networks learn the same
    things?", ICLR 2021, section 3, equation 3.
    """
    if len(first) != len(second) or len(first) < _FEWEST:
        raise DataError(
            f"Two descriptions are compared on the same frames, {_FEWEST} or more. "
            f"Received: {len(first)} and {len(second)}."
        )
    grams = [_gram(each) for each in (first, second)]
    both, one, other = (_alignment(a, b) for a, b in (grams, grams[:1] * 2, grams[1:] * 2))
    return both / math.sqrt(one * other) if one > 0 and other > 0 else math.nan


def _gram(described: np.ndarray) -> np.ndarray:
    """Give inner products of all pairs of frames, float64 (n, n), those with themselves 0."""
    rows = described.reshape(len(described), -1).astype(np.float64)
    # Centring changes no estimate, and keeps large averages from eating up the digits.
    rows -= rows.mean(axis=0)
    gram = rows @ rows.T
    np.fill_diagonal(gram, 0.0)
    return gram


def _alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Estimate the Hilbert–Schmidt independence criterion without bias (Song et al. 2012)."""
    n = len(first)
    shared = np.sum(first * second)
    sums = first.sum() * second.sum() / ((n - 1) * (n - 2))
    crossed = 2.0 / (n - 2) * np.sum(first.sum(axis=0) * second.sum(axis=0))
    return float(shared + sums - crossed) / (n * (n - 3))


def alike(first: Reading, second: Reading) -> pd.Series:
    """Compare two stages block by block.

    Parameters
    ----------
    first, second : Reading
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
    """What a stage of training has left.

    Parameters
    ----------
    file : Path
        The network, in float32 whatever it was trained in.
    history : list of dict
        One row an epoch, as `transfer.train_stage` gives them.
    seconds : float
        Per step, compiling and the frozen part included.
    """

    file: Path
    history: list[dict[str, float]]
    seconds: float


def train(
    spec: BackboneSpec,
    start: str,
    stage: Stage,
    rates: Mapping[str, float],
    frames: Frames,
    parts: Sequence[np.ndarray],
    folder: Path,
) -> dict[str, Trained]:
    """Train one stage with several strategies, each from the same weights, and take the time.

    Parameters
    ----------
    spec : BackboneSpec
        The network's row.
    start : str
        See `starts.apply`.
    stage : Stage
        Settings, precision included, for every strategy.
    rates : mapping of str to float
        What is trained, each with the peak of its learning rate.
    frames : Frames
        Its images.
    parts : sequence of two ndarray of int64
        Training and validation rows of `frames`; the latter are only looked at.
    folder : Path
        Where the networks are kept.

    Returns
    -------
    dict of str to Trained
        By strategy.

    Raises
    ------
    RecipeError
        If the start does not fit, or the network cannot be frozen so.
    """
    keras.utils.set_random_seed(stage.seed)
    plain = build(spec, len(frames.classes), input_size=frames.images.shape[1])
    starts.apply(plain, spec, start)
    first, learner = plain.get_weights(), plain
    training, validation = parts
    if stage.precision != "float32":
        keras.config.set_dtype_policy(stage.precision)
        try:
            learner = build(spec, len(frames.classes), input_size=frames.images.shape[1])
        finally:
            keras.config.set_dtype_policy("float32")
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
        with whole(file) as temporary:
            plain.save(temporary)
        found[strategy] = Trained(file, history, seconds)
    return found


def evidence(head: CalibratedHead, feature_map: np.ndarray) -> np.ndarray:
    """Draw Grad-CAM of a machine that reads the averages of a feature map.

    Parameters
    ----------
    head : CalibratedHead
        Of kind "svm", fitted on averages of feature maps, as `Reading.features` has them.
    feature_map : ndarray of float32 (h, w, c)
        Last feature map of one frame.

    Returns
    -------
    ndarray of float32 (h, w)
        0–1; see `cam.grad_cam`.
    """
    high, wide, _ = feature_map.shape
    # Every cell has the same share in an average.
    slope = svm_gradient(head, feature_map.mean(axis=(0, 1))) / (high * wide)
    return grad_cam(feature_map, np.broadcast_to(slope.astype(np.float32), feature_map.shape))


def index(records: pd.DataFrame, folder: Path) -> Path:
    """Describe the frames of a chapter by one ``index.csv``, so that a recipe can read them.

    Parameters
    ----------
    records : DataFrame
        Record table of images under `folder`.
    folder : Path
        Where the index goes.

    Returns
    -------
    Path
        The folder.
    """
    columns = [name for name in ("path", "label", "group", "source") if name in records]
    table = records[columns].assign(
        path=[Path(path).relative_to(folder).as_posix() for path in records["path"]]
    )
    with whole(folder / "index.csv") as temporary:
        table.to_csv(temporary, index=False)
    return folder


def film(rng: np.random.Generator, side: int, opaque: bool) -> np.ndarray:
    """Draw a stand-in of a chest radiograph: two dark lungs, ribs, heart and diaphragm.

    Parameters
    ----------
    rng : Generator
        Gives each chest its own build.
    side : int
        Pixels.
    opaque : bool
        Whether a bright cloud lies in one of the lungs.

    Returns
    -------
    ndarray of uint8 (side, side)
        Grey, 0–255.

    Notes
    -----
    Nothing here follows the physics of X-rays. It gives those without radiographs a middle stage
    of the same kind: grey pictures of another part of the body, with a question of their own.
    """
    down, across = np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")
    lungs = np.zeros((side, side))
    centres = [sign * rng.uniform(0.38, 0.48) for sign in (-1, 1)]
    wide, high = rng.uniform(0.26, 0.36), rng.uniform(0.55, 0.72)
    for centre in centres:
        inside = ((across - centre) / wide) ** 2 + (down / high) ** 2
        lungs = np.maximum(lungs, 1.0 / (1.0 + np.exp(14.0 * (inside - 1.0))))
    heart = np.exp(-(((across - 0.14) / 0.3) ** 4 + ((down - 0.35) / 0.3) ** 4))
    lungs *= 1.0 - 0.9 * heart
    arcs = np.sin(rng.uniform(13, 17) * (down + 0.35 * across**2) + rng.uniform(0, 6))
    bright = 0.72 - 0.5 * lungs + 0.1 * np.maximum(arcs, 0) ** 2
    if opaque:
        x, y = rng.choice(centres) + rng.uniform(-0.1, 0.1), rng.uniform(-0.35, 0.4)
        spread = rng.uniform(0.14, 0.26)
        cloud = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * spread**2))
        bright += rng.uniform(0.2, 0.4) * cloud * lungs
    bright = (bright + rng.normal(0, 0.03, bright.shape)) * rng.uniform(0.85, 1.1)
    return np.round(255 * np.clip(bright, 0, 1)).astype(np.uint8)


def films(folder: Path, count: int, side: int = 128, seed: int = 0) -> pd.DataFrame:
    """Draw stand-ins of chest radiographs into a folder, or read those that are there.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    count : int
        Chests, every second one with a cloud.
    side : int
        Pixels.
    seed : int
        Of the draw.

    Returns
    -------
    DataFrame
        Record table with labels "clear" and "cloud"; every chest is its own group.
    """
    if not (folder / "index.csv").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        rows = []
        for number in range(count):
            name, label = f"film-{number:04d}.png", ("clear", "cloud")[number % 2]
            Image.fromarray(film(rng, side, label == "cloud")).save(folder / name)
            rows.append({"path": name, "label": label, "group": f"chest-{number}"})
        with whole(folder / "index.csv") as temporary:
            pd.DataFrame(rows).assign(source=FILMS).to_csv(temporary, index=False)
    return datasets.load(folder)


def chests(data: Path | None, drawn: Path, stage: Stage) -> pd.DataFrame:
    """Read the images of the middle stage: radiographs where there are any, or else drawn films.

    Parameters
    ----------
    data : Path or None
        Folder that holds the real sets by name.
    drawn : Path
        Where drawn films are kept.
    stage : Stage
        Its `limit` says how many images, its `input_size` how large films are drawn.

    Returns
    -------
    DataFrame
        Record table whose column `split` is "train" or "validation"; no group, and no near copy,
        is in both.

    Raises
    ------
    DataError
        If the radiographs are not in the layout that is read.
    """
    folder = None if data is None else data / SOURCES["radiographs"].folder
    if folder is not None and folder.is_dir():
        records = limited(datasets.radiographs(folder), stage)
    else:
        records = films(drawn, stage.limit or _FILMS, stage.input_size or _FILM_SIDE, stage.seed)
    return splits.split(splits.group_near_duplicates(records), (0.8, 0.2, 0.0), stage.seed)


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlate two heatmaps of each frame.

    Parameters
    ----------
    first, second : ndarray of float (m, h, w)
        Heatmaps of the same frames.

    Returns
    -------
    ndarray of float64 (m,)
        Pearson correlation over the cells, −1 to 1; NaN where a map is flat.
    """
    rows = [
        each.reshape(len(each), -1) - each.mean(axis=(1, 2))[:, None] for each in (first, second)
    ]
    lengths = np.prod([np.linalg.norm(each, axis=1) for each in rows], axis=0)
    shared = np.einsum("ij,ij->i", *rows)
    return np.divide(shared, lengths, out=np.full(len(shared), np.nan), where=lengths > 0)
