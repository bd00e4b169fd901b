"""The page shows predictions in words as well as in colour, and escapes what is filled in."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thyro_demo.engine import HEADS
from thyro_demo.explain.overlay import COLOUR_SCALES, overlay
from thyro_demo.ui.examples import Example
from thyro_demo.ui.html import message
from thyro_demo.ui.pages import PAGES, masthead
from thyro_demo.ui.results import (
    NO_EVIDENCE,
    filters,
    head_title,
    heatmaps,
    summary,
    verdict,
    wording,
)


@pytest.fixture
def comparison(engine, speckle):
    return engine.compare(speckle, engine.names())


def test_each_head_of_each_model_has_a_row_with_its_side_of_the_threshold(engine, comparison):
    html = summary(comparison, engine.titles)
    rows = re.findall(r'<tr role="row" class="thyro-(above|below).*?</tr>', html, re.DOTALL)
    sides = [
        "above" if shown.score >= shown.threshold else "below" for shown in comparison.predictions
    ]
    assert rows == sides
    cells = re.findall(r'<td role="cell" class="thyro-side">(.*?)</td>', html, re.DOTALL)
    words = [" ".join(re.sub(r"<.*?>", " ", cell).split()) for cell in cells]
    assert words == [f"{side} threshold" for side in sides]


@pytest.mark.parametrize("label", ["malignant", "benign", "normal", ""])
def test_heads_are_marked_right_or_wrong_where_a_label_is_theirs_to_predict(
    engine, comparison, label
):
    example = Example("a", "A", "Drawn.", lambda: comparison.frame, label=label)
    html = summary(comparison, engine.titles, example)
    above = [shown.positive for shown in comparison.predictions]
    judged = label in ("malignant", "benign")
    as_label = [one == (label == "malignant") for one in above] if judged else []
    assert html.count('class="thyro-right"') == sum(as_label)
    assert html.count('class="thyro-wrong"') == len(as_label) - sum(as_label)
    assert ("✓ and ✗: as the label" in html) == judged


def test_every_word_that_is_explained_has_its_explanation_beside_it(engine, comparison):
    html = summary(comparison, engine.titles)
    explained = re.findall(r'role="tooltip">(.*?)</span>', html, re.DOTALL)
    assert len(explained) == html.count('class="thyro-term') >= 4
    assert all(len(text) > 40 for text in explained)


def test_the_bar_and_its_mark_are_where_score_and_threshold_are(engine, comparison):
    html = summary(comparison, engine.titles)
    for shown in comparison.predictions:
        assert f"--score:{shown.score:.4f};--threshold:{shown.threshold:.4f}" in html


def test_notices_come_before_any_score(engine, comparison):
    warned = replace(comparison, notices=["This image is unlike the training images."])
    html = summary(warned, engine.titles)
    assert html.index("unlike the training images") < html.index("Model score")


def test_a_row_explains_what_its_time_counts_and_the_whole_why_it_took_less(engine, comparison):
    html = summary(comparison, engine.titles)
    assert "with the forward pass that it shares" in html
    assert "the whole comparison took\n187 ms." in html
    remembered = summary(replace(comparison, milliseconds=5.0), engine.titles)
    assert "took\n5 ms, for features of this frame were still at hand." in remembered


def test_a_display_name_is_the_name_within_a_sentence_with_a_capital():
    titles = ["Softmax", "SVM", "Linear SVM", "Random forest", "Average"]
    assert [head_title(head) for head in HEADS] == titles
    assert head_title("a-head-of-tomorrow") == "a-head-of-tomorrow"


def test_what_is_known_of_the_frame_is_beside_the_predictions(engine, comparison):
    example = Example("a", "A", "Drawn with 4 points.", lambda: comparison.frame, label="malignant")
    html = summary(comparison, engine.titles, example)
    assert "Drawn with 4 points." in html
    assert "What the heads predict for “A”" in html


@pytest.mark.parametrize(
    ("agreement", "label", "sentence"),
    [
        (
            "9 of 11 heads are above.",
            "malignant",
            "9 of 11 heads are above; the label is malignant.",
        ),
        (
            "1 of 3 is above; A is above.",
            "benign",
            "1 of 3 is above; A is above. The label is benign.",
        ),
        ("9 of 11 heads are above.", "", "9 of 11 heads are above."),
    ],
)
def test_one_sentence_leads(comparison, agreement, label, sentence):
    assert verdict(replace(comparison, agreement=agreement), label) == sentence


def test_a_heatmap_without_evidence_is_a_sentence_and_no_picture(engine, comparison):
    shape = comparison.frame.shape[:2]
    faint, empty = (
        replace(comparison.predictions[0], heatmap=np.full(shape, level, np.float32))
        for level in (0.01, 0.001)
    )
    for shown, pictures in ((faint, 1), (empty, 0)):
        html = heatmaps(comparison.frame, [shown], engine.titles)
        assert html.count("data:image/png") == pictures
        assert (NO_EVIDENCE in html) is (pictures == 0)
        assert html.count("<figcaption") == 1


def test_markup_in_a_title_or_a_notice_is_shown_and_not_obeyed(engine, comparison):
    titles = dict.fromkeys(engine.titles, "<b>VGG</b>")
    warned = replace(comparison, notices=["<script>alert(1)</script>"])
    html = summary(warned, titles) + heatmaps(comparison.frame, comparison.predictions, titles)
    assert "<b>VGG" not in html
    assert "<script>" not in html


def test_an_error_is_announced_and_a_progress_note_is_not_an_error():
    assert 'role="alert"' in message("A sentence.")
    assert 'role="status"' in message("A sentence.", "busy")
    assert message("") == ""


def test_only_heads_with_a_heatmap_are_drawn_one_row_a_head(engine, comparison):
    html = heatmaps(comparison.frame, comparison.predictions, engine.titles)
    assert html.count("<figure") == 3
    assert html.count("<h3>") == 1
    maps = [engine.explain(comparison.frame, name, "svm") for name in engine.names()]
    both = heatmaps(comparison.frame, [*comparison.predictions, *maps], engine.titles)
    assert both.count("<figure") == 6
    assert both.count("<h3>") == 2


def test_the_frame_is_sent_once_whatever_the_number_of_heatmaps(engine, comparison):
    html = heatmaps(comparison.frame, comparison.predictions, engine.titles)
    assert html.count("data:image/jpeg") == 1
    assert html.count("data:image/png") == 3


def test_the_heatmap_arrives_in_the_browser_as_it_was(engine, comparison):
    html = heatmaps(comparison.frame, comparison.predictions, engine.titles)
    sent = re.search(r"data:image/png;base64,([^\"]+)", html)
    assert sent is not None
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(sent[1]))))
    np.testing.assert_allclose(grey / 255, comparison.predictions[0].heatmap, atol=0.002)


def test_there_is_a_filter_for_each_colour_scale_on_offer():
    html = masthead(PAGES[0])
    assert re.findall(r'<filter id="thyro-(\w+)"', html) == list(COLOUR_SCALES)


@pytest.mark.parametrize("colormap", COLOUR_SCALES)
def test_a_browser_paints_the_pixels_of_the_picture(colormap):
    """Do as the filter does: look the grey level up, and cover the frame by it times opacity."""
    frame = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    levels = [np.array(row.split(), float) for row in filters()[colormap].values()]
    colours = np.stack([np.interp(grey / 255, np.linspace(0, 1, len(each)), each)
                        for each in levels], axis=-1)  # fmt: skip
    cover = 0.7 * (grey / 255)[..., np.newaxis]
    painted = (1 - cover) * frame + cover * 255 * colours
    np.testing.assert_allclose(painted, overlay(frame, grey / 255, 0.7, colormap), atol=0.7)


@pytest.mark.parametrize(
    ("value", "least", "positive"),
    [
        (0.648, 0.6512, False),
        (0.6512, 0.648, True),
        (0.6504, 0.6496, True),
        (0.65, 0.65, True),
        (0.2, 0.7, False),
    ],
)
def test_decimals_never_contradict_the_prediction(comparison, value, least, positive):
    shown = replace(comparison.predictions[0], score=value, threshold=least, positive=positive)
    words = wording(shown)
    assert (float(words.score) >= float(words.threshold)) is positive
    # Two that differ are never shown as equal.
    assert (words.score == words.threshold) is (value == least)
    assert len(words.score) == len(words.threshold) >= 4


def test_scores_of_a_model_that_found_no_nodule_are_faint(engine, comparison):
    html = summary(replace(comparison, without_nodule=("resnet50",)), engine.titles)
    assert html.count("thyro-faint") == 3
    assert "Grey italic" in html
    assert "Grey italic" not in summary(comparison, engine.titles)
    assert "thyro-faint" not in summary(comparison, engine.titles)
