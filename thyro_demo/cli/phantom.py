"""``phantom``: draw seeded thyroid phantoms into a folder, or a contact sheet of them."""

import argparse
from typing import Any

HELP = "draw seeded ultrasound phantoms with masks, features and labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "out",
        nargs="?",
        metavar="OUT",
        help="folder for frames/, masks/ and index.csv; may be left out with --contact-sheet",
    )
    parser.add_argument("--patients", type=int, default=100, help="patients (default: 100)")
    parser.add_argument("--frames", type=int, default=2, help="frames a patient (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the cohort (default: 0)")
    parser.add_argument(
        "--texture",
        action="store_true",
        help="glands without nodules, normal against autoimmune, in place of nodules",
    )
    parser.add_argument(
        "--plant-shortcut",
        metavar="CLASS",
        help="print the scanner's border, scale, text and icon on frames of this label alone",
    )
    parser.add_argument(
        "--contact-sheet",
        metavar="FILE",
        help="write a PNG of frames with their features: the first 12 patients of the cohort, or, "
        "without OUT, the examples and pitfalls of the page",
    )


def run(args: argparse.Namespace) -> int:
    """Draw what the options ask for."""
    import os
    from pathlib import Path

    from thyro_demo.cli.results import check_writable
    from thyro_demo.data.phantom import cohort, write
    from thyro_demo.errors import DataError

    if args.out is None and args.contact_sheet is None:
        raise DataError(
            "phantom must have a folder OUT, --contact-sheet FILE or both. Received: neither."
        )
    if None not in (args.out, args.contact_sheet) and Path(
        args.contact_sheet
    ).resolve().is_relative_to(Path(args.out).resolve()):
        raise DataError(
            "A contact sheet must be beside the folder OUT, which holds phantoms alone. "
            f"Received: {args.contact_sheet}, in {args.out}."
        )
    for path, is_folder in ((args.contact_sheet, False), (args.out, True)):
        if path is not None:
            check_writable(Path(path), is_folder)
    options = {
        "seed": args.seed,
        "diffuse": args.texture,
        "scanner_on": None if args.plant_shortcut is None else (args.plant_shortcut,),
        "workers": min(4, os.cpu_count() or 1),
    }
    if args.out is not None:
        total = args.patients * args.frames
        folder = write(cohort(args.patients, args.frames, **options), args.out, total)
        print(f"{total} frames: {folder}")
    if args.contact_sheet is not None:
        _write_sheet(args, options)
    return 0


def _write_sheet(args: argparse.Namespace, options: dict[str, Any]) -> None:
    from PIL import Image

    from thyro_demo.data.phantom import EXAMPLES, PITFALLS, cohort, contact_sheet, example
    from thyro_demo.files import atomic_write

    if args.out is None:
        frames = [example(name) for name in (*EXAMPLES, *PITFALLS)]
    else:
        frames = list(cohort(min(12, args.patients), 1, **options))
    sheet = contact_sheet(frames, columns=5 if args.out is None else 4)
    with atomic_write(args.contact_sheet) as path:
        Image.fromarray(sheet).save(path, format="PNG")
    print(f"Contact sheet: {args.contact_sheet}")
