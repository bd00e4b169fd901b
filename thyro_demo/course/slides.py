"""A deck of slides from the chapters: their headings, first sentences, lists, tables and pictures.

The deck is one HTML file without a request to anywhere. What a slide leaves out of its section is
in its notes. Pictures are those of chapters that hold their outputs, see `publishing`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from thyro_demo.errors import DataError
from thyro_demo.files import atomic_write

MOST_WORDS = 45
"""Words of running text on a slide; what is beyond goes to its notes, by whole sentences."""

_LEFT_OUT = ("Before we start", "Before the class comes in")
_CLAIMS = re.compile("What this .+ claims, checked")
_SEE = "*What to see:*"
_PICTURES = ("image/png", "image/jpeg")
_REFERENCE = re.compile(r"^\[[\w-]+\]: \S+$", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9*\[`(])")
_QUESTION = re.compile(r"^(?=\*\*\d+\.\*\*)", re.MULTILINE)
_BLOCK = re.compile(r"<details>.*?</details>|```.*?```|(?:[^\n]+\n?)+", re.DOTALL)
_KEPT = re.compile(r"\s*([-|>] ?|\d+\. |```|<|\*\*[^*]+\*\*$)")
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True
)


@dataclass(frozen=True)
class Slide:
    """One slide.

    Parameters
    ----------
    title : str
        Its heading, plain text.
    body : str
        HTML: a few sentences, lists, tables, folded answers.
    picture : str
        Address that holds the picture itself, or empty.
    notes : str
        HTML: what the section says besides.
    opens : bool
        Whether a chapter begins with it.
    """

    title: str
    body: str
    picture: str = ""
    notes: str = ""
    opens: bool = False


def find(folder: Path, chapters: Sequence[str] = ()) -> list[Path]:
    """Find the notebooks of a course.

    Parameters
    ----------
    folder : Path
        Where they are.
    chapters : sequence of str
        Their numbers, such as "0b" and "7", or "lecture"; all without any.

    Returns
    -------
    list of Path
        In the order of the course.

    Raises
    ------
    DataError
        If a chapter is not there.
    """
    found = {
        path.stem.partition("_")[0].removeprefix("0") or "0": path
        for path in sorted(folder.glob("*.ipynb"))
    }
    missing = [name for name in chapters if name not in found]
    if missing or not found:
        raise DataError(
            f"Chapters must be of {', '.join(found) or 'a folder with notebooks'}. "
            f"Received: {', '.join(missing) or folder}."
        )
    return [path for name, path in found.items() if not chapters or name in chapters]


def write(notebooks: Iterable[Path], out: Path) -> int:
    """Write the deck of some chapters.

    Parameters
    ----------
    notebooks : iterable of Path
        Their `.ipynb` files, from `find`.
    out : Path
        The HTML file.

    Returns
    -------
    int
        Number of slides.

    Raises
    ------
    DataError
        If a file is no notebook.
    """
    slides = [slide for path in notebooks for slide in of_chapter(read(path))]
    page = _TEMPLATES.get_template("slides.html.jinja").render(slides=slides)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return len(slides)


def read(path: Path) -> dict[str, Any]:
    """Read a notebook.

    Parameters
    ----------
    path : Path
        An `.ipynb` file.

    Returns
    -------
    dict
        Its JSON; sources are strings.

    Raises
    ------
    DataError
        If it is none.
    """
    try:
        notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"A chapter must be a Jupyter notebook. Received: {path}.") from error
    return notebook


def of_chapter(notebook: dict[str, Any]) -> Iterator[Slide]:
    """Make the slides of one chapter.

    Parameters
    ----------
    notebook : dict
        From `read`.

    Yields
    ------
    Slide
        The title with what one can do afterwards, then the sections.
    """
    title, skipped = "", False
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            if not skipped:
                yield from _pictures(title, cell, notebook["cells"][number + 1 :])
            continue
        known = "\n".join(_REFERENCE.findall(cell["source"]))
        for heading, text in _sections(_REFERENCE.sub("", cell["source"])):
            title = heading or title
            skipped = title in _LEFT_OUT or bool(_CLAIMS.fullmatch(title))
            if not skipped and (text := text.strip()):
                yield from _slide(title, text, known, opens=number == 0)


def _sections(source: str) -> Iterator[tuple[str, str]]:
    """Cut the text of a cell at its headings; what is above the first has none."""
    above, *rest = re.split(r"^#+ (.+)$", source, flags=re.MULTILINE)
    if above.strip():
        yield "", above
    yield from zip(rest[::2], rest[1::2], strict=True)


def _slide(title: str, text: str, known: str, opens: bool) -> Iterator[Slide]:
    """Put the first sentences of a text, and its lists and tables, on a slide."""
    if text.startswith(_SEE):
        # The caption of a picture is on the slide of the picture.
        text = text.partition("\n\n")[2]
    questions = _QUESTION.split(text)
    if len(questions) > 1:
        for question in questions[1:]:
            yield Slide(_plain(title), _html(question.strip(), known))
        return
    shown: list[str] = []
    notes: list[str] = []
    words = 0
    for block in _BLOCK.findall(_without_badge(text)):
        if _KEPT.match(block):
            shown.append(block)
            continue
        for sentence in _SENTENCE.split(" ".join(block.split())):
            words += len(sentence.split())
            (shown if words <= MOST_WORDS and not notes else notes).append(sentence)
    if shown:
        body = "\n\n".join(shown)
        yield Slide(_plain(title), _html(body, known), "", _html("\n\n".join(notes), known), opens)


def _without_badge(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("[![")).strip()


def _pictures(title: str, cell: dict[str, Any], after: Sequence[dict[str, Any]]) -> Iterator[Slide]:
    """Put each picture of a cell on a slide, with what to see in it."""
    text = next((one["source"] for one in after if one["cell_type"] == "markdown"), "")
    caption, notes = "", ""
    if text.startswith(_SEE):
        known = "\n".join(_REFERENCE.findall(text))
        first, *more = _SENTENCE.split(" ".join(text.partition("\n\n")[0].split()))
        caption, notes = _html(first, known), _html(" ".join(more), known)
    for output in cell.get("outputs", ()):
        for kind, data in output.get("data", {}).items():
            if kind in _PICTURES:
                inside = "".join(data).replace("\n", "")
                yield Slide(_plain(title), caption, f"data:{kind};base64,{inside}", notes)


def _plain(heading: str) -> str:
    """Leave the marks out of a heading."""
    return re.sub(r"\[([^]]+)\]\[[^]]*\]|[*`]", lambda found: found[1] or "", heading)


def _html(text: str, known: str) -> str:
    html: str = _MARKDOWN.render(f"{text}\n\n{known}") if text else ""
    return html
