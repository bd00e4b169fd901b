"""What a link to the app looks like where it is posted: a title, a sentence, and a picture.

Gradio's page names Gradio there, and a picture on a host of Gradio's.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thyro_demo.data import phantom
from thyro_demo.ui import pages
from thyro_demo.ui.catalogue import DEFAULT, LANGUAGES, language, words
from thyro_demo.ui.guard import path_of
from thyro_demo.ui.html import render
from thyro_demo.ui.place import Place

SIZE = 1200, 630
"""Width and height of the picture, in pixels, as the sites that show it ask for."""

_FRAMES = ("Spongiform", "Very hypoechoic, taller than wide", "Macrocalcification with shadow")
_GROUND, _INK, _QUIET = "#0e161a", "#e6eef1", "#9db0b9"

_LANGUAGE = re.compile(rb'(?<=\s)lang="en"')
_FOREIGN = re.compile(rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*')


class Preview:
    """Replace what the pages name of Gradio by what they are.

    Parameters
    ----------
    app : ASGIApp
        What answers.
    place : callable
        Returns the `Place` of the app at this moment.
    """

    def __init__(self, app: ASGIApp, place: Callable[[], Place]) -> None:
        self._app, self._place = app, place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the head of a page; pass everything else on as it is."""
        place = self._place()
        asked = scope["type"] == "http" and scope["method"] == "GET"
        shown = pages.at(path_of(scope)) if asked else None
        if shown is None:
            await self._app(scope, receive, send)
            return
        address = place.address(scope, Headers(scope=scope))
        with language(shown.language):
            posted = words("common")["posted"]
            head = render(
                "preview",
                page=shown,
                description=f"{shown.line} {posted['purpose']}",
                address=address,
                picture="preview.png" + ("" if shown.language == DEFAULT else f"?{shown.language}"),
                alt=posted["described"],
                size=SIZE,
            )
        page = bytearray()
        start: Message = {}

        async def rewritten(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            page.extend(message.get("body", b""))
            if message.get("more_body", False):
                return
            body = _FOREIGN.sub(b"", bytes(page)).replace(b"<head>", b"<head>\n" + head.encode(), 1)
            body = _LANGUAGE.sub(b'lang="%s"' % shown.language.encode(), body, 1)
            MutableHeaders(scope=start)["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, rewritten)


def serve(request: Request) -> Response:
    """Answer with the picture, in the language that the query names."""
    code = request.url.query
    picture = draw(code if code in LANGUAGES else DEFAULT)
    return Response(picture, media_type="image/png", headers={"Cache-Control": "max-age=86400"})


@functools.cache
def draw(code: str = DEFAULT) -> bytes:
    """Draw three phantoms and the name of the app, as a PNG file.

    Parameters
    ----------
    code : str, optional
        Language of the words.

    Returns
    -------
    bytes
        A picture of `SIZE`.
    """
    picture = Image.new("RGB", SIZE, _GROUND)
    width, height, gap = 352, 264, 36
    for place, name in enumerate(_FRAMES):
        frame = Image.fromarray(phantom.example(name).rgb).resize((width, height))
        picture.paste(frame, (gap + place * (width + gap), 72))
    write = ImageDraw.Draw(picture)
    write.text((gap, 376), "ThyroDemo", _INK, ImageFont.load_default(84))
    lines = words("common", code)["posted"]["picture"]
    write.text((gap, 484), lines, _QUIET, ImageFont.load_default(31), spacing=10)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
