"""The card that changes the frame: what it compares, what it says, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data import changes
from thyro_demo.data.frame import Frame
from thyro_demo.data.scan_area import Box
from thyro_demo.ui.answers import Answers
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.poke import CHANGES
from thyro_demo.ui.uploads import private_folder


@pytest.fixture
def compared(engine, examples):
    """Handlers of a page, the comparison of its first example, and that frame."""
    answers = Answers(engine, examples, None)
    frame = examples[0].read()
    path = private_folder() / "poked.png"
    Image.fromarray(frame).save(path)
    *_, answer = answers.compare(str(path), engine.names())
    return answers, answer[-1], frame


def last(answers, shown, key, calipers=None):
    *_, answer = answers.poke(shown, key, calipers)
    return answer


@pytest.mark.parametrize("key", ["mirror", "gain", "blur", "calipers"])
def test_every_head_is_compared_before_and_after(compared, engine, key):
    answers, shown, frame = compared
    refusal, html = last(answers, shown, key)
    assert refusal == ""
    assert html.count('<tr role="row" class="thyro-') == len(shown.comparison.predictions)
    change = {"mirror": changes.mirrored, "gain": changes.brighter, "blur": changes.blurred}
    if key in change:
        after = engine.compare(change[key](frame), engine.names())
        for old, new in zip(shown.comparison.predictions, after.predictions, strict=True):
            assert f"--score:{new.score:.4f};--before:{old.score:.4f};" in html


def test_calipers_are_printed_where_the_reader_put_them(compared, engine, monkeypatch):
    answers, shown, frame = compared
    asked = []
    compare = engine.compare
    monkeypatch.setattr(
        engine, "compare", lambda image, *a: asked.append(image) or compare(image, *a)
    )
    refusal, _ = last(answers, shown, "calipers", [[0, 0.5], [1, 0.25]])
    assert refusal == ""
    height, width = frame.shape[:2]
    ends = [(round(0.5 * (height - 1)), 0), (round(0.25 * (height - 1)), width - 1)]
    assert np.array_equal(asked[0].pixels, changes.with_calipers(frame, ends))


@pytest.mark.parametrize(("key", "left", "right"), [("mirror", 20, 80), ("gain", 40, 100)])
def test_a_recorded_scan_area_stays_on_the_same_tissue(key, left, right):
    """Else a change would be compared with another crop, and the crop be what moves the score."""
    before = Frame(np.zeros((90, 120, 3), np.uint8), area=Box(40, 10, 100, 70))
    after = CHANGES[key].frame(before, np.zeros((90, 120), bool), None)
    assert after.scan_area() == Box(left, 10, right, 70)
    assert CHANGES[key].frame(Frame(before.pixels), np.zeros((90, 120), bool), None).area is None


@pytest.mark.parametrize(
    "calipers",
    [[], [[0, 0]], [[0, 0], [0.5, 1.5]], [[0, 0], [0, "1"]], [0, 0], "x", [[0, 0], [True, 0]]],
)
def test_what_are_no_calipers_is_refused(compared, calipers):
    answers, shown, _ = compared
    assert last(answers, shown, "calipers", calipers)[0].count("Calipers must be two ends") == 1


def test_the_sentence_counts_the_heads_that_change_sides(compared, engine):
    answers, shown, frame = compared
    _, html = last(answers, shown, "gain")
    after = engine.compare(changes.brighter(frame), engine.names()).predictions
    crossed = sum(
        old.positive != new.positive
        for old, new in zip(shown.comparison.predictions, after, strict=True)
    )
    assert f"With 35 % more gain, {crossed or 'none'} of {len(after)} heads" in html


@pytest.mark.parametrize("key", [key for key, change in CHANGES.items() if change.needs_nodule])
def test_a_nodule_must_be_known_to_be_taken_away(compared, key):
    answers, shown, _ = compared
    unknown = replace(shown, nodule=None)
    assert "It must be known where the nodule is" in last(answers, unknown, key)[0]
    mask = np.zeros(shown.comparison.frame.shape[:2], np.float32)
    mask[40:80, 50:110] = 1
    drawn = replace(unknown, comparison=replace(shown.comparison, nodules={"vgg16": mask}))
    refusal, html = last(answers, drawn, key)
    assert refusal == ""
    assert words("compare")["changes"][key]["done"] in html


def test_a_score_without_a_nodule_is_faint_after_a_change_as_well(compared, engine, monkeypatch):
    answers, shown, _ = compared
    assert "thyro-faint" not in last(answers, shown, "mirror")[1]
    compare = engine.compare
    monkeypatch.setattr(
        engine, "compare", lambda *a: replace(compare(*a), without_nodule=("vgg16",))
    )
    _, html = last(answers, shown, "mirror")
    assert html.count("thyro-faint") == 3
    assert "Grey italic" in html
    # The score before is beside the one after, and signs are explained.
    first = shown.comparison.predictions[0]
    assert f">{first.rounded()[0]}&#8239;→</small>" in html
    assert "↔: another side of the threshold" in html


@pytest.mark.parametrize("key", [None, "", "melt", "__class__"])
def test_an_unknown_change_is_one_sentence(compared, key):
    answers, shown, _ = compared
    refusal, html = last(answers, shown, key)
    assert f"Received: {key!r}." in refusal.replace("&#39;", "'")
    assert html == ""


def test_a_comparison_that_has_gone_is_one_sentence(compared):
    answers, _, _ = compared
    assert "press Compare again" in last(answers, None, "mirror")[0]
