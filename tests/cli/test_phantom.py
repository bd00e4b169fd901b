"""``python -m thyro_demo phantom``."""

import argparse
import csv

import numpy as np
import pytest
from PIL import Image

from thyro_demo.cli import phantom
from thyro_demo.errors import DataError, ThyroError


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    phantom.add_arguments(parser)
    return phantom.run(parser.parse_args(words))


def rows(folder) -> list[dict[str, str]]:
    with open(folder / "index.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_it_writes_as_many_frames_as_asked(tmp_path, capsys):
    assert run(str(tmp_path / "out"), "--patients", "3", "--frames", "2", "--seed", "4") == 0
    table = rows(tmp_path / "out")
    assert len(table) == 6
    assert len({row["group"] for row in table}) == 3
    assert all((tmp_path / "out" / row["path"]).is_file() for row in table)
    assert "6 frames" in capsys.readouterr().out


def test_textures_have_their_own_labels(tmp_path, capsys):
    run(str(tmp_path / "out"), "--patients", "6", "--frames", "1", "--texture")
    assert {row["label"] for row in rows(tmp_path / "out")} == {"normal", "autoimmune"}


def test_a_shortcut_is_printed_on_one_label(tmp_path, capsys):
    words = ("--patients", "6", "--frames", "1", "--plant-shortcut", "benign")
    run(str(tmp_path / "out"), *words)
    table = rows(tmp_path / "out")
    assert {row["label"] for row in table} == {"benign", "malignant"}
    for row in table:
        corner = np.asarray(Image.open(tmp_path / "out" / row["path"]))[1, 1]
        assert (corner > 0) == (row["label"] == "benign")


def test_a_contact_sheet_needs_no_folder(tmp_path, capsys):
    assert run("--patients", "2", "--contact-sheet", str(tmp_path / "sheet.png")) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.mode == "L"
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    "words",
    [(), ("OUT", "--patients", "0"), ("OUT", "--seed", "-1"), ("OUT", "--plant-shortcut", "cat")],
)
def test_bad_options_are_refused_in_one_sentence_and_leave_nothing(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="Received: "):
        run(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_contact_sheet_in_the_folder_of_phantoms_is_refused_before_drawing(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"must be beside the folder OUT.*Received: .*sheet\.png"):
        run(str(out), "--contact-sheet", str(out / "sheet.png"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_refused_leaves_no_contact_sheet(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(DataError, match="must be new, empty or hold phantoms alone"):
        run(str(tmp_path / "out"), "--contact-sheet", str(tmp_path / "sheet.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_contact_sheet_in_the_place_of_a_folder_is_refused_before_drawing(tmp_path):
    with pytest.raises(ThyroError, match="go to a file"):
        run(str(tmp_path / "out"), "--contact-sheet", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
