"""The frames on offer beside the upload box: phantoms, a test chart, fetched real frames."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from thyro_demo.clinical.tirads import level
from thyro_demo.data import datasets, images, phantom
from thyro_demo.data.preprocess import Box, mask_box
from thyro_demo.errors import ThyroError
from thyro_demo.teach.lecture import slug

FETCHED = Path(__file__).resolve().parents[2] / "data" / "p1"
"""Where ``python -m thyro_demo data fetch p1`` puts the real frames."""

REAL_FRAMES = 6
_THUMBNAIL = (176, 132)


@dataclass(frozen=True)
class Example:
    """One frame on offer.

    Attributes
    ----------
    name : str
        Unique among the examples.
    caption : str
        A few words under the thumbnail.
    truth : str
        One sentence on what is known of the frame, shown beside the scores so that a
        reader sees which heads are wrong.
    read : callable
        Gives the frame, uint8 (H, W, 3), RGB.
    roi : Box or None
        Box around the nodule, where it is known.
    mask : ndarray of bool, shape (H, W), or None
        The nodule, where it is known to the pixel.
    """

    name: str
    caption: str
    truth: str
    read: Callable[[], np.ndarray]
    roi: Box | None = None
    mask: np.ndarray | None = None


def collect(fetched: Path = FETCHED) -> list[Example]:
    """Gather all examples.

    Parameters
    ----------
    fetched : Path, optional
        Folder of real frames; none are offered where it does not exist.

    Returns
    -------
    list of Example
        Phantoms first, then the test chart, then real frames.
    """
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


def gallery(examples: Sequence[Example]) -> str:
    """Write the examples as a row of buttons.

    Parameters
    ----------
    examples : sequence of Example
        What is on offer.

    Returns
    -------
    str
        HTML; a button carries the name of its example in ``data-example``, and the name that an
        address ending in ``?case=…`` gives it in ``data-case``.
    """
    buttons = "".join(
        f'<button type="button" class="thyro-example" data-example="{escape(example.name)}" '
        f'data-case="{slug(example.name)}" aria-pressed="false">'
        f'<img src="{_thumbnail(example.read())}" alt="" '
        f'width="{_THUMBNAIL[0]}" height="{_THUMBNAIL[1]}">'
        f"<span>{_breakable(escape(example.caption))}</span></button>"
        for example in examples
    )
    return (
        '<div class="thyro-examples" lang="en" role="group" aria-label="Example frames">'
        f"{buttons}</div>"
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
            f"the label {drawn.label}; the label is a draw that the points make likelier."
        )
    return Example(name, name, truth, lambda: drawn.rgb, mask_box(drawn.mask), drawn.mask)


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
            # Sets give one file name to frames of several folders.
            name=f"real: {Path(path).relative_to(folder).as_posix()}",
            caption=f"Real frame, {label}",
            truth=f"Real frame of the fetched set {folder.name}, labelled {label} there.",
            read=functools.partial(images.decode, path),
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
    """Let the one word that is longer than a thumbnail is wide break where it should."""
    return caption.replace("calcification", "calci&shy;fication")


def _thumbnail(frame: np.ndarray) -> str:
    image = Image.fromarray(frame)
    image.thumbnail((2 * _THUMBNAIL[0], 2 * _THUMBNAIL[1]))
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
