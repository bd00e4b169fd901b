"""How well the size of the image alone predicts the class, without a look at it.

Sets put together from several places often have one image size per place, and a
different share of malignant nodules in each. A network that beats this baseline by
little has learned where the images come from.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from thyro_demo.errors import DataError

_COLUMNS = ("label", "width", "height", "fold")


def image_size_scores(
    records: pd.DataFrame, positive: str = "malignant", seed: int = 0
) -> NDArray[np.float64]:
    """Score every image out of fold by its width and height alone.

    Parameters
    ----------
    records : DataFrame
        Columns ``label``, ``width`` and ``height`` (pixels) and ``fold``, where no group
        has images in two folds.
    positive : str
        The label that counts as positive.
    seed : int
        Of the forest.

    Returns
    -------
    (n,) float64, 0–1
        Row by row, the score of a forest fitted to the other folds: 100 trees with at
        least ten images in a leaf, so that it learns image formats, not single images.

    Raises
    ------
    DataError
        When a column is missing, a width, height or fold is unknown, there is one fold
        alone, or no record has the positive label.
    """
    _check(records, positive)
    sizes = records[["width", "height"]].to_numpy(dtype=np.float64)
    labels = (records["label"] == positive).to_numpy()
    folds = records["fold"].to_numpy()
    scores = np.full(len(records), np.nan)
    for fold in np.unique(folds):
        held_out = folds == fold
        known = labels[~held_out]
        if known.all() or not known.any():
            scores[held_out] = float(known[0])
            continue
        forest = RandomForestClassifier(100, min_samples_leaf=10, random_state=seed)
        forest.fit(sizes[~held_out], known)
        scores[held_out] = forest.predict_proba(sizes[held_out])[:, 1]
    return scores


def _check(records: pd.DataFrame, positive: str) -> None:
    missing = [name for name in _COLUMNS if name not in records]
    if missing:
        raise DataError(
            f"A table for the image size baseline must have the columns {', '.join(_COLUMNS)}. "
            f"Received: a table without {', '.join(missing)}."
        )
    for name in ("width", "height", "fold"):
        unknown = int(records[name].isna().sum())
        if unknown:
            raise DataError(
                f"Every image of the image size baseline must have a {name}. "
                f"Received: {unknown} of {len(records)} without one."
            )
    if records["fold"].nunique() < 2:
        raise DataError(
            "Scores out of fold must come from at least two folds. "
            f"Received: {records['fold'].nunique()} over {len(records)} images."
        )
    if not (records["label"] == positive).any():
        raise DataError(
            f"At least one record must have the positive label {positive!r}. "
            f"Received: labels {sorted(records['label'].astype(str).unique())}."
        )
