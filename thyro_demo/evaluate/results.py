"""Published results: one JSON file for every table of figures that a document shows.

A study writes the file, `python -m thyro_demo docs` writes the table. No figure is copied by hand,
and none is shown without its interval, its split and its unit.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from thyro_demo.errors import DataError
from thyro_demo.evaluate import formatting
from thyro_demo.evaluate.formatting import Estimate
from thyro_demo.files import atomic_write

PUBLISHED = Path(__file__).resolve().parents[2] / "weights" / "results"
"""Folder of the committed files, one for each table: NAME.json."""

Show = Literal["text", "count", "number", "figure", "percent", "gain"]
"""How a cell is written: as text; as a whole number; as a number that has no interval; as a figure
with its interval; as a share of 0–1 in percent; as a difference, with signs."""

_DECIMALS = {"number": 1, "figure": 3, "percent": 1, "gain": 3}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(_Part):
    """How the intervals of a table were computed.

    Parameters
    ----------
    method : str
        Such as "bootstrap of whole groups".
    resamples : int
        How often it was resampled.
    level : float
        Coverage, 0–1.
    """

    method: str
    resamples: int
    level: float = 0.95


class Figure(_Part):
    """A figure, the ends of its interval, and what it gains over a reference.

    Parameters
    ----------
    value, low, high : float or None
        In the unit of the column; None is undefined.
    gain : Figure or None
        Paired difference to the reference of the table; None in the row of the reference.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    gain: "Figure | None" = None

    @property
    def ends(self) -> tuple[float | None, float | None, float | None]:
        """Value, low and high, as `formatting` reads them."""
        return self.value, self.low, self.high


class Column(_Part):
    """One column of a table.

    Parameters
    ----------
    key : str
        Under which the rows hold their cells.
    title : str
        Head of the column.
    show : str
        One of `Show`.
    decimals : int or None
        Digits after the point; None takes 3, in percent and for numbers 1.
    """

    key: str
    title: str
    show: Show = "text"
    decimals: int | None = None


Cell = str | int | float | Figure


class Result(_Part):
    """One table of results, and how it came about.

    Parameters
    ----------
    what : str
        What the table shows, in Markdown; shown above it.
    made_by : str
        The command that computes it.
    columns : tuple of Column
        From left to right.
    rows : tuple of dict
        Cells by key of the column. A key that is missing does not apply and stays empty.
    split : str
        How training and test images were kept apart.
    unit : str
        What is resampled, such as "group".
    interval : Interval or None
        How intervals were computed. Figures, percent and gains need all three.
    note : str
        What a reader has to know besides; shown below the table.
    measured_on : str
        What the figures are of, where the command would now measure something else.
    imported : bool
        Whether the file holds the published digits alone, from before studies wrote such files.
    """

    what: str
    made_by: str
    split: str = ""
    unit: str = ""
    interval: Interval | None = None
    note: str = ""
    measured_on: str = ""
    imported: bool = False
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Cell], ...]

    @model_validator(mode="after")
    def _check(self) -> "Result":
        shows = {column.key: column.show for column in self.columns}
        if not (self.split and self.unit and self.interval):
            bare = [key for key, show in shows.items() if show in ("figure", "percent", "gain")]
            if bare:
                raise ValueError(f"figures need interval, split and unit: {', '.join(bare)}")
        for row in self.rows:
            for key, cell in row.items():
                if key not in shows or not isinstance(cell, _CELLS[shows[key]]):
                    raise ValueError(f"cell {key} does not fit its column: {cell!r}")
        return self

    def markdown(self) -> str:
        """Write the table.

        Returns
        -------
        str
            Markdown, without what is shown above and below it.
        """
        lines = ["| " + " | ".join(column.title for column in self.columns) + " |"]
        lines.append("|---" * len(self.columns) + "|")
        for row in self.rows:
            cells = [_shown(row[c.key], c) if c.key in row else "" for c in self.columns]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def section(self) -> str:
        """Write the table with what it shows above it and how it came about below it.

        Returns
        -------
        str
            Markdown.
        """
        known = []
        if self.interval:
            known.append(
                f"{100 * self.interval.level:.0f} % intervals: {self.interval.method}, "
                f"{self.interval.resamples:,} resamples"
            )
        known += [f"{word}: {text}" for word, text in self._where() if text]
        about = "; ".join(known) + ". " if known else ""
        command = self.made_by.startswith("python ")
        made = f"*Made by* `{self.made_by}`." if command else f"*Made by* {self.made_by}."
        measured = f"**Measured on {self.measured_on}.**" if self.measured_on else ""
        below = " ".join(filter(None, (f"{about}{made}", self.note, measured)))
        return f"{self.what}\n\n{self.markdown()}\n\n{below}"

    def _where(self) -> tuple[tuple[str, str], ...]:
        return ("split", self.split), ("unit", self.unit)


_CELLS: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "count": int,
    "number": (int, float),
    "figure": Figure,
    "percent": Figure,
    "gain": Figure,
}


def figure(estimate: Estimate, gain: Estimate | None = None) -> Figure:
    """Make the cell of a figure.

    Parameters
    ----------
    estimate : mapping or sequence of (float or None)
        Value, low and high: an `Interval` of `evaluate.intervals`, a tuple, or a mapping with
        these keys. NaN is undefined.
    gain : mapping or sequence of (float or None), optional
        Its paired difference to the reference of the table.

    Returns
    -------
    Figure
        For a column that shows "figure", "percent" or "gain".

    Examples
    --------
    >>> figure((0.84, 0.8, 0.88), gain=(0.02, -0.01, 0.05)).gain.value
    0.02
    """
    value, low, high = formatting.ends(estimate)
    return Figure(value=value, low=low, high=high, gain=None if gain is None else figure(gain))


def by_source(
    rows: Iterable[tuple[str, Mapping[str, Any], str]],
    sources: Mapping[str, str],
    *,
    what: str,
    made_by: str,
    split: str,
    note: str = "",
) -> Result:
    """Make the table of AUROCs over all images and within each source.

    Parameters
    ----------
    rows : iterable of (str, mapping, str)
        Name of the system, the figures from `evaluate.report.summarise`, and under which head
        they hold it. A head that they lack is left out.
    sources : mapping of str to str
        Titles of the known sources, in the order of the columns. Another source has a column
        only where it is one of several.
    what, made_by, split, note : str
        Of the result.

    Returns
    -------
    Result
        One row a system: `system, images, all` and a column for each source.
    """
    asked = list(rows)
    titles = dict(sources)
    found: list[dict[str, Cell]] = []
    for name, summary, head in asked:
        if head not in summary["heads"]:
            continue
        figures = summary["heads"][head]
        within = figures["by_source"]
        shown = [source for source in within if source in sources or len(within) > 1]
        titles |= {source: titles.get(source, source) for source in shown}
        cells = {source: figure(within[source]["auroc"]) for source in shown}
        known: dict[str, Cell] = {
            "system": name,
            "images": summary["n"],
            "all": figure(figures["auroc"]),
        }
        found.append(known | cells)
    held = {key for row in found for key in row}
    summary = asked[0][1]
    return Result(
        what=what,
        made_by=made_by,
        split=split,
        unit=summary["unit"],
        interval=Interval(
            method=f"bootstrap of whole {summary['unit']}s",
            resamples=summary["interval"]["resamples"],
        ),
        columns=(
            Column(key="system", title="System"),
            Column(key="images", title="Images", show="count"),
            Column(key="all", title="All", show="figure"),
            *(Column(key=key, title=title, show="figure")
              for key, title in titles.items() if key in held),
        ),
        rows=tuple(found),
        note=note,
    )  # fmt: skip


def write(result: Result, path: Path) -> None:
    """Write a result, whole or not at all, each row on a line of its own.

    Parameters
    ----------
    result : Result
        The table.
    path : Path
        The file, such as `PUBLISHED / "middle_stage.json"`.
    """
    content = result.model_dump(mode="json", exclude_defaults=True)
    rows = content.pop("rows")
    columns = content.pop("columns")
    parts = [f" {json.dumps(key)}: {_line(value)}" for key, value in content.items()]
    parts += [
        f' "{key}": [\n' + ",\n".join(f"  {_line(line)}" for line in lines) + "\n ]"
        for key, lines in (("columns", columns), ("rows", rows))
    ]
    with atomic_write(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def read(path: Path) -> Result:
    """Read a result.

    Parameters
    ----------
    path : Path
        A file that `write` has written.

    Returns
    -------
    Result
        The table.

    Raises
    ------
    DataError
        If the file is missing or holds something else.
    """
    try:
        return Result.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"A result must be a JSON file. Received: {path}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(
            "A result file must be as `evaluate.results.write` writes it. "
            f"Received: {path} ({place or 'table'}: {first['msg'].removeprefix('Value error, ')})."
        ) from error


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shown(cell: Cell, column: Column) -> str:
    """Write a cell as its column asks for."""
    decimals = _DECIMALS.get(column.show, 0) if column.decimals is None else column.decimals
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, Figure):
        return f"{cell:,}" if column.show == "count" else formatting.number(cell, decimals)
    if cell.value is None:
        return "–"
    scale = 100 if column.show == "percent" else 1
    if column.show == "gain":
        return formatting.gain(cell.ends, decimals, dashes=False)
    shown = formatting.with_interval(cell.ends, decimals, scale=scale, dashes=False)
    if cell.gain is None:
        return shown
    return f"{shown}, {formatting.gain(cell.gain.ends, decimals, scale=scale)}"
