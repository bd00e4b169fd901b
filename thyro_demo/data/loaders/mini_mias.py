"""The mini-MIAS mammograms."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.labels import BENIGN, MALIGNANT
from thyro_demo.data.loaders.listing import Listing, set_folder
from thyro_demo.data.records import header_size, ordered, to_table
from thyro_demo.errors import DataError

_SIDE = 1024  # pixels; the frame of the coordinates in Info.txt
_TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
# Scattered calcifications have a note, or nothing, in place of centre and radius.
_ROW = re.compile(
    r"mdb\d{3}\s+[FGD]\s+(NORM|[A-Z]{4}\s+[BM](\s+\d+\s+\d+\s+\d+|\s+\*.*)?)\s*", re.ASCII
)


class Abnormality(NamedTuple):
    """One row of mini-MIAS's ``Info.txt``, in pixels of the image at hand.

    Attributes
    ----------
    kind : str
        CALC, CIRC, SPIC, MISC, ARCH or ASYM.
    severity : str
        "benign" or "malignant".
    x, y : float
        Centre; x to the right, y downward. NaN where the set states none.
    radius : float
        Radius of a circle that encloses it. NaN where the set states none.
    """

    kind: str
    severity: str
    x: float
    y: float
    radius: float


def mini_mias(root: str | Path) -> pd.DataFrame:
    """Read the mini-MIAS mammograms.

    ``Info.txt`` counts pixels of a 1024×1024 frame from the lower left corner; here
    they become pixels of the image at hand, counted from the upper left one.

    Parameters
    ----------
    root : str or Path
        Folder with ``Info.txt`` and ``mdb001`` to ``mdb322`` (PGM, JPEG or PNG).

    Returns
    -------
    DataFrame
        Record table with labels "normal", "benign" and "malignant" (the graver one
        where an image has both), `tissue` ("fatty", "fatty-glandular",
        "dense-glandular"), `side`, `width`, `height` and `abnormalities` (list of
        `Abnormality`). Odd and following even numbers are one patient, hence one group.

    Raises
    ------
    DataError
        If ``Info.txt``, its rows or an image that it lists are missing, or a row is not as
        published.

    References
    ----------
    Suckling et al., "The Mammographic Image Analysis Society digital mammogram
    database", Excerpta Medica, International Congress Series 1069, 1994.
    """
    root = set_folder(root, is_mini_mias)
    info = root / "Info.txt"
    if not info.is_file():
        raise DataError(
            f"A mini-MIAS folder must hold Info.txt beside mdb001 to mdb322. Received: {root}."
        )
    films: dict[str, list[list[str]]] = {}
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        if not re.match(r"mdb\d{3}\b", line):
            continue
        if not _ROW.fullmatch(line):
            raise DataError(
                "A row of Info.txt must hold film, tissue (F, G or D) and NORM, or class, severity "
                f"(B or M), centre and radius. Received: {line.strip()} in {info}."
            )
        films.setdefault(line[:6], []).append(line.split())
    if not films:
        raise DataError(f"Info.txt must have a row for every film. Received: {info} without any.")
    listing = Listing(root)
    images = {path.stem: path for path in listing.images(root)}
    if missing := sorted(set(films) - set(images)):
        raise DataError(
            f"Every image that Info.txt lists must exist. Received: {missing[0]} in {root}."
        )
    for name in sorted(set(images) - set(films)):
        listing.pass_over(images[name])
    rows = [_row(images[name], films[name]) for name in sorted(films)]
    return ordered(to_table(rows), listing.notes())


def is_mini_mias(root: Path) -> bool:
    """Check whether a folder looks like mini-MIAS: films beside their list."""
    return (root / "Info.txt").is_file() and any(root.glob("mdb*"))


def _row(path: Path, films: list[list[str]]) -> dict[str, Any]:
    """Turn the rows of ``Info.txt`` about one film into a record."""
    width, height = header_size(path)
    found = [_abnormality(film, width, height) for film in films if film[2] != "NORM"]
    severities = {abnormality.severity for abnormality in found}
    number = int(path.stem[3:])
    return {
        "path": str(path),
        "label": next((s for s in (MALIGNANT, BENIGN) if s in severities), "normal"),
        "group": f"mias-{(number + 1) // 2:03d}",
        "source": "mini_mias",
        "tissue": _TISSUES[films[0][1]],
        "side": "right" if number % 2 else "left",
        "width": width,
        "height": height,
        "abnormalities": found,
    }


def _abnormality(film: list[str], width: float, height: float) -> Abnormality:
    kind, severity, *place = film[2:]
    x, y, radius = map(float, place) if len(place) == 3 else (np.nan,) * 3
    scale = width / _SIDE
    return Abnormality(
        kind,
        MALIGNANT if severity == "M" else BENIGN,
        x * scale,
        height - y * scale,
        radius * scale,
    )
