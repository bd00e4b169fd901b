"""The stage in which a network learns where the nodule is: what it reads, and what it leaves."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from thyro_demo.data.masks import nodule_mask
from thyro_demo.data.records import PHANTOM
from thyro_demo.evaluate import operating_points
from thyro_demo.files import atomic_write, sha256
from thyro_demo.models.pipeline import Frames, load_outlined
from thyro_demo.training import outlined_set
from thyro_demo.training.out_of_fold import CLASSES, read_back

_DRAWN = "outlined"
_NOTE = "outlines.json"
_LEARNED = "outlined.csv"


def read(data: Path, work: Path, scored: pd.DataFrame) -> pd.DataFrame:
    """Read the frames of the stage, none of them one that will be scored."""
    outlined_set.draw(work / _DRAWN)
    return outlined_set.read(data, work / _DRAWN, scored)


def load(records: pd.DataFrame, size: int) -> Frames:
    """Load the frames of the stage with their masks; sets without a diagnosis have no label."""
    masks = (nodule_mask(record) for _, record in records.iterrows())
    return load_outlined(records, masks, CLASSES, size)


def finish(
    network: keras.Model, frames: Frames, records: pd.DataFrame, folder: Path
) -> dict[str, Any]:
    """Note whose outlines were learned, and choose when the network reports "no nodule"."""
    learned = records.loc[records["split"] == "train", ["path", "group", "source", "set", "label"]]
    with atomic_write(folder / _LEARNED) as temporary:
        learned.to_csv(temporary, index=False)
    real = learned.loc[learned["source"] != PHANTOM, "path"]
    with atomic_write(folder / _NOTE) as temporary:
        temporary.write_text(json.dumps(sorted({sha256(path) for path in real})))
    aside = np.flatnonzero((records["split"] == "validation") & frames.outlined)
    images = frames.images[aside]
    _, maps = network.predict(images[..., :3].astype(np.float32), batch_size=32, verbose=0)
    holds = images[..., 3].max(axis=(1, 2)) > 127
    threshold = operating_points.youden(holds, maps.max(axis=(1, 2, 3)))
    return {"nodule threshold": float(threshold)}


def learned(folder: Path) -> pd.DataFrame:
    """Read which frames a stage has learned, phantoms included."""
    return read_back(folder / _LEARNED)


def learned_outlines(folder: Path) -> list[str]:
    """Name the real frames (SHA-256) whose outlines a stage has learned."""
    return json.loads((folder / _NOTE).read_text(encoding="utf-8"))
