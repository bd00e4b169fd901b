"""The comparison is measured on images that the engine has never seen."""

import pytest

from thyro_demo.bench import compare
from thyro_demo.engine import Engine

pytestmark = pytest.mark.usefixtures("eagerly", "small_heads")

SMALL = {"backbones": ["two-layer-cnn"], "rounds": 1, "rows": 40, "input_size": 32}


@pytest.fixture(scope="module")
def seen() -> list[bytes]:
    return []


@pytest.fixture(scope="module")
def outcome(seen, eagerly, small_heads):
    """Run the bench on a tiny network, noting which frames were compared."""
    pytest.importorskip("tf_keras_vis")
    compared = Engine.compare

    def noting(self, image, *args, **options):
        seen.append(image.tobytes())
        return compared(self, image, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "compare", noting)
        return compare.run(**SMALL)


def test_no_comparison_meets_an_image_again(outcome, seen):
    # One for the comparison and one for the forest maps, in each round.
    assert len(seen) == 2 * (compare.WARM_UP + 1)
    assert len(set(seen)) == len(seen)


def test_each_target_of_the_issue_has_its_figure(outcome):
    floor, forests, peer = outcome.figures
    assert floor.target == "≤ 1.25 ×"
    assert floor.value == floor.ratio == floor.ours / floor.peer
    assert forests.target == "≤ 80 ms"
    assert forests.value == forests.ours > 0
    assert peer.target == "≥ 6 ×"
    assert peer.value == peer.ratio == peer.peer / peer.ours
    assert peer.ours == floor.ours
    assert outcome.left_out == []


def test_without_its_peer_the_row_is_left_out_and_the_bench_missed(monkeypatch):
    monkeypatch.setattr(compare, "PEER", "a_package_that_nobody_has")
    outcome = compare.run(**SMALL)
    assert len(outcome.figures) == 2
    (sentence,) = outcome.left_out
    assert "requirements-dev.txt" in sentence
    assert not outcome.met
