"""``data`` answers with what is there, and its exit code reports a leak."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo import cli
from thyro_demo.data import datasets, phantom, splits
from thyro_demo.data.public_sets import SETS, how


def speckle(path, seed) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = np.random.default_rng(seed).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(frame).save(path, quality=95)


@pytest.fixture
def p1(tmp_path):
    """Lay out a P1 set of 24 different frames."""
    seed = 0
    for part in ("train", "test"):
        for label in ("benin", "malin"):
            for number in range(6):
                speckle(tmp_path / "LES3BDD" / part / label / f"{number}.jpg", seed)
                seed += 1
    return tmp_path


def test_list_names_every_set_with_home_and_licence(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THYRO_DATA", raising=False)
    assert cli.main(["data", "list"]) == 0
    text = capsys.readouterr().out
    for key, known in SETS.items():
        assert f"{key}: {known.title}" in text
        for fact in (known.home, known.licence, known.size, how(key)):
            assert fact in text
    assert "get it   python -m thyro_demo data fetch p1; or download " in text
    assert text.count("here     not found") == len(SETS)
    (tmp_path / "data" / "busi").mkdir(parents=True)
    assert cli.main(["data", "list"]) == 0
    assert f"here     {Path('data') / 'busi'}\n" in capsys.readouterr().out


def test_fetch_unpacks_an_archive_that_is_here_and_reports_how_to_go_on(tmp_path, capsys):
    for label in ("benign", "malignant"):
        for name in (f"{label} (1).png", f"{label} (1)_mask.png"):
            speckle(tmp_path / "Dataset_BUSI_with_GT" / label / name, 0)
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path, "Dataset_BUSI_with_GT")
    out = tmp_path / "busi"
    assert cli.main(["data", "fetch", "busi", "--out", str(out), "--url", archive]) == 0
    text = capsys.readouterr().out
    assert "Images: 2\n" in text
    assert f"data check {out}" in text
    assert cli.main(["data", "fetch", "busi", "--out", str(out), "--url", archive]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_fetch_fails_in_one_sentence_and_with_exit_code_2(capsys, tmp_path):
    away = (tmp_path / "nowhere").as_uri()
    assert cli.main(["data", "fetch", "p1", "--out", str(tmp_path / "p1"), "--url", away]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert away in last
    assert not (tmp_path / "p1").exists()


def test_check_of_a_clean_set_counts_and_passes(p1, capsys):
    assert cli.main(["data", "check", str(p1)]) == 0
    text = capsys.readouterr().out
    assert "P1 thyroid set, 24 images" in text
    assert "images without a group: 24" in text
    assert "near duplicates in two published parts: 0" in text


def test_check_names_a_copy_across_the_published_parts(p1, capsys):
    with Image.open(p1 / "LES3BDD/train/benin/0.jpg") as frame:
        frame.resize((128, 128)).save(p1 / "LES3BDD/test/benin/copy.jpg", quality=80)
    assert cli.main(["data", "check", str(p1)]) == 1
    text = capsys.readouterr().out
    assert "near duplicates in two published parts: 1" in text
    assert "LES3BDD/train/benin/0.jpg, LES3BDD/test/benin/copy.jpg" in text


def test_check_lists_what_cannot_be_read_and_goes_on(p1, capsys):
    (p1 / "LES3BDD/train/benin/0.jpg").write_text("no image")
    (p1 / "LES3BDD/train/malin/1.jpg").write_bytes(b"")
    assert cli.main(["data", "check", str(p1)]) == 0
    text = capsys.readouterr().out
    assert "cannot be read: 2" in text
    assert "0.jpg" in text
    assert "0 bytes" in text


def test_check_of_no_set_is_one_sentence(tmp_path, capsys):
    assert cli.main(["data", "check", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_split_writes_a_table_that_the_folder_can_take_as_its_index(p1, capsys):
    out = p1 / "index.csv"
    assert cli.main(["data", "split", str(p1), "--out", str(out), "--seed", "3"]) == 0
    records = datasets.thyroid(p1)
    assert set(records["split"]) == set(splits.PARTS)
    assert records["group"].notna().all()
    splits.check(records, "split")
    assert "train" in capsys.readouterr().out


def test_split_never_takes_images_out_of_the_sets_own_table(tmp_path, capsys):
    folder = phantom.write(phantom.cohort(6, 2, seed=1, shape=(64, 80)), tmp_path / "drawn")
    before = (folder / "index.csv").read_text()
    (folder / "frames" / "000003.png").write_bytes(b"")
    command = ["data", "split", str(folder), "--out", str(folder / "index.csv"), "--folds", "2"]
    assert cli.main(command) == 2
    assert "must name all of its images" in capsys.readouterr().err
    assert (folder / "index.csv").read_text() == before


@pytest.mark.parametrize(
    ("options", "column", "sides"),
    [
        (["--folds", "3"], "fold", {0, 1, 2}),
        (["--fractions", "0.5", "0", "0.5"], "split", {"train", "test"}),
        (["--folds", "2", "--image-level"], "fold", {0, 1}),
    ],
)
def test_split_assigns_as_asked(p1, tmp_path, options, column, sides):
    out = tmp_path / "out" / "table.csv"
    assert cli.main(["data", "split", str(p1), "--out", str(out), *options]) == 0
    table = pd.read_csv(out)
    assert set(table[column]) == sides
    assert len(table) == 24


def test_split_leaves_out_what_has_no_label_and_reports_it(tmp_path, capsys):
    for number in range(8):
        speckle(tmp_path / f"{number}.jpg", number)
        grade = ("2", "5", "3", "4a", "2", "5", "", "")[number]
        (tmp_path / f"{number}.xml").write_text(f"<case><tirads>{grade}</tirads></case>")
    out = tmp_path / "table.csv"
    assert cli.main(["data", "split", str(tmp_path), "--out", str(out), "--folds", "2"]) == 0
    assert "Left out: 2 images without a label." in capsys.readouterr().out
    assert len(pd.read_csv(out)) == 6


@pytest.mark.parametrize(
    ("option", "value", "refusal"),
    [
        ("--folds", "40", "one group per fold"),
        ("--folds", "0", "two or more folds"),
        ("--seed", "-1", "A seed must be"),
        ("--out", ".", "go to a file"),
    ],
)
def test_split_that_cannot_be_leaves_no_table(p1, tmp_path, capsys, option, value, refusal):
    out = tmp_path / "table.csv"
    assert cli.main(["data", "split", str(p1), "--out", str(out), option, value]) == 2
    assert refusal in capsys.readouterr().err
    assert not out.exists()


def test_the_real_thyroid_set_leaks_across_its_published_parts(thyro_data, capsys):
    assert cli.main(["data", "check", str(thyro_data / "thyroid_us")]) == 1
    text = capsys.readouterr().out
    assert "cannot be read: 0" in text
    assert "near duplicates in two groups: 0" in text


@pytest.fixture
def own(tmp_path):
    """Lay out class folders of one's own: twelve frames, and things that are none."""
    for label, start in (("Benign", 0), ("Malin", 6)):
        for number in range(6):
            speckle(tmp_path / "own" / label / f"{number}.png", start + number)
    (tmp_path / "own" / "Benign" / "2.png").write_bytes(b"no image")
    (tmp_path / "own" / "Malin" / "scan.nii").write_bytes(b"no image that is read")
    speckle(tmp_path / "own" / "Malin" / "0_mask.png", 99)
    return tmp_path / "own"


@pytest.mark.parametrize("command", ["check", "split", "split --image-level"])
def test_nothing_vanishes_silently(own, tmp_path, capsys, command):
    command, *options = command.split()
    out = ["--out", str(tmp_path / "table.csv"), "--folds", "2"] if command == "split" else []
    assert cli.main(["data", command, str(own), *out, *options]) == 0
    text = capsys.readouterr().out
    assert "Benign as benign (6), Malin as malignant (6)" in text
    assert "not counted as images: 1 (Malin/0_mask.png)" in text
    assert "Passed over, not read as images: 1 (Malin/scan.nii)" in text
    assert "cannot be read: 1" in text
    assert "2.png" in text
    if command == "split":
        table = pd.read_csv(tmp_path / "table.csv")
        assert table["label"].value_counts().to_dict() == {"malignant": 6, "benign": 5}


def test_a_set_of_unreadable_images_alone(own, tmp_path, capsys):
    for path in own.glob("*/?.png"):
        path.write_bytes(b"")
    assert cli.main(["data", "check", str(own)]) == 0
    assert "cannot be read: 12" in capsys.readouterr().out
    out = tmp_path / "table.csv"
    assert cli.main(["data", "split", str(own), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "12 that cannot" in error
    assert not out.exists()


def test_a_split_of_phantoms_can_take_the_place_of_their_index(tmp_path):
    folder = tmp_path / "drawn"
    assert cli.main(["phantom", str(folder), "--patients", "12", "--frames", "1"]) == 0
    masks = set(datasets.load(folder)["mask_path"])
    out = folder / "index.csv"
    assert cli.main(["data", "split", str(folder), "--out", str(out), "--folds", "2"]) == 0
    assert set(datasets.load(folder)["mask_path"]) == masks


def test_a_finding_of_many_images_names_one_of_each_side_and_counts_the_rest(p1, capsys):
    with Image.open(p1 / "LES3BDD/train/benin/0.jpg") as frame:
        for number in range(9):
            frame.save(p1 / f"LES3BDD/train/benin/copy{number}.jpg")
        frame.save(p1 / "LES3BDD/test/malin/copy.jpg")
    assert cli.main(["data", "check", str(p1)]) == 1
    lines = capsys.readouterr().out.splitlines()
    line = lines[lines.index("near duplicates in two published parts: 1") + 1]
    assert "LES3BDD/test/malin/copy.jpg" in line
    assert line.endswith(" and 7 more")


def test_list_names_the_traps_of_the_sweeps(capsys):
    assert cli.main(["data", "list"]) == 0
    assert "the 1,015 frames used here are 51 cases" in capsys.readouterr().out
