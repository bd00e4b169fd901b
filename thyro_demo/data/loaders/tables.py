"""Tables that a user writes for a set: ``index.csv``, as spreadsheets of any language write it."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd

from thyro_demo.data.loaders import labels as spelling
from thyro_demo.data.records import REQUIRED, some
from thyro_demo.errors import DataError

# Columns of a table that hold numbers; all others are text, so that "007" stays "007".
_NUMBERS = ("width", "height", "printed_grade", "size_mm", "spacing_mm", "points", "nodule_share")
# Columns that this project reads, in whatever case a spreadsheet has them; others keep theirs.
_KNOWN = frozenset(
    {*REQUIRED, *_NUMBERS, "mask_path", "roi", "x0", "y0", "x1", "y1", "ddti_file", "ddti_case"}
    | {"published_split", "split", "fold", "wnid", "name"}
)
_PATHS = ("path", "mask_path")
_DELIMITERS = ",;\t|"
# Not a blank for Python, yet as invisible in a cell: a byte-order mark and a space of no width.
_BLANKS = " \t\r\n\f\v\xa0\ufeff\u200b"


def index(
    root: Path, known: tuple[str, ...] | None = None, labelled: bool = True
) -> tuple[pd.DataFrame, list[str]]:
    """Read ``index.csv``, check every row against the folder, and report what was changed."""
    file = root / "index.csv"
    records = read_table(file, ("path", *(["label"] if labelled else []), "group"))
    records["path"] = once(root, records["path"], file)
    if missing := [path for path in records["path"] if not os.path.isfile(path)]:
        raise DataError(
            f"Every path of {file} must be a file beside it. Received: {missing[0]}, one of "
            f"{len(missing)} that do not exist."
        )
    sentences: list[str] = []
    if labelled:
        if records["label"].isna().any():
            bare = records["path"][records["label"].isna()].iloc[0]
            raise DataError(f"Every row of {file} must have a label. Received: none for {bare}.")
        records["label"], sentences = spelling.unified(records["label"])
        if known and (unknown := sorted(set(records["label"]) - set(known))):
            raise DataError(
                f"Labels of {file} must be {' or '.join(known)}. Received: {unknown[0]}."
            )
    if "mask_path" in records.columns:
        records["mask_path"], lost = _masks(root, records["mask_path"])
        if lost:
            sentences.append(f"Masks of {file.name} that are not there: {some(lost)}.")
    return records, sentences


def _masks(root: Path, cells: pd.Series) -> tuple[list[str | float], list[str]]:
    """Join the paths of masks to their folder; return those that do not exist apart."""
    places = _Places(root)
    paths: list[str | float] = []
    lost = []
    for cell in cells:
        path = places.find(cell) if pd.notna(cell) else ""
        if path and not os.path.isfile(path):
            lost.append(str(cell))
        paths.append(path if os.path.isfile(path) else np.nan)
    return paths, lost


def once(root: Path, paths: pd.Series, file: Path) -> list[str]:
    """Join the paths of a table to its folder, refusing one that is named twice."""
    places = _Places(root)
    joined = pd.Series([places.find(path) for path in paths])
    if joined.duplicated().any():
        twice = joined[joined.duplicated()].iloc[0]
        raise DataError(f"A table must name each image once. Received: {file} with {twice} twice.")
    return joined.tolist()


class _Places:
    """Finds the files that the paths of a table mean, however another system spells them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[str, dict[str, str]] = {}

    def find(self, path: Any) -> str:
        """Join a path to the folder, refusing one that leaves it."""
        text = "" if pd.isna(path) else str(path)
        joined = self._inside(text)
        if joined is not None and os.path.exists(joined):
            return joined
        # A backslash is a letter of a name here, and a folder's end on Windows.
        posix = self._inside(text.replace("\\", "/"))
        if joined is None or posix is None or PureWindowsPath(text).drive:
            raise DataError(
                f"Paths in a table must stay inside its folder {self._root}. Received: {path}."
            )
        return self._composed(posix)

    def _inside(self, text: str) -> str | None:
        normal = os.path.normpath(text) if text else ".."
        if os.path.isabs(normal) or normal.split(os.sep)[0] == "..":
            return None
        return str(self._root / normal)

    def _composed(self, path: str) -> str:
        """Follow a path by names that look the same: macOS writes é as e and an accent."""
        place = str(self._root)
        for name in Path(path).relative_to(self._root).parts:
            if not os.path.exists(os.path.join(place, name)):
                same = self._names(place).get(unicodedata.normalize("NFC", name))
                if same is None:
                    return path
                name = same
            place = os.path.join(place, name)
        return place

    def _names(self, place: str) -> dict[str, str]:
        if place not in self._listed:
            names = os.listdir(place) if os.path.isdir(place) else []
            self._listed[place] = {unicodedata.normalize("NFC", name): name for name in names}
        return self._listed[place]


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV table of images, refusing one that lacks some of `columns` or has no row."""
    # Spreadsheets part cells by comma, semicolon, tab or bar, leave empty rows and columns, and
    # write group 1 as 1.0.
    names, rows, delimiter = _parse(path, columns)
    if missing := [column for column in columns if column not in names]:
        raise DataError(
            f"{path} must have the columns {', '.join(columns)}. Received: no {', '.join(missing)}."
        )
    if twice := sorted(name for name in set(names) if names.count(name) > 1):
        raise DataError(
            f"A table must name each column once. Received: {path} with {twice[0]} twice."
        )
    if not rows:
        raise DataError(f"A table of images must have at least one row. Received: {path}.")
    records = pd.DataFrame(rows, columns=names, dtype=str)
    for column in names:
        cells = records[column]
        # A patient may be called NA, so that only an empty cell is missing.
        records[column] = cells.where(cells != "", np.nan)
        if column in _NUMBERS:
            records[column] = _numbers(records[column], path, delimiter)
    if "group" in names:
        records["group"] = [_group(cell) for cell in records["group"]]
    return records


def _parse(path: Path, columns: tuple[str, ...]) -> tuple[list[str], list[list[str]], str]:
    """Read names of columns, cells and the delimiter of a table."""
    text, stated = _text(path)
    # The commonest in the first line is meant, unless only another one yields the columns.
    common = sorted(_DELIMITERS, key=text.partition("\n")[0].count, reverse=True)
    readings: list[Any] = []
    for delimiter in [stated] if stated else common:
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            readings.append((*_cells(reader), delimiter))
        except (csv.Error, ValueError) as error:
            readings.append(error)
            continue
        if set(columns) <= set(readings[-1][0]):
            return readings[-1]
    if isinstance(readings[0], Exception):
        raise DataError(
            f"A table of images must be a CSV file in UTF-8. Received: {path} ({readings[0]})."
        ) from readings[0]
    return readings[0]


def _text(path: Path) -> tuple[str, str]:
    """Read the text of a table, and the delimiter that Excel may state in a first line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"A table of images must be a CSV file that exists. Received: {path}."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"A table of images must be a CSV file in UTF-8. Received: {path} ({error})."
        ) from error
    text = text.lstrip(_BLANKS.replace("\t", ""))
    if stated := re.match(r'"?sep=(.)"?[^\r\n]*(\r\n|\r|\n)', text, re.IGNORECASE):
        return text[stated.end() :].lstrip("\r\n"), stated[1]
    return text, ""


def _cells(reader: Iterable[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Strip all cells, and leave out empty rows and columns."""
    stripped = [[cell.strip(_BLANKS) for cell in row] for row in reader]
    head, *rows = [row for row in stripped if any(row)] or [[]]
    if not head:
        raise ValueError("no columns")
    width = max(map(len, [head, *rows]))
    if long := next((row for row in rows if any(row[len(head) :])), None):
        raise ValueError(f"{len(long)} cells in a row under {len(head)} columns")
    filled = [row + [""] * (width - len(row)) for row in rows]
    kept = [i for i, name in enumerate(head) if name or any(row[i] for row in filled)]
    names = [_column(head[i], i) for i in kept]
    return names, [[_composed(row[i], names[k]) for k, i in enumerate(kept)] for row in filled]


def _column(name: str, place: int) -> str:
    """Name a column as this project does; one without a name by its place."""
    plain = re.sub(r"[\s-]+", "_", name.casefold())
    return plain if plain in _KNOWN else name or f"Unnamed: {place}"


def _composed(cell: str, column: str) -> str:
    """Write a letter with an accent in one way, except in a path, which must be found."""
    return cell if column in _PATHS else unicodedata.normalize("NFC", cell)


def _group(cell: Any) -> Any:
    """Write a number as a whole one: a spreadsheet makes 1.0 of patient 1."""
    whole = re.fullmatch(r"([+-]?\d+)[.,]0{0,2}", cell) if isinstance(cell, str) else None
    return whole[1] if whole else cell


def _numbers(cells: pd.Series, path: Path, delimiter: str) -> pd.Series:
    """Read numbers; where no comma parts the cells, one may precede decimals."""
    plain = cells if delimiter == "," else cells.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce")
    strange = cells[cells.notna() & numbers.isna()]
    if len(strange):
        raise DataError(
            f"Cells of {cells.name} must be numbers or empty. "
            f"Received: {strange.iloc[0]} in {path}."
        )
    return numbers
