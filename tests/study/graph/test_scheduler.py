import os
import random
import subprocess
import sys
from functools import wraps
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as holds_for
from hypothesis import settings
from hypothesis import strategies as st

from thyro_demo.errors import StudyError
from thyro_demo.study.graph import Job, leaf, run
from thyro_demo.study.graph.local import LocalProcesses

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Let this process and its workers import the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield


def job(*recipe, **more):
    import graph_work

    return graph_work.job(*recipe, **more)


def draws(number, **more):
    import graph_work

    return graph_work.draws(number, **more)


def same(one, other, jobs):
    """Whether two outcomes hold the same arrays to the last bit, and the same table but times."""
    columns = ["key", "title", "status"]
    pd.testing.assert_frame_equal(one.table[columns], other.table[columns])
    for each in jobs:
        left, right = one[each], other[each]
        assert left.keys() == right.keys()
        for name, values in left.items():
            assert values.dtype == right[name].dtype
            assert values.tobytes() == right[name].tobytes()
    return True


@pytest.fixture
def computed(monkeypatch):
    """List the seeds of the jobs that are computed in this process."""
    seeds = []
    monkeypatch.setattr("graph_work.note", lambda settings: seeds.append(settings["seed"]))
    return seeds


def test_what_is_needed_is_computed_once_and_shared(tmp_path, computed):
    base = job("draw", {"seed": 1})
    tops = [job("draw", {"seed": seed}, (base,)) for seed in (2, 3, 4)]
    outcome = run(tops, tmp_path, workers=0)
    assert sorted(computed) == [1, 2, 3, 4]
    known = np.random.default_rng(3).normal(size=50) + np.sort(outcome[base]["values"])
    np.testing.assert_array_equal(outcome[tops[1]]["values"], known)


def test_a_leaf_is_needed_without_being_computed_or_listed(tmp_path):
    fixed = leaf("numbers", values=np.arange(50.0))
    top = job("draw", {"seed": 0}, (fixed,))
    outcome = run([top, fixed], tmp_path, workers=0)
    known = np.random.default_rng(0).normal(size=50) + np.arange(50)
    np.testing.assert_array_equal(outcome[top]["values"], known)
    np.testing.assert_array_equal(outcome[fixed]["values"], np.arange(50.0))
    assert list(outcome.table["key"]) == [top.key]


def test_a_leaf_that_moved_is_passed_on_as_it_is_now(tmp_path):
    """What represents a value in the key says nothing of the file that an earlier run left."""
    for value in (1.0, 2.0):
        fixed = leaf("", {"fixed": 1}, values=np.full(50, value))
        top = job("draw", {"seed": int(value)}, (fixed,))
        outcome = run([top], tmp_path, workers=0)
        known = np.random.default_rng(int(value)).normal(size=50) + value
        np.testing.assert_array_equal(outcome[top]["values"], known)


def test_a_rerun_computes_nothing_and_starts_no_process(tmp_path, computed, monkeypatch):
    jobs = draws(3)
    first = run(jobs, tmp_path, workers=0)
    begun = list(computed)
    monkeypatch.setattr(LocalProcesses, "start", None)
    again = run(jobs, tmp_path, workers=2)
    assert computed == begun
    assert same(first, again, jobs)
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "jobs.csv"), again.table)


def test_what_only_done_jobs_need_is_not_computed_again(tmp_path, computed):
    base = job("draw", {"seed": 1})
    top = job("draw", {"seed": 2}, (base,))
    run([top], tmp_path, workers=0)
    (tmp_path / f"{base.key}.npz").unlink()
    outcome = run([top], tmp_path, workers=0)
    assert computed == [1, 2]
    assert list(outcome.table["status"]) == ["not needed", "done"]
    with pytest.raises(StudyError, match="part of the graph"):
        outcome[base]
    run([top, job("draw", {"seed": 3}, (base,))], tmp_path, workers=0)
    assert computed == [1, 2, 1, 3]


def test_a_failed_job_is_reported_and_stops_no_other(tmp_path):
    wrong, defect = job("refuse", {}, title="rows"), job("stumble", {}, title="columns")
    after = job("draw", {"seed": 1}, (wrong,), title="after rows")
    later = job("draw", {"seed": 2}, (after, defect), title="later")
    well = draws(2)
    outcome = run([later, wrong, defect, after, *well], tmp_path, workers=0)
    assert outcome.failures["rows"] == "A job must have rows. Received: none."
    assert outcome.failures["columns"] == r"KeyError: 'no such\ncolumn'"
    assert "rows" in outcome.failures["after rows"]
    assert set(outcome.failures) == {"rows", "columns", "after rows", "later"}
    status = dict(zip(outcome.table["title"], outcome.table["status"], strict=True))
    assert (status["rows"], status["columns"]) == ("failed", "failed")
    assert (status["after rows"], status["later"]) == ("not run", "not run")
    assert all(each in outcome for each in well)
    for each in (wrong, defect, after, later):
        assert each not in outcome
        with pytest.raises(StudyError, match="must not have failed"):
            outcome[each]
    assert "def stumble" not in outcome.failures["columns"]
    assert "in stumble" in (tmp_path / f"{defect.key}.txt").read_text("utf-8")
    assert not (tmp_path / f"{wrong.key}.txt").exists()


@pytest.mark.parametrize("order", [1, -1])
def test_the_first_need_that_failed_is_named_whichever_failed_first(tmp_path, order):
    wrong = [job("refuse", {"number": number}, title=f"rows {number}") for number in range(2)]
    between = job("draw", {"seed": 1}, (wrong[1],), "between")
    last = job("draw", {"seed": 2}, (between, *wrong), "last")
    outcome = run([*wrong[::order], last], tmp_path, workers=0)
    assert "Received: rows 1, which failed." in outcome.failures["last"]


def test_failures_with_the_same_title_are_both_named(tmp_path):
    jobs = [job("refuse", {"number": number}, title="rows") for number in range(3)]
    assert len(run(jobs, tmp_path, workers=0).failures) == 3


def test_a_failed_job_is_tried_again(tmp_path, monkeypatch):
    wrong = job("stumble", {})
    assert wrong not in run([wrong], tmp_path, workers=0)
    mended = wraps(wrong.step)(lambda settings: {"values": np.arange(2)})
    monkeypatch.setattr("graph_work.stumble", mended)
    assert job("stumble", {}) == wrong
    outcome = run([job("stumble", {})], tmp_path, workers=0)
    np.testing.assert_array_equal(outcome[wrong]["values"], [0, 1])
    assert outcome.failures == {}
    assert not (tmp_path / f"{wrong.key}.txt").exists()


def test_a_step_that_a_worker_cannot_import_is_a_failure_of_its_job(tmp_path, monkeypatch):
    nowhere = ModuleType("nowhere")
    exec("def step(settings):\n    return {}", nowhere.__dict__)
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)
    lost = Job(nowhere.step, {}, title="lost")
    jobs = [lost, *draws(1)]
    outcome = run(jobs, tmp_path, workers=1)
    assert [each in outcome for each in jobs] == [False, True, True, True]
    assert outcome.failures["lost"] == "ModuleNotFoundError: No module named 'nowhere'"


def test_results_that_need_pickle_are_refused(tmp_path):
    outcome = run([job("objects", {}, title="objects")], tmp_path, workers=0)
    assert "fixed width" in outcome.failures["objects"]


@pytest.mark.parametrize(
    "arrays", [{"x": np.array([None])}, {"file": np.arange(2)}, {"_job": np.arange(2)}]
)
def test_leaves_that_need_pickle_or_a_name_that_is_taken_are_refused(arrays):
    for key_of in (None, {"sha256": "f"}):
        with pytest.raises(StudyError, match="fixed width"):
            leaf("numbers", key_of, **arrays)


def test_no_job_can_write_over_what_others_share(tmp_path):
    base = job("draw", {"seed": 0})
    outcome = run([job("overwrite", {}, (base,), "over")], tmp_path, workers=0)
    assert "read-only" in outcome.failures["over"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Make a job, and return it with the file of its result, and the content of that file."""
    folder = tmp_path_factory.mktemp("graph")
    only = job("draw", {"seed": 5, "size": 20})
    run([only], folder, workers=0)
    file = folder / f"{only.key}.npz"
    return only, file, file.read_bytes()


@settings(max_examples=60)
@holds_for(st.data())
def test_a_damaged_file_is_computed_again(written, data):
    only, file, content = written
    how = data.draw(st.sampled_from(["cut", "flip", "grow"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if how == "cut":
        damaged = content[:place]
    elif how == "flip":
        bits = data.draw(st.integers(1, 255))
        damaged = content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]
    else:
        damaged = content[:place] + content[place : place + 9] + content[place:]
    file.write_bytes(damaged)
    values = run([only], file.parent, workers=0)[only]
    assert values["values"].tobytes() == np.random.default_rng(5).normal(size=20).tobytes()
    assert values["seed"] == 5


def test_a_file_under_another_jobs_name_is_computed_again(tmp_path):
    one, other = job("draw", {"seed": 1}), job("draw", {"seed": 2})
    run([one], tmp_path, workers=0)
    (tmp_path / f"{one.key}.npz").rename(tmp_path / f"{other.key}.npz")
    assert run([other], tmp_path, workers=0)[other]["seed"] == 2


@holds_for(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_in_which_jobs_are_asked_for_does_not_matter(tmp_path_factory, order):
    jobs = draws(3)
    known = run(jobs, tmp_path_factory.mktemp("known"), workers=0)
    shuffled = order.sample(jobs, len(jobs))
    found = run(shuffled, tmp_path_factory.mktemp("found"), workers=0)
    for each in jobs:
        assert known[each]["values"].tobytes() == found[each]["values"].tobytes()


def test_processes_give_the_table_of_this_one_whatever_fails_beside(tmp_path):
    jobs = draws(4)
    known = run(jobs, tmp_path / "here", workers=0)
    beside = [
        job("die", {}, title="killed"),
        job("stumble", {}, title="columns"),
        job("surroundings", {"number": 1}),
        job("surroundings", {"number": 2}),
        job("draw", {"seed": 99}, (job("die", {}),), "after"),
    ]
    found = run([*beside, *jobs], tmp_path / "apart", workers=2)
    assert "exit code -9" in found.failures.pop("killed")
    assert found.failures.pop("columns") == r"KeyError: 'no such\ncolumn'"
    assert "killed" in found.failures.pop("after")
    assert found.failures == {}
    reported = [found[each] for each in beside[2:4]]
    assert {int(one["process"]) for one in reported}.isdisjoint({os.getpid()})
    for one in reported:
        # One thread each, and no framework for work that needs none.
        assert one["threads"].tolist() == ["1", "1", "1"]
        assert one["heavy"].tolist() == []
    again = run(jobs, tmp_path / "apart", workers=2)
    assert same(known, again, jobs)
    assert "OMP_NUM_THREADS" not in set(os.environ) - set(_ENVIRONMENT)


_ENVIRONMENT = dict(os.environ)


def test_fewer_than_no_workers_are_refused(tmp_path):
    with pytest.raises(StudyError, match="Workers must be 0 or more"):
        run([], tmp_path, workers=-1)


SCRIPT = """
import sys
from functools import wraps
from pathlib import Path
from graph_work import draws, job
from thyro_demo.study.graph import run
if __name__ == "__main__":
    jobs = [job("endless", {})] if sys.argv[2] == "endless" else draws(50, aloud=True)
    run(jobs, Path(sys.argv[1]), workers=2)
"""


def begin(folder, what="draws"):
    """Start a graph in a process of its own; its workers share its standard output."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}"},
    )


def test_workers_end_with_a_run_that_is_killed(tmp_path):
    with begin(tmp_path, "endless") as process:
        assert process.stdout.readline() == "begun\n"
        process.kill()
        # The pipe ends when the last process that holds it does.
        process.communicate(timeout=30)


@pytest.mark.slow
def test_a_graph_killed_again_and_again_ends_with_the_same_table(tmp_path):
    chance = random.Random(2024)
    jobs = draws(50, aloud=True)
    seeds = {each.key: each.settings["seed"] for each in jobs}
    interrupted = 0
    for _ in range(10):
        written = {seeds[file.stem] for file in tmp_path.glob("[!.]*.npz")}
        # A quick host may end the graph before the tenth run.
        if len(written) == len(jobs):
            break
        interrupted += len(written) > 0
        with begin(tmp_path) as process:
            begun = [process.stdout.readline() for _ in range(chance.randint(0, 3))]
            try:
                process.wait(chance.uniform(0, 0.03))
            except subprocess.TimeoutExpired:
                process.kill()
            begun += process.communicate(timeout=30)[0].splitlines()
        computed = [int(line) for line in begun if line.strip()]
        assert len(computed) == len(set(computed))
        # No job is computed twice after it was written.
        assert written.isdisjoint(computed)
    assert interrupted >= 2
    resumed = run(jobs, tmp_path, workers=2)
    whole = run(draws(50, aloud=True), tmp_path / "whole", workers=2)
    assert same(resumed, whole, jobs)
