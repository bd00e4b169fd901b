"""`study` tells a mistake in one sentence, before any work."""

import importlib
from pathlib import Path

import pandas as pd
import pytest

from thyro_demo.cli import main
from thyro_demo.cli.study import FAILED, STUDIES
from thyro_demo.data import phantom
from thyro_demo.errors import DataError
from thyro_demo.study.published import PROTOCOLS
from thyro_demo.study.report import Report


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "frames"
    return phantom.write(phantom.cohort(3, 1, seed=3, shape=(120, 160)), folder)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (["cv", "head"], "Received: None."),
        (["cv", "head", "--data", "nowhere"], "Received: nowhere."),
        (["cv", "--data", "{data}"], "Received: nothing."),
        (["cv", "cake", "--data", "{data}"], "Received: 'cake'."),
        (["cv", "radiographs", "--data", "{data}"], "Received: 'radiographs'."),
        (["cv", "two-layer-cnn", "--backbone", "vgg16", "--data", "{data}"], "Received: 'vgg16'."),
        (["cv", "head", "--start", "{trained}", "--data", "{data}"], "trained on them: all."),
        (["cv", "ensemble", "--start", "none", "--data", "{data}"], "Received: none."),
        (["cv", "ensemble", "--backbone", "vgg16", "--data", "{data}"], "Received: vgg16."),
        (["cv", "head", "--data", "{data}", "--out", "{data}/index.csv"], "Received: the file "),
        (["middle", "--data", "{data}"], "Received: runs/vgg16-natural-64.keras, which is missing"),
        (["middle", "--data", "{data}", "--natural", "{{net}}"], "Received: {net}, which is mis"),
        (["shortcuts", "--data", "{data}"], "Received: nothing."),
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
def test_a_mistake_is_told_in_one_sentence(
    arguments, received, frames, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THYRO_DATA", raising=False)
    monkeypatch.setenv("THYRO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
    places = {"data": frames, "trained": trained}
    assert main(["study", *(each.format(**places) for each in arguments)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert received.replace("{data}", str(frames)) in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_study_is_refused_with_those_that_exist(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["study", "cake"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert all(name in said for name in STUDIES)


def test_the_studies_are_explained_by_the_help(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["study", "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert all(what in said for what in STUDIES.values())


@pytest.fixture
def rehearsed(monkeypatch, tmp_path):
    """Let protocols give made-up reports; P3 lacks its set and a part of P4 fails."""
    settings = []

    def run(key, setting):
        settings.append(setting)
        if key == "P3":
            raise DataError("P3 needs outlines. Received: none.")
        failures = {"fold 2": "It was too cold. Received: 3 °C."} if key == "P4" else {}
        scores = pd.DataFrame({"path": ["a.png"], "probability": [0.5]})
        return Report(
            key, "made up", "nobody", "none", setting.fast, (), (("all", "a test"),), scores, {},
            failures=failures,
        )  # fmt: skip

    monkeypatch.setattr("thyro_demo.study.protocols.run", run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THYRO_DATA", raising=False)
    return settings


def test_a_rehearsal_needs_no_data_and_keeps_apart_from_the_real_study(rehearsed, tmp_path, capsys):
    assert main(["study", "P2", "--fast", "--workers", "1"]) == 0
    (setting,) = rehearsed
    assert setting.fast
    assert setting.workers == 1
    assert (tmp_path / "runs/study-fast/P2/report.json").is_file()
    assert "runs/study-fast/P2/report.md" in capsys.readouterr().out.replace("\\", "/")


def test_one_protocol_that_fails_does_not_stop_the_others_and_is_told(rehearsed, tmp_path, capsys):
    assert main(["study", "all", "--fast", "--out", "out"]) == FAILED
    written = {file.parent.name for file in Path("out").glob("*/report.json")}
    assert written == set(PROTOCOLS) - {"P3"}
    said = capsys.readouterr().out
    assert "Failed: P3: P3 needs outlines." in said
    assert "Failed: P4, fold 2: It was too cold." in said
    assert (tmp_path / "out/index.html").is_file()


def test_every_protocol_has_its_module_with_its_own_key():
    for key in PROTOCOLS:
        module = importlib.import_module(f"thyro_demo.study.protocols.{key.lower()}")
        assert module.PROTOCOL.key == key
        assert callable(module.run)
