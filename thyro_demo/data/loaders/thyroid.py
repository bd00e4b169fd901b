"""The P1 thyroid set, in the layout of its public home or with an index of its own."""

from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.labels import BENIGN, MALIGNANT
from thyro_demo.data.loaders.listing import Listing, listed, set_folder
from thyro_demo.data.loaders.tables import index
from thyro_demo.data.records import ordered, to_table, with_sizes, with_source
from thyro_demo.errors import DataError

_FOLDERS = {"benin": BENIGN, "malin": MALIGNANT}
_PARTS = ("train", "test")
# Frame sizes that occur in one source of the P1 set alone.
_SOURCES = {(560, 360): "ddti", (300, 225): "web300"}


def thyroid(root: str | Path) -> pd.DataFrame:
    """Read the P1 thyroid set.

    Parameters
    ----------
    root : str or Path
        The folder that holds ``LES3BDD/{train,test}/{benin,malin}``, ``LES3BDD``
        itself, or the clone of its public home (``BDD20test80train/LES3BDD``).
        An ``index.csv`` in `root` is used where there is one; its cells of ``source``
        may be empty.

    Returns
    -------
    DataFrame
        Record table with labels "benign" and "malignant", `published_split`
        ("train" or "test", missing for an image in neither), `width` and `height`
        (pixels). Without ``index.csv`` every group is missing
        (`near_duplicates.group` fills it). A source that is not stated follows
        from the frame size: 560×360 "ddti", 300×225 "web300", else "other".

    Raises
    ------
    DataError
        If the layout is another one, a class is empty or the index is damaged.
    """
    root = set_folder(root, is_thyroid)
    parts = published_parts(root)
    if parts is None:
        raise DataError(
            "The P1 thyroid set must be a folder with LES3BDD/train and LES3BDD/test, each with "
            f"benin and malin. Received: {root}."
        )
    listing = Listing(root)
    if (root / "index.csv").is_file():
        records, notes = index(root, known=(BENIGN, MALIGNANT))
        notes += listing.unlisted(records["path"])
    else:
        records = to_table(
            {"path": str(path), "label": label, "group": np.nan}
            for part in parts
            for folder, label in _FOLDERS.items()
            for path in listing.class_images(part / folder)
        )
        notes = listing.notes()
    if not {"width", "height"} <= set(records.columns):
        records = with_sizes(records)
    sizes = zip(records["width"], records["height"], strict=True)
    records = with_source(records, [_SOURCES.get(size, "other") for size in sizes])
    parts_of = [Path(path).parent.parent.name for path in records["path"]]
    split = [part if part in _PARTS else np.nan for part in parts_of]
    return ordered(records.assign(published_split=split), notes)


def is_thyroid(root: Path) -> bool:
    """Check whether a folder looks like the P1 set."""
    return published_parts(root) is not None


def published_parts(root: Path) -> list[Path] | None:
    """Find the folders train and test of the P1 set, or None."""
    for base in (
        root,
        root / "LES3BDD",
        root / "BDD20test80train",
        root / "BDD20test80train" / "LES3BDD",
    ):
        parts = [base / name for name in _PARTS]
        if all(listed(part, folder) for part in parts for folder in _FOLDERS):
            return parts
    return None
