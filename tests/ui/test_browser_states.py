"""What the page shows belongs together: a frame, its truth, its results, and what they are of."""

import threading
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from thyro_demo.course.lecture import slug
from thyro_demo.ui.examples import collect
from thyro_demo.ui.guard import QUEUE_FULL

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT_S = 120.0
EXAMPLES = {f"“{example.caption}”": example for example in collect()}
FIRST, SECOND, THIRD = list(EXAMPLES.values())[:3]

RECORD = """
window.seen = [];
new MutationObserver(() => {
  const of = document.querySelector('.thyro-of')?.textContent;
  const truth = document.querySelector('.thyro-truth')?.textContent;
  if (of) window.seen.push([of.replace('What the heads predict for ', ''), truth]);
}).observe(document.body, {subtree: true, childList: true, characterData: true});
"""


@pytest.fixture(scope="module")
def opened_page(opened, served_app) -> Iterator:
    """Open one page for all tests of this file."""
    yield from opened(served_app[0].local_url, 1280, 900)


@pytest.fixture
def page(opened_page, served_app):
    """Bring the page back to how it opened, wide and light."""
    opened_page.set_viewport_size({"width": 1280, "height": 900})
    opened_page.evaluate("window.thyro.wanted = 'before the reset'")
    opened_page.click("#thyro-reset")
    opened_page.wait_for_function("window.thyro.wanted === ''")
    playwright.expect(opened_page.locator(".thyro-empty")).to_be_visible()
    playwright.expect(opened_page.locator("#thyro-frame img")).to_have_count(0)
    served_app[1].marked.clear()
    return opened_page


@pytest.fixture
def held(served_app, monkeypatch) -> Iterator[tuple[threading.Event, ...]]:
    """Hold the engine's answers: events for asked, go on, and answered."""
    engine = served_app[1]
    answer = engine.compare
    asked, go, answered = threading.Event(), threading.Event(), threading.Event()

    def compare(*args):
        asked.set()
        go.wait(WAIT_S)
        found = answer(*args)
        answered.set()
        return found

    monkeypatch.setattr(engine, "compare", compare)
    yield asked, go, answered
    go.set()


def touch(page, example) -> None:
    page.locator(f'[data-example="{example.name}"]').click()


def expect_results_of(page, example) -> None:
    playwright.expect(page.locator(".thyro-of")).to_contain_text(f"“{example.caption}”")
    playwright.expect(page.locator(".thyro-truth")).to_have_text(example.truth)
    playwright.expect(page.locator(".thyro-busy")).to_have_count(0)
    playwright.expect(page.locator("[data-stale]")).to_have_count(0)


def test_a_press_before_the_chosen_frame_has_come_compares_that_frame(page):
    """At 300 ms to the server and back, the frame before is still in the box."""
    network = page.context.new_cdp_session(page)
    touch(page, FIRST)
    expect_results_of(page, FIRST)
    page.evaluate(RECORD)
    network.send("Network.enable")
    conditions = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", conditions | {"latency": 300})
    try:
        touch(page, SECOND)
        page.click("#thyro-compare")
        expect_results_of(page, SECOND)
        page.locator(f'[data-example="{FIRST.name}"]').click()
        touch(page, THIRD)
        expect_results_of(page, THIRD)
    finally:
        network.send("Network.emulateNetworkConditions", conditions | {"latency": 0})
    seen = page.evaluate("window.seen")
    assert {THIRD.truth, SECOND.truth} <= {truth for _, truth in seen}
    for of, truth in seen:
        assert truth == EXAMPLES[of].truth


def test_the_answer_about_the_frame_before_gives_way_to_that_about_the_chosen_one(page, held):
    asked, go, _ = held
    page.evaluate(RECORD)
    touch(page, FIRST)
    assert asked.wait(WAIT_S)
    before = page.locator("#thyro-frame img").get_attribute("src")
    touch(page, SECOND)
    playwright.expect(page.locator("#thyro-frame img")).not_to_have_attribute("src", before)
    go.set()
    expect_results_of(page, SECOND)
    for of, truth in page.evaluate("window.seen"):
        assert truth == EXAMPLES[of].truth


@pytest.mark.parametrize(
    "emptying",
    ["#thyro-reset", "#thyro-frame button[aria-label='Remove Image']"],
    ids=["reset", "clear"],
)
def test_emptying_the_box_stops_the_comparison_that_runs(page, held, emptying):
    asked, go, answered = held
    page.evaluate(RECORD)
    touch(page, FIRST)
    playwright.expect(page.locator("#thyro-frame img")).to_be_visible()
    assert asked.wait(WAIT_S)
    with page.expect_request("**/cancel"):
        page.click(emptying)
    # One more answer: by then the server has read what came before it, on its one event loop.
    page.evaluate("fetch('/healthz').then((answer) => answer.text())")
    playwright.expect(page.locator("#thyro-frame img")).to_have_count(0)
    playwright.expect(page.locator("#thyro-message .thyro-message")).to_have_count(0)
    go.set()
    assert answered.wait(WAIT_S)
    # What the server still sends of the comparison comes before its next answer.
    touch(page, SECOND)
    expect_results_of(page, SECOND)
    assert {of for of, _ in page.evaluate("window.seen")} == {f"“{SECOND.caption}”"}


def test_a_frame_chosen_while_the_box_is_being_emptied_is_compared(page, held):
    asked, go, _ = held
    touch(page, FIRST)
    playwright.expect(page.locator("#thyro-frame img")).to_be_visible()
    assert asked.wait(WAIT_S)
    page.click("#thyro-reset")
    touch(page, SECOND)
    playwright.expect(page.locator("#thyro-frame img")).to_have_count(1)
    go.set()
    expect_results_of(page, SECOND)


def test_a_touch_is_answered_by_the_browser_before_the_server_knows_of_it(page):
    held_back, holding = [], [True]
    page.route(
        "**/queue/join*",
        lambda route: held_back.append(route) if holding else route.continue_(),
    )
    try:
        touch(page, FIRST)
        note = page.locator("#thyro-message .thyro-busy")
        playwright.expect(note).to_have_text("Comparing …")
        ring = note.evaluate(
            """(one) => { const ring = getComputedStyle(one, '::before');
              return [ring.borderTopWidth, ring.borderRightWidth, ring.borderRightColor,
                      ring.animationName, one.getBoundingClientRect().bottom]; }"""
        )
        assert ring[:2] == ["2px", "2px"]
        assert ring[2] != "rgba(0, 0, 0, 0)"
        assert ring[3] == "thyro-turn"
        assert ring[4] < 900
    finally:
        holding.clear()
        for route in held_back:
            route.continue_()
    expect_results_of(page, FIRST)
    page.unroute("**/queue/join*")


def test_who_waits_is_shown_their_place_in_the_queue(page, held, served_app, speckle, tmp_path):
    asked, go, _ = held
    app = served_app[0]
    Image.fromarray(speckle).save(tmp_path / "frame.png")
    (job,) = [fn._id for fn in app.fns.values() if fn.api_name == "compare"]
    with httpx.Client(base_url=app.local_url, timeout=WAIT_S, trust_env=False) as client:
        content = (tmp_path / "frame.png").read_bytes()
        path = client.post("gradio_api/upload", files={"files": ("frame.png", content)}).json()[0]
        for session in ("runs", "waits"):
            data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, ["vgg16"]]
            body = {"data": data, "fn_index": job, "session_hash": session}
            assert client.post("gradio_api/queue/join", json=body).status_code == 200
            assert asked.wait(WAIT_S)
        touch(page, FIRST)
        note = page.locator("#thyro-message .thyro-busy")
        playwright.expect(note).to_have_text("Comparing … place 2 of 2 in the queue")
    go.set()
    expect_results_of(page, FIRST)


def test_a_full_queue_is_answered_in_our_own_words(page, served_app, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(served_app[0]._queue, "max_size", 0)
        touch(page, FIRST)
        playwright.expect(page.get_by_text(QUEUE_FULL)).to_be_visible()
        playwright.expect(page.locator(".thyro-busy")).to_have_count(0)
    touch(page, SECOND)
    expect_results_of(page, SECOND)


def test_results_that_are_not_of_what_is_chosen_are_marked_as_such(page):
    stale, note = page.locator("#thyro-results[data-stale]"), page.locator("#thyro-stale")
    touch(page, FIRST)
    expect_results_of(page, FIRST)
    model = page.get_by_label("ResNet-50", exact=True)
    model.uncheck()
    playwright.expect(stale).to_have_count(1)
    playwright.expect(note).to_contain_text("Other models are ticked")
    page.click("#thyro-compare")
    expect_results_of(page, FIRST)
    playwright.expect(page.locator(".thyro-tile")).to_have_count(2)
    model.check()
    playwright.expect(stale).to_have_count(1)
    model.uncheck()
    playwright.expect(stale).to_have_count(0)
    playwright.expect(note).to_be_hidden()
    page.click("#thyro-frame button[aria-label='Remove Image']")
    playwright.expect(stale).to_have_count(1)
    playwright.expect(note).to_contain_text("has been removed")


def test_frame_and_results_stay_in_view_together_whatever_example_is_touched(page):
    last = page.locator("[data-example]").last
    # Among the maps of the frame before, at the far end of the page.
    touch(page, FIRST)
    expect_results_of(page, FIRST)
    page.locator("#thyro-png").scroll_into_view_if_needed()
    last.click()
    playwright.expect(page.locator(".thyro-of")).to_contain_text("Not ultrasound")
    for one in ("#thyro-frame img", ".thyro-verdict", ".thyro-lead img"):
        playwright.expect(page.locator(one)).to_be_in_viewport()
    page.set_viewport_size({"width": 390, "height": 844})
    page.click("#thyro-tabs [data-tab=frame]")
    touch(page, SECOND)
    expect_results_of(page, SECOND)
    for one in (".thyro-lead img", ".thyro-verdict"):
        playwright.expect(page.locator(one)).to_be_in_viewport()


def test_on_a_phone_each_part_has_a_tab_of_at_most_two_screens(page):
    touch(page, FIRST)
    expect_results_of(page, FIRST)
    page.set_viewport_size({"width": 390, "height": 844})
    parts = {
        "frame": "#thyro-frame",
        "scores": ".thyro-verdict",
        "maps": ".thyro-tile",
        "what-if": "#thyro-poke",
    }
    for chosen in parts:
        page.click(f"#thyro-tabs [data-tab={chosen}]")
        for name, part in parts.items():
            expected = playwright.expect(page.locator(part).first)
            expected.to_be_visible() if name == chosen else expected.to_be_hidden()
        below = page.locator("#thyro-tabs").bounding_box()
        top = page.locator("#thyro-page").bounding_box()["y"]
        # It begins below the tabs, or the page is too short to bring it there.
        assert top >= below["y"] + below["height"]
        if chosen == "scores":
            page.evaluate("scrollTo(0, 9999)")
        if chosen == "maps":
            assert below["y"] == pytest.approx(0, abs=1)
        assert page.evaluate("document.documentElement.scrollHeight") <= 2 * 844
    page.set_viewport_size({"width": 1280, "height": 900})
    for part in parts.values():
        playwright.expect(page.locator(part).first).to_be_visible()


def test_a_changed_frame_is_compared_beside_the_one_before(page):
    touch(page, FIRST)
    expect_results_of(page, FIRST)
    scores = page.locator("#thyro-summary .thyro-score strong").all_inner_texts()
    page.locator("#thyro-poke label", has_text="More gain").click()
    playwright.expect(page.locator("#thyro-poked .thyro-verdict")).to_contain_text("35 % more gain")
    playwright.expect(page.locator("#thyro-poked tbody tr")).to_have_count(len(scores))
    # What was compared before stays as it was, and another frame takes the changed one away.
    assert page.locator("#thyro-summary .thyro-score strong").all_inner_texts() == scores
    touch(page, SECOND)
    expect_results_of(page, SECOND)
    playwright.expect(page.locator("#thyro-poked .thyro-verdict")).to_have_count(0)
    playwright.expect(page.locator("#thyro-poke input:checked")).to_have_count(0)


def test_the_address_follows_the_chosen_example(page, speckle, tmp_path):
    touch(page, SECOND)
    assert page.url.endswith(f"?case={slug(SECOND.name)}")
    expect_results_of(page, SECOND)
    path = tmp_path / "frame.png"
    Image.fromarray(speckle).save(path)
    page.click("#thyro-frame button[aria-label='Remove Image']")
    page.wait_for_function("!location.search")
    touch(page, THIRD)
    expect_results_of(page, THIRD)
    page.click("#thyro-reset")
    page.wait_for_function("!location.search")
    page.locator("#thyro-frame input[type=file]").set_input_files(path)
    playwright.expect(page.locator(".thyro-of")).to_contain_text("the uploaded frame")
    playwright.expect(page.locator(".thyro-truth")).to_have_count(0)
    assert "case" not in page.url
