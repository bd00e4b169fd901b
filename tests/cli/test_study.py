"""`study` answers a mistake in one sentence, before any work."""

import importlib
import re
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from thyro_demo.cli import main
from thyro_demo.cli.study import FAILED, STUDIES
from thyro_demo.data import phantom
from thyro_demo.errors import DataError
from thyro_demo.evaluate import results
from thyro_demo.study.protocols import PROTOCOLS
from thyro_demo.study.questions import paired
from thyro_demo.study.report.report import Protocol, Report


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "frames"
    return phantom.write(phantom.cohort(3, 1, seed=3, shape=(120, 160)), folder)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (["cv", "head"], "Received: None."),
        (["cv", "head", "--data", "nowhere"], "Received: nowhere."),
        (["cv", "cake", "--data", "{data}"], "Received: 'cake'."),
        (["cv", "radiographs", "--data", "{data}"], "Received: 'radiographs'."),
        (["cv", "two-layer-cnn", "--backbone", "vgg16", "--data", "{data}"], "Received: 'vgg16'."),
        (["cv", "head", "--start", "{trained}", "--data", "{data}"], "trained on them: all."),
        (["cv", "ensemble", "--start", "none", "--data", "{data}"], "Received: none."),
        (["cv", "ensemble", "--backbone", "vgg16", "--data", "{data}"], "Received: vgg16."),
        (["cv", "head", "--data", "{data}", "--out", "{data}/index.csv"], "Received: the file "),
        (["middle", "--data", "{data}"], "Received: runs/vgg16-natural-64.keras, which is missing"),
        (["middle", "--data", "{data}", "--natural", "{{net}}"], "Received: {net}, which is mis"),
        (["shortcuts", "nothing-here", "--data", "{data}"], "nothing-here."),
        (["shortcuts", "{trained}", "--data", "{data}"], "trained on them: all."),
        (["card", "nothing-here", "--data", "{data}"], "nothing-here."),
        (["card", "{trained}", "--data", "{data}"], "Received: {data}/ddti"),
        (["P1"], "Received: None."),
        (["all", "--data", "nowhere"], "Received: nowhere."),
        (["P1", "--fast", "--workers", "0"], "Received: --workers 0."),
        (["P4", "--fast", "--out", "{data}/index.csv"], "Received: the file "),
        (["P3", "--data", "{data}"], "Received: {data}, without it."),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_in_one_sentence(
    arguments, received, frames, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THYRO_DATA", raising=False)
    monkeypatch.setenv("THYRO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
    places = {"data": frames, "trained": trained}
    assert main(["study", *(each.format(**places) for each in arguments)]) == 2
    answer = capsys.readouterr().err.strip().splitlines()[-1]
    assert received.replace("{data}", str(frames)) in answer
    assert "Traceback" not in answer
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_study_is_refused_with_those_that_exist(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["study", "cake"])
    assert stopped.value.code == 2
    answer = capsys.readouterr().err.splitlines()[-1]
    assert all(name in answer for name in STUDIES)


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [(["cv"], "RECIPE"), (["shortcuts"], "BUNDLE"), (["card"], "BUNDLE"), ([], "STUDY")],
)
def test_a_study_names_what_it_lacks(arguments, missing, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["study", *arguments])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(f"required: {missing}")


def test_the_studies_are_explained_by_the_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["study", "--help"])
    assert stopped.value.code == 0
    # Lines are broken to the width of the terminal.
    text = " ".join(capsys.readouterr().out.split())
    assert all(purpose in text for purpose in STUDIES.values())


@pytest.mark.parametrize("study", list(STUDIES))
def test_every_study_has_a_help_of_its_own(study, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["study", study, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    options = {
        "cv": {"--data", "--backbone", "--initial-weights", "--start", "--repeats", "--out"},
        "repeats": {"--data", "--earlier", "--out"},
        "photographs": {"--data", "--backbone", "--natural", "--passes", "--out"},
        "middle": {"--data", "--backbone", "--natural", "--out"},
        "guidance": {"--data", "--backbone", "--initial-weights", "--out"},
        "shortcuts": {"--data", "--out"},
        "card": {"--data"},
        "report": {"--fast", "--out"},
    }.get(study, {"--data", "--fast", "--initial-weights", "--start", "--natural", "--workers",
                  "--ray", "--out"})  # fmt: skip
    assert set(re.findall(r"--[a-z-]+", text.partition("options:")[2])) - {"--help"} == options


@pytest.fixture
def rehearsed(monkeypatch, tmp_path):
    """Let protocols return made-up reports; P3 lacks its set and a part of P4 fails."""
    settings = []

    def run(key, setting):
        settings.append(setting)
        if key == "P3":
            raise DataError("P3 must have outlines. Received: none.")
        failures = {"fold 2": "It was too cold. Received: 3 °C."} if key == "P4" else {}
        scores = pd.DataFrame({"path": ["a.png"], "probability": [0.5]})
        made_up = Protocol(key, "made up", "nobody", "malignant", ())
        differs = (("all", "a test"),)
        tables = {paired.FILE: paired.result(key, "ours", "theirs", 1, (0.1, 0.0, 0.2))}
        return Report(
            made_up, "none", setting.fast, (), differs, scores, {},
            failures=failures, results=tables,
        )  # fmt: skip

    for key in PROTOCOLS:
        plan = f"thyro_demo.study.protocols.{key.lower()}.plan.run"
        monkeypatch.setattr(plan, partial(run, key))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THYRO_DATA", raising=False)
    return settings


def test_a_rehearsal_needs_no_data_and_keeps_apart_from_the_real_study(rehearsed, tmp_path, capsys):
    assert main(["study", "P2", "--fast", "--workers", "1"]) == 0
    (setting,) = rehearsed
    assert setting.fast
    assert setting.workers == 1
    assert (tmp_path / "runs/study-fast/P2/report.json").is_file()
    text = capsys.readouterr().out.replace("\\", "/")
    assert "runs/study-fast/P2/report.md" in text
    assert "runs/study-fast/P2/paired_differences.json" in text
    assert (tmp_path / "runs/study-fast/P2/paired_differences.json").is_file()


def test_one_protocol_that_fails_does_not_stop_the_others_and_is_named(rehearsed, tmp_path, capsys):
    assert main(["study", "all", "--fast", "--out", "out"]) == FAILED
    written = {file.parent.name for file in Path("out").glob("*/report.json")}
    assert written == set(PROTOCOLS) - {"P3"}
    text = capsys.readouterr().out
    assert "Failed: P3: P3 must have outlines." in text
    assert "Failed: P4, fold 2: It was too cold." in text
    assert (tmp_path / "out/index.html").is_file()
    gathered = results.read(tmp_path / "out/results/paired_differences.json")
    assert [row["protocol"] for row in gathered.rows] == [key for key in PROTOCOLS if key != "P3"]


@pytest.mark.parametrize("option", ["--initial-weights", "--start"])
def test_the_old_name_of_initial_weights_still_works(rehearsed, option):
    assert main(["study", "P1", "--fast", option, "imagenet"]) == 0
    (setting,) = rehearsed
    assert setting.weights == "imagenet"


def test_every_protocol_has_its_plan_with_its_own_key():
    for key in PROTOCOLS:
        plan = importlib.import_module(f"thyro_demo.study.protocols.{key.lower()}.plan")
        assert plan.PROTOCOL.key == key
        assert callable(plan.run)
