"""The page "Play": move a feature of a drawn nodule, and see what the networks make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from thyro_demo.engine import Engine
from thyro_demo.ui import play_state
from thyro_demo.ui.catalogue import DEFAULT, api, current, words
from thyro_demo.ui.clinic_tables import every_total
from thyro_demo.ui.compare import NETWORKS
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.limits import LIVE
from thyro_demo.ui.play_answers import PlayAnswers
from thyro_demo.ui.warmup import WarmUp

_SCRIPT = Path(__file__).with_name("play.js")

_ASKED: dict[str, Any] = {
    "trigger_mode": "multiple",
    "show_progress": "hidden",
    "api_visibility": "private",
    **NETWORKS,
}


class PlayPage(PlayAnswers):
    """Layout and events of the page; what it answers is in `PlayAnswers`."""

    def __init__(self, engine: Engine, warm_up: WarmUp | None) -> None:
        super().__init__(engine, warm_up)
        self._titles = {name: self.models.titles[name] for name in self.networks}

    def build(self) -> None:
        """Lay the page out and connect its events, inside the current ``gr.Blocks``."""
        html_block(self.models.message())
        asked = html_block(
            render(
                "play",
                texts=words("play"),
                networks=self._titles,
                numbers=play_state.NUMBERS,
                setup=json.dumps(self._setup()),
            ),
            js_on_load=_SCRIPT.read_text(encoding="utf-8"),
        )
        # Apart from the page, which would else be written anew with every answer.
        wanted, answer = _carrier(), _carrier()
        # The guard counts what is asked for many times a second by the beginning of its name.
        for trigger, handler, name in (
            (asked.input, self.live_frame, f"{LIVE}frame"),
            (asked.change, self.live_scores, f"{LIVE}scores"),
        ):
            live = trigger(
                handler,
                wanted,
                answer,
                js="() => window.thyroPlay.wanted()",
                api_name=name,
                **_ASKED,
            )
            live.success(fn=None, inputs=answer, js="(it) => window.thyroPlay.answered(it)")
            live.failure(fn=None, js="() => window.thyroPlay.failed()")
        # Once, for programs are served in one language.
        if current() == DEFAULT:
            self._connect_api()

    def _setup(self) -> dict[str, Any]:
        """Collect what the script has to know."""
        return {
            "first": play_state.read({}, self.networks).to_dict(),
            "choices": {key: list(choices) for key, choices in play_state.CHOICES.items()},
            "foci": list(play_state.FOCI),
            "numbers": {key: span._asdict() for key, span in play_state.NUMBERS.items()},
            "titles": {name: self.models.titles[name] for name in self.models.ticked},
            "networks": self.networks,
            "texts": words("play"),
            "decimal": words("common")["decimal"],
            "totals": every_total(),
        }

    def _connect_api(self) -> None:
        """Offer frames and scores to ``gradio_client`` as plain values."""
        for handler, name in (
            (self.frame_for_programs, "play"),
            (self.scores_for_programs, "play_scores"),
        ):
            gr.on(
                triggers=[],
                fn=handler,
                inputs=gr.JSON(label="state", visible=False),
                outputs=gr.JSON(label="Phantom", visible=False),
                api_name=name,
                api_description=api(name),
                **NETWORKS,
            )


def _carrier() -> gr.HTML:
    """Build a component that holds a value and shows nothing."""
    return html_block(None, html_template="", js_on_load=None, elem_classes="thyro-unseen")
