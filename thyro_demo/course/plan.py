"""How many minutes a chapter takes in class, section by section, by one rule for all."""

import re
from pathlib import Path
from typing import NamedTuple

WORDS_A_MINUTE = 140
"""Speaking rate of a lecturer who follows the text."""

PICTURE, TASK, EXERCISE, QUESTION = 1.5, 5, 5, 1
"""Minutes for a picture that is looked at; something to complete; an exercise; a quiz question."""

_LEFT_OUT = re.compile("Before we start|What this chapter claims, checked")
_CELL = re.compile(r"^# %%.*\n", re.MULTILINE)
_NUMBERED = re.compile(r"^# \*\*\d+\.\*\*", re.MULTILINE)
_SILENT = re.compile(r"(?s:<details>.*?</details>)|^\[[\w-]+\]: .*$", re.MULTILINE)


class Section(NamedTuple):
    """One section of a chapter.

    Parameters
    ----------
    title : str
        Its heading.
    teaching : int
        Minutes of talk and of pictures.
    exercises : int
        Minutes in which students work.
    """

    title: str
    teaching: int
    exercises: int


def sections(script: str) -> list[Section]:
    """Estimate the minutes of each section of a chapter.

    Parameters
    ----------
    script : str
        Text of its `.py` twin.

    Returns
    -------
    list of Section
        In order, without set-up and checks; exercises and quiz are sections as well.
    """
    _, *parts = re.split(r"^# ## (.+)$", script, flags=re.MULTILINE)
    found = []
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        if _LEFT_OUT.fullmatch(title):
            continue
        title = re.sub("[*`]", "", title)
        asked = len(_NUMBERED.findall(text))
        if title in ("Exercises", "Quiz"):
            each = EXERCISE if title == "Exercises" else QUESTION
            found.append(Section(title, 0, asked * each))
            continue
        words = len(_SILENT.sub("", _prose(text)).split())
        talk = words / WORDS_A_MINUTE + PICTURE * text.count("show.picture(")
        found.append(Section(title, max(1, round(talk)), TASK * text.count("tasks.check(")))
    return found


def _prose(text: str) -> str:
    """Keep the lines of markdown cells; a section begins in one."""
    lines, prose = [], True
    for line in text.splitlines():
        if _CELL.match(f"{line}\n"):
            prose = "[markdown]" in line
        elif prose:
            lines.append(line.removeprefix("#").strip())
    return "\n".join(lines)


def table(folder: Path) -> str:
    """Write the minutes of all chapters.

    Parameters
    ----------
    folder : Path
        Where the `.py` twins are.

    Returns
    -------
    str
        Markdown, a row a chapter.
    """
    rows = ["| | Teach | Work | Minutes of each section |", "|---|---|---|---|"]
    for file in sorted(folder.glob("[0-9]*.py")):
        found = sections(file.read_text(encoding="utf-8"))
        each = " · ".join(
            f"{one.title} {'+'.join(str(part) for part in (one.teaching, one.exercises) if part)}"
            for one in found
        )
        number = file.stem.partition("_")[0].removeprefix("0") or "0"
        teach, work = sum(one.teaching for one in found), sum(one.exercises for one in found)
        rows.append(f"| {number} | {teach} | {work} | {each} |")
    return "\n".join(rows)
