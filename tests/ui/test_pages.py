"""Every page of the app is served under its own address, with a head and a name of its own."""

import html
import re
from urllib.parse import urljoin

import httpx
import pytest

from thyro_demo.ui.catalogue import words
from thyro_demo.ui.pages import PAGES, at, masthead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_served_and_posted_under_its_own_name(served, page):
    answer = httpx.get(f"{served[0]}{page.path}", trust_env=False)
    assert answer.status_code == 200
    assert answer.text.count(f"<title>{page.title}</title>") == 1
    assert f'<meta property="og:url" content="{served[0]}{page.path}">' in answer.text
    purpose = words("common", page.language)["posted"]["purpose"]
    assert f'content="{page.line} {purpose}"' in html.unescape(answer.text)


@pytest.mark.parametrize("place", ["http://127.0.0.1:7860/", "https://example.org/thyro/"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_navigation_leads_to_every_page_wherever_the_app_is(page, place):
    head = masthead(page)
    found = re.findall(r'<a href="([^"]*)"( aria-current="page")?>([^<]*)</a>', head)
    # The page that opens first has no name of its own in its address.
    assert [(urljoin(place + page.path, to), bool(here), name) for to, here, name in found] == [
        (place + one.path, one == page, one.name)
        for one in PAGES
        if one.listed and one.language == page.language
    ]


def test_the_first_page_is_found_with_and_without_a_slash():
    assert at("") == at("/") == PAGES[0]
    assert at("/none") is None
