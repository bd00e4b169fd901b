"""The report of a protocol: our figures beside the published ones, and what differs and why.

A report is a folder: `report.json` (what `page` reads), `report.md`, `oof.csv` (what every figure
was computed from), the pictures, and the tables that a README shows, each a result file. What was
published and what differs are files beside the plan of each protocol.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.errors import StudyError
from thyro_demo.evaluate import results
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.evaluate.results import Result
from thyro_demo.files import atomic_write
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import BASELINE

TEACHING = "Teaching and research only: these figures are no statement about any patient."

REHEARSAL = "**On phantoms, in minutes:** a rehearsal, not a result."

RATES = ("accuracy", "sensitivity", "specificity")
"""Figures at an operating point."""


@dataclass(frozen=True)
class Published:
    """One row of a published table.

    Parameters
    ----------
    system : str
        As the paper names it.
    accuracy, sensitivity, specificity, f1, auroc : float or None
        As printed, in percent (`auroc` from 0 to 1); None where nothing is printed.
    note : str
        What has to be known to read the row.
    """

    system: str
    accuracy: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    f1: float | None = None
    auroc: float | None = None
    note: str = ""


_FIGURES = ("accuracy", "sensitivity", "specificity", "f1", "auroc")


def published(file: Path) -> list[tuple[Published, dict[str, str]]]:
    """Read the published figures beside a plan.

    Parameters
    ----------
    file : Path
        CSV with a column `system`, figures and note as far as there are any, and columns of the
        protocol's own.

    Returns
    -------
    list of (Published, dict of str to str)
        Each row, and all its columns as text.
    """
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        (
            Published(
                row["system"],
                **{name: float(row[name]) for name in _FIGURES if row.get(name)},
                note=row.get("note", ""),
            ),
            row,
        )
        for row in rows
    ]


_SECTION = re.compile(r"^## (.+?)(?: \[(.+)\])?$", re.MULTILINE)


def differences(
    file: Path, tags: Collection[str] = (), **facts: object
) -> tuple[tuple[str, str], ...]:
    """Read what a protocol does otherwise than the original, and why.

    Parameters
    ----------
    file : Path
        Markdown: sections "## What" or "## What [tag]", whose text may name facts in braces.
    tags : collection of str
        Which of the sections with a tag hold for this run.
    **facts : object
        What the braces name.

    Returns
    -------
    tuple of (str, str)
        What differs, and why.
    """
    _, *parts = _SECTION.split(file.read_text(encoding="utf-8"))
    sections = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return tuple(
        (what, " ".join(why.split()).format(**facts))
        for what, tag, why in sections
        if tag is None or tag in tags
    )


@dataclass(frozen=True)
class Protocol:
    """What a published system is, and what was published of it.

    Parameters
    ----------
    key : str
        A key of `protocols.PROTOCOLS`.
    title : str
        One line for people.
    reference : str
        Authors, title, journal and year.
    positive : str
        The label that counts as positive.
    published : tuple of Published
        Its table.
    """

    key: str
    title: str
    reference: str
    positive: str
    published: tuple[Published, ...]


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
                f"Every row of a table must have {len(self.columns)} cells. Received: {wrong[0]}."
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


def summarise(scores: pd.DataFrame, records: pd.DataFrame, positive: str) -> dict[str, Any]:
    """Summarise out-of-fold scores of several systems, image size alone beside them.

    Parameters
    ----------
    scores : DataFrame
        `path, group, source, label, fold, head, score`; a head is a system.
    records : DataFrame
        The frames that were scored.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict
        As from `out_of_fold.summary`.
    """
    return out_of_fold.summary(scores, out_of_fold.size_rows(records, positive), positive)


def overall(
    title: str, summary: Mapping[str, Any], published: Mapping[str, Published | None]
) -> Table:
    """Set each system's figures beside those that were published.

    Parameters
    ----------
    title : str
        What the table shows.
    summary : mapping
        From `summarise`.
    published : mapping of str to Published or None
        For each system the published row, if there is one. Systems that it leaves out are
        shown without one.

    Returns
    -------
    Table
        In each cell ours with its interval and, after a stroke, the published figure.
    """
    rows = [
        (name, *beside(figures, published.get(name))) for name, figures in summary["heads"].items()
    ]
    heads = ("System", *(f"{rate.capitalize()}, %" for rate in RATES), "AUROC")
    note = _BESIDE if any(published.get(name) for name in summary["heads"]) else ""
    return Table(title, caption(summary) + note + _POINT, heads, tuple(rows))


_BESIDE = (
    " Each cell: ours, its 95 % interval, and after “/” what was published, where it was, on "
    "other images."
)
_POINT = " Rates are those at the Youden point of the other folds."


def beside(figures: Mapping[str, Any], row: Published | None) -> list[str]:
    """Write the rates and the AUROC of a system, each before what was published.

    Parameters
    ----------
    figures : mapping of str to estimate
        0–1; see `formatting.Estimate`.
    row : Published or None
        Its published row.

    Returns
    -------
    list of str
        Rates in percent, the AUROC from 0 to 1.
    """
    cells = []
    for name, scale, digits in (*((rate, 100, 1) for rate in RATES), ("auroc", 1, 3)):
        theirs = None if row is None else getattr(row, name)
        ours = with_interval(figures[name], digits, scale=scale)
        cells.append(ours + (f" / {theirs}" if theirs is not None else ""))
    return cells


def by_source(
    title: str, summary: Mapping[str, Any], systems: Sequence[str] | None = None
) -> Table:
    """Show the AUROC of each system over all images and within each source.

    Parameters
    ----------
    title : str
        What the table shows.
    summary : mapping
        From `summarise`.
    systems : sequence of str, optional
        Which ones; all without it.

    Returns
    -------
    Table
        One row a system, image size alone among them.
    """
    chosen = [name for name in summary["heads"] if systems is None or name in systems]
    if BASELINE in summary["heads"] and BASELINE not in chosen:
        chosen.append(BASELINE)
    sources = list(next(iter(summary["heads"].values()))["by_source"])
    rows = []
    for name in chosen:
        within = summary["heads"][name]["by_source"]
        cells = [with_interval(within[source]["auroc"], 3) for source in sources]
        rows.append((name, with_interval(summary["heads"][name]["auroc"], 3), *cells))
    note = " AUROC. A system that does well over all but not within a source knows the source."
    return Table(title, caption(summary) + note, ("System", "all", *sources), tuple(rows))


def caption(summary: Mapping[str, Any]) -> str:
    """Name the images, the split and the unit behind figures.

    Parameters
    ----------
    summary : mapping
        From `summarise`.

    Returns
    -------
    str
        One sentence.
    """
    groups = f" in {summary['groups']} groups" if summary["groups"] is not None else ""
    return (
        f"{summary['n']} images{groups}, {summary['positives']} {summary['positive']}; split: "
        f"{summary['split']}; 95 % intervals from {summary['interval']['resamples']} bootstrap "
        f"resamples by {summary['unit']}."
    )


@dataclass(frozen=True)
class Report:
    """What a run of a protocol found.

    Parameters
    ----------
    protocol : Protocol
        What was run.
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
        From `summarise`, by name of the experiment.
    pictures : mapping of str to (str, Figure)
        By file name without ending: a sentence on what to see, and the picture.
    failures : mapping of str to str
        Parts that failed, and why; empty when all went well.
    results : mapping of str to Result
        Tables for a README, by name of their file in `weights/results`.
    """

    protocol: Protocol
    images: str
    fast: bool
    tables: tuple[Table, ...]
    differs: tuple[tuple[str, str], ...]
    scores: pd.DataFrame
    summaries: Mapping[str, Mapping[str, Any]]
    pictures: Mapping[str, tuple[str, Figure]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Result] = field(default_factory=dict)

    def markdown(self) -> str:
        """Write the report for people.

        Returns
        -------
        str
            Markdown; pictures are linked as files beside it.
        """
        parts = [f"# {self.protocol.key}: {self.protocol.title}", f"*{TEACHING}*"]
        if self.fast:
            parts.append(REHEARSAL)
        parts += [f"After: {self.protocol.reference}", f"Images: {self.images}"]
        parts += [table.markdown() for table in self.tables]
        parts += [f"![{seen}]({name}.png)\n\n{seen}" for name, (seen, _) in self.pictures.items()]
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
        What a protocol found.
    folder : Path
        Its folder.

    Returns
    -------
    Path
        `report.json`.
    """
    file = folder / "report.json"
    # An earlier report is not one any more once its first file is replaced.
    for former in (file, *folder.glob("*.json")):
        former.unlink(missing_ok=True)
    for name, result in report.results.items():
        results.write(_rehearsed(result) if report.fast else result, folder / f"{name}.json")
    for name, (_, figure) in report.pictures.items():
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=200, facecolor="white")
        with atomic_write(folder / f"{name}.png") as temporary:
            temporary.write_bytes(stream.getvalue())
    with atomic_write(folder / "oof.csv") as temporary:
        report.scores.to_csv(temporary, index=False)
    with atomic_write(folder / "report.md") as temporary:
        temporary.write_text(report.markdown(), encoding="utf-8")
    facts = {
        "key": report.protocol.key,
        "title": report.protocol.title,
        "reference": report.protocol.reference,
        "images": report.images,
        "fast": report.fast,
        "tables": [vars(table) for table in report.tables],
        "differs": report.differs,
        "summaries": report.summaries,
        "pictures": {name: seen for name, (seen, _) in report.pictures.items()},
        "failures": report.failures,
    }
    # NaN, which JSON does not know, is null in every summary.
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    # The last one written: a folder with it is a whole report.
    with atomic_write(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return file


def _rehearsed(result: Result) -> Result:
    """Mark a table as that of a rehearsal, whose folds are fewer in some protocols."""
    return result.model_copy(
        update={
            "made_by": result.made_by.replace("--data sets", "--fast"),
            "split": result.split.removeprefix("five "),
            "note": f"{REHEARSAL} {result.note}".rstrip(),
        }
    )
