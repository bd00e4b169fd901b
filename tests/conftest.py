"""Fixtures shared by all rooms."""

import functools
import os
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

# What is asked of the shipped bundles must not depend on the folder that the reader works with.
os.environ.pop("THYRO_WEIGHTS", None)

# A process of its own for each core: threads beyond that would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))

# How long an example takes depends on the host, not on the code alone.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run each file in one process, and all that drives the browser in the first one.

    A file's fixtures are then made once, and no page waits for another browser.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)
    for item in items:
        drives = item.get_closest_marker("browser") is not None
        item.add_marker(
            pytest.mark.xdist_group("browser" if drives else item.nodeid.split("::")[0])
        )


@pytest.fixture(scope="session", autouse=True)
def captured_streams_stay_open() -> None:
    """Lead absl's log to the real stderr, not to the one that pytest captured at its import.

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
    """Draw 40 frames of noise, uint8 (40, 64, 64, 3), and labels: 1 with a bright spot."""
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

    from thyro_demo.bundle import store
    from thyro_demo.models import backbones, features, networks, ood

    frames, labels = spotted_frames
    keras.utils.set_random_seed(0)
    network = networks.build(backbones.backbone("two-layer-cnn"), input_size=64)
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
    store.write(root / "tiny", manifest, network, fitted | {"ood": spaces}, "# Tiny net\n")
    return root


@pytest.fixture(scope="session")
def built():
    """Return a function that builds a network once, at 64 px or its least side if that is more."""
    import keras

    from thyro_demo.models import backbones, networks
    from thyro_demo.training.frozen_cache import freeze

    @functools.cache
    def first(name):
        spec = backbones.backbone(name)
        keras.utils.set_random_seed(0)
        network = networks.build(spec, input_size=max(64, spec.smallest))
        return network, network.get_weights()

    def build(name):
        network, weights = first(name)
        network.set_weights(weights)
        freeze(network, backbones.backbone(name), "all")
        return network

    return build


@pytest.fixture
def network(built, request):
    """Return the network that the test is parametrised with, as it was built."""
    return built(request.param)


@pytest.fixture(scope="module")
def eagerly():
    """Run TensorFlow without tracing: steps of a small network are traced longer than they run."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def traced(eagerly):
    """Trace as the project does, in a test of a module that else runs without."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(False)
    yield
    tf.config.run_functions_eagerly(True)


@pytest.fixture
def small():
    """Return a function that builds the two-layer network for 64 px, always with one seed."""
    import keras

    from thyro_demo.models import backbones, networks

    def build(head="softmax"):
        keras.utils.set_random_seed(0)
        return networks.build(backbones.backbone("two-layer-cnn"), head=head, input_size=64)

    return build


@pytest.fixture(scope="module")
def small_heads():
    """Let forests be of few trees, and SVMs choose from few settings."""
    from thyro_demo.models import heads

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "TREES", 5)
        patch.setattr(heads, "COSTS", {"svm": (3.0,), "linear-svm": (0.01, 0.1)})
        patch.setattr(heads, "WIDTHS", (1.0,))
        yield


@pytest.fixture(scope="module")
def few_resamples():
    """Let intervals come from few resamples: how sure a figure is doesn't matter here."""
    from thyro_demo.evaluate import report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "summarise", functools.partial(report.summarise, resamples=100))
        yield


@pytest.fixture(scope="session")
def vectors():
    """Draw 90 feature vectors of 30 groups, float32 (90, 8), labels and groups."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), 3)
    labels = groups % 2
    features = rng.normal(size=(90, 8)) + rng.normal(size=(30, 8))[groups]
    features[:, 0] += 1.5 * labels
    return features.astype(np.float32), labels, groups


@pytest.fixture(scope="session")
def fitted(vectors):
    """Fit every kind of head, the forest with few trees."""
    from thyro_demo.models import heads

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "TREES", 20)
        return {kind: heads.fit(kind, *vectors) for kind in heads.KINDS}
