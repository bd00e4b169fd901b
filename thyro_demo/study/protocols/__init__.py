"""The published systems, each as data and one function that runs it.

A protocol is a module with a constant `PROTOCOL` and a function `run(setting)`. To add one, write
the module and name it in `published.PROTOCOLS`.
"""

from importlib import import_module

from thyro_demo.errors import StudyError
from thyro_demo.study.published import PROTOCOLS, Protocol, Published
from thyro_demo.study.report import Report
from thyro_demo.study.setting import Setting

__all__ = ["PROTOCOLS", "Protocol", "Published", "run"]


def run(key: str, setting: Setting) -> Report:
    """Run a protocol.

    Parameters
    ----------
    key : str
        A key of `PROTOCOLS`.
    setting : Setting
        On which images, how thoroughly, and where to keep the parts.

    Returns
    -------
    Report
        Our figures beside the published ones.

    Raises
    ------
    StudyError
        If there is no such protocol, or a part of it failed.
    DataError
        If the images are not in the layout that it reads.
    """
    if key not in PROTOCOLS:
        raise StudyError(f"A protocol is one of {', '.join(PROTOCOLS)}. Received: {key!r}.")
    found: Report = import_module(f"{__name__}.{key.lower()}").run(setting)
    return found
