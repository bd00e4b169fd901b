"""``python -m thyro_demo bench``."""

import argparse
import json

import pytest

from thyro_demo.bench import compare, concat, phantom, play, start, train, trust
from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.cli import bench
from thyro_demo.errors import ThyroError

MODULES = {
    "compare": compare,
    "train": train,
    "phantom": phantom,
    "concat": concat,
    "start": start,
    "play": play,
    "trust": trust,
}


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.run(parser.parse_args(words))


@pytest.fixture
def asked(monkeypatch) -> dict[str, dict]:
    """Put stand-ins in the place of the benches; only `train` misses its target."""
    asked: dict[str, dict] = {}

    def stand_in(name: str):
        value = 2.0 if name == "train" else 1.0
        figure = Figure("speed", 1.0, "s", value=value, bound=1.5, target="≤ 1.5 s")

        def measure(**options):
            asked[name] = options
            return Outcome(name, [figure])

        return measure

    for name, module in MODULES.items():
        monkeypatch.setattr(module, "run", stand_in(name))
    return asked


def test_every_bench_prints_its_table(asked, capsys):
    assert run("all") == 0
    assert list(asked) == list(bench.BENCHES) == list(MODULES)
    printed = capsys.readouterr().out
    assert all(f"bench {name}" in printed for name in MODULES)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("train",), 0),
        (("train", "--check"), 1),
        (("compare", "--check"), 0),
        (("all", "--check"), 1),
    ],
)
def test_only_a_checked_bench_that_misses_exits_with_1(asked, words, code, capsys):
    assert run(*words) == code


def test_json_holds_figures_and_host_also_when_a_target_is_missed(asked, tmp_path, capsys):
    file = tmp_path / "deep" / "bench.json"
    assert run("train", "--check", "--json", str(file)) == 1
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["met"] is False
    assert content["host"]["cores"] >= 1
    assert [each["bench"] for each in content["benches"]] == ["train"]


def test_options_reach_the_bench_they_are_for(asked, tmp_path, capsys):
    given = ("--rounds", "2", "--peer-epochs", "20", "--peer-subsets", "57")
    run("all", *given, "--weights", str(tmp_path), "--fast")
    assert asked == {
        "compare": {"rounds": 2},
        "train": {"rounds": 2, "peer_epochs": 20},
        "phantom": {"rounds": 2},
        "concat": {"rounds": 2, "peer_subsets": 57},
        "start": {"rounds": 2, "weights": tmp_path},
        "play": {"rounds": 2, "weights": tmp_path},
        "trust": {"weights": tmp_path, "fast": True},
    }


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(asked, tmp_path):
    with pytest.raises(ThyroError, match="Received: "):
        run("phantom", "--json", str(tmp_path))
    with pytest.raises(ThyroError, match="Received: "):
        run("phantom", "--weights", str(tmp_path / "none"))
    assert asked == {}


@pytest.mark.parametrize("words", [(), ("speed",), ("phantom", "--rounds", "0")])
def test_what_no_bench_understands_ends_with_the_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 2
