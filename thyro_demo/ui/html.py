"""Fill the templates of the page; whatever is filled in is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from thyro_demo.ui.catalogue import current, words
from thyro_demo.ui.sentences import said

DEFECT = "The app itself failed, which is no fault of the frame; its log says where."
"""What is said where a defect of ours ends an answer."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_TEMPLATES.globals |= {"words": words, "said": said, "language": current}


def render(template: str, **values: Any) -> str:
    """Fill a template, such as "summary"."""
    return _TEMPLATES.get_template(f"{template}.html").render(values)


def message(text: str, kind: str = "error") -> str:
    """Write one sentence ("error", "notice" or "busy") for the place beside its cause."""
    return render("message", text=text, kind=kind)


def html_block(value: str | None = "", **options: Any) -> gr.HTML:
    """Build the component of HTML that brings its own look."""
    return gr.HTML(value, apply_default_css=False, **options)
