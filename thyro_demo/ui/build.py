"""Put the pages together."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from thyro_demo.engine import Engine
from thyro_demo.ui import pages
from thyro_demo.ui.catalogue import language
from thyro_demo.ui.clinic import ClinicPage
from thyro_demo.ui.compare import ComparePage
from thyro_demo.ui.examples import Example, collect
from thyro_demo.ui.gate import GatedBlocks
from thyro_demo.ui.play import PlayPage
from thyro_demo.ui.present import PresentPage
from thyro_demo.ui.sessions import keep_no_copies
from thyro_demo.ui.warmup import WarmUp


def build_ui(
    engine: Engine, examples: Sequence[Example] | None = None, warm_up: WarmUp | None = None
) -> gr.Blocks:
    """Build the app without launching it.

    Parameters
    ----------
    engine : Engine
        What compares and explains; any object with the same methods serves.
    examples : sequence of Example, optional
        Frames on offer; by default `thyro_demo.ui.examples.collect`.
    warm_up : WarmUp, optional
        The loading of the networks that a comparison waits for, begun when a page is open
        in a browser; by default the engine loads them when first asked.

    Returns
    -------
    gr.Blocks
        The app; `thyro_demo.ui.launch.launch` adds its look and its limits.
    """
    offered = collect() if examples is None else examples
    app = GatedBlocks(title=pages.PAGES[0].title, analytics_enabled=False)
    builders = {
        "compare": ComparePage(engine, offered, warm_up).build,
        "play": PlayPage(engine, warm_up).build,
        "clinic": ClinicPage(engine, offered, warm_up).build,
        "present": PresentPage(engine, offered, warm_up, app.place).build,
    }
    with app:
        for page in pages.PAGES:
            app.begin(page)
            with language(page.language):
                pages.head(page)
                builders[page.key]()
            if warm_up is not None:
                app.load(warm_up.start, api_visibility="private", show_progress="hidden")
    keep_no_copies(app)
    return app
