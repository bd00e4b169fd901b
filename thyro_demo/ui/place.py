"""Where the app is to be found, and what follows for headers and origins."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

# Gradio's page holds its settings as a script, styles elements one by one and builds the
# functions of `js=` from text.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' data: blob:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)
_UNFRAMED = {
    "Content-Security-Policy": f"{_POLICY}; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}


class Place(NamedTuple):
    """Where a running app is to be found.

    Attributes
    ----------
    pages : tuple of str
        Paths of its pages.
    root : str
        What a proxy in front is known by: a path or a whole address; "" without one.
    link : str
        The public link; "" without one.
    embedded : bool
        Whether a notebook, or a host such as Hugging Face, shows the app in a frame.
    server : str
        Address of this computer that it listens at.
    port : int
        Its port there.
    """

    pages: tuple[str, ...]
    root: str = ""
    link: str = ""
    embedded: bool = False
    server: str = "127.0.0.1"
    port: int = 0

    def hosts(self, headers: Headers) -> set[str]:
        """Collect the hosts, with their ports, whose pages are the app's own."""
        named = {headers.get("host", ""), urlsplit(self.link).netloc, urlsplit(self.root).netloc}
        if self.root:
            # Anybody may send this header; a proxy in front replaces it.
            named.add(headers.get("x-forwarded-host", "").split(",")[0].strip())
        return {host.lower() for host in named if host}

    def frame(self, headers: Headers) -> dict[str, str]:
        """Choose the headers that bind the page, and those that keep it out of frames."""
        # A notebook shows the page in a frame of its own page, whose address nobody knows; in Colab
        # the page does not even know its own.
        local = is_loopback(headers.get("host", ""))
        if not self.root and not self._by_link(headers):
            if local:
                return {"Content-Security-Policy": _POLICY}
            if self.embedded:
                return {}
        return _UNFRAMED

    def is_secure(self, scope: Scope, headers: Headers) -> bool:
        """Check whether the visitor's browser came over https, to the app or to a proxy."""
        outside = scope.get("scheme") == "https" or self.root.startswith("https://")
        return outside or self._by_link(headers)

    def address(self, scope: Scope, headers: Headers) -> str:
        """Return the address of the app as its visitor has it, without a slash at its end."""
        if self.root.startswith("http"):
            return self.root.rstrip("/")
        host = headers.get("host", "")
        if self.root:
            host = headers.get("x-forwarded-host", host).split(",")[0].strip()
        scheme = "https" if self.is_secure(scope, headers) else "http"
        return f"{scheme}://{host}{self.root}".rstrip("/")

    def _by_link(self, headers: Headers) -> bool:
        return bool(self.link) and headers.get("host") == urlsplit(self.link).netloc


def is_loopback(host: str) -> bool:
    """Check whether a host, with a port or without one, is this computer as it calls itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
