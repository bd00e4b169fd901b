"""The look of the pages: system fonts, a quiet palette, and style sheets."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STYLE_SHEETS = [
    Path(__file__).with_name(f"{name}.css") for name in ("style", "play", "clinic", "present")
]

_TEAL = gr.themes.Color(
    c50="#eef7f8",
    c100="#d8ecee",
    c200="#b3d9dd",
    c300="#84c1c7",
    c400="#4ea3ab",
    c500="#1f858f",
    c600="#0f6b74",
    c700="#0c565d",
    c800="#0b454b",
    c900="#0a383d",
    c950="#062226",
    name="thyro-teal",
)


def theme() -> gr.themes.Base:
    """Build the theme, with fonts of the system alone: a page asks no other host for one."""
    return gr.themes.Base(
        primary_hue=_TEAL,
        secondary_hue=_TEAL,
        neutral_hue="slate",
        radius_size="md",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Consolas", "monospace"],
    ).set(
        body_background_fill="#f4f7f8",
        body_background_fill_dark="#0e161a",
        body_text_color="#16232b",
        body_text_color_dark="#e6eef1",
        body_text_color_subdued="#51626b",
        body_text_color_subdued_dark="#9db0b9",
        block_background_fill="#ffffff",
        block_background_fill_dark="#162127",
        block_border_color="#d9e2e6",
        block_border_color_dark="#2a3a42",
        border_color_primary="#d9e2e6",
        border_color_primary_dark="#2a3a42",
        block_label_text_color="#51626b",
        block_label_text_color_dark="#9db0b9",
        block_title_text_weight="600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
    )
