"""Whether this computer is ready for a lecture: one list of what was looked at, green or red."""

import html
import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from thyro_demo.bundle.manifest import names, read_manifest, weights_root
from thyro_demo.course.lesson import computer
from thyro_demo.errors import ThyroError

PYTHON = ((3, 11), (3, 13))
"""The oldest and the newest Python that the project is tested with."""

NEEDED = ("tensorflow", "keras", "scikit-learn", "numpy", "gradio")
"""Packages whose versions are looked at, as `requirements.txt` names them."""

MEMORY_GB, DISK_GB = 4.0, 1.0
"""What a lecture needs: memory of the computer, and free space where results go."""

_REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
_LEAST_NETWORK = 1_000_000


class Finding(NamedTuple):
    """One line of the list.

    Parameters
    ----------
    what : str
        What was looked at.
    found : str
        What is there.
    good : bool
        Whether a lecture can be held with it.
    advice : str
        What to do where it cannot.
    """

    what: str
    found: str
    good: bool
    advice: str = ""


def look(out: Path) -> list[Finding]:
    """Look at versions, processor or graphics card, memory, disk and the shipped networks.

    Parameters
    ----------
    out : Path
        Folder of results, which exists.

    Returns
    -------
    list of Finding
        In the order of a list.
    """
    return [
        _python(),
        *(_package(name) for name in NEEDED),
        # A lecture trains heads alone, so a graphics card is welcome and not needed.
        Finding("computes on", computer(), True),
        _memory(),
        _disk(out),
        *(_network(name) for name in names(weights_root())),
    ]


def _python() -> Finding:
    low, high = PYTHON
    found = sys.version_info[:2]
    wanted = f"install Python {low[0]}.{low[1]} to {high[0]}.{high[1]}"
    return Finding("Python", platform.python_version(), low <= found <= high, wanted)


def _package(name: str) -> Finding:
    lines = _REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    wanted = next(
        one for one in map(Requirement, (line for line in lines if line[:1].isalpha()))
        if one.name.lower() == name
    )  # fmt: skip
    advice = f"pip install '{wanted}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "not installed", False, advice)
    return Finding(name, version, wanted.specifier.contains(version, prereleases=True), advice)


def _memory() -> Finding:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, OSError, ValueError):
        # Windows does not report it so; a lecture that fails for it says so itself.
        return Finding("memory", "not reported here", True)
    advice = f"close other programs, or use Colab: {MEMORY_GB:g} GB are needed"
    return Finding("memory", f"{size:.1f} GB", size >= MEMORY_GB, advice)


def _disk(out: Path) -> Finding:
    free = shutil.disk_usage(out).free / 1e9
    good = free >= DISK_GB and os.access(out, os.W_OK)
    advice = f"make room, or set OUT to another folder: {DISK_GB:g} GB are needed"
    return Finding("disk", f"{free:.1f} GB free in {out}", good, advice)


def _network(name: str) -> Finding:
    what, folder = f"network {name}", weights_root() / name
    advice = "fetch the project again: its folder weights/ is not complete"
    try:
        files = read_manifest(folder)["files"]
    except (ThyroError, KeyError):
        return Finding(what, "no manifest", False, advice)
    for file in files:
        # A file of a few bytes is a pointer that a download has left in its place.
        least = _LEAST_NETWORK if file.endswith(".keras") else 1
        if not (folder / file).is_file() or (folder / file).stat().st_size < least:
            return Finding(what, f"{file} is missing", False, advice)
    size = sum((folder / file).stat().st_size for file in files) / 1e6
    return Finding(what, f"{size:.0f} MB", True)


def table(found: list[Finding]) -> str:
    """Write the list as a table with a green or a red sign in each row.

    Parameters
    ----------
    found : list of Finding
        From `look`.

    Returns
    -------
    str
        HTML; the words in it, "ready" and "not ready", hold without colours.
    """
    rows = []
    for one in found:
        colour, word = ("#1b7f3b", "✔ ready") if one.good else ("#d33a2c", "✘ not ready")
        cells = map(html.escape, (one.what, one.found, "" if one.good else one.advice))
        written = "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells)
        sign = f'<td style="color:{colour};font-weight:bold;text-align:left">{word}</td>'
        rows.append(f"<tr>{sign}{written}</tr>")
    return f"<table>{''.join(rows)}</table>"
