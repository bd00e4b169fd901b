"""A grid of cells: computed once each, kept in files, shared, and gone on with after a kill.

A cell names its work, the settings and the cells that it needs; the hash of these is its key
and the name of its file. What is there whole is not computed again. The code itself is not part
of a key: when a work is changed to give other results, its settings need another entry, or the
grid another folder.
"""

import hashlib
import heapq
import json
import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.errors import StudyError
from thyro_demo.files import whole
from thyro_demo.study.cluster import Answer, Cluster, Here, Place, Processes, Task, plain, read


@dataclass(frozen=True, eq=False)
class Cell:
    """One part of a grid. Two cells with the same key are the same cell.

    Parameters
    ----------
    work : str
        "module:function". The function takes the settings, as JSON gives them back, and one
        dict of read-only arrays for each need; it returns a dict of arrays of numbers or of
        strings of fixed width, and draws no number from an unfixed seed.
    settings : mapping
        What JSON can hold.
    needs : tuple of Cell
        Whose results it takes.
    title : str
        For people; not part of the key.
    value : mapping of str to ndarray, or None
        The result of a leaf that needs no computing; see `given`.

    Attributes
    ----------
    key : str
        SHA-256 of work, settings and the keys of what it needs, 64 hexadecimal digits.

    Raises
    ------
    StudyError
        If JSON cannot hold the settings.
    """

    work: str
    settings: Mapping[str, Any]
    needs: tuple["Cell", ...] = ()
    title: str = ""
    value: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            text = json.dumps(self.settings, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StudyError(
                "The settings of a cell are strings, finite numbers, truth values, lists and "
                f"mappings of them. Received: {error} in {self.title or self.work}."
            ) from None
        recipe = json.dumps([self.work, text, [need.key for need in self.needs]])
        object.__setattr__(self, "settings", json.loads(text))
        object.__setattr__(self, "key", hashlib.sha256(recipe.encode()).hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def name(self) -> str:
        """Title, or what stands for it."""
        return self.title or f"{self.work} {self.key[:8]}"


def given(title: str, key_of: Mapping[str, Any] | None = None, **arrays: np.ndarray) -> Cell:
    """Make a leaf of the grid that holds its value.

    Parameters
    ----------
    title : str
        For people.
    key_of : mapping, optional
        What stands for the value in the key, where the value itself says too much, such as
        where a file lies on this machine; the content of the arrays without it.
    **arrays : ndarray
        Numbers or strings of fixed width.

    Returns
    -------
    Cell
        The leaf; it is never computed and has no line in the table.

    Raises
    ------
    StudyError
        If an array holds objects, or is named as NumPy or the grid names something of its own.
    """
    value = plain(arrays)
    recipe = {"content": content(value)} if key_of is None else dict(key_of)
    return Cell("given", recipe, (), title, value)


def content(values: Mapping[str, np.ndarray]) -> str:
    """Hash arrays: names, types, shapes and bytes.

    Parameters
    ----------
    values : mapping of str to ndarray
        Arrays by name.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Raises
    ------
    StudyError
        If an array holds objects.
    """
    digest = hashlib.sha256()
    for name, array in sorted(plain(values).items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Outcome:
    """What became of the cells of a grid; results are read from their files when asked for.

    Parameters
    ----------
    folder : Path
        Where the results are.
    table : DataFrame
        One row a cell: `key, title, seconds, status`.
    failures : dict of str to str
        By title of a cell that failed or could not be run: why, in one sentence.
    sentences : dict of str to str
        The same by key.

    Attributes
    ----------
    table : DataFrame
        As given; `status` is "done", "failed", "not run" where something that the cell needs
        failed, or "not needed" where all that needs it is done without it.
    failures : dict of str to str
        As given.
    """

    def __init__(
        self,
        folder: Path,
        table: pd.DataFrame,
        failures: dict[str, str],
        sentences: Mapping[str, str],
    ):
        self.table, self.failures = table, failures
        self._folder, self._sentences = folder, sentences

    def __getitem__(self, cell: Cell) -> dict[str, np.ndarray]:
        """Give the result of a cell, or raise StudyError if it has none."""
        if cell.value is not None:
            return dict(cell.value)
        if cell.key in self._sentences:
            raise StudyError(
                f"Only a cell that did not fail has a result. Received: {cell.name}: "
                f"{self._sentences[cell.key]}"
            )
        file = _file(self._folder, cell.key)
        if facts(file, cell.key) is None:
            raise StudyError(
                f"Only a cell that was part of the grid has a result. Received: {cell.name}."
            )
        return read(file)

    def __contains__(self, cell: Cell) -> bool:
        return cell.value is not None or (
            cell.key not in self._sentences and _file(self._folder, cell.key).exists()
        )


def run(cells: Iterable[Cell], folder: Path, workers: int = 2, ray: str | None = None) -> Outcome:
    """Compute what is missing of a grid.

    Results, and so every table made of them, are the same to the last digit whatever the number
    of workers, the order in which they finish, and the interruptions; on Ray too, where nodes
    have the same kind of processor. Without workers the cells run in this process with as many
    threads as it has, and may differ in the last digits. A cell that failed is tried again by
    the next run.

    Parameters
    ----------
    cells : iterable of Cell
        What is wanted; what these need is computed too, once each.
    folder : Path
        Where results are kept: ``<key>.npz`` for each cell, ``<key>.txt`` with the traceback of
        an unforeseen error, and ``grid.csv``.
    workers : int
        Local processes; 0 computes in this one. A script that asks for some keeps what it does
        on import under ``if __name__ == "__main__"``, since they import it too.
    ray : str or None
        Address of a Ray cluster, which then computes in place of local processes; see
        `cluster.Cluster` for what its nodes need.

    Returns
    -------
    Outcome
        Results, failures and the table that is left as `grid.csv`.

    Raises
    ------
    StudyError
        If `workers` is below 0, Ray is not installed, or its cluster does not answer.
    """
    if workers < 0:
        raise StudyError(f"A grid has 0 or more workers. Received: {workers}.")
    grid = _Grid(Path(os.path.abspath(folder)), list(cells))
    if grid.missing:
        place: Place = (
            Cluster(ray) if ray is not None else Processes(workers) if workers else Here()
        )
        try:
            grid.compute(place)
        finally:
            place.close()
    return grid.outcome()


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npz"


_FACTS = "_cell"
"""Name under which a result file says of which cell it is."""


def facts(file: Path, key: str) -> dict[str, Any] | None:
    """Read what a result file says of itself, if it is whole.

    Parameters
    ----------
    file : Path
        ``<key>.npz``.
    key : str
        Of the cell.

    Returns
    -------
    dict or None
        `key`, `work`, `settings`, `seconds` and the names of the `arrays`; None for a file that
        is missing, damaged or of another cell.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                return None
        with np.load(file, allow_pickle=False) as held:
            found: dict[str, Any] = json.loads(str(held[_FACTS]))
            entire = found["key"] == key and {_FACTS, *found["arrays"]} == set(held.files)
    except Exception:
        # A damaged file fails in as many ways as the parts of zip, NumPy and JSON.
        return None
    return found if entire else None


def _write(file: Path, values: Mapping[str, np.ndarray], **said: Any) -> None:
    note = np.array(json.dumps(said | {"arrays": sorted(values)}))
    arrays: dict[str, Any] = {_FACTS: note, **values}
    with whole(file) as temporary:
        np.savez(temporary, **arrays)


class _Grid:
    """The state of a run: what is done, what waits for what, what failed."""

    def __init__(self, folder: Path, wanted: list[Cell]):
        self.folder = folder
        self.cells: dict[str, Cell] = {}
        self.seconds: dict[str, float] = {}
        self.status: dict[str, str] = {}
        self.sentences: dict[str, str] = {}
        self.leaves: dict[str, Path] = {}
        for cell in wanted:
            self._visit(cell)
        self.order = {key: place for place, key in enumerate(self.cells)}
        self.missing = self._missing({cell.key for cell in wanted})
        self.unmet = {
            key: {need.key for need in self.cells[key].needs} & self.missing for key in self.missing
        }
        self.users: dict[str, list[str]] = {key: [] for key in self.missing}
        for key, unmet in self.unmet.items():
            for need in unmet:
                self.users[need].append(key)
        self.ready = [self.order[key] for key in self.missing if not self.unmet[key]]
        heapq.heapify(self.ready)

    def _visit(self, cell: Cell) -> None:
        """Note a cell, after those it needs, and whether its result is there."""
        if cell.value is not None or cell.key in self.cells:
            return
        for need in cell.needs:
            self._visit(need)
        self.cells[cell.key] = cell
        if (found := facts(_file(self.folder, cell.key), cell.key)) is not None:
            self.seconds[cell.key], self.status[cell.key] = found["seconds"], "done"

    def _missing(self, wanted: set[str]) -> set[str]:
        """Tell the cells to compute: wanted, or needed by one of these, and not there."""
        missing = set()
        for key in reversed(self.cells):
            if key in wanted and key not in self.status:
                missing.add(key)
                wanted = wanted | {need.key for need in self.cells[key].needs}
        return missing

    def compute(self, place: Place) -> None:
        """Compute what is missing, in the order of the cells as far as needs allow."""
        keys, running = list(self.cells), 0
        done = len(self.cells) - len(self.missing)
        with tqdm(total=len(self.cells), initial=done, desc="Cells", unit="cell") as bar:
            while self.ready or running:
                while self.ready and place.free:
                    place.start(self._task(self.cells[keys[heapq.heappop(self.ready)]]))
                    running += 1
                answer = place.next()
                running -= 1
                bar.update(self._settle(answer))
                if self.sentences:
                    bar.set_postfix({"failed": len(self.sentences)})

    def _task(self, cell: Cell) -> Task:
        settings = json.dumps(cell.settings)
        return Task(cell.key, cell.work, settings, tuple(map(self._need, cell.needs)))

    def _need(self, need: Cell) -> Path:
        """Give the file of a need; a leaf gets one by its content, which workers read."""
        if need.value is None:
            return _file(self.folder, need.key)
        if need.key not in self.leaves:
            held = content(need.value)
            file = self.leaves[need.key] = _file(self.folder, held)
            if facts(file, held) is None:
                _write(file, need.value, key=held, work=need.work, settings={}, seconds=0.0)
        return self.leaves[need.key]

    def _settle(self, answer: Answer) -> int:
        """Keep an answer; give the number of cells that it settles."""
        cell = self.cells[answer.key]
        trace = self.folder / f"{cell.key}.txt"
        self.seconds[cell.key] = answer.seconds
        if answer.values is None:
            if answer.trace:
                with whole(trace) as temporary:
                    temporary.write_text(answer.trace, encoding="utf-8")
            self.sentences[cell.key] = answer.sentence
            return self._fail(cell, "failed")
        _write(
            _file(self.folder, cell.key), answer.values, key=cell.key, work=cell.work,
            settings=cell.settings, seconds=answer.seconds,
        )  # fmt: skip
        trace.unlink(missing_ok=True)
        self.status[cell.key] = "done"
        for user in self.users[cell.key]:
            self.unmet[user].discard(cell.key)
            if not self.unmet[user] and user not in self.status:
                heapq.heappush(self.ready, self.order[user])
        return 1

    def _fail(self, cell: Cell, status: str) -> int:
        """Note a failure and all that cannot be run for it; give how many are settled by it."""
        if cell.key in self.status:
            return 0
        self.status[cell.key] = status
        return 1 + sum(self._fail(self.cells[user], "not run") for user in self.users[cell.key])

    def _culprit(self, cell: Cell) -> Cell:
        """Find the first failed cell that a cell needs, whichever failed first."""
        while self.status[cell.key] == "not run":
            needs = [need.key for need in cell.needs if need.key in self.cells]
            cell = self.cells[next(key for key in needs if self.status[key] != "done")]
        return cell

    def outcome(self) -> Outcome:
        """Write the table, and give it with results and failures."""
        failures: dict[str, str] = {}
        for key, cell in self.cells.items():
            if self.status.get(key) == "not run":
                self.sentences[key] = (
                    "A cell is run when all that it needs is done. "
                    f"Received: {self._culprit(cell).name}, which failed."
                )
            if key in self.sentences:
                name = f"{cell.name} ({key[:8]})" if cell.name in failures else cell.name
                failures[name] = self.sentences[key]
        rows = [
            (key, cell.name, self.seconds.get(key, math.nan), self.status.get(key, "not needed"))
            for key, cell in self.cells.items()
        ]
        table = pd.DataFrame(rows, columns=["key", "title", "seconds", "status"])
        with whole(self.folder / "grid.csv") as temporary:
            table.to_csv(temporary, index=False)
        return Outcome(self.folder, table, failures, self.sentences)
