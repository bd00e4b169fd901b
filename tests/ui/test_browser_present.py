"""Presenter mode in headless Chromium: keys, a remote, taps, and a code for the class."""

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from thyro_demo.ui.examples import collect
from thyro_demo.ui.guard import QUEUE_FULL
from thyro_demo.ui.present_answers import in_order

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOOK = Path(__file__).with_name("look.js").read_text(encoding="utf-8")
DESK, TABLET, PHONE = (1280, 720), (768, 1024), (390, 844)
CASES = in_order(collect())


@pytest.fixture
def page(request, opened, served_every_kind) -> Iterator:
    """Open presenter mode at the size of a projector or a phone, as Compare's address does."""
    size = getattr(request, "param", DESK)
    address = f"{served_every_kind[0]}?present=1"
    for page in opened(address, *size, touch=size == PHONE, shows="[data-count]"):
        playwright.expect(page.locator("[data-count]")).to_contain_text("Case")
        playwright.expect(page.locator("[data-note]")).to_be_hidden()
        yield page


def case(page) -> str:
    return parse_qs(urlsplit(page.url).query)["case"][0]


def expect_label(page, number: int) -> None:
    label = CASES[number - 1].example.label
    playwright.expect(page.locator("[data-label]")).to_have_text(label.capitalize())


def test_arrows_move_on_and_space_answers(page):
    assert urlsplit(page.url).path == "/present"
    count, answer = page.locator("[data-count]"), page.locator("[data-answer]")
    playwright.expect(count).to_have_text(f"Case 1 of {len(CASES)}")
    playwright.expect(page.locator("[data-question]")).to_contain_text("Benign or malignant?")
    playwright.expect(answer).to_be_hidden()
    page.keyboard.press("ArrowRight")
    playwright.expect(count).to_contain_text("Case 2 of")
    assert case(page) == "2"
    page.keyboard.press("Space")
    expect_label(page, 2)
    playwright.expect(page.locator("[data-known]")).to_contain_text("TI-RADS points")
    playwright.expect(page.locator("[data-verdict]")).to_contain_text("heads are above")
    for layer in ("map", "outline"):
        playwright.expect(page.locator(f"[data-{layer}]")).to_be_visible()
    page.keyboard.press("0")
    playwright.expect(page.locator("[data-map]")).to_be_hidden()
    page.keyboard.press("2")
    playwright.expect(page.locator("[data-view='2']")).to_have_attribute("aria-pressed", "true")
    playwright.expect(page.locator("[data-caption]")).to_contain_text("on the nodule")
    page.keyboard.press("Enter")
    playwright.expect(answer).to_be_hidden()
    playwright.expect(page.locator("[data-map]")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    playwright.expect(count).to_contain_text("Case 1 of")
    playwright.expect(answer).to_be_hidden()


def test_a_remote_that_knows_forward_and_back_alone_goes_through_it(page):
    page.keyboard.press("PageDown")
    expect_label(page, 1)
    page.keyboard.press("PageDown")
    playwright.expect(page.locator("[data-count]")).to_contain_text("Case 2 of")
    playwright.expect(page.locator("[data-answer]")).to_be_hidden()
    page.keyboard.press("PageUp")
    playwright.expect(page.locator("[data-count]")).to_contain_text("Case 1 of")


@pytest.mark.parametrize("page", [DESK, PHONE], ids=["desk", "phone"], indirect=True)
def test_large_buttons_do_it_all_on_a_touch_screen(page):
    press = "tap" if page.viewport_size["width"] == PHONE[0] else "click"
    getattr(page.locator("[data-do=next]"), press)()
    playwright.expect(page.locator("[data-count]")).to_contain_text("Case 2 of")
    getattr(page.locator("[data-do=answer]"), press)()
    expect_label(page, 2)
    getattr(page.locator("[data-view='3']"), press)()
    playwright.expect(page.locator("[data-view='3']")).to_have_attribute("aria-pressed", "true")
    # The page keeps the keys: the button that was tapped last is not pressed again.
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("[data-count]")).to_contain_text("Case 3 of")
    page.keyboard.press("Space")
    expect_label(page, 3)
    # The buttons stay in view, however long an answer is.
    box = page.locator("[data-do=answer]").bounding_box()
    assert box["y"] + box["height"] <= page.viewport_size["height"]


def test_buttons_in_focus_keep_their_own_keys(page):
    page.locator("[data-do=next]").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.locator("[data-count]")).to_contain_text("Case 2 of")
    playwright.expect(page.locator("[data-answer]")).to_be_hidden()
    page.locator("[data-do=answer]").focus()
    page.keyboard.press("Space")
    expect_label(page, 2)
    assert page.evaluate("document.activeElement.dataset.do") == "answer"


def test_a_code_leads_a_class_to_the_app(page, served_every_kind):
    page.keyboard.press("q")
    invitation = page.locator("[data-invitation]")
    playwright.expect(invitation).to_be_visible()
    code = invitation.locator("img")
    assert code.evaluate("(it) => it.decode().then(() => it.naturalWidth)") > 100
    address = served_every_kind[0].rstrip("/")
    playwright.expect(invitation.locator("[data-address]")).to_have_text(address)
    playwright.expect(invitation.locator("[data-hint]")).to_contain_text("Only this computer")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    playwright.expect(invitation).to_be_hidden()
    playwright.expect(page.locator("[data-count]")).to_contain_text("Case 1 of")


def test_an_answer_asked_for_before_its_frame_has_come_follows_it(page):
    held = threading.Event()

    def hold(route) -> None:
        held.set()
        page.wait_for_timeout(700)
        route.continue_()

    page.route("**/queue/join*", hold, times=1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect_label(page, 2)
    assert held.is_set()


def test_what_did_not_come_is_asked_for_again_with_the_same_key(page):
    # Nothing else may be on its way: an answer is fetched before it is asked for.
    page.keyboard.press("Space")
    expect_label(page, 1)
    full = {"status": 429, "json": {"detail": QUEUE_FULL}}
    page.route("**/queue/join*", lambda route: route.fulfill(**full), times=1)
    page.keyboard.press("ArrowRight")
    playwright.expect(page.locator("[data-note]")).to_contain_text("same key")
    page.keyboard.press("Space")
    expect_label(page, 2)


def test_an_address_opens_a_case_by_its_number_and_no_other(opened, served_every_kind):
    for wanted, shown in ((5, 5), ("spongiform", 1), (99, 1)):
        address = f"{served_every_kind[0]}present?case={wanted}"
        for page in opened(address, *DESK, shows="[data-count]"):
            playwright.expect(page.locator("[data-count]")).to_contain_text(f"Case {shown} of")


def test_compare_leads_to_it_and_it_leads_back(opened, served_every_kind):
    for page in opened(served_every_kind[0], *DESK):
        page.get_by_role("link", name="Present them to a class").click()
        # The next page is there, and hears its keys, once it has counted the cases.
        playwright.expect(page.locator("[data-count]")).to_contain_text("Case 1 of")
        page.keyboard.press("Space")
        page.get_by_role("link", name="This frame on the page").click()
        pressed = page.locator("[data-example][aria-pressed=true]")
        playwright.expect(pressed).to_have_attribute("data-example", CASES[0].example.name)


@pytest.mark.parametrize("page", [PHONE, TABLET, DESK], ids=str, indirect=True)
def test_it_looks_as_it_should(page):
    for _ in ("question", "answer"):
        assert page.evaluate(f"{LOOK}.beyond()") == []
        assert page.evaluate(f"(least) => {LOOK}.targets(least)", 44) == []
        for scheme in ("false", "true"):
            page.evaluate(f"document.body.classList.toggle('dark', {scheme})")
            page.add_style_tag(content="*, *::before { transition: none !important; }")
            assert page.evaluate(f"(least) => {LOOK}.contrast(least)", 4.5) == []
        page.keyboard.press("Space")
        expect_label(page, 1)
