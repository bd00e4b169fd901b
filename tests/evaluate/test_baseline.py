"""The size of an image predicts its class where sources differ, and nothing where they do not."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from thyro_demo.errors import DataError
from thyro_demo.evaluate import baseline, metrics


def sized_records(generator, malignant_share, n=300):
    source = generator.integers(0, 2, n)
    malignant = generator.random(n) < np.array(malignant_share)[source]
    return pd.DataFrame(
        {
            "label": np.where(malignant, "malignant", "benign"),
            "width": np.array([560, 300])[source],
            "height": np.array([360, 225])[source],
            "fold": np.arange(n) % 5,
        }
    )


def size_auroc(records):
    return metrics.auroc(records["label"] == "malignant", baseline.image_size_scores(records))


def test_sources_of_different_prevalence_are_recognised_by_size():
    assert size_auroc(sized_records(np.random.default_rng(0), (0.9, 0.2))) > 0.8


def test_sources_of_one_prevalence_are_not():
    assert abs(size_auroc(sized_records(np.random.default_rng(1), (0.5, 0.5))) - 0.5) < 0.1


def test_a_score_does_not_depend_on_the_label_of_its_own_fold():
    records = sized_records(np.random.default_rng(2), (0.9, 0.2))
    flipped = records.copy()
    held_out = records["fold"] == 0
    flipped.loc[held_out, "label"] = records.loc[held_out, "label"].map(
        {"benign": "malignant", "malignant": "benign"}
    )
    before, after = baseline.image_size_scores(records), baseline.image_size_scores(flipped)
    np.testing.assert_array_equal(before[held_out], after[held_out])
    assert (before[~held_out] != after[~held_out]).any()


@pytest.mark.parametrize(
    "change",
    [
        lambda records: records.drop(columns="width"),
        lambda records: records.assign(fold=0),
        lambda records: records.assign(height=np.nan),
        lambda records: records.assign(label="nodule"),
    ],
)
def test_records_it_cannot_use_are_refused(change):
    with pytest.raises(DataError, match="Received: "):
        baseline.image_size_scores(change(sized_records(np.random.default_rng(3), (0.9, 0.2))))


def test_image_size_alone_reaches_070_on_the_real_frames(thyro_data):
    index = thyro_data / "thyroid_us" / "index.csv"
    if not index.is_file():
        pytest.skip("THYRO_DATA holds no thyroid_us/index.csv")
    records = pd.read_csv(index)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    strata = records["label"] + " " + records["source"]
    for fold, (_, held_out) in enumerate(splitter.split(records, strata, records["group"])):
        records.loc[records.index[held_out], "fold"] = fold
    assert size_auroc(records) == pytest.approx(0.70, abs=0.03)
