"""A set is fetched whole or not at all, its licence told first."""

import os
import shutil
import subprocess

import pytest
from PIL import Image

from thyro_demo.data import datasets, fetch
from thyro_demo.errors import DataError

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(*arguments, folder) -> None:
    # No settings of whoever runs the tests: they may sign, or hook, commits.
    empty = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    person = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(
        ["git", *person, *arguments],
        cwd=folder,
        env=os.environ | empty,
        check=True,
        capture_output=True,
    )


def repository(folder, files) -> str:
    """Make a git repository of small images; give its address."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40)).save(folder / name)
    git("init", "--quiet", folder=folder)
    git("add", ".", folder=folder)
    git("commit", "--quiet", "-m", "images", folder=folder)
    return folder.as_uri()


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    parts = [f"{part}/{label}/1.jpg" for part in ("train", "test") for label in ("benin", "malin")]
    return repository(home, [f"BDD20test80train/LES3BDD/{part}" for part in parts])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data" / "p1"


@needs_git
def test_a_clone_is_read_by_its_loader(home, out, capfd):
    assert fetch.fetch("p1", out, home) == out
    assert len(datasets.thyroid(out)) == 4
    assert "Licence: none stated" in capfd.readouterr().out


@needs_git
def test_nothing_is_left_and_the_way_by_hand_is_named_when_the_home_is_away(tmp_path, out):
    away = (tmp_path / "nowhere").as_uri()
    with pytest.raises(DataError, match=r"cannot be cloned.*unpack it into .*Received: ") as error:
        fetch.fetch("p1", out, away)
    assert away in str(error.value)
    assert str(out) in str(error.value)
    assert "\n" not in str(error.value)
    assert list(out.parent.iterdir()) == []


@needs_git
def test_a_home_with_something_else_is_not_kept(tmp_path, out):
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(DataError, match="a layout that a loader knows"):
        fetch.fetch("p1", out, repository(other, ["holiday.jpg"]))
    assert list(out.parent.iterdir()) == []


def test_missing_git_names_the_address_and_the_folder(out, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match=r"install it, or get the set from https://github\.com/"):
        fetch.fetch("p1", out)
    assert not out.exists()


def test_what_is_there_is_not_replaced(out):
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("kept")
    with pytest.raises(DataError, match="not there yet"):
        fetch.fetch("p1", out, "file:///nowhere")
    assert (out / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize("key", [key for key, known in fetch.SETS.items() if not known.cloned])
def test_a_set_that_no_command_fetches_names_its_home(key, out, capsys):
    with pytest.raises(DataError, match="No command fetches this set") as error:
        fetch.fetch(key, out)
    assert fetch.SETS[key].home in str(error.value)
    assert "Licence: " in capsys.readouterr().out


def test_unknown_key_is_answered_with_the_known_ones():
    with pytest.raises(DataError, match=r"p1, ddti.*Received: p9"):
        fetch.fetch("p9")


def test_a_set_is_found_in_the_working_folder_before_the_shared_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THYRO_DATA", str(tmp_path / "shared"))
    assert fetch.find("p1") is None
    (tmp_path / "shared" / "thyroid_us").mkdir(parents=True)
    assert fetch.find("p1") == tmp_path / "shared" / "thyroid_us"
    (tmp_path / "data" / "p1").mkdir(parents=True)
    assert fetch.find("p1") == fetch.PLACE / "p1"


@pytest.mark.parametrize("key", fetch.SETS)
def test_each_real_set_is_found(key, thyro_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fetch.find(key) == thyro_data / fetch.SETS[key].folder
