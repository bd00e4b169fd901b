"""Recipes: the chains of training stages, as data."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from thyro_demo.data import datasets, masks
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.models.pipeline import Augmentation
from thyro_demo.models.transfer import Stage


def _tiny_imagenet(root: str) -> pd.DataFrame:
    training = datasets.tiny_imagenet(root, "train").assign(split="train")
    validation = datasets.tiny_imagenet(root, "val").assign(split="validation")
    return pd.concat([training, validation], ignore_index=True)


def _outlined_thyroid(root: str) -> pd.DataFrame:
    """Read the frames of the thyroid set whose nodule is outlined."""
    records = masks.with_outlines(datasets.load(root), Path(root))
    if "mask_path" in records:
        return records
    if "polygons" not in records:
        raise DataError(
            "Nodules are outlined in phantoms and in the frames from DDTI, whose folder ddti "
            f"is to be beside the set. Received: {root} without outlines."
        )
    return records[records["polygons"].map(len) > 0].reset_index(drop=True)


@dataclass(frozen=True)
class Source:
    """Where the images of a stage come from.

    Parameters
    ----------
    folder : str
        Name of the set's folder under `--data`.
    read : callable
        Takes that folder, gives the record table; a column `split` with "train" and
        "validation" fixes the parts, in the words of `splits.split`.
    crop : bool
        Whether frames are scanner frames, to be cropped to the scan area.
    roi : bool
        Whether each frame is cropped to its outlined nodule instead (`preprocess.regions`).
    outlines : bool
        Whether the network learns to draw the nodule (`nodule_map`), from the outlines of
        several sets and of phantoms (`outlined_set`); `folder` is then that of the sets.
    """

    folder: str
    read: Callable[[str], pd.DataFrame]
    crop: bool
    roi: bool = False
    outlines: bool = False


SOURCES = {
    "natural": Source("tiny_imagenet", _tiny_imagenet, crop=False),
    "radiographs": Source("radiographs", datasets.radiographs, crop=False),
    "breast": Source("busi", datasets.busi, crop=True),
    "phantoms": Source("phantoms", datasets.phantoms, crop=True),
    "nodules": Source("", datasets.load, crop=True, outlines=True),
    "thyroid": Source("thyroid_us", datasets.load, crop=True),
    "nodule": Source("thyroid_us", _outlined_thyroid, crop=True, roi=True),
}


@dataclass(frozen=True)
class Recipe:
    """A chain of stages; one that ends on thyroid frames gives a bundle, others a network.

    Parameters
    ----------
    name : str
        Key on the command line.
    summary : str
        One line for people.
    stages : tuple of (str, Stage)
        Each with the key of its source in `SOURCES`.
    backbones : tuple of str
        Networks it is made for, the default first.
    heads : tuple of str
        Heads of the bundle; none where the recipe gives a network alone.
    network_head : {"softmax", "mlp", "nodule"}
        What the network itself ends in; see `backbones.build`.
    primary : str
        The head that is quoted first, named before any test fold is scored.
    folds : int
        Grouped folds of the out-of-fold figures.
    pooling : {"average", "deviation", "nodule"}
        What machines and forests read of the last feature map; see `features.readout`.
    phantoms : float
        Share of phantom frames among the training images of the last stage, 0–0.5.
    """

    name: str
    summary: str
    stages: tuple[tuple[str, Stage], ...]
    backbones: tuple[str, ...]
    heads: tuple[str, ...] = ("softmax", "svm", "forest")
    network_head: str = "softmax"
    primary: str = "svm"
    folds: int = 5
    pooling: str = "deviation"
    phantoms: float = 0.0

    @property
    def gives_bundle(self) -> bool:
        """Whether the last stage is on thyroid frames."""
        return self.stages[-1][0] in ("thyroid", "nodule")


# What each network got in the same time on two cores. VGG-16 has no stride in its stem, so that
# small images teach it in a fraction of the time; the others would see a single cell of them.
_NATURAL_SIDES = {
    "efficientnet-b0": (64,) * 3,
    "resnet50": (64,) * 2,
    "vgg16": (32,) * 2,
}


_WIDE_CONVOLUTIONS = ("vgg16", "resnet50", "resnet50v2")
_PROCESSOR = Path("/proc/cpuinfo")


@functools.cache
def _quick_bfloat16() -> bool:
    """Tell whether this machine multiplies bfloat16 itself, rather than by a detour."""
    if tf.config.list_physical_devices("GPU"):
        return True
    try:
        words = set(_PROCESSOR.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def precision(backbone: str) -> str:
    """Choose the faster arithmetic of a network on this machine.

    Parameters
    ----------
    backbone : str
        A key of `BACKBONES`.

    Returns
    -------
    str
        A Keras dtype policy. bfloat16 halves the time of wide convolutions where the processor
        has instructions for it, takes seven times as long where it has not, and doubles the time
        of depthwise convolutions in any case.
    """
    quick = backbone in _WIDE_CONVOLUTIONS and _quick_bfloat16()
    return "mixed_bfloat16" if quick else "float32"


def natural(backbone: str) -> Stage:
    """Give the first stage, from random weights on Tiny ImageNet (64×64), for a network.

    Parameters
    ----------
    backbone : str
        A key of `BACKBONES`.

    Returns
    -------
    Stage
        With the passes that the network can be given in about an hour on one core.
    """
    sides = _NATURAL_SIDES.get(backbone, _NATURAL_SIDES["resnet50"])
    return Stage(
        "natural-64",
        trainable="all",
        epochs=len(sides),
        sides=sides,
        precision=precision(backbone),
        # Twice as much keeps both deep networks at chance for the first 400 steps.
        learning_rate=7e-4 if backbone == "efficientnet-b0" else 5e-4,
        optimiser="adamw",
        weight_decay=0.02,
        schedule="cosine",
        warm_up=0.4,
        # Never stops early, and keeps the best epoch.
        patience=len(sides),
        batch=64,
        input_size=64,
        label_smoothing=0.1,
        augmentation=Augmentation(shift=0.08, zoom=0.12, gain=0.08, speckle=0.0),
    )


NATURAL = natural("resnet50")
RADIOGRAPHS = Stage(
    "radiographs",
    trainable="last block",
    epochs=3,
    learning_rate=5e-4,
    schedule="cosine",
    warm_up=0.5,
    patience=3,
    class_weights=True,
    norm_momentum=0.9,
    views=1,
    limit=2400,
)
BREAST = replace(RADIOGRAPHS, name="breast", epochs=8, patience=8, limit=None)
PHANTOMS = replace(RADIOGRAPHS, name="phantoms", epochs=4, patience=4, limit=None)
NODULES = Stage(
    "nodules",
    trainable="last block",
    epochs=8,
    learning_rate=1e-3,
    schedule="cosine",
    warm_up=0.5,
    # Every pass is kept: what is set aside is only looked at, and measures the map afterwards.
    patience=None,
    class_weights=True,
    norm_momentum=0.9,
    views=2,
    augmentation=Augmentation(
        shift=0.1, zoom=0.15, gain=0.1, speckle=0.1, gamma=0.2, depth=0.4, grain=0.8, shadow=0.2
    ),
)
HEAD = Stage(
    "thyroid",
    trainable="head",
    epochs=60,
    learning_rate=2e-3,
    schedule="cosine",
    warm_up=2.0,
    class_weights=True,
    views=2,
)
THYROID = Stage(
    "thyroid",
    trainable="last block",
    epochs=20,
    learning_rate=2e-4,
    schedule="cosine",
    warm_up=1.0,
    patience=5,
    class_weights=True,
    norm_momentum=0.9,
    views=5,
)
TWO_LAYER = Stage(
    "thyroid",
    trainable="all",
    epochs=25,
    learning_rate=1e-3,
    schedule="cosine",
    warm_up=1.0,
    patience=8,
    class_weights=True,
)

_NETWORKS = ("efficientnet-b0", "vgg16", "resnet50", "resnet50v2")
_WITH_MAP = ("efficientnet-b0", "resnet50", "vgg16")
_NOTHING: dict[str, Any] = {"heads": (), "primary": ""}


def _radiographs(depth: str) -> tuple[tuple[str, Stage], ...]:
    # Deeper stages move what natural images taught: a smaller rate keeps more of it.
    rate = {"last block": 5e-4, "last two blocks": 3e-4, "all": 1e-4}[depth]
    return (("radiographs", replace(RADIOGRAPHS, trainable=depth, learning_rate=rate)),)


_RECIPES = (
    Recipe(
        "progressive",
        "natural images, chest radiographs, drawn phantoms, then thyroid ultrasound",
        (
            ("natural", NATURAL),
            ("radiographs", RADIOGRAPHS),
            ("phantoms", PHANTOMS),
            ("thyroid", HEAD),
        ),
        _NETWORKS,
        phantoms=0.2,
    ),
    Recipe(
        "find-and-read",
        "natural images, chest radiographs, outlined nodules, then thyroid ultrasound",
        (
            ("natural", NATURAL),
            ("radiographs", RADIOGRAPHS),
            ("nodules", NODULES),
            ("thyroid", HEAD),
        ),
        _WITH_MAP,
        network_head="nodule",
        pooling="nodule",
        phantoms=0.2,
    ),
    Recipe(
        "nodules",
        "a network, given by --start, learns where the nodule is: the third stage alone",
        (("nodules", NODULES),),
        _WITH_MAP,
        **_NOTHING,
    ),
    Recipe(
        "nodule",
        "new heads on outlined nodules, for a frozen network given by --start",
        (("nodule", HEAD),),
        _NETWORKS,
        phantoms=0.2,
    ),
    Recipe(
        "natural-64",
        "a network from random weights on Tiny ImageNet: the first stage alone",
        (("natural", NATURAL),),
        _NETWORKS,
        **_NOTHING,
    ),
    Recipe(
        "radiographs",
        "the last block of a network, given by --start, on chest radiographs",
        _radiographs("last block"),
        _NETWORKS,
        **_NOTHING,
    ),
    Recipe(
        "radiographs-two-blocks",
        "its last two blocks",
        _radiographs("last two blocks"),
        _NETWORKS,
        **_NOTHING,
    ),
    Recipe(
        "radiographs-all",
        "all its layers",
        _radiographs("all"),
        _NETWORKS,
        **_NOTHING,
    ),
    Recipe(
        "breast",
        "the last block of a network, given by --start, on breast ultrasound",
        (("breast", BREAST),),
        _NETWORKS,
        **_NOTHING,
    ),
    Recipe(
        "head",
        "a frozen network, given by --start, and new heads on your frames",
        (("thyroid", HEAD),),
        (*_NETWORKS, "two-layer-cnn"),
    ),
    Recipe(
        "last-block",
        "the last block of a network, given by --start, and new heads on your frames",
        (("thyroid", THYROID),),
        _NETWORKS,
    ),
    Recipe(
        "two-layer-cnn",
        "the small network of P6, trained from scratch on thyroid ultrasound",
        (("thyroid", TWO_LAYER),),
        ("two-layer-cnn",),
        primary="softmax",
        phantoms=0.2,
    ),
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _RECIPES}


def recipe(name: str, backbone: str | None = None, start: str = "none") -> Recipe:
    """Look a recipe up by name.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    backbone : str, optional
        The network it is to run on; the recipe's first one without it.
    start : str
        See `starts.apply`. Whoever brings weights needs no stage of natural images, so that it
        is left out of a longer chain.

    Returns
    -------
    Recipe
        The recipe.

    Raises
    ------
    RecipeError
        If no recipe has this name, or it has to start from random weights and does not.
    """
    if name not in RECIPES:
        raise RecipeError(f"A recipe has to be one of {', '.join(RECIPES)}. Received: {name!r}.")
    known = RECIPES[name]
    if start != "none" and known.stages[0][1] is NATURAL:
        known = replace(known, stages=known.stages[1:])
        if not known.stages:
            raise RecipeError(
                f"The recipe {name} starts from random weights. Received: --start {start}."
            )
    network = backbone or known.backbones[0]
    stages = [(source, _fitted(stage, network)) for source, stage in known.stages]
    if known.gives_bundle and known.network_head == "nodule":
        # The nodule map is read at the size at which it was learned.
        side = next(stage.input_size for source, stage in stages if SOURCES[source].outlines)
        stages[-1] = (stages[-1][0], replace(stages[-1][1], input_size=side))
    return replace(known, stages=tuple(stages))


def _fitted(stage: Stage, network: str) -> Stage:
    """Adapt a stage to a network: what is quick on one is slow on another."""
    if stage is NATURAL:
        return natural(network)
    stage = replace(stage, precision=precision(network))
    if network == "vgg16" and stage.name in ("radiographs", "phantoms", "breast"):
        # Without normalisation a larger rate wrecks in one pass what natural images taught.
        rate, epochs = min(stage.learning_rate, 3e-5), min(stage.epochs, 2)
        limit = 1200 if stage.name == "radiographs" else 600
        return replace(stage, learning_rate=rate, epochs=epochs, limit=limit)
    if stage.name == "nodules":
        return replace(stage, **_NODULES_OF[network])
    if stage.name == "phantoms" and network == "efficientnet-b0":
        return replace(stage, trainable="last two blocks", epochs=8, patience=8, learning_rate=1e-3)
    if stage.name == "thyroid" and stage.trainable == "head" and network in _WIDE:
        return replace(stage, input_size=_WIDE[network])
    return stage


# Deeper where a step stays cheap: EfficientNet-B0 trains four blocks in the time that the others
# need for one. VGG-16 has no normalisation.
_NODULES_OF: dict[str, dict[str, Any]] = {
    "efficientnet-b0": {"trainable": "last four blocks", "input_size": 224, "views": 3},
    "resnet50": {"input_size": 192, "learning_rate": 3e-4},
    "vgg16": {"input_size": 192, "learning_rate": 5e-5},
}

_WIDE = {"resnet50": 288, "efficientnet-b0": 288}
"""Side of the thyroid frames where it is not the network's own: a frozen network reads more of
the speckle from a larger frame; VGG-16 is left at 224 for its time."""
