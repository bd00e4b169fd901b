"""Run a recipe: stage after stage, then out-of-fold figures, then the bundle."""

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from scipy.special import expit
from tqdm.auto import tqdm

from thyro_demo.data import phantom, splits
from thyro_demo.data.datasets import phantoms as read_phantoms
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.evaluate import baseline, metrics, report
from thyro_demo.files import sha256, whole
from thyro_demo.models import bundle, card, familiarity, heads, manifest, starts
from thyro_demo.models.backbones import BackboneSpec, backbone, build
from thyro_demo.models.features import pooled, pooled_above
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.models.pipeline import Frames, load_frames
from thyro_demo.models.recipes import SOURCES, Recipe
from thyro_demo.models.transfer import Stage, Views, boundary, cache_views, train_stage, upper_part

CLASSES = ("benign", "malignant")
PHANTOM = "phantom"
"""Source of drawn frames, which are reported apart from real ones."""


@dataclass(frozen=True)
class Job:
    """One run of a recipe.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    backbone : str
        Which network.
    data : Path
        Folder of the sets, each under the name that `recipes.SOURCES` gives; for a recipe
        of one stage it may be the set itself.
    work : Path
        Where checkpoints and logs are kept; a killed run goes on from there.
    out : Path
        Folder of the bundle to write.
    start : str
        See `starts.apply`.
    epochs : int or None
        Caps the epochs of every stage, for a quick look; 1 or more.
    title : str or None
        Display name of the bundle; that of the network without it.
    """

    recipe: Recipe
    backbone: str
    data: Path
    work: Path
    out: Path
    start: str = "none"
    epochs: int | None = None
    title: str | None = None

    def stage(self, stage: Stage) -> Stage:
        """Apply the cap on epochs to a stage.

        Parameters
        ----------
        stage : Stage
            As the recipe has it.

        Returns
        -------
        Stage
            With at most `epochs` epochs.

        Raises
        ------
        RecipeError
            If `epochs` is below 1.
        """
        if self.epochs is None:
            return stage
        if self.epochs < 1:
            raise RecipeError(f"A stage is capped at 1 epoch or more. Received: {self.epochs}.")
        return replace(stage, epochs=min(stage.epochs, self.epochs))


def run(job: Job) -> Path:
    """Run a recipe from its start to its bundle.

    Parameters
    ----------
    job : Job
        What to run, on what, and where to keep it.

    Returns
    -------
    Path
        The bundle. Beside it in `work`: `oof.csv` and the log of every stage.

    Raises
    ------
    RecipeError
        If the recipe does not fit the backbone, or a stage cannot be run.
    DataError
        If the images are not in the layout that a stage reads.
    BundleError
        If no bundle can be written to `out`.
    """
    if job.backbone not in job.recipe.backbones:
        raise RecipeError(
            f"The recipe {job.recipe.name} is made for {', '.join(job.recipe.backbones)}. "
            f"Received: {job.backbone!r}."
        )
    spec = backbone(job.backbone)
    manifest.check_place(job.out)
    _claim(job)
    history: list[dict[str, Any]] = []
    start = job.start
    for source, stage in job.recipe.stages[:-1]:
        start = _early_stage(job, spec, source, job.stage(stage), start, history)
    return _last_stage(job, spec, start, history)


def _claim(job: Job) -> None:
    """Leave a note of the job in its work folder, or refuse a folder that holds another's.

    Stages and folds that are done are taken as they lie, so they have to be this job's.
    """
    facts = {
        "recipe": job.recipe.name,
        "backbone": job.backbone,
        "start": job.start,
        "heads": list(job.recipe.heads),
        "network_head": job.recipe.network_head,
        "stages": [asdict(job.stage(stage)) for _, stage in job.recipe.stages],
    }
    note = job.work / "job.json"
    begun = any((job.work / stage.name).exists() for _, stage in job.recipe.stages)
    if begun and note.exists() and json.loads(note.read_text(encoding="utf-8")) != facts:
        raise RecipeError(
            "A work folder has to be empty or hold the same recipe, network, start and epochs, so "
            "that it can be resumed; give another --work folder or delete this one. "
            f"Received: {job.work}."
        )
    with whole(note) as temporary:
        temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _read(job: Job, source: str, stage: Stage) -> pd.DataFrame:
    """Read the images of a stage, and refuse others than those that its done parts come from."""
    root = _folder(job, source)
    records = SOURCES[source].read(str(root))
    folder = job.work / stage.name
    note, content = folder / "data.sha256", _content(records, root)
    done = any(folder.glob("*.json"))
    if done and note.exists() and note.read_text(encoding="utf-8") != content:
        raise RecipeError(
            "A work folder goes on with the images that it was begun with; give another --work "
            f"folder or delete this one. Received: {root}, with other images than {folder} is of."
        )
    with whole(note) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return records


def _content(records: pd.DataFrame, root: Path) -> str:
    """Hash what a set holds: names, labels, groups and sizes of files, not where they lie."""
    files = [path.partition("::")[0] for path in records["path"]]
    sizes = {file: os.path.getsize(file) for file in set(files)}
    facts = records[["label", "group", "source"]].assign(
        path=[_relative(path, (root,)) for path in records["path"]],
        size=[sizes[file] for file in files],
    )
    return hashlib.sha256(facts.to_csv(index=False).encode()).hexdigest()


def _folder(job: Job, source: str) -> Path:
    named = job.data / SOURCES[source].folder
    return job.data if len(job.recipe.stages) == 1 and not named.is_dir() else named


def _early_stage(
    job: Job,
    spec: BackboneSpec,
    source: str,
    stage: Stage,
    start: str,
    history: list[dict[str, Any]],
) -> str:
    """Train a stage before the last and give the file of its network."""
    folder = job.work / stage.name
    file, note = folder / "network.keras", folder / "stage.json"
    records = _read(job, source, stage)
    if not note.exists():
        classes = tuple(sorted(set(records["label"])))
        if "split" not in records:
            records = splits.group_near_duplicates(records)
            records = splits.split(records, (0.85, 0.15, 0.0), stage.seed)
        training, validation = _rows(records, "train"), _rows(records, "validation")
        size = stage.input_size or spec.input_size
        frames = load_frames(records, classes, size, SOURCES[source].crop)
        network = _built(spec, stage, len(classes), size)
        starts.apply(network, spec, start)
        rows = train_stage(network, spec, stage, frames, training, validation, folder)
        with whole(file) as temporary:
            network.save(temporary)
        row = {
            "stage": stage.name,
            "trained": stage.trainable,
            "images": len(training),
            "validation images": len(validation),
            "classes": len(classes),
            "epochs": len(rows),
            # A stage that trains nothing has seen nothing.
            "validation accuracy": rows[_kept(rows, stage)]["validation_accuracy"]
            if rows
            else None,
            "input size": size,
        }
        with whole(note) as temporary:
            temporary.write_text(json.dumps(row, indent=1))
        (folder / "state.npz").unlink(missing_ok=True)
    history.append(json.loads(note.read_text()))
    return str(file)


def _built(
    spec: BackboneSpec, stage: Stage, classes: int, size: int, head: str = "softmax"
) -> keras.Model:
    """Build a network that is the same whether or not earlier stages ran in this process."""
    keras.utils.set_random_seed(stage.seed)
    return build(spec, classes, head, size)


def _kept(rows: list[dict[str, float]], stage: Stage) -> int:
    """Give the number, from 0, of the epoch whose weights a stage kept; −1 without an epoch."""
    if stage.patience is None or not rows:
        return len(rows) - 1
    return int(np.argmin([row["validation_loss"] for row in rows]))


def _rows(records: pd.DataFrame, part: str) -> np.ndarray:
    return np.flatnonzero(records["split"] == part)


def _records(job: Job) -> pd.DataFrame:
    """Read the last stage's images, with their share of phantoms, dealt to folds."""
    records = _read(job, *job.recipe.stages[-1])
    records = records[records["label"].isin(CLASSES)].reset_index(drop=True)
    records = splits.group_near_duplicates(records)
    _check_enough(records, job.recipe.folds)
    share = job.recipe.phantoms
    if share and (records["source"] != PHANTOM).any():
        drawn = round(len(records) * share / (1.0 - share))
        folder = job.work / f"phantoms-{drawn}"
        if not (folder / "index.csv").exists():
            phantom.write(phantom.cohort(drawn // 2, frames_per_patient=2, seed=7), folder)
        records = pd.concat([records, read_phantoms(folder)], ignore_index=True)
    return splits.kfold(records, job.recipe.folds, seed=0)


_INNER_FOLDS = 6


def _check_enough(records: pd.DataFrame, folds: int) -> None:
    """Refuse a set too small for its folds before hours of training, not after."""
    counts = records.groupby("label")["group"].nunique().reindex(CLASSES, fill_value=0)
    fewest, label = int(counts.min()), str(counts.idxmin())
    if fewest - math.ceil(fewest / folds) < _INNER_FOLDS:
        raise DataError(
            f"Training in {folds} folds needs groups of both labels, {_INNER_FOLDS} of each when "
            f"a fold is left out. Received: {fewest} of {label}."
        )


def _reported(table: pd.DataFrame) -> pd.Series:
    """Tell the rows that figures are about: real frames, or all where there are phantoms alone."""
    real = table["source"] != PHANTOM
    return real if real.any() else ~real


def _last_stage(job: Job, spec: BackboneSpec, start: str, history: list[dict[str, Any]]) -> Path:
    stage = job.stage(job.recipe.stages[-1][1])
    records = _records(job)
    size = stage.input_size or spec.input_size
    frames = load_frames(records, CLASSES, size)
    network = _built(spec, stage, len(CLASSES), size, job.recipe.network_head)
    starts.apply(network, spec, start)
    trainer = _Trainer(job, spec, stage, records, frames, network)
    found, epochs = trainer.out_of_fold()
    with whole(job.work / "oof.csv") as temporary:
        _published(found, job).to_csv(temporary, index=False)
    trainer.final(round(float(np.mean(epochs))))
    sigmoids = {head: _sigmoid(found[found["head"] == head]) for head in job.recipe.heads}
    if "softmax" in sigmoids:
        _calibrate(network, *sigmoids["softmax"])
    bundle.slim(network)
    real = _reported(records)
    features = pooled(network, frames.images)
    fitted: dict[str, Any] = {
        kind: heads.fit(kind, features, frames.labels, records["group"].to_numpy())
        for kind in job.recipe.heads
        if kind != "softmax"
    }
    for kind, model in fitted.items():
        heads.recalibrate(model, *sigmoids[kind])
        heads.slim(model)
    space, limit = familiarity.fit(features[real], records["group"][real].to_numpy())
    fitted["familiarity"] = space
    history.append(
        {
            "stage": stage.name,
            "trained": stage.trainable,
            "images": int((records["source"] != PHANTOM).sum()),
            "phantoms": int((records["source"] == PHANTOM).sum()),
            "classes": len(CLASSES),
            "epochs": round(float(np.mean(epochs))),
            "input size": size,
        }
    )
    facts = {
        "name": job.out.name,
        "title": job.title or spec.title,
        "backbone": spec.name,
        "recipe": job.recipe.name,
        # A path of this machine would tell readers of the card about the machine alone.
        "start": _relative(job.start, (Path.cwd(),)),
        "classes": list(CLASSES),
        "input_size": size,
        "cam_layer": spec.cam_layer,
        "heads": list(job.recipe.heads),
        "primary": job.recipe.primary,
        "chain": history,
        "stages": [asdict(job.stage(each)) for _, each in job.recipe.stages],
        "familiarity_limit": limit,
        # Phantoms too: whoever draws the same cohort would measure on what was trained on.
        "training_images": sorted(sha256(path) for path in records["path"]),
        **_figures(records, found),
    }
    return bundle.write(job.out, facts, network, fitted, card.write(facts))


def _published(found: pd.DataFrame, job: Job) -> pd.DataFrame:
    """Give the columns of `oof.csv`, its paths relative to the data or the work folder."""
    paths = [_relative(path, (job.work, job.data)) for path in found["path"]]
    table = found.assign(path=paths).rename(columns={"score": "probability"})
    return table[["path", "group", "source", "label", "fold", "head", "probability"]]


def _relative(path: str, folders: tuple[Path, ...]) -> str:
    absolute = Path(os.path.abspath(path))
    for folder in folders:
        if absolute.is_relative_to(os.path.abspath(folder)):
            return absolute.relative_to(os.path.abspath(folder)).as_posix()
    return absolute.name


class _Trainer:
    """The last stage of a recipe, fold by fold and on all rows."""

    def __init__(
        self,
        job: Job,
        spec: BackboneSpec,
        stage: Stage,
        records: pd.DataFrame,
        frames: Frames,
        network: keras.Model,
    ):
        self.job, self.spec, self.stage = job, spec, stage
        self.records, self.frames, self.network = records, frames, network
        self.first = network.get_weights()
        self.views: Views | None = None
        self.folder = job.work / stage.name

    def _train(self, stage: Stage, training: np.ndarray, validation: np.ndarray, name: str) -> int:
        """Train from the first weights; the frozen part runs once for all folds."""
        self.network.set_weights(self.first)
        cached = boundary(self.spec, stage.trainable) is not None
        if cached and self.views is None:
            self.views = cache_views(self.network, self.spec, stage, self.frames)
        rows = train_stage(
            self.network, self.spec, stage, self.frames, training, validation,
            self.folder / name, self.views,
        )  # fmt: skip
        return 1 + _kept(rows, stage)

    def _features(self) -> np.ndarray:
        """Pool every image as it is; what is frozen has been run already."""
        cut = boundary(self.spec, self.stage.trainable)
        if cut is None or self.views is None:
            return pooled(self.network, self.frames.images)
        return pooled_above(self.network, cut, self.views.plain)

    def out_of_fold(self) -> tuple[pd.DataFrame, list[int]]:
        """Score every image with a chain that never saw its group."""
        parts, epochs = [], []
        folds = sorted(set(self.records["fold"]))
        for fold in tqdm(folds, desc="Cross-validation", unit="fold"):
            file = self.folder / f"fold{fold}.csv"
            note = self.folder / f"fold{fold}.json"
            if not note.exists():
                table, best = self._fold(fold)
                with whole(file) as temporary:
                    table.to_csv(temporary, index=False)
                with whole(note) as temporary:
                    temporary.write_text(json.dumps(best))
            parts.append(pd.read_csv(file, dtype={"group": str}))
            epochs.append(int(json.loads(note.read_text())))
        return _cross_calibrated(pd.concat(parts, ignore_index=True)), epochs

    def _fold(self, fold: int) -> tuple[pd.DataFrame, int]:
        outer = (self.records["fold"] == fold).to_numpy()
        inner = splits.kfold(self.records[~outer], _INNER_FOLDS, seed=fold)
        rows = np.flatnonzero(~outer)
        chosen = (inner["fold"] == 0).to_numpy()
        best = self._train(self.stage, rows[~chosen], rows[chosen], f"fold{fold}")
        features = self._features()
        scored = _score(
            self.network, features, self.frames.labels, self.records["group"].to_numpy(),
            np.flatnonzero(~outer), np.flatnonzero(outer), self.job.recipe.heads,
        )  # fmt: skip
        known = self.records.loc[outer, ["path", "group", "source", "label", "fold"]]
        tables = [known.assign(head=head, raw=raw) for head, raw in scored]
        return pd.concat(tables, ignore_index=True), best

    def final(self, epochs: int) -> None:
        """Train on all rows, as long as the folds did on average."""
        rows = np.arange(len(self.frames))
        stage = replace(self.stage, patience=None)
        # The schedule keeps its length: only the moment of stopping comes from the folds.
        nothing = np.empty(0, np.int64)
        self._train(replace(stage, stop_after=epochs), rows, nothing, "final")


def _score(
    network: keras.Model,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    training: np.ndarray,
    test: np.ndarray,
    kinds: tuple[str, ...],
) -> list[tuple[str, np.ndarray]]:
    """Fit every head on the training rows and score the test rows, before calibration."""
    found = []
    for kind in kinds:
        if kind == "softmax":
            logits = upper_part(network, "features")(features[test], training=False).numpy()
            found.append((kind, logits[:, 1] - logits[:, 0]))
        else:
            head = CalibratedHead(
                heads.fit(kind, features[training], labels[training], groups[training])
            )
            found.append((kind, head.raw(features[test])))
    return found


def _cross_calibrated(found: pd.DataFrame) -> pd.DataFrame:
    """Calibrate each fold's heads on the other folds' out-of-fold scores.

    A sigmoid fitted inside the training part would be too sure of itself: the network has
    seen those images, and their features part the classes better than new ones will.
    """
    found = found.copy()
    for head in found["head"].unique():
        for fold in sorted(set(found["fold"])):
            mine = found["head"] == head
            here, others = mine & (found["fold"] == fold), mine & (found["fold"] != fold)
            slope, intercept = _sigmoid(found[others])
            found.loc[here, "score"] = expit(slope * found.loc[here, "raw"] + intercept)
    return found


def _sigmoid(scored: pd.DataFrame) -> tuple[float, float]:
    """Fit slope and intercept on the frames that figures are about: real ones, if any."""
    rows = scored[_reported(scored)]
    return heads.platt(rows["raw"].to_numpy(), (rows["label"] == CLASSES[1]).to_numpy())


def _calibrate(network: keras.Model, slope: float, intercept: float) -> None:
    """Fold a sigmoid's slope and intercept into the two logits, exactly."""
    dense = network.get_layer("logits")
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel * slope, bias * slope + np.array([0.0, intercept], np.float32)])


BASELINE = "image size only"


def _figures(records: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    """Compute thresholds and out-of-fold figures; real frames and phantoms stay apart."""
    real = records[_reported(records)]
    scored = found[_reported(found)]
    thresholds = {
        str(head): {
            "youden": metrics.youden_threshold(rows["label"] == CLASSES[1], rows["score"]),
            "sens95": metrics.sensitivity_threshold(
                rows["label"] == CLASSES[1], rows["score"], 0.95
            ),
        }
        for head, rows in scored.groupby("head", sort=False)
    }
    figures = {"thresholds": thresholds, "metrics": _summary(scored, _size_rows(real))}
    drawn = found[~_reported(found)]
    if len(drawn):
        figures["phantom_metrics"] = _summary(drawn, None)
    return figures


def _size_rows(real: pd.DataFrame) -> pd.DataFrame | None:
    """Score the frames by their width and height alone: what the source gives away."""
    sizes = real.reindex(columns=["width", "height"])
    if sizes.isna().to_numpy().any():
        return None
    known = real[["path", "group", "source", "label", "fold"]]
    return known.assign(head=BASELINE, score=baseline.image_size_scores(real))


def _summary(scored: pd.DataFrame, size: pd.DataFrame | None) -> dict[str, Any]:
    """Summarise out-of-fold scores; each fold's operating point comes from the others."""
    decided = [_decisions(rows) for _, rows in scored.groupby("head", sort=False)]
    table = scored if size is None else pd.concat([scored, size], ignore_index=True)
    none = {str(head): float("nan") for head in table["head"].unique()}
    summary = report.summarise(table, none)
    half = {str(head): 0.5 for head in scored["head"].unique()}
    at_points = report.summarise(pd.concat(decided, ignore_index=True), half)
    for head, figures in at_points["heads"].items():
        _take_over(summary["heads"][head], figures)
        for source, within in figures["by_source"].items():
            _take_over(summary["heads"][head]["by_source"][source], within)
    return summary


_AT_A_POINT = ("accuracy", "sensitivity", "specificity", "f1", "confusion")


def _take_over(into: dict[str, Any], figures: dict[str, Any]) -> None:
    into |= {name: figures[name] for name in _AT_A_POINT if name in figures}


def _decisions(rows: pd.DataFrame) -> pd.DataFrame:
    """Turn one head's scores to 0 or 1 at the Youden point of the other folds."""
    decided = rows.copy()
    for fold in sorted(set(rows["fold"])):
        here, others = rows["fold"] == fold, rows[rows["fold"] != fold]
        point = metrics.youden_threshold(others["label"] == CLASSES[1], others["score"])
        decided.loc[here, "score"] = (rows.loc[here, "score"] >= point).astype(float)
    return decided
