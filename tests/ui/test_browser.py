"""The page in headless Chromium, on a desk and on a phone."""

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thyro_demo.course.lecture import CASES, link
from thyro_demo.explain.overlay import overlay
from thyro_demo.ui.launch import launch

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.browser

DESK, PHONE = (1280, 900), (390, 844)


@pytest.fixture
def page(request, opened, served) -> Iterator:
    """Open the page at the size of a desk or a phone."""
    size = getattr(request, "param", DESK)
    yield from opened(served[0], *size, touch=size == PHONE)


@pytest.fixture
def page_of_every_kind(request, opened, served_every_kind) -> Iterator:
    """Open the page with networks, one that reads a marked nodule, and an ensemble."""
    size = getattr(request, "param", DESK)
    yield from opened(served_every_kind[0], *size, touch=size == PHONE)


BOTH = [
    pytest.param(DESK, id="desk"),
    pytest.param(PHONE, id="phone", marks=pytest.mark.slow),
]
desk_and_phone = pytest.mark.parametrize("page", BOTH, indirect=True)


def choose_example(page, number: int = 0, tiles: int = 3) -> None:
    """Touch an example, which is compared at once."""
    page.locator("[data-example]").nth(number).click()
    # On a phone the page may have turned to the results by now.
    page.wait_for_selector("#thyro-frame img", state="attached")
    compared(page, tiles)


def compared(page, tiles: int = 3) -> None:
    playwright.expect(page.locator("#thyro-message .thyro-busy")).to_have_count(0)
    playwright.expect(page.locator(".thyro-tile")).to_have_count(tiles)


def compare(page, tiles: int = 3) -> None:
    page.click("#thyro-compare")
    playwright.expect(page.locator(".thyro-tile")).to_have_count(tiles)


def turn_to(page, tab: str) -> None:
    """Turn to a part of the page, where it shows one at a time."""
    chosen = page.locator(f"#thyro-tabs [data-tab={tab}]")
    if page.viewport_size["width"] == PHONE[0]:
        chosen.click()


def scrolls_sideways(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def upload(page, path: Path) -> None:
    page.locator("#thyro-frame input[type=file]").set_input_files(path)


@desk_and_phone
def test_from_an_example_to_three_heatmaps_further_heads_and_back(page, served):
    _, engine = served
    assert not scrolls_sideways(page)
    choose_example(page)
    playwright.expect(page.locator("[data-example][aria-pressed=true]")).to_have_count(1)
    turn_to(page, "maps")
    # Asked for in one go: on a phone the page may still be scrolling to the results.
    boxes = page.locator(".thyro-tile").evaluate_all(
        "tiles => tiles.map((tile) => tile.getBoundingClientRect().toJSON())"
    )
    # Two beside each other on a phone, three elsewhere.
    columns = 2 if page.viewport_size["width"] == PHONE[0] else 3
    assert len({box["top"] for box in boxes}) == -(-len(boxes) // columns)
    assert all(box["left"] >= 0 and box["width"] > 70 for box in boxes)
    assert max(box["right"] for box in boxes) <= page.viewport_size["width"]
    assert not scrolls_sideways(page)
    playwright.expect(page.locator(".thyro-scores tbody tr")).to_have_count(9)
    playwright.expect(page.locator(".thyro-truth")).to_contain_text("TI-RADS")

    engine.explained.clear()
    page.get_by_label("SVM", exact=True).check()
    playwright.expect(page.locator(".thyro-tile")).to_have_count(6)
    assert [head for _, head in engine.explained] == ["svm"] * 3
    assert not scrolls_sideways(page)

    turn_to(page, "frame")
    page.click("#thyro-reset")
    playwright.expect(page.locator(".thyro-empty")).to_be_visible()
    playwright.expect(page.locator(".thyro-tile")).to_have_count(0)
    playwright.expect(page.locator("#thyro-frame img")).to_have_count(0)
    playwright.expect(page.locator("[data-example][aria-pressed=true]")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("page_of_every_kind", BOTH, indirect=True)
def test_a_nodule_is_marked_by_two_clicks_and_an_example_brings_its_own(
    page_of_every_kind, served_every_kind
):
    page, engine = page_of_every_kind, served_every_kind[1]
    ticked = page.locator("#thyro-models input:checked")
    playwright.expect(ticked).to_have_count(4)
    mark = page.locator("#thyro-mark rect").first
    choose_example(page)
    turn_to(page, "frame")
    playwright.expect(mark).to_be_visible()
    assert not scrolls_sideways(page)
    page.get_by_label("EfficientNet-B0 ROI", exact=True).check()
    compare(page, tiles=4)
    assert engine.marked[-1].width == int(mark.get_attribute("width"))
    playwright.expect(page.locator("#thyro-summary")).to_contain_text("Marked nodule")
    turn_to(page, "frame")

    page.click("#thyro-unmark")
    playwright.expect(mark).to_have_count(0)
    playwright.expect(page.locator("#thyro-unmark")).to_be_hidden()

    # A point of the picture is the same share of the frame, whatever room it has on the page.
    image = page.locator("#thyro-frame img")
    image.scroll_into_view_if_needed()
    shown = image.bounding_box()
    # The box around the picture may be wider than the picture in it.
    scale = min(shown["width"] / 480, shown["height"] / 360)
    left = (shown["width"] - 480 * scale) / 2
    top = (shown["height"] - 360 * scale) / 2
    press = page.touchscreen.tap if page.viewport_size["width"] == PHONE[0] else page.mouse.click
    for x, y in ((120, 90), (300, 270)):
        lines = page.locator("#thyro-mark path, #thyro-mark rect")
        before = lines.count()
        press(shown["x"] + left + x * scale, shown["y"] + top + y * scale)
        playwright.expect(lines).to_have_count(before + 1)
    found = [float(mark.get_attribute(side)) for side in ("x", "y", "width", "height")]
    np.testing.assert_allclose(found, (120, 90, 180, 180), atol=3 / scale)
    assert not scrolls_sideways(page)

    page.click("#thyro-reset")
    playwright.expect(mark).to_have_count(0)
    playwright.expect(ticked).to_have_count(4)


def test_the_examples_scroll_with_the_page_and_not_within_their_column(page):
    column = page.locator("#thyro-input")
    assert column.evaluate("(it) => it.scrollHeight - it.clientHeight") <= 1
    assert column.evaluate("(it) => getComputedStyle(it).overflowY") == "visible"


@pytest.mark.slow
def test_something_moves_while_an_upload_is_on_its_way(page, tmp_path):
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "frame.png")
    held = []
    page.route("**/gradio_api/upload?*", lambda route: held.append(route))
    upload(page, tmp_path / "frame.png")
    ring = page.locator("#thyro-frame .progress-bar")
    playwright.expect(ring).to_be_visible()
    turned = "(it) => it.getAnimations().map((one) => [one.animationName, one.playState])"
    assert ring.evaluate(turned) == [["thyro-turn", "running"]]
    held.pop().continue_()
    compared(page)


@pytest.mark.slow
def test_a_frame_stays_until_another_file_is_chosen(page, tmp_path):
    choose_example(page)
    frame = page.locator("#thyro-frame img")
    before = frame.get_attribute("src")
    with page.expect_file_chooser() as chooser:
        page.click("#thyro-frame [aria-label='Upload file']")
    # What Gradio does at a click is drawn by then; a chooser that is left reports nothing.
    page.evaluate("new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)))")
    playwright.expect(frame).to_have_attribute("src", before)
    playwright.expect(page.locator("[data-stale]")).to_have_count(0)
    assert "case" in page.url
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "frame.png")
    chooser.value.set_files(tmp_path / "frame.png")
    playwright.expect(page.locator(".thyro-of")).to_contain_text("the uploaded frame")
    playwright.expect(frame).not_to_have_attribute("src", before)


@pytest.mark.slow
@desk_and_phone
def test_all_heads_come_in_one_grid_on_demand(page, served):
    choose_example(page)
    turn_to(page, "maps")
    page.get_by_label("All heads of all models").check()
    playwright.expect(page.locator(".thyro-multiples .thyro-tile")).to_have_count(9)
    playwright.expect(page.locator("#thyro-heads")).to_be_hidden()
    boxes = page.locator(".thyro-tile").evaluate_all(
        "tiles => tiles.map((tile) => tile.getBoundingClientRect().toJSON())"
    )
    # A row for each model, on a phone too.
    assert len({round(box["top"]) for box in boxes}) == 3
    assert not scrolls_sideways(page)
    page.get_by_label("All heads of all models").uncheck()
    playwright.expect(page.locator(".thyro-tile")).to_have_count(3)


@pytest.mark.slow
@desk_and_phone
def test_a_box_drawn_on_the_frame_measures_the_heatmaps(page):
    choose_example(page)
    turn_to(page, "maps")
    share = page.locator(".thyro-share").first
    playwright.expect(share).to_contain_text("on the nodule;")
    page.locator("#thyro-region summary").click()
    stage = page.locator("[data-region]")
    stage.scroll_into_view_if_needed()
    shown = stage.bounding_box()
    places = [
        (shown["x"] + part * shown["width"], shown["y"] + part * shown["height"])
        for part in (0.1, 0.5, 0.8)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()
    playwright.expect(share).to_contain_text("on the box that you drew;")
    playwright.expect(page.locator(".thyro-boxed")).to_have_count(3)
    edges = page.evaluate("window.thyroRegion.edges()")
    np.testing.assert_allclose(edges, (0.1, 0.1, 0.8, 0.8), atol=0.01)
    # A corner moves by the arrow keys.
    page.locator("[data-corner]").last.focus()
    before = share.inner_text()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")
    playwright.expect(share).not_to_have_text(before)
    assert page.evaluate("window.thyroRegion.edges()")[2] == pytest.approx(0.6, abs=0.01)
    assert not scrolls_sideways(page)
    page.get_by_role("button", name="Take the box away").click()
    playwright.expect(share).to_contain_text("on the nodule;")
    playwright.expect(page.locator(".thyro-boxed")).to_have_count(0)


@pytest.mark.slow
def test_calipers_are_measured_at_once_and_printed_where_they_were_put(page, served):
    choose_example(page)
    turn_to(page, "maps")
    page.locator("#thyro-region summary").click()
    page.get_by_label("Calipers", exact=True).check()
    stage = page.locator("[data-region]")
    stage.scroll_into_view_if_needed()
    shown = stage.bounding_box()
    page.mouse.move(shown["x"] + 0.2 * shown["width"], shown["y"] + 0.5 * shown["height"])
    page.mouse.down()
    page.mouse.move(shown["x"] + 0.6 * shown["width"], shown["y"] + 0.5 * shown["height"])
    page.mouse.up()
    # A line may be level, which a box may not; the maps are measured by the nodule as before.
    length = page.locator("[data-length]")
    playwright.expect(length).to_contain_text("40 % of the frame's width; the file gives no pixel")
    playwright.expect(page.locator(".thyro-share").first).to_contain_text("on the nodule;")
    page.locator("[data-corner]").last.focus()
    page.keyboard.press("Shift+ArrowRight")
    playwright.expect(length).to_contain_text("45 %")
    ends = page.evaluate("window.thyroRegion.calipers()")
    np.testing.assert_allclose(ends, [(0.2, 0.5), (0.65, 0.5)], atol=0.01)
    # Where the file gives its spacing, the frame's sides are known in millimetres.
    page.evaluate("document.querySelector('.thyro-maps').dataset.mm = '80 60'")
    page.evaluate(
        "document.querySelector('.thyro-maps').style.setProperty('--thyro-frame', 'url(data:,)')"
    )
    page.evaluate("document.body.append(document.createElement('i'))")
    playwright.expect(length).to_be_empty()
    page.locator("[data-corner]").last.focus()
    page.keyboard.press("ArrowRight")
    playwright.expect(length).to_contain_text("mm, by the pixel spacing that the file gives")
    page.get_by_role("button", name="Take the calipers away").click()
    playwright.expect(length).to_be_empty()


@pytest.mark.slow
def test_opacity_and_colour_scale_are_changed_without_asking_the_server(page):
    choose_example(page)
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    heat = page.locator(".thyro-image img").first
    page.locator("#thyro-opacity input[type=number]").fill("0.25")
    playwright.expect(heat).to_have_css("opacity", "0.25")
    page.locator("#thyro-scale input").click()
    page.get_by_role("option", name="cividis").click()
    playwright.expect(heat).to_have_css("filter", 'url("#thyro-cividis")')
    assert [url for url in asked if "queue/join" in url] == []


@pytest.mark.slow
def test_a_heatmap_has_the_colours_of_the_picture(page):
    choose_example(page)
    image = page.locator(".thyro-image").first
    frame, heat = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))
        for address in image.evaluate(
            """(image) => [
              getComputedStyle(image).getPropertyValue('--thyro-frame').slice(4, -1),
              image.querySelector('img').src]"""
        )
    )
    height, width = heat.shape
    # Alone and unscaled, so that each pixel of the screen is one of the frame.
    image.evaluate(
        """(image, [width, height]) => {
          const frame = getComputedStyle(image).getPropertyValue('--thyro-frame');
          document.body.append(image);
          image.style = `position: fixed; inset: 0; z-index: 9999; border-radius: 0;
            width: ${width}px; height: ${height}px; --thyro-frame: ${frame}`;
        }""",
        [width, height],
    )
    box = {"x": 0, "y": 0, "width": width, "height": height}
    with Image.open(io.BytesIO(page.screenshot(clip=box))) as screen:
        painted = np.asarray(screen.convert("RGB"), float)
    apart = np.abs(painted - overlay(frame, heat / 255, 0.7))
    assert apart.mean() < 1
    assert np.percentile(apart, 99) <= 4


@pytest.mark.slow
@desk_and_phone
def test_a_heatmap_grows_at_a_key_stroke(page):
    choose_example(page)
    turn_to(page, "maps")
    tile = page.locator(".thyro-tile").nth(1)
    before = tile.bounding_box()["width"]
    tile.locator("input").focus()
    page.keyboard.press("Space")
    assert tile.bounding_box()["width"] > 1.9 * before
    assert not scrolls_sideways(page)


@pytest.mark.slow
def test_the_comparison_is_saved_as_json_and_as_a_picture(page, tmp_path):
    choose_example(page)
    for button, name in (("#thyro-json", "record.json"), ("#thyro-png", "picture.png")):
        with page.expect_download() as saved:
            page.click(button)
        saved.value.save_as(tmp_path / name)
    assert len(json.loads((tmp_path / "record.json").read_text())["predictions"]) == 9
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 1800


@pytest.mark.slow
def test_a_notice_of_an_image_out_of_distribution_is_above_the_scores(page):
    choose_example(page, -1)
    notice = page.locator(".thyro-notice")
    playwright.expect(notice).to_contain_text("unlike the training images")
    assert notice.bounding_box()["y"] < page.locator(".thyro-scores").bounding_box()["y"]


@pytest.mark.slow
def test_a_frame_pasted_anywhere_lands_in_the_box(page):
    page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(64, 48);
          canvas.getContext('2d').fillRect(0, 0, 64, 48);
          const data = new DataTransfer();
          data.items.add(new File([await canvas.convertToBlob()], 'a.png', {type: 'image/png'}));
          document.body.dispatchEvent(
            new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
        }"""
    )
    page.wait_for_selector("#thyro-frame img")
    compared(page)


@pytest.mark.slow
def test_a_frame_that_has_been_removed_is_asked_for_again(page):
    choose_example(page)
    for path in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*.png"):
        path.unlink()
    page.click("#thyro-compare")
    playwright.expect(page.locator("#thyro-message [role=alert]")).to_contain_text("ten minutes")


@pytest.mark.slow
@pytest.mark.parametrize("size", BOTH)
def test_an_open_model_card_stays_within_the_page(opened, engine, monkeypatch, size):
    card = (ROOT / "weights" / "vgg16" / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(engine, "card", lambda name: card)
    app = launch(engine, prevent_thread_lock=True)
    try:
        for page in opened(app.local_url, *size):
            cards = page.locator("#thyro-cards")
            cards.get_by_role("button", name="Model cards").click()
            cards.get_by_role("button", name="VGG-16").click()
            checklists = cards.locator("summary").filter(visible=True)
            # `all` would not wait until the card has unfolded.
            playwright.expect(checklists).to_have_count(2)
            for checklist in checklists.all():
                checklist.click()
            tables = cards.locator("table").filter(visible=True)
            assert tables.count() > 5
            assert not scrolls_sideways(page)
            edges = tables.evaluate_all(
                "them => them.map((one) => one.getBoundingClientRect().right)"
            )
            assert max(edges) <= page.viewport_size["width"]
            figures = cards.locator("table:not(details *) td").filter(visible=True)
            lines = figures.evaluate_all("them => them.map((one) => one.offsetHeight)")
            assert max(lines) < 50
            answers = cards.locator("details td:nth-child(3)").filter(visible=True)
            playwright.expect(answers.last).to_be_visible()
            widths = answers.evaluate_all("them => them.map((one) => one.offsetWidth)")
            assert min(widths) >= 200
    finally:
        app.close(verbose=False)


def test_comparing_nothing_asks_for_a_frame(page):
    page.click("#thyro-compare")
    playwright.expect(page.locator("#thyro-message [role=alert]")).to_contain_text("frame first")


@pytest.mark.slow
def test_an_address_opens_the_app_on_a_case(page, served):
    address, _ = served
    for case in CASES:
        page.goto(link(address, case))
        pressed = page.locator("[data-example][aria-pressed=true]")
        playwright.expect(pressed).to_have_attribute("data-example", case.name)
        page.wait_for_selector("#thyro-frame img")
        # A class is asked before it is shown.
        assert page.locator(".thyro-tile").count() == 0
    compare(page)
    page.goto(f"{address}?case=<b>no-such-case</b>")
    message = page.locator("#thyro-upload-message [role=alert]")
    playwright.expect(message).to_contain_text("Received: <b>no-such-case</b>")
    playwright.expect(page.locator("#thyro-frame img")).to_have_count(0)


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory) -> list[Path]:
    """Everything the acceptance names: none of it is an image that can be read."""
    folder = tmp_path_factory.mktemp("bad")
    files = {
        name: folder / name
        for name in (
            "text.jpg",
            "truncated.jpg",
            "one-pixel.png",
            "empty.png",
            "huge.png",
            "nan.tif",
            "drawing.svg",
        )
    }
    files["text.jpg"].write_text("This is no image.")
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(files["truncated.jpg"])
    whole = files["truncated.jpg"].read_bytes()
    files["truncated.jpg"].write_bytes(whole[: len(whole) // 2])
    Image.new("L", (1, 1)).save(files["one-pixel.png"])
    files["empty.png"].write_bytes(b"")
    Image.new("1", (10_000, 10_000)).save(files["huge.png"])
    Image.fromarray(np.full((64, 64), np.nan, np.float32)).save(files["nan.tif"])
    files["drawing.svg"].write_text('<svg xmlns="http://www.w3.org/2000/svg" width="99"/>')
    return list(files.values())


@pytest.mark.slow
def test_a_loop_brings_a_slider_that_turns_its_frames(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    first, *others = (Image.fromarray(np.roll(noise, 9 * turn)) for turn in range(3))
    first.save(tmp_path / "loop.gif", save_all=True, append_images=others)
    upload(page, tmp_path / "loop.gif")
    compared(page)
    slider = page.get_by_role("slider", name="Frame of 3")
    playwright.expect(slider).to_be_visible()
    assert slider.bounding_box()["height"] >= 44
    before = page.locator("#thyro-frame img").get_attribute("src")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "(before) => document.querySelector('#thyro-frame img')?.src !== before", arg=before
    )
    compared(page)
    Image.fromarray(noise).save(tmp_path / "still.png")
    upload(page, tmp_path / "still.png")
    playwright.expect(slider).to_be_hidden()


@pytest.mark.slow
def test_each_bad_file_is_one_sentence_and_the_next_upload_works(page, bad_files, tmp_path):
    good = tmp_path / "good.png"
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(good)
    message = page.locator("#thyro-upload-message [role=alert]")
    for path in bad_files:
        upload(page, path)
        playwright.expect(message).to_contain_text("Received:")
        playwright.expect(message).to_contain_text(path.name)
        playwright.expect(page.locator("#thyro-frame img")).to_have_count(0)
        upload(page, good)
        playwright.expect(message).to_have_count(0)
        playwright.expect(page.locator("#thyro-frame img")).to_be_visible()
    compared(page)
