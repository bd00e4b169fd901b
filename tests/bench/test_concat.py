"""Both sides fit the same SVMs, and what is extrapolated is named."""

import numpy as np
import pytest

from thyro_demo.bench import concat
from thyro_demo.study.steps.subsets import svms

SMALL = {"images": 60, "dims": (12, 8, 8)}


def test_both_sides_are_measured_and_have_the_same_decision_values():
    outcome = concat.run(images=60, dims=(12, 8), peer_subsets=4)
    speed, closeness = outcome.figures
    assert speed.value == speed.ratio == speed.peer / speed.ours > 0
    assert "extrapolated" not in speed.peer_name
    assert closeness.met
    assert outcome.settings["subsets"] == outcome.settings["of them fitted by the peer"] == 1


def test_a_difference_of_decision_values_misses_the_target(monkeypatch):
    def off(*given):
        found = svms(*given)
        return found._replace(raw=found.raw + 2e-6)

    monkeypatch.setattr(concat, "svms", off)
    _, closeness = concat.run(peer_subsets=1, **SMALL).figures
    assert not closeness.met
    assert closeness.ours == pytest.approx(2, rel=1e-3)


@pytest.mark.slow
def test_subsets_that_were_not_fitted_count_by_their_columns(monkeypatch):
    monkeypatch.setattr(concat, "race", lambda entrants, *rest: _run(entrants))
    speed, _ = concat.run(peer_subsets=1, **SMALL).figures
    # Pairs of 20, 20 and 16 columns and one triple of 28; the third of four has 20.
    assert speed.peer == pytest.approx(10.0 * (20 + 20 + 16 + 28) / 20)
    assert "1 of 4 subsets measured" in speed.peer_name


def _run(entrants) -> dict[str, float]:
    for entrant in entrants:
        entrant.run(0)
    return {"ours": 1.0, "peer": 10.0}


def test_the_sample_spreads_over_small_and_large_subsets():
    features = {name: np.zeros((1, 4)) for name in "abcdef"}
    wanted = concat.subsets(list(features))
    chosen = concat._spread(wanted, features, 3)
    assert len(set(chosen)) == 3
    assert len(chosen[0]) < len(chosen[-1])
    assert concat._spread(wanted, features, 99) == sorted(wanted, key=len)
