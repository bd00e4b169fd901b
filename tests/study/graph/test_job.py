"""The key of a job is all that its result depends on: step, version, settings and needs."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import given as holds_for
from hypothesis import strategies as st

from thyro_demo.errors import StudyError
from thyro_demo.study.graph import Job, leaf, run, version


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Let this process import the steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield


def step(name="draw"):
    import graph_work

    return getattr(graph_work, name)


NUMBERS = st.integers(-9, 9) | st.floats(-9, 9)
VALUES = st.none() | st.booleans() | NUMBERS | st.text(max_size=3) | st.lists(NUMBERS, max_size=3)


@settings(max_examples=50)
@holds_for(st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=4), st.data())
def test_a_key_changes_with_every_setting_and_nothing_else(values, data):
    one = Job(step(), values, title="one")
    assert one.key == Job(step(), dict(reversed(values.items())), title="other").key
    name, other = data.draw(st.sampled_from(sorted(values))), data.draw(VALUES)
    assume(repr(other) != repr(values[name]))
    assert Job(step(), values | {name: other}).key != one.key
    assert Job(step(), {k: v for k, v in values.items() if k != name}).key != one.key


def test_a_key_changes_with_the_step_and_with_what_a_job_needs():
    a, b = leaf("a", x=np.arange(3)), leaf("b", x=np.arange(4))
    keys = {
        Job(step(name), {}, needs).key
        for name in ("draw", "refuse")
        for needs in ((), (a,), (b,), (a, b), (b, a), (Job(step(), {}, (a,)),))
    }
    assert len(keys) == 12


def test_code_of_another_version_does_not_serve_the_results_of_the_former(tmp_path, monkeypatch):
    """Nor do the results of jobs that need it."""
    computed = []
    monkeypatch.setattr("graph_work.note", lambda settings: computed.append(settings["seed"]))

    def jobs():
        base = Job(step(), {"seed": 1})
        return base, Job(step(), {"seed": 2}, (base,))

    first = jobs()
    run(first, tmp_path, workers=0)
    run(jobs(), tmp_path, workers=0)
    assert computed == [1, 2]
    assert first[0].version == 1
    with monkeypatch.context() as changed:
        changed.setattr(step(), "version", 2, raising=False)
        again = jobs()
        assert again[0].version == 2
        assert {job.key for job in again}.isdisjoint(job.key for job in first)
        run(again, tmp_path, workers=0)
    assert computed == [1, 2, 1, 2]
    # The former code finds its own results again.
    assert jobs() == first


def test_a_version_is_noted_beside_the_step():
    def changed(settings):
        return {}

    assert version(3)(changed) is changed
    assert changed.version == 3


@pytest.mark.parametrize("kind", ["lambda", "local", "other"])
def test_a_step_that_no_worker_could_import_is_refused(kind, monkeypatch):
    def local(settings):
        return {}

    known = step()
    if kind == "other":
        # Under its name another function is found.
        monkeypatch.setattr("graph_work.draw", step("refuse"))
    chosen = {"lambda": lambda settings: {}, "local": local, "other": known}[kind]
    with pytest.raises(StudyError, match=r"^A step must be a function of a module.*Received: "):
        Job(chosen, {})


def test_a_leaf_is_keyed_by_its_content_or_by_what_represents_it():
    assert leaf("one", x=np.arange(3)) == leaf("other", x=np.arange(3))
    for other in (
        leaf("", x=np.arange(1, 4)),
        leaf("", y=np.arange(3)),
        leaf("", x=np.arange(3.0)),
        leaf("", x=np.arange(3)[None]),
        leaf("", x=np.arange(3), y=np.arange(0)),
    ):
        assert other != leaf("", x=np.arange(3))
    here, there = (leaf("", {"sha256": "f"}, path=np.array(path)) for path in ("here", "there"))
    assert here == there


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), np.arange(3), {1, 2}])
def test_settings_that_json_cannot_hold_are_refused(value):
    with pytest.raises(StudyError, match="settings of a job"):
        Job(step(), {"x": value})


def test_settings_reach_the_step_as_json_returns_them():
    assert Job(step(), {"x": (1, 2)}).settings == {"x": [1, 2]}
    assert Job(step(), {"x": (1, 2)}) == Job(step(), {"x": [1, 2]})
