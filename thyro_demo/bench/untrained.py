"""Bundles that know nothing and cost what a trained one costs.

Speed does not depend on what was learned, so the benches need no trained weights. What
it does depend on is kept: the layers, the number of support vectors, the number and
depth of the trees.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from thyro_demo.bundle import store
from thyro_demo.bundle.bundle import Bundle
from thyro_demo.models import heads, ood
from thyro_demo.models.backbones import backbone
from thyro_demo.models.features import pooled
from thyro_demo.models.networks import build

HEADS = ("softmax", "svm", "forest")
ROWS = 600


@dataclass(frozen=True)
class Untrained:
    """The parts of a bundle with random weights and heads fitted on random labels.

    Parameters
    ----------
    manifest : dict
        What `Bundle` and `store.write` need.
    network : keras.Model
        Random weights.
    fitted : dict of str to object
        Calibrated heads, and "ood".
    """

    manifest: dict[str, Any]
    network: keras.Model
    fitted: dict[str, Any]

    def in_memory(self) -> Bundle:
        """Return the bundle without writing it, for `Engine.add`."""
        return Bundle(Path(self.manifest["name"]), self.manifest, self.network, self.fitted)

    def write(self, root: Path) -> Path:
        """Write the bundle under its name into a folder of bundles; return its own folder."""
        card = "# Random weights\n\nMade by a bench to measure time; its scores mean nothing.\n"
        folder = root / self.manifest["name"]
        return store.write(folder, self.manifest, self.network, self.fitted, card)


def untrained(name: str, rows: int = ROWS, input_size: int | None = None) -> Untrained:
    """Build a network with random weights and fit its heads on `rows` rows of random labels."""
    # Random labels make nearly every row a support vector and grow deep trees: the dear end
    # of what training yields.
    spec = backbone(name)
    keras.utils.set_random_seed(0)
    network = build(spec, input_size=input_size)
    size = network.input_shape[1]
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (1, size, size, 3)).astype(np.uint8)
    # Around the network's own features, so that an image walks the trees as deep as a
    # training image would.
    features = (
        pooled(network, frame)[0]
        * rng.lognormal(0, 0.5, (rows, 1))
        * rng.lognormal(0, 0.5, (rows, network.get_layer("features").output.shape[-1]))
    )
    features = features.astype(np.float32)
    labels, groups = rng.permutation(np.arange(rows) % 2), np.arange(rows)
    fitted: dict[str, Any] = {
        head: heads.fit(head, features, labels, groups, folds=2)
        for head in HEADS
        if head != "softmax"
    }
    fitted["ood"], limits = ood.fit(features, groups, ["noise"] * rows)
    manifest = {
        "name": name,
        "title": spec.title,
        "backbone": name,
        "classes": ["benign", "malignant"],
        "input_size": size,
        "cam_layer": spec.cam_layer,
        "heads": list(HEADS),
        "primary": "softmax",
        "thresholds": {head: {"youden": 0.5, "sens95": 0.25} for head in HEADS},
        "ood_limits": limits,
        "training_images": [],
    }
    return Untrained(manifest, network, fitted)
