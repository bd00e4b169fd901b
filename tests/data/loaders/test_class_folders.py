"""Every image of a class folder is read, or named and counted."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bench.dicom_files import LOSSLESS, write
from thyro_demo.data import datasets
from thyro_demo.data.images import decode
from thyro_demo.data.masks import nodule_mask
from thyro_demo.errors import DataError


def draw(path: Path, kind: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (40, 32), 90).save(path, kind)
    return path


@pytest.fixture
def classes(tmp_path):
    root = tmp_path / "frames"
    for label in ("benign", "malignant"):
        for number in range(3):
            draw(root / label / f"{number}.png")
    return root


def names(records: pd.DataFrame) -> list[str]:
    return [Path(path).name for path in records["path"]]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.JPG", "JPEG"),
        ("a.gif", "GIF"),
        ("a.ppm", "PPM"),
        ("a.pgm", "PPM"),
        ("a.pnm", "PPM"),
        ("a.TIFF", "TIFF"),
        ("a", "PNG"),
        ("1.2.840.113619", "JPEG"),
        ("a.dat", "BMP"),
    ],
)
def test_an_image_is_known_by_its_name_or_by_its_content(classes, name, kind):
    draw(classes / "benign" / name, kind)
    records = datasets.load(classes, quiet=True)
    assert name in names(records)
    assert len(records) == 7
    assert datasets.notes(records) == []
    for path in records["path"]:
        assert decode(path).shape == (32, 40, 3)


@pytest.mark.parametrize("name", ["a.dcm", "a.DICOM", "IM_0001", "1.2.840.113619"])
def test_a_dicom_file_is_known_by_its_name_or_by_its_content(classes, name):
    frame = np.full((1, 32, 40), 90, np.uint8)
    (classes / "benign" / name).write_bytes(write(frame, LOSSLESS["RLE"], "MONOCHROME2"))
    assert name in names(datasets.load(classes, quiet=True))


def test_what_is_no_image_is_named_and_counted(classes, capsys):
    for name in ("a.doc", "b.pdf", "c.mp4", "d"):
        (classes / "benign" / name).write_bytes(b"something else")
    draw(classes / "benign" / ".hidden.png")
    draw(classes / "loose.png")
    draw(classes / "_aside" / "1.png")
    # What is beside images in any case is not reported.
    for name in ("notes.txt", "1.xml", "Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (classes / "malignant" / name).write_bytes(b"beside")
    records = datasets.load(classes)
    assert len(records) == 6
    (note,) = datasets.notes(records)
    assert note.startswith("Passed over, not read as images: 7 (_aside, loose.png, benign/")
    assert "and 4 more" in note
    assert note in capsys.readouterr().err


def test_a_file_that_only_claims_to_be_an_image_stays_to_be_reported(classes):
    (classes / "benign" / "broken.png").write_bytes(b"no image")
    assert "broken.png" in names(datasets.load(classes))


def test_a_folder_in_a_class_is_a_patient(classes):
    for label in ("benign", "malignant"):
        for number in (1, 2):
            draw(classes / label / f"patient{number}" / "a.png")
            draw(classes / label / f"patient{number}" / "second visit" / "b.jpe", "JPEG")
    records = datasets.load(classes, quiet=True)
    assert len(records) == 14
    groups = dict(zip(records["path"], records["group"], strict=True))
    for path, group in groups.items():
        inside = Path(path).relative_to(classes).parts
        assert group == inside[1] if len(inside) > 2 else pd.isna(group)
    # A patient with two nodules, or two patients called alike: on one side in any case.
    assert set(records["group"].dropna()) == {"patient1", "patient2"}
    assert "patients" in datasets.notes(records)[0]


def test_classes_of_patients_alone_are_recognised(tmp_path):
    for label in ("Benign", "M"):
        for patient in ("1", "2"):
            draw(tmp_path / label / patient / "0.png")
    records = datasets.load(tmp_path, quiet=True)
    assert set(zip(records["label"], records["group"], strict=True)) == {
        (label, group) for label in ("benign", "malignant") for group in "12"
    }


def test_patients_that_hold_classes_are_refused_in_one_sentence(tmp_path):
    for patient in ("anna", "bela", "cato"):
        for label in ("benign", "Malignant"):
            draw(tmp_path / patient / label / "0.png")
    with pytest.raises(DataError, match=r"other way round. Received: .*anna"):
        datasets.load(tmp_path)


def test_classes_in_published_parts_keep_their_part(tmp_path):
    for part in ("train", "test"):
        for label in ("benin", "malin"):
            draw(tmp_path / part / label / f"{part}.png")
    records = datasets.load(tmp_path, quiet=True)
    assert set(records["label"]) == {"benign", "malignant"}
    assert [Path(path).stem for path in records["path"]] == list(records["published_split"])


@pytest.mark.parametrize(
    "mask", ["{}_mask.png", "{}_mask_1.png", "{}-seg.png", "{} gt.tif", "mask_{}.png",
             "{}_segmentation.png"]
)  # fmt: skip
def test_a_mask_beside_its_frame_is_no_frame(classes, mask):
    for label in ("benign", "malignant"):
        for number in range(3):
            draw(classes / label / mask.format(number))
    records = datasets.class_folders(classes)
    assert sorted(names(records)) == ["0.png", "0.png", "1.png", "1.png", "2.png", "2.png"]
    assert [len(masks) for masks in records["mask_paths"]] == [1] * 6
    assert datasets.notes(records)[0].startswith(
        "Masks beside the frames, not counted as images: 6"
    )
    assert nodule_mask(records.iloc[0]).all()


def test_a_folder_of_masks_is_no_patient_and_no_class(classes):
    for label in ("benign", "malignant"):
        shutil.move(classes / label, classes / "moved")
        shutil.move(classes / "moved", classes / label / "images")
        draw(classes / label / "masks" / "1.png")
        draw(classes / label / "masks" / "2_mask.png")
    draw(classes / "masks" / "0.png")
    records = datasets.load(classes, quiet=True)
    assert len(records) == 6
    assert records["group"].isna().all()
    assert [len(masks) for masks in records["mask_paths"]] == [0, 1, 1] * 2
    assert any("(masks)" in note for note in datasets.notes(records))


def test_masks_of_two_patients_are_not_mixed_up(tmp_path):
    for label in ("benign", "malignant"):
        for patient in ("p1", "p2"):
            draw(tmp_path / label / patient / "0.png")
            draw(tmp_path / label / patient / "0_mask.png")
    records = datasets.load(tmp_path, quiet=True)
    for path, masks in zip(records["path"], records["mask_paths"], strict=True):
        assert [Path(mask).parent for mask in masks] == [Path(path).parent]


def test_a_mask_without_its_frame_is_passed_over(classes):
    draw(classes / "benign" / "9_mask.png")
    records = datasets.load(classes, quiet=True)
    assert len(records) == 6
    assert datasets.notes(records) == ["Passed over, not read as images: 1 (benign/9_mask.png)."]


def test_sets_side_by_side_are_no_classes(tmp_path):
    for label in ("benign", "malignant"):
        draw(tmp_path / "busi" / label / "1.png")
        draw(tmp_path / "busi" / label / "1_mask.png")
        draw(tmp_path / "own" / label / "1.png")
    assert datasets.layout(tmp_path) is None


def test_groups_of_a_table_go_before_folders(classes):
    shutil.rmtree(classes / "malignant")
    draw(classes / "malignant" / "anna" / "0.png")
    rows = [f"benign\\{number}.png;{number}.0" for number in range(3)]
    table = "Path;Group\n" + "\n".join([*rows, "malignant\\anna\\0.png;7"])
    (classes / "groups.csv").write_text(table)
    assert list(datasets.load(classes, quiet=True)["group"]) == ["0", "1", "2", "7"]


def test_a_link_that_leads_round_in_a_circle_ends(classes):
    (classes / "benign" / "again").symlink_to(classes / "benign", target_is_directory=True)
    records = datasets.load(classes, quiet=True)
    assert np.isfinite(len(records))
