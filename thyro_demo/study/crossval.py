"""Cross-validate a recipe on thyroid frames and leave `oof.csv`, which cards and README quote."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import plots, report
from thyro_demo.models import chain, manifest, out_of_fold
from thyro_demo.models.chain import Job
from thyro_demo.models.recipes import recipe


def run(name: str, backbone: str | None, data: Path, start: str | None, work: Path) -> pd.DataFrame:
    """Cross-validate a recipe.

    Parameters
    ----------
    name : str
        A recipe that ends on thyroid frames.
    backbone : str or None
        The network; the recipe's first one without it.
    data : Path
        The thyroid set, or the folder that holds all sets by name.
    start : str or None
        See `starts.apply`; None takes the shipped bundle of the network, whose frozen part
        never saw a thyroid frame. A bundle has been through the earlier stages, so that the
        last one alone is run; any other start runs the stages that `recipe` leaves.
    work : Path
        Where `oof.csv` and the logs go; a killed run goes on from there.

    Returns
    -------
    DataFrame
        Content of `oof.csv`: `path, group, source, label, fold, head, probability`.

    Raises
    ------
    RecipeError
        If the recipe gives no bundle, or its start was trained on thyroid frames.
    DataError
        If the frames are too few, or not in a layout that is read.
    """
    network = backbone or recipe(name).backbones[0]
    chosen = recipe(name, network)
    if not chosen.gives_bundle:
        raise RecipeError(
            "Cross-validation needs a recipe that ends on thyroid frames, such as progressive. "
            f"Received: {name!r}."
        )
    if start is None:
        shipped = manifest.weights_root() / network
        scratch = chosen.stages[-1][1].trainable == "all"
        known = not scratch and (shipped / "manifest.json").is_file()
        start = str(shipped) if known else "none"
    chosen = recipe(name, network, start)
    if manifest.bundle_of(start) is not None:
        chosen = replace(chosen, stages=chosen.stages[-1:])
    return chain.cross_validate(Job(chosen, network, data, work, work / network, start))


def lines(table: pd.DataFrame) -> list[str]:
    """Say what a cross-validation found, for a terminal.

    Parameters
    ----------
    table : DataFrame
        From `run`.

    Returns
    -------
    list of str
        AUROC of each head with its interval, over all frames and within each source.
    """
    said = []
    for drawn, rows in table.groupby(table["source"] == out_of_fold.PHANTOM):
        summary = summarise(rows)
        said.append(
            f"{'Phantoms' if drawn else 'Frames'}: {summary['n']} in {summary['groups']} groups, "
            f"out of fold; AUROC with 95 % interval by {summary['unit']}."
        )
        for head, figures in summary["heads"].items():
            within = {name: part["auroc"] for name, part in figures["by_source"].items()}
            shown = {"all": figures["auroc"], **within}
            said += [
                f"  {head:<10} {source:<10} {plots.with_interval(figure, 3)}"
                for source, figure in shown.items()
            ]
    return said


def summarise(table: pd.DataFrame) -> dict[str, Any]:
    """Summarise out-of-fold probabilities.

    Parameters
    ----------
    table : DataFrame
        From `run`.

    Returns
    -------
    dict
        As `report.summarise` gives it, without operating points.
    """
    scores = table.rename(columns={"probability": "score"})
    return report.summarise(scores, {str(head): float("nan") for head in set(table["head"])})
