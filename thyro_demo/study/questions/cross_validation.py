"""Cross-validate a recipe on thyroid frames and leave `oof.csv`, which cards and README quote."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thyro_demo.bundle import manifest
from thyro_demo.data.records import PHANTOM
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import formatting, intervals, metrics, report
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.training import out_of_fold
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import recipe
from thyro_demo.training.run import cross_validate


def run(
    name: str,
    backbone: str | None,
    data: Path,
    weights: str | None,
    work: Path,
    fold_seed: int = 0,
) -> pd.DataFrame:
    """Cross-validate a recipe.

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
        Where `oof.csv` and the logs go; a killed run goes on from there.
    fold_seed : int, optional
        Which split into folds.

    Returns
    -------
    DataFrame
        Content of `oof.csv`: `path, group, source, label, fold, head, probability`.

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
    job = TrainingJob(chosen, network, data, work, work / network, weights, fold_seed=fold_seed)
    return cross_validate(job)


def lines(table: pd.DataFrame) -> list[str]:
    """Write what a cross-validation found, for a terminal.

    Parameters
    ----------
    table : DataFrame
        From `run`.

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
        From `run`.

    Returns
    -------
    dict
        As from `report.summarise`, without operating points.
    """
    scores = table.rename(columns={"probability": "score"})
    return report.summarise(scores, {str(head): float("nan") for head in set(table["head"])})


def repeated(tables: Sequence[pd.DataFrame]) -> dict[str, dict[str, Interval]]:
    """Average the figures of several splits into folds.

    Parameters
    ----------
    tables : sequence of DataFrame
        From `run`, one for each `fold_seed`, of the same frames.

    Returns
    -------
    dict
        By head: ``"within sources"``, the mean of the AUROCs within each source that holds both
        labels, and ``"all"``, the AUROC over all real frames; each averaged over the splits, with
        a 95 % interval over groups. What knowing the source is worth counts in the second alone.
    """
    found: dict[str, dict[str, Interval]] = {}
    for head in tables[0]["head"].unique():
        parts = [table[table["head"] == head].sort_values("path") for table in tables]
        rows = parts[0][out_of_fold.reported(parts[0]).to_numpy()]
        scores = np.stack([part.set_index("path").loc[rows["path"], "probability"]
                           for part in parts])  # fmt: skip
        positive = (rows["label"] == out_of_fold.CLASSES[1]).to_numpy()
        both = rows.groupby("source")["label"].nunique() > 1
        sources = [(rows["source"] == source).to_numpy() for source in both.index[both]]
        statistics = {
            "within sources": _averaged(scores, sources),
            "all": _averaged(scores, [np.ones(len(rows), bool)]),
        }
        found[str(head)] = intervals.group_bootstraps(
            statistics, positive, np.arange(len(rows)), rows["group"]
        )
    return found


def _averaged(scores: np.ndarray, parts: Sequence[np.ndarray]) -> Callable[..., Any]:
    """Average the AUROC over several scorings of the same rows and over parts of them."""

    def statistic(labels: np.ndarray, rows: np.ndarray, weights: np.ndarray | None = None) -> Any:
        return np.mean(
            [
                metrics.auroc(labels[part], one[rows][part], None if weights is None
                              else weights[..., part])
                for one in scores
                for part in parts
            ],
            axis=0,
        )  # fmt: skip

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
