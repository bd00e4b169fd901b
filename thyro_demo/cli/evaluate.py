"""``python -m thyro_demo evaluate``: measure a bundle on a folder of labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thyro_demo.cli.results import check_writable, write_json
from thyro_demo.errors import DataError
from thyro_demo.models.manifest import OPERATING_POINTS

if TYPE_CHECKING:
    import pandas as pd

    from thyro_demo.models.bundle import Bundle
    from thyro_demo.models.ensemble import Ensemble

HELP = "measure every head of a bundle on a folder of labelled images"

_NO_LABEL = "no label"
_NO_NODULE = "no outlined nodule"
_NAMED = 5
_SHOWN = ("auroc", "sensitivity", "specificity", "brier")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The parser of this command.
    """
    parser.add_argument("bundle", metavar="BUNDLE", help="name or folder of a bundle")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="images with an index.csv (path, label, group, source; for a bundle that reads a "
        "marked nodule also roi: left top right bottom), or a public set as published",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures to this file")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write figures, plots and one page to a folder"
    )
    parser.add_argument(
        "--image-level",
        action="store_true",
        help="count each image as one case: needed for sets that name no groups",
    )
    parser.add_argument(
        "--operating-point",
        choices=OPERATING_POINTS,
        default="youden",
        help="threshold the scores are read at (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Score the folder, keep training images apart, and report.

    Parameters
    ----------
    args : argparse.Namespace
        The options of `add_arguments`.

    Raises
    ------
    ThyroError
        If the bundle or the folder cannot be read, an image is unreadable, no image has a
        label of the bundle or the outline of a nodule that it needs, the set names no
        groups and ``--image-level`` is missing, or a result cannot be written where it
        should go. Nothing is written then.
    """
    from thyro_demo.data import datasets
    from thyro_demo.evaluate import report
    from thyro_demo.models import manifest

    for path, is_folder in ((args.json, False), (args.report, True)):
        if path is not None:
            check_writable(path, is_folder)
    if args.report is not None:
        report.check_place(args.report)
    folder = _bundle_folder(args.bundle)
    facts = manifest.read_manifest(folder)
    known, left_out = _labelled(datasets.load(args.data), facts["classes"])
    records = _grouped(known, args.image_level)
    if manifest.kind(facts) == "roi":
        records, left_out = _outlined(records, left_out)

    from thyro_demo.engine import score_records
    from thyro_demo.models import ensemble, provenance

    judged = ensemble.load_any(folder)
    predictions = score_records(judged, records)
    manifests = [judged.manifest, *(network.manifest for network in judged.networks)]
    # Groups say which phantoms were trained on, also where each image is to count as one case.
    trained = known.loc[provenance.seen(known, manifests), "path"]
    seen = predictions["path"].isin(trained)
    thresholds = {head: points[args.operating_point] for head, points in judged.thresholds.items()}
    content = _figures(judged, predictions[~seen], thresholds, args.report)
    content["operating_point"] = args.operating_point
    content["left_out"] = left_out
    content["without_group"] = 0 if args.image_level else int(records["group"].isna().sum())
    content["training_images"] = _training_figures(judged, predictions[seen], thresholds)
    print("\n".join(_lines(content, args)))
    if args.json is not None:
        write_json(args.json, content)


def _bundle_folder(asked: str) -> Path:
    from thyro_demo.models import manifest

    if Path(asked).is_dir():
        return Path(asked)
    known = manifest.names()
    if asked not in known:
        raise DataError(
            f"A bundle has to be a folder, or one of {', '.join(known) or 'none in weights'}. "
            f"Received: {asked!r}."
        )
    return manifest.weights_root() / asked


def _labelled(records: pd.DataFrame, classes: list[str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep the images whose label the bundle knows, and count the others by label."""
    known = records["label"].isin(classes)
    others = records["label"][~known].fillna(_NO_LABEL).value_counts()
    if not known.any():
        first = ", ".join(map(str, others.index[:_NAMED])) + ", …" * (len(others) > _NAMED)
        raise DataError(
            f"Images have to be labelled {' or '.join(classes)} to measure this bundle. "
            f"Received: {first}."
        )
    counts = {str(label): int(count) for label, count in others.items()}
    return records[known].reset_index(drop=True), counts


def _grouped(records: pd.DataFrame, image_level: bool) -> pd.DataFrame:
    """Keep the groups, or drop them where each image is to count as one case."""
    if image_level:
        return records.assign(group=None)
    if records["group"].isna().all():
        raise DataError(
            "Intervals are drawn over groups (patients, cases), so a set without any needs "
            f"--image-level. Received: {len(records)} images without a group."
        )
    return records


def _outlined(
    records: pd.DataFrame, left_out: dict[str, int]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep the images with an outlined nodule, and count the others."""
    from thyro_demo.data import preprocess

    known = [box is not None for box in preprocess.regions(records)]
    if not any(known):
        raise DataError(
            "A bundle that reads a marked nodule needs images with an outlined one. "
            f"Received: {len(records)} images without."
        )
    lost = len(records) - sum(known)
    counts = left_out | ({_NO_NODULE: lost} if lost else {})
    return records[known].reset_index(drop=True), counts


def _figures(
    judged: Bundle | Ensemble,
    predictions: pd.DataFrame,
    thresholds: dict[str, float],
    folder: Path | None,
) -> dict[str, Any]:
    """Summarise images the bundle was not trained on, and write their report."""
    import json

    from thyro_demo.evaluate import report

    if predictions.empty:
        return {"bundle": judged.name, "n": 0, "unit": None, "heads": {}}
    known: dict[str, Any] = {"bundle": judged.name, "split": "images outside the training set"}
    positive = judged.classes[-1]
    if folder is None:
        return report.summarise(predictions, thresholds, positive, **known)
    page = report.write(predictions, thresholds, folder, judged.title, positive, **known)
    return json.loads((page.parent / "report.json").read_text(encoding="utf-8"))


def _training_figures(
    judged: Bundle | Ensemble, predictions: pd.DataFrame, thresholds: dict[str, float]
) -> dict[str, Any]:
    """Summarise training images: what they score says nothing of other images."""
    from thyro_demo.evaluate import report

    if predictions.empty:
        return {"n": 0, "heads": {}}
    summary = report.summarise(
        predictions, thresholds, judged.classes[-1], bundle=judged.name, split="training images"
    )
    return {key: summary[key] for key in ("n", "unit", "split", "heads")}


def _lines(content: dict[str, Any], args: argparse.Namespace) -> list[str]:
    """Say what was measured, on what, and what was kept apart."""
    from thyro_demo.engine import NOTICE

    training = content["training_images"]["n"]
    lines = [
        f"Left out, as this bundle is not meant for them: {count} images with {what}."
        for what, count in content["left_out"].items()
    ]
    if training:
        lines.append(
            f"{training} of the images are training images of {content['bundle']}: "
            "they are reported apart and say nothing of other images."
        )
    if not content["n"]:
        lines.append("No image is left that the bundle was not trained on: nothing is measured.")
        return [*lines, NOTICE]
    if content["without_group"]:
        lines.append(
            f"{content['without_group']} images have no group; each of them counts as a case of "
            "its own."
        )
    cases = f", {content['groups']} groups" if content["groups"] else ""
    lines.append(
        f"{content['bundle']} on {content['n']} images{cases}; 95 % intervals by "
        f"{content['unit']}, threshold {args.operating_point}."
    )
    lines.append(f"  {'head':<12}" + "".join(f"{name:>22}" for name in _SHOWN))
    lines += [
        f"  {head:<12}" + "".join(f"{_interval(figures[name]):>22}" for name in _SHOWN)
        for head, figures in content["heads"].items()
    ]
    if args.report is not None:
        lines.append(f"Report: {args.report / 'index.html'}")
    return [*lines, NOTICE]


def _interval(figure: dict[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "undefined"
    if low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f}–{high:.3f})"
