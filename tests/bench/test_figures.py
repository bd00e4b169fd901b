"""A target is met or missed by its number alone, and what was not measured is missed."""

import json

import pytest

from thyro_demo.bench.figures import Figure, Outcome, host


def figure(value: float, at_least: bool = False, **other) -> Figure:
    return Figure(
        "three maps",
        ours=12.0,
        unit="ms",
        value=value,
        bound=6.0,
        target="6",
        at_least=at_least,
        **other,
    )


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [
        (5.9, False, True),
        (6.0, False, True),
        (6.1, False, False),
        (5.9, True, False),
        (6.0, True, True),
        (float("nan"), False, False),
        (float("nan"), True, False),
    ],
)
def test_a_target_is_inclusive_and_never_met_by_nan(value, at_least, met):
    assert figure(value, at_least).met is met


def test_an_outcome_is_met_when_all_is_measured_and_met():
    good, bad = figure(5.0), figure(7.0)
    assert Outcome("compare", [good, good]).met
    assert not Outcome("compare", [good, bad]).met
    assert not Outcome("compare", [good], ["The peer is not installed. Received: none."]).met


def test_the_table_shows_both_sides_the_target_and_what_was_left_out():
    beside = figure(3.0, peer=4.0, peer_name="bare forward passes", ratio=3.0)
    table = Outcome("compare", [beside, figure(7.0)], ["A row is left out."]).table()
    head, _, first, second, peer, left_out = table.splitlines()
    assert head.split() == ["bench", "compare", "ours", "peer", "ratio", "target", "met"]
    assert first.split()[-8:] == ["12.0", "ms", "4.0", "ms", "3.00", "×", "6", "yes"]
    assert second.split()[-4:] == ["–", "–", "6", "NO"]
    assert peer.endswith("bare forward passes")
    assert left_out == "A row is left out."


def test_outcome_and_host_are_plain_values():
    outcome = Outcome("compare", [figure(5.0)], settings={"rounds": 3}).to_dict()
    assert json.loads(json.dumps(outcome, allow_nan=False)) == outcome
    assert outcome["figures"][0]["met"] is True
    facts = json.loads(json.dumps(host(), allow_nan=False))
    assert facts["cores"] >= 1
    assert {"numpy", "keras", "tensorflow"} <= facts["versions"].keys()
