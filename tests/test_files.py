"""A file or folder is written whole or not at all, wherever it belongs."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from thyro_demo.files import atomic_write, is_unicode, printable


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def fail_halfway():
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("ha")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail_halfway()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_the_working_folder_itself_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with atomic_write(".") as temporary:
        temporary.mkdir()
        (temporary / "a.txt").write_text("new")
    assert (tmp_path / "here" / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


ROOT = Path(__file__).resolve().parents[1]
LIMIT = 100_000  # bytes

PART = """
import os, signal, sys
from pathlib import Path
from thyro_demo.files import atomic_write
place, kind = Path(sys.argv[1]), sys.argv[2]

def write(temporary, text):
    if kind == "folder":
        temporary.mkdir()
        temporary = temporary / "a.txt"
    temporary.write_text(text)
"""

KILLED = (
    PART
    + """
with atomic_write(place) as temporary:
    write(temporary, "ha")
    os.kill(os.getpid(), signal.SIGKILL)
"""
)

FULL = (
    PART
    + f"""
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))
try:
    with atomic_write(place) as temporary:
        write(temporary, "x" * {2 * LIMIT})
except OSError:
    sys.exit(3)
"""
)

AGAIN_AND_AGAIN = (
    PART
    + """
print("begun", flush=True)
sys.stdin.readline()
for _ in range(300):
    with atomic_write(place) as temporary:
        write(temporary, sys.argv[3] * 1000)
"""
)


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, check=False, timeout=60
    ).returncode


@pytest.fixture(params=["file", "folder"])
def old(request, tmp_path):
    """Return a file, and the file or folder that holds it and is about to be replaced."""
    place = tmp_path / "here" / "a"
    place.parent.mkdir()
    file = place
    if request.param == "folder":
        place.mkdir()
        file = place / "a.txt"
    file.write_text("old")
    return file, place, request.param


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends processes otherwise")
def test_a_writer_that_is_killed_leaves_what_was_there_and_can_be_repeated(old):
    file, place, kind = old
    assert run(KILLED, place, kind) == -signal.SIGKILL
    assert file.read_text() == "old"
    # Only under a hidden name, which no reader of folders looks at.
    assert [path.name for path in place.parent.iterdir() if path.name[0] != "."] == ["a"]
    with atomic_write(place) as temporary:
        if kind == "folder":
            temporary.mkdir()
            (temporary / "a.txt").write_text("new")
        else:
            temporary.write_text("new")
    assert file.read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_leaves_what_was_there_and_nothing_else(old):
    file, place, kind = old
    assert run(FULL, place, kind) == 3
    assert file.read_text() == "old"
    assert [path.name for path in place.parent.iterdir()] == ["a"]


def test_two_processes_may_write_the_same_place(old):
    file, place, kind = old
    command = [sys.executable, "-c", AGAIN_AND_AGAIN, str(place), kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([*command, "a"], cwd=ROOT, **pipes) as one,
        subprocess.Popen([*command, "b"], cwd=ROOT, **pipes) as other,
    ):
        for writer in (one, other):
            assert writer.stdout.readline() == "begun\n"
        for writer in (one, other):
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [one.wait(60), other.wait(60)] == [0, 0]
    assert file.read_text() in {"a" * 1000, "b" * 1000}
    assert [path.name for path in place.parent.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("name", "shown"), [("plain/é.png", "plain/é.png"), ("b\udce9nin.png", "b\\udce9nin.png")]
)
def test_a_name_that_is_no_unicode_is_known_and_can_be_shown(name, shown):
    assert printable(name) == shown
    assert is_unicode(name) == (name == shown)
    printable(name).encode("utf-8")
