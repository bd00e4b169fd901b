"""A figure is written with its interval, its signs, and a dash for what is undefined."""

import numpy as np
import pytest

from thyro_demo.evaluate import formatting
from thyro_demo.evaluate.intervals import Interval

NAN = float("nan")


@pytest.mark.parametrize(
    ("numbers", "written"),
    [
        ((0.841, 0.802, 0.877), "0.84 (0.80–0.88)"),
        ((-0.01, -0.02, 0.04), "−0.01 (−0.02 to 0.04)"),
        ((1.0, None, None), "1.00 (–)"),
        ((1.0, NAN, NAN), "1.00 (–)"),
        ((None, None, None), "–"),
        ((NAN, NAN, NAN), "–"),
    ],
)
def test_a_figure_reads_with_its_interval_in_whichever_form_it_comes(numbers, written):
    mapping = dict(zip(("value", "low", "high"), numbers, strict=True))
    for estimate in (numbers, mapping, Interval(*numbers), list(numbers)):
        assert formatting.with_interval(estimate) == written


def test_without_dashes_what_is_undefined_is_a_word_or_left_out():
    assert formatting.with_interval((None, None, None), dashes=False) == "undefined"
    assert formatting.with_interval((0.5, None, None), 3, dashes=False) == "0.500"
    assert formatting.gain((0.5, NAN, NAN), dashes=False) == "+0.500"


def test_a_gain_has_a_sign_before_each_number():
    assert formatting.gain((0.012, -0.02, 0.04)) == "+0.012 (−0.020 to +0.040)"
    assert formatting.gain((-0.1, -0.2, -0.05), 1, scale=100) == "−10.0 (−20.0 to −5.0)"
    assert formatting.gain((0.1, NAN, NAN)) == "+0.100 (–)"
    assert formatting.gain((NAN, NAN, NAN)) == "–"
    assert formatting.with_interval((0.02, -0.01, 0.05), plus=True) == "+0.02 (−0.01 to 0.05)"


def test_a_count_holds_its_share_within_the_interval():
    for count, total in ((0, 7), (3, 40), (40, 40)):
        text = formatting.count_of(count, total)
        head, _, between = text.partition(" (")
        assert head == f"{count} of {total}"
        low, high = (float(end) for end in between.removesuffix(" %)").split("–"))
        assert low <= 100 * count / total <= high


@pytest.mark.parametrize("estimate", [(0.84, 0.8, 0.88), (-0.01, -0.02, 0.04), (1.0, None, None)])
def test_a_written_figure_splits_into_value_and_bracket(estimate):
    text = formatting.with_interval(estimate)
    value, bracket, rest = formatting.split_interval(f"{text} / 0.9")
    assert (f"{value} {bracket}", rest) == (text, " / 0.9")
    assert formatting.split_interval("EfficientNet (frozen)") == ("EfficientNet (frozen)", "", "")


def test_numpy_numbers_and_percentages():
    assert formatting.number(np.float32(-0.5)) == "−0.50"
    assert formatting.percent(0.95) == "95 %"
    assert formatting.with_interval(np.array([0.5, 0.25, 0.75]), 1, scale=100) == "50.0 (25.0–75.0)"
