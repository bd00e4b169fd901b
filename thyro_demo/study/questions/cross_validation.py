"""Cross-validate a recipe on thyroid frames and leave `oof.csv`, which cards and README quote."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thyro_demo.bundle import manifest
from thyro_demo.data.records import PHANTOM
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.evaluate import formatting, intervals, metrics, report
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.training import out_of_fold
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import recipe
from thyro_demo.training.run import cross_validations


def run(
    name: str,
    backbone: str | None,
    data: Path,
    weights: str | None,
    work: Path,
    repeats: int = 1,
    phantoms: float | None = None,
) -> list[pd.DataFrame]:
    """Cross-validate a recipe, in as many splits into folds as wanted.

    Parameters
    ----------
    name : str
        A recipe that ends on thyroid frames.
    backbone : str or None
        The network; the recipe's first one without it.
    data : Path
        The thyroid set, or the folder that holds all sets by name.
    weights : str or None
        Initial weights, see `initial_weights.load`; None takes the shipped bundle of the
        network, whose frozen part never saw a thyroid frame. A bundle has been through the
        earlier stages, so that the last one alone is run; any others go through the stages that
        `recipe` leaves.
    work : Path
        Where `oof.csv` and the logs go, those of further splits into `split-1` and so on; a
        killed run goes on from there.
    repeats : int, optional
        Number of splits.
    phantoms : float, optional
        Share of phantoms among the frames, 0–0.5; the recipe's own without it. Real frames and
        phantoms are assigned to folds together, so that two runs have the same folds only with
        the same share.

    Returns
    -------
    list of DataFrame
        Content of each `oof.csv`: `path, group, source, label, fold, head, probability`.

    Raises
    ------
    RecipeError
        If the recipe writes no bundle, or its initial weights were trained on thyroid frames.
    DataError
        If the frames are too few, or not in a layout that is read.
    """
    network = backbone or recipe(name).backbones[0]
    chosen = recipe(name, network)
    if not chosen.writes_bundle:
        raise RecipeError(
            "A recipe must end on thyroid frames, as progressive does, to be cross-validated. "
            f"Received: {name!r}."
        )
    if weights is None:
        shipped = manifest.weights_root() / network
        scratch = chosen.stages[-1][1].trainable == "all"
        known = not scratch and (shipped / "manifest.json").is_file()
        weights = str(shipped) if known else "none"
    chosen = recipe(name, network, weights)
    if manifest.bundle_of(weights) is not None:
        chosen = replace(chosen, stages=chosen.stages[-1:])
    if phantoms is not None:
        chosen = replace(chosen, phantoms=phantoms)
    job = TrainingJob(chosen, network, data, work, work / network, weights)
    return list(cross_validations(job, repeats))


def lines(table: pd.DataFrame) -> list[str]:
    """Write what a cross-validation found, for a terminal.

    Parameters
    ----------
    table : DataFrame
        One of those from `run`.

    Returns
    -------
    list of str
        AUROC of each head with its interval, over all frames and within each source.
    """
    found = []
    for drawn, rows in table.groupby(table["source"] == PHANTOM):
        summary = summarise(rows)
        found.append(
            f"{'Phantoms' if drawn else 'Frames'}: {summary['n']} in {summary['groups']} groups, "
            f"out of fold; AUROC with 95 % interval by {summary['unit']}."
        )
        for head, figures in summary["heads"].items():
            within = {name: part["auroc"] for name, part in figures["by_source"].items()}
            shown = {"all": figures["auroc"], **within}
            found += [
                f"  {head:<10} {source:<10} {formatting.with_interval(figure, 3)}"
                for source, figure in shown.items()
            ]
    return found


def summarise(table: pd.DataFrame) -> dict[str, Any]:
    """Summarise out-of-fold probabilities.

    Parameters
    ----------
    table : DataFrame
        One of those from `run`.

    Returns
    -------
    dict
        As from `report.summarise`, without operating points.
    """
    scores = table.rename(columns={"probability": "score"})
    return report.summarise(scores, {str(head): float("nan") for head in set(table["head"])})


WITHIN, ALL = "within sources", "all"
"""What is averaged over several splits into folds."""


def real(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that figures are about: real frames, or all where there are phantoms alone.

    Parameters
    ----------
    table : DataFrame
        One of those from `run`.

    Returns
    -------
    DataFrame
        Its rows of those frames.
    """
    return table[out_of_fold.reported(table)]


def repeated(tables: Sequence[pd.DataFrame]) -> dict[str, dict[str, Interval]]:
    """Average the figures of several splits into folds.

    Parameters
    ----------
    tables : sequence of DataFrame
        From `run`, of the same frames.

    Returns
    -------
    dict
        By head: `WITHIN`, the mean of the AUROCs within each source that holds both
        labels, and `ALL`, the AUROC over all real frames; each averaged over the splits, with
        a 95 % interval over groups. What knowing the source is worth counts in the second alone.
    """
    return {head: _bootstrapped(tables, head) for head in tables[0]["head"].unique()}


def gained(
    tables: Sequence[pd.DataFrame], others: Sequence[pd.DataFrame]
) -> dict[str, dict[str, Interval]]:
    """Average the paired differences of two networks over several splits into folds.

    Parameters
    ----------
    tables, others : sequence of DataFrame
        From `run`, of the same real frames in the same folds.

    Returns
    -------
    dict
        As from `repeated`, the first minus the second, for the heads that both have.

    Raises
    ------
    DataError
        If a real frame is not in the same fold of both.
    """
    for split, (one, other) in enumerate(zip(tables, others, strict=True)):
        if not _folds(one).equals(_folds(other)):
            raise DataError(
                "Two networks must be scored on the same frames in the same folds, to be compared "
                f"pair by pair. Received: frames in other folds, in split {split}."
            )
    shared = [head for head in tables[0]["head"].unique() if head in set(others[0]["head"])]
    return {head: _bootstrapped(tables, head, others) for head in shared}


def _folds(table: pd.DataFrame) -> pd.Series:
    """Return the fold of each real frame, by path."""
    return real(table).drop_duplicates("path").set_index("path")["fold"].sort_index()


def _bootstrapped(
    tables: Sequence[pd.DataFrame], head: str, others: Sequence[pd.DataFrame] = ()
) -> dict[str, Interval]:
    """Compute the figures of one head, or what they gain over others, on the same resamples."""
    of_head = real(tables[0])
    rows = of_head[of_head["head"] == head].sort_values("path")
    positive = (rows["label"] == out_of_fold.CLASSES[1]).to_numpy()
    both = rows.groupby("source")["label"].nunique() > 1
    parts = {
        WITHIN: [(rows["source"] == source).to_numpy() for source in both.index[both]],
        ALL: [np.ones(len(rows), bool)],
    }
    scores = _probabilities(tables, head, rows["path"])
    less = _probabilities(others, head, rows["path"]) if others else None
    statistics = {key: _averaged(scores, less, part) for key, part in parts.items()}
    return intervals.group_bootstraps(statistics, positive, np.arange(len(rows)), rows["group"])


def _probabilities(tables: Sequence[pd.DataFrame], head: str, paths: pd.Series) -> np.ndarray:
    """Return the scores of one head in each split, float64 (splits, n), in the order of `paths`."""
    of_head = (table[table["head"] == head].set_index("path") for table in tables)
    return np.stack([rows.loc[paths, "probability"].to_numpy() for rows in of_head])


def _averaged(
    scores: np.ndarray, others: np.ndarray | None, parts: Sequence[np.ndarray]
) -> Callable[..., Any]:
    """Average the AUROC over several scorings of the same rows and over parts of them."""

    def statistic(labels: np.ndarray, rows: np.ndarray, weights: np.ndarray | None = None) -> Any:
        def mean(some: np.ndarray) -> Any:
            return np.mean(
                [
                    metrics.auroc(labels[part], one[rows][part], None if weights is None
                                  else weights[..., part])
                    for one in some
                    for part in parts
                ],
                axis=0,
            )  # fmt: skip

        return mean(scores) if others is None else mean(scores) - mean(others)

    return statistic


def repeated_lines(tables: Sequence[pd.DataFrame]) -> list[str]:
    """Write what several splits into folds found, for a terminal.

    Parameters
    ----------
    tables : sequence of DataFrame
        As for `repeated`.

    Returns
    -------
    list of str
        One line a head and figure.
    """
    return [
        f"AUROC out of fold, mean of {len(tables)} splits into folds; 95 % interval by group.",
        *(
            f"  {head:<10} {name:<15} {formatting.with_interval(figure, 3)}"
            for head, figures in repeated(tables).items()
            for name, figure in figures.items()
        ),
    ]
