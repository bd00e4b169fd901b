"""How figures are written for readers: intervals, gains, shares and counts."""

import math
import re
from collections.abc import Mapping, Sequence

from thyro_demo.evaluate.intervals import share

Estimate = Mapping[str, float | None] | Sequence[float | None]
"""A figure and the ends of its interval: `Interval`, (value, low, high), or a mapping with those
keys. None and NaN are undefined."""

_VALUE, _BRACKET, _REST = r"([−+]?[\d.,]+ ?%?)", r"(\([^()]*\))", r"(.*)"
_WITH_INTERVAL = re.compile(f"{_VALUE} {_BRACKET}{_REST}")


def ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    """Return value, low and high of an estimate, None for what is undefined."""
    if isinstance(estimate, Mapping):
        estimate = [estimate[key] for key in ("value", "low", "high")]
    value, low, high = (None if x is None or math.isnan(x) else float(x) for x in estimate)
    return value, low, high


def number(value: float, decimals: int = 2, *, plus: bool = False) -> str:
    """Write a number with a true minus sign.

    Parameters
    ----------
    value : float
        The number.
    decimals : int
        Digits after the point.
    plus : bool
        Write a plus sign in front of 0 and more.

    Returns
    -------
    str
        Such as "0.50" or "+0.50".

    Examples
    --------
    >>> number(-0.5)
    '−0.50'
    """
    return f"{value:{'+' if plus else ''}.{decimals}f}".replace("-", "−")


def percent(value: float, decimals: int = 0) -> str:
    """Write a share in percent.

    Parameters
    ----------
    value : float
        0–1.
    decimals : int
        Digits after the point.

    Returns
    -------
    str
        Such as "95 %".

    Examples
    --------
    >>> percent(0.955, 1)
    '95.5 %'
    """
    return f"{number(100 * value, decimals)} %"


def with_interval(
    estimate: Estimate,
    decimals: int = 2,
    *,
    scale: float = 1.0,
    plus: bool = False,
    dashes: bool = True,
) -> str:
    """Write a figure and its interval.

    Parameters
    ----------
    estimate : mapping or sequence of (float or None)
        Value, low and high; see `Estimate`.
    decimals : int
        Digits after the point.
    scale : float
        What the numbers are multiplied by: 100 makes percent of shares.
    plus : bool
        Write a plus sign in front of a value of 0 or more.
    dashes : bool
        Write a dash for what is undefined. Without, a missing value becomes "undefined", and a
        missing interval is left out.

    Returns
    -------
    str
        Such as "0.84 (0.80–0.88)" or "0.01 (−0.02 to 0.04)".

    Examples
    --------
    >>> with_interval((0.84, 0.8, 0.88))
    '0.84 (0.80–0.88)'
    >>> with_interval({"value": 0.01, "low": -0.02, "high": 0.04}, 1, scale=100)
    '1.0 (−2.0 to 4.0)'
    """
    value, low, high = ends(estimate)
    if value is None:
        return "–" if dashes else "undefined"
    point = number(scale * value, decimals, plus=plus)
    if low is None or high is None:
        return f"{point} (–)" if dashes else point
    # A dash between two signed numbers would read as a minus.
    between = " to " if low < 0 else "–"
    return f"{point} ({number(scale * low, decimals)}{between}{number(scale * high, decimals)})"


def gain(estimate: Estimate, decimals: int = 3, *, scale: float = 1.0, dashes: bool = True) -> str:
    """Write a difference with a sign before its value and both ends of its interval.

    Parameters
    ----------
    estimate : mapping or sequence of (float or None)
        Value, low and high; see `Estimate`.
    decimals : int
        Digits after the point.
    scale : float
        What the numbers are multiplied by: 100 makes percent of shares.
    dashes : bool
        As in `with_interval`.

    Returns
    -------
    str
        Such as "+0.012 (−0.020 to +0.040)".

    Examples
    --------
    >>> gain((0.012, -0.02, 0.04))
    '+0.012 (−0.020 to +0.040)'
    """
    value, low, high = ends(estimate)
    if value is None or low is None or high is None:
        return with_interval(estimate, decimals, scale=scale, plus=True, dashes=dashes)
    value, low, high = scale * value, scale * low, scale * high
    signed = (number(one, decimals, plus=True) for one in (value, low, high))
    return "{} ({} to {})".format(*signed)


def count_of(count: int, total: int, decimals: int = 0) -> str:
    """Write a count with the 95 % interval of its share (Wilson 1927).

    Parameters
    ----------
    count, total : int
        How many of how many independent cases, 1 or more.
    decimals : int
        Digits of the percentages after the point.

    Returns
    -------
    str
        Such as "3 of 40 (3–20 %)".

    Examples
    --------
    >>> count_of(3, 40)
    '3 of 40 (3–20 %)'
    """
    _, low, high = share(count, total)
    between = f"{number(100 * low, decimals)}–{number(100 * high, decimals)} %"
    return f"{count} of {total} ({between})"


def split_interval(text: str) -> tuple[str, str, str]:
    """Split what this module wrote, so that a table can set an interval under its figure.

    Parameters
    ----------
    text : str
        A figure, its interval in brackets and whatever follows, or any other text.

    Returns
    -------
    value, bracket, rest : str
        Such as "0.84", "(0.80–0.88)" and " / 0.86"; any other text as it is, and two empty
        strings.
    """
    found = _WITH_INTERVAL.fullmatch(text)
    return (found[1], found[2], found[3]) if found else (text, "", "")
