"""SVMs and forests may read how much a channel varies; their maps follow."""

import keras
import numpy as np
import pytest

from thyro_demo.bundle.bundle import Bundle
from thyro_demo.errors import RecipeError
from thyro_demo.explain.forest import forest_occlusion
from thyro_demo.models.features import pooled, readout
from thyro_demo.models.pooling import FLOOR


@pytest.fixture(scope="module")
def varying(tiny_weights):
    """Return the tiny bundle with heads that read standard deviations in place of averages."""
    from thyro_demo.bundle import store

    known = store.load(tiny_weights / "tiny")
    fitted = {name: head.model for name, head in known.heads.items()}
    manifest = known.manifest | {"pooling": "std"}
    return Bundle(known.folder, manifest, known.network, fitted | {"ood": known._spaces})


def test_standard_deviations_are_those_of_numpy(varying, spotted_frames):
    frames, _ = spotted_frames
    network = varying.network
    (found,) = pooled(network, frames, [readout(network, "conv2_pool", "std")])
    part = keras.Model(network.inputs[0], network.get_layer("conv2_pool").output)
    expected = part(frames.astype(np.float32), training=False).numpy().std(axis=(1, 2))
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_pooling_that_does_not_exist_is_refused(varying):
    with pytest.raises(RecipeError, match=r"average, std, nodule\. Received: pooling='maximum'\.$"):
        readout(varying.network, "conv2_pool", "maximum")


def test_a_bundle_reads_what_its_heads_were_fitted_on(varying, spotted_frames):
    frames, _ = spotted_frames
    network = varying.network
    (rows,) = pooled(network, frames, [readout(network, "conv2_pool", "std")])
    forward = varying.forward(frames.astype(np.float32))
    np.testing.assert_allclose(forward.features, rows, rtol=1e-4)
    # The softmax goes on reading averages.
    whole = network(frames.astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(forward.probabilities, whole, atol=1e-5)


def test_evidence_of_cells_adds_up_to_what_the_spreads_contribute(varying, spotted_frames):
    frames, _ = spotted_frames
    forward = varying.forward(frames[:1].astype(np.float32))
    slope = np.random.default_rng(0).normal(size=forward.features.shape[1]).astype(np.float32)
    gradient = varying.pull_back(forward.feature_map, slope[None])
    # Grad-CAM's weights, the means of the gradient, vanish; cell by cell they do not.
    assert np.abs(gradient.mean(axis=(1, 2))).max() < 1e-5 * np.abs(gradient).max()
    evidence = (gradient * forward.feature_map).sum()
    read = forward.features[0]
    # A channel that hardly varies reads the floor under the root, which comes from no cell.
    assert evidence == pytest.approx((slope * (read - FLOOR / read)).sum(), rel=1e-3)


def test_the_shortcut_for_standard_deviations_equals_real_occlusion():
    class Head:
        def scores(self, features):
            return 1 / (1 + np.exp(-(features**2).sum(axis=1)))

    feature_map = np.random.default_rng(2).standard_normal((3, 4, 5), np.float32)
    np.testing.assert_allclose(
        forest_occlusion(Head(), feature_map, "std"),
        forest_occlusion(Head(), feature_map, lambda maps: np.sqrt(maps.var(axis=(1, 2)) + 1e-6)),
        atol=1e-5,
    )
