"""TRIPOD+AI and CLAIM 2024 filled for the study: each item points to the part that answers it.

The items are those of `bundle/checklists`, the answers those of `answers.yaml`. An answer holds for
any set of reports: what depends on which protocols ran, on what images and with what outcome is in
braces and is filled in from the reports, so that no answer claims a part that is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from thyro_demo.bundle import checklists
from thyro_demo.bundle.checklists import Row

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
            answered(checklists.TRIPOD_AI, _ANSWERS["tripod_ai"]),
        ),
        Checklist(
            "claim",
            "CLAIM 2024 (Tejani et al., Radiology: Artificial Intelligence 2024)",
            answered(checklists.CLAIM, _ANSWERS["claim"]),
        ),
    )


_ANSWERS: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8")
)


def _facts(reports: Sequence[Facts]) -> dict[str, str]:
    """Fill the braces of the answers."""
    links = {part: _links(reports, part) for part in ("images", "tables", "differs")}
    commands = ", ".join(f"`python -m thyro_demo study {_command(each)}`" for each in reports)
    always = {
        name: text.format(**links, commands=commands) for name, text in _ANSWERS["always"].items()
    }
    by_kind = {
        name: _by_kind(reports, texts["images"], texts["phantoms"])
        for name, texts in _ANSWERS["by_kind"].items()
    }
    return {
        **links,
        **always,
        **by_kind,
        **_of_the_split(reports),
        **_of_the_figures(reports),
        **_of_protocols(reports),
        "sections": _links(reports),
        "failed": _links([each for each in reports if each["failures"]], "failures") or "none",
    }


def _command(report: Facts) -> str:
    return f"{report['key']} --fast" if report["fast"] else f"{report['key']} --data SETS"


def _links(reports: Sequence[Facts], part: str = "") -> str:
    return ", ".join(f"[{each['key']}](#{anchor(each['key'], part)})" for each in reports)


def _by_kind(reports: Sequence[Facts], real: str, drawn: str) -> str:
    """Write what holds for images and for phantoms, naming the protocols where there are both."""
    kinds = {real: [each for each in reports if not each["fast"]],
             drawn: [each for each in reports if each["fast"]]}  # fmt: skip
    known = {text: run for text, run in kinds.items() if run}
    if len(known) == 1:
        return next(iter(known))
    return " ".join(f"{_links(run)}: {text}" for text, run in known.items())


def _summaries(report: Facts) -> list[Facts]:
    return list(report["summaries"].values())


def _sources(summary: Facts) -> set[str]:
    return {source for head in summary["heads"].values() for source in head["by_source"]}


def _having(reports: Sequence[Facts], asked: Callable[[Facts], bool]) -> list[Facts]:
    return [each for each in reports if any(asked(summary) for summary in _summaries(each))]


def _of_the_split(reports: Sequence[Facts]) -> dict[str, str]:
    """Write how images were split, and what the intervals resample."""
    loose = _having(reports, lambda summary: summary["unit"] == "image")
    grouped = (
        "Groups (patient, case or cluster of near duplicates) stay on one side of every split, "
        "except where a table shows what a leak does"
    )
    alone = f" In {_links(loose, 'images')} a set names no groups, and images count one by one."
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
    """Write which figures there are, and of how many images."""
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
        return f"{place}: as described there."
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
