"""The frozen stage and the plain loop do the same work on the same views."""

import keras
import numpy as np
import pytest

from thyro_demo.bench import train

pytestmark = pytest.mark.usefixtures("eagerly")

SMALL = {"name": "two-layer-cnn", "images": 24, "input_size": 32}


@pytest.mark.slow
def test_both_sides_are_measured_and_what_is_extrapolated_is_reported():
    outcome = train.run(epochs=4, peer_epochs=2, **SMALL)
    (figure,) = outcome.figures
    assert figure.value == figure.ratio == figure.peer / figure.ours > 0
    assert "2 of its 4 epochs measured" in figure.peer_name
    assert outcome.settings["of them validation"] == 6


@pytest.mark.slow
def test_a_peer_that_ran_all_epochs_is_not_extrapolated(monkeypatch):
    fitted = []
    fit = keras.Model.fit

    def noting(self, x, *args, **options):
        fitted.append(x)
        return fit(self, x, *args, **options)

    monkeypatch.setattr(keras.Model, "fit", noting)
    (figure,) = train.run(epochs=3, peer_epochs=5, **SMALL).figures
    assert "extrapolated" not in figure.peer_name
    assert [views.shape for views in fitted] == [(18, 32, 32, 3)] * 3
    # The two fixed views take turns.
    np.testing.assert_array_equal(fitted[0], fitted[2])
    assert np.abs(fitted[0] - fitted[1]).max() > 1


def test_epochs_that_were_not_run_count_as_the_median_of_those_after_the_first(monkeypatch):
    seconds = iter([0.0, 50.0, 50.0, 54.0, 54.0, 60.0])
    monkeypatch.setattr(train, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **options: None)
    spec = train.backbone("two-layer-cnn")
    stage = train.Stage("frozen", trainable="head", epochs=20)
    frames = train._frames(24, 32)
    network = train.build(spec, input_size=32)
    loop = train._PlainLoop(network, spec, stage, frames, np.arange(6, 24), np.arange(6))
    assert loop.seconds(3) == pytest.approx(50 + 4 + 6 + 17 * 5)
