"""Train an ensemble of bundles: joined features, and averaged probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thyro_demo.bundle import card, ensemble, manifest, store, training_set
from thyro_demo.data import splits
from thyro_demo.files import sha256
from thyro_demo.models import heads
from thyro_demo.models.features import pooled, readout
from thyro_demo.models.pipeline import load_frames
from thyro_demo.training import initial_weights, out_of_fold, stage_images, thyroid_set
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.recipes import recipe

MEMBERS = ("vgg16", "resnet50", "efficientnet-b0")
PRIMARY = "svm"
"""Named before any test fold was scored."""


def cross_validate(
    root: Path,
    data: Path,
    work: Path,
    members: tuple[str, ...] = MEMBERS,
    repeats: int = 1,
    phantoms: float | None = None,
) -> list[pd.DataFrame]:
    """Score every thyroid frame by an ensemble that never saw its group.

    Parameters
    ----------
    root : Path
        Folder of the members' bundles, whose networks were frozen on thyroid frames.
    data : Path
        The thyroid set, or the folder that holds all sets by name.
    work : Path
        Where `oof.csv` and the phantoms go, the `oof.csv` of further splits into `split-1` and so
        on.
    members : tuple of str
        Names of the bundles.
    repeats : int
        Number of splits into folds.
    phantoms : float, optional
        Share of phantoms among the frames, 0–0.5; that of the members' recipe without it.

    Returns
    -------
    list of DataFrame
        Content of each `oof.csv`.

    Raises
    ------
    RecipeError
        If a member's network was trained on thyroid frames, or names no recipe that is known.
    BundleError, DataError
        If a member or the frames cannot be read.
    """
    records, features = _read(root, data, work, members, phantoms)
    tables = []
    for seed in range(repeats):
        folds = splits.kfold(records, seed=seed)
        place = out_of_fold.split_folder(work, seed)
        tables.append(out_of_fold.write(_scored(folds, features), place, (work, data)))
    return tables


def train(
    root: Path, data: Path, work: Path, out: Path, members: tuple[str, ...] = MEMBERS
) -> Path:
    """Fit an ensemble on all thyroid frames and write its bundle beside its members.

    Parameters
    ----------
    root : Path
        Folder of the members' bundles.
    data : Path
        As for `cross_validate`.
    work : Path
        As for `cross_validate`.
    out : Path
        Folder of the bundle.
    members : tuple of str
        Names of the bundles.

    Returns
    -------
    Path
        The bundle.

    Raises
    ------
    RecipeError, BundleError, DataError
        As from `cross_validate`, or if no bundle can be written to `out`.
    """
    manifest.check_place(out)
    records, features = _read(root, data, work, members)
    found = _scored(records, features)
    out_of_fold.write(found, work, (work, data))
    joined = np.concatenate([features[name] for name in members], axis=1)
    labels = (records["label"] == CLASSES[1]).to_numpy(int)
    fitted = heads.fit("svm", joined, labels, records["group"].to_numpy())
    heads.recalibrate(fitted, *out_of_fold.sigmoid(found[found["head"] == "svm"]))
    heads.slim(fitted)
    slope, intercept = out_of_fold.sigmoid(found[found["head"] == "average"])
    facts: dict[str, Any] = {
        "name": out.name,
        "title": "Ensemble",
        "backbone": "ensemble",
        "recipe": "ensemble",
        "initial_weights": "none",
        "classes": list(CLASSES),
        "members": [ensemble.member(root / name) for name in members],
        "average": {
            "of": [[name, "svm"] for name in members],
            "slope": slope,
            "intercept": intercept,
        },
        "heads": ["svm", "average"],
        "primary": PRIMARY,
        "chain": [],
        "training_images": sorted(sha256(path) for path in records["path"]),
        "training_phantoms": training_set.cohorts(records["group"]),
        **out_of_fold.figures(records, found),
    }
    return ensemble.write(out, facts, {"svm": fitted}, card.write(facts))


def share(folder: Path) -> float:
    """Read the share of phantoms of the recipe that a bundle was trained with.

    Parameters
    ----------
    folder : Path
        A bundle; of an ensemble, its first member counts.

    Returns
    -------
    float
        Among all frames, 0–0.5.

    Raises
    ------
    BundleError, RecipeError
        If it cannot be read, or names no recipe that is known.
    """
    facts = manifest.read_manifest(folder)
    if manifest.kind(facts) == "ensemble":
        return share(folder.parent / facts["members"][0]["name"])
    return recipe(facts.get("recipe", "")).phantoms


def _read(
    root: Path,
    data: Path,
    work: Path,
    members: tuple[str, ...],
    phantoms: float | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Read the frames, assigned to folds, and each member's features of them."""
    for name in members:
        initial_weights.check_not_trained_on(root / name)
    if phantoms is None:
        phantoms = share(root / members[0])
    records = stage_images.thyroid(data)
    records = thyroid_set.assemble(records, work, phantoms=phantoms)
    return records, {name: _features(root / name, records) for name in members}


def _scored(records: pd.DataFrame, features: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score every frame out of fold by both heads."""
    parts = [out_of_fold.score_features(np.concatenate(list(features.values()), axis=1), records)]
    alone = [out_of_fold.score_features(read, records) for read in features.values()]
    raw = ensemble.mean_log_odds([found["score"] for found in alone])
    parts.append(out_of_fold.cross_calibrated(alone[0].assign(head="average", raw=raw)))
    return pd.concat(parts, ignore_index=True)


def _features(folder: Path, records: pd.DataFrame) -> np.ndarray:
    member = store.load(folder)
    frames = load_frames(records, CLASSES, member.input_size)
    read = readout(member.network, member.cam_layer, member.pooling)
    return pooled(member.network, frames.images, [read])[0]
