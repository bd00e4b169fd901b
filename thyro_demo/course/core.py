"""Chapter 0b, the core in plain Keras: weights without a network, figures, the way to a bundle."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from thyro_demo.bundle import network_file, training_set
from thyro_demo.bundle.manifest import read_manifest, weights_root
from thyro_demo.course.lesson import Lesson, write_index
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import intervals, metrics, operating_points
from thyro_demo.evaluate.formatting import gain, number, with_interval
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.files import relative, sha256
from thyro_demo.models import ood
from thyro_demo.models.backbones import TORCH_MEAN, TORCH_STD, backbone
from thyro_demo.models.networks import build, copy_weights
from thyro_demo.study.protocols.p1.tables import FOREST, MLP, NATURAL, PRINTED, SVM
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import recipe

PHOTOGRAPHS = "natural-64"
"""Name of the stage on photographs in the manifest of a shipped bundle, and of its checkpoint."""

HEADS = {"softmax": MLP, "svm": SVM, "forest": FOREST}
"""Heads of this chapter, each with the head of the published table that it is set beside."""

_STAGES = {PHOTOGRAPHS: "small photographs", "radiographs": "radiographs", "phantoms": "phantoms"}


def take_weights(source: keras.Model, base: keras.Model) -> keras.Model:
    """Copy pretrained weights into a network of `keras.applications`.

    Parameters
    ----------
    source : keras.Model
        The same network from elsewhere, with layers of the same names: of this project, or of the
        package `efficientnet`.
    base : keras.Model
        From `keras.applications`, built with ``weights=None`` and without its top.

    Returns
    -------
    keras.Model
        `base`. A layer of it that normalises is set to the pixels of ImageNet.

    Raises
    ------
    RecipeError
        If a layer would be left with random weights.
    """
    scales = [layer for layer in base.layers if isinstance(layer, keras.layers.Normalization)]
    needed = sum(1 for layer in base.layers if layer.weights) - len(scales)
    if (found := copy_weights(source, base)) < needed:
        raise RecipeError(
            f"Pretrained weights must hold all {needed} layers of {base.name}. "
            f"Received: {found} of them."
        )
    mean, spread = np.array([TORCH_MEAN, TORCH_STD], np.float32)
    for layer in scales:
        layer.set_weights([mean, spread**2, *layer.get_weights()[2:]])
        layer.finalize_state()
    return base


def take_shipped(base: keras.Model, name: str) -> str:
    """Give a network of `keras.applications` the weights that come with this project.

    Parameters
    ----------
    base : keras.Model
        As `take_weights` needs it.
    name : str
        "vgg16", "resnet50" or "efficientnet-b0".

    Returns
    -------
    str
        What these weights have learned from, in a few words. Of EfficientNet-B0 the stage after
        photographs is shipped; of the other two the end of their chain alone.
    """
    folder = weights_root() / name
    early = folder / f"{PHOTOGRAPHS}.keras"
    take_weights(network_file.load(early if early.is_file() else folder / "model.keras"), base)
    met = [row["stage"] for row in read_manifest(folder)["chain"]]
    passed = [PHOTOGRAPHS] if early.is_file() else [stage for stage in met if stage in _STAGES]
    return ", ".join(_STAGES[stage] for stage in passed)


def flat(model: keras.Model, name: str) -> keras.Model:
    """Lay a network and its head out as one graph that plain Keras loads and the app explains.

    Parameters
    ----------
    model : keras.Model
        Of this chapter: a base of `keras.applications`, then the layers "features" and "logits".
    name : str
        Key of `BACKBONES`.

    Returns
    -------
    keras.Model
        From `networks.build`, with the same weights and, but for rounding, the same output; its
        input is normalised inside.

    Raises
    ------
    RecipeError
        If the two do not have the same layers.
    """
    (base,) = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    classes = model.output_shape[-1]
    laid = build(backbone(name), classes, input_size=model.input_shape[1])
    needed = sum(1 for layer in laid.layers if layer.weights) - 1
    if (found := copy_weights(base, laid)) < needed:
        raise RecipeError(
            f"A network for the app must have the {needed} layers of {backbone(name).title}. "
            f"Received: {found} of them."
        )
    laid.get_layer("logits").set_weights(model.get_layer("logits").get_weights())
    return laid


def figures(
    labels: np.ndarray, scores: np.ndarray, groups: ArrayLike, threshold: float
) -> dict[str, Interval]:
    """Measure a head on test frames, each figure with its interval over groups.

    Parameters
    ----------
    labels : ndarray of int (n,)
        1 for malignant.
    scores : ndarray of float (n,)
        Of the head, higher for malignant.
    groups : array_like (n,)
        Patients, or clusters of near duplicates, which are drawn as a whole.
    threshold : float
        The operating point, chosen on validation frames.

    Returns
    -------
    dict of str to Interval
        AUROC, accuracy, sensitivity and specificity, 0–1.
    """
    at = {"accuracy": metrics.accuracy, "sensitivity": metrics.sensitivity,
          "specificity": metrics.specificity}  # fmt: skip
    wanted = {"AUROC": metrics.auroc} | {
        name: partial(measure, threshold=threshold) for name, measure in at.items()
    }
    return intervals.group_bootstraps(wanted, labels, scores, groups)


def measure(
    chains: Mapping[tuple[str, str], Mapping[str, np.ndarray]],
    labels: np.ndarray,
    records: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Measure every network, chain and head: thresholds on validation frames, figures on test ones.

    Parameters
    ----------
    chains : mapping of (str, str) to mapping of str to ndarray of float (n,)
        Key of `BACKBONES`, and "progressive" or another chain, to the scores by head of all frames.
    labels : ndarray of int (n,)
        1 for malignant.
    records : DataFrame
        The frames, with `group` and `split`.

    Returns
    -------
    list of dict
        `network`, `chain`, `head` and the figures of `figures`; networks in the order given,
        "progressive" last, heads in the order of `HEADS`.
    """
    validation, test = (records["split"] == part for part in ("validation", "test"))
    order = list(dict.fromkeys(network for network, _ in chains))
    rows = []
    for network, chain in sorted(chains, key=lambda k: (order.index(k[0]), k[1] == "progressive")):
        for head in HEADS:
            scores = chains[network, chain][head]
            point = operating_points.youden(labels[validation], scores[validation])
            found = figures(labels[test], scores[test], records["group"][test], point)
            rows.append({"network": network, "chain": chain, "head": head} | found)
    return rows


def beside_published(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Set this chapter's grid beside the table of the thesis.

    Parameters
    ----------
    rows : sequence of mapping
        `network` (key of `BACKBONES`), `chain` (its first word, or "progressive"), `head` (one of
        `HEADS`), and the figures of `figures`.

    Returns
    -------
    DataFrame
        One line a row: the figures with their intervals as text, and "accuracy, thesis" in
        percent, "–" where none was printed.
    """
    lines = []
    for row in rows:
        chain = "progressive" if row["chain"] == "progressive" else NATURAL
        cell = (row["network"], HEADS[row["head"]], chain)
        printed = [p.row.accuracy for p in PRINTED if (p.network, p.head, p.chain) == cell]
        lines.append(
            {
                "network": backbone(row["network"]).title,
                "head": row["head"],
                "chain": row["chain"],
                "AUROC": with_interval(row["AUROC"]),
                "accuracy, %": with_interval(row["accuracy"], 0, scale=100),
                "accuracy, thesis, %": number(printed[0], 1) if printed and printed[0] else "–",
            }
        )
    return pd.DataFrame(lines)


def describe(
    name: str,
    folder: Path,
    side: int,
    points: Mapping[str, Mapping[str, float]],
    features: np.ndarray,
    records: pd.DataFrame,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Describe a network of this chapter for its bundle.

    Parameters
    ----------
    name : str
        Key of `BACKBONES`.
    folder : Path
        Where the bundle goes.
    side : int
        Side of the input, pixels.
    points : mapping of str to mapping of str to float
        Operating points of each head, "youden" and "sens95".
    features : ndarray of float32 (n, d)
        Of all frames.
    records : DataFrame
        The frames, with `split`.

    Returns
    -------
    manifest : dict
        For `store.write`, which adds the rest.
    known : dict
        What training frames look like, so that the app can announce one that does not; it goes to
        the heads of the bundle.
    """
    spec = backbone(name)
    learned = records[records["split"] == "train"]
    rows = features[(records["split"] == "train").to_numpy()]
    spaces, limits = ood.fit(rows, learned["group"], learned["source"])
    met = records[records["split"] != "test"]
    manifest = {
        "name": folder.name,
        "title": f"{spec.title}, the core chapter",
        "backbone": name,
        "recipe": "core chapter",
        "classes": ["benign", "malignant"],
        "input_size": side,
        "cam_layer": spec.cam_layer,
        "pooling": "average",
        "region": "scan",
        "heads": list(HEADS),
        "primary": "svm",
        "thresholds": {head: dict(points[head]) for head in HEADS},
        "ood_limits": limits,
        "training_images": sorted(sha256(path) for path in met["path"]),
        "training_phantoms": training_set.cohorts(met["group"]),
    }
    return manifest, {"ood": spaces}


def card(manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], tested: str) -> str:
    """Write a short model card, with the figures on test frames.

    Parameters
    ----------
    manifest : mapping
        From `describe`, with its `chain`.
    rows : sequence of mapping
        Rows of the grid that are about this network and chain.
    tested : str
        Which frames the figures are about, in a few words.

    Returns
    -------
    str
        Markdown.
    """
    chain = ", then ".join(stage["stage"] for stage in manifest["chain"])
    measured = "\n".join(f"| {row['head']} | {with_interval(row['AUROC'])} |" for row in rows)
    return f"""# {manifest["title"]} ({manifest["name"]})

**Teaching and research only, never a diagnosis.** Made in the core chapter of the course. It has
learned from {chain}, and scores one thyroid ultrasound frame, cropped to its scan area and resized
to {manifest["input_size"]} × {manifest["input_size"]} pixels.

AUROC with 95 % intervals over groups, on {tested}; the primary head, named before, is
{manifest["primary"]}.

| Head | AUROC |
|---|---|
{measured}

One split into training, validation and test. Not seen: other scanners, other clinics, another
training run.
"""


def study_job(
    lesson: Lesson, name: str, weights: Path, records: pd.DataFrame, side: int, epochs: int
) -> TrainingJob:
    """Describe to the package what this chapter did by hand on the thyroid frames.

    Parameters
    ----------
    lesson : Lesson
        The chapter.
    name : str
        Key of `BACKBONES`.
    weights : Path
        The network after the radiographs.
    records : DataFrame
        The frames; an index is written beside phantoms.
    side : int
        Side of the input, pixels.
    epochs : int
        Most passes over the training part.

    Returns
    -------
    TrainingJob
        The recipe "last-block": new heads and the last block, in grouped folds.
    """
    whole, work = recipe("last-block", name), lesson.here / "package"
    # The network that it starts from was trained anew, so that nothing can be resumed.
    shutil.rmtree(work, ignore_errors=True)
    source, last = whole.stages[0]
    stage = replace(last, input_size=side, seed=lesson.seed, views=1 if lesson.fast else 2)
    folds = 2 if lesson.fast else whole.folds
    return TrainingJob(
        recipe=replace(whole, folds=folds, stages=((source, stage),)),
        backbone=name,
        data=lesson.find("p1") or write_index(records, lesson.root / "phantoms"),
        work=work,
        out=lesson.here / "bundles" / "package",
        initial_weights=str(weights),
        epochs=epochs,
    )


def scores_for(
    found: pd.DataFrame, records: pd.DataFrame, job: TrainingJob, head: str
) -> np.ndarray:
    """Find the scores that the package gave to some frames.

    Parameters
    ----------
    found : DataFrame
        From `run.cross_validate`.
    records : DataFrame
        The frames.
    job : TrainingJob
        What was run.
    head : str
        One of its heads.

    Returns
    -------
    ndarray of float64 (n,)
        0–1, in the order of `records`.
    """
    by_path = found[found["head"] == head].set_index("path")["probability"]
    paths = [relative(path, (job.work, job.data)) for path in records["path"]]
    return by_path.loc[paths].to_numpy()


def compare(
    labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray, groups: ArrayLike
) -> tuple[Interval, Interval, Interval]:
    """Compare two sets of scores of the same frames by their AUROC.

    Parameters
    ----------
    labels : ndarray of int (n,)
        1 for malignant.
    ours, theirs : ndarray of float (n,)
        Scores.
    groups : array_like (n,)
        What is drawn as a whole.

    Returns
    -------
    ours, theirs, difference : Interval
        AUROC of each, and the first minus the second, paired by frame.
    """
    alone = [intervals.group_bootstrap(metrics.auroc, labels, s, groups) for s in (ours, theirs)]
    both = intervals.paired_group_bootstrap(metrics.auroc, labels, ours, theirs, groups)
    return alone[0], alone[1], both


def verdict(ours: Interval, package: Interval, difference: Interval) -> str:
    """Report in words whether two figures of `compare` agree."""
    inside = difference.low <= 0 <= difference.high
    return (
        f"AUROC of the SVM: here {with_interval(ours)}, in the package {with_interval(package)}.\n"
        f"Difference on the same frames: {gain(difference, 2)}; 0 is "
        f"{'inside' if inside else 'outside'} its interval."
    )
