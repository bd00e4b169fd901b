"""Whatever gets through, is lost or goes wrong makes the bench miss its target, and is reported."""

import contextlib

import pytest

from thyro_demo.bench import attacks, crowd, faults, fuzz, strangers, trust
from thyro_demo.bench.attacks import Attack
from thyro_demo.bench.crowd import Held
from thyro_demo.bench.fuzz import Failure, Tally
from thyro_demo.bench.visitor import App
from thyro_demo.errors import ThyroError

GOOD = {
    "fuzz": {"png": Tally(4000, 8000, [])},
    "strangers": {"a Lambda layer": "A network may not. Received: one."},
    "faults": ({"kill -9 while a bundle is saved": ""}, []),
    "attacks": [Attack("a path", 30, [], "Not an upload.")],
    "crowd": Held([1.0] * 100, 2, [], [1000] * 20, 0),
}
BAD = {
    "fuzz": {"png": Tally(9000, 3000, [Failure("png", 7, 8, "KeyError: 'x'", b"\x01\xff")])},
    "strangers": {"a Lambda layer": ""},
    "faults": ({"kill -9 while a bundle is saved": "the bundle is gone"}, []),
    "attacks": [Attack("a path", 30, ["handler 3: 200"], "")],
    "crowd": Held([1.0] * 100, 0, ["a broken connection"], [1000] * 20, 0),
}


@pytest.fixture
def run(tiny_weights, monkeypatch):
    """Build the bench on a tiny network, with stand-ins for all that it measures."""

    def run(**found):
        parts = GOOD | found
        monkeypatch.setattr(fuzz, "run", lambda count: parts["fuzz"])
        monkeypatch.setattr(strangers, "tried", lambda good, work: parts["strangers"])
        monkeypatch.setattr(faults, "run", lambda work: parts["faults"])
        monkeypatch.setattr(faults, "small_bundle", lambda work: work)
        monkeypatch.setattr(attacks, "lay_out", lambda good, root: None)
        monkeypatch.setattr(attacks, "run", lambda app, folder, name: parts["attacks"])
        monkeypatch.setattr(crowd, "run", lambda app, name, seconds: parts["crowd"])

        @contextlib.contextmanager
        def running(root, work):
            yield App(1, 1, work)

        monkeypatch.setattr(trust, "running", running)
        return trust.run(weights=tiny_weights, fast=True)

    return run


def test_all_is_met_where_nothing_got_through(run):
    outcome = run()
    assert outcome.met
    assert outcome.settings["seconds"] == trust.SECONDS_FAST
    assert outcome.settings["network"] == "tiny"
    table = outcome.table()
    assert "bad png: 8,000 refused in a sentence, 4,000 read in spite of it" in table
    assert "kill -9 while a bundle is saved: nothing lost" in table
    assert "100 comparisons by tiny with the shipped weights, 2 sent away" in table


@pytest.mark.parametrize(
    ("part", "note"),
    [
        ("fuzz", "repeat png, seed 7, number 8: KeyError: 'x'; input 01ff"),
        ("strangers", "a Lambda layer: LOADED"),
        ("faults", "the bundle is gone"),
        ("attacks", "through: handler 3: 200"),
        ("crowd", "met: a broken connection"),
    ],
)
def test_each_part_can_miss_alone_and_shows_how(part, note, run):
    outcome = run(**{part: BAD[part]})
    assert [figure.met for figure in outcome.figures].count(False) == 1
    assert note in outcome.table()


def test_a_fault_that_was_left_out_counts_as_missed(run):
    assert not run(faults=({}, ["It needs git. Received: none."])).met


def test_memory_and_time_are_those_of_the_crowd():
    held = Held(seconds=[float(n) for n in range(1, 101)], memory=[100] * 50 + [103] * 50)
    assert held.p95_s == 95
    assert held.growth_percent == pytest.approx(3)
    # What could not be measured is missed.
    assert not any(figure.met for figure in trust._crowd_figures(Held(), 1.0)[1:])


def test_a_folder_without_a_network_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ThyroError, match="Received: "):
        trust._good_bundle(tmp_path, tmp_path)
