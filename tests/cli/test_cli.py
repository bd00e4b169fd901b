"""The front door: it answers at once, in one sentence, with the exit code that is promised."""

import argparse
import errno
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from thyro_demo import __version__, cli
from thyro_demo.errors import ImageError, ThyroError

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"gradio", "keras", "matplotlib", "numpy", "pandas", "scipy", "sklearn", "tensorflow"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )


@pytest.fixture
def command(monkeypatch):
    """Put a sub-command of one's own in the place of `phantom`."""

    def replace(run, add_arguments=lambda parser: None):
        module = SimpleNamespace(HELP="do what a test wants", add_arguments=add_arguments, run=run)
        monkeypatch.setitem(sys.modules, "thyro_demo.cli.phantom", module)

    return replace


@pytest.mark.parametrize("words", [[], *([name] for name in cli.COMMANDS)], ids=str)
def test_help_imports_no_heavy_package(words):
    answer = python("-X", "importtime", "-m", "thyro_demo", *words, "--help")
    assert answer.stdout.startswith("usage: python -m thyro_demo")
    imported = set(re.findall(r"\| +(\w+)", answer.stderr))
    assert "argparse" in imported
    assert not imported & HEAVY


def test_help_names_every_command_with_its_purpose():
    text = cli.build_parser().format_help()
    for name in cli.COMMANDS:
        assert re.search(rf"^ +{name} +\S", text, re.MULTILINE), name


def test_each_module_with_a_purpose_is_a_command():
    modules = (ROOT / "thyro_demo" / "cli").glob("[a-z]*.py")
    found = {path.stem for path in modules if "\nHELP = " in path.read_text(encoding="utf-8")}
    assert found == set(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_purpose_is_a_phrase_that_fits_on_a_line_of_help(name):
    purpose = importlib.import_module(f"thyro_demo.cli.{name}").HELP
    assert re.fullmatch(r"[a-z][^\n]{,70}[^.\n]", purpose)


def test_without_a_command_the_help_is_printed(capsys):
    assert cli.main([]) == 0
    assert capsys.readouterr().out == cli.build_parser().format_help()


def test_version_is_the_package_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"ThyroDemo {__version__}\n"


def test_unknown_command_is_refused_with_the_list_of_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["diagnose"])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert all(name in message for name in cli.COMMANDS)


@pytest.mark.parametrize("kind", [ThyroError, ImageError])
def test_error_of_the_user_is_one_sentence_and_exit_code_2(command, capsys, kind):
    def run(args: argparse.Namespace) -> None:
        raise kind("An image must be a PNG. Received: 'film.svg'")

    command(run)
    assert cli.main(["phantom"]) == 2
    printed = capsys.readouterr()
    assert printed.err == "An image must be a PNG. Received: 'film.svg'\n"
    assert printed.out == ""


def test_defect_of_ours_is_not_hidden(command):
    def run(args: argparse.Namespace) -> None:
        raise ZeroDivisionError

    command(run)
    with pytest.raises(ZeroDivisionError):
        cli.main(["phantom"])


def test_a_full_disk_is_reported_in_one_sentence(command, capsys, tmp_path):
    def run(args: argparse.Namespace) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "a.png"))

    command(run)
    assert cli.main(["phantom"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"Received: {tmp_path / 'a.png'} ({os.strerror(errno.ENOSPC)}).\n" in printed


def test_a_reader_who_leaves_is_no_error():
    # `head` reads one line and closes the pipe while the command still writes.
    code = (
        "import sys; from thyro_demo import cli\n"
        "def run(args):\n    for _ in range(100_000): print('line')\n"
        "import thyro_demo.cli.phantom as command; command.run = run\n"
        "sys.exit(cli.main(['phantom']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline().strip() == b"line"
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait(60) == cli.PIPE_CLOSED


def test_keyboard_interrupt_is_one_line_and_exit_code_130(command, capsys):
    def run(args: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    command(run)
    assert cli.main(["phantom"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_returns_becomes_the_exit_code(command, returned, code):
    command(lambda args: returned)
    assert cli.main(["phantom"]) == code


def test_command_receives_its_arguments(command):
    received = []
    command(
        lambda args: received.append(args.count),
        lambda parser: parser.add_argument("--count", type=int),
    )
    cli.main(["phantom", "--count", "3"])
    assert received == [3]


def test_environment_is_set_for_the_imports_and_the_users_own_setting_wins(command, monkeypatch):
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    seen = {}
    command(lambda args: seen.update(os.environ))
    cli.main(["phantom"])
    assert seen["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert seen["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.slow
def test_networks_work_whatever_another_project_asked_of_keras(
    tiny_weights, spotted_frames, tmp_path
):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    Image.fromarray(spotted_frames[0][1]).save(tmp_path / "frame.png")
    command = ["predict", str(tmp_path / "frame.png"), "--weights", str(tiny_weights)]
    done = subprocess.run(
        [sys.executable, "-m", "thyro_demo", *command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Tiny net" in done.stdout


@pytest.mark.parametrize("settings", ['{"floatx": "int8"}', "[]"])
def test_settings_that_keras_refuses_are_named_in_one_sentence(tmp_path, settings):
    (tmp_path / "keras.json").write_text(settings)
    done = subprocess.run(
        [sys.executable, "-m", "thyro_demo", "predict", "frame.png"],
        cwd=ROOT,
        env={**os.environ, "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(f"keras.json. Received: {settings}.\n")
    assert done.stderr.count("\n") == 1
