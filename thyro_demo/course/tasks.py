"""What a reader completes: a function with a blank, and a check that says whether it is right."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def check(function: Callable[..., Any], cases: Iterable[tuple[tuple[Any, ...], Any]]) -> str:
    """Try a reader's function on cases, and report the first that it gets wrong.

    Parameters
    ----------
    function : callable
        What the reader has completed; a blank is `...`.
    cases : iterable of (tuple, object)
        Arguments and what must come back. Numbers may differ by rounding.

    Returns
    -------
    str
        A sentence that begins with "Right", "Not yet" or "Not tried yet".

    Examples
    --------
    >>> check(lambda depth: ..., [((1,), 2)])
    'Not tried yet: put your own line in place of the three dots.'
    >>> check(lambda depth: 3 * depth, [((1,), 2)])
    'Not yet: for (1) it must return 2. Received: 3.'
    >>> check(lambda depth: 2 * depth, [((1,), 2), ((2,), 4)])
    'Right, in all 2 cases.'
    """
    number = 0
    for arguments, wanted in cases:
        number += 1
        given = ", ".join(map(repr, arguments))
        try:
            found = function(*arguments)
        # Whatever a beginner's line raises is news for the beginner, not the end of the chapter.
        except Exception as error:
            return f"Not yet: for ({given}) it fails. Received: {type(error).__name__}: {error}."
        if found is ...:
            return "Not tried yet: put your own line in place of the three dots."
        if not _same(found, wanted):
            return f"Not yet: for ({given}) it must return {wanted!r}. Received: {found!r}."
    return f"Right, in all {number} cases."


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        try:
            return bool(np.isclose(float(found), wanted, rtol=1e-3, atol=1e-6))
        except (TypeError, ValueError):
            return False
    try:
        return bool(found == wanted)
    except ValueError:
        # An array is compared number by number.
        return np.array_equal(found, wanted)
