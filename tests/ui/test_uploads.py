"""An upload does not outlive the app, however the app ends."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client.utils import strip_invalid_filename_characters
from PIL import Image

from thyro_demo.ui import frame_box, uploads
from thyro_demo.ui import launch as launch_module

ROOT = Path(__file__).resolve().parents[2]

HOLD = """
import sys
import uploads  # by itself, for it starts more quickly than the page
folder = uploads.private_folder()
(folder / "upload.png").write_text("an upload")
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Take an empty folder for the system's temporary one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def hold_folder(temporary: Path) -> tuple[subprocess.Popen, Path]:
    """Start a process that has an upload, and that runs until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=ROOT / "thyro_demo" / "ui",
        env={**os.environ, "TMPDIR": str(temporary), "TEMP": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_what_was_uploaded_goes_with_the_process(temporary):
    process, folder = hold_folder(temporary)
    assert folder.name.startswith("thyro-demo-")
    assert (folder / "upload.png").exists()
    process.communicate("")
    assert list(temporary.iterdir()) == []


def test_what_a_killed_app_left_goes_at_the_next_start_and_what_another_uses_stays(temporary):
    killed, orphan = hold_folder(temporary)
    killed.kill()
    killed.communicate()
    assert (orphan / "upload.png").exists()
    alive, kept = hold_folder(temporary)
    assert not orphan.exists()
    uploads._sweep()
    assert (kept / "upload.png").exists()
    alive.communicate("")
    assert list(temporary.iterdir()) == []


def test_a_sweep_touches_nothing_that_is_not_surely_an_orphan_of_ours(temporary):
    dear = temporary / "dear"
    dear.mkdir()
    (dear / "photo.png").touch()
    # A link under our name, a folder without lock, and one whose lock is still being taken.
    (temporary / "thyro-demo-link").symlink_to(dear, target_is_directory=True)
    (temporary / "thyro-demo-link.lock").write_text("locked")
    (temporary / "thyro-demo-unknown").mkdir()
    (temporary / "thyro-demo-young").mkdir()
    (temporary / "thyro-demo-young.lock").touch()
    before = sorted(temporary.rglob("*"))
    uploads._sweep()
    assert sorted(temporary.rglob("*")) == before


def test_the_removal_outlives_an_upload_that_is_under_way(temporary, monkeypatch):
    folder = temporary / "thyro-demo-busy"
    folder.mkdir()
    rmtree, late = uploads.shutil.rmtree, ["upload.png"]

    def busy(path, ignore_errors):
        rmtree(path, ignore_errors=ignore_errors)
        if late:
            path.mkdir()
            (path / late.pop()).touch()

    monkeypatch.setattr(uploads.shutil, "rmtree", busy)
    uploads._remove(folder)
    assert not folder.exists()


def test_an_upload_that_was_broken_off_goes_and_a_whole_one_stays(served):
    address = httpx.URL(served[0])
    whole = httpx.post(
        f"{address}gradio_api/upload", files={"files": ("whole.png", b"whole")}
    ).json()[0]
    head = (
        "POST /gradio_api/upload HTTP/1.1\r\nHost: here\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n"
        'Content-Disposition: form-data; name="files"; filename="half.png"\r\n\r\n'
    )
    begun = set(uploads.private_folder().glob("tmp*"))
    with socket.create_connection((address.host, address.port)) as visitor:
        visitor.sendall(head.encode() + bytes(1000))
        deadline = time.monotonic() + 10
        while not (half := set(uploads.private_folder().glob("tmp*")) - begun):
            assert time.monotonic() < deadline
        uploads.remove_old(300, 300)
        assert half.pop().exists()
    uploads.remove_old(300, 0)
    assert not list(uploads.private_folder().glob("tmp*"))
    assert Path(whole).exists()


def test_an_upload_goes_when_it_is_old_and_a_fresh_one_stays(served):
    old, fresh = (
        Path(httpx.post(f"{served[0]}gradio_api/upload", files={"files": (name, name.encode())})
             .json()[0])
        for name in ("old.png", "fresh.png")
    )  # fmt: skip
    past = time.time() - 541
    for path in (old, old.parent):
        os.utime(path, (past, past))
    uploads.remove_old(540, 300)
    assert not old.exists()
    assert fresh.exists()
    # The folder was changed by the removal itself, and goes when that is old.
    os.utime(old.parent, (past, past))
    uploads.remove_old(540, 300)
    assert not old.parent.exists()
    assert uploads.private_folder().exists()


def test_old_uploads_go_although_another_thread_removes_a_folder_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "private_folder", lambda: tmp_path)
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old.png").touch()
        os.utime(tmp_path / name / "old.png", (0, 0))
    plain = os.scandir

    def vanishing(path):
        if os.path.basename(path) == "second":
            (tmp_path / "second" / "old.png").unlink(missing_ok=True)
            (tmp_path / "second").rmdir()
        return plain(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", vanishing)
        uploads.remove_old(540, 300)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "first", tmp_path / "third"]
    shutil.rmtree(tmp_path)
    uploads.remove_old(540, 300)


def test_no_upload_stays_for_more_than_ten_minutes():
    assert launch_module._OLD_S + launch_module._TIDY_EVERY_S <= 600


def test_what_the_box_shows_goes_with_the_file_that_it_is_of():
    """A copy that is made late would otherwise keep the pixels for a second time as long."""
    folder = uploads.private_folder() / "an-upload"
    folder.mkdir()
    file = folder / "frame.png"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(file)
    old = time.time() - 500
    os.utime(file, (old, old))
    copy = Path(frame_box.copied(str(file), 1).path)
    uploads.remove_old(540, 300)
    assert (file.exists(), copy.exists()) == (True, True)
    uploads.remove_old(490, 300)
    assert (file.exists(), copy.exists()) == (False, False)


def test_no_upload_comes_to_be_where_the_copies_are():
    name = frame_box._FOLDER
    assert strip_invalid_filename_characters(name) != name
