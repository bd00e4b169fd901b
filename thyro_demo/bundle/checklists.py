"""Reporting checklists of a model card: TRIPOD+AI and CLAIM 2024, filled item by item.

References
----------
Collins et al., "TRIPOD+AI statement: updated guidance for reporting clinical prediction
models that use regression or machine learning methods", BMJ 385, 2024, e078378.
Tejani et al., "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
Update", Radiology: Artificial Intelligence 6(4), 2024, e240300.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from jinja2 import Environment, StrictUndefined

from thyro_demo.data.records import PHANTOM

Origin = Literal["public", "own", "drawn"]
"""Frames of the public thyroid set, of a folder of the trainer's, or phantoms alone."""

# As `datasets.thyroid` names them.
_PUBLIC_SOURCES = {"ddti", "web300", "other"}


@dataclass(frozen=True)
class Row:
    """One item of a checklist.

    Parameters
    ----------
    number : str
        As the guideline counts it.
    item : str
        What it asks for, in a few words of our own.
    answer : str
        Markdown; a Jinja template in `TRIPOD_AI` and `CLAIM`.
    """

    number: str
    item: str
    answer: str


_TEXTS: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
)
_compiled = cache(Environment(undefined=StrictUndefined, autoescape=False).from_string)

TRIPOD_AI = tuple(Row(**row) for row in _TEXTS["tripod_ai"]["items"])
"""TRIPOD+AI: 27 items, 52 with their parts."""

CLAIM = tuple(Row(**row) for row in _TEXTS["claim"]["items"])
"""CLAIM 2024: 44 items."""


def origin(summary: dict[str, Any]) -> Origin:
    """Classify the frames that figures (`metrics` of a manifest) are about, by their sources."""
    sources = _sources(summary)
    if sources == {PHANTOM}:
        return "drawn"
    return "public" if sources <= _PUBLIC_SOURCES else "own"


def write(manifest: dict[str, Any]) -> str:
    """Fill both checklists for a bundle: Markdown, a folded table for each."""
    facts = _facts(manifest)
    return "\n\n".join(
        _folded(_TEXTS[key]["title"], rows, facts)
        for key, rows in (("tripod_ai", TRIPOD_AI), ("claim", CLAIM))
    )


def _folded(title: str, rows: tuple[Row, ...], facts: dict[str, str]) -> str:
    lines = [f"| {row.number} | {row.item} | {_filled(row.answer, facts)} |" for row in rows]
    head = f"<details>\n<summary>{title}</summary>"
    # Without the empty lines Markdown would show the table as text.
    return "\n".join([head, "", "| # | Item | Answer |", "|---|---|---|", *lines, "", "</details>"])


def _filled(text: str, values: dict[str, Any]) -> str:
    return _compiled(text).render(values)


def _facts(manifest: dict[str, Any]) -> dict[str, str]:
    """Choose the facts that hold for a bundle, and fill in what the manifest knows."""
    summary = manifest["metrics"]
    varied = [text for key, text in _TEXTS["varied"].items() if key in manifest]
    groups = (
        "always",
        origin(summary),
        "ensemble" if "members" in manifest else "network",
        "roi" if manifest.get("region") == "roi" else "scan_area",
        "heatmaps_measured" if "localisation" in manifest else "heatmaps_not_measured",
        "failures_shown" if "phantom_failures" in manifest else "failures_not_shown",
        "varied" if varied else "not_varied",
    )
    facts: dict[str, str] = {}
    for group in groups:
        facts |= _TEXTS["facts"][group]
    known = {
        "m": manifest,
        "summary": summary,
        "within": facts["within"],
        "varied": ", ".join(varied),
        "members": ", ".join(member["name"] for member in manifest.get("members", ())),
        "option": _initial_weights(manifest),
        "counted": _counted(summary),
        "apart": _apart(manifest),
    }
    return {name: _filled(text, known) for name, text in facts.items()}


def _sources(summary: dict[str, Any]) -> set[str]:
    return {source for head in summary["heads"].values() for source in head["by_source"]}


def _initial_weights(manifest: dict[str, Any]) -> str:
    """Write the option of a chain that did not begin with random weights."""
    named = manifest.get("initial_weights", "none")
    return "" if named == "none" else f" --initial-weights {named}"


def _counted(summary: dict[str, Any]) -> str:
    whole = _sources(summary) == _PUBLIC_SOURCES
    return " of the 795 that the authors of the set count" if whole else ""


def _apart(manifest: dict[str, Any]) -> str:
    """Count the phantoms that were trained on beside real frames."""
    count = manifest.get("phantom_metrics", {}).get("n")
    return f" {count} phantoms, trained on as well, are counted apart." if count else ""
