"""What a designer would measure, at every width: edges, words, targets for a finger, contrast."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOOK = Path(__file__).with_name("look.js").read_text(encoding="utf-8")
# Each term that is shown whose bubble does not open, or not within the window.
BUBBLES_BEYOND = """() => [...document.querySelectorAll('.thyro-term')]
  .filter((term) => term.checkVisibility()).map((term) => {
    term.focus();
    const bubble = term.querySelector('.thyro-tip') ?? document.querySelector('[data-tip]');
    const box = bubble.getBoundingClientRect();
    const open = bubble.checkVisibility({visibilityProperty: true});
    term.blur();
    return open && box.left >= 0 && box.right <= innerWidth ? '' : term.innerText;
  }).filter(Boolean)"""
WIDTHS = (390, 640, 768, 1024, 1280, 1920)


@pytest.fixture(scope="module")
def page(opened, served_every_kind) -> Iterator:
    """Open one page for all tests of this file, with results."""
    for page in opened(served_every_kind[0], 1280, 900):
        page.locator("[data-example]").nth(1).click()
        playwright.expect(page.locator(".thyro-tile")).to_have_count(3)
        playwright.expect(page.locator(".thyro-busy")).to_have_count(0)
        page.locator("#thyro-poke label").first.click()
        playwright.expect(page.locator("#thyro-poked .thyro-verdict")).to_be_visible()
        yield page


def faults(page, kind: str, least: float = 0.0) -> list[str]:
    """List what is wrong, in each tab where the page has them."""
    tabs = [tab for tab in page.locator("#thyro-tabs button").all() if tab.is_visible()]
    found = []
    for tab in tabs or [None]:
        if tab is not None:
            tab.click()
        found += page.evaluate(f"(least) => {LOOK}.{kind}(least)", least)
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_runs_off_its_card_and_no_word_is_broken(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function("(width) => window.innerWidth === width", arg=width)
    assert faults(page, "beyond") == []
    assert faults(page, "broken") == []


@pytest.mark.parametrize("width", [390, 1280])
def test_every_target_is_large_enough_for_a_finger(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function("(width) => window.innerWidth === width", arg=width)
    assert faults(page, "targets", 44) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground_in_every_state(page, scheme):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate(f"document.body.classList.toggle('dark', {str(scheme == 'dark').lower()})")
    # Else colours on their way from the one to the other would be measured.
    page.add_style_tag(content="*, *::before { transition: none !important; }")
    found = {"results": faults(page, "contrast", 4.5)}
    for target in ("#thyro-compare", "#thyro-reset", "[data-example]", "#thyro-models label"):
        page.locator(target).first.hover()
        found[f"over {target}"] = faults(page, "contrast", 4.5)
    page.get_by_label("VGG-16", exact=True).uncheck()
    playwright.expect(page.locator("#thyro-stale .thyro-message")).to_be_visible()
    found["stale"] = faults(page, "contrast", 4.5)
    for box in page.locator("#thyro-models input").all():
        box.uncheck()
    page.click("#thyro-compare")
    playwright.expect(page.locator("#thyro-message [role=alert]")).to_be_visible()
    found["refused"] = faults(page, "contrast", 4.5)
    page.locator("#thyro-models input").first.check()
    page.locator("#thyro-models input").nth(2).check()
    page.locator("[data-example]").last.click()
    playwright.expect(page.locator(".thyro-notice")).to_be_visible()
    found["notice"] = faults(page, "contrast", 4.5)
    assert {state: texts for state, texts in found.items() if texts} == {}


def test_a_longer_language_fits_as_well(opened, served_every_kind):
    for page in opened(f"{served_every_kind[0]}fr", 1280, 900, locale="fr-FR"):
        page.locator("[data-example]").nth(1).click()
        playwright.expect(page.locator(".thyro-tile")).to_have_count(3)
        playwright.expect(page.locator(".thyro-busy")).to_have_count(0)
        page.locator("#thyro-poke label").first.click()
        playwright.expect(page.locator("#thyro-poked .thyro-verdict")).to_be_visible()
        check_widths(page)
        check_bubbles(page)
        for path, shows in (("fr-play", "#thyro-play"), ("fr-clinic", "[data-tables]"),
                            ("fr-present", "[data-question]")):  # fmt: skip
            page.goto(f"{served_every_kind[0]}{path}")
            page.wait_for_selector(shows)
            check_widths(page)
            if path != "fr-present":
                check_bubbles(page)


def test_every_bubble_opens_within_the_window(page, opened, served_every_kind):
    check_bubbles(page)
    for path, shows in (("play", "#thyro-play .thyro-term"), ("clinic", "[data-term]")):
        for other in opened(f"{served_every_kind[0]}{path}", 1280, 900, shows=shows):
            check_bubbles(other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_box_of_the_true_outline_is_seen_ticked_and_not(page, scheme):
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("[data-example]").nth(1).click()
    playwright.expect(page.locator(".thyro-truth-toggle")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate(f"document.body.classList.toggle('dark', {str(scheme == 'dark').lower()})")
    page.add_style_tag(content="*, *::before { transition: none !important; }")
    page.click("#thyro-tabs [data-tab=maps]")
    box = page.locator(".thyro-truth-toggle input")
    drawn = {}
    for ticked in (False, True):
        box.set_checked(ticked)
        page.mouse.move(1, 1)
        with Image.open(io.BytesIO(box.screenshot())) as shot:
            drawn[ticked] = np.asarray(shot.convert("L"), float)
        assert np.ptp(drawn[ticked]) > 60
    assert np.abs(drawn[True] - drawn[False]).mean() > 20
    box.uncheck()


def check_bubbles(page) -> None:
    for width in (1280, 768, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_function("(width) => window.innerWidth === width", arg=width)
        tab = page.locator("#thyro-tabs [data-tab=scores]")
        if tab.count() and tab.is_visible():
            tab.click()
        assert page.locator(".thyro-term:visible").count() > 2
        assert page.evaluate(BUBBLES_BEYOND) == []


def check_widths(page) -> None:
    for width in (1280, 768, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("(width) => window.innerWidth === width", arg=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for kind in ("beyond", "broken"):
            assert faults(page, kind) == []
        assert faults(page, "targets", 44) == []


def test_the_measures_find_what_they_look_for(page):
    """Else a page without text would pass them all."""
    assert len(faults(page, "contrast", 30)) > 40
    assert len(faults(page, "targets", 2000)) > 20
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("window.innerWidth === 390")
    page.add_style_tag(
        content=".thyro-card table { width: 900px !important; display: table !important }"
        ".thyro-example span { word-break: break-all; font-size: 40px !important }"
    )
    assert faults(page, "beyond")
    assert faults(page, "broken")
