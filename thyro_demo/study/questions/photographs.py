"""Ask whether a better reader of photographs becomes a better reader of nodules.

Asked of networks on photographs by Kornblith et al. 2019, "Do better ImageNet models transfer
better?"; here of one network that learns them longer and longer.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.bundle import network_file
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import intervals
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.evaluate.results import Cell, Column, Result, figure
from thyro_demo.explain import evaluate_maps
from thyro_demo.models.backbones import backbone
from thyro_demo.models.pipeline import Frames, load_frames
from thyro_demo.study.questions import cross_validation, outlines, paired, short_chains
from thyro_demo.study.report import cards
from thyro_demo.study.setting import thyroid_frames
from thyro_demo.study.steps import networks
from thyro_demo.training import nodule_stage
from thyro_demo.training.job import TrainingJob, network_of
from thyro_demo.training.recipes import recipe
from thyro_demo.training.run import run_once
from thyro_demo.training.sources import SOURCES

CYCLES = (3, 6, 8)
"""Passes of each cycle after the natural stage's own; each cycle anneals to the end."""

MOST = 20
"""Passes at which the longest chain ends, unless fewer are wanted."""

_SIDE = 64
"""Side of the photographs, pixels."""


class _Found(NamedTuple):
    """What one network was found to do: photographs it names, scores and maps by frame."""

    named: Interval
    scores: list[pd.DataFrame]
    maps: pd.DataFrame


def run(name: str, data: Path, work: Path, natural: Path, most: int = MOST) -> Result:
    """Train a network on photographs longer and longer, and judge each on thyroid frames.

    Parameters
    ----------
    name : str
        A key of `backbones.BACKBONES` whose row has a finer map.
    data : Path
        Folder that holds all sets by name.
    work : Path
        Where networks, features and scores are kept; a killed run goes on from there.
    natural : Path
        `.keras` file of its natural stage, as `train natural-64` writes it.
    most : int
        Passes at which to end; cycles that go on beyond are left out.

    Returns
    -------
    Result
        A row a network: the share of photographs that it names (top-1); the AUROC of an SVM on the
        frozen network; and the pointing game and Dice of the nodule map that it draws after short
        stages of radiographs and outlined nodules, on DDTI frames whose outlines it has not
        learned. Each with its paired difference to the network of fewest passes.

    Raises
    ------
    RecipeError
        If the network file is missing, or the network draws no nodule map.
    DataError
        If a set is not in the layout that is read, or no outline is left to measure by.
    """
    if not natural.is_file():
        raise RecipeError(
            f"The network of the natural stage of {name} must be there, as `train natural-64 "
            f"--backbone {name}` writes it. Received: {natural}, which is missing."
        )
    network_of(TrainingJob(recipe(short_chains.NODULES, name), name, data, work, work))
    photographs = _photographs(data)
    records = thyroid_frames(data, work)
    shown = networks.frames(records)
    found: dict[int, _Found] = {}
    for passes, file in _longer(name, data, work, natural, most):
        folder = work / f"{passes}-passes"
        scores = short_chains.score(name, file, "std", records, shown, work / "jobs")
        found[passes] = _Found(
            _named(file, photographs),
            [scores.rename(columns={"score": "probability"})],
            _maps(name, data, folder, file),
        )
    return _table(name, found)


def _longer(
    name: str, data: Path, work: Path, natural: Path, most: int
) -> Iterator[tuple[int, str]]:
    """Yield the passes and the file of each network, trained if it was not before."""
    ((_, stage),) = recipe("natural-64", name).stages
    passes, file = stage.epochs, natural
    with tqdm(total=most, initial=passes, desc="Photographs", unit="pass") as bar:
        yield passes, str(file)
        for cycle in CYCLES:
            if passes + cycle > most:
                return
            passes += cycle
            out = work / f"{passes}-passes.keras"
            known, log = recipe("natural-more", name), work / f"{passes}-passes" / "natural"
            file = run_once(TrainingJob(known, name, data, log, out, str(file), cycle))
            bar.update(cycle)
            yield passes, str(file)


def _photographs(data: Path) -> Frames:
    """Read the photographs that no pass trains on."""
    source = SOURCES["natural"]
    records = source.read(str(data / source.folder))
    classes = tuple(sorted(set(records["label"])))
    aside = records[records["split"] == "validation"].reset_index(drop=True)
    return load_frames(aside, classes, _SIDE, source.crop)


def _named(file: str, photographs: Frames) -> Interval:
    """Compute the share of photographs whose name a network finds first."""
    network = network_file.load(Path(file))
    scores = network.predict(photographs.images, batch_size=64, verbose=0)
    right = np.argmax(scores, axis=1) == photographs.labels
    return intervals.share(int(right.sum()), len(right))


def _maps(name: str, data: Path, folder: Path, weights: str) -> pd.DataFrame:
    """Let a network learn radiographs, then outlines, and measure the nodule map frame by frame."""
    radiographs = short_chains.train("radiographs", name, data, folder / "radiographs", weights)
    nodules = folder / "nodules"
    network = network_file.load(
        Path(short_chains.train(short_chains.NODULES, name, data, nodules, radiographs))
    )
    met = nodule_stage.learned_outlines(nodules / short_chains.NODULES)
    measured = cards.unlearned(data / "ddti", [{"training_outlines": met, "training_images": []}])
    return outlines.localise(outlines.bare_bundle(name, network), measured).frames


def _table(name: str, found: dict[int, _Found]) -> Result:
    first = next(iter(found.values()))
    rows: list[dict[str, Cell]] = []
    for passes, one in found.items():
        auroc = cross_validation.repeated(one.scores)["svm"]
        gains = cross_validation.gained(one.scores, first.scores)["svm"]
        row: dict[str, Cell] = {"passes": passes, "named": figure(one.named)}
        for key, value in auroc.items():
            row[key] = figure(value, None if one is first else gains[key])
        for key in ("pointing", "dice"):
            gain = None if one is first else _gain(one.maps, first.maps, key)
            row[key] = figure(evaluate_maps.average(one.maps, key), gain)
        rows.append(row)
    real, maps = cross_validation.real(first.scores[0]), first.maps
    return Result(
        what=f"{backbone(name).title} after so many passes over Tiny ImageNet: photographs that it "
        f"names (top-1 of {_SIDE} × {_SIDE} pixels that it was not trained on), AUROC of an SVM on "
        f"the frozen network ({len(real)} real frames), and the nodule map that it draws after "
        f"short stages of radiographs and outlined nodules ({len(maps)} DDTI frames of "
        f"{maps['group'].nunique()} cases whose outlines it has not learned). With the paired "
        "difference to the fewest passes.",
        made_by=f"python -m thyro_demo study photographs --backbone {name} --passes {max(found)} "
        "--data sets --out runs/photographs",
        note="A photograph is a unit of its own. Intervals are not widened for the many "
        "comparisons.",
        **paired.ABOUT,
        columns=(
            Column(key="passes", title="Passes", show="count"),
            Column(key="named", title="Photographs named", show="figure"),
            Column(key=cross_validation.ALL, title="AUROC, all", show="figure"),
            Column(key=cross_validation.WITHIN, title="Within sources", show="figure"),
            Column(key="pointing", title="Map, pointing game", show="figure"),
            Column(key="dice", title="Map, Dice", show="figure"),
        ),
        rows=tuple(rows),
    )


def _gain(frames: pd.DataFrame, others: pd.DataFrame, key: str) -> dict[str, float | None]:
    """Average the differences of two maps, frame by frame, with an interval over cases."""
    paths = frames["path"]
    less = others.set_index("path").loc[paths, key].to_numpy()
    return evaluate_maps.average(frames.assign(gain=frames[key] - less), "gain")
