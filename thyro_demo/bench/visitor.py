"""A running app, and those who visit it over HTTP.

The standard library alone: the bench knows no more of the app than a stranger does.
"""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from thyro_demo.bench import program
from thyro_demo.bench.program import LOCAL
from thyro_demo.errors import ThyroError


class Answer(NamedTuple):
    """What the app answered: HTTP status, headers by name in lower case, and body."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.content)


class App(NamedTuple):
    """A running app: its port on this computer, its process id, and the file it prints to."""

    port: int
    process: int
    log: Path


@contextlib.contextmanager
def running(weights: Path, folder: Path) -> Iterator[App]:
    """Start the app on a folder of bundles, as a user does, and stop it in the end."""
    port, log = program.free_port(), folder / "app.log"
    command = [sys.executable, "-m", "thyro_demo", "ui", "--no-browser", "--port", str(port)]
    with program.running([*command, "--weights", str(weights)], port, log) as process:
        yield App(port, process.pid, log)


class Page:
    """An open page that does nothing; the app sends it a sign of life now and then."""

    def __init__(self, connection: socket.socket):
        self._connection = connection

    def is_open(self) -> bool:
        """Check whether the app still holds the connection."""
        self._connection.setblocking(False)
        try:
            while got := self._connection.recv(2**16):
                del got
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class Visitor:
    """Somebody who sends requests to an app, and bears `timeout` seconds of silence."""

    def __init__(self, port: int, timeout: float = 60.0):
        self.port, self.timeout = port, timeout

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Ask for a page, the path sent as it is."""
        return self._ask("GET", path, None, headers or {})

    def post(self, path: str, value: Any, headers: dict[str, str] | None = None) -> Answer:
        """Send JSON; further headers may replace its type."""
        typed = {"Content-Type": "application/json"} | (headers or {})
        return self._ask("POST", path, json.dumps(value).encode(), typed)

    def upload(
        self, content: bytes, name: str = "frame.png", headers: dict[str, str] | None = None
    ) -> Answer:
        """Upload a file as the page does; the answer is JSON with the one path."""
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        typed = {"Content-Type": f"multipart/form-data; boundary={mark}"} | (headers or {})
        return self._ask("POST", "/gradio_api/upload", body, typed)

    def call(self, function: int, data: list[Any], session: str) -> dict[str, Any]:
        """Ask a handler of the page, by its number, and wait for its answer or its refusal."""
        body = {"data": data, "fn_index": function, "session_hash": session}
        joined = self.post("/gradio_api/queue/join", body)
        if joined.status != 200:
            return {"refused": f"{joined.status} {joined.content.decode(errors='replace')[:200]}"}
        path = f"/gradio_api/queue/data?session_hash={session}"
        with contextlib.closing(self._connection()) as connection:
            connection.request("GET", path)
            for line in connection.getresponse():
                message = json.loads(line[5:]) if line.startswith(b"data:") else {}
                if message.get("msg") == "process_completed":
                    return message
        return {"refused": "the queue closed without an answer"}

    @contextlib.contextmanager
    def connected(self) -> Iterator["Page"]:
        """Stay connected, as an open page does, until the block ends."""
        with contextlib.closing(self._connection()) as connection:
            connection.request("GET", f"/gradio_api/heartbeat/{uuid.uuid4().hex}")
            if connection.getresponse().status != 200 or connection.sock is None:
                raise ThyroError("An open page must stay connected. Received: a refusal.")
            yield Page(connection.sock)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(LOCAL, self.port, timeout=self.timeout)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        with contextlib.closing(self._connection()) as connection:
            # Refused before all of it was sent; the answer may be there already.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers)
            got = connection.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, named, got.read())


def scores(config: dict[str, Any]) -> int:
    """Find the number of the handler that compares, in what the app serves at ``/config``."""
    return next(one["id"] for one in config["dependencies"] if one["api_name"] == "compare")


def file_value(path: str) -> dict[str, Any]:
    """Name an uploaded file as a value, as Gradio's page sends it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def resident_bytes(process: int) -> int | None:
    """Measure the resident memory of a process; None where the system does not report it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        command = ["ps", "-o", "rss=", "-p", str(process)]
        return 1024 * int(subprocess.run(command, capture_output=True, check=True).stdout)
    return None
