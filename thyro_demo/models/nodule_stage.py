"""The stage in which a network learns where the nodule is: what it reads, and what it leaves."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from thyro_demo.data.masks import nodule_mask
from thyro_demo.evaluate import metrics
from thyro_demo.files import sha256, whole
from thyro_demo.models import outlined_set
from thyro_demo.models.out_of_fold import CLASSES, PHANTOM
from thyro_demo.models.pipeline import Frames, load_outlined

_DRAWN = "outlined"
_NOTE = "outlines.json"
_LEARNED = "outlined.csv"


def read(data: Path, work: Path, scored: pd.DataFrame) -> pd.DataFrame:
    """Read the frames of the stage, none of them one that will be scored.

    Parameters
    ----------
    data : Path
        Folder of the sets.
    work : Path
        Where phantoms are drawn.
    scored : DataFrame
        Records of the thyroid set.

    Returns
    -------
    DataFrame
        As `outlined_set.read` gives it.
    """
    outlined_set.draw(work / _DRAWN)
    return outlined_set.read(data, work / _DRAWN, scored)


def load(records: pd.DataFrame, size: int) -> Frames:
    """Load the frames of the stage with their masks.

    Parameters
    ----------
    records : DataFrame
        From `read`.
    size : int
        Side, pixels.

    Returns
    -------
    Frames
        With masks; the label is unknown where it is neither "benign" nor "malignant".
    """
    masks = (nodule_mask(record) for _, record in records.iterrows())
    return load_outlined(records, masks, CLASSES, size)


def finish(
    network: keras.Model, frames: Frames, records: pd.DataFrame, folder: Path
) -> dict[str, Any]:
    """Note whose outlines were learned, and choose when the network says "no nodule".

    Parameters
    ----------
    network : keras.Model
        As trained.
    frames : Frames
        From `load`.
    records : DataFrame
        From `read`.
    folder : Path
        Of the stage.

    Returns
    -------
    dict
        For the stage's row: ``nodule threshold`` (0–1), the least maximum of the nodule map that
        counts as a nodule: the Youden point over the frames set aside, with and without one.
    """
    learned = records.loc[records["split"] == "train", ["path", "group", "source", "set", "label"]]
    with whole(folder / _LEARNED) as temporary:
        learned.to_csv(temporary, index=False)
    real = learned.loc[learned["source"] != PHANTOM, "path"]
    with whole(folder / _NOTE) as temporary:
        temporary.write_text(json.dumps(sorted({sha256(path) for path in real})))
    aside = np.flatnonzero((records["split"] == "validation") & frames.outlined)
    images = frames.images[aside]
    _, maps = network.predict(images[..., :3].astype(np.float32), batch_size=32, verbose=0)
    holds = images[..., 3].max(axis=(1, 2)) > 127
    threshold = metrics.youden_threshold(holds, maps.max(axis=(1, 2, 3)))
    return {"nodule threshold": float(threshold)}


def learned(folder: Path) -> pd.DataFrame:
    """Read which frames a stage has learned.

    Parameters
    ----------
    folder : Path
        Of the stage.

    Returns
    -------
    DataFrame
        `path, group, source, set, label` of its training part, phantoms included.
    """
    return pd.read_csv(folder / _LEARNED, dtype={"group": str})


def learned_outlines(folder: Path) -> list[str]:
    """Name the real frames whose outlines a stage has learned.

    Parameters
    ----------
    folder : Path
        Of the stage.

    Returns
    -------
    list of str
        SHA-256 of each file.
    """
    return json.loads((folder / _NOTE).read_text(encoding="utf-8"))
