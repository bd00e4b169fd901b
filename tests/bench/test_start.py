"""The page of an app is timed from the start of its process to the moment it can be used."""

import sys
import urllib.request

import pytest

from thyro_demo.bench import start
from thyro_demo.errors import ThyroError

SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]


def test_a_page_is_used_while_it_runs_and_gone_after_that():
    visited = []

    def usable(address: str, shows: str) -> None:
        with urllib.request.urlopen(address) as answer:
            visited.append((answer.status, shows))

    addresses: list[str] = []
    page, use = start._started(
        lambda port: [*SERVER, str(port)], usable, "footer", then=addresses.append
    )
    assert visited == [(200, "footer")]
    assert page > use >= 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(addresses[0])


def test_an_app_that_ends_at_once_is_reported_in_one_sentence():
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(ThyroError, match="Received: no answer from"):
        start._started(lambda port: command, lambda *_: None, "footer")


@pytest.mark.parametrize(
    ("ours", "empty", "first", "met"),
    [
        (8.0, 4.0, 15.0, [True, True]),
        (8.1, 4.0, 15.1, [False, False]),
        (2.0, 0.0, 0.1, [True, True]),
    ],
)
def test_the_targets_are_those_of_the_issue(ours, empty, first, met):
    assert [figure.met for figure in start._figures(ours, max(empty, 1e-9), first)] == met


def test_shipped_bundles_are_opened_where_there_are_any(tiny_weights, tmp_path):
    assert start.bundles(tiny_weights, tmp_path) == tiny_weights
    assert list(tmp_path.iterdir()) == []


def test_the_empty_app_is_python():
    compile(start.EMPTY_APP, "empty app", "exec")
