"""The images of a stage, and a note of which they were."""

import hashlib
import os
from pathlib import Path

import pandas as pd

from thyro_demo.data import masks, phantom
from thyro_demo.errors import RecipeError
from thyro_demo.files import atomic_write, relative
from thyro_demo.training import nodule_stage
from thyro_demo.training.job import IMAGES, TrainingJob
from thyro_demo.training.sources import SOURCES
from thyro_demo.training.stage import Stage


def read(job: TrainingJob, source: str, stage: Stage) -> pd.DataFrame:
    """Read the images of a stage; refuse others than its finished parts were trained on."""
    root = _folder(job, source)
    if source == "phantoms" and not (root / "index.csv").exists():
        phantom.write(phantom.cohort(_PATIENTS, frames_per_patient=2, seed=11), root)
    records = _outlined(job) if SOURCES[source].outlines else SOURCES[source].read(str(root))
    folder = job.work / stage.name
    note, held = folder / IMAGES, content(records, root)
    done = any(folder.glob("*.json"))
    if done and note.exists() and note.read_text(encoding="utf-8") != held:
        raise RecipeError(
            "A work folder must go on with the images that it began with; choose another --work "
            f"folder or delete this one. Received: {root}, with other images than {folder} is of."
        )
    with atomic_write(note) as temporary:
        temporary.write_text(held, encoding="utf-8")
    return records


def thyroid(data: Path) -> pd.DataFrame:
    """Read the thyroid set.

    Parameters
    ----------
    data : Path
        The set, or the folder that holds all sets by name.

    Returns
    -------
    DataFrame
        Record table.
    """
    source = SOURCES["thyroid"]
    named = data / source.folder
    return source.read(str(named if named.is_dir() else data))


def _outlined(job: TrainingJob) -> pd.DataFrame:
    """Read the frames that teach where the nodule is, none of them one that will be scored."""
    return nodule_stage.read(job.data, job.work, thyroid(job.data))


def content(records: pd.DataFrame, root: Path) -> str:
    """Hash what a set holds, not where: names, labels, outlines, groups and sizes of files."""
    files = [path.partition("::")[0] for path in records["path"]]
    sizes = {file: os.path.getsize(file) for file in set(files)}
    facts = records[["label", "group", "source"]].assign(
        path=[relative(path, (root,)) for path in records["path"]],
        size=[sizes[file] for file in files],
        outlines=[masks.digest(record) for record in records.to_dict("records")],
    )
    return hashlib.sha256(facts.to_csv(index=False).encode()).hexdigest()


_PATIENTS = 1000
"""Simulated patients of the phantom stage; those of the last stage are others."""


def _folder(job: TrainingJob, source: str) -> Path:
    if source == "phantoms":
        return job.work / "drawn"
    named = job.data / SOURCES[source].folder
    if SOURCES[source].outlines:
        return job.data
    return job.data if len(job.recipe.stages) == 1 and not named.is_dir() else named
