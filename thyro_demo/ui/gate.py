"""The one gate that every request passes before a handler sees it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.state_holder import SessionState
from gradio.utils import colab_check, get_space, ipython_check
from pydantic import ValidationError
from starlette.middleware import Middleware

from thyro_demo.ui import pages
from thyro_demo.ui.catalogue import DEFAULT, language
from thyro_demo.ui.guard import Guard
from thyro_demo.ui.jobs import Jobs
from thyro_demo.ui.limits import Limits
from thyro_demo.ui.place import Place
from thyro_demo.ui.preview import Preview
from thyro_demo.ui.sentences import said
from thyro_demo.ui.sessions import forget_in_time
from thyro_demo.ui.uploads import private_folder

NOT_AN_UPLOAD = (
    "An image must be a file that was uploaded to this page in the last ten minutes; choose or "
    "upload it again. Received: another path."
)
"""The answer for every other path, the same whether it is a file, a folder, or not there."""


class GatedBlocks(gr.Blocks):
    """Blocks whose handlers, named endpoints and private ones alike, open uploads alone.

    Gradio checks only values that are marked as files (`meta`). Its own client leaves that out
    for names without extension, so it cannot be demanded; and a value without it reaches the
    component, and the handler, with any path of the computer.
    """

    limits: Limits
    """Those of the running app."""

    def launch(self, *args: Any, app_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Launch as `gr.Blocks.launch` does, behind `Guard`."""
        settings = app_kwargs or {}
        self.limits = Limits()
        self._embedded = colab_check() or ipython_check() or get_space() is not None
        guard = Middleware(Guard, place=self.place, limits=self.limits, jobs=Jobs(self))
        preview = Middleware(Preview, place=self.place)
        first = [guard, preview, *settings.get("middleware", [])]
        return super().launch(*args, app_kwargs=settings | {"middleware": first}, **kwargs)

    def begin(self, page: pages.Page) -> None:
        """Let what is laid out from now on be of a page: `route`, but within the one context."""
        # At the end of each context Gradio builds its server anew, which takes longer than a page.
        self.current_page = page.path
        if page.path:
            # The navigation is ours, in the masthead.
            self.pages.append((page.path, page.name, False))

    def place(self) -> Place:
        """Describe where the app is at this moment: a public link may come later."""
        return Place(
            pages=tuple(f"/{page}" for page, *_ in self.pages),
            root=self.root_path or "",
            link=self.share_url or "",
            embedded=self._embedded,
            # Unknown while the server starts, which may already be asked.
            server=str(getattr(self, "server_name", "")).strip("[]"),
            port=int(getattr(self, "server_port", 0)),
        )

    async def process_api(self, block_fn: BlockFunction | int, *args: Any, **kwargs: Any) -> Any:
        """Answer in the language of the page that asks; threads and generators take it along."""
        asked = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        page = pages.at(asked.page)
        with language(DEFAULT if page is None else page.language):
            return await super().process_api(block_fn, *args, **kwargs)

    async def preprocess_data(
        self,
        block_fn: BlockFunction,
        inputs: list[Any],
        state: SessionState | None,
        explicit_call: bool = False,
    ) -> list[Any]:
        """Refuse values with a path outside the upload folder, then go on as Gradio does."""
        _check_paths(inputs, private_folder().resolve())
        if state is not None:
            forget_in_time(state)
        if block_fn.api_name and block_fn.api_visibility != "private":
            # A program may leave out what was added since it was written.
            inputs = [*inputs, *_defaults(block_fn.inputs[len(inputs) :])]
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except ValidationError as error:
            # Of the components here, images alone have a form that a value must have.
            raise gr.Error(said(NOT_AN_UPLOAD), print_exception=False) from error


def as_sent(component: Any) -> Any:
    """Let a component hand its value to the handler as it was sent, for the handler to judge.

    Gradio rounds a number, and refuses what is of another kind with a traceback.

    Parameters
    ----------
    component : Component
        Of Gradio; changed in place.

    Returns
    -------
    Component
        The same.
    """
    component.preprocess = lambda value: value
    return component


def _defaults(components: Sequence[Any]) -> list[Any]:
    """Return the values of components that have one, up to the first that has none."""
    values = [getattr(component, "value", None) for component in components]
    return list(itertools.takewhile(lambda value: value is not None, values))


def _check_paths(value: Any, folder: Path) -> None:
    """Refuse a value that names, at any depth, a path outside a folder."""
    if isinstance(value, dict):
        if "path" in value and not _leads_into(folder, value["path"]):
            raise gr.Error(said(NOT_AN_UPLOAD), print_exception=False)
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            _check_paths(part, folder)


def _leads_into(folder: Path, path: Any) -> bool:
    """Check whether a path, its links followed, leads to a place below a folder."""
    if path is None:
        return True
    try:
        return folder in Path(path).resolve().parents
    except (OSError, RuntimeError, TypeError, ValueError):
        # Too long, a circle of links, no text at all, or a null byte.
        return False
