"""Layout and events of the page "Clinic": one widget, two requests, two endpoints."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import gradio as gr

from thyro_demo.ui import clinic_tables as tables
from thyro_demo.ui import clinic_texts as texts
from thyro_demo.ui.catalogue import DEFAULT, api, current
from thyro_demo.ui.clinic_answers import ClinicAnswers
from thyro_demo.ui.compare import NETWORKS
from thyro_demo.ui.examples import Example
from thyro_demo.ui.frame_box import frame_box
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.offered import OfferedModels
from thyro_demo.ui.pictures import THUMBNAIL
from thyro_demo.ui.sentences import said

_WIDGET = Path(__file__).with_name("clinic.js").read_text(encoding="utf-8")
_SILENT: dict[str, Any] = {"api_visibility": "private"}


class ClinicPage(ClinicAnswers):
    """The page; what it answers is in `ClinicAnswers`."""

    def build(self) -> None:
        """Lay the page out and connect its events, inside the current ``gr.Blocks``."""
        notes = OfferedModels.of(self._engine).message()
        html_block(notes, visible=bool(notes))
        self._widget = html_block(
            render(
                "clinic",
                examples=self._captions(),
                width=THUMBNAIL[0],
                height=THUMBNAIL[1],
                titles=self.titles,
                features=tables.FEATURES,
                option=texts.option,
                foci=texts.foci(),
                text=texts.texts(),
                caption=texts.caption,
                term=texts.terms(),
                tables=json.dumps(tables.tables()),
            ),
            js_on_load=_WIDGET,
            elem_id="thyro-clinic-page",
        )
        # Only for the place in the queue, which Gradio writes nowhere else.
        self._queue = html_block(elem_id="thyro-clinic-queue", elem_classes="thyro-unseen")
        self._connect_frame()
        self._connect_score()
        # Once, for programs are served in one language.
        if current() == DEFAULT:
            self._connect_api()

    def _captions(self) -> list[tuple[Example, str]]:
        """Caption the examples by number: their names would give away what is to be seen."""
        found, numbers = [], Counter[str]()
        for example in self._examples.values():
            # Of the others, a label is known of real frames alone.
            kind = "phantom" if example.spacing_mm else "real" if example.label else ""
            numbers[kind] += 1
            numbered = texts.texts()[kind].format(number=numbers[kind]) if kind else ""
            found.append((example, numbered or said(example.caption)))
        return found

    def _connect_frame(self) -> None:
        asked, answer = gr.JSON(visible="hidden"), gr.JSON(visible="hidden")
        taken = self._widget.select(
            self.frame,
            asked,
            answer,
            js="() => window.thyroClinic.asked.frame",
            trigger_mode="always_last",
            concurrency_id="images",
            concurrency_limit=2,
            show_progress="hidden",
            **_SILENT,
        )
        _pass_on(taken, answer, "taken")

    def _connect_score(self) -> None:
        asked, answer = gr.JSON(visible="hidden"), gr.JSON(visible="hidden")
        scored = self._widget.submit(
            self.score,
            asked,
            answer,
            js="() => window.thyroClinic.asked.score",
            trigger_mode="always_last",
            show_progress="minimal",
            show_progress_on=self._queue,
            **NETWORKS,
            **_SILENT,
        )
        _pass_on(scored, answer, "scored")

    def _connect_api(self) -> None:
        """Offer the way through the page to ``gradio_client`` as plain values."""
        image = frame_box(label="image", visible=False)
        size, model, composition, echogenicity, shape, margin = (
            gr.Textbox(label=label, value="", visible=False)
            for label in ("size_mm", "model", "composition", "echogenicity", "shape", "margin")
        )
        foci = gr.JSON(label="foci", value=[], visible=False)
        features = [composition, echogenicity, shape, margin, foci]
        gr.on(
            triggers=[],
            fn=self.clinic,
            inputs=[image, size, model, *features],
            outputs=gr.JSON(label="Result", visible=False),
            api_name="clinic",
            api_description=api("clinic"),
            **NETWORKS,
        )
        gr.on(
            triggers=[],
            fn=self.tirads,
            inputs=[*features, size],
            outputs=gr.JSON(label="TI-RADS", visible=False),
            api_name="tirads",
            api_description=api("tirads"),
        )


def _pass_on(asking: gr.events.Dependency, answer: gr.JSON, taker: str) -> None:
    """Hand an answer to the widget, or the last one and that no other came."""
    for ended, failed in ((asking.success, "false"), (asking.failure, "true")):
        ended(
            fn=None, inputs=answer, js=f"(answer) => window.thyroClinic.{taker}(answer, {failed})"
        )
