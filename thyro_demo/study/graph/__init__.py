"""Graphs of jobs: each computed once, kept in a file, shared, and resumed after a kill."""

from thyro_demo.study.graph.job import Job, Step, Values, digest, leaf, version
from thyro_demo.study.graph.scheduler import Outcome, run

__all__ = ["Job", "Outcome", "Step", "Values", "digest", "leaf", "run", "version"]
