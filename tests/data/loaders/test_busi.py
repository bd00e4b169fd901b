"""BUSI is read as it is published, under other spellings of its classes, and without normal."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data import datasets
from thyro_demo.data.masks import nodule_mask
from thyro_demo.errors import DataError


def draw(path: Path, box: tuple[int, int, int, int] | None = None) -> None:
    """Draw a frame, or a mask that is white in a box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", (40, 32), 90 if box is None else 0)
    if box is not None:
        image.paste(255, box)
    image.save(path)


def write(root: Path, folders: dict[str, str]) -> Path:
    for folder, label in folders.items():
        for number in (1, 2):
            draw(root / folder / f"{label} ({number}).png")
            empty = (0, 0, 0, 0)
            draw(root / folder / f"{label} ({number})_mask.png",
                 empty if label == "normal" else (4, 4, 10, 10))  # fmt: skip
    return root


PUBLISHED = {"benign": "benign", "malignant": "malignant", "normal": "normal"}


@pytest.mark.parametrize(
    "folders",
    [PUBLISHED, {name.title(): label for name, label in PUBLISHED.items()},
     {name.upper(): label for name, label in PUBLISHED.items()}],
    ids=["as published", "title", "upper"],
)  # fmt: skip
def test_masks_are_no_frames_whatever_the_case_of_the_classes(tmp_path, folders):
    records = datasets.load(write(tmp_path, folders), quiet=True)
    assert datasets.layout(tmp_path) == "busi"
    assert list(records["label"]) == ["benign"] * 2 + ["malignant"] * 2 + ["normal"] * 2
    assert [len(masks) for masks in records["mask_paths"]] == [1] * 6


def test_the_class_normal_may_be_left_out(tmp_path):
    write(tmp_path, {"benign": "benign", "malignant": "malignant"})
    assert set(datasets.load(tmp_path)["label"]) == {"benign", "malignant"}


def test_a_class_that_is_there_must_hold_an_image(tmp_path):
    write(tmp_path, PUBLISHED)
    for path in (tmp_path / "normal").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"at least one image. Received: .*normal"):
        datasets.load(tmp_path)


def test_several_masks_of_a_frame_are_united_and_a_normal_frame_has_no_lesion(tmp_path):
    write(tmp_path, PUBLISHED)
    draw(tmp_path / "benign" / "benign (1)_mask_1.png", (20, 20, 24, 30))
    records = datasets.busi(tmp_path)
    mask = nodule_mask(records.iloc[0])
    assert mask.sum() == 36 + 40
    assert mask[25, 21]
    assert not nodule_mask(records.iloc[-1]).any()


def test_a_mask_without_a_frame_is_named(tmp_path):
    write(tmp_path, PUBLISHED)
    draw(tmp_path / "benign" / "benign (9)_mask.png", (1, 1, 2, 2))
    records = datasets.busi(tmp_path)
    assert len(records) == 6
    assert "benign (9)_mask.png" in datasets.notes(records)[0]


def test_every_lesion_of_the_real_set_has_a_mask(thyro_data):
    records = datasets.busi(thyro_data / "busi").groupby("label").sample(8, random_state=0)
    seen = [nodule_mask(record).any() for _, record in records.iterrows()]
    np.testing.assert_array_equal(seen, records["label"] != "normal")
