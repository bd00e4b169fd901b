"""The record table: what every loader returns, and all else takes.

A record table has one row per image and at least four columns:

``path``
    str that `images.decode` opens: a file, or ``archive.zip::member``.
``label``
    str, the class; missing where the set does not state one.
``group``
    str, what must stay on one side of a split (patient, case); missing where the
    set does not state one. A missing group is never turned into one patient per image
    here: `splits` asks for that choice.
``source``
    str, where the image comes from: the set, or the scanner within a set.

All further columns are free. What a loader passed over or read in another spelling is
kept as sentences (`notes`).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from thyro_demo.errors import DataError
from thyro_demo.files import is_unicode, printable

REQUIRED = ("path", "label", "group", "source")
PHANTOM = "phantom"
"""Source of drawn frames, which are reported apart from real ones."""

_NOTES = "notes"
_NAMED = 3  # names listed in a sentence; the count is of all


def to_table(rows: Iterable[dict[Any, Any]]) -> pd.DataFrame:
    """Make a table of rows."""
    return pd.DataFrame.from_records(list(rows))


def ordered(records: pd.DataFrame, sentences: Sequence[str] = ()) -> pd.DataFrame:
    """Finish a record table: required columns first, text or NaN in labels and groups."""
    free = [column for column in records.columns if column not in REQUIRED]
    records = records[[*REQUIRED, *free]].reset_index(drop=True)
    # Such a name could be read, but no table, manifest or report could hold it afterwards.
    if strange := [path for path in records["path"] if not is_unicode(path)]:
        raise DataError(
            "Names of files must be Unicode (UTF-8); rename those that are not. "
            f"Received: {some([printable(path) for path in strange])}."
        )
    # One dtype under every pandas: object with str and NaN.
    for column in ("label", "group"):
        values = [str(value) if pd.notna(value) else np.nan for value in records[column]]
        records[column] = pd.Series(values, dtype=object)
    records.attrs[_NOTES] = list(sentences)
    return records


def notes(records: pd.DataFrame) -> list[str]:
    """Report what a loader passed over, or read in another spelling.

    Parameters
    ----------
    records : DataFrame
        Record table as a loader returned it.

    Returns
    -------
    list of str
        Sentences; none where every file was read as it is.
    """
    return list(records.attrs.get(_NOTES, ()))


def some(names: Sequence[str]) -> str:
    """Name the first few of several, and count the rest."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def with_sizes(records: pd.DataFrame) -> pd.DataFrame:
    """Add `width` and `height` from the headers; NaN where a file has no readable one."""
    sizes = [header_size(path) for path in records["path"]]
    return records.assign(width=[w for w, _ in sizes], height=[h for _, h in sizes])


def header_size(path: str | Path) -> tuple[float, float]:
    """Read width and height of an image, in pixels, from its header."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, Image.DecompressionBombError):
        # A damaged file is `check`'s and `decode`'s to report, by name.
        return np.nan, np.nan


def with_source(records: pd.DataFrame, instead: list[str]) -> pd.DataFrame:
    """Fill in the source of each row that does not state its own."""
    own_sources = records["source"] if "source" in records.columns else [np.nan] * len(records)
    sources = [
        own if pd.notna(own) else other for own, other in zip(own_sources, instead, strict=True)
    ]
    return records.assign(source=sources)
