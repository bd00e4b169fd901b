"""The words of the pages, in the language of the page that is laid out or answered.

What a page writes is in ``texts/<language>/``, one file a page and ``common.yaml`` for all of
them, under the same keys in each language. Which language is current is kept beside each task,
so that neither layout nor handlers hand it on: `thyro_demo.ui.build` sets it for a page that is
laid out, `thyro_demo.ui.gate` for one that asks. Where neither did, it is English, as for
programs.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = {"en": "English", "fr": "Français"}
"""By the code of browsers, the name that each language has for itself; the first is the default."""

DEFAULT = next(iter(LANGUAGES))

_TEXTS = Path(__file__).with_name("texts")

# Written in C where PyYAML has it so, as everywhere that it comes as a wheel: ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NO_BREAK = "\N{NO-BREAK SPACE}"
# In French a space stands before some signs and within quotation marks, where no line may break;
# the files have plain ones, which their authors can see and type.
_FRENCH_SPACES = re.compile(r"(?<=\S) (?=[:;?!%»])|(?<=«) |(?<=\d) (?=(?:mm|px|dB|ms|Mo|s)\b)")

_current: ContextVar[str] = ContextVar("language", default=DEFAULT)


@contextlib.contextmanager
def language(code: str) -> Iterator[None]:
    """Make a language of `LANGUAGES` the current one for a while."""
    before = _current.set(code)
    try:
        yield
    finally:
        _current.reset(before)


def current() -> str:
    """Return the code of the current language."""
    return _current.get()


def words(file: str, code: str | None = None) -> Mapping[str, Any]:
    """Return the texts of a file in the current language.

    Parameters
    ----------
    file : str
        Its name without ending, such as "compare".
    code : str, optional
        Another language than the current one.

    Returns
    -------
    mapping of str to object
        Texts by their keys, at any depth; what is in braces is to be filled in.
    """
    return _read(file, code or current())


@functools.cache
def api(name: str) -> str:
    """Return what the API page writes of an endpoint: English, as all that programs read."""
    return read("api.yaml")[name].strip()


def figure(text: str) -> str:
    """Write a rounded number, such as "0.65", with the decimal sign of the current language."""
    return text.replace(".", words("common")["decimal"])


def percent(share: float) -> str:
    """Write a share, 0–1, in whole percent."""
    return words("common")["percent"].format(number=f"{share:.0%}".removesuffix("%"))


def counted(points: int) -> str:
    """Write a number of points, as one or as several, which differs by language."""
    text = words("common")
    number = "point" if str(points) in text["singular"].split() else "points"
    return text[number].format(count=points)


def joined(names: Sequence[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    joint = f" {words('common')['and']} "
    return joint.join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


@functools.cache
def _read(file: str, code: str) -> Mapping[str, Any]:
    texts = read(f"{code}/{file}.yaml")
    return spaced(texts) if code == "fr" else texts


@functools.cache
def read(file: str) -> Any:
    """Read a file of the folder of texts, once."""
    return yaml.load((_TEXTS / file).read_text(encoding="utf-8"), _LOADER)


def spaced(texts: Any) -> Any:
    """Make the spaces of French texts, at any depth, such that no line breaks before a sign."""
    if isinstance(texts, dict):
        return {key: spaced(text) for key, text in texts.items()}
    if isinstance(texts, list):
        return [spaced(text) for text in texts]
    return _FRENCH_SPACES.sub(_NO_BREAK, texts) if isinstance(texts, str) else texts
