"""A chapter of the course: on which images it runs, on which computer, where results are kept."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tensorflow as tf

from thyro_demo.bundle.manifest import weights_root
from thyro_demo.data import datasets, near_duplicates
from thyro_demo.data.places import Places, mounted, open_places
from thyro_demo.errors import DataError
from thyro_demo.files import atomic_write
from thyro_demo.study import setting

PATIENTS, FAST_PATIENTS = 50, 14
"""Drawn patients of each of three scanners, two frames each."""

FAST_GROUPS = 40
"""Real groups of each label in a rehearsal."""

_BFLOAT16_SINCE = (8, 0)


@dataclass(frozen=True)
class Lesson:
    """A chapter that has begun.

    Parameters
    ----------
    chapter : int or str
        Its number, with a letter where it stands between two others.
    fast : bool
        Whether everything is small, for a rehearsal.
    seed : int
        Fixes what chance decides.
    data : Places or None
        Folders of real images: sets, or folders that hold sets by name or by key. None draws
        phantoms.
    root : Path
        Where all chapters with these settings keep results.
    """

    chapter: int | str
    fast: bool
    seed: int
    data: Places | None
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
            A key of `public_sets.SETS`: "p1", "ddti", "busi", "mini_mias", ….

        Returns
        -------
        Path or None
            Its folder; None where the chapter has to do without, or runs on phantoms.
        """
        return None if self.data is None else self.data.find(key)

    def thyroid(self) -> pd.DataFrame:
        """Read the labelled thyroid frames of this chapter.

        Returns
        -------
        DataFrame
            Record table of "benign" and "malignant" frames, near duplicates joined into groups;
            phantoms of three scanners where there is no real set.

        Raises
        ------
        DataError
            If the set is not in a known layout.
        """
        folder = self.find("p1")
        if folder is None:
            patients, scale = (FAST_PATIENTS, 1) if self.fast else (PATIENTS, 2)
            # The shipped networks met phantoms of seeds 7 to 22; those from 100 on are new.
            seed = 100 + 10 * self.seed
            return setting.scanners(self.root / "phantoms", patients, seed, scale)
        records = datasets.load(folder)
        records = records[records["label"].isin(["benign", "malignant"])].reset_index(drop=True)
        records = near_duplicates.group(records)
        if not self.fast:
            return records
        # Whole groups of each label, as a patient must not be cut in two.
        firsts = records.drop_duplicates("group").sample(frac=1, random_state=self.seed)
        kept = firsts.groupby("label").head(FAST_GROUPS)["group"]
        return records[records["group"].isin(kept)].reset_index(drop=True)

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
            f"This chapter must find the bundle {name} of an earlier one, or {shipped}, which is "
            f"shipped. Received: neither, in {self.root} and {weights_root()}."
        )


def begin(chapter: int | str, fast: bool, seed: int, data: str, out: str) -> Lesson:
    """Begin a chapter: find or fetch its images, and report what it runs on.

    A rehearsal begins anew each time; a full run resumes where it stopped.

    Parameters
    ----------
    chapter : int or str
        Its number, such as 3 or "0b".
    fast : bool
        Whether everything is to be small; of real frames a rehearsal takes a part.
    seed : int
        Fixes what chance decides, 0 or more.
    data : str
        Empty for phantoms; a folder with one set, or with sets by name; "drive:FOLDER" for a
        folder of the reader's Google Drive; "p1" for the thyroid set of P1, cloned from its
        public home unless it is there (git checks every file against its hash); or several of
        them, as `open_places` takes them.
    out : str
        Folder of all results, which may be "drive:FOLDER" as well.

    Returns
    -------
    Lesson
        The chapter.

    Raises
    ------
    DataError
        If the folder is missing or holds no set that is known, or the set cannot be fetched.
    """
    # So that weights depend on the seed alone, on a graphics card as well.
    tf.config.experimental.enable_op_determinism()
    # So that a table shows whole sentences, such as what a chapter claims.
    pd.set_option("display.max_colwidth", None)
    places = open_places(data) if data else None
    kind = "phantoms" if places is None else "+".join(folder.name for folder in places.folders)
    root = mounted(out) / f"{'fast' if fast else 'full'}-{kind}-seed{seed}"
    lesson = Lesson(chapter, fast, seed, places, root)
    if fast:
        shutil.rmtree(lesson.here, ignore_errors=True)
    lesson.here.mkdir(parents=True, exist_ok=True)
    frames = lesson.find("p1")
    print(f"Images: {lesson.images}{'' if frames is None else f', from {frames}'}")
    print(f"Computer: {computer()}; arithmetic: {precision()}")
    print(f"Results: {lesson.here}{' (a rehearsal: everything is small)' if fast else ''}")
    return lesson


def write_index(records: pd.DataFrame, folder: Path) -> Path:
    """Describe the frames of a chapter by one ``index.csv``, so that a recipe can read them.

    Parameters
    ----------
    records : DataFrame
        Record table of images under `folder`.
    folder : Path
        Where the index goes.

    Returns
    -------
    Path
        The folder.
    """
    columns = [name for name in ("path", "label", "group", "source") if name in records]
    table = records[columns].assign(
        path=[Path(path).relative_to(folder).as_posix() for path in records["path"]]
    )
    with atomic_write(folder / "index.csv") as temporary:
        table.to_csv(temporary, index=False)
    return folder


def computer() -> str:
    """Name the graphics cards that the networks run on, or count the processor cores."""
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
