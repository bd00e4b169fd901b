"""The lecture set: drawn cases that never change, each with an address of its own in the app."""

import re
from dataclasses import dataclass
from urllib.parse import urlencode


def slug(name: str) -> str:
    """Write the name of a case as part of an address.

    Parameters
    ----------
    name : str
        Name of an example of the app.

    Returns
    -------
    str
        Lower-case letters and digits, with hyphens for everything else.

    Examples
    --------
    >>> slug("Scanner's text around the scan")
    'scanner-s-text-around-the-scan'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@dataclass(frozen=True)
class Case:
    """One case of the lecture set.

    Parameters
    ----------
    name : str
        Name of the example in the app, and of the phantom where it is one.
    question : str
        What the class is asked before "Compare" is pressed.
    point : str
        What the lecturer makes of it afterwards; it is true whatever the scores are.
    label : str
        Label with which the frame was drawn, or "not ultrasound".
    points : int or None
        TI-RADS points it was drawn with; None where no nodule was drawn.
    """

    name: str
    question: str
    point: str
    label: str
    points: int | None

    @property
    def slug(self) -> str:
        """Name of the case in an address."""
        return slug(self.name)


CASES = (
    Case(
        "Spongiform",
        "Which TI-RADS level is this, and do you expect scores below the threshold?",
        "An easy frame: points and label agree. If heads disagree even here, ask why.",
        "benign",
        0,
    ),
    Case(
        "Very hypoechoic, taller than wide",
        "Name the features that make this nodule suspicious.",
        "Points and label agree again. Hold the outline that each network drew against the true "
        "one: did it find the nodule before it read it?",
        "malignant",
        8,
    ),
    Case(
        "Looks benign, labelled malignant",
        "Which level is this drawn nodule, and what would the table say?",
        "The label is a draw against the odds, as happens in the clinic: whoever reads the "
        "features well is wrong here, and a model that is right may have been lucky.",
        "malignant",
        3,
    ),
    Case(
        "Looks malignant, labelled benign",
        "And this one?",
        "A false alarm costs a needle. Move the threshold in your mind: which error is worse?",
        "benign",
        7,
    ),
    Case(
        "Macrocalcification with shadow",
        "What is the dark stripe below the bright arc?",
        "A shadow: no sound gets past the stone. A network may take it for the nodule.",
        "benign",
        5,
    ),
    Case(
        "Scanner's text around the scan",
        "Could a network read the answer off the frame?",
        "Text and scales reveal where a frame comes from, and that can reveal the class. The frame "
        "is cropped to its scan area first, so no heatmap can be on the print.",
        "benign",
        4,
    ),
    Case(
        "No nodule",
        "What should a model answer about a gland without a nodule?",
        "The heads know two classes, and their scores lie between them. Only the nodule map, the "
        "network's other output, can report that there is nothing to read. Look which networks do.",
        "normal",
        None,
    ),
    Case(
        "test chart",
        "And about this?",
        "It gets scores like any other image. Only the sentence above them warns that they mean "
        "nothing; not every tool has one.",
        "not ultrasound",
        None,
    ),
)
"""In the order of the lecture."""


def link(base: str, case: Case) -> str:
    """Return the permanent address of a case.

    Parameters
    ----------
    base : str
        Address of a running app, local or public.
    case : Case
        The case.

    Returns
    -------
    str
        The app opens there on this frame.
    """
    return f"{base.rstrip('/')}/?{urlencode({'case': case.slug})}"


def table() -> str:
    """Write the lecture set as a table for the lecturers' page.

    Returns
    -------
    str
        Markdown, a row a case.
    """
    rows = ["| Address ends in | Ask | Drawn as | What to make of it |", "|---|---|---|---|"]
    for case in CASES:
        points = "" if case.points is None else f", {case.points} points"
        address = link("", case)
        rows.append(f"| `{address}` | {case.question} | {case.label}{points} | {case.point} |")
    return "\n".join(rows)
