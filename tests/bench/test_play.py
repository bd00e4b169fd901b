"""The playground's pace is that of a visitor who asks for the next frame when the last has come."""

import pytest

from thyro_demo.bench import play
from thyro_demo.errors import ThyroError


class Asked:
    """A stand-in for an app: answers as its page's handler does, and notes what it was asked."""

    def __init__(self, answer: dict, status: int = 200):
        self.answer, self.status, self.states = answer, status, []

    def call(self, handler, data, session):
        self.states.append(data[0])
        return {"success": True, "output": {"data": [self.answer]}}

    def post(self, path, body):
        self.states.append(body["data"][0])
        return type("Answer", (), {"status": self.status, "content": b"no"})


def test_every_frame_that_is_counted_is_another_one_with_scores():
    app = Asked({"frame": "data:", "scores": []})
    assert play._rate(app, 1, "vgg16") > 0
    assert len(app.states) == play.WARM_UP + play.FRAMES
    assert len({(one["size"], one["seed"]) for one in app.states}) == len(app.states)
    assert {one["network"] for one in app.states} == {"vgg16"}


@pytest.mark.parametrize("answer", [{"refused": "A size must …"}, {}, {"frame": "data:"}])
def test_an_answer_without_frame_or_scores_is_no_frame(answer):
    with pytest.raises(ThyroError, match="Received: "):
        play._rate(Asked(answer), 1, "vgg16")


@pytest.mark.parametrize("status", [200, 429])
def test_a_crowd_is_asked_at_once_and_each_of_it_gets_a_place_or_a_sentence(status):
    app = Asked({}, status)
    assert len(play._crowd(app, 1, play.CROWD)) == play.CROWD == len(app.states)


def test_a_crowd_that_meets_a_fault_is_not_served():
    with pytest.raises(ThyroError, match="Received: 500"):
        play._crowd(Asked({}, 500), 1, 2)


@pytest.mark.parametrize(("rate", "met"), [(5.0, True), (4.9, False)])
def test_the_target_is_that_of_the_issue(rate, met):
    assert play._pace("vgg16", rate).met is met
    assert play._words(1.0).met
    assert not play._words(1.1).met


def test_a_slower_network_is_reported_and_not_held_to_the_target():
    assert play._also("vgg16", 3.94) == "vgg16, where it is chosen: 3.9 frames/s."
