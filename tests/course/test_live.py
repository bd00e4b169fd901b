"""A training can be watched, is seeded, and stops early where it should."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers

from thyro_demo.course import live
from thyro_demo.errors import StudyError
from thyro_demo.models.pipeline import Augmentation

SIDE = 16


def test_a_training_can_be_watched_without_a_notebook(network, squares):
    watch = live.Live("Watched")
    images, labels = squares
    network.fit(
        images[:16].astype("float32"), labels[:16], epochs=3, batch_size=8, verbose=0,
        validation_data=(images[16:].astype("float32"), labels[16:]), callbacks=[watch],
    )  # fmt: skip
    assert [row["epoch"] for row in watch.history] == [1, 2, 3]
    assert watch.step_ms > 0
    (axes,) = watch.figure.axes
    assert axes.get_title() == "Watched"
    assert {line.get_label() for line in axes.lines} == {"training", "validation"}
    assert all(len(line.get_xdata()) == 3 for line in axes.lines)


def test_the_live_picture_is_drawn_once_and_then_changed_in_its_place(
    network, squares, monkeypatch
):
    shown, changed = [], []

    class Place:
        def update(self, figure):
            changed.append(figure)

    def display(figure, display_id):
        shown.append(figure)
        return Place()

    plt.close(plt.figure())  # pyplot asks IPython once, and must not meet the stand-in
    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(live, "_REDRAW_S", 0.0)
    images, labels = squares
    network.fit(
        images.astype("float32"), labels, epochs=3, verbose=0, callbacks=[live.Live("Live")]
    )
    assert len(shown) == 1
    assert len(changed) == 3
    assert len(changed[-1].axes[0].lines[0].get_xdata()) == 3


def test_each_epoch_shows_every_image_once_in_another_order(squares):
    images, labels = squares
    marked = images.copy()
    marked[:, 0, 0, 0] = np.arange(32)
    views = live.Views(marked, labels, batch=10, seed=1)
    orders = []
    for _ in range(2):
        orders.append(
            np.concatenate([views[number][0][:, 0, 0, 0] for number in range(len(views))])
        )
        answers = np.concatenate([views[number][1] for number in range(len(views))])
        assert np.array_equal(answers, labels[orders[-1].astype(int)])
        views.on_epoch_end()
    assert all(sorted(order) == list(range(32)) for order in orders)
    assert not np.array_equal(*orders)


def test_augmented_views_differ_from_epoch_to_epoch_and_repeat_with_the_seed(squares):
    images, labels = squares
    same = [images[:1].repeat(4, axis=0), labels[:1].repeat(4)]
    first, again = (live.Views(*same, 4, 5, Augmentation()) for _ in range(2))
    seen = np.asarray(first[0][0])
    assert np.array_equal(seen, np.asarray(again[0][0]))
    assert seen.shape == (4, SIDE, SIDE, 1)
    assert not np.array_equal(seen[0], seen[1])
    first.on_epoch_end()
    assert not np.array_equal(seen, np.asarray(first[0][0]))


@pytest.mark.slow
def test_the_same_seed_trains_the_same_and_early_stopping_is_a_beginning_of_it(network, squares):
    images, labels = squares
    rows = np.arange(24), np.arange(24, 32)
    flipped = np.where(np.arange(32) < 24, labels, 1 - labels)  # what is learned does not hold
    whole = live.train(network, images, flipped, *rows, 8, seed=3)
    stopped = live.train(network, images, flipped, *rows, 8, seed=3, patience=2)
    other = live.train(network, images, flipped, *rows, 8, seed=4)
    curve = [row["validation_loss"] for row in whole.history]
    early = [row["validation_loss"] for row in stopped.history]
    assert len(early) < len(curve) == 8
    assert np.allclose(early, curve[: len(early)], atol=1e-5)
    assert not np.allclose(curve, [row["validation_loss"] for row in other.history], atol=1e-5)
    assert stopped.best["epoch"] == len(early) - 2


def test_new_weights_need_a_compiled_network_and_clear_its_optimiser(network, squares):
    images, labels = squares
    network.fit(images.astype("float32"), labels, verbose=0)
    live.reinitialise(network, 0)
    assert int(network.optimizer.iterations) == 0
    assert float(network.optimizer.learning_rate) == pytest.approx(1e-2)
    with pytest.raises(StudyError, match="Received: "):
        live.reinitialise(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), 0)


def test_dropout_is_set_in_a_network_of_its_own(network):
    changed = live.with_dropout(network, 0.4)
    rates = [
        next(layer.rate for layer in one.layers if isinstance(layer, layers.Dropout))
        for one in (network, changed)
    ]
    assert rates == [0.0, 0.4]
    assert changed.count_params() == network.count_params()
    assert changed.optimizer is not network.optimizer
    with pytest.raises(StudyError, match="Received: "):
        live.with_dropout(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), 0.5)
