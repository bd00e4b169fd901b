"""Fetch a public set from its home, whole or not at all: its licence first, its layout last."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from thyro_demo.data import datasets
from thyro_demo.data.public_sets import PLACE, SETS, PublicSet
from thyro_demo.data.transfer import discard, transfer
from thyro_demo.data.unpack import unpack
from thyro_demo.errors import DataError
from thyro_demo.files import atomic_write, sha256

RECORD = "fetched.json"
"""File in a fetched set that names its archive: address, bytes and SHA-256."""

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


def fetch(key: str, out: str | Path | None = None, url: str | None = None) -> Path:
    """Fetch a set from its public home, whole or not at all.

    Title, size, licence and home are printed first, progress goes to stderr. A download that
    breaks leaves what has come beside `out`, and the next call goes on from there.

    Parameters
    ----------
    key : str
        A key of `SETS`.
    out : str or Path, optional
        Where to put the set; by default its folder under `PLACE`.
    url : str, optional
        Another home: the address of a mirror, or an archive on this computer.

    Returns
    -------
    Path
        The folder, which `datasets.load` reads.

    Raises
    ------
    DataError
        If the key is unknown, the set is fetched by hand alone, `out` exists, the home does not
        answer or sends something else, git or kagglehub is missing, or the disk is full.
    """
    if key not in SETS:
        raise DataError(f"A set must be one of {', '.join(SETS)}. Received: key={key}.")
    known = SETS[key]
    out = PLACE / known.folder if out is None else Path(out)
    print(f"{known.title}\nSize: {known.size}\nLicence: {known.licence}\nHome: {known.home}")
    if out.exists():
        raise DataError(f"The folder of a new set must not exist yet. Received: out={out}.")
    way = known.way if url is None else _way(known, url)
    by_hand = known.by_hand(out)
    if way == "hand":
        raise DataError(
            f"The set {key} must be fetched by hand: {by_hand}, or name its archive with --url. "
            f"Received: key={key}."
        )
    source = url or known.address
    if source != known.home:
        print(f"From: {source}{', a data set at Kaggle' if way == 'kaggle' else ''}")
    try:
        with atomic_write(out) as temporary:
            if way == "archive":
                _fetch_archive(source, known, out, temporary)
            else:
                bring = _clone if way == "git" else _copy_from_kaggle
                bring(source, temporary, by_hand)
                _read(temporary, known, source, by_hand)
    except OSError as error:
        raise DataError(
            f"The folder of a new set must be writable and have room ({known.size}). "
            f"Received: {out} ({error.strerror or error})."
        ) from error
    return out


def _way(known: PublicSet, url: str) -> str:
    """Choose how another home is fetched: a repository as one, all else as an archive."""
    is_archive = os.path.isfile(url) or url.partition("?")[0].lower().endswith(_ARCHIVES)
    return "git" if known.way == "git" and not is_archive else "archive"


def _read(folder: Path, known: PublicSet, source: str, by_hand: str) -> None:
    """Let the set's loader read what has come, and count it."""
    if datasets.layout(folder) != known.layout:
        raise DataError(
            f"{known.title} must come in a layout that its loader knows; try another --url, or "
            f"{by_hand}. Received: another one from {source}."
        )
    print(f"Images: {len(datasets.load(folder, quiet=True)):,}")


def _fetch_archive(source: str, known: PublicSet, out: Path, temporary: Path) -> None:
    """Download an archive unless it is here, check it, unpack it, and find the set in it."""
    is_here = os.path.isfile(source)
    archive = Path(source) if is_here else out.with_name(f"{out.name}.part")
    by_hand = known.by_hand(out)
    if not is_here:
        transfer(source, archive, by_hand)
    try:
        record = _checked(archive, known, source, by_hand)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            unpacked = Path(scratch) / "unpacked"
            unpack(archive, unpacked, source, by_hand)
            datasets.inner(unpacked).rename(temporary)
        (temporary / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        _read(temporary, known, source, by_hand)
    except DataError:
        # The archive is what is wrong: to go on from it would end here again.
        if not is_here:
            discard(archive)
        raise
    if not is_here:
        discard(archive)


def _checked(archive: Path, known: PublicSet, source: str, by_hand: str) -> dict[str, str | int]:
    """Compare an archive with the checksum that is stated, and record what it is."""
    algorithm, _, digits = known.checksum.partition(":")
    if digits:
        with archive.open("rb") as stream:
            new = hashlib.new(algorithm, usedforsecurity=False)
            found = hashlib.file_digest(stream, lambda: new).hexdigest()
        if found != digits:
            raise DataError(
                f"The archive of {known.title} must have the {algorithm} {digits}; fetch it again, "
                f"or {by_hand}. Received: {found} from {source}."
            )
    size, content = archive.stat().st_size, sha256(archive)
    print(f"Archive: {size:,} bytes, sha256 {content}")
    named = archive.name if archive == Path(source) else source
    return {"title": known.title, "from": named, "bytes": size, "sha256": content}


def _copy_from_kaggle(handle: str, folder: Path, by_hand: str) -> None:
    """Let kagglehub download a set into its cache, and copy it from there."""
    try:
        import kagglehub
    except ImportError:
        raise DataError(
            "A set at Kaggle must be fetched with the package kagglehub; `pip install kagglehub`, "
            f"or {by_hand}. Received: no kagglehub."
        ) from None
    try:
        place = kagglehub.dataset_download(handle)
    except Exception as error:
        # What it raises differs by version, and may be what the network raises.
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            f"Kaggle must answer, without an account; try again, or {by_hand}. "
            f"Received: {reason[:200]} for {handle}."
        ) from error
    shutil.copytree(datasets.inner(place), folder, copy_function=shutil.copyfile)
    # The cache of a notebook may be read-only.
    folder.chmod(0o755)


def _clone(url: str, folder: Path, by_hand: str) -> None:
    """Clone the newest state, pass git's progress on and keep its complaint."""
    command = ["git", "clone", "--depth", "1", "--progress", "--", url, str(folder)]
    # A question for a password would wait for ever in a notebook.
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    complaint = "no reason stated"
    try:
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
        ) as git:
            # In text mode git's carriage returns end a line as well: one per step.
            for line in git.stderr or ():
                if found := re.match(r"(?:fatal|error): (.*)", line):
                    complaint = found[1].strip()
                elif re.search(r"\d+%", line):
                    end = "\n" if "done." in line else "\r"
                    print(f"{line.strip():78}", end=end, file=sys.stderr, flush=True)
    except FileNotFoundError:
        raise DataError(
            f"To fetch a set, git must be installed; install it, or {by_hand}. Received: no git."
        ) from None
    if git.returncode:
        raise DataError(
            f"The home of the set must answer; try again, or {by_hand}. "
            f"Received: {complaint.rstrip('.')} from {url}."
        )
