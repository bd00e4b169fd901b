import os
import socket
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from thyro_demo.errors import StudyError
from thyro_demo.study.graph import run

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Let this process and its workers import the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield


@pytest.fixture
def cluster(monkeypatch):
    """Start two nodes of one processor each on this host."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # The project's own modules are sent to the nodes; those of the tests they have to have.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    # A node that is gone is to be missed within seconds.
    sooner = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    nodes = Cluster(initialize_head=True, head_node_args=NODE | {"_system_config": sooner})
    yield nodes
    nodes.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="waits on named pipes and file locks of POSIX")
def test_a_cluster_that_loses_a_node_gives_the_local_table(tmp_path, cluster):
    import fcntl

    from graph_work import job

    second = cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    (tmp_path / "node").write_text(second.node_id)
    for pipe in ("begun", "never"):
        os.mkfifo(tmp_path / pipe)

    gate = os.open(tmp_path / "gate", os.O_CREAT | os.O_RDWR)
    fcntl.flock(gate, fcntl.LOCK_EX)

    def lose():
        (tmp_path / "begun").read_text()
        cluster.remove_node(second, allow_graceful=False)
        os.close(gate)

    facts = {"folder": str(tmp_path)}
    bases = [job("doomed", facts | {"seed": seed, "last": False}) for seed in range(8)]
    tops = [
        job("doomed", facts | {"seed": 8 + seed, "last": True}, (bases[seed], bases[-1 - seed]))
        for seed in range(8)
    ]
    wrong = job("refuse", {}, title="rows")
    jobs = [*tops, wrong, job("draw", {"seed": 99}, (wrong,), "after rows")]
    losing = threading.Thread(target=lose, daemon=True)
    losing.start()
    far = run(jobs, tmp_path / "far", ray=cluster.address)
    losing.join()
    near = run(jobs, tmp_path / "near", workers=2)

    columns = ["key", "title", "status"]
    pd.testing.assert_frame_equal(far.table[columns], near.table[columns])
    assert far.failures == near.failures
    assert far.failures["rows"] == "A job must have rows. Received: none."
    for each in (*bases, *tops):
        assert far[each]["values"].tobytes() == near[each]["values"].tobytes()
    # Both nodes had a part in it, and what was lost with one was begun again on the other.
    begun = [line.split() for line in (tmp_path / "begun.log").read_text().splitlines()]
    assert second.node_id in {node for node, _ in begun}
    assert len({node for node, _ in begun}) == 2
    seeds = [seed for _, seed in begun]
    assert sorted({int(seed) for seed in seeds}) == list(range(16))
    (twice,) = {seed for seed in seeds if seeds.count(seed) > 1}
    assert begun[seeds.index(twice)][0] == second.node_id
    assert int(twice) >= 8


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:{port}"])
def test_an_address_where_no_cluster_answers_is_refused(tmp_path, address):
    from graph_work import draws

    pytest.importorskip("ray")
    with socket.socket() as bound:
        # Bound without listening, so that nobody else can.
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(StudyError, match="address of a Ray cluster"):
            run(draws(1), tmp_path, ray=address.format(port=port))


def test_a_cluster_without_ray_is_refused_with_the_command_that_installs_it(tmp_path, monkeypatch):
    from graph_work import draws

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StudyError, match="pip install ray"):
        run(draws(1), tmp_path, ray="auto")
    assert list(tmp_path.iterdir()) == []
