"""Crops keep the scan, near duplicates are found, and memory shows where a split leaks."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from thyro_demo.course import collection
from thyro_demo.course.lesson import Lesson
from thyro_demo.data import images, near_duplicates, scan_area, splits
from thyro_demo.data.roi import nodule_boxes
from thyro_demo.errors import DataError


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    found = Lesson(1, True, 0, None, tmp_path_factory.mktemp("course"))
    found.here.mkdir()
    return found


def test_printed_phantoms_hold_print_that_the_crop_leaves_out(lesson):
    for frame in collection.stored_frames(lesson, 2):
        area = scan_area.find(frame)
        outside = frame.copy()
        outside[area.top : area.bottom, area.left : area.right] = 0
        assert outside.max() > 150
        assert 0.6 < area.width * area.height / frame[..., 0].size < 0.8


@pytest.mark.filterwarnings("ignore:IProgress")
def test_copies_are_hidden_in_groups_of_their_own_found_and_joined(lesson):
    records = lesson.thyroid().iloc[:12]
    found = collection.with_duplicates(lesson, records, 2)
    assert len(found) == 14
    assert found["group"].nunique() == records["group"].nunique() + 2
    sizes = found.loc[12:, ["width", "height"]].to_numpy()
    assert np.all(sizes < records["width"].min())
    joined = near_duplicates.group(found)
    assert joined["group"].nunique() == records["group"].nunique()
    assert len(collection.with_duplicates(lesson, records, 0)) == 12
    with pytest.raises(DataError, match="Received: count=13"):
        collection.with_duplicates(lesson, records, 13)


@pytest.mark.filterwarnings("ignore:IProgress")
def test_the_nodule_that_is_shown_is_within_its_frame_and_leaves_room(lesson):
    records = collection.outlined_frames(lesson)
    assert all(nodule_boxes(records))
    frame, box = collection.pick_nodule(records)
    part = box.width * box.height / frame[..., 0].size
    assert 0.03 < part < 0.25
    assert scan_area.crop(frame, box).size
    with pytest.raises(DataError, match="Received: "):
        collection.pick_nodule(records.iloc[:0])


@pytest.mark.filterwarnings("ignore:IProgress")
def test_a_copy_answers_alike_and_another_patient_does_not(lesson):
    records = lesson.thyroid().iloc[:8]
    assert collection.hash_distances(pd.concat([records.iloc[:1]] * 2)).tolist() == [0]
    apart = collection.hash_distances(records)
    assert len(apart) == 28
    assert np.median(apart) > near_duplicates.MAX_DISTANCE
    hashes = [int(near_duplicates.perceptual_hash(images.decode(path))) for path in records["path"]]
    assert apart.tolist() == [(a ^ b).bit_count() for a, b in combinations(hashes, 2)]


@pytest.mark.filterwarnings("ignore:IProgress")
def test_memory_knows_its_own_group_only_where_the_split_lets_it(lesson):
    records = lesson.thyroid()
    rows = collection.thumbnails(records)
    assert np.allclose(np.einsum("ij,ij->i", rows, rows), 1)
    torn = collection.split_by_image(records, 3, 0)
    assert splits.crossing(torn["group"], torn["fold"])
    assert collection.score_by_nearest(torn, rows)["same_group"].any()
    whole = splits.kfold(records, 3, seed=0)
    assert not collection.score_by_nearest(whole, rows)["same_group"].any()


def test_memory_is_sure_of_a_frame_that_it_has_seen():
    rows = np.eye(4)[[0, 0, 1, 1]]
    assigned = pd.DataFrame(
        {
            "label": ["malignant", "malignant", "benign", "benign"],
            "group": list("aabb"),
            "fold": [0, 1, 0, 1],
        }
    )
    asked = collection.score_by_nearest(assigned, rows)
    assert asked["score"].tolist() == [1, 1, -1, -1]
    assert asked["same_group"].all()
