"""Model cards: what a bundle is, what it was trained on, how it did, where it fails."""

from typing import Any

from thyro_demo.evaluate import intervals
from thyro_demo.models import checklists

SOURCES = {
    "ddti": "DDTI frames (560×360)",
    "web300": "300×225 frames",
    "other": "the rest",
}
"""How readers are told of the sources of the public thyroid set, in the order of tables."""


_EARLIER = {
    "natural-64": "Natural images: Tiny ImageNet. ",
    "radiographs": "Radiographs: the COVID-19 Radiography Database and the paediatric pneumonia "
    "set\nof Kermany et al. (2018). ",
    "phantoms": "Phantoms: frames drawn by this project. ",
}
"""What the stages before the last are trained on, by name."""


def _figure(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "undefined"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


def _what(manifest: dict[str, Any]) -> str:
    """Say what a bundle reads and with which heads."""
    heads = ", ".join(manifest["heads"])
    if "members" in manifest:
        names = ", ".join(f"`{member['name']}`" for member in manifest["members"])
        return (
            f"{manifest['title']} has no network of its own. It joins the bundles {names}, which "
            f"lie beside it,\nwith the heads {heads}: a machine on their pooled features, one "
            "after the other, and the\naverage of the scores of their own machines."
        )
    seen = "the nodule marked on it" if manifest.get("region") == "roi" else "its scan area"
    side = manifest["input_size"]
    return (
        f"{manifest['title']} scores one thyroid ultrasound frame, cropped to {seen} and resized\n"
        f"to {side} × {side} pixels, with the heads\n{heads}."
    )


def _chain(manifest: dict[str, Any]) -> str:
    rows = manifest["chain"]
    if not rows:
        return "How its members were trained is told by their own cards."
    lines = [
        "| Stage | Trained | Input | Classes | Images | Phantoms | Epochs | Correct, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        # The stage of this name is trained on nothing else.
        real, drawn = row["images"], row.get("phantoms", 0)
        if row["stage"] == "phantoms":
            real, drawn = 0, real
        lines.append(
            f"| {row['stage']} | {row['trained']} | {row['input size']} px | {row['classes']} | "
            f"{real:,} | {drawn:,} | {row['epochs']} | {_accuracy(row)} |"
        )
    return "\n".join([*lines, "", _VALIDATION])


_VALIDATION = (
    "Correct: accuracy on images of that stage that were set aside in whole groups. The epoch "
    "was chosen by their\nloss, which flatters a little; 95 % intervals by image (Wilson 1927)."
)


def _accuracy(row: dict[str, Any]) -> str:
    """Write the validation accuracy of a stage with its interval and the count behind it."""
    accuracy, count = row.get("validation accuracy"), row.get("validation images")
    if accuracy is None or not count:
        return "–"
    found = intervals.share(round(accuracy * count), count)
    return f"{100 * accuracy:.1f} ({100 * found.low:.1f}–{100 * found.high:.1f}) of {count:,}"


def _ranking(summary: dict[str, Any]) -> str:
    """Table of AUROC overall and within each source."""
    heads = summary["heads"]
    sources = list(next(iter(heads.values()))["by_source"])
    titles = [SOURCES.get(source, source) for source in sources]
    lines = [
        f"| Head | All ({summary['n']} images) | " + " | ".join(titles) + " |",
        "|---" * (2 + len(sources)) + "|",
    ]
    for head, figures in heads.items():
        within = [_figure(figures["by_source"][source]["auroc"]) for source in sources]
        lines.append(f"| {head} | {_figure(figures['auroc'])} | " + " | ".join(within) + " |")
    return "\n".join(lines)


def _decisions(summary: dict[str, Any]) -> str:
    """Table of what each head gets right at its operating point."""
    names = ("sensitivity", "specificity", "accuracy", "f1", "ece", "brier")
    lines = [
        "| Head | " + " | ".join(name.upper() if len(name) < 4 else name for name in names) + " |",
        "|---" * (1 + len(names)) + "|",
    ]
    for head, figures in summary["heads"].items():
        if figures["sensitivity"]["value"] is not None:
            lines.append(f"| {head} | " + " | ".join(_figure(figures[n]) for n in names) + " |")
    return "\n".join(lines)


def results_table(manifests: list[dict[str, Any]]) -> str:
    """Write the table of results that the README shows.

    Parameters
    ----------
    manifests : list of dict
        Of the shipped bundles.

    Returns
    -------
    str
        Markdown: AUROC of every head, overall and within each source, with the command
        that computes its rows again from the bundle and the frames.
    """
    sources = list(SOURCES)
    lines = [
        "| Bundle | Head | All | " + " | ".join(SOURCES.values()) + " | Command |",
        "|---" * (4 + len(sources)) + "|",
    ]
    for manifest in manifests:
        command = f"python -m thyro_demo study cv {manifest['recipe']} --data sets"
        if "members" not in manifest:
            command += f" --backbone {manifest['backbone']}"
        for head, figures in manifest["metrics"]["heads"].items():
            within = [figures["by_source"].get(source, {"auroc": None}) for source in sources]
            known = [figures["auroc"], *(part["auroc"] for part in within)]
            shown = " | ".join("–" if figure is None else _figure(figure) for figure in known)
            name = f"**{head}**" if head == manifest["primary"] else head
            lines.append(f"| `{manifest['name']}` | {name} | {shown} | `{command}` |")
    return "\n".join(lines)


def _drawn(summary: dict[str, Any]) -> bool:
    return checklists.origin(summary) == "drawn"


def _is_p1(summary: dict[str, Any]) -> bool:
    return checklists.origin(summary) == "public"


def _frames(summary: dict[str, Any]) -> str:
    return "phantoms" if _drawn(summary) else "real frames"


def _labels(summary: dict[str, Any]) -> str:
    if _drawn(summary):
        return "drawn by a rule of the phantoms"
    if _is_p1(summary):
        return "partly radiologists' grades, not pathology"
    return "those of the folder it was trained on, which this card cannot vouch for"


def _data(manifest: dict[str, Any]) -> str:
    """Say what the network and its heads were trained on."""
    summary = manifest["metrics"]
    if _drawn(summary):
        return (
            f"The heads were trained on {summary['n']} phantoms of {summary['groups']} simulated "
            "patients, frames drawn by this project. No figure here says anything about people. "
            "What the network itself saw before is told by the card of its start."
        )
    # The chain of a start may hold a stage of the same name.
    stages = dict.fromkeys(row["stage"] for row in manifest["chain"])
    earlier = "".join(_EARLIER.get(stage, "") for stage in stages)
    size = f"{summary['n']} frames in {summary['groups']} groups"
    if not _is_p1(summary):
        sources = ", ".join(next(iter(summary["heads"].values()))["by_source"])
        return (
            f"{earlier}Last stage: {size}, from a folder that its trainer\nchose (sources: "
            f"{sources}). Whoever passes these weights on has to know its terms."
        )
    return (
        f"{earlier}Thyroid: the public set of the P1 work, part of which\ncomes from DDTI "
        f"(Pedraza et al. 2015); here {size}. Licences are mixed or\nunstated: the weights may be "
        "used for teaching and research, the images are not included."
    )


def _steers(summary: dict[str, Any]) -> str:
    """Say what the sources of the set do to its figures."""
    if _drawn(summary):
        return "Phantoms are drawn: what holds for them need not hold for any scanner."
    if _is_p1(summary):
        return (
            "The source of a frame predicts its class in this set: read the figures within each "
            "source, not\n  only the first column."
        )
    return (
        "The source of a frame may predict its class: read the figures within each source, not "
        "only the\n  first column."
    )


def _rounding(manifest: dict[str, Any]) -> str:
    """Say how far the rounding of the weights moved the scores."""
    if "rounding" not in manifest:
        return ""
    rounding = manifest["rounding"]
    return (
        f"\n\nKernels are rounded to {rounding['mantissa_bits']} bits of mantissa, which makes the "
        f"file smaller. The largest\nmove of any out-of-fold score was "
        f"{rounding['largest_move']:.2g}."
    )


def _checkpoints(manifest: dict[str, Any]) -> str:
    """List the networks as the stages left them."""
    if not manifest.get("checkpoints"):
        return ""
    lines = [f"- `{name}`: {line}" for name, line in manifest["checkpoints"].items()]
    return "\n\n### Stage checkpoints\n\n" + "\n".join(lines)


def _with_and_without(manifest: dict[str, Any]) -> str:
    """Table of AUROC on real frames, with and without phantoms in the last stage."""
    if "with_and_without_phantoms" not in manifest:
        return ""
    runs = manifest["with_and_without_phantoms"]
    sources = list(next(iter(runs["without"].values()))["by_source"])
    lines = [
        "| Head | Phantoms | All | "
        + " | ".join(SOURCES.get(source, source) for source in sources)
        + " |",
        "|---" * (3 + len(sources)) + "|",
    ]
    # A baseline that sees no pixels is not trained, and so stands in one run alone.
    for head in runs["without"]:
        for run in ("with", "without"):
            figures = runs[run][head]
            shown = [figures["all"], *(figures["by_source"][source] for source in sources)]
            lines.append(f"| {head} | {run} | {' | '.join(map(_figure, shown))} |")
    met = sum(row["images"] for row in manifest["chain"] if row["stage"] == "phantoms")
    before = (
        f" In both, the network itself had met {met:,} phantoms in a\nstage of their own: what "
        "those did to it, this table does not show."
    )
    return (
        "### With and without phantoms in the last stage\n\n"
        "AUROC on the real frames, out of fold, of the same recipe with phantoms among the "
        f"training images of\nits last stage and without.{before if met else ''}\n\n"
        + "\n".join(lines)
        + "\n\n"
    )


def _gain(figure: dict[str, float | None]) -> str:
    """Show a difference, whose sign and interval a dash between numbers would blur."""
    if figure["low"] is None:
        return f"{figure['value']:+.3f}"
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"


def _localisation(manifest: dict[str, Any]) -> str:
    """Write the section on heatmaps and the nodule's outline."""
    if "localisation" not in manifest:
        return ""
    found = manifest["localisation"]
    lines = [
        f"| {head} | {_figure(figures['pointing'])} | {_gain(figures['pointing_gain'])} | "
        f"{_figure(figures['energy'])} | {_gain(figures['energy_gain'])} |"
        for head, figures in found["heads"].items()
    ]
    blind = found["gaussian"]
    lines.append(
        f"| Gaussian at the centre | {_figure(blind['pointing'])} | – | "
        f"{_figure(blind['energy'])} | – |"
    )
    table = "\n".join(lines)
    return f"""## Where the heatmaps look

On {found["n"]} DDTI frames of {found["groups"]} cases that gave no training image, not even as a
copy under another number, against the outline that was drawn of the nodule. *Pointing game*: how
often the maximum of the map lies inside the outline. *Energy*: what share of the map does. Beside
each stands the gain over a Gaussian at the centre of the scan area, which has seen no image: the
mean difference on the same frames. 95 % intervals over whole groups ({found["unit"]}).

| Head | Pointing game | Gain | Energy | Gain |
|---|---|---|---|---|
{table}

A gain whose interval reaches 0 or less does not show that the head looks better than an onlooker
who always looks at the centre. A map on the nodule tells where a score came from, not that the
score is right.

"""


def _failures(manifest: dict[str, Any]) -> str:
    """List the known failures that phantoms show."""
    if not manifest.get("phantom_failures"):
        return ""
    lines = [f"- {failure['sentence']}" for failure in manifest["phantom_failures"]]
    return "\n".join(["", "Shown on phantoms, drawn to bring it out:", "", *lines, ""])


def write(manifest: dict[str, Any]) -> str:
    """Write the model card of a bundle from its manifest.

    Parameters
    ----------
    manifest : dict
        Of the bundle; see `bundle.write`. Shown where it has them: `localisation` (as
        `explain.localisation.summarise` gives it); `phantom_failures` (list of dict, each
        with a `sentence`); `with_and_without_phantoms` ("with" and "without", each figures
        of AUROC by head, "all" and "by_source"); `checkpoints` (a line by file name);
        `rounding` (`mantissa_bits`, and `largest_move` of any out-of-fold score).

    Returns
    -------
    str
        Markdown in the layout of Hugging Face model cards (Mitchell et al. 2019).
    """
    summary = manifest["metrics"]
    thresholds = "\n".join(
        f"| {head} | {points['youden']:.3f} | {points['sens95']:.3f} |"
        for head, points in manifest["thresholds"].items()
    )
    phantoms = ""
    if "phantom_metrics" in manifest:
        phantoms = (
            "### Phantoms, reported apart\n\n"
            "Drawn frames of simulated nodules, out of fold as well. They say whether the network "
            "learned what the phantoms teach, nothing about people.\n\n"
            f"{_ranking(manifest['phantom_metrics'])}\n\n"
        )
    return f"""---
license: apache-2.0
library_name: keras
pipeline_tag: image-classification
tags: [thyroid, ultrasound, teaching]
---

# {manifest["title"]} ({manifest["name"]})

**Teaching and research only, never a diagnosis.** The labels it learned from
are {_labels(summary)}.

## What it is

{_what(manifest)} The primary head, named before any test fold was scored, is
**{manifest["primary"]}**. Recipe `{manifest["recipe"]}`, start `{manifest["start"]}`.

{_chain(manifest)}{_rounding(manifest)}{_checkpoints(manifest)}

## Data

{_data(manifest)}

## How it did

Out-of-fold figures on the {_frames(summary)}: grouped cross-validation, {manifest["primary"]} named
first, 95 % intervals from {summary["interval"]["resamples"]} bootstrap resamples of whole groups
({summary["unit"]}). Each fold's operating point (Youden) and the calibration of its heads were
fitted on the other folds. "image size only" is a classifier that sees width and height of the
file and nothing else: what the source alone gives away.

AUROC:

{_ranking(summary)}

At the operating point, and calibration:

{_decisions(summary)}

ECE uses ten bins of equal width; chance alone raises it in few images, so that its interval may lie
above its value.

{phantoms}{_with_and_without(manifest)}## Operating points

| Head | youden | sens95 |
|---|---|---|
{thresholds}

Model scores at or above the threshold read "above". `youden` maximises sensitivity + specificity,
`sens95` keeps sensitivity at 0.95 or more; both were chosen on the out-of-fold scores of the
{_frames(summary)}.

{_localisation(manifest)}## Where it fails

- {_steers(summary)}
- A frame from another scanner, another organ or no scanner at all gets a score too. The page and
  the command line say so first when its features lie beyond the training images' 99th percentile,
  but no such check finds every foreign image.
- Calipers, text inside the scan area and split screens can steer it.
- One frame is scored, never a patient; size, growth, history and cytology are unknown to it.
{_failures(manifest)}
## Checklists

What two guidelines ask of those who report a model, and where the answer stands. The items are
shortened and their published wording counts; the project filled them in itself. "Card" is this
page, "README" that of the project.

{checklists.write(manifest)}
"""
