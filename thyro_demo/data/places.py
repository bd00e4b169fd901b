"""Find public sets in one or several folders, one of which may be on Google Drive."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from thyro_demo.data import datasets, download
from thyro_demo.data.public_sets import PLACE, SETS
from thyro_demo.errors import DataError

DRIVE = "drive:"
"""Beginning of the name of a folder of the reader's Google Drive."""

_MOUNTED = Path("/content/drive")


@dataclass(frozen=True)
class Places:
    """Folders in which sets are.

    Parameters
    ----------
    folders : tuple of Path
        Each holds sets, by name or by key, or is a set itself. The first that has a set counts.
    """

    folders: tuple[Path, ...]

    def find(self, key: str) -> Path | None:
        """Find a set.

        Parameters
        ----------
        key : str
            A key of `SETS`.

        Returns
        -------
        Path or None
            Its folder; None where no place has it.
        """
        known = SETS[key]
        names = (known.folder, Path(known.folder).name, key, *known.names)
        for place in self.folders:
            for name in names:
                if (place / name).is_dir():
                    return datasets.inner(place / name)
            if place.is_dir() and _is_set(place, key):
                return datasets.inner(place)
        return None


def _is_set(folder: Path, key: str) -> bool:
    """Check whether a folder is a set itself, under whatever name the reader chose."""
    fitting = datasets.layout(folder)
    own = key == "p1" and fitting in ("index_csv", "class_folders")
    return fitting == SETS[key].layout or own


def here() -> Places:
    """List the usual places of this host.

    Returns
    -------
    Places
        `PLACE`, then the folders that the environment variable ``THYRO_DATA`` names.
    """
    named = os.environ.get("THYRO_DATA", "")
    return Places((PLACE, *(Path(part) for part in _parts(named))))


def open_places(data: str) -> Places:
    """Find, fetch or mount the places that a reader names.

    Parameters
    ----------
    data : str
        One or several of these, parted by ":" (on Windows ";"): a folder of sets; a set;
        "drive:FOLDER", a folder of the reader's Google Drive, in Colab; a key of `SETS`, such as
        "p1", which is fetched from its public home unless it is here.

    Returns
    -------
    Places
        The folders, in this order.

    Raises
    ------
    DataError
        If a folder is missing or holds no set that is known, Google Drive cannot be mounted, or
        the set cannot be fetched.
    """
    parts = _parts(data)
    if not parts:
        raise DataError(f"DATA must name at least one folder of images. Received: {data}")
    places = Places(tuple(_folder(part) for part in parts))
    for part, folder in zip(parts, places.folders, strict=True):
        if not folder.is_dir():
            raise DataError(f"DATA must name a folder of images that exists. Received: {part}")
        if not any(Places((folder,)).find(key) for key in SETS):
            known = ((SETS[key].folder.split("/")[0], key) for key in SETS)
            names = list(dict.fromkeys(name for pair in known for name in pair))
            raise DataError(
                "A DATA folder must be a set of images itself or hold at least one of "
                f"{', '.join(names)}. Received: {part}"
            )
    return places


def _parts(data: str) -> list[str]:
    """Part the names of several folders; the colon of "drive:" parts nothing."""
    parts: list[str] = []
    for part in data.split(os.pathsep):
        if parts and os.pathsep == ":" and parts[-1] == DRIVE[:-1]:
            parts[-1] = DRIVE + part
        elif part:
            parts.append(part)
    return parts


def _folder(part: str) -> Path:
    """Return the folder that a part of DATA names, after fetching or mounting it."""
    if part in SETS:
        return here().find(part) or download.fetch(part)
    return mounted(part)


def mounted(folder: str) -> Path:
    """Return a folder, after mounting Google Drive if it is there.

    Parameters
    ----------
    folder : str
        "drive:FOLDER" or a path; the folder itself need not exist.

    Returns
    -------
    Path
        Where it is on this computer.

    Raises
    ------
    DataError
        If it is on Google Drive, and this is not Colab or Drive cannot be mounted.
    """
    path = Path(folder)
    if folder.startswith(DRIVE):
        path = _MOUNTED / "MyDrive" / folder.removeprefix(DRIVE).lstrip("/")
    elif not path.is_relative_to(_MOUNTED) or _MOUNTED.is_dir():
        return path
    if "google.colab" not in sys.modules:
        raise DataError(f"A folder of Google Drive must be read in Colab. Received: {folder}")
    from google.colab import drive

    try:
        drive.mount(str(_MOUNTED))
    except Exception as error:
        # Colab raises plain ValueErrors and its own kinds, such as MessageError.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"Google Drive must be mounted for this folder; allow it when Colab asks. "
            f"Received: {folder} ({reason})"
        ) from error
    return path
