"""``predict``: scores on the terminal, overlays and JSON on disk, or one sentence and nothing."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from thyro_demo.bench.dicom_files import LOSSLESS, write
from thyro_demo.cli import main

HEADS = ("softmax", "svm", "forest")

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def frame(tmp_path, spotted_frames):
    path = tmp_path / "frame.png"
    Image.fromarray(spotted_frames[0][1]).save(path)
    return path


def _predict(*arguments):
    return main(["predict", *map(str, arguments)])


def test_every_score_is_printed_and_every_overlay_written(frame, tiny_weights, tmp_path, capsys):
    out, results = tmp_path / "maps", tmp_path / "results.json"
    assert _predict(frame, "--json", results, "--out", out, "--weights", tiny_weights) == 0
    printed = capsys.readouterr().out
    (image,) = json.loads(results.read_text("utf-8"))["images"]
    assert image["path"] == str(frame)
    assert [one["head"] for one in image["predictions"]] == list(HEADS)
    for one in image["predictions"]:
        assert f"{one['score']:.3f}" in printed
        assert np.asarray(Image.open(one["overlay"])).shape == (64, 64, 3)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"frame-tiny-{head}.png" for head in HEADS
    )
    assert "research" in printed
    assert image["agreement"] in printed


def test_an_overlay_leaves_most_of_a_frame_readable(frame, tiny_weights, tmp_path):
    _predict(frame, "--out", tmp_path, "--weights", tiny_weights, "--heads", "forest")
    drawn = np.asarray(Image.open(tmp_path / "frame-tiny-forest.png")).astype(int)
    changed = np.abs(drawn - np.asarray(Image.open(frame))).max(axis=2) > 20
    assert 0 < changed.mean() < 0.9


@pytest.fixture
def two_kinds(tiny_weights, tmp_path):
    """Copy the bundle twice: one sees the scan area, one a marked nodule."""
    root = tmp_path / "two"
    for name, region in (("area", "scan"), ("nodule", "roi")):
        shutil.copytree(tiny_weights / "tiny", root / name)
        file = root / name / "manifest.json"
        facts = json.loads(file.read_text("utf-8"))
        facts |= {"name": name, "title": name.title(), "region": region}
        file.write_text(json.dumps(facts), "utf-8")
    return root


def test_a_marked_nodule_is_scored_beside_the_scan_area(frame, two_kinds, tmp_path, capsys):
    results = tmp_path / "r.json"
    common = ("--out", tmp_path / "o", "--json", results, "--weights", two_kinds)
    assert _predict(frame, *common, "--roi", 8, 4, 56, 44) == 0
    (image,) = json.loads(results.read_text("utf-8"))["images"]
    assert image["roi"] == {"left": 8, "top": 4, "right": 56, "bottom": 44}
    assert image["box"] == {"left": 0, "top": 0, "right": 64, "bottom": 64}
    assert [one["model"] for one in image["predictions"]] == ["area"] * 3 + ["nodule"] * 3
    assert image["predictions"][0]["score"] != image["predictions"][3]["score"]
    assert "nodule 48 × 40 at 8, 4" in capsys.readouterr().out
    # Seen with 20 % of its sides: all rows down to 52, so what is below is left as it was.
    drawn = np.asarray(Image.open(tmp_path / "o" / "frame-nodule-softmax.png"))
    np.testing.assert_array_equal(drawn[52:], np.asarray(Image.open(frame))[52:])


def test_without_a_mark_the_rest_is_scored_and_the_sentence_comes_first(
    frame, two_kinds, tmp_path, capsys
):
    assert _predict(frame, "--out", tmp_path / "o", "--weights", two_kinds) == 0
    printed = capsys.readouterr().out
    assert printed.index("Nodule reads a marked nodule") < printed.index("model score")
    assert not list((tmp_path / "o").glob("*nodule*"))
    assert _predict(frame, "--weights", two_kinds, "--models", "nodule") == 2
    assert "Received: no mark." in capsys.readouterr().err


def test_a_region_outside_the_frame_is_one_sentence_and_nothing_is_written(
    frame, tiny_weights, tmp_path, capsys
):
    out = tmp_path / "o"
    assert _predict(frame, "--out", out, "--weights", tiny_weights, "--roi", 0, 0, 65, 64) == 2
    assert capsys.readouterr().err.count("Received:") == 1
    assert not out.exists()


def test_heads_limits_the_overlays_and_not_the_scores(frame, tiny_weights, tmp_path):
    results = tmp_path / "r.json"
    _predict(
        frame, "--out", tmp_path / "o", "--json", results, "--weights", tiny_weights,
        "--heads", "svm",
    )  # fmt: skip
    (image,) = json.loads(results.read_text("utf-8"))["images"]
    drawn = {one["head"]: one["overlay"] is not None for one in image["predictions"]}
    assert drawn == {"softmax": False, "svm": True, "forest": False}
    assert len(list((tmp_path / "o").iterdir())) == 1


def test_an_image_with_the_longest_name_of_all_has_an_overlay(frame, tiny_weights, tmp_path):
    names = [f"{'é' * 125}{end}.png" for end in "ab"]
    for name in names:
        shutil.copy(frame, tmp_path / name)
    out = tmp_path / "o"
    _predict(*(tmp_path / name for name in names), "--out", out, "--weights", tiny_weights,
             "--heads", "softmax")  # fmt: skip
    written = sorted(path.name for path in out.iterdir())
    assert written == [f"{'é' * 75}{number}-tiny-softmax.png" for number in ("-2", "")]


def test_images_of_one_name_keep_their_own_overlays(frame, tiny_weights, tmp_path):
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "frame.png"
    second = tmp_path / "frame-2.png"
    for path in (twin, second):
        Image.fromarray(255 - np.asarray(Image.open(frame))).save(path)
    out, results = tmp_path / "o", tmp_path / "r.json"
    places = ("--out", out, "--json", results, "--weights", tiny_weights, "--heads", "softmax")
    _predict(frame, second, twin, *places)
    # The image that is called frame-2 has that name; the second frame takes the next.
    names = ["frame-2-tiny-softmax.png", "frame-3-tiny-softmax.png", "frame-tiny-softmax.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    written = json.loads(results.read_text("utf-8"))["images"]
    overlays = {row["overlay"] for one in written for row in one["predictions"] if row["overlay"]}
    assert len(overlays) == len(written)


@pytest.mark.parametrize(
    "content", [b"", b"plain words", b"<svg/>", b"\x89PNG\r\n\x1a\n broken"], ids=repr
)
def test_a_bad_image_among_good_ones_leaves_nothing_behind(
    frame, tiny_weights, tmp_path, capsys, content
):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(content)
    out, results = tmp_path / "o", tmp_path / "r.json"
    status = _predict(frame, bad, "--out", out, "--json", results, "--weights", tiny_weights)
    assert status == 2
    printed = capsys.readouterr().err.strip()
    assert "bad.jpg" in printed
    assert "\n" not in printed
    assert not out.exists()
    assert not results.exists()


@pytest.mark.parametrize(
    "options",
    [("--models", "resnet-9000"), ("--heads", "oracle"), ("--out", "frame.png")],
    ids=" ".join,
)
def test_wrong_options_are_refused_in_one_sentence(
    frame, tiny_weights, tmp_path, capsys, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    assert _predict(frame, "--weights", tiny_weights, *options) == 2
    printed = capsys.readouterr().err.strip()
    assert "Received: " in printed
    assert "\n" not in printed
    assert [path.name for path in tmp_path.iterdir()] == ["frame.png"]


def test_without_bundles_the_sentence_names_the_folder(frame, tmp_path, capsys):
    assert _predict(frame, "--weights", tmp_path) == 2
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("pattern", ["*.png", "f*", "**/fr?me.png", "[e-g]rame.png"])
def test_a_pattern_is_expanded_where_the_shell_does_not(frame, tiny_weights, tmp_path, pattern):
    (tmp_path / "folder.png").mkdir()
    results = tmp_path / "r" / "r.json"
    out = ("--out", tmp_path / "r", "--json", results, "--weights", tiny_weights)
    assert _predict(tmp_path / pattern, *out) == 0
    written = json.loads(results.read_text("utf-8"))["images"]
    assert [one["path"] for one in written] == [str(frame)]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(frame, tiny_weights, tmp_path):
    odd = frame.rename(tmp_path / "frame[1].png")
    results = tmp_path / "r.json"
    places = ("--out", tmp_path / "o", "--json", results, "--weights", tiny_weights)
    assert _predict(odd, *places) == 0
    assert json.loads(results.read_text("utf-8"))["images"][0]["path"] == str(odd)


def test_a_pattern_without_a_match_is_one_sentence(tmp_path, tiny_weights, capsys):
    assert _predict(tmp_path / "*.png", "--weights", tiny_weights, "--out", tmp_path / "o") == 2
    printed = capsys.readouterr().err.strip()
    assert "A pattern must match" in printed
    assert "\n" not in printed
    assert not (tmp_path / "o").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names in Unicode")
def test_a_name_that_is_no_unicode_is_refused_before_the_work(frame, tiny_weights, capsys):
    odd = os.fsdecode(os.fsencode(frame.parent) + b"/b\xe9nin.png")
    os.rename(frame, odd)
    out = ("--json", frame.parent / "r.json", "--out", frame.parent / "o")
    assert _predict(odd, *out, "--weights", tiny_weights) == 2
    printed = capsys.readouterr().err.strip()
    assert "Unicode" in printed
    assert "\n" not in printed
    assert _predict(frame, "--json", odd, "--weights", tiny_weights) == 2
    assert "Results must have a name in Unicode" in capsys.readouterr().err


@pytest.fixture
def loop(tmp_path, spotted_frames):
    """Write two frames as a DICOM loop with a pixel spacing."""
    content = write(
        spotted_frames[0][:2], LOSSLESS["RLE"], "RGB", PixelSpacing=[0.1, 0.2],
        PatientName="Secret^Name",
    )  # fmt: skip
    path = tmp_path / "loop.dcm"
    path.write_bytes(content)
    return path


def test_another_frame_of_a_loop_is_scored_when_it_is_asked_for(
    loop, spotted_frames, tiny_weights, tmp_path, capsys
):
    results = tmp_path / "r.json"
    common = ("--out", tmp_path / "o", "--json", results, "--weights", tiny_weights)
    scores = []
    for number in (1, 2):
        assert _predict(loop, *common, "--frame", number) == 0
        (image,) = json.loads(results.read_text("utf-8"))["images"]
        assert (image["frame"], image["frames"]) == (number, 2)
        assert image["spacing_mm"] == {"across": 0.2, "down": 0.1}
        printed = capsys.readouterr().out
        assert f"loop.dcm, frame {number} of 2: 64 × 64" in printed
        assert "0.200 × 0.100 mm a pixel" in printed
        assert "does not rule out text burned into this image" in printed
        assert "Secret" not in printed + results.read_text("utf-8")
        scores.append(image["predictions"][0]["score"])
        still = tmp_path / f"{number}.png"
        Image.fromarray(spotted_frames[0][number - 1]).save(still)
        assert _predict(still, *common) == 0
        (same,) = json.loads(results.read_text("utf-8"))["images"]
        assert same["predictions"][0]["score"] == pytest.approx(scores[-1], abs=1e-6)
        assert same["spacing_mm"] is None
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_frame_that_is_not_there_is_one_sentence_and_nothing_is_written(
    loop, tiny_weights, tmp_path, capsys, number
):
    out = tmp_path / "o"
    assert _predict(loop, "--out", out, "--weights", tiny_weights, "--frame", number) == 2
    printed = capsys.readouterr().err.strip()
    assert f"Received: frame={number} of loop.dcm." in printed
    assert "\n" not in printed
    assert not out.exists()
