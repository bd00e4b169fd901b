"""Fixtures shared by all rooms."""

import os
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# What is asked of the shipped bundles must not depend on the folder that the reader works with.
os.environ.pop("THYRO_WEIGHTS", None)

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def captured_streams_stay_open() -> None:
    """Give absl's log the real stderr, in place of the one that pytest captured at its import.

    The server's logging settings close every handler, and absl's closes all but the real streams.
    """
    try:
        from absl import logging
    except ImportError:
        return
    logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def thyro_data() -> Path:
    """Folder of real images named by THYRO_DATA; tests that need it are skipped without it."""
    folder = os.environ.get("THYRO_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("THYRO_DATA names no folder of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def spotted_frames() -> tuple[np.ndarray, np.ndarray]:
    """Draw 40 frames of noise, uint8 (40, 64, 64, 3), and labels: 1 where a bright spot lies."""
    rng = np.random.default_rng(0)
    frames = rng.integers(30, 90, (40, 64, 64, 3)).astype(np.uint8)
    labels = np.arange(40) % 2
    for frame in frames[1::2]:
        top, left = rng.integers(4, 40, 2)
        frame[top : top + 20, left : left + 20] = 250
    return frames, labels


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory, spotted_frames) -> Path:
    """Write a folder of weights with one bundle, "tiny": random filters, three fitted heads."""
    import keras
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    from thyro_demo.models import backbones, bundle, features, ood

    frames, labels = spotted_frames
    keras.utils.set_random_seed(0)
    network = backbones.build(backbones.backbone("two-layer-cnn"), input_size=64)
    rows = features.pooled(network, frames)[0]
    line = LogisticRegression(max_iter=2000).fit(rows, labels)
    network.get_layer("logits").set_weights(
        [np.outer(line.coef_, [-0.5, 0.5]), line.intercept_ * [-0.5, 0.5]]
    )
    spaces, limits = ood.fit(rows, np.arange(len(rows)) // 2, ["frame"] * len(rows))
    estimators = {
        "svm": make_pipeline(StandardScaler(), SVC(gamma=0.01)),
        "forest": RandomForestClassifier(20, random_state=0),
    }
    fitted = {
        name: CalibratedClassifierCV(estimator, cv=4, ensemble=False).fit(rows, labels)
        for name, estimator in estimators.items()
    }
    heads = ["softmax", "svm", "forest"]
    manifest = {
        "name": "tiny",
        "title": "Tiny net",
        "backbone": "two-layer-cnn",
        "classes": ["benign", "malignant"],
        "input_size": 64,
        "cam_layer": "conv2_pool",
        "heads": heads,
        "primary": "svm",
        "thresholds": {head: {"youden": 0.5, "sens95": 0.25} for head in heads},
        "ood_limits": limits,
        "training_images": [],
    }
    root = tmp_path_factory.mktemp("weights")
    bundle.write(root / "tiny", manifest, network, fitted | {"ood": spaces}, "# Tiny net\n")
    return root
