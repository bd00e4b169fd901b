"""The card "What if": change the frame, and see scores and heatmaps before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import gradio as gr
import numpy as np

from thyro_demo.data import changes
from thyro_demo.engine import Comparison, Prediction
from thyro_demo.ui import results
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.pictures import blank, frame_address, map_address
from thyro_demo.ui.shown import Shown


class Change(NamedTuple):
    """One way of changing a frame.

    Attributes
    ----------
    title : str
        On its button.
    words : str
        What was done, before "the frame": to begin a sentence.
    of : callable
        From a frame, uint8 (H, W, 3), and the nodule's mask, bool (H, W), to the changed frame.
    needs_nodule : bool
        Whether it must be known where the nodule is.
    """

    title: str
    words: str
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    needs_nodule: bool = False


def _measured(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return changes.with_calipers(frame, changes.longest(mask) if mask.any() else None)


CHANGES = {
    "mirror": Change("Mirror it", "Mirrored", lambda frame, _: changes.mirrored(frame)),
    "gain": Change("More gain", "With 35 % more gain", lambda frame, _: changes.brighter(frame)),
    "blur": Change("Blur it", "Blurred", lambda frame, _: changes.blurred(frame)),
    "calipers": Change("Add calipers", "With calipers", _measured),
    "erase": Change(
        "Erase the nodule", "With tissue in place of the nodule", changes.without_nodule, True
    ),
    "move": Change(
        "Move the nodule", "With the nodule moved aside", changes.with_nodule_moved, True
    ),
}
"""By the value of its button."""


class PokeCard:
    """Components of the card, laid out inside the current ``gr.Blocks``."""

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_id="thyro-poke-card") as self.column:
            html_block("<h2>What if the frame were another?</h2>")
            self.change = gr.Radio(
                [(change.title, key) for key, change in CHANGES.items()],
                label="Change the frame, all else equal",
                elem_id="thyro-poke",
            )
            self.message = html_block(elem_id="thyro-poke-message")
            self.changed = html_block(elem_id="thyro-poked")


def before_and_after(
    change: Change, before: Shown, after: Comparison, titles: Mapping[str, str]
) -> str:
    """Write scores and softmax maps before and after a change.

    Parameters
    ----------
    change : Change
        What was done.
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
        sentence=_sentence(change, pairs, titles),
        notices=[one for one in after.notices if one not in before.comparison.notices],
        pairs=pairs,
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
    change: Change, pairs: list[tuple[Prediction, Prediction]], titles: Mapping[str, str]
) -> str:
    crossed = sum(old.positive != new.positive for old, new in pairs)
    old, new = max(pairs, key=lambda pair: abs(pair[1].score - pair[0].score))
    way = "up" if new.score > old.score else "down"
    return (
        f"{change.words}, {crossed or 'none'} of {len(pairs)} heads "
        f"{'change' if crossed > 1 else 'changes'} sides; the largest move is "
        f"{abs(new.score - old.score):.2f} {way} ({titles[new.model]}, "
        f"{results.head_title(new.head)})."
    )
