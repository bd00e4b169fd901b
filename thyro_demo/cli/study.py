"""`study`: cross-validate recipes, and ask what the chain's parts are good for."""

import argparse
import os
from pathlib import Path

from thyro_demo.cli.results import check_writable
from thyro_demo.errors import DataError, RecipeError

HELP = "cross-validate a recipe, or measure what a part of the chain is good for"

STUDIES = {
    "cv": "out-of-fold scores of RECIPE, or of the ensemble of the shipped networks, as oof.csv",
    "middle": "does the middle stage help? every chain on every network, frozen features and SVM",
    "shortcuts": "what each means against the source shortcut does within the sources",
    "card": "complete the card of a bundle: heatmaps against outlines, failures on phantoms",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `study`.

    Parameters
    ----------
    parser : ArgumentParser
        The sub-command's parser.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join(f"{name:10} {what}" for name, what in STUDIES.items())
    parser.add_argument("study", choices=tuple(STUDIES))
    parser.add_argument(
        "what",
        nargs="?",
        help="cv: a recipe or 'ensemble'; shortcuts and card: name or folder of a bundle",
    )
    parser.add_argument(
        "--backbone",
        help="cv: the network, the recipe's first one without it; middle: one network alone",
    )
    parser.add_argument(
        "--data",
        default=os.environ.get("THYRO_DATA"),
        help="the thyroid set, or the folder that holds all sets by name (middle and card need "
        "that); the environment variable THYRO_DATA without it",
    )
    parser.add_argument(
        "--start", help="cv: first weights as for `train`; the shipped bundle without it"
    )
    parser.add_argument(
        "--natural",
        default="runs/{backbone}-natural-64.keras",
        metavar="FILE",
        help="middle: networks of the natural stage (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, help="folder of the results; runs/study-… without it")


def run(args: argparse.Namespace) -> int:
    """Run `study`.

    Parameters
    ----------
    args : Namespace
        Parsed options.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    ThyroError
        If recipe, network and data do not fit together.
    """
    if not args.data or not Path(args.data).is_dir():
        raise DataError(f"A study needs --data, a folder of images. Received: {args.data}.")
    if args.study != "middle" and not args.what:
        raise RecipeError(f"The study {args.study} has to be told of what. Received: nothing.")
    out = args.out or Path("runs") / "-".join(
        ["study", args.study, *([Path(args.what).name] if args.what else [])]
    )
    check_writable(out, folder=True)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    for line in _STUDIES[args.study](args, Path(args.data), out):
        print(line)
    return 0


def _cv(args: argparse.Namespace, data: Path, out: Path) -> list[str]:
    from thyro_demo.models.manifest import weights_root
    from thyro_demo.study import crossval, ensembles

    if args.what == "ensemble":
        table = ensembles.cross_validate(weights_root(), data, out)
    else:
        table = crossval.run(args.what, args.backbone, data, args.start, out)
    return [*crossval.lines(table), f"Wrote {out / 'oof.csv'}."]


def _middle(args: argparse.Namespace, data: Path, out: Path) -> list[str]:
    from thyro_demo.study import middle

    names = (args.backbone,) if args.backbone else middle.BACKBONES
    files = {name: Path(args.natural.replace("{backbone}", name)) for name in names}
    table = middle.run(data, out, files)
    return [middle.markdown(table), f"Wrote {out / 'middle.csv'} and {out / 'middle.png'}."]


def _shortcuts(args: argparse.Namespace, data: Path, out: Path) -> list[str]:
    from thyro_demo.study import shortcuts

    table = shortcuts.run(_bundle(args.what), data, out)
    return [shortcuts.markdown(table), f"Wrote {out / 'shortcuts.csv'}."]


def _card(args: argparse.Namespace, data: Path, out: Path) -> list[str]:
    from thyro_demo.study import cards

    folder = _bundle(args.what)
    cards.complete(folder, data)
    return [f"Wrote {folder / 'README.md'} and {folder / 'manifest.json'}."]


def _bundle(asked: str) -> Path:
    from thyro_demo.models.manifest import weights_root

    return Path(asked) if Path(asked).is_dir() else weights_root() / asked


_STUDIES = {"cv": _cv, "middle": _middle, "shortcuts": _shortcuts, "card": _card}
