"""Compute jobs in this process or in local worker processes, each with the same bits.

One thread each, deterministic operations, and needs that can be read but not written over.
Executors write nothing; the scheduler does.
"""

import json
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from thyro_demo.errors import ThyroError
from thyro_demo.study.graph.job import Values, checked, read

ENVIRONMENT = {
    # One thread each: a sum that is split among threads ends on other digits.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    # What `tf.config.experimental.enable_op_determinism` sets, for jobs that use TensorFlow,
    # without an import for those that do not.
    "TF_DETERMINISTIC_OPS": "1",
    "PYTHONHASHSEED": "0",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # The graph has one bar for all jobs.
    "TQDM_DISABLE": "1",
}
"""Set in every worker before it imports anything."""


class Task(NamedTuple):
    """What an executor has to know to compute a job.

    Parameters
    ----------
    key : str
        Of the job.
    step : bytes
        The step, pickled, which means its module and name.
    settings : str
        JSON.
    needs : tuple of Path
        Result files of what it needs, on this host.
    """

    key: str
    step: bytes
    settings: str
    needs: tuple[Path, ...]


class Answer(NamedTuple):
    """What became of a task.

    Parameters
    ----------
    key : str
        Of the job.
    values : dict of str to ndarray, or None
        The result; None where it failed.
    seconds : float
        What the step took.
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


class Executor(Protocol):
    """Computes tasks somewhere."""

    @property
    def free(self) -> bool:
        """Whether another task may be started now."""

    def start(self, task: Task) -> None:
        """Begin a task."""

    def next(self) -> Answer:
        """Wait for one of the tasks that were begun."""

    def close(self) -> None:
        """Let go of everything, tasks that run included."""


def compute(key: str, step: bytes, settings: str, *needs: Values | Path) -> Answer:
    """Compute a job, and turn whatever goes wrong into a sentence.

    Parameters
    ----------
    key : str
        Of the job.
    step : bytes
        The pickled step, whose module is imported here.
    settings : str
        JSON.
    *needs : dict of str to ndarray, or Path
        Results that it builds on, or their files, in the order of the job.

    Returns
    -------
    Answer
        The result, or why there is none.
    """
    begun = time.perf_counter()
    try:
        function = pickle.loads(step)
        held = [read(need) if isinstance(need, Path) else need for need in needs]
        values = checked(function(json.loads(settings), *held))
    except ThyroError as error:
        return Answer(key, None, time.perf_counter() - begun, str(error))
    except Exception as error:
        # Any job may fail in any way without stopping the others.
        why = sentence(error)
        return Answer(key, None, time.perf_counter() - begun, why, traceback.format_exc())
    return Answer(key, values, time.perf_counter() - begun)


def sentence(error: Exception) -> str:
    """Write an unforeseen error in one line.

    Parameters
    ----------
    error : Exception
        What was raised.

    Returns
    -------
    str
        Its type and message.
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class InProcess:
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
        (key, step, settings, needs), self._task = self._task, None
        return compute(key, step, settings, *needs)

    def close(self) -> None:
        """Let go of nothing: nothing is held."""


class _Worker(NamedTuple):
    process: SpawnProcess
    pipe: Connection


class LocalProcesses:
    """Processes on this host, started as they are needed.

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
        with suppress(OSError):
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
                "A worker process must live to the end of its job, with enough memory. "
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
    # TensorFlow warns that each network is traced anew, which is what jobs are about.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    while True:
        try:
            key, step, settings, needs = pipe.recv()
        except EOFError:
            return
        pipe.send(compute(key, step, settings, *needs))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    # A parent that was killed cannot end a worker in the middle of an hour's training.
    os._exit(1)
