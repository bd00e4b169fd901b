"""Where the images of each training stage come from, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from thyro_demo.data import datasets, masks
from thyro_demo.errors import DataError


def _tiny_imagenet(root: str) -> pd.DataFrame:
    training = datasets.tiny_imagenet(root, "train").assign(split="train")
    validation = datasets.tiny_imagenet(root, "val").assign(split="validation")
    return pd.concat([training, validation], ignore_index=True)


def _outlined_thyroid(root: str) -> pd.DataFrame:
    """Read the frames of the thyroid set whose nodule is outlined."""
    records = masks.with_outlines(datasets.load(root), Path(root))
    if "mask_path" in records:
        return records
    if "polygons" not in records:
        raise DataError(
            "The nodules of a set must be outlined, as in phantoms and in frames from DDTI, whose "
            f"folder ddti must be beside the set. Received: {root} without outlines."
        )
    return records[records["polygons"].map(len) > 0].reset_index(drop=True)


@dataclass(frozen=True)
class Source:
    """Where the images of a stage come from.

    Parameters
    ----------
    folder : str
        Name of the set's folder under `--data`.
    read : callable
        Takes that folder, returns the record table; a column `split` with "train" and
        "validation" fixes the parts, in the words of `splits.split`.
    crop : bool
        Whether frames are scanner frames, to be cropped to the scan area.
    roi : bool
        Whether each frame is cropped to its outlined nodule instead (`roi.nodule_boxes`).
    outlines : bool
        Whether the network learns to draw the nodule (`nodule_map`), from the outlines of
        several sets and of phantoms (`outlined_set`); `folder` is then that of the sets.
    """

    folder: str
    read: Callable[[str], pd.DataFrame]
    crop: bool
    roi: bool = False
    outlines: bool = False


SOURCES = {
    "natural": Source("tiny_imagenet", _tiny_imagenet, crop=False),
    "radiographs": Source("radiographs", datasets.radiographs, crop=False),
    "breast": Source("busi", datasets.busi, crop=True),
    "phantoms": Source("phantoms", datasets.phantoms, crop=True),
    "nodules": Source("", datasets.load, crop=True, outlines=True),
    "thyroid": Source("thyroid_us", datasets.load, crop=True),
    "nodule": Source("thyroid_us", _outlined_thyroid, crop=True, roi=True),
}
