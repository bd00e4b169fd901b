"""``python -m thyro_demo ui`` and ``python app.py``: open the app."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from thyro_demo.errors import ThyroError

HELP = "open the app in a browser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The parser of this command.
    """
    parser.add_argument(
        "--share", action="store_true", help="make a public link; asks first if without --auth"
    )
    parser.add_argument(
        "--auth", type=_credentials, metavar="USER:PASSWORD", help="ask visitors for a password"
    )
    parser.add_argument("--port", type=int, help="port; by default the first free one from 7860")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder of bundles")
    parser.add_argument(
        "--no-browser", action="store_true", help="do not open the page in the browser"
    )


def run(args: argparse.Namespace) -> None:
    """Open the app and return when it has been stopped.

    Parameters
    ----------
    args : argparse.Namespace
        The options of `add_arguments`.

    Raises
    ------
    ThyroError
        If the port is taken or no port has that number, the folder of bundles does not
        exist, or a public link without a password is asked for and nobody confirms it.
    """
    if args.weights is not None and not args.weights.is_dir():
        raise ThyroError(f"--weights must name a folder of bundles. Received: {args.weights}.")
    if args.share and args.auth is None:
        _confirm_open_link()
    # Stopped from outside, the app must still remove what was uploaded to it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from thyro_demo.engine import Engine
    from thyro_demo.ui.launch import launch

    launch(
        Engine(args.weights),
        share=args.share,
        auth=args.auth,
        port=args.port,
        browser=not args.no_browser,
    )


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
            "A public link needs --auth USER:PASSWORD where nobody can be asked to confirm an "
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
