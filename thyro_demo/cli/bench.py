"""`bench`: measure speed beside each peer, and what strangers can do."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from thyro_demo.cli.results import check_writable, write_json

if TYPE_CHECKING:
    from thyro_demo.bench.figures import Outcome

HELP = "measure speed and trust, each figure against its target"

BENCHES = ("compare", "train", "phantom", "concat", "start", "play", "trust")

MISSED = 1
"""Exit code of ``--check`` when a target is missed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "bench",
        choices=(*BENCHES, "all"),
        help="compare: one image through three networks; train: a frozen stage; phantom: frames "
        "a second; concat: SVMs on every concatenation of six networks; start: from the "
        "command to the first comparison; play: frames a second of the playground; trust: "
        "bad inputs, faults, attacks and a crowd",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when a target is missed or not measured"
    )
    parser.add_argument(
        "--rounds",
        type=_count,
        metavar="N",
        help="repetitions of both sides, in turns; each bench has its own number",
    )
    parser.add_argument(
        "--peer-epochs",
        type=_count,
        default=3,
        metavar="N",
        help="epochs of the plain loop that train measures, the others being extrapolated "
        "(default: %(default)s; 20 measures all)",
    )
    parser.add_argument(
        "--peer-subsets",
        type=_count,
        default=2,
        metavar="N",
        help="concatenations that scikit-learn's search fits in concat, the others being "
        "extrapolated (default: %(default)s; 57 measures all)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="folder of bundles that start, play and trust open",
    )
    parser.add_argument(
        "--fast", action="store_true", help="let the crowd of trust stay 20 s in place of 5 minutes"
    )


def run(args: argparse.Namespace) -> int:
    """Run benches, print their tables and write their figures; 1 if `--check` finds one missed."""
    from thyro_demo.bench.figures import host
    from thyro_demo.errors import ThyroError

    if args.json is not None:
        check_writable(args.json, folder=False)
    if args.weights is not None and not args.weights.is_dir():
        raise ThyroError(f"--weights must name a folder of bundles. Received: {args.weights}.")
    facts = host()
    outcomes = []
    for name in BENCHES if args.bench == "all" else (args.bench,):
        outcomes.append(_measure(name, args))
        print(f"\n{outcomes[-1].table()}\n", flush=True)
    met = all(outcome.met for outcome in outcomes)
    print(f"{facts['cores']} cores, load {facts['load']} before the run.")
    if args.json is not None:
        benches = [outcome.to_dict() for outcome in outcomes]
        write_json(args.json, {"met": met, "host": facts, "benches": benches})
        print(f"Figures: {args.json}")
    return MISSED if args.check and not met else 0


def _measure(name: str, args: argparse.Namespace) -> Outcome:
    """Run one bench; each imports its own heavy packages, `start` none of them."""
    rounds = {} if args.rounds is None else {"rounds": args.rounds}
    if name == "compare":
        from thyro_demo.bench import compare

        return compare.run(**rounds)
    if name == "train":
        from thyro_demo.bench import train

        return train.run(peer_epochs=args.peer_epochs, **rounds)
    if name == "phantom":
        from thyro_demo.bench import phantom

        return phantom.run(**rounds)
    if name == "concat":
        from thyro_demo.bench import concat

        return concat.run(peer_subsets=args.peer_subsets, **rounds)
    if name == "play":
        from thyro_demo.bench import play

        return play.run(weights=args.weights, **rounds)
    if name == "trust":
        from thyro_demo.bench import trust

        return trust.run(weights=args.weights, fast=args.fast)
    from thyro_demo.bench import start

    return start.run(weights=args.weights, **rounds)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more. Received: {text}")
    return count
