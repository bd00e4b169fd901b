"""All reports of a study as one HTML page, with the checklists that point into it.

Beside the page are the result files of all protocols, from which the tables of a README are made.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from thyro_demo.errors import StudyError
from thyro_demo.evaluate import results
from thyro_demo.evaluate.formatting import split_interval
from thyro_demo.evaluate.page import STYLE
from thyro_demo.files import atomic_write
from thyro_demo.study.protocols import PROTOCOLS
from thyro_demo.study.report import audit
from thyro_demo.study.report.audit import SUMMARY, TOP, anchor
from thyro_demo.study.report.report import TEACHING, Table

TITLE = "Published machine-learning systems for thyroid ultrasound, run again"

_REHEARSAL = "Rehearsal on phantoms"

_HEADINGS = {
    "images": "Images",
    "tables": "Tables",
    "pictures": "Pictures",
    "differs": "What differs from the original and why",
    "failures": "Parts that failed",
}

_FACTS = {"key", "title", "reference", "images", "fast", "differs", "summaries", "failures"}


@dataclass(frozen=True)
class Kept:
    """A report as it is in its folder.

    Parameters
    ----------
    facts : dict
        Content of `report.json`.
    tables : tuple of Table
        Its tables.
    pictures : dict of str to str
        Data URLs of PNG files by name.
    """

    facts: dict[str, Any]
    tables: tuple[Table, ...]
    pictures: dict[str, str]

    @property
    def key(self) -> str:
        """Name of the protocol."""
        return str(self.facts["key"])

    @property
    def fast(self) -> bool:
        """Whether it ran on phantoms."""
        return bool(self.facts["fast"])

    @property
    def parts(self) -> dict[str, str]:
        """Headings of the parts it has, by the names in `audit.PARTS`."""
        empty = {part for part in ("pictures", "failures") if not self.facts[part]}
        return {part: heading for part, heading in _HEADINGS.items() if part not in empty}


def collect(folder: Path) -> Path:
    """Write one page of all reports in a folder.

    Parameters
    ----------
    folder : Path
        Holds a folder for each protocol, as `report.write` leaves it.

    Returns
    -------
    Path
        `index.html` in the folder: it holds its pictures and asks no other host for anything.

    Raises
    ------
    StudyError
        If there is no report, or one of them is damaged.
    """
    reports = [_read(folder / key) for key in PROTOCOLS if (folder / key / "report.json").is_file()]
    if not reports:
        raise StudyError(
            f"A page must be made of at least one report, of {', '.join(PROTOCOLS)}. "
            f"Received: {folder} with none."
        )
    file = folder / "index.html"
    with atomic_write(file) as temporary:
        temporary.write_text(render(reports), encoding="utf-8")
    return file


def gather_results(folder: Path) -> list[Path]:
    """Copy the result files of all reports in a folder, the rows of those of one name joined.

    Parameters
    ----------
    folder : Path
        As for `collect`.

    Returns
    -------
    list of Path
        Files of the folder `results` in it, which are to replace those in `weights/results`.

    Raises
    ------
    DataError
        If one of them is damaged.
    """
    found: dict[str, list[results.Result]] = {}
    for key in PROTOCOLS:
        whole = (folder / key / "report.json").is_file()
        for file in sorted((folder / key).glob("*.json")) if whole else ():
            if file.name != "report.json":
                found.setdefault(file.name, []).append(results.read(file))
    for former in (folder / "results").glob("*.json"):
        former.unlink()
    for name, parts in found.items():
        rows = tuple(row for part in parts for row in part.rows)
        results.write(parts[0].model_copy(update={"rows": rows}), folder / "results" / name)
    return [folder / "results" / name for name in found]


def _read(folder: Path) -> Kept:
    try:
        facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        tables = tuple(
            Table(each["title"], each["caption"], tuple(each["columns"]),
                  tuple(tuple(row) for row in each["rows"]))
            for each in facts["tables"]
        )  # fmt: skip
        pictures = {name: _data_url(folder / f"{name}.png") for name in facts["pictures"]}
        missing = _FACTS - set(facts)
        if missing:
            raise KeyError(", ".join(sorted(missing)))
    except StudyError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(
            "A report must be a folder that `study` wrote, whole and unchanged. "
            f"Received: {folder} ({type(error).__name__}: {error})."
        ) from error
    return Kept(facts, tables, pictures)


def _data_url(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def render(reports: Sequence[Kept]) -> str:
    """Render the page.

    Parameters
    ----------
    reports : sequence of Kept
        One for each protocol that was run.

    Returns
    -------
    str
        A whole HTML document without a reference to any other file or host; its template is
        `page.html.jinja`.
    """
    drawn = [each.key for each in reports if each.fast]
    return _TEMPLATES.get_template("page.html.jinja").render(
        title=TITLE,
        style=Markup(STYLE),
        top=TOP,
        summary=SUMMARY,
        teaching=TEACHING.partition(": ")[2].capitalize(),
        rehearsal=_REHEARSAL,
        rehearsed="all of this page" if len(drawn) == len(reports) else ", ".join(drawn),
        protocols=PROTOCOLS,
        reports=reports,
        by_key={each.key: each for each in reports},
        checklists=audit.fill([each.facts for each in reports]),
        anchor=anchor,
        split_interval=split_interval,
    )


def _inline(markdown: str) -> Markup:
    """Render links to anchors of this page, and code; everything else is text."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(markdown)))
    return Markup(re.sub(r"\[([^\]]+)\]\((#[\w-]+)\)", r'<a href="\2">\1</a>', text))


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_TEMPLATES.filters["inline"] = _inline
