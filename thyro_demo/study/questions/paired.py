"""Paired differences: out-of-fold scores of several systems beside one, on the same frames."""

from typing import Any

import pandas as pd

from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.formatting import Estimate
from thyro_demo.evaluate.results import Cell, Column, Interval, Result, figure
from thyro_demo.study.setting import SPLIT
from thyro_demo.training.out_of_fold import CLASSES

ABOUT: dict[str, Any] = {
    "split": SPLIT,
    "unit": "group",
    "interval": Interval(method="bootstrap of whole groups", resamples=intervals.RESAMPLES),
}
"""How the figures of `against` come about, for a `Result` of them."""

FILE = "paired_differences"
"""Name of the result to which each protocol adds its rows."""


def against(scored: dict[str, pd.DataFrame], reference: str, column: str) -> pd.DataFrame:
    """Compare each table of scores with one of them, over all frames and within each source.

    Parameters
    ----------
    scored : dict of str to DataFrame
        From `out_of_fold.score_features`, on the same frames in the same order.
    reference : str
        The key that the others are compared with.
    column : str
        Name of the column that takes the keys.

    Returns
    -------
    DataFrame
        One row a key and source ("all" first): the key, `source, auroc, low, high`, and
        `gain, gain_low, gain_high`, the paired difference to the reference.
    """
    rows = []
    for key, found in scored.items():
        for source in ("all", *sorted(found["source"].unique())):
            mask = (found["source"] == source) | (source == "all")
            labels, groups = (found["label"] == CLASSES[1])[mask], found["group"][mask]
            scores, others = found["score"][mask], scored[reference]["score"][mask]
            value = intervals.group_bootstrap(metrics.auroc, labels, scores, groups)
            gain = intervals.paired_group_bootstrap(metrics.auroc, labels, scores, others, groups)
            rows.append(
                {column: key, "source": source,
                 "auroc": value.value, "low": value.low, "high": value.high,
                 "gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            )  # fmt: skip
    return pd.DataFrame(rows)


def result(protocol: str, ours: str, reference: str, images: int, auroc: Estimate) -> Result:
    """Make the row of `FILE` that a protocol adds.

    Parameters
    ----------
    protocol : str
        Its key.
    ours, reference : str
        The systems that are compared.
    images : int
        Number of images that both scored.
    auroc : estimate
        Paired difference of AUROC, ours minus the reference; see `formatting.Estimate`.

    Returns
    -------
    Result
        A table of this row.
    """
    row: dict[str, Cell] = {
        "protocol": protocol,
        "ours": ours,
        "reference": reference,
        "images": images,
        "auroc": figure(auroc),
    }
    return Result(
        what="Paired differences of AUROC.",
        made_by="python -m thyro_demo study all --data sets",
        **ABOUT,
        columns=(
            Column(key="protocol", title="Protocol"),
            Column(key="ours", title="System"),
            Column(key="reference", title="Minus"),
            Column(key="images", title="Images", show="count"),
            Column(key="auroc", title="AUROC", show="gain"),
        ),
        rows=(row,),
    )
