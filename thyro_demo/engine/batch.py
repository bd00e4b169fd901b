"""Score the images of a table with one bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from thyro_demo.bundle import passes

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle
    from thyro_demo.bundle.ensemble import Ensemble


def score_records(
    bundle: Bundle | Ensemble, records: pd.DataFrame, batch: int = 16
) -> pd.DataFrame:
    """Score every image of a record table with every head.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        The bundle.
    records : DataFrame
        With ``path, label, group, source``, one row an image; for a bundle that reads a
        marked nodule also with what `roi.nodule_boxes` reads.
    batch : int
        Images a forward pass.

    Returns
    -------
    DataFrame
        One row an image and head: ``path, group, source, label, head, score``, as
        `evaluate.report` reads it.

    Raises
    ------
    DataError
        If an image cannot be read, or has no nodule marked for a bundle that reads one:
        figures over the rest would not be those of the table.
    """
    parts = [seen.scores(bundle) for seen in passes.run(bundle, records, batch)]
    return pd.concat(parts, ignore_index=True)
