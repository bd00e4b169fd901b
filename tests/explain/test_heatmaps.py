"""Each head of a bundle draws its own map, from the forward pass that scored the image."""

import numpy as np
import pytest

from thyro_demo.explain.gradcam import grad_cam
from thyro_demo.explain.heatmaps import heatmap


@pytest.fixture(scope="module")
def read(tiny_weights, spotted_frames):
    """Load the tiny bundle and run it over four frames."""
    from thyro_demo.bundle import store

    tiny = store.load(tiny_weights / "tiny")
    return tiny, tiny.forward(spotted_frames[0][:4].astype(np.float32))


def test_the_svm_map_of_a_network_is_grad_cam_over_finite_differences(read):
    tiny, forward = read
    for row, feature_map in enumerate(forward.feature_map):

        def decide(maps, shape=feature_map.shape):
            features = maps.reshape(-1, *shape).mean(axis=(1, 2))
            return tiny.heads["svm"].pipeline.decision_function(features)

        cells = feature_map.ravel().astype(np.float64)
        steps = 1e-3 * np.eye(len(cells))
        gradient = (decide(cells + steps) - decide(cells - steps)) / 2e-3
        np.testing.assert_allclose(
            heatmap(tiny, [forward], "svm", row),
            grad_cam(feature_map, gradient.reshape(feature_map.shape)),
            atol=1e-3,
        )


@pytest.mark.parametrize("head", ["softmax", "svm", "forest"])
def test_each_head_of_a_network_draws_its_own_map(read, head):
    tiny, forward = read
    drawn = heatmap(tiny, [forward], head, row=1)
    assert drawn.shape == forward.feature_map.shape[1:3]
    assert drawn.max() == 1
    others = {"softmax", "svm", "forest"} - {head}
    assert not any(np.allclose(drawn, heatmap(tiny, [forward], other, row=1)) for other in others)


def test_the_map_of_an_image_does_not_depend_on_its_batch(read):
    tiny, forward = read
    parts = {name: part[2:3] for name, part in vars(forward).items() if part is not None}
    alone = type(forward)(**parts)
    for head in ("softmax", "svm", "forest"):
        np.testing.assert_allclose(
            heatmap(tiny, [alone], head), heatmap(tiny, [forward], head, row=2), atol=1e-6
        )
