"""DATA may name sets, folders of sets, several of them, and folders of Google Drive."""

import os
import sys
import types

import pytest
from PIL import Image

from thyro_demo.data import places
from thyro_demo.data.places import Places, here, mounted, open_places
from thyro_demo.data.public_sets import PLACE, SETS
from thyro_demo.errors import DataError


def busi(folder):
    for label in ("benign", "malignant"):
        (folder / label).mkdir(parents=True)
        for name in (f"{label} (1).png", f"{label} (1)_mask.png"):
            Image.new("L", (40, 40)).save(folder / label / name)
    return folder


def classes(folder):
    for label in ("benign", "malignant"):
        (folder / label).mkdir(parents=True)
        Image.new("L", (40, 40)).save(folder / label / "1.png")
    return folder


@pytest.fixture
def drive(monkeypatch, tmp_path):
    """Stand in for Google Drive in Colab: a folder that is there once it is mounted."""
    place = tmp_path / "content" / "drive"
    module = types.ModuleType("google.colab")
    module.drive = types.SimpleNamespace(
        mount=lambda at: busi(place / "MyDrive" / "sets" / "busi") if at == str(place) else None
    )
    google = types.ModuleType("google")
    google.colab = module
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.setattr(places, "_MOUNTED", place)
    return module.drive


@pytest.mark.parametrize("name", ["busi", "Dataset_BUSI_with_GT", "busi/Dataset_BUSI_with_GT"])
def test_a_set_is_found_by_folder_by_key_and_as_its_archive_unpacks(name, tmp_path):
    folder = busi(tmp_path / name)
    assert Places((tmp_path,)).find("busi") == folder
    assert Places((folder,)).find("busi") == folder
    assert Places((tmp_path,)).find("ddti") is None


@pytest.mark.parametrize("key", ["p1", "covid"])
def test_folder_and_key_are_both_names_of_a_set(key, tmp_path):
    (tmp_path / key).mkdir()
    assert Places((tmp_path,)).find(key) == tmp_path / key
    (tmp_path / SETS[key].folder).mkdir(parents=True)
    assert Places((tmp_path,)).find(key) == tmp_path / SETS[key].folder


def test_several_places_hold_sets_together_and_the_first_counts(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    busi(one / "busi"), busi(two / "busi"), classes(two / "thyroid_us")
    both = open_places(os.pathsep.join(map(str, (one, two))))
    assert both.folders == (one, two)
    assert both.find("busi") == one / "busi"
    assert both.find("p1") == two / "thyroid_us"


def test_ones_own_folder_of_classes_is_the_thyroid_set(tmp_path):
    own = classes(tmp_path / "mine")
    assert open_places(f"{own}{os.pathsep}{busi(tmp_path / 'busi')}").find("p1") == own


def test_the_patients_of_a_class_that_is_alone_are_no_classes(tmp_path):
    for patient in ("p1x", "p2x"):
        (tmp_path / "benign" / patient).mkdir(parents=True)
        Image.new("L", (40, 40)).save(tmp_path / "benign" / patient / "1.png")
    with pytest.raises(DataError, match="set of images itself or hold"):
        open_places(str(tmp_path))


def test_a_key_is_a_place_that_is_fetched_unless_it_is_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THYRO_DATA", raising=False)
    fetched = []
    monkeypatch.setattr(
        places.download,
        "fetch",
        lambda key: fetched.append(key) or busi(PLACE / SETS[key].folder),
    )
    for _ in range(2):
        assert open_places("busi").find("busi") == PLACE / "busi"
    assert fetched == ["busi"]


def test_the_working_folder_comes_before_those_that_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.setenv("THYRO_DATA", f"{one}{os.pathsep}{two}")
    assert here().find("p1") is None
    (two / "thyroid_us").mkdir(parents=True)
    assert here().find("p1") == two / "thyroid_us"
    (tmp_path / "data" / "p1").mkdir(parents=True)
    assert here().find("p1") == PLACE / "p1"


def test_drive_is_mounted_for_its_folders_beside_others(drive, tmp_path):
    own = classes(tmp_path / "mine")
    both = open_places(f"drive:sets{os.pathsep}{own}")
    assert both.folders == (places._MOUNTED / "MyDrive" / "sets", own)
    assert both.find("busi") == both.folders[0] / "busi"


def test_drive_is_mounted_for_results_that_go_there(drive, tmp_path):
    assert mounted(str(tmp_path / "out")) == tmp_path / "out"
    assert not places._MOUNTED.exists()
    out = places._MOUNTED / "MyDrive" / "out"
    assert mounted(str(out)) == out
    assert places._MOUNTED.is_dir()


def test_drive_that_may_not_be_mounted_is_one_sentence(drive):
    def refuse(place):
        raise ValueError("mount failed")

    drive.mount = refuse
    with pytest.raises(DataError, match=r"allow it.* Received: drive:sets \(mount failed\)"):
        open_places("drive:sets")


@pytest.mark.parametrize("data", ["absent/folder", "drive:frames", os.pathsep])
def test_what_cannot_be_had_is_one_sentence(data):
    with pytest.raises(DataError, match=f"Received: {data}"):
        open_places(data)


def test_a_folder_without_a_set_is_named_among_several(tmp_path):
    (tmp_path / "holidays").mkdir()
    with pytest.raises(DataError, match=r"thyroid_us, p1, .*mini_mias.* Received: .*holidays$"):
        open_places(f"{busi(tmp_path / 'busi')}{os.pathsep}{tmp_path / 'holidays'}")


@pytest.mark.parametrize("key", SETS)
def test_each_real_set_is_found(key, thyro_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert here().find(key) == thyro_data / SETS[key].folder
