"""What a chapter takes is measured while it runs, and kept with the day and the commit."""

import re

import pytest

from thyro_demo import cli
from thyro_demo.cli import course
from thyro_demo.course import publishing, timing
from thyro_demo.errors import StudyError
from thyro_demo.evaluate import results


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Make a table of one chapter, and let the commands write there."""
    file = tmp_path / "chapter_minutes.json"
    file.write_bytes(timing.FILE.read_bytes())
    monkeypatch.setattr(timing.record, "__defaults__", (file,))
    return file


@pytest.fixture
def chapters(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("00b_two", "lecture_50_minutes"):
        (folder / f"{name}.ipynb").write_text("{}", "utf-8")
    monkeypatch.setattr(course, "_NOTEBOOKS", folder)
    return folder


def test_a_run_is_written_beside_the_others(table, chapters, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(publishing, "execute", lambda path, settings, root: asked.append(settings))
    before = {row["chapter"]: row for row in results.read(table).rows}
    assert cli.main(["course", "run", "0b"]) == 0
    assert cli.main(["course", "run", "--mode", "rehearsal"]) == 0
    assert cli.main(["course", "run", "--mode", "real", "--data", "sets", "lecture"]) == 0
    fast, real = {"THYRO_FAST": "1"}, {"THYRO_DATA": "sets"}
    assert asked == [{}, fast, fast, real]
    rows = {row["chapter"]: row for row in results.read(table).rows}
    assert set(rows["0b"]) >= {"chapter", "phantoms", "rehearsal"}
    assert set(rows["lecture"]) >= {"chapter", "real", "rehearsal"}
    assert rows["5"] == before["5"]
    cell = r"\d+\.\d \(\d+\.\d\), \d{4}-\d\d-\d\d, .+"
    assert re.fullmatch(cell, rows["0b"]["phantoms"])
    assert rows["0b"]["phantoms"] in capsys.readouterr().out


def test_a_chapter_that_fails_leaves_the_table_as_it_was(table, chapters, monkeypatch):
    def fail(path, settings, root):
        raise StudyError("Each cell must run. Received: ValueError: no.")

    monkeypatch.setattr(publishing, "execute", fail)
    before = table.read_bytes()
    assert cli.main(["course", "run", "0b"]) != 0
    assert table.read_bytes() == before


@pytest.mark.parametrize("wrong", [["--mode", "real"], ["--data", "sets"]])
def test_real_images_go_with_their_mode_alone(wrong, chapters, capsys):
    assert cli.main(["course", "run", *wrong]) != 0
    assert "Received: --mode" in capsys.readouterr().err


def test_the_committed_table_names_chapters_of_the_course():
    folder = course._NOTEBOOKS
    known = {timing.number(path) for path in folder.glob("*.ipynb")}
    assert {row["chapter"] for row in results.read(timing.FILE).rows} <= known
