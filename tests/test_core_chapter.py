"""The core chapter is short, shows what learns, and as a script gives the package's figure."""

import json
from pathlib import Path

import jupytext
import numpy as np
import pytest

from thyro_demo.course import show
from thyro_demo.explain.gradcam import grad_cam

CHAPTER = Path(__file__).resolve().parents[1] / "notebooks" / "00b_transfer_in_keras.py"
MOST_CODE = 200
"""Lines of code in view: all but the common first cell, the collapsed ones and a reader's task."""


def cells() -> list:
    return [cell for cell in jupytext.read(CHAPTER).cells if cell.cell_type == "code"]


def in_view() -> list:
    """List the code cells that a reader sees, but for the first, which every chapter has."""
    return [cell for cell in cells()[1:] if "cellView" not in cell.metadata]


def test_the_core_chapter_is_in_the_words_of_the_field():
    text = CHAPTER.read_text(encoding="utf-8")
    for word in (
        "ImageNet", "keras.applications", "fine-tuning", "pretrained", "confusion matrix",
        "ROC curve", "overfitting", "Grad-CAM", "BatchNormalization",
    ):  # fmt: skip
        assert word in text


def test_the_core_chapter_asks_colab_for_a_graphics_card():
    notebook = json.loads(CHAPTER.with_suffix(".ipynb").read_text(encoding="utf-8"))
    assert notebook["metadata"]["accelerator"] == "GPU"


def test_the_core_chapter_hides_its_plots_and_shows_what_learns():
    for cell in cells():
        collapsed = cell.metadata.get("cellView") == "form"
        assert collapsed == cell.source.startswith("# @title "), cell.source
        assert collapsed or "show.picture(" not in cell.source, cell.source
    seen = "\n".join(cell.source for cell in in_view())
    for call in (
        "keras.applications", ".compile(", ".fit(", "EarlyStopping", "ModelCheckpoint",
        "GradientTape", "SVC(", "RandomForestClassifier(", "training=False", "tf.data.Dataset",
        ".trainable = ", "store.write(", "launch(", "cross_validate(",
    ):  # fmt: skip
        assert call in seen, call


def test_the_core_chapter_is_short():
    chain = [cell.source for cell in in_view() if "tasks.check(" not in cell.source]
    lines = [line for source in chain for line in source.splitlines() if line.strip()]
    assert len(lines) <= MOST_CODE


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """Run the cells of the chapter one after the other; return what they leave behind."""
    out, left = tmp_path_factory.mktemp("core"), {"__name__": "chapter"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(CHAPTER.parent)
        patch.setenv("THYRO_FAST", "1")
        patch.setattr(show, "picture", lambda figure: None)
        for cell in cells():
            source = cell.source.replace('OUT = "runs/course"', f"OUT = {str(out)!r}")
            exec(compile(source, CHAPTER.name, "exec"), left)
        yield left


@pytest.mark.slow
def test_the_chain_gives_the_figure_of_the_package_within_its_interval(chapter):
    assert chapter["difference"].low <= 0 <= chapter["difference"].high


@pytest.mark.slow
def test_the_heatmap_of_the_chapter_is_that_of_the_app(chapter):
    image = chapter["thyroid"].x[0]
    forward = chapter["loaded"].forward(image[None].astype(np.float32))
    theirs = grad_cam(forward.feature_map, forward.softmax_gradient)[0]
    mine = chapter["grad_cam"](chapter["model"], chapter["base"], chapter["FIRST"], image)
    np.testing.assert_allclose(mine, theirs, atol=1e-3)


@pytest.mark.slow
def test_without_a_network_it_goes_on_with_shipped_weights_and_says_so(
    chapter, monkeypatch, capsys
):
    def offline(*args, **kwargs):
        raise OSError("no network")

    for module in ("vgg16", "resnet", "efficientnet"):
        monkeypatch.setattr(f"keras.src.applications.{module}.file_utils.get_file", offline)
    monkeypatch.setitem(chapter, "START", "imagenet")
    for name in ("vgg16", "efficientnet-b0"):
        base, start = chapter["pretrained"](name)
        printed = capsys.readouterr().out
        assert start == "shipped start"
        assert printed.startswith("No weights from outside")
        assert "Received: no network" in printed
        assert f"{name} starts from shipped weights, trained on small photographs" in printed
        assert base.output_shape[-1] in (512, 1280)
