"""From a table of predictions to a report: numbers with intervals, figures and one page.

The report is a folder: ``report.json`` (what the command line and the model cards read),
``predictions.csv`` (what every number was computed from), the figures as PNG, and
``index.html``, which holds the figures within itself and asks no other host for anything.
"""

import itertools
import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from thyro_demo import files
from thyro_demo.errors import DataError
from thyro_demo.evaluate import intervals, metrics, page, plots

COLUMNS = ("path", "group", "source", "label", "head", "score")
UNKNOWN_SOURCE = "unknown"

_METHOD = {"method": "percentile bootstrap", "level": intervals.LEVEL}


def summarise(
    predictions: pd.DataFrame,
    thresholds: Mapping[str, float],
    positive: str = "malignant",
    *,
    bundle: str | None = None,
    split: str | None = None,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute every figure of every head, overall and within each source.

    Parameters
    ----------
    predictions : DataFrame
        One row per image and head: ``path``, ``group`` (NaN throughout where the set has
        none), ``source``, ``label`` (two values), ``head``, ``score`` (P(positive), 0–1),
        and ``fold`` where the scores are out of fold.
    thresholds : mapping of str to float
        Operating point of each head, chosen on other images; NaN for a head without one,
        whose figures at a threshold are then null.
    positive : str
        The label that counts as positive.
    bundle, split : str, optional
        Name of the bundle that was scored, and which images these are; by default "out-of-fold"
        where there is a column ``fold``, and otherwise "all images given".
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        Ready for JSON, null for what is undefined: ``bundle``, ``n`` (images), ``groups``,
        ``positives``, ``positive``, ``split``, ``unit`` (what is resampled: "group" or, in a
        set without any, "image"), ``interval``, ``heads`` and ``auroc_differences`` (for each
        pair of heads, AUROC of ``a`` minus that of ``b``). A head has its ``threshold``,
        `page.METRICS`, each as ``value``, ``low`` and ``high``, ``confusion``, and the same
        again ``by_source``.

    Raises
    ------
    DataError
        When a column, a threshold or a label is missing, a score is no probability, or
        the heads did not score the same images.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"path": list("abcd"), "group": list("1234"), "source": "clinic", "head": "svm"}
    ... ).assign(label=["benign", "benign", "malignant", "malignant"], score=[0.1, 0.4, 0.3, 0.9])
    >>> summary = summarise(table, {"svm": 0.5}, resamples=100)
    >>> summary["unit"], summary["heads"]["svm"]["auroc"]["value"]
    ('group', 0.75)
    """
    table = _checked(predictions, thresholds, positive)
    images = table.drop_duplicates("path")
    grouped = bool(images["group"].notna().any())
    return {
        "bundle": bundle,
        "n": len(images),
        "groups": _count_groups(images) if grouped else None,
        "positives": int(images["positive"].sum()),
        "positive": positive,
        "split": split or ("out-of-fold" if "fold" in table else "all images given"),
        "unit": "group" if grouped else "image",
        "interval": _METHOD | {"resamples": resamples, "seed": seed},
        "heads": _summarise_heads(table, thresholds, resamples, seed),
        "auroc_differences": _differences(table, resamples, seed),
    }


def write(
    predictions: pd.DataFrame,
    thresholds: Mapping[str, float],
    folder: str | Path,
    title: str,
    positive: str = "malignant",
    *,
    bundle: str | None = None,
    split: str | None = None,
    more: Mapping[str, Any] | None = None,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
) -> Path:
    """Write the report as a folder, whole or not at all.

    Parameters
    ----------
    predictions : DataFrame
        As in `summarise`.
    thresholds : mapping of str to float
        As in `summarise`.
    folder : str or Path
        A new or empty folder, or an earlier report, which is replaced.
    title : str
        Heading of the page.
    positive, bundle, split : str, optional
        As in `summarise`.
    more : mapping, optional
        Further entries of the summary; the page shows ``localisation``, as
        `explain.localise_records` measures it.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    Path
        ``index.html`` in the folder.

    Raises
    ------
    DataError
        As in `summarise`, and when the folder holds anything but an earlier report.
    """
    folder = Path(folder).resolve()
    check_place(folder)
    summary = summarise(
        predictions,
        thresholds,
        positive,
        bundle=bundle,
        split=split,
        resamples=resamples,
        seed=seed,
    ) | dict(more or {})
    table = _checked(predictions, thresholds, positive)
    with files.atomic_write(folder) as temporary:
        temporary.mkdir()
        _write_files(temporary, title, summary, predictions, plots.draw(table, summary))
    return folder / "index.html"


_FILES = {"report.json", "predictions.csv", "index.html", *(f"{n}.png" for n in plots.FIGURES)}


def check_place(folder: Path) -> None:
    """Refuse a folder that a report would empty of somebody's files, before any work.

    Parameters
    ----------
    folder : Path
        Where a report is to be written. It replaces the whole folder.

    Raises
    ------
    DataError
        If it is a file, or holds anything but an earlier report.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"A report must be written to a folder. Received: the file {folder}.")
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _FILES)
    if foreign:
        raise DataError(
            "The folder of a report must be new, empty or an earlier report, which is replaced. "
            f"Received: {folder} with {', '.join(foreign[:3])}."
        )


def _write_files(
    folder: Path,
    title: str,
    summary: Mapping[str, Any],
    predictions: pd.DataFrame,
    figures: Mapping[str, bytes],
) -> None:
    """Write numbers, predictions, figures and page into a folder."""
    numbers = json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False)
    (folder / "report.json").write_text(numbers + "\n", encoding="utf-8")
    predictions.to_csv(folder / "predictions.csv", index=False)
    for name, png in figures.items():
        (folder / f"{name}.png").write_bytes(png)
    (folder / "index.html").write_text(page.render(title, summary, figures), encoding="utf-8")


def _checked(
    predictions: pd.DataFrame, thresholds: Mapping[str, float], positive: str
) -> pd.DataFrame:
    """Check the table and add the boolean column ``positive``."""
    missing = [name for name in COLUMNS if name not in predictions]
    if missing or predictions.empty:
        raise DataError(
            f"Predictions must be a table of the columns {', '.join(COLUMNS)}, one row per image "
            f"and head. Received: {len(predictions)} rows without {', '.join(missing) or 'any'}."
        )
    _check_labels(predictions, positive)
    _check_scores(predictions)
    heads = [str(head) for head in predictions["head"].unique()]
    without = [head for head in heads if head not in thresholds]
    if without:
        raise DataError(
            "Every head must have a threshold (NaN where it has no operating point). "
            f"Received: none for {', '.join(without)}."
        )
    _check_images(predictions)
    return predictions.assign(
        head=predictions["head"].astype(str),
        source=predictions["source"].astype(object).fillna(UNKNOWN_SOURCE).astype(str),
        positive=(predictions["label"] == positive).to_numpy(),
    )


def _check_labels(predictions: pd.DataFrame, positive: str) -> None:
    labels = predictions["label"]
    others = sorted(labels[labels != positive].astype(str).unique())
    if labels.isna().any() or len(others) > 1:
        raise DataError(
            f"Every label must be {positive!r} or one other. "
            f"Received: {', '.join(sorted(labels.astype(str).unique())[:5])}."
        )


def _check_scores(predictions: pd.DataFrame) -> None:
    scores = pd.to_numeric(predictions["score"], errors="coerce")
    wrong = ~scores.between(0, 1)
    if wrong.any():
        raise DataError(
            "Every score must be a probability from 0 to 1. "
            f"Received: {predictions['score'][wrong].iloc[0]} for "
            f"{predictions['path'][wrong].iloc[0]}, and {int(wrong.sum()) - 1} more."
        )


def _check_images(predictions: pd.DataFrame) -> None:
    paths = predictions.groupby("head")["path"]
    images = predictions["path"].nunique()
    if not ((paths.nunique() == images) & (paths.size() == images)).all():
        counts = ", ".join(f"{head}: {count}" for head, count in paths.size().items())
        raise DataError(
            f"Every head must score each of the {images} images once. Received: {counts} rows."
        )
    facts = predictions[["path", "label", "group", "source"]].drop_duplicates()
    if len(facts) > images:
        twice = facts["path"][facts["path"].duplicated()].iloc[0]
        raise DataError(
            "An image must have one label, group and source, the same for every head. "
            f"Received: two for {twice}."
        )


def _summarise_heads(
    table: pd.DataFrame, thresholds: Mapping[str, float], resamples: int, seed: int
) -> dict[str, Any]:
    progress = tqdm(table.groupby("head", sort=False), desc="heads", leave=False, disable=None)
    return {
        str(head): _summarise_head(rows, thresholds[str(head)], resamples, seed)
        for head, rows in progress
    }


def _summarise_head(
    rows: pd.DataFrame, threshold: float, resamples: int, seed: int
) -> dict[str, Any]:
    # Largest source first: the reader meets the firmest numbers first.
    names = rows["source"].value_counts().sort_index()
    sources = names.sort_values(ascending=False, kind="stable")
    return {
        "threshold": _null(threshold),
        **_figures(rows, threshold, resamples, seed),
        "by_source": {
            str(source): {
                "n": int(count),
                "groups": _count_groups(rows[rows["source"] == source]),
                "positives": int(rows.loc[rows["source"] == source, "positive"].sum()),
                **_figures(rows[rows["source"] == source], threshold, resamples, seed),
            }
            for source, count in sources.items()
        },
    }


def _figures(rows: pd.DataFrame, threshold: float, resamples: int, seed: int) -> dict[str, Any]:
    labels, scores = rows["positive"].to_numpy(), rows["score"].to_numpy(dtype=np.float64)
    statistics: dict[str, intervals.Statistic] = {
        "auroc": metrics.auroc,
        "average_precision": metrics.average_precision,
    }
    if not math.isnan(threshold):
        for statistic in (
            metrics.accuracy,
            metrics.sensitivity,
            metrics.specificity,
            metrics.f1,
        ):
            statistics[statistic.__name__] = partial(statistic, threshold=threshold)
    statistics |= {"ece": metrics.expected_calibration_error, "brier": metrics.brier}
    found = intervals.group_bootstraps(
        statistics, labels, scores, rows["group"].to_numpy(), resamples, seed
    )
    figures: dict[str, Any] = {
        name: found[name].to_dict() if name in found else {"value": None, "low": None, "high": None}
        for name in page.METRICS
    }
    figures["confusion"] = (
        None if math.isnan(threshold) else metrics.confusion(labels, scores, threshold)
    )
    return figures


def _differences(table: pd.DataFrame, resamples: int, seed: int) -> list[dict[str, Any]]:
    images = table.drop_duplicates("path").set_index("path")
    scores = table.pivot(index="path", columns="head", values="score").loc[images.index]
    differences = []
    for a, b in itertools.combinations(table["head"].unique(), 2):
        found = intervals.paired_group_bootstrap(
            metrics.auroc,
            images["positive"].to_numpy(),
            scores[a].to_numpy(),
            scores[b].to_numpy(),
            images["group"].to_numpy(),
            resamples,
            seed,
        )
        differences.append({"a": a, "b": b, **found.to_dict()})
    return differences


def _count_groups(images: pd.DataFrame) -> int:
    return int(images["group"].nunique() + images["group"].isna().sum())


def _null(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
