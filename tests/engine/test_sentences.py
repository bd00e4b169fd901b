"""Sentences count heads and name models as English does."""

from types import SimpleNamespace

import pytest

from thyro_demo.engine import sentences

TITLES = {"a": "Net A", "b": "Net B"}


@pytest.mark.parametrize(
    ("sides", "sentence"),
    [
        ("A", "The one head is above its threshold."),
        ("b", "The one head is below its threshold."),
        ("AA", "All 2 heads are above their threshold."),
        ("bbbb", "All 4 heads are below their threshold."),
        ("AAbb", "2 of 4 heads are above their threshold."),
        ("Abbb", "1 of 4 heads is above its threshold; Net A softmax is above."),
        (
            "AAAAbb",
            "4 of 6 heads are above their threshold; Net A random forest and Net B random forest "
            "are below.",
        ),
        ("AAAAbbb", "4 of 7 heads are above their threshold."),
    ],
)
def test_agreement_counts_heads_and_names_the_few_that_differ(sides, sentence):
    predictions = [
        SimpleNamespace(
            model="a" if place % 2 == 0 else "b",
            head="forest" if place >= 4 else "softmax",
            positive=side == "A",
        )
        for place, side in enumerate(sides)
    ]
    assert sentences.agreement(predictions, TITLES) == sentence


def test_models_are_named_as_a_sentence_does():
    titles = TITLES | {"c": "Net C"}
    assert sentences.notices(titles, [], []) == []
    first, second = sentences.notices(titles, ["a"], ["a", "b", "c"])
    assert first.startswith("No nodule found by Net A: ")
    assert "unlike the training images of Net A, Net B and Net C: " in second
    assert sentences.mark_needed(["A"]) == "A reads a marked nodule: mark it on the frame"
    assert sentences.mark_needed(["A", "B"]).startswith("A and B read a marked nodule")
