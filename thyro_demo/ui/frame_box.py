"""The box that takes a frame: it hands the file over as it came, and decodes it here.

The box shows a small copy, in a folder of ours beside the file that came. The name of the copy
says which file and which frame it is of, so that whatever is asked of what the box shows, in
whatever order, is answered for that frame, from the file itself. The folder, not the name, makes it
a copy: a reader may save one from the page and upload it again.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from thyro_demo.data import images
from thyro_demo.data.frame import Frame
from thyro_demo.errors import ThyroError
from thyro_demo.files import atomic_write
from thyro_demo.ui.gate import NOT_AN_UPLOAD

LONGEST = 1280
"""Longest side of what the box shows, in pixels; frames of scanners are no larger."""

_FOLDER = "!shown"
"""Where the copies are: Gradio takes the first sign out of the name of any upload."""

_COPY = re.compile(r"thyro-frame-([0-9a-f]{32})-([1-9]\d*)\.jpg")


class Copy(NamedTuple):
    """What the box shows: its path, and how many frames the file has that it is of."""

    path: str
    frames: int


def frame_box(**options: Any) -> gr.Image:
    """Build an image box whose value is the path of the uploaded file."""
    # Gradio would open the file itself: it fails without a sentence on a file that is no image,
    # and turns 16-bit frames into 8-bit ones by cutting them off. The method is replaced on the
    # instance because Gradio writes a stub file beside the source of any subclass.
    box = gr.Image(sources=["upload", "clipboard"], type="filepath", format="png", **options)
    box.preprocess = _path  # type: ignore[method-assign]
    return box


def frame_number(value: Any) -> int:
    """Check which frame of a file a page or a program asks for: a whole number, from 1."""
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or value < 1:
        raise ThyroError(
            f"The frame must be a whole number of 1 or more. Received: frame={str(value)[:40]}."
        )
    return int(value)


def loaded(path: str, number: int = 1) -> Frame:
    """Decode the frame that the box shows, or another of an uploaded file, as long as it is kept.

    Parameters
    ----------
    path : str
        What is in the box, or a file that was uploaded.
    number : int, optional
        Which frame of such a file; what is in the box knows its own.

    Returns
    -------
    Frame
        The frame as it came.

    Raises
    ------
    ThyroError
        If the file has gone, or is none that can be read.
    """
    return images.load(*_source(path, number))


def small(path: str, number: int = 1) -> images.Preview:
    """Decode as `loaded` does, no finer than the box shows it."""
    return images.preview(*_source(path, number), longest=LONGEST)


def copied(path: str, number: int) -> Copy:
    """Write what the box is to show of a frame of the file that it holds, beside that file.

    Parameters
    ----------
    path : str
        What is in the box, or a file that was uploaded.
    number : int
        Which frame of the file.

    Returns
    -------
    Copy
        The copy, and how many frames there are.

    Raises
    ------
    ThyroError
        If the file has gone, or is none that can be read.
    """
    file, _ = _source(path, 1)
    preview = images.preview(file, number, longest=LONGEST)
    target = file.parent / _FOLDER / f"thyro-frame-{_digest(file)}-{number}.jpg"
    target.parent.mkdir(exist_ok=True)
    with atomic_write(target) as temporary:
        # What is compared is the file itself.
        Image.fromarray(preview.pixels).save(temporary, "JPEG", quality=92, subsampling=0)
        # It goes when its file goes, not as long after it was shown.
        os.utime(temporary, (file.stat().st_atime, file.stat().st_mtime))
    return Copy(str(target), preview.count)


def _source(path: str, number: int) -> tuple[Path, int]:
    """Return the file that a path stands for, and which frame of it."""
    # Resolved first: the reader takes what comes before "::" for an archive, wherever it is.
    file = Path(path).resolve()
    if file.parent.name == _FOLDER:
        copy = _COPY.fullmatch(file.name)
        found = [one for one in file.parent.parent.glob("*") if copy and _digest(one) == copy[1]]
        if not copy or not found or found[0].is_symlink():
            raise ThyroError(NOT_AN_UPLOAD)
        file, number = found[0], int(copy[2])
    # Not `file.is_file()`, which raises where a name is too long.
    if not os.path.isfile(file):
        raise ThyroError(NOT_AN_UPLOAD)
    return file, number


def _digest(file: Path) -> str:
    return hashlib.sha256(os.fsencode(file.name)).hexdigest()[:32]


def _path(payload: Any) -> str | None:
    return None if payload is None else payload.path
