"""A reader's function is judged in a sentence, and never stops a chapter."""

import numpy as np
import pytest

from thyro_demo.course import exercise
from thyro_demo.evaluate import metrics

SOLUTIONS = {
    "CROSS_ENTROPY": lambda score, ill: -np.log(score if ill else 1 - score),
    "PAIRED": lambda ill, first, second, rows: (
        metrics.auroc(ill[rows], second[rows]) - metrics.auroc(ill[rows], first[rows])
    ),
    "AVERAGE": lambda shares, weight: (
        (sum(shares) + (weight - 1) * shares[0]) / (len(shares) + weight - 1)
    ),
    "BAYES": lambda sens, spec, prev: sens * prev / (sens * prev + (1 - spec) * (1 - prev)),
    "POINTING": lambda heat, mask: bool(mask[np.unravel_index(heat.argmax(), heat.shape)]),
}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_solution_is_right_and_all_else_is_not(name, capsys):
    asked = getattr(exercise, name)
    assert exercise.check(SOLUTIONS[name], asked)
    assert capsys.readouterr().out == "Right.\n"
    for wrong, said in (
        (lambda *given: ..., "a blank (...) is left"),
        (lambda *given: 7.0, "came out where"),
        (lambda *given: [][0], "Python stopped"),
    ):
        assert not exercise.check(wrong, asked)
        printed = capsys.readouterr().out
        assert printed.startswith("Not yet: ")
        assert said in printed
        assert asked.hint in printed
