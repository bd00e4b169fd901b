"""Likeness is 1 for the same, about 0 for the unrelated, and does not depend on scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thyro_demo.errors import DataError
from thyro_demo.explain.similarity import cka, correlation, rank_correlation


def test_rank_correlation_asks_for_the_order_of_the_cells_alone():
    heat = np.random.default_rng(0).random((5, 5))
    assert rank_correlation(heat, heat**3) == pytest.approx(1)
    assert rank_correlation(heat, -heat) == pytest.approx(-1)
    assert rank_correlation(heat, np.zeros((5, 5))) == 0


def test_maps_correlate_with_themselves_and_flat_maps_with_none():
    rng = np.random.default_rng(0)
    maps = rng.random((3, 4, 4))
    maps[2] = 0.0
    found = correlation(maps, 1.0 - maps)
    np.testing.assert_allclose(found[:2], -1.0)
    assert np.isnan(found[2])


@given(st.integers(0, 1000))
def test_cka_does_not_depend_on_rotation_scale_or_shift(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(12, 5))
    turned, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert cka(features, 3.0 * features @ turned + 100.0) == pytest.approx(1.0)


def test_unrelated_representations_are_not_alike_however_many_numbers_they_have():
    rng = np.random.default_rng(0)
    found = [cka(*rng.normal(size=(2, 20, 2000))) for _ in range(20)]
    # The estimate of Kornblith et al. with its bias is above 0.9 here.
    assert abs(np.mean(found)) < 0.02


def test_cka_is_symmetric_and_falls_with_noise():
    rng = np.random.default_rng(1)
    features, noise = rng.normal(size=(2, 30, 8))
    falling = [cka(features, features + share * noise) for share in (0.0, 0.5, 2.0)]
    assert falling == sorted(falling, reverse=True)
    assert cka(features, noise) == pytest.approx(cka(noise, features))


def test_what_is_the_same_for_every_frame_has_no_cka():
    assert np.isnan(cka(np.ones((6, 3)), np.arange(18.0).reshape(6, 3)))


@pytest.mark.parametrize("counts", [(5, 6), (3, 3)])
def test_representations_of_other_or_too_few_frames_are_refused(counts):
    with pytest.raises(DataError, match="4 or more"):
        cka(*[np.ones((count, 2)) for count in counts])
