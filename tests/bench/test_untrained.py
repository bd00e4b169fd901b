"""A bundle that knows nothing runs, and costs what a trained one does."""

import numpy as np
import pytest

from thyro_demo.bench.untrained import HEADS, untrained
from thyro_demo.engine import Engine
from thyro_demo.models import heads

pytestmark = pytest.mark.usefixtures("eagerly")

TREES = 12


@pytest.fixture(scope="module")
def parts():
    """Make a bundle where the project's forests have few trees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "TREES", TREES)
        return untrained("two-layer-cnn", rows=40, input_size=32)


def test_its_heads_are_as_large_as_the_projects_own(parts):
    bundle = parts.in_memory()
    assert ["softmax", *bundle.heads] == list(HEADS)
    assert len(bundle.heads["forest"].forest.estimators_) == TREES
    assert heads.TREES >= 200
    # Random labels leave hardly a row that is no support vector.
    assert len(bundle.heads["svm"].pipeline[-1].support_vectors_) > 30


def test_the_written_bundle_scores_as_the_one_in_memory(parts, tmp_path):
    parts.write(tmp_path)
    frame = np.random.default_rng(1).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    in_memory = Engine(tmp_path / "none")
    in_memory.add(parts.in_memory())
    scores = [
        [prediction.score for prediction in engine.compare(frame).predictions]
        for engine in (in_memory, Engine(tmp_path))
    ]
    assert len(scores[0]) == len(HEADS)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
