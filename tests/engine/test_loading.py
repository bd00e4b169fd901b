"""Bundles are loaded when they are needed, and a damaged one takes no other with it."""

import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from thyro_demo.engine import Engine
from thyro_demo.errors import BundleError

ROOT = Path(__file__).resolve().parents[2]


def test_importing_and_asking_for_names_leaves_tensorflow_alone(tiny_weights):
    program = (
        "import sys; from thyro_demo.engine import Engine; engine = Engine(sys.argv[1]); "
        "assert engine.names() == ['tiny'], engine.names(); "
        "assert engine.heads('tiny') == ['softmax', 'svm', 'forest']; "
        "assert engine.primary('tiny') == 'svm'; "
        "assert engine.title('tiny') == 'Tiny net'; assert 'Tiny net' in engine.card('tiny'); "
        "Engine().names(); "
        "assert not {'tensorflow', 'keras', 'gradio'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tiny_weights],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_facts_are_known_without_loading(tiny_weights):
    engine = Engine(tiny_weights)
    assert engine.names() == ["tiny"]
    assert engine.heads("tiny") == ["softmax", "svm", "forest"]
    assert engine.primary("tiny") == "svm"
    assert engine.title("tiny") == "Tiny net"
    assert engine.card("tiny").startswith("# Tiny net")


def test_all_heads_and_maps_come_from_one_comparison(real, spotted_frames):
    frame = spotted_frames[0][1]
    comparison = real.compare(frame, maps=("softmax", "svm", "forest"))
    assert [one.head for one in comparison.predictions] == ["softmax", "svm", "forest"]
    for one in comparison.predictions:
        assert 0 <= one.score <= 1
        assert one.heatmap.shape == (64, 64)
        assert np.isfinite(one.heatmap).all()


def test_fitted_heads_find_the_spot(real, spotted_frames):
    frames, labels = spotted_frames
    read = [
        [one.positive for one in real.compare(frame).predictions if one.head != "softmax"]
        for frame in frames
    ]
    assert (np.array(read) == labels[:, None]).mean() > 0.9


def test_a_damaged_bundle_is_refused_and_another_still_answers(
    tiny_weights, spotted_frames, tmp_path, fake_bundle
):
    shutil.copytree(tiny_weights / "tiny", tmp_path / "damaged")
    (tmp_path / "damaged" / "heads.skops").write_bytes(b"changed")
    engine = Engine(tmp_path)
    engine.add(fake_bundle())
    with pytest.raises(BundleError, match="checksum"):
        engine.warm_up()
    assert engine.compare(spotted_frames[0][0], names=["fake"]).predictions


def test_a_warm_engine_has_traced_its_graphs(real, spotted_frames, monkeypatch):
    """A graph that is there runs without the Python of the network that it was traced from."""
    monkeypatch.setattr(keras.Model, "__call__", lambda *_, **__: pytest.fail("traced again"))
    assert len(real.compare(spotted_frames[0][2]).predictions) == 3
