"""The page "Present": the examples one after another before a class, the question first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from thyro_demo.ui.compare import NETWORKS
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.present_answers import PresentAnswers, texts

_SCRIPT = Path(__file__).with_name("present.js").read_text(encoding="utf-8")

_ASKED: dict[str, Any] = {
    "trigger_mode": "always_last",
    "show_progress": "hidden",
    "api_visibility": "private",
}


class PresentPage(PresentAnswers):
    """Layout and events of the page; what it answers is in `PresentAnswers`."""

    def build(self) -> None:
        """Lay the page out and connect its events, inside the current ``gr.Blocks``."""
        setup = json.dumps({"of": len(self.cases), "words": texts()["words"]})
        page = html_block(
            render(
                "present",
                setup=setup,
                words=texts()["words"],
                keys=texts()["keys"],
                invitation=texts()["invitation"],
            ),
            js_on_load=_SCRIPT,
            elem_id="thyro-present-page",
        )
        images = {"concurrency_id": "images", "concurrency_limit": 2}
        for trigger, handler, taker, slot in (
            (page.select, self.question, "question", images),
            (page.submit, self.answer, "answer", NETWORKS),
        ):
            number, answer = gr.JSON(visible="hidden"), gr.JSON(visible="hidden")
            asked = trigger(
                handler,
                number,
                answer,
                js=f"() => window.thyroPresent.asked.{taker}",
                **slot,
                **_ASKED,
            )
            for ended, failed in ((asked.success, "false"), (asked.failure, "true")):
                ended(
                    fn=None,
                    inputs=answer,
                    js=f"(it) => window.thyroPresent.{taker}(it, {failed})",
                )
        gr.on(
            triggers=[],
            fn=self.case_for_programs,
            inputs=gr.Number(1, label="number", precision=0, visible=False),
            outputs=gr.JSON(label="Case", visible=False),
            api_name="present",
            api_description=texts()["api"].strip(),
            **NETWORKS,
        )
