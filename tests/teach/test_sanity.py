"""A map is tried on the score it explains, and on a network that forgets what it learned."""

import numpy as np
import pytest

from thyro_demo.engine import Engine
from thyro_demo.models import bundle
from thyro_demo.teach import looking, sanity


@pytest.fixture(scope="module")
def tiny(tiny_weights):
    return bundle.load(tiny_weights / "tiny")


def test_curves_join_the_sharp_frame_and_the_blurred_one(tiny, spotted_frames):
    frame = spotted_frames[0][1]
    heat = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    found = sanity.curves(tiny, "softmax", frame, heat, steps=4)
    assert found.deletion[0] == pytest.approx(found.insertion[-1], abs=1e-5)
    assert found.deletion[-1] == pytest.approx(found.insertion[0], abs=1e-5)
    assert found.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_a_true_map_makes_the_score_fall_sooner_than_its_opposite(tiny, spotted_frames):
    frame = spotted_frames[0][1]  # the softmax was fitted to find the bright spot
    spot = (frame.mean(axis=2) == 250).astype(np.float32)
    right = sanity.curves(tiny, "softmax", frame, spot, steps=5).areas
    wrong = sanity.curves(tiny, "softmax", frame, 1 - spot, steps=5).areas
    assert right["deletion"] < wrong["deletion"]
    assert right["insertion"] > wrong["insertion"]


def test_areas_of_a_straight_line():
    line = sanity.Curves(np.linspace(0, 1, 3), np.array([1.0, 0.5, 0.0]), np.full(3, 0.25))
    assert line.areas == {"deletion": 0.5, "insertion": 0.25}


def test_own_map_and_onlookers_are_tried_on_the_same_cases(tiny):
    engine, cases = Engine(), looking.drawn_cases(2, seed=40)
    engine.add(tiny)
    table, means = sanity.faithfulness(engine, tiny, "svm", cases, steps=2)
    assert set(means) == {"svm", looking.GAUSSIAN, looking.RANDOM}
    assert len(table) == 2 * len(means)


def test_a_network_forgets_and_remembers(tiny, spotted_frames):
    frames = list(spotted_frames[0][:4])
    before = tiny.network.get_weights()
    table, maps = sanity.forgetting(tiny, frames, list("aabb"), draws=2)
    assert all(map(np.array_equal, before, tiny.network.get_weights()))
    means = table.groupby("stage", sort=False)["agreement"].mean()
    assert list(means.index) == list(maps)
    assert means.iloc[0] == pytest.approx(1)
    assert list(means.index)[1:] == ["the head", "+ last block", "the whole network"]
    assert (means.iloc[1:] < 0.999).all()


def test_a_deeper_stage_goes_on_from_a_shallower_one(tiny, spotted_frames, monkeypatch):
    seen = []

    def watch(bundle, squares):
        seen.append(bundle.network.get_layer("logits").get_weights()[0])
        return np.ones((len(squares), 2, 2))

    monkeypatch.setattr(sanity, "_softmax_maps", watch)
    sanity.forgetting(tiny, list(spotted_frames[0][:2]), ["a", "b"], draws=1)
    trained, *forgotten = seen
    assert not np.array_equal(trained, forgotten[0])
    assert all(np.array_equal(forgotten[0], deeper) for deeper in forgotten)


def test_a_network_remembers_even_after_a_mishap(tiny, spotted_frames, monkeypatch):
    before = tiny.network.get_weights()

    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(sanity, "_forget", fail)
    with pytest.raises(RuntimeError):
        sanity.forgetting(tiny, list(spotted_frames[0][:2]), ["a", "b"], draws=1)
    assert all(map(np.array_equal, before, tiny.network.get_weights()))
