"""A set is fetched whole or not at all, its licence shown first, and its loader reads it."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data import datasets, download
from thyro_demo.data import unpack as unpacking
from thyro_demo.data.public_sets import PLACE, SETS, how
from thyro_demo.errors import DataError

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def image(kind: str, size: tuple[int, int] = (40, 40)) -> bytes:
    """Return a grey image as a file of a kind."""
    buffer = io.BytesIO()
    Image.fromarray(np.full(size[::-1], 90, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


JPEG, PNG, PGM = image("JPEG"), image("PNG"), image("PPM")
PUBLISHED = {
    "p1": {
        f"BDD20test80train/LES3BDD/{part}/{label}/{name}.jpg": JPEG
        for part in ("train", "test")
        for label, name in (("benin", "benigne.12"), ("malin", "maling.0"))
    }
    | {"README.md": b"# P1"},
    "ddti": {"1.xml": b"<case><number>1</number><tirads>2</tirads></case>", "1_1.jpg": JPEG}
    | {"2.xml": b"<case><number>2</number><tirads>4b</tirads></case>", "2_1.jpg": JPEG},
    "sweeps": {f"source/images/{case}_{n}.jpg": JPEG for case in (1, 12) for n in (0, 1)}
    | {"source/labels/12_1_label.jpg": JPEG, "boxes.py": b"import os", "1_1.xml": b"<a/>"},
    "busi": {
        f"Dataset_BUSI_with_GT/{label}/{label} ({number}){mask}.png": PNG
        for label in ("benign", "malignant", "normal")
        for number in (1, 2)
        for mask in ("", "_mask")
    }
    | {"Dataset_BUSI_with_GT/benign/benign (1)_mask_1.png": PNG},
    "covid": {
        f"COVID-19_Radiography_Dataset/{label}/{what}/{label}-1.png": PNG
        for label in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
        for what in ("images", "masks")
    }
    | {"COVID-19_Radiography_Dataset/README.md.txt": b"terms"}
    | {"COVID-19_Radiography_Dataset/COVID.metadata.xlsx": b"PK"},
    "paediatric": {
        f"chest_xray/{part}/{label}": JPEG
        for part in ("train", "test")
        for label in ("NORMAL/IM-0115-0001.jpeg", "PNEUMONIA/person1_virus_6.jpeg")
    }
    | {"__MACOSX/chest_xray/._train": b"x", "chest_xray/.DS_Store": b"x"},
    "mini_mias": {"mdb001.pgm": PGM, "mdb002.pgm": PGM, "README": b"words", "Licence.txt": b"words"}
    | {"Info.txt": b"words\nmdb001 G CIRC B 535 425 197\nmdb002 G NORM \n"},
    "tiny_imagenet": {f"tiny-imagenet-200/train/n0{n}/images/n0{n}_0.JPEG": JPEG for n in (1, 2)}
    | {f"tiny-imagenet-200/train/n0{n}/n0{n}_boxes.txt": b"n01_0.JPEG\t0\t0" for n in (1, 2)}
    | {"tiny-imagenet-200/val/val_annotations.txt": b"val_0.JPEG\tn01\t0\t0\t62\t57\n"}
    | {"tiny-imagenet-200/val/images/val_0.JPEG": JPEG}
    | {"tiny-imagenet-200/test/images/test_0.JPEG": JPEG}
    | {"tiny-imagenet-200/wnids.txt": b"n01\nn02\n", "tiny-imagenet-200/words.txt": b"n01\tfish\n"},
}
"""Files of each set, small, under the names and in the folders that its home publishes."""

COLUMNS = ["label", "group", "source"]
RECORDS = {
    "p1": {("benign", None, "other"): 2, ("malignant", None, "other"): 2},
    "ddti": {("benign", "ddti-1", "ddti"): 1, ("malignant", "ddti-2", "ddti"): 1},
    "sweeps": {(None, "1", "sweep"): 2, (None, "12", "sweep"): 2},
    "busi": {(label, None, "busi"): 2 for label in ("benign", "malignant", "normal")},
    "covid": {
        (label, None, "covid_xray"): 1
        for label in ("covid-19", "lung opacity", "normal", "pneumonia")
    },
    "paediatric": {
        ("normal", "IM-0115", "paediatric_pneumonia"): 2,
        ("pneumonia", "person1", "paediatric_pneumonia"): 2,
    },
    "mini_mias": {("benign", "mias-001", "mini_mias"): 1, ("normal", "mias-001", "mini_mias"): 1},
    "tiny_imagenet": {("n01", None, "tiny_imagenet"): 1, ("n02", None, "tiny_imagenet"): 1},
}
"""How many records of each label, group and source its loader makes of them."""

ARCHIVES = [key for key, known in SETS.items() if known.way == "archive"]


def counted(folder) -> dict[tuple, int]:
    records = datasets.load(folder, quiet=True)[COLUMNS].astype(object)
    rows = records.where(records.notna(), None).itertuples(index=False, name=None)
    found: dict[tuple, int] = {}
    for row in rows:
        found[row] = found.get(row, 0) + 1
    return found


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def repository(folder, files) -> str:
    """Make a git repository; return its address."""
    write(folder, files)
    # No settings of whoever runs the tests: they may sign, or hook, commits.
    empty = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    person = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "images"]):
        command = ["git", *person, *words]
        subprocess.run(command, cwd=folder, env=os.environ | empty, check=True, capture_output=True)
    return folder.as_uri()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data" / "set"


@pytest.fixture
def served(home, archive, monkeypatch):
    """Serve the archive of each set where its home would, and return what serves another."""

    def serve(key: str, files: dict[str, bytes]) -> bytes:
        kind = "tar.gz" if key == "mini_mias" else "zip"
        content = archive(files, kind)
        home.files[f"/{key}"] = content
        stated = f"md5:{hashlib.md5(content).hexdigest()}" if SETS[key].checksum else ""
        here = SETS[key]._replace(address=home.url(f"/{key}"), checksum=stated)
        monkeypatch.setitem(SETS, key, here)
        return content

    return serve


@pytest.mark.parametrize("key", ARCHIVES)
def test_an_archive_of_its_home_becomes_a_set_that_its_loader_reads(key, served, out, capsys):
    content = served(key, PUBLISHED[key])
    assert download.fetch(key, out) == out
    assert datasets.layout(out) == SETS[key].layout
    assert counted(out) == RECORDS[key]
    shown = capsys.readouterr().out
    terms = [shown.index(part) for part in ("Size: ", "Licence: ", "Home: ", "Archive: ")]
    assert shown.startswith(SETS[key].title)
    assert terms == sorted(terms)
    record = json.loads((out / download.RECORD).read_text("utf-8"))
    assert record["bytes"] == len(content)
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert [path.name for path in out.parent.iterdir()] == ["set"]


@needs_git
@pytest.mark.parametrize("key", ["p1", "sweeps"])
def test_a_clone_is_read_by_its_loader(key, tmp_path, out, capfd):
    url = repository(tmp_path / "home", PUBLISHED[key])
    assert download.fetch(key, out, url) == out
    assert counted(out) == RECORDS[key]
    assert "Licence: none stated" in capfd.readouterr().out


@pytest.mark.parametrize("key", PUBLISHED)
def test_an_archive_on_this_computer_takes_the_place_of_any_home(
    key, archive, out, tmp_path, monkeypatch
):
    monkeypatch.setitem(SETS, key, SETS[key]._replace(checksum=""))
    file = tmp_path / "mine.zip"
    # As GitHub packs a repository, and as people pack a folder.
    file.write_bytes(archive({f"main/{name}": one for name, one in PUBLISHED[key].items()}))
    assert counted(download.fetch(key, out, str(file))) == RECORDS[key]
    assert file.exists()


@pytest.mark.parametrize("key", PUBLISHED)
def test_what_a_user_unpacks_by_hand_is_read_as_it_is(key, tmp_path):
    by_hand = write(tmp_path / "by hand", PUBLISHED[key])
    assert counted(by_hand) == RECORDS[key]
    loader = getattr(datasets, SETS[key].layout)
    assert len(loader(by_hand)) == sum(RECORDS[key].values())


class TestKaggle:
    @pytest.fixture
    def kagglehub(self, monkeypatch):
        """Stand in for the package: what is asked of it, and what it answers."""
        module = types.ModuleType("kagglehub")
        monkeypatch.setitem(sys.modules, "kagglehub", module)
        return module

    @pytest.mark.parametrize("key", ["ddti", "covid"])
    def test_its_copy_is_read_by_the_loader(self, key, kagglehub, tmp_path, out, capsys):
        cache = write(tmp_path / "cache" / "5", PUBLISHED[key])
        asked = []
        kagglehub.dataset_download = lambda handle: asked.append(handle) or str(cache)
        assert counted(download.fetch(key, out)) == RECORDS[key]
        assert asked == [SETS[key].address]
        assert f"From: {SETS[key].address}, a data set at Kaggle" in capsys.readouterr().out
        assert any(cache.iterdir())

    def test_without_the_package_the_way_by_hand_is_named(self, out, monkeypatch):
        monkeypatch.setitem(sys.modules, "kagglehub", None)
        with pytest.raises(DataError, match=r"pip install kagglehub.* or download .* Received: no"):
            download.fetch("covid", out)
        assert not out.exists()

    def test_a_refusal_is_one_sentence(self, kagglehub, out):
        def refuse(handle):
            raise RuntimeError("403 Client Error.\n\nYou must authenticate")

        kagglehub.dataset_download = refuse
        with pytest.raises(DataError, match=r"or download .* Received: 403 .* for taws") as error:
            download.fetch("covid", out)
        assert SETS["covid"].home in str(error.value)
        assert len(str(error.value).splitlines()) == 1


def test_a_download_that_was_killed_goes_on_and_leaves_nothing_beside_the_set(home, served, out):
    content = served("busi", PUBLISHED["busi"])
    home.breaks_at = len(content) // 2
    with pytest.raises(DataError, match=r"repeat the command.*Received: "):
        download.fetch("busi", out)
    assert not out.exists()
    home.breaks_at = 0
    download.fetch("busi", out)
    assert home.asked[-1] == ("/busi", f"bytes={len(content) // 2}-")
    assert counted(out) == RECORDS["busi"]
    assert [path.name for path in out.parent.iterdir()] == ["set"]


def test_another_checksum_than_the_stated_one_is_refused_and_not_kept(served, out, monkeypatch):
    served("tiny_imagenet", PUBLISHED["tiny_imagenet"])
    wrong = SETS["tiny_imagenet"]._replace(checksum=f"md5:{'0' * 32}")
    monkeypatch.setitem(SETS, "tiny_imagenet", wrong)
    with pytest.raises(DataError, match=r"md5 0{32}; .* or download .*: [0-9a-f]{32} from"):
        download.fetch("tiny_imagenet", out)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "refusal"),
    [
        ({"../mine.txt": b"x"}, "names inside its folder"),
        ({"holiday.jpg": JPEG}, "a layout that its loader knows"),
        ({"train/NORMAL/a.jpg": JPEG, "train/PNEUMONIA/b.jpg": JPEG}, "a layout that its loader"),
        ({"benign/benign (1)_mask.png": PNG, "malignant/a.txt": b"x"}, "at least one image"),
    ],
    ids=["outside", "no set", "another set", "half a set"],
)
def test_what_comes_with_something_else_is_not_kept(files, refusal, served, out):
    served("busi", files)
    with pytest.raises(DataError, match=refusal) as error:
        download.fetch("busi", out)
    assert "Received: " in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert list(out.parent.iterdir()) == []


def test_a_page_in_place_of_the_archive_is_not_gone_on_from(home, served, out):
    content = served("busi", PUBLISHED["busi"])
    home.files["/busi"] = b"<html>Please log in</html>"
    with pytest.raises(DataError, match="undamaged zip or tar"):
        download.fetch("busi", out)
    assert list(out.parent.iterdir()) == []
    home.files["/busi"] = content
    download.fetch("busi", out)


def test_a_full_disk_keeps_the_archive_and_nothing_half_unpacked(home, served, out, monkeypatch):
    content = served("busi", PUBLISHED["busi"])

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacking.shutil, "copyfileobj", full)
    with pytest.raises(DataError, match=r"have room \(780 frames.*Received: .*No space left"):
        download.fetch("busi", out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["set.part", "set.part.mark"]
    monkeypatch.undo()
    served("busi", PUBLISHED["busi"])
    download.fetch("busi", out)
    assert home.asked[-1] == ("/busi", f"bytes={len(content)}-")


def test_a_home_that_is_away_names_the_address_and_the_folder(home, out, monkeypatch):
    monkeypatch.setitem(SETS, "busi", SETS["busi"]._replace(address=home.url("/gone")))
    with pytest.raises(DataError, match=r"try again, or download Dataset_BUSI.*404") as error:
        download.fetch("busi", out)
    for part in (home.url("/gone"), SETS["busi"].home, str(out)):
        assert part in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert list(out.parent.iterdir()) == []


@needs_git
def test_nothing_is_left_and_the_way_by_hand_is_named_when_a_repository_is_away(tmp_path, out):
    away = (tmp_path / "nowhere").as_uri()
    with pytest.raises(
        DataError, match=r"home of the set must answer.*unpack it into .*Received: "
    ) as error:
        download.fetch("p1", out, away)
    assert away in str(error.value)
    assert str(out) in str(error.value)
    assert "\n" not in str(error.value)
    assert list(out.parent.iterdir()) == []


def test_missing_git_names_the_address_and_the_folder(out, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match=r"install it, or download .* from https://github\.com/"):
        download.fetch("p1", out)
    assert not out.exists()


@pytest.mark.parametrize("key", PUBLISHED)
def test_what_is_there_is_not_replaced(key, out):
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("kept")
    with pytest.raises(DataError, match="must not exist yet"):
        download.fetch(key, out)
    assert (out / "mine.txt").read_text() == "kept"


def test_a_set_that_no_command_fetches_names_its_home(out, monkeypatch, capsys):
    monkeypatch.setitem(SETS, "ddti", SETS["ddti"]._replace(way="hand"))
    with pytest.raises(DataError, match=r"fetched by hand: download .* with --url") as error:
        download.fetch("ddti", out)
    assert SETS["ddti"].home in str(error.value)
    assert "Licence: " in capsys.readouterr().out
    assert how("ddti").startswith("download ")


def test_unknown_key_is_answered_with_the_known_ones():
    with pytest.raises(DataError, match=r"p1, ddti.*Received: key=p9"):
        download.fetch("p9")


def test_a_set_goes_to_its_folder_where_recipes_and_studies_look(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    served("paediatric", PUBLISHED["paediatric"])
    assert download.fetch("paediatric") == PLACE / "radiographs" / "paediatric_pneumonia"
    assert len(datasets.films(None, PLACE / "radiographs" / "paediatric_pneumonia")) == 4


@pytest.mark.parametrize("key", SETS)
def test_every_set_states_what_a_reader_needs(key):
    known = SETS[key]
    assert known.layout in datasets.LAYOUTS
    assert known.home.startswith(("http://", "https://"))
    assert all((known.title, known.licence, known.size, known.wanted))
    assert bool(known.address) == (known.way != "hand")
    assert f"and unpack it into {PLACE / known.folder}" in how(key)
