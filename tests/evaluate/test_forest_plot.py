"""A forest plot has one row a figure in each panel, and draws what is defined alone."""

import numpy as np
import pytest

from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.palette import COLOURS

NAN = float("nan")
PANELS = {
    "VGG-16": {"phantoms": (0.02, -0.01, 0.05), "radiographs": (0.04, 0.01, 0.07)},
    "ResNet-50": {"radiographs": (0.03, NAN, NAN), "both": (None, None, None)},
}


def rows(axes) -> dict[float, list[list[float]]]:
    """Return the drawn values by the height of their row, points and ends of intervals."""
    drawn: dict[float, list[list[float]]] = {}
    for line in axes.lines:
        across = np.asarray(line.get_xdata(), float)
        if len(set(line.get_ydata())) == 1 and np.isfinite(across).all():
            drawn.setdefault(float(line.get_ydata()[0]), []).append(across.tolist())
    return drawn


def test_panels_share_rows_with_the_first_on_top_and_leave_out_what_is_undefined():
    figure = forest_plot(PANELS, "AUROC gained", reference=0.0)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["phantoms", "radiographs"]
    assert left.get_ylim()[0] > left.get_ylim()[1]
    assert rows(left) == {0: [[-0.01, 0.05], [0.02]], 1: [[0.01, 0.07], [0.04]]}
    assert rows(right) == {1: [[0.03]]}
    assert [axes.get_title() for axes in figure.axes] == list(PANELS)
    assert figure.get_supxlabel() == "AUROC gained"


def test_numbers_are_under_the_names_of_one_panel():
    figure = forest_plot({"": PANELS["VGG-16"]}, "Gain", decimals=2, colours=COLOURS)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "phantoms\n0.02 (−0.01 to 0.05)", "radiographs\n0.04 (0.01–0.07)",
    ]  # fmt: skip
    assert [line.get_color() for line in axes.lines[::2]] == list(COLOURS[:2])
    assert axes.get_xlabel() == "Gain"


def test_more_rows_make_a_higher_plot():
    few, many = (
        forest_plot({"": {str(i): (0.5, 0.4, 0.6) for i in range(n)}}, "AUROC") for n in (2, 12)
    )
    assert few.get_size_inches()[0] == pytest.approx(many.get_size_inches()[0])
    assert few.get_size_inches()[1] < many.get_size_inches()[1]
