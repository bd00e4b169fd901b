"""What a bench found: figures beside their peers, each held against its target."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    "tensorflow", "keras", "numpy", "scikit-learn", "tf-keras-vis", "gradio", "playwright",
)  # fmt: skip
"""Distributions whose versions a figure depends on."""


@dataclass(frozen=True)
class Figure:
    """One measured figure and the target it has to reach.

    Parameters
    ----------
    name : str
        What is measured on our side.
    ours : float
        Our measurement, in `unit`; a median where it was repeated.
    unit : str
        "ms", "s", "frames/s" and the like.
    value : float
        What is held against `bound`: `ours`, or the ratio of both sides.
    bound : float
        The target's number.
    target : str
        The target as people read it, such as "≤ 1.25 ×".
    at_least : bool
        Whether `value` has to reach `bound`; else it may not exceed it.
    peer : float or None
        The peer's measurement of the same run, in `unit`.
    peer_name : str
        What is measured on the peer's side; empty without a peer.
    ratio : float or None
        Of both sides, as the target means it; None without a peer.
    """

    name: str
    ours: float
    unit: str
    value: float
    bound: float
    target: str
    at_least: bool = False
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as values that ``json.dumps`` takes as they are."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": _rounded(self.ours),
            "peer": _rounded(self.peer),
            "peer_name": self.peer_name,
            "ratio": _rounded(self.ratio),
            "target": self.target,
            "met": self.met,
        }


@dataclass(frozen=True)
class Outcome:
    """All that one bench found.

    Parameters
    ----------
    bench : str
        Name of the bench.
    figures : list of Figure
        In the order of the table.
    left_out : list of str
        Sentences on figures that could not be measured here; each counts as missed.
    settings : dict of str to object
        What the figures depend on: repetitions, numbers of images and the like.
    notes : list of str
        Sentences on how figures came about, shown below the table.
    """

    bench: str
    figures: list[Figure]
    left_out: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether every target was measured and is reached."""
        return not self.left_out and all(figure.met for figure in self.figures)

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as values that ``json.dumps`` takes as they are."""
        return {
            "bench": self.bench,
            "met": self.met,
            "settings": self.settings,
            "figures": [figure.to_dict() for figure in self.figures],
            "left_out": self.left_out,
            "notes": self.notes,
        }

    def table(self) -> str:
        """Write a table for a terminal, its notes, and one line for each figure left out."""
        head = ("bench " + self.bench, "ours", "peer", "ratio", "target", "met")
        rows = [head, *(_row(figure) for figure in self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        peers = [
            f"peer of “{figure.name}”: {figure.peer_name}"
            for figure in self.figures
            if figure.peer_name
        ]
        return "\n".join([*lines, *peers, *self.notes, *self.left_out])


def host() -> dict[str, Any]:
    """Describe the computer that figures come from.

    Returns
    -------
    dict
        Processor cores this process may use, the load of the last minute where the system
        reports it, operating system, processor, Python and the versions of `PACKAGES`.
    """
    allowed = getattr(os, "sched_getaffinity", None)
    return {
        "cores": len(allowed(0)) if allowed else os.cpu_count(),
        # A busy computer explains figures that nobody else can repeat.
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": _versions(PACKAGES),
    }


def _versions(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _row(figure: Figure) -> tuple[str, ...]:
    peer = "–" if figure.peer is None else f"{figure.peer:.1f} {figure.unit}"
    ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f} ×"
    ours = f"{figure.ours:.1f} {figure.unit}"
    return (figure.name, ours, peer, ratio, figure.target, "yes" if figure.met else "NO")


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *numbers = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in numbers)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
