"""Keep uploads in a folder of their own, and no longer than the process runs."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_PREFIX = "thyro-demo-"
_ATTEMPTS = 5


@functools.cache
def private_folder() -> Path:
    """Make the folder for this user alone, name it to Gradio, and remove those of killed apps."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    # Beside the folder, where nobody who looks for uploads will meet it.
    lock = open(_lock_of(folder), "xb")  # noqa: SIM115
    if _locked(lock):
        # From now on the folder differs from one that is still being made.
        lock.write(b"locked while the app runs\n")
        lock.flush()
    atexit.register(_leave, folder, lock)
    return folder


def remove_uploads() -> None:
    """Remove all that was uploaded, and the folder; for an app that goes on no longer."""
    _remove(private_folder())


def remove_old(age_s: float, broken_off_s: float) -> None:
    """Remove files older than `age_s`, and parts of uploads that stopped `broken_off_s` ago."""
    # Gradio forgets about the latter, and its own schedule for the former ends for good when an
    # upload comes while it looks through them.
    now, root = time.time(), str(private_folder())
    # Another thread may remove a folder before it is looked into: `os.walk` passes over it, where
    # `Path.rglob` would raise, and the thread that keeps the folder tidy would end.
    for parent, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            # Whole uploads are in folders of their own.
            is_part = parent == root and name.startswith("tmp")
            age = min(age_s, broken_off_s) if is_part else age_s
            _remove_before(Path(parent, name), now - age)


def _remove_before(path: Path, limit: float) -> None:
    """Remove a file, or an empty folder, that was last written before a moment."""
    # Another thread may be quicker, and a folder that is not empty stays.
    with contextlib.suppress(OSError):
        if path.lstat().st_mtime <= limit:
            path.rmdir() if path.is_dir() else path.unlink()


def _leave(folder: Path, lock: BinaryIO) -> None:
    _remove(folder)
    lock.close()
    if not folder.exists():
        _lock_of(folder).unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Remove a folder even while an upload that was under way adds to it."""
    for _ in range(_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break


def _sweep() -> None:
    """Remove the folders whose apps were killed before they could do so themselves."""
    for lock in Path(tempfile.gettempdir()).glob(_PREFIX + "*.lock"):
        # What another user, or another app at this very moment, keeps from us stays.
        with contextlib.suppress(OSError):
            _sweep_one(lock.with_suffix(""))


def _sweep_one(folder: Path) -> None:
    path = _lock_of(folder)
    # In a shared folder anybody may lay out a name like ours, as a link to something dear.
    if not _is_ours(path, stat.S_ISREG) or path.lstat().st_size == 0:
        return
    with open(path, "r+b") as lock:
        if not _locked(lock):
            return
        if folder.exists() and _is_ours(folder, stat.S_ISDIR):
            _remove(folder)
    if not folder.exists():
        path.unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def _is_ours(path: Path, is_kind: Callable[[int], bool]) -> bool:
    status = path.lstat()
    return is_kind(status.st_mode) and (sys.platform == "win32" or status.st_uid == os.getuid())


def _locked(file: BinaryIO) -> bool:
    """Take the lock that the system releases when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
