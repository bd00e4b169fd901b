"""The clinic answers whatever it is sent, and states what a table and a score say, no more."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from thyro_demo.bench.dicom_files import LOSSLESS, write
from thyro_demo.clinical import teaching_rule, tirads
from thyro_demo.errors import ImageError
from thyro_demo.ui import clinic_answers as answers
from thyro_demo.ui import clinic_tables as tables
from thyro_demo.ui import clinic_texts as texts
from thyro_demo.ui.catalogue import api
from thyro_demo.ui.clinic import ClinicPage
from thyro_demo.ui.warmup import WarmUp

SOLID = {
    "composition": "solid or almost completely solid",
    "echogenicity": "hypoechoic",
    "shape": "wider than tall",
    "margin": "smooth",
}
NONE = dict.fromkeys(SOLID, "")


@pytest.fixture
def page(engine_of_every_kind, examples) -> ClinicPage:
    known = replace(examples[0], spacing_mm=0.1, size_mm=14.0)
    return ClinicPage(engine_of_every_kind, [known, *examples[1:]], None)


@pytest.fixture
def frame(tmp_path, speckle) -> str:
    path = tmp_path / "frame.png"
    Image.fromarray(speckle).save(path)
    return str(path)


def last(steps):
    return list(steps)[-1]


def file(path: str) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


# Frames


def test_a_phantom_brings_picture_spacing_and_what_is_known_of_it(page, speckle):
    got = last(page.frame({"number": 3, "example": "hypoechoic"}))
    assert got["of"] == 3
    assert got["spacing"] == [0.1, 0.1]
    assert (got["width"], got["height"]) == speckle.shape[1::-1]
    assert got["known"][1:] == ["Longest diameter as drawn: 14 mm.", "Drawn with 4 points."]
    picture = base64.b64decode(got["picture"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(picture)).size == speckle.shape[1::-1]


@pytest.mark.parametrize(
    ("stated", "usable"),
    [((2.5, 2.5), False), ((0.1, 2.5), False), ((0.002, 0.1), False), ((2, 0.005), True)],
)
def test_a_frame_is_measured_by_no_spacing_that_may_not_be_typed(page, tmp_path, stated, usable):
    path = tmp_path / "scan.dcm"
    frames = np.zeros((1, 40, 52), np.uint8)
    path.write_bytes(
        write(frames, LOSSLESS["JPEG-LS"], "MONOCHROME2", PixelSpacing=list(stated)[::-1])
    )
    got = last(page.frame({"number": 1, "file": file(str(path))}))
    assert got["spacing"] == (pytest.approx(stated) if usable else None)


def test_an_upload_has_the_spacing_that_its_file_states(page, frame, tmp_path):
    assert last(page.frame({"number": 1, "file": file(frame)}))["spacing"] is None
    path = tmp_path / "scan.dcm"
    speckle = np.asarray(Image.open(frame).convert("L"))
    content = write(speckle[None], LOSSLESS["JPEG-LS"], "MONOCHROME2", PixelSpacing=[0.1, 0.2])
    path.write_bytes(content)
    got = last(page.frame({"number": 1, "file": file(str(path))}))
    assert got["spacing"] == pytest.approx([0.2, 0.1])
    assert "burned" in got["known"][0].lower()
    # Which is no reason to distrust the score.
    assert (
        last(page.score({"number": 2, "file": file(str(path)), "model": "vgg16"}))["notices"] == []
    )


def test_a_large_frame_is_shown_small_and_measured_at_its_own_size(page, tmp_path):
    path = tmp_path / "large.png"
    Image.fromarray(np.full((1500, 2400, 3), 90, np.uint8)).save(path)
    got = last(page.frame({"file": file(str(path))}))
    assert (got["width"], got["height"]) == (2400, 1500)
    assert len(got["picture"]) < 100_000


@pytest.mark.parametrize(
    "asked",
    [
        *(None, [], "x", 7, {}, {"example": None}, {"example": "no such"}, {"example": ["x"]}),
        *({"example": {}}, {"file": None}, {"file": "frame.png"}, {"file": {"path": 7}}),
        *({"file": {"path": None}}, {"file": [{"path": "x"}]}, {"example": "x" * 9999}),
        {"file": {"path": "/nowhere/frame.png"}},
    ],
)
def test_whatever_is_asked_gets_one_sentence(page, asked):
    for handler in (page.frame, page.score):
        got = last(handler(asked))
        assert set(got) == {"of", "refusal"}
        assert re.fullmatch(r"[^\n]+ Received: [^\n]{1,90}\.", got["refusal"])


def test_a_file_that_is_no_image_is_one_sentence_that_names_it(page, tmp_path):
    path = tmp_path / "text.jpg"
    path.write_text("This is no image.")
    assert "Received: text.jpg" in last(page.frame({"file": file(str(path))}))["refusal"]


def test_a_frame_that_has_gone_is_asked_for_again(page, frame):
    Path(frame).unlink()
    got = last(page.score({"file": file(frame), "model": "vgg16"}))
    assert "ten minutes" in got["refusal"]


# Scores


def test_ensembles_come_first_and_what_reads_a_marked_nodule_is_left_out(page):
    assert next(iter(page.titles)) == "ensemble"
    assert set(page.titles) == {"ensemble", "vgg16", "resnet50", "efficientnet-b0"}


def test_a_score_is_that_of_the_primary_head_at_its_youden_point(page, speckle):
    for model in page.titles:
        got = last(page.score({"number": 9, "example": "hypoechoic", "model": model}))
        expected = next(
            one for one in page._engine.compare(speckle, [model]).predictions if one.head == "svm"
        )
        assert (got["of"], got["model"], got["head"]) == (9, model, "SVM")
        assert got["score"] == expected.score
        assert got["threshold"] == expected.threshold
        assert got["positive"] == expected.positive
        assert got["shown"] == list(expected.rounded())


@pytest.mark.parametrize("model", [None, "", "no such", "efficientnet-b0-roi", [], {"a": 1}, 3])
def test_a_model_that_is_not_offered_is_refused(page, model):
    got = last(page.score({"example": "hypoechoic", "model": model}))
    assert got["refusal"].startswith("The model must be one of ensemble, ")


def test_what_a_model_has_never_seen_comes_with_the_sentence_that_leads(page):
    got = last(page.score({"example": "test chart", "model": "vgg16"}))
    assert got["notices"] == ["This image is unlike the training images; its scores mean nothing."]


def test_an_error_of_the_engine_is_a_sentence_and_a_defect_is_not_hidden(page, monkeypatch):
    asked = {"number": 5, "example": "hypoechoic", "model": "vgg16"}

    def refuse(*_):
        raise ImageError("A frame must be whole. Received: half.")

    monkeypatch.setattr(page._engine, "compare", refuse)
    assert last(page.score(asked)) == {"of": 5, "refusal": "A frame must be whole. Received: half."}
    monkeypatch.setattr(page._engine, "compare", lambda *_: 1 / 0)
    steps = page.score(asked)
    assert "The app itself failed" in next(steps)["refusal"]
    with pytest.raises(ZeroDivisionError):
        next(steps)


def test_the_first_score_waits_for_the_networks_and_the_page_knows_that_before(engine, examples):
    page = ClinicPage(engine, examples, WarmUp(engine))
    asked = {"example": "hypoechoic", "model": "vgg16"}
    assert last(page.frame(asked))["loading"]
    assert "score" in last(page.score(asked))
    assert engine.warm.is_set()
    assert not last(page.frame(asked))["loading"]


# Verdicts, for programs


def test_the_way_through_the_clinic_as_one_call(page, frame):
    got = page.clinic(frame, "12,5", "vgg16", *SOLID.values(), ["punctate echogenic foci"])
    assert got["size_mm"] == 12.5
    assert got["tirads"] == {
        "points": 7,
        "level": "TR5",
        "action": "fna",
        "years": [],
        "sentence": "TR5, 10 mm or more: FNA.",
    }
    assert got["rule"]["discussed"] == got["positive"] == (got["score"] >= got["threshold"])
    assert got["agree"] == got["positive"]
    assert got["rule"]["caption"].startswith("Teaching rule, not ACR")
    assert "not a diagnosis" in got["notice"]


def test_what_is_left_out_leaves_out_what_depends_on_it(page, frame):
    got = page.clinic(frame, "", "", *NONE.values(), [])
    assert got["model"] == "ensemble"
    assert (got["size_mm"], got["tirads"], got["agree"]) == (None, None, None)
    assert got["rule"]["discussed"] is None
    got = page.clinic(frame, "", "", *SOLID.values(), None)
    assert got["tirads"]["sentence"] == "FNA from 15 mm, follow-up from 10 mm."
    assert got["tirads"]["action"] is None


def test_the_rule_is_not_applied_to_a_score_that_means_little(page, tmp_path, examples):
    path = tmp_path / "chart.png"
    Image.fromarray(examples[-1].read()).save(path)
    got = page.clinic(str(path), "20", "vgg16", *SOLID.values(), [])
    assert got["notices"]
    assert (got["rule"]["discussed"], got["agree"]) == (None, None)
    assert "not applied" in got["rule"]["sentence"]
    assert got["tirads"]["level"] == "TR4"


def test_spongiform_stops_the_count_and_needs_no_other_feature(page):
    got = page.tirads("spongiform", "", "", "", [], "40")
    assert (got["points"], got["level"], got["action"]) == (0, "TR1", "none")
    worst = ("very hypoechoic", "taller than wide", "extrathyroidal extension")
    assert page.tirads("spongiform", *worst, list(tirads.FOCI), "40")["points"] == 0


def test_a_total_of_one_has_no_level_and_recommends_nothing(page):
    cyst = ("cystic or almost completely cystic", "anechoic", "wider than tall", "smooth")
    got = page.tirads(*cyst, ["macrocalcifications"], "60")
    assert (got["points"], got["level"], got["action"]) == (1, None, "none")
    assert "no ACR level" in got["sentence"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"composition": "soft"}, r"composition must be one of .* Received: soft\."),
        ({"margin": ""}, r"margin must be one of .* Received: nothing\."),
        ({"margin": None}, r"margin must be one of .* Received: nothing\."),
        ({"shape": "x" * 999}, r"shape must be one of .* Received: x{80}\."),
        ({"foci": "punctate echogenic foci"}, r"foci must be a list of names"),
        ({"foci": [["x"]]}, r"foci must be a list of names"),
        ({"foci": {"x": 1}}, r"foci must be a list of names"),
        ({"foci": ["stars"]}, r"foci must be one of"),
        ({"foci": ["macrocalcifications"] * 2}, r"named once"),
        ({"size_mm": "abc"}, r"longest diameter must be .* Received: abc\."),
        ({"size_mm": "-3"}, r"longest diameter must be .* Received: -3\."),
        ({"size_mm": "3000"}, r"longest diameter must be .* Received: 3000\."),
        ({"size_mm": "0 mm"}, r"longest diameter must be .* Received: 0 mm\."),
    ],
)
def test_a_mistake_of_a_program_is_one_sentence_and_costs_no_forward_pass(
    page, frame, changed, sentence
):
    given = SOLID | {"foci": [], "size_mm": "12"} | changed
    with pytest.raises(gr.Error, match=sentence):
        page.tirads(**given)
    with pytest.raises(gr.Error, match=sentence):
        page.clinic(frame, model="vgg16", **given)
    assert page._engine.marked == []


def test_without_a_frame_or_a_bundle_the_clinic_says_what_is_missing(page, examples, frame):
    with pytest.raises(gr.Error, match="Choose a phantom"):
        page.clinic(None, "12", "", *SOLID.values(), [])
    page.titles.clear()
    with pytest.raises(gr.Error, match="at least one bundle"):
        page.clinic(frame, "12", "", *SOLID.values(), [])


# Words


def sentences() -> list[str]:
    found = [
        *texts.texts().values(),
        texts.caption(),
        *map(api, ("clinic", "tirads")),
    ]
    found += [words for term in texts.terms().values() for words in term.values()]
    found += [texts.schedule(points) for points in range(tables.MOST_POINTS + 1)]
    for points in range(tables.MOST_POINTS + 1):
        for side in (True, False):
            for _, verdict in teaching_rule.bands(points, side):
                found += [texts.verdict(points, verdict), verdict.advice.sentence]
                found.append(texts.rule(verdict.discussed, side))
    return found


def test_nothing_reads_like_a_diagnosis():
    harmless = re.compile(r"(not|never) a diagnosis|the label “malignant”|nodule is malignant")
    claims = re.compile(
        r"diagnos|malignan|benign|cancer|carcinoma|tumou?r|patient (has|is)|"
        r"\byou (have|should|need)|recommend(?!s nothing)"
    )
    for sentence in sentences():
        assert not claims.search(harmless.sub("", sentence.lower())), sentence


def test_every_text_is_shown_somewhere():
    folder = Path(texts.__file__).parent
    files = [*folder.glob("clinic*.[jp]*"), folder / "templates" / "clinic.html"]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    chosen = {"phantom", "real", "typed"} | {name for name in texts.texts() if "measured_" in name}
    for name in set(texts.texts()) - chosen:
        assert re.search(rf"text\.{name}\b|text(s\(\))?\[\"{name}\"\]|'{name}'", code), name


def test_every_term_and_feature_of_the_page_explains_itself(page):
    html = render_page(page)
    for name in texts.terms():
        assert f'data-term="{name}"' in html
        assert f'id="thyro-term-{name}" hidden' in html
    for table in (*tables.FEATURES.values(), tirads.FOCI):
        for name in table:
            assert f'value="{name}"' in html


def test_captions_do_not_give_away_what_is_to_be_seen(page):
    assert [caption for _, caption in page._captions()] == ["Phantom 1", "Not ultrasound"]


def test_the_verdict_for_programs_is_that_of_the_tables(page):
    given = tables.tables()
    for points in range(tables.MOST_POINTS + 1):
        for side in (True, False):
            for size in (0.5, 4.9, 5, 9.9, 10, 14.9, 15, 24.9, 25, 200):
                got = answers.judge(points, size, side, True)
                entry = [
                    one
                    for one in given["verdict"][given["level"][points]][str(side).lower()]
                    if one["from"] <= size
                ][-1]
                assert (got["agree"], got["verdict"]) == (entry["agree"], entry["sentence"])


def render_page(page: ClinicPage) -> str:
    with gr.Blocks() as app:
        page.build()
    values = [one["props"].get("value") for one in app.get_config_file()["components"]]
    return next(value for value in values if isinstance(value, str) and "thyro-clinic" in value)
