"""`study`: run the published protocols, and ask what the parts of the chain are good for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from thyro_demo.cli.results import check_writable
from thyro_demo.errors import DataError, RecipeError, ThyroError
from thyro_demo.study.protocols import PROTOCOLS

if TYPE_CHECKING:
    from thyro_demo.evaluate.results import Result
    from thyro_demo.study.setting import Setting

HELP = "run a published protocol, or measure what a part of the chain does"

STUDIES = {
    **PROTOCOLS,
    "all": "the six protocols, one after the other, and their page",
    "report": "the page of all protocols that were run, with CLAIM 2024 and TRIPOD+AI filled",
    "cv": "out-of-fold scores of RECIPE, or of the ensemble of the shipped networks, as oof.csv",
    "repeats": "the shipped networks over five splits into folds, beside others if you like",
    "middle": "does the middle stage help? every chain on every network, frozen or fine-tuned",
    "photographs": "does a network that reads photographs better read nodules better?",
    "guidance": "does a loss led into the outline keep heatmaps on the nodule, or the pooling?",
    "shortcuts": "what each means against the source shortcut does within the sources",
    "card": "complete the card of a bundle: heatmaps against outlines, failures on phantoms",
}

FAILED = 1
"""Exit code when parts of a protocol failed; its report names them, and holds the others."""

_ALL_SETS = "the folder that holds all sets by name"
_INITIAL_WEIGHTS = ("--initial-weights", "--start")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands of `study` and their options."""
    studies = parser.add_subparsers(title="studies", dest="study", metavar="STUDY", required=True)

    def study(name: str, command: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        purpose = STUDIES[name]
        known = studies.add_parser(name, help=purpose, description=f"{purpose}.")
        known.set_defaults(command=command)
        return known

    for name in (*PROTOCOLS, "all"):
        _add_protocol(study(name, _protocols))
    page = study("report", _report)
    _add_out(page, "runs/study", "of the reports")
    page.add_argument("--fast", action="store_true", help="take the rehearsals' folder")
    cv = study("cv", _cv)
    cv.add_argument("what", metavar="RECIPE", help="a recipe, or 'ensemble'")
    cv.add_argument("--backbone", help="the network, the recipe's first one without it")
    cv.add_argument(
        *_INITIAL_WEIGHTS,
        metavar="WEIGHTS",
        help="as for `train`, the shipped bundle without it; from a bundle the last stage alone "
        "is run",
    )
    cv.add_argument(
        "--repeats",
        type=int,
        default=1,
        metavar="N",
        help="so many splits into folds, and the mean over them (default: %(default)s)",
    )
    repeats = study("repeats", _repeats)
    repeats.add_argument("names", nargs="*", metavar="BUNDLE", help="all shipped ones without any")
    repeats.add_argument(
        "--earlier",
        type=Path,
        metavar="FOLDER",
        help="bundles that those of the same name are compared with",
    )
    middle = study("middle", _middle)
    middle.add_argument("--backbone", help="one network alone")
    _add_natural(middle)
    guidance, photographs = study("guidance", _guidance), study("photographs", _photographs)
    for one in (guidance, photographs):
        one.add_argument(
            "--backbone",
            default="efficientnet-b0",
            help="the network (default: %(default)s)",
        )
    photographs.add_argument(
        "--natural",
        type=Path,
        metavar="FILE",
        help="its network of the natural stage; the shipped one without it",
    )
    photographs.add_argument(
        "--passes",
        type=int,
        default=20,
        metavar="N",
        help="most passes over the photographs (default: %(default)s)",
    )
    guidance.add_argument(
        "--initial-weights",
        metavar="WEIGHTS",
        help="as for `train`; the shipped network of the stage before, radiographs, without it",
    )
    shortcuts, card = study("shortcuts", _shortcuts), study("card", _card)
    for one in (shortcuts, card):
        one.add_argument("what", metavar="BUNDLE", help="its name, or its folder")
    for one in (cv, repeats, shortcuts):
        _add_data(one, f"the thyroid set, or {_ALL_SETS}")
    for one in (middle, photographs, guidance, card):
        _add_data(one, _ALL_SETS)
    named = {"cv-…": cv, "repeats": repeats, "middle": middle, "guidance": guidance}
    named |= {"photographs": photographs, "shortcuts-…": shortcuts}
    for folder, one in named.items():
        _add_out(one, f"runs/study-{folder}", "of the results")


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    _add_data(parser, _ALL_SETS)
    parser.add_argument(
        "--fast",
        action="store_true",
        help="rehearse it on phantoms, in minutes and without --data",
    )
    parser.add_argument(
        *_INITIAL_WEIGHTS,
        metavar="WEIGHTS",
        help="'imagenet' takes published weights in place of networks of the natural stage",
    )
    _add_natural(parser)
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        metavar="N",
        help="processes on this host (default: %(default)s)",
    )
    parser.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster that computes the parts")
    _add_out(parser, "runs/study", "of the report and its parts, which a later run finds again")


def _add_data(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--data",
        default=os.environ.get("THYRO_DATA"),
        help=f"{what}; the environment variable THYRO_DATA without it",
    )


def _add_natural(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--natural",
        default="runs/{backbone}-natural-64.keras",
        metavar="FILE",
        help="networks of the natural stage (default: %(default)s)",
    )


def _add_out(parser: argparse.ArgumentParser, folder: str, what: str) -> None:
    parser.add_argument("--out", type=Path, help=f"folder {what}; {folder} without it")


def run(args: argparse.Namespace) -> int:
    """Run a sub-command of `study`."""
    code: int = args.command(args)
    return code


def _data(args: argparse.Namespace) -> Path:
    if not args.data or not Path(args.data).is_dir():
        raise DataError(f"The option --data must name a folder of images. Received: {args.data}.")
    return Path(args.data)


def _protocols_folder(args: argparse.Namespace) -> Path:
    out: Path = args.out or Path("runs") / ("study-fast" if args.fast else "study")
    check_writable(out, folder=True)
    return out


def _protocols(args: argparse.Namespace) -> int:
    from thyro_demo.study.setting import Setting

    if args.workers < 1:
        raise RecipeError(f"There must be at least 1 worker. Received: --workers {args.workers}.")
    out = _protocols_folder(args)
    data = None if args.fast else _data(args)
    weights = args.initial_weights or "offline"
    setting = Setting(data, out / "parts", args.workers, args.ray, weights, args.natural)
    failures: dict[str, str] = {}
    if args.study != "all":
        failures = _run_protocol(args.study, setting, out)
    else:
        for key in PROTOCOLS:
            try:
                failures |= _run_protocol(key, setting, out)
            except ThyroError as error:
                # A set that one protocol lacks is no reason to leave the others out.
                failures[key] = str(error)
        _report(args)
    for part, why in failures.items():
        print(f"Failed: {part}: {why}")
    return FAILED if failures else 0


def _run_protocol(key: str, setting: Setting, out: Path) -> dict[str, str]:
    from thyro_demo.study.report import report

    plan = import_module(f"thyro_demo.study.protocols.{key.lower()}.plan")
    found: report.Report = plan.run(setting)
    report.write(found, out / key)
    for name in ("report.md", *(f"{result}.json" for result in found.results)):
        print(f"Wrote {out / key / name}.")
    return {f"{key}, {part}": why for part, why in found.failures.items()}


def _report(args: argparse.Namespace) -> int:
    from thyro_demo.study.report import page

    out = _protocols_folder(args)
    for file in (page.collect(out), *page.gather_results(out)):
        print(f"Wrote {file}.")
    return 0


def _work(args: argparse.Namespace) -> Path:
    """Check the folder of a study's results, and make what it computes repeatable."""
    name = [Path(args.what).name] if "what" in args else []
    out: Path = args.out or Path("runs") / "-".join(["study", args.study, *name])
    check_writable(out, folder=True)
    _be_deterministic()
    return out


def _be_deterministic() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def _cv(args: argparse.Namespace) -> int:
    data, out = _data(args), _work(args)
    from thyro_demo.bundle.manifest import weights_root
    from thyro_demo.study.questions import cross_validation, ensembles

    if args.repeats < 1:
        raise RecipeError(f"Folds must be split at least once. Received: --repeats {args.repeats}.")
    if args.what == "ensemble" and (args.initial_weights or args.backbone):
        raise RecipeError(
            "An ensemble must be made of the shipped networks as they are, without "
            f"--initial-weights and --backbone. Received: {args.initial_weights or args.backbone}."
        )
    if args.what == "ensemble":
        tables = ensembles.cross_validate(weights_root(), data, out, repeats=args.repeats)
    else:
        tables = cross_validation.run(
            args.what, args.backbone, data, args.initial_weights, out, args.repeats
        )
    averaged = cross_validation.repeated_lines(tables) if args.repeats > 1 else []
    print(*cross_validation.lines(tables[0]), *averaged, sep="\n")
    print(f"Wrote {out / 'oof.csv'}.")
    return 0


def _repeats(args: argparse.Namespace) -> int:
    data = _data(args)
    if args.earlier is not None and not args.earlier.is_dir():
        raise DataError(f"Earlier bundles must be in a folder. Received: {args.earlier}.")
    out = _work(args)
    from thyro_demo.bundle.manifest import weights_root
    from thyro_demo.study.questions import repeats

    found = repeats.run(weights_root(), data, out, args.earlier, args.names)
    _publish(found, out / "repeats.json")
    return 0


def _publish(result: Result, file: Path) -> None:
    """Print a table and write its result, which a README shows once it is in weights/results."""
    from thyro_demo.evaluate import results

    results.write(result, file)
    print(result.markdown())
    print(f"Wrote {file}.")


def _middle(args: argparse.Namespace) -> int:
    data, out = _data(args), _work(args)
    from thyro_demo.study.questions import middle

    names = (args.backbone,) if args.backbone else middle.BACKBONES
    files = {name: Path(args.natural.replace("{backbone}", name)) for name in names}
    _publish(middle.result(middle.run(data, out, files)), out / "middle_stage.json")
    print(f"Wrote {out / 'middle.csv'} and {out / 'middle.png'}.")
    return 0


def _photographs(args: argparse.Namespace) -> int:
    data, out = _data(args), _work(args)
    from thyro_demo.bundle.manifest import weights_root
    from thyro_demo.study.questions import photographs

    natural = args.natural or weights_root() / args.backbone / "natural-64.keras"
    found = photographs.run(args.backbone, data, out, natural, args.passes)
    _publish(found, out / "photographs.json")
    return 0


def _guidance(args: argparse.Namespace) -> int:
    data, out = _data(args), _work(args)
    from thyro_demo.bundle.manifest import weights_root
    from thyro_demo.study.questions import guidance

    shipped = weights_root() / args.backbone / "radiographs.keras"
    weights = args.initial_weights or str(shipped)
    _publish(guidance.run(args.backbone, data, out, weights), out / "guidance.json")
    return 0


def _shortcuts(args: argparse.Namespace) -> int:
    data, out = _data(args), _work(args)
    from thyro_demo.study.questions import shortcuts

    table = shortcuts.run(_bundle(args.what), data, out)
    _publish(shortcuts.result(table), out / "source_shortcut.json")
    print(f"Wrote {out / 'shortcuts.csv'}.")
    return 0


def _card(args: argparse.Namespace) -> int:
    data = _data(args)
    _be_deterministic()
    from thyro_demo.study.report import cards

    folder = _bundle(args.what)
    cards.complete(folder, data)
    print(f"Wrote {folder / 'README.md'} and {folder / 'manifest.json'}.")
    return 0


def _bundle(asked: str) -> Path:
    from thyro_demo.bundle.manifest import weights_root

    return Path(asked) if Path(asked).is_dir() else weights_root() / asked
