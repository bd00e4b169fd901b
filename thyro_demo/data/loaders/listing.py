"""Which files of a folder are images: by name, else by content; and which were passed over."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from thyro_demo.data import images
from thyro_demo.data.records import some
from thyro_demo.errors import DataError
from thyro_demo.files import printable

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
    | {".pgm", ".ppm", ".pbm", ".pnm", ".heic", ".heif", ".hif", ".dcm", ".dicom"}
)
"""How the names of images end, in lower case; a file of another name is looked into."""

# Notes and tables beside images, and what systems leave behind, are not reported.
_BESIDE = frozenset(
    {".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".ini"}
    | {".db", ".log", ".py"}
)
_MASK = r"(?:mask|seg|segmentation|gt|ground[ _-]?truth|label|annotation)s?"
_MASK_NAME = re.compile(rf"(.+?)[ _.-]{_MASK}(?:[ _-]?\d+)?|{_MASK}[ _.-](.+)", re.IGNORECASE)
_MASK_FOLDER = re.compile(_MASK, re.IGNORECASE)
_FRAME_FOLDER = re.compile(r"images?|frames?|imgs?|pictures?", re.IGNORECASE)
_DEPTH = 4  # folders in folders that are looked into; a link may lead round in a circle


class _Found(NamedTuple):
    """An image: its path, in whose folder, and whether that is one of masks."""

    path: Path
    place: Path
    patient: str | None
    is_mask: bool


class Listing:
    """Lists the images of one set, and remembers what it passed over.

    Parameters
    ----------
    root : Path
        Folder of the set.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._passed: list[Path] = []
        self._masks: list[Path] = []

    def images(self, folder: Path) -> list[Path]:
        """Name the images of a folder in order; folders in it are passed over."""
        if not folder.is_dir():
            return []
        found = []
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if has_images(path):
                    self._passed.append(path)
            elif is_image(path):
                found.append(path)
            elif _counts(path):
                self._passed.append(path)
        return found

    def class_images(self, folder: Path) -> list[Path]:
        """Name the images of a class in order, refusing a class without any."""
        found = self.images(folder)
        if not found:
            raise DataError(
                f"Every class must be a folder with at least one image. Received: {folder}."
            )
        return found

    def frames(self, folder: Path) -> list[tuple[Path, str | None, list[Path]]]:
        """List the frames of a class, each with its patient's folder (or None) and its masks."""
        # Masks are files such as 1_mask.png beside 1.png, or of a frame's name in a folder masks.
        found = list(self._below(folder, folder))
        names = {(one.place, one.path.stem.casefold()) for one in found if not one.is_mask}
        frames: list[_Found] = []
        masks: dict[tuple[Path, str | None], list[Path]] = {}
        for one in found:
            stem, of = one.path.stem.casefold(), _frame_of(one.path)
            if one.is_mask and (one.place, stem) in names:
                of = stem
            elif not one.is_mask and (one.place, of) not in names:
                if of is not None and "mask" in stem:
                    self._passed.append(one.path)
                else:
                    frames.append(one)
                continue
            masks.setdefault((one.place, of), []).append(one.path)
        if not frames:
            raise DataError(
                f"Every class must be a folder with at least one image. Received: {folder}."
            )
        self._masks += [mask for several in masks.values() for mask in several]
        return [
            (one.path, one.patient, masks.get((one.place, one.path.stem.casefold()), []))
            for one in frames
        ]

    def _below(
        self,
        folder: Path,
        place: Path,
        patient: str | None = None,
        is_mask: bool = False,
        depth: int = 0,
    ) -> Iterator[_Found]:
        """Collect the images below a folder; the first folder below a class is the patient."""
        inside = sorted(folder.iterdir())
        for path in inside:
            if path.is_dir():
                continue
            if is_image(path):
                yield _Found(path, place, patient, is_mask)
            elif _counts(path):
                self._passed.append(path)
        for path in inside:
            if not path.is_dir() or path.name == "__MACOSX":
                continue
            if not _is_set_folder(path) or depth == _DEPTH:
                if has_images(path):
                    self._passed.append(path)
            elif is_mask_folder(path) or _FRAME_FOLDER.fullmatch(path.name):
                masks = is_mask or is_mask_folder(path)
                yield from self._below(path, place, patient, masks, depth + 1)
            else:
                yield from self._below(path, path, patient or path.name, is_mask, depth + 1)

    def unlisted(self, paths: pd.Series) -> list[str]:
        """Report, as sentences, which images beside those of a table are in no row of it."""
        known = set(paths)
        stems = {os.path.splitext(path)[0].casefold() for path in known}
        left = []
        for folder in sorted({Path(path).parent for path in known}):
            for path in sorted(folder.iterdir()):
                # A mask has no row of its own.
                frame = str(folder / (_frame_of(path) or "")).casefold()
                is_known = str(path) in known or frame in stems
                if not is_known and not path.is_dir() and is_image(path):
                    left.append(path)
        counted = f"Images beside those of the table, in no row of it: {len(left)}"
        return [f"{counted} ({self._some(left)})."] if left else []

    def pass_over(self, path: Path) -> None:
        """Remember a file or folder that is not read."""
        self._passed.append(path)

    def notes(self) -> list[str]:
        """Report what was passed over, as sentences."""
        sentences = []
        if self._masks:
            sentences.append(
                f"Masks beside the frames, not counted as images: {len(self._masks)} "
                f"({self._some(self._masks)})."
            )
        if self._passed:
            sentences.append(
                f"Passed over, not read as images: {len(self._passed)} "
                f"({self._some(self._passed)})."
            )
        return sentences

    def _some(self, paths: list[Path]) -> str:
        return some([printable(path.relative_to(self._root).as_posix()) for path in paths])


def subfolders(root: Path) -> list[Path]:
    """Name the folders of a folder in order, without those of a system."""
    return sorted(path for path in root.iterdir() if path.is_dir() and _is_set_folder(path))


def is_mask_folder(folder: Path) -> bool:
    """Check whether a folder holds masks, by its name."""
    return bool(_MASK_FOLDER.fullmatch(folder.name))


def listed(folder: Path, name: str) -> bool:
    """Check whether a folder holds a folder of exactly this name."""
    # NORMAL and Normal are different sets, also on disks that ignore case.
    return folder.is_dir() and name in os.listdir(folder) and (folder / name).is_dir()


def has_images(folder: Path, depth: int = 0) -> bool:
    """Check whether there is an image in a folder, or in folders of it that hold no masks."""
    inside = sorted(folder.iterdir())
    if any(is_image(path) for path in inside if not path.is_dir()):
        return True
    below = (path for path in inside if path.is_dir() and _is_set_folder(path))
    return depth < _DEPTH and any(
        has_images(path, depth + 1) for path in below if not is_mask_folder(path)
    )


def is_image(path: Path) -> bool:
    """Check whether a file is an image: by the end of its name, else by its content."""
    if path.name.startswith("."):
        return False
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or (suffix not in _BESIDE and images.begins_like_one(path))


def _counts(path: Path) -> bool:
    """Check whether a file that is no image is to be reported."""
    if path.name.startswith("."):
        # macOS leaves a file ._name beside each file.
        return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")
    return path.suffix.lower() not in _BESIDE


def _is_set_folder(path: Path) -> bool:
    return path.name[0] not in "._"


def _frame_of(path: Path) -> str | None:
    """Name the frame that a mask would belong to, in lower case."""
    named = _MASK_NAME.fullmatch(path.stem)
    return (named[1] or named[2]).casefold() if named else None


def nested(root: Path) -> Iterator[Path]:
    """Yield a folder, then the one that is alone in it, and so on, as archives unpack."""
    for _ in range(_DEPTH):
        yield root
        inside = subfolders(root) if root.is_dir() else []
        if len(inside) != 1:
            return
        root = inside[0]


def set_folder(root: str | Path, fits: Callable[[Path], bool] | None = None) -> Path:
    """Return the folder of a set, or the one alone in it that fits; refuse what is none."""
    root = Path(root)
    # Not `root.is_dir()`, which raises where a path is too long.
    if not os.path.isdir(root):
        raise DataError(f"A data set must be a folder that exists. Received: {printable(root)}.")
    return root if fits is None else next(filter(fits, nested(root)), root)
