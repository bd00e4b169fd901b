"""Typed lengths with their units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thyro_demo.clinical.measurement import SIZE, SPACING, read
from thyro_demo.errors import DataError


@pytest.mark.parametrize(
    ("typed", "millimetres"),
    [
        ("12.5", 12.5),
        ("12,5", 12.5),
        ("  9 ", 9.0),
        ("9mm", 9.0),
        ("1.2 cm", 12.0),
        ("1,25cm", 12.5),
        ("0.99 cm", 9.9),
        ("200", 200.0),
        ("0.5", 0.5),
        ("007", 7.0),
    ],
)
def test_a_size_is_read_in_millimetres_with_point_comma_or_unit(typed, millimetres):
    assert read(typed, SIZE) == millimetres


@pytest.mark.parametrize(
    "typed",
    [
        *("0", "0 mm", "−3", "-3", "+3", "3000", "3000 mm", "200.1", "0.4", "abc", "", "   "),
        *("12..5", "1,234.5", "12 5", "12x8", "1e1", "nan", "inf", "0x10", ".5", "5.", "12 m"),
        *("１２", "12\n13", "12 mm mm", "9" * 400, "<b>12</b>", "١٢", "½"),
    ],
)
def test_what_is_no_size_is_refused_in_one_sentence(typed):
    with pytest.raises(DataError) as refusal:
        read(typed, SIZE)
    sentence = str(refusal.value)
    assert sentence.startswith("The longest diameter must be a number from 0.5 to 200 mm, such as")
    shown = typed.strip()[:40] or "nothing"
    assert sentence.replace("\\n", "\n").endswith(f" Received: {shown}.")


def test_a_spacing_has_a_range_of_its_own():
    assert read("0,08", SPACING) == 0.08
    for typed in ("0.001", "3", "abc"):
        with pytest.raises(DataError, match=r"pixel spacing must be .* mm per pixel"):
            read(typed, SPACING)


@given(st.decimals(0.5, 200, places=3))
def test_every_size_in_range_is_read_as_it_was_written(value):
    assert read(str(value), SIZE) == read(str(value).replace(".", ","), SIZE) == float(value)
