"""A stand-in for the engine: fast, without a network, wrong on purpose now and then."""

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import numpy as np
import pytest

from thyro_demo.data.frame import Frame
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Comparison, Prediction
from thyro_demo.ui.examples import Example, draw_chart
from thyro_demo.ui.launch import launch

THRESHOLD = 0.42

CHROMIUM = Path(os.environ.get("THYRO_CHROMIUM", "/usr/bin/chromium"))
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
WAIT_MS = 120_000
"""A page that is right is as quick as its host; only a wrong one waits for so long."""

EVERY_KIND = {
    "efficientnet-b0": "EfficientNet-B0",
    "efficientnet-b0-roi": "EfficientNet-B0 ROI",
    "ensemble": "Ensemble",
    "resnet50": "ResNet-50",
    "vgg16": "VGG-16",
}


class FakeEngine:
    """Models with three heads each; scores follow from the brightness of the frame.

    Parameters
    ----------
    titles : dict of str to str, optional
        Models and their display names; by default three networks.
    """

    def __init__(self, titles: dict[str, str] | None = None) -> None:
        self.titles = titles or {
            "vgg16": "VGG-16",
            "resnet50": "ResNet-50",
            "efficientnet-b0": "EfficientNet-B0",
        }
        self.explained: list[tuple[str, str]] = []
        self.marked: list[Box | None] = []
        self.warm = threading.Event()

    def names(self) -> list[str]:
        return list(self.titles)

    def heads(self, name: str) -> list[str]:
        return ["svm", "average"] if name == "ensemble" else ["softmax", "svm", "forest"]

    def primary(self, name: str) -> str:
        return "svm"

    def kind(self, name: str) -> str:
        return {"ensemble": "ensemble", "efficientnet-b0-roi": "roi"}.get(name, "scan")

    def title(self, name: str) -> str:
        return self.titles[name]

    def card(self, name: str) -> str:
        return f"---\nlicense: apache-2.0\n---\n# {self.titles[name]}\n\nA model card."

    def warm_up(self, names: Sequence[str] | None = None) -> None:
        self.warm.set()

    def compare(
        self, image, names=None, maps=("softmax",), roi=None, operating_point="youden", longest=None
    ):
        self.marked.append(roi)
        frame = image if isinstance(image, Frame) else Frame(image)
        image = frame.pixels
        predictions = [
            self._predict(image, name, head, head in maps)
            for name in names or self.names()
            for head in self.heads(name)
            if roi or self.kind(name) != "roi"
        ]
        above = sum(prediction.positive for prediction in predictions)
        height, width = image.shape[:2]
        colourful = np.ptp(image.astype(int), axis=2).mean() > 20
        notice = "This image is unlike the training images; its scores mean nothing."
        return Comparison(
            frame=image,
            box=Box(0, 0, width, height),
            predictions=predictions,
            notices=[*frame.notices, *([notice] if colourful else [])],
            agreement=f"{above} of {len(predictions)} heads are above their threshold.",
            milliseconds=187.0,
            roi=roi,
            spacing=frame.spacing,
        )

    def explain(self, image, name, head, roi=None, operating_point="youden", longest=None):
        image = image.pixels if isinstance(image, Frame) else image
        self.explained.append((name, head))
        self.marked.append(roi)
        return self._predict(image, name, head, True)

    def _predict(self, image: np.ndarray, name: str, head: str, mapped: bool) -> Prediction:
        place = 3 * self.names().index(name) + self.heads(name).index(head)
        score = float((image.mean() / 255 + 0.137 * place) % 1)
        height, width = image.shape[:2]
        y, x = np.mgrid[:height, :width]
        centre = width * (0.35 + 0.04 * place)
        bump = np.exp(
            -(((x - centre) / (0.16 * width)) ** 2) - ((y - 0.48 * height) / (0.2 * height)) ** 2
        )
        return Prediction(
            model=name,
            head=head,
            score=score,
            threshold=THRESHOLD,
            positive=score >= THRESHOLD,
            heatmap=bump.astype(np.float32) if mapped else None,
            milliseconds=40.0 + 7 * place,
        )


def draw_speckle() -> np.ndarray:
    """Draw a grey disc in speckle: a frame that looks like ultrasound from afar."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:240, :320]
    echo = np.where((x - 150) ** 2 + (y - 115) ** 2 < 55**2, 45, 110)
    grey = np.clip(echo * rng.rayleigh(0.8, echo.shape), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def engine_of_every_kind() -> FakeEngine:
    return FakeEngine(EVERY_KIND)


@pytest.fixture
def speckle() -> np.ndarray:
    return draw_speckle()


@pytest.fixture
def examples() -> list[Example]:
    return [
        Example("hypoechoic", "Hypoechoic", "Drawn with 4 points.", draw_speckle),
        Example("test chart", "Not ultrasound", "Not a frame.", draw_chart),
    ]


@pytest.fixture(scope="session")
def served_every_kind() -> Iterator[tuple[str, FakeEngine]]:
    """Address of a running app with networks, one that reads nodules, and an ensemble."""
    engine = FakeEngine(EVERY_KIND)
    app = launch(engine, prevent_thread_lock=True)
    yield app.local_url, engine
    app.close(verbose=False)


@pytest.fixture(scope="session", autouse=True)
def ports_of_this_process() -> Iterator[None]:
    """Leave each process of the tests ports of its own, above those of apps that tests start."""
    first = 7900 + 30 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thyro_demo.ui.launch.PORTS", range(first, first + 30))
        yield


@pytest.fixture(scope="session")
def served_app() -> Iterator[tuple[gr.Blocks, FakeEngine]]:
    """Run the app, and return it with the engine behind it."""
    engine = FakeEngine()
    app = launch(engine, prevent_thread_lock=True)
    yield app, engine
    app.close(verbose=False)


@pytest.fixture(scope="session")
def served(served_app) -> tuple[str, FakeEngine]:
    """Address of a running app, and the engine behind it."""
    app, engine = served_app
    return app.local_url, engine


@pytest.fixture(scope="session")
def served_with_password() -> Iterator[gr.Blocks]:
    """Run an app that asks for a password."""
    app = launch(FakeEngine(), auth=("user", "password"), prevent_thread_lock=True)
    yield app
    app.close(verbose=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the one browser of a module."""
    # Not of all tests: as long as it is open, a loop of Playwright's runs in the main thread, where
    # nothing else may start one.
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright for Python is not installed"
    )
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM} (THYRO_CHROMIUM names another)")
    playwright.expect.set_options(timeout=WAIT_MS)
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def contexts(browser) -> Callable[[bool, str], Any]:
    """Return the browser's context for touch and locale, which keeps the files of the app.

    A visitor who comes again has them too, and a page opens in half the time.
    """
    return functools.cache(
        lambda touch, locale: browser.new_context(has_touch=touch, locale=locale)
    )


@pytest.fixture(scope="module")
def opened(contexts) -> Callable[..., Iterator[Any]]:
    """Open a page; when it closes, every request it made must have stayed here.

    It finds nothing that an earlier page has left, and leaves nothing but files of the app.
    """

    def opened(
        address: str,
        width: int,
        height: int,
        touch: bool = False,
        shows: str = "#thyro-compare",
        locale: str = "en-US",
    ) -> Iterator[Any]:
        context = contexts(touch, locale)
        asked: list[str] = []
        broken: list[str] = []
        missed: list[str] = []
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: broken.append(str(error)))
        listeners = {
            "response": lambda got: missed.append(got.url) if got.status >= 400 else None,
            "request": lambda sent: asked.append(sent.url),
        }
        for event, listener in listeners.items():
            context.on(event, listener)
        page.goto(address)
        page.wait_for_selector(shows)
        yield page
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.close()
        context.clear_cookies()
        for event, listener in listeners.items():
            context.remove_listener(event, listener)
        remote = [url for url in map(urlsplit, asked) if url.scheme not in {"data", "blob"}]
        assert {url.hostname for url in remote} == {"127.0.0.1"}
        assert broken == []
        # A test may fill the queue.
        assert [url for url in missed if "/queue/join" not in url] == []

    return opened
