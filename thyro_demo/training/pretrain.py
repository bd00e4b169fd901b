"""The stages before the last: each trains a network and leaves its file to the next."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

from thyro_demo.data import near_duplicates, splits
from thyro_demo.data.records import PHANTOM
from thyro_demo.files import atomic_write
from thyro_demo.models.backbones import BackboneSpec
from thyro_demo.models.networks import build, copy_weights, fold_normalisation, zero_init_residual
from thyro_demo.models.pipeline import Frames, load_frames
from thyro_demo.training import initial_weights, nodule_stage, outlined_set, stage_images
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.loop import epochs_kept, train_stage
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.sources import SOURCES
from thyro_demo.training.stage import Stage


def run(
    job: TrainingJob, spec: BackboneSpec, stages: tuple[tuple[str, Stage], ...]
) -> "Pretrained":
    """Train stage after stage; those that are done in the work folder are taken as they are."""
    weights, history = job.initial_weights, []
    for source, stage in stages:
        weights = train(job, spec, source, job.stage(stage), weights)
        note = job.work / stage.name / _NOTE
        history.append(json.loads(note.read_text(encoding="utf-8")))
    return Pretrained(weights, history)


class Pretrained(NamedTuple):
    """What the last stage goes on from.

    Attributes
    ----------
    weights : str
        As `initial_weights.load` reads it.
    history : list of dict
        One row a stage, as the manifest holds it.
    """

    weights: str
    history: list[dict[str, Any]]


_NOTE = "stage.json"


def train(job: TrainingJob, spec: BackboneSpec, source: str, stage: Stage, weights: str) -> str:
    """Train one stage, unless its folder holds the result; return the file of its network."""
    folder = job.work / stage.name
    file, note = folder / "network.keras", folder / _NOTE
    records = stage_images.read(job, source, stage)
    if note.exists():
        return str(file)
    outlines = SOURCES[source].outlines
    classes = CLASSES if outlines else tuple(sorted(set(records["label"])))
    records = _with_split(limited(records, stage), stage)
    validation = _rows(records, "validation")
    training = outlined_set.drawn_rows(records) if outlines else _rows(records, "train")
    size = stage.input_size or spec.input_size
    if outlines:
        frames = nodule_stage.load(records, size)
    else:
        frames = load_frames(records, classes, size, SOURCES[source].crop)
    network = new_network(spec, stage, len(classes), size, "nodule" if outlines else "softmax")
    initial_weights.load(network, spec, weights)
    rows = _train(network, spec, stage, frames, (training, validation), folder, weights == "none")
    with atomic_write(file) as temporary:
        network.save(temporary)
    learned, drawn = records["split"] == "train", records["source"] == PHANTOM
    row = {
        "stage": stage.name,
        "trained": stage.trainable,
        "images": int((learned & ~drawn).sum()),
        "phantoms": int((learned & drawn).sum()),
        # What the accuracy is of: sets without a diagnosis have no label to get right.
        "validation images": int((frames.labels[validation] >= 0).sum()),
        "classes": len(classes),
        "epochs": len(rows),
        # A stage that trains nothing has seen nothing.
        "validation accuracy": rows[epochs_kept(rows, stage) - 1]["validation_accuracy"]
        if rows
        else None,
        "input size": size,
    }
    if outlines:
        row |= nodule_stage.finish(network, frames, records, folder)
    with atomic_write(note) as temporary:
        temporary.write_text(json.dumps(row, indent=1))
    (folder / "state.npz").unlink(missing_ok=True)
    return str(file)


def limited(records: pd.DataFrame, stage: Stage) -> pd.DataFrame:
    """Draw whole groups while they fit into a stage; an image without a group is its own.

    Parameters
    ----------
    records : DataFrame
        Record table.
    stage : Stage
        With the most images that fit (`limit`), and the seed of the draw.

    Returns
    -------
    DataFrame
        The drawn records, in their old order.
    """
    if stage.limit is None or len(records) <= stage.limit:
        return records
    groups = records["group"].where(records["group"].notna(), records["path"])
    order = np.random.default_rng(stage.seed).permutation(groups.unique())
    filled = groups.value_counts()[order].cumsum()
    kept = filled.index[filled <= stage.limit]
    return records[groups.isin(kept)].reset_index(drop=True)


def new_network(
    spec: BackboneSpec, stage: Stage, classes: int, size: int, head: str = "softmax"
) -> keras.Model:
    """Build a network that is the same whether or not earlier stages ran in this process."""
    keras.utils.set_random_seed(stage.seed)
    return build(spec, classes, head, size)


def _with_split(records: pd.DataFrame, stage: Stage) -> pd.DataFrame:
    """Set groups aside, where a set brings no parts of its own."""
    if "split" in records:
        return records
    records = near_duplicates.group(records)
    return splits.split(records, (0.85, 0.15, 0.0), stage.seed)


def _rows(records: pd.DataFrame, part: str) -> np.ndarray:
    return np.flatnonzero(records["split"] == part)


def _train(
    network: keras.Model,
    spec: BackboneSpec,
    stage: Stage,
    frames: Frames,
    parts: tuple[np.ndarray, np.ndarray],
    folder: Path,
    random_weights: bool,
) -> list[dict[str, float]]:
    """Train a network; images that grow and mixed precision need one of their own."""
    if not stage.sides and stage.precision == "float32":
        return train_stage(network, spec, stage, frames, *parts, folder)
    keras.config.set_dtype_policy(stage.precision)
    try:
        keras.utils.set_random_seed(stage.seed)
        side = frames.images.shape[1]
        head = "softmax" if frames.outlined is None else "nodule"
        trained = build(spec, len(frames.classes), head, side, scratch=bool(stage.sides))
        copy_weights(network, trained)
        if random_weights:
            zero_init_residual(trained)
        rows = train_stage(trained, spec, stage, frames, *parts, folder)
    finally:
        keras.config.set_dtype_policy("float32")
    fold_normalisation(trained, network)
    return rows
