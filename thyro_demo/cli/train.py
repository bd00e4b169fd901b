"""`train`: run a recipe and write a bundle; a killed run goes on where it was."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thyro_demo.cli.results import check_writable
from thyro_demo.errors import DataError, RecipeError

if TYPE_CHECKING:
    from thyro_demo.training.recipes import Recipe

HELP = "train a network and its heads with a named recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("recipe", help="name of a recipe, or 'list' to see them all")
    parser.add_argument("--backbone", help="network; the recipe's first one without it")
    parser.add_argument(
        "--data",
        default=os.environ.get("THYRO_DATA"),
        help="folder that holds the sets by name, or one set for a recipe of one stage; "
        "the environment variable THYRO_DATA without it",
    )
    parser.add_argument(
        "--initial-weights",
        "--start",
        metavar="WEIGHTS",
        default="none",
        help="initial weights: none, imagenet, noisy-student, a .keras file or a bundle's folder; "
        "a recipe that ends on thyroid frames takes no bundle that was trained on them beyond its "
        "heads",
    )
    parser.add_argument(
        "--heads",
        nargs="+",
        metavar="HEAD",
        choices=("softmax", "svm", "linear-svm", "forest"),
        help="softmax, svm, linear-svm, forest; the recipe's own without it",
    )
    parser.add_argument(
        "--mlp",
        action="store_true",
        help="end the network in the three dense layers of P1 in place of pooling and softmax",
    )
    parser.add_argument(
        "--out",
        help="folder of the bundle, runs/bundles/BACKBONE without it; or, for a recipe that trains "
        "a network alone, its .keras file, runs/BACKBONE-RECIPE.keras without it",
    )
    parser.add_argument(
        "--work", help="folder of checkpoints and logs; runs/BACKBONE-RECIPE without it"
    )
    parser.add_argument("--epochs", type=int, help="cap on the epochs of every stage")


def run(arguments: argparse.Namespace) -> int:
    """Train what the options ask for, and write it."""
    if arguments.recipe == "list":
        return _list()
    if arguments.recipe == "ensemble":
        return _ensemble(arguments)
    chosen = _chosen(arguments)
    data = _data(arguments)
    backbone = arguments.backbone or chosen.backbones[0]
    bundle = chosen.writes_bundle
    roi = "-roi" if chosen.name == "nodule" else ""
    usual = f"runs/bundles/{backbone}{roi}" if bundle else f"runs/{backbone}-{chosen.name}.keras"
    work = Path(arguments.work or f"runs/{backbone}-{chosen.name}")
    out = Path(arguments.out or usual)
    check_writable(work, folder=True)
    check_writable(out, folder=bundle)
    import tensorflow as tf

    from thyro_demo.training.job import TrainingJob
    from thyro_demo.training.run import run as run_job

    # The same command trains the same weights, and a resumed run those of one never killed.
    tf.config.experimental.enable_op_determinism()
    if arguments.initial_weights == "none" and chosen.stages[0][1].trainable != "all":
        print("Without --initial-weights the frozen part of the network is random: a control.")
    _print_left_out(chosen, data)
    run_job(
        TrainingJob(chosen, backbone, data, work, out, arguments.initial_weights, arguments.epochs)
    )
    parts = ": model.keras, heads.skops, manifest.json and the model card README.md"
    print(f"Wrote {out}{parts if bundle else ''}.")
    return 0


def _list() -> int:
    from thyro_demo.training.recipes import RECIPES

    for known in RECIPES.values():
        print(f"{known.name:23} {known.summary} ({', '.join(known.backbones)})")
    print("ensemble                joined heads on vgg16, resnet50, efficientnet-b0 beside --out")
    return 0


def _chosen(arguments: argparse.Namespace) -> "Recipe":
    """Look the recipe up, and change its heads and its network's head as the options ask."""
    from thyro_demo.training.recipes import RECIPES, recipe

    if arguments.recipe not in RECIPES:
        raise RecipeError(
            f"The recipe must be one of {', '.join([*RECIPES, 'ensemble'])}. "
            f"Received: recipe={arguments.recipe!r}."
        )
    chosen = recipe(arguments.recipe, arguments.backbone, arguments.initial_weights)
    if arguments.heads and not chosen.writes_bundle:
        raise RecipeError(
            f"The recipe {chosen.name} trains a network without other heads: --heads must be "
            f"left out. Received: {' '.join(arguments.heads)}."
        )
    if arguments.mlp and not chosen.writes_bundle:
        raise RecipeError(
            f"The recipe {chosen.name} trains a network with an end of its own: --mlp must be "
            "left out. Received: --mlp."
        )
    if arguments.heads:
        kept = tuple(dict.fromkeys(arguments.heads))
        primary = chosen.primary if chosen.primary in kept else kept[0]
        chosen = replace(chosen, heads=kept, primary=primary)
    return replace(chosen, network_head="mlp") if arguments.mlp else chosen


def _data(arguments: argparse.Namespace) -> Path:
    if not arguments.data or not Path(arguments.data).is_dir():
        raise DataError(
            "--data must name a folder of images (draw one with the sub-command phantom). "
            f"Received: {arguments.data}."
        )
    return Path(arguments.data)


def _print_left_out(chosen: "Recipe", data: Path) -> None:
    """Print which images of the user's set have no label that a bundle knows."""
    from thyro_demo.data import datasets
    from thyro_demo.training.sources import SOURCES

    source = SOURCES[chosen.stages[-1][0]]
    named = data / source.folder
    root = data if len(chosen.stages) == 1 and not named.is_dir() else named
    if not chosen.writes_bundle or not source.folder or datasets.layout(root) is None:
        return
    labels = datasets.load(root, quiet=True)["label"]
    others = labels[~labels.isin([datasets.BENIGN, datasets.MALIGNANT])]
    for label, count in others.fillna("no label").value_counts().items():
        print(f"Left out, as a bundle does not learn them: {count} images with {label}.")


def _ensemble(arguments: argparse.Namespace) -> int:
    """Fit an ensemble of the bundles beside its own folder."""
    options = {
        "--backbone": arguments.backbone,
        "--initial-weights": arguments.initial_weights != "none",
        "--heads": arguments.heads,
        "--mlp": arguments.mlp,
        "--epochs": arguments.epochs,
    }
    if useless := [option for option, value in options.items() if value]:
        raise RecipeError(
            "An ensemble joins the bundles beside it as they are: its options must be --data, "
            f"--out and --work. Received: {', '.join(useless)}."
        )
    data = _data(arguments)
    out, work = (
        Path(arguments.out or "runs/bundles/ensemble"),
        Path(arguments.work or "runs/ensemble"),
    )
    for folder in (work, out):
        check_writable(folder, folder=True)
    from thyro_demo.study.questions import ensembles

    ensembles.train(out.absolute().parent, data, work, out)
    print(f"Wrote {out}: heads.skops, manifest.json and the model card README.md.")
    return 0
