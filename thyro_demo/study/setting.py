"""What a study runs on: real sets or phantoms, how many workers, which first weights."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from thyro_demo.data import datasets, phantom, splits
from thyro_demo.errors import DataError
from thyro_demo.models.manifest import weights_root
from thyro_demo.study import differences

FOLDS = 5
"""Grouped folds of every protocol on thyroid frames."""

_SCANNERS = {"scanner A": (120, 160), "scanner B": (132, 132), "scanner C": (108, 156)}
"""Rows and columns of the frames of each simulated source."""

_PATIENTS = 16
"""Simulated patients of each source, two frames of each."""


@dataclass(frozen=True)
class Setting:
    """How a protocol is to be run.

    Parameters
    ----------
    data : Path or None
        Folder that holds the real sets by name; None draws phantoms.
    work : Path
        Where parts and results are kept; a killed run goes on from there.
    workers : int
        Local processes.
    ray : str or None
        Address of a Ray cluster, which then computes the parts.
    start : str
        "offline" takes the networks of the natural stage that are at hand and random weights
        for the others; "imagenet" takes published weights.
    natural : str
        Where the networks of the natural stage lie, "{backbone}" for the network's key.
    """

    data: Path | None
    work: Path
    workers: int = 2
    ray: str | None = None
    start: str = "offline"
    natural: str = "runs/{backbone}-natural-64.keras"

    @property
    def fast(self) -> bool:
        """Whether the study runs on phantoms, small and in minutes."""
        return self.data is None

    def folder(self, name: str) -> Path:
        """Give the folder of one real set.

        Parameters
        ----------
        name : str
            As `data/datasets` names it: "thyroid_us", "ddti", "mini_mias", ….

        Returns
        -------
        Path
            The folder, which may be the one given itself.

        Raises
        ------
        DataError
            If it is missing, or the study runs on phantoms.
        """
        if self.data is not None and self.data.name == name:
            return self.data
        if self.data is None or not (self.data / name).is_dir():
            raise DataError(
                f"This study reads the set {name} in the folder given by --data. "
                f"Received: {self.data}, without it."
            )
        return self.data / name

    def first(self, backbone: str) -> str:
        """Choose the first weights of a network, as `starts.apply` takes them.

        Parameters
        ----------
        backbone : str
            A key of `BACKBONES`.

        Returns
        -------
        str
            Path of a network of the natural stage, "imagenet" or "none".
        """
        if self.start != "offline":
            return self.start
        places = (
            Path(self.natural.replace("{backbone}", backbone)),
            weights_root() / backbone / "natural-64.keras",
        )
        found = [str(place) for place in places if place.is_file()]
        return found[0] if found and not self.fast else "none"


def thyroid(setting: Setting) -> pd.DataFrame:
    """Read thyroid frames, dealt to grouped folds; phantoms of three scanners when fast.

    Parameters
    ----------
    setting : Setting
        Where they lie.

    Returns
    -------
    DataFrame
        Record table with `fold`, `width` and `height`.

    Raises
    ------
    DataError
        If the set is missing, or not in the layout that is read.
    """
    if setting.data is not None:
        return differences.frames(setting.folder("thyroid_us"), setting.work)
    records = scanners(setting.work / "phantoms", _PATIENTS)
    return splits.kfold(records, FOLDS, seed=0)


def scanners(folder: Path, patients: int, seed: int = 0, scale: int = 1) -> pd.DataFrame:
    """Draw phantoms of three scanners, or read those that were drawn before.

    Parameters
    ----------
    folder : Path
        Where they are kept, one folder a scanner.
    patients : int
        Patients of each scanner, two frames each.
    seed : int
        Seed of the first scanner's cohort; the others take the next ones.
    scale : int
        How many times larger the frames are than in a rehearsal.

    Returns
    -------
    DataFrame
        Record table; `source` is the scanner, whose frames have a size of their own.
    """
    parts = []
    for number, (source, shape) in enumerate(_SCANNERS.items(), start=seed):
        place = folder / source.replace(" ", "-")
        if not (place / "index.csv").exists():
            larger = (scale * shape[0], scale * shape[1])
            drawn = phantom.cohort(patients, frames_per_patient=2, seed=number, shape=larger)
            phantom.write(drawn, place, total=2 * patients)
        records = datasets.phantoms(place)
        # Each cohort counts its patients from one.
        groups = source[-1] + "-" + records["group"].astype(str)
        parts.append(records.assign(source=source, group=groups))
    return pd.concat(parts, ignore_index=True)
