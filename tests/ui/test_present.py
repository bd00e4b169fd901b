"""Cases before a class: the question gives nothing away, and the answer says all there is."""

import json
from types import SimpleNamespace

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from starlette.datastructures import Headers

from thyro_demo.course.lecture import CASES
from thyro_demo.errors import ThyroError
from thyro_demo.ui import invitation
from thyro_demo.ui.catalogue import words
from thyro_demo.ui.examples import collect
from thyro_demo.ui.invitation import invite
from thyro_demo.ui.place import Place
from thyro_demo.ui.present_answers import PresentAnswers, in_order

SCOPE = {"type": "http", "scheme": "http", "headers": [(b"host", b"127.0.0.1:7860")]}
EXAMPLES = collect()


@pytest.fixture
def present(engine) -> PresentAnswers:
    return PresentAnswers(engine, EXAMPLES, None, lambda: Place(("/",)))


def ask(present: PresentAnswers, number) -> dict:
    return present.question(number, SimpleNamespace(request=SimpleNamespace(scope=SCOPE)))


def test_every_example_is_a_case_once_and_the_lecture_comes_first():
    names = [case.example.name for case in in_order(EXAMPLES)]
    assert names[: len(CASES)] == [case.name for case in CASES]
    assert sorted(names) == sorted(example.name for example in EXAMPLES)
    assert all(case.point for case in in_order(EXAMPLES)[: len(CASES)])


def test_a_question_holds_no_word_of_its_answer(present):
    for number, case in enumerate(present.cases, 1):
        question = ask(present, number)
        for address in ("frame", "join"):
            question.pop(address)
        written = json.dumps(question).lower()
        assert set(question) == {"number", "ratio"}
        assert case.example.name.lower() not in written
        assert not {"benign", "malignant", "points"} & set(written.split('"'))


def test_an_answer_has_label_points_verdict_maps_and_outline(present, engine):
    malignant = next(n for n, case in enumerate(present.cases, 1) if case.example.mask is not None)
    answer = present.answer(malignant)
    example = present.cases[malignant - 1].example
    assert answer["label"] == example.label
    assert "TI-RADS points" in answer["known"]
    assert answer["verdict"].endswith("above their threshold.")
    assert [view["title"] for view in answer["views"]] == list(engine.titles.values())
    assert all(view["map"].startswith("data:image/png") for view in answer["views"])
    assert all("% of this map is on the nodule" in view["caption"] for view in answer["views"])
    assert answer["outline"].startswith("data:image/png")
    judged = [view["agrees"] == (view["positive"] == (example.label == "malignant"))
              for view in answer["views"]]  # fmt: skip
    assert all(judged)


def test_what_is_no_ultrasound_has_neither_label_nor_outline(present):
    chart = 1 + [case.example.name for case in present.cases].index("test chart")
    answer = present.answer(chart)
    assert answer["label"] == "Not ultrasound"
    assert answer["outline"] == ""
    assert {view["agrees"] for view in answer["views"]} == {None}


@pytest.mark.parametrize("number", [0, -1, 99, 1.5, None, True, "1", [1], {"path": "x"}])
def test_a_number_that_is_no_case_is_refused_in_one_sentence(present, number):
    for answer in (ask(present, number), present.answer(number)):
        assert answer["refused"].startswith("A case must be a number from 1 to ")
        assert "Received: " in answer["refused"]


def test_without_a_network_the_answer_says_so(engine, monkeypatch):
    monkeypatch.setattr(engine, "titles", {})
    present = PresentAnswers(engine, EXAMPLES, None, lambda: Place(("/",)))
    assert "at least one bundle" in present.answer(1)["refused"]


@pytest.mark.parametrize(
    ("place", "host", "address", "reach"),
    [
        (Place(("/",), link="https://a.b"), "127.0.0.1:1", "https://a.b", "link"),
        (Place(("/",), "https://example.org/a"), "inside", "https://example.org/a", "network"),
        (Place(("/",)), "127.0.0.1:7860", "http://127.0.0.1:7860", "here"),
        (Place(("/",)), "localhost:7860", "http://localhost:7860", "here"),
        (Place(("/",), server="0.0.0.0", port=7860), "192.168.1.7:7860", "http://192.168.1.7:7860",
         "network"),
        (Place(("/",), server="0.0.0.0", port=7860), "127.0.0.1:7860", "http://10.1.2.3:7860",
         "network"),
    ],
)  # fmt: skip
def test_a_class_is_sent_where_most_can_come(monkeypatch, place, host, address, reach):
    monkeypatch.setattr(invitation, "_of_this_computer", lambda: "10.1.2.3")
    found = invite(place, SCOPE, Headers({"host": host}))
    assert (found.address, found.reach) == (address, reach)
    assert found.code.startswith("data:image/svg+xml")
    assert words("present")["invitation"][reach]


def test_a_computer_without_a_network_is_open_to_itself(monkeypatch):
    monkeypatch.setattr(invitation, "_of_this_computer", lambda: "")
    place = Place(("/",), server="0.0.0.0", port=7860)
    assert invite(place, SCOPE, Headers({"host": "127.0.0.1:7860"})).reach == "here"


def test_an_address_too_long_for_a_code_leaves_the_case_alone(present):
    endless = Headers({"host": "x" * 5000})
    with pytest.raises(ThyroError, match="at most 300 characters"):
        invite(Place(("/",)), SCOPE, endless)
    scope = SCOPE | {"headers": endless.raw}
    request = SimpleNamespace(request=SimpleNamespace(scope=scope))
    question = present.question(1, request)
    assert question["frame"]
    assert question["join"]["code"] == ""
    assert "Received: " in question["join"]["hint"]


def test_a_program_gets_a_case_with_its_answer(served):
    client = Client(served[0], verbose=False)
    answer = client.predict(number=2, api_name="/present")
    assert answer["number"] == 2
    assert len(answer["scores"]) == 9
    assert "diagnosis" in answer["notice"]
    with pytest.raises(AppError, match=r"from 1 to \d+\. Received: 77"):
        client.predict(number=77, api_name="/present")
