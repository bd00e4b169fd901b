"""Read each public set in its own published layout into one record table (see `records`).

`load` recognises a layout by itself; `LAYOUTS` lists the loaders, one module each in `loaders`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from thyro_demo.data.loaders.busi import busi, is_busi
from thyro_demo.data.loaders.class_folders import class_folders, has_classes, is_in_parts
from thyro_demo.data.loaders.ddti import ddti, is_ddti
from thyro_demo.data.loaders.index_csv import index_csv
from thyro_demo.data.loaders.labels import BENIGN, MALIGNANT
from thyro_demo.data.loaders.listing import nested, set_folder, subfolders
from thyro_demo.data.loaders.mini_mias import Abnormality, is_mini_mias, mini_mias
from thyro_demo.data.loaders.phantoms import is_phantoms, phantoms
from thyro_demo.data.loaders.radiographs import (
    covid_xray,
    films,
    is_covid_xray,
    is_paediatric_pneumonia,
    is_radiographs,
    paediatric_pneumonia,
    radiographs,
)
from thyro_demo.data.loaders.sweeps import is_sweeps, sweeps
from thyro_demo.data.loaders.thyroid import is_thyroid, thyroid
from thyro_demo.data.loaders.tiny_imagenet import is_tiny_imagenet, tiny_imagenet
from thyro_demo.data.records import REQUIRED, notes
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.files import printable

__all__ = [
    "BENIGN",
    "LAYOUTS",
    "MALIGNANT",
    "REQUIRED",
    "Abnormality",
    "Layout",
    "busi",
    "class_folders",
    "covid_xray",
    "ddti",
    "films",
    "index_csv",
    "inner",
    "layout",
    "load",
    "mini_mias",
    "notes",
    "paediatric_pneumonia",
    "phantoms",
    "radiographs",
    "sweeps",
    "thyroid",
    "tiny_imagenet",
]


class Layout(NamedTuple):
    """A layout that `load` knows.

    Attributes
    ----------
    title : str
        What a reader calls it.
    fits : Callable
        Checks whether a folder looks like this layout.
    read : Callable
        Its loader.
    """

    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path], pd.DataFrame]


def _holds_classes(root: Path) -> bool:
    """Check for classes; sets side by side would be read as classes, too."""
    sets = [known for name, known in LAYOUTS.items() if name in _SETS]
    return is_in_parts(root) or (
        has_classes(root)
        and not any(known.fits(folder) for folder in subfolders(root) for known in sets)
    )


# Layouts that nobody's class has by chance.
_SETS = ("thyroid", "phantoms", "mini_mias", "tiny_imagenet", "busi", "radiographs")
# In the order in which a folder is tried: the narrow descriptions before the wide ones.
LAYOUTS: dict[str, Layout] = {
    "thyroid": Layout("P1 thyroid set", is_thyroid, thyroid),
    "sweeps": Layout("thyroid sweeps", is_sweeps, sweeps),
    "phantoms": Layout(
        "phantoms",
        is_phantoms,
        phantoms,
    ),
    "index_csv": Layout(
        "folder with an index.csv", lambda root: (root / "index.csv").is_file(), index_csv
    ),
    "ddti": Layout("DDTI", is_ddti, ddti),
    "mini_mias": Layout("mini-MIAS", is_mini_mias, mini_mias),
    "tiny_imagenet": Layout("Tiny ImageNet, training part", is_tiny_imagenet, tiny_imagenet),
    "busi": Layout("BUSI", is_busi, busi),
    "covid_xray": Layout("COVID-19 radiographs", is_covid_xray, covid_xray),
    "paediatric_pneumonia": Layout(
        "paediatric pneumonia radiographs", is_paediatric_pneumonia, paediatric_pneumonia
    ),
    "radiographs": Layout("both sets of chest radiographs", is_radiographs, radiographs),
    "class_folders": Layout("folder of class folders", _holds_classes, class_folders),
}


def layout(root: str | Path) -> str | None:
    """Find which layout a folder has.

    Parameters
    ----------
    root : str or Path
        The folder of the set, or one that holds nothing but that folder (see `inner`).

    Returns
    -------
    str or None
        A key of `LAYOUTS`, or None if it fits none.

    Raises
    ------
    DataError
        If the folder, or one in it, cannot be listed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thyro_demo.data import phantom
    >>> with TemporaryDirectory() as folder:
    ...     layout(phantom.write(phantom.cohort(1, frames_per_patient=1), f"{folder}/drawn"))
    'phantoms'
    """
    return _inner(root)[1]


def inner(root: str | Path) -> Path:
    """Find a set in the folder that its archive was unpacked to.

    Many archives hold one folder that holds the set; copies of them have two.

    Parameters
    ----------
    root : str or Path
        The folder.

    Returns
    -------
    Path
        The folder, or the one that is alone in it and fits a layout.

    Raises
    ------
    DataError
        If the folder, or one in it, cannot be listed.
    """
    return _inner(root)[0]


def _inner(root: str | Path) -> tuple[Path, str | None]:
    """Find the folder of a set, and its layout."""
    try:
        for folder in nested(Path(root)):
            name = next((name for name, known in LAYOUTS.items() if known.fits(folder)), None)
            # The folders in a class that is alone are patients, not classes.
            if name == "class_folders" and folder != Path(root):
                break
            if name is not None:
                return folder, name
    except OSError as error:
        raise DataError(
            "A data folder, and every folder in it, must be readable. "
            f"Received: {root} ({error.strerror or error})."
        ) from error
    return Path(root), None


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

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thyro_demo.data import phantom
    >>> drawn = phantom.cohort(2, frames_per_patient=1, seed=4)
    >>> with TemporaryDirectory() as folder:
    ...     records = load(phantom.write(drawn, f"{folder}/drawn"))
    >>> records[["label", "group", "source"]]
           label            group   source
    0  malignant  phantom-4-00000  phantom
    1     benign  phantom-4-00001  phantom
    """
    root, name = _inner(set_folder(root))
    if name is None:
        raise DataError(
            "A data folder must hold an index.csv with path, label and group, one folder of images "
            f"per class, or a public set as its home publishes it. Received: {root}."
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
            f"A folder in the layout '{known.title}' must be complete and as published. "
            f"Received: {root} ({reason})."
        ) from error
    if not quiet:
        for sentence in notes(records):
            print(f"{printable(root)}: {sentence}", file=sys.stderr)
    return records
