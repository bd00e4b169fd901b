"""The Digital Database of Thyroid Images, with its outlines."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thyro_demo.data.loaders.labels import BENIGN, MALIGNANT
from thyro_demo.data.loaders.listing import Listing, set_folder
from thyro_demo.data.records import ordered, to_table
from thyro_demo.errors import DataError

# DDTI is labelled by its TI-RADS, not by pathology.
_LABELS = {"2": BENIGN, "3": BENIGN} | dict.fromkeys(("4a", "4b", "4c", "5"), MALIGNANT)


def ddti(root: str | Path) -> pd.DataFrame:
    """Read the Digital Database of Thyroid Images: frames, findings, outlines.

    Six of the published files are cut in the middle of a point; all whole points
    before the cut are kept. Outlines of fewer than three points are no outlines:
    they are left out and counted. An empty list of outlines, or ``null``, is none.

    Parameters
    ----------
    root : str or Path
        Folder of ``N.xml`` with ``N.jpg`` or ``N_1.jpg`` (first frame), ``N_2.jpg`` …
        Images of other names are no frames.

    Returns
    -------
    DataFrame
        Record table. The label follows the TI-RADS that the set states (2, 3 benign;
        4a to 5 malignant; missing where it states none), which is no pathology; the
        group is the case. Free columns: `case`, `image` (int), `age` (years), `sex`,
        `composition`, `echogenicity`, `margins`, `calcifications`, `tirads` (str,
        missing where empty), `polygons` (list of float64 (n, 2), x and y in pixels),
        `short_polygons` (int, how many were left out), `cut` (bool, the file is cut).

    Raises
    ------
    DataError
        If there is no case, a case has no frame, or an XML file cannot be read or holds
        outlines in another form.

    References
    ----------
    Pedraza et al., "An open access thyroid ultrasound image database", Proc. SPIE
    9287, 2015.
    """
    root = set_folder(root, is_ddti)
    cases = sorted((path for path in root.glob("*.xml") if path.stem.isdecimal()), key=_number)
    if not cases:
        raise DataError(
            "A DDTI folder must hold N.xml beside N.jpg or N_1.jpg, N_2.jpg and so on. "
            f"Received: {root}."
        )
    frames: dict[str, list[Path]] = {}
    listing = Listing(root)
    for path in listing.images(root):
        if named := re.fullmatch(r"(\d+)(_\d+)?", path.stem):
            frames.setdefault(named[1], []).append(path)
        else:
            listing.pass_over(path)
    rows = [row for case in cases for row in _case(case, frames.get(case.stem, []))]
    known = {case.stem for case in cases}
    for number in sorted(set(frames) - known):
        for path in frames[number]:
            listing.pass_over(path)
    return ordered(to_table(rows), listing.notes())


def is_ddti(root: Path) -> bool:
    """Check whether a folder looks like DDTI: a numbered XML file for every case."""
    return any(path.stem.isdecimal() for path in root.glob("*.xml"))


def _number(path: Path) -> int:
    return int(path.stem)


def _case(xml: Path, frames: list[Path]) -> Iterator[dict[str, Any]]:
    """Yield one row per frame of a DDTI case."""
    if not frames:
        raise DataError(f"A DDTI case must have at least one frame beside it. Received: {xml}.")
    try:
        case = ElementTree.parse(xml).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise DataError(
            f"A DDTI case must be a well-formed XML file. Received: {xml} ({error})."
        ) from error
    fields = ("sex", "composition", "echogenicity", "margins", "calcifications", "tirads")
    findings = {field: (case.findtext(field) or "").strip() or np.nan for field in fields}
    age = (case.findtext("age") or "").strip()
    outlines = {
        (mark.findtext("image") or "").strip(): mark.findtext("svg") or ""
        for mark in case.iter("mark")
    }
    for frame in frames:
        image = frame.stem.partition("_")[2] or "1"
        polygons, short, cut = _outlines(outlines.get(image, ""), xml)
        yield {
            "path": str(frame),
            "label": _LABELS.get(str(findings["tirads"]), np.nan),
            "group": f"ddti-{xml.stem}",
            "source": "ddti",
            "case": xml.stem,
            "image": int(image),
            "age": float(age) if age.isdecimal() else np.nan,
            **findings,
            "polygons": polygons,
            "short_polygons": short,
            "cut": cut,
        }


def _outlines(svg: str, xml: Path) -> tuple[list[np.ndarray], int, bool]:
    """Read the outlines of one frame: polygons, how many are too short, whether it is cut."""
    try:
        shapes, cut = _shapes(svg)
        arrays = [np.array(shape, np.float64).reshape(-1, 2) for shape in shapes]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("a point that is not finite")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "Outlines of DDTI must be a list of marks, each with points of x and y. "
            f"Received: {xml} with {' '.join(svg.split())[:60]}."
        ) from error
    polygons = [array for array in arrays if len(array) >= 3]
    return polygons, len(arrays) - len(polygons), cut


def _shapes(svg: str) -> tuple[list[list[tuple[Any, Any]]], bool]:
    """Read corners from what may be cut in the middle of a point."""
    try:
        marks = json.loads(svg or "[]") or []
    except json.JSONDecodeError:
        point = r'\{"x": *(-?[\d.]+), *"y": *(-?[\d.]+)\}'
        return [re.findall(point, mark) for mark in svg.split('"points"')[1:]], True
    return [[(point["x"], point["y"]) for point in mark["points"]] for mark in marks], False
