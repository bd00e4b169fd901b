"""Maps are measured against outlines, beside onlookers who have not seen the frame."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from thyro_demo.data.preprocess import Box
from thyro_demo.engine import Engine
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.models import bundle
from thyro_demo.teach import looking

MAPS = npst.arrays(np.float32, (4, 5), elements=st.integers(-3, 5))
MASKS = npst.arrays(np.bool_, (4, 5))


@pytest.fixture(scope="module")
def tiny(tiny_weights):
    return bundle.load(tiny_weights / "tiny")


@pytest.fixture(scope="module")
def engine(tiny):
    engine = Engine()
    engine.add(tiny)
    return engine


@pytest.fixture(scope="module")
def cases():
    return looking.drawn_cases(3, seed=40)


def test_the_nodule_itself_is_a_perfect_map():
    nodule = np.zeros((4, 5), bool)
    nodule[1:3, 2:4] = True
    assert looking.best_overlap(nodule.astype(float), nodule) == 1
    assert looking.best_overlap(nodule * 3.0 + 1, nodule) == 1


def test_overlap_by_hand():
    heatmap, nodule = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[False, True, True, False]])
    # At or above 1: three pixels, two of them right, none missed.
    assert looking.best_overlap(heatmap, nodule) == 2 / 3


@given(MAPS, MASKS)
def test_overlap_is_a_share_and_no_threshold_is_better(heatmap, nodule):
    best = looking.best_overlap(heatmap, nodule)
    assert 0 <= best <= 1
    for threshold in np.unique(heatmap[heatmap > 0]):
        hot = heatmap >= threshold
        assert best >= (hot & nodule).sum() / (hot | nodule).sum() - 1e-9


@given(MASKS)
def test_a_flat_map_reads_the_share_of_the_nodule(nodule):
    assert looking.best_overlap(np.zeros((4, 5)), nodule) == pytest.approx(nodule.mean())


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ThyroError, match="Received: heatmap"):
        looking.best_overlap(np.ones((2, 3)), np.ones((3, 2), bool))


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


def test_agreement_asks_for_the_order_of_the_cells_alone():
    heat = np.random.default_rng(0).random((5, 5))
    assert looking.agreement(heat, heat**3) == pytest.approx(1)
    assert looking.agreement(heat, -heat) == pytest.approx(-1)
    assert looking.agreement(heat, np.zeros((5, 5))) == 0


def test_every_two_heads_are_compared(engine, cases):
    table = looking.pairs(engine, "tiny", ("softmax", "svm", "forest"), cases)
    assert set(table["pair"]) == {"softmax, svm", "softmax, forest", "svm, forest"}
    assert table["agreement"].between(-1, 1).all()


def test_real_cases_are_those_no_network_has_met(thyro_data):
    cases = looking.outlined_cases(thyro_data / "ddti", thyro_data / "thyroid_us", most=3)
    assert len(cases) == 3
    assert all(case.nodule.any() and case.nodule.shape == case.frame.shape[:2] for case in cases)
