"""The frames on offer beside the upload box: phantoms, a test chart, fetched real frames."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thyro_demo.clinical.tirads import level
from thyro_demo.course.lecture import slug
from thyro_demo.data import datasets, images, phantom
from thyro_demo.data.roi import mask_box
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ThyroError
from thyro_demo.ui.html import render
from thyro_demo.ui.pictures import THUMBNAIL, thumbnail
from thyro_demo.ui.sentences import said

FETCHED = Path(__file__).resolve().parents[2] / "data" / "p1"
"""Where ``python -m thyro_demo data fetch p1`` puts the real frames."""

REAL_FRAMES = 6


@dataclass(frozen=True)
class Example:
    """One frame on offer.

    Attributes
    ----------
    name : str
        Unique among the examples.
    caption : str
        A few words under the thumbnail, in English as the next; pages write what they have `said`.
    truth : str
        One sentence on what is known of the frame, shown beside the scores so that a
        reader sees which heads are wrong.
    read : callable
        Returns the frame, uint8 (H, W, 3), RGB.
    roi : Box or None
        Box around the nodule, where it is known.
    mask : ndarray of bool, shape (H, W), or None
        The nodule, where it is known to the pixel.
    label : str
        Its label, such as "malignant"; "" where it has none.
    spacing_mm : float or None
        Pixel spacing along both axes, in millimetres, where it is known.
    size_mm : float or None
        Longest diameter of its nodule in millimetres, where it is known.
    """

    name: str
    caption: str
    truth: str
    read: Callable[[], np.ndarray]
    roi: Box | None = None
    mask: np.ndarray | None = None
    label: str = ""
    spacing_mm: float | None = None
    size_mm: float | None = None

    @functools.cached_property
    def thumbnail(self) -> str:
        """A small picture of the frame as a data address: several pages show it."""
        return thumbnail(self.read())


def collect(fetched: Path = FETCHED) -> list[Example]:
    """Gather all examples: phantoms, the test chart, and real frames if they were fetched."""
    chart = Example(
        name="test chart",
        caption="Not ultrasound",
        truth="This is a test chart, not an ultrasound frame: any score for it is meaningless.",
        read=draw_chart,
    )
    return [*_phantoms(), chart, *_real_frames(fetched)]


def draw_chart() -> np.ndarray:
    """Draw a frame that no model should trust itself on.

    Returns
    -------
    ndarray of uint8, shape (360, 480, 3)
        Colour bars over a chequerboard, RGB, 0–255.
    """
    rows, columns = np.mgrid[:360, :480]
    colour = (columns // 60)[..., np.newaxis] >> np.array([0, 1, 2]) & 1
    bars = 40 + 180 * colour
    board = np.where((rows // 30 + columns // 30) % 2, 225, 30)[..., np.newaxis]
    return np.where(rows[..., np.newaxis] < 240, bars, board).astype(np.uint8)


def gallery(examples: Sequence[Example], present: str = "present") -> str:
    """Write the examples as a row of buttons, named for the page and for ``?case=…`` addresses.

    Parameters
    ----------
    examples : sequence of Example
        Frames on offer.
    present : str, optional
        Where they are presented to a class: the address of that page, beside this one's.

    Returns
    -------
    str
        HTML.
    """
    return render(
        "examples",
        present=present,
        examples=examples,
        slug=slug,
        caption=_breakable,
        width=THUMBNAIL[0],
        height=THUMBNAIL[1],
    )


def _phantoms() -> list[Example]:
    return [_phantom(name) for name in (*phantom.EXAMPLES, *phantom.PITFALLS)]


def _phantom(name: str) -> Example:
    drawn = _draw(name)
    if drawn.points is None:
        truth = f"Phantom, drawn without a nodule; its label is {drawn.label}."
    else:
        grade = level(drawn.points)
        points = f"{drawn.points} TI-RADS point{'' if drawn.points == 1 else 's'}"
        truth = (
            f"Phantom, drawn with {points}{f' ({grade})' if grade else ''} and "
            f"the label {drawn.label}; the label is drawn by a chance that the points set."
        )
    box = mask_box(drawn.mask)
    return Example(
        name,
        name,
        truth,
        lambda: drawn.rgb,
        box,
        drawn.mask,
        drawn.label,
        drawn.spacing_mm,
        drawn.size_mm or None,
    )


@functools.cache
def _draw(name: str) -> phantom.Phantom:
    return phantom.example(name)


def _real_frames(folder: Path) -> list[Example]:
    """Offer some frames of a fetched set, chosen by a seed and not by how models fare."""
    if not folder.is_dir():
        return []
    try:
        records = datasets.load(folder)
    except ThyroError as error:
        # A set fetched by halves takes its examples away, not the page.
        print(error)
        return []
    shuffled = records.sample(frac=1, random_state=0)
    chosen = shuffled.groupby("label").head(REAL_FRAMES // 2).sort_values("label")
    return [
        Example(
            # Sets have one file name for frames of several folders.
            name=f"real: {Path(path).relative_to(folder).as_posix()}",
            caption=f"Real frame, {label}",
            truth=f"Real frame of the fetched set {folder.name}, labelled {label} there.",
            read=functools.partial(images.decode, path),
            label=label,
        )
        for path, label in zip(chosen["path"], chosen["label"], strict=True)
        if _is_whole(path)
    ]


def _is_whole(path: str) -> bool:
    try:
        images.decode(path)
    except ThyroError as error:
        print(error)
        return False
    return True


def _breakable(caption: str) -> str:
    """Write a caption; words that are wider than a thumbnail may break where they should."""
    return said(caption).replace("calcification", "calci\N{SOFT HYPHEN}fication")
