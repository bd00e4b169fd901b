"""The page says what was read, in words as well as in colour, and escapes what it is given."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thyro_demo import engine as engines
from thyro_demo.explain.overlay import COLOUR_SCALES
from thyro_demo.ui.results import (
    HEADS,
    colour_filters,
    heatmaps,
    message,
    score,
    summary,
    threshold,
)


@pytest.fixture
def comparison(engine, speckle):
    return engine.compare(speckle, engine.names())


def test_each_head_of_each_model_has_a_row_that_reads_its_side_of_the_threshold(engine, comparison):
    html = summary(comparison, engine.titles)
    rows = re.findall(r'<tr role="row" class="thyro-(above|below).*?</tr>', html)
    sides = [
        "above" if shown.score >= shown.threshold else "below" for shown in comparison.predictions
    ]
    assert rows == sides
    assert html.count("above threshold") == sides.count("above")
    assert html.count("below threshold") == sides.count("below")


def test_the_bar_and_its_mark_stand_where_score_and_threshold_are(engine, comparison):
    html = summary(comparison, engine.titles)
    for shown in comparison.predictions:
        assert f"--score:{shown.score:.4f};--threshold:{shown.threshold:.4f}" in html


def test_notices_come_before_any_score(engine, comparison):
    warned = replace(comparison, notices=["This image is unlike the training images."])
    html = summary(warned, engine.titles)
    assert html.index("unlike the training images") < html.index("Model score")


def test_a_row_says_what_its_time_counts_and_the_whole_why_it_took_less(engine, comparison):
    html = summary(comparison, engine.titles)
    assert "with the forward pass that it shares" in html
    assert "the whole comparison took 187 ms." in html
    remembered = summary(replace(comparison, milliseconds=5.0), engine.titles)
    assert "took 5 ms, for features of this frame were still at hand." in remembered


def test_every_head_that_a_bundle_can_hold_has_a_display_name():
    assert set(HEADS) == set(engines.HEADS)


def test_what_is_known_of_the_frame_stands_beside_what_was_read(engine, comparison):
    assert "Drawn with 4 points." in summary(comparison, engine.titles, "Drawn with 4 points.")


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
    assert re.findall(r'<filter id="thyro-(\w+)"', colour_filters()) == list(COLOUR_SCALES)


@pytest.mark.parametrize(
    ("value", "least", "positive"),
    [(0.648, 0.6512, False), (0.6512, 0.648, True), (0.65, 0.65, True), (0.2, 0.7, False)],
)
def test_decimals_never_contradict_the_reading(comparison, value, least, positive):
    shown = replace(comparison.predictions[0], score=value, threshold=least, positive=positive)
    assert (float(score(shown)) >= float(threshold(shown))) is positive


def test_scores_of_a_model_that_found_no_nodule_are_faint(engine, comparison):
    html = summary(replace(comparison, without_nodule=("resnet50",)), engine.titles)
    assert html.count("thyro-faint") == 3
    assert "thyro-faint" not in summary(comparison, engine.titles)
