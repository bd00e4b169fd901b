"""Work of the cells that run a network: features of a frozen one, and fine-tuning in a fold."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from thyro_demo.data.preprocess import Box
from thyro_demo.errors import RecipeError
from thyro_demo.models import out_of_fold, starts
from thyro_demo.models.backbones import BackboneSpec, backbone, build
from thyro_demo.models.features import pooled, readout
from thyro_demo.models.pipeline import Augmentation, Frames, load_frames
from thyro_demo.models.transfer import Stage, epochs_kept, train_stage, upper_part

Values = dict[str, np.ndarray]


def extract(settings: dict[str, Any], images: Values, start: Values) -> Values:
    """Read features of a network that stays as it is.

    Parameters
    ----------
    settings : dict
        `backbone`, `taps`, `size` (int or None) and `crop`.
    images : dict of str to ndarray
        `path` and, for crops to nodules, `roi`.
    start : dict of str to ndarray
        `start`, as `starts.apply` takes it.

    Returns
    -------
    dict of str to ndarray
        For each tap float32 (n, d).
    """
    spec, taps = backbone(settings["backbone"]), settings["taps"]
    size = settings["size"] or spec.input_size
    # Names and seeds as in a fresh process, whatever the worker did before.
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    head = "fc" if any(tap.startswith("fc") for tap in taps) else "softmax"
    network = build(spec, 2, head, size)
    starts.apply(network, spec, str(start["start"]))
    # Labels are not read: they belong to the heads.
    unlabelled = {**images, "label": np.full(len(images["path"]), "")}
    frames = _frames(unlabelled, ("",), size, settings["crop"])
    return _tapped(network, spec, taps, frames)


def tune(settings: dict[str, Any], shown: Values, start: Values) -> Values:
    """Fine-tune a network on all folds but one and score that one.

    Early stopping looks at one of six grouped folds of the training part. The head above the
    features begins untaught: that of a start may have seen the very frames that are scored.

    Parameters
    ----------
    settings : dict
        `backbone`, `stage`, `head`, `fold`, `taps`, `size`, `crop` and `positive`.
    shown : dict of str to ndarray
        From `cells.frames`.
    start : dict of str to ndarray
        `start`, as `starts.apply` takes it.

    Returns
    -------
    dict of str to ndarray
        `raw` float64 (m,), log-odds of the positive class; `rows` int64 (m,), the rows that
        were scored; `epochs` int64 (), those whose weights were kept; for each tap float32
        (n, d), of all rows.
    """
    spec, stage = backbone(settings["backbone"]), _stage(settings["stage"])
    size = settings["size"] or stage.input_size or spec.input_size
    classes = (*sorted(set(shown["label"]) - {settings["positive"]}), settings["positive"])
    keras.backend.clear_session()
    keras.utils.set_random_seed(stage.seed)
    network = build(spec, len(classes), settings["head"], size)
    # The fully connected layers of a published network are part of what it brings.
    above = upper_part(network, f"fc{len(spec.dense)}" if settings["head"] == "fc" else "features")
    untaught = above.get_weights()
    starts.apply(network, spec, str(start["start"]))
    above.set_weights(untaught)
    frames = _frames(shown, classes, size, settings["crop"])
    training, validation = _inner(shown, settings["fold"], stage)
    history = train_stage(network, spec, stage, frames, training, validation)
    tested = np.flatnonzero(shown["fold"] == settings["fold"])
    read = _tapped(network, spec, ["logits", *settings["taps"]], frames)
    odds = read.pop("logits")[tested].astype(np.float64)
    return {
        "raw": odds[:, -1] - np.logaddexp.reduce(odds[:, :-1], axis=1),
        "rows": tested,
        "epochs": np.array(epochs_kept(history, stage)),
        **read,
    }


def _stage(facts: dict[str, Any]) -> Stage:
    """Build a stage from what JSON has kept of it."""
    how = facts["augmentation"]
    return Stage(
        **facts
        | {
            "sides": tuple(facts["sides"]),
            "augmentation": None if how is None else Augmentation(**how),
        }
    )


def _frames(shown: Values, classes: Sequence[str], size: int, crop: bool) -> Frames:
    records = pd.DataFrame({"path": shown["path"].astype(str), "label": shown["label"]})
    if "roi" in shown:
        boxes = [None if (box < 0).all() else Box(*map(int, box)) for box in shown["roi"]]
        records["roi"] = pd.Series(boxes, dtype=object)
    return load_frames(records, classes, size, crop)


def _inner(shown: Values, fold: int, stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    """Give training and validation rows of a fold, int64; validation for early stopping alone."""
    learned = np.flatnonzero(shown["fold"] != fold)
    if stage.patience is None:
        return learned, np.empty(0, np.int64)
    records = pd.DataFrame(
        {name: shown[name][learned] for name in ("path", "label", "group", "source")}
    )
    chosen = out_of_fold.set_aside(records, fold)
    return learned[~chosen], learned[chosen]


def _tapped(
    network: keras.Model, spec: BackboneSpec, taps: Sequence[str], frames: Frames
) -> Values:
    """Run a network over frames and give what its taps hold, float32 (n, d) each."""
    tensors = [_tensor(network, spec, tap) for tap in taps]
    found = pooled(network, frames.images, tensors)
    return {tap: rows.reshape(len(rows), -1) for tap, rows in zip(taps, found, strict=True)}


def _tensor(network: keras.Model, spec: BackboneSpec, tap: str) -> keras.KerasTensor:
    cells = network.get_layer(spec.cam_layer).output
    if tap == "map":
        return cells
    if tap == "deviation":
        return readout(network, spec.cam_layer, "deviation")
    if tap == "avg":
        # The layer "features" of some heads is the flattened map.
        return keras.ops.mean(cells, axis=(1, 2))
    layer = spec.taps.get(tap, tap)
    if layer not in {each.name for each in network.layers}:
        raise RecipeError(
            "Features are avg, deviation, map, and fc1 and fc2 of a network with the head fc. "
            f"Received: {tap!r} of {spec.title}."
        )
    return network.get_layer(layer).output
