"""Frames of 24 drawn patients, made-up features of them, and a way to compute one job."""

import numpy as np
import pytest

from thyro_demo.data import datasets, phantom, splits
from thyro_demo.study.graph import leaf, run
from thyro_demo.study.steps import networks

FOLDS = 3


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Draw 24 patients, two frames each, assigned to three folds."""
    folder = tmp_path_factory.mktemp("drawn")
    phantom.write(phantom.cohort(24, 2, seed=5, shape=(96, 128)), folder)
    table = datasets.phantoms(folder).assign(source="drawn")
    number = table.groupby("group").ngroup()
    labels = np.where(number % 2 == 0, "benign", "malignant")
    return splits.kfold(table.assign(label=labels), FOLDS, seed=0)


@pytest.fixture(scope="session")
def shown(records):
    return networks.frames(records)


@pytest.fixture(scope="session")
def read(records):
    """Make up features that depend on the label, by two taps."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(len(records), 6)).astype(np.float32)
    wide[:, 0] += records["label"] == "malignant"
    return leaf("made up", avg=wide, std=rng.normal(size=(len(records), 3)))


@pytest.fixture
def value(tmp_path):
    """Return a function that computes one job in this process."""
    return lambda job: run([job], tmp_path, workers=0)[job]
