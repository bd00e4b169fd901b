"""Chapter 5: frames that a head misread, and a reader who counts points beside it."""

import pandas as pd
from matplotlib.figure import Figure

from thyro_demo.course import show
from thyro_demo.data import images, masks
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.training.out_of_fold import CLASSES


def worst(called: pd.DataFrame, each: int = 3) -> pd.DataFrame:
    """Choose the frames that decisions got most wrong.

    Parameters
    ----------
    called : DataFrame
        From `evaluation.decide`.
    each : int
        False alarms at most, and missed frames at most, one a group.

    Returns
    -------
    DataFrame
        Those rows: false alarms, the highest score first, then missed ones, the lowest first.
    """
    wrong = called[called["called"] != (called["label"] == CLASSES[1])]
    parts = [
        wrong[wrong["called"] == alarm]
        .sort_values("score", ascending=not alarm)
        .drop_duplicates("group")
        .head(each)
        for alarm in (True, False)
    ]
    return pd.concat(parts, ignore_index=True)


def draw(found: pd.DataFrame, records: pd.DataFrame, title: str) -> Figure:
    """Draw misread frames: false alarms above, missed ones below.

    Parameters
    ----------
    found : DataFrame
        From `worst`.
    records : DataFrame
        Record table with these paths; the nodule is outlined where `mask_path` has a mask.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        A row for each kind of error that was made.
    """
    known = records.set_index("path")
    kinds = [rows for _, rows in found.groupby("called", sort=False)]
    across = max(map(len, kinds), default=1)
    figure = Figure(figsize=(3.6 * across, 3.3 * max(len(kinds), 1)), layout="constrained")
    grid = figure.subplots(max(len(kinds), 1), across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes_of_row, rows in zip(grid, kinds, strict=False):
        for axes, row in zip(axes_of_row, rows.itertuples(), strict=False):
            mask = known.loc[row.path].get("mask_path")
            outline = masks.read_mask(mask) if isinstance(mask, str) else None
            kind = "false alarm" if row.called else "missed"
            text = f"{kind}: {row.label}, score {row.score:.2f}"
            show.frame(axes, images.decode(row.path), text, outline)
    figure.suptitle(title)
    return figure


def against_points(rows: pd.DataFrame, records: pd.DataFrame) -> dict[str, Interval]:
    """Set a head beside a reader who counts the TI-RADS points of each frame without a mistake.

    Parameters
    ----------
    rows : DataFrame
        `path`, `label`, `score` and `group` of one head, out of fold.
    records : DataFrame
        Record table with `points`, as phantoms have them.

    Returns
    -------
    dict of str to Interval
        AUROC of "reader" and "network", and "network minus reader" on the same frames; none where
        no points are known.
    """
    if "points" not in records:
        return {}
    counted = records.set_index("path").loc[rows["path"], "points"].astype(float).to_numpy()
    labels, groups = rows["label"] == CLASSES[1], rows["group"]
    alone = {"reader": counted, "network": rows["score"].to_numpy()}
    found = {
        name: intervals.group_bootstrap(metrics.auroc, labels, scores, groups)
        for name, scores in alone.items()
    }
    found["network minus reader"] = intervals.paired_group_bootstrap(
        metrics.auroc, labels, alone["network"], counted, groups
    )
    return found
