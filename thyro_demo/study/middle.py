"""Does the middle stage help? One table over starts and chains, with paired differences."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from thyro_demo.errors import RecipeError
from thyro_demo.files import whole
from thyro_demo.models import chain, manifest, out_of_fold, starts
from thyro_demo.models.backbones import backbone, build
from thyro_demo.models.chain import Job
from thyro_demo.models.features import pooled, readout
from thyro_demo.models.out_of_fold import CLASSES
from thyro_demo.models.pipeline import Frames, load_frames
from thyro_demo.models.recipes import precision, recipe
from thyro_demo.study import differences

BACKBONES = ("vgg16", "resnet50", "efficientnet-b0")
TUNED = ("efficientnet-b0",)
"""Networks whose chains are also fine-tuned on the thyroid frames, the others being too slow."""

TUNED_EPOCHS = 8
"""Most passes over the thyroid frames in each fold of a fine-tuning."""

FROZEN, LAST_BLOCK = "frozen", "last block"
"""What is trained on the thyroid frames: a machine alone, or the last block and the softmax."""

REFERENCE = "natural"
"""What every other chain is compared with: the same network without a middle stage."""

SIDE = 112
"""Side of the images of every middle stage here, pixels: all depths in an hour, not a day."""

IMAGES = 600
"""Most images of a middle stage here."""

EPOCHS = 3

_DRAWS_NODULES = "nodules"
"""Recipe whose network has a nodule map: heads read what lies there."""

_NODULE_SIDE = 128
"""Side of its images in place of `SIDE`: the two maps it joins need a multiple of 32 pixels."""


@dataclass(frozen=True)
class Row:
    """One chain before the frozen network meets the thyroid frames.

    Parameters
    ----------
    name : str
        As the table has it.
    base : str or None
        The row whose network it goes on from; None starts from random weights.
    recipe : str or None
        The recipe that trains it, on `IMAGES` images of `SIDE` pixels; "shipped" takes the
        network of the shipped bundle, None that of the base as it is.
    """

    name: str
    base: str | None
    recipe: str | None


ROWS = (
    Row("random", None, None),
    Row(REFERENCE, None, "natural-64"),
    Row("radiographs alone", "random", "radiographs-all"),
    Row("natural → radiographs, last block", REFERENCE, "radiographs"),
    Row("natural → radiographs, last two blocks", REFERENCE, "radiographs-two-blocks"),
    Row("natural → radiographs, all", REFERENCE, "radiographs-all"),
    Row("natural → radiographs → phantoms, as shipped", REFERENCE, "shipped"),
    Row("natural → breast", REFERENCE, "breast"),
    Row("natural → radiographs → breast", "natural → radiographs, last block", "breast"),
    Row("natural → radiographs → nodules", "natural → radiographs, last block", "nodules"),
)


def run(data: Path, work: Path, networks: dict[str, Path]) -> pd.DataFrame:
    """Train every chain on every network and score the thyroid frames out of fold.

    Each network stays frozen and a machine reads it; those of `TUNED` are fine-tuned as well,
    and then their softmax is read.

    Parameters
    ----------
    data : Path
        Folder that holds all sets by name.
    work : Path
        Where networks, features and results go; what is there is not computed again.
    networks : dict of str to Path
        For each backbone the `.keras` file of its natural stage.

    Returns
    -------
    DataFrame
        One row a backbone, way of training and chain: `backbone, trained` ("frozen" or "last
        block"), `chain`, and for each source and "all" an AUROC with `low` and `high`, and
        `gain`, `gain_low`, `gain_high` against `REFERENCE`, trained in the same way.

    Raises
    ------
    RecipeError
        If a network file is missing, or a chain cannot be run.
    DataError
        If a set is not in the layout that is read.
    """
    for name, file in networks.items():
        if not file.is_file():
            raise RecipeError(
                f"The study of {name} starts from the network of its natural stage, as `train "
                f"natural-64 --backbone {name}` writes it. Received: {file}, which is missing."
            )
    records = differences.frames(data, work)
    size = backbone(next(iter(networks))).input_size
    frames = load_frames(records, CLASSES, size)
    tables = []
    ways = [(name, FROZEN) for name in networks]
    ways += [(name, LAST_BLOCK) for name in networks if name in TUNED]
    with tqdm(total=len(ways) * len(ROWS), desc="Chains", unit="chain") as bar:
        for name, trained in ways:
            scored: dict[str, pd.DataFrame] = {}
            for row in ROWS:
                place = _Place(row, name, networks[name], data, work)
                if trained == FROZEN:
                    scored[row.name] = _scored(place, records, frames)
                else:
                    scored[row.name] = _tuned(place)
                bar.update(1)
            compared = differences.against(scored, REFERENCE, "chain")
            compared.insert(0, "backbone", name)
            compared.insert(1, "trained", trained)
            tables.append(compared)
    table = pd.concat(tables, ignore_index=True)
    with whole(work / "middle.csv") as temporary:
        table.to_csv(temporary, index=False)
    with whole(work / "middle.png") as temporary:
        draw(table).savefig(temporary, dpi=120)
    return table


@dataclass(frozen=True)
class _Place:
    """One chain on one network: where its natural stage lies, and where its results go."""

    row: Row
    name: str
    natural: Path
    data: Path
    work: Path

    @property
    def folder(self) -> Path:
        plain = self.row.name.replace("→", "to").replace(",", "").replace(" ", "-")
        return self.work / self.name / plain

    def base(self) -> "_Place":
        return replace(self, row=next(row for row in ROWS if row.name == self.row.base))


def _scored(place: _Place, records: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """Give a frozen chain's out-of-fold scores, computed once and kept."""
    file = place.folder / "oof.csv"
    if not file.exists():
        features = _features(place, frames)
        found = out_of_fold.score_features(features, records)
        with whole(file) as temporary:
            found.to_csv(temporary, index=False)
    return pd.read_csv(file, dtype={"group": str})


def _tuned(place: _Place) -> pd.DataFrame:
    """Give the out-of-fold scores of a chain whose last block is trained in every fold."""
    work = place.folder / "tuned"
    chosen = replace(recipe("last-block", place.name), heads=("softmax",), primary="softmax")
    if place.row.recipe == _DRAWS_NODULES:
        chosen = replace(chosen, network_head="nodule", pooling="nodule")
    job = Job(chosen, place.name, place.data, work, work / "none", _network(place), TUNED_EPOCHS)
    return chain.cross_validate(job).rename(columns={"probability": "score"})


def _network(place: _Place) -> str:
    """Give the start that holds a chain's network, trained if it has to be."""
    wanted, name = place.row.recipe, place.name
    if wanted is None:
        return "none"
    if wanted == "natural-64":
        return str(place.natural)
    if wanted == "shipped":
        return str(manifest.weights_root() / name)
    out = place.folder / "network.keras"
    if not out.exists():
        chosen = recipe(wanted, name)
        ((source, stage),) = chosen.stages
        side = _NODULE_SIDE if wanted == _DRAWS_NODULES else SIDE
        small = replace(stage, input_size=side, limit=IMAGES, epochs=EPOCHS, patience=None)
        known = replace(chosen, stages=((source, small),))
        chain.run(Job(known, name, place.data, place.folder, out, _network(place.base())))
    return str(out)


def _features(place: _Place, frames: Frames) -> np.ndarray:
    """Pool the frames by a frozen network, in the faster arithmetic."""
    import keras

    spec = backbone(place.name)
    finds = place.row.recipe == _DRAWS_NODULES
    keras.config.set_dtype_policy(precision(place.name))
    try:
        keras.utils.set_random_seed(0)
        network = build(spec, len(CLASSES), "nodule" if finds else "softmax")
        starts.apply(network, spec, _network(place))
        read = readout(network, spec.cam_layer, "nodule" if finds else "deviation")
        return pooled(network, frames.images, [read])[0]
    finally:
        keras.config.set_dtype_policy("float32")


def draw(table: pd.DataFrame) -> Figure:
    """Draw the gain of each chain over natural images alone, a panel a network.

    Parameters
    ----------
    table : DataFrame
        From `run`.

    Returns
    -------
    Figure
        Points with 95 % intervals; zero is the network without a middle stage.
    """
    rows = table[(table["source"] == "all") & (table["chain"] != REFERENCE)]
    columns = _columns(rows)
    figure = Figure(figsize=(3.2 + 2.5 * len(columns), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(columns), sharey=True, sharex=True))
    for axes, (title, mine) in zip(panels, columns.items(), strict=True):
        mine = mine.iloc[::-1]
        places = np.arange(len(mine))
        ends = np.stack([mine["gain"] - mine["gain_low"], mine["gain_high"] - mine["gain"]])
        axes.errorbar(mine["gain"], places, xerr=ends, fmt="o", color="#1f4e79", capsize=3)
        axes.axvline(0, color="#888888", linewidth=1)
        axes.set_yticks(places, mine["chain"])
        axes.set_title(title.replace(", ", ",\n"), fontsize="medium")
    figure.supxlabel("AUROC minus that of natural alone")
    return figure


def _columns(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Part a table by network and by what is trained, under the names that readers see."""
    parts = rows.groupby(["backbone", "trained"], sort=False)
    return {
        backbone(name).title + ("" if trained == FROZEN else f", {trained} tuned"): part
        for (name, trained), part in parts
    }


def markdown(table: pd.DataFrame) -> str:
    """Write the table that the README shows.

    Parameters
    ----------
    table : DataFrame
        From `run`.

    Returns
    -------
    str
        Markdown: for each chain and network the AUROC over all frames and, in brackets, its
        gain over natural images alone with a 95 % interval.
    """
    rows = table[table["source"] == "all"]
    columns = _columns(rows)
    lines = ["| Chain | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    for title in dict.fromkeys(rows["chain"]):
        cells = []
        for part in columns.values():
            found = part[part["chain"] == title].to_dict("records")
            cells.append(_cell(found[0], title == REFERENCE) if found else "–")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], plain: bool) -> str:
    if plain:
        return f"{row['auroc']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
    gain = f"{row['gain']:+.3f} ({row['gain_low']:+.3f} to {row['gain_high']:+.3f})"
    return f"{row['auroc']:.3f}, {gain}".replace("-", "−")
