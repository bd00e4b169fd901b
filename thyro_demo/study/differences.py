"""Set out-of-fold scores of several means beside one, on the same frames."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from thyro_demo.evaluate import intervals, metrics
from thyro_demo.models import chain
from thyro_demo.models.chain import Job
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.models.recipes import recipe


def frames(data: Path, work: Path) -> pd.DataFrame:
    """Read the thyroid frames, without phantoms, dealt to grouped folds of their own.

    These are not the folds of the shipped chain, which deals its phantoms along with them.

    Parameters
    ----------
    data : Path
        The thyroid set, or the folder that holds all sets by name.
    work : Path
        Where the note of the set goes.

    Returns
    -------
    DataFrame
        Record table with a column `fold`.
    """
    known = recipe("progressive")
    alone = replace(known, stages=known.stages[-1:], phantoms=0.0)
    return chain.thyroid_records(
        Job(alone, alone.backbones[0], data, work / "thyroid", work / "none")
    )


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
