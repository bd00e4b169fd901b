"""The sub-commands of the command line, one module each.

Each module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args)``, and
keeps heavy imports inside ``run``, so that ``--help`` answers at once.
"""

import argparse
import importlib
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from thyro_demo import __version__
from thyro_demo.errors import ThyroError

COMMANDS = (
    "phantom", "data", "train", "study", "evaluate", "predict", "bench", "course", "ui", "docs",
)  # fmt: skip
"""The sub-commands in the order of a first project; each is a module of this package."""

DESCRIPTION = (
    "A teaching lab for computer-aided diagnosis on thyroid ultrasound: draw phantoms, fetch "
    "and check data, train networks, compare their predictions and see where they looked. "
    "Teaching and research only."
)

ENVIRONMENT = {
    # TensorFlow's start-up notes would bury the one sentence that a user needs to read.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # No request leaves the computer unasked.
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Settings that TensorFlow and Gradio read once, while they are imported."""

KERAS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
"""Settings of Keras that the networks are made for, and that are its own defaults."""

WITHOUT_KERAS = {"phantom", "data", "docs"}
"""The sub-commands that have no network."""

INTERRUPTED = 130
"""Exit code of a command stopped by Ctrl+C: 128 + SIGINT, as shells have it."""

PIPE_CLOSED = 141
"""Exit code of a command whose output nobody reads any more: 128 + SIGPIPE."""


def set_environment() -> None:
    """Set `ENVIRONMENT`, leaving what the user has set as it is."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def set_up_keras() -> None:
    """Set Keras to `KERAS`, whatever an old project has left in its settings file.

    Keras is imported only where the file differs from it; that takes seconds.

    Raises
    ------
    ThyroError
        If the file holds something that Keras refuses.
    """
    path = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras.json"
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        # Keras does without such a file, too.
        return
    if isinstance(settings, dict) and KERAS.items() <= (KERAS | settings).items():
        return
    try:
        import keras
    # Keras 3.13.0 asserts what later versions raise.
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise ThyroError(
            f"The settings of Keras must be ones that it knows; correct or remove {path}. "
            f"Received: {json.dumps(settings)[:200]}."
        ) from error
    keras.config.set_image_data_format(KERAS["image_data_format"])
    keras.config.set_floatx(KERAS["floatx"])
    keras.config.set_epsilon(KERAS["epsilon"])


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """Build the parser; without `chosen` it knows, and imports, all sub-commands."""
    parser = argparse.ArgumentParser(prog="python -m thyro_demo", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"ThyroDemo {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS if chosen is None else (chosen,):
        module: ModuleType = importlib.import_module(f"thyro_demo.cli.{name}")
        purpose: str = module.HELP
        sentence = f"{purpose[0].upper()}{purpose[1:]}."
        command = commands.add_parser(name, help=purpose, description=sentence)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after ``python -m thyro_demo``; by default those of this process.

    Returns
    -------
    int
        0 on success, 2 after an error that the user can mend (one sentence on
        stderr), 130 after Ctrl+C, 141 when the output's reader has left, else what the
        sub-command returned.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    set_environment()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A Windows pipe may lack a sign such as ≥; a question mark beats a traceback.
            stream.reconfigure(errors="replace")
    parser = build_parser(arguments[0] if arguments and arguments[0] in COMMANDS else None)
    args = parser.parse_args(arguments)
    if not hasattr(args, "run"):
        parser.print_help()
        return 0
    try:
        if arguments[0] not in WITHOUT_KERAS:
            set_up_keras()
        return args.run(args) or 0
    except ThyroError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe has left, as `head` does; what is still in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        place = f"{error.filename} " if error.filename else ""
        print(
            "A file could not be read or written; check the space on the disk and the rights to "
            f"the folder. Received: {place}({error.strerror or error}).",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("Stopped by the keyboard; nothing half-written was kept.", file=sys.stderr)
        return INTERRUPTED
