"""Chapter 3, from stage to stage: whose weights they are, and how well a head reads with them."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics.pairwise import linear_kernel
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm.auto import tqdm

from thyro_demo.bundle import network_file
from thyro_demo.bundle.manifest import weights_root
from thyro_demo.course import hour
from thyro_demo.course.show import BLUE, ORANGE
from thyro_demo.errors import DataError
from thyro_demo.models.pipeline import load_frames
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import CLASSES

RANDOM, NATURAL = "random weights", "photographs"
RADIOGRAPHS, FULL = "then radiographs", "then nodules"

READ = "read on the nodule"
"""The last stage as its bundle's heads see it: not averaged, but weighted by the nodule map."""

_WHOLE_CHAIN = "efficientnet-b0"
_STARTS = {"imagenet": "ImageNet", "noisy-student": "noisy student"}
_COST = 0.003
_FILES = {NATURAL: "natural-64.keras", RADIOGRAPHS: "radiographs.keras", FULL: "model.keras"}
_BATCH = 16
_DIRECTIONS, _NEIGHBOURS, _STEPS = 30, 30, 500


def chain(
    backbone: str = "efficientnet-b0", start: str = "shipped", root: Path | None = None
) -> dict[str, str]:
    """Name the weights of each stage of a network, before the stages that a chapter trains.

    Parameters
    ----------
    backbone : str
        "efficientnet-b0", "resnet50" or "vgg16".
    start : str
        "shipped" for the stages that come with this project: of EfficientNet-B0 each of them, of
        the others the end of their chain alone. Otherwise initial weights as
        `initial_weights.load` takes them ("imagenet", "noisy-student", "none" or a file): then no
        shipped stage follows, since each began elsewhere, and what comes later is computed anew.
    root : Path, optional
        Folder of the bundles; that of the project without it.

    Returns
    -------
    dict of str to str
        Stage to weights as `initial_weights.load` takes them, `RANDOM` first.

    Raises
    ------
    DataError
        If a file of a shipped chain is missing.
    """
    if start == "none":
        return {RANDOM: "none"}
    if start != "shipped":
        return {RANDOM: "none", _STARTS.get(start, Path(start).stem): start}
    folder = (root or weights_root()) / backbone
    wanted = _FILES if backbone == _WHOLE_CHAIN else {FULL: _FILES[FULL]}
    for name in wanted.values():
        if not (folder / name).is_file():
            raise DataError(
                f"This chapter must find the shipped chain, {', '.join(wanted.values())}, in one "
                f"folder. Received: {folder}, without {name}."
            )
    return {RANDOM: "none"} | {stage: str(folder / name) for stage, name in wanted.items()}


def base(stages: Mapping[str, str]) -> str:
    """Return the stage that the middle stage begins with: the first that has learned something."""
    return next(iter([*list(stages)[1:2], RANDOM]))


def read_on_nodule(backbone: str, records: pd.DataFrame, root: Path | None = None) -> np.ndarray:
    """Compute what the heads of a shipped bundle read: features weighted by the nodule map.

    Parameters
    ----------
    backbone : str
        Name of the bundle.
    records : DataFrame
        Record table of thyroid frames.
    root : Path, optional
        Folder of the bundles; that of the project without it.

    Returns
    -------
    ndarray of float32 (n, d)
        Row by row those of the table.

    Raises
    ------
    BundleError
        If there is no such network.
    """
    network = network_file.load((root or weights_root()) / backbone / _FILES[FULL])
    part = keras.Model(network.inputs[0], network.get_layer("features").output)
    squares = load_frames(records, CLASSES, network.inputs[0].shape[1]).images
    return part.predict(squares.astype(np.float32), batch_size=_BATCH, verbose=0)


def climb(features: Mapping[str, np.ndarray], records: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Score frames out of fold by a linear SVM on the features of each stage.

    Parameters
    ----------
    features : mapping of str to ndarray of float32 (n, d)
        By stage.
    records : DataFrame
        Record table with `fold`.

    Returns
    -------
    dict of str to DataFrame
        By stage, as `out_of_fold.score_features` returns them; C is the same for all stages, so
        that none has the luck of a better choice.
    """
    known = records[["path", "group", "source", "label", "fold"]].reset_index(drop=True)
    fold = known["fold"].to_numpy()
    labels = (known["label"] == CLASSES[1]).to_numpy(int)
    scored = {}
    for stage, rows in tqdm(features.items(), "Stages", unit="stage"):
        raw = hour.out_of_fold(_svm, rows, labels, fold)
        scored[stage] = out_of_fold.cross_calibrated(known.assign(head=stage, raw=raw))
    return scored


def _svm() -> Pipeline:
    """Make an unfitted head."""
    # The kernel as one matrix product is many times quicker than libsvm's own loops.
    svm = SVC(kernel=linear_kernel, C=_COST, class_weight="balanced")
    return make_pipeline(StandardScaler(), svm)


def planes(features: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Lay frames out in a plane, neighbours beside each other, by t-SNE.

    Parameters
    ----------
    features : mapping of str to ndarray of float32 (n, d)
        By stage.
    seed : int
        Of the layout.

    Returns
    -------
    dict of str to ndarray of float32 (n, 2)
        By stage; distances have no unit.

    References
    ----------
    van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 9, 2008. As in its section 4.2,
    the features are first reduced to 30 principal components.
    """
    laid_out = {}
    for stage, rows in features.items():
        scaled = StandardScaler().fit_transform(rows)
        fewer = PCA(min(_DIRECTIONS, *scaled.shape), random_state=seed).fit_transform(scaled)
        nearby = min(_NEIGHBOURS, (len(rows) - 1) / 3)
        tsne = TSNE(perplexity=nearby, max_iter=_STEPS, random_state=seed)
        laid_out[stage] = tsne.fit_transform(fewer)
    return laid_out


def draw_planes(laid_out: Mapping[str, np.ndarray], malignant: np.ndarray, title: str) -> Figure:
    """Draw frames where `planes` has put them.

    Parameters
    ----------
    laid_out : mapping of str to ndarray (n, 2)
        By stage.
    malignant : ndarray of bool (n,)
        The label of each frame.
    title : str
        Of the picture.

    Returns
    -------
    Figure
        One panel a stage.
    """
    figure = Figure(figsize=(3.1 * len(laid_out), 3.7), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(laid_out)))
    for axes, (stage, places) in zip(panels, laid_out.items(), strict=True):
        for label, colour, mark in (("benign", BLUE, "o"), ("malignant", ORANGE, "^")):
            here = places[malignant == (label == "malignant")]
            axes.scatter(*here.T, s=14, color=colour, marker=mark, alpha=0.75, label=label)
        axes.set_title(stage)
        axes.set_axis_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(title)
    return figure
