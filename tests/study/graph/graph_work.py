"""Cheap steps for graphs, in a module of its own that workers can import."""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from thyro_demo.errors import DataError


def job(step, settings, needs=(), title=""):
    """Make a job of one of the functions below, by its name."""
    # Workers compute without it, and it brings pandas.
    from thyro_demo.study.graph import Job

    return Job(globals()[step], settings, needs, title)


def draws(number, **more):
    """Make `number` bases, and twice as many jobs that each need two of them."""
    bases = [job("draw", {"seed": seed} | more) for seed in range(number)]
    tops = [
        job("draw", {"seed": number + seed} | more,
             (bases[seed % number], bases[(seed + 1) % number]))
        for seed in range(2 * number)
    ]  # fmt: skip
    return [*bases, *tops]


def draw(settings, *needs):
    """Draw numbers from a seed and add what is needed to them; write so on standard output."""
    note(settings)
    values = np.random.default_rng(settings["seed"]).normal(size=settings.get("size", 50))
    for need in needs:
        values = values + np.sort(need["values"])[: len(values)]
    return {"values": values, "seed": np.array(settings["seed"])}


def note(settings):
    # One write is not split, whoever else writes to the same pipe.
    if settings.get("aloud"):
        os.write(1, f"{settings['seed']}\n".encode())


def refuse(settings, *needs):
    """Fail as a user's mistake does."""
    raise DataError("A job must have rows. Received: none.")


def stumble(settings, *needs):
    """Fail as a defect does."""
    raise KeyError("no such\ncolumn")


def die(settings, *needs):
    """End the process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def overwrite(settings, need):
    """Try to write over what other jobs share."""
    need["values"][0] = 0.0
    return {"values": need["values"]}


def objects(settings, *needs):
    """Return what cannot be kept without pickle."""
    return {"values": np.array([{}, None], dtype=object)}


def surroundings(settings, *needs):
    """Report what a worker runs with."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_DETERMINISTIC_OPS")
    heavy = sorted({"tensorflow", "keras"} & set(sys.modules))
    return {
        "threads": np.array([os.environ[name] for name in names]),
        "heavy": np.array(heavy, dtype=str),
        "process": np.array(os.getpid()),
    }


def endless(settings, *needs):
    """Note that it has begun, and never end."""
    os.write(1, b"begun\n")
    while True:
        np.sort(np.arange(100_000))


def doomed(settings, *needs):
    """Draw as `draw` does; but on the node whose id is in the folder, a last job never ends.

    On any other node it waits for the lock that the test holds until that node is gone.
    """
    folder = Path(settings["folder"])
    if "ray" in sys.modules:
        import ray

        node = ray.get_runtime_context().get_node_id()
        with open(folder / "begun.log", "a") as log:
            log.write(f"{node} {settings['seed']}\n")
        if settings["last"] and node == (folder / "node").read_text():
            # Opening a pipe waits for its other end: first the test's, then nobody's.
            (folder / "begun").write_text("begun")
            (folder / "never").read_text()
        if settings["last"]:
            # Windows has none, and imports this module for its other jobs.
            import fcntl

            with open(folder / "gate") as gate:
                fcntl.flock(gate, fcntl.LOCK_SH)
    return draw({"seed": settings["seed"]}, *needs)
