"""The card with the heatmaps: their key, opacity and colours, further heads, and downloads."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from thyro_demo.explain.overlay import COLOUR_SCALES
from thyro_demo.ui import scripts
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.html import html_block, render

OPACITY = 0.7

_REGION = Path(__file__).with_name("region.js").read_text(encoding="utf-8")


class MapCard:
    """Components of the card, laid out inside the current ``gr.Blocks``."""

    def __init__(self) -> None:
        text = words("compare")["maps"]
        with gr.Column(visible=False, elem_id="thyro-map-card") as self.column:
            html_block(render("legend"))
            with gr.Row(elem_id="thyro-adjust"):
                self.opacity = gr.Slider(
                    0,
                    1,
                    OPACITY,
                    step=0.05,
                    label=text["opacity"],
                    buttons=[],
                    min_width=240,
                    elem_id="thyro-opacity",
                )
                self.scale = gr.Dropdown(
                    list(COLOUR_SCALES),
                    value=COLOUR_SCALES[0],
                    label=text["scale"],
                    filterable=False,
                    min_width=140,
                    elem_id="thyro-scale",
                )
            self.maps = html_block(elem_id="thyro-maps")
            self.heads = gr.CheckboxGroup(
                label=text["heads"],
                info=text["heads_info"],
                elem_id="thyro-heads",
            )
            self.grid = gr.Checkbox(label=text["grid"], elem_id="thyro-grid")
            self.message = html_block(elem_id="thyro-map-message")
            self.region = html_block(render("region"), js_on_load=_REGION, elem_id="thyro-region")
            with gr.Row():
                self.png = gr.Button(text["png"], size="sm", min_width=130, elem_id="thyro-png")
                self.json = gr.Button(text["json"], size="sm", min_width=130, elem_id="thyro-json")

        # Apart from the card, which shows all that it holds when it is shown itself.
        self.box = gr.JSON(visible="hidden")

    def connect(self) -> None:
        """Change opacity and colours in the browser alone."""
        self.opacity.change(fn=None, inputs=self.opacity, js=scripts.SET_OPACITY)
        self.scale.change(fn=None, inputs=self.scale, js=scripts.SET_COLOUR_SCALE)
