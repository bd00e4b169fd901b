"""What each means against the source shortcut does to the figures within the sources."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from thyro_demo.bundle import card, store
from thyro_demo.data.images import decode
from thyro_demo.data.scan_area import Box, prepare
from thyro_demo.evaluate.results import Cell, Column, Result, figure
from thyro_demo.files import atomic_write
from thyro_demo.models.features import pooled, readout
from thyro_demo.study.questions import paired
from thyro_demo.study.setting import thyroid_frames
from thyro_demo.training import initial_weights, out_of_fold

_MIDDLE, _SPREAD = 110.0, 55.0
"""Mean and standard deviation of grey levels after intensity normalisation, 0–255."""

_COARSE = 160
"""Side through which scale normalisation passes every frame: the resolution of the smallest."""


def whole_frame(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize without a crop: borders, text and aspect ratio betray the source."""
    return prepare(frame, size, Box(0, 0, frame.shape[1], frame.shape[0]))[0]


def scan_area(frame: np.ndarray, size: int) -> np.ndarray:
    """Crop to the scan area, as everywhere in this project."""
    return prepare(frame, size)[0]


def even_intensity(frame: np.ndarray, size: int) -> np.ndarray:
    """Crop, then scale every frame to the same mean and standard deviation of grey levels."""
    square = prepare(frame, size)[0]
    spread = max(float(square.std()), 1.0)
    return np.clip((square - square.mean()) / spread * _SPREAD + _MIDDLE, 0, 255)


def even_scale(frame: np.ndarray, size: int) -> np.ndarray:
    """Crop, then blur every frame to the resolution of the coarsest source."""
    coarse = Image.fromarray(np.round(prepare(frame, _COARSE)[0]).astype(np.uint8))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BILINEAR), np.float32)


def balanced(records: pd.DataFrame) -> np.ndarray:
    """Weigh rows so that every pair of source and class counts alike.

    Parameters
    ----------
    records : DataFrame
        Training rows with `source` and `label`.

    Returns
    -------
    ndarray of float (n,)
        Weights with mean 1.
    """
    pairs = records["source"].astype(str) + records["label"]
    counts = pairs.map(pairs.value_counts())
    return (len(records) / pairs.nunique() / counts).to_numpy(float)


def mixed(
    images: np.ndarray, records: pd.DataFrame, seed: int = 0
) -> tuple[np.ndarray, pd.DataFrame]:
    """Blend each frame with one of the same class and fold, from another source where it can.

    Mixup (Zhang et al. 2018) within a class: the label stays true, the source does not. A pair
    stays within its fold, so that no blend carries a test frame into training.

    Parameters
    ----------
    images : ndarray of uint8 (n, s, s, 3)
        Frames.
    records : DataFrame
        Their records, with `fold`.
    seed : int
        Of partners and shares.

    Returns
    -------
    ndarray of uint8 (n, s, s, 3)
        Blends.
    DataFrame
        The records of the first frame of each, its group included.
    """
    rng = np.random.default_rng(seed)
    blends = np.empty_like(images)
    for row in range(len(images)):
        mine = records.iloc[row]
        alike = (records["label"] == mine["label"]) & (records["fold"] == mine["fold"])
        other = alike & (records["source"] != mine["source"])
        partner = rng.choice(np.flatnonzero(other if other.any() else alike))
        share = rng.uniform(0.4, 0.6)
        blend = share * images[row] + (1 - share) * images[partner]
        blends[row] = np.round(blend).astype(np.uint8)
    return blends, records.copy()


_VIEWS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "whole frame": whole_frame,
    "scan area": scan_area,
    "scan area, even intensity": even_intensity,
    "scan area, even scale": even_scale,
}
PLAIN = "scan area"
"""What every other means is compared with."""


def run(folder: Path, data: Path, work: Path) -> pd.DataFrame:
    """Measure every means on the frozen network of a bundle.

    Parameters
    ----------
    folder : Path
        A bundle whose network was frozen on thyroid frames.
    data : Path
        The thyroid set, or the folder that holds all sets by name.
    work : Path
        Where `shortcuts.csv` goes.

    Returns
    -------
    DataFrame
        One row a means and source ("all" first): `means, source, auroc, low, high`, and
        `gain, gain_low, gain_high` against `PLAIN` on the same frames.

    Raises
    ------
    RecipeError
        If the network was trained on thyroid frames.
    BundleError, DataError
        If the bundle or the frames cannot be read.
    """
    initial_weights.check_not_trained_on(folder)
    shipped = store.load(folder)
    network, size = shipped.network, shipped.input_size
    read = [readout(network, shipped.cam_layer, shipped.pooling)]
    records = thyroid_frames(data, work)
    scored, plain = {}, np.empty(0)
    for means, view in tqdm(_VIEWS.items(), "Means", unit="means"):
        images = np.stack([np.round(view(decode(path), size)) for path in records["path"]])
        (features,) = pooled(network, images.astype(np.uint8), read)
        scored[means] = out_of_fold.score_features(features, records)
        if means == PLAIN:
            plain = features
            blends, blended = mixed(images.astype(np.uint8), records)
            more = (pooled(network, blends, read)[0], blended)
            scored["scan area, classes mixed across sources"] = out_of_fold.score_features(
                plain, records, more=more
            )
    scored["scan area, source × class balanced"] = out_of_fold.score_features(
        plain, records, weights=balanced
    )
    table = paired.against(scored, PLAIN, "means")
    with atomic_write(work / "shortcuts.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table


def result(table: pd.DataFrame) -> Result:
    """Make the table that a README shows.

    Parameters
    ----------
    table : DataFrame
        From `run`.

    Returns
    -------
    Result
        AUROC of each means over all frames and within each source, and over all frames its
        gain on the plain crop.
    """
    named = {"all": "All", **card.SOURCES}
    held = list(dict.fromkeys(table["source"]))
    sources = [source for source in named if source in held]
    sources += [source for source in held if source not in named]
    found: dict[str, dict[str, Cell]] = {name: {"means": name} for name in table["means"]}
    for row in table.to_dict("records"):
        gain = None
        if row["source"] == "all" and row["means"] != PLAIN:
            gain = (row["gain"], row["gain_low"], row["gain_high"])
        found[row["means"]][row["source"]] = figure((row["auroc"], row["low"], row["high"]), gain)
    return Result(
        what="AUROC of an SVM on the frozen network of a bundle, and over all frames the paired "
        "difference to the plain crop (scan area).",
        made_by="python -m thyro_demo study shortcuts efficientnet-b0 --data sets "
        "--out runs/shortcuts",
        **paired.ABOUT,
        columns=(
            Column(key="means", title="Means"),
            *(Column(key=key, title=named.get(key, key), show="figure") for key in sources),
        ),
        rows=tuple(found.values()),
    )
