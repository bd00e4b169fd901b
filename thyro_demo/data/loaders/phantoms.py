"""Phantoms that this project drew."""

from pathlib import Path

import pandas as pd

from thyro_demo.data.loaders.labels import BENIGN, MALIGNANT
from thyro_demo.data.loaders.listing import Listing, listed, set_folder
from thyro_demo.data.loaders.tables import index, read_table
from thyro_demo.data.records import PHANTOM, ordered, with_source
from thyro_demo.errors import DataError

_LABELS = (BENIGN, MALIGNANT, "normal", "autoimmune")


def is_phantoms(root: Path) -> bool:
    """Look for the source that phantoms are written with: anybody's index may come with masks."""
    file = root / "index.csv"
    if not (file.is_file() and listed(root, "masks")):
        return False
    return PHANTOM in read_table(file, ()).get("source", pd.Series(dtype=str)).to_numpy()


def phantoms(root: str | Path) -> pd.DataFrame:
    """Read a folder of phantoms that `phantom.write` wrote.

    Parameters
    ----------
    root : str or Path
        Folder with ``frames/``, ``masks/`` and ``index.csv``.

    Returns
    -------
    DataFrame
        Record table with labels "benign" and "malignant", or "normal" and "autoimmune"
        for glands without nodules, and the free columns of the index (sizes in
        millimetres, `mask_path` openable).

    Raises
    ------
    DataError
        If the index is missing or damaged, lacks masks or holds another label.
    """
    root = set_folder(root)
    records, notes = index(root, known=_LABELS)
    if "mask_path" not in records.columns:
        raise DataError(
            f"An index of phantoms must have a column mask_path. "
            f"Received: {root / 'index.csv'} without it."
        )
    notes += Listing(root).unlisted(records["path"])
    return ordered(with_source(records, [PHANTOM] * len(records)), notes)
