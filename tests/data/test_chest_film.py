"""Drawn films show dark lungs, and a cloud in every second one."""

import numpy as np
import pandas as pd

from thyro_demo.data.phantom import chest_film


def test_lungs_are_dark_and_a_cloud_brightens_them():
    clear, cloudy = (
        np.mean([chest_film.draw(np.random.default_rng(n), 48, opaque) for n in range(20)], axis=0)
        for opaque in (False, True)
    )
    left_lung, border = (slice(14, 34), slice(11, 16)), (slice(None), slice(0, 3))
    assert clear[left_lung].mean() < clear[border].mean() - 50
    assert cloudy[left_lung].mean() > clear[left_lung].mean()


def test_a_film_is_seeded_and_a_cloud_makes_it_brighter():
    drawn = {
        opaque: [chest_film.draw(np.random.default_rng(seed), 64, opaque) for seed in range(20)]
        for opaque in (False, True)
    }
    again = chest_film.draw(np.random.default_rng(3), 64, False)
    assert np.array_equal(again, drawn[False][3])
    assert not np.array_equal(drawn[False][3], drawn[False][4])
    assert np.mean(drawn[True]) > np.mean(drawn[False]) + 1


def test_films_are_drawn_once_balanced_and_each_chest_is_a_group(tmp_path):
    first = chest_film.cohort(tmp_path, 10, 32)
    again = chest_film.cohort(tmp_path, 99, 32)
    pd.testing.assert_frame_equal(first, again)
    assert first["label"].value_counts().eq(5).all()
    assert first["group"].is_unique
