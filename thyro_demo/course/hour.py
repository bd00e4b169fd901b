"""The lecture of 50 minutes: kept features, readers, the ladder, a bug to find."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.base import ClassifierMixin

from thyro_demo.bundle import store
from thyro_demo.bundle.manifest import read_manifest, weights_root
from thyro_demo.course import show
from thyro_demo.data import phantom, scan_area, splits
from thyro_demo.errors import DataError
from thyro_demo.evaluate import results
from thyro_demo.evaluate.formatting import Estimate, ends
from thyro_demo.evaluate.palette import BLUE, GREEN, GREY, ORANGE
from thyro_demo.files import atomic_write

NETWORKS = ("efficientnet-b0", "resnet50", "vgg16")

KEPT = Path(__file__).resolve().parents[2] / "notebooks" / "lecture_features.npz"
"""Features of the drawn patients by the shipped networks, so that heads are trained in seconds."""

PATIENTS, FRAMES, SHAPE, DRAWN_SEED = 60, 3, (240, 320), 340
"""The drawn patients of the lecture. No shipped network has met phantoms of this seed."""

SUSPICIOUS = 5
"""TI-RADS points from which on the reader who counts them calls "malignant": about even odds."""

RUNGS = {
    "random weights": "random",
    "photographs": "natural",
    "then radiographs": "natural → radiographs, last block",
    "then phantoms": "natural → radiographs → phantoms, as shipped",
}
"""Rungs of the ladder, each with its row in the table `middle_stage`."""

_BATCH = 16
_FLAGGED = {True: "malignant", False: "benign"}


@dataclass(frozen=True, eq=False)
class Class:
    """Drawn patients as the lecture uses them.

    Parameters
    ----------
    records : DataFrame
        A row a frame: `group` (the patient), `label`, `points` and `source`.
    features : dict of str to ndarray of float32 (n, d)
        By network.
    scores : dict of str to ndarray of float64 (n,)
        Of the primary head that is shipped with each network, 0–1.
    """

    records: pd.DataFrame
    features: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]


def drawn(patients: int = PATIENTS) -> list[phantom.Phantom]:
    """Draw the first patients of the lecture, `FRAMES` frames each."""
    cohort = phantom.cohort(PATIENTS, FRAMES, DRAWN_SEED, shape=SHAPE)
    return list(islice(cohort, patients * FRAMES))


def keep(file: Path = KEPT) -> Path:
    """Run every frame through the shipped networks, and keep what their heads read.

    Parameters
    ----------
    file : Path
        Where to, a ``.npz`` file.

    Returns
    -------
    Path
        The file.
    """
    frames = drawn()
    kept: dict[str, np.ndarray] = {
        "group": np.array([one.patient for one in frames]),
        "label": np.array([one.label for one in frames]),
        "points": np.array([one.points for one in frames]),
    }
    for name in NETWORKS:
        bundle = store.load(weights_root() / name)
        squares = [scan_area.prepare(one.rgb, bundle.input_size)[0] for one in frames]
        parts = [
            bundle.forward(np.stack(squares[first : first + _BATCH]))
            for first in range(0, len(squares), _BATCH)
        ]
        head = bundle.manifest["primary"]
        kept[f"{name} made with"] = np.array(_version(name))
        kept[f"{name} features"] = np.concatenate([part.features for part in parts])
        kept[f"{name} scores"] = np.concatenate([bundle.score(part, head) for part in parts])
    halved = {
        key: value.astype(np.float16) if value.dtype.kind == "f" else value
        for key, value in kept.items()
    }
    with atomic_write(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **halved)
    return file


def read(file: Path = KEPT) -> Class:
    """Read what `keep` has kept.

    Parameters
    ----------
    file : Path
        From `keep`.

    Returns
    -------
    Class
        The drawn patients.

    Raises
    ------
    DataError
        If the file is missing, or is of other networks than the shipped ones.
    """
    if not file.is_file():
        raise DataError(f"The features of the lecture must be in a file. Received: {file}.")
    with np.load(file, allow_pickle=False) as kept:
        for name in NETWORKS:
            if str(kept[f"{name} made with"]) != _version(name):
                raise DataError(
                    "The features of the lecture must come from the shipped networks; "
                    "`python -m thyro_demo course features` computes them anew. "
                    f"Received: {file}, of another {name}."
                )
        records = pd.DataFrame({key: kept[key] for key in ("group", "label", "points")})
        records["source"] = "phantoms"
        features = {name: kept[f"{name} features"].astype(np.float32) for name in NETWORKS}
        scores = {name: kept[f"{name} scores"].astype(np.float64) for name in NETWORKS}
    return Class(records, features, scores)


def _version(name: str) -> str:
    """Name a shipped network and its heads by their content."""
    files = read_manifest(weights_root() / name)["files"]
    return f"{files['model.keras'][:16]}-{files['heads.skops'][:16]}"


# --- Guess a frame


def chosen(people: Class, count: int, seed: int) -> np.ndarray:
    """Choose one frame of each of some early patients, half of them malignant, in random order.

    Parameters
    ----------
    people : Class
        From `read`.
    count : int
        How many, an even number.
    seed : int
        Of the order.

    Returns
    -------
    ndarray of int64 (count,)
        Rows of `people.records`.
    """
    first = people.records.drop_duplicates("group")
    halves = [first.index[first["label"] == label][: count // 2] for label in _FLAGGED.values()]
    return np.random.default_rng(seed).permutation(np.concatenate(halves))


def votes(people: Class, rows: np.ndarray, guesses: str) -> pd.DataFrame:
    """Set the class beside a reader who counts points, and beside the networks.

    Parameters
    ----------
    people : Class
        From `read`.
    rows : ndarray of int64 (n,)
        Frames, from `chosen`.
    guesses : str
        A letter a frame, "b" or "m"; others are ignored. Empty where nobody has guessed.

    Returns
    -------
    DataFrame
        A row a frame: `label`, then what each reader calls it.

    Raises
    ------
    DataError
        If there are guesses, but not one for each frame.
    """
    letters = [letter for letter in guesses.lower() if letter in "bm"]
    if letters and len(letters) != len(rows):
        raise DataError(
            f"Guesses must be {len(rows)} letters, b or m. Received: GUESSES={guesses!r}."
        )
    asked = people.records.loc[rows].reset_index(drop=True)
    called = {"label": asked["label"]}
    if letters:
        called["you"] = pd.Series([_FLAGGED[letter == "m"] for letter in letters])
    called["counts points"] = (asked["points"] >= SUSPICIOUS).map(_FLAGGED)
    for name in NETWORKS:
        facts = read_manifest(weights_root() / name)
        threshold = facts["thresholds"][facts["primary"]]["youden"]
        called[facts["title"]] = pd.Series(people.scores[name][rows] >= threshold).map(_FLAGGED)
    return pd.DataFrame(called)


def draw_frames(frames: Sequence[phantom.Phantom], called: pd.DataFrame | None = None) -> Figure:
    """Draw frames to guess, or with what was called what.

    Parameters
    ----------
    frames : sequence of Phantom
        An even number.
    called : DataFrame, optional
        From `votes`; without it the answers stay hidden.

    Returns
    -------
    Figure
        Two rows.
    """
    figure = Figure(figsize=(11.5, 5.6), layout="constrained")
    for place, (axes, one) in enumerate(
        zip(figure.subplots(2, len(frames) // 2).flat, frames, strict=True)
    ):
        title = f"Frame {place + 1}"
        if called is not None:
            row = called.iloc[place]
            wrong = [name for name in called.columns[1:] if row[name] != row["label"]]
            title += f": {row['label']}\nwrong: {', '.join(map(_short, wrong)) or 'nobody'}"
        show.frame(axes, one.frame, title, None if called is None else one.mask, one.spacing_mm)
        axes.title.set_fontsize(10)
        axes.label_outer()
    figure.suptitle("Benign or malignant?" if called is None else "The labels, and who was wrong")
    return figure


def _short(name: str) -> str:
    return {"counts points": "points"}.get(name, name.partition("-")[0])


# --- Heads, trained live


def out_of_fold(
    make: Callable[[], ClassifierMixin], features: np.ndarray, labels: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Score each frame by a head that was fitted on the other folds.

    Parameters
    ----------
    make : callable
        Makes an unfitted head.
    features : ndarray of float32 (n, d)
        What it reads.
    labels : ndarray of int (n,)
        1 for malignant.
    folds : ndarray of int (n,)
        Fold of each frame.

    Returns
    -------
    ndarray of float64 (n,)
        Probability of "malignant", or the decision value of a head without one.
    """
    scores = np.full(len(labels), np.nan)
    for fold in np.unique(folds):
        held_out = folds == fold
        head = make().fit(features[~held_out], labels[~held_out])
        asked = features[held_out]
        scores[held_out] = (
            head.predict_proba(asked)[:, 1]
            if hasattr(head, "predict_proba")
            else head.decision_function(asked)
        )
    return scores


# --- The ladder, on real frames


def ladder() -> dict[str, dict[str, Estimate]]:
    """Read what each stage was worth on the real frames, from the published table.

    Returns
    -------
    dict of str to dict
        Network to rung to the paired difference of its AUROC to photographs alone.
    """
    return {
        network: {
            rung: (0.0, 0.0, 0.0) if figure.gain is None else figure.gain.ends
            for rung, figure in rungs.items()
        }
        for network, rungs in _published().items()
    }


def reached() -> dict[str, dict[str, float]]:
    """Read which AUROC each stage reached on the real frames, from the published table.

    Returns
    -------
    dict of str to dict
        Network to rung to its AUROC, out of fold.
    """
    return {
        network: {
            rung: float(figure.value) for rung, figure in rungs.items() if figure.value is not None
        }
        for network, rungs in _published().items()
    }


def _published() -> dict[str, dict[str, results.Figure]]:
    """Read the rungs of the published table: network to rung to its figure."""
    table = results.read(results.PUBLISHED / "middle_stage.json")
    rows = {row["chain"]: row for row in table.rows}
    return {
        column.title: {
            rung: figure
            for rung, chain in RUNGS.items()
            if isinstance(figure := rows[chain][column.key], results.Figure)
        }
        for column in table.columns[1:4]
    }


def control() -> float:
    """Read the AUROC of the size of the image alone on the real frames, from a model card.

    Returns
    -------
    float
        0–1, out of fold.
    """
    measured = read_manifest(weights_root() / NETWORKS[0])["metrics"]["heads"]
    return float(measured["image size only"]["auroc"]["value"])


def draw_ladder(
    gains: Mapping[str, Mapping[str, Estimate]],
    areas: Mapping[str, Mapping[str, float]],
    size_alone: float,
    title: str,
) -> Figure:
    """Draw the ladder, a line a network: what stages reach, and what they are worth.

    Parameters
    ----------
    gains : mapping of str to mapping
        From `ladder`.
    areas : mapping of str to mapping
        From `reached`.
    size_alone : float
        From `control`.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        AUROCs on the left; differences with their intervals, rung by rung, on the right.
    """
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    rungs = list(next(iter(gains.values())))
    label = f"size of the file: {size_alone:.2f}"
    left.axhline(size_alone, color="black", linestyle=":", linewidth=1.5, label=label)
    left.axhline(0.5, color=GREY, linestyle="--", linewidth=1, label="a coin")
    right.axhline(0, color=GREY, linestyle="--", linewidth=1)
    for place, (network, colour) in enumerate(zip(gains, (BLUE, ORANGE, GREEN), strict=False)):
        found = np.array([ends(gains[network][rung]) for rung in rungs], float)
        at = np.arange(len(rungs)) + 0.12 * (place - 1)
        left.plot(at, [areas[network][rung] for rung in rungs], "o-", color=colour, linewidth=1)
        right.plot(at, found[:, 0], "o-", color=colour, linewidth=1, label=network)
        right.vlines(at, found[:, 1], found[:, 2], color=colour, linewidth=2.5)
    for axes in (left, right):
        axes.set_xticks(range(len(rungs)), [rung.replace(" ", "\n") for rung in rungs])
        axes.set(xlabel="After which stage")
    left.set(title="AUROC", ylabel="AUROC (0–1)", ylim=(0.45, 0.9))
    left.legend(loc="center left", bbox_to_anchor=(0, 0.3), fontsize=9)
    right.set(title="Minus that of photographs alone")
    right.set_ylabel("Difference of AUROC (95 % interval)")
    right.legend(loc="lower right")
    figure.suptitle(title)
    return figure


# --- A bug to find


def verdict(assign: Callable[[pd.DataFrame], np.ndarray], records: pd.DataFrame) -> str:
    """Report whether an assignment to folds keeps the frames of each patient together.

    Parameters
    ----------
    assign : callable
        From a record table to the fold of each frame.
    records : DataFrame
        With `group`.

    Returns
    -------
    str
        A sentence that begins with "Found" or "Not yet".
    """
    folds = np.asarray(assign(records))
    if folds.shape != (len(records),):
        return f"Not yet: one fold for each of {len(records)} frames. Received: {folds.shape}."
    if len(np.unique(folds)) < 2:
        return "Not yet: there must be two folds or more, or nothing is held out."
    torn = len(splits.crossing(records["group"], pd.Series(folds)))
    patients = records["group"].nunique()
    if torn:
        return (
            f"Not yet: {torn} of {patients} patients have frames in several folds, so heads "
            "are tested on patients that they know."
        )
    return f"Found: each of {patients} patients is in one fold alone."
