"""Download one file over HTTP: with a progress bar, and resumed where it stopped."""

import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from thyro_demo.errors import DataError

_AGENT = "Mozilla/5.0 (compatible; ThyroDemo)"  # some homes refuse Python's own name
_PATIENCE_S = 60
_CHUNK = 1 << 18  # bytes
_COMPLETE = 416  # the range that is asked for begins where the file ends


def transfer(url: str, part: Path, by_hand: str) -> None:
    """Download a file, or the rest of one that an earlier call has begun.

    The rest is asked for only if the home still has the same file: its mark (ETag, or the
    time of its last change) is kept beside the part. A home that sends the whole file in place
    of the rest begins it afresh.

    Parameters
    ----------
    url : str
        An address that begins with http:// or https://.
    part : Path
        Where the file grows. It stays there when the connection breaks.
    by_hand : str
        What the user can do instead, for the messages.

    Raises
    ------
    DataError
        If the address is another kind, or the home does not answer, or not to the end.
    OSError
        If the disk refuses the file.
    """
    if not re.match("https?://", url):
        raise DataError(
            "The address of a set must begin with http:// or https://, or be an archive on this "
            f"computer. Received: url={url}."
        )
    response = _open(url, part, by_hand)
    if response is not None:
        with response:
            _receive(response, url, part, by_hand)


def discard(part: Path) -> None:
    """Remove a part and its mark.

    Parameters
    ----------
    part : Path
        As `transfer` took it; it need not exist.
    """
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _open(url: str, part: Path, by_hand: str) -> Any:
    """Ask for a file, or for what is missing of it; None where nothing is."""
    done = part.stat().st_size if part.is_file() and _mark(part).is_file() else 0
    headers = {"User-Agent": _AGENT}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": _mark(part).read_text("utf-8")}
    try:
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.urlopen(request, timeout=_PATIENCE_S)
    except urllib.error.HTTPError as error:
        with error:
            if done and error.code == _COMPLETE:
                if error.headers.get("Content-Range") == f"bytes */{done}":
                    return None
                discard(part)
                return _open(url, part, by_hand)
        raise _no_answer(url, by_hand, f"{error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(url, by_hand, str(getattr(error, "reason", error))) from error


def _receive(response: Any, url: str, part: Path, by_hand: str) -> None:
    """Write what the home sends, after what is there if it goes on from that."""
    length = int(response.headers.get("Content-Length") or 0)
    done = 0
    if response.status == http.client.PARTIAL_CONTENT:
        done = part.stat().st_size
        if not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise _no_answer(url, by_hand, "another range of the file than was asked for")
    else:
        discard(part)
        if mark := _validator(response.headers):
            _mark(part).write_text(mark, "utf-8")
    total = done + length if length else None
    _check_room(part, length)
    with (
        part.open("ab") as stream,
        tqdm(desc="Downloading", total=total, initial=done, unit="B", unit_scale=True) as bar,
    ):
        while chunk := _read(response, url, by_hand):
            stream.write(chunk)
            bar.update(len(chunk))
    if total is not None and part.stat().st_size != total:
        raise _broken(url, by_hand, f"{part.stat().st_size:,} of {total:,} bytes")


def _read(response: Any, url: str, by_hand: str) -> bytes:
    """Read what has arrived; the disk's errors are the caller's, the network's are not."""
    try:
        chunk: bytes = response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _broken(url, by_hand, str(error) or type(error).__name__) from error
    return chunk


def _check_room(part: Path, needed: int) -> None:
    """Refuse a file that the disk has no room for, before it is full."""
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise DataError(
            f"The disk must have {needed:,} bytes free for a file to come. "
            f"Received: {free:,} in {part.parent}."
        )


def _validator(headers: Mapping[str, str]) -> str:
    """Find the mark of this state of the file; a weak ETag does not promise the same bytes."""
    tag = headers.get("ETag") or ""
    return tag if tag.startswith('"') else headers.get("Last-Modified") or ""


def _mark(part: Path) -> Path:
    return part.with_name(f"{part.name}.mark")


def _no_answer(url: str, by_hand: str, reason: str) -> DataError:
    return DataError(
        f"The home of the set must answer; try again, or {by_hand}. "
        f"Received: {reason.rstrip('.')} from {url}."
    )


def _broken(url: str, by_hand: str, reason: str) -> DataError:
    return DataError(
        "The home of the set must send the whole file; repeat the command, which goes on from "
        f"what has come, or {by_hand}. Received: {reason.rstrip('.')} from {url}."
    )
