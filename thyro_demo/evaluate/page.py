"""The page of a report: one HTML file that holds its figures and styles within itself."""

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

from thyro_demo.evaluate import plots

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

_UNDEFINED = {"value": None, "low": None, "high": None}

_AT_THRESHOLD = ("accuracy", "sensitivity", "specificity", "f1")

_CAPTIONS = {
    "roc": (
        "ROC curves",
        "Further up and to the left is better; the dotted diagonal is guessing. Overlap of the "
        "shaded 95 % bands does not say which curve is better; the interval of their difference "
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
        "it the score promises too much, above it too little. The histogram says how many "
        "images stand behind each point.",
    ),
    "confusion": (
        "Confusion at the threshold",
        "Each row is one label: its images called right on the diagonal, called wrong beside "
        "it. A model that calls nearly everything {positive} has a dark right column.",
    ),
    "sources": (
        "Scores by source",
        "Each dot is an image, each box the middle half, the dashed line the threshold. If "
        "whole sources lie apart, whatever the label, the model has learned where an image "
        "comes from.",
    ),
}

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --quiet: #666; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aaa; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 68rem; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; max-width: 44rem; }
.note { border-left: 4px solid #D55E00; background: var(--soft); padding: .5rem .8rem; }
.quiet, figcaption span, td small, th small { color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .5rem; text-align: left;
  vertical-align: top; }
td small, th small { display: block; font-size: .75rem; font-weight: normal;
  white-space: nowrap; }
tr > :first-child { position: sticky; left: 0; background: Canvas; }
@media (max-width: 30rem) {
  table { font-size: .875rem; }
  th, td { padding: .35rem .3rem; }
  td small, th small { font-size: .7rem; }
}
.figures { display: grid; gap: 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
figure { margin: 0; }
figure img { background: #fff; border: 1px solid var(--line); border-radius: 8px;
  display: block; height: auto; max-width: 30rem; width: 100%; box-sizing: border-box; }
figcaption { max-width: 30rem; margin-bottom: .5rem; }
figcaption b { display: block; }
summary { cursor: pointer; padding: .5rem 0; }
"""
"""Style sheet of every page of figures: light and dark, readable on a phone."""


def render(title: str, summary: Mapping[str, Any], figures: Mapping[str, bytes]) -> str:
    """Render the report.

    Parameters
    ----------
    title : str
        Heading of the page.
    summary : mapping
        What `report.summarise` returns.
    figures : mapping of str to bytes
        PNG files by the names in `plots.FIGURES`.

    Returns
    -------
    str
        A whole HTML document without a reference to any other file or host.
    """
    images = "\n".join(_figure(name, png, summary) for name, png in figures.items())
    details = "\n".join(_details(head, summary) for head in summary["heads"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="note"><b>Teaching and research only.</b> These numbers describe a model on one set
of images. They are no statement about any patient.</p>
{_provenance(summary)}
<h2>All images</h2>
{_overall(summary)}
<h2>AUROC within each source</h2>
<p>A model that does well over all images but not within a source has learned the source,
not the nodule.</p>
{_by_source(summary)}
{_differences(summary)}
{_maps(summary)}
<h2>Figures</h2>
<div class="figures">
{images}
</div>
<h2>Every figure within each source</h2>
{details}
<h2>How to read the numbers</h2>
{_notes(summary)}
</main>
</body>
</html>
"""


def _provenance(summary: Mapping[str, Any]) -> str:
    groups = f" from {summary['groups']:,} groups" if summary["groups"] is not None else ""
    bundle = f"Bundle: {escape(summary['bundle'])}. " if summary["bundle"] else ""
    unit = (
        "groups (patient, case or cluster of near copies), because images of one group "
        "resemble each other"
        if summary["unit"] == "group"
        else "single images, because the set names no groups: if it holds several images of "
        "a patient, the intervals are too narrow"
    )
    return (
        f"<p>{bundle}Split: <b>{escape(summary['split'])}</b>. <b>{summary['n']:,} images</b>"
        f"{groups}, {summary['positives']:,} of them {escape(summary['positive'])}. "
        f"In brackets: 95 % intervals from {summary['interval']['resamples']:,} bootstrap "
        f"resamples of {unit}.</p>"
    )


def _overall(summary: Mapping[str, Any]) -> str:
    heads = summary["heads"]
    top = "".join(f"<th scope=col>{escape(head)}{_threshold(heads[head])}</th>" for head in heads)
    rows = "\n".join(
        f"<tr><th scope=row>{name}</th>"
        + "".join(_cell(heads[head][key]) for head in heads)
        + "</tr>"
        for key, name in METRICS.items()
    )
    return f'<div class="wide"><table><tr><th></th>{top}</tr>\n{rows}\n</table></div>'


def _by_source(summary: Mapping[str, Any]) -> str:
    heads = summary["heads"]
    top = "".join(f"<th scope=col>{escape(head)}</th>" for head in heads)
    everything = "".join(_cell(heads[head]["auroc"]) for head in heads)
    rows = [f"<tr><th scope=row>All<small>{summary['n']:,} images</small></th>{everything}</tr>"]
    for source, part in next(iter(heads.values()))["by_source"].items():
        cells = "".join(_cell(heads[head]["by_source"][source]["auroc"]) for head in heads)
        share = f"{part['n']:,} images<br>{part['positives'] / part['n']:.0%} positive"
        rows.append(f"<tr><th scope=row>{escape(source)}<small>{share}</small></th>{cells}</tr>")
    return (
        f'<div class="wide"><table><tr><th></th>{top}</tr>\n' + "\n".join(rows) + "\n</table></div>"
    )


def _differences(summary: Mapping[str, Any]) -> str:
    if not summary["auroc_differences"]:
        return ""
    rows = "\n".join(
        f"<tr><th scope=row>{escape(pair['a'])} − {escape(pair['b'])}</th>"
        f"{_cell(pair, decimals=3)}</tr>"
        for pair in summary["auroc_differences"]
    )
    return f"""<h2>Which head ranks better</h2>
<p>AUROC of the first minus that of the second, on the same images and resamples. An interval
that holds 0 does not settle it.</p>
<div class="wide"><table>{rows}</table></div>"""


def map_rows(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """List the maps of a summary of maps with their figures.

    Parameters
    ----------
    found : mapping
        What `explain.located.summarise` returns, with ``n`` above 0.

    Returns
    -------
    list of (str, mapping)
        Name and figures of the nodule map, where there is one, each head, and the Gaussian.
    """
    nodule = [("nodule map", found["nodule"])] if "nodule" in found else []
    return [*nodule, *found["heads"].items(), ("Gaussian", found["gaussian"])]


def map_notes(found: Mapping[str, Any]) -> list[str]:
    """Say on which images no map was measured, and what a nodule map does without a nodule.

    Parameters
    ----------
    found : mapping
        What `explain.located.summarise` returns.

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
            f"of {empty['threshold']:.2f} on a share of {plots.with_interval(empty['below'])}."
        )
    elif empty["n"]:
        notes.append(f"{empty['n']:,} images show no nodule; no heatmap is measured on them.")
    if bare := found["without_outline"]:
        notes.append(f"{bare:,} images have no outline.")
    return notes


def _maps(summary: Mapping[str, Any]) -> str:
    found = summary.get("localisation")
    if found is None:
        return ""
    notes = " ".join(map_notes(found))
    if not found["n"]:
        return f"<h2>Where the maps lie</h2>\n<p>{notes}</p>"
    top = "".join(f"<th scope=col>{name}</th>" for name in MAP_FIGURES.values())
    rows = "\n".join(
        f"<tr><th scope=row>{escape(name)}</th>"
        + "".join(_cell(figures.get(key, _UNDEFINED)) for key in MAP_FIGURES)
        + "</tr>"
        for name, figures in map_rows(found)
    )
    groups = f" from {found['groups']:,} groups" if found["groups"] is not None else ""
    return f"""<h2>Where the maps lie</h2>
<p>On <b>{found["n"]:,} images</b>{groups} with an outlined nodule, within the scan area. Dice:
overlap of the nodule map and the outline. Pointing: how often the maximum of the map lies on the
nodule. Energy: what share of the map does. The Gaussian at the centre has seen no image.</p>
<p>{notes}</p>
<div class="wide"><table><tr><th></th>{top}</tr>
{rows}
</table></div>"""


def _details(head: str, summary: Mapping[str, Any]) -> str:
    sources = summary["heads"][head]["by_source"]
    top = "".join(
        f"<th scope=col>{escape(source)}<small>{part['n']:,} images</small></th>"
        for source, part in sources.items()
    )
    rows = "\n".join(
        f"<tr><th scope=row>{name}</th>"
        + "".join(_cell(part[key]) for part in sources.values())
        + "</tr>"
        for key, name in METRICS.items()
    )
    return (
        f"<details><summary>{escape(head)}</summary>"
        f'<div class="wide"><table><tr><th></th>{top}</tr>\n{rows}\n</table></div></details>'
    )


def _figure(name: str, png: bytes, summary: Mapping[str, Any]) -> str:
    heading, sentence = _CAPTIONS[name]
    sentence = sentence.format(positive=summary["positive"])
    encoded = base64.b64encode(png).decode("ascii")
    return (
        f"<figure><figcaption><b>{heading}</b><span>{escape(sentence)}</span></figcaption>"
        f'<img alt="{heading}. {escape(sentence)}" src="data:image/png;base64,{encoded}">'
        "</figure>"
    )


def _cell(figure: Mapping[str, float | None], decimals: int = 2) -> str:
    value, *bracket = plots.with_interval(figure, decimals).split(" ", 1)
    interval = f"<small>{bracket[0]}</small>" if bracket else ""
    return f"<td>{value}{interval}</td>"


def _threshold(head: Mapping[str, Any]) -> str:
    threshold = head["threshold"]
    return f"<small>{'no threshold' if threshold is None else f'≥ {threshold:.3f}'}</small>"


def _notes(summary: Mapping[str, Any]) -> str:
    named = [METRICS[key] for key in _AT_THRESHOLD]
    at_threshold = f"{', '.join(named[:-1])} and {named[-1]}"
    level = f"{summary['interval']['level']:.0%}".replace("%", " %")
    return f"""<p>{at_threshold} hold at the threshold under each
head's name, an image being positive when its model score is at or above it. The threshold was
given to this report, which chooses none on the images it reports.</p>
<p>Intervals are the middle {level} of the resamples (percentile method, seed
{summary["interval"]["seed"]}). One of no width means that no error was seen, not that there is
none. ECE uses ten bins of equal width; chance alone raises it in few images, and its interval
may lie above its value.</p>
<p>– is undefined: a single class, a single group, or no threshold. Every number can be
recomputed from predictions.csv; report.json holds them all in full.</p>"""
