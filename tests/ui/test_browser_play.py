"""The playground in headless Chromium: what follows a slider, a link, and two that are kept."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOOK = Path(__file__).with_name("look.js").read_text(encoding="utf-8")
DESK, PHONE = (1280, 900), (390, 844)
ROWS = "[data-scores] li"


@pytest.fixture
def page(request, opened, served_every_kind) -> Iterator:
    """Open the page at the size of a desk or a phone."""
    size = getattr(request, "param", DESK)
    address = f"{served_every_kind[0]}play"
    yield from opened(address, *size, touch=size == PHONE, shows=ROWS)


desk_and_phone = pytest.mark.parametrize(
    "page", [DESK, PHONE], ids=["desk", "phone"], indirect=True
)


def move(page, key: str, value: float) -> None:
    """Move a slider as a finger does, without a key."""
    page.locator(f"input[type=range][data-key={key}]").evaluate(
        "(slider, to) => { slider.value = to; slider.dispatchEvent(new Event('input', "
        "{bubbles: true})); }",
        value,
    )


@pytest.mark.parametrize("page", [PHONE], ids=["phone"], indirect=True)
@pytest.mark.parametrize("from_top", [2, 22, 42])
def test_a_slider_is_hit_by_a_finger_anywhere_in_44_pixels(page, from_top):
    slider = page.locator("input[type=range][data-key=gain]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box["height"] >= 44
    page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + from_top)
    page.wait_for_function("Number(document.querySelector('[data-key=gain]').value) > 8")


def frame(page) -> str:
    return page.locator(".thyro-play-frame .thyro-image").evaluate(
        "(one) => one.style.getPropertyValue('--thyro-frame')"
    )


def asked_all(page, columns: int) -> None:
    """Wait until every network has answered along the feature."""
    playwright.expect(page.locator("[data-strip-note]")).to_contain_text("Touch a column")
    playwright.expect(page.locator("[data-strip-table] tbody tr")).to_have_count(columns)
    playwright.expect(page.locator("[data-strip-table] tbody")).not_to_contain_text("…")


@desk_and_phone
def test_frame_score_points_and_strip_follow_the_slider(page):
    before, score = frame(page), page.locator(ROWS).first.inner_text()
    playwright.expect(page.locator("[data-total]")).to_have_text("4 points")
    move(page, "gain", 12)
    move(page, "echogenicity", 3)
    playwright.expect(page.locator("[data-total]")).to_have_text("5 points")
    playwright.expect(page.locator("[data-points=echogenicity]")).to_have_text("+3")
    asked_all(page, 6)
    assert frame(page) != before
    assert page.locator(ROWS).first.inner_text() != score
    playwright.expect(page.locator("[data-strip-title]")).to_contain_text("echogenicity?")
    # A line for each network and the ensemble, and one for the label.
    playwright.expect(page.locator("[data-plot] g")).to_have_count(5)
    playwright.expect(page.locator("[data-plot]")).to_contain_text("Model score (0–1)")
    # The head that is drawn, and its threshold, for each network.
    playwright.expect(page.locator("[data-plot] .thyro-threshold")).to_have_count(4)
    legend = page.locator("[data-strip-legend] li")
    playwright.expect(legend.first).to_contain_text("Softmax, threshold 0.42")

    pointer = page.locator("[data-do=below]")
    if page.viewport_size["width"] < 960:
        pointer.click()
        playwright.expect(page.locator("[data-strip-title]")).to_be_in_viewport()
    else:
        playwright.expect(pointer).to_be_hidden()
    page.locator("[data-plot] .thyro-column").first.click()
    playwright.expect(page.locator("[data-strip-read]")).to_contain_text("hyperechoic: ")
    playwright.expect(page.locator("[data-value=echogenicity]")).to_have_text("hyperechoic")
    playwright.expect(page.locator("[data-total]")).to_have_text("3 points")
    asked_all(page, 6)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_another_network_leaves_no_hole_in_a_strip_that_runs(page):
    # Networks of a real size answer no quicker.
    slow = {"offline": False, "latency": 400, "downloadThroughput": -1, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    move(page, "echogenicity", 3)
    # It runs, and has some of its answers.
    rows = page.locator("[data-strip-table] tbody tr")
    playwright.expect(rows.first).not_to_contain_text("…")
    playwright.expect(rows.last).to_contain_text("…")
    before = page.locator(ROWS).first.inner_text()
    # Changed while an answer for the strip is under way, which it has no reason to drop.
    page.evaluate(
        "() => { const network = document.querySelector('[data-key=network]:not(:checked)');"
        "if (network.options) network.selectedIndex = 1; else network.checked = true;"
        "network.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    asked_all(page, 6)
    assert page.locator(ROWS).first.inner_text() != before
    page.wait_for_function("new URLSearchParams(location.search).has('echogenicity')")


def test_the_threshold_of_a_line_is_the_one_that_the_page_compare_shows(
    page, served_every_kind, monkeypatch
):
    engine = served_every_kind[1]
    predict = engine._predict
    # It is rounded to the even digit, which a browser would not do.
    monkeypatch.setattr(
        engine, "_predict", lambda *asked: dataclasses.replace(predict(*asked), threshold=0.125)
    )
    move(page, "gain", 12)
    asked_all(page, 7)
    playwright.expect(page.locator("[data-strip-legend] li").first).to_contain_text(
        "Softmax, threshold 0.12"
    )
    assert "0.13" not in page.locator("[data-strip-legend]").inner_text()


def test_many_moves_are_answered_with_the_newest_and_without_a_backlog(page):
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "queue/join" in sent.url else None)
    # In one go: no host answers as quickly as these come.
    page.locator("input[type=range][data-key=size]").evaluate(
        "(slider) => { for (let to = 4; to <= 40; to += 1) { slider.value = to; "
        "slider.dispatchEvent(new Event('input', {bubbles: true})); } }"
    )
    playwright.expect(page.locator("[data-value=size]")).to_have_text("40 mm")
    asked_all(page, 7)
    # All but the newest that come while a frame is under way are never asked for.
    assert len(asked) <= 2 + 7


def test_a_link_opens_the_same_frame_and_a_hostile_one_is_refused(page, served_every_kind):
    move(page, "seed", 42)
    page.get_by_label("bright points").check()
    page.get_by_label("VGG-16").check()
    playwright.expect(page.locator("[data-lead]")).to_contain_text("VGG-16")
    asked_all(page, 5)
    state = parse_qs(urlsplit(page.url).query)
    assert (state["seed"], state["foci"], state["network"]) == (["42"], ["punctate"], ["vgg16"])
    kept, lead = frame(page), page.locator("[data-lead]").inner_text()
    page.goto(page.url)
    page.wait_for_selector(ROWS)
    assert (frame(page), page.locator("[data-lead]").inner_text()) == (kept, lead)
    playwright.expect(page.get_by_label("bright points")).to_be_checked()

    page.goto(f"{served_every_kind[0]}play?size=<img src=x onerror=alert(1)>&seed=3")
    page.wait_for_selector(ROWS)
    note = page.locator("[data-note]")
    playwright.expect(note).to_contain_text("size must be a number from 4 to 40. Received: size=")
    playwright.expect(page.locator("[data-value=size]")).to_have_text("18 mm")
    assert "size" not in parse_qs(urlsplit(page.url).query)


def test_two_are_kept_side_by_side_and_one_can_be_played_on(page):
    page.click("[data-do=keep-a]")
    move(page, "shape", 1)
    playwright.expect(page.locator("[data-total]")).to_have_text("7 points")
    page.click("[data-do=keep-b]")
    tiles = page.locator("[data-kept] figure")
    playwright.expect(tiles).to_have_count(2)
    playwright.expect(tiles.first).to_contain_text("A: TR4")
    playwright.expect(tiles.last).to_contain_text("B: TR5")
    differs = page.locator("[data-kept] tbody tr")
    playwright.expect(differs).to_have_count(1)
    playwright.expect(differs).to_contain_text("taller than wide")
    tiles.first.get_by_role("button").click()
    playwright.expect(page.locator("[data-total]")).to_have_text("4 points")


def test_a_term_explains_itself_and_a_heatmap_can_be_taken_away(page):
    tip = page.locator("#thyro-term-echogenicity")
    playwright.expect(tip).to_be_hidden()
    page.locator(".thyro-term", has=tip).focus()
    playwright.expect(tip).to_be_visible()
    heatmap = page.locator(".thyro-play-frame img")
    playwright.expect(heatmap).to_be_visible()
    page.get_by_label("Heatmap").uncheck()
    playwright.expect(heatmap).to_be_hidden()


def test_a_full_queue_is_answered_in_words_and_asked_again(page):
    answer = {"status": 429, "json": {"detail": "A job must find a free place. Received: none."}}
    page.route("**/queue/join*", lambda route: route.fulfill(**answer))
    move(page, "echogenicity", 0)
    playwright.expect(page.locator("[data-note]")).to_contain_text("No answer came")
    page.unroute("**/queue/join*")
    playwright.expect(page.locator("[data-total]")).to_have_text("3 points")


def test_the_navigation_leads_from_page_to_page(page):
    here = page.locator("nav[aria-label=Pages] [aria-current=page]")
    playwright.expect(here).to_have_text("Play")
    assert page.title() == "ThyroDemo · Play"
    page.locator("nav[aria-label=Pages]").get_by_text("Compare").click()
    page.wait_for_selector("#thyro-compare")
    playwright.expect(here).to_have_text("Compare")
    assert page.title() == "ThyroDemo · Compare"
    playwright.expect(page.locator("nav")).to_have_count(2)
    playwright.expect(page.locator(".nav-holder")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_it_is_laid_out_for_fingers_and_eyes_at_every_width(page, width):
    move(page, "echogenicity", 1)
    asked_all(page, 6)
    page.click("[data-do=keep-a]")
    page.click("[data-do=keep-b]")
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function("(width) => window.innerWidth === width", arg=width)
    page.add_style_tag(content="*, *::before { transition: none !important; }")
    found = {"beyond": page.evaluate(f"() => {LOOK}.beyond()")}
    found["targets"] = page.evaluate(f"() => {LOOK}.targets(44)")
    for scheme in ("light", "dark"):
        page.evaluate(f"document.body.classList.toggle('dark', {str(scheme == 'dark').lower()})")
        found[scheme] = page.evaluate(f"() => {LOOK}.contrast(4.5)")
    assert {name: faults for name, faults in found.items() if faults} == {}
