"""The card "What if": change the frame, and see scores and heatmaps before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import gradio as gr
import numpy as np

from thyro_demo.data import changes
from thyro_demo.data.frame import Frame
from thyro_demo.engine import Comparison, Prediction
from thyro_demo.ui import results
from thyro_demo.ui.catalogue import figure, words
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.pictures import blank, frame_address, map_address
from thyro_demo.ui.shown import Shown

Ends = list[tuple[int, int]] | None


class Change(NamedTuple):
    """One way of changing a frame; its words are those of its name in "changes".

    Attributes
    ----------
    of : callable
        From a frame, uint8 (H, W, 3), the nodule's mask, bool (H, W), and the ends of the
        reader's calipers, each (row, column), or None, to the changed frame.
    needs_nodule : bool
        Whether it must be known where the nodule is.
    mirrors : bool
        Whether left becomes right, for what is known of the frame besides its pixels.
    """

    of: Callable[[np.ndarray, np.ndarray, Ends], np.ndarray]
    needs_nodule: bool = False
    mirrors: bool = False

    def frame(self, before: Frame, mask: np.ndarray, ends: Ends) -> Frame:
        """Change a frame; a scan area that its scanner recorded stays on the same tissue."""
        pixels, area = self.of(before.pixels, mask, ends), before.area
        if area is not None and self.mirrors:
            width = pixels.shape[1]
            area = area._replace(left=width - area.right, right=width - area.left)
        return Frame(pixels, area=area)


def _measured(frame: np.ndarray, mask: np.ndarray, ends: Ends) -> np.ndarray:
    """Print calipers where the reader put them, else on the nodule, where one is known."""
    return changes.with_calipers(frame, ends or (changes.longest(mask) if mask.any() else None))


CHANGES = {
    "mirror": Change(lambda frame, *_: changes.mirrored(frame), mirrors=True),
    "gain": Change(lambda frame, *_: changes.brighter(frame)),
    "blur": Change(lambda frame, *_: changes.blurred(frame)),
    "calipers": Change(_measured),
    "erase": Change(lambda frame, mask, _: changes.without_nodule(frame, mask), True),
    "move": Change(lambda frame, mask, _: changes.with_nodule_moved(frame, mask), True),
}
"""By the value of its button."""


class PokeCard:
    """Components of the card, laid out inside the current ``gr.Blocks``."""

    def __init__(self) -> None:
        text = words("compare")
        with gr.Column(visible=False, elem_id="thyro-poke-card") as self.column:
            html_block(render("poke"))
            self.change = gr.Radio(
                [(text["changes"][key]["button"], key) for key in CHANGES],
                label=text["poked"]["change"],
                elem_id="thyro-poke",
            )
            self.message = html_block(elem_id="thyro-poke-message")
            self.changed = html_block(elem_id="thyro-poked")

        # Apart from the card, which shows all that it holds when it is shown itself.
        self.calipers = gr.JSON(visible="hidden")


def before_and_after(key: str, before: Shown, after: Comparison, titles: Mapping[str, str]) -> str:
    """Write scores and softmax maps before and after a change.

    Parameters
    ----------
    key : str
        What was done, of `CHANGES`.
    before : Shown
        The comparison on the page.
    after : Comparison
        The same models on the changed frame.
    titles : mapping of str to str
        Display name of each model.

    Returns
    -------
    str
        HTML.
    """
    old = {(one.model, one.head): one for one in before.comparison.predictions}
    pairs = [(old[one.model, one.head], one) for one in after.predictions]
    return render(
        "poked",
        sentence=_sentence(key, pairs, titles),
        notices=[one for one in after.notices if one not in before.comparison.notices],
        pairs=pairs,
        faint=after.without_nodule,
        mapped=[
            pair for pair in pairs if pair[0].heatmap is not None and pair[1].heatmap is not None
        ],
        frames=(frame_address(before.comparison.frame), frame_address(after.frame)),
        ratios=[f"{one.shape[1]}/{one.shape[0]}" for one in (before.comparison.frame, after.frame)],
        titles=titles,
        wording=results.wording,
        map_address=map_address,
        blank=blank,
    )


def _sentence(
    key: str, pairs: list[tuple[Prediction, Prediction]], titles: Mapping[str, str]
) -> str:
    text = words("compare")
    crossed = sum(old.positive != new.positive for old, new in pairs)
    old, new = max(pairs, key=lambda pair: abs(pair[1].score - pair[0].score))
    counted = {0: "none", 1: "one"}.get(crossed, "several")
    return text["poked"]["up" if new.score > old.score else "down"].format(
        crossed=text["poked"][counted].format(
            done=text["changes"][key]["done"], crossed=crossed, count=len(pairs)
        ),
        move=figure(f"{abs(new.score - old.score):.2f}"),
        title=titles[new.model],
        head=results.head_title(new.head),
    )
