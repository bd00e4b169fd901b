"""Unpack an archive from elsewhere: nothing outside its folder, and only so many bytes."""

import errno
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from tqdm import tqdm

from thyro_demo.errors import DataError

MAX_FILES = 250_000
"""Files in an archive; Tiny ImageNet has 120,206."""

MAX_BYTES = 20 << 30
"""Bytes that an archive may unpack to in any case."""

EXPANSION = 20
"""How many times its own bytes an archive may unpack to: images hardly shrink."""

_SMALL = 10 << 20  # bytes that any archive may unpack to
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})


class _Member(NamedTuple):
    """A file in an archive: its name there, what it unpacks to, and how to open it."""

    name: str
    size: int
    open: Callable[[], Any]


def unpack(archive: Path, folder: Path, source: str, by_hand: str) -> None:
    """Unpack a zip or tar archive into a folder, without what macOS puts beside files.

    Parameters
    ----------
    archive : Path
        The archive; its content counts, not its name.
    folder : Path
        Where its files go; it is made. After an error it is to be thrown away.
    source : str
        Where the archive is from, for the messages.
    by_hand : str
        What the user can do instead, for the messages.

    Raises
    ------
    DataError
        If the file is no archive, is damaged or has a password, holds a link or a name that
        leaves the folder, or unpacks to too many files or bytes.
    OSError
        If the disk refuses the files.
    """
    folder.mkdir(parents=True)
    most = min(MAX_BYTES, max(_SMALL, EXPANSION * archive.stat().st_size))
    files = total = 0
    try:
        for member in tqdm(_members(archive, source), "Unpacking", unit=" files"):
            place = _place(member.name, source)
            files, total = files + 1, total + member.size
            if files > MAX_FILES or total > most:
                raise DataError(
                    f"An archive of images must unpack to at most {MAX_FILES:,} files and {most:,} "
                    f"bytes. Received: more from {source}."
                )
            if place is not None:
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                with member.open() as content, (folder / place).open("wb") as file:
                    shutil.copyfileobj(content, file)
    except DataError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        # zipfile, tarfile and what they decompress with raise nearly anything on a damaged file.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            "An archive must be an undamaged zip or tar file without a password; try again, or "
            f"{by_hand}. Received: {source} ({reason[:100]})."
        ) from error


def _members(archive: Path, source: str) -> Iterator[_Member]:
    """List the files of an archive in their order; a tar archive is read once, from the front."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _strange(source, info.filename)
                if not info.is_dir():
                    yield _Member(info.filename, info.file_size, partial(packed.open, info))
    else:
        with tarfile.open(archive) as packed_tar:
            for entry in packed_tar:
                if not (entry.isreg() or entry.isdir()):
                    raise _strange(source, entry.name)
                if entry.isreg():
                    yield _Member(entry.name, entry.size, partial(packed_tar.extractfile, entry))


def _place(name: str, source: str) -> PurePosixPath | None:
    """Check where a file would go; None for what macOS puts beside the files."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or not path.parts:
        raise _strange(source, name)
    is_junk = path.parts[0] == "__MACOSX" or path.name.startswith("._") or path.name == ".DS_Store"
    return None if is_junk else path


def _strange(source: str, name: str) -> DataError:
    return DataError(
        "An archive must hold plain files with names inside its folder, no links. "
        f"Received: {name[:100]} from {source}."
    )
