"""`study`: run the published protocols, and ask what the parts of the chain are good for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from thyro_demo.cli.results import check_writable
from thyro_demo.errors import DataError, RecipeError, ThyroError
from thyro_demo.study.published import PROTOCOLS

if TYPE_CHECKING:
    from thyro_demo.study.setting import Setting

HELP = "run a published protocol, or measure what a part of the chain does"

STUDIES = {
    **PROTOCOLS,
    "all": "the six protocols, one after the other, and their page",
    "report": "the page of all protocols that were run, with CLAIM 2024 and TRIPOD+AI filled",
    "cv": "out-of-fold scores of RECIPE, or of the ensemble of the shipped networks, as oof.csv",
    "middle": "does the middle stage help? every chain on every network, frozen or tuned",
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
        help="cv of a recipe: the network, its first one without it; middle: one network alone",
    )
    parser.add_argument(
        "--data",
        default=os.environ.get("THYRO_DATA"),
        help="the thyroid set, or the folder that holds all sets by name (middle and card need "
        "that); the environment variable THYRO_DATA without it",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="protocols: rehearse them on phantoms, in minutes and without --data",
    )
    parser.add_argument(
        "--start",
        help="cv of a recipe: first weights as for `train`, the shipped bundle without it; from a "
        "bundle the last stage alone is run; protocols: 'imagenet' takes published weights in "
        "place of networks of the natural stage",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        metavar="N",
        help="cv: so many splits into folds, and the mean over them (default: %(default)s)",
    )
    parser.add_argument(
        "--natural",
        default="runs/{backbone}-natural-64.keras",
        metavar="FILE",
        help="middle and protocols: networks of the natural stage (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        metavar="N",
        help="protocols: processes on this machine (default: %(default)s)",
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="protocols: a Ray cluster that computes the parts"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the results; without it runs/study for protocols, whose parts a later "
        "run finds there again, and runs/study-… for the others",
    )


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
    if args.study in (*PROTOCOLS, "all", "report"):
        return _protocols(args)
    data = _data(args)
    if args.study != "middle" and not args.what:
        raise RecipeError(f"The study {args.study} has to be told of what. Received: nothing.")
    out = args.out or Path("runs") / "-".join(
        ["study", args.study, *([Path(args.what).name] if args.what else [])]
    )
    check_writable(out, folder=True)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    for line in _STUDIES[args.study](args, data, out):
        print(line)
    return 0


def _data(args: argparse.Namespace) -> Path:
    if not args.data or not Path(args.data).is_dir():
        raise DataError(f"A study needs --data, a folder of images. Received: {args.data}.")
    return Path(args.data)


FAILED = 1
"""Exit code when parts of a protocol failed; its report says which, and holds the others."""


def _protocols(args: argparse.Namespace) -> int:
    out = args.out or Path("runs") / ("study-fast" if args.fast else "study")
    if args.workers < 1:
        raise RecipeError(f"A study has at least one worker. Received: --workers {args.workers}.")
    check_writable(out, folder=True)
    failures: dict[str, str] = {}
    if args.study != "report":
        data = None if args.fast else _data(args)
        failures = _run_protocols(args, data, out)
    if args.study in ("all", "report"):
        from thyro_demo.study import collect

        print(f"Wrote {collect.collect(out)}.")
    for part, why in failures.items():
        print(f"Failed: {part}: {why}")
    return FAILED if failures else 0


def _run_protocols(args: argparse.Namespace, data: Path | None, out: Path) -> dict[str, str]:
    from thyro_demo.study.setting import Setting

    setting = Setting(
        data, out / "parts", args.workers, args.ray, args.start or "offline", args.natural
    )
    if args.study != "all":
        return _run_protocol(args.study, setting, out)
    failures: dict[str, str] = {}
    for key in PROTOCOLS:
        try:
            failures |= _run_protocol(key, setting, out)
        except ThyroError as error:
            # A set that one protocol lacks is no reason to leave the others out.
            failures[key] = str(error)
    return failures


def _run_protocol(key: str, setting: Setting, out: Path) -> dict[str, str]:
    from thyro_demo.study import protocols, report

    found = protocols.run(key, setting)
    report.write(found, out / key)
    print(f"Wrote {out / key / 'report.md'}.")
    return {f"{key}, {part}": why for part, why in found.failures.items()}


def _cv(args: argparse.Namespace, data: Path, out: Path) -> list[str]:
    from thyro_demo.models.manifest import weights_root
    from thyro_demo.study import crossval, ensembles

    if args.repeats < 1:
        raise RecipeError(f"Folds are split once or more. Received: --repeats {args.repeats}.")
    if args.what == "ensemble" and (args.start or args.backbone):
        raise RecipeError(
            "An ensemble is made of the shipped networks as they are, without --start and "
            f"--backbone. Received: {args.start or args.backbone}."
        )
    tables = []
    for seed in range(args.repeats):
        work = out if seed == 0 else out / f"split-{seed}"
        if args.what == "ensemble":
            root = weights_root()
            tables.append(ensembles.cross_validate(root, data, work, fold_seed=seed))
        else:
            tables.append(crossval.run(args.what, args.backbone, data, args.start, work, seed))
    averaged = crossval.repeated_lines(tables) if args.repeats > 1 else []
    return [*crossval.lines(tables[0]), *averaged, f"Wrote {out / 'oof.csv'}."]


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
