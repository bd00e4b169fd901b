"""The lecture set stays as it was printed on the slides."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from thyro_demo.course.lecture import CASES, link, slug, table
from thyro_demo.data import phantom
from thyro_demo.ui.examples import collect

PAGE = Path(__file__).resolve().parents[2] / "notebooks" / "README.md"
DRAWN = [case for case in CASES if case.label != "not ultrasound"]


def test_each_case_is_offered_by_the_app_and_has_an_address_of_its_own(tmp_path):
    offered = [example.name for example in collect(tmp_path / "absent")]
    assert {case.name for case in CASES} <= set(offered)
    assert len({slug(name) for name in offered}) == len(offered)


@pytest.mark.parametrize("case", DRAWN, ids=lambda case: case.slug)
def test_a_drawn_case_is_what_it_was(case):
    drawn = phantom.example(case.name)
    assert (drawn.label, drawn.points) == (case.label, case.points)


def test_a_link_names_the_case_behind_any_base():
    for base in ("http://127.0.0.1:7860", "https://abc.gradio.live/"):
        address = urlsplit(link(base, CASES[0]))
        assert address.path == "/"
        assert parse_qs(address.query) == {"case": ["spongiform"]}


def test_a_name_in_an_address_needs_no_quoting():
    assert slug("Scanner's text, around (the) scan!") == "scanner-s-text-around-the-scan"


def test_the_lecturers_page_lists_the_set():
    text = PAGE.read_text(encoding="utf-8")
    listed = text.partition("<!-- table: cases -->\n")[2].partition("\n<!-- end -->")[0]
    assert listed == table()
