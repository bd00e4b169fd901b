"""Recipes: the chains of training stages, as data."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from thyro_demo.data import datasets
from thyro_demo.errors import RecipeError
from thyro_demo.models.pipeline import Augmentation
from thyro_demo.models.transfer import Stage


def _tiny_imagenet(root: str) -> pd.DataFrame:
    training = datasets.tiny_imagenet(root, "train").assign(split="train")
    validation = datasets.tiny_imagenet(root, "val").assign(split="validation")
    return pd.concat([training, validation], ignore_index=True)


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
    """

    folder: str
    read: Callable[[str], pd.DataFrame]
    crop: bool


SOURCES = {
    "natural": Source("tiny_imagenet", _tiny_imagenet, crop=False),
    "radiographs": Source("radiographs", datasets.radiographs, crop=False),
    "thyroid": Source("thyroid_us", datasets.load, crop=True),
}


@dataclass(frozen=True)
class Recipe:
    """A chain of stages that ends in a bundle.

    Parameters
    ----------
    name : str
        Key on the command line.
    summary : str
        One line for people.
    stages : tuple of (str, Stage)
        Each with the key of its source in `SOURCES`. The last one trains the bundle.
    backbones : tuple of str
        Networks it is made for, the default first.
    heads : tuple of str
        Heads of the bundle.
    network_head : {"softmax", "mlp"}
        What the network itself ends in; see `backbones.build`.
    primary : str
        The head that is quoted first, named before any test fold is scored.
    folds : int
        Grouped folds of the out-of-fold figures.
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
    phantoms: float = 0.0


NATURAL = Stage(
    "natural-64",
    trainable="all",
    epochs=5,
    learning_rate=1.5e-3,
    optimiser="adamw",
    weight_decay=0.02,
    schedule="cosine",
    warm_up=0.5,
    batch=64,
    input_size=64,
    label_smoothing=0.1,
    augmentation=Augmentation(shift=0.08, zoom=0.12, gain=0.08, speckle=0.0),
)
RADIOGRAPHS = Stage(
    "radiographs",
    trainable="last block",
    epochs=12,
    learning_rate=5e-4,
    schedule="cosine",
    warm_up=1.0,
    patience=4,
    class_weights=True,
    norm_momentum=0.9,
    views=3,
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
HEAD = Stage(
    "head",
    trainable="head",
    epochs=60,
    learning_rate=2e-3,
    schedule="cosine",
    warm_up=2.0,
    class_weights=True,
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

_RECIPES = (
    Recipe(
        "progressive",
        "natural images, then chest radiographs, then thyroid ultrasound",
        (("natural", NATURAL), ("radiographs", RADIOGRAPHS), ("thyroid", THYROID)),
        ("efficientnet-b0", "vgg16", "resnet50", "resnet50v2"),
        phantoms=0.2,
    ),
    Recipe(
        "head",
        "a frozen network, given by --start, and new heads on your frames",
        (("thyroid", HEAD),),
        ("efficientnet-b0", "vgg16", "resnet50", "resnet50v2", "two-layer-cnn"),
    ),
    Recipe(
        "last-block",
        "the last block of a network, given by --start, and new heads on your frames",
        (("thyroid", THYROID),),
        ("efficientnet-b0", "vgg16", "resnet50", "resnet50v2"),
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


def recipe(name: str) -> Recipe:
    """Look a recipe up by name.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.

    Returns
    -------
    Recipe
        The recipe.

    Raises
    ------
    RecipeError
        If no recipe has this name.
    """
    if name not in RECIPES:
        raise RecipeError(f"A recipe has to be one of {', '.join(RECIPES)}. Received: {name!r}.")
    return RECIPES[name]
