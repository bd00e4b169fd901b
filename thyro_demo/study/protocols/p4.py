"""P4: SERA's networks and ensembles, tested inside the sources they know and on one held out.

References
----------
Koh et al., "Diagnosis of thyroid nodules on ultrasonography by a deep convolutional neural
network", Scientific Reports 10, 2020, 15245: two single networks and two classification
ensembles, one internal and three external tests, made binary at the Youden index. Where we
depart from it stands in `_differs`.
"""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thyro_demo.errors import StudyError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.evaluate.plots import with_interval
from thyro_demo.models import manifest, out_of_fold, starts
from thyro_demo.models.backbones import backbone
from thyro_demo.models.out_of_fold import BASELINE, CLASSES
from thyro_demo.study import cells, grid, held_out, scoreboard
from thyro_demo.study.grid import Cell
from thyro_demo.study.held_out import Test
from thyro_demo.study.published import Protocol, Published
from thyro_demo.study.report import Report, Table
from thyro_demo.study.setting import Setting, thyroid

PROTOCOL = Protocol(
    "P4",
    "SERA: internal and external tests of networks and ensembles",
    "Koh et al., Diagnosis of thyroid nodules on ultrasonography by a deep convolutional neural "
    "network, Scientific Reports 10, 2020, 15245",
    CLASSES[1],
    (
        Published("internal test, lowest of four systems", auroc=0.898, note="634 images"),
        Published("internal test, highest", auroc=0.937, note="634 images"),
        Published("external tests, lowest", auroc=0.821, note="781, 200 and 200 images"),
        Published("external tests, highest", auroc=0.885, note="781, 200 and 200 images"),
    ),
)
INTERNAL, EXTERNAL = PROTOCOL.published[:2], PROTOCOL.published[2:]
"""Lowest and highest AUROC that were published for each kind of test."""

SYSTEMS = {
    "EfficientNet-B0": ("efficientnet-b0",),
    "ResNet-50": ("resnet50",),
    "ensemble of two": ("efficientnet-b0", "resnet50"),
    "ensemble of three": ("efficientnet-b0", "resnet50", "vgg16"),
}
"""Two single networks and two ensembles, named before any frame was scored."""

_FAST_SIDE, _FAST_HEADS = 96, {"C": 1.0}
"""What makes a rehearsal quick: small frames, and machines whose settings nobody searches."""


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
            f"A source is held out where there are two or more. Received: {', '.join(sources)}."
        )
    whole = held_out.inside(records, np.ones(len(records), bool), "all sources")
    parted = {source: held_out.held_out(records, source) for source in sources}
    read = {name: _features(name, setting, cells.frames(records)) for name in _networks()}
    wanted = {
        trial.title: held_out.heads(trial, read, fixed=_FAST_HEADS if setting.fast else None)
        for trial in (whole, *(trial for pair in parted.values() for trial in pair))
    }
    outcome = grid.run(
        [cell for heads in wanted.values() for folds in heads.values() for cell in folds],
        setting.work / "cells", setting.workers, setting.ray,
    )  # fmt: skip
    found = {
        trial.title: cells.scores(outcome, wanted[trial.title], trial.records)
        for trial in (whole, *(validation for validation, _ in parted.values()))
    }
    tests = [
        held_out.freeze(
            validation, found[validation.title],
            test, held_out.raw_scores(outcome, wanted[test.title], test), SYSTEMS,
        )
        for validation, test in parted.values()
    ]  # fmt: skip
    return _report(setting, records, held_out.averaged(found[whole.title], SYSTEMS), tests,
                   outcome.failures)  # fmt: skip


def _networks() -> list[str]:
    return list(dict.fromkeys(name for members in SYSTEMS.values() for name in members))


def _features(name: str, setting: Setting, shown: Cell) -> tuple[Cell, str]:
    """Give the features of a network and what a machine reads of them, as its bundle does."""
    start, size, tap = setting.first(name), None, "deviation"
    folder = manifest.weights_root() / name
    if setting.start == "offline" and (folder / "manifest.json").is_file():
        starts.check_unseen(folder)
        facts = manifest.read_manifest(folder)
        start, size = str(folder), facts["input_size"]
        tap = "avg" if facts.get("pooling", "average") == "average" else "deviation"
    return cells.features(name, start, shown, (tap,), _FAST_SIDE if setting.fast else size), tap


def _report(
    setting: Setting,
    records: pd.DataFrame,
    whole: pd.DataFrame,
    tests: Sequence[Test],
    failures: Mapping[str, str],
) -> Report:
    """Put tables, pictures and words together."""
    summary = scoreboard.summarise(whole, records, PROTOCOL.positive)
    size = out_of_fold.size_rows(records, PROTOCOL.positive)
    shown = whole if size is None else pd.concat([whole, size], ignore_index=True)
    internal = scoreboard.overall("Internal test: every source is trained on", summary, {})
    tables = (
        _beside(internal, INTERNAL),
        _external(tests),
        _drops(tests, shown),
        _cutoffs(tests),
        scoreboard.by_source("Internal test, within each source", summary),
    )
    summaries = {"internal, all sources": summary}
    for test in tests:
        summaries |= {
            f"internal, without {test.source}": test.within,
            f"external, {test.source}": test.beyond,
        }
    return Report(
        PROTOCOL.key,
        PROTOCOL.title,
        PROTOCOL.reference,
        _images(setting, records),
        setting.fast,
        tables,
        _differs(setting, records),
        _all_scores(setting, shown, tests),
        summaries,
        {
            "sources": (
                "AUROC on the frames of each source, with 95 % intervals: while the other frames "
                "of the source are trained on (hollow), and when the source is held out whole "
                "(filled). Shaded: what was published for internal (blue) and external tests "
                "(orange), on other images.",
                _dots(tests, shown),
            ),
            "cutoffs": (
                "ROC curves of the largest system: inside the sources that it knows (dashed) and "
                "on the source held out (solid). Hollow dots: inside, each fold at the Youden "
                "point of the others, so that they may lie beside their curve; filled ones: "
                "outside, at the cut-off frozen inside.",
                _travel(tests),
            ),
        },
        failures,
    )


def _all_scores(setting: Setting, whole: pd.DataFrame, tests: Sequence[Test]) -> pd.DataFrame:
    """Give every score that a figure was computed from, the test in the name of the head."""
    parts = [whole]
    for test in tests:
        for rows, title in ((test.inside, "without"), (test.outside, "held out:")):
            parts.append(rows.assign(head=rows["head"] + f", {title} {test.source}"))
    folders = tuple(folder for folder in (setting.work, setting.data) if folder is not None)
    return out_of_fold.published(pd.concat(parts, ignore_index=True), folders)


def _images(setting: Setting, records: pd.DataFrame) -> str:
    counts = ", ".join(f"{n} of {source}" for source, n in records["source"].value_counts().items())
    kind = "phantoms of three simulated scanners" if setting.fast else "frames of the thyroid set"
    return (
        f"{len(records)} {kind} in {records['group'].nunique()} groups: {counts}. Internal tests: "
        f"{records['fold'].nunique()} grouped folds, alike in label and source. External tests: "
        "one source held out whole; groups with a frame in it are not trained on."
    )


def _range(published: Sequence[Published]) -> str:
    return "–".join(f"{row.auroc:.3f}" for row in published)


def _beside(table: Table, published: Sequence[Published]) -> Table:
    """Add the published range, which does not say which system reached what."""
    rows = tuple((*row, "–" if row[0] == BASELINE else _range(published)) for row in table.rows)
    note = f" Published: lowest and highest of four systems on {published[0].note}."
    return Table(table.title, table.caption + note, (*table.columns, "AUROC, published"), rows)


_FIRST = "Held out: system"


def _external(tests: Sequence[Test]) -> Table:
    shown = {test.source: scoreboard.overall("", test.beyond, {}) for test in tests}
    said = "; ".join(
        f"{test.source}: {test.beyond['n']} images in {test.beyond['groups']} groups, "
        f"{test.beyond['positives']} {PROTOCOL.positive}"
        for test in tests
    )
    return Table(
        "External test: the source is held out whole",
        f"{said}. Split: the source held out whole. Rates at the cut-off frozen on the other "
        f"sources; 95 % intervals from {intervals.RESAMPLES} bootstrap resamples by group. "
        "Published: lowest and highest of four systems on three other hospitals, "
        f"{EXTERNAL[0].note}.",
        (_FIRST, *shown[tests[0].source].columns[1:], "AUROC, published"),
        tuple(
            (f"{source}: {name}", *figures, "–" if name == BASELINE else _range(EXTERNAL))
            for source, table in shown.items()
            for name, *figures in table.rows
        ),
    )


_MOVED = (
    "95 % intervals from "
    f"{intervals.RESAMPLES} bootstrap resamples by group, those of both sides drawn together."
)


def _drops(tests: Sequence[Test], whole: pd.DataFrame) -> Table:
    rows = []
    for test in tests:
        for head in _in_all(test.outside, test.inside, whole):
            known, beyond, same = (
                part[part["head"] == head] for part in (test.inside, test.outside, whole)
            )
            cells_of = (test.within["heads"][head]["auroc"], test.beyond["heads"][head]["auroc"])
            moved = held_out.change(metrics.auroc, known, beyond, PROTOCOL.positive)
            rows.append(
                (
                    f"{test.source}: {head}",
                    *(with_interval(figure, 3) for figure in cells_of),
                    _signed(moved),
                    _signed(_on_the_same_frames(same, beyond)),
                )
            )
    return Table(
        "From internal to external",
        "AUROC inside the other sources, out of fold in grouped folds; on the source held out; "
        "and the change. Those are different images, and sources differ in how hard they are: the "
        "last column compares on the same images, those of the source held out, scored by systems "
        f"that trained on other groups of that source too. {_MOVED}",
        (_FIRST, "Inside the others", "Held out whole", "Change",
         "Change on the same images"),
        tuple(rows),
    )  # fmt: skip


def _in_all(first: pd.DataFrame, *others: pd.DataFrame) -> list[str]:
    """List the heads that no failure took from any of the tables."""
    known = set(first["head"]).intersection(*(set(each["head"]) for each in others))
    return [head for head in dict.fromkeys(first["head"]) if head in known]


def _on_the_same_frames(whole: pd.DataFrame, beyond: pd.DataFrame) -> Interval:
    """Compute what a system loses on a source because it was held out."""
    known = whole.set_index("path")["score"].reindex(beyond["path"]).to_numpy()
    return intervals.paired_group_bootstrap(
        metrics.auroc, beyond["label"] == PROTOCOL.positive, beyond["score"], known,
        beyond["group"],
    )  # fmt: skip


def _signed(found: Interval, scale: int = 1, digits: int = 3) -> str:
    """Write a change with its sign and its interval."""
    if np.isnan(found.value):
        return "–"
    value, low, high = (f"{scale * number:+.{digits}f}".replace("-", "−") for number in found)
    return f"{value} (–)" if np.isnan(found.low) else f"{value} ({low} to {high})"


def _cutoffs(tests: Sequence[Test]) -> Table:
    rates = {name: partial(getattr(metrics, name), threshold=0.5) for name in _RATES}
    rows = []
    for test in tests:
        for head, cutoff in test.cutoffs.items():
            parts = held_out.decided(test, head, PROTOCOL.positive)
            cells_of = []
            for name, rate in rates.items():
                for summary in (test.within, test.beyond):
                    figure = summary["heads"][head][name]
                    cells_of.append(with_interval(_percent(figure), 1))
                moved = held_out.change(rate, *parts, PROTOCOL.positive)
                cells_of.append(_signed(moved, 100, 1))
            rows.append((f"{test.source}: {head}", f"{cutoff:.3f}", *cells_of))
    columns = [f"{name.capitalize()} {where}" for name in _RATES for where in _WHERE]
    return Table(
        "How the frozen cut-off travels",
        "The cut-off is the Youden point of the out-of-fold scores inside the other sources, their "
        "grouped validation. Inside: rates out of fold, at the Youden point of the other folds. "
        f"Held out: rates of the source held out, at the cut-off. {_MOVED}",
        (_FIRST, "Cut-off, 0–1", *columns),
        tuple(rows),
    )


_RATES = ("sensitivity", "specificity")
_WHERE = ("inside, %", "held out, %", "change, points")


def _percent(figure: Mapping[str, float | None]) -> dict[str, float | None]:
    return {key: None if value is None else 100 * value for key, value in figure.items()}


def _differs(setting: Setting, records: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    counts = records["label"].value_counts()
    frames = "phantoms" if setting.fast else "frames"
    known = [
        (
            "Hospitals",
            "13,560 images of one hospital to train on, 634 of it and 1,181 of three others to "
            f"test on, are not public. Here sources of one collection of {len(records)} {frames} "
            "stand in their place. They differ in more than a scanner: in the share of malignant "
            "frames, and perhaps in what a label means, so that a drop may come from either.",
        ),
        (
            "Networks",
            "the original replaced the last layers of published networks and trained them on "
            "13,560 images. Here networks stay frozen and a support vector machine reads their "
            f"features: {_started(setting)}. Two processor cores and some hundred frames allow no "
            "more.",
        ),
        (
            "Which two networks, which two ensembles",
            "the lecture names neither. Here, named before any frame was scored, "
            + "; ".join(f"{name}: {_members(name)}" for name in SYSTEMS if len(SYSTEMS[name]) > 1)
            + ". An ensemble averages the calibrated probabilities of its members.",
        ),
        (
            "Balance of the classes",
            "760 benign images, mirrored at random, made the original's classes equal. Here "
            f"nothing is mirrored or copied: {counts.get(PROTOCOL.positive, 0)} "
            f"{PROTOCOL.positive} and {len(records) - counts.get(PROTOCOL.positive, 0)} other "
            f"{frames} are fitted as they are. A mirrored copy adds no patient, and neither AUROC "
            "nor the Youden point depends on how many there are of each class.",
        ),
        (
            "Internal test",
            "634 images aside in the original; grouped folds here, because so few frames cannot "
            "spare a test set.",
        ),
        (
            "Cut-off",
            "the lecture says Youden index, not on which images. Here it is chosen on the grouped "
            "validation inside the sources that are trained on, and frozen before the source held "
            "out is scored.",
        ),
        (
            "What an image shows",
            "regions of interest in the original, the whole scan area here: most frames come "
            "without an outline.",
        ),
    ]
    if setting.fast:
        known.append(
            (
                "Phantoms",
                "in place of patients, small, and with machines whose settings are fixed. The "
                "shipped networks were trained on other phantoms of the same simulator.",
            )
        )
    elif setting.start == "offline":
        known.append(
            (
                "Choices made before",
                "what the machines read and how large frames are shown was chosen on folds of the "
                "thyroid set when the networks were shipped, with all its sources: that flatters "
                "even the external tests a little.",
            )
        )
    return tuple(known)


def _started(setting: Setting) -> str:
    if setting.start != "offline":
        return f"weights {setting.start}, which no thyroid frame has changed"
    if setting.fast:
        return "those of the shipped bundles where there are any, at a small size"
    return "those of the shipped bundles where there are any, which no thyroid frame has changed"


def _members(system: str) -> str:
    return ", ".join(backbone(name).title for name in SYSTEMS[system])


_INSIDE, _OUTSIDE = "#0072B2", "#D55E00"


def _dots(tests: Sequence[Test], whole: pd.DataFrame) -> Figure:
    """Draw the AUROC of each system on each source, known and held out."""
    heads = list(dict.fromkeys(whole["head"]))
    figure = Figure(
        figsize=(4.8, 0.9 + (0.5 + 0.32 * len(heads)) * len(tests)), layout="constrained"
    )
    panels = figure.subplots(len(tests), 1, sharex=True, squeeze=False)[:, 0]
    for axes, test in zip(panels, tests, strict=True):
        for published, colour in ((INTERNAL, _INSIDE), (EXTERNAL, _OUTSIDE)):
            axes.axvspan(*(row.auroc for row in published), color=colour, alpha=0.15, linewidth=0)
        mine = whole[whole["source"] == test.source]
        for row, head in enumerate(heads):
            _dot(axes, row - 0.15, mine[mine["head"] == head], _INSIDE, "white")
            _dot(axes, row + 0.15, test.outside[test.outside["head"] == head], _OUTSIDE, _OUTSIDE)
        axes.set_yticks(range(len(heads)), heads, fontsize=10)
        axes.set_ylim(len(heads) - 0.5, -0.5)
        axes.set_title(test.source, fontsize=11, loc="left")
        axes.axvline(0.5, color="#666666", linestyle=":", linewidth=1)
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("AUROC", fontsize=11)
    return figure


def _dot(axes: Axes, place: float, rows: pd.DataFrame, colour: str, face: str) -> None:
    found = intervals.group_bootstrap(
        metrics.auroc, rows["label"] == PROTOCOL.positive, rows["score"], rows["group"]
    )
    axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1.5)
    axes.plot(found.value, place, "o", color=colour, markerfacecolor=face, markersize=6)


def _travel(tests: Sequence[Test]) -> Figure:
    """Draw where the frozen cut-off lies inside, and where outside."""
    figure = Figure(figsize=(4.8, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#666666", linestyle=":", linewidth=1)
    for colour, test in zip(itertools.cycle(_COLOURS), tests, strict=False):
        largest = list(test.cutoffs)[-1]
        for rows, style in ((test.inside, "--"), (test.outside, "-")):
            mine = rows[rows["head"] == largest]
            labels, scores = mine["label"] == PROTOCOL.positive, mine["score"]
            points = metrics.roc_points(labels, scores)
            held = test.source if style == "-" else None
            axes.plot(points.false_positive_rate, points.true_positive_rate, style, color=colour,
                      linewidth=1.5, label=held)  # fmt: skip
        at = [
            (1 - metrics.specificity(part["label"] == PROTOCOL.positive, part["score"], 0.5),
             metrics.sensitivity(part["label"] == PROTOCOL.positive, part["score"], 0.5))
            for part in held_out.decided(test, largest, PROTOCOL.positive)
        ]  # fmt: skip
        for (x, y), face in zip(at, ("white", colour), strict=True):
            axes.plot(x, y, "o", color=colour, markerfacecolor=face, markersize=8, zorder=3)
    axes.set(xlabel="1 − specificity", ylabel="Sensitivity", aspect="equal")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(tests), frameon=False, title="Held out")
    return figure


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
