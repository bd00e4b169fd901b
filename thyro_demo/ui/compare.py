"""The page "Compare": one frame, several models, what each head predicts and where it looks."""

from __future__ import annotations

from typing import Any

import gradio as gr

from thyro_demo.ui import pages, scripts
from thyro_demo.ui.answers import Answers
from thyro_demo.ui.catalogue import DEFAULT, api, current, words
from thyro_demo.ui.examples import gallery
from thyro_demo.ui.frame_box import frame_box
from thyro_demo.ui.gate import as_sent
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.map_card import MapCard
from thyro_demo.ui.offered import card
from thyro_demo.ui.poke import PokeCard
from thyro_demo.ui.sessions import KEPT_S

# Everything that runs the networks shares one slot: two at once would only be slower.
NETWORKS: dict[str, Any] = {"concurrency_id": "networks", "concurrency_limit": 1}
_SILENT: dict[str, Any] = {"api_visibility": "private"}
_QUIET: dict[str, Any] = {"show_progress": "hidden", **_SILENT}


class ComparePage(Answers):
    """Layout and events of the page; what it answers is in `Answers`."""

    def build(self) -> None:
        """Lay the page out and connect its events, inside the current ``gr.Blocks``."""
        html_block(
            render("tabs"),
            js_on_load=scripts.ON_TAB,
            elem_id="thyro-tabs",
        )
        with gr.Row(equal_height=False, elem_id="thyro-page"):
            with gr.Column(scale=4, min_width=320, elem_id="thyro-input"):
                self._build_input()
            with gr.Column(scale=8, min_width=320, elem_id="thyro-results"):
                self._build_results()
        with gr.Accordion(words("compare")["input"]["cards"], open=False, elem_id="thyro-cards"):
            for name, title in self.models.titles.items():
                with gr.Accordion(title, open=False):
                    gr.Markdown(card(self._engine, name))
        # First, so that this endpoint and not the page's own handler is named "compare"; and once,
        # for programs are served in one language.
        if current() == DEFAULT:
            self._connect_api()
        comparing = self._connect_comparison()
        explaining = self._connect_maps()
        self._connect_frame()
        self._connect_stale(comparing)
        self._connect_emptying([comparing, explaining])

    # Layout

    def _build_input(self) -> None:
        text = words("compare")["input"]
        self._image = frame_box(
            label=text["frame"],
            height=280,
            buttons=["fullscreen"],
            placeholder=text["drop"],
            elem_id="thyro-frame",
        )
        self._number = gr.Slider(
            1,
            2,
            value=1,
            step=1,
            label=text["frame"],
            visible=False,
            buttons=[],
            elem_id="thyro-number",
        )
        self._upload_message = html_block(elem_id="thyro-upload-message")
        self._mark = gr.State(())
        with gr.Column(visible=bool(self.models.need_mark), elem_id="thyro-mark"):
            self._sketch = html_block(self._drawn(None, ())[1])
            self._unmark = gr.Button(
                text["unmark"], size="sm", visible=False, elem_id="thyro-unmark"
            )
        html_block(render("privacy"))
        self._chosen = as_sent(
            gr.CheckboxGroup(
                label=text["models"],
                choices=[(title, name) for name, title in self.models.titles.items()],
                value=self.models.ticked,
                elem_id="thyro-models",
            )
        )
        ticked = html_block(js_on_load=scripts.ON_MODELS, elem_classes="thyro-unseen")
        ticked.select(fn=None, outputs=self._chosen, js=scripts.TICK)
        with gr.Row():
            self._compare = gr.Button(
                text["compare"], variant="primary", min_width=140, elem_id="thyro-compare"
            )
            self._reset = gr.Button(text["reset"], min_width=100, elem_id="thyro-reset")
        self._message = html_block(self.models.message(), elem_id="thyro-message")
        self._gallery = html_block(
            gallery(list(self._examples.values()), pages.path("present", current())),
            js_on_load=scripts.ON_EXAMPLE,
        )
        self._wanted = gr.Textbox(visible="hidden")
        self._asked = html_block(js_on_load=scripts.ON_ASK, elem_classes="thyro-unseen")
        for script in (scripts.PASTE_ANYWHERE, scripts.TAKE_ANY_FILE, scripts.place_in_queue()):
            html_block(js_on_load=script, elem_classes="thyro-unseen")

    def _build_results(self) -> None:
        self._shown = gr.State(None, time_to_live=KEPT_S)
        self._about = gr.Textbox(visible="hidden")
        self._stale = html_block(elem_id="thyro-stale")
        self._summary = html_block(render("empty"), elem_id="thyro-summary")
        self._card = MapCard()
        self._poke = PokeCard()
        self._file = gr.Textbox(visible="hidden")

    @property
    def _answer(self) -> list[gr.components.Component | gr.Column]:
        """What a comparison fills."""
        return [
            self._message,
            self._summary,
            self._card.column,
            self._card.heads,
            self._card.grid,
            self._card.maps,
            self._card.message,
            self._poke.column,
            self._poke.change,
            self._poke.message,
            self._poke.changed,
            self._about,
            self._shown,
        ]

    @property
    def _marked(self) -> list[gr.components.Component]:
        """What a mark changes."""
        return [self._mark, self._sketch, self._unmark]

    # Events

    def _connect_comparison(self) -> gr.events.Dependency:
        """Compare when asked, by the button or by a frame that has come; answer at once."""
        self._compare.click(fn=None, js=scripts.ASK)
        self._asked.select(fn=None, outputs=self._message, js=scripts.comparing())
        comparing = self._asked.select(
            self.compare,
            [self._image, self._chosen, self._mark],
            self._answer,
            trigger_mode="always_last",
            # Only for the place in the queue, which Gradio writes nowhere else.
            show_progress="minimal",
            show_progress_on=self._message,
            **NETWORKS,
            **_SILENT,
        )
        comparing.success(fn=None, js=scripts.SHOW_RESULTS)
        comparing.failure(
            fn=None,
            inputs=[self._message, self._image],
            outputs=self._message,
            js=scripts.NOT_COMPARED,
        )
        return comparing

    def _connect_frame(self) -> None:
        """Take frames and marks in; a frame that has come is compared at once."""
        # A comparison of the frame before goes on, and the new one follows: Gradio loses an
        # event that is asked for while another of its kind is being cancelled.
        turned = [self._image, self._upload_message, *self._marked]
        framed = [self._image, self._upload_message, self._number, *self._marked]
        for come in (self._image.upload, self._gallery.select):
            come(fn=None, outputs=self._message, js=scripts.comparing())
        uploaded = self._image.upload(
            self.accept,
            self._image,
            framed,
            js=scripts.UPLOADING,
            concurrency_id="images",
            concurrency_limit=2,
            **_QUIET,
        )
        uploaded.success(fn=None, js=scripts.NO_EXAMPLE)
        uploaded.success(
            fn=None,
            inputs=[self._image, self._message],
            outputs=self._message,
            js=scripts.UPLOADED,
        )
        chosen = self._gallery.select(
            self.choose,
            self._wanted,
            [*framed, self._wanted],
            js=scripts.WANTED,
            trigger_mode="always_last",
            **_QUIET,
        )
        chosen.success(fn=None, inputs=[self._image, self._wanted], js=scripts.TAKEN)
        chosen.success(fn=None, js=scripts.SHOW_FRAME)
        # The slider stays as it is, or it would jump back under the hand that moves it.
        turning = self._number.input(
            self.turn,
            [self._image, self._number],
            turned,
            js=scripts.TURNING,
            trigger_mode="always_last",
            concurrency_id="images",
            concurrency_limit=2,
            **_QUIET,
        )
        turning.success(fn=None, inputs=self._image, js=scripts.TURNED)
        for frame in (uploaded, chosen, turning):
            frame.failure(
                fn=None, inputs=self._message, outputs=self._message, js=scripts.NOT_TAKEN
            )
        if self.models.need_mark:
            self._image.select(
                self.mark,
                [self._image, self._mark],
                self._marked,
                trigger_mode="multiple",
                **_QUIET,
            )
        self._unmark.click(lambda: self._drawn(None, ()), None, self._marked, **_QUIET)

    def _connect_stale(self, comparing: gr.events.Dependency) -> None:
        """Mark results that are not of what is in the box, ticked and marked."""
        changes = (self._image.change, self._chosen.change, self._sketch.change)
        for changed in (*changes, comparing.success):
            changed(
                fn=None,
                inputs=[self._image, self._chosen, self._sketch, self._about],
                outputs=self._stale,
                js=scripts.mark_stale(),
            )

    def _connect_emptying(self, running: list[dict[str, Any]]) -> None:
        """Empty the box, or all; an answer still to come would fill the emptied page."""
        settings = [self._chosen, self._card.opacity, self._card.scale]
        self._reset.click(
            self.reset,
            None,
            [
                self._image,
                self._upload_message,
                self._number,
                *self._marked,
                *settings,
                self._stale,
                *self._answer,
            ],
            js=scripts.EMPTYING,
            cancels=running,
            **_QUIET,
        ).then(fn=None, js=scripts.NO_EXAMPLE)
        self._image.clear(
            self.clear,
            None,
            [self._upload_message, self._number, *self._marked, self._message],
            js=scripts.EMPTYING,
            cancels=running[:1],
            **_QUIET,
        ).then(fn=None, js=scripts.NO_EXAMPLE)

    def _connect_maps(self) -> gr.events.Dependency:
        explaining = gr.on(
            [self._card.heads.input, self._card.grid.input],
            self.explain,
            [self._shown, self._card.heads, self._card.grid],
            [self._card.maps, self._card.message],
            trigger_mode="always_last",
            **NETWORKS,
            **_QUIET,
        )
        self._card.region.select(
            self.enclose,
            [self._shown, self._card.box, self._card.heads, self._card.grid],
            [self._card.maps, self._card.message],
            js="(shown, box, heads, grid) => [shown, window.thyroRegion.edges(), heads, grid]",
            trigger_mode="always_last",
            **_QUIET,
        )
        self._poke.change.input(
            self.poke,
            [self._shown, self._poke.change, self._poke.calipers],
            [self._poke.message, self._poke.changed],
            js="(shown, change) => [shown, change, window.thyroRegion.calipers()]",
            trigger_mode="always_last",
            **NETWORKS,
            **_QUIET,
        )
        self._card.connect()
        self._card.png.click(
            self.picture,
            [
                self._shown,
                self._card.heads,
                self._card.grid,
                self._card.opacity,
                self._card.scale,
            ],
            [self._file, self._card.message],
            **_QUIET,
        ).then(fn=None, inputs=self._file, js=scripts.SAVE % "thyro-comparison.png")
        self._card.json.click(
            self.record, self._shown, [self._file, self._card.message], **_QUIET
        ).then(fn=None, inputs=self._file, js=scripts.SAVE % "thyro-comparison.json")
        return explaining

    def _connect_api(self) -> None:
        """Offer the comparison and its heatmaps to ``gradio_client`` as plain values."""
        number = as_sent(gr.Number(1, label="Frame", precision=0, minimum=1, visible=False))
        asked = [self._image, self._chosen, number]
        box = gr.JSON(label="box", value=[], visible=False)
        for handler, inputs, label, name in (
            (self.scores, asked, "Comparison", "compare"),
            (self.maps, [*asked, box], "Heatmaps", "maps"),
        ):
            gr.on(
                triggers=[],
                fn=handler,
                inputs=inputs,
                outputs=gr.JSON(label=label, visible=False),
                api_name=name,
                api_description=api(name),
                **NETWORKS,
            )
