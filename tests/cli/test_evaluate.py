"""``evaluate``: figures of every head, training images apart, or one sentence and nothing."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bundle import ensemble, manifest
from thyro_demo.cli import main
from thyro_demo.data import datasets
from thyro_demo.files import sha256

pytestmark = pytest.mark.usefixtures("eagerly")


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


@pytest.mark.slow
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


@pytest.fixture
def outlined(data, spotted_frames):
    """Add a mask to every frame, black where it has no bright spot."""
    (data / "masks").mkdir()
    frames, _ = spotted_frames
    for index, frame in enumerate(frames):
        spot = (frame[..., 0] > 200).astype(np.uint8) * 255
        Image.fromarray(spot).save(data / "masks" / f"{index}.png")
    _change(data, mask_path=[f"masks/{index}.png" for index in range(len(frames))])
    return data


@pytest.fixture(scope="module")
def finder(tiny_weights, spotted_frames, tmp_path_factory):
    """Write a bundle whose network has a nodule map, with random filters."""
    import keras

    from thyro_demo.bundle import store
    from thyro_demo.models import backbones, features, networks, ood

    frames, _ = spotted_frames
    keras.utils.set_random_seed(0)
    network = networks.build(backbones.backbone("two-layer-cnn"), head="nodule", input_size=64)
    whole = features.ood_readout(network, "read_map", "nodule")
    rows = features.pooled(network, frames, [whole])[0]
    spaces, limits = ood.fit(rows, np.arange(len(rows)) // 2, ["frame"] * len(rows))
    facts = manifest.read_manifest(tiny_weights / "tiny") | {
        "name": "finder",
        "cam_layer": "read_map",
        "pooling": "nodule",
        "heads": ["softmax"],
        "primary": "softmax",
        "thresholds": {"softmax": {"youden": 0.5, "sens95": 0.25}},
        "ood_limits": limits,
        "nodule_threshold": 0.4,
        "training_outlines": [],
    }
    root = tmp_path_factory.mktemp("finder")
    return store.write(root / "finder", facts, network, {"ood": spaces}, "# Finder\n")


def test_maps_are_measured_where_nodules_are_outlined(outlined, finder, tmp_path, capsys):
    out, report = tmp_path / "figures.json", tmp_path / "report"
    assert _evaluate(finder, "--data", outlined, "--json", out, "--report", report) == 0
    figures = json.loads(out.read_text("utf-8"))
    found = figures["localisation"]
    assert (figures["n"], found["n"], found["groups"], found["unit"]) == (40, 20, 20, "group")
    assert set(found["nodule"]) == {"dice", "pointing"}
    for figure in (found["nodule"]["dice"], found["gaussian"]["energy"], found["empty"]["below"]):
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert (found["empty"]["n"], found["empty"]["threshold"]) == (20, 0.4)
    assert {source: part["n"] for source, part in found["by_source"].items()} == {
        "one": 12,
        "two": 8,
    }
    printed = capsys.readouterr().out
    assert "nodule map" in printed
    assert f"{found['gaussian']['pointing']['value']:.3f}" in printed
    assert json.loads((report / "report.json").read_text("utf-8"))["localisation"] == found
    page = (report / "index.html").read_text("utf-8")
    assert "Where the maps point" in page
    assert "Gaussian" in page


def test_maps_are_measured_without_a_label(outlined, tiny_weights, tmp_path, capsys):
    index = pd.read_csv(outlined / "index.csv")
    index.drop(columns="label").to_csv(outlined / "index.csv", index=False)
    out, report = tmp_path / "figures.json", tmp_path / "report"
    arguments = ("--data", outlined, "--json", out, "--report", report)
    assert _evaluate(tiny_weights / "tiny", *arguments) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert (figures["n"], figures["heads"], figures["left_out"]) == (0, {}, {"no label": 40})
    found = figures["localisation"]
    assert (found["n"], found["empty"]["n"], found["kept_apart"]) == (20, 20, 0)
    assert set(found["heads"]) == set(found["positive"]) == {"softmax", "svm", "forest"}
    assert "nodule" not in found
    assert "Maps beside the outline" in capsys.readouterr().out
    assert not report.exists()


def test_without_outlines_no_map_is_measured(data, tiny_weights, tmp_path):
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 0
    assert "localisation" not in json.loads(out.read_text("utf-8"))


@pytest.mark.slow
def test_learned_outlines_are_kept_apart_and_learned_labels_are_not(
    outlined, tiny_weights, tmp_path, capsys
):
    files = [outlined / f"{index}.png" for index in range(10)]
    trained = _remember(
        tiny_weights, tmp_path, files, training_outlines=[sha256(path) for path in files[:4]]
    )
    out = tmp_path / "figures.json"
    assert _evaluate(trained, "--data", outlined, "--json", out) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert (figures["n"], figures["training_images"]["n"]) == (30, 10)
    found = figures["localisation"]
    assert (found["n"], found["empty"]["n"], found["kept_apart"]) == (18, 18, 4)
    assert "4 images are kept apart from the figures of maps" in capsys.readouterr().out


def test_an_unlabelled_frame_whose_outline_was_learned_is_not_run(outlined, tiny_weights, tmp_path):
    index = pd.read_csv(outlined / "index.csv")
    index.drop(columns="label").to_csv(outlined / "index.csv", index=False)
    trained = _remember(tiny_weights, tmp_path, outlined.glob("*.png"))
    out = tmp_path / "figures.json"
    assert _evaluate(trained, "--data", outlined, "--json", out) == 0
    found = json.loads(out.read_text("utf-8"))["localisation"]
    assert (found["n"], found["heads"], found["kept_apart"]) == (0, {}, 40)


def test_a_bundle_that_is_handed_the_nodule_is_not_asked_where_it_is(
    outlined, tiny_weights, tmp_path
):
    folder = _remember(tiny_weights, tmp_path, [], region="roi")
    out = tmp_path / "figures.json"
    assert _evaluate(folder, "--data", outlined, "--json", out) == 0
    assert "localisation" not in json.loads(out.read_text("utf-8"))


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (
            lambda data: [path.write_bytes(b"no image") for path in data.glob("*.png")],
            "40 that cannot",
        ),
        (lambda data: _change(data, label="normal"), "normal"),
        (lambda data: shutil.rmtree(data), "data"),
    ],
    ids=["no readable image", "no known label", "no folder"],
)
def test_what_cannot_be_measured_is_reported_and_nothing_is_written(
    data, tiny_weights, tmp_path, capsys, spoil, refusal
):
    spoil(data)
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert refusal in error
    assert "Received: " in error
    assert not out.exists()


def test_an_unknown_bundle_is_refused(data, tiny_weights, monkeypatch, capsys):
    monkeypatch.setenv("THYRO_WEIGHTS", str(tiny_weights))
    assert _evaluate("resnet-9000", "--data", data) == 2
    assert "tiny" in capsys.readouterr().err


def test_unreadable_images_are_left_out_named_and_counted(data, tiny_weights, tmp_path, capsys):
    for index in (3, 7, 30):
        (data / f"{index}.png").write_bytes(b"not an image")
    out = tmp_path / "figures.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", out) == 0
    figures = json.loads(out.read_text("utf-8"))
    assert (figures["n"], figures["unreadable"]) == (37, 3)
    printed = capsys.readouterr().out
    assert "Left out, as they cannot be read: 3" in printed
    assert "7.png" in printed


def test_labels_in_another_spelling_are_measured_and_it_is_reported_how_they_were_read(
    data, tiny_weights, tmp_path, capsys
):
    plain, other = tmp_path / "plain.json", tmp_path / "other.json"
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", plain) == 0
    labels = pd.read_csv(data / "index.csv")["label"]
    written = [f"{label.title() if row % 3 else label[0]}" for row, label in enumerate(labels)]
    _change(data, label=written)
    assert _evaluate(tiny_weights / "tiny", "--data", data, "--json", other) == 0
    assert json.loads(other.read_text("utf-8")) == json.loads(plain.read_text("utf-8"))
    assert "Malignant as malignant (13)" in capsys.readouterr().out
