"""`study` tells a mistake in one sentence, before any work."""

import json
import shutil

import pytest

from thyro_demo.cli import main
from thyro_demo.cli.study import STUDIES
from thyro_demo.data import phantom


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "frames"
    return phantom.write(phantom.cohort(3, 1, seed=3, shape=(120, 160)), folder)


@pytest.fixture(scope="module")
def trained(tiny_weights, tmp_path_factory):
    """Give a bundle whose whole network was trained on thyroid frames."""
    folder = tmp_path_factory.mktemp("trained") / "tiny"
    shutil.copytree(tiny_weights / "tiny", folder)
    facts = json.loads((folder / "manifest.json").read_text("utf-8"))
    facts["chain"] = [{"stage": "thyroid", "trained": "all"}]
    (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
    return folder


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
        (["cv", "head", "--data", "{data}", "--out", "{data}/index.csv"], "Received: the file "),
        (["middle", "--data", "{data}"], "Received: runs/vgg16-natural-64.keras, which is missing"),
        (["middle", "--data", "{data}", "--natural", "{{net}}"], "Received: {net}, which is mis"),
        (["shortcuts", "--data", "{data}"], "Received: nothing."),
        (["shortcuts", "nothing-here", "--data", "{data}"], "nothing-here."),
        (["shortcuts", "{trained}", "--data", "{data}"], "trained on them: all."),
        (["card", "nothing-here", "--data", "{data}"], "nothing-here."),
        (["card", "{trained}", "--data", "{data}"], "Received: {data}/ddti"),
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
