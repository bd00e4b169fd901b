"""Where the commands write their results: checked before the work, written whole after it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thyro_demo.errors import ThyroError
from thyro_demo.files import is_unicode, printable, whole

_SHOWN = 5  # lines per finding; the count says how many there are


def print_findings(what: str, findings: Sequence[str]) -> None:
    """Print how many findings there are, and the first few.

    Parameters
    ----------
    what : str
        What was found.
    findings : sequence of str
        One line each.
    """
    print(f"{what}: {len(findings)}")
    for finding in findings[:_SHOWN]:
        print(f"  {finding}")
    if len(findings) > _SHOWN:
        print(f"  and {len(findings) - _SHOWN} more")


def check_writable(path: Path, folder: bool) -> None:
    """Refuse a place for results before any work is done for them.

    Parameters
    ----------
    path : Path
        A file or folder to be written; parents that are missing will be made.
    folder : bool
        Whether `path` is to be a folder.

    Raises
    ------
    ThyroError
        If a file stands where a folder should, a folder where a file should, the nearest
        folder that exists cannot be written to, the name is no Unicode, or the system knows
        no such name.
    """
    if not is_unicode(path):
        raise ThyroError(f"Results need a name in Unicode (UTF-8). Received: {printable(path)}.")
    try:
        _check_standing(path, folder)
    except OSError as error:
        raise ThyroError(
            f"Results need a place that can be written to. Received: {path} ({error.strerror})."
        ) from error


def _check_standing(path: Path, folder: bool) -> None:
    """Refuse what stands there already, or above."""
    if path.exists() and path.is_dir() != folder:
        wanted, found = ("folder", "file") if folder else ("file", "folder")
        raise ThyroError(f"Results of this kind go to a {wanted}. Received: the {found} {path}.")
    standing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(standing, os.W_OK) or not (standing.is_dir() or standing == path):
        raise ThyroError(
            f"Results need a place that can be written to. Received: {path}, below {standing}."
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    content : dict
        Plain values without NaN.
    """
    with whole(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
