"""The playground's server: what can be set and what is refused; its figures are the engine's."""

import base64
import html
import io
import json
import math
import re
import sys

import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from thyro_demo.clinical import tirads
from thyro_demo.data.phantom import malignant_probability
from thyro_demo.engine import Engine
from thyro_demo.errors import ThyroError
from thyro_demo.ui import limits
from thyro_demo.ui.catalogue import LANGUAGES, words
from thyro_demo.ui.html import render
from thyro_demo.ui.play_answers import PlayAnswers
from thyro_demo.ui.play_state import CHOICES, FOCI, NUMBERS, State, read
from thyro_demo.ui.results import wording

NETWORKS = ["vgg16", "resnet50"]


class Loading:
    """Networks that are still being loaded."""

    ready, started = False, False

    def start(self):
        self.started = True


# States


def test_every_feature_of_the_generator_can_be_set():
    tables = {
        "composition": tirads.COMPOSITION,
        "echogenicity": tirads.ECHOGENICITY,
        "shape": tirads.SHAPE,
        "margin": tirads.MARGIN,
    }
    for key, table in tables.items():
        assert set(CHOICES[key].values()) == set(table)
    assert set(FOCI.values()) == set(tirads.FOCI)


def test_every_choice_has_its_words():
    features = words("play")["features"]
    for key, choices in (*CHOICES.items(), ("foci", FOCI)):
        assert list(features[key]["choices"]) == list(choices)
    assert list(words("play")["numbers"]) == list(NUMBERS)


@pytest.mark.parametrize(
    "state",
    [
        State(network="vgg16"),
        State("cystic", "anechoic", "tall", "ill-defined", ("macro", "punctate"), 40, 72.5, -12, 99,
              True, "resnet50"),
    ],
)  # fmt: skip
def test_a_state_comes_back_from_its_own_words_and_from_a_link(state):
    assert read(json.loads(json.dumps(state.to_dict())), NETWORKS) == state
    link = {
        key: ",".join(value) if isinstance(value, list) else str(value)
        for key, value in state.to_dict().items()
    }
    assert read(link, NETWORKS) == state


def test_what_is_left_out_is_as_the_page_opens():
    assert read({}, NETWORKS) == State(network="vgg16")
    assert read({"foci": ""}, []) == State()


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "composition",
        {"colour": "red"},
        {"composition": "<script>alert(1)</script>"},
        {"composition": None},
        {"composition": ["solid"]},
        {"echogenicity": "x" * 100_000},
        {"size": 3.9},
        {"size": "1e999"},
        {"size": math.nan},
        {"size": "nan"},
        {"size": True},
        {"size": {"path": "/"}},
        {"depth": 1e9},
        {"gain": "loud"},
        {"seed": 1.5},
        {"seed": -1},
        {"foci": "rim,rust"},
        {"foci": ["rim"] * 9},
        {"foci": 7},
        {"foci": [["rim"]]},
        {"marks": "perhaps"},
        {"network": "../weights"},
        {"network": "ensemble"},
        {1: 2},
    ],
    ids=lambda raw: repr(raw)[:40],
)
def test_a_hostile_state_is_refused_in_one_short_sentence(raw):
    with pytest.raises(ThyroError, match="Received: ") as caught:
        read(raw, NETWORKS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_one_feature_moves_and_nothing_else():
    first, second = (State(echogenicity=echo).draw() for echo in ("hypoechoic", "very-hypoechoic"))
    assert first.spacing_mm == second.spacing_mm
    np.testing.assert_array_equal(first.mask, second.mask)
    apart = first.frame.astype(int) - second.frame
    assert apart[first.mask].mean() > 10
    assert abs(apart[~first.mask].mean()) < 1


# Answers


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


def test_a_frame_comes_with_points_scores_and_heatmap(engine):
    raw = {"composition": "solid", "shape": "tall", "foci": ["punctate"], "network": "resnet50"}
    answer = PlayAnswers(engine, None).frame(raw)
    assert answer == json.loads(json.dumps(answer))
    assert (answer["points"], answer["level"]) == (10, "TR5")
    assert sum(answer["parts"].values()) == 10
    assert answer["chance"] == pytest.approx(malignant_probability(10), abs=1e-4)
    assert pixels(answer["frame"]).shape[:2] == pixels(answer["map"]).shape[:2] == (360, 480)
    assert [one["head"] for one in answer["scores"]] == ["softmax", "svm", "forest"]
    assert answer["state"] == read(raw, ["resnet50"]).to_dict()


@pytest.mark.parametrize("threshold", [0.125, 0.42])
def test_thresholds_are_rounded_as_on_the_page_compare(engine, monkeypatch, threshold):
    monkeypatch.setattr(sys.modules[type(engine).__module__], "THRESHOLD", threshold)
    answer = PlayAnswers(engine, None).scores({})
    for name, one in answer["scores"].items():
        (same,) = (
            shown
            for shown in engine.compare(State(network="vgg16").draw().rgb).predictions
            if (shown.model, shown.head) == (name, one["head"])
        )
        assert one["threshold_text"] == wording(same).threshold


def test_of_a_spongiform_nodule_no_other_feature_counts(engine):
    raw = {"composition": "spongiform", "shape": "tall", "foci": "rim"}
    answer = PlayAnswers(engine, None).frame(raw)
    assert (answer["points"], set(answer["parts"].values())) == (0, {0})


def test_a_scan_that_has_to_be_deeper_reports_so(engine):
    answers = PlayAnswers(engine, None)
    for marks in (False, True):
        fits = answers.frame({"size": 10, "depth": 60, "marks": marks})
        large = answers.frame({"size": 40, "shape": "tall", "depth": 30, "marks": marks})
        assert fits["depth_mm"] == pytest.approx(60, abs=0.1)
        assert large["depth_mm"] > 45


def test_scores_are_of_every_network_and_ensemble_that_needs_no_mark(engine_of_every_kind):
    answer = PlayAnswers(engine_of_every_kind, None).scores({})
    heads = {name: one["head"] for name, one in answer["scores"].items()}
    assert heads == {
        "efficientnet-b0": "softmax",
        "resnet50": "softmax",
        "vgg16": "softmax",
        "ensemble": "average",
    }


def test_only_networks_are_on_offer_for_the_frame(engine_of_every_kind):
    answers = PlayAnswers(engine_of_every_kind, None)
    assert answers.networks == ["efficientnet-b0", "resnet50", "vgg16"]
    assert "refused" in answers.live_frame({"network": "ensemble"})


def test_while_networks_load_the_frame_is_drawn_without_scores(engine):
    loading = Loading()
    answer = PlayAnswers(engine, loading).frame({})
    assert answer["loading"]
    assert loading.started
    assert answer["frame"]
    assert "scores" not in answer


def test_without_networks_frames_and_points_are_drawn(engine, monkeypatch):
    monkeypatch.setattr(engine, "titles", {})
    answers = PlayAnswers(engine, None)
    assert answers.frame({})["points"] == 4
    assert answers.scores({})["scores"] == {}


def test_figures_are_those_of_the_engine_for_the_same_phantom_in_a_file(tiny_weights, tmp_path):
    engine = Engine(tiny_weights)
    answers = PlayAnswers(engine, None)
    raw = {"margin": "lobulated", "size": 22, "marks": True}
    path = tmp_path / "phantom.png"
    Image.fromarray(read(raw, answers.networks).draw().rgb).save(path)
    answer, every = answers.frame(raw), answers.scores(raw)
    fresh = Engine(tiny_weights).compare(path)
    for one in answer["scores"]:
        (same,) = (
            shown
            for shown in fresh.predictions
            if (shown.model, shown.head) == (answer["state"]["network"], one["head"])
        )
        assert one["score"] == pytest.approx(same.score, abs=1e-6)
        assert one["threshold"] == same.threshold
        assert one["positive"] == same.positive
    for name, one in every["scores"].items():
        (same,) = (
            shown for shown in fresh.predictions if (shown.model, shown.head) == (name, one["head"])
        )
        assert one["score"] == pytest.approx(same.score, abs=1e-6)


# Over HTTP


@pytest.fixture(scope="module")
def client(served):
    return Client(served[0], verbose=False)


def test_programs_play_too(client, served):
    state = {"echogenicity": "hyperechoic", "network": "resnet50"}
    answer = client.predict(state, api_name="/play")
    expected = PlayAnswers(served[1], None).frame(state)
    assert answer == expected
    scores = client.predict(state=state, api_name="/play_scores")
    assert set(scores["scores"]) == set(served[1].names())


def test_a_mistake_of_a_program_is_answered_in_one_sentence(client):
    for name in ("/play", "/play_scores"):
        with pytest.raises(AppError, match=r"Received: size='huge'"):
            client.predict({"size": "huge"}, api_name=name)


def test_the_page_is_limited_by_its_frames_and_not_by_clicks(served_app):
    app = served_app[0]
    live = [fn for fn in app.fns.values() if str(fn.api_name).startswith(limits.LIVE)]
    assert len(live) == 2 * len(LANGUAGES)
    assert all(fn.api_visibility == "private" for fn in live)
    assert limits.LIVE_PER_SESSION.per_second > 5 > limits.PER_SESSION.per_second


def test_the_page_holds_its_texts_in_one_place():
    """A word of the page that is in its template would be missed by a translation."""
    page = render("play", texts=words("play"), networks={"a": ""}, numbers=NUMBERS, setup="{}")
    written = json.dumps(words("play"), ensure_ascii=False)
    shown = re.sub(r"<[^>]*>", "\n", page).splitlines()
    for line in filter(None, (html.unescape(line.strip()) for line in shown)):
        assert line in written
