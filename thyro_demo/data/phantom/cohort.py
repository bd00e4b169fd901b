"""Patients with nodules, or with and without an autoimmune gland, as frames and as files."""

import csv
import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from thyro_demo.clinical.tirads import Features
from thyro_demo.data.phantom.frame import Phantom, draw, label_of
from thyro_demo.data.phantom.scanner import ScannerFrame
from thyro_demo.data.records import PHANTOM
from thyro_demo.errors import DataError
from thyro_demo.files import atomic_write

COLUMNS = (
    "path",
    "label",
    "group",
    "source",
    "mask_path",
    "width",
    "height",
    "size_mm",
    "spacing_mm",
    "points",
    "composition",
    "echogenicity",
    "shape",
    "margin",
    "foci",
)
"""Columns of the table that `write` leaves in ``index.csv``."""

_COMPOSITION = {
    "cystic or almost completely cystic": 0.14,
    "spongiform": 0.12,
    "mixed cystic and solid": 0.22,
    "solid or almost completely solid": 0.52,
}
_ECHOGENICITY = {"hyperechoic": 0.14, "isoechoic": 0.32, "hypoechoic": 0.3, "very hypoechoic": 0.24}
_MARGIN = {
    "smooth": 0.42,
    "ill-defined": 0.16,
    "lobulated or irregular": 0.26,
    "extrathyroidal extension": 0.16,
}
_FOCI = {
    "large comet-tail artifacts": 0.08,
    "macrocalcifications": 0.18,
    "peripheral (rim) calcifications": 0.1,
    "punctate echogenic foci": 0.33,
}
_TALLER = 0.36


def sample_features(rng: np.random.Generator) -> Features:
    """Draw the features of a phantom nodule.

    The frequencies are chosen to make both labels about equally frequent, not to match a
    clinic. A cyst is anechoic, a spongiform nodule isoechoic, wider and smooth; in the
    others the features are independent.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Features
        Five features.
    """
    composition = _choose(rng, _COMPOSITION)
    if composition == "spongiform":
        return Features(composition, "isoechoic", "wider than tall", "smooth")
    taller = rng.random() < _TALLER
    if composition == "cystic or almost completely cystic":
        foci = ("large comet-tail artifacts",) if rng.random() < 0.4 else ()
        return Features(composition, "anechoic", "wider than tall", "smooth", foci)
    return Features(
        composition,
        _choose(rng, _ECHOGENICITY),
        "taller than wide" if taller else "wider than tall",
        _choose(rng, _MARGIN),
        tuple(name for name, share in _FOCI.items() if rng.random() < share),
    )


def cohort(
    patients: int,
    frames_per_patient: int = 2,
    seed: int = 0,
    *,
    shape: tuple[int, int] = (360, 480),
    diffuse: bool = False,
    scanner: ScannerFrame | None = None,
    scanner_on: Collection[str] | None = None,
    workers: int = 1,
) -> Iterator[Phantom]:
    """Draw patients, several frames each.

    A label is drawn by the points of the features alone; neck, size, gain and side are drawn
    without regard to it, and with `scanner_on` every frame has the same scan area, with marks
    around it or without. One trace of the label is left outside the nodule: a lobe is enlarged
    until the nodule fits. Half its height predicts "malignant" with an AUROC of 0.58 (0.55–0.61
    over 1,500 patients, seed 5).

    Parameters
    ----------
    patients, frames_per_patient : int
        Number of patients, and of frames of each.
    seed : int
        Of the cohort, 0 or more. A larger cohort of the same seed begins with the same patients.
    shape : tuple of int
        Rows and columns of a frame.
    diffuse : bool
        Draw glands without nodules, normal or autoimmune in equal parts, labelled so.
    scanner : ScannerFrame, optional
        Marks around the scan of every frame, or of the labels in `scanner_on`.
    scanner_on : collection of str, optional
        Labels whose frames have the marks, to plant a shortcut.
    workers : int
        Threads that draw; the frames and their order don't depend on it.

    Returns
    -------
    iterator of Phantom
        Patient after patient.

    Raises
    ------
    DataError
        If a count is below 1, `seed` is negative, or `scanner_on` names a label that the
        cohort does not have.

    Examples
    --------
    >>> [(one.patient, one.label) for one in cohort(2, frames_per_patient=1, seed=4)]
    [('phantom-4-00000', 'malignant'), ('phantom-4-00001', 'benign')]
    """
    _check(patients, frames_per_patient, workers, seed)
    labels = ("normal", "autoimmune") if diffuse else ("benign", "malignant")
    if scanner_on is not None:
        if strangers := sorted(set(scanner_on) - set(labels)):
            raise DataError(
                f"scanner_on must name labels of the cohort, {labels[0]} or {labels[1]}. "
                f"Received: scanner_on={strangers}."
            )
        scanner = scanner or ScannerFrame()
    planned = plans(patients, frames_per_patient, seed, shape, diffuse)
    if scanner is not None:
        planned = _marked(planned, scanner, labels if scanner_on is None else scanner_on)
    return _drawn(planned, workers)


def _check(patients: int, frames: int, workers: int, seed: int) -> None:
    if min(patients, frames, workers) < 1 or seed < 0:
        raise DataError(
            "A cohort must have at least one patient, one frame each and one worker, and a seed "
            f"of 0 or more. Received: patients={patients}, frames_per_patient={frames}, "
            f"workers={workers}, seed={seed}."
        )


def plans(
    patients: int,
    frames_per_patient: int = 2,
    seed: int = 0,
    shape: tuple[int, int] = (360, 480),
    diffuse: bool = False,
) -> Iterator[dict[str, Any]]:
    """Plan the frames of `cohort` without drawing any.

    Parameters
    ----------
    patients, frames_per_patient, seed, shape, diffuse : int, int, int, tuple of int and bool
        As for `cohort`.

    Yields
    ------
    dict of str to object
        Arguments of `draw`, frame after frame.
    """
    for index in range(patients):
        rng = np.random.default_rng([seed, index])
        texture = "normal"
        features = None
        if diffuse:
            texture = "autoimmune" if rng.random() < 0.5 else "normal"
        else:
            features = sample_features(rng)
        # A separate generator: sizes don't depend on how many numbers the features took.
        size_mm = float(np.exp(np.random.default_rng([seed, index, 1]).uniform(2.08, 3.3)))
        for _ in range(frames_per_patient):
            yield {
                "features": features,
                "size_mm": round(size_mm, 1),
                "seed": int(rng.integers(2**31)),
                "shape": shape,
                "texture": texture,
                "patient": f"phantom-{seed}-{index:05d}",
            }


def _marked(
    planned: Iterator[dict[str, Any]], scanner: ScannerFrame, labels: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Print the scanner's marks on frames of these labels, a blank margin on others."""
    for plan in planned:
        label = label_of(plan["features"], plan["patient"], plan["texture"])
        yield {**plan, "scanner": scanner if label in labels else scanner.blank}


def _drawn(planned: Iterator[dict[str, Any]], workers: int) -> Iterator[Phantom]:
    """Draw the plans in order, a few ahead of the reader when there are threads."""

    def render(plan: dict[str, Any]) -> Phantom:
        return draw(**plan)

    # The small matrix products of a frame gain nothing from BLAS threads, and several frames at
    # once would fight over them.
    with threadpool_limits(1, user_api="blas"):
        if workers == 1:
            yield from map(render, planned)
            return
        with ThreadPoolExecutor(workers) as pool:
            waiting: deque[Future[Phantom]] = deque(
                pool.submit(render, plan) for plan in itertools.islice(planned, 2 * workers)
            )
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(render, plan) for plan in itertools.islice(planned, 1))


def _choose(rng: np.random.Generator, shares: dict[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def write(phantoms: Iterable[Phantom], folder: str | Path, total: int | None = None) -> Path:
    """Write frames, masks and their table, whole or not at all.

    ``frames/*.png`` and ``masks/*.png`` are 8-bit grey; ``index.csv`` has `COLUMNS`, with
    paths relative to the folder and foci joined by "; ".

    Parameters
    ----------
    phantoms : iterable of Phantom
        What to write.
    folder : str or Path
        A new or empty folder, or phantoms written before, which are replaced.
    total : int, optional
        Number of phantoms for the progress bar, where they come from a generator.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        If `folder` holds anything else.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     written = write(cohort(1), f"{folder}/drawn")
    ...     sorted(path.name for path in written.glob("masks/*"))
    ['000000.png', '000001.png']
    """
    folder = Path(folder)
    if folder.exists() and not _replaceable(folder):
        raise DataError(
            "The folder of phantoms must be new, empty or hold phantoms alone, which are replaced. "
            f"Received: folder={str(folder)!r}."
        )
    if total is None and isinstance(phantoms, Sized):
        total = len(phantoms)
    with atomic_write(folder) as temporary:
        for part in ("frames", "masks"):
            (temporary / part).mkdir(parents=True)
        with open(temporary / "index.csv", "w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, COLUMNS)
            table.writeheader()
            for number, phantom in enumerate(tqdm(phantoms, "phantoms", total, unit=" frames")):
                row = _row(phantom, f"{number:06d}.png")
                save(phantom, temporary / row["path"], temporary / row["mask_path"])
                table.writerow(row)
    return folder


def _replaceable(folder: Path) -> bool:
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else {""}
    return not names or names == {"frames", "masks", "index.csv"}


def save(phantom: Phantom, frame: Path, mask: Path) -> None:
    """Save frame and mask of a phantom, each as an 8-bit grey PNG.

    Parameters
    ----------
    phantom : Phantom
        What was drawn.
    frame, mask : Path
        Files in folders that exist.
    """
    # Speckle hardly compresses: level 1 costs a few percent of size and saves most of the time.
    Image.fromarray(phantom.frame).save(frame, compress_level=1)
    Image.fromarray(phantom.mask.astype(np.uint8) * 255).save(mask, compress_level=1)


def _row(phantom: Phantom, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": f"frames/{name}",
        "label": phantom.label,
        "group": phantom.patient,
        "source": PHANTOM,
        "mask_path": f"masks/{name}",
        "width": phantom.frame.shape[1],
        "height": phantom.frame.shape[0],
        "size_mm": phantom.size_mm,
        "spacing_mm": round(phantom.spacing_mm, 6),
        "points": phantom.points,
    }
    if phantom.features is not None:
        features = phantom.features
        row |= {
            "composition": features.composition,
            "echogenicity": features.echogenicity,
            "shape": features.shape,
            "margin": features.margin,
            "foci": "; ".join(features.foci),
        }
    return row
