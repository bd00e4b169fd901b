"""All reports of a study as one HTML page, with the checklists that point into it."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from thyro_demo.errors import StudyError
from thyro_demo.evaluate.page import STYLE
from thyro_demo.files import whole
from thyro_demo.study import audit
from thyro_demo.study.audit import SUMMARY, TOP, Checklist, anchor
from thyro_demo.study.published import PROTOCOLS
from thyro_demo.study.report import TEACHING, Table

TITLE = "Published machine-learning systems for thyroid ultrasound, run again"

_STYLE = """
section { border-top: 1px solid var(--line); margin-top: 2.5rem; }
h2 { font-size: 1.35rem; }
h3 { font-size: 1.1rem; margin: 1.5rem 0 .3rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li { margin: .35rem 0; }
nav small a { margin-right: .7rem; white-space: nowrap; }
li { margin: .3rem 0; max-width: 44rem; }
.sentences td:last-child { max-width: 40rem; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  .sentences tr { border-bottom: 1px solid var(--line); display: block; padding: .5rem 0; }
  .sentences tr:first-child { display: none; }
  .sentences th, .sentences td { border: 0; display: inline; padding: 0 .4rem 0 0;
    position: static; }
  .sentences td:nth-child(2) { font-weight: bold; }
  .sentences td:last-child { display: block; padding: .2rem 0 0; }
}
.figures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure img { max-width: 34rem; }
:target { background: var(--soft); }
"""


@dataclass(frozen=True)
class Kept:
    """A report as it lies in its folder.

    Parameters
    ----------
    facts : dict
        Content of `report.json`.
    tables : tuple of Table
        Its tables.
    pictures : dict of str to bytes
        PNG files by name.
    """

    facts: dict[str, Any]
    tables: tuple[Table, ...]
    pictures: dict[str, bytes]

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
        return {part: said for part, said in _HEADINGS.items() if part not in empty}


_HEADINGS = {
    "images": "Images",
    "tables": "Tables",
    "pictures": "Pictures",
    "differs": "What differs from the original and why",
    "failures": "Parts that failed",
}


def collect(folder: Path) -> Path:
    """Write one page of all reports that lie in a folder.

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
            "A page is made of the reports of protocols, run at least one of "
            f"{', '.join(PROTOCOLS)} first. Received: {folder} with none."
        )
    file = folder / "index.html"
    with whole(file) as temporary:
        temporary.write_text(render(reports), encoding="utf-8")
    return file


def _read(folder: Path) -> Kept:
    try:
        facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        tables = tuple(
            Table(each["title"], each["caption"], tuple(each["columns"]),
                  tuple(tuple(row) for row in each["rows"]))
            for each in facts["tables"]
        )  # fmt: skip
        pictures = {name: (folder / f"{name}.png").read_bytes() for name in facts["pictures"]}
        missing = _FACTS - set(facts)
        if missing:
            raise KeyError(", ".join(sorted(missing)))
    except StudyError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(
            "A report is a folder that `study` wrote, whole and unchanged. "
            f"Received: {folder} ({type(error).__name__}: {error})."
        ) from error
    return Kept(facts, tables, pictures)


_FACTS = {"key", "title", "reference", "images", "fast", "differs", "summaries", "failures"}


def render(reports: Sequence[Kept]) -> str:
    """Render the page.

    Parameters
    ----------
    reports : sequence of Kept
        One for each protocol that was run.

    Returns
    -------
    str
        A whole HTML document without a reference to any other file or host.
    """
    checklists = audit.fill([each.facts for each in reports])
    sections = "\n".join(_section(each) for each in reports)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}</title>
<style>{STYLE}{_STYLE}</style>
</head>
<body>
<main>
<h1 id="{TOP}">{TITLE}</h1>
<p class="note"><b>Teaching and research only.</b> {TEACHING.partition(": ")[2].capitalize()}</p>
{_rehearsed(reports)}
{_contents(reports, checklists)}
{_in_brief(reports)}
{sections}
{"".join(_checklist(each) for each in checklists)}
</main>
</body>
</html>
"""


_REHEARSAL = "Rehearsal on phantoms"


def _rehearsed(reports: Sequence[Kept]) -> str:
    drawn = [each.key for each in reports if each.fast]
    if not drawn:
        return ""
    which = "all of this page" if len(drawn) == len(reports) else ", ".join(drawn)
    return (
        f'<p class="note"><b>{_REHEARSAL}:</b> {escape(which)}. Drawn images, in runs cut down to '
        "minutes, show that every part works; their figures are no results.</p>"
    )


def _contents(reports: Sequence[Kept], checklists: Sequence[Checklist]) -> str:
    lines = [f'<li><a href="#{SUMMARY}">In brief</a></li>']
    for each in reports:
        mark = f" <b>({_REHEARSAL.lower()})</b>" if each.fast else ""
        parts = " ".join(
            f'<a href="#{anchor(each.key, part)}">{said}</a>' for part, said in each.parts.items()
        )
        lines.append(
            f'<li><a href="#{anchor(each.key)}">{_titled(each)}</a>{mark}<br>'
            f"<small>{parts}</small></li>"
        )
    lines += [f'<li><a href="#{each.anchor}">{escape(each.title)}</a></li>' for each in checklists]
    return "<nav><h2>Contents</h2>\n<ul>\n" + "\n".join(lines) + "\n</ul></nav>"


def _titled(report: Kept) -> str:
    return escape(f"{report.key}: {report.facts['title']}")


def _in_brief(reports: Sequence[Kept]) -> str:
    """Tell of every protocol whether it was run, on what, and whether parts failed."""
    found = {each.key: each for each in reports}
    rows = []
    for key, said in PROTOCOLS.items():
        if key not in found:
            rows.append((key, escape(said), "not run", ""))
            continue
        failed = len(found[key].facts["failures"])
        place = f'<a href="#{anchor(key, "failures")}">parts failed: {failed}</a>'
        rows.append(
            (
                f'<a href="#{anchor(key)}">{key}</a>',
                escape(said),
                f"<b>{_REHEARSAL.lower()}</b>" if found[key].fast else "run on images",
                place if failed else "none failed",
            )
        )
    heads = ("Protocol", "What it is", "State", "Parts")
    return f'<section id="{SUMMARY}"><h2>In brief</h2>{_grid(heads, rows)}</section>'


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Lay out cells, which are HTML already."""
    top = "".join(f"<th scope=col>{escape(head)}</th>" for head in heads)
    lines = [
        f"<tr><th scope=row>{row[0]}</th>"
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    ]
    return (
        f'<div class="wide {kind}"><table><tr>{top}</tr>\n' + "\n".join(lines) + "\n</table></div>"
    )


def _section(report: Kept) -> str:
    facts = report.facts
    mark = f'<p class="note"><b>{_REHEARSAL}.</b> Not a result.</p>' if report.fast else ""
    contents = {
        "images": f"<p>{escape(facts['images'])}</p>",
        "tables": "\n".join(_table(table) for table in report.tables),
        "pictures": _figures(report),
        "differs": _pairs(facts["differs"]),
        "failures": _pairs(facts["failures"].items()),
    }
    parts = "\n".join(
        f'<div id="{anchor(report.key, part)}"><h3>{said}</h3>\n{contents[part]}</div>'
        for part, said in report.parts.items()
    )
    return (
        f'<section id="{anchor(report.key)}">\n<h2>{_titled(report)}</h2>\n{mark}\n'
        f"<p>After: {escape(facts['reference'])}</p>\n{parts}\n</section>"
    )


def _pairs(pairs: Any) -> str:
    lines = [f"<li><b>{escape(what)}</b>: {escape(why)}</li>" for what, why in pairs]
    return "<ul>" + "\n".join(lines) + "</ul>"


def _table(table: Table) -> str:
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    return (
        f"<h4>{escape(table.title)}</h4>\n<p>{escape(table.caption)}</p>\n"
        f"{_grid(table.columns, rows)}"
    )


# A figure, its interval in brackets, and what else the cell says.
_WITH_INTERVAL = re.compile(r"([−+]?[\d.,]+ ?%?) (\([^()]*\))(.*)")


def _cell(text: str) -> str:
    """Set an interval under its figure, so that a table of them fits a phone."""
    found = _WITH_INTERVAL.fullmatch(text)
    if not found:
        return escape(text)
    value, bracket, rest = (escape(part) for part in found.groups())
    return f"{value}{rest}<small>{bracket}</small>"


def _figures(report: Kept) -> str:
    shown = []
    for name, png in report.pictures.items():
        said = escape(report.facts["pictures"][name])
        encoded = base64.b64encode(png).decode("ascii")
        shown.append(
            f"<figure><figcaption><span>{said}</span></figcaption>"
            f'<img alt="{said}" src="data:image/png;base64,{encoded}"></figure>'
        )
    return '<div class="figures">' + "\n".join(shown) + "</div>"


def _checklist(checklist: Checklist) -> str:
    lines = [
        f'<tr id="{checklist.anchor}-{row.number}"><th scope=row>{row.number}</th>'
        f"<td>{escape(row.item)}</td><td>{_inline(row.answer)}</td></tr>"
        for row in checklist.rows
    ]
    return (
        f'<section id="{checklist.anchor}"><h2>{escape(checklist.title)}</h2>\n'
        "<p>The items stand in a few words of our own; the published wording counts.</p>\n"
        '<div class="wide sentences"><table><tr><th scope=col>#</th><th scope=col>Item</th>'
        f"<th scope=col>Answer</th></tr>\n{chr(10).join(lines)}\n</table></div></section>\n"
    )


def _inline(markdown: str) -> str:
    """Render links to anchors of this page, and code; everything else is text."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown, quote=False))
    return re.sub(r"\[([^\]]+)\]\((#[\w-]+)\)", r'<a href="\2">\1</a>', text)
