"""Chains of short stages, so that many can be compared; each is judged on the thyroid frames."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from thyro_demo.study import graph
from thyro_demo.study.graph import Job
from thyro_demo.study.steps import heads, networks
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import precision, recipe
from thyro_demo.training.run import run_once

SIDE = 112
"""Side of the images of every middle stage here, pixels: all depths in an hour, not a day."""

IMAGES = 600
"""Most images of a middle stage here."""

EPOCHS = 3

NODULES = "nodules"
"""Recipe whose network has a nodule map: heads read what is there."""

NODULE_SIDE = 128
"""Side of its images in place of `SIDE`: the two maps it joins need a multiple of 32 pixels."""


def train(name: str, backbone: str, data: Path, folder: Path, weights: str) -> str:
    """Train one short stage, unless it was trained before.

    Parameters
    ----------
    name : str
        A recipe of one stage.
    backbone : str
        Which network.
    data : Path
        Folder that holds all sets by name.
    folder : Path
        Where the network and its log are kept; a killed run goes on from there.
    weights : str
        See `initial_weights.load`.

    Returns
    -------
    str
        Its `.keras` file.

    Raises
    ------
    RecipeError, DataError
        As from `training.run`.
    """
    chosen = recipe(name, backbone)
    ((source, stage),) = chosen.stages
    side = NODULE_SIDE if name == NODULES else SIDE
    small = replace(stage, input_size=side, limit=IMAGES, epochs=EPOCHS, patience=None)
    known = replace(chosen, stages=((source, small),))
    out = folder / "network.keras"
    return str(run_once(TrainingJob(known, backbone, data, folder, out, weights)))


def score(
    backbone: str, weights: str, tap: str, records: pd.DataFrame, shown: Job, work: Path
) -> pd.DataFrame:
    """Score the frames out of fold by an SVM on a frozen network, in fast arithmetic.

    Parameters
    ----------
    backbone, weights : str
        The network; see `initial_weights.load`.
    tap : str
        What the SVM reads; see `networks.features`.
    records : DataFrame
        Record table with `fold`.
    shown : Job
        The same frames, from `networks.frames`.
    work : Path
        Where features and scores are kept.

    Returns
    -------
    DataFrame
        As from `heads.scores`.
    """
    read = networks.features(backbone, weights, shown, (tap,), precision=precision(backbone))
    folds = sorted(records["fold"].unique())
    svms = [heads.head("svm", [(read, tap)], shown, fold) for fold in folds]
    return heads.scores(graph.run(svms, work, workers=0), {"svm": svms}, records)
