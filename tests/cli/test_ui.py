"""The command refuses to open the app to everyone unless someone confirms it."""

import argparse
import io
import os
import re
import signal
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

import httpx
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
    printed = capsys.readouterr().err
    assert "USER:PASSWORD" in printed
    assert "secret" not in printed


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


NETWORK_OF_A_HOSPITAL = {
    "http_proxy": "http://127.0.0.1:1",
    "all_proxy": "socks://127.0.0.1:1",
    "SSL_CERT_FILE": "/nonexistent.pem",
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_an_app_among_proxies_and_strangers_starts_and_leaves_nothing(tiny_weights, tmp_path):
    # Somebody else's, where Gradio would like to have its own.
    (tmp_path / "gradio").touch()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--no-browser", "--weights", str(tiny_weights)],
        cwd=ROOT,
        env={**os.environ, **NETWORK_OF_A_HOSPITAL, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with app:
        assert app.stdout is not None
        printed = "".join(iter(app.stdout.readline, "Press Ctrl+C to stop it.\n"))
        address = re.search(r"runs at (\S+)", printed)
        assert address, printed
        with httpx.Client(base_url=address[1], trust_env=False) as visitor:
            for number in range(39):
                frame = {"files": (f"{number}.png", bytes([number]))}
                assert visitor.post("gradio_api/upload", files=frame).status_code == 200
        assert len(list(tmp_path.rglob("*.png"))) == 39
        # The terminal is closed, and the host is impatient.
        for number in islice(cycle([signal.SIGHUP, signal.SIGTERM, signal.SIGINT]), 60):
            app.send_signal(number)
        app.stdout.read()
    assert [path.name for path in tmp_path.iterdir()] == ["gradio"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_an_app_that_is_to_outlive_its_terminal_does():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ui._on_signals(("SIGHUP",), lambda *_: None)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
