"""The pages of the app: their names and addresses, and the head that all of them share."""

from __future__ import annotations

from typing import NamedTuple

from thyro_demo.ui import scripts
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.results import filters


class Page(NamedTuple):
    """A page of the app.

    Attributes
    ----------
    name : str
        Name in the navigation, one word.
    path : str
        Its address after that of the app, without a slash; "" for the page that opens first.
    line : str
        What one does there, in a sentence: under its heading, and where a link is posted.
    listed : bool
        Whether the navigation leads there; else a page does that is.
    """

    name: str
    path: str
    line: str
    listed: bool = True

    @property
    def title(self) -> str:
        """What the browser and a posted link call it."""
        return f"ThyroDemo · {self.name}"


PAGES = (
    Page(
        "Compare",
        "",
        "One thyroid ultrasound frame, several networks: compare what each head predicts and "
        "where it looks.",
    ),
    Page(
        "Play",
        "play",
        "Change a drawn nodule and see at once what a network makes of it, and where it looks.",
    ),
    Page(
        "Clinic",
        "clinic",
        "One nodule: what TI-RADS says, what a model says, and where they disagree.",
    ),
    Page(
        "Present",
        "present",
        "The examples one after another before a class: the question first, the answer on a key.",
        listed=False,
    ),
)
"""In the order of the navigation; `thyro_demo.ui.build` has the builder of each."""


def at(path: str) -> Page | None:
    """Find the page at a path, such as "/" or "/play"; None where there is none."""
    return next((page for page in PAGES if page.path == path.removeprefix("/")), None)


def head(page: Page) -> None:
    """Lay out the head of a page, inside the ``gr.Blocks`` of the page."""
    html_block(
        render("masthead", here=page, pages=PAGES, scales=filters()),
        js_on_load=scripts.NAME_PAGE % page.title,
    )
