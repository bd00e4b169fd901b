"""The words of the page "Clinic", and sentences made of them."""

from __future__ import annotations

from collections.abc import Mapping

from thyro_demo.clinical import tirads
from thyro_demo.clinical.measurement import SIZE, SPACING
from thyro_demo.clinical.teaching_rule import FNA_FROM_MM, Verdict
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.sentences import said

_LIMIT = f"{FNA_FROM_MM:g}"


def texts() -> Mapping[str, str]:
    """Return the texts by place; what is in braces is filled in."""
    return words("clinic")["texts"]


def terms() -> Mapping[str, Mapping[str, str]]:
    """Return what each term is "shown" as, and its "meaning"."""
    return words("clinic")["terms"]


def foci() -> dict[str, str]:
    """Return short names of `tirads.FOCI`."""
    shown = words("clinic")["foci"]
    return {focus: name.replace("|", "\N{SOFT HYPHEN}") for focus, name in shown.items()}


def refusals() -> dict[str, str]:
    """Return what a browser answers to a length that cannot be read, before "Received: …"."""
    return {"size": said(SIZE.rule()), "spacing": said(SPACING.rule())}


def option(name: str, points: int) -> str:
    """Write a name of `tirads`' tables and its points, to be chosen."""
    shown = said(name)
    # Where it takes several lines, none begins with the points.
    dot = "\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}"
    return f"{shown[0].upper()}{shown[1:]}{dot}{points}"


def caption(**shown: str) -> str:
    """Write what the teaching rule is; the page has its terms explain themselves."""
    named = {name: shown.get(name, terms()[name]["shown"]) for name in ("rule", "fna")}
    return texts()["caption"].format(limit=_LIMIT, **named)


def rule(discussed: bool, positive: bool) -> str:
    """Write what the teaching rule comes to."""
    case = "discussed" if discussed else "too small" if positive else "below"
    return words("clinic")["rule"][case].format(limit=_LIMIT)


def verdict(points: int, found: Verdict) -> str:
    """Write where TI-RADS and the model agree or disagree."""
    asked = _limits(points).get("fna")
    any_size = " at any size" if found.case == "model alone" and asked is None else ""
    return words("clinic")["verdict"][found.case + any_size].format(
        level=found.advice.level, limit=_LIMIT, asked=f"{asked or 0:g}"
    )


def schedule(points: int) -> str:
    """Write the advice for a total while the size is not known."""
    limits = _limits(points)
    if "fna" not in limits:
        return said(tirads.bands(points)[0][1].sentence)
    return texts()["schedule"].format(
        fna=f"{limits['fna']:g}", follow_up=f"{limits['follow-up']:g}"
    )


def _limits(points: int) -> dict[str, float]:
    """Find the diameter from which each action is advised."""
    return {advice.action: from_mm for from_mm, advice in tirads.bands(points)}
