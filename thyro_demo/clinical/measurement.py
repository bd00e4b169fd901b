"""A nodule's size and a frame's pixel spacing, as they are typed: numbers with their units."""

import re
from typing import NamedTuple

from thyro_demo.errors import DataError

NUMBER = r"\s*([0-9]{1,6}(?:[.,][0-9]{1,6})?)\s*(mm|cm)?\s*"
"""What a typed length must match from end to end, here and in a browser: a number, with a point or
a comma, then perhaps its unit."""

_MM_PER_UNIT = {None: 1.0, "mm": 1.0, "cm": 10.0}
_SHOWN = 40


class Kind(NamedTuple):
    """A kind of length that is typed.

    Attributes
    ----------
    name : str
        What it is, with its article.
    unit : str
        Its unit in words.
    least, most : float
        The range, inclusive, in that unit.
    example : str
        How it may be typed.
    """

    name: str
    unit: str
    least: float
    most: float
    example: str

    def rule(self) -> str:
        """State in one sentence what must be typed."""
        return (
            f"{self.name} must be a number from {self.least:g} to {self.most:g} {self.unit}, such "
            f"as {self.example}."
        )


SIZE = Kind("The longest diameter", "mm", 0.5, 200.0, "12.5, 12,5 or 1.25 cm")
"""Of a nodule; none is reported to be longer than two decimetres."""

SPACING = Kind("The pixel spacing", "mm per pixel", 0.005, 2.0, "0.08")
"""Of a frame, from one pixel to the next."""


def read(text: str, kind: Kind) -> float:
    """Read a typed length.

    Parameters
    ----------
    text : str
        Digits with a point or a comma, then perhaps "mm" or "cm".
    kind : Kind
        `SIZE` or `SPACING`.

    Returns
    -------
    float
        Millimetres.

    Raises
    ------
    DataError
        If `text` is no such number, or out of the range of its kind.

    Examples
    --------
    >>> read("12,5", SIZE), read("1.2 cm", SIZE)
    (12.5, 12.0)
    """
    found = re.fullmatch(NUMBER, text)
    if found is not None:
        # Divided at the end: 1.2 * 10 is exact as a decimal, and must reach 12 as a binary, too.
        value = round(float(found[1].replace(",", ".")) * _MM_PER_UNIT[found[2]], 6)
        if kind.least <= value <= kind.most:
            return value
    raise DataError(f"{kind.rule()} Received: {text.strip()[:_SHOWN] or 'nothing'}.")
