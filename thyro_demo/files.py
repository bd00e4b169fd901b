"""Write files whole or not at all, and name them by their content, or so that all can read it."""

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_ATTEMPTS = 20


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` and rename it to `path` on success.

    A reader therefore sees the old content or the new one, never half of it. What
    is written under the temporary name may be a file or a folder.

    Parameters
    ----------
    path : str or Path
        Where the finished file or folder belongs. Missing parents are made.

    Yields
    ------
    Path
        The temporary name, with the same suffix as `path`. Nothing exists there yet.
    """
    # "." has no name of its own to put another beside.
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        if temporary.is_dir():
            with _turn(path.parent):
                _replace_folder(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Make other processes that replace a folder in this one wait, where the system can."""
    with contextlib.ExitStack() as held:
        if fcntl is not None:
            # Some network drives have no locks: there the attempts alone must do.
            with contextlib.suppress(OSError):
                opened = os.open(folder, os.O_RDONLY)
                held.callback(os.close, opened)
                fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def _replace_folder(new: Path, path: Path) -> None:
    """Put a folder in the place of another, which a second process may be replacing as well."""
    aside: Path | None = None
    for attempt in range(_ATTEMPTS):
        old = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.old")
        with contextlib.suppress(FileNotFoundError):
            path.rename(old)
            _discard(aside)
            aside = old
        try:
            new.rename(path)
        except OSError:
            # Another process was quicker, and the place is taken again.
            if attempt == _ATTEMPTS - 1:
                if aside is not None and not path.exists():
                    aside.rename(path)
                else:
                    _discard(aside)
                raise
        else:
            _discard(aside)
            return


def _discard(folder: Path | None) -> None:
    """Remove a folder that was set aside, if there is one."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def sha256(path: str | Path) -> str:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def relative(path: str | Path, folders: Iterable[Path]) -> str:
    """Name a file by its place in one of several folders, not by its place on a host.

    Parameters
    ----------
    path : str or Path
        The file.
    folders : iterable of Path
        The first that holds it counts.

    Returns
    -------
    str
        The path from that folder, with "/"; the bare name where none holds it.
    """
    absolute = Path(os.path.abspath(path))
    for folder in folders:
        if absolute.is_relative_to(os.path.abspath(folder)):
            return absolute.relative_to(os.path.abspath(folder)).as_posix()
    return absolute.name


def is_unicode(path: str | Path) -> bool:
    """Check whether a name can be written to a table: Linux takes any bytes for one.

    Parameters
    ----------
    path : str or Path
        The name, or a whole path.

    Returns
    -------
    bool
        False where some of it is no UTF-8.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(path: str | Path) -> str:
    r"""Write a name so that every terminal can show it.

    Parameters
    ----------
    path : str or Path
        The name, or a whole path.

    Returns
    -------
    str
        The same; what is no Unicode is written as ``\udce9``.
    """
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
