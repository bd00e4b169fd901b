"""A reader's function is tried, and the answer says what to do next, whatever it raises."""

import hashlib
import re
from pathlib import Path

import jupytext
import numpy as np
import pytest

from thyro_demo.course import tasks
from thyro_demo.evaluate import metrics

CASES = [((1.0,), 0.77), ((26.0,), 20.02)]
CHAPTERS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9]*.py"))


def test_a_blank_is_not_tried_yet():
    assert tasks.check(lambda time: ..., CASES).startswith("Not tried yet")


def test_a_right_function_is_right_up_to_rounding():
    assert tasks.check(lambda time: 1.54 * time / 2 + 1e-9, CASES) == "Right, in all 2 cases."
    assert tasks.check(lambda time: np.float32(0.77 * time), CASES).startswith("Right")


@pytest.mark.parametrize(
    ("function", "reported"),
    [
        (lambda time: 1.54 * time, "it must return 0.77. Received: 1.54."),
        (lambda time: "deep", "Received: 'deep'."),
        (lambda time: None, "Received: None."),
        (lambda time: 1 / 0, "it fails. Received: ZeroDivisionError: division by zero."),
        (lambda: 1, "it fails. Received: TypeError"),
    ],
)
def test_a_wrong_function_is_reported_with_the_first_case(function, reported):
    found = tasks.check(function, CASES)
    assert found.startswith("Not yet: for (1.0) ")
    assert reported in found


def test_words_have_to_be_the_same():
    assert tasks.check(str.upper, [(("tr4",), "TR4")]).startswith("Right")
    assert tasks.check(str.lower, [(("TR4",), "TR4")]).startswith("Not yet")


def test_an_array_is_compared_number_by_number():
    for wanted in (3, True, [1, 2, 3], "TR4"):
        answer = tasks.check(lambda: np.array([1, 2]), [((), wanted)])
        assert answer.startswith(f"Not yet: for () it must return {wanted!r}. Received: array")
    assert tasks.check(lambda: np.array([1, 2]), [((), [1, 2])]).startswith("Right")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_folded_answer_of_each_chapter_is_right(chapter, capsys):
    cells = jupytext.read(chapter).cells
    asked = [
        n for n, cell in enumerate(cells) if re.search(r"^print\(tasks\.check", cell.source, re.M)
    ]
    assert asked
    for place in asked:
        answer = re.search(r"`(return [^`]+)`", cells[place + 1].source)[1].replace("\n", " ")
        assert cells[place].source.count("return ...") == 1
        source = cells[place].source.replace("return ...", answer)
        exec(source, {"tasks": tasks, "np": np, "metrics": metrics, "hashlib": hashlib})
        assert capsys.readouterr().out.startswith("Right, in all ")
