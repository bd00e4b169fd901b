"""What can be set on the page "Play", and the phantom that follows from it.

A state comes from a browser or from a link that anybody may write: it is read by `read`, which
refuses what cannot be drawn in one sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from thyro_demo.clinical.tirads import Features
from thyro_demo.data import phantom
from thyro_demo.data.phantom import Phantom, ScannerFrame
from thyro_demo.errors import ThyroError

CHOICES: dict[str, dict[str, str]] = {
    "composition": {
        "cystic": "cystic or almost completely cystic",
        "spongiform": "spongiform",
        "mixed": "mixed cystic and solid",
        "solid": "solid or almost completely solid",
        "unclear": "cannot be determined",
    },
    # From bright to dark, as the eye orders them.
    "echogenicity": {
        "hyperechoic": "hyperechoic",
        "isoechoic": "isoechoic",
        "hypoechoic": "hypoechoic",
        "very-hypoechoic": "very hypoechoic",
        "anechoic": "anechoic",
        "unclear": "cannot be determined",
    },
    "shape": {"wide": "wider than tall", "tall": "taller than wide"},
    "margin": {
        "smooth": "smooth",
        "ill-defined": "ill-defined",
        "lobulated": "lobulated or irregular",
        "extension": "extrathyroidal extension",
        "unclear": "cannot be determined",
    },
}
"""Word of a link for each name of `thyro_demo.clinical.tirads`, by feature."""

FOCI = {
    "comet-tail": "large comet-tail artifacts",
    "macro": "macrocalcifications",
    "rim": "peripheral (rim) calcifications",
    "punctate": "punctate echogenic foci",
}
"""The same for echogenic foci, of which several can be there."""


class Span(NamedTuple):
    """What a number may be: least, most and step of its slider, and where a curve has points."""

    low: float
    high: float
    step: float
    points: tuple[float, ...]


NUMBERS = {
    "size": Span(4, 40, 1, (4, 10, 16, 22, 28, 34, 40)),
    "depth": Span(30, 80, 2.5, (30, 40, 50, 60, 70, 80)),
    "gain": Span(-12, 12, 1, (-12, -8, -4, 0, 4, 8, 12)),
    "seed": Span(0, 99, 1, (0, 1, 2, 3, 4, 5, 6)),
}
"""Longest diameter and depth in millimetres, gain in decibel, and the seed."""

_SHOWN = 60


@dataclass(frozen=True)
class State:
    """One setting of all that the page can change.

    Attributes
    ----------
    composition, echogenicity, shape, margin : str
        Keys of `CHOICES`.
    foci : tuple of str
        Keys of `FOCI`.
    size, depth, gain, seed : float
        Within `NUMBERS`.
    marks : bool
        Whether the scanner prints its marks around the scan.
    network : str
        The network whose scores and heatmap are shown; "" where there is none.
    """

    composition: str = "solid"
    echogenicity: str = "hypoechoic"
    shape: str = "wide"
    margin: str = "smooth"
    foci: tuple[str, ...] = ()
    size: float = 18
    depth: float = 40
    gain: float = 0
    seed: int = 6
    marks: bool = False
    network: str = ""

    @property
    def features(self) -> Features:
        """The TI-RADS features of the nodule."""
        named = {key: CHOICES[key][getattr(self, key)] for key in CHOICES}
        return Features(**named, foci=tuple(FOCI[focus] for focus in self.foci))

    @property
    def scanner(self) -> ScannerFrame | None:
        """What is printed around the scan."""
        return ScannerFrame() if self.marks else None

    def draw(self) -> Phantom:
        """Draw the frame, 480 × 360 pixels as the phantoms that networks are trained on."""
        return phantom.draw(
            self.features,
            self.size,
            self.seed,
            scanner=self.scanner,
            depth_mm=self.depth,
            gain_db=self.gain,
            all_else_equal=True,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the state as values that ``json.dumps`` takes as they are."""
        return asdict(self) | {"foci": list(self.foci)}


def read(raw: Any, networks: Sequence[str]) -> State:
    """Read a state as a page, a program or a link has it.

    Parameters
    ----------
    raw : mapping of str to object
        Any of the attributes of `State`; numbers may be texts, and foci a text with commas. What
        is left out is as in `State`, and the first network.
    networks : sequence of str
        Those that can be chosen.

    Returns
    -------
    State
        What can be drawn.

    Raises
    ------
    ThyroError
        If a name or a value is not one of those on offer.
    """
    if not isinstance(raw, Mapping):
        raise ThyroError(f"A state must be names with values. Received: {_short(raw)}.")
    found: dict[str, Any] = {"network": networks[0] if networks else ""}
    known = tuple(State.__dataclass_fields__)
    for key, value in raw.items():
        if key not in known:
            raise ThyroError(
                f"A setting must be one of {', '.join(known)}. Received: {_short(key)}."
            )
        if key in CHOICES:
            found[key] = _one_of(key, value, CHOICES[key])
        elif key in NUMBERS:
            found[key] = _number(key, value)
        elif key == "foci":
            found[key] = _foci(value)
        elif key == "marks":
            found[key] = _one_of(key, str(value).lower(), ("true", "false")) == "true"
        elif networks or value:
            found[key] = _one_of(key, value, networks)
    return State(**found)


def _one_of(key: str, value: Any, known: Sequence[str] | Mapping[str, str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise ThyroError(
            f"{key} must be one of {', '.join(known) or 'no network'}. "
            f"Received: {key}={_short(value)}."
        )
    return value


def _number(key: str, value: Any) -> float:
    span = NUMBERS[key]
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not span.low <= number <= span.high or (key == "seed" and number != int(number)):
        raise ThyroError(
            f"{key} must be a {'whole ' if key == 'seed' else ''}number from {span.low:g} to "
            f"{span.high:g}. Received: {key}={_short(value)}."
        )
    return int(number) if number == int(number) else number


def _foci(value: Any) -> tuple[str, ...]:
    parts = [part for part in value.split(",") if part] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) > len(FOCI):
        raise ThyroError(
            f"foci must be any of {', '.join(FOCI)}, each once. Received: foci={_short(value)}."
        )
    chosen = [_one_of("foci", part, FOCI) for part in parts]
    # In the order of the table: two ways to write a state are one state.
    return tuple(focus for focus in FOCI if focus in chosen)


def _short(value: Any) -> str:
    """Repeat a value in a sentence, on one line and not at length."""
    try:
        text = " ".join(repr(value).split())
    except RecursionError:
        text = "a deep nest"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
