"""``evaluate``: figures of every head, training images apart, or one sentence and nothing."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.cli import main
from thyro_demo.data import datasets
from thyro_demo.files import sha256
from thyro_demo.models import ensemble, manifest


@pytest.fixture
def data(tmp_path, spotted_frames):
    """Write 40 frames of 20 groups and two sources with their index.csv."""
    folder = tmp_path / "data"
    folder.mkdir()
    frames, labels = spotted_frames
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index}.png")
    pd.DataFrame(
        {
            "path": [f"{index}.png" for index in range(len(frames))],
            "label": np.array(["benign", "malignant"])[labels],
            "group": [f"g{index // 2}" for index in range(len(frames))],
            "source": ["one" if index < 24 else "two" for index in range(len(frames))],
            "width": 64,
            "height": 64,
        }
    ).to_csv(folder / "index.csv", index=False)
    return folder


def _evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


def _change(data, **columns):
    index = pd.read_csv(data / "index.csv")
    index.assign(**columns).to_csv(data / "index.csv", index=False)


def _remember(tiny_weights, tmp_path, paths, **more):
    """Copy the bundle and name some files as its training images."""
    folder = tmp_path / "trained"
    shutil.copytree(tiny_weights / "tiny", folder)
    facts = json.loads((folder / "manifest.json").read_text("utf-8"))
    facts |= {"training_images": [sha256(path) for path in paths], **more}
    (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
    return folder


def test_every_head_is_measured_overall_and_by_source(data, tiny_weights, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert (figures["bundle"], figures["n"], figures["unit"]) == ("tiny", 40, "group")
    assert set(figures["heads"]) == {"softmax", "svm", "forest"}
    for head in figures["heads"].values():
        assert head["auroc"]["low"] <= head["auroc"]["value"] <= head["auroc"]["high"]
        assert {source: part["n"] for source, part in head["by_source"].items()} == {
            "one": 24,
            "two": 16,
        }
    # The spots were what these two heads were fitted on.
    assert figures["heads"]["svm"]["auroc"]["value"] > 0.95
    assert figures["training_images"] == {"n": 0, "heads": {}}
    printed = capsys.readouterr().out
    assert f"{figures['heads']['svm']['auroc']['value']:.3f}" in printed
    assert "research" in printed


def test_a_bundle_is_found_by_name(data, tiny_weights, monkeypatch, capsys):
    monkeypatch.setenv("THYRO_WEIGHTS", str(tiny_weights))
    assert _evaluate("tiny", "--data", data) == 0
    assert "40 images" in capsys.readouterr().out


def test_training_images_are_reported_apart(data, tiny_weights, tmp_path, capsys):
    trained = _remember(tiny_weights, tmp_path, [data / f"{index}.png" for index in range(10)])
    out = tmp_path / "figures.json"
    assert _evaluate(trained, "--data", data, "--json", out) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert figures["n"] == 30
    assert figures["training_images"]["n"] == 10
    assert figures["training_images"]["heads"]["svm"]["by_source"]["one"]["n"] == 10
    assert "10 of the images are training images" in capsys.readouterr().out


@pytest.mark.parametrize("level", [(), ("--image-level",)])
def test_phantoms_that_are_drawn_again_are_training_images(
    level, data, tiny_weights, tmp_path, capsys
):
    _change(data, group=[f"phantom-7-{index // 2:05d}" for index in range(40)])
    trained = _remember(tiny_weights, tmp_path, [], training_phantoms={"phantom-7": 6})
    assert _evaluate(trained, "--data", data, *level) == 0
    assert "12 of the images are training images" in capsys.readouterr().out


def test_images_without_a_group_are_counted(data, tiny_weights, tmp_path, capsys):
    groups = [f"g{index // 2}" if index % 10 else "" for index in range(40)]
    _change(data, group=groups)
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 0
    assert json.loads(out.read_text("utf-8"))["without_group"] == 4
    assert "4 images have no group" in capsys.readouterr().out


def test_a_report_folder_of_somebody_else_is_refused_before_anything_is_scored(
    data, tiny_weights, tmp_path, capsys, monkeypatch
):
    report = tmp_path / "report"
    report.mkdir()
    (report / "thesis.txt").write_text("mine")
    monkeypatch.delattr(datasets, "load")
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--report", report) == 2
    assert "thesis.txt" in capsys.readouterr().err


def test_with_training_images_alone_nothing_is_measured(data, tiny_weights, tmp_path, capsys):
    trained = _remember(tiny_weights, tmp_path, data.glob("*.png"))
    out, report = tmp_path / "figures.json", tmp_path / "report"
    assert _evaluate(trained, "--data", data, "--json", out, "--report", report) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert (figures["n"], figures["heads"]) == (0, {})
    assert figures["training_images"]["n"] == 40
    assert "nothing is measured" in capsys.readouterr().out
    assert not report.exists()


def test_the_report_and_the_json_hold_the_same_figures(data, tiny_weights, tmp_path):
    out, report = tmp_path / "figures.json", tmp_path / "report"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out, "--report", report) == 0
    figures = json.loads(out.read_text("utf-8"))
    reported = json.loads((report / "report.json").read_text("utf-8"))
    assert figures["heads"] == reported["heads"]
    assert (report / "index.html").is_file()


def test_a_set_without_groups_needs_the_word_image_level(data, tiny_weights, tmp_path, capsys):
    _change(data, group="")
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 2
    assert "--image-level" in capsys.readouterr().err
    assert not out.exists()
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out, "--image-level") == 0
    assert json.loads(out.read_text("utf-8"))["unit"] == "image"


def test_labels_the_bundle_does_not_know_are_left_out_and_counted(
    data, tiny_weights, tmp_path, capsys
):
    labels = pd.read_csv(data / "index.csv")["label"].tolist()
    _change(data, label=["normal"] * 6 + labels[6:])
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert (figures["n"], figures["left_out"]) == (34, {"normal": 6})
    assert "6 images with normal" in capsys.readouterr().out


def test_a_bundle_that_reads_nodules_is_measured_on_the_outlined_ones(
    data, tiny_weights, tmp_path, capsys
):
    folder = _remember(tiny_weights, tmp_path, [])
    facts = json.loads((folder / "manifest.json").read_text("utf-8")) | {"region": "roi"}
    (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
    assert _evaluate(folder, "--data", data) == 2
    assert "column roi" in capsys.readouterr().err
    _change(data, roi=["", ""] + ["0 0 64 64"] * 38)
    out = tmp_path / "figures.json"
    assert _evaluate(folder, "--data", data, "--json", out) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert (figures["n"], figures["left_out"]) == (38, {"no outlined nodule": 2})
    _change(data, roi="")
    assert _evaluate(folder, "--data", data) == 2
    assert "40 images without" in capsys.readouterr().err


def test_an_ensemble_is_measured_and_knows_its_members_training_images(
    data, tiny_weights, tmp_path
):
    """Two copies of one network agree, so their average ranks as the one does."""
    trained = _remember(tiny_weights, tmp_path, [data / "0.png"])
    shutil.copytree(trained, tmp_path / "twin")
    facts = manifest.read_manifest(trained) | {
        "name": "both",
        "members": [ensemble.member(tmp_path / name) for name in ("trained", "twin")],
        "heads": ["average"],
        "primary": "average",
        "average": {"of": [["trained", "svm"], ["twin", "svm"]], "slope": 2.0, "intercept": 0.5},
        "thresholds": {"average": {"youden": 0.5, "sens95": 0.25}},
        "training_images": [],
    }
    ensemble.write(tmp_path / "both", facts, {}, "# Both\n")
    aurocs = {}
    for name, head in (("both", "average"), ("trained", "svm")):
        out = tmp_path / f"{name}.json"
        assert _evaluate(tmp_path / name, "--data", data, "--json", out) == 0
        figures = json.loads(out.read_text("utf-8"))
        assert (figures["n"], figures["training_images"]["n"]) == (39, 1)
        aurocs[name] = figures["heads"][head]["auroc"]
    assert aurocs["both"] == aurocs["trained"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: (data / "7.png").write_bytes(b"not an image"), "7.png"),
        (lambda data: _change(data, label="normal"), "normal"),
        (lambda data: shutil.rmtree(data), "data"),
    ],
    ids=["unreadable image", "no known label", "no folder"],
)
def test_what_cannot_be_measured_is_told_and_nothing_is_written(
    data, tiny_weights, tmp_path, capsys, spoil, told
):
    spoil(data)
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert told in error
    assert "Received: " in error
    assert not out.exists()


def test_an_unknown_bundle_is_refused(data, tiny_weights, monkeypatch, capsys):
    monkeypatch.setenv("THYRO_WEIGHTS", str(tiny_weights))
    assert _evaluate("resnet-9000", "--data", data) == 2
    assert "tiny" in capsys.readouterr().err
