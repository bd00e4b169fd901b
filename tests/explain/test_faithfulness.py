"""A true map makes the score fall sooner, and rise sooner, than its opposite."""

import numpy as np
import pytest

from thyro_demo.bundle import store
from thyro_demo.explain import faithfulness


@pytest.fixture(scope="module")
def tiny(tiny_weights):
    return store.load(tiny_weights / "tiny")


def test_curves_join_the_sharp_frame_and_the_blurred_one(tiny, spotted_frames):
    frame = spotted_frames[0][1]
    heat = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    found = faithfulness.curves(tiny, "softmax", frame, heat, steps=4)
    assert found.deletion[0] == pytest.approx(found.insertion[-1], abs=1e-5)
    assert found.deletion[-1] == pytest.approx(found.insertion[0], abs=1e-5)
    assert found.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_a_true_map_makes_the_score_fall_sooner_than_its_opposite(tiny, spotted_frames):
    frame = spotted_frames[0][1]  # the softmax was fitted to find the bright spot
    spot = (frame.mean(axis=2) == 250).astype(np.float32)
    right = faithfulness.curves(tiny, "softmax", frame, spot, steps=5).areas
    wrong = faithfulness.curves(tiny, "softmax", frame, 1 - spot, steps=5).areas
    assert right["deletion"] < wrong["deletion"]
    assert right["insertion"] > wrong["insertion"]


def test_areas_of_a_straight_line():
    line = faithfulness.Curves(np.linspace(0, 1, 3), np.array([1.0, 0.5, 0.0]), np.full(3, 0.25))
    assert line.areas == {"deletion": 0.5, "insertion": 0.25}
    assert faithfulness.mean_curves([line, line]).areas == line.areas
