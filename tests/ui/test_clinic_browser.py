"""The clinic in headless Chromium: from a phantom to the result, on a desk and on a phone."""

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thyro_demo.clinical import measurement, tirads
from thyro_demo.data import phantom
from thyro_demo.errors import DataError
from thyro_demo.ui import clinic_answers as answers
from thyro_demo.ui import clinic_tables as tables
from thyro_demo.ui import clinic_texts as texts

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed"
)
expect = playwright.expect

pytestmark = pytest.mark.browser

DESK, PHONE = (1280, 800), (390, 844)
LOOK = Path(__file__).with_name("look.js").read_text(encoding="utf-8")
HYPOECHOIC = {
    "composition": "solid or almost completely solid",
    "echogenicity": "very hypoechoic",
    "shape": "wider than tall",
    "margin": "smooth",
}


@pytest.fixture(scope="module")
def desk(opened, served_every_kind) -> Iterator:
    """Open the clinic on a desk, once for all tests of this file."""
    yield from opened(f"{served_every_kind[0]}clinic", *DESK, shows=".thyro-clinic")


@pytest.fixture(scope="module")
def phone(opened, served_every_kind) -> Iterator:
    """Open it on a phone."""
    yield from opened(f"{served_every_kind[0]}clinic", *PHONE, touch=True, shows=".thyro-clinic")


@pytest.fixture
def page(request):
    """Return the page, reset, at the size of a desk or a phone."""
    page = request.getfixturevalue(getattr(request, "param", "desk"))
    page.wait_for_function("window.thyroClinic")
    page.locator("[data-reset]").click()
    page.evaluate("scrollTo(0, 0)")
    return page


desk_and_phone = pytest.mark.parametrize(
    "page", [pytest.param("desk", marks=pytest.mark.slow), "phone"], indirect=True
)
on_a_phone = pytest.mark.parametrize("page", ["phone"], indirect=True)


def one(page, name: str):
    return page.locator(f".thyro-clinic [data-{name}]")


def choose_phantom(page, number: int = 5) -> None:
    page.locator("[data-phantom]").nth(number).click()
    expect(one(page, "picture")).to_be_visible()
    scored(page)


def scored(page) -> None:
    expect(one(page, "bar")).to_be_visible()
    expect(page.locator(".thyro-busy")).to_have_count(0)


def choose_features(page, features: dict[str, str]) -> None:
    for feature, name in features.items():
        page.locator(f"[data-feature={feature}]").select_option(name)


def drag(page, caliper: int, x: float, y: float) -> None:
    """Drag a caliper to a point of the frame, as shares of its sides."""
    page.locator(".thyro-stage").scroll_into_view_if_needed()
    stage = page.locator(".thyro-stage").bounding_box()
    box = page.locator(".thyro-caliper").nth(caliper).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(stage["x"] + x * stage["width"], stage["y"] + y * stage["height"], steps=4)
    page.mouse.up()


def size(page) -> float:
    return float(one(page, "size").input_value())


@desk_and_phone
def test_from_a_phantom_by_calipers_and_features_to_the_result_and_back(page):
    drawn = phantom.example("Very hypoechoic, taller than wide")
    choose_phantom(page)
    assert one(page, "spacing").input_value() == f"{drawn.spacing_mm:.4f}".rstrip("0")
    expect(one(page, "readout")).to_have_text(texts.texts()["drag"])
    assert one(page, "size").input_value() == ""

    rows = np.flatnonzero(drawn.mask.any(axis=1))
    middle = np.flatnonzero(drawn.mask.any(axis=0)).mean() / drawn.frame.shape[1]
    for caliper, row in enumerate((rows[0], rows[-1])):
        drag(page, caliper, middle, row / drawn.frame.shape[0])
    # A finger's breadth of the screen is worth half a millimetre.
    height = (rows[-1] - rows[0]) * drawn.spacing_mm
    assert size(page) == pytest.approx(height, abs=0.6)
    expect(one(page, "readout")).to_have_text(f"{size(page)} mm")

    choose_features(page, HYPOECHOIC)
    expect(one(page, "total")).to_have_text("5 points")
    expect(one(page, "level")).to_have_text("TR4")
    expect(one(page, "advice")).to_have_text(tirads.recommendation(5, size(page)).sentence)
    page.locator("[data-feature=shape]").select_option("taller than wide")
    page.locator("label:has([value='punctate echogenic foci'])").click()
    expect(one(page, "total")).to_have_text("11 points")
    expect(one(page, "level")).to_have_text("TR5")
    positive = one(page, "side").inner_text() == "above"
    verdict = answers.judge(11, size(page), positive, True)
    expect(one(page, "verdict")).to_have_text(verdict["verdict"])
    expect(one(page, "rule")).to_have_text(verdict["rule"]["sentence"])

    page.locator("summary", has_text=texts.texts()["known"]).click()
    expect(one(page, "known")).to_contain_text(f"as drawn: {drawn.size_mm:g} mm")

    page.locator("[data-reset]").click()
    expect(one(page, "picture")).to_be_hidden()
    expect(one(page, "level")).to_have_text("–")
    expect(one(page, "score")).to_have_text("–")
    expect(one(page, "total")).to_be_empty()
    assert one(page, "size").input_value() == one(page, "spacing").input_value() == ""
    expect(page.locator(".thyro-clinic input:checked, [aria-pressed=true]")).to_have_count(0)


@on_a_phone
def test_on_a_phone_the_whole_path_is_one_screen_and_a_half(page):
    choose_phantom(page)
    one(page, "size").fill("12.5")
    choose_features(page, HYPOECHOIC)
    longest = 0.0
    models = one(page, "model").locator("option").evaluate_all("them => them.map((o) => o.value)")
    for model in models:
        one(page, "model").select_option(model)
        scored(page)
        bottom = "document.querySelector('.thyro-clinic').getBoundingClientRect().bottom + scrollY"
        longest = max(longest, page.evaluate(bottom))
    assert longest <= 1.5 * PHONE[1]
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["clinic", "fr-clinic"])
def test_on_a_phone_every_choice_is_written_in_full(opened, served_every_kind, path):
    address = f"{served_every_kind[0]}{path}"
    for page in opened(address, *PHONE, touch=True, shows=".thyro-clinic"):
        page.wait_for_function("window.thyroClinic")
        for choice in page.locator(".thyro-choice").all():
            box, shown = choice.locator("select"), choice.locator("span")
            for name in box.locator("option").evaluate_all("them => them.map((one) => one.value)"):
                box.select_option(name)
                expect(shown).to_have_text(box.locator("option:checked").inner_text())
                # Its lines fit into its sides, and a finger that touches them opens the choice.
                assert page.evaluate(
                    """([box, shown]) => {
                      const text = document.createRange();
                      text.selectNodeContents(shown);
                      const [around, inner] = [box, text].map((it) => it.getBoundingClientRect());
                      return inner.left >= around.left && inner.right <= around.right
                        && inner.top >= around.top && inner.bottom <= around.bottom; }""",
                    [box.element_handle(), shown.element_handle()],
                )


@pytest.mark.slow
def test_a_size_is_judged_at_once_without_asking_the_server(page):
    choose_phantom(page)
    choose_features(page, HYPOECHOIC | {"shape": "taller than wide"})
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    for typed, action in (("9,9", "follow-up"), ("10", "fna"), ("0.5 cm", "follow-up")):
        one(page, "size").fill(typed)
        advice = tirads.recommendation(8, measurement.read(typed, measurement.SIZE))
        assert advice.action == action
        expect(one(page, "advice")).to_have_text(advice.sentence)
    assert [url for url in asked if "gradio_api" in url] == []


@pytest.mark.parametrize("typed", ["0 mm", "−3", "3000 mm", "abc", "<b>5</b>"])
def test_what_is_no_size_is_answered_in_one_sentence_and_judges_nothing(page, typed):
    choose_features(page, HYPOECHOIC)
    one(page, "size").fill(typed)
    one(page, "size").blur()
    with pytest.raises(DataError) as refusal:
        measurement.read(typed, measurement.SIZE)
    expect(one(page, "size-note")).to_have_text(str(refusal.value))
    expect(one(page, "advice")).to_have_text(texts.schedule(5))
    one(page, "size").fill("12,5")
    expect(one(page, "size-note")).to_have_text(texts.texts()["typed"])
    expect(one(page, "advice")).to_have_text(tirads.recommendation(5, 12.5).sentence)


def test_an_upload_is_measured_when_its_spacing_is_typed_and_taken_back_when_it_is_none(
    page, tmp_path
):
    frame = tmp_path / "frame.png"
    Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save(frame)
    bad = tmp_path / "text.png"
    bad.write_text("This is no image.")
    upload = page.locator("[data-file=upload]")
    upload.set_input_files(frame)
    scored(page)
    drag(page, 0, 0.25, 0.5)
    drag(page, 1, 0.75, 0.5)
    expect(one(page, "readout")).to_contain_text("px: type the pixel spacing")
    assert one(page, "size").input_value() == ""
    one(page, "spacing").fill("0,1")
    assert size(page) == pytest.approx(20, abs=0.4)
    page.locator(".thyro-caliper").nth(1).press("Shift+ArrowLeft")
    assert size(page) == pytest.approx(19, abs=0.4)
    one(page, "spacing").fill("9")
    one(page, "spacing").blur()
    expect(one(page, "size-note")).to_contain_text("pixel spacing must be")
    upload.set_input_files(bad)
    expect(one(page, "frame-message")).to_contain_text("Received: text.png")
    expect(one(page, "picture")).to_be_hidden()
    expect(one(page, "score")).to_have_text("–")


def test_a_size_typed_before_the_frame_stays_and_that_of_another_frame_goes(page):
    one(page, "size").fill("12")
    choose_phantom(page, 1)
    assert size(page) == 12
    choose_features(page, HYPOECHOIC)
    choose_phantom(page, 2)
    assert one(page, "size").input_value() == ""
    expect(one(page, "total")).to_be_empty()


@pytest.mark.slow
def test_a_case_goes_on_in_the_other_language(page, tmp_path):
    choose_phantom(page, 1)
    drag(page, 0, 0.25, 0.5)
    drag(page, 1, 0.5, 0.5)
    measured = size(page)
    choose_features(page, HYPOECHOIC)
    page.locator("[data-focus]").nth(1).check()
    points = one(page, "points=echogenicity").inner_text()
    page.get_by_role("link", name="Français").click()
    page.wait_for_selector("html[lang=fr]")
    expect(one(page, "picture")).to_be_visible()
    scored(page)
    assert one(page, "size").input_value() == str(measured).replace(".", ",")
    expect(one(page, "size-note")).to_contain_text("du fantôme lui-même")
    expect(one(page, "readout")).to_contain_text("mm")
    expect(one(page, "points=echogenicity")).to_have_text(points)
    expect(page.locator("[data-focus]").nth(1)).to_be_checked()
    assert "?" not in page.url
    frame = tmp_path / "frame.png"
    Image.fromarray(np.full((300, 400, 3), 90, np.uint8)).save(frame)
    page.locator("[data-file=upload]").set_input_files(frame)
    scored(page)
    page.get_by_role("link", name="English").click()
    page.wait_for_selector("html[lang=en]")
    scored(page)
    assert "?" not in page.url
    page.evaluate("""() => sessionStorage.setItem('thyro-clinic', JSON.stringify({
      source: {file: {path: '/gone.png', meta: {_type: 'gradio.FileData'}}}, ends: [], moved: false,
      sizeFrom: 'typed', size: '12', spacing: '', model: '',
      features: {composition: '', echogenicity: '', shape: '', margin: '', foci: []}}))""")
    page.reload()
    expect(one(page, "frame-message")).to_contain_text("did not bring the uploaded frame along")
    assert size(page) == 12


def test_a_tap_on_the_frame_brings_the_nearer_caliper(page):
    choose_phantom(page)
    stage = page.locator(".thyro-stage").bounding_box()
    page.mouse.click(stage["x"] + 0.1 * stage["width"], stage["y"] + 0.2 * stage["height"])
    left = page.locator(".thyro-caliper").first.evaluate("(one) => parseFloat(one.style.left)")
    assert left == pytest.approx(10, abs=1)
    assert size(page) > 0


def test_a_frame_unlike_all_others_leads_with_that_sentence_and_is_not_judged(page):
    one(page, "size").fill("20")
    choose_features(page, HYPOECHOIC)
    choose_phantom(page, -1)
    notice = page.locator("[data-notices] .thyro-notice")
    expect(notice).to_contain_text("unlike the training images")
    assert notice.bounding_box()["y"] < one(page, "score").bounding_box()["y"]
    expect(one(page, "rule")).to_have_text(texts.texts()["unreliable"])
    expect(one(page, "verdict")).to_have_text(texts.texts()["not_compared"])


def test_another_model_scores_the_frame_again(page):
    choose_phantom(page)
    expect(one(page, "head")).to_have_text("Ensemble · SVM")
    one(page, "model").select_option("vgg16")
    expect(one(page, "head")).to_have_text("VGG-16 · SVM")
    scored(page)


@on_a_phone
def test_a_phone_offers_its_camera(page, tmp_path):
    camera = page.locator("[data-file=camera]")
    assert camera.get_attribute("capture") == "environment"
    expect(one(page, "camera")).to_be_visible()
    photo = tmp_path / "photo.jpg"
    Image.fromarray(np.full((400, 300, 3), 90, np.uint8)).save(photo)
    camera.set_input_files(photo)
    scored(page)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


@desk_and_phone
def test_a_term_explains_itself_on_hover_tap_and_key(page):
    term = page.locator("[data-term=composition]")
    tip = page.locator(".thyro-tip")
    if page.viewport_size["width"] == PHONE[0]:
        term.tap()
    else:
        term.hover()
    expect(tip).to_have_text(texts.terms()["composition"]["meaning"])
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.locator("[data-term=fna]").focus()
    expect(tip).to_have_text(texts.terms()["fna"]["meaning"])


def test_the_browser_counts_and_judges_as_the_server_does(page):
    rng = random.Random(0)
    sizes = ["", "0,5", "4.9", "5", "9.99", "10", "14.9", "15", "1.5 cm", "24.9", "25", "abc"]
    asked = []
    for typed, positive, reliable in itertools.product(sizes, (True, False), (True, True, False)):
        features = {name: rng.choice(list(table)) for name, table in tables.FEATURES.items()}
        features |= {"foci": [focus for focus in tirads.FOCI if rng.random() < 0.3]}
        asked.append(
            {"typed": typed, "features": features, "positive": positive, "reliable": reliable}
        )
    found = page.evaluate("(asked) => asked.map(window.thyroClinic.answer)", asked)
    for one_asked, got in zip(asked, found, strict=True):
        features = one_asked["features"] | {"foci": tuple(one_asked["features"]["foci"])}
        points = tirads.points(tirads.Features(**features))
        typed = one_asked["typed"]
        size = measurement.read(typed, measurement.SIZE) if typed not in ("", "abc") else None
        expected = answers.judge(points, size, one_asked["positive"], one_asked["reliable"])
        assert got["points"] == points
        assert got["level"] == (expected["tirads"]["level"] or tables.NO_LEVEL)
        assert got["advice"] == expected["tirads"]["sentence"]
        assert got["rule"] == expected["rule"]["sentence"]
        assert (got["agree"], got["verdict"]) == (expected["agree"], expected["verdict"])
    assert len({json.dumps(got) for got in found}) > 30


def test_the_browser_reads_lengths_as_the_server_does(page):
    typed = [
        *("12.5", "12,5", " 9 ", "9mm", "1.2 cm", "0.99 cm", "0.07", "0.08 mm", "200", "200.1"),
        *("0", "-3", "−3", "3000", "abc", "1e1", ".5", "5.", "12 13", "NaN", "１２", "<b>"),
        *("9" * 60, "1.2345678", "12\n", "12 mm x"),
    ]
    for kind, name in ((measurement.SIZE, "size"), (measurement.SPACING, "spacing")):
        script = "([typed, name]) => typed.map((one) => window.thyroClinic.read(one, name))"
        for written, got in zip(typed, page.evaluate(script, [typed, name]), strict=True):
            try:
                expected = {"value": measurement.read(written, kind)}
            except DataError as error:
                expected = {"refusal": str(error)}
            assert got == expected


@desk_and_phone
def test_nothing_runs_off_is_too_small_for_a_finger_or_too_faint_to_read(page):
    choose_phantom(page)
    one(page, "size").fill("12.5")
    choose_features(page, HYPOECHOIC)
    page.locator("label:has([value='punctate echogenic foci'])").click()
    page.add_style_tag(content="*, *::before { transition: none !important; }")
    found = {
        "beyond": page.evaluate(f"{LOOK}.beyond()"),
        "targets": page.evaluate(f"{LOOK}.targets(44)"),
        "light": page.evaluate(f"{LOOK}.contrast(4.5)"),
    }
    page.evaluate("document.body.classList.add('dark')")
    found["dark"] = page.evaluate(f"{LOOK}.contrast(4.5)")
    page.evaluate("document.body.classList.remove('dark')")
    assert {kind: faults for kind, faults in found.items() if faults} == {}


def test_a_request_that_is_not_accepted_is_reported_and_can_be_made_again(page):
    full = {"status": 429, "json": {"detail": "The queue must have room. Received: none."}}
    page.route("**/queue/join*", lambda route: route.fulfill(**full))
    page.locator("[data-phantom]").first.click()
    expect(one(page, "frame-message")).to_have_text(texts.texts()["not_uploaded"])
    expect(page.locator(".thyro-busy")).to_have_count(0)
    page.unroute("**/queue/join*")
    choose_phantom(page, 0)
    page.route("**/queue/join*", lambda route: route.fulfill(**full))
    one(page, "model").select_option("vgg16")
    expect(one(page, "notices")).to_contain_text(texts.texts()["not_scored"])
    expect(one(page, "score")).to_have_text("–")
    page.unroute("**/queue/join*")
    page.get_by_role("button", name=texts.texts()["again"]).click()
    scored(page)
    expect(one(page, "head")).to_have_text("VGG-16 · SVM")
