"""Where the cells of a grid are computed: here, in local processes, or on a Ray cluster.

Each place answers a task with the same bits: one thread each, deterministic operations, and
needs that can be read but not written over. Nothing is written by them; the grid does that.
"""

import importlib
import json
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from thyro_demo.errors import StudyError, ThyroError

Values = dict[str, np.ndarray]
"""A cell's result: arrays by name."""

ENVIRONMENT = {
    # One thread each: a sum that is split among threads ends on other digits.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    # What `tf.config.experimental.enable_op_determinism` sets, for cells that use TensorFlow,
    # without an import for those that do not.
    "TF_DETERMINISTIC_OPS": "1",
    "PYTHONHASHSEED": "0",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # The grid has one bar for all cells.
    "TQDM_DISABLE": "1",
}
"""Set in every worker before it imports anything."""


class Task(NamedTuple):
    """What a place has to know to compute a cell.

    Parameters
    ----------
    key : str
        Of the cell.
    work : str
        "module:function".
    settings : str
        JSON.
    needs : tuple of Path
        Result files of what it needs, on this machine.
    """

    key: str
    work: str
    settings: str
    needs: tuple[Path, ...]


class Answer(NamedTuple):
    """What came of a task.

    Parameters
    ----------
    key : str
        Of the cell.
    values : dict of str to ndarray, or None
        The result; None where it failed.
    seconds : float
        What the work took.
    sentence : str
        Why it failed.
    trace : str
        Where it failed, for an error that is a defect and not the user's; may be empty.
    """

    key: str
    values: Values | None
    seconds: float
    sentence: str = ""
    trace: str = ""


class Place(Protocol):
    """Where tasks are computed."""

    @property
    def free(self) -> bool:
        """Whether another task may be started now."""

    def start(self, task: Task) -> None:
        """Begin a task."""

    def next(self) -> Answer:
        """Wait for one of the tasks that were begun."""

    def close(self) -> None:
        """Let go of everything, tasks that run included."""


def read(file: Path) -> Values:
    """Read the arrays of a result file, so that they cannot be written over.

    Parameters
    ----------
    file : Path
        An ``.npz`` file.

    Returns
    -------
    dict of str to ndarray
        Arrays by name; names that begin with an underscore are left out.
    """
    with np.load(file, allow_pickle=False) as held:
        values = {name: held[name] for name in held.files if not name.startswith("_")}
    for array in values.values():
        # A cell that wrote over what it shares with others would make order matter.
        array.flags.writeable = False
    return values


def compute(key: str, work: str, settings: str, *needs: Values | Path) -> Answer:
    """Compute a cell, and turn whatever goes wrong into a sentence.

    Parameters
    ----------
    key : str
        Of the cell.
    work : str
        "module:function"; the function takes the settings and what the cell needs, and gives
        a dict of arrays.
    settings : str
        JSON.
    *needs : dict of str to ndarray, or Path
        Results that it builds on, or their files, in the order of the cell.

    Returns
    -------
    Answer
        The result, or why there is none.
    """
    begun = time.perf_counter()
    try:
        module, _, name = work.partition(":")
        function = getattr(importlib.import_module(module), name)
        held = [read(need) if isinstance(need, Path) else need for need in needs]
        values = plain(function(json.loads(settings), *held))
    except ThyroError as error:
        return Answer(key, None, time.perf_counter() - begun, str(error))
    except Exception as error:
        # Any cell may fail in any way without stopping the others.
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Answer(key, None, time.perf_counter() - begun, said, traceback.format_exc())
    return Answer(key, values, time.perf_counter() - begun)


def plain(found: Mapping[str, Any]) -> Values:
    """Check that a result can be kept in a file without pickle.

    Parameters
    ----------
    found : mapping of str to array_like
        The result.

    Returns
    -------
    dict of str to ndarray
        The same as arrays.

    Raises
    ------
    StudyError
        If an array holds objects, or has a name that NumPy or the grid keeps to itself.
    """
    values = {name: np.asarray(array) for name, array in found.items()}
    for name, array in values.items():
        if array.dtype.hasobject or name.startswith("_") or name in ("file", "allow_pickle"):
            raise StudyError(
                "A cell gives numbers or strings of fixed width, under names that are not file or "
                f"allow_pickle and do not begin with _. Received: {name} of type {array.dtype}."
            )
    return values


class Here:
    """One task after the other in the calling process and its threads: tests and debugging."""

    def __init__(self) -> None:
        self._task: Task | None = None

    @property
    def free(self) -> bool:
        """Whether another task may be started now."""
        return self._task is None

    def start(self, task: Task) -> None:
        """Begin a task."""
        self._task = task

    def next(self) -> Answer:
        """Compute the task that was begun."""
        assert self._task is not None
        (key, work, settings, needs), self._task = self._task, None
        return compute(key, work, settings, *needs)

    def close(self) -> None:
        """Let go of nothing: nothing is held."""


class _Worker(NamedTuple):
    process: SpawnProcess
    pipe: Connection


class Processes:
    """Processes on this machine, started as they are needed.

    Parameters
    ----------
    most : int
        How many at a time, 1 or more.
    """

    def __init__(self, most: int):
        self._most = most
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, str, float]] = {}

    @property
    def free(self) -> bool:
        """Whether another task may be started now."""
        return len(self._busy) < self._most

    def start(self, task: Task) -> None:
        """Begin a task, in a new process if none is idle."""
        worker = self._idle.pop() if self._idle else _spawn()
        self._busy[worker.pipe] = (worker, task.key, time.perf_counter())
        # A worker that has died meanwhile is found out by `next`.
        with _broken_pipe_ignored():
            worker.pipe.send(task)

    def next(self) -> Answer:
        """Wait for one of the tasks that were begun."""
        pipe: Any = wait(list(self._busy))[0]
        worker, key, begun = self._busy.pop(pipe)
        try:
            answer: Answer = pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            seconds, code = time.perf_counter() - begun, worker.process.exitcode
            worker.pipe.close()
            return Answer(
                key, None, seconds,
                "A worker process has to live to the end of its cell, with enough memory. "
                f"Received: exit code {code}.",
            )  # fmt: skip
        self._idle.append(worker)
        return answer

    def close(self) -> None:
        """End all processes, those that compute included."""
        busy = [worker for worker, _, _ in self._busy.values()]
        for worker in busy:
            worker.process.kill()
        for worker in (*busy, *self._idle):
            # An idle worker that finds its pipe closed goes by itself, and tidies up.
            worker.pipe.close()
            worker.process.join()
            worker.process.close()
        self._idle, self._busy = [], {}


@contextmanager
def _broken_pipe_ignored() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def _spawn() -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    # A spawned process takes over the environment of the moment; libraries read it on import.
    os.environ.update(ENVIRONMENT)
    try:
        process.start()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    theirs.close()
    return _Worker(process, ours)


def _serve(pipe: Connection) -> None:
    """Answer tasks until the parent closes its end or is gone."""
    # Ctrl-C reaches every process of a terminal; the parent ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # TensorFlow warns that each network is traced anew, which is what cells are about.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    while True:
        try:
            key, work, settings, needs = pipe.recv()
        except EOFError:
            return
        pipe.send(compute(key, work, settings, *needs))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    # A parent that was killed cannot end a worker in the middle of an hour's training.
    os._exit(1)


class Cluster:
    """A Ray cluster: tasks and results travel through its object store.

    Nodes need this project's packages, and start files and images under the paths that they
    have here; they need no folder in common. A task whose node dies is begun again elsewhere.

    Parameters
    ----------
    address : str
        As `ray.init` takes it: "auto", "host:port" or "ray://host:port".

    Raises
    ------
    StudyError
        If Ray is not installed, or no cluster answers.
    """

    def __init__(self, address: str):
        try:
            import ray
        except ImportError:
            raise StudyError(
                "A grid runs on a cluster through Ray, which is installed by: pip install ray. "
                f"Received: the address {address!r} without Ray."
            ) from None
        self._ray = ray
        self._joined = not ray.is_initialized()
        if self._joined:
            package = str(Path(__file__).resolve().parents[1])
            try:
                _knock(address)
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"py_modules": [package]},
                )
            except (OSError, RuntimeError, ValueError) as error:
                raise StudyError(
                    "The address of a Ray cluster is auto, host:port or ray://host:port of one "
                    f"that runs. Received: {address!r} ({' '.join(str(error).split())})."
                ) from error
        self._compute = ray.remote(compute).options(
            num_cpus=1, max_retries=_RETRIES, runtime_env={"env_vars": ENVIRONMENT}
        )
        self._stored: dict[Path, Any] = {}
        self._running: dict[Any, str] = {}

    @property
    def free(self) -> bool:
        """Whether another task may be started now: Ray keeps the queue."""
        return True

    def start(self, task: Task) -> None:
        """Begin a task; what it needs is put into the object store once."""
        for file in task.needs:
            if file not in self._stored:
                # The driver owns it: what it holds does not go with a node that dies.
                self._stored[file] = self._ray.put(read(file))
        needs = [self._stored[file] for file in task.needs]
        reference = self._compute.remote(task.key, task.work, task.settings, *needs)
        self._running[reference] = task.key

    def next(self) -> Answer:
        """Wait for one of the tasks that were begun."""
        (reference, *_), _ = self._ray.wait(list(self._running), num_returns=1)
        key = self._running.pop(reference)
        try:
            answer: Answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            return Answer(key, None, float("nan"), said)
        return answer

    def close(self) -> None:
        """Cancel what runs, and leave the cluster if it was joined here."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running, self._stored = {}, {}
        if self._joined:
            self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray would go on trying for many minutes."""
    host, mark, port = address.removeprefix("ray://").rpartition(":")
    if mark and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


_RETRIES = 5
"""Times that a task is begun again after the node or the process that held it died."""
