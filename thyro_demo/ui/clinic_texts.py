"""The words of the page "Clinic", from ``ui/texts/clinic.yaml``, and sentences made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from thyro_demo.clinical import tirads
from thyro_demo.clinical.measurement import SIZE, SPACING
from thyro_demo.clinical.teaching_rule import FNA_FROM_MM, Verdict

_FILE = Path(__file__).with_name("texts") / "clinic.yaml"
_ALL: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
_LIMIT = f"{FNA_FROM_MM:g}"

TEXTS: dict[str, str] = _ALL["texts"]
"""By place; what is in braces is filled in."""

TERMS: dict[str, dict[str, str]] = _ALL["terms"]
"""What each term is "shown" as, and its "meaning"."""

FOCI: dict[str, str] = {
    focus: name.replace("|", "\N{SOFT HYPHEN}") for focus, name in _ALL["foci"].items()
}
"""Short names of `tirads.FOCI`."""

REFUSALS: dict[str, str] = {"size": SIZE.rule(), "spacing": SPACING.rule()}
"""What a browser answers to a length that cannot be read, before "Received: …"."""

API: dict[str, str] = _ALL["api"]
"""What the API page writes of each endpoint."""


def caption(**terms: str) -> str:
    """Write what the teaching rule is; the page has its terms explain themselves."""
    named = {name: terms.get(name, TERMS[name]["shown"]) for name in ("rule", "fna")}
    return TEXTS["caption"].format(limit=_LIMIT, **named)


def rule(discussed: bool, positive: bool) -> str:
    """Write what the teaching rule comes to."""
    case = "discussed" if discussed else "too small" if positive else "below"
    return _ALL["rule"][case].format(limit=_LIMIT)


def verdict(points: int, found: Verdict) -> str:
    """Write where TI-RADS and the model agree or disagree."""
    asked = _limits(points).get("fna")
    any_size = " at any size" if found.case == "model alone" and asked is None else ""
    return _ALL["verdict"][found.case + any_size].format(
        level=found.advice.level, limit=_LIMIT, asked=f"{asked or 0:g}"
    )


def schedule(points: int) -> str:
    """Write the advice for a total while the size is not known."""
    limits = _limits(points)
    if "fna" not in limits:
        return tirads.bands(points)[0][1].sentence
    return TEXTS["schedule"].format(fna=f"{limits['fna']:g}", follow_up=f"{limits['follow-up']:g}")


def _limits(points: int) -> dict[str, float]:
    """Find the diameter from which each action is advised."""
    return {advice.action: from_mm for from_mm, advice in tirads.bands(points)}
