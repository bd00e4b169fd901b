"""Two ways to keep a heatmap on the nodule: lead the loss there, or weigh the pooling."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.bundle import manifest
from thyro_demo.bundle.bundle import POSITIVE, Bundle
from thyro_demo.data.records import PHANTOM
from thyro_demo.engine import score_records
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.evaluate.results import Cell, Column, Interval, Result, figure
from thyro_demo.files import atomic_write, sha256
from thyro_demo.models.backbones import backbone
from thyro_demo.study.questions import outlines
from thyro_demo.study.report import cards
from thyro_demo.training import initial_weights, nodule_stage, outlined_set, stage_images
from thyro_demo.training.frozen_cache import Views, cache_views, freeze
from thyro_demo.training.loop import train_stage
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.pretrain import new_network
from thyro_demo.training.recipes import recipe
from thyro_demo.training.stage import Stage

SIDE, VIEWS = 192, 2
"""Side of the images, pixels, and views of each: all trainings in an hour of two cores."""


class Way(NamedTuple):
    """One way to train the network on the frames with outlines.

    Attributes
    ----------
    head : str
        Of the network; see `networks.build`.
    guidance : float
        See `train_stage`.
    """

    head: str
    guidance: float


WAYS = {
    "label alone": Way("softmax", 0.0),
    "loss led into the outline": Way("softmax", 1.0),
    "loss led into the outline, ten times as hard": Way("softmax", 10.0),
    "pooling weighted with a nodule map": Way("nodule", 0.0),
}


def run(name: str, data: Path, work: Path, weights: str) -> Result:
    """Train one network in each way, on the same frames, and measure its heatmaps.

    Parameters
    ----------
    name : str
        A key of `backbones.BACKBONES` whose row has a finer map.
    data : Path
        Folder that holds the sets by name; `ddti` and `thyroid_us` must be among them.
    work : Path
        Where networks are kept; a killed run goes on from there.
    weights : str
        What each training begins with; see `initial_weights.load`.

    Returns
    -------
    Result
        A row a way: pointing game and energy of its heatmaps, with the gains over a Gaussian at the
        centre, on DDTI frames whose outlines it has not learned; the energy inside the outline of
        another case; the AUROC of its softmax on drawn patients that were set aside. Then the
        nodule map itself as a heatmap, and the Gaussian.

    Raises
    ------
    DataError
        If a set is not in the layout that is read, or no outline is left to measure by.
    RecipeError
        If the network cannot be trained so, or may know the outlines, as that of a bundle does; if
        `work` holds networks of other initial weights or images.
    """
    learned = manifest.trained_on(weights).get("training_outlines")
    if manifest.bundle_of(weights) is not None or learned:
        raise RecipeError(
            "The initial weights must be of a network that has learned no outline, such as "
            f"radiographs.keras of a bundle. Received: {weights}."
        )
    ((_, stage),) = recipe("nodules", name, weights).stages
    stage = replace(stage, input_size=SIDE, views=VIEWS)
    records = nodule_stage.read(data, work, stage_images.thyroid(data))
    _claim(work, stage, weights, stage_images.content(records, data))
    met = [sha256(path) for path in records.loc[records["source"] != PHANTOM, "path"]]
    measured = cards.unlearned(data / "ddti", [{"training_outlines": met, "training_images": []}])
    drawn = (records["source"] == PHANTOM) & (records["split"] == "validation")
    aside = records[drawn & records["label"].isin(CLASSES)]
    rows: list[dict[str, Cell]] = []
    blind: dict[str, Cell] = {}
    with tqdm(total=len(WAYS), desc="Ways", unit="way") as bar:
        for way, network in _trained(name, stage, records, work, weights):
            bundle = outlines.bare_bundle(name, network)
            found = outlines.summarise(outlines.localise(bundle, measured), bundle)
            rows.append({"way": way} | _cells(found["heads"][outlines.HEAD]))
            rows[-1]["auroc"] = _auroc(bundle, aside)
            rows[-1]["shuffled"] = figure(found["shuffled"][outlines.HEAD]["energy"])
            if "nodule" in found:
                pointing = figure(found["nodule"]["pointing"])
                rows.append({"way": "that nodule map itself", "pointing": pointing})
            blind = {"way": "a Gaussian at the centre"} | _cells(found["gaussian"])
            bar.update(1)
    return _table(name, [*rows, blind], measured, len(aside))


def _claim(work: Path, stage: Stage, weights: str, images: str) -> None:
    """Leave a note of what networks are trained from, or refuse those that began otherwise."""
    file = manifest.network_file(weights)
    known = sha256(file) if file is not None and file.is_file() else weights
    facts = json.dumps({"stage": asdict(stage), "weights": known, "images": images}, indent=1)
    note = work / "guidance.json"
    if note.is_file() and note.read_text(encoding="utf-8") != facts:
        raise RecipeError(
            "A work folder must be empty or hold networks of the same initial weights, stage and "
            f"images; choose another --out folder or delete this one. Received: {work}."
        )
    with atomic_write(note) as temporary:
        temporary.write_text(facts, encoding="utf-8")


def _trained(
    name: str, stage: Stage, records: pd.DataFrame, work: Path, weights: str
) -> Iterator[tuple[str, keras.Model]]:
    """Train the network in each way, unless it was; what is frozen runs once for each head."""
    spec = backbone(name)
    frames = nodule_stage.load(records, SIDE)
    parts = outlined_set.drawn_rows(records), np.flatnonzero(records["split"] == "validation")
    views: dict[str, Views] = {}
    for way, (head, guidance) in WAYS.items():
        folder = work / way.replace(",", "").replace(" ", "-")
        file = folder / "network.keras"
        network = new_network(spec, stage, len(CLASSES), SIDE, head)
        if file.exists():
            network.load_weights(file)
        else:
            initial_weights.load(network, spec, weights)
            freeze(network, spec, stage.trainable)
            if head not in views:
                views[head] = cache_views(network, spec, stage, frames, parts)
            train_stage(network, spec, stage, frames, *parts, folder, views[head], guidance)
            with atomic_write(file) as temporary:
                network.save(temporary)
        yield way, network


def _auroc(bundle: Bundle, records: pd.DataFrame) -> Cell:
    """Compute the AUROC of the softmax on labelled frames."""
    scored = score_records(bundle, records)
    positive = scored["label"] == CLASSES[POSITIVE]
    return figure(
        intervals.group_bootstrap(metrics.auroc, positive, scored["score"], scored["group"])
    )


def _cells(figures: dict[str, Any]) -> dict[str, Cell]:
    return {key: figure(figures[key], figures.get(f"{key}_gain")) for key in ("pointing", "energy")}


def _table(name: str, rows: list[dict[str, Cell]], measured: pd.DataFrame, drawn: int) -> Result:
    groups = measured["group"].nunique()
    return Result(
        what=f"Heatmaps of the softmax of one network, {backbone(name).title}, trained on the same "
        f"outlined frames in several ways: on {len(measured)} DDTI frames of {groups} cases whose "
        "outlines were not learned, with the gain over a Gaussian at the centre, and its AUROC on "
        f"{drawn} phantoms that were set aside.",
        made_by="python -m thyro_demo study guidance --data sets --out runs/guidance",
        split="cases and drawn patients of which no network has learned anything",
        unit="group",
        interval=Interval(method="bootstrap of whole groups", resamples=intervals.RESAMPLES),
        note="Intervals are not widened for the many comparisons.",
        columns=(
            Column(key="way", title="Trained with"),
            Column(key="pointing", title="Pointing game", show="figure"),
            Column(key="energy", title="Energy", show="figure"),
            Column(key="shuffled", title="Energy in another case's outline", show="figure"),
            Column(key="auroc", title="AUROC, phantoms", show="figure"),
        ),
        rows=tuple(rows),
    )
