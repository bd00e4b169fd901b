"""Read each public set in its own published layout into one record table (see `records`).

One module per set; `load` recognises a layout, and `LAYOUTS` lists the loaders.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from thyro_demo.data.loaders.busi import busi, is_busi
from thyro_demo.data.loaders.class_folders import class_folders, has_classes, is_in_parts
from thyro_demo.data.loaders.ddti import ddti
from thyro_demo.data.loaders.index_csv import index_csv
from thyro_demo.data.loaders.listing import listed, subfolders
from thyro_demo.data.loaders.mini_mias import mini_mias
from thyro_demo.data.loaders.phantoms import phantoms
from thyro_demo.data.loaders.radiographs import (
    covid_xray,
    is_covid_xray,
    is_paediatric_pneumonia,
    is_radiographs,
    paediatric_pneumonia,
    radiographs,
)
from thyro_demo.data.loaders.records import notes, set_folder
from thyro_demo.data.loaders.sweeps import is_sweeps, sweeps
from thyro_demo.data.loaders.thyroid import published_parts, thyroid
from thyro_demo.data.loaders.tiny_imagenet import tiny_imagenet
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.files import printable


class Layout(NamedTuple):
    """A layout that `load` knows.

    Attributes
    ----------
    title : str
        What a reader calls it.
    fits : Callable
        Tells whether a folder looks like this layout.
    read : Callable
        Its loader.
    """

    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path], pd.DataFrame]


def _holds_classes(root: Path) -> bool:
    """Tell classes from sets side by side, which would be read as classes."""
    sets = [known for name, known in LAYOUTS.items() if name in _SETS]
    return is_in_parts(root) or (
        has_classes(root)
        and not any(known.fits(folder) for folder in subfolders(root) for known in sets)
    )


# Layouts that nobody's class has by chance.
_SETS = ("thyroid", "phantoms", "mini_mias", "tiny_imagenet", "busi", "radiographs")
# In the order in which a folder is tried: the narrow descriptions before the wide ones.
LAYOUTS: dict[str, Layout] = {
    "thyroid": Layout("P1 thyroid set", lambda root: published_parts(root) is not None, thyroid),
    "sweeps": Layout("thyroid sweeps", is_sweeps, sweeps),
    "phantoms": Layout(
        "phantoms",
        # A folder "frames" is a natural name in anybody's set; masks beside it are not.
        lambda root: (root / "index.csv").is_file() and listed(root, "masks"),
        phantoms,
    ),
    "index_csv": Layout(
        "folder with an index.csv", lambda root: (root / "index.csv").is_file(), index_csv
    ),
    "ddti": Layout(
        "DDTI", lambda root: any(path.stem.isdecimal() for path in root.glob("*.xml")), ddti
    ),
    "mini_mias": Layout(
        "mini-MIAS",
        lambda root: (root / "Info.txt").is_file() and any(root.glob("mdb*")),
        mini_mias,
    ),
    "tiny_imagenet": Layout(
        "Tiny ImageNet, training part",
        lambda root: (root / "train.zip").is_file() or (root / "wnids.txt").is_file(),
        tiny_imagenet,
    ),
    "busi": Layout("BUSI", is_busi, busi),
    "covid_xray": Layout("COVID-19 radiographs", is_covid_xray, covid_xray),
    "paediatric_pneumonia": Layout(
        "paediatric pneumonia radiographs", is_paediatric_pneumonia, paediatric_pneumonia
    ),
    "radiographs": Layout("both sets of chest radiographs", is_radiographs, radiographs),
    "class_folders": Layout("folder of class folders", _holds_classes, class_folders),
}


def layout(root: str | Path) -> str | None:
    """Tell which layout a folder has.

    Parameters
    ----------
    root : str or Path
        The folder.

    Returns
    -------
    str or None
        A key of `LAYOUTS`, or None if it fits none.

    Raises
    ------
    DataError
        If the folder, or one in it, cannot be listed.
    """
    try:
        return next((name for name, known in LAYOUTS.items() if known.fits(Path(root))), None)
    except OSError as error:
        raise DataError(
            "A data folder and all in it can be listed. "
            f"Received: {root} ({error.strerror or error})"
        ) from error


def load(root: str | Path, quiet: bool = False) -> pd.DataFrame:
    """Read a folder in whichever layout it has.

    What is passed over, or read in another spelling, is printed to stderr.

    Parameters
    ----------
    root : str or Path
        A folder in one of `LAYOUTS`.
    quiet : bool
        Leave that to the caller, who finds it in `notes`.

    Returns
    -------
    DataFrame
        Record table.

    Raises
    ------
    DataError
        If the folder is missing, fits no layout, or fits one and is damaged.
    """
    root = set_folder(root)
    name = layout(root)
    if name is None:
        raise DataError(
            "A data folder holds an index.csv with path, label and group, one folder of images "
            f"per class, or a public set as its home publishes it. Received: {root}"
        )
    known = LAYOUTS[name]
    try:
        records = known.read(root)
    except ThyroError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
        # What a loader does not foresee in a damaged set is still the set's damage.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"A folder taken for '{known.title}' is whole and as published. "
            f"Received: {root} ({reason})"
        ) from error
    if not quiet:
        for sentence in notes(records):
            print(f"{printable(root)}: {sentence}", file=sys.stderr)
    return records
