"""What the page "Compare" answers: one handler for each of its events, without its layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from thyro_demo.data import images
from thyro_demo.engine import Comparison, Engine
from thyro_demo.errors import ThyroError
from thyro_demo.explain.overlay import COLOUR_SCALES
from thyro_demo.ui import marks, results
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.examples import Example
from thyro_demo.ui.figure import compose
from thyro_demo.ui.frame_box import copied, frame_number, loaded, small
from thyro_demo.ui.html import DEFECT, message, render
from thyro_demo.ui.map_answers import AS_SHOWN, EXPIRED, MapAnswers
from thyro_demo.ui.map_card import OPACITY
from thyro_demo.ui.offered import OfferedModels
from thyro_demo.ui.pictures import data_address
from thyro_demo.ui.poke import CHANGES, before_and_after
from thyro_demo.ui.shown import Shown
from thyro_demo.ui.warmup import WarmUp


class Answers(MapAnswers):
    """The handlers of the page.

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
        self.models = OfferedModels.of(engine)

    def accept(self, path: str | None) -> tuple:
        """Decode an uploaded file, so that the box shows what the models will see."""
        copy, refusal, count = None, "", 1
        if path is not None:
            try:
                copy, count = copied(path, 1)
            except ThyroError as error:
                refusal = message(str(error))
        return copy, refusal, _slider(count), *self._drawn(None, ())

    def turn(self, path: str | None, number: float) -> tuple:
        """Show another frame of the file in the box."""
        if path is None:
            return gr.skip(), "", *self._drawn(None, ())
        try:
            copy, refusal = copied(path, frame_number(number)).path, ""
        except ThyroError as error:
            copy, refusal = gr.skip(), message(str(error))
        return copy, refusal, *self._drawn(None, ())

    def mark(self, path: str | None, mark: marks.Mark, event: gr.SelectData) -> tuple:
        """Take a click on the frame as a corner of the box around the nodule."""
        if path is None:
            return self._drawn(None, ())
        try:
            frame, (wide, high) = small(path), images.size(Path(path).resolve())
        except ThyroError:
            # It has gone; the comparison that asks for it reports so.
            return self._drawn(None, ())
        # From pixels of what the box shows to those of the frame.
        x, y = (
            int(at * full / shown)
            for at, full, shown in zip(event.index, frame.size, (wide, high), strict=True)
        )
        return self._drawn(frame.pixels, marks.click(mark, x, y), frame.size)

    def _drawn(
        self, frame: np.ndarray | None, mark: marks.Mark, size: tuple[int, int] | None = None
    ) -> tuple:
        """Return a mark, its picture and the button that clears it."""
        picture = marks.sketch(frame, mark, self.models.marked_titles, size)
        return mark, picture, gr.Button(visible=bool(mark))

    def choose(self, name: str | None) -> tuple:
        """Put an example into the box, or refuse a name that an address asks for."""
        example = self._examples.get(name or "")
        if example is None:
            sentence = (
                "The case in an address must be one of the examples below. "
                f"Received: {(name or 'none')[:80]}"
            )
            return None, message(sentence), _slider(1), *self._drawn(None, ()), name
        frame, mark = example.read(), () if example.roi is None else tuple(example.roi)
        return frame, "", _slider(1), *self._drawn(frame, mark), name

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
            A note for the message, then the answer.
        """
        is_loading = self._warm_up is not None and not self._warm_up.ready
        busy = words("compare")["busy"]["loading" if is_loading else "comparing"]
        yield (message(busy, "busy"), *(gr.skip() for _ in _nothing_shown()))
        try:
            comparison = self._ask(path, names, mark)
        except ThyroError as error:
            yield (message(str(error)), *_nothing_shown())
            return
        except Exception:
            # Else the page would go on for ever as if it were comparing.
            yield (message(DEFECT), *_nothing_shown())
            raise
        assert path is not None
        # By the pixels that were compared: the page may show another frame by now.
        example = self._example(comparison.frame)
        shown = Shown.of(path, comparison, None if example is None else example.mask)
        heads = self._first_heads(names)[1:]
        yield (
            "",
            results.summary(comparison, self.models.titles, example),
            gr.Column(visible=True),
            gr.CheckboxGroup(choices=_further_heads(comparison), value=heads),
            gr.Checkbox(value=False),
            shown.tiles(heads, self.models.titles),
            "",
            *_poke_card(visible=True),
            json.dumps({"path": path, "models": names, "mark": self._read_mark(names, mark)}),
            shown,
        )

    def poke(self, shown: Shown | None, key: str | None, calipers: Any = None) -> Iterator[tuple]:
        """Compare the same models on the frame after a change.

        Parameters
        ----------
        shown : Shown or None
            The comparison on the page.
        key : str or None
            A key of `poke.CHANGES`.
        calipers : list or None, optional
            Where the reader put calipers on the frame: x and y of both ends, as shares of its
            sides.

        Yields
        ------
        tuple of str
            A message, then the message and what came of the change.
        """
        if shown is None:
            yield message(EXPIRED), ""
            return
        yield message(words("compare")["busy"]["changing"], "busy"), gr.skip()
        try:
            html = self._poked(shown, key, marks.ends(calipers))
        except ThyroError as error:
            yield message(str(error)), ""
            return
        except Exception:
            yield message(DEFECT), ""
            raise
        yield "", html

    def _poked(self, shown: Shown, key: str | None, calipers: list[tuple[float, float]]) -> str:
        if key is None or key not in CHANGES:
            raise ThyroError(f"The change must be one of {', '.join(CHANGES)}. Received: {key!r}.")
        change = CHANGES[key]
        frame = loaded(shown.path)
        mask = shown.nodule_mask(frame.pixels.shape)
        if change.needs_nodule and not mask.any():
            raise ThyroError(
                "It must be known where the nodule is, from the example or from a network. "
                "Received: a frame in which no network draws one."
            )
        compared = dict.fromkeys(one.model for one in shown.comparison.predictions)
        # A mark is of the frame as it came.
        names = [name for name in compared if name not in self.models.need_mark]
        if not names:
            raise ThyroError(
                "At least one of the models must read the whole scan. Received: those alone that "
                "read a marked nodule."
            )
        heads = self._first_heads(names)
        bottom, right = mask.shape[0] - 1, mask.shape[1] - 1
        ends = [(round(y * bottom), round(x * right)) for x, y in calipers]
        changed = change.frame(frame, mask, ends or None)
        after = self._engine.compare(changed, names, heads, None, *AS_SHOWN)
        return before_and_after(key, shown, after, self.models.titles)

    def picture(
        self, shown: Shown | None, heads: list[str], grid: bool, opacity: float, scale: str
    ) -> Iterator[tuple[str, str]]:
        """Compose the comparison as a picture.

        Parameters
        ----------
        shown : Shown or None
            The comparison on the page.
        heads : list of str
            The heads to show beside softmax.
        grid : bool
            Whether to show all of them instead.
        opacity : float
            Opacity of the heatmaps, 0–1.
        scale : str
            Their colour scale.

        Yields
        ------
        tuple of str
            An empty address and a note, then the address of a PNG and a message.
        """
        if shown is None:
            yield "", message(EXPIRED)
            return
        yield "", message(words("compare")["busy"]["drawing"], "busy")
        try:
            maps = shown.ordered(shown.heads if grid else heads)
            png = compose(shown.comparison, maps, self.models.titles, opacity, scale)
        except Exception:
            yield "", message(DEFECT)
            raise
        yield data_address(png, "image/png"), ""

    def record(self, shown: Shown | None) -> tuple[str, str]:
        """Write the comparison as the address of a JSON file, with a message."""
        if shown is None:
            return "", message(EXPIRED)
        text = json.dumps(shown.record, indent=2, ensure_ascii=False)
        return data_address(text.encode(), "application/json"), ""

    def clear(self) -> tuple:
        """Put away what belongs to a frame that was taken out of the box."""
        return "", _slider(1), *self._drawn(None, ()), self.models.message()

    def reset(self) -> tuple:
        """Bring the page back to how it opened: a value for all that can have changed."""
        settings = (self.models.ticked, OPACITY, COLOUR_SCALES[0])
        note = self.models.message()
        return (
            None,
            "",
            _slider(1),
            *self._drawn(None, ()),
            *settings,
            "",
            note,
            *_nothing_shown(),
        )

    def scores(self, image: str | None, models: list[str], frame: int = 1) -> dict[str, Any]:
        """Compare models on one image, for programs: what ``texts/api.yaml`` promises.

        Parameters
        ----------
        image : str or None
            The image file.
        models : list of str
            Names of the models.
        frame : int, optional
            Which frame of the file, from 1.

        Returns
        -------
        dict
            The comparison without frame and heatmaps.
        """
        try:
            return self._ask(image, models, (), frame).to_dict()
        except ThyroError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _ask(
        self,
        path: str | None,
        names: list[str],
        mark: marks.Mark,
        number: int = 1,
        heads: Sequence[str] = (),
    ) -> Comparison:
        if path is None:
            raise ThyroError(
                "Choose an example, or drop, paste or upload a frame first. Received: no frame."
            )
        # In the order of the page, in whatever order they were ticked.
        names = self.models.chosen(names)
        frame = loaded(path, frame_number(number))
        if self._warm_up is not None:
            self._warm_up.wait()
        needs_mark = any(name in self.models.need_mark for name in names)
        roi = marks.region(mark) if needs_mark else None
        heads = heads or self._first_heads(names)
        return self._engine.compare(frame, names, heads, roi, *AS_SHOWN)

    def _read_mark(self, names: Sequence[str], mark: marks.Mark) -> str | None:
        """Write the mark as the page has it; None where no ticked model reads one."""
        if not any(name in self.models.need_mark for name in names):
            return None
        return ",".join(map(str, mark)) if marks.region(mark) else ""

    def _example(self, frame: np.ndarray) -> Example | None:
        """Return the example of these very pixels, if it is one."""
        is_of_a_size = any(frame.shape == shape for shape, _ in self._by_content)
        return self._by_content.get(_content(frame)) if is_of_a_size else None

    def _first_heads(self, names: Sequence[str]) -> list[str]:
        """Name the heads drawn at once: softmax, and an ensemble's first where it is alone."""
        heads = dict.fromkeys(head for name in names for head in self._engine.heads(name))
        return ["softmax"] if "softmax" in heads else ["softmax", *list(heads)[:1]]


def _nothing_shown() -> tuple:
    return (
        render("empty"),
        gr.Column(visible=False),
        gr.CheckboxGroup(choices=[], value=[]),
        gr.Checkbox(value=False),
        "",
        "",
        *_poke_card(visible=False),
        "",
        None,
    )


def _poke_card(*, visible: bool) -> tuple:
    """Show or hide the card that changes the frame, without a change."""
    return gr.Column(visible=visible), gr.Radio(value=None), "", ""


def _content(frame: np.ndarray) -> tuple[tuple[int, ...], str]:
    """Name a frame by its pixels."""
    return frame.shape, hashlib.sha256(frame.tobytes()).hexdigest()


def _slider(count: int) -> gr.Slider:
    """Offer the frames of a file, where there are several."""
    label = words("compare")["input"]["number"].format(count=count)
    return gr.Slider(value=1, maximum=max(count, 2), visible=count > 1, label=label)


def _further_heads(comparison: Comparison) -> list[tuple[str, str]]:
    heads = dict.fromkeys(prediction.head for prediction in comparison.predictions)
    return [(results.head_title(head), head) for head in heads if head != "softmax"]
