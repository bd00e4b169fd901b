"""Know where the public sets live, and clone the one that a command can fetch.

No image is part of this project. A set keeps the licence of its home; fetching it is
the user's act, told beforehand what the licence is.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from thyro_demo.data import datasets
from thyro_demo.errors import DataError
from thyro_demo.files import whole

PLACE = Path("data")
"""Folder under the working directory where fetched sets are looked for."""


class PublicSet(NamedTuple):
    """A set that a loader can read.

    Attributes
    ----------
    title : str
        What a reader calls it.
    folder : str
        Its folder under ``THYRO_DATA``.
    home : str
        Address of its public home.
    licence : str
        What its home says about use, in a few words.
    cloned : bool
        Whether `fetch` can clone it.
    traps : str
        What misleads whoever takes the images as they are.
    """

    title: str
    folder: str
    home: str
    licence: str
    cloned: bool = False
    traps: str = ""


SETS: dict[str, PublicSet] = {
    "p1": PublicSet(
        "P1 thyroid ultrasound",
        "thyroid_us",
        "https://github.com/lyndachaouchi/Ultrasound-imaging-classifications-of-Thyroid-nodules",
        "none stated: for your own study, do not pass the images on",
        cloned=True,
    ),
    "ddti": PublicSet(
        "DDTI thyroid ultrasound",
        "ddti",
        "https://doi.org/10.1117/12.2073532",
        "read the terms at its home, cite Pedraza et al. 2015",
    ),
    "sweeps": PublicSet(
        "Thyroid sweeps with nodule masks",
        "thyroid_sweeps",
        "https://github.com/arcegor/tirads",
        "none stated: for your own study, do not pass the images on",
        traps="51 cases, not 1,015 images: split by case, 83 with 84 and 85 with 86; marks of the "
        "examiner inside the frame; a sector cut out of black; masks of one reader; no diagnosis",
    ),
    "busi": PublicSet(
        "BUSI breast ultrasound",
        "busi",
        "https://doi.org/10.1016/j.dib.2019.104863",
        "read the terms at its home, cite Al-Dhabyani et al. 2020",
    ),
    "covid": PublicSet(
        "COVID-19 Radiography Database",
        "radiographs/covid19_xray",
        "https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
        "mixed, read the terms at its home",
    ),
    "paediatric": PublicSet(
        "Paediatric pneumonia radiographs",
        "radiographs/paediatric_pneumonia",
        "https://doi.org/10.17632/rscbjbr9sj",
        "CC BY 4.0, cite Kermany et al. 2018",
    ),
    "mini_mias": PublicSet(
        "mini-MIAS mammograms",
        "mini_mias",
        "http://peipa.essex.ac.uk/info/mias.html",
        "the research agreement in its Licence.txt, cite Suckling et al. 1994",
    ),
    "tiny_imagenet": PublicSet(
        "Tiny ImageNet photographs",
        "tiny_imagenet",
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "terms of ImageNet: research and teaching, not commercial",
    ),
}
"""Key of the command line to what is known of each public set."""


def find(key: str) -> Path | None:
    """Find a set on this machine.

    Parameters
    ----------
    key : str
        A key of `SETS`.

    Returns
    -------
    Path or None
        `PLACE`/key if that is a folder, else its folder under the one that the
        environment variable ``THYRO_DATA`` names, else None.
    """
    places = [PLACE / key]
    if root := os.environ.get("THYRO_DATA"):
        places.append(Path(root) / SETS[key].folder)
    return next((place for place in places if place.is_dir()), None)


def fetch(key: str, out: str | Path | None = None, url: str | None = None) -> Path:
    """Clone a set from its public home, whole or not at all.

    The licence is printed first, git's progress goes to stderr.

    Parameters
    ----------
    key : str
        A key of `SETS`.
    out : str or Path, optional
        Where the set is to stand; by default `PLACE`/key.
    url : str, optional
        Another home, such as a mirror.

    Returns
    -------
    Path
        The folder, which `datasets.load` reads.

    Raises
    ------
    DataError
        If the key is unknown, the set cannot be cloned, `out` exists, git is missing or
        fails, or what came is another layout.
    """
    if key not in SETS:
        raise DataError(f"Known sets are {', '.join(SETS)}. Received: {key}")
    known = SETS[key]
    out = PLACE / key if out is None else Path(out)
    url = url or known.home
    print(f"{known.title}\nLicence: {known.licence}\nHome: {url}")
    by_hand = f"get the set from {url} and unpack it into {out}"
    if not known.cloned:
        raise DataError(f"No command fetches this set; {by_hand}. Received: {key}")
    if out.exists():
        raise DataError(f"A set is fetched into a folder that is not there yet. Received: {out}")
    with whole(out) as temporary:
        _clone(url, temporary, by_hand)
        if datasets.layout(temporary) is None:
            raise DataError(
                f"A clone of {known.title} has a layout that a loader knows. Received: another "
                f"one from {url}"
            )
    return out


def _clone(url: str, folder: Path, by_hand: str) -> None:
    """Clone the newest state, pass git's progress on and keep its complaint."""
    command = ["git", "clone", "--depth", "1", "--progress", "--", url, str(folder)]
    # A question for a password would wait for ever in a notebook.
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    complaint = "no reason given"
    try:
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
        ) as git:
            # In text mode git's carriage returns end a line as well: one per step.
            for line in git.stderr or ():
                if found := re.match(r"(?:fatal|error): (.*)", line):
                    complaint = found[1].strip()
                elif re.search(r"\d+%", line):
                    end = "\n" if "done." in line else "\r"
                    print(f"{line.strip():78}", end=end, file=sys.stderr, flush=True)
    except FileNotFoundError:
        raise DataError(f"Fetching needs git; install it, or {by_hand}. Received: no git") from None
    if git.returncode:
        raise DataError(
            f"The set cannot be cloned now; try again, or {by_hand}. Received: {complaint}"
        )
