"""Where a page is that is asked for in another way, and in which language it is answered.

Only the addresses of pages are looked at, and only where a browser reports what it prefers: a
program that asks for one gets what it asked for.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from thyro_demo.ui import pages
from thyro_demo.ui.catalogue import DEFAULT, LANGUAGES
from thyro_demo.ui.place import Place

COOKIE = "thyro-language"
"""What the switch of the pages leaves in the browser; see `thyro_demo.ui.scripts.NAME_PAGE`."""

_CHOICE = re.compile(r"\s*([a-z]+)(?:-[a-z0-9-]+)?\s*(?:;\s*q\s*=\s*([01](?:\.\d*)?)\s*)?", re.I)


def elsewhere(path: str, query: str, headers: Headers, place: Place) -> str:
    """Find where a page is that is asked for in another way.

    Parameters
    ----------
    path : str
        What is asked for, without what a proxy in front has added.
    query : str
        What follows "?".
    headers : Headers
        Those of the request.
    place : Place
        Where the app is.

    Returns
    -------
    str
        An address relative to `path`, so that it holds below a proxy's path as well; "" where
        `path` is to be answered itself.
    """
    after = f"?{query}" if query else ""
    page = path.removesuffix("/")
    if page != path and page in place.pages:
        return f"..{page}{after}"
    if path == "/" and parse_qs(query).get("present") == ["1"]:
        return "./present"
    asked = pages.at(path) if path else None
    # Every other language has addresses of its own: who asks for one of those has chosen.
    if asked is None or asked.language != DEFAULT or _comes_from(place, headers):
        return ""
    preferred = _preferred(headers)
    return "" if preferred == DEFAULT else f"./{pages.path(asked.key, preferred)}{after}"


def of_page_before(headers: Headers) -> str:
    """Return the language of the page that sent a request; the default one for programs."""
    path = urlsplit(headers.get("referer", "")).path
    # Below a proxy's path as well.
    page = pages.at(path.rpartition("/")[2])
    return DEFAULT if page is None else page.language


def _comes_from(place: Place, headers: Headers) -> bool:
    """Check whether a link of a page of ours is followed, whose language is to stay."""
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    return urlsplit(headers.get("referer", "")).netloc.lower() in place.hosts(headers)


def _preferred(headers: Headers) -> str:
    """Return the language that was chosen on a page, else the one that the browser asks for."""
    chosen = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    weights: dict[str, float] = {}
    for part in headers.get("accept-language", "").split(","):
        found = _CHOICE.fullmatch(part)
        if found and (code := found[1].lower()) in LANGUAGES:
            weights[code] = max(float(found[2] or 1), weights.get(code, 0))
    # Of equals the first that is named: dictionaries and `max` keep the order.
    wanted = [code for code, weight in weights.items() if weight]
    return max(wanted, key=weights.__getitem__, default=DEFAULT)
