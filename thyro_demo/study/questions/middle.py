"""Does the middle stage help? One table over networks and chains, with paired differences."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from thyro_demo.bundle import manifest
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate.forest_plot import forest_plot
from thyro_demo.evaluate.results import Cell, Column, Result, figure
from thyro_demo.files import atomic_write
from thyro_demo.models.backbones import backbone
from thyro_demo.study.graph import Job
from thyro_demo.study.questions import paired, short_chains
from thyro_demo.study.setting import thyroid_frames
from thyro_demo.study.steps import networks
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.recipes import recipe
from thyro_demo.training.run import cross_validate

BACKBONES = ("vgg16", "resnet50", "efficientnet-b0")
FINE_TUNED = ("efficientnet-b0",)
"""Networks whose chains are also fine-tuned on the thyroid frames, the others being too slow."""

FINE_TUNED_EPOCHS = 8
"""Most passes over the thyroid frames in each fold of a fine-tuning."""

FROZEN, LAST_BLOCK = "frozen", "last block"
"""What is trained on the thyroid frames: an SVM alone, or the last block and the softmax."""

_SHIPPED = "shipped"

REFERENCE = "natural"
"""What every other chain is compared with: the same network without a middle stage."""


@dataclass(frozen=True)
class Row:
    """One chain before the frozen network meets the thyroid frames.

    Parameters
    ----------
    name : str
        As the table has it.
    base : str or None
        The row whose network it goes on from; None takes random weights.
    recipe : str or None
        The recipe that trains it, on a few small images (`short_chains`); "shipped" takes the
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
    Row("as shipped", REFERENCE, _SHIPPED),
    Row("natural → breast", REFERENCE, "breast"),
    Row("natural → radiographs → breast", "natural → radiographs, last block", "breast"),
    Row("natural → radiographs → nodules", "natural → radiographs, last block", "nodules"),
)


def run(data: Path, work: Path, natural: dict[str, Path]) -> pd.DataFrame:
    """Train every chain on every network and score the thyroid frames out of fold.

    Each network stays frozen and an SVM reads it; those of `FINE_TUNED` are fine-tuned as well,
    unless they draw a nodule map, and then their softmax is read.

    Parameters
    ----------
    data : Path
        Folder that holds all sets by name.
    work : Path
        Where networks, features and results go; what is there is not computed again.
    natural : dict of str to Path
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
    for name, file in natural.items():
        if not file.is_file():
            raise RecipeError(
                f"The network of the natural stage of {name} must be there, as `train natural-64 "
                f"--backbone {name}` writes it. Received: {file}, which is missing."
            )
    records = thyroid_frames(data, work)
    shown = networks.frames(records)
    tables = []
    ways = [(name, FROZEN) for name in natural]
    ways += [(name, LAST_BLOCK) for name in natural if name in FINE_TUNED]
    planned = {
        (name, trained): [
            place
            for place in (_Place(row, name, natural[name], data, work) for row in ROWS)
            # With a nodule map, heads read a map below the last block too: no cut is there.
            if trained == FROZEN or not _draws_nodules(place)
        ]
        for name, trained in ways
    }
    with tqdm(total=sum(map(len, planned.values())), desc="Chains", unit="chain") as bar:
        for (name, trained), places in planned.items():
            scored: dict[str, pd.DataFrame] = {}
            for place in places:
                scored[place.row.name] = (
                    _frozen(place, records, shown) if trained == FROZEN else _fine_tuned(place)
                )
                bar.update(1)
            compared = paired.against(scored, REFERENCE, "chain")
            compared.insert(0, "backbone", name)
            compared.insert(1, "trained", trained)
            tables.append(compared)
    table = pd.concat(tables, ignore_index=True)
    with atomic_write(work / "middle.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_write(work / "middle.png") as temporary:
        draw(table).savefig(temporary, dpi=120)
    return table


@dataclass(frozen=True)
class _Place:
    """One chain on one network: where its natural stage is, and where its results go."""

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


def _frozen(place: _Place, records: pd.DataFrame, shown: Job) -> pd.DataFrame:
    """Score the frames out of fold by an SVM on a chain's frozen network, in fast arithmetic."""
    tap = "nodule" if _draws_nodules(place) else "std"
    return short_chains.score(place.name, _network(place), tap, records, shown, place.work / "jobs")


def _fine_tuned(place: _Place) -> pd.DataFrame:
    """Score the frames out of fold by a chain whose last block is trained in every fold."""
    work = place.folder / "fine-tuned"
    chosen = replace(recipe("last-block", place.name), heads=("softmax",), primary="softmax")
    job = TrainingJob(
        chosen, place.name, place.data, work, work / "none", _network(place), FINE_TUNED_EPOCHS
    )
    return cross_validate(job).rename(columns={"probability": "score"})


def _draws_nodules(place: _Place) -> bool:
    """Check whether the network of a chain has a nodule map, which is then what heads read by."""
    if place.row.recipe == _SHIPPED:
        return manifest.read_manifest(_network(place)).get("pooling") == "nodule"
    return place.row.recipe == short_chains.NODULES


def _network(place: _Place) -> str:
    """Find the initial weights that hold a chain's network, trained if they have to be."""
    wanted, name = place.row.recipe, place.name
    if wanted is None:
        return "none"
    if wanted == "natural-64":
        return str(place.natural)
    if wanted == _SHIPPED:
        return str(manifest.weights_root() / name)
    return short_chains.train(wanted, name, place.data, place.folder, _network(place.base()))


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
    panels = {
        title.replace(", ", ",\n"): {
            row["chain"]: (row["gain"], row["gain_low"], row["gain_high"])
            for row in part.to_dict("records")
        }
        for title, part in _columns(rows).items()
    }
    return forest_plot(panels, "AUROC minus that of natural alone", reference=0)


def _columns(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Part a table by network and by what is trained, under the names that readers see."""
    parts = rows.groupby(["backbone", "trained"], sort=False)
    return {
        backbone(name).title + ("" if trained == FROZEN else f", {trained} fine-tuned"): part
        for (name, trained), part in parts
    }


def result(table: pd.DataFrame) -> Result:
    """Make the table that a README shows.

    Parameters
    ----------
    table : DataFrame
        From `run`.

    Returns
    -------
    Result
        For each chain and network the AUROC over all frames and its gain over natural images
        alone; of these the AUROC with its interval.
    """
    rows = table[table["source"] == "all"]
    found: dict[str, dict[str, Cell]] = {name: {"chain": name} for name in rows["chain"]}
    for title, part in _columns(rows).items():
        for row in part.to_dict("records"):
            ends = (row["auroc"], row["low"], row["high"])
            gain = (row["gain"], row["gain_low"], row["gain_high"])
            plain = row["chain"] == REFERENCE
            cell = figure(ends) if plain else figure((row["auroc"], None, None), gain)
            found[row["chain"]][title] = cell
    return Result(
        what="AUROC of each chain on the thyroid frames, and its paired difference to the same "
        "network, used in the same way, that saw natural images alone.",
        made_by="python -m thyro_demo study middle --data sets --out runs/middle",
        note="Intervals are not widened for the many comparisons.",
        **paired.ABOUT,
        columns=(
            Column(key="chain", title="Chain"),
            *(Column(key=title, title=title, show="figure") for title in _columns(rows)),
        ),
        rows=tuple(found.values()),
    )
