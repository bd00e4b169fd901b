"""`predict`: score images with every head and draw the overlays."""

from __future__ import annotations

import argparse
import glob
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thyro_demo.bundle.manifest import OPERATING_POINTS
from thyro_demo.cli.results import check_writable, write_json
from thyro_demo.errors import ImageError, ThyroError
from thyro_demo.files import is_unicode, printable

if TYPE_CHECKING:
    from thyro_demo.data.scan_area import Box
    from thyro_demo.engine import Comparison, Engine, Prediction

HELP = "score images with every head of the bundles and draw where each looked"

DEFAULT_FOLDER = Path("out")

_LONGEST = 150  # bytes of the image's part of an overlay's name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image files; a pattern such as '*.png' is expanded",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the results to this file")
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", help="bundles to compare; by default all"
    )
    parser.add_argument(
        "--heads",
        nargs="+",
        metavar="HEAD",
        help="heads to draw: softmax, svm, linear-svm, forest, average; by default all (the table "
        "holds all)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_FOLDER,
        metavar="FOLDER",
        help="where the overlays go, one PNG a head (default: %(default)s)",
    )
    parser.add_argument(
        "--operating-point",
        choices=OPERATING_POINTS,
        default="youden",
        help="threshold that the scores are compared with (default: %(default)s)",
    )
    parser.add_argument(
        "--roi",
        nargs=4,
        type=int,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="box around the nodule, in pixels of the frame, for bundles that read a marked "
        "nodule: they see it and 20 %% of its sides around it, and are left out without it; "
        "all others see the scan area",
    )
    parser.add_argument(
        "--frame",
        type=int,
        default=1,
        metavar="N",
        help="which frame of a loop, a stack or a multi-frame DICOM file (default: %(default)s)",
    )
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder of bundles")


def run(args: argparse.Namespace) -> None:
    """Check all images, then score them, print a table and write overlays and results."""
    from tqdm import tqdm

    from thyro_demo.data.images import load
    from thyro_demo.data.scan_area import Box, crop
    from thyro_demo.engine import NOTICE, Engine

    check_writable(args.out, folder=True)
    if args.json is not None:
        check_writable(args.json, folder=False)
    roi = None if args.roi is None else Box(*args.roi)
    paths = _expanded(args.images)
    for path in paths:
        pixels = load(path, args.frame).pixels
        if roi is not None:
            crop(pixels, roi)
    engine = Engine(args.weights)
    models = engine.choose(args.models)
    maps = _maps(engine, models, args.heads)
    engine.warm_up(models)
    results = []
    progress = tqdm(paths, "Scoring", unit="image", disable=len(paths) == 1 or None)
    for path, stem in zip(progress, _stems(paths), strict=True):
        frame = load(path, args.frame)
        comparison = engine.compare(frame, models, maps, roi, args.operating_point)
        overlays = _write_overlays(comparison, args.out, stem)
        numbered = {"frame": frame.number, "frames": frame.count}
        results.append({"path": path, **numbered, **_with_overlays(comparison, overlays)})
        which = f"{path}, frame {frame.number} of {frame.count}" if frame.count > 1 else path
        tqdm.write(_table(which, comparison, engine))
    print(f"Overlays of {', '.join(maps)}: {args.out}\n{NOTICE}")
    if args.json is not None:
        write_json(
            args.json,
            {"notice": NOTICE, "operating_point": args.operating_point, "images": results},
        )


def _maps(engine: Engine, models: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    """Name the heads to draw: those asked for, else all that a chosen bundle has."""
    known = list(dict.fromkeys(head for name in models for head in engine.heads(name)))
    for head in asked or ():
        if head not in known:
            raise ThyroError(
                f"The head must be one of {', '.join(known)}. Received: head={head!r}."
            )
    return list(asked or known)


def _expanded(asked: Sequence[str]) -> list[str]:
    """Replace patterns by the files that they match: not every shell does so itself."""
    paths = []
    for path in asked:
        # A member of an archive is not looked for.
        if os.path.exists(path.partition("::")[0]) or not glob.has_magic(path):
            found = [path]
        else:
            found = sorted(file for file in glob.glob(path, recursive=True) if os.path.isfile(file))
        if not found:
            raise ImageError(f"A pattern must match at least one file. Received: {path!r}.")
        paths += found
    if strange := [path for path in paths if not is_unicode(path)]:
        raise ImageError(
            "The name of an image must be Unicode (UTF-8); rename the file. "
            f"Received: {printable(strange[0])}."
        )
    return paths


def _stems(paths: Sequence[str]) -> list[str]:
    """Name the overlays after their images, and number images of one name."""
    stems: list[str] = []
    taken: set[str] = set()
    for path in paths:
        stem = name = _short(Path(path.rpartition("::")[2]).stem)
        # An image may itself be called what the second of a name would be.
        numbers = itertools.count(2)
        # Lower case: on some systems Frame.png and frame.png would be one file.
        while name.lower() in taken:
            name = f"{stem}-{next(numbers)}"
        taken.add(name.lower())
        stems.append(name)
    return stems


def _short(stem: str) -> str:
    """Cut a name to which those of model and head are added, and no system takes over 255 bytes."""
    held = os.fsencode(stem)
    return stem if len(held) <= _LONGEST else held[:_LONGEST].decode(errors="ignore")


def _write_overlays(comparison: Comparison, folder: Path, stem: str) -> dict[tuple[str, str], Path]:
    """Write one PNG for each map, and return them by model and head."""
    from PIL import Image

    from thyro_demo.explain.overlay import overlay
    from thyro_demo.files import atomic_write

    written = {}
    for one in comparison.predictions:
        if one.heatmap is not None:
            path = folder / f"{stem}-{one.model}-{one.head}.png"
            with atomic_write(path) as temporary:
                Image.fromarray(overlay(comparison.frame, one.heatmap)).save(temporary)
            written[one.model, one.head] = path
    return written


def _with_overlays(comparison: Comparison, overlays: dict[tuple[str, str], Path]) -> dict[str, Any]:
    content = comparison.to_dict()
    for one in content["predictions"]:
        path = overlays.get((one["model"], one["head"]))
        one["overlay"] = None if path is None else path.as_posix()
    return content


def _row(one: Prediction) -> str:
    score, threshold = one.rounded(3)
    side = "above" if one.positive else "below"
    return f"{one.head:<10}  {score:>11}  {threshold:>9}  {side}  {one.milliseconds:>4.0f}"


def _table(which: str, comparison: Comparison, engine: Engine) -> str:
    """Lay out the predictions for one image, notices first."""
    height, width = comparison.frame.shape[:2]
    area = f"scan area {_place(comparison.box)}"
    if comparison.roi is not None:
        area += f", nodule {_place(comparison.roi)}"
    if comparison.spacing is not None:
        across, down = comparison.spacing
        area += f", {across:.3f} × {down:.3f} mm a pixel"
    titles = [engine.title(one.model) for one in comparison.predictions]
    wide = max(map(len, titles))
    rows = [
        f"  {title:<{wide}}  {_row(one)}"
        for title, one in zip(titles, comparison.predictions, strict=True)
    ]
    head = f"  {'model':<{wide}}  {'head':<10}  model score  threshold  side     ms"
    return "\n".join(
        [
            f"{which}: {width} × {height}, {area}",
            *comparison.notices,
            head,
            *rows,
            comparison.agreement,
            "",
        ]
    )


def _place(box: Box) -> str:
    return f"{box.width} × {box.height} at {box.left}, {box.top}"
