"""One chapter of the course: on which images it runs, on which computer, and where results go."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tensorflow as tf

from thyro_demo.data import datasets, fetch, splits
from thyro_demo.errors import DataError
from thyro_demo.models.manifest import weights_root
from thyro_demo.study import setting

DRIVE = "drive:"
"""Beginning of a `data` that names a folder of the reader's Google Drive."""

PATIENTS, FAST_PATIENTS = 50, 14
"""Drawn patients of each of three scanners, two frames each."""

_MOUNTED = Path("/content/drive")
_BFLOAT16_SINCE = (8, 0)


@dataclass(frozen=True)
class Lesson:
    """A chapter that has begun.

    Parameters
    ----------
    chapter : int
        Its number.
    fast : bool
        Whether everything is small, for a rehearsal.
    seed : int
        Fixes what chance decides.
    data : Path or None
        Folder of real images: one set, or a folder that holds sets by name or by key. None draws
        phantoms.
    root : Path
        Where all chapters with these settings keep results.
    """

    chapter: int
    fast: bool
    seed: int
    data: Path | None
    root: Path

    @property
    def here(self) -> Path:
        """The folder of this chapter's own results."""
        return self.root / f"chapter-{self.chapter}"

    @property
    def images(self) -> str:
        """What a caption calls the thyroid frames."""
        return "drawn phantoms" if self.find("p1") is None else "real frames"

    def find(self, key: str) -> Path | None:
        """Find a real set.

        Parameters
        ----------
        key : str
            A key of `fetch.SETS`: "p1", "ddti", "busi", "mini_mias", ….

        Returns
        -------
        Path or None
            Its folder; None where the chapter has to do without, or runs on phantoms.
        """
        if self.data is None:
            return None
        # By name, or by the key under which `data fetch` keeps it.
        for inside in (self.data / fetch.SETS[key].folder, self.data / key):
            if inside.is_dir():
                return inside
        # The folder may be the set itself, under whatever name the reader gave it.
        own = {"p1": "thyroid", "covid": "covid_xray", "paediatric": "paediatric_pneumonia"}
        known = datasets.layout(self.data)
        wanted = own.get(key, key)
        fits = known == wanted or (key == "p1" and known in ("index_csv", "class_folders"))
        return self.data if fits else None

    def thyroid(self) -> pd.DataFrame:
        """Read the labelled thyroid frames of this chapter.

        Returns
        -------
        DataFrame
            Record table of "benign" and "malignant" frames, near copies joined into groups;
            phantoms of three scanners where there is no real set.

        Raises
        ------
        DataError
            If the set is not in a layout that is read.
        """
        folder = self.find("p1")
        if folder is None:
            patients, scale = (FAST_PATIENTS, 1) if self.fast else (PATIENTS, 2)
            # The shipped networks met phantoms of seeds 7 and 11; those from 100 on are new.
            seed = 100 + 10 * self.seed
            return setting.scanners(self.root / "phantoms", patients, seed, scale)
        records = datasets.load(folder)
        records = records[records["label"].isin(["benign", "malignant"])].reset_index(drop=True)
        return splits.group_near_duplicates(records)

    def bundle(self, name: str, shipped: str = "efficientnet-b0") -> Path:
        """Find what an earlier chapter has trained, or else what is shipped.

        Parameters
        ----------
        name : str
            Name of the bundle in the `bundles` folder of an earlier chapter.
        shipped : str
            Name of the shipped bundle to take where no chapter has left one.

        Returns
        -------
        Path
            Folder of a bundle.

        Raises
        ------
        DataError
            If there is neither.
        """
        own = sorted(self.root.glob(f"chapter-*/bundles/{name}/manifest.json"))
        places = [file.parent for file in own] + [weights_root() / shipped]
        for place in places:
            if (place / "manifest.json").is_file():
                print(f"Goes on from the {'bundle' if own else 'shipped bundle'} {place}")
                return place
        raise DataError(
            f"This chapter goes on from the bundle {name} of an earlier one, or from the shipped "
            f"{shipped}. Received: neither, in {self.root} and {weights_root()}"
        )


def begin(chapter: int, fast: bool, seed: int, data: str, out: str) -> Lesson:
    """Begin a chapter: find or fetch its images, and say what it runs on.

    A quick rehearsal starts anew each time; a full run goes on where it stood.

    Parameters
    ----------
    chapter : int
        Its number.
    fast : bool
        Whether everything is to be small. A rehearsal runs on phantoms, whatever `data` says.
    seed : int
        Fixes what chance decides, 0 or more.
    data : str
        Empty for phantoms; a folder with one set, or with sets by name; "drive:FOLDER" for a
        folder of the reader's Google Drive; "p1" for the thyroid set of P1, cloned from its
        public home unless it is there (git checks every file against its hash).
    out : str
        Folder of all results.

    Returns
    -------
    Lesson
        The chapter.

    Raises
    ------
    DataError
        If the folder is missing or holds no set that is known, or the set cannot be fetched.
    """
    # The same seed gives the same weights, on a graphics card as well.
    tf.config.experimental.enable_op_determinism()
    folder = None if fast or not data else _folder(data)
    if folder is not None and not folder.is_dir():
        raise DataError(f"DATA names a folder of images that is there. Received: {data}")
    kind = "phantoms" if folder is None else folder.name
    root = Path(out) / f"{'fast' if fast else 'full'}-{kind}-seed{seed}"
    lesson = Lesson(chapter, fast, seed, folder, root)
    if folder is not None:
        _demand_a_set(lesson, folder, data)
    if fast:
        shutil.rmtree(lesson.here, ignore_errors=True)
    lesson.here.mkdir(parents=True, exist_ok=True)
    frames = lesson.find("p1")
    print(f"Images: {lesson.images}{'' if frames is None else f', from {frames}'}")
    print(f"Computer: {computer()}; arithmetic: {precision()}")
    print(f"Results: {lesson.here}{' (a rehearsal: everything is small)' if fast else ''}")
    return lesson


def _folder(data: str) -> Path:
    """Give the folder that `data` names, after fetching or mounting it."""
    if data.startswith(DRIVE):
        if "google.colab" not in sys.modules:
            raise DataError(f"A folder of Google Drive is read in Colab alone. Received: {data}")
        from google.colab import drive

        drive.mount(str(_MOUNTED))
        return _MOUNTED / "MyDrive" / data.removeprefix(DRIVE)
    if data in fetch.SETS:
        return fetch.find(data) or fetch.fetch(data)
    return Path(data)


def _demand_a_set(lesson: Lesson, folder: Path, data: str) -> None:
    """Refuse a folder without a set, which would quietly turn the whole chapter to phantoms."""
    known = ((fetch.SETS[key].folder.split("/")[0], key) for key in fetch.SETS)
    names = list(dict.fromkeys(name for pair in known for name in pair))
    by_name = any((folder / name).is_dir() for name in names)
    if not by_name and not any(lesson.find(key) for key in fetch.SETS):
        raise DataError(
            f"A DATA folder is a set of images itself or holds at least one of "
            f"{', '.join(names)}. Received: {data}"
        )


def computer() -> str:
    """Say what the networks run on.

    Returns
    -------
    str
        Names of the graphics cards, or the number of processor cores.
    """
    cards = tf.config.list_physical_devices("GPU")
    if cards:
        details = [tf.config.experimental.get_device_details(card) for card in cards]
        return ", ".join(found.get("device_name", "a graphics card") for found in details)
    return f"{os.cpu_count()} processor cores, no graphics card"


def precision() -> str:
    """Choose the arithmetic of training.

    Returns
    -------
    {"float32", "mixed_bfloat16"}
        bfloat16 on graphics cards that compute in it (compute capability 8.0 or more: not the
        T4 of Colab's free tier), float32 elsewhere.
    """
    for card in tf.config.list_physical_devices("GPU"):
        found = tf.config.experimental.get_device_details(card).get("compute_capability", (0, 0))
        if tuple(found) >= _BFLOAT16_SINCE:
            return "mixed_bfloat16"
    return "float32"
