"""Near duplicates are found whatever was done to a copy, and stay in one group."""

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from thyro_demo.data import datasets, near_duplicates, splits
from thyro_demo.errors import ImageError


def table_of(paths, **columns) -> pd.DataFrame:
    records = pd.DataFrame({"path": [str(path) for path in paths]})
    return records.assign(**({"label": "benign", "group": np.nan, "source": "x"} | columns))


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
        clusters = near_duplicates.clusters(table_of(paths))
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
        assert len(set(near_duplicates.clusters(table_of(paths)))) == 8

    def test_hash_is_64_bits_and_that_of_a_copy_is_near(self, frames):
        one, copy, other = map(
            near_duplicates.perceptual_hash, (frames[0], darker(frames[0]), frames[1])
        )
        assert one.dtype == np.uint64
        assert (
            int(one ^ copy).bit_count()
            <= near_duplicates.MAX_DISTANCE
            < int(one ^ other).bit_count()
        )

    def test_an_empty_table_has_no_clusters(self):
        assert near_duplicates.clusters(table_of([])).shape == (0,)

    def test_known_copies_of_the_real_thyroid_set(self, clustered):
        records, clusters = clustered
        copies = pd.Series(clusters).duplicated(keep=False)
        assert copies.sum() >= 68
        # The table's groups were made apart from this code: they contain all that is found.
        assert not splits.crossing(clusters, records["group"])

    def test_busi_has_copies_under_two_labels(self, thyro_data):
        records = datasets.busi(thyro_data / "busi")
        clusters = near_duplicates.clusters(records)
        assert len(records) - len(set(clusters)) >= 32
        across = splits.crossing(clusters, records["label"])
        assert len(across) >= 2
        found = {Path(records["path"].iloc[row]).name for rows in across for row in rows}
        assert {"benign (164).jpg", "malignant (52).jpg"} <= found

    def test_left_and_right_breasts_of_the_real_set_are_no_copies(self, thyro_data):
        records = datasets.mini_mias(thyro_data / "mini_mias")
        assert len(set(near_duplicates.clusters(records))) == len(records)


def test_unreadable_images_of_a_table_are_counted_in_one_sentence(frames, tmp_path):
    for name in ("a", "b", "c", "d"):
        Image.fromarray(frames[0]).save(tmp_path / f"{name}.png")
    records = table_of([tmp_path / f"{name}.png" for name in "abcd"])
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"Received: b\.png, a text file"):
        near_duplicates.group(records)
    (tmp_path / "d.png").unlink()
    with pytest.raises(ImageError, match=r"Received: 2 that cannot: .*b\.png, .*d\.png\.$"):
        near_duplicates.group(records)


class TestGroupNearDuplicates:
    @pytest.fixture
    def records(self, frames, tmp_path):
        """Frames 0 to 3, then copies of 0 and 1."""
        paths = []
        for row, frame in enumerate([*frames[:4], darker(frames[0]), darker(frames[1])]):
            paths.append(tmp_path / f"{row}.png")
            Image.fromarray(frame).save(paths[-1])
        return table_of(paths)

    def test_copies_become_one_group_and_others_remain_alone(self, records):
        groups = near_duplicates.group(records)["group"]
        assert groups.notna().all()
        assert groups[0] == groups[4]
        assert groups[1] == groups[5]
        assert groups.nunique() == 4

    def test_a_copy_joins_the_patient_of_its_original(self, records):
        records = records.assign(group=["a", "b", "b", np.nan, np.nan, np.nan])
        groups = list(near_duplicates.group(records)["group"])
        assert groups[:3] == ["a", "b", "b"]
        assert groups[4:] == ["a", "b"]
        assert groups[3].startswith("near-")

    def test_groups_that_share_a_copy_are_merged(self, records):
        records = records.assign(group=["a", "b", "c", "d", "c", "e"])
        groups = near_duplicates.group(records)["group"]
        assert list(groups) == ["a+c", "b+e", "a+c", "d", "a+c", "b+e"]

    def test_names_do_not_depend_on_the_folder(self, records, tmp_path):
        here = near_duplicates.group(records)["group"]
        moved = tmp_path / "elsewhere"
        moved.mkdir()
        there = table_of([shutil.copy(path, moved) for path in records["path"]])
        assert list(near_duplicates.group(there)["group"]) == list(here)

    def test_then_a_split_is_free_of_leaks(self, records):
        grouped = near_duplicates.group(records)
        splits.check(splits.kfold(grouped, 2), "fold")
