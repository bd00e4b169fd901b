"""Where the commands write their results: checked before the work, written whole after it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thyro_demo.errors import ThyroError
from thyro_demo.files import atomic_write, is_unicode, printable

_SHOWN = 5  # lines per finding; the others are counted


def print_findings(what: str, findings: Sequence[str]) -> None:
    """Print how many findings there are, and the first few."""
    print(f"{what}: {len(findings)}")
    for finding in findings[:_SHOWN]:
        print(f"  {finding}")
    if len(findings) > _SHOWN:
        print(f"  and {len(findings) - _SHOWN} more")


def check_writable(path: Path, folder: bool) -> None:
    """Refuse a place for results that cannot be written to, before any work is done for them."""
    if not is_unicode(path):
        raise ThyroError(
            f"Results must have a name in Unicode (UTF-8). Received: {printable(path)}."
        )
    try:
        _check_existing(path, folder)
    except OSError as error:
        raise ThyroError(
            f"Results must go to a place that can be written to. Received: {path} "
            f"({error.strerror})."
        ) from error


def _check_existing(path: Path, folder: bool) -> None:
    """Refuse what is there already, or above."""
    if path.exists() and path.is_dir() != folder:
        wanted, found = ("folder", "file") if folder else ("file", "folder")
        raise ThyroError(
            f"Results of this kind must go to a {wanted}. Received: the {found} {path}."
        )
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(existing, os.W_OK) or not (existing.is_dir() or existing == path):
        raise ThyroError(
            f"Results must go to a place that can be written to. Received: {path}, below "
            f"{existing}."
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file of plain values without NaN, whole or not at all."""
    with atomic_write(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
