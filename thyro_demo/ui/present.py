"""The page "Present": the examples one after another before a class, the question first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from thyro_demo.ui import pages
from thyro_demo.ui.catalogue import DEFAULT, api, current, words
from thyro_demo.ui.compare import NETWORKS
from thyro_demo.ui.gate import as_sent
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.present_answers import PresentAnswers

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
        text = words("present")
        compare = pages.path("compare", current())
        setup = json.dumps({"of": len(self.cases), "words": text["words"], "compare": compare})
        page = html_block(
            render(
                "present",
                setup=setup,
                words=text["words"],
                keys=text["keys"],
                invitation=text["invitation"],
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
        # Once, for programs are served in one language.
        if current() == DEFAULT:
            self._connect_api()

    def _connect_api(self) -> None:
        """Offer the cases to ``gradio_client`` as plain values."""
        gr.on(
            triggers=[],
            fn=self.case_for_programs,
            inputs=as_sent(gr.Number(1, label="number", precision=0, visible=False)),
            outputs=gr.JSON(label="Case", visible=False),
            api_name="present",
            api_description=api("present"),
            **NETWORKS,
        )
