"""Maps are compared with outlines exactly, in pairs, and without being held."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from thyro_demo.clinical.tirads import Features
from thyro_demo.data import masks, phantom, scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ThyroError
from thyro_demo.explain.localisation import (
    best_overlap,
    centred_gaussian,
    dice,
    energy,
    pointing,
    random_map,
)

SHAPE = (60, 90)

# --- One map, one outline


def test_both_figures_by_hand():
    nodule = np.array([[False, True], [False, True]])
    heatmap = np.array([[1.0, 4.0], [2.0, 1.0]])
    assert pointing(heatmap, nodule) == 1
    assert pointing(heatmap, ~nodule) == 0
    assert energy(heatmap, nodule) == 5 / 8
    assert energy(heatmap, ~nodule) == 3 / 8


def test_pixels_that_share_the_maximum_count_by_their_share_inside():
    nodule = np.array([[True, False], [True, False]])
    assert pointing(np.array([[2.0, 2.0], [2.0, 1.0]]), nodule) == 2 / 3


@pytest.mark.parametrize("empty", [np.zeros((2, 2)), np.full((2, 2), -3.0), np.eye(2) * np.nan])
def test_a_map_without_evidence_reads_as_a_flat_one(empty):
    nodule = np.array([[True, False], [False, False]])
    assert pointing(empty, nodule) == energy(empty, nodule) == 1 / 4


def test_evidence_against_the_class_is_no_evidence_for_it():
    nodule = np.array([[True, False], [False, False]])
    assert energy(np.array([[2.0, -9.0], [4.0, -1.0]]), nodule) == pytest.approx(1 / 3)


# Few values, so that ties and maps without evidence come up.
MAPS = npst.arrays(np.float32, (4, 5), elements=st.integers(-3, 5))
MASKS = npst.arrays(np.bool_, (4, 5))


@given(MAPS, MASKS)
def test_inside_and_outside_make_one(heatmap, nodule):
    for figure in (pointing, energy):
        assert 0 <= figure(heatmap, nodule) <= 1
        assert figure(heatmap, nodule) + figure(heatmap, ~nodule) == pytest.approx(1)
    assert energy(heatmap, np.ones_like(nodule)) == 1


@given(MAPS, MASKS, st.sampled_from([0.25, 4.0]))
def test_neither_scale_nor_orientation_of_a_map_matters(heatmap, nodule, factor):
    for figure in (pointing, energy):
        plain = figure(heatmap, nodule)
        assert figure(factor * heatmap, nodule) == pytest.approx(plain)
        assert figure(heatmap.T[::-1], nodule.T[::-1]) == pytest.approx(plain)


def test_the_nodule_itself_overlaps_perfectly():
    nodule = np.zeros((4, 5), bool)
    nodule[1:3, 2:4] = True
    assert best_overlap(nodule.astype(float), nodule) == 1
    assert best_overlap(nodule * 3.0 + 1, nodule) == 1


def test_overlap_by_hand():
    heatmap, nodule = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[False, True, True, False]])
    # At or above 1: three pixels, two of them right, none missed.
    assert best_overlap(heatmap, nodule) == 2 / 3


@given(MAPS, MASKS)
def test_overlap_is_a_share_and_no_threshold_is_better(heatmap, nodule):
    best = best_overlap(heatmap, nodule)
    assert 0 <= best <= 1
    for threshold in np.unique(heatmap[heatmap > 0]):
        hot = heatmap >= threshold
        assert best >= (hot & nodule).sum() / (hot | nodule).sum() - 1e-9


@given(MASKS)
def test_a_flat_map_overlaps_by_the_share_of_the_nodule(nodule):
    assert best_overlap(np.zeros((4, 5)), nodule) == pytest.approx(nodule.mean())


def test_a_map_of_another_shape_is_refused_in_one_sentence():
    for figure in (pointing, energy, best_overlap):
        with pytest.raises(ThyroError, match=r"Received: heatmap \(7, 7\), mask \(60, 90\)\.$"):
            figure(np.ones((7, 7)), np.ones(SHAPE, bool))


def test_dice_is_twice_the_shared_pixels_over_both():
    drawn, mask = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    assert dice(drawn, mask) == 1
    mask[:5] = True
    assert dice(drawn, mask) == 0
    assert dice(mask, mask) == 1
    drawn[4:8] = True
    assert dice(drawn, mask) == 2 * 10 / (40 + 50)
    with pytest.raises(ThyroError, match="Received: drawn"):
        dice(drawn[:5], mask)


# --- The onlookers


def test_the_gaussian_sits_in_the_middle_of_the_scan_area_alone():
    box = Box(30, 10, 70, 50)
    drawn = centred_gaussian((60, 90), box)
    inside = scan_area.crop(drawn, box)
    assert drawn.dtype == np.float32
    assert inside.min() > 0
    outside = drawn.copy()
    scan_area.crop(outside, box)[:] = 0
    assert not outside.any()
    np.testing.assert_array_equal(inside, inside[::-1])
    np.testing.assert_array_equal(inside, inside[:, ::-1])
    # σ is a quarter of 40 pixels; the middle is between columns 49 and 50.
    ratio = math.exp(-0.5 * (10.5**2 - 0.5**2) / 10**2)
    assert drawn[29, 60] / drawn[29, 50] == pytest.approx(ratio)
    assert drawn[19, 49] / drawn[29, 49] == pytest.approx(ratio)


def test_the_gaussian_is_round_where_a_network_sees_it():
    wide = Box(0, 0, 90, 30)
    square = np.asarray(
        Image.fromarray(centred_gaussian((30, 90), wide)).resize((30, 30), Image.Resampling.BOX)
    )
    np.testing.assert_allclose(square, square.T, atol=0.01)


def test_a_wider_gaussian_looks_less_at_the_middle():
    middle = np.zeros(SHAPE, bool)
    middle[25:35, 35:55] = True
    shares = [
        energy(centred_gaussian(SHAPE, Box(0, 0, 90, 60), spread), middle)
        for spread in (0.05, 0.25, 100.0)
    ]
    assert shares[0] > shares[1] > shares[2] == pytest.approx(middle.mean(), rel=1e-4)
    with pytest.raises(ThyroError, match=r"Received: spread=0\.$"):
        centred_gaussian(SHAPE, Box(0, 0, 90, 60), 0)


def test_a_random_map_is_seeded_and_stays_in_the_scan_area():
    box = Box(10, 5, 50, 35)
    first, again, other = (random_map((40, 60), box, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 0 <= first.min() <= first.max() <= 1
    inside = scan_area.crop(first, box).copy()
    scan_area.crop(first, box)[:] = 0
    assert inside.any()
    assert not first.any()


# --- A phantom


def test_a_coarse_map_of_the_nodule_beats_the_centre_on_a_phantom():
    features = Features(
        "solid or almost completely solid", "hypoechoic", "wider than tall", "smooth"
    )
    drawn = phantom.draw(features, seed=3, scanner=phantom.ScannerFrame())
    box = scan_area.find(drawn.rgb)
    # What a network with a last map of 7 × 7 cells could at best draw.
    cells = Image.fromarray(scan_area.crop(drawn.mask, box).astype(np.float32))
    coarse = np.asarray(cells.resize((7, 7), Image.Resampling.BOX))
    best = scan_area.place(coarse, box, drawn.mask.shape)
    blind = centred_gaussian(drawn.mask.shape, box)
    assert pointing(best, drawn.mask) == 1
    assert energy(best, drawn.mask) > energy(blind, drawn.mask) > drawn.mask.mean()
    assert energy(best.max() - best, drawn.mask) < drawn.mask.mean()
    # The mask's edges, left downwards and right upwards, are an outline in x and y.
    rows = np.flatnonzero(drawn.mask.any(axis=1))
    left = drawn.mask[rows].argmax(axis=1)
    right = drawn.mask.shape[1] - 1 - drawn.mask[rows, ::-1].argmax(axis=1)
    outline = np.concatenate([np.stack([left, rows], 1), np.stack([right, rows], 1)[::-1]])
    filled = masks.polygon_mask(outline.astype(float), drawn.mask.shape)
    assert (filled & drawn.mask).sum() / (filled | drawn.mask).sum() > 0.95
