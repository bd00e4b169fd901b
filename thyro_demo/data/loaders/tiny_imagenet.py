"""Tiny ImageNet, packed or unpacked."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.listing import SUFFIXES, Listing, set_folder, subfolders
from thyro_demo.data.loaders.tables import read_table
from thyro_demo.data.records import ordered, to_table
from thyro_demo.errors import DataError


def tiny_imagenet(root: str | Path, part: str = "train") -> pd.DataFrame:
    """Read one part of Tiny ImageNet, packed or unpacked.

    Parameters
    ----------
    root : str or Path
        Folder with ``train.zip`` and ``val.zip`` (members ``wnid/name``) and
        ``classes.csv``, or the unpacked ``tiny-imagenet-200``.
    part : {"train", "val"}
        Which part.

    Returns
    -------
    DataFrame
        Record table; the label is the WordNet id, `name` the class in words. Photographs
        without a patient: every group is missing.

    Raises
    ------
    DataError
        If the part is unknown, missing or a damaged archive, or a list of the unpacked
        set is not as published.
    """
    root = set_folder(root, is_tiny_imagenet)
    if part not in ("train", "val"):
        raise DataError(f"The part of Tiny ImageNet must be train or val. Received: part={part}.")
    archive = root / f"{part}.zip"
    members = _packed(archive) if archive.is_file() else _unpacked(root, part)
    names = _class_names(root)
    return ordered(
        to_table(
            {
                "path": path,
                "label": wnid,
                "group": np.nan,
                "source": "tiny_imagenet",
                "name": names.get(wnid, wnid),
            }
            for wnid, path in members
        )
    )


def is_tiny_imagenet(root: Path) -> bool:
    """Check whether a folder looks like Tiny ImageNet, packed or unpacked."""
    return (root / "train.zip").is_file() or (root / "wnids.txt").is_file()


def _packed(archive: Path) -> list[tuple[str, str]]:
    """List (wnid, path) of the images in an archive of Tiny ImageNet."""
    try:
        with zipfile.ZipFile(archive) as packed:
            names = packed.namelist()
    except zipfile.BadZipFile:
        raise DataError(
            f"A part of Tiny ImageNet must be a complete zip archive. Received: {archive}."
        ) from None
    images = sorted(name for name in names if Path(name).suffix.lower() in SUFFIXES)
    if not images:
        raise DataError(
            f"A part of Tiny ImageNet must hold images as wnid/name. Received: {archive}."
        )
    return [(name.split("/")[0], f"{archive}::{name}") for name in images]


def _unpacked(root: Path, part: str) -> list[tuple[str, str]]:
    """List (wnid, path) of the images in the folder ``tiny-imagenet-200``."""
    annotations = root / "val" / "val_annotations.txt"
    if part == "train" and (root / "train").is_dir():
        return [
            (folder.name, str(path))
            for folder in subfolders(root / "train")
            for path in Listing(root).class_images(folder / "images")
        ]
    if part == "val" and annotations.is_file():
        pairs = [line.split("\t") for line in _lines(annotations)]
        if not pairs or min(map(len, pairs)) < 2:
            raise DataError(
                "Each line of val_annotations.txt must be a name, a tab, a WordNet id and a box. "
                f"Received: {annotations}."
            )
        return [(pair[1], str(root / "val" / "images" / pair[0])) for pair in pairs]
    raise DataError(
        f"A Tiny ImageNet folder must hold train.zip and val.zip, or tiny-imagenet-200 unpacked. "
        f"Received: {root} without its part {part}."
    )


def _class_names(root: Path) -> dict[str, str]:
    """Read what each WordNet id is called."""
    if (root / "classes.csv").is_file():
        table = read_table(root / "classes.csv", ("wnid", "name"))
        return dict(zip(table["wnid"], table["name"], strict=True))
    if (root / "words.txt").is_file():
        return dict(line.split("\t", 1) for line in _lines(root / "words.txt") if "\t" in line)
    return {}


def _lines(path: Path) -> list[str]:
    """Read the lines of a list that are not blank."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"A list of Tiny ImageNet must be text in UTF-8. Received: {path}."
        ) from error
    return [line for line in lines if line.strip()]
