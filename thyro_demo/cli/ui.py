"""`ui`, and `app.py` in the project: open the app."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thyro_demo.errors import ThyroError

HELP = "open the app in a browser"

_END = ("SIGTERM", "SIGHUP")
"""Signals of a service manager and of a terminal that is closed; Windows lacks the second."""

_STOP = (*_END, "SIGINT", "SIGBREAK")
"""With the keyboard's: Ctrl+C, and Ctrl+Break on Windows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--share", action="store_true", help="make a public link; asks first if without --auth"
    )
    parser.add_argument(
        "--auth", type=_credentials, metavar="USER:PASSWORD", help="ask visitors for a password"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen at; by default %(default)s, which this computer alone can reach. "
        "With 0.0.0.0, as a container needs it, everybody who can reach it can use the "
        "page and its networks: add --auth",
    )
    parser.add_argument("--port", type=int, help="port; by default the first free one from 7860")
    parser.add_argument(
        "--root-path",
        metavar="ADDRESS",
        help="where a proxy in front shows the page: best the whole address, as "
        "https://example.org/thyro, else a path",
    )
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder of bundles")
    parser.add_argument(
        "--no-browser", action="store_true", help="do not open the page in the browser"
    )


def run(args: argparse.Namespace) -> None:
    """Open the app and return when it has been stopped."""
    if args.weights is not None and not args.weights.is_dir():
        raise ThyroError(f"--weights must name a folder of bundles. Received: {args.weights}.")
    if args.share and args.auth is None:
        _confirm_open_link()
    # Ended while it starts, the app must still remove its folder.
    _on_signals(_END, lambda *_: sys.exit(0))
    from thyro_demo.engine import Engine
    from thyro_demo.ui.launch import launch
    from thyro_demo.ui.uploads import remove_uploads

    app = launch(
        Engine(args.weights),
        share=args.share,
        auth=args.auth,
        host=args.host,
        port=args.port,
        root_path=args.root_path,
        browser=not args.no_browser,
        prevent_thread_lock=True,
    )
    # From now on a signal raises nothing, so that no further one can interrupt the removal. It is
    # only noted: two that come at once would wait for each other at the lock of an Event.
    noted: list[int] = []
    _on_signals(_STOP, lambda number, _: noted.append(number))
    print("Press Ctrl+C to stop it.", flush=True)
    while app.is_running and not noted:
        time.sleep(0.1)
    # First of all: whoever ends a program may not wait for long.
    remove_uploads()
    app.close(verbose=False)


def _on_signals(names: tuple[str, ...], handler: Callable[..., Any]) -> None:
    for name in names:
        number = getattr(signal, name, None)
        # One that is ignored stays so: `nohup` lets an app outlive its terminal in this way.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _credentials(text: str) -> tuple[str, str]:
    user, mark, password = text.partition(":")
    if not (user and mark and password):
        # The text may be a password: it is not repeated.
        raise argparse.ArgumentTypeError("must be USER:PASSWORD, neither of them empty")
    return user, password


def _confirm_open_link() -> None:
    """Ask on the terminal before the app is opened to anyone."""
    if not sys.stdin.isatty():
        raise ThyroError(
            "A public link must have --auth USER:PASSWORD where nobody can be asked to confirm an "
            "open one. Received: --share alone."
        )
    print("Anyone who knows the link will be able to use this app; add --auth USER:PASSWORD.")
    try:
        answer = input("Share without a password? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise ThyroError(
            "A public link without a password must be confirmed with y. Received: no confirmation."
        )
