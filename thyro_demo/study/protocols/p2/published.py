"""What Lee et al. 2019 published: six networks, the systems made of them, their tables.

Letters are the paper's: A AlexNet, O OverFeat, V VGG-F, Vv VGG-19, R ResNet-50, I Inception-v3.
Tables are as the lecture on that work prints them. All rates are in percent, on 100 benign and 50
malignant test images. So each accuracy follows from sensitivity and specificity. A number that is
damaged in the copy at hand is kept where the other two settle it, and left out where they do not.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from thyro_demo.models.backbones import backbone
from thyro_demo.study.report.report import Published, published
from thyro_demo.study.steps.subsets import Subset
from thyro_demo.training.stage import Stage

HEADS = ("svm", "forest")

TRANSFERRED, FINE_TUNED = "last layer alone", "fine-tuned"
FEATURES, CONCATENATION, ENSEMBLE = "features", "concatenation", "ensemble"
"""The experiments: a network's own last layer, heads on one network, on several, averages."""


def _stage(epochs: int, learning_rate: float, **schedule: Any) -> Stage:
    """Train all layers by SGD with momentum 0.9 in mini-batches of 33, on images as they are."""
    return Stage(
        FINE_TUNED, "all", epochs, learning_rate, "sgd", batch=33, class_weights=True,
        views=1, augmentation=None, **schedule,
    )  # fmt: skip


_STEPS = {"schedule": "step", "decay": 0.1, "decay_every": 5}
_LOG = {"schedule": "log", "final_rate": 1e-4}


@dataclass(frozen=True)
class Net:
    """A network of the protocol.

    Parameters
    ----------
    letter, title, backbone : str
        The paper's letter, the name for people, a key of `BACKBONES`.
    stage : Stage
        How the paper fine-tuned it.
    tap : str
        The features that the paper chose for concatenations and ensembles.
    after : bool
        Whether it took them after fine-tuning.
    """

    letter: str
    title: str
    backbone: str
    stage: Stage
    tap: str
    after: bool

    @property
    def taps(self) -> tuple[str, ...]:
        """The features that heads read: two fully connected layers, or the average pool."""
        return ("avg",) if self.head == "softmax" else ("fc1", "fc2")

    @property
    def head(self) -> str:
        """How the network ends, as `networks.build` takes it."""
        return "fc" if backbone(self.backbone).dense else "softmax"


NETS = (
    Net("A", "AlexNet", "alexnet", _stage(7, 1e-3, **_STEPS), "fc2", True),
    Net("O", "OverFeat", "overfeat", _stage(20, 1e-3, **_LOG), "fc2", True),
    Net("V", "VGG-F", "vgg-f", _stage(20, 1e-3, **_LOG), "fc1", True),
    Net("Vv", "VGG-19", "vgg19", _stage(54, 1e-5), "fc2", False),
    Net("R", "ResNet-50", "resnet50", _stage(37, 1e-4), "avg", False),
    Net("I", "Inception-v3", "inception-v3", _stage(9, 1e-3, **_STEPS), "avg", False),
)
"""In the paper's order."""

LETTERS = tuple(net.letter for net in NETS)


class System(NamedTuple):
    """One system of the protocol.

    Parameters
    ----------
    experiment : str
        `TRANSFERRED`, `FINE_TUNED`, `FEATURES`, `CONCATENATION` or `ENSEMBLE`.
    networks : tuple of str
        Letters.
    head : str
        "softmax", "svm", "forest", or "average" of the latter two.
    features : str
        Such as "fc1+fc2"; empty where they are those that the paper chose.
    fine_tuned : bool
        Whether a head reads them after fine-tuning.
    """

    experiment: str
    networks: Subset
    head: str
    features: str = ""
    fine_tuned: bool = False

    @property
    def name(self) -> str:
        """Name in tables of scores; networks by their letters where there may be several."""
        if self.experiment == CONCATENATION:
            return f"{'+'.join(self.networks)}, {self.head}"
        if self.experiment == ENSEMBLE:
            return f"average of {'+'.join(self.networks)}"
        title = NETS[LETTERS.index(self.networks[0])].title
        if self.experiment != FEATURES:
            return f"{title}, {self.experiment}"
        after = f", {FINE_TUNED}" if self.fine_tuned else ""
        return f"{title} {self.features}, {self.head}{after}"


BEST_CONCATENATION, BEST_ENSEMBLE = ("O", "V", "R"), ("A", "V", "R")
"""The best published ones."""

NAMED: dict[str, System] = {
    "OverFeat + VGG-F + ResNet-50, SVM": System(CONCATENATION, BEST_CONCATENATION, "svm"),
    "AlexNet + VGG-F + ResNet-50, averaged": System(ENSEMBLE, BEST_ENSEMBLE, "average"),
    "all six, SVM": System(CONCATENATION, LETTERS, "svm"),
    "all six, forest": System(CONCATENATION, LETTERS, "forest"),
    "all six, averaged": System(ENSEMBLE, LETTERS, "average"),
}
"""Named before a frame of ours was scored: the best published ones, and those of all networks."""

BENIGN, MALIGNANT = 100, 50
"""Images of the test part."""

_ROWS = published(Path(__file__).with_name("published.csv"))


def _networks(facts: dict[str, str]) -> tuple[str, ...]:
    return tuple(facts["networks"].split("+"))


NETWORKS = {facts["networks"]: row for row, facts in _ROWS if facts["table"] == "network"}
"""The fine-tuned networks, by letter."""

READERS = tuple(row for row, facts in _ROWS if facts["table"] == "reader")
"""The radiologists, as printed."""


def _features(state: str) -> dict[tuple[str, str, str], Published]:
    return {
        (facts["networks"], facts["features"], facts["head"]): row
        for row, facts in _ROWS
        if facts["table"] == "features" and facts["state"] == state
    }


SINGLE = {key: (row, _features("fine-tuned")[key]) for key, row in _features("frozen").items()}
"""Of one network, by letter, features and head: the row without fine-tuning, and that with it."""

CONCATENATIONS = {
    head: {
        _networks(facts): row
        for row, facts in _ROWS
        if facts["table"] == "concatenation" and facts["head"] == head
    }
    for head in ("svm", "forest")
}
"""By head and letters; those of one network are its row of `SINGLE`."""

ENSEMBLES = {_networks(facts): row for row, facts in _ROWS if facts["table"] == "ensemble"}
"""By letters: SVM and forest of each network averaged, and these averages averaged."""

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
        The accuracies that follow, and the class.

    Raises
    ------
    ValueError
        If a rate is missing.
    """
    if row.accuracy is None or row.sensitivity is None or row.specificity is None:
        raise ValueError(f"A row must have accuracy and both rates to be checked. Received: {row}.")
    total = BENIGN + MALIGNANT
    malignant = (MALIGNANT * row.sensitivity + BENIGN * row.specificity) / total
    benign = (BENIGN * row.sensitivity + MALIGNANT * row.specificity) / total
    fitting = [
        name
        for name, implied in (("malignant", malignant), ("benign", benign))
        if abs(implied - row.accuracy) <= _ROUNDING
    ]
    taken = fitting[0] if len(fitting) == 1 else "either" if fitting else "neither"
    return Check(malignant, benign, taken)


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
