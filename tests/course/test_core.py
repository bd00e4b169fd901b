"""The core chapter in plain Keras: its networks are the package's, its figures have intervals."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from thyro_demo.bundle import network_file
from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import core, core_plots, show
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.models.backbones import backbone

SIDE = 32
CHAINS = ("ImageNet only", "progressive")


def with_head(base, normalise, classes=2):
    image = keras.Input((SIDE, SIDE, 3))
    features = layers.GlobalAveragePooling2D(name="features")(base(normalise(image)))
    logits = layers.Dense(classes, name="logits")(features)
    return keras.Model(image, layers.Softmax()(logits))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def grid():
    """Rows of a grid of three networks, three heads and two chains, on made-up scores."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    records = pd.DataFrame({"group": np.arange(60) // 2})
    records["split"] = np.repeat(["train", "validation", "test"], 20)
    chains = {
        (network, chain): {head: rng.uniform(size=60) * 0.6 + 0.4 * labels for head in core.HEADS}
        for network in ("efficientnet-b0", "resnet50", "vgg16")
        for chain in reversed(CHAINS)
    }
    return core.measure(chains, labels, records)


@pytest.mark.slow
def test_shipped_weights_compute_the_same_in_a_network_of_keras(noise):
    base = keras.applications.EfficientNetB0(
        weights=None, include_top=False, input_shape=(SIDE, SIDE, 3)
    )
    assert core.take_shipped(base, "efficientnet-b0") == "small photographs"
    file = weights_root() / "efficientnet-b0" / "natural-64.keras"
    shipped = network_file.load(file)
    model = with_head(base, keras.applications.efficientnet.preprocess_input)
    laid = core.flat(model, "efficientnet-b0")
    body = keras.Model(laid.inputs[0], laid.get_layer("top_activation").output)
    for layer in body.layers:
        if layer.weights:
            for mine, theirs in zip(
                layer.get_weights(), shipped.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(laid(noise), model(noise), atol=1e-5)


@pytest.mark.slow
def test_the_flat_network_of_the_app_scores_as_the_one_of_the_chapter(noise):
    keras.utils.set_random_seed(0)
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    model = with_head(base, keras.applications.vgg16.preprocess_input, classes=3)
    laid = core.flat(model, "vgg16")
    assert laid.get_layer("features").output.shape[-1] == 512
    np.testing.assert_allclose(laid(noise), model(noise), atol=1e-5)
    with pytest.raises(RecipeError, match=r"must have the .* layers of ResNet-50\. Received: "):
        core.flat(model, "resnet50")


def test_weights_of_another_network_are_refused():
    side = (SIDE, SIDE, 3)
    source = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=side)
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=side)
    with pytest.raises(RecipeError, match=r"must hold all 13 layers .* Received: 0"):
        core.take_weights(source, base)


def test_a_grid_has_every_network_head_and_chain_with_its_intervals(grid):
    assert len(grid) == 18
    assert [row["network"] for row in grid[::6]] == ["efficientnet-b0", "resnet50", "vgg16"]
    assert [row["chain"] for row in grid[:6:3]] == list(CHAINS)
    for row in grid:
        for name in ("AUROC", "accuracy", "sensitivity", "specificity"):
            assert 0 <= row[name].low <= row[name].value <= row[name].high <= 1


def test_a_threshold_does_not_look_at_test_frames():
    labels = np.array([0, 0, 1, 1, 0, 1, 0, 1])
    records = pd.DataFrame({"group": range(8), "split": ["validation"] * 4 + ["test"] * 4})
    scores = np.array([0.1, 0.2, 0.8, 0.9, 0.1, 0.3, 0.1, 0.3])
    rows = core.measure(
        {("vgg16", "progressive"): dict.fromkeys(core.HEADS, scores)}, labels, records
    )
    # In order on the test frames, yet below a threshold that the validation frames have set.
    assert [row["AUROC"].value for row in rows] == [1.0] * 3
    assert [row["accuracy"].value for row in rows] == [0.5] * 3
    assert [row["sensitivity"].value for row in rows] == [0.0] * 3


def test_what_the_thesis_printed_is_in_its_own_cells(grid):
    table = core.beside_published(grid).set_index(["network", "head", "chain"])
    thesis = table["accuracy, thesis, %"]
    assert thesis["VGG-16", "svm", "ImageNet only"] == "78.3"
    assert thesis["VGG-16", "forest", "progressive"] == "80.9"
    assert thesis["EfficientNet-B0", "softmax", "progressive"] == "82.6"
    assert thesis["ResNet-50", "svm", "progressive"] == "–"
    assert (thesis != "–").sum() == 10


def test_two_scores_of_the_same_frames_agree_with_themselves_and_not_with_their_opposite():
    labels, scores = np.arange(40) % 2, np.arange(40) % 2 + np.linspace(0, 1.4, 40)
    alike = core.compare(labels, scores, scores, np.arange(40))
    assert alike[2] == Interval(0, 0, 0)
    assert core.verdict(*alike).endswith("0 is inside its interval.")
    assert core.verdict(*core.compare(labels, scores, -scores, np.arange(40))).endswith(
        "0 is outside its interval."
    )


def test_the_card_says_what_it_is_and_how_it_did(grid):
    manifest = {"title": "VGG-16", "name": "core", "input_size": 64, "primary": "svm"}
    manifest["chain"] = [{"stage": "ImageNet"}, {"stage": "drawn films"}]
    card = core.card(manifest, grid[:3], "6 test frames")
    assert "never a diagnosis" in card
    assert "ImageNet, then drawn films" in card
    assert card.count("\n| ") == 4


def test_a_heatmap_is_enlarged_within_its_range():
    heat = core_plots.enlarged(np.array([[0.0, 1.0], [0.0, 0.5]], np.float32), 8)
    assert heat.shape == (8, 8)
    assert 0 <= heat.min() < heat.max() <= 1
    assert heat[:, :2].mean() < heat[:, -2:].mean()


def test_every_picture_of_the_chapter_has_titles_and_names(grid, noise, monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda image: None)
    epochs = {"loss": [1, 2], "val_loss": [2, 1], "accuracy": [0, 1], "val_accuracy": [1, 0]}
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.6, 0.4])
    for figure in (
        core_plots.draw_history(
            {"Films": epochs | {"unfrozen": 1}, "Thyroid": epochs | {"unfrozen": 1}}
        ),
        core_plots.draw_verdict(labels, {"softmax": scores, "svm": scores}, 0.5),
        core_plots.draw_grid(grid),
        core_plots.draw_grid(grid[:6]),
        core_plots.draw_samples([(noise.astype(np.uint8), pd.Series(["benign", "malignant"]))]),
    ):
        show.picture(figure)
    panels = core_plots.draw_grid(grid).axes
    assert [axes.get_title() for axes in panels] == [
        backbone(name).title for name in ("efficientnet-b0", "resnet50", "vgg16")
    ]
