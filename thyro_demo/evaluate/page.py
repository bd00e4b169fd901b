"""The page of a report: one HTML file that holds its figures and styles within itself."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from thyro_demo.evaluate.formatting import percent, split_interval, with_interval

METRICS = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "ece": "ECE",
    "brier": "Brier score",
}

MAP_FIGURES = {"dice": "Dice", "pointing": "Pointing", "energy": "Energy"}
"""Figures of a map beside the outline of the nodule, and what a table calls them."""

_AT_THRESHOLD = ("accuracy", "sensitivity", "specificity", "f1")

_CAPTIONS = {
    "roc": (
        "ROC curves",
        "Further up and to the left is better; the dotted diagonal is guessing. Overlap of the "
        "shaded 95 % bands does not show which curve is better; the interval of their difference "
        "does.",
    ),
    "pr": (
        "Precision and recall",
        "Of the images called {positive}, how many are, as more of them are found. The dotted "
        "line is the share of {positive} images here, which guessing reaches too: compare "
        "precision only between sets with the same share.",
    ),
    "calibration": (
        "Calibration",
        "On the diagonal a score of 0.7 means that 7 in 10 such images are {positive}; below "
        "it the score promises too much, above it too little. The histogram shows how many "
        "images are behind each point.",
    ),
    "confusion": (
        "Confusion at the threshold",
        "Each row is one label: its images called right on the diagonal, called wrong beside "
        "it. A model that calls nearly everything {positive} has a dark right column.",
    ),
    "sources": (
        "Scores by source",
        "Each dot is an image, each box the middle half, the dashed line the threshold. If "
        "whole sources are apart, whatever the label, the model has learned where an image "
        "comes from.",
    ),
}

STYLE = "\n" + Path(__file__).with_name("page.css").read_text(encoding="utf-8")
"""Style sheet of every page of figures: light and dark, readable on a phone."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)


def render(title: str, summary: Mapping[str, Any], figures: Mapping[str, bytes]) -> str:
    """Render the summary of a report and its PNG files as one HTML document that needs no other."""
    found = summary.get("localisation")
    pictures = [
        (heading, sentence.format(positive=summary["positive"]), base64.b64encode(png).decode())
        for (heading, sentence), png in ((_CAPTIONS[name], png) for name, png in figures.items())
    ]
    return _TEMPLATES.get_template("page.html.jinja").render(
        title=title,
        style=STYLE,
        summary=summary,
        heads=summary["heads"],
        sources=next(iter(summary["heads"].values()))["by_source"],
        metrics=METRICS,
        at_threshold=[METRICS[key] for key in _AT_THRESHOLD],
        level=percent(summary["interval"]["level"]),
        found=found,
        map_figures=MAP_FIGURES,
        map_rows=map_rows(found) if found and found["n"] else [],
        map_notes=" ".join(map_notes(found)) if found else "",
        pictures=pictures,
        cell=_cell,
        undefined=dict.fromkeys(("value", "low", "high")),
    )


def _cell(figure: Mapping[str, float | None], decimals: int = 2) -> tuple[str, str]:
    """Split a figure into its value and the bracket that a cell sets below it."""
    value, bracket, _ = split_interval(with_interval(figure, decimals))
    return value, bracket


def map_rows(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """List the maps of a summary of maps with their figures.

    Parameters
    ----------
    found : mapping
        What `explain.localise_records.summarise` returns, with ``n`` above 0.

    Returns
    -------
    list of (str, mapping)
        Name and figures of the nodule map, where there is one, each head, and what they are held
        against: the Gaussian, and each head's map on the outline of another case.
    """
    nodule = [("nodule map", found["nodule"])] if "nodule" in found else []
    shuffled = [
        (f"{head}, outline of another case", figures)
        for head, figures in found.get("shuffled", {}).items()
    ]
    return [*nodule, *found["heads"].items(), ("Gaussian", found["gaussian"]), *shuffled]


def map_notes(found: Mapping[str, Any]) -> list[str]:
    """Report on which images no map was measured, and what a nodule map does without a nodule.

    Parameters
    ----------
    found : mapping
        What `explain.localise_records.summarise` returns.

    Returns
    -------
    list of str
        Sentences.
    """
    notes = []
    if kept := found["kept_apart"]:
        notes.append(
            f"{kept:,} images are kept apart from the figures of maps: where their nodule is was "
            "learned in training."
        )
    empty = found["empty"]
    if "below" in empty:
        notes.append(
            f"On {empty['n']:,} images without a nodule the nodule map stays below its threshold "
            f"of {empty['threshold']:.2f} on a share of {with_interval(empty['below'])}."
        )
    elif empty["n"]:
        notes.append(f"{empty['n']:,} images show no nodule; no heatmap is measured on them.")
    if bare := found["without_outline"]:
        notes.append(f"{bare:,} images have no outline.")
    return notes
