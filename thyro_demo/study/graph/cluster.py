"""Compute jobs on a Ray cluster: tasks and results travel through its object store."""

import logging
import socket
from pathlib import Path
from typing import Any

import thyro_demo
from thyro_demo.errors import StudyError
from thyro_demo.study.graph.job import read
from thyro_demo.study.graph.local import ENVIRONMENT, Answer, Task, compute, sentence

_RETRIES = 5
"""Times that a task is begun again after the node or the process that held it died."""


class RayCluster:
    """A Ray cluster.

    Nodes need this project's packages, and weight files and images under the paths that they
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
                "A cluster must be reached through Ray, which is installed by: pip install ray. "
                f"Received: the address {address!r} without Ray."
            ) from None
        self._ray = ray
        self._joined = not ray.is_initialized()
        if self._joined:
            package = str(Path(thyro_demo.__file__).parent)
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
                    "The address of a Ray cluster must be auto, host:port or ray://host:port of "
                    f"one that runs. Received: {address!r} ({' '.join(str(error).split())})."
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
        reference = self._compute.remote(task.key, task.step, task.settings, *needs)
        self._running[reference] = task.key

    def next(self) -> Answer:
        """Wait for one of the tasks that were begun."""
        (reference, *_), _ = self._ray.wait(list(self._running), num_returns=1)
        key = self._running.pop(reference)
        try:
            answer: Answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Answer(key, None, float("nan"), sentence(error))
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
