"""The page answers whatever a reader does, also what it was not made for."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from thyro_demo.bench.dicom_files import LOSSLESS, write
from thyro_demo.data.images import decode
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import BundleError
from thyro_demo.explain.overlay import colour_table
from thyro_demo.ui.build import build_ui
from thyro_demo.ui.compare import ComparePage
from thyro_demo.ui.html import message
from thyro_demo.ui.warmup import WarmUp


@pytest.fixture
def page(engine, examples) -> ComparePage:
    return ComparePage(engine, examples, None)


@pytest.fixture
def frame(tmp_path, speckle):
    path = tmp_path / "frame.png"
    Image.fromarray(speckle).save(path)
    return str(path)


def last(steps):
    return list(steps)[-1]


def test_a_comparison_shows_that_it_is_busy_and_then_what_it_found(page, frame):
    steps = list(page.compare(frame, page._engine.names()))
    assert "Comparing" in steps[0][0]
    assert "heads are above" in steps[-1][1]


def test_only_the_chosen_models_are_compared(page, frame):
    shown = last(page.compare(frame, ["resnet50"]))[-1]
    assert {prediction.model for prediction in shown.comparison.predictions} == {"resnet50"}


def test_without_frame_or_model_the_page_asks_for_it(page, frame):
    assert "Choose an example" in last(page.compare(None, ["vgg16"]))[0]
    assert "at least one model" in last(page.compare(frame, []))[0]


def test_an_error_of_the_engine_is_one_sentence_and_the_next_comparison_works(
    page, frame, monkeypatch
):
    def broken(*_):
        raise BundleError("The bundle must be whole. Received: half of it.")

    with monkeypatch.context() as patch:
        patch.setattr(page._engine, "compare", broken, raising=True)
        answer = last(page.compare(frame, ["vgg16"]))
        assert "must be whole" in answer[0]
        assert answer[-1] is None
    assert last(page.compare(frame, ["vgg16"]))[-1] is not None


def test_a_defect_ends_the_busy_note_and_is_not_hidden(page, frame, monkeypatch):
    monkeypatch.setattr(page._engine, "compare", lambda *_: 1 / 0)
    steps = page.compare(frame, ["vgg16"])
    next(steps)
    assert "The app itself failed" in next(steps)[0]
    with pytest.raises(ZeroDivisionError):
        next(steps)


def test_the_first_comparison_waits_for_the_networks_with_a_note(engine, examples, frame):
    page = ComparePage(engine, examples, WarmUp(engine))
    steps = list(page.compare(frame, ["vgg16"]))
    assert "Loading the networks" in steps[0][0]
    assert engine.warm.is_set()
    assert "Comparing" in next(page.compare(frame, ["vgg16"]))[0]


def test_a_head_is_explained_once_and_only_when_asked_for(page, frame):
    shown = last(page.compare(frame, ["vgg16", "resnet50"]))[-1]
    assert page._engine.explained == []
    html, message = last(page.explain(shown, ["svm"]))
    assert page._engine.explained == [("vgg16", "svm"), ("resnet50", "svm")]
    assert html.count("<figure") == 4
    assert message == ""
    html, _ = last(page.explain(shown, []))
    assert html.count("<figure") == 2
    last(page.explain(shown, ["svm"]))
    assert len(page._engine.explained) == 2


def test_a_grid_shows_every_head_of_every_model_with_score_and_share(page, frame):
    shown = last(page.compare(frame, ["vgg16", "resnet50"]))[-1]
    shown.enclose((0.25, 0.25, 0.75, 0.75))
    steps = list(page.explain(shown, [], True))
    assert [step[1] for step in steps[:-1]] == [
        message(f"Drawing heatmap {number} of 4 …", "busy") for number in range(1, 5)
    ]
    html = steps[-1][0]
    named = re.findall(r"<strong>([^<]*)</strong> <span>(\d\.\d\d)", html)
    assert [name for name, _ in named] == [
        f"{model} · {head}"
        for model in ("VGG-16", "ResNet-50")
        for head in ("Softmax", "SVM", "Random forest")
    ]
    assert [score for _, score in named] == [
        f"{one.score:.2f}" for one in shown.comparison.predictions
    ]
    assert len(re.findall(r"\d+% on your box", html)) == 6
    # Back to the heads that were chosen, and nothing is computed twice.
    html, _ = last(page.explain(shown, ["svm"]))
    assert html.count("<figure") == 4
    assert len(page._engine.explained) == 4


def test_a_box_of_the_readers_takes_the_place_of_what_networks_draw(page, frame):
    shown = last(page.compare(frame, ["vgg16"]))[-1]
    html, refusal = page.enclose(shown, [0.1, 0.2, 0.6, 0.9], [], False)
    assert refusal == ""
    assert "of this map is on the box that you drew; a blob in the middle: " in html
    assert "thyro-boxed" in html
    whole, _ = page.enclose(shown, [0, 0, 1, 1], [], False)
    assert "100% of this map is on the box" in whole
    html, _ = page.enclose(shown, None, [], False)
    assert "box that you drew" not in html
    assert shown.drawn is None
    assert "ten minutes" in page.enclose(None, [0, 0, 1, 1], [], False)[1]


def test_a_box_that_is_drawn_while_heatmaps_are_being_drawn_stays(page, frame):
    shown = last(page.compare(frame, ["vgg16"]))[-1]
    explaining = page.explain(shown, ["svm", "forest"])
    next(explaining)
    early, _ = page.enclose(shown, [0.1, 0.2, 0.6, 0.9], ["svm", "forest"], False)
    html, _ = last(explaining)
    drew = "on the box that you drew"
    assert html.count(drew) == 3 * early.count(drew) > 0
    # What was drawn before the reader chose other heads is drawn, and once.
    html, _ = page.enclose(shown, None, ["svm", "forest"], False)
    assert html.count("<figure") == 3
    last(page.explain(shown, ["forest"]))
    assert len(page._engine.explained) == 2


@pytest.mark.parametrize(
    "box",
    [[], [0, 0, 1], [0, 0, 0, 1], [0.5, 0, 0.2, 1], [0, 0, 1, 1.01], [-0.1, 0, 1, 1], "0011", 4,
     [0, 0, 1, True], [0, 0, 1, "1"], [0, 0, float("nan"), 1], {"path": "x"}],
)  # fmt: skip
def test_a_box_that_is_none_is_refused_in_one_sentence(page, frame, box):
    shown = last(page.compare(frame, ["vgg16"]))[-1]
    assert "A box must be left, top, right and bottom" in page.enclose(shown, box, [], False)[1]


def test_a_comparison_that_has_expired_is_reported_and_not_guessed(page):
    assert "ten minutes" in last(page.explain(None, ["svm"]))[1]
    assert "ten minutes" in last(page.picture(None, [], False, 0.5, "inferno"))[1]
    assert page.record(None)[0] == ""


@pytest.mark.slow
def test_the_picture_is_a_png_that_grows_with_the_heads_shown(page, frame):
    shown = last(page.compare(frame, page._engine.names()))[-1]
    last(page.explain(shown, ["svm"]))
    sizes = []
    for heads in ([], ["svm"]):
        busy, (address, message) = page.picture(shown, heads, False, 0.5, "viridis")
        assert busy[0] == ""
        assert "Drawing the picture" in busy[1]
        assert message == ""
        png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
        sizes.append(Image.open(io.BytesIO(png)).size)
    assert sizes[0][0] == sizes[1][0] == 1800
    assert sizes[1][1] > sizes[0][1]


def pictured(page, shown) -> Image.Image:
    address, _ = last(page.picture(shown, [], True, 0.0, "viridis"))
    png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return Image.open(io.BytesIO(png)).convert("RGB")


def test_the_picture_of_a_long_strip_is_no_longer_than_a_few_pages(page, tmp_path):
    Image.fromarray(np.full((600, 40, 3), (10, 200, 90), np.uint8)).save(tmp_path / "strip.png")
    shown = last(page.compare(str(tmp_path / "strip.png"), ["vgg16"]))[-1]
    picture = pictured(page, shown)
    # Two tiles a row, each 900 wide and twice as high, and what is above and below them.
    assert picture.width == 1800
    assert picture.height < 2600
    # The strip is whole, and as narrow as it is.
    strip = (np.abs(np.asarray(picture, int) - (10, 200, 90)).max(axis=2) < 3)[:, :900]
    rows, columns = np.nonzero(strip)
    high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert high > 1500
    assert high / wide == pytest.approx(15, rel=0.05)


@pytest.mark.slow
def test_the_picture_of_many_strips_is_bounded_as_a_whole(engine, examples, tmp_path):
    engine.titles = titles = {f"model-{number}": f"Model {number}" for number in range(20)}
    page = ComparePage(engine, examples, None)
    Image.fromarray(np.full((90, 40, 3), 90, np.uint8)).save(tmp_path / "strip.png")
    shown = last(page.compare(str(tmp_path / "strip.png"), list(titles)))[-1]
    last(page.explain(shown, [], True))
    assert pictured(page, shown).height < 13_000


def test_a_defect_ends_the_note_that_a_picture_is_drawn_and_is_not_hidden(page, frame, monkeypatch):
    shown = last(page.compare(frame, ["vgg16"]))[-1]
    monkeypatch.setattr("thyro_demo.ui.answers.compose", lambda *_: 1 / 0)
    steps = page.picture(shown, [], False, 0.5, "viridis")
    next(steps)
    assert "The app itself failed" in next(steps)[1]
    with pytest.raises(ZeroDivisionError):
        next(steps)


@pytest.fixture
def large_frame(tmp_path):
    """Write a frame of more pixels than a page has, all of one colour that no scale has."""
    path = tmp_path / "large.png"
    Image.fromarray(np.full((1500, 2400, 3), (10, 200, 90), np.uint8)).save(path)
    return str(path)


@pytest.mark.slow
def test_of_a_large_frame_only_what_can_be_shown_is_kept(page, large_frame, monkeypatch):
    explain, asked = page._engine.explain, []

    def watched(image, *args):
        asked.append(image.pixels.shape)
        return explain(image, *args)

    monkeypatch.setattr(page._engine, "explain", watched)
    shown = last(page.compare(large_frame, page._engine.names()))[-1]
    last(page.explain(shown, ["svm", "forest"]))
    kept = [prediction.heatmap for prediction in shown.comparison.predictions]
    assert shown.comparison.frame.shape == (600, 960, 3)
    assert [heatmap.shape for heatmap in kept] == 9 * [(600, 960)]
    assert {heatmap.dtype for heatmap in kept} == {np.dtype(np.float32)}
    # The networks still see, and the record still names, the frame as it came.
    assert asked == 6 * [(1500, 2400, 3)]
    assert (shown.record["width"], shown.record["height"]) == (2400, 1500)


@pytest.mark.slow
def test_the_picture_of_a_large_frame_shows_frame_heatmaps_and_scores(page, large_frame):
    shown = last(page.compare(large_frame, page._engine.names()))[-1]
    address, _ = last(page.picture(shown, [], False, 1.0, "cividis"))
    png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    colours = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    hottest = np.rint(255 * colour_table("cividis")[-1])
    above, below = (180, 83, 10), (15, 107, 116)
    # A quarter of 1800 pixels is 450 wide; the frame fills nearly all of it.
    for colour, least in (((10, 200, 90), 50_000), (hottest, 50), (above, 1000), (below, 1000)):
        near = np.abs(colours.astype(int) - np.asarray(colour)).max(axis=1) <= 2
        assert near.sum() >= least


def test_a_head_of_a_frame_that_has_gone_is_not_explained_but_others_can_be_hidden(page, frame):
    shown = last(page.compare(frame, ["vgg16"]))[-1]
    last(page.explain(shown, ["svm"]))
    Path(frame).unlink()
    html, message = last(page.explain(shown, ["svm", "forest"]))
    assert "ten minutes" in message
    assert html.count("<figure") == 2
    html, message = last(page.explain(shown, []))
    assert message == ""
    assert html.count("<figure") == 1


def test_the_record_is_the_engines_own_and_carries_the_caution(page, frame):
    shown = last(page.compare(frame, ["vgg16"]))[-1]
    address, _ = page.record(shown)
    record = json.loads(base64.b64decode(address.removeprefix("data:application/json;base64,")))
    assert record == shown.comparison.to_dict()
    assert "not a diagnosis" in record["notice"]


def test_an_upload_is_shown_as_the_models_will_see_it(page, tmp_path):
    deep = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    path = tmp_path / "deep.tif"
    Image.fromarray(deep).save(path)
    shown, message, *_ = page.accept(str(path))
    assert message == ""
    assert np.ptp(decode(shown)) == 255


def test_an_upload_that_is_no_image_is_one_sentence(page, tmp_path):
    path = tmp_path / "text.jpg"
    path.write_text("not an image")
    shown, message, *_ = page.accept(str(path))
    assert shown is None
    assert message.count("Received:") == 1


def test_an_example_brings_what_is_known_of_it(page, speckle):
    frame, message, _, mark, *_, name = page.choose("hypoechoic")
    assert name == "hypoechoic"
    np.testing.assert_array_equal(frame, speckle)
    assert (message, mark) == ("", ())


def test_what_is_known_of_a_frame_belongs_to_the_frame_that_was_compared(page, frame, tmp_path):
    assert "Drawn with 4 points." in last(page.compare(frame, ["vgg16"]))[1]
    other = tmp_path / "other.png"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(other)
    # Whatever example was chosen in the meantime.
    page.choose("hypoechoic")
    assert "Drawn with" not in last(page.compare(str(other), ["vgg16"]))[1]


@pytest.mark.parametrize("name", ["no-such-case", "", None, "x" * 300])
def test_an_unknown_case_is_one_short_sentence(page, name):
    frame, refusal, _, mark, *_, returned = page.choose(name)
    assert (frame, mark, returned) == (None, (), name)
    assert refusal.count("Received:") == 1
    assert len(refusal) < 250


def test_results_name_the_frame_models_and_mark_that_they_are_of(every_kind, frame):
    mark = (90, 60, 210, 170)
    for ticked, corners, noted in (
        (["vgg16"], mark, None),
        (["vgg16", "efficientnet-b0-roi"], mark, "90,60,210,170"),
        (["vgg16", "efficientnet-b0-roi"], mark[:2], ""),
    ):
        about = json.loads(last(every_kind.compare(frame, ticked, corners))[-2])
        assert about == {"path": frame, "models": ticked, "mark": noted}


def test_without_a_bundle_the_page_opens_and_names_what_is_missing(engine, examples, frame):
    engine.titles.clear()
    page = ComparePage(engine, examples, None)
    assert "at least one bundle" in page.models.message()
    assert "at least one bundle" in last(page.compare(frame, []))[0]


def test_a_damaged_bundle_takes_only_itself_off_the_page(engine, examples, monkeypatch):
    title = engine.title

    def damaged(name):
        if name == "vgg16":
            raise BundleError("A manifest must be JSON. Received: vgg16.")
        return title(name)

    monkeypatch.setattr(engine, "title", damaged)
    page = ComparePage(engine, examples, None)
    assert "Received: vgg16." in page.models.message()
    assert list(page.models.titles) == ["resnet50", "efficientnet-b0"]


@pytest.fixture
def every_kind(engine_of_every_kind, examples) -> ComparePage:
    """Open a page with networks, one that reads a marked nodule, and an ensemble."""
    marked = replace(examples[0], roi=Box(90, 60, 210, 170))
    return ComparePage(engine_of_every_kind, [marked], None)


def click(page, frame, mark, x, y):
    return page.mark(frame, mark, SimpleNamespace(index=[x, y]))[0]


def test_networks_come_first_and_what_needs_a_mark_is_not_ticked(every_kind):
    names = ["efficientnet-b0", "resnet50", "vgg16", "efficientnet-b0-roi", "ensemble"]
    assert list(every_kind.models.titles) == names
    assert every_kind.models.ticked == [name for name in names if name != "efficientnet-b0-roi"]


def test_two_clicks_on_opposite_corners_mark_a_nodule_for_those_that_read_one(every_kind, frame):
    mark = ()
    for x, y in ((200, 40), (201, 41), (120, 150)):
        # The second click is that of a double click.
        mark = click(every_kind, frame, mark, x, y)
    assert mark == (120, 40, 201, 151)
    shown = last(every_kind.compare(frame, ["ensemble", "efficientnet-b0-roi"], mark))
    assert every_kind._engine.marked[-1] == Box(*mark)
    assert "81 × 111 pixels" in shown[1]
    last(every_kind.explain(shown[-1], ["svm"]))
    assert every_kind._engine.marked[-1] == Box(*mark)
    last(every_kind.compare(frame, ["vgg16"], mark))
    assert every_kind._engine.marked[-1] is None
    assert click(every_kind, frame, mark, 5, 6) == (5, 6)


def test_one_corner_is_no_mark(every_kind, frame):
    last(every_kind.compare(frame, ["efficientnet-b0-roi"], (200, 40)))
    assert every_kind._engine.marked == [None]


def test_an_example_brings_its_nodule_and_another_frame_brings_none(every_kind, frame):
    _, _, _, mark, picture, button, _ = every_kind.choose("hypoechoic")
    assert mark == (90, 60, 210, 170)
    assert '<rect x="90" y="60" width="120" height="110"/>' in picture
    assert '<rect x="66" y="38" width="168" height="154" stroke-dasharray' in picture
    assert button.visible
    for cleared in (every_kind.accept(frame)[3:], every_kind.accept(None)[3:]):
        assert cleared[0] == ()
        assert "<svg" not in cleared[1]
        assert "EfficientNet-B0 ROI" in cleared[1]


def test_a_click_on_a_frame_that_has_gone_marks_nothing(every_kind, tmp_path):
    assert click(every_kind, str(tmp_path / "gone.png"), (3, 4), 50, 60) == ()
    assert click(every_kind, None, (3, 4), 50, 60) == ()


def test_an_ensemble_alone_shows_the_map_of_its_first_head(every_kind, frame):
    answer = last(every_kind.compare(frame, ["ensemble"]))
    assert answer[5].count("<figure") == 1
    assert answer[3].value == ["svm"]
    answer = last(every_kind.compare(frame, ["ensemble", "vgg16"]))
    assert "<h3>Softmax</h3>" in answer[5]
    assert answer[3].value == []


def test_nothing_reaches_the_networks_but_through_one_queue(engine, examples):
    app = build_ui(engine, examples)
    shared = [fn for fn in app.fns.values() if fn.concurrency_id == "networks"]
    of_compare = {"compare", "explain", "poke", "scores", "maps"}
    of_play = {"live_frame", "live_scores", "frame_for_programs", "scores_for_programs"}
    of_present = {"answer", "case_for_programs"}
    assert {fn.name for fn in shared} == of_compare | of_play | of_present | {"score", "clinic"}
    assert {fn.concurrency_limit for fn in shared} == {1}


def test_clients_are_offered_the_plain_endpoints_alone(engine, examples):
    app = build_ui(engine, examples)
    public = [fn.api_name for fn in app.fns.values() if fn.api_visibility == "public"]
    assert public == ["compare", "maps", "play", "play_scores", "clinic", "tirads", "present"]


def test_a_card_that_is_no_text_keeps_the_page_from_nothing(engine, examples, monkeypatch):
    """A bundle of a stranger, whose README.md is anything at all."""
    card = engine.card

    def damaged(name):
        return b"\xff".decode("utf-8") if name == "vgg16" else card(name)

    monkeypatch.setattr(engine, "card", damaged)
    app = build_ui(engine, examples)
    texts = [component["props"].get("value") for component in app.get_config_file()["components"]]
    assert any("must be a text in UTF-8" in str(text) for text in texts)
    assert any("# ResNet-50" in str(text) for text in texts)


@pytest.fixture
def loop(tmp_path):
    """Write three frames of three shades as a DICOM loop with a pixel spacing."""
    shades = np.stack([np.full((64, 96), shade, np.uint8) for shade in (20, 90, 160)])
    path = tmp_path / "loop.dcm"
    path.write_bytes(write(shades, LOSSLESS["RLE"], "MONOCHROME2", PixelSpacing=[0.1, 0.2]))
    return str(path)


def test_a_loop_is_shown_and_compared_frame_by_frame(page, loop):
    first, message, slider, *_ = page.accept(loop)
    assert (message, slider.visible, slider.maximum, slider.value) == ("", True, 3, 1)
    second, message, *_ = page.turn(first, 2)
    assert message == ""
    for path, shade in ((first, 20), (second, 90)):
        assert abs(int(decode(path).mean()) - shade) <= 1
        shown = last(page.compare(path, ["vgg16"]))[-1]
        assert (shown.comparison.frame == shade).all()
        assert shown.record["spacing_mm"] == {"across": 0.2, "down": 0.1}
        assert "does not rule out text" in shown.record["notices"][0]
    # From any frame to any other.
    assert abs(int(decode(page.turn(second, 3)[0]).mean()) - 160) <= 1
    assert "frame=4 of loop.dcm" in page.turn(second, 4)[1]


def test_a_still_image_has_no_slider(page, frame):
    assert page.accept(frame)[2].visible is False
    assert page.accept(None)[2].visible is False


def test_a_frame_of_a_loop_that_has_gone_is_one_sentence(page, loop):
    shown, *_ = page.accept(loop)
    Path(loop).unlink()
    # The copy alone is not taken for the frame.
    assert "uploaded to this page" in page.turn(shown, 2)[1]
    assert "uploaded to this page" in last(page.compare(shown, ["vgg16"]))[0]


def test_a_copy_that_was_saved_from_the_page_can_be_uploaded_again(page, loop, tmp_path):
    shown, *_ = page.accept(loop)
    again = tmp_path / "another-upload" / Path(shown).name
    again.parent.mkdir()
    again.write_bytes(Path(shown).read_bytes())
    Path(loop).unlink()
    copy, refusal, *_ = page.accept(str(again))
    assert refusal == ""
    for path in (str(again), copy):
        compared = last(page.compare(path, ["vgg16"]))[-1].comparison
        assert abs(int(compared.frame.mean()) - 20) <= 1
    again.unlink()
    assert "uploaded to this page" in last(page.compare(copy, ["vgg16"]))[0]


def test_a_program_asks_for_a_frame_by_its_number(page, loop):
    assert [
        page.scores(loop, ["vgg16"], number)["predictions"][0]["score"] for number in (1, 3)
    ] == [pytest.approx(shade / 255) for shade in (20, 160)]


def test_a_click_on_the_copy_of_a_large_frame_marks_the_frame_itself(every_kind, large_frame):
    shown, *_ = every_kind.accept(large_frame)
    assert decode(shown).shape == (800, 1280, 3)
    mark, *_ = every_kind.mark(shown, (), SimpleNamespace(index=(640, 400)))
    assert mark == (1200, 750)
