"""A link to the app, posted anywhere, shows its own title, sentence and picture."""

import io
import re

import httpx
import pytest
from PIL import Image

from thyro_demo.ui import preview
from thyro_demo.ui.place import Place


@pytest.fixture(scope="module")
def page(served) -> httpx.Response:
    return httpx.get(served[0], trust_env=False)


def named(page: httpx.Response) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, content in re.findall(
        r'<meta\s+(?:property|name)="([\w:]+)"\s+content="([^"]*)"', page.text
    ):
        found.setdefault(name, []).append(content)
    return found


def test_the_head_of_the_page_is_our_own_and_said_once(page, served):
    found = named(page)
    assert "<title>ThyroDemo" in page.text
    for name in ("og:title", "og:description", "og:image", "og:url", "twitter:card"):
        assert len(found[name]) == 1
    assert found["og:title"][0].startswith("ThyroDemo")
    assert "never a diagnosis" in found["og:description"][0]
    assert found["og:image"] == [f"{served[0]}preview.png"]
    assert "Gradio" not in " ".join(content for one in found.values() for content in one)
    assert "githubusercontent" not in page.text.partition("</head>")[0].partition("<script")[0]


def test_the_picture_is_drawn_from_phantoms_at_the_size_that_is_promised(page, served):
    answer = httpx.get(named(page)["og:image"][0], trust_env=False)
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == preview.SIZE
    assert named(page)["og:image:width"] == [str(preview.SIZE[0])]


def test_the_icon_is_our_own(served):
    answer = httpx.get(f"{served[0]}favicon.ico", trust_env=False)
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "#0f6b74" in answer.text


@pytest.mark.parametrize(
    ("place", "headers", "address"),
    [
        (Place(("/",)), {"host": "127.0.0.1:7860"}, "http://127.0.0.1:7860"),
        (Place(("/",), link="https://a.gradio.live"), {"host": "a.gradio.live"},
         "https://a.gradio.live"),
        (Place(("/",), "https://example.org/thyro"), {"host": "inside"},
         "https://example.org/thyro"),
        (Place(("/",), "/thyro"), {"host": "inside", "x-forwarded-host": "example.org"},
         "http://example.org/thyro"),
    ],
)  # fmt: skip
def test_addresses_are_those_that_the_visitor_has(place, headers, address):
    assert place.address({"scheme": "http"}, headers) == address
