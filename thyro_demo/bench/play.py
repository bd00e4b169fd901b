"""How many frames a second the page "Play" draws, scores and explains, and what a crowd meets.

The app is started as a program of its own, and asked over HTTP as its page asks: the next frame
when the last has come.
"""

import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tqdm import tqdm

from thyro_demo.bench import start
from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.bench.program import PATIENCE_S
from thyro_demo.bench.visitor import Visitor, running
from thyro_demo.bundle import manifest
from thyro_demo.errors import ThyroError

FRAMES_A_SECOND, WORDS_S = 5.0, 1.0
CROWD = 36
FRAMES, WARM_UP = 20, 3

_HANDLER = "live_frame"


def run(weights: Path | None = None, rounds: int = 3) -> Outcome:
    """Move a slider for each network in turns, then let a class move theirs at once.

    Parameters
    ----------
    weights : Path, optional
        Folder of bundles; by default the shipped ones, or where there are none an
        EfficientNet-B0 with random weights.
    rounds : int
        Rounds of `FRAMES` frames for each network; the median counts.

    Returns
    -------
    Outcome
        Frames a second with the network that the page opens with, those of the others as notes,
        and the seconds within which each of `CROWD` visitors has a place in the queue, or knows
        why not.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = start.bundles(weights, Path(scratch))
        names = [name for name in manifest.names(root) if _is_network(root / name)]
        with running(root, Path(scratch)) as app:
            visitor = Visitor(app.port)
            handler = _number_of(visitor.get("/config").json(), _HANDLER)
            _wait_for_networks(visitor, handler)
            rates: dict[str, list[float]] = {name: [] for name in names}
            for _ in tqdm(range(rounds), "Moving a slider", unit="round"):
                for name in names:
                    rates[name].append(_rate(visitor, handler, name))
            words = max(_crowd(visitor, handler, CROWD))
    first, *others = names
    return Outcome(
        "play",
        [_pace(first, median(rates[first])), _words(words)],
        settings={"frames": FRAMES, "rounds": rounds, "crowd": CROWD},
        notes=[_also(name, median(rates[name])) for name in others],
    )


def _also(name: str, rate: float) -> str:
    """Report a network that a visitor has to choose; its page shows its own pace."""
    return f"{name}, where it is chosen: {rate:.1f} frames/s."


def _pace(name: str, rate: float) -> Figure:
    return Figure(
        f"{name}: frame, scores and heatmap",
        ours=rate,
        unit="frames/s",
        value=rate,
        bound=FRAMES_A_SECOND,
        target=f"≥ {FRAMES_A_SECOND:.0f} frames/s",
        at_least=True,
    )


def _words(seconds: float) -> Figure:
    return Figure(
        f"{CROWD} at once, until the last is in the queue or refused",
        ours=seconds,
        unit="s",
        value=seconds,
        bound=WORDS_S,
        target=f"≤ {WORDS_S:.0f} s",
    )


def _is_network(folder: Path) -> bool:
    return manifest.kind(manifest.read_manifest(folder)) == "scan"


def _number_of(config: dict[str, Any], name: str) -> int:
    """Find the number of a handler in what the app serves at ``/config``."""
    return next(one["id"] for one in config["dependencies"] if one["api_name"] == name)


def _wait_for_networks(visitor: Visitor, handler: int) -> None:
    """Ask until frames have scores."""
    limit = perf_counter() + PATIENCE_S
    while "scores" not in _frame(visitor, handler, {}, uuid.uuid4().hex):
        if perf_counter() > limit:
            raise ThyroError(
                f"The networks must be loaded within {PATIENCE_S:.0f} s. Received: no scores."
            )
        time.sleep(0.5)


def _frame(visitor: Visitor, handler: int, state: dict[str, Any], session: str) -> dict[str, Any]:
    answer = visitor.call(handler, [state], session)
    found = answer.get("output", {}).get("data", [None])[0]
    if not isinstance(found, dict) or "frame" not in found:
        raise ThyroError(f"A frame must be drawn. Received: {str(answer)[:200]}.")
    return found


def _rate(visitor: Visitor, handler: int, name: str) -> float:
    """Move the size of a nodule to and fro, and count the frames that come in a second."""
    session, begun = uuid.uuid4().hex, 0.0
    for turn, size in enumerate(_sizes(WARM_UP + FRAMES)):
        if turn == WARM_UP:
            begun = perf_counter()
        # A seed of its own: what the app remembers of a frame must be of no use.
        state = {"size": size, "seed": int(begun * 1000 + turn) % 100, "network": name}
        if "scores" not in _frame(visitor, handler, state, session):
            raise ThyroError(f"A frame must come with scores. Received: none of {name}.")
    return FRAMES / (perf_counter() - begun)


def _sizes(count: int) -> Sequence[int]:
    return [8 + turn % 25 for turn in range(count)]


def _crowd(visitor: Visitor, handler: int, crowd: int) -> list[float]:
    """Let visitors ask at the same moment; return each one's seconds until the app takes note."""

    def ask(number: int) -> float:
        body = {"data": [{"seed": number}], "fn_index": handler, "session_hash": f"one-{number}"}
        begun = perf_counter()
        answer = visitor.post("/gradio_api/queue/join", body)
        took = perf_counter() - begun
        if answer.status not in (200, 429):
            raise ThyroError(
                "A visitor must get a place or a sentence. Received: "
                f"{answer.status} {answer.content[:200].decode(errors='replace')}."
            )
        return took

    with ThreadPoolExecutor(crowd) as visitors:
        return list(visitors.map(ask, range(crowd)))
