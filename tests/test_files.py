"""A file or folder is written whole or not at all, wherever it is to stand."""

import pytest

from thyro_demo.files import whole


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def fail_halfway():
        with whole(tmp_path / "a.txt") as temporary:
            temporary.write_text("ha")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail_halfway()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_working_folder_itself_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with whole(".") as temporary:
        temporary.mkdir()
        (temporary / "a.txt").write_text("new")
    assert (tmp_path / "here" / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
