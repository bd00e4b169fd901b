"""Write files whole or not at all, and name them by their content."""

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` and rename it to `path` on success.

    A reader therefore sees the old content or the new one, never half of it. What
    is written under the temporary name may be a file or a folder.

    Parameters
    ----------
    path : str or Path
        Where the finished file or folder is to stand. Missing parents are made.

    Yields
    ------
    Path
        The temporary name, with the same suffix as `path`. Nothing stands there yet.
    """
    # "." has no name of its own to put another beside.
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            old = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.old")
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


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
    """Name a file by its place in one of several folders, not by its place on a machine.

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
