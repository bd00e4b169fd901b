"""Drawn frames and small bundles, made once for this room."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from thyro_demo.data import phantom
from thyro_demo.models import heads


@pytest.fixture(scope="session")
def clinic(tmp_path_factory):
    """Draw 24 patients of both classes and two places, one frame each."""
    folder = tmp_path_factory.mktemp("data") / "frames"
    phantom.write(phantom.cohort(24, 1, seed=3, shape=(120, 160)), folder)
    index = pd.read_csv(folder / "index.csv")
    index["label"] = np.where(index.index % 2 == 0, "benign", "malignant")
    index["source"] = np.array(["east", "west"])[index.index // 2 % 2]
    index.to_csv(folder / "index.csv", index=False)
    return folder


@pytest.fixture
def quick(monkeypatch):
    """Let forests be small and phantoms be few pixels."""
    monkeypatch.setattr(heads, "TREES", 5)
    drawn = phantom.cohort
    monkeypatch.setattr(phantom, "cohort", lambda *a, **k: drawn(*a, **{"shape": (120, 160)} | k))


@pytest.fixture
def trained_bundle(tiny_weights, tmp_path):
    """Return a function that copies the tiny bundle, its last stage trained as it is asked to."""

    def copy(trained, name="two-layer-cnn"):
        folder = tmp_path / name
        shutil.copytree(tiny_weights / "tiny", folder)
        facts = json.loads((folder / "manifest.json").read_text("utf-8"))
        facts |= {"name": name, "chain": [{"stage": "thyroid", "trained": trained}]}
        (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
        return folder

    return copy


@pytest.fixture(scope="session")
def scored():
    """Return a function that makes up out-of-fold scores of 40 groups, `skill` apart."""

    def make(skill, seed=0):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(40), 2)
        positive = groups % 2 == 1
        return pd.DataFrame(
            {
                "path": [f"{row}.png" for row in range(80)],
                "group": groups.astype(str),
                "source": np.where(groups < 20, "east", "west"),
                "label": np.where(positive, "malignant", "benign"),
                "fold": groups % 5,
                "head": "svm",
                "score": 1 / (1 + np.exp(-rng.normal(size=80) - skill * positive)),
            }
        )

    return make
