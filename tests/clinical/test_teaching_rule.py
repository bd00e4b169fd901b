"""The teaching rule at its edges, and every way in which it and TI-RADS can stand to each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thyro_demo.clinical import tirads
from thyro_demo.clinical.teaching_rule import bands, compare, is_discussed
from thyro_demo.errors import DataError

POINTS, SIDES, SIZES = st.integers(0, 17), st.booleans(), st.floats(0.5, 200)


@pytest.mark.parametrize(
    ("positive", "size_mm", "discussed"),
    [(True, 10.0, True), (True, 9.9, False), (False, 10.0, False), (False, 9.9, False)],
)
def test_the_rule_needs_the_score_and_ten_millimetres(positive, size_mm, discussed):
    assert is_discussed(positive, size_mm) is discussed


@pytest.mark.parametrize("size_mm", [0, -3, float("nan")])
def test_a_size_that_is_none_is_refused(size_mm):
    with pytest.raises(DataError, match=r"above 0 mm\. Received"):
        is_discussed(True, size_mm)


@pytest.mark.parametrize(
    ("points", "positive", "size_mm", "case"),
    [
        (7, True, 10.0, "both"),
        (4, True, 15.0, "both"),
        (3, True, 25.0, "both"),
        (7, False, 10.0, "tirads alone"),
        (6, True, 14.9, "model alone"),
        (3, True, 24.9, "model alone"),
        (2, True, 60.0, "model alone"),
        (0, True, 10.0, "model alone"),
        (7, True, 9.9, "too small"),
        (0, True, 9.9, "too small"),
        (4, False, 14.9, "neither"),
        (0, False, 60.0, "neither"),
        (1, True, 60.0, "no level"),
        (1, False, 5.0, "no level"),
    ],
)
def test_every_way_in_which_both_can_stand_to_each_other(points, positive, size_mm, case):
    assert compare(points, positive, size_mm).case == case


@given(POINTS, SIDES, SIZES)
def test_both_agree_where_both_or_neither_come_to_fna(points, positive, size_mm):
    found = compare(points, positive, size_mm)
    assert found.advice == tirads.recommendation(points, size_mm)
    if found.advice.level is None:
        assert found.agree is None
    else:
        assert found.agree is ((found.advice.action == "fna") == found.discussed)


@given(POINTS, SIDES, SIZES)
def test_the_bands_hold_the_verdict_of_every_size(points, positive, size_mm):
    found = bands(points, positive)
    assert found[0][0] == 0
    assert [edge for edge, _ in found] == sorted({edge for edge, _ in found})
    last = [verdict for edge, verdict in found if edge <= size_mm][-1]
    assert last == compare(points, positive, size_mm)


@given(POINTS, SIZES)
def test_the_bands_of_the_table_hold_the_advice_of_every_size(points, size_mm):
    found = [advice for edge, advice in tirads.bands(points) if edge <= size_mm]
    assert found[-1] == tirads.recommendation(points, size_mm)
