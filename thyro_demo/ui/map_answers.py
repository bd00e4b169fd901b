"""What the heatmaps of the page "Compare" answer: further heads, a reader's box, and programs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr
import numpy as np

from thyro_demo.engine import NOTICE, Comparison, Engine
from thyro_demo.errors import ThyroError
from thyro_demo.ui import marks, outlines
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.examples import Example
from thyro_demo.ui.frame_box import loaded
from thyro_demo.ui.html import DEFECT, message
from thyro_demo.ui.offered import OfferedModels
from thyro_demo.ui.pictures import LONGEST_SIDE, map_address
from thyro_demo.ui.shown import Shown

AS_SHOWN = ("youden", LONGEST_SIDE)
"""The operating point of the page, and the longest side of its maps."""

EXPIRED = "A comparison is kept for ten minutes; press Compare again. Received: one that has gone."


class MapAnswers:
    """The handlers of the heatmaps; who inherits them brings what they ask of."""

    _engine: Engine
    models: OfferedModels

    @abstractmethod
    def _ask(
        self,
        path: str | None,
        names: list[str],
        mark: marks.Mark,
        number: int = 1,
        heads: Sequence[str] = (),
    ) -> Comparison:
        """Compare models on a frame, with the heatmaps of some heads."""

    @abstractmethod
    def _example(self, frame: np.ndarray) -> Example | None:
        """Find the example of a frame."""

    def explain(self, shown: Shown | None, heads: list[str], grid: bool = False) -> Iterator[tuple]:
        """Add the heatmaps of further heads, computing only those not yet drawn.

        Parameters
        ----------
        shown : Shown or None
            The comparison on the page.
        heads : list of str
            The heads to show beside softmax.
        grid : bool, optional
            Whether to show all of them in a grid instead.

        Yields
        ------
        tuple
            Notes, then heatmaps and message; the comparison has the heatmaps from then on.
        """
        if shown is None:
            yield gr.skip(), message(EXPIRED)
            return
        refusal = ""
        try:
            if missing := shown.without_heatmap(shown.heads if grid else heads):
                # The engine knows a frame by all of its pixels.
                frame = loaded(shown.path)
                roi = shown.comparison.roi
            for number, one in enumerate(missing, 1):
                note = words("compare")["busy"]["heatmap"].format(number=number, count=len(missing))
                yield gr.skip(), message(note, "busy")
                drawn = self._engine.explain(frame, one.model, one.head, roi, *AS_SHOWN)
                shown.add_heatmap(drawn)
        except ThyroError as error:
            refusal = message(str(error))
        except Exception:
            yield gr.skip(), message(DEFECT)
            raise
        yield shown.tiles(heads, self.models.titles, grid), refusal

    def enclose(self, shown: Shown | None, box: Any, heads: list[str], grid: bool) -> tuple:
        """Measure the heatmaps by a box that the reader drew on the frame.

        Parameters
        ----------
        shown : Shown or None
            The comparison on the page.
        box : list of float or None
            Left, top, right and bottom, as shares of the frame's sides; None without a box.
        heads : list of str
            The heads to show beside softmax.
        grid : bool
            Whether all of them are shown in a grid.

        Returns
        -------
        tuple
            Heatmaps and message; the comparison has the box from then on.
        """
        if shown is None:
            return gr.skip(), message(EXPIRED)
        try:
            shown.enclose(marks.edges(box))
        except ThyroError as error:
            return gr.skip(), message(str(error))
        return shown.tiles(heads, self.models.titles, grid), ""

    def maps(
        self, image: str | None, models: list[str], frame: int = 1, box: Any = None
    ) -> dict[str, Any]:
        """Draw the heatmaps of all heads, for programs: what ``texts/api.yaml`` promises.

        Parameters
        ----------
        image : str or None
            The image file.
        models : list of str
            Names of the models.
        frame : int, optional
            Which frame of the file, from 1.
        box : list of float, optional
            As for `enclose`; empty for none.

        Returns
        -------
        dict
            Values that ``json.dumps`` takes.
        """
        try:
            edges = marks.edges(box or None)
            chosen = self.models.chosen(models)
            heads = list(dict.fromkeys(head for one in chosen for head in self._engine.heads(one)))
            comparison = self._ask(image, models, (), frame, heads)
        except ThyroError as error:
            raise gr.Error(str(error), print_exception=False) from error
        example = self._example(comparison.frame)
        shown = Shown.of("", comparison, None if example is None else example.mask)
        shown.enclose(edges)
        shares = outlines.shares(shown.comparison, shown.drawn or shown.nodule)
        drawn = []
        for one in shown.comparison.predictions:
            share = shares.get((one.model, one.head))
            drawn.append(
                {
                    "model": one.model,
                    "head": one.head,
                    "score": one.score,
                    "heatmap": "" if one.heatmap is None else map_address(one.heatmap),
                    "share": None if share is None else share._asdict(),
                }
            )
        return {"notice": NOTICE, "notices": comparison.notices, "maps": drawn}
