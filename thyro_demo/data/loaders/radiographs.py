"""Chest radiographs: with COVID-19, of children with pneumonia, and both as one table."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.listing import Listing, listed, subfolders
from thyro_demo.data.loaders.records import notes, ordered, set_folder, to_table
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
    root = set_folder(root)
    folders = [root / name for name in _COVID_FOLDERS if listed(root, name)]
    if not {"covid-19", "normal"} <= {_COVID_FOLDERS[folder.name] for folder in folders}:
        raise DataError(
            "The COVID-19 radiographs are folders Covid-19, No_findings and Pneumonia, or "
            f"COVID, Normal, Viral Pneumonia and Lung_Opacity. Received: {root}"
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
        ``IM-0117`` or ``NORMAL2-IM-0394``.

    Raises
    ------
    DataError
        If a class is missing or empty.

    References
    ----------
    Kermany et al., "Identifying medical diagnoses and treatable diseases by
    image-based deep learning", Cell 172(5), 2018.
    """
    root = set_folder(root)
    parts = [root / name for name in _PARTS if listed(root / name, "NORMAL")] or [root]
    listing = Listing(root)
    records = to_table(
        {
            "path": str(path),
            "label": label,
            "group": _paediatric_patient(path),
            "source": "paediatric_pneumonia",
            "cause": next((c for c in ("bacteria", "virus") if f"_{c}_" in path.name), np.nan),
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
    """Tell whether a folder looks like a set of `covid_xray`."""
    return listed(root, "Covid-19") or listed(root, "COVID")


def is_paediatric_pneumonia(root: Path) -> bool:
    """Tell whether a folder looks like the set of `paediatric_pneumonia`."""
    return listed(root, "PNEUMONIA") or listed(root / "train", "PNEUMONIA")


def is_radiographs(root: Path) -> bool:
    """Tell whether a folder holds both sets."""
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
        Record table with labels "covid-19", "normal" and "pneumonia"; `source` tells
        the set. Lung opacities, which only one layout has, are left out.

    Raises
    ------
    DataError
        If one of the two sets is missing or damaged.
    """
    root = set_folder(root)
    if not is_radiographs(root):
        raise DataError(
            "The radiographs are one folder with the COVID-19 set and the paediatric "
            f"pneumonia set side by side. Received: {root}"
        )
    inside = subfolders(root)
    both = [
        covid_xray(next(filter(is_covid_xray, reversed(inside)))),
        paediatric_pneumonia(next(filter(is_paediatric_pneumonia, reversed(inside)))),
    ]
    records = pd.concat(both, ignore_index=True)
    records = records[records["label"].isin(_LABELS)].reset_index(drop=True)
    return ordered(records, [sentence for one in both for sentence in notes(one)])


def _chestxray14_patient(path: Path) -> str | float:
    match = re.fullmatch(r"(\d{8})_\d{3}", path.stem)
    return f"chestxray14-{match[1]}" if match else np.nan


def _paediatric_patient(path: Path) -> str | float:
    match = re.match(r"(person\d+)_|((?:NORMAL2-)?IM-\d+)-", path.stem)
    return (match[1] or match[2]) if match else np.nan
