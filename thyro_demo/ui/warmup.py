"""Load the networks behind the page, so that the page need not wait for them."""

from __future__ import annotations

import contextlib
import threading
from typing import Protocol

from thyro_demo.errors import ThyroError


class Warmable(Protocol):
    """Anything with networks to load: the engine, or a stand-in in tests."""

    def warm_up(self) -> None:
        """Import the framework and load the networks."""


class WarmUp:
    """One background loading of the networks, started at most once.

    Importing TensorFlow keeps Python busy for seconds, so it starts when the first
    page is open in a browser, or after `patience` seconds if none comes.

    Parameters
    ----------
    engine : Warmable
        What is to be warmed up.
    """

    def __init__(self, engine: Warmable) -> None:
        self._engine = engine
        self._once = threading.Lock()
        self._done = threading.Event()
        self._timer: threading.Timer | None = None

    @property
    def ready(self) -> bool:
        """Whether the networks have been loaded, or loading them has failed."""
        return self._done.is_set()

    def start(self) -> None:
        """Begin to load in a background thread; further calls do nothing."""
        if self._once.acquire(blocking=False):
            threading.Thread(target=self._run, name="warm-up", daemon=True).start()

    def start_within(self, patience: float) -> None:
        """Begin to load after `patience` seconds, unless `start` was called before."""
        self._timer = threading.Timer(patience, self.start)
        self._timer.daemon = True
        self._timer.start()

    def wait(self) -> None:
        """Return when the networks are ready; begin to load them if nobody has."""
        self.start()
        self._done.wait()

    def _run(self) -> None:
        try:
            # A bundle that cannot be loaded is reported by the comparison that asks for it.
            with contextlib.suppress(ThyroError):
                self._engine.warm_up()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._done.set()
