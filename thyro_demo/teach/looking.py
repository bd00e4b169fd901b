"""Where a head looks: its map beside the nodule's outline and two onlookers who look at nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from thyro_demo.data import images, phantom, preprocess
from thyro_demo.data.preprocess import Box
from thyro_demo.engine import Comparison, Engine
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.explain import localisation
from thyro_demo.explain.cam import scale
from thyro_demo.study import cards

GAUSSIAN, RANDOM = "centred Gaussian", "random map"
"""The two onlookers: one looks at the centre, the other anywhere, and neither at the frame."""

FIGURES = ("pointing", "energy", "iou")
"""What is measured of a map against an outline."""

# Those of a network's last feature map: a random map as coarse as a real one has no sharper and
# no duller peaks.
_CELLS = 9


@dataclass(frozen=True, eq=False)
class Case:
    """A frame of which it is known where the nodule lies.

    Parameters
    ----------
    name : str
        Unique among the cases.
    group : str
        The patient.
    frame : ndarray of uint8, shape (H, W, 3)
        RGB, 0–255.
    nodule : ndarray of bool, shape (H, W)
        True on the nodule.
    """

    name: str
    group: str
    frame: np.ndarray
    nodule: np.ndarray


def drawn_cases(patients: int, seed: int) -> list[Case]:
    """Draw patients, one frame each, whose nodules are known to the pixel.

    Parameters
    ----------
    patients : int
        How many.
    seed : int
        Of the cohort.

    Returns
    -------
    list of Case
        Phantoms.
    """
    cohort = phantom.cohort(patients, frames_per_patient=1, seed=seed)
    return [Case(one.patient, one.patient, one.rgb, one.mask) for one in cohort]


def outlined_cases(ddti: Path, thyroid: Path, most: int | None = None) -> list[Case]:
    """Read the outlined DDTI frames of cases that gave the thyroid set no frame.

    Parameters
    ----------
    ddti : Path
        Folder of the set with the outlines.
    thyroid : Path
        Folder of the set that networks were trained on.
    most : int, optional
        How many frames to keep, by a fixed draw; by default all.

    Returns
    -------
    list of Case
        Real frames that no network of this project has been trained on.

    Raises
    ------
    DataError
        If the sets are missing, or no such frame is left.
    """
    records = cards.unseen(ddti, thyroid)
    if most is not None and most < len(records):
        records = records.sample(most, random_state=0).sort_index()
    cases = []
    for path, group, polygons in records[["path", "group", "polygons"]].itertuples(index=False):
        frame = images.decode(path)
        nodule = localisation.mask(polygons, (frame.shape[0], frame.shape[1]))
        cases.append(Case(Path(path).name, str(group), frame, nodule))
    return cases


def drawn(compared: Comparison) -> dict[str, np.ndarray]:
    """Give the maps of a comparison of one bundle.

    Parameters
    ----------
    compared : Comparison
        From `Engine.compare`.

    Returns
    -------
    dict of str to ndarray of float32, shape (H, W)
        Head to heatmap, 0–1; heads without one are left out.
    """
    return {one.head: one.heatmap for one in compared.predictions if one.heatmap is not None}


def pairs(engine: Engine, name: str, heads: Sequence[str], cases: Iterable[Case]) -> pd.DataFrame:
    """Compare the maps of every two heads on the same frames.

    Parameters
    ----------
    engine : Engine
        Holds the bundle.
    name : str
        The bundle.
    heads : sequence of str
        Its heads to compare.
    cases : iterable of Case
        Frames.

    Returns
    -------
    DataFrame
        One row a case and pair: `group, pair, agreement`, the last −1 to 1; none for a head
        without a map.
    """
    rows = []
    for case in cases:
        compared = engine.compare(case.frame, [name], heads)
        maps = {
            head: preprocess.crop(heatmap, compared.box)
            for head, heatmap in drawn(compared).items()
        }
        for first, second in combinations([head for head in heads if head in maps], 2):
            value = agreement(maps[first], maps[second])
            rows.append({"group": case.group, "pair": f"{first}, {second}", "agreement": value})
    return pd.DataFrame(rows)


def best_overlap(heatmap: np.ndarray, nodule: np.ndarray) -> float:
    """Compute the overlap of a map and a nodule at the threshold that suits the map best.

    The overlap is the intersection over the union (IoU) of the nodule and of the pixels
    at or above a threshold. The threshold is chosen with the outline in hand, which
    flatters every map, and the onlookers alike.

    Parameters
    ----------
    heatmap : ndarray of float, shape (H, W)
        The map, of the scan area alone where there is a border around it; without positive
        evidence it counts as flat.
    nodule : ndarray of bool, shape (H, W)
        The nodule.

    Returns
    -------
    float
        0–1; a flat map reads the nodule's share of the array.

    Raises
    ------
    ThyroError
        If map and nodule differ in shape.

    References
    ----------
    Choe et al., "Evaluating weakly supervised object localization methods right", CVPR
    2020, section 3: the threshold is part of the measure, not of the map. They choose one
    for a whole set on images held out; here each map has its own.
    """
    if heatmap.shape != nodule.shape or heatmap.ndim != 2:
        raise ThyroError(
            "A heatmap must have the height and width of its nodule's mask. "
            f"Received: heatmap {heatmap.shape}, mask {nodule.shape}."
        )
    evidence = scale(heatmap)
    evidence = evidence.ravel() if evidence.any() else np.ones(evidence.size, np.float32)
    order = np.argsort(-evidence, kind="stable")
    sorted_down, inside = evidence[order], nodule.ravel()[order]
    hit, size = np.cumsum(inside), np.arange(1, inside.size + 1)
    # Between pixels of one value there is no threshold.
    ends = np.append(sorted_down[:-1] != sorted_down[1:], True)
    return float((hit / (size + inside.sum() - hit))[ends].max())


def onlookers(box: Box, shape: tuple[int, int], seed: int) -> dict[str, np.ndarray]:
    """Draw both maps that have not seen the frame.

    Parameters
    ----------
    box : Box
        The scan area.
    shape : tuple of int
        Height and width of the frame in pixels.
    seed : int
        Of the random one, 0 or more.

    Returns
    -------
    dict of str to ndarray of float32, shape (H, W)
        `GAUSSIAN` and `RANDOM`, 0–1; 0 outside the box.
    """
    noise = np.random.default_rng(seed).random((_CELLS, _CELLS)).astype(np.float32)
    return {
        GAUSSIAN: localisation.centred_gaussian(shape, box),
        RANDOM: preprocess.place(noise, box, shape),
    }


def measure(
    engine: Engine, name: str, heads: Sequence[str], cases: Iterable[Case], seed: int = 0
) -> pd.DataFrame:
    """Measure the maps of several heads, and the onlookers, against the outlines.

    Parameters
    ----------
    engine : Engine
        Holds the bundle.
    name : str
        A bundle that reads the whole scan area.
    heads : sequence of str
        Its heads to draw.
    cases : iterable of Case
        Frames that the bundle was not trained on.
    seed : int
        Of the random maps.

    Returns
    -------
    DataFrame
        One row a case and map: `name, group, map, pointing, energy, iou`, the last three
        0–1 within the scan area.
    """
    rows = []
    for number, case in enumerate(cases):
        compared = engine.compare(case.frame, [name], heads)
        box, shape = compared.box, case.nodule.shape
        maps = drawn(compared) | onlookers(box, (shape[0], shape[1]), seed + number)
        nodule = preprocess.crop(case.nodule, box)
        for which, heatmap in maps.items():
            within = preprocess.crop(heatmap, box)
            rows.append(
                {
                    "name": case.name,
                    "group": case.group,
                    "map": which,
                    "pointing": localisation.pointing(within, nodule),
                    "energy": localisation.energy(within, nodule),
                    "iou": best_overlap(within, nodule),
                }
            )
    return pd.DataFrame(rows)


def averages(table: pd.DataFrame, figure: str, by: str = "map") -> dict[str, dict[str, float]]:
    """Average a figure over the rows of each kind, with intervals over patients.

    Parameters
    ----------
    table : DataFrame
        With `group`, `by` and the figure.
    figure : str
        A column.
    by : str
        The column that names the kinds.

    Returns
    -------
    dict of str to dict
        Kind to `value`, `low` and `high`.
    """
    return {
        str(kind): intervals.group_bootstrap(
            metrics.mean, np.zeros(len(rows)), rows[figure], rows["group"]
        )._asdict()
        for kind, rows in table.groupby(by, sort=False)
    }


def differences(table: pd.DataFrame, figure: str, baseline: str) -> dict[str, dict[str, float]]:
    """Compare every map with one onlooker on the same frames.

    Parameters
    ----------
    table : DataFrame
        From `measure`, or from `sanity.faithfulness`.
    figure : str
        One of its figures.
    baseline : str
        `GAUSSIAN` or `RANDOM`.

    Returns
    -------
    dict of str to dict
        Map to `value`, `low` and `high`: the mean over frames of its figure minus the
        onlooker's, with a 95 % interval over patients.

    Raises
    ------
    DataError
        If the table does not hold this onlooker.
    """
    wide = table.pivot(index=["name", "group"], columns="map", values=figure).reset_index()
    if baseline not in wide:
        raise DataError(
            "Maps are compared with an onlooker that was measured beside them. "
            f"Received: {baseline!r}, and measured maps {', '.join(table['map'].unique())}."
        )
    blind = {GAUSSIAN, RANDOM}
    return {
        which: intervals.paired_group_bootstrap(
            metrics.mean, np.zeros(len(wide)), wide[which], wide[baseline], wide["group"]
        )._asdict()
        for which in table["map"].unique()
        if which not in blind
    }


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Compare which cells two maps call hot, by Spearman's rank correlation.

    Parameters
    ----------
    first, second : ndarray of float, of one shape
        Maps.

    Returns
    -------
    float
        −1 to 1: 1 for the same order of cells, about 0 for maps that have nothing to do with
        each other. 0 where a map is flat: it orders nothing.
    """
    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return 0.0
    ranks = rankdata(first.ravel()), rankdata(second.ravel())
    return float(np.corrcoef(*ranks)[0, 1])
