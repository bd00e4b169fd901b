"""Compute what is missing of a graph of jobs, in the order of their needs, and keep the results.

What is there whole, under the key of its step, version, settings and needs, is not computed again.
"""

import heapq
import json
import math
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.errors import StudyError
from thyro_demo.files import atomic_write
from thyro_demo.study.graph.cluster import RayCluster
from thyro_demo.study.graph.job import Job, digest, facts, read, write
from thyro_demo.study.graph.local import Answer, Executor, InProcess, LocalProcesses, Task


class Outcome:
    """What became of the jobs of a graph; results are read from their files when asked for.

    Parameters
    ----------
    folder : Path
        Where the results are.
    table : DataFrame
        One row a job: `key, title, seconds, status`.
    failures : dict of str to str
        By title of a job that failed or could not be run: why, in one sentence.
    sentences : dict of str to str
        The same by key.

    Attributes
    ----------
    table : DataFrame
        `status` is "done", "failed", "not run" where something that the job needs failed, or
        "not needed" where all that needs it is done without it.
    failures : dict of str to str
        As passed.
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

    def __getitem__(self, job: Job) -> dict[str, np.ndarray]:
        """Return the result of a job, or raise StudyError if it has none."""
        if job.value is not None:
            return dict(job.value)
        if job.key in self._sentences:
            raise StudyError(
                "A job must not have failed for its result to be read. "
                f"Received: {job.name}: {self._sentences[job.key]}"
            )
        file = _file(self._folder, job.key)
        if facts(file, job.key) is None:
            raise StudyError(
                f"A job must be part of the graph for its result to be read. Received: {job.name}."
            )
        return read(file)

    def __contains__(self, job: Job) -> bool:
        return job.value is not None or (
            job.key not in self._sentences and _file(self._folder, job.key).exists()
        )

    @property
    def first_failure(self) -> str:
        """The first job that failed, and why."""
        return ": ".join(next(iter(self.failures.items()), ("nothing", "no jobs.")))


def run(jobs: Iterable[Job], folder: Path, workers: int = 2, ray: str | None = None) -> Outcome:
    """Compute what is missing of a graph.

    Results, and so every table made of them, are the same to the last digit whatever the number
    of workers, the order in which they finish, and the interruptions; on Ray too, where nodes
    have the same kind of processor. Without workers the jobs run in this process with as many
    threads as it has, and may differ in the last digits. A job that failed is tried again by
    the next run.

    Parameters
    ----------
    jobs : iterable of Job
        What is wanted; what these need is computed too, once each.
    folder : Path
        Where results are kept: ``<key>.npz`` for each job, ``<key>.txt`` with the traceback of
        an unforeseen error, and ``jobs.csv``.
    workers : int
        Local processes; 0 computes in this one. A script that asks for some keeps what it does
        on import under ``if __name__ == "__main__"``, since they import it too.
    ray : str or None
        Address of a Ray cluster, which then computes in place of local processes; see
        `cluster.RayCluster` for what its nodes need.

    Returns
    -------
    Outcome
        Results, failures and the table that is left as `jobs.csv`.

    Raises
    ------
    StudyError
        If `workers` is below 0, Ray is not installed, or its cluster does not answer.
    """
    if workers < 0:
        raise StudyError(f"Workers must be 0 or more. Received: workers={workers}.")
    graph = _Graph(Path(os.path.abspath(folder)), list(jobs))
    if graph.missing:
        executor: Executor = (
            RayCluster(ray)
            if ray is not None
            else LocalProcesses(workers)
            if workers
            else InProcess()
        )
        try:
            graph.compute(executor)
        finally:
            executor.close()
    return graph.outcome()


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.npz"


class _Graph:
    """The state of a run: what is done, what waits for what, what failed."""

    def __init__(self, folder: Path, wanted: list[Job]):
        self.folder = folder
        self.jobs: dict[str, Job] = {}
        self.seconds: dict[str, float] = {}
        self.status: dict[str, str] = {}
        self.sentences: dict[str, str] = {}
        self.leaves: dict[str, Path] = {}
        for job in wanted:
            self._visit(job)
        self.order = {key: place for place, key in enumerate(self.jobs)}
        self.missing = self._missing({job.key for job in wanted})
        self.unmet = {
            key: {need.key for need in self.jobs[key].needs} & self.missing for key in self.missing
        }
        self.users: dict[str, list[str]] = {key: [] for key in self.missing}
        for key, unmet in self.unmet.items():
            for need in unmet:
                self.users[need].append(key)
        self.ready = [self.order[key] for key in self.missing if not self.unmet[key]]
        heapq.heapify(self.ready)

    def _visit(self, job: Job) -> None:
        """Note a job, after those it needs, and whether its result is there."""
        if job.value is not None or job.key in self.jobs:
            return
        for need in job.needs:
            self._visit(need)
        self.jobs[job.key] = job
        if (found := facts(_file(self.folder, job.key), job.key)) is not None:
            self.seconds[job.key], self.status[job.key] = found["seconds"], "done"

    def _missing(self, wanted: set[str]) -> set[str]:
        """Find the jobs to compute: wanted, or needed by one of these, and not there."""
        missing = set()
        for key in reversed(self.jobs):
            if key in wanted and key not in self.status:
                missing.add(key)
                wanted = wanted | {need.key for need in self.jobs[key].needs}
        return missing

    def compute(self, executor: Executor) -> None:
        """Compute what is missing, in the order of the jobs as far as needs allow."""
        keys, running = list(self.jobs), 0
        done = len(self.jobs) - len(self.missing)
        with tqdm(total=len(self.jobs), initial=done, desc="Jobs", unit="job") as bar:
            while self.ready or running:
                while self.ready and executor.free:
                    executor.start(self._task(self.jobs[keys[heapq.heappop(self.ready)]]))
                    running += 1
                answer = executor.next()
                running -= 1
                bar.update(self._settle(answer))
                if self.sentences:
                    bar.set_postfix({"failed": len(self.sentences)})

    def _task(self, job: Job) -> Task:
        needs = tuple(map(self._need, job.needs))
        return Task(job.key, pickle.dumps(job.step), json.dumps(job.settings), needs)

    def _need(self, need: Job) -> Path:
        """Find the file of a need; a leaf gets one by its content, which workers read."""
        if need.value is None:
            return _file(self.folder, need.key)
        if need.key not in self.leaves:
            held = digest(need.value)
            file = self.leaves[need.key] = _file(self.folder, held)
            if facts(file, held) is None:
                write(file, need.value, key=held)
        return self.leaves[need.key]

    def _settle(self, answer: Answer) -> int:
        """Keep an answer; return the number of jobs that it settles."""
        job = self.jobs[answer.key]
        trace = self.folder / f"{job.key}.txt"
        self.seconds[job.key] = answer.seconds
        if answer.values is None:
            if answer.trace:
                with atomic_write(trace) as temporary:
                    temporary.write_text(answer.trace, encoding="utf-8")
            self.sentences[job.key] = answer.sentence
            return self._fail(job, "failed")
        write(
            _file(self.folder, job.key), answer.values, key=job.key, step=job.step_name,
            version=job.version, settings=job.settings, seconds=answer.seconds,
        )  # fmt: skip
        trace.unlink(missing_ok=True)
        self.status[job.key] = "done"
        for user in self.users[job.key]:
            self.unmet[user].discard(job.key)
            if not self.unmet[user] and user not in self.status:
                heapq.heappush(self.ready, self.order[user])
        return 1

    def _fail(self, job: Job, status: str) -> int:
        """Note a failure and all that cannot be run for it; return how many are settled by it."""
        if job.key in self.status:
            return 0
        self.status[job.key] = status
        return 1 + sum(self._fail(self.jobs[user], "not run") for user in self.users[job.key])

    def _culprit(self, job: Job) -> Job:
        """Find the first failed job that a job needs, whichever failed first."""
        while self.status[job.key] == "not run":
            needs = [need.key for need in job.needs if need.key in self.jobs]
            job = self.jobs[next(key for key in needs if self.status[key] != "done")]
        return job

    def outcome(self) -> Outcome:
        """Write the table, and return it with results and failures."""
        failures: dict[str, str] = {}
        for key, job in self.jobs.items():
            if self.status.get(key) == "not run":
                self.sentences[key] = (
                    "All that a job needs must be done before it is run. "
                    f"Received: {self._culprit(job).name}, which failed."
                )
            if key in self.sentences:
                name = f"{job.name} ({key[:8]})" if job.name in failures else job.name
                failures[name] = self.sentences[key]
        rows = [
            (key, job.name, self.seconds.get(key, math.nan), self.status.get(key, "not needed"))
            for key, job in self.jobs.items()
        ]
        table = pd.DataFrame(rows, columns=["key", "title", "seconds", "status"])
        with atomic_write(self.folder / "jobs.csv") as temporary:
            table.to_csv(temporary, index=False)
        return Outcome(self.folder, table, failures, self.sentences)
