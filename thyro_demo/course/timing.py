"""How long each chapter takes, and when it last ran to its end: a table beside the other results.

The figures are those of the runs themselves; `python -m thyro_demo course run` writes them.
"""

import os
import subprocess
import time
from datetime import date
from pathlib import Path

from thyro_demo.course import publishing
from thyro_demo.evaluate import results
from thyro_demo.evaluate.results import Column, Result

FILE = results.PUBLISHED / "chapter_minutes.json"
"""The table that the page of the course shows."""

MODES = {
    "rehearsal": "Rehearsal",
    "phantoms": "Full, on phantoms",
    "real": "Full, on real images",
}
"""How a chapter can be run, and the head of its column."""

_ROOT = Path(__file__).resolve().parents[2]
_WHAT = (
    "Minutes of *Run all* and, in brackets, minutes of processor time; then the day and the commit "
    "of the last run that reached its end. On two processor cores that did other work at the same "
    "time, without a graphics card. Figures of an earlier edition have neither; what is empty has "
    "not been timed."
)


def number(path: Path) -> str:
    """Return what the page calls a chapter: 0, 0b, 1, or lecture."""
    return path.stem.partition("_")[0].removeprefix("0") or "0"


def run(path: Path, mode: str, data: str = "", keep: Path | None = None, root: Path = _ROOT) -> str:
    """Run a chapter to its end, and measure it.

    Parameters
    ----------
    path : Path
        Its `.ipynb` file.
    mode : {"rehearsal", "phantoms", "real"}
        See `MODES`.
    data : str
        Folder of real images, where the mode is "real".
    keep : Path, optional
        Folder that takes the chapter with all that it has shown.
    root : Path
        Folder of the project.

    Returns
    -------
    str
        A cell of the table: "2.1 (1.8), 2026-11-30, 1a2b3c4".

    Raises
    ------
    StudyError
        If a cell fails, or the packages of `requirements-dev.txt` are missing.
    """
    settings = {"rehearsal": {"THYRO_FAST": "1"}, "real": {"THYRO_DATA": data}}.get(mode, {})
    commit, began, before = _commit(root), time.monotonic(), os.times()
    notebook = publishing.execute(path, settings, root)
    took, after = time.monotonic() - began, os.times()
    if keep is not None:
        publishing.write(notebook, keep / path.name)
    processor = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    return f"{took / 60:.1f} ({processor / 60:.1f}), {date.today()}, {commit}"


def _commit(root: Path) -> str:
    """Name the commit that is run; a plus sign shows that the code differs from it."""

    def ask(*command: str) -> str:
        asked = ["git", *command]
        return subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False).stdout

    changed = ask("status", "--porcelain", "--untracked-files=no", "--", "notebooks", "thyro_demo")
    return (ask("rev-parse", "--short=7", "HEAD").strip() or "no commit") + "+" * bool(changed)


def record(chapter: str, mode: str, cell: str, file: Path = FILE) -> None:
    """Write a run into the table.

    Parameters
    ----------
    chapter : str
        From `number`.
    mode : str
        Key of `MODES`.
    cell : str
        From `run`.
    file : Path
        The table.

    Raises
    ------
    DataError
        If the table cannot be read.
    """
    rows = {str(row["chapter"]): dict(row) for row in results.read(file).rows}
    rows[chapter] = {"chapter": chapter} | rows.get(chapter, {}) | {mode: cell}
    columns = [Column(key="chapter", title="Chapter")]
    timed = {key for row in rows.values() for key in row}
    columns += [Column(key=key, title=title) for key, title in MODES.items() if key in timed]
    table = Result(
        what=_WHAT,
        made_by="python -m thyro_demo course run",
        columns=tuple(columns),
        rows=tuple(rows[name] for name in sorted(rows)),
    )
    results.write(table, file)
