"""Read the content of an image file: a file, a member of a zip archive, or bytes at hand."""

import functools
import os
import zipfile
from pathlib import Path

from thyro_demo.errors import ImageError

ACCEPTED = "a PNG, JPEG, HEIC, BMP, TIFF, WebP, PGM, GIF or DICOM file"
"""Formats that are read."""

MOST_BYTES = 2**31
"""Of a file or a member of an archive: a film of 500 MB is large for an ultrasound scanner."""

_ARCHIVE_MEMBER = "::"


def read(source: str | Path | bytes) -> tuple[bytes, str]:
    """Read the content of an image file, and name it as messages should.

    Parameters
    ----------
    source : str, Path or bytes
        A file, a member of a zip archive as ``"archive.zip::folder/name.webp"``, or
        the content of a file.

    Returns
    -------
    content : bytes
        What is in it.
    name : str
        Its name without its folder, or its size.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if isinstance(source, bytes):
        return source, f"{len(source):,} bytes"
    archive, mark, member = str(source).partition(_ARCHIVE_MEMBER)
    if mark and os.path.isfile(source):
        archive, mark, member = str(source), "", ""
    path = Path(archive)
    name = path.name + mark + member
    # Not `path.is_dir()`, which raises where a path is too long.
    if os.path.isdir(path):
        raise ImageError(f"An image must be one file, {ACCEPTED}. Received: the folder {name}.")
    if os.path.exists(path) and not os.path.isfile(path):
        # A device or a pipe may never end.
        raise ImageError(
            f"An image must be one file, {ACCEPTED}. Received: {name}, a device or a pipe."
        )
    try:
        if mark:
            return _member(path, member, name), name
        _check_size(path.stat().st_size, name)
        return path.read_bytes(), name
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"An image must be a file that exists and can be read. Received: {source} ({reason})."
        ) from None


def _member(path: Path, member: str, name: str) -> bytes:
    """Read one member of an archive; what the disk refuses is left to the caller."""
    # The process is in the key because a forked child shares the file's position.
    key = path.stat().st_mtime_ns, os.getpid()
    try:
        archive = _archive(path, *key)
        _check_size(archive.getinfo(member).file_size, name)
        return archive.read(member)
    except KeyError:
        raise ImageError(
            f"A zip archive must hold the member that is asked of it. Received: {name}."
        ) from None
    except (OSError, ImageError):
        raise
    except Exception as error:
        # zipfile raises nearly anything as well: BadZipFile, zlib.error, EOFError, RuntimeError
        # where a password is needed, NotImplementedError where the compression is unknown, ….
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ImageError(
            f"The part before '{_ARCHIVE_MEMBER}' must be an undamaged zip archive without a "
            f"password. Received: {name} ({reason})."
        ) from error


def _check_size(size: int, name: str) -> None:
    """Refuse what would fill the memory before it is read, or unpacked."""
    if size > MOST_BYTES:
        raise ImageError(
            f"An image file must have at most {MOST_BYTES:,} bytes. "
            f"Received: {name} with {size:,} bytes."
        )


@functools.lru_cache(maxsize=4)
def _archive(path: Path, modified: int, process: int) -> zipfile.ZipFile:
    """Keep an archive open: reading the directory of 60,000 members takes a second."""
    return zipfile.ZipFile(path)
