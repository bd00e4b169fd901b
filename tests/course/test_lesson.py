"""A chapter finds its images, goes on from earlier ones, and rehearses on phantoms alone."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import claims
from thyro_demo.course import lesson as lessons
from thyro_demo.course.lesson import begin
from thyro_demo.data import datasets, splits
from thyro_demo.data.phantom import chest_film
from thyro_demo.errors import DataError


@pytest.fixture
def frames(tmp_path):
    """Write a folder of class folders with six different pictures."""
    rng = np.random.default_rng(0)
    for label in ("benign", "malignant", "normal"):
        folder = tmp_path / "sets" / "thyroid_us" / label
        folder.mkdir(parents=True)
        for number in range(3):
            noise = rng.integers(0, 256, (40, 60), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"{number}.png")
    return tmp_path / "sets"


def test_a_rehearsal_is_on_phantoms_unless_it_is_given_frames(tmp_path, capsys):
    lesson = begin(1, True, 0, "", str(tmp_path / "out"))
    assert lesson.find("p1") is None
    assert lesson.images == "drawn phantoms"
    records = lesson.thyroid()
    assert set(records["label"]) == {"benign", "malignant"}
    assert records["source"].nunique() == 3
    assert records.groupby("group")["source"].nunique().eq(1).all()
    assert "rehearsal" in capsys.readouterr().out


def test_a_table_of_a_lesson_shows_its_sentences_whole(tmp_path):
    sentence = "A sentence that is a claim is read to its end, " * 3 + "however long it is"
    with pd.option_context("display.max_colwidth", 50):
        begin(1, True, 0, "", str(tmp_path / "out"))
        shown = claims.table({sentence: True})
        assert sentence in shown.to_html()
        assert sentence in shown.reset_index().to_html()


def test_a_rehearsal_takes_whole_groups_of_real_frames(tmp_path, frames, monkeypatch):
    monkeypatch.setattr(lessons, "FAST_GROUPS", 2)
    lesson = begin(1, True, 0, str(frames), str(tmp_path / "out"))
    assert lesson.images == "real frames"
    records = lesson.thyroid()
    whole = begin(1, False, 0, str(frames), str(tmp_path / "out")).thyroid()
    assert records.groupby("label")["group"].nunique().to_dict() == {"benign": 2, "malignant": 2}
    sizes = whole.groupby("group").size()
    assert records.groupby("group").size().equals(sizes[records["group"].unique()].sort_index())


def test_a_set_is_found_by_its_name_or_is_the_folder_itself(tmp_path, frames):
    for data in (frames, frames / "thyroid_us"):
        lesson = begin(1, False, 0, str(data), str(tmp_path / "out"))
        assert lesson.find("p1") == frames / "thyroid_us"
        assert lesson.find("ddti") is None
        records = lesson.thyroid()
        assert len(records) == 6  # frames without a class that is taught are left out
        assert set(records["label"]) == {"benign", "malignant"}


def test_a_set_is_found_where_it_was_fetched_to(tmp_path, frames):
    (frames / "thyroid_us").rename(frames / "p1")
    lesson = begin(1, False, 0, str(frames), str(tmp_path / "out"))
    assert lesson.find("p1") == frames / "p1"
    assert len(lesson.thyroid()) == 6


def test_real_frames_are_announced_with_their_folder_and_phantoms_without(tmp_path, frames, capsys):
    begin(1, False, 0, str(frames), str(tmp_path / "out"))
    assert f"Images: real frames, from {frames / 'thyroid_us'}\n" in capsys.readouterr().out
    (frames / "thyroid_us").rename(frames / "mini_mias")
    begin(1, False, 0, str(frames), str(tmp_path / "out"))
    assert "Images: drawn phantoms\n" in capsys.readouterr().out


def test_a_folder_without_a_known_set_is_refused(tmp_path):
    (tmp_path / "holidays").mkdir()
    with pytest.raises(DataError, match=r"thyroid_us, p1, .*mini_mias.* Received: .*holidays$"):
        begin(1, False, 0, str(tmp_path / "holidays"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_near_duplicates_of_real_frames_share_a_group(tmp_path, frames):
    folder = frames / "thyroid_us" / "benign"
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    records = begin(1, False, 0, str(frames), str(tmp_path / "out")).thyroid()
    names = records["path"].str.rsplit("/", n=1).str[1]
    copies = records[(records["label"] == "benign") & names.isin(["0.png", "copy.png"])]
    assert copies["group"].nunique() == 1
    folds = splits.kfold(records, 2, seed=0)
    assert not splits.crossing(folds["group"], folds["fold"])


@pytest.mark.parametrize("data", ["absent/folder", "drive:frames"])
def test_data_that_cannot_be_had_is_refused_in_a_sentence(tmp_path, data):
    with pytest.raises(DataError, match=f"Received: {data}"):
        begin(1, False, 0, data, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_chapter_goes_on_from_an_earlier_one_else_from_what_is_shipped(tmp_path):
    lesson = begin(4, True, 0, "", str(tmp_path / "out"))
    assert lesson.bundle("progressive") == weights_root() / "efficientnet-b0"
    own = lesson.root / "chapter-3" / "bundles" / "progressive"
    own.mkdir(parents=True)
    assert lesson.bundle("progressive") == weights_root() / "efficientnet-b0"
    (own / "manifest.json").write_text("{}")
    assert lesson.bundle("progressive") == own
    with pytest.raises(DataError, match="neither"):
        lesson.bundle("other", shipped="no-such-bundle")


def test_a_rehearsal_begins_anew_and_a_full_run_goes_on(tmp_path):
    for fast in (True, False):
        lesson = begin(2, fast, 0, "", str(tmp_path / "out"))
        (lesson.here / "kept").write_text("")
        again = begin(2, fast, 0, "", str(tmp_path / "out"))
        assert (again.here / "kept").exists() != fast


@pytest.mark.parametrize(
    ("capability", "expected"), [((8, 0), "mixed_bfloat16"), ((7, 5), "float32"), (None, "float32")]
)
def test_bfloat16_is_chosen_on_cards_that_compute_in_it(monkeypatch, capability, expected):
    config = lessons.tf.config
    cards = [] if capability is None else ["card"]
    details = {"compute_capability": capability, "device_name": "Card"}
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: cards)
    monkeypatch.setattr(config.experimental, "get_device_details", lambda card: details)
    assert lessons.precision() == expected
    assert lessons.computer() == "Card" if cards else "no graphics card" in lessons.computer()


def test_an_index_lets_a_recipe_read_the_frames_of_a_chapter(tmp_path):
    parts = [chest_film.cohort(tmp_path / name, 4, 32).assign(source=name) for name in ("a", "b")]
    records = pd.concat(parts, ignore_index=True)
    found = datasets.load(lessons.write_index(records, tmp_path))
    pd.testing.assert_frame_equal(found, records)
