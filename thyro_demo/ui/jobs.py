"""The jobs of a running app: how many wait, and whose."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
from gradio.queueing import Event

from thyro_demo.ui.limits import LIVE, SESSION_LENGTH


class Jobs:
    """What waits in the queue of an app.

    Parameters
    ----------
    app : gr.Blocks
        The app.
    """

    def __init__(self, app: gr.Blocks) -> None:
        self._app = app

    def are_full(self) -> bool:
        """Check whether as many jobs wait as may."""
        most = self._app._queue.max_size
        return most is not None and len(self._app._queue) >= most

    def is_live(self, function: object) -> bool:
        """Check whether a number is that of a handler that a page asks many times a second."""
        found = self._app.fns.get(function) if isinstance(function, int) else None
        return found is not None and str(found.api_name).startswith(LIVE)

    def has_live(self, session: str) -> bool:
        """Check whether a session has such a job waiting, the one at work left out."""
        return any(
            event.session_hash[:SESSION_LENGTH] == session and self.is_live(event.fn._id)
            for event in self._waiting()
        )

    def _waiting(self) -> Iterator[Event]:
        for line in list(self._app._queue.event_queue_per_concurrency_id.values()):
            yield from list(line.queue)
