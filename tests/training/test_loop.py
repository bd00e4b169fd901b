"""A stage trains what it is set to, from one seed to one result, killed in between or not."""

import csv
import math
from dataclasses import replace

import keras
import numpy as np
import pytest

from thyro_demo.errors import RecipeError
from thyro_demo.models import networks
from thyro_demo.models.backbones import backbone
from thyro_demo.models.pipeline import Augmentation, Frames, batches
from thyro_demo.training import frozen_cache, loop
from thyro_demo.training.frozen_cache import cache_views, lower_part
from thyro_demo.training.loop import epochs_kept, train_stage
from thyro_demo.training.stage import Stage, learning_rate

pytestmark = pytest.mark.usefixtures("eagerly")

SPEC = backbone("two-layer-cnn")
NONE = np.empty(0, np.int64)
SIDE = 32


@pytest.fixture(scope="module")
def frames(spotted_frames):
    """Return 40 frames at half their side, with their classes."""
    images, labels = spotted_frames
    halved = images.reshape(len(images), SIDE, 2, SIDE, 2, 3).mean(axis=(2, 4))
    return Frames(halved.round().astype(np.uint8), labels, ("benign", "malignant"))


@pytest.fixture
def small():
    """Return a function that builds the two-layer network for these frames, with one seed."""

    def build(head="softmax"):
        keras.utils.set_random_seed(0)
        return networks.build(SPEC, head=head, input_size=SIDE)

    return build


def stage_of(trainable="head", epochs=4, **settings):
    return Stage("stage", trainable, epochs, **{"batch": 16} | settings)


def weights_of(network):
    return np.concatenate([array.ravel() for array in network.get_weights()])


@pytest.mark.usefixtures("traced")
def test_cached_training_is_what_keras_does_with_the_whole_frozen_network(small, frames):
    """Whole batches and no augmentation, so that order and views play no part."""
    mine, theirs = small(), small()
    stage = stage_of("last block", 5, optimiser="sgd", learning_rate=0.01, batch=40,
                     augmentation=None)  # fmt: skip
    train_stage(mine, SPEC, stage, frames, np.arange(40), NONE)
    frozen_cache.freeze(theirs, SPEC, "last block")
    theirs.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    theirs.fit(frames.images.astype(np.float32), frames.labels, 40, 5, verbose=0)
    np.testing.assert_allclose(weights_of(mine), weights_of(theirs), atol=2e-5)


def test_cached_views_are_the_frozen_part_of_the_augmented_frames(small, frames):
    network, few = small(), Frames(frames.images[:8], frames.labels[:8], frames.classes)
    stage = stage_of("last block", views=3, seed=4)
    views = cache_views(network, SPEC, stage, few)
    lower = lower_part(network, "conv1_pool")
    assert views.every.shape == (3, *views.plain.shape)
    plain = lower(few.images.astype(np.float32)).numpy()
    np.testing.assert_allclose(views.plain, plain, atol=1e-5)
    for number, cached in enumerate(views.every[1:], start=1):
        (drawn,) = batches(few.images, np.arange(8), 32, (4, number), Augmentation())
        np.testing.assert_allclose(cached, lower(drawn).numpy(), atol=1e-4)
    assert (views.every[1] != views.every[2]).any()


@pytest.mark.parametrize("settings", [{}, {"frozen_layers": 1}, {"frozen_layers": 3}])
def test_a_stage_that_trains_nearly_everything_has_nothing_to_cache(settings, small, frames):
    """The first map of 32 channels takes ten times the place of the image."""
    with pytest.raises(RecipeError, match=r"Received: 'stage'\.$"):
        cache_views(small(), SPEC, stage_of("all", **settings), frames)


@pytest.mark.parametrize(
    "count", [3, 9, *(pytest.param(each, marks=pytest.mark.slow) for each in (2, 5, 7))]
)
def test_training_above_frozen_layers_is_what_keras_does(count, small, frames):
    """The input layer counts, what we add in front does not; the rest runs as it is or cached."""
    mine, theirs = small(), small()
    stage = stage_of("all", 3, optimiser="sgd", learning_rate=0.01, batch=40, augmentation=None,
                     frozen_layers=count)  # fmt: skip
    train_stage(mine, SPEC, stage, frames, np.arange(40), NONE)
    base = [layer for layer in theirs.layers if layer.name != "normalise"]
    for layer in base[:count]:
        layer.trainable = False
    theirs.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    theirs.fit(frames.images.astype(np.float32), frames.labels, 40, 3, verbose=0)
    np.testing.assert_allclose(weights_of(mine), weights_of(theirs), atol=2e-5)


def branching(tensor):
    """Lay two blocks with a branch each, so that a number of layers may end within one."""
    x = keras.layers.Conv2D(4, 3, 4, activation="relu", name="stem")(tensor)
    for block in (1, 2):
        y = keras.layers.Conv2D(4, 3, padding="same", name=f"block{block}_conv")(x)
        y = keras.layers.BatchNormalization(name=f"block{block}_bn")(y)
        x = keras.layers.Add(name=f"block{block}_add")([x, y])
    return x


BRANCHING = replace(SPEC, name="branching", body=branching, cam_layer="block2_add",
                    boundaries={"last block": "block1_add"})  # fmt: skip


def branched():
    keras.utils.set_random_seed(0)
    return networks.build(BRANCHING, input_size=SIDE)


@pytest.mark.parametrize(
    ("count", "cut"),
    [
        (2, "stem"),
        (3, "stem"),
        (4, "stem"),
        (5, "block1_add"),
        (6, "block1_add"),
        (7, "block1_add"),
        (8, "features"),
    ],
)
def test_frozen_layers_are_cached_up_to_the_last_tensor_that_all_passes_through(count, cut):
    stage = stage_of("all", frozen_layers=count)
    network = branched()
    assert frozen_cache.cut_layer(network, BRANCHING, stage) == cut
    names = frozen_cache.base_layers(network, BRANCHING)
    assert names == ["image", "stem", "block1_conv", "block1_bn", "block1_add", "block2_conv",
                     "block2_bn", "block2_add"]  # fmt: skip


@pytest.mark.parametrize(
    "count", [4, *(pytest.param(each, marks=pytest.mark.slow) for each in (3, 7))]
)
def test_it_makes_no_difference_whether_frozen_layers_are_cached(count, frames, monkeypatch):
    # Adam would turn the rounding of a gradient that is zero into whole steps, whose sign depends
    # on the processor.
    stage = stage_of("all", 2, frozen_layers=count, augmentation=None, optimiser="sgd")
    cached, run = branched(), branched()
    train_stage(cached, BRANCHING, stage, frames, np.arange(40), NONE)
    monkeypatch.setattr(frozen_cache, "_WORTH_KEEPING", 0)
    assert frozen_cache.cut_layer(run, BRANCHING, stage) is None
    train_stage(run, BRANCHING, stage, frames, np.arange(40), NONE)
    np.testing.assert_allclose(weights_of(run), weights_of(cached), atol=1e-5)
    frozen = frozen_cache.base_layers(run, BRANCHING)[:count]
    for layer in branched().layers:
        pairs = zip(layer.get_weights(), run.get_layer(layer.name).get_weights(), strict=True)
        moved = any((before != after).any() for before, after in pairs)
        assert moved == (bool(layer.weights) and layer.name not in frozen)


def test_more_frozen_layers_than_there_are_is_refused():
    with pytest.raises(RecipeError, match=r"must be at most 8\. Received: 9\.$"):
        frozen_cache.freeze(branched(), BRANCHING, "all", 9)


class Killed(BaseException):
    """The end of the process: nothing of ours catches it."""


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("trainable", "head", "settings"),
    [
        ("head", "mlp", {"schedule": "cosine"}),
        ("all", "softmax", {"schedule": "cosine"}),
        ("all", "mlp-256", {"schedule": "step", "decay_every": 2, "frozen_layers": 7}),
    ],
)
def test_a_run_killed_at_three_random_steps_ends_as_if_it_never_was(
    trainable, head, settings, small, frames, tmp_path, monkeypatch
):
    stage = stage_of(trainable, 6, warm_up=1.0, class_weights=True, **settings)
    training, validation = np.arange(30), np.arange(30, 40)
    expected = small(head)
    history = train_stage(expected, SPEC, stage, frames, training, validation, tmp_path / "whole")
    moments = np.random.default_rng().integers(1, 6, size=3)
    met, killed = [], tmp_path / "killed"

    def watched(of, progress):
        met.append(math.ceil(progress - 1e-9))
        if len(met) == stop:
            raise Killed
        return learning_rate(of, progress)

    for moment in moments:
        stop = len(met) + int(moment)
        network = small(head)
        with monkeypatch.context() as patch:
            patch.setattr(loop, "learning_rate", watched)
            with pytest.raises(Killed):
                train_stage(network, SPEC, stage, frames, training, validation, killed)
    resumed = small(head)
    again = train_stage(resumed, SPEC, stage, frames, training, validation, killed)
    inputs = frames.images.astype(np.float32)
    np.testing.assert_allclose(resumed(inputs), expected(inputs), atol=1e-6)
    for row, expected_row in zip(again, history, strict=True):
        assert row == pytest.approx(expected_row)
    # An epoch that was done is never done again.
    assert met == sorted(met)


def test_a_finished_run_is_not_trained_again(small, frames, tmp_path, monkeypatch):
    stage, first, second = stage_of(epochs=2), small(), small()
    train_stage(first, SPEC, stage, frames, np.arange(30), np.arange(30, 40), tmp_path)
    monkeypatch.setattr(loop, "cache_views", lambda *_: pytest.fail("ran the network"))
    train_stage(second, SPEC, stage, frames, np.arange(30), np.arange(30, 40), tmp_path)
    np.testing.assert_array_equal(weights_of(first), weights_of(second))


@pytest.mark.parametrize("change", ["stage", "decay", "labels", "images", "rows", "weights"])
def test_a_folder_that_holds_another_run_is_refused(change, small, frames, tmp_path):
    stage, training, network = stage_of(epochs=1), np.arange(30), small()
    train_stage(network, SPEC, stage, frames, training, NONE, tmp_path)
    if change == "stage":
        stage = stage_of(epochs=2)
    elif change == "decay":
        stage = stage_of(epochs=1, decay=0.2)
    elif change == "labels":
        frames = Frames(frames.images, 1 - frames.labels, frames.classes)
    elif change == "images":
        frames = Frames(255 - frames.images, frames.labels, frames.classes)
    elif change == "rows":
        training = np.arange(29)
    if change != "weights":  # else the network as it was trained
        network = small()
    with pytest.raises(RecipeError, match=r"empty or hold the same stage.*Received: .*\.$"):
        train_stage(network, SPEC, stage, frames, training, NONE, tmp_path)


def test_early_stopping_goes_back_to_the_best_epoch(small, frames):
    """Labels without sense: the validation loss rises sooner or later."""
    nonsense = Frames(frames.images, np.arange(40) // 3 % 2, frames.classes)
    network = small()
    stage = stage_of("last block", 40, learning_rate=0.01, patience=3, augmentation=None)
    history = train_stage(network, SPEC, stage, nonsense, np.arange(28), np.arange(28, 40))
    losses = [row["validation_loss"] for row in history]
    assert len(history) == int(np.argmin(losses)) + 1 + 3 < 40
    probabilities = network(nonsense.images[28:].astype(np.float32)).numpy()
    loss = -np.log(probabilities[np.arange(12), nonsense.labels[28:]]).mean()
    assert loss == pytest.approx(min(losses), rel=1e-3)


def test_an_epoch_without_a_finite_validation_loss_is_not_the_best(small, frames, monkeypatch):
    losses = iter([2.0, math.nan, 1.0, math.nan, 3.0])
    stage = stage_of(epochs=9, patience=2, augmentation=None)
    chosen, third = small(), small()
    train_stage(third, SPEC, replace(stage, epochs=3), frames, np.arange(30), NONE)
    monkeypatch.setattr(loop, "_validate", lambda *_: {"validation_loss": next(losses)})
    history = train_stage(chosen, SPEC, stage, frames, np.arange(30), np.arange(30, 40))
    assert len(history) == 5
    np.testing.assert_array_equal(weights_of(chosen), weights_of(third))


def test_a_training_that_diverges_ends_in_a_sentence(small, frames, tmp_path):
    stage = stage_of(learning_rate=1e38, optimiser="sgd", batch=10, augmentation=None)
    with pytest.raises(RecipeError, match=r"Received: loss=(nan|inf) in epoch 1 of .* stage\.$"):
        train_stage(small(), SPEC, stage, frames, np.arange(40), NONE, tmp_path)
    assert not (tmp_path / "state.npz").exists()


@pytest.mark.slow
def test_stop_after_ends_a_longer_schedule_on_the_way(small, frames):
    whole = train_stage(small(), SPEC, stage_of(epochs=4, schedule="cosine"), frames,
                        np.arange(30), NONE)  # fmt: skip
    part = train_stage(small(), SPEC, stage_of(epochs=4, schedule="cosine", stop_after=2), frames,
                       np.arange(30), NONE)  # fmt: skip
    rates = [row["learning_rate"] for row in whole]
    assert [row["learning_rate"] for row in part] == rates[:2]
    assert [row["loss"] for row in part] == pytest.approx([row["loss"] for row in whole[:2]])


def test_class_weights_make_the_number_of_copies_of_a_class_indifferent(small, frames):
    benign, malignant = np.flatnonzero(frames.labels == 0), np.flatnonzero(frames.labels == 1)
    common = {"class_weights": True, "augmentation": None, "optimiser": "sgd"}
    balanced, skewed = small(), small()
    stage = stage_of(epochs=3, batch=200, learning_rate=0.05, **common)
    train_stage(balanced, SPEC, stage, frames, np.r_[benign, malignant], NONE)
    train_stage(skewed, SPEC, stage, frames, np.r_[np.tile(benign, 4), malignant], NONE)
    np.testing.assert_allclose(weights_of(balanced), weights_of(skewed), atol=1e-5)


@pytest.mark.parametrize(
    ("losses", "patience", "kept"),
    [
        ([], None, 0),
        ([], 2, 0),
        ([3, 1, 2], None, 3),
        ([3, 1, 2], 2, 2),
        ([3, 1, 1], 2, 2),
        ([3, math.nan, 1, 2], 2, 3),
        ([math.inf, math.nan, 2], 4, 3),
        ([math.nan, math.nan], 2, 2),
    ],
)
def test_a_stage_that_waits_keeps_its_best_epoch_and_another_its_last(losses, patience, kept):
    history = [{"validation_loss": loss} for loss in losses]
    assert epochs_kept(history, stage_of(patience=patience)) == kept


@pytest.mark.parametrize(
    "optimiser",
    ["adam", "sgd", *(pytest.param(name, marks=pytest.mark.slow) for name in ("adamw", "rmsprop"))],
)
def test_every_optimiser_learns_what_can_be_seen(optimiser, small, frames):
    stage = stage_of(epochs=15, optimiser=optimiser, learning_rate=0.01, augmentation=None)
    history = train_stage(small(), SPEC, stage, frames, np.arange(40), np.arange(40))
    assert history[-1]["loss"] < 0.96 * history[0]["loss"]
    assert 0 <= history[-1]["validation_accuracy"] <= 1


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_dropout_follows_from_the_seed(small, frames):
    results = []
    for seed in (1, 1, 2):
        network = small("mlp")
        stage = stage_of(epochs=2, seed=seed, batch=40, augmentation=None)
        train_stage(network, SPEC, stage, frames, np.arange(40), NONE)
        results.append(weights_of(network))
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


def test_layers_do_not_drop_the_same_images(small, frames):
    """Else stochastic depth would skip every block of an image, or none."""
    base = small()
    x = base.get_layer("features").output
    for name in ("first", "second"):
        x = keras.layers.Dropout(0.5, noise_shape=(None, 1), name=name)(x)
    network = keras.Model(base.inputs[0], keras.layers.Dense(2, name="logits")(x))
    train_stage(network, SPEC, stage_of("head", 1, batch=40), frames, np.arange(40), NONE)
    first, second = (network.get_layer(name).seed_generator.state for name in ("first", "second"))
    assert (first.numpy() != second.numpy()).any()


def test_the_log_holds_what_the_history_holds(small, frames, tmp_path):
    history = train_stage(small(), SPEC, stage_of(epochs=3), frames, np.arange(30),
                          np.arange(30, 40), tmp_path)  # fmt: skip
    with open(tmp_path / "log.csv", newline="") as stream:
        rows = [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(stream)]
    assert rows == history
    assert [row["epoch"] for row in rows] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_images_grow_from_epoch_to_epoch_and_a_killed_run_goes_on(frames, tmp_path):
    """Killed in its second epoch, a run meets the images of that epoch again."""
    sides = []

    def scratch():
        keras.utils.set_random_seed(0)
        return networks.build(SPEC, scratch=True)

    def train(folder):
        network = scratch()
        stage = stage_of("all", 2, sides=(16, 32), optimiser="adamw", augmentation=None)
        return network, train_stage(network, SPEC, stage, frames, training, validation, folder)

    training, validation = np.arange(30), np.arange(30, 40)
    plain = loop.batches

    def watched(*arguments):
        sides.append(arguments[-1])
        return plain(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "batches", watched)
        expected, history = train(tmp_path / "whole")
    assert sides == [16, 16, 32, 32]

    def killed(run, row):
        if row["epoch"] == 2:
            raise Killed
        kept(run, row)

    kept = loop._Run.end_epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Run, "end_epoch", killed)
        with pytest.raises(Killed):
            train(tmp_path / "killed")
    resumed, again = train(tmp_path / "killed")
    np.testing.assert_allclose(weights_of(resumed), weights_of(expected), atol=1e-6)
    assert [row["loss"] for row in again] == pytest.approx([row["loss"] for row in history])
    assert (weights_of(expected) != weights_of(scratch())).any()


def test_the_last_side_goes_on():
    stage = stage_of("all", 9, sides=(32, 48, 64))
    assert [stage.side(epoch) for epoch in range(5)] == [32, 48, 64, 64, 64]
    assert stage_of("all").side(0) is None


@pytest.mark.parametrize("stage", [stage_of("none"), stage_of("all", 0)])
def test_a_stage_without_training_changes_nothing(stage, small, frames):
    network = small()
    assert train_stage(network, SPEC, stage, frames, np.arange(40), NONE) == []
    np.testing.assert_array_equal(weights_of(network), weights_of(small()))


def test_warm_up_rises_evenly_to_the_peak_and_cosine_falls_to_zero():
    stage = stage_of(epochs=10, learning_rate=0.2, warm_up=2.0, schedule="cosine")
    rates = [learning_rate(stage, progress) for progress in np.linspace(0, 10, 101)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(0.1)
    assert max(rates) == rates[20] == pytest.approx(0.2)
    assert rates[60] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert all(np.diff(rates[20:]) < 0)


def test_a_constant_schedule_is_constant():
    stage = stage_of(epochs=10, learning_rate=0.2)
    assert {learning_rate(stage, progress) for progress in (0.0, 0.1, 5.0, 10.0)} == {0.2}


def rates_of(stage, steps=3):
    """Return the rate of every batch, a row an epoch."""
    return np.array([[learning_rate(stage, epoch + (step + 1) / steps) for step in range(steps)]
                     for epoch in range(stage.epochs)])  # fmt: skip


def test_steps_divide_the_rate_by_ten_after_every_five_epochs():
    """As AlexNet and Inception-v3 are trained in P2, to the last batch of the fifth epoch."""
    rates = rates_of(stage_of(epochs=12, learning_rate=1e-3, schedule="step"))
    expected = np.repeat([1e-3, 1e-4, 1e-5], [5, 5, 2])
    np.testing.assert_allclose(rates, np.repeat(expected[:, None], 3, axis=1))


def test_the_log_scale_is_evenly_spaced_from_the_first_epoch_to_the_last():
    """As OverFeat and VGG-F are trained in P2, with the rates of MATLAB's logspace."""
    rates = rates_of(stage_of(epochs=20, learning_rate=1e-3, schedule="log", final_rate=1e-4))
    expected = np.logspace(-3, -4, 20)
    np.testing.assert_allclose(rates, np.repeat(expected[:, None], 3, axis=1))
    alone = stage_of(epochs=1, learning_rate=1e-3, schedule="log")
    assert learning_rate(alone, 1.0) == 1e-3


def test_a_schedule_of_steps_reaches_the_optimiser_and_the_log(small, frames):
    stage = stage_of(epochs=3, optimiser="sgd", learning_rate=0.1, schedule="step", decay=0.5,
                     decay_every=1)  # fmt: skip
    history = train_stage(small(), SPEC, stage, frames, np.arange(40), NONE)
    assert [row["learning_rate"] for row in history] == pytest.approx([0.1, 0.05, 0.025])


@pytest.mark.parametrize(
    "wrong",
    [
        {"trainable": "tail"},
        {"optimiser": "lbfgs"},
        {"schedule": "steps"},
        {"epochs": -1},
        {"batch": 0},
        {"views": 0},
        {"sides": (32,), "trainable": "last block"},
        {"precision": "float16"},
        {"decay": 0.0},
        {"decay": 1.5},
        {"decay_every": 0},
        {"schedule": "log", "final_rate": 0.0},
        {"schedule": "log", "learning_rate": 1e-5, "final_rate": 1e-4},
        {"frozen_layers": 3},
        {"frozen_layers": 0, "trainable": "all"},
        {"frozen_layers": 3, "trainable": "all", "sides": (32,)},
    ],
)
def test_settings_that_cannot_be_run_are_refused(wrong):
    with pytest.raises(RecipeError, match=r"Received: .*\.$"):
        Stage(**{"name": "stage", "trainable": "head", "epochs": 1} | wrong)


def test_a_network_without_such_a_block_is_refused(small):
    with pytest.raises(RecipeError, match=r"must be head, last block or all.*'last two blocks'"):
        frozen_cache.freeze(small(), SPEC, "last two blocks")
