"""Launch the app: locally, inside a notebook, or on a public link."""

from __future__ import annotations

import contextlib
import io
import socket

import gradio as gr

from thyro_demo.engine import Engine
from thyro_demo.errors import ThyroError
from thyro_demo.ui.build import build_ui
from thyro_demo.ui.style import STYLE_SHEET, theme
from thyro_demo.ui.uploads import private_folder
from thyro_demo.ui.warmup import WarmUp

MAX_FILE_SIZE = "20mb"
MAX_QUEUE = 32

PORTS = range(7860, 7960)

_LAST_PORT = 65_535
_LOCAL = "127.0.0.1"
_PATIENCE_S = 10.0


def launch(
    engine: Engine,
    *,
    share: bool = False,
    auth: tuple[str, str] | None = None,
    port: int | None = None,
    browser: bool = False,
    prevent_thread_lock: bool = False,
) -> gr.Blocks:
    """Launch the app and load the networks behind it.

    Parameters
    ----------
    engine : Engine
        What compares and explains.
    share : bool, optional
        Whether to ask Gradio's tunnel for a public link; where that fails the app runs
        on locally.
    auth : tuple of str, optional
        User and password.
    port : int, optional
        By default the first free one from 7860.
    browser : bool, optional
        Whether to open the page in the system's browser.
    prevent_thread_lock : bool, optional
        Whether to return at once, as a notebook wants; else this returns when the app
        has been stopped.

    Returns
    -------
    gr.Blocks
        The running app; ``close()`` stops it.

    Raises
    ------
    ThyroError
        If the port is taken, or no port has that number.
    """
    port = _free_port(port)
    private_folder()
    warm_up = WarmUp(engine)
    app = build_ui(engine, warm_up=warm_up)
    app.queue(max_size=MAX_QUEUE)
    _serve(app, share=share, auth=auth, port=port, browser=browser)
    warm_up.start_within(_PATIENCE_S)
    print(f"ThyroDemo runs at {app.local_url} – teaching and research only.", flush=True)
    if share:
        print(_sharing(app.share_url, auth), flush=True)
    if not prevent_thread_lock:
        print("Press Ctrl+C to stop it.", flush=True)
        app.block_thread()
    return app


def _serve(
    app: gr.Blocks, *, share: bool, auth: tuple[str, str] | None, port: int, browser: bool
) -> None:
    # Gradio tells of a failed tunnel in a page of text; ours is a sentence.
    with contextlib.redirect_stdout(io.StringIO()) if share else contextlib.nullcontext():
        app.launch(
            share=share,
            auth=auth,
            server_name=_LOCAL,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            height=900,
            max_file_size=MAX_FILE_SIZE,
            allowed_paths=[],
            footer_links=["api"],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=theme(),
            css_paths=STYLE_SHEET,
        )


def _free_port(port: int | None) -> int:
    """Find a port before the page is built, so that a taken one is told at once."""
    if port is not None and not 1 <= port <= _LAST_PORT:
        raise ThyroError(f"A port is a number from 1 to {_LAST_PORT}. Received: {port}.")
    for candidate in PORTS if port is None else (port,):
        try:
            with socket.create_server((_LOCAL, candidate)):
                return candidate
        except OSError:
            continue
    raise ThyroError(
        "The port must be a free one; stop the program that uses it, or choose another with "
        f"--port. Received: port {port or f'{PORTS.start} to {PORTS.stop - 1}'}."
    )


def _sharing(url: str | None, auth: tuple[str, str] | None) -> str:
    if url is None:
        return "The public link could not be made; the app goes on running on this machine alone."
    guard = "asks for the password" if auth else "is open to anyone who knows the address"
    return f"Public link, no patient's images: {url} ({guard}; it lasts up to a week)."
