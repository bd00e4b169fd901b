"""The teaching rule of the clinic, and where it and ACR TI-RADS disagree.

The rule is ours, made to be compared with TI-RADS in class: FNA would be discussed when a
model score reaches its threshold and the nodule a longest diameter of 10 mm. It is no advice, and
not ACR's.

References
----------
Koh et al., "Diagnosis of thyroid nodules on ultrasonography by a deep convolutional neural
network", Scientific Reports 10:15245, 2020, whose application asks for size and image, and makes
the network's output binary at the Youden index.
"""

from typing import Literal, NamedTuple

from thyro_demo.clinical import tirads
from thyro_demo.errors import DataError

FNA_FROM_MM = 10.0
"""Longest diameter, inclusive, from which the teaching rule speaks of FNA."""

Case = Literal["both", "neither", "too small", "tirads alone", "model alone", "no level"]
"""How TI-RADS and the model stand to each other."""


class Verdict(NamedTuple):
    """What TI-RADS and the model with the teaching rule come to for one nodule.

    Attributes
    ----------
    advice : Recommendation
        What the ACR table advises.
    discussed : bool
        Whether FNA would be discussed by the teaching rule.
    case : str
        How the two stand to each other: FNA by "both" or by "neither"; "too small", by neither
        although the score reaches its threshold; "tirads alone"; "model alone"; "no level", as a
        total of 1 has none that could be compared.
    """

    advice: tirads.Recommendation
    discussed: bool
    case: Case

    @property
    def agree(self) -> bool | None:
        """Whether both come to the same; None where ACR has no level."""
        return None if self.case == "no level" else not self.case.endswith("alone")


def is_discussed(positive: bool, size_mm: float) -> bool:
    """Apply the teaching rule.

    Parameters
    ----------
    positive : bool
        Whether the model score reaches its threshold.
    size_mm : float
        Longest diameter in millimetres, above 0.

    Returns
    -------
    bool
        Whether FNA would be discussed.

    Raises
    ------
    DataError
        If `size_mm` is not above 0.

    Examples
    --------
    >>> is_discussed(True, 10.0), is_discussed(True, 9.9), is_discussed(False, 30.0)
    (True, False, False)
    """
    if not size_mm > 0:
        raise DataError(f"The longest diameter must be above 0 mm. Received: size_mm={size_mm}.")
    return positive and size_mm >= FNA_FROM_MM


def compare(points: int, positive: bool, size_mm: float) -> Verdict:
    """Hold what TI-RADS advises against the teaching rule.

    Parameters
    ----------
    points : int
        TI-RADS points, 0 or more.
    positive : bool
        Whether the model score reaches its threshold.
    size_mm : float
        Longest diameter in millimetres, above 0.

    Returns
    -------
    Verdict
        Both, and how they stand to each other.

    Raises
    ------
    DataError
        If `points` is negative or `size_mm` is not above 0.

    Examples
    --------
    >>> compare(5, True, 12.0).case, compare(5, True, 15.0).case
    ('model alone', 'both')
    """
    advice = tirads.recommendation(points, size_mm)
    discussed = is_discussed(positive, size_mm)
    return Verdict(advice, discussed, _case(advice, positive, discussed))


def bands(points: int, positive: bool) -> list[tuple[float, Verdict]]:
    """List the verdicts for a total and a side of the threshold at every size.

    Parameters
    ----------
    points : int
        TI-RADS points, 0 or more.
    positive : bool
        Whether the model score reaches its threshold.

    Returns
    -------
    list of tuple
        The diameter in millimetres, inclusive, from which a verdict holds, and the verdict, from
        the smallest diameter on; the first is above 0.

    Raises
    ------
    DataError
        If `points` is negative.
    """
    edges = sorted({from_mm for from_mm, _ in tirads.bands(points)} | {FNA_FROM_MM})
    smallest = 0.5 * edges[1]
    return [(edge, compare(points, positive, edge or smallest)) for edge in edges]


def _case(advice: tirads.Recommendation, positive: bool, discussed: bool) -> Case:
    if advice.level is None:
        return "no level"
    if advice.action == "fna":
        return "both" if discussed else "tirads alone"
    if discussed:
        return "model alone"
    return "too small" if positive else "neither"
