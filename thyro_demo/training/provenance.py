"""What a chain has met before its last stage: phantoms, outlines, kinds of images."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from thyro_demo.bundle import manifest, training_set
from thyro_demo.errors import DataError
from thyro_demo.files import sha256
from thyro_demo.models.pipeline import load_frames
from thyro_demo.training import nodule_stage, stage_images
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.sources import SOURCES

_MOST_OF_A_KIND = 300
"""Images that are plenty for the space of one kind of training image."""


def phantoms(job: TrainingJob, records: pd.DataFrame | None = None) -> dict[str, int]:
    """Count the drawn patients that the initial weights, an early stage or `records` have met."""
    before = manifest.trained_on(job.initial_weights).get("training_phantoms", {})
    groups = [
        nodule_stage.learned(job.work / stage.name)["group"]
        if SOURCES[source].outlines
        else stage_images.read(job, source, stage)["group"]
        for source, stage in job.recipe.early
        if source == "phantoms" or SOURCES[source].outlines
    ]
    if records is not None:
        groups.append(records["group"])
    return training_set.joined([before, *map(training_set.cohorts, groups)])


def outlines(job: TrainingJob) -> list[str]:
    """List the real frames (SHA-256) whose outlines the chain of a job has learned so far."""
    met = list(manifest.trained_on(job.initial_weights).get("training_outlines", []))
    for source, stage in job.recipe.early:
        if SOURCES[source].outlines:
            met += nodule_stage.learned_outlines(job.work / stage.name)
    return sorted(set(met))


def check_outlines(job: TrainingJob, records: pd.DataFrame) -> None:
    """Refuse a network that has learned where the nodules of the frames to score are."""
    met = set(outlines(job))
    if met and (known := [path for path in records["path"] if sha256(path) in met]):
        raise DataError(
            "A network must not have learned the outlines of frames that it is scored on. "
            f"Received: {len(known)} of them, among them {known[0]}."
        )


def images(job: TrainingJob, size: int) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield records and frames, uint8 (n, size, size, 3), of the early stages with outlines."""
    for source, stage in job.recipe.early:
        if SOURCES[source].outlines:
            table = nodule_stage.learned(job.work / stage.name)
            table = table.sample(frac=1, random_state=0).groupby("source").head(_MOST_OF_A_KIND)
            # The label does not matter here, and some frames have none.
            frames = load_frames(table.assign(label=CLASSES[0]), CLASSES, size)
            yield table, frames.images
