"""What the app keeps of each visitor: no copy of the page, and a comparison for ten minutes.

Gradio describes every component anew for each session, for deep links, which are not served
here. With a hundred components that costs a twentieth of a second of the one thread that takes
requests, for each visitor of a class that comes at once; and it keeps what was shown.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.state_holder import SessionState

KEPT_S = 600
"""How long a comparison, and with it a visitor's frame, is kept."""


def keep_no_copies(app: gr.Blocks) -> None:
    """Let the sessions of an app describe no component."""
    app.default_config.__class__ = _Shared


def forget_in_time(session: SessionState) -> None:
    """Let what a session holds go as soon when its page is closed as while it is open."""
    # Gradio would keep all of it for an hour, for a visitor who might come back. Not at once:
    # a page whose connection broke off counts as closed, and is still being read.
    session.STATE_TTL_WHEN_CLOSED = KEPT_S


class _OfSession(BlocksConfig):
    """The components that a session looks up, undescribed."""

    @staticmethod
    def config_for_block(*_: Any) -> dict[str, Any]:
        return {}


class _Shared(BlocksConfig):
    """The components of the app, from which those of a session are copied."""

    def __copy__(self) -> BlocksConfig:
        copy = super().__copy__()
        copy.__class__ = _OfSession
        return copy
