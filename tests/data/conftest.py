"""Frames, a clustered set, and a home of sets on this computer, which several tests share."""

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from thyro_demo.data import datasets, near_duplicates
from thyro_demo.data.phantom import draw


@pytest.fixture(scope="session")
def frames():
    """Return six phantom frames of six patients, uint8 (360, 480, 3)."""
    frames = [draw(None, seed=seed, patient=f"p{seed}").frame for seed in range(6)]
    return [np.repeat(frame[..., None], 3, axis=2) for frame in frames]


@pytest.fixture(scope="session")
def clustered(thyro_data):
    """Read the real thyroid set and cluster its near duplicates, once."""
    records = datasets.thyroid(thyro_data / "thyroid_us")
    return records, near_duplicates.clusters(records)


class Home:
    """A server on this computer that sends files, some of them badly.

    Attributes
    ----------
    files : dict of str to bytes
        What is at each path.
    ranges : bool
        Whether it sends the rest of a file that is asked for.
    breaks_at : int
        Bytes of an answer after which it hangs up, 0 to send all.
    asked : list of (str, str)
        Path and range of each request so far; the range is empty where none was asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.breaks_at = 0
        self.asked: list[tuple[str, str]] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(home):  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                home.asked.append((self.path, wanted))
                if self.path not in home.files:
                    self.send_error(404)
                    return
                content = home.files[self.path]
                tag = f'"{hashlib.md5(content).hexdigest()}"'
                start = int(wanted[6:-1]) if wanted and home.ranges else 0
                if self.headers.get("If-Range") != tag:
                    start = 0
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    last = len(content) - 1
                    self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - start))
                self.send_header("ETag", tag)
                self.end_headers()
                body = content[start:]
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body[: home.breaks_at] if home.breaks_at else body)

            def log_message(self, *_) -> None:
                """Print nothing."""

        return Handler


@pytest.fixture
def home():
    """Serve files on this computer until the test ends."""
    server = Home()
    yield server
    server.close()


@pytest.fixture
def archive():
    """Return what packs names and contents as a home would: a zip or a tar.gz file."""

    def pack(files: dict[str, bytes], kind: str = "zip") -> bytes:
        buffer = io.BytesIO()
        if kind == "zip":
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
                for name, content in files.items():
                    packed.writestr(name, content)
        else:
            with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
                for name, content in files.items():
                    entry = tarfile.TarInfo(name)
                    entry.size = len(content)
                    packed.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()

    return pack
