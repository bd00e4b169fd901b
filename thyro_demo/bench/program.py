"""An app started as a program of its own, as a user starts it, and stopped in the end."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from thyro_demo.errors import ThyroError

ROOT = Path(__file__).resolve().parents[2]
LOCAL = "127.0.0.1"
PATIENCE_S = 180.0

_STOPPED_WITHIN_S = 20
_SETTINGS = {"GRADIO_ANALYTICS_ENABLED": "False", "TF_CPP_MIN_LOG_LEVEL": "3"}


def free_port() -> int:
    """Find a port of this computer that nothing listens at."""
    with socket.create_server((LOCAL, 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[subprocess.Popen]:
    """Start an app that prints to `log`, yield it when its page is served, and stop it."""
    with open(log, "wb") as output:
        program = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | _SETTINGS, stdout=output, stderr=output
        )
        try:
            _wait(program, port, log)
            yield program
        finally:
            program.terminate()
            try:
                program.wait(_STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def _wait(program: subprocess.Popen, port: int, log: Path) -> None:
    limit = perf_counter() + PATIENCE_S
    while perf_counter() < limit and program.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _is_served(port):
                return
        time.sleep(0.02)
    printed = " ".join(log.read_text(encoding="utf-8", errors="replace").split())
    raise ThyroError(
        f"An app must answer within {PATIENCE_S:.0f} s of its start. Received: no answer from "
        f"{' '.join(str(program.args).split())[:200]}, which printed {printed[-200:] or 'nothing'}."
    )


def _is_served(port: int) -> bool:
    with contextlib.closing(http.client.HTTPConnection(LOCAL, port, timeout=5)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
