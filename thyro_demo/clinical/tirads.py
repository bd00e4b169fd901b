"""ACR TI-RADS 2017: points of the five features, level, and advice by size.

Teaching and research only: a function here repeats a published table, it does not
judge a patient.

References
----------
Tessler et al., "ACR Thyroid Imaging, Reporting and Data System (TI-RADS): White
Paper of the ACR TI-RADS Committee", J Am Coll Radiol 14(5):587–595, 2017, Fig. 1.
The table's single row "hyperechoic or isoechoic" is two names here with the same
point, so that a generator can draw either.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from thyro_demo.errors import DataError

SPONGIFORM = "spongiform"
"""The composition that has no points, whatever else is seen."""

COMPOSITION: dict[str, int] = {
    "cystic or almost completely cystic": 0,
    SPONGIFORM: 0,
    "mixed cystic and solid": 1,
    "solid or almost completely solid": 2,
    "cannot be determined": 2,
}
ECHOGENICITY: dict[str, int] = {
    "anechoic": 0,
    "hyperechoic": 1,
    "isoechoic": 1,
    "hypoechoic": 2,
    "very hypoechoic": 3,
    "cannot be determined": 1,
}
SHAPE: dict[str, int] = {
    "wider than tall": 0,
    "taller than wide": 3,
}
MARGIN: dict[str, int] = {
    "smooth": 0,
    "ill-defined": 0,
    "lobulated or irregular": 2,
    "extrathyroidal extension": 3,
    "cannot be determined": 0,
}
FOCI: dict[str, int] = {
    "large comet-tail artifacts": 0,
    "macrocalcifications": 1,
    "peripheral (rim) calcifications": 2,
    "punctate echogenic foci": 3,
}

# Smallest longest diameter in millimetres, inclusive: fine-needle aspiration, then
# follow-up, then the years after the first scan in which to look again.
_ADVICE: dict[str, tuple[float, float, tuple[int, ...]]] = {
    "TR3": (25.0, 15.0, (1, 3, 5)),
    "TR4": (15.0, 10.0, (1, 2, 3, 5)),
    "TR5": (10.0, 5.0, (1, 2, 3, 4, 5)),
}


@dataclass(frozen=True)
class Features:
    """The five ACR TI-RADS features of one nodule.

    Parameters
    ----------
    composition : str
        A name of `COMPOSITION`.
    echogenicity : str
        A name of `ECHOGENICITY`.
    shape : str
        A name of `SHAPE`.
    margin : str
        A name of `MARGIN`.
    foci : tuple of str
        Names of `FOCI`, each at most once; empty when there are none.

    Raises
    ------
    DataError
        If a name is not in its table, or a focus is named twice.
    """

    composition: str
    echogenicity: str
    shape: str
    margin: str
    foci: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _known("composition", self.composition, COMPOSITION)
        _known("echogenicity", self.echogenicity, ECHOGENICITY)
        _known("shape", self.shape, SHAPE)
        _known("margin", self.margin, MARGIN)
        if isinstance(self.foci, str):
            raise DataError(
                "foci must be a tuple of names, empty when there are none. "
                f"Received: foci={self.foci!r}."
            )
        for focus in self.foci:
            _known("foci", focus, FOCI)
        if len(set(self.foci)) != len(self.foci):
            raise DataError(f"Each kind of focus must be named once. Received: foci={self.foci!r}.")


@dataclass(frozen=True)
class Recommendation:
    """What the ACR table advises for one nodule.

    Parameters
    ----------
    level : str or None
        "TR1" to "TR5"; None for a total of 1, which has no level.
    action : str
        "fna", "follow-up" or "none".
    years : tuple of int
        Years after the first scan in which to look again; empty unless `action` is
        "follow-up".
    sentence : str
        The same in one English sentence.
    """

    level: str | None
    action: str
    years: tuple[int, ...]
    sentence: str


def points(features: Features) -> int:
    """Add up the points of the five features.

    Parameters
    ----------
    features : Features
        The features; echogenic foci add up over all that apply.

    Returns
    -------
    int
        Points, 0–17. A spongiform nodule has 0 whatever else is named.

    Examples
    --------
    >>> solid = "solid or almost completely solid"
    >>> points(Features(solid, "hypoechoic", "taller than wide", "smooth"))
    7
    """
    if features.composition == SPONGIFORM:
        return 0
    return (
        COMPOSITION[features.composition]
        + ECHOGENICITY[features.echogenicity]
        + SHAPE[features.shape]
        + MARGIN[features.margin]
        + sum(FOCI[focus] for focus in features.foci)
    )


def level(points: int) -> str | None:
    """Name the ACR level of a total.

    Parameters
    ----------
    points : int
        Points, 0 or more.

    Returns
    -------
    str or None
        "TR1" to "TR5". A total of 1, for example a cyst with a macrocalcification, has
        no level in the table: None.

    Raises
    ------
    DataError
        If `points` is negative.

    Examples
    --------
    >>> [level(points) for points in (0, 1, 2, 3, 4, 7)]
    ['TR1', None, 'TR2', 'TR3', 'TR4', 'TR5']
    """
    if points < 0:
        raise DataError(f"TI-RADS points must be 0 or more. Received: points={points}.")
    if points >= 7:
        return "TR5"
    if points >= 4:
        return "TR4"
    return {0: "TR1", 1: None, 2: "TR2", 3: "TR3"}[points]


def recommendation(points: int, size_mm: float) -> Recommendation:
    """Look up the advice for a total and a size.

    Parameters
    ----------
    points : int
        Points, 0 or more.
    size_mm : float
        Longest diameter in millimetres, above 0; thresholds are inclusive.

    Returns
    -------
    Recommendation
        Level, action, years and a sentence.

    Raises
    ------
    DataError
        If `points` is negative or `size_mm` is not above 0.

    Examples
    --------
    >>> recommendation(7, 10.0).sentence
    'TR5, 10 mm or more: FNA.'
    """
    if not size_mm > 0:
        raise DataError(f"The longest diameter must be above 0 mm. Received: size_mm={size_mm}.")
    name = level(points)
    if name is None:
        return Recommendation(
            None, "none", (), "A total of 1 has no ACR level, so the table recommends nothing."
        )
    if name not in _ADVICE:
        return Recommendation(name, "none", (), f"{name}: no FNA and no follow-up, at any size.")
    fna, follow_up, years = _ADVICE[name]
    if size_mm >= fna:
        return Recommendation(name, "fna", (), f"{name}, {fna:g} mm or more: FNA.")
    if size_mm >= follow_up:
        when = "every year for 5 years" if name == "TR5" else f"at {_listed(years)} years"
        sentence = f"{name}, {follow_up:g} mm to less than {fna:g} mm: follow-up {when}."
        return Recommendation(name, "follow-up", years, sentence)
    return Recommendation(
        name, "none", (), f"{name}, less than {follow_up:g} mm: no FNA and no follow-up."
    )


def bands(points: int) -> list[tuple[float, Recommendation]]:
    """List the advice for a total at every size.

    Parameters
    ----------
    points : int
        Points, 0 or more.

    Returns
    -------
    list of tuple
        The diameter in millimetres, inclusive, from which an advice holds, and the advice, from
        the smallest diameter on; the first is above 0.

    Raises
    ------
    DataError
        If `points` is negative.

    Examples
    --------
    >>> [(from_mm, advice.action) for from_mm, advice in bands(7)]
    [(0.0, 'none'), (5.0, 'follow-up'), (10.0, 'fna')]
    """
    fna, follow_up, _ = _ADVICE.get(level(points) or "", (None, None, ()))
    edges = [edge for edge in (follow_up, fna) if edge is not None]
    smallest = 0.5 * min(edges, default=1.0)
    return [(0.0, recommendation(points, smallest))] + [
        (edge, recommendation(points, edge)) for edge in edges
    ]


def _known(field: str, name: str, table: Mapping[str, int]) -> None:
    if name not in table:
        raise DataError(f"{field} must be one of {', '.join(table)}. Received: {field}={name!r}.")


def _listed(years: tuple[int, ...]) -> str:
    return ", ".join(map(str, years[:-1])) + f" and {years[-1]}"
