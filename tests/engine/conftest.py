"""Bundles and frames for the engine: some without a network, one that was saved."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.engine import Engine

CELLS = 4


class LinearForest:
    """A head of kind "forest" that scores the mean brightness of the features."""

    kind = "forest"

    def scores(self, features):
        return np.clip(features.mean(axis=1, dtype=np.float64), 0, 1)


class FakeBundle:
    """A backbone that averages 8-bit images to 4×4 cells of RGB, 0–1, with two heads."""

    def __init__(
        self, name="fake", size=32, threshold=0.5, distance=0.5, region="scan", nodule=None
    ):
        self.name = name
        self.nodule = nodule
        self.spread = np.zeros(6, np.float32), np.ones(6, np.float32)
        self.title = name.title()
        self.pooling = "average"
        self.networks = (self,)
        self.input_size = size
        self.classes = ["benign", "malignant"]
        self.heads = {"forest": LinearForest()}
        point = {"youden": threshold, "sens95": 0.0}
        self.thresholds = {"softmax": point, "forest": point}
        self.manifest = {
            "title": self.title, "heads": ["softmax", "forest"], "region": region
        }  # fmt: skip
        self.distance = distance
        self.passes = 0

    def forward(self, batch):
        self.passes += 1
        n, size = len(batch), self.input_size
        assert batch.shape == (n, size, size, 3)
        assert batch.dtype == np.float32
        tiles = batch.reshape(n, CELLS, size // CELLS, CELLS, size // CELLS, 3)
        feature_map = tiles.mean(axis=(2, 4)) / 255
        features = feature_map.mean(axis=(1, 2))
        score = features.mean(axis=1)
        return SimpleNamespace(
            feature_map=feature_map,
            features=features,
            probabilities=np.stack([1 - score, score], axis=1),
            softmax_gradient=np.full_like(feature_map, 1 / feature_map[0].size),
            nodule=None if self.nodule is None else np.repeat(self.nodule[None], n, axis=0),
        )

    def scores(self, forward):
        forest = self.heads["forest"].scores(forward.features)
        return {"softmax": forward.probabilities[:, 1], "forest": forest}

    def ood_score(self, forward):
        return np.full(len(forward.features), self.distance)


@pytest.fixture(scope="session")
def fake_bundle():
    """Return the class of bundles whose arithmetic can be done by hand."""
    return FakeBundle


@pytest.fixture
def frame():
    """Draw a mid-grey scan area in a black border, with one bright quarter at its top left."""
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[20:100, 30:130] = 60
    frame[20:60, 30:80] = 240
    return frame


@pytest.fixture(scope="session")
def real(tiny_weights):
    """Load a saved bundle with TensorFlow behind an engine."""
    engine = Engine(tiny_weights)
    engine.warm_up()
    return engine


@pytest.fixture
def records(spotted_frames, tmp_path):
    """Write ten frames of five groups with their labels."""
    frames, labels = spotted_frames
    paths = [str(tmp_path / f"{index}.png") for index in range(10)]
    for path, frame in zip(paths, frames, strict=False):
        Image.fromarray(frame).save(path)
    names = np.array(["benign", "malignant"])[labels[:10]]
    groups = [f"g{index // 2}" for index in range(10)]
    return pd.DataFrame({"path": paths, "label": names, "group": groups, "source": "drawn"})
