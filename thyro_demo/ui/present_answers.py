"""What the page "Present" answers: a case, its answer, and where a class opens the app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gradio as gr
from starlette.datastructures import Headers

from thyro_demo.course.lecture import CASES, slug
from thyro_demo.engine import NOTICE, Comparison, Engine, Prediction
from thyro_demo.errors import ThyroError
from thyro_demo.ui import outlines
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.examples import Example
from thyro_demo.ui.invitation import invite, worded
from thyro_demo.ui.offered import NO_BUNDLE, OfferedModels
from thyro_demo.ui.pictures import LONGEST_SIDE, blank, frame_address, map_address
from thyro_demo.ui.place import Place
from thyro_demo.ui.results import NO_EVIDENCE, agrees, head_title, wording
from thyro_demo.ui.sentences import said
from thyro_demo.ui.shown import Shown
from thyro_demo.ui.warmup import WarmUp


class Shelf(NamedTuple):
    """A case of the page: its frame, and what a lecturer makes of it ("" where nobody says)."""

    example: Example
    point: str


def in_order(examples: Sequence[Example]) -> list[Shelf]:
    """Put the lecture set first, in its own order, and the other examples after it.

    Parameters
    ----------
    examples : sequence of Example
        Frames on offer.

    Returns
    -------
    list of Shelf
        Each frame once.
    """
    named = {example.name: example for example in examples}
    lecture = [Shelf(named.pop(case.name), case.point) for case in CASES if case.name in named]
    return [*lecture, *(Shelf(example, "") for example in named.values())]


class PresentAnswers:
    """The handlers of the page; cases have numbers, for names give answers away.

    Parameters
    ----------
    engine : Engine
        What compares and explains.
    examples : sequence of Example
        Frames on offer.
    warm_up : WarmUp or None
        The loading of the networks that the first answer waits for.
    place : callable
        Returns the `Place` of the app at this moment.
    """

    def __init__(
        self,
        engine: Engine,
        examples: Sequence[Example],
        warm_up: WarmUp | None,
        place: Callable[[], Place],
    ) -> None:
        self._engine, self._warm_up, self._place = engine, warm_up, place
        self.models = OfferedModels.of(engine)
        self.cases = in_order(examples)

    def question(self, number: Any, request: gr.Request) -> dict[str, Any]:
        """Show the frame of a case, and where the app is open to a class."""
        return _worded(lambda: self._question(number) | {"join": self._join(request)})

    def answer(self, number: Any) -> dict[str, Any]:
        """Show what is known of a case, and what the networks make of it."""
        return _worded(lambda: self._answer(number))

    def case_for_programs(self, number: float) -> dict[str, Any]:
        """Return what the page shows of a case, as ``texts/api.yaml`` promises.

        Parameters
        ----------
        number : int
            A case, from 1.

        Returns
        -------
        dict
            Values that ``json.dumps`` takes.
        """
        try:
            return {"notice": NOTICE} | self._question(number) | self._answer(number)
        except ThyroError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _case(self, number: Any) -> Shelf:
        known = range(1, len(self.cases) + 1)
        if isinstance(number, bool) or number not in known:
            raise ThyroError(
                f"A case must be a number from 1 to {len(known)}. Received: {str(number)[:40]}."
            )
        return self.cases[int(number) - 1]

    def _question(self, number: Any) -> dict[str, Any]:
        frame = self._case(number).example.read()
        height, width = frame.shape[:2]
        return {
            "number": int(number),
            "frame": frame_address(frame),
            "ratio": f"{width}/{height}",
        }

    def _join(self, request: gr.Request) -> dict[str, str]:
        asked = request.request
        assert asked is not None
        headers = Headers(scope=asked.scope)
        try:
            invitation = invite(self._place(), asked.scope, headers)
        except ThyroError as error:
            return {"address": "", "hint": said(str(error)), "code": "", "described": ""}
        return worded(invitation, words("present")["invitation"])

    def _answer(self, number: Any) -> dict[str, Any]:
        example, point = self._case(number)
        if not self.models.ticked:
            raise ThyroError(NO_BUNDLE)
        if self._warm_up is not None:
            self._warm_up.wait()
        comparison = self._engine.compare(
            example.read(), self.models.ticked, ["softmax"], None, "youden", LONGEST_SIDE
        )
        return {
            "number": int(number),
            "label": said(example.label or example.caption),
            "known": said(example.truth),
            "verdict": said(comparison.agreement),
            "notices": [said(one) for one in comparison.notices],
            "point": said(point),
            "scores": [self._score(one) for one in comparison.predictions],
            "slug": slug(example.name),
            **self._views(comparison, example),
        }

    def _score(self, one: Prediction) -> dict[str, Any]:
        return {
            "title": self.models.titles[one.model],
            "head": head_title(one.head),
            "score": one.score,
            "threshold": one.threshold,
            "positive": bool(one.positive),
        }

    def _views(self, comparison: Comparison, example: Example) -> dict[str, Any]:
        """Draw the heatmap and the outline of each network, and the true outline."""
        shown = Shown.of("", comparison, example.mask)
        small, nodule = shown.comparison, shown.nodule
        shares, found = outlines.shares(small, nodule), outlines.found(small)
        views = []
        for one in small.predictions:
            if one.heatmap is None:
                continue
            drawn = found.get(one.model)
            empty = blank(one.heatmap)
            share = shares.get((one.model, one.head))
            views.append(
                self._score(one)
                | {
                    "text": wording(one).score,
                    "agrees": agrees(one, example.label),
                    "map": "" if empty else map_address(one.heatmap),
                    "caption": said(NO_EVIDENCE) if empty else share.sentence if share else "",
                    "border": "" if drawn is None else outlines.border(drawn) or "",
                }
            )
        known = None if nodule is None else outlines.border(nodule.mask, outlines.GREEN)
        return {"views": views, "outline": known or ""}


def _worded(answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Answer the page, or write the sentence of a refusal."""
    try:
        return answer()
    except ThyroError as error:
        return {"refused": said(str(error))}
