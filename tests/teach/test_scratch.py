"""The steps of a network do what the second chapter says, and training can be watched."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from keras import layers

from thyro_demo.errors import DataError, StudyError
from thyro_demo.evaluate import metrics
from thyro_demo.models.pipeline import Augmentation
from thyro_demo.teach import scratch
from thyro_demo.teach.lesson import Lesson

SIDE = 16


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    built = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 127.5, -1.0),
            layers.Conv2D(4, 3, padding="same", name="conv1"),
            layers.ReLU(name="relu1"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.0),
            layers.Dense(2, activation="softmax"),
        ]
    )
    built.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    return built


@pytest.fixture(scope="module")
def squares():
    """Dark and bright noise: a task that a network can learn."""
    rng = np.random.default_rng(0)
    labels = np.arange(32) % 2
    images = rng.normal(90 + 70 * labels[:, None, None, None], 20, (32, SIDE, SIDE, 1))
    return np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int64)


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
    lie, stand = (scratch.KERNELS[f"edges that {way}"] for way in ("lie", "stand"))
    inner = np.s_[3:-3, 3:-3]
    assert np.abs(scratch.convolve(even, lie)[inner]).max() < 1e-6
    assert np.abs(scratch.convolve(stairs, stand)[inner]).max() < 1e-6
    assert scratch.convolve(stairs, lie)[inner].max() == pytest.approx(1)
    assert np.allclose(scratch.convolve(stairs.T, stand), scratch.convolve(stairs, lie).T)


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


def test_softmax_gives_shares_that_a_common_shift_leaves_alone():
    logits = np.array([[1.0, 3.0], [1000.0, 0.0]])
    shares = scratch.softmax(logits)
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(shares, scratch.softmax(logits + 7))
    assert shares[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))


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


def test_a_training_can_be_watched_without_a_notebook(network, squares):
    live = scratch.Live("Watched")
    images, labels = squares
    network.fit(
        images[:16].astype("float32"), labels[:16], epochs=3, batch_size=8, verbose=0,
        validation_data=(images[16:].astype("float32"), labels[16:]), callbacks=[live],
    )  # fmt: skip
    assert [row["epoch"] for row in live.history] == [1, 2, 3]
    assert live.step_ms > 0
    (axes,) = live.figure.axes
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
    monkeypatch.setattr(scratch, "_REDRAW_S", 0.0)
    images, labels = squares
    network.fit(
        images.astype("float32"), labels, epochs=3, verbose=0, callbacks=[scratch.Live("Live")]
    )
    assert len(shown) == 1
    assert len(changed) == 3
    assert len(changed[-1].axes[0].lines[0].get_xdata()) == 3


def test_each_epoch_shows_every_image_once_in_another_order(squares):
    images, labels = squares
    marked = images.copy()
    marked[:, 0, 0, 0] = np.arange(32)
    views = scratch.Views(marked, labels, batch=10, seed=1)
    orders = []
    for _ in range(2):
        orders.append(
            np.concatenate([views[number][0][:, 0, 0, 0] for number in range(len(views))])
        )
        told = np.concatenate([views[number][1] for number in range(len(views))])
        assert np.array_equal(told, labels[orders[-1].astype(int)])
        views.on_epoch_end()
    assert all(sorted(order) == list(range(32)) for order in orders)
    assert not np.array_equal(*orders)


def test_augmented_views_differ_from_epoch_to_epoch_and_repeat_with_the_seed(squares):
    images, labels = squares
    same = [images[:1].repeat(4, axis=0), labels[:1].repeat(4)]
    first, again = (scratch.Views(*same, 4, 5, Augmentation()) for _ in range(2))
    seen = np.asarray(first[0][0])
    assert np.array_equal(seen, np.asarray(again[0][0]))
    assert seen.shape == (4, SIDE, SIDE, 1)
    assert not np.array_equal(seen[0], seen[1])
    first.on_epoch_end()
    assert not np.array_equal(seen, np.asarray(first[0][0]))


def test_the_same_seed_trains_the_same_and_early_stopping_is_a_beginning_of_it(network, squares):
    images, labels = squares
    rows = np.arange(24), np.arange(24, 32)
    flipped = np.where(np.arange(32) < 24, labels, 1 - labels)  # what is learned does not hold
    whole = scratch.train(network, images, flipped, *rows, 8, seed=3)
    stopped = scratch.train(network, images, flipped, *rows, 8, seed=3, patience=2)
    other = scratch.train(network, images, flipped, *rows, 8, seed=4)
    curve = [row["validation_loss"] for row in whole.history]
    early = [row["validation_loss"] for row in stopped.history]
    assert len(early) < len(curve) == 8
    assert np.allclose(early, curve[: len(early)], atol=1e-5)
    assert not np.allclose(curve, [row["validation_loss"] for row in other.history], atol=1e-5)
    assert stopped.best["epoch"] == len(early) - 2


def test_forgetting_needs_a_compiled_network_and_clears_its_optimiser(network, squares):
    images, labels = squares
    network.fit(images.astype("float32"), labels, verbose=0)
    scratch.forget(network, 0)
    assert int(network.optimizer.iterations) == 0
    assert float(network.optimizer.learning_rate) == pytest.approx(1e-2)
    with pytest.raises(StudyError, match="Received: "):
        scratch.forget(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), 0)


def test_dropout_is_set_in_a_network_of_its_own(network):
    changed = scratch.with_dropout(network, 0.4)
    rates = [
        next(layer.rate for layer in one.layers if isinstance(layer, layers.Dropout))
        for one in (network, changed)
    ]
    assert rates == [0.0, 0.4]
    assert changed.count_params() == network.count_params()
    assert changed.optimizer is not network.optimizer
    with pytest.raises(StudyError, match="Received: "):
        scratch.with_dropout(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), 0.5)


def test_parts_keep_groups_whole_and_few_is_part_of_many(records):
    dealt = scratch.parts(records, few=2, seed=1)
    groups = {name: set(records["group"].iloc[rows]) for name, rows in dealt.items()}
    assert not groups["many"] & groups["validation"]
    assert groups["few"] < groups["many"]
    assert len(groups["few"]) == 4
    assert records["label"].iloc[dealt["few"]].nunique() == 2
    assert len(dealt["many"]) + len(dealt["validation"]) == len(records)
    for few in (0, 50):
        with pytest.raises(DataError, match=f"few={few}"):
            scratch.parts(records, few)


def test_maps_are_what_the_layer_answers(network):
    flat = np.full((SIDE, SIDE, 1), 128, np.uint8)
    maps = scratch.feature_maps(network, flat, "relu1")
    assert maps.shape == (4, SIDE, SIDE)
    assert maps.min() >= 0
    # Grey of 128 becomes 1 / 255 before the filters add it up.
    weights, bias = network.get_layer("conv1").get_weights()
    answers = weights.sum(axis=(0, 1, 2)) * (128 / 127.5 - 1) + bias
    assert np.allclose(maps[:, SIDE // 2, SIDE // 2], np.maximum(answers, 0), atol=1e-6)
    inner = maps[:, 2:-2, 2:-2]
    assert np.allclose(inner, inner[:, :1, :1], atol=1e-6)


def test_pictures_of_maps_and_trainings_hold_all_they_are_given(network, squares):
    drawn = scratch.grid([np.eye(3)] * 10, "Ten", columns=4)
    assert len(drawn.axes) == 12
    assert sum(bool(axes.images) for axes in drawn.axes) == 10
    run = scratch.train(network, *squares, np.arange(8), np.arange(8, 16), 2)
    left, right = scratch.compared({"one": run, "other": run}, "Both").axes
    assert [line.get_label() for line in left.lines] == ["one", "other"]
    assert {line.get_label() for line in right.lines} > {"one", "other"}


def test_out_of_fold_scores_find_what_holds_for_others(network, squares, records):
    found = scratch.score_out_of_fold(
        network, squares[0], records, "malignant", epochs=6, patience=6, batch=4
    )
    assert len(found) == len(records)
    assert found["score"].between(0, 1).all()
    malignant = found["label"] == "malignant"
    assert metrics.auroc(malignant, found["score"]) > 0.9


def test_one_number_is_read_in_the_direction_that_the_other_folds_tell(squares, records):
    bright = squares[0].mean(axis=(1, 2, 3))
    for number in (bright, -bright):
        found = scratch.by_number(records, number, "malignant", "brightness")
        malignant = found["label"] == "malignant"
        assert found.loc[malignant, "score"].mean() > found.loc[~malignant, "score"].mean() + 0.3


@pytest.mark.filterwarnings("ignore:IProgress")
def test_patches_of_both_kinds_come_from_patients_of_their_own(tmp_path):
    lesson = Lesson(2, True, 0, None, tmp_path)
    lesson.here.mkdir()
    found = scratch.masses(lesson)
    assert set(found["label"]) == {"mass", "normal"}
    assert not set(found.loc[found["label"] == "mass", "group"]) & set(
        found.loc[found["label"] == "normal", "group"]
    )
    assert found["contrast"].notna().all()
