"""What a hostile visitor may try on a running app, and how it is refused.

Every attack is made over HTTP, on this computer alone. It is refused where the app answers as
it must, nothing of the computer comes back, and no other host is asked.
"""

import contextlib
import http.server
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image

from thyro_demo.bench import strangers
from thyro_demo.bench.program import LOCAL
from thyro_demo.bench.visitor import App, Visitor, file_value, scores

SECRET = b"what no visitor may read"
_FOREIGN = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
_OVERSIZE = 21_000_000
_SHOWN = 90


class Attack(NamedTuple):
    """A kind of attack: how often it was tried, what got through, and how it was refused."""

    name: str
    tried: int
    through: list[str]
    answer: str


class _Scene(NamedTuple):
    """What attacks need: a visitor, the app's own description, and something to steal."""

    visitor: Visitor
    config: dict[str, Any]
    folder: Path
    image: Path
    text: Path
    good: str


def run(app: App, folder: Path, good: str) -> list[Attack]:
    """Try every attack on an app with hostile bundles beside the good one (see `lay_out`)."""
    visitor = Visitor(app.port)
    image, text = folder / "patient.png", folder / "secret.txt"
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(image)
    text.write_bytes(SECRET)
    scene = _Scene(visitor, visitor.get("/config").json(), folder, image, text, good)
    kinds: list[Callable[[_Scene], Attack]] = [
        _paths_in_values, _addresses_in_values, _files_and_folders, _proxy, _foreign_pages,
        _oversize, _odd_names, _bad_images, _bad_bundles,
    ]  # fmt: skip
    return [kind(scene) for kind in kinds]


def lay_out(good: Path, root: Path) -> None:
    """Copy a good bundle into the empty folder `root`, with hostile bundles beside it."""
    shutil.copytree(good, root / good.name)
    chosen = ("a Lambda layer", "a pickle as heads", "a zip bomb as network", "a forged tree",
              "no network", "a title that is a page of its own", "a manifest of 20 MB")  # fmt: skip
    for number, name in enumerate(chosen):
        strangers.attacks()[name](shutil.copytree(good, root / f"stranger-{number}"))


def _paths_in_values(scene: _Scene) -> Attack:
    """Name a file of the host as a value, on every input of every handler."""
    place = str(scene.image)
    forms: list[Any] = [{"path": place}, file_value(place), [[{"deep": {"path": place}}]],
                        {"path": str(scene.folder)}, file_value(f"{place}\0")]  # fmt: skip
    return _on_every_input(scene, "a path of the host as a value", forms)


def _addresses_in_values(scene: _Scene) -> Attack:
    """Have the app ask another host (SSRF): one is set up here, and counts who asks."""
    with _listening() as (address, asked):
        forms: list[Any] = [
            {"path": address}, file_value(address), {"url": address, "path": address},
            {"path": f"file://{scene.image}", "url": address}, {"path": "x", "url": address},
        ]  # fmt: skip
        found = _on_every_input(scene, "an address as a value (SSRF)", forms)
        through = found.through + [f"the app asked for {path}" for path in asked]
    return found._replace(through=through)


def _on_every_input(scene: _Scene, name: str, forms: list[Any]) -> Attack:
    tried, through, answer = 0, [], ""
    for dependency in scene.config["dependencies"]:
        for place in range(len(dependency["inputs"])):
            for form in forms:
                data: list[Any] = [None] * len(dependency["inputs"])
                data[place] = form
                got = scene.visitor.call(dependency["id"], data, f"thief-{tried}")
                tried += 1
                text = json.dumps(got)
                if got.get("success") or "uploaded to this page" not in text:
                    through.append(f"handler {dependency['id']}: {text[:_SHOWN]}")
                else:
                    answer = got["output"]["error"]
    return Attack(name, tried, through, answer)


def _files_and_folders(scene: _Scene) -> Attack:
    """Ask for files and folders of the host by address."""
    up = "../" * 12
    paths = [
        str(scene.text), str(scene.folder), f"{scene.folder}/", "/etc/passwd", "/", "",
        f"{up}etc/passwd", f"{up}{scene.text}", "/proc/self/environ", f"file://{scene.text}",
        f"{scene.text}%00.png", ".", "~/.ssh/id_rsa", "C:/windows/win.ini",
    ]  # fmt: skip
    missing = f"{scene.folder}/nothing.txt"
    through, answers = [], set()
    routes = ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/static/", "/assets/", "/svg/")
    asked = [
        f"{route}{path}" for route in routes for path in [*paths, *(quote(p, "") for p in paths)]
    ]
    for path in asked:
        got = scene.visitor.get(path.replace(" ", "%20"))
        answers.add(got.status)
        listed = scene.text.name.encode() in got.content and got.status == 200
        if SECRET in got.content or b"root:" in got.content or listed:
            through.append(f"{path}: {got.status}")
    seen = {scene.visitor.get(f"/gradio_api/file={path}").status for path in (scene.text, missing)}
    if len(seen) > 1:
        through.append("the answer shows what is there")
    refusals = ", ".join(map(str, sorted(answers)))
    return Attack("files and folders by address", len(asked) + 2, through, f"status {refusals}")


def _proxy(scene: _Scene) -> Attack:
    """Have the app fetch, or lead to, another address."""
    through, statuses = [], set()
    with _listening() as (address, asked):
        routes = ("/gradio_api/proxy=", "/proxy=", "/gradio_api/file=", "/gradio_api/file/")
        paths = [f"{route}{address}" for route in routes]
        for path in paths:
            got = scene.visitor.get(path)
            statuses.add(got.status)
            if got.status < 400 and got.headers.get("location", "").startswith("http"):
                through.append(f"{path} leads to {got.headers['location']}")
        through += [f"the app asked for {path}" for path in asked]
    return Attack("other hosts by address", len(paths), through, f"status {sorted(statuses)}")


def _foreign_pages(scene: _Scene) -> Attack:
    """Ask as the page of another site does, which a browser of the visitor's has open."""
    body = {"data": [None, []], "fn_index": scores(scene.config), "session_hash": "foreign"}
    plain = _FOREIGN | {"Content-Type": "text/plain"}
    visitor, through, statuses = scene.visitor, [], set()
    ways = {
        "a call": lambda: visitor.post("/gradio_api/call/compare", body, _FOREIGN),
        "a call as text": lambda: visitor.post("/gradio_api/call/compare", body, plain),
        "the queue": lambda: visitor.post("/gradio_api/queue/join", body, _FOREIGN),
        "the queue as text": lambda: visitor.post("/gradio_api/queue/join", body, plain),
        "an upload": lambda: visitor.upload(b"x", headers=_FOREIGN),
    }
    for name, way in ways.items():
        got = way()
        statuses.add(got.status)
        if got.status < 400:
            through.append(f"{name}: {got.status}")
        if got.headers.get("access-control-allow-origin"):
            through.append(f"{name} may be read by {_FOREIGN['Origin']}")
    return Attack(
        "requests of another site's page", len(ways), through, f"status {sorted(statuses)}"
    )


def _oversize(scene: _Scene) -> Attack:
    got = scene.visitor.upload(bytes(_OVERSIZE))
    through = [] if got.status == 413 else [f"{got.status}"]
    return Attack("an upload of 21 MB", 1, through, f"status {got.status}")


def _odd_names(scene: _Scene) -> Attack:
    """Upload under names that climb out; what is kept must be in the upload folder."""
    names = ["../../../evil.png", "/etc/evil.png", "..\\..\\evil.png", "a/../../evil.png",
             "evil.png\0.txt", "x" * 3000, ".htaccess", "CON"]  # fmt: skip
    folder = Path(scene.visitor.upload(b"x").json()[0]).parent.parent
    through, refused = [], 0
    for name in names:
        got = scene.visitor.upload(b"evil", name)
        if got.status != 200:
            refused += 1
            continue
        kept = Path(got.json()[0])
        if kept.parent.parent != folder:
            through.append(f"{name[:20]!r} is kept as {kept}")
    answer = f"{refused} refused, {len(names) - refused} kept under a plain name"
    return Attack("names of uploads that climb out", len(names), through, answer)


def _bad_images(scene: _Scene) -> Attack:
    """Upload what is no image, or one that unpacks to gigabytes, and have it compared."""
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    files = {"text": b"no image", "a bomb of 900 million pixels": bomb.getvalue(),
             "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
             "half a PNG": scene.image.read_bytes()[:60]}  # fmt: skip
    through, answer = [], ""
    for number, (name, content) in enumerate(files.items()):
        data = [file_value(scene.visitor.upload(content).json()[0]), [scene.good]]
        got = scene.visitor.call(scores(scene.config), data, f"vandal-{number}")
        sentence = str(got.get("output", {}).get("error", ""))
        if got.get("success") or "Received: " not in sentence or "Traceback" in sentence:
            through.append(f"{name}: {json.dumps(got)[:_SHOWN]}")
        answer = sentence
    return Attack("uploads that are no image", len(files), through, answer)


def _bad_bundles(scene: _Scene) -> Attack:
    """Ask the hostile bundles beside the good one, and then the good one."""
    path = scene.visitor.upload(_frame()).json()[0]
    names = [f"stranger-{number}" for number in range(7)]
    through, answer = [], ""
    for name in names:
        data = [file_value(path), [name]]
        got = scene.visitor.call(scores(scene.config), data, f"guest-{name}")
        sentence = str(got.get("output", {}).get("error", ""))
        if got.get("success") or not sentence or "Traceback" in sentence:
            through.append(f"{name}: {json.dumps(got)[:_SHOWN]}")
        answer = sentence or answer
    got = scene.visitor.call(scores(scene.config), [file_value(path), [scene.good]], "guest")
    if not got.get("success"):
        through.append(f"the good one no longer answers: {json.dumps(got)[:_SHOWN]}")
    return Attack("hostile bundles beside a good one", len(names), through, answer)


def _frame() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(1).integers(30, 90, (96, 128, 3)).astype(np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


@contextlib.contextmanager
def _listening() -> Iterator[tuple[str, list[str]]]:
    """Set up a host that notes what is asked of it."""
    asked: list[str] = []

    class Noting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SECRET)

        do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer((LOCAL, 0), Noting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{LOCAL}:{server.server_address[1]}/secret.png", asked
        finally:
            server.shutdown()
