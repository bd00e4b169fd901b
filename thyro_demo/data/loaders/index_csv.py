"""A folder that describes itself in an ``index.csv``."""

from pathlib import Path

import pandas as pd

from thyro_demo.data.loaders.listing import Listing, set_folder
from thyro_demo.data.loaders.tables import index
from thyro_demo.data.records import ordered, with_source


def index_csv(root: str | Path) -> pd.DataFrame:
    """Read a folder that describes itself in an ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder with ``index.csv``: columns ``path`` (relative to `root`), ``label``,
        ``group`` (cells may be empty), optionally ``source`` (the folder's name where
        the column or its cell is missing), ``mask_path`` (of a nodule's mask, relative
        to `root`), and free ones. A label may be written in another case or language.

    Returns
    -------
    DataFrame
        Record table; free columns keep their names, and `mask_path` opens.

    Raises
    ------
    DataError
        If a column is missing, a label is empty, a path is named twice, does
        not exist or leaves `root`, or a cell of a column of numbers is none.
    """
    root = set_folder(root)
    records, notes = index(root)
    notes += Listing(root).unlisted(records["path"])
    return ordered(with_source(records, [root.resolve().name] * len(records)), notes)
