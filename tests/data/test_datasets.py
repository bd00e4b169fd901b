"""Loaders read what a user unpacks, and report in one sentence what is wrong with the rest."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.data import datasets, splits
from thyro_demo.data.images import decode
from thyro_demo.errors import DataError


def draw(path: Path, size=(40, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 90).save(path)
    return path


def write_table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def p1(tmp_path):
    """Lay out a tiny P1 set as its public home does."""
    for part in ("train", "test"):
        draw(tmp_path / "LES3BDD" / part / "benin" / "1.jpg", (560, 360))
        draw(tmp_path / "LES3BDD" / part / "malin" / "maling.2.jpg", (300, 225))
        draw(tmp_path / "LES3BDD" / part / "malin" / "maling.3.jpg", (421, 316))
    return tmp_path


@pytest.fixture
def indexed(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    write_table(tmp_path / "index.csv", "path,label,group\na.png,benign,007\nb.png,malignant,\n")
    return tmp_path


def ddti_case(folder: Path, number: int, svg: str, tirads="4a", frames=("",)) -> None:
    for suffix in frames:
        draw(folder / f"{number}{suffix}.jpg", (560, 360))
    mark = f"<mark><image>1</image><svg>{svg}</svg></mark>"
    (folder / f"{number}.xml").write_text(
        f"<case><number>{number}</number><age>40</age><sex>F</sex><composition></composition>"
        f"<tirads>{tirads}</tirads>{mark}</case>"
    )


def outline(*points: tuple[int, int]) -> dict:
    return {"points": [{"x": x, "y": y} for x, y in points], "regionType": "freehand"}


TRIANGLE = outline((10, 20), (30, 20), (30, 50))


def one_sentence(read, *args) -> str:
    """Return the sentence with which a set is refused."""
    with pytest.raises(DataError) as caught:
        read(*args)
    assert " Received: " in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check_table(records: pd.DataFrame) -> None:
    """Hold a record table to what every one promises."""
    assert tuple(records.columns[:4]) == datasets.REQUIRED
    assert records["path"].is_unique
    assert list(records.index) == list(range(len(records)))
    for path in records["path"].iloc[[0, -1]]:
        assert decode(path).ndim == 3


class TestThyroid:
    def test_label_source_and_part_follow_from_folder_and_frame_size(self, p1):
        records = datasets.thyroid(p1)
        check_table(records)
        assert set(zip(records["source"], records["label"], strict=True)) == {
            ("ddti", "benign"),
            ("web300", "malignant"),
            ("other", "malignant"),
        }
        assert set(records["published_split"]) == {"train", "test"}
        assert records["group"].isna().all()

    @pytest.mark.parametrize(
        "place", ["LES3BDD", "BDD20test80train/LES3BDD", "BDD20test80train", "."]
    )
    def test_every_level_of_the_public_home_is_understood(self, p1, tmp_path_factory, place):
        home = tmp_path_factory.mktemp("home")
        shutil.copytree(p1 / "LES3BDD", home / place, dirs_exist_ok=True)
        assert len(datasets.thyroid(home)) == 6

    def test_index_holds_groups_and_chooses_the_rows(self, p1):
        write_table(
            p1 / "index.csv",
            "path,label,group,source,width,height\n"
            "LES3BDD/test/benin/1.jpg,benign,g1,ddti,560,360\n"
            "LES3BDD/train/malin/maling.2.jpg,malignant,g2,web300,300,225\n",
        )
        records = datasets.thyroid(p1)
        assert list(records["group"]) == ["g1", "g2"]
        assert list(records["published_split"]) == ["test", "train"]

    def test_label_that_is_no_thyroid_label_is_refused(self, p1):
        write_table(p1 / "index.csv", "path,label,group\nLES3BDD/test/benin/1.jpg,unsure,g1\n")
        with pytest.raises(DataError, match=r"benign or malignant.*Received: unsure"):
            datasets.thyroid(p1)

    def test_empty_class_is_refused_by_name(self, p1):
        (p1 / "LES3BDD/train/benin/1.jpg").unlink()
        with pytest.raises(DataError, match=r"at least one image. Received: .*train.benin"):
            datasets.thyroid(p1)

    def test_a_damaged_file_does_not_hide_the_set(self, p1):
        (p1 / "LES3BDD/train/benin/1.jpg").write_bytes(b"no image")
        records = datasets.thyroid(p1)
        assert records["width"].isna().sum() == 1
        assert len(records) == 6

    def test_a_header_that_declares_too_many_pixels_does_not_hide_the_set(self, p1):
        # 100,000 × 100,000 pixels, which Pillow takes for an attack.
        header = b"P5 100000 100000 255\n"
        (p1 / "LES3BDD/train/benin/1.jpg").write_bytes(header)
        assert datasets.thyroid(p1)["width"].isna().sum() == 1

    def test_a_cell_without_a_source_is_split_from_the_frame_size(self, p1):
        write_table(
            p1 / "index.csv",
            "path,label,group,source\n"
            "LES3BDD/test/benin/1.jpg,benign,g1,clinic\n"
            "LES3BDD/train/benin/1.jpg,benign,g2,\n"
            "LES3BDD/train/malin/maling.3.jpg,malignant,g3,\n",
        )
        assert list(datasets.thyroid(p1)["source"]) == ["clinic", "ddti", "other"]

    def test_an_image_beside_the_published_parts_belongs_to_none(self, p1):
        draw(p1 / "LES3BDD" / "more" / "benin" / "4.jpg")
        draw(p1 / "5.jpg")
        write_table(
            p1 / "index.csv",
            "path,label,group\nLES3BDD/test/benin/1.jpg,benign,1\n"
            "LES3BDD/more/benin/4.jpg,benign,1\n5.jpg,benign,1\n",
        )
        split = datasets.thyroid(p1)["published_split"]
        assert list(split.dropna()) == ["test"]
        assert split.isna().sum() == 2


class TestIndex:
    def test_identifiers_stay_text_and_a_missing_group_stays_missing(self, indexed):
        records = datasets.index_csv(indexed)
        check_table(records)
        assert records["group"].iloc[0] == "007"
        assert pd.isna(records["group"].iloc[1])
        assert set(records["source"]) == {indexed.name}

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("path,label\na.png,benign\n", "columns path, label, group. Received: no group"),
            ("path,label,group\n", "at least one row"),
            ("path,label,group\na.png,benign,1\na.png,benign,1\n", "each image once"),
            ("path,label,group\na.png,,1\n", "must have a label"),
            ("path,label,group\nc.png,benign,1\n", r"c\.png, one of 1 that do not exist"),
            ("path,label,group\n../a.png,benign,1\n", r"inside its folder.*Received: \.\./a\.png"),
            ("path,label,group\nx/../../a.png,benign,1\n", "inside its folder"),
            ("path,label,group\n/etc/hostname,benign,1\n", "inside its folder"),
            ("path,label,group\n,benign,1\n", "inside its folder"),
            ("path,label,group\na.png, ,1\n", "must have a label"),
            ("path,label,group,group \na.png,benign,1,1\n", "each column once"),
            ("path,label,group\na.png,benign,1,2\n", "CSV file in UTF-8"),
            (
                "path,label,group,width\na.png,benign,1,wide\n",
                "width must be numbers.*Received: wide",
            ),
            ("", "CSV file in UTF-8"),
        ],
    )
    def test_damaged_index_is_one_sentence(self, indexed, text, sentence):
        write_table(indexed / "index.csv", text)
        with pytest.raises(DataError, match=sentence) as error:
            datasets.index_csv(indexed)
        assert "Received: " in str(error.value)
        assert "\n" not in str(error.value)

    def test_an_index_in_another_encoding_is_one_sentence(self, indexed):
        (indexed / "index.csv").write_bytes("path,label,group\nä.png,benign,1\n".encode("latin-1"))
        with pytest.raises(DataError, match="UTF-8"):
            datasets.index_csv(indexed)

    def test_blanks_around_a_cell_make_no_other_patient_and_no_other_class(self, indexed):
        write_table(
            indexed / "index.csv",
            "path, label ,group ,width\na.png,benign ,p1 ,40\nb.png, benign,p1,\n",
        )
        records = datasets.index_csv(indexed)
        assert set(records["label"]) == {"benign"}
        assert set(records["group"]) == {"p1"}
        assert records["width"].iloc[0] == 40
        assert np.isnan(records["width"].iloc[1])

    def test_a_group_of_blanks_is_missing_and_one_called_na_is_not(self, indexed):
        write_table(indexed / "index.csv", "path,label,group\na.png,benign,  \nb.png,benign,NA\n")
        groups = datasets.index_csv(indexed)["group"]
        assert pd.isna(groups.iloc[0])
        assert groups.iloc[1] == "NA"

    def test_a_comma_at_the_end_of_every_row_shifts_nothing(self, indexed):
        write_table(indexed / "index.csv", "path,label,group\na.png,benign,1,\nb.png,benign,2,\n")
        assert list(datasets.index_csv(indexed)["group"]) == ["1", "2"]

    def test_patients_of_odd_spelling_stay_whole_in_a_split(self, tmp_path):
        rows = ["path,label,group"]
        for patient, name in enumerate(("NA", "None", "nan", *map(str, range(9)))):
            for frame, blank in enumerate(("", " ")):
                draw(tmp_path / f"{patient}-{frame}.png")
                label = "malignant" if patient % 3 else "benign"
                rows.append(f"{patient}-{frame}.png,{label},{name}{blank}")
        write_table(tmp_path / "index.csv", "\n".join(rows))
        assigned = splits.kfold(datasets.load(tmp_path), 3, seed=0)
        patient = assigned["path"].map(lambda path: Path(path).stem.partition("-")[0])
        assert patient.nunique() == assigned["group"].nunique() == 12
        assert assigned.groupby(patient)["fold"].nunique().max() == 1

    def test_a_row_without_a_source_comes_from_the_folder(self, indexed):
        write_table(
            indexed / "index.csv",
            "path,label,group,source\na.png,benign,1,clinic\nb.png,benign,2,\n",
        )
        assert list(datasets.index_csv(indexed)["source"]) == ["clinic", indexed.name]


class TestDdti:
    def test_outline_findings_and_case(self, tmp_path):
        ddti_case(tmp_path, 7, json.dumps([TRIANGLE]), frames=("_1", "_2"))
        records = datasets.ddti(tmp_path)
        check_table(records)
        assert set(records["group"]) == {"ddti-7"}
        assert list(records["image"]) == [1, 2]
        np.testing.assert_array_equal(
            records["polygons"].iloc[0][0], [[10, 20], [30, 20], [30, 50]]
        )
        assert records["polygons"].iloc[1] == []
        assert pd.isna(records["composition"].iloc[0])

    @pytest.mark.parametrize(
        ("tirads", "label"), [("2", "benign"), ("3", "benign"), ("4a", "malignant"), ("", None)]
    )
    def test_label_is_the_grade_or_missing(self, tmp_path, tirads, label):
        ddti_case(tmp_path, 1, "[]", tirads)
        found = datasets.ddti(tmp_path)["label"].iloc[0]
        assert found == label if label else pd.isna(found)

    def test_cut_file_keeps_every_whole_point(self, tmp_path):
        whole = json.dumps([TRIANGLE, outline((1, 2), (3, 4), (5, 6), (7, 8))])
        ddti_case(tmp_path, 1, whole[: whole.index('{"x": 7, "y": 8}') + 9])
        record = datasets.ddti(tmp_path).iloc[0]
        assert record["cut"]
        assert [len(polygon) for polygon in record["polygons"]] == [3, 3]

    def test_outline_of_two_points_is_counted_not_kept(self, tmp_path):
        ddti_case(tmp_path, 1, json.dumps([outline((1, 2), (3, 4)), TRIANGLE]))
        record = datasets.ddti(tmp_path).iloc[0]
        assert record["short_polygons"] == 1
        assert len(record["polygons"]) == 1

    def test_damaged_xml_names_its_file(self, tmp_path):
        ddti_case(tmp_path, 1, "[]")
        (tmp_path / "1.xml").write_text("<case>")
        with pytest.raises(DataError, match=r"well-formed XML.*1\.xml"):
            datasets.ddti(tmp_path)

    def test_an_image_of_another_name_is_no_frame(self, tmp_path):
        ddti_case(tmp_path, 1, "[]", frames=("", "_2", "_copy", "_2_old", " (2)"))
        draw(tmp_path / "overview.png")
        records = datasets.load(tmp_path)
        assert [Path(path).name for path in records["path"]] == ["1.jpg", "1_2.jpg"]

    @pytest.mark.parametrize("svg", ["", "[]", "null"])
    def test_no_outline_is_none(self, tmp_path, svg):
        ddti_case(tmp_path, 1, svg)
        record = datasets.ddti(tmp_path).iloc[0]
        assert record["polygons"] == []
        assert record["short_polygons"] == 0
        assert not record["cut"]

    @pytest.mark.parametrize(
        "svg",
        [
            '{"a": 1}',
            '[{"annotation": {}}]',
            "7",
            '[{"points": [{"x": 1}]}]',
            '[{"points": [{"x": "left", "y": 1}]}]',
            '[{"points": [{"x": null, "y": 1}]}]',
            '[{"points": [{"x": 1, "y": 2}, {"x": 1.2.3, "y": 2}',
            '{\n"a":\n1}',
        ],
    )
    def test_outlines_in_another_form_name_their_file(self, tmp_path, svg):
        ddti_case(tmp_path, 1, svg)
        assert "1.xml" in one_sentence(datasets.ddti, tmp_path)

    def test_an_unknown_encoding_names_its_file(self, tmp_path):
        ddti_case(tmp_path, 1, "[]")
        (tmp_path / "1.xml").write_text('<?xml version="1.0" encoding="martian"?><case></case>')
        assert "1.xml" in one_sentence(datasets.ddti, tmp_path)

    def test_case_without_a_frame_is_refused(self, tmp_path):
        ddti_case(tmp_path, 1, "[]", frames=())
        with pytest.raises(DataError, match="at least one frame"):
            datasets.ddti(tmp_path)

    def test_real_set(self, thyro_data):
        records = datasets.ddti(thyro_data / "ddti")
        assert len(records) == 367
        cut = records["path"][records["cut"]].map(lambda path: Path(path).stem)
        assert set(cut) == {"54", "127", "165", "176", "203", "205"}
        assert (records["polygons"][records["cut"]].str.len() >= 1).all()
        assert records["short_polygons"].sum() == 6


def test_busi_pairs_each_frame_with_its_masks(tmp_path):
    for label in ("benign", "malignant", "normal"):
        draw(tmp_path / label / f"{label} (1).png")
        draw(tmp_path / label / f"{label} (1)_mask.png")
        draw(tmp_path / label / f"{label} (10).png")
    draw(tmp_path / "benign" / "benign (1)_mask_1.png")
    records = datasets.busi(tmp_path)
    check_table(records)
    assert len(records) == 6
    masks = dict(zip(records["path"], records["mask_paths"], strict=True))
    names = [Path(mask).name for mask in masks[str(tmp_path / "benign" / "benign (1).png")]]
    assert names == ["benign (1)_mask.png", "benign (1)_mask_1.png"]
    assert masks[str(tmp_path / "normal" / "normal (10).png")] == []
    assert records["group"].isna().all()


def covid_and_paediatric(root: Path) -> None:
    draw(root / "covid" / "Covid-19" / "a.jpg")
    draw(root / "covid" / "No_findings" / "00000061_012.jpg")
    draw(root / "covid" / "Pneumonia" / "00000061_015.jpg")
    draw(root / "children" / "NORMAL" / "IM-0117-0001.jpg")
    draw(root / "children" / "NORMAL" / "NORMAL2-IM-0117-0001.jpg")
    draw(root / "children" / "PNEUMONIA" / "person7_bacteria_21.jpg")
    draw(root / "children" / "PNEUMONIA" / "person7_virus_3_1.jpg")


class TestRadiographs:
    def test_patient_is_read_from_the_name_where_it_is_there(self, tmp_path):
        covid_and_paediatric(tmp_path)
        records = datasets.radiographs(tmp_path)
        check_table(records)
        groups = {Path(p).name: g for p, g in zip(records["path"], records["group"], strict=True)}
        assert groups["person7_bacteria_21.jpg"] == groups["person7_virus_3_1.jpg"] == "person7"
        assert groups["IM-0117-0001.jpg"] != groups["NORMAL2-IM-0117-0001.jpg"]
        assert groups["00000061_012.jpg"] == groups["00000061_015.jpg"]
        assert pd.isna(groups["a.jpg"])
        assert set(records["label"]) == {"covid-19", "normal", "pneumonia"}
        assert records["source"].nunique() == 2

    def test_published_layout_with_images_and_masks(self, tmp_path):
        for folder in ("COVID", "Normal", "Viral Pneumonia", "Lung_Opacity"):
            draw(tmp_path / folder / "images" / f"{folder}-1.png")
            draw(tmp_path / folder / "masks" / f"{folder}-1.png")
        assert datasets.layout(tmp_path) == "covid_xray"
        records = datasets.covid_xray(tmp_path)
        assert set(records["label"]) == {"covid-19", "normal", "pneumonia", "lung opacity"}
        assert len(records) == 4

    def test_published_parts_of_the_paediatric_set(self, tmp_path):
        for part in ("train", "test"):
            draw(tmp_path / part / "NORMAL" / "IM-0001-0001.jpeg")
            draw(tmp_path / part / "PNEUMONIA" / "person1_virus_6.jpeg")
        assert datasets.layout(tmp_path) == "paediatric_pneumonia"
        records = datasets.paediatric_pneumonia(tmp_path)
        assert set(records["published_split"]) == {"train", "test"}
        assert set(records["cause"].dropna()) == {"virus"}

    def test_names_of_the_third_version_hold_patient_and_cause(self, tmp_path):
        for name in ("BACTERIA-7-0001", "BACTERIA-7-0002", "VIRUS-36-0002"):
            draw(tmp_path / "train" / "PNEUMONIA" / f"{name}.jpeg")
        draw(tmp_path / "train" / "NORMAL" / "NORMAL-28501-0001.jpeg")
        records = datasets.paediatric_pneumonia(tmp_path)
        assert list(records["group"]) == ["28501", "7", "7", "36"]
        assert list(records["cause"].fillna("")) == ["", "bacteria", "bacteria", "virus"]

    def test_either_set_can_be_read_as_films(self, tmp_path):
        covid_and_paediatric(tmp_path)
        covid, children = tmp_path / "covid", tmp_path / "children"
        both = datasets.films(covid, children)
        pd.testing.assert_frame_equal(both, datasets.radiographs(tmp_path))
        alone = len(datasets.films(covid, None)), len(datasets.films(None, children))
        assert alone == (3, 4)
        with pytest.raises(DataError, match="at least one set"):
            datasets.films(None, None)

    def test_one_set_alone_is_not_both(self, tmp_path):
        covid_and_paediatric(tmp_path)
        shutil.rmtree(tmp_path / "children")
        with pytest.raises(DataError, match="side by side"):
            datasets.radiographs(tmp_path)


class TestMiniMias:
    @pytest.fixture
    def mias(self, tmp_path):
        for number in range(1, 5):
            draw(tmp_path / f"mdb{number:03d}.png", (512, 512))
        write_table(
            tmp_path / "Info.txt",
            "some words\nmdb001 G CIRC B 1000 24 100\nmdb002 D NORM \n"
            "mdb003 F MISC B 10 20 5\nmdb003 F MISC M 30 40 5\nmdb004 D CALC M *NOTE 3*\n",
        )
        return tmp_path

    def test_left_and_right_are_one_patient(self, mias):
        groups = list(datasets.mini_mias(mias)["group"])
        assert groups[0] == groups[1] != groups[2] == groups[3]

    def test_centre_is_scaled_and_counted_from_the_top(self, mias):
        found = datasets.mini_mias(mias)["abnormalities"].iloc[0][0]
        assert (found.x, found.y, found.radius) == (500, 500, 50)

    def test_graver_abnormality_labels_the_image(self, mias):
        records = datasets.mini_mias(mias)
        check_table(records)
        assert list(records["label"]) == ["benign", "normal", "malignant", "malignant"]
        assert np.isnan(records["abnormalities"].iloc[3][0].x)

    def test_listed_image_that_is_missing_is_named(self, mias):
        (mias / "mdb003.png").unlink()
        with pytest.raises(DataError, match="mdb003"):
            datasets.mini_mias(mias)

    @pytest.mark.parametrize(
        "row",
        [
            "mdb001 X NORM",
            "mdb001 G",
            "mdb001",
            "mdb001 G CIRC",
            "mdb001 G CIRC Q 1 2 3",
            "mdb001 G CIRC B one 24 100",
            "mdb001 G CIRC B 1 2",
        ],
    )
    def test_a_row_that_is_not_as_published_is_quoted(self, mias, row):
        write_table(mias / "Info.txt", f"mdb002 D NORM \n{row}\n")
        assert f"Received: {row} in" in one_sentence(datasets.mini_mias, mias)

    def test_a_list_without_films_is_refused(self, mias):
        write_table(mias / "Info.txt", "some words\n")
        assert "row for every film" in one_sentence(datasets.load, mias)

    def test_every_centre_of_the_real_set_is_in_the_breast(self, thyro_data):
        records = datasets.mini_mias(thyro_data / "mini_mias")
        assert len(records) == 322
        bright = []
        for path, found in zip(records["path"], records["abnormalities"], strict=True):
            for x, y in [(a.x, a.y) for a in found if not np.isnan(a.x)]:
                bright.append(decode(path)[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].mean())
        # Were the y axis not turned, a good part would be on the black background.
        assert np.mean(np.array(bright) > 60) > 0.97


class TestTinyImagenet:
    def test_packed_parts(self, tmp_path):
        image = io.BytesIO()
        Image.new("RGB", (64, 64)).save(image, "WEBP")
        for part in ("train", "val"):
            with zipfile.ZipFile(tmp_path / f"{part}.zip", "w") as archive:
                archive.writestr("n01/5.webp", image.getvalue())
                archive.writestr("n02/6.webp", image.getvalue())
        write_table(tmp_path / "classes.csv", 'wnid,name\nn01,"cat, tabby"\nn02,reel\n')
        records = datasets.tiny_imagenet(tmp_path, "val")
        check_table(records)
        assert list(records["name"]) == ["cat, tabby", "reel"]
        assert list(records["label"]) == ["n01", "n02"]

    def test_unpacked_parts(self, tmp_path):
        draw(tmp_path / "train" / "n01" / "images" / "n01_0.JPEG", (64, 64))
        draw(tmp_path / "val" / "images" / "val_0.JPEG", (64, 64))
        write_table(tmp_path / "val" / "val_annotations.txt", "val_0.JPEG\tn01\t0\t0\t62\t62\n")
        write_table(tmp_path / "words.txt", "n01\ttench\n")
        write_table(tmp_path / "wnids.txt", "n01\n")
        assert datasets.layout(tmp_path) == "tiny_imagenet"
        for part in ("train", "val"):
            records = datasets.tiny_imagenet(tmp_path, part)
            check_table(records)
            assert list(records["name"]) == ["tench"]

    @pytest.mark.parametrize("text", ["val_0.JPEG n01\n", "val_0.JPEG\tn01\nval_1.JPEG\n", "\n"])
    def test_a_line_without_a_tab_is_one_sentence(self, tmp_path, text):
        (tmp_path / "val").mkdir()
        write_table(tmp_path / "val" / "val_annotations.txt", text)
        assert "a tab" in one_sentence(datasets.tiny_imagenet, tmp_path, "val")

    def test_words_in_another_encoding_are_one_sentence(self, tmp_path):
        draw(tmp_path / "train" / "n01" / "images" / "n01_0.JPEG", (64, 64))
        write_table(tmp_path / "wnids.txt", "n01\n")
        (tmp_path / "words.txt").write_bytes("n01\tRöhre\n".encode("latin-1"))
        assert "words.txt" in one_sentence(datasets.load, tmp_path)

    def test_cut_archive_is_one_sentence(self, tmp_path):
        (tmp_path / "train.zip").write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(DataError, match="complete zip archive"):
            datasets.tiny_imagenet(tmp_path)

    @pytest.mark.parametrize("part", ["test", "val"])
    def test_part_without_labels_or_images_is_refused(self, tmp_path, part):
        with pytest.raises(DataError, match="Received"):
            datasets.tiny_imagenet(tmp_path, part)

    def test_real_set(self, thyro_data):
        records = datasets.tiny_imagenet(thyro_data / "tiny_imagenet")
        assert len(records) == 60_000
        assert set(records["label"].value_counts()) == {300}
        check_table(records)


class TestClassFolders:
    @pytest.fixture
    def classes(self, tmp_path):
        root = tmp_path / "frames"
        for name in ("goitre", "normal"):
            draw(root / name / "1.png")
            draw(root / name / "2.png")
        return root

    def test_folder_names_are_labels(self, classes):
        records = datasets.load(classes)
        check_table(records)
        assert set(records["label"]) == {"goitre", "normal"}
        assert records["group"].isna().all()
        assert set(records["source"]) == {"frames"}

    def test_groups_come_from_a_table(self, classes, tmp_path):
        table = write_table(
            tmp_path / "groups.csv",
            "path,group\ngoitre/1.png,01\ngoitre/2.png,01\nnormal/1.png,02\nnormal/2.png,03\n",
        )
        assert list(datasets.class_folders(classes, table)["group"]) == ["01", "01", "02", "03"]

    def test_table_of_groups_names_every_image(self, classes, tmp_path):
        table = write_table(tmp_path / "groups.csv", "path,group\ngoitre/1.png,01\n")
        with pytest.raises(DataError, match=r"row for every image.*2\.png"):
            datasets.class_folders(classes, table)

    def test_a_table_of_groups_among_the_classes_is_used(self, classes):
        write_table(
            classes / "groups.csv",
            "path,group\ngoitre/1.png,01\ngoitre/2.png,01 \nnormal/1.png,02\nnormal/2.png,\n",
        )
        groups = datasets.load(classes)["group"]
        assert list(groups[:3]) == ["01", "01", "02"]
        assert pd.isna(groups.iloc[3])

    @pytest.mark.parametrize("again", ["goitre/1.png", "./goitre/1.png"])
    def test_a_table_of_groups_names_no_image_twice(self, classes, again):
        write_table(
            classes / "groups.csv",
            "path,group\ngoitre/1.png,01\ngoitre/2.png,01\nnormal/1.png,02\nnormal/2.png,02\n"
            f"{again},03\n",
        )
        assert "each image once" in one_sentence(datasets.load, classes)

    def test_empty_class_is_refused(self, classes):
        (classes / "nodule").mkdir()
        with pytest.raises(DataError, match=r"at least one image.*nodule"):
            datasets.class_folders(classes)

    def test_what_macos_leaves_beside_images_is_no_image(self, classes):
        (classes / "normal" / "._1.png").write_bytes(b"resource fork")
        (classes / "__MACOSX").mkdir()
        assert len(datasets.class_folders(classes)) == 4


class TestPhantoms:
    @pytest.fixture
    def cohort(self, tmp_path):
        draw(tmp_path / "frames" / "0.png")
        draw(tmp_path / "masks" / "0.png")
        write_table(
            tmp_path / "index.csv",
            "path,label,group,source,mask_path,size_mm\n"
            "frames/0.png,malignant,p0,phantom,masks/0.png,12.5\n",
        )
        return tmp_path

    def test_masks_open_and_sizes_are_numbers(self, cohort):
        records = datasets.load(cohort)
        check_table(records)
        assert decode(records["mask_path"].iloc[0]).shape == (32, 40, 3)
        assert records["size_mm"].iloc[0] == 12.5

    def test_mask_outside_the_folder_is_refused(self, cohort):
        text = (cohort / "index.csv").read_text().replace("masks/", "../")
        write_table(cohort / "index.csv", text)
        with pytest.raises(DataError, match="inside its folder"):
            datasets.phantoms(cohort)

    def test_a_set_of_ones_own_may_keep_its_images_in_a_folder_called_frames(self, cohort):
        shutil.rmtree(cohort / "masks")
        write_table(cohort / "index.csv", "path,label,group\nframes/0.png,malignant,anna\n")
        assert datasets.layout(cohort) == "index_csv"
        assert list(datasets.load(cohort)["group"]) == ["anna"]

    def test_frames_of_ones_own_with_masks_beside_them_are_no_phantoms(self, cohort):
        text = (cohort / "index.csv").read_text()
        write_table(cohort / "index.csv", text.replace("p0,phantom,", "p0,clinic,"))
        assert datasets.layout(cohort) == "index_csv"
        assert list(datasets.load(cohort)["source"]) == ["clinic"]

    def test_a_row_without_a_source_is_a_phantom(self, cohort):
        text = (cohort / "index.csv").read_text().replace("p0,phantom,", "p0,,")
        write_table(cohort / "index.csv", text)
        assert list(datasets.phantoms(cohort)["source"]) == ["phantom"]


@pytest.mark.parametrize("read", [known.read for known in datasets.LAYOUTS.values()])
def test_no_loader_takes_a_missing_or_an_empty_folder(read, tmp_path):
    with pytest.raises(DataError, match="a folder that exists"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"Received: .*" + tmp_path.name):
        read(tmp_path)


def test_load_reports_what_a_folder_should_hold(tmp_path):
    assert datasets.layout(tmp_path) is None
    with pytest.raises(DataError, match=r"index\.csv with path, label and group"):
        datasets.load(tmp_path)


@pytest.mark.parametrize("damage", [ValueError, KeyError, IndexError, TypeError, OSError])
def test_damage_that_no_loader_foresees_is_one_sentence(damage, indexed, monkeypatch):
    def read(root):
        raise damage("first line\nsecond line")

    known = datasets.LAYOUTS["index_csv"]._replace(read=read)
    monkeypatch.setitem(datasets.LAYOUTS, "index_csv", known)
    sentence = one_sentence(datasets.load, indexed)
    assert known.title in sentence
    assert str(indexed) in sentence


def test_a_path_too_long_for_the_disk_is_one_sentence(tmp_path):
    assert "a folder that exists" in one_sentence(datasets.load, "x" * 5000)
    # So long that the folder is there, and nothing in it can be named.
    most = os.pathconf(tmp_path, "PC_PATH_MAX") - 6
    deep = tmp_path
    while len(str(deep)) < most - 200:
        deep /= "x" * 199
    deep /= "x" * (most - len(str(deep)) - 1)
    deep.mkdir(parents=True)
    one_sentence(datasets.load, deep)


@pytest.mark.parametrize(
    ("folder", "layout", "images"),
    [
        ("thyroid_us", "thyroid", 638),
        ("ddti", "ddti", 367),
        ("busi", "busi", 780),
        ("mini_mias", "mini_mias", 322),
        ("tiny_imagenet", "tiny_imagenet", 60_000),
        ("radiographs", "radiographs", 4_124),
        ("radiographs/covid19_xray", "covid_xray", 1_124),
        ("radiographs/paediatric_pneumonia", "paediatric_pneumonia", 3_000),
    ],
)
def test_each_real_set_is_recognised_and_read_whole(thyro_data, folder, layout, images):
    assert datasets.layout(thyro_data / folder) == layout
    records = datasets.load(thyro_data / folder)
    assert len(records) == images
    check_table(records)


def test_real_thyroid_set_without_its_index_has_the_same_sources(thyro_data, tmp_path):
    shutil.copytree(thyro_data / "thyroid_us" / "LES3BDD", tmp_path / "LES3BDD")
    guessed = datasets.thyroid(tmp_path)
    known = datasets.thyroid(thyro_data / "thyroid_us")
    keys = [records["path"].str.split("LES3BDD").str[1] for records in (guessed, known)]
    left = guessed.set_index(keys[0]).sort_index()
    right = known.set_index(keys[1]).sort_index()
    for column in ("label", "source", "width", "height", "published_split"):
        assert list(left[column]) == list(right[column])
