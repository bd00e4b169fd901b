"""A table is read as spreadsheets of any language and system write it, or refused in a sentence."""

import os
import sys
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from thyro_demo.data import datasets, splits
from thyro_demo.data.records import some
from thyro_demo.errors import DataError

ROWS = "path,label,group\na/0.png,benign,p0\na/1.png,malignant,p1\n"


@pytest.fixture
def frames(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("0", "1"):
        Image.new("L", (40, 32), 90).save(tmp_path / "a" / f"{name}.png")
    return tmp_path


def read(folder: Path, text: str | bytes) -> pd.DataFrame:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "index.csv").write_bytes(content)
    return datasets.load(folder, quiet=True)


WRITTEN = {
    "semicolons": ROWS.replace(",", ";"),
    "tabs": ROWS.replace(",", "\t"),
    "bars": ROWS.replace(",", "|"),
    "sep line": "sep=;\n" + ROWS.replace(",", ";"),
    "sep line after a mark": "\ufeff" + '"sep=,"\r\n' + ROWS.replace("\n", "\r\n"),
    "sep line of a tab": "sep=\t\r" + ROWS.replace(",", "\t").replace("\n", "\r"),
    "mark": "\ufeff" + ROWS,
    "mark in quotes": "\ufeff" + ROWS.replace("path", '"path"'),
    "old mac": ROWS.replace("\n", "\r"),
    "windows": ROWS.replace("\n", "\r\n"),
    "upper case": ROWS.replace("path,label,group", "PATH,Label,gROUP"),
    "blanks in the head": ROWS.replace("path,label,group", " path , label,group\xa0"),
    "blanks in cells": ROWS.replace(",benign,", ", benign\xa0,"),
    "empty rows": ROWS.replace("\n", "\n\n,,\n") + ",,\n , ,\n",
    "empty rows above": "\n\n,,\n" + ROWS,
    "comma at each end": ROWS.replace("\n", ",\n"),
    "commas at each end": ROWS.replace("\n", ",,,\n"),
    "quotes": "".join(f'"{line}"\n' for line in ROWS.replace(",", '","').splitlines()),
    "backslashes": ROWS.replace("a/", "a\\"),
    "dot and backslash": ROWS.replace("a/", ".\\a\\"),
    "row numbers": ",path,label,group\n0,a/0.png,benign,p0\n1,a/1.png,malignant,p1\n",
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_every_way_to_write_a_table_yields_the_same_records(frames, text):
    plain, other = read(frames, ROWS), read(frames, text)
    pd.testing.assert_frame_equal(other[list(datasets.REQUIRED)], plain)


@pytest.mark.parametrize("last", ["", "group\n"])
def test_a_table_without_a_needed_column_names_it(frames, last):
    with pytest.raises(DataError, match=r"columns path, label, group. Received: no ") as error:
        read(frames, "path;label;" + last + "\na/0.png;benign;1\n" if not last else "path;group\n")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "damage",
    [
        ROWS.encode("utf-16"),
        ROWS.replace("benign", "bénin").encode("latin-1"),
        ROWS.encode() + b'"a/2.png,benign,p2\n',
        b"PK\x03\x04\x14\x00\x06\x00\x08\x00\xff\xfe",
        b"",
        ROWS.replace("p0", "p0,more").encode(),
        ROWS.replace("group", "Label").encode(),
        ROWS.replace("a/0.png", "..\\a\\0.png").encode(),
        ROWS.replace("a/0.png", "C:\\a\\0.png").encode(),
        ROWS.replace("a/0.png", "\\\\server\\a\\0.png").encode(),
        b"path,label,group\n" + b"a" * 200_000 + b",benign,p0\n",
    ],
    ids=["utf-16", "latin-1", "open quote", "xlsx", "empty", "a cell more", "a column twice",
         "outside", "drive", "share", "endless"],
)  # fmt: skip
def test_a_damaged_table_is_one_sentence(frames, damage):
    with pytest.raises(DataError, match=" Received: ") as error:
        read(frames, damage)
    assert "\n" not in str(error.value)


def test_a_group_that_a_spreadsheet_made_a_decimal_is_one_patient(frames):
    rows = ["path;label;group"]
    for patient in range(1, 9):
        for frame, end in enumerate(("", ".0", ",0", ".")):
            name = f"{patient}-{frame}.png"
            Image.new("L", (40, 32), 20 * patient + frame).save(frames / name)
            rows.append(f"{name};{'benign' if patient % 2 else 'malignant'};{patient}{end}")
    table = splits.kfold(read(frames, "\n".join(rows)), 4)
    assert sorted(table["group"].unique()) == list("12345678")
    patient = table["path"].map(lambda path: Path(path).name[0])
    assert table.groupby(patient)["fold"].nunique().max() == 1


@pytest.mark.parametrize("group", ["007", "1.5", "1.25", "v1.0.0", "1,000", "-"])
def test_a_group_that_is_no_decimal_of_a_whole_number_stays_as_written(frames, group):
    table = read(frames, ROWS.replace(",", ";").replace("p0", group))
    assert table["group"].iloc[0] == group


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_a_name_with_an_accent_is_found_however_it_is_composed(frames, on_disk):
    name = unicodedata.normalize(on_disk, "été/nodule é.png")
    (frames / name).parent.mkdir()
    os.rename(frames / "a" / "0.png", frames / name)
    for form in ("NFC", "NFD"):
        cell = unicodedata.normalize(form, "été/nodule é.png")
        table = read(frames, ROWS.replace("a/0.png", cell))
        assert Path(table["path"].iloc[0]).is_file()


def test_a_patient_whose_name_is_composed_in_two_ways_is_one(frames):
    names = [unicodedata.normalize(form, "René") for form in ("NFC", "NFD")]
    table = read(frames, ROWS.replace("p0", names[0]).replace("p1", names[1]))
    assert table["group"].nunique() == 1


def test_decimals_may_have_a_comma_where_none_parts_the_cells(frames):
    text = "path;label;group;size_mm\na/0.png;benign;p0;12,5\na/1.png;benign;p1;\n"
    assert read(frames, text)["size_mm"].iloc[0] == 12.5


def test_a_mask_of_a_table_opens_and_one_that_is_not_there_is_missing_and_named(frames):
    text = "path,label,group,Mask Path\na/0.png,benign,p0,a/1.png\na/1.png,benign,p1,a/9.png\n"
    table = read(frames, text)
    assert Path(table["mask_path"].iloc[0]).is_file()
    assert pd.isna(table["mask_path"].iloc[1])
    assert "a/9.png" in " ".join(datasets.notes(table))


def test_images_in_no_row_are_counted_and_their_masks_are_not(frames):
    for name in ("2", "3", "0_mask"):
        Image.new("L", (40, 32)).save(frames / "a" / f"{name}.png")
    (note,) = datasets.notes(read(frames, ROWS))
    assert note == "Images beside those of the table, in no row of it: 2 (a/2.png, a/3.png)."


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names in Unicode")
def test_a_name_that_is_no_unicode_is_refused_before_the_work(tmp_path):
    for label in ("benign", "malignant"):
        (tmp_path / label).mkdir()
        Image.new("L", (40, 32)).save(tmp_path / label / "1.png")
    os.rename(tmp_path / "benign" / "1.png", os.fsencode(tmp_path / "benign") + b"/b\xe9nin.png")
    with pytest.raises(DataError, match=r"Unicode.*Received: .*b\\udce9nin\.png") as error:
        datasets.load(tmp_path)
    str(error.value).encode()


def test_a_set_of_many_names_is_named_by_the_first_few():
    assert some(list("abc")) == "a, b, c"
    assert some(list("abcde")) == "a, b, c and 2 more"
