"""Named examples and the contact sheet."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from thyro_demo.clinical.tirads import Features, level
from thyro_demo.data.phantom.frame import Phantom, draw
from thyro_demo.data.phantom.scanner import ScannerFrame
from thyro_demo.errors import DataError

SOLID = "solid or almost completely solid"
MIXED = "mixed cystic and solid"
CYST = "cystic or almost completely cystic"

EXAMPLES: dict[str, tuple[Features | None, float, int]] = {
    "Cyst with comet-tail artifacts": (
        Features(CYST, "anechoic", "wider than tall", "smooth", ("large comet-tail artifacts",)),
        16.0,
        11,
    ),
    "Spongiform": (Features("spongiform", "isoechoic", "wider than tall", "smooth"), 18.0, 12),
    "Mixed cystic and solid": (Features(MIXED, "isoechoic", "wider than tall", "smooth"), 20.0, 13),
    "Solid, hyperechoic, smooth": (
        Features(SOLID, "hyperechoic", "wider than tall", "smooth"),
        17.0,
        14,
    ),
    "Hypoechoic, ill-defined": (
        Features(SOLID, "hypoechoic", "wider than tall", "ill-defined"),
        15.0,
        15,
    ),
    "Very hypoechoic, taller than wide": (
        Features(SOLID, "very hypoechoic", "taller than wide", "smooth"),
        14.0,
        16,
    ),
    "Lobulated margin, punctate foci": (
        Features(
            SOLID,
            "hypoechoic",
            "wider than tall",
            "lobulated or irregular",
            ("punctate echogenic foci",),
        ),
        17.0,
        23,
    ),
    "Extrathyroidal extension": (
        Features(SOLID, "very hypoechoic", "wider than tall", "extrathyroidal extension"),
        18.0,
        18,
    ),
    "Macrocalcification with shadow": (
        Features(SOLID, "hypoechoic", "wider than tall", "smooth", ("macrocalcifications",)),
        18.0,
        17,
    ),
    "Rim calcification with shadow": (
        Features(
            SOLID, "isoechoic", "wider than tall", "smooth", ("peripheral (rim) calcifications",)
        ),
        16.0,
        56,
    ),
    "Looks benign, labelled malignant": (
        Features(SOLID, "isoechoic", "wider than tall", "smooth"),
        15.0,
        42,
    ),
    "Looks malignant, labelled benign": (
        Features(SOLID, "hypoechoic", "taller than wide", "smooth"),
        15.0,
        24,
    ),
    "No nodule": (None, 0.0, 31),
}
"""Frames for the page: name to features, size in millimetres and seed of `draw`.

One for each TI-RADS feature, then three on which a model should fail or has nothing to
find. All labels are drawn, as in the clinic. The seeds are chosen so that two of them are
against the odds, as their names state: a model that reads the features well is wrong there.
"""

PITFALLS: dict[str, dict[str, Any]] = {
    "Scanner's text around the scan": {
        "features": Features(SOLID, "hypoechoic", "wider than tall", "smooth"),
        "seed": 33,
        "scanner": ScannerFrame(),
    },
    "Autoimmune gland, no nodule": {"features": None, "seed": 34, "texture": "autoimmune"},
}
"""Frames that need more than features, size and seed: name to arguments of `draw`."""


def example(name: str) -> Phantom:
    """Draw a frame of `EXAMPLES` or `PITFALLS`.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    Phantom
        The frame.

    Raises
    ------
    DataError
        If there is no such example.

    Examples
    --------
    >>> phantom = example("Spongiform")
    >>> phantom.points, phantom.label, phantom.size_mm
    (0, 'benign', 18.0)
    """
    if name in EXAMPLES:
        return draw(*EXAMPLES[name])
    if name in PITFALLS:
        return draw(**PITFALLS[name])
    raise DataError(
        f"An example must be one of {', '.join([*EXAMPLES, *PITFALLS])}. Received: name={name!r}."
    )


def contact_sheet(
    phantoms: Sequence[Phantom], columns: int = 4, width: int = 360, captions: bool = True
) -> np.ndarray:
    """Lay frames out in a grid, each with its features underneath.

    Parameters
    ----------
    phantoms : sequence of Phantom
        At least one frame.
    columns : int
        Frames a row.
    width : int
        Width of a frame on the sheet in pixels.
    captions : bool
        Print label, points, size and features under each frame.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        The sheet, grey.

    Raises
    ------
    DataError
        If there is no frame, or `columns` is below 1.
    """
    if not phantoms or columns < 1:
        raise DataError(
            "A contact sheet must have at least one frame and one column. "
            f"Received: {len(phantoms)} frames, columns={columns}."
        )
    gap, text = 8, 48 if captions else 0
    tallest = max(round(width * p.frame.shape[0] / p.frame.shape[1]) for p in phantoms)
    rows = -(-len(phantoms) // columns)
    size = (columns * (width + gap) + gap, rows * (tallest + text + gap) + gap)
    sheet = Image.new("L", size, 16)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for number, phantom in enumerate(phantoms):
        left = gap + (number % columns) * (width + gap)
        top = gap + (number // columns) * (tallest + text + gap)
        height = round(width * phantom.frame.shape[0] / phantom.frame.shape[1])
        frame = Image.fromarray(phantom.frame).resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(frame, (left, top))
        if captions:
            for line, sentence in enumerate(_caption(phantom)):
                place = (left, top + height + 2 + 15 * line)
                pen.text(place, _fitted(sentence, font, width), fill=215, font=font)
    return np.asarray(sheet)


def _fitted(sentence: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a caption that would run into the next column."""
    if font.getlength(sentence) <= width:
        return sentence
    while sentence and font.getlength(sentence + "...") > width:
        sentence = sentence[:-1]
    return sentence + "..."


def _caption(phantom: Phantom) -> tuple[str, str, str]:
    features = phantom.features
    if features is None or phantom.points is None:
        return (f"no nodule, {phantom.label} gland", "", "")
    name = level(phantom.points) or "no level"
    head = f"{phantom.label}, {phantom.points} points, {name}, {phantom.size_mm:g} mm"
    composition = features.composition.split(" or ")[0]
    foci = ", ".join(features.foci) or "no foci"
    return (
        head,
        f"{composition}, {features.echogenicity}, {features.shape}",
        f"{features.margin}; {foci}",
    )
