"""A fault loses nothing: what was there stays, nothing half-written is seen, and it goes on."""

import sys

import pytest

from thyro_demo.bench import faults

WITHOUT_TENSORFLOW = [
    "kill -9 while a study is computed",
    "kill -9 during a download",
    "two processes on one study",
]
WITH_TENSORFLOW = sorted(set(faults.FAULTS) - set(WITHOUT_TENSORFLOW))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")


def inject(name, good, work):
    if reason := faults._missing(name):
        pytest.skip(f"needs {reason}")
    faults.FAULTS[name](good, work)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_a_fault_loses_nothing(name, tmp_path):
    inject(name, tmp_path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_TENSORFLOW)
def test_a_fault_loses_no_bundle_and_no_epoch(name, tiny_weights, tmp_path):
    inject(name, tiny_weights / "tiny", tmp_path)


def test_what_is_lost_is_reported_and_the_next_fault_is_injected_anyway(tmp_path, monkeypatch):
    def lose(good, work):
        raise faults.Lost("a job has another result")

    kinds = {"first": lose, "second": lambda good, work: None}
    monkeypatch.setattr(faults, "FAULTS", kinds)
    monkeypatch.setattr(faults, "small_bundle", lambda work: work)
    assert faults.run(tmp_path) == ({"first": "a job has another result", "second": ""}, [])


def test_a_fault_that_needs_what_is_not_there_is_left_out_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "FAULTS", {"kill -9 during a download": lambda *_: None})
    monkeypatch.setattr(faults, "small_bundle", lambda work: work)
    monkeypatch.setenv("PATH", "")
    lost, (sentence,) = faults.run(tmp_path)
    assert lost == {}
    assert sentence.endswith("needs git and is left out. Received: none.")


def test_a_child_that_ends_otherwise_is_a_loss(tmp_path):
    with pytest.raises(faults.Lost, match="exit code 3 in place of 0"):
        faults._expect(faults._child("raise SystemExit(3)"), 0, "the reader")
