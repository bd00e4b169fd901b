"""Chapter 6: where a head looks, measured against outlines and by deletion and insertion.

Each map is set beside two onlookers who have not seen the frame. The measures themselves are in
`explain`: `localisation`, `faithfulness`, `similarity` and `randomisation`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from thyro_demo.bundle import manifest, network_file
from thyro_demo.bundle.bundle import Bundle
from thyro_demo.data import images, masks, phantom, scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Comparison, Engine
from thyro_demo.errors import DataError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.explain import evaluate_maps, faithfulness, gradcam, localisation
from thyro_demo.explain.faithfulness import Curves
from thyro_demo.explain.similarity import rank_correlation
from thyro_demo.models.backbones import backbone
from thyro_demo.study.report import cards

GAUSSIAN, RANDOM = "centred Gaussian", "random map"
"""The two onlookers: one looks at the centre, the other anywhere, and neither at the frame."""

TWIN = "plain twin"
"""The network before it learned where nodules are, with a head on plain averages."""

FIGURES = ("pointing", "energy", "iou")
"""What is measured of a map against an outline."""


@dataclass(frozen=True, eq=False)
class Case:
    """A frame on which the nodule is known.

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


def outlined_cases(ddti: Path, bundles: Iterable[Path], most: int | None = None) -> list[Case]:
    """Read the outlined DDTI frames of cases whose outlines no network has learned.

    Parameters
    ----------
    ddti : Path
        Folder of the set with the outlines.
    bundles : iterable of Path
        Folders of the bundles whose networks are to be measured.
    most : int, optional
        How many frames to keep, by a seeded draw; by default all.

    Returns
    -------
    list of Case
        Real frames. The labels of many are known to the heads, which shows them nothing of where a
        nodule is.

    Raises
    ------
    DataError
        If the set is missing, or no such frame is left.
    BundleError
        If a bundle is none.
    """
    manifests = [facts for folder in bundles for facts in manifest.of_networks(folder)]
    records = cards.unlearned(ddti, manifests)
    if most is not None and most < len(records):
        records = records.sample(most, random_state=0).sort_index()
    cases = []
    for _, record in records.iterrows():
        nodule = masks.nodule_mask(record)
        if nodule is not None:
            frame = images.decode(record["path"])
            cases.append(Case(Path(record["path"]).name, str(record["group"]), frame, nodule))
    return cases


def _heatmaps(compared: Comparison) -> dict[str, np.ndarray]:
    """Return the maps of a comparison of one bundle, by head; heads without one are left out."""
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
            head: scan_area.crop(heatmap, compared.box)
            for head, heatmap in _heatmaps(compared).items()
        }
        for first, second in combinations([head for head in heads if head in maps], 2):
            value = rank_correlation(maps[first], maps[second])
            rows.append({"group": case.group, "pair": f"{first}, {second}", "agreement": value})
    return pd.DataFrame(rows)


def onlookers(box: Box, shape: tuple[int, int], seed: int) -> dict[str, np.ndarray]:
    """Draw both maps that have not seen the frame, the random one from a seed of 0 or more.

    Parameters
    ----------
    box : Box
        The scan area.
    shape : tuple of int
        Height and width of the frame in pixels.
    seed : int
        Of the random map.

    Returns
    -------
    dict of str to ndarray of float32, shape (H, W)
        `GAUSSIAN` and `RANDOM`, 0–1; 0 outside the box.
    """
    return {
        GAUSSIAN: localisation.centred_gaussian(shape, box),
        RANDOM: localisation.random_map(shape, box, seed),
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
        maps = _heatmaps(compared) | onlookers(box, (shape[0], shape[1]), seed + number)
        rows += [_measured(case, which, heatmap, box) for which, heatmap in maps.items()]
    return pd.DataFrame(rows)


def _measured(case: Case, which: str, heatmap: np.ndarray, box: Box) -> dict[str, Any]:
    """Measure one map of a case within the scan area."""
    found = localisation.within(heatmap, box, case.nodule)
    nodule = scan_area.crop(case.nodule, box)
    found["iou"] = localisation.best_overlap(scan_area.crop(heatmap, box), nodule)
    return {"name": case.name, "group": case.group, "map": which} | found


@dataclass(frozen=True, eq=False)
class PlainTwin:
    """A frozen network that averages its last feature map over the whole frame.

    Parameters
    ----------
    network : keras.Model
        Gives the last feature map (n, h, w, c) of frames (n, s, s, 3).
    weights : ndarray of float64, shape (c,)
        What its linear head adds to the log-odds for each unit of an averaged channel.
    intercept : float
        What it adds to them whatever the frame.
    """

    network: keras.Model
    weights: np.ndarray
    intercept: float

    def feature_map(self, frame: np.ndarray) -> tuple[np.ndarray, Box]:
        """Compute the feature map of a frame (H, W, 3): float32 (h, w, c); and its scan area."""
        square, box = scan_area.prepare(frame, self.network.inputs[0].shape[1])
        return _maps(self.network, [square])[0], box

    def log_odds(self, frame: np.ndarray) -> float:
        """Compute the log-odds of "malignant" of a frame (H, W, 3)."""
        cells, _ = self.feature_map(frame)
        return float(cells.mean(axis=(0, 1)) @ self.weights + self.intercept)

    def heatmap(self, frame: np.ndarray) -> tuple[np.ndarray, Box]:
        """Draw Grad-CAM of a frame (H, W, 3): float32 (H, W), 0–1; and its scan area."""
        cells, box = self.feature_map(frame)
        drawn = gradcam.scale(cells @ self.weights)
        return scan_area.place(drawn, box, (frame.shape[0], frame.shape[1])), box


def plain_twin(file: Path, patients: int, seed: int) -> PlainTwin:
    """Give EfficientNet-B0 after an earlier stage a linear head on averaged channels.

    Parameters
    ----------
    file : Path
        Its `.keras` file.
    patients : int
        Phantoms that the head learns from, one frame each.
    seed : int
        Of their cohort.

    Returns
    -------
    PlainTwin
        Ready to draw.

    Raises
    ------
    BundleError
        If the file holds no network of this project.
    """
    whole = network_file.load(file)
    cells = whole.get_layer(backbone("efficientnet-b0").cam_layer).output
    network = keras.Model(whole.inputs[0], cells)
    side = network.inputs[0].shape[1]
    drawn = list(phantom.cohort(patients, frames_per_patient=1, seed=seed))
    means = _maps(network, [scan_area.prepare(one.rgb, side)[0] for one in drawn]).mean((1, 2))
    scaler = StandardScaler().fit(means)
    linear = LogisticRegression(C=0.01, class_weight="balanced")
    linear.fit(scaler.transform(means), [one.label == "malignant" for one in drawn])
    weights = linear.coef_[0] / scaler.scale_
    return PlainTwin(network, weights, float(linear.intercept_[0] - weights @ scaler.mean_))


def measure_twin(twin: PlainTwin, cases: Iterable[Case]) -> pd.DataFrame:
    """Measure the maps of a plain twin, as `measure` does those of a bundle."""
    rows = []
    for case in cases:
        heatmap, box = twin.heatmap(case.frame)
        rows.append(_measured(case, TWIN, heatmap, box))
    return pd.DataFrame(rows)


def _maps(network: keras.Model, squares: Sequence[np.ndarray]) -> np.ndarray:
    return network.predict(np.stack(squares).astype(np.float32), batch_size=16, verbose=0)


def deletion_insertion(
    engine: Engine, bundle: Bundle, head: str, cases: Iterable[Case], steps: int, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, Curves]]:
    """Measure by deletion and insertion whether a score follows its map, and the onlookers.

    Parameters
    ----------
    engine : Engine
        Holds the bundle.
    bundle : Bundle
        One network.
    head : str
        Whose score and map are tried.
    cases : iterable of Case
        Frames that the bundle was not trained on.
    steps : int
        As for `faithfulness.curves`.
    seed : int
        Of the random maps.

    Returns
    -------
    DataFrame
        One row a case and map: `name, group, map, deletion, insertion`, areas 0–1.
    dict of str to Curves
        Mean over the cases, by map.
    """
    rows = []
    found: dict[str, list[Curves]] = {}
    for number, case in enumerate(cases):
        compared = engine.compare(case.frame, [bundle.name], [head])
        shape = (case.frame.shape[0], case.frame.shape[1])
        maps = _heatmaps(compared) | onlookers(compared.box, shape, seed + number)
        for which, heatmap in maps.items():
            one = faithfulness.curves(bundle, head, case.frame, heatmap, steps)
            found.setdefault(which, []).append(one)
            rows.append({"name": case.name, "group": case.group, "map": which} | one.areas)
    means = {which: faithfulness.mean_curves(several) for which, several in found.items()}
    return pd.DataFrame(rows), means


def averages(
    table: pd.DataFrame, figure: str, by: str = "map"
) -> dict[str, dict[str, float | None]]:
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
        str(kind): evaluate_maps.average(rows, figure, intervals.RESAMPLES, 0)
        for kind, rows in table.groupby(by, sort=False)
    }


def differences(table: pd.DataFrame, figure: str, baseline: str) -> dict[str, dict[str, float]]:
    """Compare every map with one onlooker on the same frames.

    Parameters
    ----------
    table : DataFrame
        From `measure` or `deletion_insertion`.
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
        If the table does not contain this onlooker.
    """
    wide = table.pivot(index=["name", "group"], columns="map", values=figure).reset_index()
    if baseline not in wide:
        raise DataError(
            "Maps must be compared with an onlooker that was measured beside them. "
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
