"""The report of a protocol: our figures beside the published ones, and what differs and why.

A report is a folder: `report.json` (what `collect` and the README read), `report.md`, `oof.csv`
(what every figure was computed from) and the pictures.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.errors import StudyError
from thyro_demo.files import whole

TEACHING = "Teaching and research only: these figures are no statement about any patient."


@dataclass(frozen=True)
class Table:
    """A table for people.

    Parameters
    ----------
    title : str
        What it shows.
    caption : str
        Split, unit, kind of interval, and how to read it: a figure without them is not shown.
    columns : tuple of str
        Heads of the columns.
    rows : tuple of tuple of str
        Cells, already written out.
    """

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise StudyError(
                f"Every row of a table has {len(self.columns)} cells. Received: {wrong[0]}."
            )

    def markdown(self) -> str:
        """Write the table.

        Returns
        -------
        str
            Markdown, title and caption included.
        """
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        # A stroke within a cell would end it.
        cells = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines
        ]
        return "\n".join([f"### {self.title}", "", self.caption, "", *cells])


@dataclass(frozen=True)
class Report:
    """What a run of a protocol found.

    Parameters
    ----------
    key : str
        Of the protocol.
    title : str
        One line for people.
    reference : str
        The published work.
    images : str
        Which images: set, number, groups, split.
    fast : bool
        Whether they are phantoms, in a run cut down to minutes.
    tables : tuple of Table
        Our figures beside the published ones first.
    differs : tuple of (str, str)
        What differs from the original, and why.
    scores : DataFrame
        `path, group, source, label, fold, head, probability` of every system.
    summaries : mapping of str to mapping
        What `out_of_fold.summary` gave, by name of the experiment.
    pictures : mapping of str to (str, Figure)
        By file name without ending: a sentence on what to see, and the picture.
    failures : mapping of str to str
        Parts that failed, and why; empty when all went well.
    """

    key: str
    title: str
    reference: str
    images: str
    fast: bool
    tables: tuple[Table, ...]
    differs: tuple[tuple[str, str], ...]
    scores: pd.DataFrame
    summaries: Mapping[str, Mapping[str, Any]]
    pictures: Mapping[str, tuple[str, Figure]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    def markdown(self) -> str:
        """Write the report for people.

        Returns
        -------
        str
            Markdown; pictures are linked as files beside it.
        """
        parts = [f"# {self.key}: {self.title}", f"*{TEACHING}*"]
        if self.fast:
            parts.append("**On phantoms, in minutes:** a rehearsal, not a result.")
        parts += [f"After: {self.reference}", f"Images: {self.images}"]
        parts += [table.markdown() for table in self.tables]
        parts += [f"![{said}]({name}.png)\n\n{said}" for name, (said, _) in self.pictures.items()]
        parts.append("## What differs from the original and why")
        parts.append("\n".join(f"- {what}: {why}" for what, why in self.differs))
        if self.failures:
            parts.append("## Parts that failed")
            parts.append("\n".join(f"- {part}: {why}" for part, why in self.failures.items()))
        return "\n\n".join(parts) + "\n"


def write(report: Report, folder: Path) -> Path:
    """Write a report, each of its files whole.

    Parameters
    ----------
    report : Report
        What a protocol gave.
    folder : Path
        Its folder.

    Returns
    -------
    Path
        `report.json`.
    """
    file = folder / "report.json"
    # An earlier report is not one any more once its first file is replaced.
    file.unlink(missing_ok=True)
    for name, (_, figure) in report.pictures.items():
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=200, facecolor="white")
        with whole(folder / f"{name}.png") as temporary:
            temporary.write_bytes(stream.getvalue())
    with whole(folder / "oof.csv") as temporary:
        report.scores.to_csv(temporary, index=False)
    with whole(folder / "report.md") as temporary:
        temporary.write_text(report.markdown(), encoding="utf-8")
    facts = {
        "key": report.key,
        "title": report.title,
        "reference": report.reference,
        "images": report.images,
        "fast": report.fast,
        "tables": [vars(table) for table in report.tables],
        "differs": report.differs,
        "summaries": report.summaries,
        "pictures": {name: said for name, (said, _) in report.pictures.items()},
        "failures": report.failures,
    }
    # NaN, which JSON does not know, stands as null in every summary.
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    # The last one written: a folder with it is a whole report.
    with whole(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return file
