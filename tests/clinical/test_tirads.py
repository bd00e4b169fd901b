"""The ACR TI-RADS table, row by row and edge by edge."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from thyro_demo.clinical import tirads
from thyro_demo.clinical.tirads import Features, level, points, recommendation
from thyro_demo.errors import DataError

NOTHING = Features(
    "cystic or almost completely cystic", "anechoic", "wider than tall", "smooth"
)  # the one nodule without points that is not spongiform

ROWS = [
    ("composition", "cystic or almost completely cystic", 0),
    ("composition", "mixed cystic and solid", 1),
    ("composition", "solid or almost completely solid", 2),
    ("composition", "cannot be determined", 2),
    ("echogenicity", "anechoic", 0),
    ("echogenicity", "hyperechoic", 1),
    ("echogenicity", "isoechoic", 1),
    ("echogenicity", "cannot be determined", 1),
    ("echogenicity", "hypoechoic", 2),
    ("echogenicity", "very hypoechoic", 3),
    ("shape", "wider than tall", 0),
    ("shape", "taller than wide", 3),
    ("margin", "smooth", 0),
    ("margin", "ill-defined", 0),
    ("margin", "cannot be determined", 0),
    ("margin", "lobulated or irregular", 2),
    ("margin", "extrathyroidal extension", 3),
    ("foci", ("large comet-tail artifacts",), 0),
    ("foci", ("macrocalcifications",), 1),
    ("foci", ("peripheral (rim) calcifications",), 2),
    ("foci", ("punctate echogenic foci",), 3),
    ("foci", (), 0),
]


def with_feature(field: str, value: str | tuple[str, ...]) -> Features:
    return Features(**{**vars(NOTHING), field: value})


@pytest.mark.parametrize(("field", "value", "expected"), ROWS)
def test_each_row_of_the_table_adds_its_points(field, value, expected):
    assert points(with_feature(field, value)) == expected


def test_the_rows_above_are_the_whole_table():
    named = {(field, value) for field, value, _ in ROWS if isinstance(value, str)}
    named |= {(field, value[0]) for field, value, _ in ROWS if value and field == "foci"}
    tables = {
        "composition": tirads.COMPOSITION,
        "echogenicity": tirads.ECHOGENICITY,
        "shape": tirads.SHAPE,
        "margin": tirads.MARGIN,
        "foci": tirads.FOCI,
    }
    every = {(field, value) for field, table in tables.items() for value in table}
    assert every - named == {("composition", "spongiform")}
    assert named <= every


def test_foci_add_up_over_all_that_apply():
    assert points(with_feature("foci", tuple(tirads.FOCI))) == 0 + 1 + 2 + 3


def test_a_spongiform_nodule_has_no_points_whatever_else_is_seen():
    worst = Features(
        "spongiform",
        "very hypoechoic",
        "taller than wide",
        "extrathyroidal extension",
        ("punctate echogenic foci",),
    )
    assert points(worst) == 0


@pytest.mark.parametrize(
    ("total", "name"),
    [
        (0, "TR1"),
        (1, None),
        (2, "TR2"),
        (3, "TR3"),
        (4, "TR4"),
        (5, "TR4"),
        (6, "TR4"),
        (7, "TR5"),
        (17, "TR5"),
    ],
)
def test_levels(total, name):
    assert level(total) == name


@pytest.mark.parametrize("size_mm", [0.1, 9.9, 24.9, 100.0])
@pytest.mark.parametrize("total", [0, 1, 2])
def test_nothing_is_recommended_below_three_points(total, size_mm):
    advice = recommendation(total, size_mm)
    assert advice.action == "none"
    assert advice.years == ()


def test_a_total_of_one_has_no_level_and_a_sentence_about_it():
    cyst = with_feature("foci", ("macrocalcifications",))
    advice = recommendation(points(cyst), 30.0)
    assert advice.level is None
    assert "no ACR level" in advice.sentence


@pytest.mark.parametrize(
    ("total", "size_mm", "action"),
    [
        (3, 14.9, "none"),
        (3, 15.0, "follow-up"),
        (3, 24.9, "follow-up"),
        (3, 25.0, "fna"),
        (4, 9.9, "none"),
        (4, 10.0, "follow-up"),
        (6, 14.9, "follow-up"),
        (6, 15.0, "fna"),
        (7, 4.9, "none"),
        (7, 5.0, "follow-up"),
        (7, 9.9, "follow-up"),
        (7, 10.0, "fna"),
        (14, 9.9, "follow-up"),
    ],
)
def test_size_thresholds_are_inclusive(total, size_mm, action):
    assert recommendation(total, size_mm).action == action


@pytest.mark.parametrize("total", [4, 7])
def test_a_centimetre_is_not_a_hair_less(total):
    assert recommendation(total, 0.99 * 10).action != recommendation(total, 1.00 * 10).action


@pytest.mark.parametrize(
    ("total", "size_mm", "years"),
    [(3, 20.0, (1, 3, 5)), (5, 12.0, (1, 2, 3, 5)), (9, 7.0, (1, 2, 3, 4, 5))],
)
def test_follow_up_years(total, size_mm, years):
    assert recommendation(total, size_mm).years == years


@pytest.mark.parametrize("size_mm", [0.0, -3.0, float("nan")])
def test_a_size_is_above_zero(size_mm):
    with pytest.raises(DataError, match="Received: size_mm="):
        recommendation(5, size_mm)


def test_points_are_not_negative():
    with pytest.raises(DataError, match="Received: points=-1"):
        level(-1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("composition", "solid-ish"),
        ("echogenicity", "Hypoechoic"),
        ("shape", "round"),
        ("margin", ""),
        ("foci", ("dots",)),
        ("foci", "macrocalcifications"),
        ("foci", ("macrocalcifications", "macrocalcifications")),
    ],
)
def test_names_outside_the_table_are_refused(field, value):
    with pytest.raises(DataError, match=r"Received: "):
        with_feature(field, value)


ANY = st.builds(
    Features,
    composition=st.sampled_from(sorted(tirads.COMPOSITION)),
    echogenicity=st.sampled_from(sorted(tirads.ECHOGENICITY)),
    shape=st.sampled_from(sorted(tirads.SHAPE)),
    margin=st.sampled_from(sorted(tirads.MARGIN)),
    foci=st.sets(st.sampled_from(sorted(tirads.FOCI))).map(lambda found: tuple(sorted(found))),
)
FIELDS = {
    "composition": tirads.COMPOSITION,
    "echogenicity": tirads.ECHOGENICITY,
    "shape": tirads.SHAPE,
    "margin": tirads.MARGIN,
}


@given(ANY, st.sampled_from(sorted(FIELDS)), st.data())
def test_a_graver_feature_never_takes_points_away(nodule, field, data):
    table = FIELDS[field]
    graver = [name for name in table if table[name] >= table[getattr(nodule, field)]]
    other = replace(nodule, **{field: data.draw(st.sampled_from(graver))})
    # Spongiform is the one composition that overrules everything else.
    assume(other.composition != "spongiform")
    assert points(other) >= points(nodule)


@given(ANY, st.sampled_from(sorted(tirads.FOCI)))
def test_a_further_focus_never_takes_points_away(nodule, focus):
    assume(focus not in nodule.foci)
    assert points(replace(nodule, foci=(*nodule.foci, focus))) >= points(nodule)


@given(ANY)
def test_points_stay_in_their_range_and_name_a_level(nodule):
    assert 0 <= points(nodule) <= 17
    assert level(points(nodule)) in (None, "TR1", "TR2", "TR3", "TR4", "TR5")


@given(st.integers(0, 30), st.integers(0, 30))
def test_levels_rise_with_points(one, other):
    fewer, more = (level(total) or "TR1" for total in sorted((one, other)))
    assert fewer <= more


@given(st.integers(0, 17), st.integers(0, 17), st.floats(0.1, 200), st.floats(0.1, 200))
def test_advice_never_relaxes_as_points_or_size_grow(one, other, size, longer):
    order = ("none", "follow-up", "fna")
    totals, sizes = sorted((one, other)), sorted((size, longer))
    actions = [
        order.index(recommendation(total, size_mm).action)
        for total, size_mm in zip(totals, sizes, strict=True)
    ]
    assert actions[0] <= actions[1]
