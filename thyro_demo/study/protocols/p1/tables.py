"""The tables and pictures of P1: what was printed, and what the middle stage adds."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.evaluate import intervals, metrics, results
from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.formatting import number, with_interval
from thyro_demo.evaluate.results import Cell, Column, Result
from thyro_demo.models.backbones import backbone
from thyro_demo.study.graph import Job, Outcome
from thyro_demo.study.questions import leaks, paired
from thyro_demo.study.report.report import Published, Table, caption, published
from thyro_demo.study.setting import SOURCES, SPLIT
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import BASELINE

NATURAL, PROGRESSIVE = CHAINS = ("natural", "progressive")
"""What a network has seen before the thyroid: natural images, or radiographs after them."""

SVM, FOREST, MLP = "SVM of the original", "forest of the original", "MLP of the original"
"""The heads of the original."""

QUOTED = ("SVM", SVM, FOREST, MLP)
"""The heads that a README shows: that of the shipped networks, and those of the original."""

MALIGNANT, BENIGN = 99, 53
"""Images of the published test part."""


@dataclass(frozen=True)
class Printed:
    """A published row, and which of our systems is set beside it.

    Parameters
    ----------
    network, head, chain : str
        Key of `BACKBONES`, one of the three heads of the original, one of `CHAINS`.
    row : Published
        As printed.
    images : int
        Number of images that the printed accuracy is a share of.
    """

    network: str
    head: str
    chain: str
    row: Published
    images: int

    @property
    def system(self) -> str:
        """Name of our system."""
        return name(self.network, self.head, self.chain)

    @property
    def right(self) -> int:
        """Number of images that were called right, by the accuracy."""
        return round((self.row.accuracy or 0) * self.images / 100)


def name(network: str, head: str, chain: str) -> str:
    """Name a system as tables have it."""
    return f"{backbone(network).title} + {head}, {chain}"


PRINTED = tuple(
    Printed(facts["network"], facts["head"], facts["chain"], row, int(facts["images"]))
    for row, facts in published(Path(__file__).with_name("published.csv"))
)


def gains(found: pd.DataFrame, positive: str) -> pd.DataFrame:
    """Compute what the middle stage adds, on the same images.

    Parameters
    ----------
    found : DataFrame
        Out-of-fold scores of every system, from `heads.scores`.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame
        One row a network with its head, and figure ("auroc", "accuracy", each 0–1): `system,
        figure, gain, gain_low, gain_high`: progressive minus natural, paired, with 95 % intervals
        by groups. Accuracy is that at the Youden points of the other folds.
    """
    scored = {str(head): part.sort_values("path") for head, part in found.groupby("head")}
    decided = {head: out_of_fold.decisions(part, positive) for head, part in scored.items()}
    accuracy = partial(metrics.accuracy, threshold=0.5)
    rows = []
    for head in found["head"].unique():
        system, _, chain = head.rpartition(", ")
        before = f"{system}, {NATURAL}"
        if chain != PROGRESSIVE or before not in scored:
            continue
        for figure, statistic, tables in (
            ("auroc", metrics.auroc, scored),
            ("accuracy", accuracy, decided),
        ):
            now, then = tables[head], tables[before]
            labels = now["label"] == positive
            gain = intervals.paired_group_bootstrap(
                statistic, labels, now["score"], then["score"], now["group"]
            )
            rows.append((system, figure, *gain))
    return pd.DataFrame(rows, columns=["system", "figure", "gain", "gain_low", "gain_high"])


def differences(gained: pd.DataFrame, summary: Mapping[str, Any]) -> Table:
    """Set what the middle stage added here beside what it added in print.

    Parameters
    ----------
    gained : DataFrame
        From `gains`.
    summary : mapping
        From `report.summarise`.

    Returns
    -------
    Table
        One row a network with its head.
    """
    rows = []
    for system, mine in gained.groupby("system", sort=False):
        by_figure = mine.set_index("figure")
        both = [summary["heads"][f"{system}, {chain}"]["auroc"] for chain in CHAINS]
        rows.append(
            (
                str(system),
                *(with_interval(figure, 3) for figure in both),
                _gain(by_figure.loc["auroc"], 3),
                _gain(by_figure.loc["accuracy"], 1, 100),
                _printed_gain(str(system)),
            )
        )
    note = (
        f"{caption(summary)} Differences are paired: progressive minus natural on the "
        "same resampled groups; one whose interval holds 0 says nothing. Accuracy at the Youden "
        "point of the other folds, in points of 100; the published ones are single figures on "
        "other images, those of the MLP even on two different sets of them."
    )
    columns = ("System", "AUROC natural", "AUROC progressive", "Difference of AUROC",
               "Difference of accuracy", "Published difference of accuracy")  # fmt: skip
    return Table("Does the middle stage help?", note, columns, tuple(rows))


def _gain(row: pd.Series, digits: int, scale: float = 1) -> str:
    ends = row[["gain", "gain_low", "gain_high"]].tolist()
    return with_interval(ends, digits, scale=scale, plus=True)


def _printed_gain(system: str) -> str:
    """Write what the middle stage added in print, and how many images that is."""
    both = {one.chain: one for one in PRINTED if one.system == f"{system}, {one.chain}"}
    if set(both) != set(CHAINS):
        return "–"
    now, then = both[PROGRESSIVE], both[NATURAL]
    gain = number((now.row.accuracy or 0) - (then.row.accuracy or 0), 2, plus=True)
    if now.images != then.images:
        return gain
    count = now.right - then.right
    return f"{gain} ({abs(count)} image{'s' if abs(count) > 1 else ''} of {now.images})"


def as_printed() -> Table:
    """Write the published rows with the counts behind them.

    Returns
    -------
    Table
        One row a published system: the accuracy with its exact binomial interval, and the rates.
    """
    rows = []
    for one in PRINTED:
        row = one.row
        _, low, high = intervals.share(one.right, one.images, "exact")
        figure = (row.accuracy, 100 * low, 100 * high)
        rates = (row.sensitivity, row.specificity, row.f1)
        rows.append(
            (
                row.system,
                f"{one.right} of {one.images}",
                with_interval(figure, 2),
                *("–" if rate is None else f"{rate:.2f}" for rate in rates),
                row.note or "test part",
            )
        )
    note = (
        f"In percent, as printed; the test part has {MALIGNANT} malignant and {BENIGN} benign "
        "images. The 95 % intervals are exact binomial ones, as if no two images were of one "
        "patient; with copies on both sides they are too narrow."
    )
    columns = ("Published system", "Right", "Accuracy", "Sensitivity", "Specificity", "F1", "Of")
    return Table("What was published", note, columns, tuple(rows))


def chosen(outcome: Outcome, systems: Mapping[str, Sequence[Job]]) -> Table:
    """Show what inner folds chose: numbers of trees, and epochs.

    Parameters
    ----------
    outcome : Outcome
        Of the graph.
    systems : mapping of str to sequence of Job
        By name of the system, one job for each fold.

    Returns
    -------
    Table
        One row a system.
    """
    asked = {FOREST: "trees", MLP: "epochs"}
    rows = []
    for system, jobs in systems.items():
        for head, what in asked.items():
            if f" + {head}, " in system:
                shown = [str(outcome[job][what]) if job in outcome else "–" for job in jobs]
                rows.append((system, what, ", ".join(shown)))
    return Table(
        "What was chosen inside the training parts",
        "Trees by AUROC in five grouped inner folds; epochs by the loss on one of six.",
        ("System", "What", "In each fold"),
        tuple(rows),
    )


def flaws(found: pd.DataFrame, network: str, summary: Mapping[str, Any]) -> tuple[Table, Table]:
    """Show what each flaw does to the figures, and what it is.

    Parameters
    ----------
    found : DataFrame
        From `leaks.compare`.
    network : str
        Title of the network.
    summary : mapping
        From `report.summarise`.

    Returns
    -------
    tuple of two Table
        See `leaks.tabulate`.
    """
    note = (
        f"{caption(summary)} {network}, frozen after the radiographs, and an SVM on the standard "
        "deviations of its last feature map. Rates are those at the SVM's own boundary, as in the "
        "original. After the semicolon: the paired difference to the sound run, in points of 100 "
        "for rates; intervals resample the true groups throughout."
    )
    known = set(found["flaw"])
    return leaks.tabulate(found, [flaw for flaw in leaks.FLAWS if flaw.name in known], note)


def pictures(
    gained: pd.DataFrame, flaws: pd.DataFrame | None, note: str
) -> dict[str, tuple[str, Figure]]:
    """Draw what the middle stage adds and what the flaws do.

    Parameters
    ----------
    gained : DataFrame
        From `gains`.
    flaws : DataFrame or None
        From `leaks.compare`.
    note : str
        The images, the split and the unit.

    Returns
    -------
    dict of str to (str, Figure)
        By file name: a sentence on what to see, and the picture.
    """
    shown = {
        "middle-stage": (
            f"What the radiographs add to the AUROC of each network and head. {note}",
            draw(gained),
        )
    }
    if flaws is not None:
        shown["flaws"] = (
            "AUROC and accuracy under each flaw of the first evaluation; the line is the sound "
            f"run, the band its interval. {note}",
            leaks.draw(flaws),
        )
    return shown


def draw(gained: pd.DataFrame) -> Figure:
    """Draw the gain of the progressive chain for each network and head.

    Parameters
    ----------
    gained : DataFrame
        From `gains`.

    Returns
    -------
    Figure
        Points with 95 % intervals; at zero the middle stage adds nothing.
    """
    rows = gained[gained["figure"] == "auroc"]
    shown = {
        str(row["system"]): (row["gain"], row["gain_low"], row["gain_high"])
        for _, row in rows.iterrows()
    }
    return forest_plot({"": shown}, "AUROC, progressive minus natural", reference=0)


_MADE_BY = "python -m thyro_demo study P1 --data sets"


def to_results(
    summary: Mapping[str, Any],
    flaws: pd.DataFrame | None,
    networks: Sequence[str],
    flawed: str,
    cut: str,
) -> dict[str, Result]:
    """Make the tables that a README shows.

    Parameters
    ----------
    summary : mapping
        From `report.summarise`.
    flaws : DataFrame or None
        From `leaks.compare`.
    networks : sequence of str
        Keys of `BACKBONES`, in the order of the rows.
    flawed : str
        Title of the network that the flaws are shown on.
    cut : str
        What the MLP was cut down to.

    Returns
    -------
    dict of str to Result
        "p1" and, where there are flaws, "p1_flaws".
    """
    systems = [name(*one) for one in itertools.product(networks, QUOTED, CHAINS)]
    found = {
        "p1": results.by_source(
            [(system, summary, system) for system in (*systems, BASELINE)],
            SOURCES,
            what="AUROC of progressive transfer on three networks, on the real frames.",
            made_by=_MADE_BY,
            split=SPLIT,
            note=f"The MLP was cut down to {cut}.",
        )
    }
    if flaws is not None:
        what = (
            f"What each flaw of the first evaluation of P1 does: figures on the {summary['n']} "
            "frames, and their paired differences to the sound evaluation, of an SVM on "
            f"{flawed}, frozen after the radiographs."
        )
        found["p1_flaws"] = _flaws_result(flaws, what)
    return found


def _flaws_result(found: pd.DataFrame, what: str) -> Result:
    """Make the table of the flaws: figures and, but for the sound run, their paired gains."""
    rows: dict[str, dict[str, Cell]] = {name: {"evaluation": name} for name in found["flaw"]}
    for row in found.to_dict("records"):
        ends = (row["value"], row["low"], row["high"])
        gain = (row["gain"], row["gain_low"], row["gain_high"])
        sound = row["flaw"] == leaks.SOUND.name
        rows[row["flaw"]][row["figure"]] = results.figure(ends, None if sound else gain)
    about = paired.ABOUT | {"split": f"{paired.ABOUT['split']}, except where the flaw is the split"}
    return Result(
        what=what,
        made_by=_MADE_BY,
        **about,
        columns=(
            Column(key="evaluation", title="Evaluation"),
            Column(key="auroc", title="AUROC", show="figure"),
            *(
                Column(key=rate, title=f"{rate.capitalize()}, %", show="percent")
                for rate in leaks.FIGURES
                if rate != "auroc"
            ),
        ),
        rows=tuple(rows.values()),
    )
