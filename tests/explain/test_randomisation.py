"""A network whose weights are shuffled draws other maps, and is itself again afterwards."""

import numpy as np
import pytest

from thyro_demo.bundle import store
from thyro_demo.explain import randomisation


@pytest.fixture(scope="module")
def tiny(tiny_weights):
    return store.load(tiny_weights / "tiny")


def test_shuffled_weights_change_the_maps_and_come_back(tiny, spotted_frames):
    frames = list(spotted_frames[0][:4])
    before = tiny.network.get_weights()
    table, maps = randomisation.cascade(tiny, frames, list("aabb"), draws=2)
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

    monkeypatch.setattr(randomisation, "_softmax_maps", watch)
    randomisation.cascade(tiny, list(spotted_frames[0][:2]), ["a", "b"], draws=1)
    trained, *shuffled = seen
    assert not np.array_equal(trained, shuffled[0])
    assert all(np.array_equal(shuffled[0], deeper) for deeper in shuffled)


def test_weights_come_back_even_after_a_mishap(tiny, spotted_frames, monkeypatch):
    before = tiny.network.get_weights()

    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(randomisation, "_shuffle", fail)
    with pytest.raises(RuntimeError):
        randomisation.cascade(tiny, list(spotted_frames[0][:2]), ["a", "b"], draws=1)
    assert all(map(np.array_equal, before, tiny.network.get_weights()))
