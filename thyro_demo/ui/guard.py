"""What every request to the running app passes first, and the headers of every answer."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thyro_demo.ui.catalogue import language
from thyro_demo.ui.jobs import Jobs
from thyro_demo.ui.limits import SESSION_LENGTH, Limits, Refused
from thyro_demo.ui.place import Place
from thyro_demo.ui.redirects import elsewhere, of_page_before
from thyro_demo.ui.sentences import said
from thyro_demo.ui.uploads import private_folder

OF_ANOTHER_SITE = (
    "A request must come from this page or from a program of the user's own. Received: one from "
    "the page of another site."
)
"""The answer to a page elsewhere that uses the browser of a visitor."""

NOT_SERVED = "An address must be one that the page or its client uses. Received: another."
NO_FILE = "A file must be one of the last ten minutes' uploads. Received: another path."
DEFECT = "An answer must not fail like this; it is a defect of ThyroDemo. Received: an error."

QUEUE_FULL = (
    "A job must find a free place in the queue; try again in a few seconds. Received: one more "
    "than there is room for."
)
"""The answer to whoever comes when as many wait as may."""

ONE_WAITS = (
    "A page must wait for its last frame before it asks for the next. Received: one more while "
    "one waits."
)
"""The answer to a page that would fill the queue with frames of its own."""

_API = "/gradio_api"
_FILE = f"{_API}/file="
_UPLOAD, _JOIN, _CALL = f"{_API}/upload", f"{_API}/queue/join", f"{_API}/call/"
_READ, _WRITE = ("GET", "HEAD"), ("POST",)

# All that page, `gradio_client` and a container's question need. Gradio answers at many more
# addresses: proxies, functions of components, streams, deep links, monitoring, code editing.
_SERVED = {
    _READ: re.compile(
        rf"/(config/?|healthz|logout|theme\.css|favicon\.ico|robots\.txt|manifest\.json|preview\.png|"
        rf"(assets|static)/.+)|{_API}/(info/?|app_id/?|startup-events|theme\.css|queue/data|"
        r"upload_progress|heartbeat/[^/]+|call/(v2/)?[^/]+/[^/]+|file=.*)",
        re.DOTALL,
    ),
    _WRITE: re.compile(
        rf"/login/?|{_API}/(upload|queue/join|cancel|reset/?|(run|api|call|call/v2)/[^/]+/?)"
    ),
}
_SCRIPTS = ("/assets/", "/static/")
_CHANGES_STATE = ("/logout",)

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    # The address of a public link is a secret of those who were sent it.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "X-Robots-Tag": "noindex",
}
# An upload that a browser opens by itself is a page without rights, and stays in no cache.
_OF_A_FILE = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# Read and thrown away after a refusal, for a browser reads no answer before it has sent all.
_DRAINED_BYTES, _DRAINED_S = 2**26, 30.0
_QUEUE_WAIT_S = 5.0


@dataclass
class _Visit:
    """A request and what the answer to it has come to."""

    scope: Scope
    headers: Headers
    path: str
    place: Place
    begun: bool = False
    received: bool = False
    came_late: bool = False
    refused: tuple[int, dict[str, str]] | None = None

    @property
    def reads(self) -> bool:
        return self.scope["method"] in _READ

    @property
    def address(self) -> str:
        """Whom the limits are for: a host, or the network that an IPv6 visitor has at home."""
        if "x-forwarded-for" in self.headers and not self.place.root:
            # The server has believed it, but without a proxy in front anybody may write it.
            return "forwarded"
        client = self.scope.get("client")
        host = client[0] if client else ""
        try:
            known = ipaddress.ip_address(host)
        except ValueError:
            return host
        if known.version == 6 and known.ipv4_mapped is None:
            return str(ipaddress.ip_network((known, 64), strict=False))
        return str(known)


class Guard:
    """Refuse what the page does not need, and bound what it may ask.

    Streams pass as they are: only the start of an answer is looked at.

    Parameters
    ----------
    app : ASGIApp
        What all other requests go on to.
    place : callable
        Returns the `Place` of the app at this moment.
    limits : Limits
        Shared by all requests.
    jobs : Jobs
        Those of the app.
    """

    def __init__(
        self,
        app: ASGIApp,
        place: Callable[[], Place],
        limits: Limits,
        jobs: Jobs,
    ) -> None:
        self._app, self._place, self._limits, self._jobs = app, place, limits, jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request in one sentence, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, Headers(scope=scope), path_of(scope), self._place())
        send = functools.partial(_add_headers, visit, send)
        query = scope.get("query_string", b"").decode("latin-1")
        if visit.reads and (to := elsewhere(visit.path, query, visit.headers, visit.place)):
            await RedirectResponse(to)(scope, receive, send)
            return
        try:
            _check_route(visit)
            _check_site(visit)
            _check_file(visit)
            self._check_rates(visit)
            if visit.path == _UPLOAD:
                await self._take_upload(visit, receive, send)
            else:
                limit = self._limits.answer_s
                receive = await self._body(visit, receive)
                await self._within(limit, visit, receive, functools.partial(_reword, visit, send))
        except Refused as refusal:
            if visit.begun:
                raise
            if refusal.status != 408:
                await _drain(visit, receive)
            await _answer(visit, refusal)(scope, receive, send)
        except Exception:
            if not visit.begun:
                await PlainTextResponse(DEFECT, 500)(scope, receive, send)
            raise

    def _check_rates(self, visit: _Visit) -> None:
        if visit.path.startswith(_SCRIPTS):
            return
        self._limits.address.take(visit.address)
        if not visit.reads and visit.path.startswith((_JOIN, _CALL)) and self._jobs.are_full():
            # Gradio's own answer (503) would reach the reader as a sentence of Gradio's.
            raise Refused(429, QUEUE_FULL, _QUEUE_WAIT_S)
        if visit.path == _UPLOAD:
            self._limits.uploads.take(visit.address)
        elif visit.path.rstrip("/") == "/login":
            self._limits.logins.take(visit.address)

    async def _body(self, visit: _Visit, receive: Receive) -> Receive:
        """Wait for a small body, count it for its session, and hand it on."""
        if visit.reads:
            return receive
        limit, body = self._limits.body_bytes, bytearray()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while not visit.received:
                    message = await receive()
                    body += message.get("body", b"")
                    visit.received = not message.get("more_body", False)
                    if len(body) > limit:
                        raise Refused(
                            413,
                            f"A request without files must be at most {limit:,} bytes. "
                            "Received: more.",
                        )
        except TimeoutError:
            raise _too_slow(visit, self._limits.body_s) from None
        if visit.path == _JOIN:
            self._check_job(bytes(body))
        first = [bytes(body)]

        async def replay() -> Message:
            return {"type": "http.request", "body": first.pop()} if first else await receive()

        return replay

    def _check_job(self, body: bytes) -> None:
        """Count a job for its session; of those for many frames a second one at most waits."""
        session, function = _job(body)
        if not session:
            return
        if not self._jobs.is_live(function):
            self._limits.session.take(session)
            return
        self._limits.live.take(session)
        if self._jobs.has_live(session):
            raise Refused(429, ONE_WAITS, 1)

    async def _take_upload(self, visit: _Visit, receive: Receive, send: Send) -> None:
        """Pass an upload on, as long as there is room for it."""
        limits, quota = self._limits, self._limits.quota
        declared = visit.headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else limits.upload_bytes
        largest = f"{limits.upload_bytes / 2**20:.0f} MB"
        over = Refused(413, f"An upload must be at most {largest}. Received: a larger one.")
        if size > limits.upload_bytes:
            raise over
        quota.count(visit.address, 0)
        await quota.begin(size, private_folder())
        come = 0

        async def counted() -> Message:
            nonlocal come
            message = await receive()
            piece = len(message.get("body", b""))
            come += piece
            visit.received = not message.get("more_body", False)
            try:
                if come > limits.upload_bytes:
                    raise over
                quota.count(visit.address, piece)
            except Refused as refusal:
                # Gradio removes what it has of the files, and answers with the sentence.
                visit.refused = refusal.status, refusal.headers
                await _drain(visit, receive)
                raise
            return message

        try:
            await self._within(limits.upload_s, visit, counted, send)
        finally:
            quota.end(size)

    async def _within(self, limit: float, visit: _Visit, receive: Receive, send: Send) -> None:
        """Pass a request on, unless its answer does not begin in time."""
        begun = asyncio.Event()

        async def noted(message: Message) -> None:
            if refused:
                # Its thread went on working, for nobody any more.
                return
            begun.set()
            await send(message)

        refused: list[Refused] = []
        work = asyncio.ensure_future(self._app(visit.scope, receive, noted))
        start = asyncio.ensure_future(begun.wait())
        try:
            await asyncio.wait({work, start}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if work.done() or begun.is_set():
                await work
                return
            refused.append(_too_slow(visit, limit))
            raise refused[0]
        finally:
            start.cancel()
            work.cancel()
            work.add_done_callback(_forget)
            # Else an error would keep, by way of this frame, itself and the files of its request.
            del work


def _forget(work: asyncio.Future[None]) -> None:
    """Look at how work has ended that nobody waits for; else asyncio complains."""
    if not work.cancelled():
        work.exception()


def path_of(scope: Scope) -> str:
    """Remove from a path what a proxy in front has added, as the app's own router does."""
    path, root = scope["path"], scope.get("root_path", "")
    return path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else path


def _check_route(visit: _Visit) -> None:
    if visit.reads and visit.path in ("", "/", *visit.place.pages):
        return
    for methods, paths in _SERVED.items():
        if visit.scope["method"] in methods and paths.fullmatch(visit.path):
            return
    raise Refused(404, NOT_SERVED)


def _check_site(visit: _Visit) -> None:
    """Refuse what the page of another site sends, or wants to read, through a browser."""
    # Browsers report in `Sec-Fetch-Site` whose page asks, or only in `Origin` if they are old;
    # neither can be written by a page. Programs send neither.
    site = visit.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    harmless = visit.reads and visit.path not in _CHANGES_STATE
    if site == "cross-site" and not harmless:
        raise Refused(403, OF_ANOTHER_SITE)
    source = visit.headers.get("origin")
    if source is None and not harmless:
        source = visit.headers.get("referer")
    # An origin that is hidden ("null") has no host.
    if source is not None and _host_of(source) not in visit.place.hosts(visit.headers):
        raise Refused(403, OF_ANOTHER_SITE)


def _check_file(visit: _Visit) -> None:
    """Refuse all but uploads, in the same words whatever is there."""
    if not visit.path.startswith(_FILE):
        return
    try:
        path = Path(visit.path.removeprefix(_FILE)).resolve()
        if private_folder().resolve() in path.parents and path.is_file():
            return
    except (OSError, RuntimeError, ValueError):
        # Too long, a circle of links, or a null byte.
        pass
    raise Refused(403, NO_FILE)


async def _add_headers(visit: _Visit, send: Send, message: Message) -> None:
    """Add the headers to an answer that begins."""
    if message["type"] == "http.response.start":
        visit.begun = True
        status, further = visit.refused or (message["status"], {})
        message["status"] = status
        headers = MutableHeaders(scope=message)
        headers.update(_EVERYWHERE | visit.place.frame(visit.headers))
        if visit.path.startswith(_FILE):
            headers.update(_OF_A_FILE)
        headers.update(further)
        if "X-Frame-Options" in headers:
            secure = visit.place.is_secure(visit.scope, visit.headers)
            message["headers"] = [
                (name, _own_cookie(value, secure) if name.lower() == b"set-cookie" else value)
                for name, value in message["headers"]
            ]
    await send(message)


def _own_cookie(cookie: bytes, secure: bool) -> bytes:
    """Keep a cookie to this site, out of the reach of scripts, and on https where it began so."""
    # Gradio lets pages of all sites send its own, for frames; ours is in none by then.
    parts = [part.strip() for part in cookie.decode("latin-1").split(";")]
    plain = [part for part in parts if not re.match(r"(?i)samesite|httponly$", part)]
    if secure and not any(part.lower() == "secure" for part in plain):
        plain.append("Secure")
    return "; ".join([*plain, "HttpOnly", "SameSite=Lax"]).encode("latin-1")


async def _reword(visit: _Visit, send: Send, message: Message) -> None:
    """Answer in our words where Gradio finds the queue full: others were quicker."""
    is_start = message["type"] == "http.response.start"
    if is_start and message["status"] == 503 and visit.path.startswith((_JOIN, _CALL)):
        visit.came_late = True
    if not visit.came_late:
        await send(message)
    elif not is_start and not message.get("more_body", False):
        answer = _answer(visit, Refused(429, QUEUE_FULL, _QUEUE_WAIT_S))
        await answer({"type": "http"}, _nothing, send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _drain(visit: _Visit, receive: Receive) -> None:
    """Read on after a refusal, within bounds."""
    left = _DRAINED_BYTES
    try:
        async with asyncio.timeout(_DRAINED_S):
            while not (visit.received or visit.reads) and left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                visit.received = not message.get("more_body", False)
    except TimeoutError:
        return


def _answer(visit: _Visit, refusal: Refused) -> Response:
    """Write a refusal in the form that its reader shows: the page reads jobs as JSON."""
    with language(of_page_before(visit.headers)):
        sentence = said(refusal.sentence)
    if visit.path == _JOIN:
        return JSONResponse({"detail": sentence}, refusal.status, refusal.headers)
    return PlainTextResponse(sentence, refusal.status, refusal.headers)


def _too_slow(visit: _Visit, limit: float) -> Refused:
    if visit.reads or visit.received:
        return Refused(503, f"An answer must begin within {limit:g} s. Received: none.", limit)
    return Refused(408, f"A request must come within {limit:g} s. Received: a part of one.")


def _job(body: bytes) -> tuple[str, object]:
    """Read the session that a page made up for itself, and which handler it asks."""
    try:
        job = json.loads(body)
        session, function = job["session_hash"], job.get("fn_index")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", None
    return (session[:SESSION_LENGTH] if isinstance(session, str) else ""), function


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return ""
