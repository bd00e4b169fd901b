"""Recipes: the chains of training stages, as data."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from thyro_demo.errors import RecipeError
from thyro_demo.models.pipeline import Augmentation
from thyro_demo.training.sources import SOURCES
from thyro_demo.training.stage import Stage


@dataclass(frozen=True)
class Recipe:
    """A chain of stages; one that ends on thyroid frames results in a bundle, others in a network.

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
        Heads of the bundle; none where the recipe ends in a network.
    network_head : {"softmax", "mlp", "nodule"}
        What the network itself ends in; see `networks.build`.
    primary : str
        The head that is quoted first, named before any test fold is scored.
    folds : int
        Grouped folds of the out-of-fold figures.
    pooling : {"average", "std", "nodule"}
        What SVMs and forests read of the last feature map; see `features.readout`.
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
    pooling: str = "std"
    phantoms: float = 0.0

    @property
    def early(self) -> tuple[tuple[str, Stage], ...]:
        """The stages that train a network before the one, if any, that makes a bundle of it."""
        return self.stages[:-1] if self.writes_bundle else self.stages

    @property
    def writes_bundle(self) -> bool:
        """Whether the last stage is on thyroid frames."""
        return self.stages[-1][0] in ("thyroid", "nodule")


_WIDE_CONVOLUTIONS = ("vgg16", "resnet50", "resnet50v2")
_PROCESSOR = Path("/proc/cpuinfo")


@functools.cache
def _quick_bfloat16() -> bool:
    """Check whether this processor multiplies bfloat16 itself, rather than by a detour."""
    if tf.config.list_physical_devices("GPU"):
        return True
    try:
        words = set(_PROCESSOR.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def precision(backbone: str) -> str:
    """Choose the faster arithmetic of a network on this computer.

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


NATURAL = Stage(
    "natural-64",
    trainable="all",
    epochs=2,
    sides=(64, 64),
    learning_rate=5e-4,
    optimiser="adamw",
    weight_decay=0.02,
    schedule="cosine",
    warm_up=0.4,
    # Never stops early, and keeps the best epoch.
    patience=2,
    batch=64,
    input_size=64,
    label_smoothing=0.1,
    augmentation=Augmentation(shift=0.08, zoom=0.12, gain=0.08, speckle=0.0),
)
# Another cycle of the schedule, so that the network is as settled after 6, 12 and 20 passes as
# after its first 3: Loshchilov and Hutter 2017, "SGDR", section 3.
NATURAL_MORE = replace(NATURAL, name="natural-more", epochs=8, patience=8)
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
        shift=0.1, zoom=0.25, gain=0.1, speckle=0.1, gamma=0.2, depth=0.4, grain=0.8, shadow=0.2
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


_FIND_AND_READ = Recipe(
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
    phantoms=0.5,
)
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
    _FIND_AND_READ,
    replace(
        _FIND_AND_READ,
        name="nodules-and-heads",
        summary="its last two stages, for a network given by --initial-weights that knows "
        "radiographs",
        stages=_FIND_AND_READ.stages[-2:],
    ),
    Recipe(
        "nodules",
        "a network, given by --initial-weights, learns where the nodule is: the third stage alone",
        (("nodules", NODULES),),
        _WITH_MAP,
        **_NOTHING,
    ),
    Recipe(
        "nodule",
        "new heads on outlined nodules, for a frozen network given by --initial-weights",
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
        "natural-more",
        "more passes over Tiny ImageNet for a network given by --initial-weights",
        (("natural", NATURAL_MORE),),
        _NETWORKS,
        **_NOTHING,
    ),
    Recipe(
        "radiographs",
        "the last block of a network, given by --initial-weights, on chest radiographs",
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
        "the last block of a network, given by --initial-weights, on breast ultrasound",
        (("breast", BREAST),),
        _NETWORKS,
        **_NOTHING,
    ),
    Recipe(
        "head",
        "a frozen network, given by --initial-weights, and new heads on your frames",
        (("thyroid", HEAD),),
        (*_NETWORKS, "two-layer-cnn"),
    ),
    Recipe(
        "last-block",
        "the last block of a network, given by --initial-weights, and new heads on your frames",
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


def recipe(name: str, backbone: str | None = None, weights: str = "none") -> Recipe:
    """Look a recipe up by name.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    backbone : str, optional
        The network it is to run on; the recipe's first one without it.
    weights : str
        See `initial_weights.load`. Whoever brings weights needs no stage of natural images, so that
        it is left out of a longer chain.

    Returns
    -------
    Recipe
        The recipe.

    Raises
    ------
    RecipeError
        If no recipe has this name, or it has to start from random weights and does not.

    Examples
    --------
    >>> chosen = recipe("progressive")
    >>> [source for source, _ in chosen.stages]
    ['natural', 'radiographs', 'phantoms', 'thyroid']
    """
    if name not in RECIPES:
        raise RecipeError(f"A recipe must be one of {', '.join(RECIPES)}. Received: {name!r}.")
    known = RECIPES[name]
    if weights != "none" and known.stages[0][1] is NATURAL:
        known = replace(known, stages=known.stages[1:])
        if not known.stages:
            raise RecipeError(
                f"The recipe {name} must begin with random weights. "
                f"Received: --initial-weights {weights}."
            )
    network = backbone or known.backbones[0]
    stages = [(source, _fitted(stage, network)) for source, stage in known.stages]
    if known.writes_bundle and known.network_head == "nodule":
        # The nodule map is read at the size at which it was learned.
        side = next(stage.input_size for source, stage in stages if SOURCES[source].outlines)
        stages[-1] = (stages[-1][0], replace(stages[-1][1], input_size=side))
    return replace(known, stages=tuple(stages))


def _fitted(stage: Stage, network: str) -> Stage:
    """Adapt a stage to a network: what is quick on one is slow on another."""
    adapted = replace(stage, precision=precision(network))
    for row in _OF_A_NETWORK:
        fits = row.trainable in (None, stage.trainable)
        if (row.stage, row.network) == (stage.name, network) and fits:
            adapted = replace(adapted, **row.settings)
    return adapted


class _Setting(NamedTuple):
    """What a stage has on one network in place of its own settings."""

    stage: str
    network: str
    settings: dict[str, Any]
    trainable: str | None = None


# VGG-16 has no normalisation: a larger rate wrecks in one pass what natural images taught.
_GENTLE: dict[str, Any] = {"learning_rate": 3e-5, "epochs": 2}

_OF_A_NETWORK = (
    # What each network is given in about an hour on one core. VGG-16 has no stride in its stem,
    # so that small images teach it in a fraction of the time; the others would see a single cell
    # of them. Twice these rates keep both deep networks at chance for the first 400 steps.
    _Setting("natural-64", "vgg16", {"sides": (32, 32)}),
    _Setting(
        "natural-64",
        "efficientnet-b0",
        {"sides": (64, 64, 64), "epochs": 3, "patience": 3, "learning_rate": 7e-4},
    ),
    _Setting("natural-more", "vgg16", {"sides": (32, 32)}),
    _Setting("natural-more", "efficientnet-b0", {"learning_rate": 7e-4}),
    _Setting("radiographs", "vgg16", _GENTLE | {"limit": 1200}),
    _Setting("breast", "vgg16", _GENTLE | {"limit": 600}),
    _Setting("phantoms", "vgg16", _GENTLE | {"limit": 600}),
    _Setting(
        "phantoms",
        "efficientnet-b0",
        {"trainable": "last two blocks", "epochs": 8, "patience": 8, "learning_rate": 1e-3},
    ),
    # The finer map stays frozen in all three, since it is what the heads read; small nodules want
    # large frames, as far as the time of two cores goes.
    _Setting(
        "nodules",
        "efficientnet-b0",
        {"trainable": "last two blocks", "input_size": 256, "views": 3, "epochs": 6},
    ),
    _Setting("nodules", "resnet50", {"input_size": 224, "learning_rate": 3e-4, "epochs": 5}),
    # Here the block that moves only draws the map, so the larger rate harms nothing that is read.
    _Setting("nodules", "vgg16", {"input_size": 192, "learning_rate": 3e-4, "epochs": 3}),
    # A frozen network reads more of the speckle from a larger frame. VGG-16 takes too long for it,
    # and for augmented views.
    _Setting("thyroid", "vgg16", {"views": 1}, "head"),
    _Setting("thyroid", "resnet50", {"input_size": 288}, "head"),
    _Setting("thyroid", "efficientnet-b0", {"input_size": 288}, "head"),
)
