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
    parts = []
    for seed, (source, shape) in enumerate(_SCANNERS.items()):
        folder = setting.work / "phantoms" / source.replace(" ", "-")
        if not (folder / "index.csv").exists():
            drawn = phantom.cohort(_PATIENTS, frames_per_patient=2, seed=seed, shape=shape)
            phantom.write(drawn, folder, total=2 * _PATIENTS)
        records = datasets.phantoms(folder)
        # Each cohort counts its patients from one.
        groups = source[-1] + "-" + records["group"].astype(str)
        parts.append(records.assign(source=source, group=groups))
    return splits.kfold(pd.concat(parts, ignore_index=True), FOLDS, seed=0)
