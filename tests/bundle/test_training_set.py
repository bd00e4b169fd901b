"""A frame that was trained on is known again, whatever file it comes in."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bundle import training_set
from thyro_demo.data import datasets, phantom
from thyro_demo.files import sha256


@pytest.fixture
def drawn(tmp_path):
    """Write the first four patients of cohort 7, two small frames each."""
    frames = phantom.cohort(4, frames_per_patient=2, seed=7, shape=(64, 96))
    phantom.write(frames, tmp_path / "drawn")
    return datasets.phantoms(tmp_path / "drawn")


def trained_on(images=(), **phantoms):
    cohorts = {f"phantom-{seed.removeprefix('seed')}": count for seed, count in phantoms.items()}
    return {"training_images": list(images), "training_phantoms": cohorts}


def test_a_cohort_reaches_to_its_last_patient_and_other_groups_are_no_cohort():
    groups = ["phantom-7-00003", "phantom-7-00001", "phantom-11-00000", "ddti-7", "p1", np.nan]
    assert training_set.cohorts(groups) == {"phantom-7": 4, "phantom-11": 1}
    assert training_set.cohorts(["phantom-7-00001+phantom-7-00005"]) == {"phantom-7": 6}


def test_a_chain_has_met_what_its_initial_weights_had():
    assert training_set.joined([{"phantom-7": 80, "phantom-11": 5}, {"phantom-11": 9}, {}]) == {
        "phantom-7": 80,
        "phantom-11": 9,
    }


def test_a_file_is_known_by_its_content_alone(drawn):
    known = trained_on([sha256(drawn["path"][3])])
    seen = training_set.seen(drawn.assign(group="somebody"), [known])
    assert list(np.flatnonzero(seen)) == [3]


def test_a_patient_drawn_again_is_known_in_another_file(drawn, tmp_path):
    for number, path in enumerate(drawn["path"]):
        with Image.open(path) as frame:
            frame.save(tmp_path / f"{number}.bmp")
    again = drawn.assign(path=[str(tmp_path / f"{number}.bmp") for number in range(len(drawn))])
    seen = training_set.seen(again, [trained_on(seed7=3)])
    assert list(seen) == [True] * 6 + [False] * 2
    assert not training_set.seen(again, [trained_on(seed11=1000)]).any()


def test_what_any_member_was_trained_on_counts(drawn):
    members = [trained_on(seed7=1), trained_on([sha256(drawn["path"][7])])]
    assert list(training_set.seen(drawn, members)) == [True] * 2 + [False] * 5 + [True]


def test_members_of_an_archive_are_no_files_of_their_own():
    rows = pd.DataFrame({"path": ["missing.zip::a.png"], "group": ["a"]})
    assert list(training_set.seen(rows, [trained_on(["0" * 64])])) == [False]


def test_outlines_count_where_a_bundle_names_them_and_training_images_where_it_does_not(drawn):
    files = [sha256(path) for path in drawn["path"]]
    rows = drawn.assign(group="somebody")
    older = trained_on(files[:2])
    newer = trained_on(files[:2]) | {"training_outlines": files[4:5]}
    assert list(np.flatnonzero(training_set.learned(rows, [older]))) == [0, 1]
    assert list(np.flatnonzero(training_set.learned(rows, [newer]))) == [4]
    assert list(np.flatnonzero(training_set.learned(rows, [older, newer]))) == [0, 1, 4]
    assert list(np.flatnonzero(training_set.seen(rows, [newer]))) == [0, 1]


def test_the_outline_of_a_phantom_is_known_by_its_patient(drawn):
    newer = trained_on(seed7=1) | {"training_outlines": []}
    assert list(training_set.learned(drawn, [newer])) == [True] * 2 + [False] * 6
