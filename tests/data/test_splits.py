"""Nothing that belongs together stands on two sides of a split."""

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from thyro_demo.data import datasets, splits
from thyro_demo.data.phantom import draw
from thyro_demo.errors import DataError, ImageError, LeakError

SOURCES = ("ddti", "web300", "other")


@st.composite
def tables(draw_from, most_images=3):
    """Record tables of 30 to 90 groups, one label a group, up to `most_images` images each."""
    sizes = draw_from(st.lists(st.integers(1, most_images), min_size=30, max_size=90))
    rng = np.random.default_rng(draw_from(st.integers(0, 2**32 - 1)))
    shares = rng.dirichlet([4, 4, 4])
    rows = []
    for group, size in enumerate(sizes):
        # Every third group is malignant, so that no label is ever too scarce to deal.
        label = "malignant" if group % 3 == 0 else "benign"
        source = str(rng.choice(SOURCES, p=shares))
        rows += [{"label": label, "group": f"g{group}", "source": source}] * size
    records = pd.DataFrame(rows).sample(frac=1, random_state=rng.integers(2**31))
    records.insert(0, "path", [f"{row}.png" for row in range(len(records))])
    return records


def table_of(paths, **columns) -> pd.DataFrame:
    records = pd.DataFrame({"path": [str(path) for path in paths]})
    return records.assign(**({"label": "benign", "group": np.nan, "source": "x"} | columns))


class TestKfold:
    @given(tables(), st.integers(2, 6), st.integers(0, 5))
    @settings(deadline=None, max_examples=40)
    def test_a_group_never_crosses_and_the_folds_add_up(self, records, folds, seed):
        dealt = splits.kfold(records, folds, seed)
        assert dealt.groupby("group")["fold"].nunique().max() == 1
        assert sorted(dealt["fold"].unique()) == list(range(folds))
        pd.testing.assert_frame_equal(dealt.drop(columns="fold"), records)
        splits.check(dealt, "fold", hashes=False)

    @given(tables(), st.integers(0, 5))
    @settings(deadline=None, max_examples=25)
    def test_label_proportions_are_kept(self, records, seed):
        dealt = splits.kfold(records, 3, seed)
        malignant = dealt["label"] == "malignant"
        # A fold can be off by about a group of three images.
        for _, share in malignant.groupby(dealt["fold"]):
            assert abs(share.mean() - malignant.mean()) < 0.2

    def test_same_seed_same_folds_other_seed_others(self):
        records = table_of(range(60), group=[f"g{i // 2}" for i in range(60)])
        first, again, other = (splits.kfold(records, 5, seed)["fold"] for seed in (1, 1, 2))
        assert first.equals(again)
        assert not first.equals(other)

    def test_sources_are_dealt_evenly_within_a_label(self):
        records = table_of(range(90), group=[f"g{i}" for i in range(90)])
        records["source"] = np.repeat(SOURCES, 30)
        dealt = splits.kfold(records, 5)
        counts = pd.crosstab(dealt["source"], dealt["fold"])
        assert (counts == 6).all(axis=None)

    def test_the_one_image_of_a_rare_source_is_dealt_all_the_same(self):
        records = table_of(range(31), group=[f"g{i}" for i in range(31)])
        records["source"] = ["rare"] + ["common"] * 30
        assert splits.kfold(records, 5)["fold"].notna().all()

    def test_missing_groups_need_an_explicit_choice(self):
        records = table_of(range(20))
        with pytest.raises(DataError, match=r"image-level.*Received: 20 of 20"):
            splits.kfold(records)
        assert set(splits.kfold(records, image_level=True)["fold"]) == set(range(5))

    def test_images_with_a_group_stay_together_at_image_level(self):
        records = table_of(range(40), group=["patient"] * 8 + [np.nan] * 32)
        dealt = splits.kfold(records, 4, image_level=True)
        assert dealt["fold"][:8].nunique() == 1

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"label": np.nan}, r"needs a label. Received: none for 0"),
            ({"group": "one"}, r"one group per fold.*Received: 1 of label benign"),
        ],
    )
    def test_table_that_cannot_be_dealt_is_refused(self, change, sentence):
        records = table_of(range(12), group=[f"g{i}" for i in range(12)]).assign(**change)
        with pytest.raises(DataError, match=sentence):
            splits.kfold(records)

    @pytest.mark.parametrize("folds", [1, 0, -2])
    def test_fewer_than_two_folds_are_refused(self, folds):
        with pytest.raises(DataError, match=f"Received: {folds}"):
            splits.kfold(table_of(range(9)), folds, image_level=True)

    def test_empty_table_is_refused(self):
        with pytest.raises(DataError, match="empty table"):
            splits.kfold(table_of([]))


class TestSplit:
    @given(tables(), st.integers(0, 5))
    @settings(deadline=None, max_examples=40)
    def test_a_group_never_crosses_and_the_parts_add_up(self, records, seed):
        dealt = splits.split(records, seed=seed)
        assert dealt.groupby("group")["split"].nunique().max() == 1
        assert set(dealt["split"]) == set(splits.PARTS)
        pd.testing.assert_frame_equal(dealt.drop(columns="split"), records)

    @given(
        st.sampled_from([(0.7, 0.15, 0.15), (0.6, 0.2, 0.2), (0.8, 0.2, 0.0), (0.5, 0.0, 0.5)]),
        st.integers(0, 5),
    )
    @settings(deadline=None, max_examples=25)
    def test_fractions_and_labels_are_met(self, fractions, seed):
        records = table_of(range(400), group=[f"g{i // 2}" for i in range(400)])
        records["label"] = ["benign"] * 260 + ["malignant"] * 140
        dealt = splits.split(records, fractions, seed)
        for part, fraction in zip(splits.PARTS, fractions, strict=True):
            inside = dealt[dealt["split"] == part]
            assert len(inside) / 400 == pytest.approx(fraction, abs=0.02)
            if fraction:
                # 70 malignant groups over 20 steps: each step holds 6 or 8 of its 20 images.
                assert (inside["label"] == "malignant").mean() == pytest.approx(0.35, abs=0.051)

    def test_three_groups_of_a_label_reach_all_three_parts(self):
        records = table_of(range(9), group=np.repeat(["a", "b", "c"], 3))
        assert set(splits.split(records)["split"]) == set(splits.PARTS)

    def test_one_part_takes_everything(self):
        records = table_of(range(3), group=["a", "b", "c"])
        assert set(splits.split(records, (0, 0, 1))["split"]) == {"test"}

    @pytest.mark.parametrize(
        "fractions", [(0.7, 0.2, 0.2), (0.5, 0.5), (1.2, -0.1, -0.1), (np.nan, 0.5, 0.5)]
    )
    def test_shares_of_no_whole_are_refused(self, fractions):
        with pytest.raises(DataError, match="add up to 1"):
            splits.split(table_of(range(20)), fractions, image_level=True)

    def test_fewer_groups_than_parts_are_refused(self):
        with pytest.raises(DataError, match=r"one group per part, 3 in all. Received: 2"):
            splits.split(table_of(range(8), group=np.repeat(["a", "b"], 4)))


@pytest.fixture(scope="module")
def frames():
    """Give six phantom frames of six patients, uint8 (360, 480, 3)."""
    frames = [draw(None, seed=seed, patient=f"p{seed}").frame for seed in range(6)]
    return [np.repeat(frame[..., None], 3, axis=2) for frame in frames]


@pytest.fixture(scope="module")
def real(thyro_data):
    """Read the real thyroid set and cluster its near copies, once."""
    records = datasets.thyroid(thyro_data / "thyroid_us")
    return records, splits.near_duplicates(records)


def jpeg(frame: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=40)
    return np.asarray(Image.open(stream))


def half_size(frame: np.ndarray) -> np.ndarray:
    image = Image.fromarray(frame)
    return np.asarray(image.resize((image.width // 2, image.height // 2)))


def darker(frame: np.ndarray) -> np.ndarray:
    return (frame * 0.7).astype(np.uint8)


def with_calipers(frame: np.ndarray) -> np.ndarray:
    image = Image.fromarray(frame)
    pen = ImageDraw.Draw(image)
    pen.line([(200, 150), (280, 190)], fill="yellow", width=2)
    pen.text((285, 195), "1  12 mm", fill="white")
    return np.asarray(image)


class TestNearDuplicates:
    @pytest.mark.parametrize("change", [jpeg, half_size, darker, with_calipers])
    def test_a_copy_is_found_whatever_was_done_to_it(self, frames, tmp_path, change):
        paths = []
        for row, frame in enumerate([*frames, change(frames[2])]):
            paths.append(tmp_path / f"{row}.png")
            Image.fromarray(frame).save(paths[-1])
        clusters = splits.near_duplicates(table_of(paths))
        assert clusters[6] == clusters[2]
        assert len(set(clusters)) == 6

    def test_frames_of_one_scanner_are_no_copies(self, tmp_path):
        """Frames that share border, outline and gain differ in what was scanned."""
        rng = np.random.default_rng(0)
        outline = np.zeros((225, 300))
        outline[30:200, 40:260] = 60
        paths = []
        for row in range(8):
            speckle = gaussian_filter(rng.rayleigh(1, outline.shape), 1) * (outline > 0)
            frame = np.clip(outline + 40 * speckle, 0, 255).astype(np.uint8)
            paths.append(tmp_path / f"{row}.png")
            Image.fromarray(frame).save(paths[-1])
        assert len(set(splits.near_duplicates(table_of(paths)))) == 8

    def test_hash_is_64_bits_and_that_of_a_copy_is_near(self, frames):
        one, copy, other = map(splits.perceptual_hash, (frames[0], darker(frames[0]), frames[1]))
        assert one.dtype == np.uint64
        assert int(one ^ copy).bit_count() <= splits.NEAR_DISTANCE < int(one ^ other).bit_count()

    def test_an_empty_table_has_no_clusters(self):
        assert splits.near_duplicates(table_of([])).shape == (0,)

    def test_known_copies_of_the_real_thyroid_set(self, real):
        records, clusters = real
        copies = pd.Series(clusters).duplicated(keep=False)
        assert copies.sum() >= 68
        # The table's groups were made apart from this code: they contain all that is found.
        assert not splits.crossing(clusters, records["group"])

    def test_busi_has_copies_under_two_labels(self, thyro_data):
        records = datasets.busi(thyro_data / "busi")
        clusters = splits.near_duplicates(records)
        assert len(records) - len(set(clusters)) >= 32
        across = splits.crossing(clusters, records["label"])
        assert len(across) >= 2
        found = {Path(records["path"].iloc[row]).name for rows in across for row in rows}
        assert {"benign (164).jpg", "malignant (52).jpg"} <= found

    def test_left_and_right_breasts_of_the_real_set_are_no_copies(self, thyro_data):
        records = datasets.mini_mias(thyro_data / "mini_mias")
        assert len(set(splits.near_duplicates(records))) == len(records)


def test_unreadable_images_of_a_table_are_counted_in_one_sentence(frames, tmp_path):
    for name in ("a", "b", "c", "d"):
        Image.fromarray(frames[0]).save(tmp_path / f"{name}.png")
    records = table_of([tmp_path / f"{name}.png" for name in "abcd"])
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"Received: b\.png, a text file"):
        splits.group_near_duplicates(records)
    (tmp_path / "d.png").unlink()
    with pytest.raises(ImageError, match=r"Received: 2 that cannot: .*b\.png, .*d\.png\.$"):
        splits.group_near_duplicates(records)


class TestGroupNearDuplicates:
    @pytest.fixture
    def records(self, frames, tmp_path):
        """Frames 0 to 3, then copies of 0 and 1."""
        paths = []
        for row, frame in enumerate([*frames[:4], darker(frames[0]), darker(frames[1])]):
            paths.append(tmp_path / f"{row}.png")
            Image.fromarray(frame).save(paths[-1])
        return table_of(paths)

    def test_copies_become_one_group_and_others_stand_alone(self, records):
        groups = splits.group_near_duplicates(records)["group"]
        assert groups.notna().all()
        assert groups[0] == groups[4]
        assert groups[1] == groups[5]
        assert groups.nunique() == 4

    def test_a_copy_joins_the_patient_of_its_original(self, records):
        records = records.assign(group=["a", "b", "b", np.nan, np.nan, np.nan])
        groups = list(splits.group_near_duplicates(records)["group"])
        assert groups[:3] == ["a", "b", "b"]
        assert groups[4:] == ["a", "b"]
        assert groups[3].startswith("near-")

    def test_groups_that_share_a_copy_are_merged(self, records):
        records = records.assign(group=["a", "b", "c", "d", "c", "e"])
        groups = splits.group_near_duplicates(records)["group"]
        assert list(groups) == ["a+c", "b+e", "a+c", "d", "a+c", "b+e"]

    def test_names_do_not_depend_on_the_folder(self, records, tmp_path):
        here = splits.group_near_duplicates(records)["group"]
        moved = tmp_path / "elsewhere"
        moved.mkdir()
        there = table_of([shutil.copy(path, moved) for path in records["path"]])
        assert list(splits.group_near_duplicates(there)["group"]) == list(here)

    def test_then_a_split_is_free_of_leaks(self, records):
        grouped = splits.group_near_duplicates(records)
        splits.check(splits.kfold(grouped, 2), "fold")


class TestCheck:
    def test_group_on_two_sides_is_named(self):
        records = table_of(["a.png", "b.png"], group="p7", split=["train", "test"])
        with pytest.raises(LeakError, match=r"group p7 with a.png in train and b.png in test"):
            splits.check(records, "split", hashes=False)

    def test_near_copy_on_two_sides_is_named(self, frames, tmp_path):
        for name, frame in (("a", frames[0]), ("b", darker(frames[0]))):
            Image.fromarray(frame).save(tmp_path / f"{name}.png")
        records = table_of([tmp_path / "a.png", tmp_path / "b.png"], group=["p1", "p2"])
        records["fold"] = [0, 1]
        splits.check(records, "fold", hashes=False)
        with pytest.raises(LeakError, match=r"a\.png in 0 and .*b\.png in 1, one of 1"):
            splits.check(records, "fold")

    def test_images_without_group_or_side_are_free(self):
        records = table_of(["a", "b", "c"], group=[np.nan, np.nan, "p"])
        records["split"] = ["train", "test", None]
        splits.check(records, "split", hashes=False)

    def test_missing_column_is_refused(self):
        with pytest.raises(DataError, match="Received: fold, not one of path, label"):
            splits.check(table_of(["a"]), "fold")

    def test_published_split_of_the_real_thyroid_set_leaks(self, real):
        records, clusters = real
        assert splits.crossing(clusters, records["published_split"])
        with pytest.raises(LeakError, match="A group stands on one side"):
            splits.check(records, "published_split")

    def test_grouped_folds_of_the_real_thyroid_set_do_not(self, real):
        records, clusters = real
        dealt = splits.kfold(records)
        splits.check(dealt, "fold", hashes=False)
        assert not splits.crossing(clusters, dealt["fold"])
