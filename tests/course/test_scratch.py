"""The steps of a network do what the second chapter explains."""

import keras
import numpy as np
import pandas as pd
import pytest

from thyro_demo.course import live, scratch
from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics

SIDE = 16


@pytest.fixture
def records(squares):
    number = np.arange(32)
    return pd.DataFrame(
        {
            "path": [f"{n}.png" for n in number],
            "label": np.where(squares[1] == 1, "malignant", "benign"),
            "group": [f"g{n % 2}{n // 4}" for n in number],
            "source": "drawn",
            "fold": number // 4 % 4,
        }
    )


def test_an_edge_filter_answers_at_edges_alone():
    even = np.ones((20, 20), np.float32)
    stairs = np.repeat([[0.0], [1.0]], 10, axis=0) * np.ones((1, 20))
    lying, upright = (scratch.KERNELS[f"{way} edges"] for way in ("horizontal", "vertical"))
    inner = np.s_[3:-3, 3:-3]
    assert np.abs(scratch.convolve(even, lying)[inner]).max() < 1e-6
    assert np.abs(scratch.convolve(stairs, upright)[inner]).max() < 1e-6
    assert scratch.convolve(stairs, lying)[inner].max() == pytest.approx(1)
    assert np.allclose(scratch.convolve(stairs.T, upright), scratch.convolve(stairs, lying).T)


def test_what_we_call_convolution_is_that_of_keras():
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(12, 15)), rng.normal(size=(5, 5))
    theirs = keras.ops.conv(
        image[None, ..., None].astype(np.float32),
        kernel[..., None, None].astype(np.float32),
        padding="same",
    )
    assert np.allclose(
        scratch.convolve(image, kernel), np.asarray(theirs)[0, ..., 0], rtol=1e-4, atol=1e-4
    )


def test_pooling_is_that_of_keras_and_drops_what_is_left_over():
    image = np.random.default_rng(1).normal(size=(14, 9)).astype(np.float32)
    theirs = keras.ops.max_pool(image[None, ..., None], 4, 4)
    assert np.array_equal(scratch.pool(image, 4), np.asarray(theirs)[0, ..., 0])


def test_who_does_not_look_pays_ln_2():
    feature, positive = np.random.default_rng(2).normal(size=(2, 50))
    assert scratch.losses(feature, positive > 0, np.zeros(1)) == pytest.approx(np.log(2))


def test_small_steps_go_downhill_to_the_bottom_and_batches_make_more_of_them():
    rng = np.random.default_rng(3)
    feature = rng.normal(size=80)
    positive = rng.random(80) < 1 / (1 + np.exp(-1.5 * feature))
    walk = scratch.descend(feature, positive, rate=1.0, epochs=200)
    passed = scratch.losses(feature, positive, walk)
    assert np.all(np.diff(passed) <= 1e-12)
    tried = np.linspace(-5, 8, 1301)
    bottom = tried[scratch.losses(feature, positive, tried).argmin()]
    assert walk[-1] == pytest.approx(bottom, abs=0.02)
    assert len(scratch.descend(feature, positive, 1.0, epochs=3, batch=16)) == 3 * 5 + 1


def test_parts_keep_groups_whole_and_few_is_part_of_many(records):
    assigned = scratch.parts(records, few=2, seed=1)
    groups = {name: set(records["group"].iloc[rows]) for name, rows in assigned.items()}
    assert not groups["many"] & groups["validation"]
    assert groups["few"] < groups["many"]
    assert len(groups["few"]) == 4
    assert records["label"].iloc[assigned["few"]].nunique() == 2
    assert len(assigned["many"]) + len(assigned["validation"]) == len(records)
    for few in (0, 50):
        with pytest.raises(DataError, match=f"few={few}"):
            scratch.parts(records, few)


def test_pictures_of_maps_and_trainings_hold_all_they_are_given(network, squares):
    drawn = scratch.draw_grid([np.eye(3)] * 10, "Ten", columns=4)
    assert len(drawn.axes) == 12
    assert sum(bool(axes.images) for axes in drawn.axes) == 10
    run = live.train(network, *squares, np.arange(8), np.arange(8, 16), 2)
    left, right = scratch.draw_losses({"one": run, "other": run}, "Both").axes
    assert [line.get_label() for line in left.lines] == ["one", "other"]
    assert {line.get_label() for line in right.lines} > {"one", "other"}


@pytest.mark.slow
def test_out_of_fold_scores_find_what_holds_for_others(network, squares, records):
    found = scratch.score_out_of_fold(
        network, squares[0], records, "malignant", epochs=6, patience=6, batch=4
    )
    assert len(found) == len(records)
    assert found["score"].between(0, 1).all()
    malignant = found["label"] == "malignant"
    assert metrics.auroc(malignant, found["score"]) > 0.9


def test_one_number_is_scored_in_the_direction_of_the_other_folds(squares, records):
    bright = squares[0].mean(axis=(1, 2, 3))
    for number in (bright, -bright):
        found = scratch.score_by_number(records, number, "malignant", "brightness")
        malignant = found["label"] == "malignant"
        assert found.loc[malignant, "score"].mean() > found.loc[~malignant, "score"].mean() + 0.3
