"""TRIPOD+AI and CLAIM 2024 filled for the study: each item points to the part that answers it.

The items are those of `models/checklists`. An answer holds for any set of reports: what depends
on which protocols ran, on what images and with what outcome stands in braces and is filled in
from the reports, so that no answer claims a part that is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thyro_demo.models import checklists
from thyro_demo.models.checklists import Row

Facts = Mapping[str, Any]
"""What `report.json` of one protocol holds."""

TOP, SUMMARY = "top", "summary"
"""Anchors of the page itself: its title, and the table of what was run."""

PARTS = ("images", "tables", "pictures", "differs", "failures")
"""Parts of a protocol's section; pictures and failures are left out where there are none."""


@dataclass(frozen=True)
class Checklist:
    """A guideline with an answer to each of its items.

    Parameters
    ----------
    anchor : str
        Of its section; an item's is this, a hyphen and its number.
    title : str
        The guideline and where it was published.
    rows : tuple of Row
        Items and answers; an answer is Markdown whose links lead to anchors of the page.
    """

    anchor: str
    title: str
    rows: tuple[Row, ...]


def anchor(key: str, part: str = "") -> str:
    """Name the place of a protocol, or of a part of it, in the page.

    Parameters
    ----------
    key : str
        Of the protocol.
    part : str
        One of `PARTS`; the whole section without it.

    Returns
    -------
    str
        An HTML id.
    """
    return f"{key.lower()}-{part}" if part else key.lower()


def fill(reports: Sequence[Facts]) -> tuple[Checklist, Checklist]:
    """Fill both checklists for a study.

    Parameters
    ----------
    reports : sequence of mapping
        `report.json` of each protocol that was run, one at least.

    Returns
    -------
    tuple of two Checklist
        TRIPOD+AI and CLAIM 2024.
    """
    facts = _facts(reports)

    def answered(items: tuple[Row, ...], answers: Mapping[str, str]) -> tuple[Row, ...]:
        return tuple(
            Row(row.number, row.item, answers[row.number].format(**facts)) for row in items
        )

    return (
        Checklist(
            "tripod-ai",
            "TRIPOD+AI (Collins et al., BMJ 2024)",
            answered(checklists.TRIPOD_AI, _TRIPOD_AI),
        ),
        Checklist(
            "claim",
            "CLAIM 2024 (Tejani et al., Radiology: Artificial Intelligence 2024)",
            answered(checklists.CLAIM, _CLAIM),
        ),
    )


_TRIPOD_AI = {
    "1": f"The [title](#{TOP}) names the method and the images; people and outcome stand in "
    "{images}.",
    "2": f"Not done: there is no structured abstract; what was run: [in brief](#{SUMMARY}).",
    "3a": "Diagnosis, as material for teaching how such systems are made, measured and fooled; "
    "the published works are named in {sections}.",
    "3b": f"Students, teachers and researchers: [note](#{TOP}). Nothing here has a place in care.",
    "3c": "{people}",
    "4": "To run published systems again with groups kept whole, and to set the figures, with "
    f"intervals, beside the published ones: [in brief](#{SUMMARY}).",
    "5a": "As told in {images}. {typical}",
    "5b": "{dates}",
    "6a": "{centres}",
    "6b": "{included}",
    "6c": "{treatments}",
    "7": "{preparation} Not compared between groups of people.",
    "8a": "{label} No time horizon: an image is labelled as it is.",
    "8b": "{readers}",
    "8c": "{blinding}",
    "9a": "The pixels of an image, or the features that a protocol computes from them: {sections}.",
    "9b": "Grey levels or RGB values, 0–255; for the scanners see [CLAIM, item 13](#claim-13).",
    "9c": "Does not apply: pixels are not judged. Where a protocol needs a nodule's outline, it "
    "takes the one of the set.",
    "10": "{size}",
    "11": "{missing}",
    "12a": "{partition}",
    "12b": "{preparation} What a support vector machine reads is standardised within its training "
    "part.",
    "12c": "Networks, features and heads: {tables}. What was chosen otherwise than in the "
    "original: {differs}. Validation: [item 12a](#tripod-ai-12a).",
    "12d": "{clusters}",
    "12e": "{measures} Not done: net benefit, because no use in care is claimed.",
    "12f": "Not done: no model was updated after a test.",
    "12g": "By models that were fitted without the group of the image, their scores calibrated "
    "on other images: `thyro_demo/models/out_of_fold.py`.",
    "13": "What the original did about it and what is done here: {differs}. Rates hold at an "
    "operating point that other images chose.",
    "14": "{people}",
    "15": "A score, 0–1, for each image and system. Where it is turned into a decision, the "
    "caption of the table says at which point: {tables}.",
    "16": "{unlike}",
    "17": "{ethics}",
    "18a": "Not done: the project makes no statement.",
    "18b": "Not done: no declarations were collected.",
    "18c": "{protocol}",
    "18d": "Not done: the study was never registered.",
    "18e": "{sharing}",
    "18f": 'All of it, Apache 2.0: README, "Licence". {commands}',
    "19": "Not done: no patient took part in planning, running or writing.",
    "20a": "{flow} Not done: a flow chart.",
    "20b": "{characteristics}",
    "20c": "{unlike}",
    "21": "{flow}",
    "22": "{model}",
    "23a": "{performance} Not by groups of people: [item 14](#tripod-ai-14).",
    "23b": "{clusters}",
    "24": "Not done: see [item 12f](#tripod-ai-12f).",
    "25": "Beside the published figures, {tables}; what differs and why, {differs}; README, "
    '"Limits".',
    "26": 'What differs and why, {differs}; parts that failed: {failed}; README, "Limits".',
    "27a": "Does not apply: no system of this study is offered for use.",
    "27b": "Does not apply: no system of this study is offered for use.",
    "27c": "Images of other centres, with pathology, age and sex: [item 14](#tripod-ai-14), "
    "[CLAIM, item 33](#claim-33).",
}

_CLAIM = {
    "1": f"The [title](#{TOP}) names machine learning; networks and heads stand in {{sections}}.",
    "2": f"Not done: there is no structured abstract; what was run: [in brief](#{SUMMARY}).",
    "3": "Published systems, named in {sections}, and what was wrong with some of their figures. "
    "Nothing here has a role in care.",
    "4": "To run published systems again with groups kept whole, and to set the figures beside "
    f"the published ones: [in brief](#{SUMMARY}). No hypothesis was tested.",
    "5": "{direction}",
    "6": "To show how far published figures stand when they are measured with groups kept whole.",
    "7": "As told in {images}. {typical}",
    "8": "{included}",
    "9": "{preparation}",
    "10": "The scan area or the nodule, as each protocol needs it: {images}.",
    "11": "{identity}",
    "12": "{missing}",
    "13": "{acquisition}",
    "14": "{label}",
    "15": "{reason}",
    "16": "{readers}",
    "17": "As in training: test images are of the same sets.",
    "18": "Not done: each image has one label.",
    "19": "{partition}",
    "20": "{disjoint}",
    "21": "{size}",
    "22": "An image in, a score out; layers of the networks: `thyro_demo/models/backbones.py`. "
    "Which networks and heads: {sections}.",
    "23": 'README, "Why each dependency".',
    "24": "Where networks start, and how that differs from the original: {differs}.",
    "25": "How the original was trained and what was changed: {differs}.",
    "26": "No model comes out of the study; the scores of every system are in `oof.csv` beside "
    "each report.",
    "27": "{ensembles}",
    "28": "{measures}",
    "29": "{uncertainty}",
    "30": "{robustness}",
    "31": "{explanations}",
    "32": "{performance}",
    "33": "{external}",
    "34": "Does not apply: it is no trial.",
    "35": "{flow}",
    "36": "{characteristics}",
    "37": "{performance} Not done: figures on training images, which say little.",
    "38": "{performance}",
    "39": "Parts that failed: {failed}. The score of every image is in `oof.csv` beside each "
    "report. Not done: images that were scored wrongly are not shown.",
    "40": 'What differs and why, {differs}; README, "Limits".',
    "41": "None: teaching and research only, never a diagnosis.",
    "42": "{protocol}",
    "43": "{model} {sharing}",
    "44": "Not done: the project makes no statement.",
}

_NOBODY = "Does not apply: nobody was scanned."

# What is so of images, and of phantoms.
_BY_KIND = {
    "people": (
        "Not done: no figure is given by age, sex or origin of the patients.",
        "Does not apply: phantoms have no patients.",
    ),
    "typical": (
        "Sets as they were found, typical of no clinic.",
        "Phantoms of one simulator, typical of no clinic.",
    ),
    "dates": ("Not done: dates of collection are not read from the sets.", _NOBODY),
    "centres": (
        "Not done: centres are not read from the sets; where an image comes from is told by its "
        "source alone.",
        _NOBODY,
    ),
    "included": (
        "Every image of the sets that has what the protocol needs; by what rule patients came "
        "into a set is for those who made it to tell.",
        "Every phantom that was drawn.",
    ),
    "treatments": ("Not done: treatments are not read from the sets.", _NOBODY),
    "label": (
        "The label that the set gives; what that rests on is for those who made the set to tell, "
        "and none is claimed to rest on pathology.",
        "The class that the phantom was drawn in.",
    ),
    "readers": (
        "Not done: the study does not ask who labelled the images, or with what training.",
        _NOBODY,
    ),
    "blinding": (
        "Not done: a label may have been read from the very image that is scored.",
        _NOBODY,
    ),
    "ethics": (
        "Not done: no committee was asked. Approval and consent are for those who made the sets "
        "to tell.",
        _NOBODY,
    ),
    "identity": (
        "By those who made the sets, and not examined again.",
        _NOBODY,
    ),
    "acquisition": (
        "Not done: scanners and settings are not read from the sets.",
        'Simulated: README, "What it is"; the code: `thyro_demo/data/phantom`.',
    ),
    "direction": (
        "Retrospective: the images were there before the study.",
        "Does not apply: the images are drawn.",
    ),
    "reason": ("It is the label that the set has.", "It is the class that the phantom is to show."),
    "characteristics": (
        "Not done: neither patients nor nodules are described.",
        "Does not apply: phantoms have no patients.",
    ),
    "sharing": (
        'The images are not passed on: README, "Data and licences"; the score of each is in '
        "`oof.csv` beside the report.",
        "Phantoms are drawn again by the same command.",
    ),
}


def _facts(reports: Sequence[Facts]) -> dict[str, str]:
    """Fill the braces of the answers."""
    told = {name: _by_kind(reports, *texts) for name, texts in _BY_KIND.items()}
    return {
        **told,
        **_of_the_split(reports),
        **_of_the_figures(reports),
        **_of_protocols(reports),
        "sections": _links(reports),
        "images": _links(reports, "images"),
        "tables": _links(reports, "tables"),
        "differs": _links(reports, "differs"),
        "failed": _links([each for each in reports if each["failures"]], "failures") or "none",
        "size": "Not done: no size was calculated. What was at hand was used, and the intervals "
        "show what it allows.",
        "missing": "The image is the only input. One without a label, or without an outline "
        "where a protocol needs it, is left out.",
        "preparation": "Crop, resize and grouping of near copies: `thyro_demo/data/preprocess.py`, "
        "`thyro_demo/data/splits.py`; which of them a protocol uses: {}.".format(
            _links(reports, "images")
        ),
        "protocol": "The published works are the protocol; where the runs depart from them: "
        f"{_links(reports, 'differs')}. Not done: nothing was deposited before the runs.",
        "commands": "Each section is made again by "
        + ", ".join(f"`python -m thyro_demo study {_command(each)}`" for each in reports)
        + ".",
        "model": "Not done: the models of the folds are not kept; their code fits them again "
        "([TRIPOD+AI, item 18f](#tripod-ai-18f)).",
    }


def _command(report: Facts) -> str:
    return f"{report['key']} --fast" if report["fast"] else f"{report['key']} --data SETS"


def _links(reports: Sequence[Facts], part: str = "") -> str:
    return ", ".join(f"[{each['key']}](#{anchor(each['key'], part)})" for each in reports)


def _by_kind(reports: Sequence[Facts], real: str, drawn: str) -> str:
    """Tell what is so of images and of phantoms, and of which protocols where there are both."""
    kinds = {real: [each for each in reports if not each["fast"]],
             drawn: [each for each in reports if each["fast"]]}  # fmt: skip
    told = {text: run for text, run in kinds.items() if run}
    if len(told) == 1:
        return next(iter(told))
    return " ".join(f"{_links(run)}: {text}" for text, run in told.items())


def _summaries(report: Facts) -> list[Facts]:
    return list(report["summaries"].values())


def _sources(summary: Facts) -> set[str]:
    return {source for head in summary["heads"].values() for source in head["by_source"]}


def _having(reports: Sequence[Facts], asked: Callable[[Facts], bool]) -> list[Facts]:
    return [each for each in reports if any(asked(summary) for summary in _summaries(each))]


def _of_the_split(reports: Sequence[Facts]) -> dict[str, str]:
    """Say how images were parted, and what the intervals resample."""
    loose = _having(reports, lambda summary: summary["unit"] == "image")
    grouped = (
        "Groups (patient, case or cluster of near copies) stay on one side of every split, "
        "except where a table shows what a leak does"
    )
    alone = f" In {_links(loose, 'images')} a set names no groups, and images stand alone."
    levels = f"{grouped}: {_links(reports, 'images')}.{alone if loose else ''}"
    counts = sorted({summary["interval"]["resamples"] for each in reports for summary in
                     _summaries(each)})  # fmt: skip
    drawn = " or ".join(f"{count:,}" for count in counts)
    return {
        "disjoint": levels,
        "partition": f"{levels} Which split a figure comes from, the caption of its table says.",
        "uncertainty": f"95 % intervals from {drawn} bootstrap resamples of whole "
        f"{'groups, or of images where a set names none' if loose else 'groups'}: "
        f"{_links(reports, 'tables')}."
        if counts
        else f"As the captions say: {_links(reports, 'tables')}.",
    }


_RATES = ("AUROC", "accuracy", "sensitivity", "specificity")


def _of_the_figures(reports: Sequence[Facts]) -> dict[str, str]:
    """Say which figures there are, and of how many images."""
    heads = {column for each in reports for table in each["tables"] for column in table["columns"]}
    shown = [name for name in _RATES if any(name.lower() in head.lower() for head in heads)]
    several = _having(reports, lambda summary: len(_sources(summary)) > 1)
    return {
        "measures": f"{', '.join(shown) or 'What heads the columns'}: {_links(reports, 'tables')}.",
        "performance": "Each figure with its interval, split and unit: "
        f"{_links(reports, 'tables')}.",
        "clusters": f"Figures by source of the images: {_links(several, 'tables')}. Differences "
        "between sources were not modelled."
        if several
        else "Not done: no figures by source.",
        "flow": " ".join(_counted(each) for each in reports),
    }


def _counted(report: Facts) -> str:
    """Count images, groups and labels of the largest experiment of a protocol."""
    place = f"[{report['key']}](#{anchor(report['key'], 'images')})"
    found = _summaries(report)
    if not found:
        return f"{place}: as told there."
    most = max(found, key=lambda summary: int(summary["n"]))
    groups = "" if most["groups"] is None else f" in {most['groups']:,} groups"
    return (
        f"{place}: {most['n']:,} {'phantoms' if report['fast'] else 'images'}{groups}, "
        f"{most['positives']:,} {most['positive']}, {most['n'] - most['positives']:,} not."
    )


def _of_protocols(reports: Sequence[Facts]) -> dict[str, str]:
    """Answer what single protocols are about, where they were run."""
    several = [each for each in reports if each["key"] in ("P2", "P4")]
    held_out = [each for each in reports if each["key"] == "P4"]
    handcrafted = [each for each in reports if each["key"] == "P3" and each["pictures"]]
    flawed = [each for each in reports if each["key"] in ("P1", "P5")]
    place = _links(held_out, "tables")
    external = _by_kind(
        held_out,
        f"In part: each source held out whole, {place}. Not done: a set of another hospital.",
        f"Rehearsed on simulated scanners alone: {place}. Not done: images of another hospital.",
    ) if held_out else "Not done: P4, which holds sources out, was not run."  # fmt: skip
    varied = {"flaws of an evaluation, one by one": flawed, "other sources": held_out}
    done = [f"{what} ({_links(where, 'tables')})" for what, where in varied.items() if where]
    maps = "Not done: heatmaps; those of the shipped networks are measured in their model cards."
    return {
        "external": external,
        "unlike": f"Sources beside each other, and held out in turn: {place}."
        if held_out
        else "None by design: folds of one set. Not done: other sources held out.",
        "ensembles": f"Of several networks: {_links(several, 'tables')}."
        if several
        else "Not done: no protocol that was run joins networks.",
        "robustness": f"In part: {', '.join(done)}. Not done: other seeds or added noise."
        if done
        else "Not done: nothing but the folds was varied.",
        "explanations": f"In part: which handcrafted features count, "
        f"{_links(handcrafted, 'pictures')}. {maps}"
        if handcrafted
        else maps,
    }
