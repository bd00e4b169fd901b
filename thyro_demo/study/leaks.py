"""What each flaw of a first evaluation does to its figures, one flaw switched on at a time.

The first evaluation of P1 reported validation accuracies over 80 % beside confusion matrices with
a specificity below 40 %, of the same networks. Here one frozen network and one kind of head are
judged soundly, and then again under each flaw of that evaluation, on the same images.

`score` needs features and a record table alone; `plan` makes the cells of a grid of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import expit
from tqdm.auto import tqdm

from thyro_demo.data import splits
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.plots import with_interval
from thyro_demo.models import heads, starts
from thyro_demo.models.backbones import backbone, build
from thyro_demo.models.features import pooled_above, readout
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.models.pipeline import load_frames
from thyro_demo.study import cells
from thyro_demo.study.grid import Cell, Outcome
from thyro_demo.study.report import Table

TWINS = 0.32
"""Share of the test images that the notebooks of P1 also trained on.

They list the first 80 % of each class, then its first 20 % again, and split this list anew at
random, 80 to 20. Of the list 40 % stand there twice, and four in five of their twins are trained
on: 0.40 × 0.80.
"""

HALF = 0.5
"""Operating point: the machine's own boundary, which is what `predict` of P1 went by."""


@dataclass(frozen=True)
class Flaw:
    """One way to evaluate, sound or not.

    Parameters
    ----------
    name : str
        As tables and figures have it.
    said : str
        One sentence for students: what is done, and why it misleads.
    copied : float
        Share of the test images that are trained on as well, 0–1.
    image_level : bool
        Whether images are dealt to folds one by one, whoever they show.
    raw : tuple of str
        Which images reach the network without its normalisation: "training", "test", both.
    whole : bool
        Whether frames keep their borders, and with them printed text, scales and icons.
    shuffled : bool
        Whether predictions come in another order than the labels they are compared with.
    """

    name: str
    said: str
    copied: float = 0.0
    image_level: bool = False
    raw: tuple[str, ...] = ()
    whole: bool = False
    shuffled: bool = False


SOUND = Flaw(
    "sound",
    "A patient's images stand on one side, all are cropped and normalised alike, and every "
    "prediction is compared with the label of its own image.",
)
FLAWS = (
    SOUND,
    Flaw(
        "test images in training",
        "The test images are copied into the training part, so that the head is asked what it "
        "has been told.",
        copied=1.0,
    ),
    Flaw(
        "a third of them in training",
        "As many of the test images as in the notebooks of P1, whose split lists some images "
        "twice and deals the list again.",
        copied=TWINS,
    ),
    Flaw(
        "image-level split",
        "Images are dealt one by one, so that near copies and other frames of the same patient "
        "stand on both sides.",
        image_level=True,
    ),
    Flaw(
        "shuffled predictions",
        "The generator shuffles the test images, and its predictions are compared with labels "
        "in the unshuffled order: whatever the network knows, the figures are those of chance.",
        shuffled=True,
    ),
    Flaw(
        "training images not normalised",
        "`preprocess_input` is left out for training and validation images but not for test "
        "images: the head learns from features of one kind and is asked about another.",
        raw=("training",),
    ),
    Flaw(
        "whole frames",
        "Frames are not cropped to the scan area, so that printed grades, text, caliper marks and "
        "the shape of the frame can tell the class or the source.",
        whole=True,
    ),
    Flaw(
        "all, in order",
        "All of them as the validation accuracy of P1 met them: no image normalised, "
        "predictions in order.",
        copied=TWINS,
        image_level=True,
        raw=("training", "test"),
        whole=True,
    ),
    Flaw(
        "all, shuffled",
        "All of them as the confusion matrices of P1 met them: training images alone not "
        "normalised, predictions shuffled.",
        copied=TWINS,
        image_level=True,
        raw=("training",),
        whole=True,
        shuffled=True,
    ),
)


def dealt(records: pd.DataFrame, flaw: Flaw, seed: int = 0) -> np.ndarray:
    """Deal images to folds, in whole groups or one by one.

    Parameters
    ----------
    records : DataFrame
        Record table with a column `fold` of grouped folds.
    flaw : Flaw
        Whether groups are kept whole.
    seed : int
        Of an image-level deal.

    Returns
    -------
    ndarray of int64 (n,)
        Fold of each image.
    """
    folds = records["fold"].to_numpy(np.int64)
    if not flaw.image_level:
        return folds
    alone = records.assign(group=None)
    again = splits.kfold(alone, len(set(folds)), seed, image_level=True)
    return again["fold"].to_numpy(np.int64)


def parts(folds: np.ndarray, held: int, flaw: Flaw, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Choose what is trained on and what is tested on when a fold is held out.

    Parameters
    ----------
    folds : ndarray of int (n,)
        From `dealt`.
    held : int
        The fold that is tested.
    flaw : Flaw
        Says how many of its images are trained on as well.
    seed : int
        Of the choice which ones.

    Returns
    -------
    learned, tested : ndarray of int64
        Rows; they have none in common unless the flaw copies them.
    """
    tested, learned = np.flatnonzero(folds == held), np.flatnonzero(folds != held)
    copies = round(flaw.copied * len(tested))
    twins = np.random.default_rng((seed, held)).permutation(tested)[:copies]
    return np.concatenate([learned, twins]), tested


def view(flaw: Flaw, side: str) -> str:
    """Name the images that one side of an evaluation sees.

    Parameters
    ----------
    flaw : Flaw
        How it is evaluated.
    side : {"training", "test"}
        Which side.

    Returns
    -------
    str
        One of `VIEWS`.
    """
    frame = "whole" if flaw.whole else "scan"
    return f"{frame}, raw" if side in flaw.raw else frame


VIEWS = ("scan", "scan, raw", "whole", "whole, raw")


def score(
    flaw: Flaw, read: Mapping[str, np.ndarray], records: pd.DataFrame, positive: str = CLASSES[1]
) -> pd.DataFrame:
    """Score every image by machines trained on the other folds, as a flaw has it.

    Parameters
    ----------
    flaw : Flaw
        How it is evaluated.
    read : mapping of str to ndarray of float32 (n, d)
        Features of all images in each of the `VIEWS` that the flaw asks for.
    records : DataFrame
        Record table with a column `fold` of grouped folds.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame
        `path, group, source, label, fold, head, score`, row by row as in `records`. The score is
        the logistic function of the decision value, so that `HALF` is the machine's boundary; it
        is no calibrated probability. `group` is the true one.
    """
    labels = (records["label"] == positive).to_numpy(int)
    # Who splits by image chooses settings by image too.
    groups = np.arange(len(records)) if flaw.image_level else records["group"].to_numpy()
    trained, asked = read[view(flaw, "training")], read[view(flaw, "test")]
    folds, scores = dealt(records, flaw), np.full(len(records), np.nan)
    for held in tqdm(np.unique(folds), flaw.name, unit="fold", leave=False):
        learned, tested = parts(folds, held, flaw)
        fitted = heads.fit("svm", trained[learned], labels[learned], groups[learned])
        scores[tested] = expit(CalibratedHead(fitted).raw(asked[tested]))
    known = records[["path", "group", "source", "label"]].reset_index(drop=True)
    table = known.assign(fold=folds, head=flaw.name, score=scores)
    return shuffled(table) if flaw.shuffled else table


def shuffled(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Give every image of a fold the score of another one, as a shuffled generator does.

    Parameters
    ----------
    table : DataFrame
        With `fold` and `score`.
    seed : int
        Of the order.

    Returns
    -------
    DataFrame
        The same rows, the scores of each fold in another order.
    """
    mixed = table["score"].to_numpy(copy=True)
    for fold in table["fold"].unique():
        rows = np.flatnonzero(table["fold"] == fold)
        mixed[rows] = np.random.default_rng((seed, fold)).permutation(mixed[rows])
    return table.assign(score=mixed)


FIGURES: dict[str, intervals.Statistic] = {
    "auroc": metrics.auroc,
    "accuracy": partial(metrics.accuracy, threshold=HALF),
    "sensitivity": partial(metrics.sensitivity, threshold=HALF),
    "specificity": partial(metrics.specificity, threshold=HALF),
}
"""What is computed of every run, each 0–1."""


def compare(scored: Sequence[pd.DataFrame], positive: str = CLASSES[1]) -> pd.DataFrame:
    """Compute figures with intervals, and what each flaw adds to those of the sound run.

    Parameters
    ----------
    scored : sequence of DataFrame
        From `score`, on the same records; the sound one first.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame
        One row a run and figure: `flaw, figure, value, low, high, gain, gain_low, gain_high`.
        Intervals resample the true groups, also where the split ignored them; the gain is
        paired, flaw minus sound on the same images.
    """
    sound = scored[0]
    rows = []
    for table in tqdm(scored, "Intervals", unit="flaw", leave=False):
        labels, groups = table["label"] == positive, table["group"]
        for name, figure in FIGURES.items():
            found = intervals.group_bootstrap(figure, labels, table["score"], groups)
            gain = intervals.paired_group_bootstrap(
                figure, labels, table["score"], sound["score"], groups
            )
            rows.append((table["head"].iloc[0], name, *found, *gain))
    columns = ["flaw", "figure", "value", "low", "high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns)


def tabulate(found: pd.DataFrame, flaws: Sequence[Flaw], caption: str) -> tuple[Table, Table]:
    """Write what the flaws do, and what they are, for people.

    Parameters
    ----------
    found : DataFrame
        From `compare`.
    flaws : sequence of Flaw
        Those that were run, in this order.
    caption : str
        Which images, split and unit stand behind the figures.

    Returns
    -------
    figures : Table
        One row a flaw: each figure with its interval and, after the sound run, what it adds.
    explained : Table
        One row a flaw: the sentence for students.
    """
    shown = []
    for flaw in flaws:
        mine = found[found["flaw"] == flaw.name].set_index("figure")
        shown.append((flaw.name, *(_cell(mine.loc[name], flaw is SOUND) for name in FIGURES)))
    columns = ("Evaluation", "AUROC", "Accuracy, %", "Sensitivity, %", "Specificity, %")
    return (
        Table("What each flaw does to the figures", caption, columns, tuple(shown)),
        Table(
            "The flaws in a sentence each",
            "One is switched on at a time; the last two runs have them all.",
            ("Evaluation", "What is done"),
            tuple((flaw.name, flaw.said) for flaw in flaws),
        ),
    )


def _cell(row: pd.Series, alone: bool) -> str:
    """Write a figure with its interval and, behind a semicolon, its paired difference."""
    scale, digits = (1, 3) if row.name == "auroc" else (100, 1)
    value = _written(row[["value", "low", "high"]], scale, digits)
    return value if alone else f"{value}; {signed(row, scale, digits)}"


def signed(row: pd.Series, scale: float, digits: int) -> str:
    """Write a paired difference for people.

    Parameters
    ----------
    row : Series
        `gain`, `gain_low` and `gain_high`.
    scale : float
        What they are multiplied by: 100 makes points of shares.
    digits : int
        After the point.

    Returns
    -------
    str
        With its sign and interval, such as "+0.02 (−0.01 to 0.05)".
    """
    said = _written(row[["gain", "gain_low", "gain_high"]], scale, digits)
    return said if said.startswith(("−", "–")) else f"+{said}"


def _written(figure: pd.Series, scale: float, digits: int) -> str:
    known = [None if np.isnan(number) else scale * number for number in figure]
    return with_interval(dict(zip(("value", "low", "high"), known, strict=True)), digits)


_DRAWN = ("auroc", "accuracy")


def draw(found: pd.DataFrame) -> Figure:
    """Draw AUROC and accuracy of every run beside the sound one.

    Parameters
    ----------
    found : DataFrame
        From `compare`.

    Returns
    -------
    Figure
        Points with 95 % intervals; the line marks the sound run, the band its interval.
    """
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name, title in zip(panels, _DRAWN, ("AUROC", "Accuracy"), strict=True):
        rows = found[found["figure"] == name].iloc[::-1]
        sound = rows.iloc[-1]
        axes.axvspan(sound["low"], sound["high"], color="#0072B2", alpha=0.12, linewidth=0)
        axes.axvline(sound["value"], color="#0072B2", linewidth=1)
        places = np.arange(len(rows))
        ends = np.stack([rows["value"] - rows["low"], rows["high"] - rows["value"]])
        axes.errorbar(rows["value"], places, xerr=ends, fmt="o", color="#D55E00", capsize=3)
        axes.set_yticks(places, rows["flaw"])
        axes.set_xlim(0, 1.02)
        axes.set_xlabel(title)
        axes.grid(axis="x", alpha=0.25)
    return figure


TAP = "deviation"
"""What the machines read of a network; see `features.readout`."""

TAPS = ("avg", TAP)
"""What is kept of a network: a protocol with the same taps shares the features of the sound run."""


def plan(
    network: str,
    start: str,
    records: pd.DataFrame,
    size: int | None = None,
    positive: str = CLASSES[1],
) -> dict[str, Cell]:
    """Make the cells that score every image under each of the `FLAWS`.

    Parameters
    ----------
    network : str
        A key of `BACKBONES`.
    start : str
        Its weights, which have seen none of these images; see `starts.apply`.
    records : DataFrame
        Record table with a column `fold` of grouped folds.
    size : int, optional
        Side of the input in pixels; the network's own without it.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict of str to Cell
        By name of the flaw. Features of each of the `VIEWS` are computed once for all of them.
    """
    shown = cells.frames(records)
    read: dict[str, Cell] = {}
    for frame, images in (("scan", shown), ("whole", cells.frames(records, crop=False))):
        read[frame] = cells.features(network, start, images, TAPS, size)
        read[f"{frame}, raw"] = replace(
            read[frame],
            work=f"{__name__}:unnormalised",
            title=f"{read[frame].title}, {frame}, not normalised",
        )
    planned = {}
    for flaw in FLAWS:
        names = sorted({view(flaw, "training"), view(flaw, "test")})
        facts = {name: value for name, value in asdict(flaw).items() if name != "said"}
        settings = {"flaw": facts, "views": names, "positive": positive}
        needs = (shown, *(read[name] for name in names))
        planned[flaw.name] = Cell(f"{__name__}:judge", settings, needs, f"flaw: {flaw.name}")
    return planned


def gather(
    outcome: Outcome, planned: Mapping[str, Cell], records: pd.DataFrame
) -> list[pd.DataFrame]:
    """Collect the scores of a grid.

    Parameters
    ----------
    outcome : Outcome
        Of the grid.
    planned : mapping of str to Cell
        From `plan`.
    records : DataFrame
        The table that it was made of.

    Returns
    -------
    list of DataFrame
        As `score` gives them, in the order of `FLAWS`; a failed one is left out.
    """
    known = records[["path", "group", "source", "label"]].reset_index(drop=True)
    found = {name: outcome[cell] for name, cell in planned.items() if cell in outcome}
    return [known.assign(**value, head=name) for name, value in found.items()]


def judge(
    settings: dict[str, Any], shown: dict[str, np.ndarray], *read: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Score every image under a flaw, as a cell of a grid.

    Parameters
    ----------
    settings : dict
        `flaw` (its fields), `views` (what each of `read` shows) and `positive`.
    shown : dict of str to ndarray
        From `cells.frames`.
    *read : dict of str to ndarray
        Features of these views.

    Returns
    -------
    dict of str to ndarray
        `fold` int64 (n,) and `score` float64 (n,).
    """
    fields = settings["flaw"] | {"raw": tuple(settings["flaw"]["raw"]), "said": ""}
    names = ("path", "group", "source", "label", "fold")
    records = pd.DataFrame({name: shown[name] for name in names})
    seen = {name: value[TAP] for name, value in zip(settings["views"], read, strict=True)}
    table = score(Flaw(**fields), seen, records, settings["positive"])
    return {name: table[name].to_numpy() for name in ("fold", "score")}


def unnormalised(
    settings: dict[str, Any], images: dict[str, np.ndarray], start: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Read features of images that reach the network as if `preprocess_input` were left out.

    Our networks normalise in the graph, so that nobody can forget it: the images are given to
    the layer behind the one that does.

    Parameters
    ----------
    settings : dict
        `backbone`, `size` (int or None) and `crop`, as for `cells.features`.
    images : dict of str to ndarray
        `path`.
    start : dict of str to ndarray
        `start`, as `starts.apply` takes it.

    Returns
    -------
    dict of str to ndarray
        Deviations of the last feature map, float32 (n, d).
    """
    spec = backbone(settings["backbone"])
    size = settings["size"] or spec.input_size
    # Names and seeds as in a fresh process, so that random weights are those of the sound run.
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    network = build(spec, 2, input_size=size)
    starts.apply(network, spec, str(start["start"]))
    records = pd.DataFrame({"path": images["path"].astype(str), "label": ""})
    frames = load_frames(records, ("",), size, settings["crop"])
    read = [readout(network, spec.cam_layer, TAP)]
    return {TAP: pooled_above(network, "normalise", frames.images, read)[0]}
