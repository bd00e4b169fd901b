"""The plan of P5: both networks under both readings of the split, and a control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from thyro_demo.data import splits
from thyro_demo.errors import StudyError
from thyro_demo.study.graph import Job, Outcome
from thyro_demo.study.protocols.p5 import images, tables
from thyro_demo.study.protocols.p5.images import AUTOIMMUNE, MOVED, NORMAL, Rehearsal
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Protocol, Published, Report, Table
from thyro_demo.study.setting import Setting
from thyro_demo.study.steps import heads, networks
from thyro_demo.training.stage import Stage

HERE = Path(__file__).parent

PROTOCOL = Protocol(
    "P5",
    "autoimmune or normal, split by patient, and the split that leaks",
    "Vasile et al., “Assessment of deep learning methods for differentiating autoimmune disorders "
    "in ultrasound images”, Current Health Sciences Journal 47, 2021",
    AUTOIMMUNE,
    tuple(row for row, _ in report.published(HERE / "published.csv")),
)


@dataclass(frozen=True)
class Network:
    """One of the two networks, with the settings of the text.

    Parameters
    ----------
    title : str
        As the paper writes it.
    backbone : str
        A key of `BACKBONES`.
    head : str
        As `networks.build` takes it.
    stage : Stage
        How it is trained.
    """

    title: str
    backbone: str
    head: str
    stage: Stage


_STAGE = Stage(
    "autoimmune", trainable="all", epochs=100, batch=32, input_size=224, augmentation=MOVED
)
NETWORKS = (
    Network(
        "VGG-19",
        "vgg19",
        "mlp-512",
        replace(_STAGE, trainable="head", optimiser="adam", learning_rate=1e-4, views=4),
    ),
    Network(
        "Inception-v3",
        "inception-v3",
        "mlp-256",
        replace(_STAGE, frozen_layers=249, optimiser="rmsprop", learning_rate=1e-3, views=4),
    ),
)
"""The settings in full, for a user's images."""

_TASK = "autoimmune or normal"
_CLASSES = (AUTOIMMUNE, NORMAL)
_BY_PATIENT, _LEAKY = "split by patient", "augmented, then split (leaks)"


@dataclass(frozen=True)
class Reading:
    """Both readings of the split on one shuffling of labels.

    Parameters
    ----------
    title : str
        The two classes, and how labels were assigned.
    records : DataFrame
        Split by patient.
    copied : DataFrame
        From `images.leaky`.
    networks : tuple of Network
        Which are trained.
    """

    title: str
    records: pd.DataFrame
    copied: pd.DataFrame
    networks: tuple[Network, ...]

    @property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """Name the sound and the leaking system of each network."""
        return {
            one.title: (f"{one.title}, {_BY_PATIENT}", f"{one.title}, {_LEAKY}")
            for one in self.networks
        }

    def systems(self, setting: Setting) -> dict[str, list[Job]]:
        """Make the jobs of every system, one for each fold, by network and way of splitting."""
        sound = networks.frames(self.records)
        unsound = networks.frames(self.copied.drop(columns=["width", "height"]), crop=False)
        folds = range(self.records["fold"].nunique())
        return {
            f"{one.title}, {way}": [
                networks.fine_tuned(
                    one.backbone, setting.initial_weights(one.backbone), shown, fold, one.stage,
                    one.head, taps=(), positive=AUTOIMMUNE,
                )
                for fold in folds
            ]
            for one in self.networks
            for way, shown in ((_BY_PATIENT, sound), (_LEAKY, unsound))
        }  # fmt: skip

    def scores(self, outcome: Outcome, systems: Mapping[str, Sequence[Job]]) -> pd.DataFrame:
        """Gather the scores of both readings on the same images, with their patients."""
        parts = {}
        for sound, leaking in self.pairs.values():
            for name, table in ((sound, self.records), (leaking, self.copied)):
                if all(job in outcome for job in systems[name]):
                    found = heads.scores(outcome, {name: systems[name]}, table, AUTOIMMUNE)
                    parts[name] = found if name == sound else _own_images(found, table)
        return pd.concat(parts.values(), ignore_index=True) if parts else pd.DataFrame()


def _own_images(found: pd.DataFrame, copied: pd.DataFrame) -> pd.DataFrame:
    """Keep the scores of the images themselves, under their own paths and patients."""
    known = copied.set_index("path").loc[found["path"]]
    named = found.assign(path=known["original"].to_numpy(), group=known["patient"].to_numpy())
    return named[~known["copy"].to_numpy(bool)]


def run(setting: Setting) -> Report:
    """Train both networks under both readings of the split, and set all beside the paper.

    Parameters
    ----------
    setting : Setting
        Its folder may hold `autoimmune`; phantoms are drawn where it does not.

    Returns
    -------
    Report
        Both readings beside the published rows, the control, and the curves of each class.

    Raises
    ------
    StudyError
        If every system of a reading failed.
    DataError
        If a user's images are in another layout.
    """
    records, cut = images.read(setting)
    readings = _readings(setting, records, cut)
    systems = {one.title: one.systems(setting) for one in readings}
    outcome = setting.compute(
        job for named in systems.values() for folds in named.values() for job in folds
    )
    scored = {one.title: one.scores(outcome, systems[one.title]) for one in readings}
    if scored[_TASK].empty:
        raise StudyError(f"One system at least must not fail. Received: {outcome.first_failure}")
    shown: list[Table] = []
    summaries: dict[str, Mapping[str, Any]] = {}
    for one in readings:
        if scored[one.title].empty:
            continue
        summary = report.summarise(scored[one.title], one.records, AUTOIMMUNE)
        summaries[one.title] = summary
        shown.append(report.overall(one.title, summary, _published() if one.title == _TASK else {}))
        shown.append(tables.gains(one.title, summary, one.pairs))
    shown.append(tables.areas(scored[_TASK], summaries[_TASK], _CLASSES))
    picture = tables.draw_curves(scored[_TASK], readings[0].pairs, _CLASSES)
    named = [found.assign(head=found["head"] + ", " + title)
             for title, found in scored.items() if len(found)]  # fmt: skip
    return Report(
        PROTOCOL,
        _images(records, cut),
        cut is not None,
        tuple(shown),
        _differs(setting, cut),
        setting.published(pd.concat(named, ignore_index=True)),
        summaries,
        {"precision-recall": (tables.CURVES, picture)},
        outcome.failures,
        {"p5": tables.to_result(summaries)},
    )


def _published() -> dict[str, Published | None]:
    return {
        f"{row.system}, {way}": row for row in PROTOCOL.published for way in (_BY_PATIENT, _LEAKY)
    }


def _readings(setting: Setting, records: pd.DataFrame, cut: Rehearsal | None) -> list[Reading]:
    """Plan the labels as they are, and the control with labels at random."""
    chosen = NETWORKS if cut is None else tuple(_cut_down(one, cut) for one in NETWORKS)
    side, folds = chosen[0].stage.input_size or 224, records["fold"].nunique()
    copied = images.leaky(records, setting.work / f"autoimmune-{side}", side, folds)
    shuffled = images.shuffled_labels(records)
    names = shuffled.drop_duplicates("group").set_index("group")["label"]
    return [
        Reading(_TASK, records, copied, chosen),
        Reading(
            "control: labels assigned to patients at random",
            splits.kfold(shuffled.drop(columns="fold"), folds, seed=0),
            copied.assign(label=copied["patient"].map(names)),
            chosen[:1],
        ),
    ]


def _cut_down(network: Network, cut: Rehearsal) -> Network:
    # So few steps would leave the running statistics of trained normalisation behind.
    stage = replace(
        network.stage, input_size=cut.side, epochs=cut.epochs, views=2, norm_momentum=0.9
    )
    return replace(network, stage=stage)


def _images(records: pd.DataFrame, cut: Rehearsal | None) -> str:
    counts = records.drop_duplicates("group")["label"].value_counts()
    shares = " and ".join(f"{count} {label}" for label, count in counts.items())
    what = "images of the user" if cut is None else "phantoms in place of the images"
    return (
        f"{len(records)} {what}, of {records['group'].nunique()} patients ({shares}); "
        f"{records['fold'].nunique()} folds by patient"
    )


def _differs(setting: Setting, cut: Rehearsal | None) -> tuple[tuple[str, str], ...]:
    """List what this run does otherwise, what it was cut down to and what it went on from."""
    random = [one.title for one in NETWORKS if setting.initial_weights(one.backbone) == "none"]
    facts = {} if cut is None else vars(cut)
    tags = ["phantoms"] * (cut is not None) + ["random weights"] * bool(random)
    return report.differences(HERE / "differences.md", tags, networks=" and ".join(random), **facts)
