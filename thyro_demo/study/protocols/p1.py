"""P1: progressive transfer on three networks, and each flaw of its first evaluation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from thyro_demo import files
from thyro_demo.data import phantom
from thyro_demo.data.splits import grouped_folds
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.plots import with_interval
from thyro_demo.models import out_of_fold
from thyro_demo.models.backbones import backbone
from thyro_demo.models.chain import Job
from thyro_demo.models.chain import run as run_recipe
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.models.recipes import Recipe, recipe
from thyro_demo.models.transfer import Stage
from thyro_demo.study import cells, grid, leaks, scoreboard
from thyro_demo.study.grid import Cell, Outcome
from thyro_demo.study.published import Protocol, Published
from thyro_demo.study.report import Report, Table
from thyro_demo.study.setting import Setting, thyroid

BACKBONES = ("vgg16", "resnet50", "efficientnet-b0")
NATURAL, PROGRESSIVE = CHAINS = ("natural", "progressive")
"""What a network has seen before the thyroid: natural images, or radiographs after them."""

TUNED = "efficientnet-b0"
"""The one network that is fine-tuned, and on whose frozen features the flaws are shown."""

FROZEN_LAYERS = {NATURAL: 162, PROGRESSIVE: 221}
"""First layers of EfficientNet-B0 that the original froze, the input layer counted."""

ORIGINAL = Stage(
    "thyroid", trainable="all", epochs=80, learning_rate=1e-5, patience=5, batch=32,
    input_size=224, augmentation=None,
)  # fmt: skip
"""The last stage as the original ran it; `_stage` gives what is run here."""

_SIDE, _FAST_SIDE = 96, 64
"""Side of the images of the fine-tuned network, and of phantoms in a rehearsal, pixels."""

_EPOCHS, _FAST_EPOCHS = 12, 1
_RATE = 1e-4
"""Ten times the original's: its own takes some 80 passes."""

_MALIGNANT, _BENIGN = 99, 53
"""Images of the published test part."""

_HEADS = ("SVM of the original", "forest of the original", "MLP of the original")
_SVM, _FOREST, _MLP = _HEADS


@dataclass(frozen=True)
class Printed:
    """A published row, and which of our systems stands beside it.

    Parameters
    ----------
    network, head, chain : str
        Key of `BACKBONES`, one of the three heads of the original, one of `CHAINS`.
    row : Published
        As printed.
    images : int
        Number of images that the printed accuracy is a share of.
    """

    network: str
    head: str
    chain: str
    row: Published
    images: int = _MALIGNANT + _BENIGN

    @property
    def system(self) -> str:
        """Name of our system."""
        return _name(self.network, self.head, self.chain)

    @property
    def right(self) -> int:
        """Number of images that were called right, as the accuracy says."""
        return round((self.row.accuracy or 0) * self.images / 100)


def _name(network: str, head: str, chain: str) -> str:
    return f"{backbone(network).title} + {head}, {chain}"


_SEEN = (
    "validation accuracy, of images that partly stand in training too; the figure fits {right} of "
    "{images} images"
)
# Validation parts of the notebooks: five whole batches of 32, and all 190 images.
_BATCHES, _ALL = 160, 190

PRINTED = (
    Printed(
        "vgg16", _FOREST, NATURAL,
        Published("VGG-16 + RF, ImageNet only", 78.95, 90.91, 56.60, 84.91),
    ),
    Printed(
        "vgg16", _FOREST, PROGRESSIVE,
        Published("VGG-16 + RF, progressive", 80.92, 91.92, 60.38, 86.26),
    ),
    Printed(
        "vgg16", _SVM, NATURAL,
        Published("VGG-16 + SVM, ImageNet only", 78.29, 91.92, 52.83, 84.65),
    ),
    Printed(
        "vgg16", _SVM, PROGRESSIVE,
        Published(
            "VGG-16 + SVM, progressive", 77.63, 89.90, 54.72, 83.96,
            note="the accuracy is not printed; it follows from the rates",
        ),
    ),
    *(
        Printed(
            network, _MLP, chain,
            Published(
                f"{title} + MLP, {'ImageNet only' if chain == NATURAL else chain}", accuracy,
                note=_SEEN.format(right=round(accuracy * images / 100), images=images) + more,
            ),
            images,
        )
        for network, title, chain, accuracy, images, more in (
            ("vgg16", "VGG-16", NATURAL, 86.25, _BATCHES, "; the first of three runs"),
            ("vgg16", "VGG-16", PROGRESSIVE, 86.32, _ALL, ""),
            ("resnet50", "ResNet-50", NATURAL, 83.13, _BATCHES, "; the third run, variant V2"),
            ("resnet50", "ResNet-50", PROGRESSIVE, 81.58, _ALL, "; variant V2"),
            (TUNED, "EfficientNet-B0", NATURAL, 87.50, _BATCHES, "; the second run"),
            (TUNED, "EfficientNet-B0", PROGRESSIVE, 82.63, _ALL, ""),
        )
    ),
)  # fmt: skip

PROTOCOL = Protocol(
    "P1",
    "Progressive transfer: natural images, chest radiographs, thyroid ultrasound",
    "Master's project “Application de l'apprentissage profond par transfert en imagerie médicale "
    "pour l'aide au diagnostic des lésions thyroïdiennes” and its public notebooks, 2021",
    CLASSES[1],
    tuple(printed.row for printed in PRINTED),
)


def run(setting: Setting) -> Report:
    """Score frozen and fine-tuned networks before and after the radiographs, then every flaw.

    Parameters
    ----------
    setting : Setting
        On which images, from which networks of the natural stage, and where to keep the parts.

    Returns
    -------
    Report
        Our figures beside the published ones, the paired differences of the two chains, and what
        each flaw of the first evaluation does.

    Raises
    ------
    StudyError
        If every system failed.
    DataError, RecipeError
        If the images are not in the layout that is read, or a network cannot be trained.
    """
    records = thyroid(setting)
    starts = _starts(setting)
    systems = _systems(setting, cells.frames(records), starts)
    planned = _flaws(setting, records, starts)
    wanted = [*(cell for folds in systems.values() for cell in folds), *planned.values()]
    outcome = grid.run(wanted, setting.work / "cells", setting.workers, setting.ray)
    found = cells.scores(outcome, systems, records, PROTOCOL.positive)
    summary = scoreboard.summarise(found, records, PROTOCOL.positive)
    gains = compare(found)
    flawed = leaks.gather(outcome, planned, records)
    sound = planned.get(leaks.SOUND.name)
    inflated = None
    if sound is not None and sound in outcome:
        inflated = leaks.compare(flawed, PROTOCOL.positive)
    published = {printed.system: printed.row for printed in PRINTED}
    folders = (setting.data or setting.work, setting.work)
    return Report(
        key=PROTOCOL.key,
        title=PROTOCOL.title,
        reference=PROTOCOL.reference,
        images=_images(setting, records),
        fast=setting.fast,
        tables=(
            scoreboard.overall("Every system beside the published figures", summary, published),
            differences(gains, summary),
            scoreboard.by_source("Within each source", summary),
            *(() if inflated is None else _flaw_tables(inflated, flawed, summary)),
            as_printed(),
            _chosen(outcome, systems),
        ),
        differs=(*_left_out(starts), *_differs(setting)),
        scores=out_of_fold.published(
            pd.concat([found, *(table.assign(head="flaw: " + table["head"]) for table in flawed)]),
            folders,
        ),
        summaries={"frozen and fine-tuned networks": summary},
        pictures=_pictures(gains, inflated, scoreboard.caption(summary)),
        failures=outcome.failures,
    )


def _starts(setting: Setting) -> dict[str, dict[str, str]]:
    """Give for each network at hand the start of each chain."""
    found = {}
    for network in BACKBONES:
        first = setting.first(network)
        if first == "none" and not setting.fast:
            continue
        found[network] = {NATURAL: first}
        if network == TUNED or not setting.fast:
            found[network][PROGRESSIVE] = _radiographs(setting, network, first)
    return found


def _radiographs(setting: Setting, network: str, first: str) -> str:
    """Give the network that went on to radiographs, trained unless it lies beside `first`."""
    near = first.replace("natural-64", "radiographs")
    if near != first and Path(near).is_file():
        return near
    mark = files.sha256(first)[:8] if Path(first).is_file() else first
    folder = setting.work / "networks" / f"{network}-{mark}"
    out = folder / "radiographs.keras"
    if not out.exists():
        chosen = recipe("radiographs", network)
        if setting.fast:
            chosen = _rehearsed(chosen, folder)
        run_recipe(Job(chosen, network, setting.data or folder, folder, out, first))
    return str(out)


def _rehearsed(chosen: Recipe, folder: Path) -> Recipe:
    """Let drawn glands, normal and autoimmune, stand for radiographs, in one short pass."""
    # Where `run_recipe` looks for phantoms before it draws its own.
    drawn = folder / "drawn"
    if not (drawn / "index.csv").exists():
        glands = phantom.cohort(24, 1, seed=5, shape=(96, 128), diffuse=True)
        phantom.write(glands, drawn, total=24)
    ((_, stage),) = chosen.stages
    small = replace(stage, input_size=_FAST_SIDE, epochs=1, patience=None)
    return replace(chosen, stages=(("phantoms", small),))


def _systems(
    setting: Setting, shown: Cell, starts: Mapping[str, Mapping[str, str]]
) -> dict[str, list[Cell]]:
    """Make the cells of every system, one a fold."""
    found = {}
    for network, by_chain in starts.items():
        for chain, start in by_chain.items():
            for head, made in _on(network, chain, start, setting, shown).items():
                found[_name(network, head, chain)] = made
    return found


def _on(
    network: str, chain: str, start: str, setting: Setting, shown: Cell
) -> dict[str, list[Cell]]:
    """Make the heads on one network: ours on pooled features, and those of the original."""
    folds = sorted(set((shown.value or {})["fold"].tolist()))
    side = _FAST_SIDE if setting.fast else None
    original = network == "vgg16"
    read = cells.features(network, start, shown, leaks.TAPS + ("map",) * original, side)
    pooled = [(read, leaks.TAP)]
    few: dict[str, Any] = {"trees": _FAST_TREES[-1]} if setting.fast else {}
    found = {
        "softmax": [_own(softmax, read, shown, fold) for fold in folds],
        "SVM": [cells.head("svm", pooled, shown, fold) for fold in folds],
        "forest": [cells.head("forest", pooled, shown, fold, **few) for fold in folds],
    }
    if original:
        given: dict[str, Any] = {"C": 1.0, "gamma": 0.001, "standardise": False}
        trees = _FAST_TREES if setting.fast else _TREES
        found[_SVM] = [cells.head("svm", [(read, "map")], shown, fold, **given) for fold in folds]
        found[_FOREST] = [_own(forest, read, shown, fold, trees=list(trees)) for fold in folds]
    if network == TUNED and (chain == PROGRESSIVE or not setting.fast):
        stage = _stage(chain, setting.fast)
        found[_MLP] = [cells.tuned(network, start, shown, fold, stage, "mlp") for fold in folds]
    return found


def _stage(chain: str, fast: bool) -> Stage:
    """Give the last stage of the original, on smaller images."""
    return replace(
        ORIGINAL,
        frozen_layers=FROZEN_LAYERS[chain],
        epochs=_FAST_EPOCHS if fast else _EPOCHS,
        learning_rate=_RATE,
        input_size=_FAST_SIDE if fast else _SIDE,
    )


def _own(
    work: Callable[..., dict[str, np.ndarray]], read: Cell, shown: Cell, fold: int, **more: Any
) -> Cell:
    settings = {"fold": int(fold), "positive": PROTOCOL.positive, **more}
    title = f"{work.__name__} on {read.name}, fold {fold}"
    return Cell(f"{__name__}:{work.__name__}", settings, (shown, read), title)


_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def softmax(
    settings: dict[str, Any], shown: dict[str, np.ndarray], read: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Fit a softmax layer on average-pooled features and score one fold.

    Of two classes it is logistic regression. It is fitted to its optimum, its ridge chosen by
    AUROC in five grouped folds of the training part, where Adam would stop somewhere before.

    Parameters
    ----------
    settings : dict
        `fold` (tested; fitted on the others) and `positive`.
    shown : dict of str to ndarray
        From `cells.frames`.
    read : dict of str to ndarray
        `avg`, float32 (n, d).

    Returns
    -------
    dict of str to ndarray
        `raw` float64 (m,), log-odds of the positive class, and `rows` int64 (m,).
    """
    tested, labels = shown["fold"] == settings["fold"], shown["label"] == settings["positive"]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
        {"logisticregression__C": _RIDGES},
        scoring="roc_auc",
        cv=grouped_folds(labels[~tested], shown["group"][~tested], _INNER, 0),
    )
    search.fit(read["avg"][~tested].astype(np.float64), labels[~tested])
    raw = search.decision_function(read["avg"][tested].astype(np.float64))
    return {"raw": raw, "rows": np.flatnonzero(tested)}


_INNER = 5
_TREES, _FAST_TREES = range(10, 201, 10), range(10, 31, 10)


def forest(
    settings: dict[str, Any], shown: dict[str, np.ndarray], read: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Fit a forest on the flattened last feature map, its size chosen, and score one fold.

    Parameters
    ----------
    settings : dict
        `fold` (tested; fitted on the others), `positive` and `trees`, the numbers of trees to
        choose from by AUROC in five grouped folds of the training part, in rising order.
    shown : dict of str to ndarray
        From `cells.frames`.
    read : dict of str to ndarray
        `map`, float32 (n, d).

    Returns
    -------
    dict of str to ndarray
        `raw` float64 (m,), mean vote for the positive class; `rows` int64 (m,); `trees` int64 ().
    """
    tested, labels = shown["fold"] == settings["fold"], shown["label"] == settings["positive"]
    rows, known = read["map"][~tested], labels[~tested]
    inner = grouped_folds(known, shown["group"][~tested], _INNER, 0)
    reached = [_by_trees(rows, known, part, settings["trees"]) for part in inner]
    best = settings["trees"][int(np.argmax(np.mean(reached, axis=0)))]
    fitted = RandomForestClassifier(best, random_state=0).fit(rows, known)
    raw = fitted.predict_proba(read["map"][tested])[:, 1]
    return {"raw": raw, "rows": np.flatnonzero(tested), "trees": np.array(best)}


def _by_trees(
    rows: np.ndarray, labels: np.ndarray, part: tuple[np.ndarray, np.ndarray], sizes: Sequence[int]
) -> list[float]:
    """Give the AUROC on the second part of forests of several sizes grown on the first."""
    learned, asked = part
    grown = RandomForestClassifier(sizes[-1], random_state=0).fit(rows[learned], labels[learned])
    # A forest of the same seed begins with the same trees, whatever its size.
    votes = np.cumsum([tree.predict_proba(rows[asked])[:, 1] for tree in grown.estimators_], axis=0)
    return [float(metrics.auroc(labels[asked], votes[size - 1])) for size in sizes]


def _flaws(
    setting: Setting, records: pd.DataFrame, starts: Mapping[str, Mapping[str, str]]
) -> dict[str, Cell]:
    if TUNED not in starts:
        return {}
    side = _FAST_SIDE if setting.fast else None
    return leaks.plan(TUNED, starts[TUNED][PROGRESSIVE], records, side, PROTOCOL.positive)


def compare(found: pd.DataFrame) -> pd.DataFrame:
    """Compute what the middle stage adds, on the same images.

    Parameters
    ----------
    found : DataFrame
        Out-of-fold scores of every system, from `cells.scores`.

    Returns
    -------
    DataFrame
        One row a network with its head, and figure ("auroc", "accuracy", each 0–1): `system,
        figure, gain, gain_low, gain_high`: progressive minus natural, paired, with 95 % intervals
        by groups. Accuracy is that at the Youden points of the other folds.
    """
    scored = {str(name): rows.sort_values("path") for name, rows in found.groupby("head")}
    decided = {
        name: out_of_fold.decisions(rows, PROTOCOL.positive) for name, rows in scored.items()
    }
    accuracy = partial(metrics.accuracy, threshold=0.5)
    gains = []
    for name in found["head"].unique():
        system, _, chain = name.rpartition(", ")
        before = f"{system}, {NATURAL}"
        if chain != PROGRESSIVE or before not in scored:
            continue
        for figure, statistic, tables in (
            ("auroc", metrics.auroc, scored),
            ("accuracy", accuracy, decided),
        ):
            now, then = tables[name], tables[before]
            labels = now["label"] == PROTOCOL.positive
            gain = intervals.paired_group_bootstrap(
                statistic, labels, now["score"], then["score"], now["group"]
            )
            gains.append((system, figure, *gain))
    return pd.DataFrame(gains, columns=["system", "figure", "gain", "gain_low", "gain_high"])


def differences(gains: pd.DataFrame, summary: Mapping[str, Any]) -> Table:
    """Set what the middle stage added here beside what it added in print.

    Parameters
    ----------
    gains : DataFrame
        From `compare`.
    summary : mapping
        From `scoreboard.summarise`.

    Returns
    -------
    Table
        One row a network with its head.
    """
    rows = []
    for system, mine in gains.groupby("system", sort=False):
        by_figure = mine.set_index("figure")
        both = [summary["heads"][f"{system}, {chain}"]["auroc"] for chain in CHAINS]
        rows.append(
            (
                str(system),
                *(with_interval(figure, 3) for figure in both),
                leaks.signed(by_figure.loc["auroc"], 1, 3),
                leaks.signed(by_figure.loc["accuracy"], 100, 1),
                _printed_gain(str(system)),
            )
        )
    caption = (
        f"{scoreboard.caption(summary)} Differences are paired: progressive minus natural on the "
        "same resampled groups; one whose interval holds 0 says nothing. Accuracy at the Youden "
        "point of the other folds, in points of 100; the published ones are single figures on "
        "other images, those of the MLP even on two different sets of them."
    )
    columns = ("System", "AUROC natural", "AUROC progressive", "Difference of AUROC",
               "Difference of accuracy", "Published difference of accuracy")  # fmt: skip
    return Table("Does the middle stage help?", caption, columns, tuple(rows))


def _printed_gain(system: str) -> str:
    """Write what the middle stage added in print, and how many images that is."""
    both = {one.chain: one for one in PRINTED if one.system == f"{system}, {one.chain}"}
    if set(both) != set(CHAINS):
        return "–"
    now, then = both[PROGRESSIVE], both[NATURAL]
    gain = f"{(now.row.accuracy or 0) - (then.row.accuracy or 0):+.2f}".replace("-", "−")
    if now.images != then.images:
        return gain
    count = now.right - then.right
    return f"{gain} ({abs(count)} image{'s' if abs(count) > 1 else ''} of {now.images})"


def as_printed() -> Table:
    """Write the published rows with the counts behind them.

    Returns
    -------
    Table
        One row a published system: the accuracy with its exact binomial interval, and the rates.
    """
    rows = []
    for one in PRINTED:
        row = one.row
        _, low, high = intervals.share(one.right, one.images, "exact")
        figure = {"value": row.accuracy, "low": 100 * low, "high": 100 * high}
        rates = (row.sensitivity, row.specificity, row.f1)
        rows.append(
            (
                row.system,
                f"{one.right} of {one.images}",
                with_interval(figure, 2),
                *("–" if rate is None else f"{rate:.2f}" for rate in rates),
                row.note or "test part",
            )
        )
    caption = (
        f"In percent, as printed; the test part has {_MALIGNANT} malignant and {_BENIGN} benign "
        "images. The 95 % intervals are exact binomial ones, as if no two images were of one "
        "patient; with copies on both sides they are too narrow."
    )
    columns = ("Published system", "Right", "Accuracy", "Sensitivity", "Specificity", "F1", "Of")
    return Table("What was published", caption, columns, tuple(rows))


def _chosen(outcome: Outcome, systems: Mapping[str, Sequence[Cell]]) -> Table:
    """Write what inner folds chose: numbers of trees, and epochs."""
    asked = {_FOREST: "trees", _MLP: "epochs"}
    rows = []
    for name, made in systems.items():
        for head, what in asked.items():
            if f" + {head}, " in name:
                said = [str(outcome[cell][what]) if cell in outcome else "–" for cell in made]
                rows.append((name, what, ", ".join(said)))
    return Table(
        "What was chosen inside the training parts",
        "Trees by AUROC in five grouped inner folds; epochs by the loss on one of six.",
        ("System", "What", "In each fold"),
        tuple(rows),
    )


def _flaw_tables(
    found: pd.DataFrame, scored: Sequence[pd.DataFrame], summary: Mapping[str, Any]
) -> tuple[Table, Table]:
    names = {str(table["head"].iloc[0]) for table in scored}
    caption = (
        f"{scoreboard.caption(summary)} {backbone(TUNED).title}, frozen after the radiographs, "
        "and an SVM on the deviations of its last feature map. Rates are those at the machine's "
        "own boundary, as in the original. After the semicolon: the paired difference to the "
        "sound run, in points of 100 for rates; intervals resample the true groups throughout."
    )
    return leaks.tabulate(found, [flaw for flaw in leaks.FLAWS if flaw.name in names], caption)


def _pictures(
    gains: pd.DataFrame, flaws: pd.DataFrame | None, caption: str
) -> dict[str, tuple[str, Figure]]:
    drawn = {
        "middle-stage": (
            f"What the radiographs add to the AUROC of each network and head. {caption}",
            draw(gains),
        )
    }
    if flaws is not None:
        drawn["flaws"] = (
            "AUROC and accuracy under each flaw of the first evaluation; the line is the sound "
            f"run, the band its interval. {caption}",
            leaks.draw(flaws),
        )
    return drawn


def draw(gains: pd.DataFrame) -> Figure:
    """Draw the gain of the progressive chain for each network and head.

    Parameters
    ----------
    gains : DataFrame
        From `compare`.

    Returns
    -------
    Figure
        Points with 95 % intervals; at zero the middle stage adds nothing.
    """
    rows = gains[gains["figure"] == "auroc"].iloc[::-1]
    figure = Figure(figsize=(7.0, 0.8 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    ends = np.stack([rows["gain"] - rows["gain_low"], rows["gain_high"] - rows["gain"]])
    axes.errorbar(rows["gain"], places, xerr=ends, fmt="o", color="#0072B2", capsize=3)
    axes.axvline(0, color="#666666", linewidth=1)
    axes.set_yticks(places, rows["system"])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("AUROC, progressive minus natural")
    axes.grid(axis="x", alpha=0.25)
    return figure


def _images(setting: Setting, records: pd.DataFrame) -> str:
    positive = int((records["label"] == PROTOCOL.positive).sum())
    what = "phantoms of three simulated scanners" if setting.fast else "frames of the P1 set"
    return (
        f"{len(records)} {what} in {records['group'].nunique()} groups, {positive} "
        f"{PROTOCOL.positive}; {records['fold'].nunique()} grouped folds, every score out of fold."
    )


def _left_out(starts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say which networks are missing, and why."""
    return [
        (
            f"{backbone(network).title} is left out",
            "no network of its natural stage is at hand; "
            f"`train natural-64 --backbone {network}` makes one, as --natural asks for it",
        )
        for network in BACKBONES
        if network not in starts
    ]


def _differs(setting: Setting) -> tuple[tuple[str, str], ...]:
    if setting.fast:
        first = (
            "random weights stand for it and drawn glands for radiographs, which only "
            f"{backbone(TUNED).title} sees: a rehearsal has to take minutes"
        )
    elif setting.start == "offline":
        first = (
            "Tiny ImageNet at 64 pixels from random weights in place of ImageNet, so that nothing "
            "is downloaded; `--start imagenet` takes the published weights"
        )
    else:
        first = f"published weights: {setting.start}"
    return (
        ("First stage", first),
        *_DIFFERS,
        (
            "MLP",
            f"fine-tuned on {backbone(TUNED).title} alone, "
            f"at most {_FAST_EPOCHS if setting.fast else _EPOCHS} epochs in place of "
            f"{ORIGINAL.epochs}, at a rate of {_RATE:g} in place of {ORIGINAL.learning_rate:g}, on "
            f"images of {_FAST_SIDE if setting.fast else _SIDE} pixels in place of "
            f"{ORIGINAL.input_size}, because two cores have to do; layers, batch and patience are "
            "the original's, and what it is validated on is one of six grouped folds of the "
            "training part, not 30 % drawn by image",
        ),
    )


_DIFFERS = (
    (
        "Radiographs",
        "three classes of two public sets, and one depth (the last block) of the three that were "
        "tried: `study middle` compares depths",
    ),
    (
        "Images and split",
        "the frames of the original that are at hand, in five grouped folds; its own split has "
        "copies, and frames of one patient, on both sides",
    ),
    (
        "ResNet-50",
        "the first variant, as everywhere in this project; the notebooks load V2",
    ),
    (
        "Heads",
        "SVM and forest of the original read the flattened last map of VGG-16 with its settings "
        "(RBF, gamma 0.001, C 1; 10, 20, … 200 trees), but the number of trees is chosen in inner "
        "folds, not on the images that are reported; softmax, SVM and forest without that remark "
        "are this project's, on pooled features",
    ),
    (
        "Operating point",
        "the Youden point of the other folds in place of the larger probability, which favours "
        "the commoner class: hence the low published specificities",
    ),
    (
        "Flaws",
        "shown on one frozen network and one kind of head, where one flaw can be switched on at a "
        "time. Duplicates with two grades and the network that was “trained” with every layer "
        "frozen are not repeated: grouped folds hold the first on one side, and the second "
        "changes no weight",
    ),
    (
        "Missing preprocess_input",
        "our networks normalise in the graph; the flaw is made by feeding the layer behind. It "
        "hits VGG-16 and ResNet-50 of the original; what its EfficientNet-B0 was fed depends on "
        "the package, and that of `keras.applications` would not have noticed",
    ),
)
