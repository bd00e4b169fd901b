"""How the app bears many visitors: open pages, and several who compare at once.

The networks are shipped ones, or the one that the bench is called with; no stand-in computes.
"""

import contextlib
import io
import itertools
import json
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

import numpy as np
from PIL import Image
from tqdm import tqdm

from thyro_demo.bench.visitor import App, Visitor, file_value, resident_bytes, scores
from thyro_demo.data.phantom import cohort

CONNECTED, COMPUTING = 100, 16
WARM_UP = 3 * COMPUTING
"""Comparisons before memory and time count: by then every thread has its buffers."""

BUSY = ("full", "busy")
"""Words of a sentence that sends a visitor away for a while, rather than of a fault."""

_SLICES = 10
_SAMPLE_S = 0.5


@dataclass
class Held:
    """What a crowd met.

    Parameters
    ----------
    seconds : list of float
        From the upload of a frame to its scores, for every comparison that counts.
    busy : int
        Visitors who were sent away for a while.
    errors : list of str
        All other answers.
    memory : list of int
        Resident bytes of the app, sampled after the warm-up.
    lost : int
        Open pages whose connection the app ended.
    """

    seconds: list[float] = field(default_factory=list)
    busy: int = 0
    errors: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    lost: int = 0

    @property
    def p95_s(self) -> float:
        """Seconds within which 95 of 100 comparisons were done."""
        ordered = sorted(self.seconds)
        return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else math.nan

    @property
    def growth_percent(self) -> float:
        """Largest difference of the medians of ten equal spans, in percent of the least."""
        size = len(self.memory) // _SLICES
        if size == 0:
            return math.nan
        spans = [median(self.memory[i * size : (i + 1) * size]) for i in range(_SLICES)]
        return 100 * (max(spans) / min(spans) - 1)


def run(
    app: App, name: str, seconds: float, connected: int = CONNECTED, computing: int = COMPUTING
) -> Held:
    """Let a crowd visit the app, for so many seconds after the warm-up."""
    held, crowd = Held(), _Crowd(app, name)
    with contextlib.ExitStack() as pages:
        opened = [pages.enter_context(Visitor(app.port).connected()) for _ in range(connected)]
        with ThreadPoolExecutor(computing) as visitors:
            list(visitors.map(lambda number: crowd.compare(Held(), number), range(WARM_UP)))
            limit = perf_counter() + seconds
            going = [
                visitors.submit(crowd.keep_on, held, limit, number) for number in range(computing)
            ]
            _watch(app, held, limit, seconds)
            for one in going:
                one.result()
        held.lost = sum(not page.is_open() for page in opened)
    held.errors += _stumbles(app)
    return held


def _stumbles(app: App) -> list[str]:
    """List what the app itself stumbled over: visitors see nothing of its background tasks."""
    parts = app.log.read_text(encoding="utf-8", errors="replace").split("Traceback (most recent")
    found = []
    for part in parts[1:]:
        named = [line for line in part.splitlines() if line and line[0] not in " \t("]
        found.append(f"the app's log: {named[0] if named else 'a traceback'}")
    return found


def _watch(app: App, held: Held, limit: float, seconds: float) -> None:
    """Sample the memory of the app until the time is over."""
    nobody = threading.Event()
    with tqdm(total=round(seconds), desc="A crowd visits", unit="s") as bar:
        while (left := limit - perf_counter()) > 0:
            if (resident := resident_bytes(app.process)) is not None:
                held.memory.append(resident)
            bar.n = min(round(seconds - left), round(seconds))
            bar.refresh()
            nobody.wait(min(_SAMPLE_S, left))


class _Crowd:
    """Visitors who all send frames that the app has never seen."""

    def __init__(self, app: App, name: str):
        self._name = name
        self._visitor = Visitor(app.port, timeout=300)
        self._compare = scores(self._visitor.get("/config").json())
        self._frames = _frames()
        self._drawing = threading.Lock()

    def keep_on(self, held: Held, limit: float, number: int) -> None:
        """Be one visitor, in one session, until the time is over."""
        while perf_counter() < limit:
            self.compare(held, number)

    def compare(self, held: Held, number: int) -> None:
        """Upload a frame, have it compared, and note what came of it."""
        with self._drawing:
            frame = next(self._frames)
        start = perf_counter()
        try:
            answer = self._ask(frame, f"visitor-{number}")
        except Exception as error:
            # A broken connection is as much a fault as a wrong answer.
            held.errors.append(f"{type(error).__name__}: {error}")
            return
        text = json.dumps(answer)
        if answer.get("success"):
            held.seconds.append(perf_counter() - start)
        elif any(word in text for word in BUSY):
            held.busy += 1
        else:
            held.errors.append(text[:200])

    def _ask(self, frame: bytes, session: str) -> dict:
        uploaded = self._visitor.upload(frame)
        if uploaded.status != 200:
            return {"refused": f"{uploaded.status} {uploaded.content.decode(errors='replace')}"}
        data = [file_value(uploaded.json()[0]), [self._name]]
        return self._visitor.call(self._compare, data, session)


def _frames() -> Iterator[bytes]:
    """Draw a phantom, and change it a little for each visitor: the app remembers frames."""
    (phantom,) = cohort(1, 1, seed=5)
    for number in itertools.count():
        frame = phantom.rgb.copy()
        frame[:1, :24, 0] = np.array([int(bit) for bit in f"{number:024b}"], np.uint8)
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, "PNG", compress_level=1)
        yield stream.getvalue()
