"""Chest radiographs: with COVID-19, of children with pneumonia, and both as one table."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.listing import Listing, listed, set_folder, subfolders
from thyro_demo.data.records import notes, ordered, to_table
from thyro_demo.errors import DataError

_COVID_FOLDERS = {
    "Covid-19": "covid-19",
    "No_findings": "normal",
    "Pneumonia": "pneumonia",
    "COVID": "covid-19",
    "Normal": "normal",
    "Viral Pneumonia": "pneumonia",
    "Lung_Opacity": "lung opacity",
}
_PAEDIATRIC_FOLDERS = {"NORMAL": "normal", "PNEUMONIA": "pneumonia"}
_PARTS = ("train", "val", "test")
_LABELS = ("covid-19", "normal", "pneumonia")


def covid_xray(root: str | Path) -> pd.DataFrame:
    """Read a set of chest radiographs with COVID-19.

    Parameters
    ----------
    root : str or Path
        Folders Covid-19, No_findings and Pneumonia, or the COVID-19 Radiography
        Database: COVID, Normal, Viral Pneumonia and Lung_Opacity, each with ``images``.

    Returns
    -------
    DataFrame
        Record table with labels "covid-19", "normal", "pneumonia" and, in the second
        layout, "lung opacity". Files named after ChestX-ray14 (``00000061_012``) carry
        their patient's number, which becomes the group; all other groups are missing.

    Raises
    ------
    DataError
        If a class is missing or empty.
    """
    root = set_folder(root, is_covid_xray)
    folders = [root / name for name in _COVID_FOLDERS if listed(root, name)]
    if not {"covid-19", "normal"} <= {_COVID_FOLDERS[folder.name] for folder in folders}:
        raise DataError(
            "A COVID-19 folder must hold Covid-19, No_findings and Pneumonia, or "
            f"COVID, Normal, Viral Pneumonia and Lung_Opacity. Received: {root}."
        )
    listing = Listing(root)
    images = [folder / "images" if listed(folder, "images") else folder for folder in folders]
    records = to_table(
        {
            "path": str(path),
            "label": _COVID_FOLDERS[folder.name],
            "group": _chestxray14_patient(path),
            "source": "covid_xray",
        }
        for folder, inside in zip(folders, images, strict=True)
        for path in listing.class_images(inside)
    )
    return ordered(records, listing.notes())


def paediatric_pneumonia(root: str | Path) -> pd.DataFrame:
    """Read the chest radiographs of children with pneumonia.

    Parameters
    ----------
    root : str or Path
        ``chest_xray`` with train, val and test, or a folder of NORMAL and PNEUMONIA.

    Returns
    -------
    DataFrame
        Record table with labels "normal" and "pneumonia", `cause` ("bacteria",
        "virus" or missing) and, where the set is published in parts,
        `published_split`. The group is the patient in the name: ``person7``,
        ``IM-0117`` or ``NORMAL2-IM-0394``; in the third version of the set, whose names are
        such as ``BACTERIA-1008087-0001``, the number in the middle.

    Raises
    ------
    DataError
        If a class is missing or empty.

    References
    ----------
    Kermany et al., "Identifying medical diagnoses and treatable diseases by
    image-based deep learning", Cell 172(5), 2018.
    """
    root = set_folder(root, is_paediatric_pneumonia)
    parts = [root / name for name in _PARTS if listed(root / name, "NORMAL")] or [root]
    listing = Listing(root)
    records = to_table(
        {
            "path": str(path),
            "label": label,
            "group": _paediatric_patient(path),
            "source": "paediatric_pneumonia",
            "cause": _cause(path),
            "published_split": part.name,
        }
        for part in parts
        for folder, label in _PAEDIATRIC_FOLDERS.items()
        for path in listing.class_images(part / folder)
    )
    if parts == [root]:
        records = records.drop(columns="published_split")
    return ordered(records, listing.notes())


def is_covid_xray(root: Path) -> bool:
    """Check whether a folder looks like a set of `covid_xray`."""
    return listed(root, "Covid-19") or listed(root, "COVID")


def is_paediatric_pneumonia(root: Path) -> bool:
    """Check whether a folder looks like the set of `paediatric_pneumonia`."""
    return listed(root, "PNEUMONIA") or listed(root / "train", "PNEUMONIA")


def is_radiographs(root: Path) -> bool:
    """Check whether a folder holds both sets."""
    inside = subfolders(root)
    return any(map(is_covid_xray, inside)) and any(map(is_paediatric_pneumonia, inside))


def radiographs(root: str | Path) -> pd.DataFrame:
    """Read both sets of chest radiographs as one table.

    Parameters
    ----------
    root : str or Path
        Folder with one sub-folder in the layout of `covid_xray` and one in the layout
        of `paediatric_pneumonia`.

    Returns
    -------
    DataFrame
        Record table with labels "covid-19", "normal" and "pneumonia"; `source` is
        the set. Lung opacities, which only one layout has, are left out.

    Raises
    ------
    DataError
        If one of the two sets is missing or damaged.
    """
    root = set_folder(root, is_radiographs)
    if not is_radiographs(root):
        raise DataError(
            "A folder of radiographs must hold the COVID-19 set and the paediatric "
            f"pneumonia set side by side. Received: {root}."
        )
    inside = subfolders(root)
    return films(
        next(filter(is_covid_xray, reversed(inside))),
        next(filter(is_paediatric_pneumonia, reversed(inside))),
    )


def films(covid: Path | None, paediatric: Path | None) -> pd.DataFrame:
    """Read one or both sets of chest radiographs as one table.

    Parameters
    ----------
    covid : Path or None
        Folder that `covid_xray` reads.
    paediatric : Path or None
        Folder that `paediatric_pneumonia` reads.

    Returns
    -------
    DataFrame
        As `radiographs` returns it.

    Raises
    ------
    DataError
        If a set is damaged, or there is none.
    """
    tables = [] if covid is None else [covid_xray(covid)]
    tables += [] if paediatric is None else [paediatric_pneumonia(paediatric)]
    if not tables:
        raise DataError("There must be at least one set of radiographs. Received: none.")
    records = pd.concat(tables, ignore_index=True)
    records = records[records["label"].isin(_LABELS)].reset_index(drop=True)
    return ordered(records, [sentence for one in tables for sentence in notes(one)])


def _chestxray14_patient(path: Path) -> str | float:
    match = re.fullmatch(r"(\d{8})_\d{3}", path.stem)
    return f"chestxray14-{match[1]}" if match else np.nan


def _paediatric_patient(path: Path) -> str | float:
    match = re.match(
        r"(person\d+)_|((?:NORMAL2-)?IM-\d+)-|(?:BACTERIA|VIRUS|NORMAL)-(\d+)-", path.stem
    )
    return next(filter(None, match.groups())) if match else np.nan


def _cause(path: Path) -> str | float:
    match = re.match(r"person\d+_(bacteria|virus)_|(BACTERIA|VIRUS)-", path.stem)
    return (match[1] or match[2].lower()) if match else np.nan
