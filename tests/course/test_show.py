"""A picture of the course has a title and names, and shows all of its figures."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from thyro_demo.course import show


@pytest.fixture
def displayed(monkeypatch):
    seen = []
    monkeypatch.setattr("IPython.display.display", seen.append)
    return seen


@pytest.mark.parametrize("missing", ["title", "xlabel", "ylabel"])
def test_a_picture_without_a_title_or_a_name_on_an_axis_is_refused(displayed, missing):
    figure, axes = plt.subplots()
    named = {"title": "Depth", "xlabel": "Across (mm)", "ylabel": "Depth (mm)"}
    axes.set(**{key: text for key, text in named.items() if key != missing})
    with pytest.raises(ValueError, match="Received: "):
        show.picture(figure)
    assert displayed == []
    axes.set(**named)
    show.picture(figure)
    assert [seen.data[1:4] for seen in displayed] == [b"PNG"]
    assert not plt.fignum_exists(figure.number)


def test_axes_that_are_off_and_scales_of_colour_need_no_names(displayed):
    figure, (left, right) = plt.subplots(1, 2)
    left.set_axis_off()
    image = right.imshow(np.eye(3))
    right.set(xlabel="Column", ylabel="Row")
    figure.colorbar(image)
    figure.suptitle("A unit matrix")
    show.picture(figure)
    assert len(displayed) == 1


def test_the_outline_is_where_the_mask_is():
    mask = np.zeros((40, 60), bool)
    mask[5:15, 10:30] = True  # near the top: an outline drawn upside down would be at the bottom
    figure, axes = plt.subplots()
    show.frame(axes, np.full((40, 60), 90, np.uint8), "A box", mask, spacing_mm=0.5)
    corners = np.concatenate(
        [path.vertices for drawn in axes.collections for path in drawn.get_paths()]
    )
    assert corners[:, 0].min() == pytest.approx(10 * 0.5, abs=0.5)
    assert corners[:, 0].max() == pytest.approx(30 * 0.5, abs=0.5)
    assert corners[:, 1].min() == pytest.approx(5 * 0.5, abs=0.5)
    assert corners[:, 1].max() == pytest.approx(15 * 0.5, abs=0.5)
    assert axes.get_xlabel() == "Across (mm)"
    plt.close(figure)


def test_each_figure_with_an_interval_is_a_row_and_one_without_a_value_is_left_out():
    figures = {
        "a": {"value": 0.8, "low": 0.7, "high": 0.9},
        "b": {"value": 0.6, "low": None, "high": None},
        "c": {"value": None, "low": None, "high": None},
        "d": {"value": np.nan, "low": np.nan, "high": np.nan},
        "e": {"value": 0.4, "low": np.nan, "high": np.nan},
    }
    drawn = show.intervals(figures, "Two heads", "AUROC (0–1)")
    axes = drawn.axes[0]
    texts = [label.get_text() for label in axes.get_yticklabels()]
    assert [text[0] for text in texts] == ["a", "b", "e"]
    assert [text.endswith("(–)") for text in texts] == [False, True, True]
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    drawn_bars = [list(bar) for bar in bars if np.isfinite(bar).all() and list(bar) != [0.5, 0.5]]
    assert drawn_bars == [[0.7, 0.9]]


def test_curves_show_both_losses_by_epoch():
    history = [{"epoch": e, "loss": 1 / e, "validation_loss": 2 / e} for e in (1, 2, 3)]
    axes = show.curves(history, "Falling").axes[0]
    for line, factor in zip(axes.lines, (1, 2), strict=True):
        np.testing.assert_allclose(line.get_ydata(), [factor, factor / 2, factor / 3])
