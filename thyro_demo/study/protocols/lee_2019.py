"""The tables of Lee et al. 2019, as the lecture on that work prints them: data, nothing else.

Letters are the paper's: A AlexNet, O OverFeat, V VGG-F, Vv VGG-19, R ResNet-50, I Inception-v3.
All rates are in percent, on 100 benign and 50 malignant test images. So each accuracy follows
from sensitivity and specificity. A number that is damaged in the copy at hand is given where the
other two settle it, and left out where they do not.

References
----------
Lee et al., "Differentiation of thyroid nodules on US using features learned and extracted from
various convolutional neural networks", Scientific Reports 9, 2019, 19854.
"""

from dataclasses import replace
from typing import NamedTuple

from thyro_demo.study.published import Published

BENIGN, MALIGNANT = 100, 50
"""Images of the test part."""

NETWORKS = {
    "A": Published("AlexNet", 86.7, 88.0, 86.0),
    "O": Published("OverFeat", 85.3, 84.0, 86.0),
    "V": Published("VGG", 86.0, 84.0, 87.0),
    "Vv": Published("VGG-verydeep", 85.3, 74.0, 91.0),
    "R": Published("ResNet", 84.0, 86.0, 83.0),
    "I": Published("Inception", 86.7, 78.0, 91.0),
}
"""The fine-tuned networks."""

READERS = (
    Published("Radiologist 1 by TIRADS", 87.3, 95.0, 72.0),
    Published("Radiologist 2 by TIRADS", 80.0, 79.0, 82.0),
    Published("Radiologist 1 by Kim et al", 84.7, 82.0, 90.0),
    Published("Radiologist 2 by Kim et al", 80.0, 79.0, 82.0),
)
"""The radiologists, as printed."""


_ROUNDING = 0.05 + 1e-9


class Check(NamedTuple):
    """Which class a row took as positive, by its accuracy.

    Parameters
    ----------
    malignant, benign : float
        Accuracy in percent that follows from the row's rates with this class as positive.
    positive : str
        The class for which it is the printed one; "either" or "neither" where that does not
        settle it.
    """

    malignant: float
    benign: float
    positive: str


def check(row: Published) -> Check:
    """Find out which class a row took as positive.

    Parameters
    ----------
    row : Published
        With accuracy, sensitivity and specificity.

    Returns
    -------
    Check
        The accuracies that follow, and what they say.

    Raises
    ------
    ValueError
        If a rate is missing.
    """
    if row.accuracy is None or row.sensitivity is None or row.specificity is None:
        raise ValueError(f"A check needs accuracy and both rates. Received: {row}.")
    total = BENIGN + MALIGNANT
    malignant = (MALIGNANT * row.sensitivity + BENIGN * row.specificity) / total
    benign = (BENIGN * row.sensitivity + MALIGNANT * row.specificity) / total
    fitting = [
        name
        for name, implied in (("malignant", malignant), ("benign", benign))
        if abs(implied - row.accuracy) <= _ROUNDING
    ]
    said = fitting[0] if len(fitting) == 1 else "either" if fitting else "neither"
    return Check(malignant, benign, said)


def corrected(row: Published) -> Published:
    """Swap the rates of a row that took benign as positive.

    Parameters
    ----------
    row : Published
        As printed.

    Returns
    -------
    Published
        The same reading with malignant as positive.
    """
    if check(row).positive != "benign":
        return row
    return replace(row, sensitivity=row.specificity, specificity=row.sensitivity)


# Network, features, head; without fine-tuning; with it.
_FEATURES = """
A  fc1     svm     80.7 80.0 81.0  87.3 86.0 88.0
A  fc1     forest  85.3 82.0 87.0  86.0 82.0 88.0
A  fc2     svm     81.3 80.0 82.0  84.7 82.0 86.0
A  fc2     forest  84.0 78.0 87.0  87.3 82.0 90.0
A  fc1+fc2 svm     82.0 80.0 83.0  85.3 84.0 86.0
A  fc1+fc2 forest  86.0 82.0 88.0  87.3 84.0 89.0
O  fc1     svm     78.7 74.0 81.0  84.7 82.0 86.0
O  fc1     forest  81.3 –    –     87.3 84.0 89.0
O  fc2     svm     81.3 80.0 82.0  85.3 84.0 86.0
O  fc2     forest  81.3 74.0 85.0  88.0 84.0 90.0
O  fc1+fc2 svm     81.3 –    –     85.3 84.0 86.0
O  fc1+fc2 forest  82.0 72.0 87.0  88.0 86.0 89.0
V  fc1     svm     79.3 82.0 78.0  84.7 80.0 87.0
V  fc1     forest  84.7 80.0 87.0  89.3 86.0 91.0
V  fc2     svm     80.7 84.0 79.0  86.0 82.0 88.0
V  fc2     forest  85.3 80.0 88.0  88.0 84.0 90.0
V  fc1+fc2 svm     79.3 82.0 78.0  86.7 82.0 89.0
V  fc1+fc2 forest  82.7 80.0 84.0  88.7 84.0 91.0
Vv fc1     svm     84.7 88.0 83.0  78.0 76.0 79.0
Vv fc1     forest  84.0 88.0 82.0  74.0 76.0 73.0
Vv fc2     svm     84.0 88.0 82.0  –    –    –
Vv fc2     forest  85.3 90.0 83.0  69.3 74.0 67.0
Vv fc1+fc2 svm     84.7 88.0 83.0  76.0 74.0 77.0
Vv fc1+fc2 forest  85.3 92.0 82.0  71.3 74.0 70.0
R  avg     svm     84.0 82.0 85.0  74.7 82.0 71.0
R  avg     forest  85.3 86.0 85.0  –    –    –
I  avg     svm     85.3 82.0 87.0  74.7 62.0 81.0
I  avg     forest  84.7 72.0 91.0  76.0 68.0 80.0
"""

# Networks; machine and forest on their concatenation; average of both over the networks.
_SUBSETS = """
A              84.7 82.0 86.0  87.3 82.0 90.0  86.0 82.0 88.0
O              85.3 84.0 86.0  88.0 84.0 90.0  86.0 84.0 87.0
V              84.7 80.0 87.0  89.3 86.0 91.0  87.3 82.0 90.0
Vv             84.0 88.0 82.0  85.3 90.0 83.0  83.3 88.0 81.0
R              84.0 82.0 85.0  85.3 86.0 85.0  84.7 90.0 82.0
I              85.3 82.0 87.0  84.7 72.0 91.0  84.0 70.0 91.0
A+O            86.7 84.0 88.0  87.3 82.0 90.0  84.7 80.0 87.0
A+V            88.0 76.0 94.0  90.7 90.0 91.0  90.7 80.0 96.0
A+Vv           93.3 90.0 95.0  92.7 90.0 94.0  92.0 88.0 94.0
A+R            92.0 90.0 93.0  88.7 88.0 89.0  93.3 88.0 96.0
A+I            88.0 86.0 89.0  90.7 82.0 95.0  90.7 82.0 95.0
O+V            90.0 82.0 94.0  92.0 90.0 93.0  91.3 86.0 94.0
O+Vv           90.7 90.0 91.0  92.0 92.0 92.0  90.7 88.0 92.0
O+R            92.0 90.0 93.0  89.3 88.0 90.0  90.7 88.0 92.0
O+I            87.3 84.0 89.0  90.7 86.0 93.0  92.7 84.0 97.0
V+Vv           90.7 88.0 92.0  93.3 90.0 95.0  90.0 88.0 91.0
V+R            92.0 86.0 95.0  90.0 86.0 92.0  92.0 86.0 95.0
V+I            87.3 80.0 91.0  88.7 78.0 94.0  89.3 76.0 96.0
Vv+R           88.7 90.0 88.0  84.7 88.0 83.0  88.7 92.0 87.0
Vv+I           84.0 80.0 86.0  86.7 82.0 89.0  86.7 86.0 87.0
R+I            85.3 82.0 87.0  85.3 78.0 89.0  86.0 84.0 87.0
A+O+V          90.7 82.0 95.0  91.3 92.0 91.0  90.7 90.0 91.0
A+O+Vv         91.3 88.0 93.0  93.3 92.0 94.0  91.3 90.0 92.0
A+O+R          92.0 90.0 93.0  86.7 82.0 89.0  89.3 90.0 89.0
A+O+I          88.7 86.0 90.0  93.3 84.0 98.0  89.3 86.0 91.0
A+V+Vv         93.3 88.0 96.0  93.3 90.0 95.0  92.0 86.0 95.0
A+V+R          93.3 84.0 98.0  92.0 88.0 94.0  94.7 90.0 97.0
A+V+I          92.0 86.0 95.0  92.7 80.0 99.0  92.7 84.0 97.0
A+Vv+R         93.3 90.0 95.0  92.7 90.0 94.0  90.7 90.0 91.0
A+Vv+I         90.0 88.0 91.0  91.3 86.0 94.0  90.7 86.0 93.0
A+R+I          88.7 86.0 90.0  90.7 84.0 94.0  92.7 86.0 96.0
O+V+Vv         92.0 88.0 94.0  93.3 90.0 95.0  93.3 88.0 96.0
O+V+R          94.7 88.0 98.0  93.3 94.0 93.0  92.7 88.0 95.0
O+V+I          90.7 82.0 95.0  91.3 82.0 96.0  94.0 86.0 98.0
O+Vv+R         90.7 90.0 91.0  91.3 90.0 92.0  90.0 90.0 90.0
O+Vv+I         88.7 84.0 91.0  91.3 86.0 94.0  89.3 86.0 91.0
O+R+I          88.0 84.0 90.0  88.7 80.0 93.0  91.3 86.0 94.0
V+Vv+R         92.0 88.0 94.0  93.3 90.0 95.0  89.3 88.0 90.0
V+Vv+I         90.0 84.0 93.0  92.7 86.0 96.0  88.7 82.0 92.0
V+R+I          88.0 82.0 91.0  90.0 78.0 96.0  92.0 82.0 97.0
Vv+R+I         86.7 84.0 88.0  87.3 82.0 90.0  87.3 86.0 88.0
A+O+V+Vv       93.3 88.0 96.0  94.0 92.0 95.0  93.3 90.0 95.0
A+O+V+R        93.3 84.0 98.0  92.7 92.0 93.0  93.3 88.0 96.0
A+O+V+I        92.7 84.0 97.0  92.7 84.0 97.0  93.3 88.0 96.0
A+O+Vv+R       92.0 90.0 93.0  92.7 90.0 94.0  92.0 88.0 94.0
A+O+Vv+I       91.3 86.0 94.0  91.3 86.0 94.0  93.3 88.0 96.0
A+O+R+I        89.3 86.0 91.0  91.3 84.0 95.0  92.0 86.0 95.0
A+V+Vv+R       94.0 90.0 96.0  92.7 88.0 95.0  93.3 88.0 96.0
A+V+Vv+I       91.3 88.0 93.0  92.0 88.0 94.0  92.0 84.0 96.0
A+V+R+I        93.3 86.0 97.0  92.0 84.0 96.0  94.0 88.0 97.0
A+Vv+R+I       90.0 88.0 91.0  92.0 86.0 95.0  90.0 88.0 91.0
O+V+Vv+R       93.3 90.0 95.0  94.0 94.0 94.0  92.0 90.0 93.0
O+V+Vv+I       90.0 84.0 93.0  91.3 86.0 94.0  92.7 86.0 96.0
O+V+R+I        92.0 84.0 96.0  92.0 78.0 99.0  92.0 86.0 95.0
O+Vv+R+I       90.0 88.0 91.0  92.0 88.0 94.0  89.3 88.0 90.0
V+Vv+R+I       90.0 84.0 93.0  90.0 84.0 93.0  88.7 86.0 90.0
A+O+V+Vv+R     94.0 90.0 96.0  93.3 90.0 95.0  94.0 90.0 96.0
A+O+V+Vv+I     93.3 90.0 95.0  92.7 88.0 95.0  94.0 90.0 96.0
A+O+V+R+I      93.3 86.0 97.0  93.3 86.0 97.0  94.0 88.0 97.0
A+O+Vv+R+I     92.0 88.0 94.0  92.7 88.0 95.0  91.3 88.0 93.0
A+V+Vv+R+I     91.3 88.0 93.0  92.0 88.0 94.0  93.3 88.0 96.0
O+V+Vv+R+I     92.0 88.0 94.0  90.7 86.0 93.0  90.7 88.0 92.0
A+O+V+Vv+R+I   93.3 90.0 95.0  90.7 86.0 93.0  92.0 86.0 95.0
"""


def _row(system: str, cells: list[str]) -> Published:
    """Read accuracy, sensitivity and specificity, "–" where nothing can be read."""
    accuracy, sensitivity, specificity = (None if cell == "–" else float(cell) for cell in cells)
    return Published(system, accuracy, sensitivity, specificity)


def _features() -> dict[tuple[str, str, str], tuple[Published, Published]]:
    found = {}
    for line in _FEATURES.split("\n")[1:-1]:
        letter, features, head, *cells = line.split()
        name = f"[{letter}] {features} {head}"
        found[letter, features, head] = (_row(name, cells[:3]), _row(name, cells[3:]))
    return found


FEATURES = _features()
"""By letter, features and head: the row without fine-tuning, and that with it."""


def _subsets(place: int) -> dict[tuple[str, ...], Published]:
    lines = [line.split() for line in _SUBSETS.split("\n")[1:-1]]
    return {
        tuple(names.split("+")): _row(names, cells[place : place + 3]) for names, *cells in lines
    }


CONCATENATIONS = {"svm": _subsets(0), "forest": _subsets(3)}
"""By head and letters; those of one network are its row of `FEATURES`."""

ENSEMBLES = _subsets(6)
"""By letters: machine and forest of each network averaged, and these averages averaged."""
