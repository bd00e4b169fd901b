"""The plan of P4: frozen networks, an SVM on each, inside all sources and with one held out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.bundle import manifest
from thyro_demo.errors import StudyError
from thyro_demo.models.backbones import backbone
from thyro_demo.study.graph import Job
from thyro_demo.study.protocols.p4 import tables
from thyro_demo.study.questions import held_out
from thyro_demo.study.questions.held_out import Test
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Protocol, Report
from thyro_demo.study.setting import Setting, thyroid
from thyro_demo.study.steps import heads, networks
from thyro_demo.training import initial_weights, out_of_fold
from thyro_demo.training.out_of_fold import CLASSES

HERE = Path(__file__).parent

PROTOCOL = Protocol(
    "P4",
    "SERA: internal and external tests of networks and ensembles",
    "Koh et al., Diagnosis of thyroid nodules on ultrasonography by a deep convolutional neural "
    "network, Scientific Reports 10, 2020, 15245",
    CLASSES[1],
    tuple(row for row, _ in report.published(HERE / "published.csv")),
)

SYSTEMS = {
    "EfficientNet-B0": ("efficientnet-b0",),
    "ResNet-50": ("resnet50",),
    "ensemble of two": ("efficientnet-b0", "resnet50"),
    "ensemble of three": ("efficientnet-b0", "resnet50", "vgg16"),
}
"""Two single networks and two ensembles, named before any frame was scored."""

_FAST_SIDE, _FAST_HEADS = 96, {"C": 1.0}
"""What makes a rehearsal quick: small frames, and SVMs whose settings nobody searches."""


def run(setting: Setting) -> Report:
    """Test every system inside the sources it knows, and on each source held out in turn.

    Parameters
    ----------
    setting : Setting
        On which images, and where to keep the parts.

    Returns
    -------
    Report
        Our figures beside the published ranges.

    Raises
    ------
    StudyError
        If there are not two sources, or every system failed.
    RecipeError
        If a network was trained on thyroid frames.
    DataError
        If the images are not in the layout that is read.
    """
    records = thyroid(setting)
    sources = [str(source) for source in records["source"].value_counts().index]
    if len(sources) < 2:
        raise StudyError(
            f"There must be two sources or more to hold one out. Received: {', '.join(sources)}."
        )
    everything = held_out.inside(records, np.ones(len(records), bool), "all sources")
    parted = {source: held_out.held_out(records, source) for source in sources}
    read = {
        name: features_as_shipped(name, setting, networks.frames(records)) for name in _networks()
    }
    wanted = {
        trial.title: held_out.svms(trial, read, fixed=_FAST_HEADS if setting.fast else None)
        for trial in (everything, *(trial for pair in parted.values() for trial in pair))
    }
    outcome = setting.compute(
        job for svms in wanted.values() for folds in svms.values() for job in folds
    )
    found = {
        trial.title: heads.scores(outcome, wanted[trial.title], trial.records)
        for trial in (everything, *(validation for validation, _ in parted.values()))
    }
    tests = [
        held_out.freeze(
            validation, found[validation.title],
            test, held_out.raw_scores(outcome, wanted[test.title], test), SYSTEMS,
        )
        for validation, test in parted.values()
    ]  # fmt: skip
    inside = held_out.averaged(found[everything.title], SYSTEMS)
    return _report(setting, records, inside, tests, outcome.failures)


def _networks() -> list[str]:
    return list(dict.fromkeys(name for members in SYSTEMS.values() for name in members))


def features_as_shipped(name: str, setting: Setting, shown: Job) -> tuple[Job, str]:
    """Make the features of a network and choose what an SVM reads of them, as its bundle does."""
    weights, size, tap = setting.initial_weights(name), None, "std"
    folder = manifest.weights_root() / name
    if setting.weights == "offline" and (folder / "manifest.json").is_file():
        initial_weights.check_not_trained_on(folder)
        facts = manifest.read_manifest(folder)
        weights, size = str(folder), facts["input_size"]
        pooling = facts.get("pooling", "average")
        tap = "avg" if pooling == "average" else pooling
    side = _FAST_SIDE if setting.fast else size
    return networks.features(name, weights, shown, (tap,), side), tap


def _report(
    setting: Setting,
    records: pd.DataFrame,
    inside: pd.DataFrame,
    tests: Sequence[Test],
    failures: Mapping[str, str],
) -> Report:
    """Put tables, pictures and words together."""
    summary = report.summarise(inside, records, PROTOCOL.positive)
    size = out_of_fold.size_rows(records, PROTOCOL.positive)
    shown = inside if size is None else pd.concat([inside, size], ignore_index=True)
    internal, external = PROTOCOL.published[:2], PROTOCOL.published[2:]
    summaries = {"internal, all sources": summary}
    for test in tests:
        summaries |= {
            f"internal, without {test.source}": test.within,
            f"external, {test.source}": test.beyond,
        }
    return Report(
        PROTOCOL,
        _images(setting, records),
        setting.fast,
        (
            tables.internal(summary, internal),
            tables.external(tests, external),
            tables.drops(tests, shown, PROTOCOL.positive),
            tables.cutoffs(tests, PROTOCOL.positive),
            report.by_source("Internal test, within each source", summary),
        ),
        _differs(setting, records),
        _all_scores(setting, shown, tests),
        summaries,
        {
            "sources": (
                tables.SOURCES,
                tables.draw_sources(tests, shown, internal, external, PROTOCOL.positive),
            ),
            "cutoffs": (tables.CUTOFFS, tables.draw_cutoffs(tests, PROTOCOL.positive)),
        },
        failures,
        {"p4": tables.to_result(summary, tests, list(SYSTEMS))},
    )


def _all_scores(setting: Setting, inside: pd.DataFrame, tests: Sequence[Test]) -> pd.DataFrame:
    """Gather every score that a figure was computed from, the test in the name of the head."""
    parts = [inside]
    for test in tests:
        for rows, title in ((test.inside, "without"), (test.outside, "held out:")):
            parts.append(rows.assign(head=rows["head"] + f", {title} {test.source}"))
    return setting.published(pd.concat(parts, ignore_index=True))


def _images(setting: Setting, records: pd.DataFrame) -> str:
    counts = ", ".join(f"{n} of {source}" for source, n in records["source"].value_counts().items())
    kind = "phantoms of three simulated scanners" if setting.fast else "frames of the thyroid set"
    return (
        f"{len(records)} {kind} in {records['group'].nunique()} groups: {counts}. Internal tests: "
        f"{records['fold'].nunique()} grouped folds, alike in label and source. External tests: "
        "one source held out whole; groups with a frame in it are not trained on."
    )


def _differs(setting: Setting, records: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    positives = int((records["label"] == PROTOCOL.positive).sum())
    members = {
        system: ", ".join(backbone(name).title for name in names)
        for system, names in SYSTEMS.items()
        if len(names) > 1
    }
    return report.differences(
        HERE / "differences.md",
        ["fast" if setting.fast else setting.weights],
        images=len(records),
        frames="phantoms" if setting.fast else "frames",
        weights=_initial_weights(setting),
        ensembles="; ".join(f"{system}: {names}" for system, names in members.items()),
        positive=PROTOCOL.positive,
        positives=positives,
        others=len(records) - positives,
    )


def _initial_weights(setting: Setting) -> str:
    if setting.weights != "offline":
        return f"weights {setting.weights}, which no thyroid frame has changed"
    known = "those of the shipped bundles where there are any, "
    return known + ("at a small size" if setting.fast else "which no thyroid frame has changed")
