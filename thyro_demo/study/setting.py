"""What a study runs on: real sets or phantoms, how many workers, which initial weights."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.bundle import card
from thyro_demo.bundle.manifest import weights_root
from thyro_demo.clinical.tirads import points
from thyro_demo.data import datasets, phantom, splits
from thyro_demo.errors import DataError
from thyro_demo.study import graph
from thyro_demo.study.graph import Job, Outcome
from thyro_demo.training import out_of_fold, stage_images, thyroid_set

FOLDS = 5
"""Grouped folds of every protocol on thyroid frames."""

SPLIT = "five grouped folds, out of fold"
"""The same in the words of a published table."""

SOURCES = {key: title.partition(" (")[0] for key, title in card.SOURCES.items()}
"""Titles of the sources of the thyroid frames, in the order of published tables."""

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
    weights : str
        "offline" takes the networks of the natural stage that are at hand and random weights
        for the others; "imagenet" takes published weights.
    natural : str
        Where the networks of the natural stage are, "{backbone}" for the network's key.
    """

    data: Path | None
    work: Path
    workers: int = 2
    ray: str | None = None
    weights: str = "offline"
    natural: str = "runs/{backbone}-natural-64.keras"

    @property
    def fast(self) -> bool:
        """Whether the study runs on phantoms, small and in minutes."""
        return self.data is None

    def folder(self, name: str) -> Path:
        """Find the folder of one real set.

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
                f"The folder --data must hold the set {name}, which this study reads. "
                f"Received: {self.data}, without it."
            )
        return self.data / name

    def initial_weights(self, backbone: str) -> str:
        """Choose the initial weights of a network, as `initial_weights.load` takes them.

        Parameters
        ----------
        backbone : str
            A key of `BACKBONES`.

        Returns
        -------
        str
            Path of a network of the natural stage, "imagenet" or "none".
        """
        if self.weights != "offline":
            return self.weights
        places = (
            Path(self.natural.replace("{backbone}", backbone)),
            weights_root() / backbone / "natural-64.keras",
        )
        found = [str(place) for place in places if place.is_file()]
        return found[0] if found and not self.fast else "none"

    def compute(self, jobs: Iterable[Job]) -> Outcome:
        """Compute jobs, or read what an earlier run has computed.

        Parameters
        ----------
        jobs : iterable of Job
            What is wanted.

        Returns
        -------
        Outcome
            Of the graph.

        Raises
        ------
        StudyError
            If the cluster does not answer.
        """
        return graph.run(jobs, self.work / "jobs", self.workers, self.ray)

    def published(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Choose the columns of `oof.csv`, with paths relative to this study's folders.

        Parameters
        ----------
        scores : DataFrame
            Out-of-fold scores.

        Returns
        -------
        DataFrame
            As from `out_of_fold.published`.
        """
        folders = (self.work,) if self.data is None else (self.work, self.data)
        return out_of_fold.published(scores, folders)


def thyroid(setting: Setting) -> pd.DataFrame:
    """Read thyroid frames, assigned to grouped folds; phantoms of three scanners when fast.

    Parameters
    ----------
    setting : Setting
        Where they are.

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
        return thyroid_frames(setting.folder("thyroid_us"), setting.work)
    records = scanners(setting.work / "phantoms", _PATIENTS)
    return splits.kfold(records, FOLDS, seed=0)


def thyroid_frames(data: Path, work: Path) -> pd.DataFrame:
    """Read the thyroid frames, without phantoms, assigned to grouped folds of their own.

    These are not the folds of the shipped chain, which splits its phantoms along with them.

    Parameters
    ----------
    data : Path
        The thyroid set, or the folder that holds all sets by name.
    work : Path
        Where the note of the set goes.

    Returns
    -------
    DataFrame
        Record table with a column `fold`.
    """
    return thyroid_set.assemble(stage_images.thyroid(data), work / "thyroid")


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
    return _seen(folder, partial(drawn, patients=patients, frames=2), seed, scale)


def planned(folder: Path, patients: int, seed: int = 0, scale: int = 1) -> pd.DataFrame:
    """List the phantoms that `scanners` would draw, without drawing them.

    Parameters
    ----------
    folder : Path
        Where they are to be kept, one folder a scanner.
    patients, seed, scale : int
        As for `scanners`.

    Returns
    -------
    DataFrame
        Record table of files that may not exist yet, with `width`, `height`, `mask_path`, TI-RADS
        `points`, and `plan`, by which `draw_planned` draws a frame.
    """
    return _seen(folder, partial(_planned, patients=patients), seed, scale)


def _planned(folder: Path, patients: int, seed: int, shape: tuple[int, int]) -> pd.DataFrame:
    """List the phantoms of one scanner."""
    return pd.DataFrame(
        {
            "path": str(folder / "frames" / f"{number:06d}.png"),
            "label": phantom.label_of(plan["features"], plan["patient"]),
            "group": plan["patient"],
            "mask_path": str(folder / "masks" / f"{number:06d}.png"),
            "width": shape[1],
            "height": shape[0],
            "points": points(plan["features"]),
            "plan": plan,
        }
        for number, plan in enumerate(phantom.plans(patients, 2, seed, shape))
    )


def draw_planned(records: pd.DataFrame) -> None:
    """Draw those planned phantoms that are not there yet.

    Parameters
    ----------
    records : DataFrame
        Rows of `planned`; of other tables every image is there already.
    """
    if "plan" not in records:
        return
    wanted = [row for row in records.itertuples() if not Path(str(row.mask_path)).is_file()]
    for row in tqdm(wanted, "phantoms", unit="frame", disable=not wanted):
        frame, mask = Path(str(row.path)), Path(str(row.mask_path))
        for place in (frame, mask):
            place.parent.mkdir(parents=True, exist_ok=True)
        phantom.save(phantom.draw(**row.plan), frame, mask)


def _seen(
    folder: Path, patients_of: Callable[..., pd.DataFrame], seed: int, scale: int
) -> pd.DataFrame:
    """Join the cohorts of three scanners."""
    parts = []
    for number, (source, shape) in enumerate(_SCANNERS.items(), start=seed):
        larger = (scale * shape[0], scale * shape[1])
        records = patients_of(folder / source.replace(" ", "-"), seed=number, shape=larger)
        # Each cohort counts its patients from one.
        groups = source[-1] + "-" + records["group"].astype(str)
        parts.append(records.assign(source=source, group=groups))
    return pd.concat(parts, ignore_index=True)


def drawn(
    folder: Path,
    patients: int,
    frames: int,
    seed: int,
    shape: tuple[int, int],
    diffuse: bool = False,
) -> pd.DataFrame:
    """Draw phantoms, or read those that were drawn before.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    patients, frames : int
        Patients, and frames of each.
    seed : int
        Of the cohort.
    shape : tuple of int
        Rows and columns of a frame.
    diffuse : bool
        Glands, half of them autoimmune, in place of nodules.

    Returns
    -------
    DataFrame
        Record table.
    """
    if not (folder / "index.csv").exists():
        cohort = phantom.cohort(patients, frames, seed=seed, shape=shape, diffuse=diffuse)
        phantom.write(cohort, folder, total=patients * frames)
    return datasets.phantoms(folder)
