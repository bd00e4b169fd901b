"""An overlay shows the heat and leaves the rest of the frame alone."""

import numpy as np
import pytest
from matplotlib import colormaps

from thyro_demo.errors import ThyroError
from thyro_demo.explain.overlay import COLOUR_SCALES, overlay


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("colormap", COLOUR_SCALES)
def test_a_cold_map_leaves_the_frame_as_it_is(frame, colormap):
    cold = np.zeros((24, 32), np.float32)
    np.testing.assert_array_equal(overlay(frame, cold, 1.0, colormap), frame)


def test_without_opacity_the_frame_stays(frame):
    np.testing.assert_array_equal(overlay(frame, np.ones((24, 32)), 0.0), frame)


@pytest.mark.parametrize("colormap", COLOUR_SCALES)
def test_the_hottest_pixel_at_full_opacity_has_the_hottest_colour(frame, colormap):
    hot = overlay(frame, np.ones((24, 32)), 1.0, colormap)
    expected = np.rint(255 * np.array(colormaps[colormap](1.0)[:3]))
    assert (hot == expected).all()


def test_half_heat_at_half_opacity_covers_a_quarter(frame):
    mixed = overlay(frame, np.full((24, 32), 0.5), 0.5, "viridis")
    colour = 255 * np.array(colormaps["viridis"](128)[:3])
    np.testing.assert_allclose(mixed, 0.75 * frame + 0.25 * colour, atol=1)


def test_the_frame_given_is_not_written_to(frame):
    before = frame.copy()
    overlay(frame, np.ones((24, 32)))
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize(
    ("heatmap", "opacity", "colormap"),
    [
        (np.zeros((24, 31)), 0.5, "inferno"),
        (np.zeros((24, 32)), 1.5, "inferno"),
        (np.zeros((24, 32)), 0.5, "jet"),
    ],
)
def test_what_cannot_be_laid_over_is_refused_in_one_sentence(frame, heatmap, opacity, colormap):
    with pytest.raises(ThyroError, match="Received: "):
        overlay(frame, heatmap, opacity, colormap)
