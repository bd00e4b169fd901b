"""The box that takes a frame: it hands the file over as it came, and decodes it here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from thyro_demo.data.images import decode
from thyro_demo.errors import ThyroError
from thyro_demo.ui.gate import NOT_AN_UPLOAD


def frame_box(**options: Any) -> gr.Image:
    """Build an image box whose value is the path of the uploaded file."""
    # Gradio would open the file itself: it fails without a sentence on a file that is no image,
    # and turns 16-bit frames into 8-bit ones by cutting them off. The method is replaced on the
    # instance because Gradio writes a stub file beside the source of any subclass.
    box = gr.Image(sources=["upload", "clipboard"], type="filepath", format="png", **options)
    box.preprocess = _path  # type: ignore[method-assign]
    return box


def decoded(path: str) -> np.ndarray:
    """Decode an uploaded file, uint8 (H, W, 3), as long as it is kept."""
    # Resolved first: `decode` takes what comes before "::" for an archive, wherever it is.
    file = Path(path).resolve()
    # Not `file.is_file()`, which raises where a name is too long.
    if not os.path.isfile(file):
        raise ThyroError(NOT_AN_UPLOAD)
    return decode(file)


def _path(payload: Any) -> str | None:
    return None if payload is None else payload.path
