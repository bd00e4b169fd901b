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
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from thyro_demo.errors import ThyroError

ROOT = Path(__file__).resolve().parents[2]
LOCAL = "127.0.0.1"
PATIENCE_S = 180.0


class Answer(NamedTuple):
    """What the app answered.

    Attributes
    ----------
    status : int
        HTTP status.
    headers : dict of str to str
        By name in lower case.
    content : bytes
        The body.
    """

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.content)


class App(NamedTuple):
    """A running app.

    Attributes
    ----------
    port : int
        On this machine.
    process : int
        Its process id.
    log : Path
        What it has printed.
    """

    port: int
    process: int
    log: Path


@contextlib.contextmanager
def running(weights: Path, folder: Path) -> Iterator[App]:
    """Start the app as a user does, and stop it in the end.

    Parameters
    ----------
    weights : Path
        Folder of bundles.
    folder : Path
        For what it prints.

    Yields
    ------
    App
        Answering.

    Raises
    ------
    ThyroError
        If it does not come up.
    """
    port, log = _free_port(), folder / "app.log"
    command = [sys.executable, "-m", "thyro_demo", "ui", "--no-browser", "--port", str(port)]
    with open(log, "wb") as said:
        program = subprocess.Popen(
            [*command, "--weights", str(weights)], cwd=ROOT, stdout=said, stderr=said
        )
        try:
            _answers(port, program, log)
            yield App(port, program.pid, log)
        finally:
            program.terminate()
            try:
                program.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def _free_port() -> int:
    with socket.create_server((LOCAL, 0)) as free:
        return free.getsockname()[1]


def _answers(port: int, program: subprocess.Popen, log: Path) -> None:
    limit = perf_counter() + PATIENCE_S
    while perf_counter() < limit and program.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if Visitor(port, timeout=5).get("/config").status == 200:
                return
        time.sleep(0.05)
    raise ThyroError(
        f"The app has to answer within {PATIENCE_S:.0f} s of its start. Received: "
        f"{' '.join(log.read_text(errors='replace').split())[-200:] or 'nothing'}."
    )


class Page:
    """An open page that does nothing.

    Parameters
    ----------
    connection : socket
        Over which the app sends a sign of life now and then.
    """

    def __init__(self, connection: socket.socket):
        self._connection = connection

    def is_open(self) -> bool:
        """Tell whether the app still holds the connection."""
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
    """Somebody who sends requests to an app.

    Parameters
    ----------
    port : int
        Of the app.
    timeout : float
        Longest silence to bear, in seconds.
    """

    def __init__(self, port: int, timeout: float = 60.0):
        self.port, self.timeout = port, timeout

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Ask for a page, the path sent as it is.

        Parameters
        ----------
        path : str
            With its slash.
        headers : dict of str to str, optional
            Further headers.

        Returns
        -------
        Answer
            Of the app.
        """
        return self._ask("GET", path, None, headers or {})

    def post(self, path: str, value: Any, headers: dict[str, str] | None = None) -> Answer:
        """Send JSON.

        Parameters
        ----------
        path : str
            With its slash.
        value : object
            What JSON can hold.
        headers : dict of str to str, optional
            Further headers; they may replace the type.

        Returns
        -------
        Answer
            Of the app.
        """
        typed = {"Content-Type": "application/json"} | (headers or {})
        return self._ask("POST", path, json.dumps(value).encode(), typed)

    def upload(
        self, content: bytes, name: str = "frame.png", headers: dict[str, str] | None = None
    ) -> Answer:
        """Upload a file as the page does.

        Parameters
        ----------
        content : bytes
            Of the file.
        name : str
            What it is called.
        headers : dict of str to str, optional
            Further headers.

        Returns
        -------
        Answer
            Of the app: JSON with the one path.
        """
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        typed = {"Content-Type": f"multipart/form-data; boundary={mark}"} | (headers or {})
        return self._ask("POST", "/gradio_api/upload", body, typed)

    def call(self, function: int, data: list[Any], session: str) -> dict[str, Any]:
        """Ask a handler of the page, and wait for what it answers.

        Parameters
        ----------
        function : int
            Number of the handler.
        data : list
            What JSON can hold, one value an input.
        session : str
            Of the visitor.

        Returns
        -------
        dict
            "success" and "output", as Gradio gives them, or "refused", the status and
            sentence with which the queue sent it away.
        """
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
                raise ThyroError("An open page has to stay connected. Received: a refusal.")
            yield Page(connection.sock)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(LOCAL, self.port, timeout=self.timeout)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        with contextlib.closing(self._connection()) as connection:
            # Refused before all of it was sent; the answer may stand already.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, headers)
            got = connection.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, named, got.read())


def scores(config: dict[str, Any]) -> int:
    """Find the named endpoint that compares.

    Parameters
    ----------
    config : dict
        What the app tells of itself at ``/config``.

    Returns
    -------
    int
        Number of the handler.
    """
    return next(one["id"] for one in config["dependencies"] if one["api_name"] == "compare")


def file_value(path: str) -> dict[str, Any]:
    """Name an uploaded file as a value.

    Parameters
    ----------
    path : str
        From the answer to an upload.

    Returns
    -------
    dict
        As Gradio's page sends it.
    """
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def resident_bytes(process: int) -> int | None:
    """Measure the memory of a process.

    Parameters
    ----------
    process : int
        Its id.

    Returns
    -------
    int or None
        Resident set size; None where the system does not tell.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        command = ["ps", "-o", "rss=", "-p", str(process)]
        return 1024 * int(subprocess.run(command, capture_output=True, check=True).stdout)
    return None
