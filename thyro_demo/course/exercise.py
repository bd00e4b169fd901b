"""Functions with blanks, one a chapter, and the check that says whether one is right.

Readers fill in the blanks (`...`) of a cell. A blank that was left, or a wrong answer, is named in
a sentence and stops nothing, so that a chapter runs to its end either way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Exercise:
    """What a function has to return.

    Parameters
    ----------
    cases : sequence of tuple
        Arguments of each trial, and the answer that is expected.
    hint : str
        A sentence for who is not there yet.
    """

    cases: Sequence[tuple[tuple[Any, ...], float]]
    hint: str


ILL = np.array([False, False, True, True])

CROSS_ENTROPY = Exercise(
    [((0.5, True), np.log(2)), ((0.9, True), -np.log(0.9)), ((0.9, False), -np.log(0.1))],
    "The loss is minus the logarithm of the share that the true label got.",
)
"""Chapter 2: takes a score and whether the frame is malignant."""

PAIRED = Exercise(
    [
        ((ILL, np.array([0.1, 0.6, 0.4, 0.9]), np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4)), 0.25),
        (
            (ILL, np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.9, 0.2, 0.8, 0.1]), [0, 0, 2, 3]),
            -1.0,
        ),
    ],
    "Both AUROCs have to be of the same rows: `metrics.auroc(malignant[rows], …[rows])`.",
)
"""Chapter 3: takes labels, first and second scores, and the rows of one resampling."""

AVERAGE = Exercise(
    [(([0.2, 0.8], 1), 0.5), (([0.2, 0.8], 3), 0.35), (([0.9], 5), 0.9)],
    "The first member counts `weight` times, each other one once; divide by all that was counted.",
)
"""Chapter 4: takes the probabilities of the members, and how much the first one counts."""

BAYES = Exercise(
    [((0.9, 0.9, 0.1), 0.5), ((0.9, 0.9, 0.5), 0.9), ((0.95, 0.5, 0.02), 0.019 / 0.509)],
    "Flags come from malignant nodules (sens × prev) and benign ones ((1 − spec) × (1 − prev)).",
)
"""Chapter 5: takes sensitivity, specificity and prevalence; returns the PPV."""

_HEAT = np.array([[0.1, 0.9], [0.3, 0.2]])

POINTING = Exercise(
    [
        ((_HEAT, np.array([[False, True], [False, False]])), 1.0),
        ((_HEAT, np.array([[True, False], [True, True]])), 0.0),
    ],
    "Find where the heatmap is largest, and ask whether the mask is True there.",
)
"""Chapter 6: takes a heatmap and the mask of the nodule; 1 for a hit, 0 for a miss."""


def check(function: Callable[..., Any], asked: Exercise) -> bool:
    """Try a reader's function, and print whether it is right.

    Parameters
    ----------
    function : callable
        Takes what the exercise says, and returns a number.
    asked : Exercise
        What it has to return.

    Returns
    -------
    bool
        Whether every trial came out right.
    """
    for arguments, expected in asked.cases:
        try:
            found = function(*arguments)
            if found is ...:
                print("Not yet: a blank (...) is left. " + asked.hint)
                return False
            right = bool(np.isclose(float(found), expected, atol=1e-6))
        except Exception as error:
            # Whatever a reader tries, the chapter goes on.
            print(f"Not yet: Python stopped with “{type(error).__name__}: {error}”. {asked.hint}")
            return False
        if not right:
            print(
                f"Not yet: {float(found):.3g} came out where {expected:.3g} is right. {asked.hint}"
            )
            return False
    print("Right.")
    return True
