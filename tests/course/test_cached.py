"""Cached features are those of the shipped networks, and the ladder rises with them."""

import numpy as np
import pytest

from thyro_demo.course import cached, ladder
from thyro_demo.course.lesson import Lesson
from thyro_demo.data import splits
from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics
from thyro_demo.files import sha256


def lesson_at(folder, seed=0):
    return Lesson(3, True, seed, None, folder)


def test_the_file_was_computed_with_the_shipped_weights():
    now = {f"{one.parent.name}/{one.name}": sha256(one) for one in cached.sources()}
    assert cached.made_of() == now, "run cached.write()"


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("listed")
    return folder, cached.frames(lesson_at(folder), every=True)


def test_a_cohort_is_a_part_of_all_and_has_a_row_a_frame(listed):
    folder, records = listed
    assert len(records) == 900
    assert records["group"].nunique() == 450
    whole = cached.features(lesson_at(folder), ladder.NATURAL, every=True)
    assert len(whole) == 900
    parts = [cached.features(lesson_at(folder, seed), ladder.NATURAL) for seed in (0, 1, 2)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert list(cached.frames(lesson_at(folder, 1))["path"]) == list(records["path"][300:600])
    assert not any(folder.iterdir())  # no image is drawn before it is looked at


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:IProgress")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_ladder_rises_in_a_rehearsal(seed, listed):
    folder, records = listed
    lesson = lesson_at(folder, seed)
    records = splits.kfold(records, 5, seed=seed)
    names = {
        ladder.RANDOM: ladder.RANDOM, ladder.NATURAL: ladder.NATURAL,
        ladder.RADIOGRAPHS: ladder.RADIOGRAPHS, ladder.FULL: ladder.FULL,
        ladder.READ: cached.NETWORK,
    }  # fmt: skip
    features = {name: cached.features(lesson, key, every=True) for name, key in names.items()}
    auroc = {
        name: metrics.auroc(one["label"] == "malignant", one["score"])
        for name, one in ladder.climb(features, records).items()
    }
    assert auroc[ladder.RANDOM] < auroc[ladder.NATURAL] < auroc[ladder.FULL] < auroc[ladder.READ]
    # The middle stage alone moves little: where it lands between its neighbours, chance decides.
    assert auroc[ladder.RADIOGRAPHS] > auroc[ladder.NATURAL] - 0.02


def test_what_was_not_kept_is_refused(tmp_path):
    with pytest.raises(DataError, match="Received: vgg16"):
        cached.features(lesson_at(tmp_path), "vgg16")
