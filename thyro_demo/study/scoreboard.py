"""Our figures beside the published ones: one table for every protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from thyro_demo.evaluate.plots import with_interval
from thyro_demo.models import out_of_fold
from thyro_demo.models.out_of_fold import BASELINE
from thyro_demo.study.published import Published
from thyro_demo.study.report import Table

_RATES = ("accuracy", "sensitivity", "specificity")


def summarise(scores: pd.DataFrame, records: pd.DataFrame, positive: str) -> dict[str, Any]:
    """Summarise out-of-fold scores of several systems, image size alone beside them.

    Parameters
    ----------
    scores : DataFrame
        `path, group, source, label, fold, head, score`; a head is a system.
    records : DataFrame
        The frames that were scored.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict
        As `out_of_fold.summary` gives it.
    """
    return out_of_fold.summary(scores, out_of_fold.size_rows(records, positive), positive)


def overall(
    title: str, summary: Mapping[str, Any], published: Mapping[str, Published | None]
) -> Table:
    """Set each system's figures beside those that were published.

    Parameters
    ----------
    title : str
        What the table shows.
    summary : mapping
        From `summarise`.
    published : mapping of str to Published or None
        For each system the published row, if there is one. Systems that it leaves out are
        shown without one.

    Returns
    -------
    Table
        In each cell ours with its interval and, after a stroke, the published figure.
    """
    rows = []
    for name, figures in summary["heads"].items():
        row = published.get(name)
        cells = [_beside(figures[rate], row, rate, 100, 1) for rate in _RATES]
        rows.append((name, *cells, _beside(figures["auroc"], row, "auroc", 1, 3)))
    heads = ("System", *(f"{rate.capitalize()}, %" for rate in _RATES), "AUROC")
    told = _BESIDE if any(published.get(name) for name in summary["heads"]) else ""
    return Table(title, caption(summary) + told + _POINT, heads, tuple(rows))


_BESIDE = (
    " Each cell: ours, its 95 % interval, and after “/” what was published, where it was, on "
    "other images."
)
_POINT = " Rates are those at the Youden point of the other folds."


def by_source(
    title: str, summary: Mapping[str, Any], systems: Sequence[str] | None = None
) -> Table:
    """Give the AUROC of each system over all images and within each source.

    Parameters
    ----------
    title : str
        What the table shows.
    summary : mapping
        From `summarise`.
    systems : sequence of str, optional
        Which ones; all without it.

    Returns
    -------
    Table
        One row a system, image size alone among them.
    """
    chosen = [name for name in summary["heads"] if systems is None or name in systems]
    if BASELINE in summary["heads"] and BASELINE not in chosen:
        chosen.append(BASELINE)
    sources = list(next(iter(summary["heads"].values()))["by_source"])
    rows = []
    for name in chosen:
        within = summary["heads"][name]["by_source"]
        cells = [with_interval(within[source]["auroc"], 3) for source in sources]
        rows.append((name, with_interval(summary["heads"][name]["auroc"], 3), *cells))
    told = " AUROC. A system that does well over all but not within a source knows the source."
    return Table(title, caption(summary) + told, ("System", "all", *sources), tuple(rows))


def caption(summary: Mapping[str, Any]) -> str:
    """Say which images, which split and which unit stand behind figures.

    Parameters
    ----------
    summary : mapping
        From `summarise`.

    Returns
    -------
    str
        One sentence.
    """
    groups = f" in {summary['groups']} groups" if summary["groups"] is not None else ""
    return (
        f"{summary['n']} images{groups}, {summary['positives']} {summary['positive']}; split: "
        f"{summary['split']}; 95 % intervals from {summary['interval']['resamples']} bootstrap "
        f"resamples by {summary['unit']}."
    )


def _beside(
    figure: Mapping[str, float | None], row: Published | None, name: str, scale: int, digits: int
) -> str:
    ours = {key: None if value is None else scale * value for key, value in figure.items()}
    theirs = None if row is None else getattr(row, name)
    return with_interval(ours, digits) + (f" / {theirs}" if theirs is not None else "")
