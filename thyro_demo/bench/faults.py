"""Faults that are injected, and what was lost by them: it must be nothing.

A child process is killed, or finds the disk full or the folder locked, in the middle of its
work; then what was there before must be there still, nothing half-written may be seen, and
the work must succeed when it is repeated. Each fault strikes at a fixed moment, so that a
run can be repeated.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from thyro_demo.bench.fault_work import JOBS, jobs, trained
from thyro_demo.bench.program import ROOT
from thyro_demo.bench.untrained import untrained
from thyro_demo.bundle import manifest, store
from thyro_demo.errors import BundleError
from thyro_demo.files import sha256
from thyro_demo.study import graph

LIMIT = 200_000
"""Bytes that a file may have where the disk is to be full."""

_NETWORK, _ROWS, _SIDE = "two-layer-cnn", 60, 64
_NOBODY = 65_534  # the user without rights, by its number on every Linux
_PATIENCE_S = 300
_NEAR = 1e-6  # what a resumed run may differ by

_DIE = "os.kill(os.getpid(), signal.SIGKILL)"
_HEAD = """
import os, signal, sys
from pathlib import Path
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
place, good = Path(sys.argv[1]), Path(sys.argv[2])
"""
_SAVE = (
    _HEAD
    + """
from thyro_demo.bundle import heads_file
from thyro_demo.bundle import store
loaded = store.load(good)
fitted = heads_file.load(good / "heads.skops", loaded.manifest["files"]["heads.skops"])
added = ("format", "files", "probe", "versions")
facts = {key: value for key, value in loaded.manifest.items() if key not in added}
"""
)
_SAVE_KILLED = (
    _SAVE + f"heads_file.save = lambda *_: {_DIE}\n"
    "store.write(place, facts, loaded.network, fitted, '')\n"
)
_SAVE_FULL = (
    _SAVE
    + f"""
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))
try:
    store.write(place, facts, loaded.network, fitted, "")
except OSError:
    sys.exit(3)
"""
)
# The first load, as the user that started this, imports all that the second one needs.
_READ = (
    _HEAD
    + f"""
from thyro_demo.bundle import store
store.load(good)
if os.geteuid() == 0:
    os.setegid({_NOBODY})
    os.seteuid({_NOBODY})
store.load(place)
try:
    (place / "new").touch()
except OSError:
    sys.exit(3)
"""
)
_TRAIN = (
    _HEAD
    + """
import numpy as np
from thyro_demo.bench import fault_work
from thyro_demo.training import loop
kills, save = 3, loop.np.savez
def saving(file, **arrays):
    global kills
    kills -= 1
    if kills == 0:
        Path(file).write_bytes(b"half")
        DIE
    save(file, **arrays)
loop.np.savez = saving
fault_work.trained(place)
""".replace("DIE", _DIE)
)
_GRAPH = (
    _HEAD
    + """
from thyro_demo.bench import fault_work
from thyro_demo.study import graph
graph.run(fault_work.jobs(int(sys.argv[3])), place, workers=0)
"""
)
_FETCH = (
    _HEAD
    + f"""
from thyro_demo.data import datasets, download
datasets.layout = lambda root: {_DIE}
download.fetch("p1", place, good.as_uri())
"""
)


class Lost(Exception):  # noqa: N818
    """What was lost by a fault, or was left behind half-written."""


def run(work: Path) -> tuple[dict[str, str], list[str]]:
    """Inject every fault in an empty folder; return what each lost, and which cannot be here."""
    lost: dict[str, str] = {}
    left_out: list[str] = []
    good = small_bundle(work)
    for name, inject in tqdm(FAULTS.items(), "Faults", unit="fault"):
        place = work / name.replace(" ", "-")
        place.mkdir()
        if reason := _missing(name):
            left_out.append(f"The fault “{name}” needs {reason} and is left out. Received: none.")
            continue
        try:
            inject(good, place)
            lost[name] = ""
        except (Lost, BundleError) as error:
            lost[name] = str(error)
        shutil.rmtree(place, ignore_errors=True)
    return lost, left_out


def small_bundle(folder: Path) -> Path:
    """Write a bundle of a small network with random weights and fitted heads into a folder."""
    return untrained(_NETWORK, rows=_ROWS, input_size=_SIDE).write(folder)


def _missing(name: str) -> str:
    """Name what a fault needs that this computer lacks."""
    if sys.platform == "win32":
        return "a system with signals"
    if "download" in name and shutil.which("git") is None:
        return "git"
    return ""


def _child(script: str, *arguments: object) -> int:
    """Run a script in a process of its own; its exit code, below 0 where a signal ended it."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, check=False, timeout=_PATIENCE_S
    ).returncode


def _expect(code: int, expected: int, what: str) -> None:
    if code != expected:
        raise Lost(f"{what} ended with exit code {code} in place of {expected}")


def _content(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _save_killed(good: Path, work: Path) -> None:
    """Kill a process that writes over a bundle, and repeat it."""
    place = Path(shutil.copytree(good, work / good.name))
    before = _content(place)
    _expect(_child(_SAVE_KILLED, place, good), -signal.SIGKILL, "the writer")
    if _content(place) != before or manifest.names(work) != [good.name]:
        raise Lost("the earlier bundle is not what it was")
    small_bundle(work)
    store.load(place)


def _save_full(good: Path, work: Path) -> None:
    """Let the disk be full while a bundle is written over another."""
    place = Path(shutil.copytree(good, work / good.name))
    before = _content(place)
    _expect(_child(_SAVE_FULL, place, good), 3, "the writer")
    if _content(place) != before:
        raise Lost("the earlier bundle is not what it was")
    if left := [path.name for path in work.iterdir() if path != place]:
        raise Lost(f"left behind: {', '.join(left)}")


def _read_only(good: Path, work: Path) -> None:
    """Load a bundle from a folder that may only be read, as a user without rights on it."""
    place = Path(shutil.copytree(good, work / good.name))
    for path in (place, *place.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        _open_way(place)
        _expect(_child(_READ, place, good), 3, "the reader")
    finally:
        place.chmod(0o755)


def _open_way(place: Path) -> None:
    """Let all users pass through the folders above one, as far as they are ours."""
    for parent in place.parents:
        status = parent.stat()
        if status.st_uid == os.geteuid() and parent.is_relative_to(tempfile.gettempdir()):
            parent.chmod(status.st_mode | 0o011)


def _training_killed(good: Path, work: Path) -> None:
    """Kill a training while it keeps its third epoch, and go on."""
    for name in ("whole", "killed"):
        (work / name).mkdir()
    _expect(_child(_TRAIN, work / "killed", good), -signal.SIGKILL, "the training")
    far = np.abs(trained(work / "killed") - trained(work / "whole")).max()
    if far > _NEAR:
        raise Lost(f"the weights differ by {far:.2g}")


def _graph_killed(good: Path, work: Path) -> None:
    """Kill a graph in its third job, and go on: what was done is not done again."""
    _expect(_child(_GRAPH, work / "killed", good, 2), -signal.SIGKILL, "the graph")
    done = {path: path.stat().st_mtime_ns for path in (work / "killed").glob("[!.]*.npz")}
    if len(done) != 2:
        raise Lost(f"{len(done)} jobs in place of 2 are there after the kill")
    _expect(_child(_GRAPH, work / "killed", good, JOBS), 0, "the resumed graph")
    if any(path.stat().st_mtime_ns != time for path, time in done.items()):
        raise Lost("a job that was done was computed again")
    _same_graph(work)


def _same_graph(work: Path) -> None:
    known = graph.run(jobs(JOBS), work / "known", workers=0)
    found = graph.run(jobs(JOBS), work / "killed", workers=0)
    for job in jobs(JOBS):
        if not np.array_equal(known[job]["values"], found[job]["values"]):
            raise Lost(f"{job.name} has another result")


def _two_graphs(good: Path, work: Path) -> None:
    """Let two processes compute one graph in one folder."""
    command = [sys.executable, "-c", _GRAPH, str(work / "killed"), str(good), str(JOBS)]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    for one in both:
        _expect(one.wait(_PATIENCE_S), 0, "one of two graphs")
    _same_graph(work)


def _two_writers(good: Path, work: Path) -> None:
    """Let two processes write one bundle at one place."""
    place = work / good.name
    script = _SAVE + "for _ in range(2):\n store.write(place, facts, loaded.network, fitted, '')\n"
    command = [sys.executable, "-c", script, str(place), str(good)]
    both = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    for one in both:
        _expect(one.wait(_PATIENCE_S), 0, "one of two writers")
    store.load(place)
    if left := [path.name for path in work.iterdir() if path != place]:
        raise Lost(f"left behind: {', '.join(left)}")


def _download_killed(good: Path, work: Path) -> None:
    """Kill a download before what came is looked at, and repeat it."""
    home, place = work / "home", work / "data" / "p1"
    for part in ("train", "test"):
        for label in ("benin", "malin"):
            image = home / "LES3BDD" / part / label / "1.png"
            image.parent.mkdir(parents=True)
            image.write_bytes(b"image")
    person = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "images"]):
        subprocess.run(["git", *person, *words], cwd=home, check=True, capture_output=True)
    _expect(_child(_FETCH, place, home), -signal.SIGKILL, "the download")
    if place.exists():
        raise Lost("a set that nobody has looked at is there")
    again = _FETCH.replace(f"datasets.layout = lambda root: {_DIE}\n", "")
    _expect(_child(again, place, home), 0, "the repetition")


FAULTS: dict[str, Callable[[Path, Path], None]] = {
    "kill -9 while a bundle is saved": _save_killed,
    "kill -9 while a stage is trained": _training_killed,
    "kill -9 while a study is computed": _graph_killed,
    "kill -9 during a download": _download_killed,
    "disk full while a bundle is saved": _save_full,
    "weights that can only be read": _read_only,
    "two processes on one bundle": _two_writers,
    "two processes on one study": _two_graphs,
}
"""Each injects a fault, and raises `Lost` where something was lost."""
