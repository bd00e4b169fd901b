"""The pages of the app: their names and addresses, and the head that all of them share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from thyro_demo.ui import scripts
from thyro_demo.ui.catalogue import DEFAULT, LANGUAGES, words
from thyro_demo.ui.html import html_block, render
from thyro_demo.ui.results import filters


class Page(NamedTuple):
    """A page of the app in one language.

    Attributes
    ----------
    key : str
        What it is in every language; by it `thyro_demo.ui.build` has its builder.
    language : str
        A code of `thyro_demo.ui.catalogue.LANGUAGES`.
    listed : bool
        Whether the navigation leads there; else a page does that is.
    """

    key: str
    language: str = DEFAULT
    listed: bool = True

    @property
    def path(self) -> str:
        """Its address after that of the app, without a slash; "" for the page that opens first."""
        return path(self.key, self.language)

    @property
    def name(self) -> str:
        """Name in the navigation, one word."""
        return self._words["name"]

    @property
    def line(self) -> str:
        """What one does there, in a sentence: under its heading, and where a link is posted."""
        return self._words["line"]

    @property
    def title(self) -> str:
        """What the browser and a posted link call it."""
        return f"ThyroDemo · {self.name}"

    @property
    def _words(self) -> Mapping[str, Any]:
        return words("common", self.language)["pages"][self.key]


KEYS = ("compare", "play", "clinic", "present")
"""In the order of the navigation."""

PAGES = tuple(Page(key, code, listed=key != "present") for code in LANGUAGES for key in KEYS)
"""Language by language, the default one first."""


def path(key: str, code: str) -> str:
    """Return the address of a page in a language, as `Page.path`."""
    # All in one folder, for Gradio's page asks for its scripts beside its own address.
    parts = ("" if code == DEFAULT else code, "" if key == KEYS[0] else key)
    return "-".join(part for part in parts if part)


def at(path: str) -> Page | None:
    """Find the page at a path, such as "/" or "/play"; None where there is none."""
    return next((page for page in PAGES if page.path == path.removeprefix("/")), None)


def head(page: Page) -> None:
    """Lay out the head of a page, inside the ``gr.Blocks`` of the page."""
    html_block(
        masthead(page),
        js_on_load=scripts.NAME_PAGE
        % (json.dumps(page.title, ensure_ascii=False), json.dumps(page.language)),
    )


def masthead(page: Page) -> str:
    """Write heading, navigation, and the link to the same page in each other language."""
    return render(
        "masthead",
        here=page,
        pages=[one for one in PAGES if one.language == page.language],
        others={
            name: page._replace(language=code)
            for code, name in LANGUAGES.items()
            if code != page.language
        },
        scales=filters(),
    )
