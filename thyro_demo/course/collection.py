"""Chapter 1b, from a stored frame to a fair split: crops, near duplicates, a model that remembers.

The physics, chapter 1, is in `seeing`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.spatial.distance import pdist

from thyro_demo.course.lesson import Lesson
from thyro_demo.data import datasets, images, near_duplicates, phantom, scan_area
from thyro_demo.data.phantom.scanner import ScannerFrame
from thyro_demo.data.roi import nodule_boxes, widen
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError

_SHOWN_PART = (0.03, 0.25)
_THUMBNAIL = 32


def stored_frames(lesson: Lesson, count: int) -> list[np.ndarray]:
    """Read frames as a scanner stores them, with whatever it prints around the scan.

    Parameters
    ----------
    lesson : Lesson
        The chapter.
    count : int
        Number of frames.

    Returns
    -------
    list of ndarray of uint8 (H, W, 3)
        Real frames, the sources in turn; or phantoms with marks.
    """
    folder = lesson.find("p1")
    if folder is None:
        drawn = phantom.cohort(
            count, frames_per_patient=1, seed=200 + lesson.seed, scanner=ScannerFrame()
        )
        return [one.rgb for one in drawn]
    records = datasets.load(folder).sample(frac=1, random_state=lesson.seed)
    turn = records.groupby("source").cumcount()
    chosen = records.assign(turn=turn).sort_values(["turn", "source"])["path"][:count]
    return [images.decode(path) for path in chosen]


def outlined_frames(lesson: Lesson) -> pd.DataFrame:
    """Read frames whose nodules are outlined.

    Parameters
    ----------
    lesson : Lesson
        The chapter.

    Returns
    -------
    DataFrame
        Record table that `roi.nodule_boxes` reads: DDTI, with the outlines its readers drew,
        or phantoms with their masks. Frames without an outline are left out.
    """
    folder = lesson.find("ddti")
    if folder is None:
        drawn = lesson.thyroid() if lesson.find("p1") is None else _drawn(lesson)
        return drawn.reset_index(drop=True)
    records = datasets.load(folder)
    return records[records["polygons"].map(len) > 0].reset_index(drop=True)


def _drawn(lesson: Lesson) -> pd.DataFrame:
    """Draw a few phantom patients where the real set at hand has no outlines."""
    place = lesson.here / "outlined"
    if not (place / "index.csv").exists():
        phantom.write(phantom.cohort(8, 1, seed=200 + lesson.seed), place, total=8)
    return datasets.phantoms(place)


def pick_nodule(records: pd.DataFrame) -> tuple[np.ndarray, Box]:
    """Pick a frame whose nodule is neither tiny nor all there is.

    Parameters
    ----------
    records : DataFrame
        From `outlined_frames`.

    Returns
    -------
    frame : ndarray of uint8 (H, W, 3)
        The first that fits.
    box : Box
        Around its nodule, within the frame.

    Raises
    ------
    DataError
        If no nodule covers 3 to 25 % of its frame.
    """
    low, high = _SHOWN_PART
    for path, box in zip(records["path"], nodule_boxes(records), strict=True):
        if box is None:
            continue
        frame = images.decode(path)
        inside = widen(box, 0, frame.shape)
        if low < inside.width * inside.height / frame[..., 0].size < high:
            return frame, inside
    raise DataError(
        f"A nodule to be shown must cover {low:.0%} to {high:.0%} of its frame. "
        f"Received: {len(records)} frames with none."
    )


def draw_box(axes: Axes, box: Box, colour: str, name: str) -> None:
    """Draw a box on a frame in pixels, with a name for the legend.

    Parameters
    ----------
    axes : Axes
        Where the frame is shown.
    box : Box
        In the frame's coordinates.
    colour : str
        Of the line.
    name : str
        What the box is.
    """
    corner = (box.left, box.top)
    axes.add_patch(Rectangle(corner, box.width, box.height, fill=False, ec=colour, lw=2))
    axes.plot([], [], color=colour, linewidth=2, label=name)


def with_duplicates(lesson: Lesson, records: pd.DataFrame, count: int = 3) -> pd.DataFrame:
    """Hide near duplicates among phantoms, as collected sets have them; leave real sets alone.

    A duplicate has another size, is a little brighter, and is saved as JPEG: for a person the same
    frame, for a computer another file.

    Parameters
    ----------
    lesson : Lesson
        The chapter.
    records : DataFrame
        Record table.
    count : int
        Number of frames that get a duplicate.

    Returns
    -------
    DataFrame
        With `count` more rows, each a group of its own; real tables are unchanged.

    Raises
    ------
    DataError
        If there are fewer frames than duplicates.
    """
    if lesson.find("p1") is not None:
        return records
    if count > len(records):
        raise DataError(
            "Each duplicate must have a frame of its own. "
            f"Received: count={count}, for {len(records)} frames."
        )
    folder = lesson.here / "copies"
    folder.mkdir(parents=True, exist_ok=True)
    copied = records.sample(count, random_state=lesson.seed).reset_index(drop=True)
    names = [str(folder / f"copy-{number}.jpg") for number in range(count)]
    sizes = [
        _copy(Path(path), Path(name)) for path, name in zip(copied["path"], names, strict=True)
    ]
    copied = copied.assign(
        path=names,
        group=[f"copy-{number}" for number in range(count)],
        width=[width for width, _ in sizes],
        height=[height for _, height in sizes],
    )
    return pd.concat([records, copied], ignore_index=True)


def _copy(path: Path, name: Path) -> tuple[int, int]:
    """Save a frame again, a fifth smaller, a tenth brighter, recompressed; return its size."""
    frame = Image.fromarray(images.decode(path))
    smaller = frame.resize((round(0.8 * frame.width), round(0.8 * frame.height)))
    smaller.point(lambda value: min(255, round(1.1 * value))).save(name, quality=80)
    return smaller.size


def hash_distances(records: pd.DataFrame) -> np.ndarray:
    """Count the bits by which the hashes of all pairs of frames differ.

    Parameters
    ----------
    records : DataFrame
        Record table of two or more frames.

    Returns
    -------
    ndarray of int64, shape (n (n - 1) / 2,)
        Bits of 64, 0 for frames of which the coarse look is the same.
    """
    hashes = [near_duplicates.perceptual_hash(images.decode(path)) for path in records["path"]]
    bits = np.unpackbits(np.array(hashes, ">u8").view(np.uint8)).reshape(-1, 64)
    return pdist(bits, "cityblock").astype(np.int64)


def split_by_image(records: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """Assign images to folds without regard to their groups: how not to do it.

    Parameters
    ----------
    records : DataFrame
        Record table.
    folds : int
        Number of folds.
    seed : int
        Of the shuffle.

    Returns
    -------
    DataFrame
        With the column `fold`; `splits.check` refuses it where a group is in two folds.
    """
    order = np.random.default_rng(seed).permutation(len(records))
    return records.assign(fold=order % folds)


def thumbnails(records: pd.DataFrame) -> np.ndarray:
    """Read frames very small: scan area, grey, mean 0 and length 1.

    Parameters
    ----------
    records : DataFrame
        Record table.

    Returns
    -------
    ndarray of float64, shape (n, 1024)
        One row a frame; the product of two rows is their correlation, −1 to 1.
    """
    small = np.stack(
        [scan_area.prepare(images.decode(path), _THUMBNAIL)[0] for path in records["path"]]
    )
    rows = small.mean(axis=3).reshape(len(small), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def score_by_nearest(assigned: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Score each frame by the most similar frames of the other folds.

    The simplest "model" that can remember: it has memorised its training frames.

    Parameters
    ----------
    assigned : DataFrame
        Record table with `fold`.
    rows : ndarray of float64, shape (n, d)
        `thumbnails` of the same frames.

    Returns
    -------
    DataFrame
        The table with `score` (correlation with the nearest malignant frame less that with the
        nearest benign one, −2 to 2) and `same_group`, whether the most similar training frame
        is of the same group.
    """
    alike = rows @ rows.T
    folds, groups = assigned["fold"].to_numpy(), assigned["group"].to_numpy()
    alike[folds[:, None] == folds[None, :]] = -np.inf
    malignant = (assigned["label"] == "malignant").to_numpy()
    score = alike[:, malignant].max(axis=1) - alike[:, ~malignant].max(axis=1)
    return assigned.assign(score=score, same_group=groups[alike.argmax(axis=1)] == groups)
