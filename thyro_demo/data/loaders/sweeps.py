"""The thyroid sweeps: frames of 51 cases with the mask of the nodule, without a diagnosis."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.listing import Listing, set_folder
from thyro_demo.data.loaders.tables import index, read_table
from thyro_demo.data.records import header_size, ordered, to_table, with_source
from thyro_demo.errors import DataError, ThyroError

# The frames of two scanners differ in size.
_SOURCES: dict[tuple[float, float], str] = {(900, 600): "sweep900", (687, 528): "sweep687"}
_OTHER = "sweep"


def sweeps(root: str | Path) -> pd.DataFrame:
    """Read the thyroid sweeps.

    Neighbouring frames of a sweep are near duplicates: 1,015 images are 51 cases, so split by
    group; cases 83 and 84, and 85 and 86, share near duplicates (`near_duplicates.group`
    joins them). Small marks of the examiner are inside the frame, and a sector is cut out of
    black. The mask is one reader's.

    Parameters
    ----------
    root : str or Path
        Folder with ``index.csv``: columns ``path``, ``mask_path``, ``group``, and free ones
        such as ``source`` and ``nodule_share``. Or the folder ``source`` of the set's home,
        or the folder above it: ``images/1_2.jpg`` (frame 2 of case 1) and
        ``labels/1_2_label.jpg`` (the home's own programs also read ``1_2.label.jpg``).

    Returns
    -------
    DataFrame
        Record table. Every label is missing, for the set states none; the group is the
        case. `mask_path` opens (missing where there is none), a mask without a pixel means
        that the frame shows no nodule. From ``index.csv`` also `width` and `height` (pixels)
        and `nodule_share` (share of the frame that the nodule takes, 0–1).

    Raises
    ------
    DataError
        If the layout is another one, or the index is damaged.
    """
    root = set_folder(root, is_sweeps)
    published = _published(root)
    if (root / "index.csv").is_file():
        records, notes = index(root, labelled=False)
        if "mask_path" not in records.columns:
            raise DataError(
                f"An index of sweeps must have a column mask_path. "
                f"Received: {root / 'index.csv'} without it."
            )
        notes += Listing(root).unlisted(records["path"])
        records = with_source(records, [_OTHER] * len(records))
    elif published is not None:
        listing = Listing(root)
        records = _frames(published, listing)
        notes = listing.notes()
    else:
        raise DataError(
            "A folder of thyroid sweeps must hold an index.csv of path, mask_path and group, or "
            f"the folders images and labels of their home. Received: {root}."
        )
    return ordered(records.assign(label=np.nan), notes)


def is_sweeps(root: Path) -> bool:
    """Check whether a folder looks like the sweeps: frames with masks, without labels."""
    if (root / "index.csv").is_file():
        try:
            table = read_table(root / "index.csv", ("path", "mask_path", "group"))
        except ThyroError:
            return False
        return "label" not in table.columns or bool(table["label"].isna().all())
    return _published(root) is not None


def _published(root: Path) -> Path | None:
    """Find the folder with images and labels of the set's home."""
    for folder in (root, root / "source"):
        labels = folder / "labels"
        if (folder / "images").is_dir() and labels.is_dir() and any(labels.glob("*_label.*")):
            return folder
    return None


def _frames(folder: Path, listing: Listing) -> pd.DataFrame:
    """Pair the frames of the set's home with their masks."""
    masks = {
        re.sub(r"[._]label$", "", path.stem): path for path in listing.images(folder / "labels")
    }
    rows = []
    for path in listing.class_images(folder / "images"):
        if case := re.fullmatch(r"(\d+)_\d+", path.stem):
            mask = masks.get(path.stem)
            rows.append(
                {
                    "path": str(path),
                    "group": case[1],
                    "source": _SOURCES.get(header_size(path), _OTHER),
                    "mask_path": np.nan if mask is None else str(mask),
                }
            )
        else:
            listing.pass_over(path)
    if not rows:
        raise DataError(
            "Frames of the thyroid sweeps must be named after case and frame, such as 1_2.jpg. "
            f"Received: {folder / 'images'} without such a name."
        )
    return to_table(rows)
