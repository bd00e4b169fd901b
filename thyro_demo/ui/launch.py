"""Launch the app: locally, inside a notebook, or on a public link."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio import networking
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from thyro_demo.engine import Engine
from thyro_demo.errors import ThyroError
from thyro_demo.ui import preview
from thyro_demo.ui.build import build_ui
from thyro_demo.ui.direct import direct
from thyro_demo.ui.style import STYLE_SHEETS, theme
from thyro_demo.ui.uploads import remove_old
from thyro_demo.ui.warmup import WarmUp

MAX_FILE_SIZE = "20mb"
MAX_QUEUE = 32

FAVICON = Path(__file__).with_name("favicon.svg")

PORTS = range(7860, 7960)

LOCAL = "127.0.0.1"
"""The address that this computer alone can reach."""

_LAST_PORT = 65_535
_PATIENCE_S = 10.0
_TRIES = 5
# Looked for every minute, gone at nine: no upload stays for more than ten.
_OLD_S, _BROKEN_OFF_S, _TIDY_EVERY_S = 540.0, 300.0, 60.0


def launch(
    engine: Engine,
    *,
    share: bool = False,
    auth: tuple[str, str] | None = None,
    host: str = LOCAL,
    port: int | None = None,
    root_path: str | None = None,
    browser: bool = False,
    prevent_thread_lock: bool = False,
) -> gr.Blocks:
    """Launch the app and load the networks behind it.

    Parameters
    ----------
    engine : Engine
        What compares and explains.
    share : bool, optional
        Whether to ask Gradio's tunnel for a public link; without one the app runs on locally.
    auth : tuple of str, optional
        User and password.
    host : str, optional
        Address of this computer to listen at; at "0.0.0.0", all of them, everybody who can
        reach it can use the page. By default this computer alone.
    port : int, optional
        By default the first free one from 7860.
    root_path : str, optional
        Path or address under which a proxy in front shows the page, such as "/thyro".
    browser : bool, optional
        Whether to open the page in a browser.
    prevent_thread_lock : bool, optional
        Whether to return at once, as a notebook wants, and not when the app was stopped.

    Returns
    -------
    gr.Blocks
        The running app; ``close()`` stops it.

    Raises
    ------
    ThyroError
        If port, address or path cannot be used.
    """
    _check_root_path(root_path)
    _free_port(host, port)  # a taken one is reported before the page is built
    warm_up = WarmUp(engine)
    app = build_ui(engine, warm_up=warm_up).queue(max_size=MAX_QUEUE)
    _serve(app, auth=auth, host=host, port=port, root_path=root_path, browser=browser)
    threading.Thread(target=_tidy, args=(app,), name="tidy", daemon=True).start()
    warm_up.start_within(_PATIENCE_S)
    print(f"ThyroDemo runs at {app.local_url} – teaching and research only.", flush=True)
    if not _is_loopback(host):
        print(_open_to_all(auth), flush=True)
    if share:
        _make_public(app)
        print(_sharing(app.share_url, auth), flush=True)
    if not prevent_thread_lock:
        print("Press Ctrl+C to stop it.", flush=True)
        app.block_thread()
    return app


def _serve(app: gr.Blocks, *, host: str, port: int | None, **settings: Any) -> None:
    """Serve at a free port, and at the next when another app was quicker to take it."""
    for tries_left in reversed(range(_TRIES)):
        free = _free_port(host, port)
        try:
            return _serve_at(app, host=host, port=free, **settings)
        except OSError:
            if not tries_left:
                raise


def _serve_at(
    app: gr.Blocks,
    *,
    auth: tuple[str, str] | None,
    host: str,
    port: int,
    root_path: str | None,
    browser: bool,
) -> None:
    with direct():
        app.launch(
            share=False,
            auth=auth,
            server_name=f"[{host}]" if ":" in host else host,
            server_port=port,
            root_path=root_path,
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
            css_paths=STYLE_SHEETS,
            favicon_path=FAVICON,
            app_kwargs={
                "routes": [Route("/healthz", _health), Route("/preview.png", preview.serve)]
            },
        )


def _tidy(app: gr.Blocks) -> None:
    """Keep the promise that no upload stays for more than ten minutes."""
    while app.is_running:
        remove_old(_OLD_S, _BROKEN_OFF_S)
        time.sleep(_TIDY_EVERY_S)


async def _health(_: Request) -> PlainTextResponse:
    """Answer a container's or a proxy's question whether the app is there."""
    return PlainTextResponse("ok")


def _make_public(app: gr.Blocks) -> None:
    """Ask for a public link as `Blocks.launch` does, but through the proxies that are set."""
    try:
        address = networking.setup_tunnel(
            local_host=app.server_name,
            local_port=app.server_port,
            share_token=app.share_token,
            share_server_address=None,
            share_server_tls_certificate=None,
        )
    except Exception:
        # Whatever is in the way, the app runs on without; `_sharing` reports so.
        return
    # Not `app.share`: with it Gradio's page would take its scripts from a host of Gradio's.
    app.share_url = urlsplit(address)._replace(scheme="https").geturl()  # type: ignore[assignment]


def _check_root_path(path: str | None) -> None:
    if path is not None and not path.startswith(("/", "http://", "https://")):
        raise ThyroError(
            "--root-path must be a path such as /thyro, or an address that begins with http:// "
            f"or https://. Received: root_path={path!r}."
        )


def _free_port(host: str, port: int | None) -> int:
    """Find a port that nothing else listens at."""
    if port is not None and not 1 <= port <= _LAST_PORT:
        raise ThyroError(f"A port must be from 1 to {_LAST_PORT}. Received: port={port}.")
    _check_host(host)
    for candidate in PORTS if port is None else (port,):
        try:
            # Gradio, too, asks for the port on this computer, whatever the address is.
            for address in {LOCAL, host}:
                _listen(address, candidate).close()
            return candidate
        except PermissionError as error:
            if port is not None:
                reason = os.strerror(errno.EACCES)
                raise ThyroError(
                    "The port must be one that this user may open, on most systems from 1024 up; "
                    f"choose another with --port. Received: port {port} ({reason})."
                ) from error
        except OSError:
            continue
    raise ThyroError(
        "The port must be a free one; stop the program that uses it, or choose another with "
        f"--port. Received: port {port or f'{PORTS.start} to {PORTS.stop - 1}'}."
    )


def _check_host(host: str) -> None:
    """Refuse an address that is none of this computer; port 0 lets the system choose."""
    try:
        _listen(host, 0).close()
    except (OSError, UnicodeError) as error:
        raise ThyroError(
            "--host must be an address of this computer, or 0.0.0.0 for all of them. "
            f"Received: host={host!r}."
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _open_to_all(auth: tuple[str, str] | None) -> str:
    guard = (
        "and knows the password can use this page"
        if auth
        else "can use this page; add --auth USER:PASSWORD to ask for a password"
    )
    return f"Everybody who can reach this computer {guard}. No patient's images."


def _sharing(url: str | None, auth: tuple[str, str] | None) -> str:
    if url is None:
        return "The public link could not be made; the app goes on running on this computer alone."
    guard = "asks for the password" if auth else "is open to anyone who knows the address"
    return f"Public link, no patient's images: {url} ({guard}; it lasts up to a week)."
