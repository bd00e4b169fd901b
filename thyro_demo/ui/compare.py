"""The page "Compare": one frame, several models, what each head reads and where it looks."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from thyro_demo.data.images import decode
from thyro_demo.data.preprocess import Box
from thyro_demo.engine import Comparison, Engine, Prediction
from thyro_demo.errors import ThyroError
from thyro_demo.explain.overlay import COLOUR_SCALES
from thyro_demo.models.manifest import KINDS
from thyro_demo.teach.lecture import slug
from thyro_demo.ui import marks, outlines, results
from thyro_demo.ui.examples import Example, gallery
from thyro_demo.ui.figure import compose
from thyro_demo.ui.gate import NOT_AN_UPLOAD
from thyro_demo.ui.scripts import (
    MARK_STALE,
    ON_EXAMPLE,
    PASTE_ANYWHERE,
    SAVE,
    SET_COLOUR_SCALE,
    SET_OPACITY,
    SHOW_FRAME,
    SHOW_RESULTS,
    UNPRESS_EXAMPLES,
)
from thyro_demo.ui.warmup import WarmUp

# Everything that asks the networks shares one slot: two at once would only be slower.
NETWORKS: dict[str, Any] = {"concurrency_id": "networks", "concurrency_limit": 1}
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

OPACITY = 0.7

_NO_BUNDLE = (
    "A comparison needs at least one bundle; train one, or start the app with --weights FOLDER. "
    "Received: none."
)
_NO_CARD = "A model card must be a text in UTF-8 that can be read. Received: another file."
_DEFECT = "The app itself failed, which is no fault of the frame; its log says where."
_EXPIRED = "A comparison is kept for ten minutes; press Compare again. Received: one that has gone."

_EMPTY = """
<section class="thyro-empty"><h2>Nothing compared yet</h2>
<ol><li>Choose an example, or drop, paste or upload a frame.</li>
<li>Choose the models.</li>
<li>Press <strong>Compare</strong>: scores beside their thresholds, and a heatmap for each
model, appear here.</li></ol></section>
"""

_PRIVACY = (
    '<p class="thyro-fine">No patient\'s images on a public link. An uploaded file is read on '
    "the machine that runs this page and removed within 10 minutes.</p>"
)


@dataclass(frozen=True)
class Shown:
    """What one reader has before them; kept for ten minutes at most.

    Frame and heatmaps are no larger than they are shown: those of one large frame would
    take a gigabyte.

    Attributes
    ----------
    path : str
        The frame as it came, for heatmaps yet to be drawn.
    record : dict
        The comparison as plain values, with the sizes of the frame as it came.
    comparison : Comparison
        The comparison with a frame and heatmaps that fit the page.
    nodule : Nodule or None
        Where the nodule is known to be, in the coordinates of that frame.
    """

    path: str
    record: dict[str, Any]
    comparison: Comparison
    nodule: outlines.Nodule | None

    @classmethod
    def of(cls, path: str, comparison: Comparison, mask: np.ndarray | None) -> Shown:
        """Keep what the page can show of a comparison, and of the nodule's mask if there is one."""
        frame = results.fitted(comparison.frame)
        share = frame.shape[1] / comparison.frame.shape[1]
        known = outlines.known(mask, comparison.roi, comparison.frame.shape[:2])
        if known is not None:
            small_mask = results.fitted(known.mask.astype(np.float32)) >= 0.5
            known = replace(known, mask=small_mask)
        small = replace(
            comparison,
            frame=frame,
            box=_scaled(comparison.box, share, frame.shape),
            predictions=[_fitted(prediction) for prediction in comparison.predictions],
            nodules={name: results.fitted(drawn) for name, drawn in comparison.nodules.items()},
        )
        return cls(path, comparison.to_dict(), small, known)

    def tiles(self, heads: Sequence[str], titles: dict[str, str]) -> str:
        """Write the heatmaps asked for, each with its share on the nodule."""
        shares = outlines.shares(self.comparison, self.nodule)
        borders = {name: outlines.border(drawn) for name, drawn in self.comparison.nodules.items()}
        return results.heatmaps(self.comparison.frame, self.ordered(heads), titles, borders, shares)

    def ordered(self, heads: Sequence[str]) -> list[Prediction]:
        """Give the heatmaps to show: softmax, where there is one, then the heads asked for."""
        wanted = ["softmax", *heads]
        chosen = [shown for shown in self.comparison.predictions if shown.head in wanted]
        return sorted(chosen, key=lambda shown: wanted.index(shown.head))


class ComparePage:
    """Layout and events of the page.

    Parameters
    ----------
    engine : Engine
        What compares and explains.
    examples : sequence of Example
        Frames on offer.
    warm_up : WarmUp or None
        The loading of the networks that the first comparison waits for.
    """

    def __init__(self, engine: Engine, examples: Sequence[Example], warm_up: WarmUp | None) -> None:
        self._engine = engine
        self._examples = {example.name: example for example in examples}
        self._by_content = {_content(example.read()): example for example in examples}
        self._warm_up = warm_up
        self._titles, self._refused, kinds = _readable(engine)
        self._nodule_readers = [name for name, kind in kinds.items() if kind == "roi"]
        self._ticked = [name for name in self._titles if name not in self._nodule_readers]

    def build(self) -> None:
        """Lay the page out and connect its events, inside the current ``gr.Blocks``."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self._build_input()
            with gr.Column(scale=8, min_width=320, elem_id="thyro-results"):
                self._build_results()
        self._build_cards()
        # First, so that this endpoint and not the button's handler is named "compare".
        self._connect_api()
        self._connect_input()
        self._connect_results()

    # Layout

    def _build_input(self) -> None:
        self._image = _file_box(
            label="Frame",
            height=280,
            buttons=["fullscreen"],
            placeholder="Drop a frame here\n- or -\nclick to upload, or paste it",
            elem_id="thyro-frame",
        )
        self._upload_message = _html(elem_id="thyro-upload-message")
        self._mark = gr.State(())
        with gr.Column(visible=bool(self._nodule_readers), elem_id="thyro-mark"):
            self._sketch = _html(self._drawn(None, ())[1])
            self._unmark = gr.Button("Clear mark", size="sm", visible=False, elem_id="thyro-unmark")
        _html(_PRIVACY)
        self._models = gr.CheckboxGroup(
            label="Models",
            choices=[(title, name) for name, title in self._titles.items()],
            value=self._ticked,
            elem_id="thyro-models",
        )
        with gr.Row():
            self._compare = gr.Button(
                "Compare", variant="primary", min_width=140, elem_id="thyro-compare"
            )
            self._reset = gr.Button("Reset", min_width=100, elem_id="thyro-reset")
        self._message = _html(self._standing_message(), elem_id="thyro-message")
        self._gallery = _html(
            '<p class="thyro-label">Examples</p>' + gallery(list(self._examples.values())),
            js_on_load=ON_EXAMPLE,
        )

    def _build_results(self) -> None:
        self._shown = gr.State(None, time_to_live=600)
        self._about = gr.Textbox(visible="hidden")
        self._summary = _html(_EMPTY, elem_id="thyro-summary")
        with gr.Column(visible=False, elem_id="thyro-map-card") as self._map_card:
            _html("<h2>Where the heads look</h2>" + results.legend())
            with gr.Row():
                self._opacity = gr.Slider(
                    0,
                    1,
                    OPACITY,
                    step=0.05,
                    label="Opacity",
                    buttons=[],
                    min_width=240,
                    elem_id="thyro-opacity",
                )
                self._scale = gr.Dropdown(
                    list(COLOUR_SCALES),
                    value=COLOUR_SCALES[0],
                    label="Colour scale",
                    filterable=False,
                    min_width=140,
                    elem_id="thyro-scale",
                )
            self._maps = _html(elem_id="thyro-maps")
            self._heads = gr.CheckboxGroup(
                label="Also show the heatmaps of",
                info="Computed when asked for: each head looks with its own eyes.",
                elem_id="thyro-heads",
            )
            self._map_message = _html(elem_id="thyro-map-message")
            with gr.Row():
                self._png = gr.Button("Download PNG", size="sm", min_width=130, elem_id="thyro-png")
                self._json = gr.Button(
                    "Download JSON", size="sm", min_width=130, elem_id="thyro-json"
                )
        self._file = gr.Textbox(visible="hidden")

    def _build_cards(self) -> None:
        with gr.Accordion("Model cards", open=False, elem_id="thyro-cards"):
            for name, title in self._titles.items():
                with gr.Accordion(title, open=False):
                    gr.Markdown(self._card_of(name))

    def _card_of(self, name: str) -> str:
        """Give the card of a bundle; a damaged one must not keep the page from opening."""
        try:
            return _card(self._engine.card(name))
        except (OSError, UnicodeDecodeError):
            return _NO_CARD

    def _standing_message(self) -> str:
        """Say what keeps a bundle, or all of them, from being offered."""
        sentences = self._refused if self._titles or self._refused else [_NO_BUNDLE]
        return "".join(results.message(sentence) for sentence in sentences)

    # Events

    def _connect_input(self) -> None:
        marked = [self._mark, self._sketch, self._unmark]
        self._image.upload(
            self.accept,
            self._image,
            [self._image, self._upload_message, *marked],
            concurrency_id="images",
            concurrency_limit=2,
            **_QUIET,
        ).then(fn=None, js=UNPRESS_EXAMPLES)
        if self._nodule_readers:
            self._image.select(
                self.mark, [self._image, self._mark], marked, trigger_mode="multiple", **_QUIET
            )
        self._unmark.click(lambda: self._drawn(None, ()), None, marked, **_QUIET)
        self._gallery.select(
            self.choose,
            None,
            [self._image, self._upload_message, *marked],
            **_QUIET,
        ).then(fn=None, js=SHOW_FRAME)
        self._image.change(fn=None, inputs=[self._image, self._about], js=MARK_STALE)
        _html(js_on_load=PASTE_ANYWHERE, elem_classes="thyro-unseen")

    def _connect_results(self) -> None:
        answer = [
            self._message,
            self._summary,
            self._map_card,
            self._heads,
            self._maps,
            self._map_message,
            self._about,
            self._shown,
        ]
        comparing = self._compare.click(
            self.compare,
            [self._image, self._models, self._mark],
            answer,
            trigger_mode="once",
            **NETWORKS,
            **_QUIET,
        )
        comparing.success(fn=None, inputs=[self._image, self._about], js=MARK_STALE).success(
            fn=None, js=SHOW_RESULTS
        )
        explaining = self._heads.input(
            self.explain,
            [self._shown, self._heads],
            [self._maps, self._map_message, self._shown],
            trigger_mode="always_last",
            **NETWORKS,
            **_QUIET,
        )
        self._reset.click(
            self.reset,
            None,
            [
                self._image,
                self._upload_message,
                self._mark,
                self._sketch,
                self._unmark,
                self._models,
                self._opacity,
                self._scale,
                *answer,
            ],
            # Else an answer that is still to come would fill the emptied page.
            cancels=[comparing, explaining],
            **_QUIET,
        ).then(fn=None, js=UNPRESS_EXAMPLES)
        self._image.clear(
            lambda: ("", *self._drawn(None, ()), self._standing_message()),
            None,
            [
                self._upload_message,
                self._mark,
                self._sketch,
                self._unmark,
                self._message,
            ],
            cancels=[comparing],
            **_QUIET,
        ).then(fn=None, js=UNPRESS_EXAMPLES)
        self._opacity.change(fn=None, inputs=self._opacity, js=SET_OPACITY)
        self._scale.change(fn=None, inputs=self._scale, js=SET_COLOUR_SCALE)
        self._png.click(
            self.picture,
            [self._shown, self._heads, self._opacity, self._scale],
            [self._file, self._map_message],
            **_QUIET,
        ).then(fn=None, inputs=self._file, js=SAVE % "thyro-comparison.png")
        self._json.click(self.record, self._shown, [self._file, self._map_message], **_QUIET).then(
            fn=None, inputs=self._file, js=SAVE % "thyro-comparison.json"
        )

    def _connect_api(self) -> None:
        """Offer the comparison to ``gradio_client`` as plain values."""
        gr.on(
            triggers=[],
            fn=self.scores,
            inputs=[self._image, self._models],
            outputs=gr.JSON(visible=False),
            api_name="compare",
            **NETWORKS,
        )

    # Handlers

    def accept(self, path: str | None) -> tuple:
        """Decode an uploaded file, so that the box shows what the models will see.

        Parameters
        ----------
        path : str or None
            The uploaded file.

        Returns
        -------
        tuple
            Frame, message, and no mark.
        """
        frame, message = None, ""
        if path is not None:
            try:
                frame = _frame(path)
            except ThyroError as error:
                message = results.message(str(error))
        return frame, message, *self._drawn(None, ())

    def mark(self, path: str | None, mark: marks.Mark, event: gr.SelectData) -> tuple:
        """Take a click on the frame as a corner of the box around the nodule.

        Parameters
        ----------
        path : str or None
            The frame.
        mark : tuple of int
            What is marked so far.
        event : gr.SelectData
            Carries the pixel that was clicked.

        Returns
        -------
        tuple
            The mark, its picture and the button that clears it.
        """
        try:
            frame = None if path is None else _frame(path)
        except ThyroError:
            # It has gone; the comparison that asks for it says so.
            frame = None
        if frame is None:
            return self._drawn(None, ())
        x, y = event.index
        return self._drawn(frame, marks.click(mark, int(x), int(y)))

    def _drawn(self, frame: np.ndarray | None, mark: marks.Mark) -> tuple:
        """Give a mark, its picture and the button that clears it."""
        readers = " and ".join(self._titles[name] for name in self._nodule_readers)
        return mark, marks.sketch(frame, mark, readers), gr.Button(visible=bool(mark))

    def choose(self, event: gr.EventData) -> tuple:
        """Put an example into the box.

        Parameters
        ----------
        event : gr.EventData
            Carries the name of the example, or what an address asks for and nobody offers.

        Returns
        -------
        tuple
            Frame, message, and the mark it brings.
        """
        example = self._examples.get(event.name)
        if example is None:
            offered = ", ".join(slug(name) for name in self._examples)
            sentence = f"An address names a case of {offered}. Received: {str(event.name)[:80]}"
            return None, results.message(sentence), *self._drawn(None, ())
        frame, mark = example.read(), () if example.roi is None else tuple(example.roi)
        return frame, "", *self._drawn(frame, mark)

    def compare(self, path: str | None, names: list[str], mark: marks.Mark = ()) -> Iterator[tuple]:
        """Compare the chosen models on the frame in the box.

        Parameters
        ----------
        path : str or None
            The frame.
        names : list of str
            The chosen models.
        mark : tuple of int
            What is marked on it.

        Yields
        ------
        tuple
            What is being done, then the answer.
        """
        busy = "Comparing …"
        if self._warm_up is not None and not self._warm_up.ready:
            busy = "Loading the networks: a few seconds, only the first time …"
        yield (results.message(busy, "busy"), *(gr.skip() for _ in range(7)))
        try:
            comparison = self._ask(path, names, mark)
        except ThyroError as error:
            yield (results.message(str(error)), *_nothing_shown())
            return
        except Exception:
            # Else the page would say for ever that it is comparing.
            yield (results.message(_DEFECT), *_nothing_shown())
            raise
        assert path is not None
        # By the pixels that were compared: the page may show another frame by now.
        example = self._by_content.get(_content(comparison.frame))
        shown = Shown.of(path, comparison, None if example is None else example.mask)
        heads = self._first_heads(names)
        yield (
            "",
            results.summary(comparison, self._titles, "" if example is None else example.truth),
            gr.Column(visible=True),
            gr.CheckboxGroup(choices=_further_heads(comparison), value=heads[1:]),
            shown.tiles(heads[1:], self._titles),
            "",
            path,
            shown,
        )

    def explain(self, shown: Shown | None, heads: list[str]) -> Iterator[tuple]:
        """Add the heatmaps of further heads, asking only for those not yet drawn.

        Parameters
        ----------
        shown : Shown or None
            The comparison on the page.
        heads : list of str
            The heads to show beside softmax.

        Yields
        ------
        tuple
            Heatmaps, message and the comparison with its new heatmaps.
        """
        if shown is None:
            yield gr.skip(), results.message(_EXPIRED), gr.skip()
            return
        yield gr.skip(), results.message("Drawing the heatmaps …", "busy"), gr.skip()
        message = ""
        predictions = list(shown.comparison.predictions)
        missing = [
            (place, prediction)
            for place, prediction in enumerate(predictions)
            if prediction.head in heads and prediction.heatmap is None
        ]
        try:
            if missing:
                # The engine knows a frame by all of its pixels.
                frame = _frame(shown.path)
            for place, prediction in missing:
                drawn = self._engine.explain(
                    frame, prediction.model, prediction.head, shown.comparison.roi
                )
                predictions[place] = _fitted(drawn)
        except ThyroError as error:
            message = results.message(str(error))
        except Exception:
            yield gr.skip(), results.message(_DEFECT), gr.skip()
            raise
        shown = replace(shown, comparison=replace(shown.comparison, predictions=predictions))
        yield shown.tiles(heads, self._titles), message, shown

    def picture(
        self, shown: Shown | None, heads: list[str], opacity: float, scale: str
    ) -> Iterator[tuple[str, str]]:
        """Compose the comparison as a PNG.

        Parameters
        ----------
        shown : Shown or None
            The comparison on the page.
        heads : list of str
            The heads shown beside softmax.
        opacity : float
            Opacity of the heatmaps, 0–1.
        scale : str
            Their colour scale.

        Yields
        ------
        tuple of str
            The file as a data address, empty until it is made, and a message.
        """
        if shown is None:
            yield "", results.message(_EXPIRED)
            return
        yield "", results.message("Drawing the picture …", "busy")
        try:
            maps = shown.ordered(heads)
            png = compose(shown.comparison, maps, self._titles, opacity, scale)
        except Exception:
            yield "", results.message(_DEFECT)
            raise
        yield "data:image/png;base64," + base64.b64encode(png).decode(), ""

    def record(self, shown: Shown | None) -> tuple[str, str]:
        """Write the comparison as JSON.

        Parameters
        ----------
        shown : Shown or None
            The comparison on the page.

        Returns
        -------
        tuple of str
            The file as a data address, and a message.
        """
        if shown is None:
            return "", results.message(_EXPIRED)
        text = json.dumps(shown.record, indent=2, ensure_ascii=False)
        return "data:application/json;base64," + base64.b64encode(text.encode()).decode(), ""

    def reset(self) -> tuple:
        """Bring the page back to how it opened.

        Returns
        -------
        tuple
            A value for each component that can have changed.
        """
        unmarked = self._drawn(None, ())
        opened = (None, "", *unmarked, self._ticked, OPACITY, COLOUR_SCALES[0])
        return (*opened, self._standing_message(), *_nothing_shown())

    def scores(self, image: str | None, models: list[str]) -> dict[str, Any]:
        """Compare models on one image: scores, thresholds, notices, agreement, milliseconds.

        For teaching and research only; a model score is not a diagnosis.

        Parameters
        ----------
        image : str or None
            The image file.
        models : list of str
            Names of the models.

        Returns
        -------
        dict
            The comparison without frame and heatmaps.
        """
        try:
            return self._ask(image, models, ()).to_dict()
        except ThyroError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _ask(self, path: str | None, names: list[str], mark: marks.Mark) -> Comparison:
        if path is None:
            raise ThyroError(
                "Choose an example, or drop, paste or upload a frame first. Received: no frame."
            )
        if not names:
            raise ThyroError(
                "Choose at least one model. Received: none." if self._titles else _NO_BUNDLE
            )
        frame = _frame(path)
        if self._warm_up is not None:
            self._warm_up.wait()
        # As they stand on the page, in whatever order they were ticked.
        names = [name for name in self._titles if name in names]
        reads = any(name in self._nodule_readers for name in names)
        roi = marks.region(mark) if reads else None
        return self._engine.compare(frame, names, self._first_heads(names), roi)

    def _first_heads(self, names: Sequence[str]) -> list[str]:
        """Name the heads drawn at once: softmax, and an ensemble's first where it is alone."""
        heads = dict.fromkeys(head for name in names for head in self._engine.heads(name))
        return ["softmax"] if "softmax" in heads else ["softmax", *list(heads)[:1]]


def _file_box(**options: Any) -> gr.Image:
    """Place an image box that hands over the file as it came.

    Gradio would open the file itself: it fails without a sentence on a file that is no
    image, and turns 16-bit frames into 8-bit ones by cutting them off. It is told so on
    the instance because it writes a stub file beside the source of any subclass.
    """
    box = gr.Image(sources=["upload", "clipboard"], type="filepath", format="png", **options)
    box.preprocess = _path  # type: ignore[method-assign]
    return box


def _path(payload: Any) -> str | None:
    return None if payload is None else payload.path


def _frame(path: str) -> np.ndarray:
    """Decode an uploaded file, as long as it is kept."""
    # Resolved first: `decode` takes what comes before "::" for an archive, wherever it is.
    file = Path(path).resolve()
    # Not `file.is_file()`, which raises where a name is too long.
    if not os.path.isfile(file):
        raise ThyroError(NOT_AN_UPLOAD)
    return decode(file)


def _html(value: str = "", **options: Any) -> gr.HTML:
    """Place HTML that brings its own look."""
    return gr.HTML(value, apply_default_css=False, **options)


def _readable(engine: Engine) -> tuple[dict[str, str], list[str], dict[str, str]]:
    """Give titles and kinds of the bundles on offer, and why others are not.

    One that is damaged must not stop all. Networks stand before what is made of them.
    """
    found, refused = [], []
    for name in engine.names():
        try:
            found.append((name, engine.title(name), engine.kind(name)))
        except ThyroError as error:
            refused.append(str(error))
    found.sort(key=lambda one: KINDS.index(one[2]))
    titles = {name: title for name, title, _ in found}
    return titles, refused, {name: kind for name, _, kind in found}


def _nothing_shown() -> tuple:
    return (
        _EMPTY,
        gr.Column(visible=False),
        gr.CheckboxGroup(choices=[], value=[]),
        "",
        "",
        "",
        None,
    )


def _scaled(box: Box, share: float, shape: tuple[int, ...]) -> Box:
    """Shrink a box with its frame, one pixel a side at least."""
    left, top = int(box.left * share), int(box.top * share)
    right = min(max(round(box.right * share), left + 1), shape[1])
    return Box(left, top, right, min(max(round(box.bottom * share), top + 1), shape[0]))


def _content(frame: np.ndarray) -> str:
    """Name a frame by its pixels."""
    return hashlib.sha256(repr(frame.shape).encode() + frame.tobytes()).hexdigest()


def _fitted(prediction: Prediction) -> Prediction:
    if prediction.heatmap is None:
        return prediction
    return replace(prediction, heatmap=results.fitted(prediction.heatmap))


def _further_heads(comparison: Comparison) -> list[tuple[str, str]]:
    heads = dict.fromkeys(prediction.head for prediction in comparison.predictions)
    return [(results.head_title(head), head) for head in heads if head != "softmax"]


def _card(text: str) -> str:
    """Take the YAML head off a model card in the Hugging Face layout."""
    card = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return card or "This bundle came without a model card."
