"""The models on offer: networks before what is made of them, without those that are damaged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from thyro_demo.bundle.manifest import KINDS
from thyro_demo.engine import Engine
from thyro_demo.errors import ThyroError
from thyro_demo.ui.catalogue import joined
from thyro_demo.ui.html import message
from thyro_demo.ui.sentences import said

NO_BUNDLE = (
    "A comparison needs at least one bundle; train one, or start the app with --weights FOLDER. "
    "Received: none."
)

_NO_CARD = "A model card must be a text in UTF-8 that can be read. Received: another file."
_WITHOUT_CARD = "This bundle came without a model card."


@dataclass(frozen=True)
class OfferedModels:
    """Models and their display names.

    Attributes
    ----------
    titles : dict of str to str
        Display name of each model, in the order of the page.
    need_mark : list of str
        The models that read a marked nodule.
    refused : list of str
        One sentence for each bundle that cannot be offered.
    """

    titles: dict[str, str]
    need_mark: list[str]
    refused: list[str]

    @classmethod
    def of(cls, engine: Engine) -> OfferedModels:
        """Collect the bundles of an engine; one that is damaged must not stop all."""
        found, refused = [], []
        for name in engine.names():
            try:
                found.append((name, engine.title(name), engine.kind(name)))
            except ThyroError as error:
                refused.append(str(error))
        found.sort(key=lambda one: KINDS.index(one[2]))
        titles = {name: title for name, title, _ in found}
        return cls(titles, [name for name, _, kind in found if kind == "roi"], refused)

    @property
    def ticked(self) -> list[str]:
        """The models that are chosen when the page opens."""
        return [name for name in self.titles if name not in self.need_mark]

    def chosen(self, names: Any) -> list[str]:
        """Check names that a page or a program sent.

        Parameters
        ----------
        names : list of str
            Of any order.

        Returns
        -------
        list of str
            Each once, in the order of the page.

        Raises
        ------
        ThyroError
            If there is none, or one that is not on offer.
        """
        if names is None or names == []:
            raise ThyroError(
                "Choose at least one model. Received: none." if self.titles else NO_BUNDLE
            )
        if not isinstance(names, list) or any(name not in [*self.titles] for name in names):
            raise ThyroError(
                f"Models must be a list of names out of {', '.join(self.titles)}. "
                f"Received: models={str(names)[:80]}."
            )
        return [name for name in self.titles if name in names]

    @property
    def marked_titles(self) -> str:
        """Display names of the models that read a marked nodule, joined for a sentence."""
        return joined([self.titles[name] for name in self.need_mark])

    def message(self) -> str:
        """Write what keeps a bundle, or all of them, from being offered."""
        sentences = self.refused if self.titles or self.refused else [NO_BUNDLE]
        return "".join(message(sentence) for sentence in sentences)


def card(engine: Engine, name: str) -> str:
    """Read a model card without its YAML head; a damaged one must not keep the page closed."""
    try:
        text = engine.card(name)
    except (OSError, UnicodeDecodeError):
        return said(_NO_CARD)
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return body or said(_WITHOUT_CARD)
