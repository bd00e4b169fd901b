"""Maps are measured against outlines and scores, beside onlookers who have not seen the frame."""

import numpy as np
import pandas as pd
import pytest

from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import looking
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Engine
from thyro_demo.errors import DataError


@pytest.fixture(scope="module")
def engine(tiny):
    engine = Engine()
    engine.add(tiny)
    return engine


@pytest.fixture(scope="module")
def cases():
    return looking.drawn_cases(3, seed=40)


def test_onlookers_have_not_seen_the_frame_and_stay_in_the_scan_area():
    box = Box(10, 5, 50, 35)
    for drawn in looking.onlookers(box, (40, 60), seed=3).values():
        assert drawn.shape == (40, 60)
        assert 0 <= drawn.min() <= drawn.max() <= 1
        outside = np.ones((40, 60), bool)
        outside[5:35, 10:50] = False
        assert not drawn[outside].any()
    first, again, other = (
        looking.onlookers(box, (40, 60), seed)[looking.RANDOM] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_each_map_is_measured_on_each_case(engine, cases):
    heads = ("softmax", "svm", "forest")
    table = looking.measure(engine, "tiny", heads, cases)
    assert set(table["map"]) == {*heads, looking.GAUSSIAN, looking.RANDOM}
    assert table.groupby("map")["name"].apply(list).map(len).eq(len(cases)).all()
    assert table[list(looking.FIGURES)].stack().between(0, 1).all()
    gaps = looking.differences(table, "energy", looking.GAUSSIAN)
    assert set(gaps) == set(heads)


@pytest.mark.slow
def test_the_plain_twin_adds_up_to_its_log_odds_and_is_measured(cases):
    twin = looking.plain_twin(weights_root() / "efficientnet-b0" / "radiographs.keras", 12, seed=41)
    cells, box = twin.feature_map(cases[0].frame)
    evidence = cells @ twin.weights / (cells.shape[0] * cells.shape[1])
    total = evidence.sum() + twin.intercept
    assert twin.log_odds(cases[0].frame) == pytest.approx(total, abs=1e-3)
    heatmap, again = twin.heatmap(cases[0].frame)
    assert again == box
    assert heatmap.shape == cases[0].nodule.shape
    assert heatmap.min() == 0
    table = looking.measure_twin(twin, cases)
    assert set(table["map"]) == {looking.TWIN}
    assert table[list(looking.FIGURES)].stack().between(0, 1).all()


def test_a_paired_difference_cancels_what_a_frame_makes_hard():
    rows = [
        {"name": str(n), "group": str(n), "map": which, "energy": n / 10 + gain}
        for n in range(6)
        for which, gain in (("softmax", 0.1), (looking.GAUSSIAN, 0.0))
    ]
    gap = looking.differences(pd.DataFrame(rows), "energy", looking.GAUSSIAN)["softmax"]
    assert gap["low"] == pytest.approx(0.1)
    assert gap["high"] == pytest.approx(0.1)
    with pytest.raises(DataError, match="Received: 'random map'"):
        looking.differences(pd.DataFrame(rows), "energy", looking.RANDOM)


def test_every_two_heads_are_compared(engine, cases):
    table = looking.pairs(engine, "tiny", ("softmax", "svm", "forest"), cases)
    assert set(table["pair"]) == {"softmax, svm", "softmax, forest", "svm, forest"}
    assert table["agreement"].between(-1, 1).all()


def test_own_map_and_onlookers_are_tried_on_the_same_cases(engine, tiny, cases):
    table, means = looking.deletion_insertion(engine, tiny, "svm", cases, steps=2)
    assert set(means) == {"svm", looking.GAUSSIAN, looking.RANDOM}
    assert len(table) == len(cases) * len(means)


def test_real_cases_are_those_whose_outlines_no_network_has_learned(thyro_data):
    cases = looking.outlined_cases(thyro_data / "ddti", [weights_root() / "ensemble"], most=3)
    assert len(cases) == 3
    assert all(case.nodule.any() and case.nodule.shape == case.frame.shape[:2] for case in cases)
