"""Sentences of the rooms below, in the language of the page that shows them.

Refusals, notices, advice and what is known of an example are English where they are made, for
programs and the command line read them, too. ``texts/sentences.yaml`` pairs each with what it is
in the other languages; a sentence that it lacks is shown as it came.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from thyro_demo.ui.catalogue import DEFAULT, current, figure, read, spaced, words

RECEIVED = " Received: "
"""What parts the two halves of a refusal: what must be, and what came instead."""

_FIELD = re.compile(r"\{(\w+)\}")
_GROUPED = re.compile(r"(?<![\w,.])\d{1,3}(?:,\d{3})+(?![\w,.])")
_DECIMAL = re.compile(r"(?<![\w,.])\d+\.\d+(?![\w,.])")


class Pattern(NamedTuple):
    """An English sentence, whose fields stand for any text, and what it is in a language."""

    english: re.Pattern[str]
    other: str


def said(sentence: str) -> str:
    """Write a sentence of another room in the current language.

    Parameters
    ----------
    sentence : str
        English, such as the message of an error.

    Returns
    -------
    str
        The same in the current language, or as it came where nothing is known of it.
    """
    return sentence if current() == DEFAULT else _said(sentence, current())


def _said(sentence: str, code: str) -> str:
    # Not kept for the next time: a sentence can quote what a visitor's file is called.
    table = _table(code)
    rule, parted, came = sentence.partition(RECEIVED)
    if not parted:
        return _found(sentence, table["rules"] + table["words"]) or sentence
    stated = _found(rule, table["rules"])
    if stated is None:
        return sentence
    # What came is quoted as it came, but for what we say of it ourselves.
    value = _found(came, table["received"]) or came
    return words("common")["received"].format(rule=stated, value=value)


def _found(text: str, patterns: tuple[Pattern, ...]) -> str | None:
    for pattern in patterns:
        if found := pattern.english.fullmatch(text):
            return pattern.other.format(
                **{name: _filled(name, value) for name, value in found.groupdict().items()}
            )
    return None


def _filled(name: str, value: str) -> str:
    """Write what fills a field: a word of ours, names that are joined, or figures."""
    if name == "names":
        return value.replace(" and ", f" {words('common')['and']} ")
    if name == "file":
        return value
    if (known := _found(value, _table(current())["words"])) is not None:
        return known
    grouped = _GROUPED.sub(lambda found: found[0].replace(",", "\N{NO-BREAK SPACE}"), value)
    return _DECIMAL.sub(lambda found: figure(found[0]), grouped)


@functools.cache
def _table(code: str) -> dict[str, tuple[Pattern, ...]]:
    return {
        part: tuple(_pattern(row["en"], row[code], code) for row in rows)
        for part, rows in table().items()
    }


def table() -> dict[str, list[dict[str, str]]]:
    """Read the table: "rules", what "received" follows them, and "words" that fill fields."""
    found: dict[str, list[dict[str, str]]] = read("sentences.yaml")
    return found


def _pattern(english: str, other: str, code: str) -> Pattern:
    parts = _FIELD.split(english)
    # Between the texts, which are matched as they are, the names of the fields.
    written = "".join(
        f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts)
    )
    return Pattern(re.compile(written, re.DOTALL), spaced(other) if code == "fr" else other)
