"""What the app keeps of each visitor: no copy of the page.

Gradio describes every component anew for each session, for deep links, which are not served
here. With a hundred components that costs a twentieth of a second of the one thread that takes
requests, for each visitor of a class that comes at once; and it keeps what was shown.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import BlocksConfig


def keep_no_copies(app: gr.Blocks) -> None:
    """Let the sessions of an app describe no component."""
    app.default_config.__class__ = _Shared


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
