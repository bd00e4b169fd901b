"""What networks do with frames: features of a frozen one, and fine-tuning in a fold."""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thyro_demo import files
from thyro_demo.bundle import manifest
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError, LeakError, RecipeError, StudyError
from thyro_demo.study.graph import Job, Values, digest, leaf
from thyro_demo.training import out_of_fold

if TYPE_CHECKING:
    # Plans and heads need no network framework: the two steps import it when they run.
    import keras

    from thyro_demo.models.backbones import BackboneSpec
    from thyro_demo.models.pipeline import Frames
    from thyro_demo.training.stage import Stage


def frames(records: pd.DataFrame, crop: bool = True) -> Job:
    """Make the leaf of a set of frames, keyed by their bytes, not their place.

    Parameters
    ----------
    records : DataFrame
        Record table with `fold`; where it has a column `roi` (a `Box` in each row, or None),
        frames are cropped to that box and a margin.
    crop : bool
        Crop to the scan area where there is no box; off for images that are no scanner frames.

    Returns
    -------
    Job
        Its value: `path`, `label`, `group`, `source` as strings (n,), `fold` int64 (n,),
        `sha256` (n,), `crop` bool () and, with boxes, `roi` int64 (n, 4), −1 for none.

    Raises
    ------
    DataError
        If an image is missing, or has no label, group or fold.
    """
    needed = ("path", "label", "group", "source", "fold")
    # A source may be unknown, which then counts as a source of its own.
    lacking = [
        name
        for name in needed
        if name not in records or (records[name].isna().any() and name != "source")
    ]
    if lacking or records.empty:
        raise DataError(
            f"Every frame of a study must have {', '.join(needed)}. Received: "
            + (f"no {lacking[0]}." if lacking else "an empty table.")
        )
    # Workers on a cluster have another working directory.
    value = {"path": np.array([os.path.abspath(path) for path in records["path"]])}
    value |= {name: records[name].astype(str).to_numpy(str) for name in ("label", "group")}
    value["source"] = records["source"].fillna("").astype(str).to_numpy(str)
    value["fold"] = records["fold"].to_numpy(np.int64)
    value["sha256"] = np.array([_sha256(path) for path in records["path"]])
    value["crop"] = np.array(crop)
    if "roi" in records:
        boxes = [box if isinstance(box, tuple) else (-1,) * 4 for box in records["roi"]]
        value["roi"] = np.array(boxes, np.int64)
    known = {name: array for name, array in value.items() if name != "path"}
    return leaf(f"{len(records)} frames", {"frames": digest(known)}, **value)


def _sha256(path: str) -> str:
    """Hash the bytes of an image, which may be a member of a zip archive."""
    archive, mark, member = str(path).partition("::")
    try:
        if not mark:
            return files.sha256(archive)
        with zipfile.ZipFile(archive) as held:
            return hashlib.sha256(held.read(member)).hexdigest()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"Every frame of a study must be a file that can be read. Received: {path} ({error})."
        ) from None


def _images(shown: Job) -> Job:
    """Make the leaf of the images alone, so that features serve all labels and folds."""
    value = _value(shown)
    known = {name: value[name] for name in ("sha256", "roi") if name in value}
    arrays = {name: value[name] for name in ("path", "roi") if name in value}
    return leaf(shown.title, {"images": digest(known)}, **arrays)


def _value(shown: Job) -> Mapping[str, np.ndarray]:
    if shown.value is None or "sha256" not in shown.value:
        raise StudyError(f"Images must come as a leaf from `frames`. Received: {shown.name}.")
    return shown.value


def _weights(weights: str) -> Job:
    """Make the leaf of initial weights, which know no fold; a file is known by its content."""
    from thyro_demo.training import initial_weights

    initial_weights.check_not_trained_on(weights)
    file = manifest.network_file(weights)
    if file is None or not file.is_file():
        known, place = weights, weights
    else:
        known, place = files.sha256(file), os.path.abspath(weights)
    title = f"initial weights {Path(weights).name}"
    return leaf(title, {"initial_weights": known}, initial_weights=np.array(place))


def check_folded(shown: Job, fold: int, positive: str) -> None:
    """Refuse a fold without rows, or a label that no frame has.

    Parameters
    ----------
    shown : Job
        From `frames`.
    fold : int
        Tested.
    positive : str
        The label that counts as positive.

    Raises
    ------
    StudyError
        If no row is in the fold, or none has the positive label.
    """
    value = _value(shown)
    if not (value["fold"] == fold).any() or positive not in value["label"]:
        raise StudyError(
            "A fold that is scored must have rows, and some label must count as positive. "
            f"Received: fold={fold}, positive={positive!r}."
        )


def check_fold(read: Iterable[Job], shown: Job, fold: int) -> None:
    """Refuse features that know the rows that a head is to be tested on.

    Every need is followed down to the leaves, so that no job around a network hides what the
    network was trained on.

    Parameters
    ----------
    read : iterable of Job
        Features.
    shown : Job
        The leaf of the frames, whose folds the head is fitted and tested on.
    fold : int
        Tested.

    Raises
    ------
    LeakError
        If something below the features learned from labels of the tested rows: it left another
        fold out, or none, or its frames were split otherwise.
    """
    below = list(read)
    known: set[str] = set()
    while below:
        job = below.pop()
        if job.key in known:
            continue
        known.add(job.key)
        below += job.needs
        if job.value is not None and "fold" in job.value and job != shown:
            raise LeakError(
                "Features must come from frames that are split as those of the head, or read no "
                f"labels. Received: {job.name}, split otherwise."
            )
        labelled = any("fold" in (need.value or {}) for need in job.needs)
        left_out = job.settings.get("fold")
        if (labelled or left_out is not None) and left_out != fold:
            how = "on every fold" if left_out is None else f"without fold {left_out}"
            raise LeakError(
                "A head must test the fold that the networks below it were trained without. "
                f"Received: fold {fold} on {job.name}, trained {how}."
            )


def features(
    backbone: str,
    weights: str,
    shown: Job,
    taps: Sequence[str] = ("avg",),
    size: int | None = None,
    precision: str = "float32",
    normalised: bool = True,
) -> Job:
    """Make the job of a frozen network's features.

    Labels and folds are no part of its key: the same features serve every split.

    Parameters
    ----------
    backbone : str
        A key of `BACKBONES`.
    weights : str
        Initial weights; see `initial_weights.load`.
    shown : Job
        From `frames`.
    taps : sequence of str
        "avg" (mean of the last feature map), "std" (see `features.readout`), "map" (the map
        itself, flattened), "nodule" (pooled within the nodule map that the network draws), or
        the network's own "fc1", "fc2".
    size : int, optional
        Side of the input in pixels; the network's own without it.
    precision : {"float32", "mixed_bfloat16"}
        Of the arithmetic.
    normalised : bool
        Off for images that reach the network as if `preprocess_input` were left out. Our
        networks normalise in the graph, so that nobody can forget it: the images are passed to
        the layer behind the one that does.

    Returns
    -------
    Job
        Its value: for each tap float32 (n, d).
    """
    settings = {
        "backbone": backbone,
        "taps": list(taps),
        "size": size,
        "crop": bool(_value(shown)["crop"]),
        "precision": precision,
        "normalised": normalised,
    }
    title = f"{backbone} from {Path(weights).stem}" + (f" at {size} pixels" if size else "")
    title += "" if normalised else ", not normalised"
    return Job(extract, settings, (_images(shown), _weights(weights)), title)


def fine_tuned(
    backbone: str,
    weights: str,
    shown: Job,
    fold: int,
    stage: "Stage",
    head: str = "softmax",
    taps: Sequence[str] = ("avg",),
    size: int | None = None,
    positive: str = out_of_fold.CLASSES[1],
) -> Job:
    """Make the job of a network that is fine-tuned on all folds but one.

    Parameters
    ----------
    backbone, weights : str
        As for `features`.
    shown : Job
        From `frames`.
    fold : int
        Tested; the others are trained on.
    stage : Stage
        How; with `patience`, one of six grouped folds of the training part decides when to stop.
    head : str
        As `models.networks.build` takes it.
    taps : sequence of str
        As for `features`.
    size : int, optional
        Side of the input in pixels; that of the stage or the network without it.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Job
        Its value: `raw` float64 (m,), log-odds of the positive class on the tested rows;
        `rows` int64 (m,); `epochs` int64 (); for each tap float32 (n, d) of all rows.

    Raises
    ------
    StudyError
        If no row is in the fold, or none has the positive label.
    """
    check_folded(shown, fold, positive)
    settings = {
        "backbone": backbone,
        "stage": asdict(stage),
        "head": head,
        "fold": int(fold),
        "taps": list(taps),
        "size": size,
        "crop": bool(_value(shown)["crop"]),
        "positive": positive,
    }
    title = f"{backbone} from {Path(weights).stem}, {stage.name} ({head}) without fold {fold}"
    return Job(fine_tune, settings, (shown, _weights(weights)), title)


def extract(settings: dict[str, Any], images: Values, weights: Values) -> Values:
    """Extract features of a network that stays as it is; see `features`."""
    import keras

    from thyro_demo.models.backbones import backbone
    from thyro_demo.models.networks import build
    from thyro_demo.training import initial_weights

    spec, taps = backbone(settings["backbone"]), settings["taps"]
    size = settings["size"] or spec.input_size
    # Names and seeds as in a fresh process, whatever the worker did before.
    keras.backend.clear_session()
    keras.config.set_dtype_policy(settings["precision"])
    try:
        keras.utils.set_random_seed(0)
        network = build(spec, 2, _head_of(taps), size)
        initial_weights.load(network, spec, str(weights["initial_weights"]))
        # Labels are not read: they belong to the heads.
        unlabelled = {**images, "label": np.full(len(images["path"]), "")}
        shown = _load(unlabelled, ("",), size, settings["crop"])
        return _tapped(network, spec, taps, shown, settings["normalised"])
    finally:
        keras.config.set_dtype_policy("float32")


def _head_of(taps: Sequence[str]) -> str:
    """Choose the end of a network that has the taps."""
    if any(tap.startswith("fc") for tap in taps):
        return "fc"
    return "nodule" if "nodule" in taps else "softmax"


def fine_tune(settings: dict[str, Any], shown: Values, weights: Values) -> Values:
    """Fine-tune a network on all folds but one and score that one; see `fine_tuned`."""
    import keras

    from thyro_demo.models.backbones import backbone
    from thyro_demo.models.networks import build
    from thyro_demo.training import initial_weights
    from thyro_demo.training.frozen_cache import upper_part
    from thyro_demo.training.loop import epochs_kept, train_stage

    spec, stage = backbone(settings["backbone"]), _stage(settings["stage"])
    size = settings["size"] or stage.input_size or spec.input_size
    classes = (*sorted(set(shown["label"]) - {settings["positive"]}), settings["positive"])
    keras.backend.clear_session()
    keras.utils.set_random_seed(stage.seed)
    network = build(spec, len(classes), settings["head"], size)
    # The fully connected layers of a published network are part of what it brings.
    above = upper_part(network, f"fc{len(spec.dense)}" if settings["head"] == "fc" else "features")
    # The head of initial weights may have seen the very frames that are scored.
    untaught = above.get_weights()
    initial_weights.load(network, spec, str(weights["initial_weights"]))
    above.set_weights(untaught)
    loaded = _load(shown, classes, size, settings["crop"])
    training, validation = _inner(shown, settings["fold"], stage)
    history = train_stage(network, spec, stage, loaded, training, validation)
    tested = np.flatnonzero(shown["fold"] == settings["fold"])
    read = _tapped(network, spec, ["logits", *settings["taps"]], loaded)
    odds = read.pop("logits")[tested].astype(np.float64)
    return {
        "raw": odds[:, -1] - np.logaddexp.reduce(odds[:, :-1], axis=1),
        "rows": tested,
        "epochs": np.array(epochs_kept(history, stage)),
        **read,
    }


def _stage(facts: dict[str, Any]) -> "Stage":
    """Build a stage from what JSON has kept of it."""
    from thyro_demo.models.pipeline import Augmentation
    from thyro_demo.training.stage import Stage

    how = facts["augmentation"]
    known = {
        "sides": tuple(facts["sides"]),
        "augmentation": None if how is None else Augmentation(**how),
    }
    return Stage(**facts | known)


def _load(shown: Values, classes: Sequence[str], size: int, crop: bool) -> "Frames":
    from thyro_demo.models.pipeline import load_frames

    records = pd.DataFrame({"path": shown["path"].astype(str), "label": shown["label"]})
    boxes = None
    if "roi" in shown:
        boxes = [None if (box < 0).all() else Box(*map(int, box)) for box in shown["roi"]]
    return load_frames(records, classes, size, crop, boxes)


def _inner(shown: Values, fold: int, stage: "Stage") -> tuple[np.ndarray, np.ndarray]:
    """Choose training and validation rows of a fold, int64; the latter for early stopping alone."""
    learned = np.flatnonzero(shown["fold"] != fold)
    if stage.patience is None:
        return learned, np.empty(0, np.int64)
    records = pd.DataFrame(
        {name: shown[name][learned] for name in ("path", "label", "group", "source")}
    )
    chosen = out_of_fold.set_aside(records, fold)
    return learned[~chosen], learned[chosen]


def _tapped(
    network: "keras.Model",
    spec: "BackboneSpec",
    taps: Sequence[str],
    shown: "Frames",
    normalised: bool = True,
) -> Values:
    """Run a network over frames and return what its taps hold, float32 (n, d) each."""
    from thyro_demo.models.features import pooled, pooled_above

    tensors = [_tensor(network, spec, tap) for tap in taps]
    found = (
        pooled(network, shown.images, tensors)
        if normalised
        else pooled_above(network, "normalise", shown.images, tensors)
    )
    return {tap: rows.reshape(len(rows), -1) for tap, rows in zip(taps, found, strict=True)}


def _tensor(network: "keras.Model", spec: "BackboneSpec", tap: str) -> "keras.KerasTensor":
    import keras

    from thyro_demo.models.features import readout

    cells = network.get_layer(spec.cam_layer).output
    if tap == "map":
        return cells
    if tap in ("std", "nodule"):
        return readout(network, spec.cam_layer, tap)
    if tap == "avg":
        # The layer "features" of some heads is the flattened map.
        return keras.ops.mean(cells, axis=(1, 2))
    layer = spec.taps.get(tap, tap)
    if layer not in {each.name for each in network.layers}:
        raise RecipeError(
            "Features must be avg, std, map, nodule, or fc1 and fc2 of a network with the head "
            f"fc. Received: {tap!r} of {spec.title}."
        )
    return network.get_layer(layer).output
