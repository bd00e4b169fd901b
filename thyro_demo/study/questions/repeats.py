"""Several splits into folds: a figure that moves with the split is noise."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.bundle import manifest
from thyro_demo.evaluate.results import Cell, Column, Result, figure
from thyro_demo.study.questions import cross_validation, ensembles, paired

SPLITS = 5


def run(
    root: Path,
    data: Path,
    work: Path,
    earlier: Path | None = None,
    names: Sequence[str] = (),
) -> Result:
    """Score the thyroid frames out of fold by the bundles of a folder, split after split.

    Parameters
    ----------
    root : Path
        Folder of the bundles, whose networks were frozen on thyroid frames.
    data : Path
        The thyroid set, or the folder that holds all sets by name.
    work : Path
        Where the scores go; a killed run goes on from there.
    earlier : Path, optional
        Folder of other bundles: each bundle is compared with the one of its name there, on the same
        frames in the same folds, phantoms included: as many as the bundle of `root` is trained on.
    names : sequence of str
        Bundles of the folder; all without any.

    Returns
    -------
    Result
        A row a bundle and head: the mean of the AUROCs within each source, and the AUROC over all
        real frames, both averaged over `SPLITS` splits.

    Raises
    ------
    RecipeError
        If a network was trained on thyroid frames.
    BundleError, DataError
        If there is no such bundle, or a bundle or the frames cannot be read.
    """
    rows: list[dict[str, Cell]] = []
    frames = groups = 0
    known = list(names) or manifest.names(root)
    for name in known:
        # One that is missing is reported now, not after an hour of the others.
        manifest.read_manifest(root / name)
    with tqdm(total=len(known), desc="Bundles", unit="bundle") as bar:
        for name in known:
            phantoms = ensembles.share(root / name)
            tables = _scored(root / name, data, work / name, phantoms)
            others = None
            if earlier is not None and (earlier / name / "manifest.json").is_file():
                others = _scored(earlier / name, data, work / "earlier" / name, phantoms)
            found = cross_validation.repeated(tables)
            gains = {} if others is None else cross_validation.gained(tables, others)
            for head, figures in found.items():
                cells = {
                    key: figure(value, gains.get(head, {}).get(key))
                    for key, value in figures.items()
                }
                rows.append({"bundle": f"`{name}`", "head": head, **cells})
            real = cross_validation.real(tables[0])
            frames, groups = real["path"].nunique(), real["group"].nunique()
            bar.update(1)
    return _table(rows, frames, groups, names, earlier is not None)


def _scored(folder: Path, data: Path, work: Path, phantoms: float) -> list[pd.DataFrame]:
    """Score the frames by the recipe of a bundle, or by its members if it is an ensemble."""
    facts = manifest.read_manifest(folder)
    if manifest.kind(facts) == "ensemble":
        members = tuple(member["name"] for member in facts["members"])
        return ensembles.cross_validate(folder.parent, data, work, members, SPLITS, phantoms)
    return cross_validation.run(
        facts["recipe"], facts["backbone"], data, str(folder), work, SPLITS, phantoms
    )


def _table(
    rows: list[dict[str, Cell]], frames: int, groups: int, names: Sequence[str], compared: bool
) -> Result:
    option = " --earlier FOLDER" if compared else ""
    command = " ".join(["python -m thyro_demo study repeats", *names, f"--data sets{option}"])
    beside = ", with the paired difference to the earlier bundle of its name" if compared else ""
    return Result(
        what=f"AUROC out of fold on {frames} real frames of {groups} groups, the mean of {SPLITS} "
        f"splits into folds{beside}.",
        made_by=command,
        note="Within sources: the mean over the sources, so that knowing the source is no use.",
        **paired.ABOUT,
        columns=(
            Column(key="bundle", title="Bundle"),
            Column(key="head", title="Head"),
            Column(key=cross_validation.WITHIN, title="Within sources", show="figure"),
            Column(key=cross_validation.ALL, title="All", show="figure"),
        ),
        rows=tuple(rows),
    )
