"""Where others open the running app: an address, a hint who can reach it, and a QR code."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import segno
from starlette.datastructures import Headers
from starlette.types import Scope

from thyro_demo.errors import ThyroError
from thyro_demo.ui.place import Place, is_loopback

_LONGEST = 300
# Of the block that is kept for documentation: a route is looked up, and nothing is sent.
_ELSEWHERE = ("192.0.2.1", 9)


class Invitation(NamedTuple):
    """What a class is shown.

    Attributes
    ----------
    address : str
        Where the app is.
    reach : str
        Who can open it: "link", everybody; "network", those in the same network; "here", this
        computer alone.
    code : str
        Its QR code, black on white, as the data address of an SVG.
    """

    address: str
    reach: str
    code: str


def invite(place: Place, scope: Scope, headers: Headers) -> Invitation:
    """Choose the address that most can open, and draw its code.

    Parameters
    ----------
    place : Place
        Where the app is.
    scope : dict
        The ASGI scope of the request of whoever invites.
    headers : Headers
        Its headers.

    Returns
    -------
    Invitation
        What to show.

    Raises
    ------
    ThyroError
        If the address is too long for a code that a phone can read.
    """
    address, reach = _reachable(place, place.address(scope, headers))
    if len(address) > _LONGEST:
        raise ThyroError(
            f"An address must have at most {_LONGEST} characters for a QR code. "
            f"Received: {len(address)}."
        )
    code = segno.make(address, error="m", micro=False)
    return Invitation(address, reach, code.svg_data_uri(scale=8, border=4, light="white"))


def _reachable(place: Place, own: str) -> tuple[str, str]:
    if place.link:
        return place.link, "link"
    if not is_loopback(urlsplit(own).netloc):
        return own, "network"
    if is_loopback(place.server) or not (found := _of_this_computer()):
        return own, "here"
    return f"http://{found}:{place.port}{place.root}", "network"


def _of_this_computer() -> str:
    """Return this computer's address in its network; "" where it is in none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        try:
            line.connect(_ELSEWHERE)
        except OSError:
            return ""
        return str(line.getsockname()[0])


def worded(invitation: Invitation, words: Mapping[str, str]) -> dict[str, str]:
    """Write an invitation as a page shows it.

    Parameters
    ----------
    invitation : Invitation
        What to show.
    words : mapping of str to str
        A hint for each `Invitation.reach`, and how the code is described.

    Returns
    -------
    dict of str to str
        Address, hint, code, and what the code is in words.
    """
    return {
        "address": invitation.address,
        "hint": words[invitation.reach],
        "code": invitation.code,
        "described": words["code"].format(address=invitation.address),
    }
