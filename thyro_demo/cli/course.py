"""`course`: run and time the chapters, keep their outputs, make slides of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from thyro_demo.cli.results import check_writable
from thyro_demo.errors import ThyroError

HELP = "run the chapters and keep their outputs, or make slides of them"

STALE = 1
"""Exit code of `publish --check` when a published chapter is stale, and when all are too large."""

_NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands of `course` and their options."""
    parts = parser.add_subparsers(title="parts", dest="part", metavar="PART", required=True)

    def part(
        name: str, purpose: str, command: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        known = parts.add_parser(name, help=purpose, description=f"{purpose}.")
        known.set_defaults(command=command)
        return known

    slides = part("slides", "write slides of the chapters, one file that needs no network", _slides)
    slides.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the HTML file to write"
    )
    slides.add_argument(
        "--notebooks",
        type=Path,
        default=_NOTEBOOKS,
        metavar="DIR",
        help="chapters to take, with the pictures that they hold (default: those of the project)",
    )
    publish = part(
        "publish",
        "run chapters small, on phantoms, and keep their outputs: all whose code has changed, or "
        "those that are named",
        _publish,
    )
    publish.add_argument(
        "--out",
        type=Path,
        default=_NOTEBOOKS,
        metavar="DIR",
        help="folder of the written chapters (default: the chapters themselves)",
    )
    publish.add_argument(
        "--check",
        action="store_true",
        help="run nothing; name the chapters whose code has changed since, and exit with 1",
    )
    timed = part("run", "run chapters to their end; write down when, and how long they took", _run)
    timed.add_argument(
        "--mode",
        choices=("rehearsal", "phantoms", "real"),
        default="phantoms",
        help="small on phantoms, in full on phantoms, or in full on --data (default: %(default)s)",
    )
    timed.add_argument("--data", default="", metavar="DIR", help="folder of real images")
    timed.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the chapters there with all that they showed"
    )
    for one in (slides, publish, timed):
        one.add_argument(
            "chapters", nargs="*", metavar="CHAPTER", help="0, 0b, 1 … or lecture; all without any"
        )
    part("features", "compute the features that the lecture trains its heads on", _features)


def run(args: argparse.Namespace) -> int:
    """Run a sub-command of `course`."""
    code: int = args.command(args)
    return code


def _slides(args: argparse.Namespace) -> int:
    from thyro_demo.course import slides

    check_writable(args.out, folder=False)
    count = slides.write(slides.find(args.notebooks, args.chapters), args.out)
    print(f"Wrote {args.out}: {count} slides.")
    return 0


def _publish(args: argparse.Namespace) -> int:
    from thyro_demo.course import publishing, slides

    chapters = slides.find(_NOTEBOOKS, args.chapters)
    old = publishing.stale(chapters, args.out)
    if args.check:
        for name in old:
            print(f"{name}: its code has changed since it was published, or it never was.")
        return STALE if old else 0
    check_writable(args.out, folder=True)
    for path in chapters:
        # One that is asked for by name may show a table that has changed.
        if path.name in old or args.chapters:
            size = publishing.publish(path, args.out)
            print(f"Wrote {args.out / path.name}: {size / 1e6:.1f} MB.")
    total = sum((args.out / path.name).stat().st_size for path in chapters) / 1e6
    print(f"{total:.1f} MB in all, of {publishing.MOST_MB:g} that they may take.")
    return STALE if total > publishing.MOST_MB else 0


def _run(args: argparse.Namespace) -> int:
    from thyro_demo.course import slides, timing

    if (args.mode == "real") != bool(args.data):
        raise ThyroError(
            "Real images are named by --data, for --mode real alone. "
            f"Received: --mode {args.mode}, --data {args.data!r}."
        )
    for path in slides.find(_NOTEBOOKS, args.chapters):
        cell = timing.run(path, args.mode, args.data, args.keep)
        timing.record(timing.number(path), args.mode, cell)
        print(f"{path.name}: {cell}")
    return 0


def _features(args: argparse.Namespace) -> int:
    from thyro_demo.course import hour

    print(f"Wrote {hour.keep()}.")
    return 0
