"""A folder with one sub-folder per class."""

from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data.loaders import labels
from thyro_demo.data.loaders.listing import (
    Listing,
    has_images,
    is_image,
    is_mask_folder,
    set_folder,
    subfolders,
)
from thyro_demo.data.loaders.tables import once, read_table
from thyro_demo.data.records import ordered, some, to_table
from thyro_demo.errors import DataError

_PARTS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


def class_folders(root: str | Path, groups: str | Path | None = None) -> pd.DataFrame:
    """Read a folder with one sub-folder per class.

    Parameters
    ----------
    root : str or Path
        Folder whose sub-folders are the classes; their names are the labels, in any case
        or language. A class may hold a folder per patient, whose name is the group (a name
        under two classes is one patient); masks, beside their frames or in a folder
        ``masks``, are no frames. The classes may also be in ``train``, ``val`` and ``test``.
    groups : str or Path, optional
        CSV with columns ``path`` (relative to `root`) and ``group``, one row per
        image, for sets that know their patients; by default ``groups.csv`` in `root`,
        where there is one.

    Returns
    -------
    DataFrame
        Record table; the source is the name of `root`, the group is missing without
        a table of groups or folders of patients. `mask_paths` (list of str) where there are
        masks, `published_split` where the set is in parts.

    Raises
    ------
    DataError
        If there are fewer than two classes, a class is empty, a folder of a patient holds
        folders of classes, or the table of groups lacks a column or an image, or names an
        image twice.
    """
    root = set_folder(root)
    listing = Listing(root)
    parts = _parts(root) or [root]
    records = to_table(
        {
            "path": str(path),
            "label": folder.name,
            "group": np.nan if patient is None else patient,
            "source": root.resolve().name,
            "published_split": part.name,
            "mask_paths": [str(mask) for mask in masks],
        }
        for part in parts
        for folder in _classes(part, listing)
        for path, patient, masks in listing.frames(folder)
    )
    if parts == [root]:
        records = records.drop(columns="published_split")
    if not any(records["mask_paths"]):
        records = records.drop(columns="mask_paths")
    records["label"], notes = labels.unified(records["label"])
    if patients := sorted(set(records["group"].dropna())):
        notes.append(
            "Folders in a class are read as patients, one group each: "
            f"{len(patients)} ({some(patients)})."
        )
    if groups is None and (root / "groups.csv").is_file():
        groups = root / "groups.csv"
    if groups is not None:
        records["group"] = _groups(root, Path(groups), records["path"])
    return ordered(records, [*notes, *listing.notes()])


def _parts(root: Path) -> list[Path]:
    """Find train, validation and test, if these are all folders with images that there are."""
    inside = [folder for folder in subfolders(root) if has_images(folder)]
    named = all(folder.name.lower() in _PARTS for folder in inside)
    return inside if inside and named and all(map(has_classes, inside)) else []


def has_classes(folder: Path) -> bool:
    """Check whether two or more folders in a folder hold images."""
    return sum(map(has_images, subfolders(folder))) > 1


def _classes(root: Path, listing: Listing) -> list[Path]:
    """Find the folders of the classes; what is beside them is passed over."""
    inside = subfolders(root)
    classes = [folder for folder in inside if not is_mask_folder(folder)]
    if len(classes) < 2:
        raise DataError(
            f"A folder of classes must hold two or more folders of images. Received: {root} with "
            f"{len(classes)}."
        )
    _check_order(classes)
    for path in sorted(set(root.iterdir()) - set(classes)):
        if is_image(path) if not path.is_dir() else path in inside or _is_hidden_class(path):
            listing.pass_over(path)
    return classes


def _is_hidden_class(folder: Path) -> bool:
    return folder.name != "__MACOSX" and has_images(folder)


def _check_order(classes: list[Path]) -> None:
    """Refuse patients that hold classes: their names would become labels."""
    inside = {path.name for folder in classes for path in subfolders(folder) if has_images(path)}
    if len(inside) > 1 and all(map(labels.is_known, inside)):
        raise DataError(
            "A folder of classes must hold a folder per class, and in it one per patient, not the "
            f"other way round. Received: {classes[0].parent} with {classes[0].name} that holds "
            f"{' and '.join(sorted(inside)[:2])}."
        )


def _groups(root: Path, file: Path, paths: pd.Series) -> list[str | float]:
    """Read the group of each image from a table."""
    table = read_table(file, ("path", "group"))
    known = dict(zip(once(root, table["path"], file), table["group"], strict=True))
    if missing := sorted(set(paths) - set(known)):
        raise DataError(
            f"The table of groups must have a row for every image. Received: {file} without "
            f"{missing[0]}."
        )
    return [known[path] for path in paths]


def is_in_parts(root: Path) -> bool:
    """Check whether a folder holds train, validation or test, each with classes."""
    return bool(_parts(root))
