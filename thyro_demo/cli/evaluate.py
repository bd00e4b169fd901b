"""`evaluate`: measure a bundle on labelled or outlined images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from thyro_demo.bundle.manifest import OPERATING_POINTS
from thyro_demo.cli.results import check_writable, write_json
from thyro_demo.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from thyro_demo.bundle.bundle import Bundle
    from thyro_demo.bundle.ensemble import Ensemble

HELP = "measure every head and map of a bundle on a folder of images"

_NO_LABEL = "no label"
_NO_NODULE = "no outlined nodule"
_NAMED = 5
_SHOWN = ("auroc", "sensitivity", "specificity", "brier")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="name or folder of a bundle")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="images with an index.csv (path, label, group, source, mask_path; for a bundle that "
        "reads a marked nodule also roi: left top right bottom), or a public set as published",
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
        help="threshold that the scores are compared with (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Score the folder, measure maps on outlined nodules, and keep training images apart."""
    from thyro_demo.bundle import manifest
    from thyro_demo.evaluate import report

    for path, is_folder in ((args.json, False), (args.report, True)):
        if path is not None:
            check_writable(path, is_folder)
    if args.report is not None:
        report.check_place(args.report)
    folder = _bundle_folder(args.bundle)
    chosen = _choose(args.data, manifest.read_manifest(folder))
    records = _grouped(chosen.records, args.image_level)

    from thyro_demo.bundle import ensemble, training_set

    judged = ensemble.load_any(folder)
    thresholds = {head: points[args.operating_point] for head, points in judged.thresholds.items()}
    predictions, localisation = _measure(judged, chosen, records, thresholds)
    manifests = [judged.manifest, *(network.manifest for network in judged.networks)]
    # Groups name the phantoms that were trained on, also where each image is to count as one case.
    known = chosen.records[chosen.labelled]
    trained = known.loc[training_set.seen(known, manifests), "path"]
    seen = predictions["path"].isin(trained)
    content = _figures(judged, predictions[~seen], thresholds, localisation, args.report)
    content["operating_point"] = args.operating_point
    content["left_out"] = chosen.left_out
    content["unreadable"] = chosen.unreadable
    content["without_group"] = 0 if args.image_level else int(records["group"].isna().sum())
    content["training_images"] = _training_figures(judged, predictions[seen], thresholds)
    print("\n".join(_lines(content, args)))
    if args.json is not None:
        write_json(args.json, content)


def _bundle_folder(asked: str) -> Path:
    from thyro_demo.bundle import manifest

    if Path(asked).is_dir():
        return Path(asked)
    known = manifest.names()
    if asked not in known:
        raise DataError(
            f"The bundle must be a folder, or one of {', '.join(known) or 'none in weights'}. "
            f"Received: bundle={asked!r}."
        )
    return manifest.weights_root() / asked


class _Chosen(NamedTuple):
    """The images of a set that are measured: with a label of the bundle, or a known nodule."""

    records: pd.DataFrame
    labelled: pd.Series
    left_out: dict[str, int]
    bare: int
    unreadable: int


def _choose(data: Path, facts: dict[str, Any]) -> _Chosen:
    """Choose the images, and count those that are not scored (by label) or have neither."""
    from thyro_demo.bundle import manifest
    from thyro_demo.cli.sets import readable
    from thyro_demo.data import masks
    from thyro_demo.explain import localise_records

    records, unreadable = readable(data)
    labelled = records["label"].isin(facts["classes"])
    others = records["label"][~labelled].fillna(_NO_LABEL).value_counts()
    counts = {str(label): int(count) for label, count in others.items()}
    reads_nodules = manifest.kind(facts) == "roi"
    records = records if reads_nodules else masks.with_outlines(records, data)
    # Of labelled images the outline is read when their maps are measured.
    nodules = localise_records.has_nodule(records[~labelled & (not reads_nodules)])
    if not labelled.any() and not nodules.eq(True).any():
        first = ", ".join(map(str, others.index[:_NAMED])) + ", …" * (len(others) > _NAMED)
        also = "" if reads_nodules else ", or have an outlined nodule,"
        raise DataError(
            f"Images must be labelled {' or '.join(facts['classes'])}{also} to measure this "
            f"bundle. Received: {first}."
        )
    wanted = labelled | nodules.notna().reindex(records.index, fill_value=False)
    kept = records[wanted].reset_index(drop=True)
    if reads_nodules:
        kept, counts = _outlined(kept, counts)
    return _Chosen(
        kept, kept["label"].isin(facts["classes"]), counts, int((~wanted).sum()), unreadable
    )


def _measure(
    judged: Bundle | Ensemble,
    chosen: _Chosen,
    records: pd.DataFrame,
    thresholds: dict[str, float],
) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Score the labelled images, and measure the maps where nobody learned the outline."""
    from thyro_demo.bundle import manifest, training_set
    from thyro_demo.engine import score_records
    from thyro_demo.explain import localise_records

    if manifest.kind(judged.manifest) == "roi":
        return score_records(judged, records), None
    learned = training_set.learned(
        chosen.records, [network.manifest for network in judged.networks]
    )
    needed = chosen.labelled | ~learned
    predictions, found = localise_records.run(judged, records[needed], learned)
    found = found._replace(
        without_outline=found.without_outline + chosen.bare,
        kept_apart=found.kept_apart + int((~needed).sum()),
    )
    scored = predictions["path"].isin(records.loc[chosen.labelled, "path"])
    return predictions[scored], localise_records.summarise(found, judged, thresholds)


def _grouped(records: pd.DataFrame, image_level: bool) -> pd.DataFrame:
    """Keep the groups, or drop them where each image is to count as one case."""
    if image_level:
        return records.assign(group=None)
    if records["group"].isna().all():
        raise DataError(
            "Intervals are drawn over groups (patients, cases): a set without any must be measured "
            f"with --image-level. Received: {len(records)} images without a group."
        )
    return records


def _outlined(
    records: pd.DataFrame, left_out: dict[str, int]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep the images with an outlined nodule, and count the others."""
    from thyro_demo.data.roi import nodule_boxes

    known = [box is not None for box in nodule_boxes(records)]
    if not any(known):
        raise DataError(
            "A bundle that reads a marked nodule must have images with an outlined one. "
            f"Received: {len(records)} images without."
        )
    lost = len(records) - sum(known)
    counts = left_out | ({_NO_NODULE: lost} if lost else {})
    return records[known].reset_index(drop=True), counts


def _figures(
    judged: Bundle | Ensemble,
    predictions: pd.DataFrame,
    thresholds: dict[str, float],
    localisation: dict[str, Any] | None,
    folder: Path | None,
) -> dict[str, Any]:
    """Summarise images the bundle was not trained on, and write their report."""
    import json

    from thyro_demo.evaluate import report

    found = {} if localisation is None else {"localisation": localisation}
    if predictions.empty:
        return {"bundle": judged.name, "n": 0, "unit": None, "heads": {}, **found}
    known: dict[str, Any] = {"bundle": judged.name, "split": "images outside the training set"}
    positive = judged.classes[-1]
    if folder is None:
        return report.summarise(predictions, thresholds, positive, **known) | found
    page = report.write(
        predictions, thresholds, folder, judged.title, positive, more=found, **known
    )
    return json.loads((page.parent / "report.json").read_text(encoding="utf-8"))


def _training_figures(
    judged: Bundle | Ensemble, predictions: pd.DataFrame, thresholds: dict[str, float]
) -> dict[str, Any]:
    """Summarise training images, whose scores mean nothing for other images."""
    from thyro_demo.evaluate import report

    if predictions.empty:
        return {"n": 0, "heads": {}}
    summary = report.summarise(
        predictions, thresholds, judged.classes[-1], bundle=judged.name, split="training images"
    )
    return {key: summary[key] for key in ("n", "unit", "split", "heads")}


def _lines(content: dict[str, Any], args: argparse.Namespace) -> list[str]:
    """Report what was measured, on what, and what was kept apart."""
    from thyro_demo.engine import NOTICE

    lines = [
        f"Not scored, as this bundle is not meant for them: {count} images with {what}."
        for what, count in content["left_out"].items()
    ]
    if content["without_group"]:
        lines.append(
            f"{content['without_group']} images have no group; each of them counts as a case of "
            "its own."
        )
    lines += _score_lines(content, args)
    if "localisation" in content:
        lines += _map_lines(content["localisation"])
    if args.report is not None and content["n"]:
        lines.append(f"Report: {args.report / 'index.html'}")
    return [*lines, NOTICE]


def _score_lines(content: dict[str, Any], args: argparse.Namespace) -> list[str]:
    """Write the table of scores."""
    training = content["training_images"]["n"]
    lines = []
    if training:
        lines.append(
            f"{training} of the images are training images of {content['bundle']}: "
            "they are reported apart and mean nothing for other images."
        )
        if not content["n"]:
            lines.append(
                "No other image has a label of the bundle: nothing is measured of its scores."
            )
    if not content["n"]:
        return lines
    lines.append(
        f"{content['bundle']} on {content['n']} images{_groups(content)}; 95 % intervals by "
        f"{content['unit']}, threshold {args.operating_point}."
    )
    lines.append(f"  {'head':<12}" + "".join(f"{name:>22}" for name in _SHOWN))
    return lines + [
        f"  {head:<12}" + "".join(f"{_interval(figures[name]):>22}" for name in _SHOWN)
        for head, figures in content["heads"].items()
    ]


def _map_lines(found: dict[str, Any]) -> list[str]:
    """Write the table of maps beside the outline of the nodule."""
    from thyro_demo.evaluate import page

    lines = []
    if found["n"]:
        lines.append(
            f"Maps beside the outline of the nodule on {found['n']} images{_groups(found)}; 95 % "
            f"intervals by {found['unit']}."
        )
        lines.append(f"  {'map':<12}" + "".join(f"{name:>22}" for name in page.MAP_FIGURES))
        lines += [
            f"  {name:<12}"
            + "".join(
                f"{_interval(figures[key]) if key in figures else '–':>22}"
                for key in page.MAP_FIGURES
            )
            for name, figures in page.map_rows(found)
        ]
    return lines + page.map_notes(found)


def _groups(content: dict[str, Any]) -> str:
    return f", {content['groups']} groups" if content["groups"] else ""


def _interval(figure: dict[str, float | None]) -> str:
    from thyro_demo.evaluate.formatting import with_interval

    return with_interval(figure, 3, dashes=False)
