"""`train`: run a recipe and write a bundle; a killed run goes on where it stood."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thyro_demo.cli.results import check_writable
from thyro_demo.errors import DataError, RecipeError

if TYPE_CHECKING:
    from thyro_demo.models.recipes import Recipe

HELP = "train a network and its heads with a named recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `train`.

    Parameters
    ----------
    parser : ArgumentParser
        The sub-command's parser.
    """
    parser.add_argument("recipe", help="name of a recipe, or 'list' to see them all")
    parser.add_argument("--backbone", help="network; the recipe's first one without it")
    parser.add_argument(
        "--data",
        default=os.environ.get("THYRO_DATA"),
        help="folder that holds the sets by name, or one set for a recipe of one stage; "
        "the environment variable THYRO_DATA without it",
    )
    parser.add_argument(
        "--start",
        default="none",
        help="first weights: none, imagenet, noisy-student, a .keras file or a bundle's folder; "
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
        help="folder of the bundle, weights/BACKBONE without it; or, for a recipe that gives a "
        "network alone, its .keras file, runs/BACKBONE-RECIPE.keras without it",
    )
    parser.add_argument(
        "--work", help="folder of checkpoints and logs; runs/BACKBONE-RECIPE without it"
    )
    parser.add_argument("--epochs", type=int, help="cap on the epochs of every stage")


def run(arguments: argparse.Namespace) -> int:
    """Run `train`.

    Parameters
    ----------
    arguments : Namespace
        Parsed options.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    ThyroError
        If the recipe, the network or the data do not fit together.
    """
    from thyro_demo.models.recipes import RECIPES, recipe

    if arguments.recipe == "list":
        for known in RECIPES.values():
            print(f"{known.name:23} {known.summary} ({', '.join(known.backbones)})")
        print(
            "ensemble                joined heads on the shipped vgg16, resnet50, efficientnet-b0"
        )
        return 0
    if arguments.recipe == "ensemble":
        return _ensemble(arguments)
    if arguments.recipe not in RECIPES:
        raise RecipeError(
            f"A recipe has to be one of {', '.join([*RECIPES, 'ensemble'])}. "
            f"Received: {arguments.recipe!r}."
        )
    chosen = recipe(arguments.recipe, arguments.backbone, arguments.start)
    if arguments.heads and not chosen.gives_bundle:
        raise RecipeError(
            f"The recipe {chosen.name} gives a network without other heads, so that it takes no "
            f"--heads. Received: {' '.join(arguments.heads)}."
        )
    if arguments.heads:
        kept = tuple(dict.fromkeys(arguments.heads))
        primary = chosen.primary if chosen.primary in kept else kept[0]
        chosen = replace(chosen, heads=kept, primary=primary)
    if arguments.mlp:
        chosen = replace(chosen, network_head="mlp")
    if not arguments.data or not Path(arguments.data).is_dir():
        raise DataError(
            "Training needs --data, a folder of images (draw one with the sub-command phantom). "
            f"Received: {arguments.data}."
        )
    backbone = arguments.backbone or chosen.backbones[0]
    work = Path(arguments.work or f"runs/{backbone}-{chosen.name}")
    bundle = chosen.gives_bundle
    roi = "-roi" if chosen.name == "nodule" else ""
    usual = f"weights/{backbone}{roi}" if bundle else f"runs/{backbone}-{chosen.name}.keras"
    out = Path(arguments.out or usual)
    check_writable(work, folder=True)
    check_writable(out, folder=bundle)
    import tensorflow as tf

    from thyro_demo.models.chain import Job
    from thyro_demo.models.chain import run as run_job

    # The same command gives the same weights, and a resumed run those of one never killed.
    tf.config.experimental.enable_op_determinism()
    data = Path(arguments.data)
    if arguments.start == "none" and chosen.stages[0][1].trainable != "all":
        print("Without --start the frozen part of the network is random: a control, no more.")
    _print_left_out(chosen, data)
    run_job(Job(chosen, backbone, data, work, out, arguments.start, arguments.epochs))
    parts = ": model.keras, heads.skops, manifest.json and the model card README.md"
    print(f"Wrote {out}{parts if bundle else ''}.")
    return 0


def _print_left_out(chosen: "Recipe", data: Path) -> None:
    """Say which images of the user's set have no label that a bundle knows."""
    from thyro_demo.data import datasets
    from thyro_demo.models.recipes import SOURCES

    source = SOURCES[chosen.stages[-1][0]]
    named = data / source.folder
    root = data if len(chosen.stages) == 1 and not named.is_dir() else named
    if not chosen.gives_bundle or not source.folder or datasets.layout(root) is None:
        return
    labels = datasets.load(root, quiet=True)["label"]
    others = labels[~labels.isin([datasets.BENIGN, datasets.MALIGNANT])]
    for label, count in others.fillna("no label").value_counts().items():
        print(f"Left out, as a bundle does not learn them: {count} images with {label}.")


def _ensemble(arguments: argparse.Namespace) -> int:
    """Fit an ensemble of the bundles beside its own folder."""
    given = {
        "--backbone": arguments.backbone,
        "--start": arguments.start != "none",
        "--heads": arguments.heads,
        "--mlp": arguments.mlp,
        "--epochs": arguments.epochs,
    }
    if useless := [option for option, value in given.items() if value]:
        raise RecipeError(
            "An ensemble joins shipped bundles as they are, and takes --data, --out and --work "
            f"alone. Received: {', '.join(useless)}."
        )
    if not arguments.data or not Path(arguments.data).is_dir():
        raise DataError(f"Training needs --data, a folder of images. Received: {arguments.data}.")
    out, work = Path(arguments.out or "weights/ensemble"), Path(arguments.work or "runs/ensemble")
    for folder in (work, out):
        check_writable(folder, folder=True)
    from thyro_demo.study import ensembles

    ensembles.train(out.absolute().parent, Path(arguments.data), work, out)
    print(f"Wrote {out}: heads.skops, manifest.json and the model card README.md.")
    return 0
