"""How soon the page can be used, and how soon the first comparison is there.

Both the app and an empty Gradio app are started as programs of their own, in turns, and
timed from the start of the process until the page is open in a browser.
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from PIL import Image
from tqdm import tqdm

from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.bench.program import LOCAL, PATIENCE_S, ROOT, free_port, running
from thyro_demo.bundle import manifest
from thyro_demo.data.phantom import cohort
from thyro_demo.errors import ThyroError

TIMES, PLUS_S, FIRST_S = 1.5, 2.0, 15.0
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
COMPARE_BUTTON, ANY_PAGE = "#thyro-compare", "footer"

EMPTY_APP = """
import sys
import gradio
with gradio.Blocks(analytics_enabled=False) as app:
    pass
app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True, ssr_mode=False)
"""

Usable = Callable[[str, str], None]
"""Returns once the page at an address shows what a selector names."""


def run(weights: Path | None = None, rounds: int = 3) -> Outcome:
    """Start both apps in turns, and ask ours for its first comparison.

    Parameters
    ----------
    weights : Path, optional
        Folder of bundles; by default the shipped ones, or where there are none an
        EfficientNet-B0 with random weights.
    rounds : int
        Starts of each that count; one more of each warms the disk.

    Returns
    -------
    Outcome
        Two figures, in seconds.

    Raises
    ------
    ThyroError
        If an app does not come up.
    """
    with tempfile.TemporaryDirectory() as scratch, _page_check() as (usable, how):
        root = bundles(weights, Path(scratch))
        frame = Path(scratch) / "frame.png"
        ours_s: list[float] = []
        empty_s: list[float] = []
        first_s: list[float] = []
        for turn in tqdm(range(rounds + 1), "Starting apps", unit="round"):
            empty = _started(_empty_command, usable, ANY_PAGE)
            # A frame of its own in every round: the disk may be warm, the app may not.
            _draw(frame, seed=turn)
            ours = _started(
                lambda port: _own_command(port, root),
                usable,
                COMPARE_BUTTON,
                lambda address: _first_comparison(address, frame),
            )
            if turn:
                empty_s.append(empty[0])
                ours_s.append(ours[0])
                first_s.append(ours[1])
        settings = {"bundles": manifest.names(root), "rounds": rounds, "usable": how}
    return Outcome(
        "start", _figures(median(ours_s), median(empty_s), median(first_s)), settings=settings
    )


def _figures(ours: float, empty: float, first: float) -> list[Figure]:
    allowed = TIMES * empty + PLUS_S
    return [
        Figure(
            "page usable",
            ours=ours,
            unit="s",
            value=ours,
            bound=allowed,
            target=f"≤ {TIMES} × + {PLUS_S:.0f} s = {allowed:.1f} s",
            peer=empty,
            peer_name="an empty Gradio app",
            ratio=ours / empty,
        ),
        Figure(
            "first comparison after that",
            ours=first,
            unit="s",
            value=first,
            bound=FIRST_S,
            target=f"≤ {FIRST_S:.0f} s",
        ),
    ]


def bundles(weights: Path | None, scratch: Path) -> Path:
    """Choose the bundles that an app is started with.

    Parameters
    ----------
    weights : Path or None
        Their folder; by default the shipped ones.
    scratch : Path
        Where a network with random weights is written if there are none.

    Returns
    -------
    Path
        A folder with at least one bundle.
    """
    root = manifest.weights_root() if weights is None else weights
    if manifest.names(root):
        return root
    # Imports TensorFlow, which the timed programs must do for themselves.
    untrained = importlib.import_module("thyro_demo.bench.untrained")
    untrained.untrained("efficientnet-b0").write(scratch)
    return scratch


def _own_command(port: int, root: Path) -> list[str]:
    command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--port", str(port)]
    return [*command, "--weights", str(root)]


def _empty_command(port: int) -> list[str]:
    return [sys.executable, "-c", EMPTY_APP, str(port)]


def _started(
    command: Callable[[int], list[str]],
    usable: Usable,
    shows: str,
    then: Callable[[str], None] = lambda address: None,
) -> tuple[float, float]:
    """Start a program, wait for its page, use it, stop it: seconds to the page, of the use."""
    port = free_port()
    address = f"http://{LOCAL}:{port}/"
    with tempfile.TemporaryDirectory() as scratch:
        start = perf_counter()
        with running(command(port), port, Path(scratch) / "app.log"):
            usable(address, shows)
            page = perf_counter() - start
            start = perf_counter()
            then(address)
            return page, perf_counter() - start


def _served_config(address: str, shows: str) -> None:
    """Replace a browser: the page's description of itself is served, whole."""
    with urllib.request.urlopen(f"{address}config", timeout=PATIENCE_S) as answer:
        json.load(answer)


@contextlib.contextmanager
def _page_check() -> Iterator[tuple[Usable, str]]:
    """Yield what recognises a usable page, and its name: Chromium where there is one."""
    chromium = Path(os.environ.get("THYRO_CHROMIUM", "/usr/bin/chromium"))
    try:
        playwright: Any = importlib.import_module("playwright.sync_api")
    except ImportError:
        playwright = None
    if playwright is None or not chromium.exists():
        yield _served_config, "page and its description served (no Chromium with Playwright)"
        return
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)

        def visible(address: str, shows: str) -> None:
            page = browser.new_context().new_page()
            page.goto(address)
            page.wait_for_selector(shows, timeout=1000 * PATIENCE_S)

        yield visible, "its button Compare, or the empty page's footer, is shown in Chromium"
        browser.close()


def _draw(path: Path, seed: int) -> None:
    (phantom,) = cohort(1, 1, seed=seed)
    Image.fromarray(phantom.frame).save(path)


def _first_comparison(address: str, frame: Path) -> None:
    """Ask the running app to compare a frame with all its networks."""
    gradio_client: Any = importlib.import_module("gradio_client")
    client = gradio_client.Client(address, verbose=False)
    answer = client.predict(image=gradio_client.handle_file(frame), api_name="/compare")
    if not answer["predictions"]:
        raise ThyroError(f"A comparison must have at least one score. Received: {answer}.")
