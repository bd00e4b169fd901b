"""The systems of Lee et al. 2019 as cells of a grid: six networks, their features, all subsets.

References
----------
Lee et al., "Differentiation of thyroid nodules on US using features learned and extracted from
various convolutional neural networks", Scientific Reports 9, 2019, 19854. Optimisers, schedules
and the features that were chosen are those of the lecture on that work.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from thyro_demo.models import out_of_fold
from thyro_demo.models.backbones import backbone
from thyro_demo.models.transfer import Stage
from thyro_demo.study import cells, concatenation
from thyro_demo.study.concatenation import Subset, subsets
from thyro_demo.study.grid import Cell, Outcome

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
    letter : str
        The paper's.
    title : str
        Name for people.
    backbone : str
        A key of `BACKBONES`.
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
        """How the network ends, as `backbones.build` takes it."""
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


class Depth(NamedTuple):
    """How far a network is fine-tuned.

    Parameters
    ----------
    epochs : int or None
        Of the published schedule, after which training ends; None for all, 0 for none.
    size : int or None
        Side of the images, pixels; None for the network's own.
    """

    epochs: int | None = None
    size: int | None = None


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
    tuned : bool
        Whether a head reads them after fine-tuning.
    """

    experiment: str
    networks: Subset
    head: str
    features: str = ""
    tuned: bool = False

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
        return f"{title} {self.features}, {self.head}" + (f", {FINE_TUNED}" if self.tuned else "")


class Part(NamedTuple):
    """Where the scores of a system come from.

    Parameters
    ----------
    cells : tuple of Cell
        One for each fold.
    row : int or None
        Of `raw`, where a cell scores several systems at once.
    """

    cells: tuple[Cell, ...]
    row: int | None = None


class Systems:
    """The systems on a set of frames.

    Parameters
    ----------
    records : DataFrame
        The frames, with `fold`.
    starts : mapping of str to str
        First weights by letter, as `starts.apply` takes them.
    depths : mapping of str to Depth
        By letter.
    positive : str
        The label that counts as positive.
    size : int, optional
        Side of the images for frozen networks, pixels; the network's own without it.
    trees : int
        Trees of a forest.

    Attributes
    ----------
    parts : dict of System to Part
        What is computed in cells; ensembles are averages of these.
    """

    def __init__(
        self,
        records: pd.DataFrame,
        starts: Mapping[str, str],
        depths: Mapping[str, Depth],
        positive: str = out_of_fold.CLASSES[1],
        size: int | None = None,
        trees: int = concatenation.TREES,
    ):
        self.records, self.positive, self.trees = records, positive, trees
        self.folds = [int(fold) for fold in sorted(records["fold"].unique())]
        self.shown = shown = cells.frames(records)
        self.frozen = {
            net.letter: cells.features(net.backbone, starts[net.letter], shown, net.taps, size)
            for net in NETS
        }
        self.tuned = {
            net.letter: tuple(
                cells.tuned(
                    net.backbone, starts[net.letter], shown, fold,
                    replace(net.stage, stop_after=depths[net.letter].epochs),
                    net.head, net.taps, depths[net.letter].size, positive,
                )
                for fold in self.folds
            )
            for net in NETS
            if depths[net.letter].epochs != 0
        }  # fmt: skip
        self.parts: dict[System, Part] = {
            system: part for net in NETS for system, part in self._of_one(net)
        } | dict(self._of_several())

    def _of_one(self, net: Net) -> Iterator[tuple[System, Part]]:
        """Give the systems of experiments 1 and 2 on one network."""
        settings = {"tap": net.taps[-1], "positive": self.positive}
        yield (
            System(TRANSFERRED, (net.letter,), "softmax"),
            Part(
                tuple(
                    Cell(
                        f"{__name__}:last_layer", settings | {"fold": fold},
                        (self.shown, self.frozen[net.letter]),
                        f"last layer of {net.title}, fold {fold}",
                    )
                    for fold in self.folds
                )
            ),
        )  # fmt: skip
        if net.letter in self.tuned:
            yield System(FINE_TUNED, (net.letter,), "softmax"), Part(self.tuned[net.letter])
        for after in (False, True) if net.letter in self.tuned else (False,):
            for head in HEADS:
                row = self._heads(head, {tap: (net, tap, after) for tap in net.taps})
                for place, chosen in enumerate(subsets(net.taps, least=1)):
                    joined = "+".join(chosen)
                    yield (
                        System(FEATURES, (net.letter,), head, joined, after), Part(row, place)
                    )  # fmt: skip

    def _of_several(self) -> Iterator[tuple[System, Part]]:
        """Give the systems of experiment 3, networks one by one among them."""
        for head in HEADS:
            row = self._heads(head, {net.letter: (net, net.tap, net.after) for net in NETS})
            for place, chosen in enumerate(subsets(LETTERS, least=1)):
                yield System(CONCATENATION, chosen, head), Part(row, place)

    def _heads(self, head: str, read: Mapping[str, tuple[Net, str, bool]]) -> tuple[Cell, ...]:
        """Give the cells of heads on every subset of features, one for each fold."""
        return tuple(
            concatenation.cell(
                head,
                {
                    name: (self._read(net, place, after), tap)
                    for name, (net, tap, after) in read.items()
                },
                self.shown, fold, positive=self.positive, trees=self.trees,
            )
            for place, fold in enumerate(self.folds)
        )  # fmt: skip

    def _read(self, net: Net, place: int, after: bool) -> Cell:
        """Give the features of a network; the frozen ones where it is not fine-tuned."""
        if after and net.letter in self.tuned:
            return self.tuned[net.letter][place]
        return self.frozen[net.letter]

    def cells(self) -> list[Cell]:
        """List what has to be computed.

        Returns
        -------
        list of Cell
            Each once.
        """
        return list(dict.fromkeys(cell for part in self.parts.values() for cell in part.cells))

    def scored(self, outcome: Outcome) -> dict[System, pd.DataFrame]:
        """Gather the out-of-fold scores of every system, ensembles included.

        Parameters
        ----------
        outcome : Outcome
            Of `cells`.

        Returns
        -------
        dict of System to DataFrame
            `path, group, source, label, fold, head, raw, score`, the scores of each fold
            calibrated on the others; systems with a failed cell are left out.
        """
        raw = {
            cell: {name: outcome[cell][name] for name in ("raw", "rows")}
            for cell in self.cells()
            if cell in outcome
        }
        known = self.records[["path", "group", "source", "label", "fold"]].reset_index(drop=True)
        found = {}
        for system, part in tqdm(self.parts.items(), "Calibrating", unit="system", leave=False):
            if all(cell in raw for cell in part.cells):
                held = [raw[cell] for cell in part.cells]
                scores = [one["raw"] if part.row is None else one["raw"][part.row] for one in held]
                table = known.iloc[np.concatenate([one["rows"] for one in held])]
                table = table.assign(head=system.name, raw=np.concatenate(scores))
                found[system] = out_of_fold.cross_calibrated(
                    table.reset_index(drop=True), positive=self.positive
                )
        return found | _ensembles(found)


def _ensembles(found: Mapping[System, pd.DataFrame]) -> dict[System, pd.DataFrame]:
    """Average the probabilities of machine and forest, and those averages over each subset."""
    averages, table = {}, pd.DataFrame()
    for letter in LETTERS:
        both = [found.get(System(CONCATENATION, (letter,), head)) for head in HEADS]
        known = [one for one in both if one is not None]
        if len(known) == len(HEADS):
            averages[letter] = np.mean([one["score"] for one in known], axis=0)
            table = known[0]
    ensembles = {}
    for chosen in subsets(list(averages), least=1):
        system = System(ENSEMBLE, chosen, "average")
        mean = np.mean([averages[letter] for letter in chosen], axis=0)
        ensembles[system] = table.assign(head=system.name, raw=mean, score=mean)
    return ensembles


_COSTS = (1e-4, 1e-3, 1e-2)


def last_layer(
    settings: Mapping[str, Any],
    shown: Mapping[str, np.ndarray],
    source: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Train the last layer alone, on the features of a frozen network.

    A softmax of two classes on fixed features is logistic regression; its penalty is chosen in
    the inner folds.

    Parameters
    ----------
    settings : mapping
        `tap`, `fold` and `positive`.
    shown : mapping of str to ndarray
        From `cells.frames`.
    source : mapping of str to ndarray
        Features, float32 (n, d), by tap.

    Returns
    -------
    dict of str to ndarray
        `raw` float64 (m,), log-odds on the tested rows, and `rows` int64 (m,).

    Raises
    ------
    StudyError
        If a class has fewer groups to learn from than there are inner folds.
    """
    dealt = concatenation.split(shown, settings["fold"], settings["positive"])
    rows = source[settings["tap"]].astype(np.float64)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)),
        {"logisticregression__C": _COSTS},
        scoring="roc_auc",
        cv=dealt.inner,
    )
    search.fit(rows[dealt.learned], dealt.labels[dealt.learned])
    return {"raw": search.decision_function(rows[dealt.tested]), "rows": dealt.tested}
