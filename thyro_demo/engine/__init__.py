"""Comparison of bundles side by side on one image, or over a table of images.

Page, command line, notebooks and benchmarks ask this one room, so that they cannot disagree.
"""

from thyro_demo.engine.batch import score_records
from thyro_demo.engine.compare import Engine
from thyro_demo.engine.predictions import NOTICE, Comparison, Prediction
from thyro_demo.engine.sentences import HEADS

__all__ = ["HEADS", "NOTICE", "Comparison", "Engine", "Prediction", "score_records"]
