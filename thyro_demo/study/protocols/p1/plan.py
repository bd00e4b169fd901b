"""The plan of P1: heads on networks before and after the radiographs, and every flaw."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from thyro_demo import files
from thyro_demo.evaluate import metrics
from thyro_demo.models.backbones import backbone
from thyro_demo.study.graph import Job, Values
from thyro_demo.study.protocols.p1 import tables
from thyro_demo.study.protocols.p1.tables import FOREST, MLP, NATURAL, PROGRESSIVE, SVM
from thyro_demo.study.questions import leaks
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Protocol, Report
from thyro_demo.study.setting import Setting, drawn, thyroid
from thyro_demo.study.steps import heads, networks
from thyro_demo.study.steps.heads import split
from thyro_demo.study.steps.networks import check_fold
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.recipes import Recipe, recipe
from thyro_demo.training.run import run_once
from thyro_demo.training.stage import Stage

BACKBONES = ("vgg16", "resnet50", "efficientnet-b0")

FINE_TUNED = "efficientnet-b0"
"""The one network that is fine-tuned, and on whose frozen features the flaws are shown."""

FROZEN_LAYERS = {NATURAL: 162, PROGRESSIVE: 221}
"""First layers of EfficientNet-B0 that the original froze, the input layer counted."""

ORIGINAL = Stage(
    "thyroid", trainable="all", epochs=80, learning_rate=1e-5, patience=5, batch=32,
    input_size=224, augmentation=None,
)  # fmt: skip
"""The last stage as the original ran it; `_stage` sets up what is run here."""

_SIDE, _FAST_SIDE = 96, 64
"""Side of the images of the fine-tuned network, and of phantoms in a rehearsal, pixels."""

_EPOCHS, _FAST_EPOCHS = 12, 1
_RATE = 1e-4
"""Ten times the original's: its own takes some 80 passes."""

_INNER = 5
_TREES, _FAST_TREES = range(10, 201, 10), range(10, 31, 10)

PROTOCOL = Protocol(
    "P1",
    "Progressive transfer: natural images, chest radiographs, thyroid ultrasound",
    "Master's project “Application de l'apprentissage profond par transfert en imagerie médicale "
    "pour l'aide au diagnostic des lésions thyroïdiennes” and its public notebooks, 2021",
    CLASSES[1],
    tuple(printed.row for printed in tables.PRINTED),
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
    records, positive = thyroid(setting), PROTOCOL.positive
    weights = _weights(setting)
    systems = _systems(setting, networks.frames(records), weights)
    planned = _flaws(setting, records, weights)
    outcome = setting.compute(
        [*(job for folds in systems.values() for job in folds), *planned.values()]
    )
    found = heads.scores(outcome, systems, records, positive)
    summary = report.summarise(found, records, positive)
    gains = tables.gains(found, positive)
    flawed = leaks.gather(outcome, planned, records)
    sound = planned.get(leaks.SOUND.name)
    flaws = leaks.compare(flawed, positive) if sound is not None and sound in outcome else None
    published = {printed.system: printed.row for printed in tables.PRINTED}
    network = backbone(FINE_TUNED).title
    return Report(
        PROTOCOL,
        _images(setting, records),
        setting.fast,
        (
            report.overall("Every system beside the published figures", summary, published),
            tables.differences(gains, summary),
            report.by_source("Within each source", summary),
            *(() if flaws is None else tables.flaws(flaws, network, summary)),
            tables.as_printed(),
            tables.chosen(outcome, systems),
        ),
        (*_left_out(weights), *_differs(setting)),
        setting.published(
            pd.concat([found, *(table.assign(head="flaw: " + table["head"]) for table in flawed)])
        ),
        {"frozen and fine-tuned networks": summary},
        tables.pictures(gains, flaws, report.caption(summary)),
        outcome.failures,
        tables.to_results(summary, flaws, BACKBONES, network, _cut(setting.fast)),
    )


def _weights(setting: Setting) -> dict[str, dict[str, str]]:
    """Choose for each network at hand the initial weights of each chain."""
    found = {}
    for network in BACKBONES:
        first = setting.initial_weights(network)
        if first == "none" and not setting.fast:
            continue
        found[network] = {NATURAL: first}
        if network == FINE_TUNED or not setting.fast:
            found[network][PROGRESSIVE] = _radiographs(setting, network, first)
    return found


def _radiographs(setting: Setting, network: str, first: str) -> str:
    """Find the network that went on to radiographs, trained unless it is beside `first`."""
    near = Path(first).with_name("radiographs.keras")
    # Of a bundle's two checkpoints one went on from the other; of two files nothing is known.
    of_bundle = (near.parent / "manifest.json").is_file()
    if Path(first).name == "natural-64.keras" and of_bundle and near.is_file():
        return str(near)
    mark = files.sha256(first)[:8] if Path(first).is_file() else first
    folder = setting.work / "networks" / f"{network}-{mark}"
    out = folder / "radiographs.keras"
    chosen = recipe("radiographs", network)
    if setting.fast:
        chosen = _rehearsed(chosen, folder)
    return str(run_once(TrainingJob(chosen, network, setting.data or folder, folder, out, first)))


def _rehearsed(chosen: Recipe, folder: Path) -> Recipe:
    """Replace radiographs by drawn glands, normal and autoimmune, in one short pass."""
    # Where `run_once` looks for phantoms before it draws its own.
    drawn(folder / "drawn", 24, 1, seed=5, shape=(96, 128), diffuse=True)
    ((_, stage),) = chosen.stages
    small = replace(stage, input_size=_FAST_SIDE, epochs=1, patience=None)
    return replace(chosen, stages=(("phantoms", small),))


def _systems(
    setting: Setting, shown: Job, weights: Mapping[str, Mapping[str, str]]
) -> dict[str, list[Job]]:
    """Make the jobs of every system, one for each fold."""
    return {
        tables.name(network, head, chain): jobs
        for network, by_chain in weights.items()
        for chain, initial in by_chain.items()
        for head, jobs in _on(network, chain, initial, setting, shown).items()
    }


def _on(
    network: str, chain: str, weights: str, setting: Setting, shown: Job
) -> dict[str, list[Job]]:
    """Make the heads on one network: ours on pooled features, and those of the original."""
    folds = sorted(set((shown.value or {})["fold"].tolist()))
    side = _FAST_SIDE if setting.fast else None
    original = network == "vgg16"
    read = networks.features(network, weights, shown, leaks.TAPS + ("map",) * original, side)
    pooled = [(read, leaks.TAP)]
    few: dict[str, Any] = {"trees": _FAST_TREES[-1]} if setting.fast else {}
    found = {
        "softmax": [heads.softmax((read, "avg"), shown, fold, inner=_INNER) for fold in folds],
        "SVM": [heads.head("svm", pooled, shown, fold) for fold in folds],
        "forest": [heads.head("forest", pooled, shown, fold, **few) for fold in folds],
    }
    if original:
        fixed: dict[str, Any] = {"C": 1.0, "gamma": 0.001, "standardise": False}
        trees = _FAST_TREES if setting.fast else _TREES
        found[SVM] = [heads.head("svm", [(read, "map")], shown, fold, **fixed) for fold in folds]
        found[FOREST] = [_forest(read, shown, fold, trees) for fold in folds]
    if network == FINE_TUNED and (chain == PROGRESSIVE or not setting.fast):
        stage = _stage(chain, setting.fast)
        found[MLP] = [
            networks.fine_tuned(network, weights, shown, fold, stage, "mlp") for fold in folds
        ]
    return found


def _stage(chain: str, fast: bool) -> Stage:
    """Set up the last stage of the original, on smaller images."""
    return replace(
        ORIGINAL,
        frozen_layers=FROZEN_LAYERS[chain],
        epochs=_FAST_EPOCHS if fast else _EPOCHS,
        learning_rate=_RATE,
        input_size=_FAST_SIDE if fast else _SIDE,
    )


def _forest(read: Job, shown: Job, fold: int, trees: Sequence[int]) -> Job:
    """Make the job of a forest on the flattened last feature map, its size chosen of `trees`."""
    check_fold([read], shown, fold)
    settings = {"fold": int(fold), "positive": PROTOCOL.positive, "trees": list(trees)}
    return Job(fit_forest, settings, (shown, read), f"forest on {read.name}, fold {fold}")


def fit_forest(settings: dict[str, Any], shown: Values, read: Values) -> Values:
    """Fit a forest, its trees chosen by AUROC in grouped inner folds, and score one fold.

    Parameters
    ----------
    settings : dict
        `fold` (tested; fitted on the others), `positive` and `trees`, the numbers of trees to
        choose from, in rising order.
    shown : dict of str to ndarray
        Value of `networks.frames`.
    read : dict of str to ndarray
        `map`, float32 (n, d).

    Returns
    -------
    dict of str to ndarray
        `raw` float64 (m,), mean vote for the positive class; `rows` int64 (m,); `trees` int64 ().
    """
    parts = split(shown, settings["fold"], settings["positive"], _INNER)
    rows, labels = read["map"][parts.learned], parts.labels[parts.learned] == 1
    reached = [_by_trees(rows, labels, part, settings["trees"]) for part in parts.inner]
    best = settings["trees"][int(np.argmax(np.mean(reached, axis=0)))]
    fitted = RandomForestClassifier(best, random_state=0).fit(rows, labels)
    raw = fitted.predict_proba(read["map"][parts.tested])[:, 1]
    return {"raw": raw, "rows": parts.tested, "trees": np.array(best)}


def _by_trees(
    rows: np.ndarray, labels: np.ndarray, part: tuple[np.ndarray, np.ndarray], sizes: Sequence[int]
) -> list[float]:
    """Compute the AUROC on the second part of forests of several sizes grown on the first."""
    learned, asked = part
    grown = RandomForestClassifier(sizes[-1], random_state=0).fit(rows[learned], labels[learned])
    # A forest of the same seed begins with the same trees, whatever its size.
    votes = np.cumsum([tree.predict_proba(rows[asked])[:, 1] for tree in grown.estimators_], axis=0)
    return [float(metrics.auroc(labels[asked], votes[size - 1])) for size in sizes]


def _cut(fast: bool) -> str:
    stage = _stage(PROGRESSIVE, fast)
    return f"{stage.epochs} epochs on images of {stage.input_size} pixels"


def _flaws(
    setting: Setting, records: pd.DataFrame, weights: Mapping[str, Mapping[str, str]]
) -> dict[str, Job]:
    if FINE_TUNED not in weights:
        return {}
    side = _FAST_SIDE if setting.fast else None
    return leaks.plan(
        FINE_TUNED, weights[FINE_TUNED][PROGRESSIVE], records, side, PROTOCOL.positive
    )


def _images(setting: Setting, records: pd.DataFrame) -> str:
    positive = int((records["label"] == PROTOCOL.positive).sum())
    what = "phantoms of three simulated scanners" if setting.fast else "frames of the P1 set"
    return (
        f"{len(records)} {what} in {records['group'].nunique()} groups, {positive} "
        f"{PROTOCOL.positive}; {records['fold'].nunique()} grouped folds, every score out of fold."
    )


def _left_out(weights: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name the networks that are missing, and how to make them."""
    return [
        (
            f"{backbone(network).title} is left out",
            "no network of its natural stage is at hand; "
            f"`train natural-64 --backbone {network}` makes one, as --natural asks for it",
        )
        for network in BACKBONES
        if network not in weights
    ]


def _differs(setting: Setting) -> tuple[tuple[str, str], ...]:
    offline = "offline" if setting.weights == "offline" else "published"
    return report.differences(
        Path(__file__).with_name("differences.md"),
        ["fast" if setting.fast else offline],
        weights=setting.weights,
        fine_tuned=backbone(FINE_TUNED).title,
        epochs=_FAST_EPOCHS if setting.fast else _EPOCHS,
        rate=_RATE,
        side=_FAST_SIDE if setting.fast else _SIDE,
        original_epochs=ORIGINAL.epochs,
        original_rate=ORIGINAL.learning_rate,
        original_side=ORIGINAL.input_size,
    )
