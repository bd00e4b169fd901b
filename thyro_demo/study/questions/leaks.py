"""What each flaw of a first evaluation does to its figures, one flaw switched on at a time.

The first evaluation of P1 reported validation accuracies over 80 % beside confusion matrices with
a specificity below 40 %, of the same networks. Here one frozen network and one kind of head are
judged soundly, and then again under each flaw of that evaluation, on the same images.

`score` needs features and a record table alone; `plan` makes jobs of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from scipy.special import expit
from tqdm.auto import tqdm

from thyro_demo.data import splits
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.formatting import with_interval
from thyro_demo.evaluate.palette import BLUE, ORANGE
from thyro_demo.models import heads
from thyro_demo.study.graph import Job, Outcome, Values
from thyro_demo.study.report.report import Table
from thyro_demo.study.steps import networks
from thyro_demo.training.out_of_fold import CLASSES

TWINS = 0.32
"""Share of the test images that the notebooks of P1 also trained on.

They list the first 80 % of each class, then its first 20 % again, and split this list anew at
random, 80 to 20. Of the list 40 % are there twice, and four in five of their twins are trained
on: 0.40 × 0.80.
"""

HALF = 0.5
"""Operating point: the SVM's own boundary, which is what `predict` of P1 went by."""

TAP = "std"
"""What the SVMs read of a network; see `features.readout`."""

TAPS = ("avg", TAP)
"""What is kept of a network: a protocol with the same taps shares the features of the sound run."""


@dataclass(frozen=True)
class Flaw:
    """One way to evaluate, sound or not.

    Parameters
    ----------
    name : str
        As tables and figures have it.
    sentence : str
        One sentence for students: what is done, and why it misleads.
    copied : float
        Share of the test images that are trained on as well, 0–1.
    image_level : bool
        Whether images are assigned to folds one by one, whoever they show.
    raw : tuple of str
        Which images reach the network without its normalisation: "training", "test", both.
    whole : bool
        Whether frames keep their borders, and with them printed text, scales and icons.
    shuffled : bool
        Whether predictions come in another order than the labels they are compared with.
    """

    name: str
    sentence: str
    copied: float = 0.0
    image_level: bool = False
    raw: tuple[str, ...] = ()
    whole: bool = False
    shuffled: bool = False


FLAWS: tuple[Flaw, ...] = tuple(
    Flaw(**facts | {"raw": tuple(facts.get("raw", ()))})
    for facts in yaml.safe_load(Path(__file__).with_name("flaws.yaml").read_text("utf-8"))
)
"""The sound run, each flaw alone, and all of them."""

SOUND = FLAWS[0]


def assigned_folds(records: pd.DataFrame, flaw: Flaw, seed: int = 0) -> np.ndarray:
    """Assign images to folds, in whole groups or one by one.

    Parameters
    ----------
    records : DataFrame
        Record table with a column `fold` of grouped folds.
    flaw : Flaw
        Whether groups are kept whole.
    seed : int
        Of an image-level split.

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
        From `assigned_folds`.
    held : int
        The fold that is tested.
    flaw : Flaw
        Reports how many of its images are trained on as well.
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
    """Score every image by SVMs trained on the other folds, as a flaw has it.

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
        the logistic function of the decision value, so that `HALF` is the SVM's boundary; it
        is no calibrated probability. `group` is the true one.
    """
    labels = (records["label"] == positive).to_numpy(int)
    # Who splits by image chooses settings by image too.
    groups = np.arange(len(records)) if flaw.image_level else records["group"].to_numpy()
    trained, asked = read[view(flaw, "training")], read[view(flaw, "test")]
    folds, scores = assigned_folds(records, flaw), np.full(len(records), np.nan)
    for held in tqdm(np.unique(folds), flaw.name, unit="fold", leave=False):
        learned, tested = parts(folds, held, flaw)
        fitted = heads.fit_uncalibrated("svm", trained[learned], labels[learned], groups[learned])
        scores[tested] = expit(heads.raw(fitted, asked[tested]))
    known = records[["path", "group", "source", "label"]].reset_index(drop=True)
    table = known.assign(fold=folds, head=flaw.name, score=scores)
    return shuffled(table) if flaw.shuffled else table


def shuffled(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Shuffle the scores of each fold among its images, as a shuffled generator does.

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
        The images, the split and the unit behind the figures.

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
            tuple((flaw.name, flaw.sentence) for flaw in flaws),
        ),
    )


def _cell(row: pd.Series, alone: bool) -> str:
    """Write a figure with its interval and, behind a semicolon, its paired difference."""
    scale, digits = (1, 3) if row.name == "auroc" else (100, 1)
    value = with_interval(row[["value", "low", "high"]].tolist(), digits, scale=scale)
    gain = row[["gain", "gain_low", "gain_high"]].tolist()
    return value if alone else f"{value}; {with_interval(gain, digits, scale=scale, plus=True)}"


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
    panels = {"AUROC": "auroc", "Accuracy": "accuracy"}
    drawn = {
        title: {
            row["flaw"]: (row["value"], row["low"], row["high"])
            for _, row in found[found["figure"] == name].iterrows()
        }
        for title, name in panels.items()
    }
    figure = forest_plot(drawn, "0–1, with 95 % interval", colours=(ORANGE,), size=(9.0, 3.8))
    for axes, rows in zip(figure.axes, drawn.values(), strict=True):
        value, low, high = next(iter(rows.values()))
        axes.axvspan(low, high, color=BLUE, alpha=0.12, linewidth=0)
        axes.axvline(value, color=BLUE, linewidth=1)
        axes.set_xlim(0, 1.02)
    return figure


def plan(
    network: str,
    weights: str,
    records: pd.DataFrame,
    size: int | None = None,
    positive: str = CLASSES[1],
) -> dict[str, Job]:
    """Make the jobs that score every image under each of the `FLAWS`.

    Parameters
    ----------
    network : str
        A key of `BACKBONES`.
    weights : str
        Its initial weights, which have seen none of these images; see `initial_weights.load`.
    records : DataFrame
        Record table with a column `fold` of grouped folds.
    size : int, optional
        Side of the input in pixels; the network's own without it.
    positive : str
        The label that counts as positive.

    Returns
    -------
    dict of str to Job
        By name of the flaw. Features of each of the `VIEWS` are computed once for all of them.
    """
    shown = networks.frames(records)
    seen = {"scan": shown, "whole": networks.frames(records, crop=False)}
    read = {}
    for frame, images in seen.items():
        read[frame] = networks.features(network, weights, images, TAPS, size)
        read[f"{frame}, raw"] = networks.features(
            network, weights, images, (TAP,), size, normalised=False
        )
    planned = {}
    for flaw in FLAWS:
        names = sorted({view(flaw, "training"), view(flaw, "test")})
        facts = {name: value for name, value in asdict(flaw).items() if name != "sentence"}
        settings = {"flaw": facts, "views": names, "positive": positive}
        needs = (shown, *(read[name] for name in names))
        planned[flaw.name] = Job(judge, settings, needs, f"flaw: {flaw.name}")
    return planned


def gather(
    outcome: Outcome, planned: Mapping[str, Job], records: pd.DataFrame
) -> list[pd.DataFrame]:
    """Collect the scores of a graph.

    Parameters
    ----------
    outcome : Outcome
        Of the graph.
    planned : mapping of str to Job
        From `plan`.
    records : DataFrame
        The table that it was made of.

    Returns
    -------
    list of DataFrame
        As from `score`, in the order of `FLAWS`; a failed one is left out.
    """
    known = records[["path", "group", "source", "label"]].reset_index(drop=True)
    found = {name: outcome[job] for name, job in planned.items() if job in outcome}
    return [known.assign(**value, head=name) for name, value in found.items()]


def judge(settings: dict[str, Any], shown: Values, *read: Values) -> Values:
    """Score every image under a flaw, as a step of a graph; see `plan`."""
    flaw = Flaw(**settings["flaw"] | {"raw": tuple(settings["flaw"]["raw"]), "sentence": ""})
    names = ("path", "group", "source", "label", "fold")
    records = pd.DataFrame({name: shown[name] for name in names})
    seen = {name: value[TAP] for name, value in zip(settings["views"], read, strict=True)}
    table = score(flaw, seen, records, settings["positive"])
    return {name: table[name].to_numpy() for name in ("fold", "score")}
