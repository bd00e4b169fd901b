"""Rivals take turns: nobody is always first, and nothing before the start counts."""

from thyro_demo.bench import clock
from thyro_demo.bench.clock import Entrant, race


def test_everyone_runs_once_a_round_and_the_first_place_rotates():
    ran = []
    entrants = [Entrant(name, lambda turn, name=name: ran.append((turn, name))) for name in "abc"]
    race(entrants, rounds=3, warm_up=0, title="race")
    rounds = [[name for turn, name in ran if turn == number] for number in range(3)]
    assert [sorted(names) for names in rounds] == [["a", "b", "c"]] * 3
    assert {names[0] for names in rounds} == {"a", "b", "c"}


def test_the_median_of_counted_rounds_is_returned_without_preparation(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    took = [1000.0, 3.0, 50.0, 2.0]
    entrant = Entrant("a", lambda turn: wait(took[turn]), prepare=lambda turn: wait(7.0))
    assert race([entrant], rounds=3, warm_up=1, title="race") == {"a": 3.0}
