"""The command refuses to open the app to everyone unless someone says so."""

import argparse
import io
import subprocess
import sys
from pathlib import Path

import pytest

from thyro_demo.cli import ui
from thyro_demo.errors import ThyroError

ROOT = Path(__file__).resolve().parents[2]


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    ui.add_arguments(parser)
    return parser.parse_args(arguments)


def test_a_password_comes_with_a_user():
    assert parse("--auth", "reader:se:cret").auth == ("reader", "se:cret")


@pytest.mark.parametrize("text", ["secret", ":secret", "reader:"])
def test_half_a_credential_is_refused_and_not_repeated(text, capsys):
    with pytest.raises(SystemExit):
        parse("--auth", text)
    told = capsys.readouterr().err
    assert "USER:PASSWORD" in told
    assert "secret" not in told


def test_an_open_link_is_refused_where_nobody_can_be_asked(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ThyroError, match="--auth USER:PASSWORD"):
        ui.run(parse("--share"))


def test_an_open_link_is_refused_unless_confirmed(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "")
    with pytest.raises(ThyroError, match="confirmed with y"):
        ui.run(parse("--share"))


def test_an_open_link_is_refused_when_the_question_is_left_by_the_end_of_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with pytest.raises(ThyroError, match="confirmed with y"):
        ui.run(parse("--share"))


def test_a_folder_of_bundles_must_exist(tmp_path):
    with pytest.raises(ThyroError, match="--weights must name a folder"):
        ui.run(parse("--weights", str(tmp_path / "absent")))


def test_the_command_line_does_not_wait_for_gradio_or_tensorflow():
    script = (
        "import sys, thyro_demo.cli.ui\n"
        "sys.exit(any(name in sys.modules for name in ('gradio', 'tensorflow', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == 0
