"""The plan of P2: six networks, their features, and heads on all subsets of them.

`DEPTHS` sets how far each network is fine-tuned on real images. With `PUBLISHED_DEPTHS` in its
place every network is fine-tuned for all its published epochs at its own input size, which keeps
two processor cores busy for about two days.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.errors import StudyError
from thyro_demo.models.backbones import backbone
from thyro_demo.study.graph import Job, Outcome
from thyro_demo.study.protocols.p2 import published, tables
from thyro_demo.study.protocols.p2.published import (
    BEST_CONCATENATION,
    BEST_ENSEMBLE,
    CONCATENATION,
    ENSEMBLE,
    FEATURES,
    FINE_TUNED,
    HEADS,
    LETTERS,
    NETS,
    TRANSFERRED,
    Net,
    System,
)
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Protocol, Report
from thyro_demo.study.setting import Setting, thyroid
from thyro_demo.study.steps import heads, networks, subsets
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import CLASSES

PROTOCOL = Protocol(
    "P2",
    "features of six networks, their concatenations and ensembles, beside radiologists",
    "Lee et al., Differentiation of thyroid nodules on US using features learned and extracted "
    "from various convolutional neural networks, Scientific Reports 9, 2019, 19854",
    CLASSES[1],
    (
        *published.READERS,
        *published.NETWORKS.values(),
        published.CONCATENATIONS["svm"][BEST_CONCATENATION],
        published.ENSEMBLES[BEST_ENSEMBLE],
    ),
)


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


PUBLISHED_DEPTHS = {letter: Depth() for letter in LETTERS}

AFFORDABLE_DEPTHS = {
    "A": Depth(),
    "O": Depth(2, 149),
    "V": Depth(4),
    "Vv": Depth(1, 64),
    "R": Depth(5, 112),
    "I": Depth(2, 139),
}
"""What two cores do in one to two hours."""

DEPTHS = AFFORDABLE_DEPTHS
"""How far networks are fine-tuned on real images."""

FAST_SIDE, FAST_TREES = 96, 5
FAST_DEPTHS = {letter: Depth(0) for letter in LETTERS} | {"A": Depth(2, FAST_SIDE)}
"""The rehearsal on phantoms: one network is fine-tuned, the others only read."""

_LAST_LAYER: dict[str, Any] = {"inner": 6, "ridges": (1e-4, 1e-3, 1e-2), "balanced": True}
"""How the last layer alone is trained on the features of a frozen network."""


def run(setting: Setting) -> Report:
    """Run the four experiments.

    Parameters
    ----------
    setting : Setting
        On which images, and where to keep the parts.

    Returns
    -------
    Report
        Our tables beside the published ones.

    Raises
    ------
    StudyError
        If no network of its own, and no head, could be scored.
    DataError
        If the images are not in the layout that is read.
    """
    records = thyroid(setting)
    weights = {net.letter: _weights(setting, net) for net in NETS}
    depths = FAST_DEPTHS if setting.fast else DEPTHS
    size, trees = (FAST_SIDE, FAST_TREES) if setting.fast else (None, subsets.TREES)
    systems = Systems(records, weights, depths, PROTOCOL.positive, size, trees)
    outcome = setting.compute(systems.jobs())
    scored = systems.scored(outcome)
    if not scored:
        raise StudyError(f"One system at least must not fail. Received: {outcome.first_failure}")
    found = {
        system: tables.figures(rows, PROTOCOL.positive)
        for system, rows in tqdm(scored.items(), "Intervals", unit="system", leave=False)
    }
    summaries = tables.summaries(scored, records, PROTOCOL.positive)
    cuts = {net.letter: _cut(net, depths[net.letter]) for net in NETS}
    return Report(
        PROTOCOL,
        report.caption(next(iter(summaries.values()))),
        setting.fast,
        tuple(tables.tables(found, summaries, weights, cuts)),
        _differs(weights, depths, setting.fast),
        setting.published(pd.concat(scored.values(), ignore_index=True)),
        summaries,
        {"plane": (tables.PLANE, tables.draw_plane(found))},
        outcome.failures,
        tables.to_results(scored, summaries, _cut_down(depths), PROTOCOL.positive),
    )


def _weights(setting: Setting, net: Net) -> str:
    """Choose initial weights; random ones where those that are asked for do not exist."""
    weights = setting.initial_weights(net.backbone)
    known = weights in ("none", *backbone(net.backbone).weights) or Path(weights).exists()
    return weights if known else "none"


def _cut(net: Net, depth: Depth) -> str:
    """Write how far a network is fine-tuned."""
    if depth.epochs == 0:
        return "not fine-tuned"
    size = depth.size or backbone(net.backbone).input_size
    share = "all" if depth.epochs is None else f"{depth.epochs} of"
    return f"{share} {net.stage.epochs} epochs, {size} pixels"


def _cut_down(depths: Mapping[str, Depth]) -> list[str]:
    """List the letters of the networks that are fine-tuned for less than was published."""
    return [letter for letter in LETTERS if depths[letter] != PUBLISHED_DEPTHS[letter]]


def _fine_tuning(depths: Mapping[str, Depth]) -> str:
    """Write which networks are fine-tuned for less than was published."""
    less = _cut_down(depths)
    cut = [f"{net.title}: {_cut(net, depths[net.letter])}" for net in NETS if net.letter in less]
    if not cut:
        return "as long and at the size that was published."
    return (
        "cut down, because six large networks in five folds are out of reach of two processor "
        f"cores. {'; '.join(cut)}. Any other is fine-tuned as published; all of them are where "
        "the constant DEPTHS of the protocol's plan is PUBLISHED_DEPTHS."
    )


def _differs(
    weights: Mapping[str, str], depths: Mapping[str, Depth], fast: bool
) -> tuple[tuple[str, str], ...]:
    random = [net.title for net in NETS if weights[net.letter] == "none"]
    others = [net.title for net in NETS if weights[net.letter] != "none"]
    return report.differences(
        Path(__file__).with_name("differences.md"),
        ["fast"] if fast else [],
        random=", ".join(random) or "none",
        others=", ".join(others) or "none",
        fine_tuning=_fine_tuning(depths),
    )


class Part(NamedTuple):
    """The jobs of a system, one for each fold; `row` of `raw` where they score several systems."""

    jobs: tuple[Job, ...]
    row: int | None = None


class Systems:
    """The systems on a set of frames.

    Parameters
    ----------
    records : DataFrame
        The frames, with `fold`.
    weights : mapping of str to str
        Initial weights by letter; see `initial_weights.load`.
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
        What is computed in jobs; ensembles are averages of these.
    """

    def __init__(
        self,
        records: pd.DataFrame,
        weights: Mapping[str, str],
        depths: Mapping[str, Depth],
        positive: str = out_of_fold.CLASSES[1],
        size: int | None = None,
        trees: int = subsets.TREES,
    ):
        self.records, self.positive, self.trees = records, positive, trees
        self.folds = [int(fold) for fold in sorted(records["fold"].unique())]
        self.shown = shown = networks.frames(records)
        self.frozen = {
            net.letter: networks.features(net.backbone, weights[net.letter], shown, net.taps, size)
            for net in NETS
        }
        self.fine_tuned = {
            net.letter: tuple(
                networks.fine_tuned(
                    net.backbone, weights[net.letter], shown, fold,
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
        """Yield the systems of experiments 1 and 2 on one network."""
        read = (self.frozen[net.letter], net.taps[-1])
        layers = tuple(
            heads.softmax(read, self.shown, fold, self.positive, **_LAST_LAYER)
            for fold in self.folds
        )
        yield System(TRANSFERRED, (net.letter,), "softmax"), Part(layers)
        if net.letter in self.fine_tuned:
            yield System(FINE_TUNED, (net.letter,), "softmax"), Part(self.fine_tuned[net.letter])
        for after in (False, True) if net.letter in self.fine_tuned else (False,):
            for head in HEADS:
                row = self._heads(head, {tap: (net, tap, after) for tap in net.taps})
                for place, chosen in enumerate(subsets.subsets(net.taps, least=1)):
                    joined = "+".join(chosen)
                    yield System(FEATURES, (net.letter,), head, joined, after), Part(row, place)

    def _of_several(self) -> Iterator[tuple[System, Part]]:
        """Yield the systems of experiment 3, networks one by one among them."""
        for head in HEADS:
            row = self._heads(head, {net.letter: (net, net.tap, net.after) for net in NETS})
            for place, chosen in enumerate(subsets.subsets(LETTERS, least=1)):
                yield System(CONCATENATION, chosen, head), Part(row, place)

    def _heads(self, head: str, read: Mapping[str, tuple[Net, str, bool]]) -> tuple[Job, ...]:
        """Make the jobs of heads on every subset of features, one for each fold."""
        return tuple(
            subsets.on_subsets(
                head,
                {
                    name: (self._read(net, place, after), tap)
                    for name, (net, tap, after) in read.items()
                },
                self.shown, fold, positive=self.positive, trees=self.trees,
            )
            for place, fold in enumerate(self.folds)
        )  # fmt: skip

    def _read(self, net: Net, place: int, after: bool) -> Job:
        """Find the features of a network; the frozen ones where it is not fine-tuned."""
        if after and net.letter in self.fine_tuned:
            return self.fine_tuned[net.letter][place]
        return self.frozen[net.letter]

    def jobs(self) -> list[Job]:
        """List what has to be computed, each job once."""
        return list(dict.fromkeys(job for part in self.parts.values() for job in part.jobs))

    def scored(self, outcome: Outcome) -> dict[System, pd.DataFrame]:
        """Gather the out-of-fold scores of every system, ensembles included.

        Parameters
        ----------
        outcome : Outcome
            Of `jobs`.

        Returns
        -------
        dict of System to DataFrame
            `path, group, source, label, fold, head, raw, score`, the scores of each fold
            calibrated on the others; systems with a failed job are left out.
        """
        raw = {
            job: {name: outcome[job][name] for name in ("raw", "rows")}
            for job in self.jobs()
            if job in outcome
        }
        known = self.records[["path", "group", "source", "label", "fold"]].reset_index(drop=True)
        found = {}
        for system, part in tqdm(self.parts.items(), "Calibrating", unit="system", leave=False):
            if all(job in raw for job in part.jobs):
                held = [raw[job] for job in part.jobs]
                scores = [one["raw"] if part.row is None else one["raw"][part.row] for one in held]
                table = known.iloc[np.concatenate([one["rows"] for one in held])]
                table = table.assign(head=system.name, raw=np.concatenate(scores))
                found[system] = out_of_fold.cross_calibrated(
                    table.reset_index(drop=True), positive=self.positive
                )
        return found | _ensembles(found)


def _ensembles(found: Mapping[System, pd.DataFrame]) -> dict[System, pd.DataFrame]:
    """Average the probabilities of SVM and forest, and those averages over each subset."""
    averages, table = {}, pd.DataFrame()
    for letter in LETTERS:
        both = [found.get(System(CONCATENATION, (letter,), head)) for head in HEADS]
        known = [one for one in both if one is not None]
        if len(known) == len(HEADS):
            averages[letter] = np.mean([one["score"] for one in known], axis=0)
            table = known[0]
    ensembles = {}
    for chosen in subsets.subsets(list(averages), least=1):
        system = System(ENSEMBLE, chosen, "average")
        mean = np.mean([averages[letter] for letter in chosen], axis=0)
        ensembles[system] = table.assign(head=system.name, raw=mean, score=mean)
    return ensembles
