"""The breast ultrasound set BUSI."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.labels import BENIGN, MALIGNANT, NORMAL
from thyro_demo.data.loaders.listing import Listing, set_folder, subfolders
from thyro_demo.data.records import ordered, to_table
from thyro_demo.errors import DataError

_LABELS = (BENIGN, MALIGNANT, NORMAL)


def busi(root: str | Path) -> pd.DataFrame:
    """Read the breast ultrasound set BUSI with its lesion masks.

    Parameters
    ----------
    root : str or Path
        ``Dataset_BUSI_with_GT``: folders benign, malignant and normal, in any case, with
        ``benign (1).png``, ``benign (1)_mask.png``, ``benign (1)_mask_1.png`` … The class
        normal may be left out.

    Returns
    -------
    DataFrame
        Record table with `mask_paths` (list of str, one or more a frame; `masks.nodule_mask`
        unites them). The set states no patient, so every group is missing; it holds near
        duplicates that `near_duplicates.group` finds.

    Raises
    ------
    DataError
        If a class other than normal is missing, or one is empty.

    References
    ----------
    Al-Dhabyani et al., "Dataset of breast ultrasound images", Data in Brief 28, 2020.
    """
    root = set_folder(root, is_busi)
    classes = _classes(root)
    if not {BENIGN, MALIGNANT} <= {label for label, _ in classes}:
        raise DataError(
            "A BUSI folder must hold benign and malignant, and normal where it is complete. "
            f"Received: {root}."
        )
    listing = Listing(root)
    records = to_table(
        {
            "path": str(path),
            "label": label,
            "group": np.nan,
            "source": "busi",
            "mask_paths": [str(mask) for mask in masks],
        }
        for label, folder in classes
        for path, masks in _with_masks(folder, listing)
    )
    return ordered(records, listing.notes())


def is_busi(root: Path) -> bool:
    """Check whether a folder looks like BUSI: masks beside the frames of its classes."""
    return any(any(folder.glob("*_mask*")) for _, folder in _classes(root))


def _classes(root: Path) -> list[tuple[str, Path]]:
    """Find the folders of the classes, in the order of the set."""
    inside = subfolders(root) if root.is_dir() else []
    return [
        (label, folder) for label in _LABELS for folder in inside if folder.name.lower() == label
    ]


def _with_masks(folder: Path, listing: Listing) -> Iterator[tuple[Path, list[Path]]]:
    """Pair each frame with its masks; a mask without a frame is passed over."""
    masks: dict[str, list[Path]] = {}
    frames = []
    for path in listing.class_images(folder):
        frame, mask, _ = path.stem.partition("_mask")
        if mask:
            masks.setdefault(frame, []).append(path)
        else:
            frames.append(path)
    for path in frames:
        yield path, masks.pop(path.stem, [])
    for path in (mask for several in masks.values() for mask in several):
        listing.pass_over(path)
