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
from tqdm.auto import tqdm

from thyro_demo.data import phantom, preprocess, splits
from thyro_demo.data.datasets import phantoms as read_phantoms
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.files import relative, sha256, whole
from thyro_demo.models import (
    bundle,
    card,
    heads,
    manifest,
    nodule_map,
    nodule_stage,
    ood,
    out_of_fold,
    outlined_set,
    provenance,
    rounding,
    starts,
)
from thyro_demo.models.backbones import (
    BackboneSpec,
    backbone,
    build,
    copy_weights,
    fold_normalisation,
    silence_branches,
)
from thyro_demo.models.features import ood_readout, pooled, pooled_above, readout
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.models.out_of_fold import CLASSES, PHANTOM
from thyro_demo.models.pipeline import Frames, load_frames
from thyro_demo.models.recipes import SOURCES, Recipe
from thyro_demo.models.transfer import (
    Stage,
    Views,
    boundary,
    cache_views,
    epochs_kept,
    train_stage,
    upper_part,
)


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
    fold_seed : int
        Which split into folds: a figure that moves with it is noise.
    """

    recipe: Recipe
    backbone: str
    data: Path
    work: Path
    out: Path
    start: str = "none"
    epochs: int | None = None
    title: str | None = None
    fold_seed: int = 0

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
    """Run a recipe from its start to its bundle, or to its network.

    Parameters
    ----------
    job : Job
        What to run, on what, and where to keep it.

    Returns
    -------
    Path
        The bundle, or the `.keras` file of a recipe without one. In `work`: the log of every
        stage, and `oof.csv` beside a bundle.

    Raises
    ------
    RecipeError
        If the recipe does not fit the backbone, a stage cannot be run, or the start was trained
        on thyroid frames and so is the recipe.
    DataError
        If the images are not in the layout that a stage reads.
    BundleError
        If no bundle can be written to `out`.
    """
    spec = _spec(job)
    starts.check_offered(spec, job.start)
    if job.recipe.gives_bundle:
        manifest.check_place(job.out)
        starts.check_unseen(job.start)
    elif job.out.suffix != ".keras":
        raise RecipeError(
            f"The recipe {job.recipe.name} writes a network to a file named *.keras. "
            f"Received: {job.out}."
        )
    _claim(job)
    history: list[dict[str, Any]] = []
    start = job.start
    early = job.recipe.stages[:-1] if job.recipe.gives_bundle else job.recipe.stages
    for source, stage in early:
        start = _early_stage(job, spec, source, job.stage(stage), start, history)
    if job.recipe.gives_bundle:
        return _last_stage(job, spec, start, history)
    network = keras.saving.load_model(start, compile=False)
    rounding.shorten(network)
    with whole(job.out) as temporary:
        bundle.save_network(network, temporary)
    return job.out


def _spec(job: Job) -> BackboneSpec:
    """Look up the network of a job, or refuse one that its recipe is not made for."""
    if job.backbone not in job.recipe.backbones:
        raise RecipeError(
            f"The recipe {job.recipe.name} is made for {', '.join(job.recipe.backbones)}. "
            f"Received: {job.backbone!r}."
        )
    return backbone(job.backbone)


_IMAGES = "data.sha256"
"""Note in a stage's folder of the images that it was begun with."""


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
        "fold_seed": job.fold_seed,
        # As JSON gives it back: lists in place of tuples.
        "stages": json.loads(
            json.dumps([asdict(job.stage(stage)) for _, stage in job.recipe.stages])
        ),
    }
    file = manifest.network_file(job.start)
    if file is not None and file.is_file():
        # Another network may lie under the old name by the time that a killed run goes on.
        facts["start_sha256"] = sha256(file)
    note = job.work / "job.json"
    # The note of a stage's images alone is no work that another job would spoil.
    begun = any(
        path.name != _IMAGES
        for _, stage in job.recipe.stages
        for path in (job.work / stage.name).glob("*")
    )
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
    if source == "phantoms" and not (root / "index.csv").exists():
        phantom.write(phantom.cohort(_PATIENTS, frames_per_patient=2, seed=11), root)
    records = _outlined(job) if SOURCES[source].outlines else SOURCES[source].read(str(root))
    folder = job.work / stage.name
    note, content = folder / _IMAGES, _content(records, root)
    done = any(folder.glob("*.json"))
    if done and note.exists() and note.read_text(encoding="utf-8") != content:
        raise RecipeError(
            "A work folder goes on with the images that it was begun with; give another --work "
            f"folder or delete this one. Received: {root}, with other images than {folder} is of."
        )
    with whole(note) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return records


def _outlined(job: Job) -> pd.DataFrame:
    """Read the frames that teach where the nodule is, none of them one that will be scored."""
    thyroid = SOURCES["thyroid"]
    return nodule_stage.read(job.data, job.work, thyroid.read(str(job.data / thyroid.folder)))


def _content(records: pd.DataFrame, root: Path) -> str:
    """Hash what a set holds: names, labels, groups and sizes of files, not where they lie."""
    files = [path.partition("::")[0] for path in records["path"]]
    sizes = {file: os.path.getsize(file) for file in set(files)}
    facts = records[["label", "group", "source"]].assign(
        path=[relative(path, (root,)) for path in records["path"]],
        size=[sizes[file] for file in files],
    )
    return hashlib.sha256(facts.to_csv(index=False).encode()).hexdigest()


_PATIENTS = 1000
"""Simulated patients of the phantom stage; those of the last stage are others."""


def _folder(job: Job, source: str) -> Path:
    if source == "phantoms":
        return job.work / "drawn"
    named = job.data / SOURCES[source].folder
    if SOURCES[source].outlines:
        return job.data
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
    outlines = SOURCES[source].outlines
    if not note.exists():
        classes = CLASSES if outlines else tuple(sorted(set(records["label"])))
        records = limited(records, stage)
        if "split" not in records:
            records = splits.group_near_duplicates(records)
            records = splits.split(records, (0.85, 0.15, 0.0), stage.seed)
        training, validation = _rows(records, "train"), _rows(records, "validation")
        learned = outlined_set.drawn_rows(records) if outlines else training
        size = stage.input_size or spec.input_size
        if outlines:
            frames = nodule_stage.load(records, size)
        else:
            frames = load_frames(records, classes, size, SOURCES[source].crop)
        head = "nodule" if outlines else "softmax"
        network = _built(spec, stage, len(classes), size, head)
        starts.apply(network, spec, start)
        parts = learned, validation
        rows = _trained(network, spec, stage, frames, parts, folder, start, head)
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
            "validation accuracy": rows[epochs_kept(rows, stage) - 1]["validation_accuracy"]
            if rows
            else None,
            "input size": size,
        }
        if outlines:
            row |= nodule_stage.finish(network, frames, records, folder)
        with whole(note) as temporary:
            temporary.write_text(json.dumps(row, indent=1))
        (folder / "state.npz").unlink(missing_ok=True)
    history.append(json.loads(note.read_text()))
    return str(file)


def limited(records: pd.DataFrame, stage: Stage) -> pd.DataFrame:
    """Draw whole groups while they fit into a stage; an image without a group is its own.

    Parameters
    ----------
    records : DataFrame
        Record table.
    stage : Stage
        Its `limit` says how many images fit, its seed which groups are drawn.

    Returns
    -------
    DataFrame
        The drawn records, in their old order.
    """
    if stage.limit is None or len(records) <= stage.limit:
        return records
    groups = records["group"].where(records["group"].notna(), records["path"])
    order = np.random.default_rng(stage.seed).permutation(groups.unique())
    filled = groups.value_counts()[order].cumsum()
    kept = filled.index[filled <= stage.limit]
    return records[groups.isin(kept)].reset_index(drop=True)


def _trained(
    network: keras.Model,
    spec: BackboneSpec,
    stage: Stage,
    frames: Frames,
    parts: tuple[np.ndarray, np.ndarray],
    folder: Path,
    start: str,
    head: str,
) -> list[dict[str, float]]:
    """Train an early stage; images that grow and mixed precision need a network of their own."""
    if not stage.sides and stage.precision == "float32":
        return train_stage(network, spec, stage, frames, *parts, folder)
    keras.config.set_dtype_policy(stage.precision)
    try:
        keras.utils.set_random_seed(stage.seed)
        side = frames.images.shape[1]
        trained = build(spec, len(frames.classes), head, side, scratch=bool(stage.sides))
        copy_weights(network, trained)
        if start == "none":
            silence_branches(trained)
        rows = train_stage(trained, spec, stage, frames, *parts, folder)
    finally:
        keras.config.set_dtype_policy("float32")
    fold_normalisation(trained, network)
    return rows


def _built(
    spec: BackboneSpec, stage: Stage, classes: int, size: int, head: str = "softmax"
) -> keras.Model:
    """Build a network that is the same whether or not earlier stages ran in this process."""
    keras.utils.set_random_seed(stage.seed)
    return build(spec, classes, head, size)


def _rows(records: pd.DataFrame, part: str) -> np.ndarray:
    return np.flatnonzero(records["split"] == part)


def thyroid_records(job: Job) -> pd.DataFrame:
    """Read the last stage's frames, with their share of phantoms, dealt to folds.

    Parameters
    ----------
    job : Job
        Says where they lie, how many folds there are and how many phantoms join them.

    Returns
    -------
    DataFrame
        Record table with a column `fold`, and `roi` where nodules are cropped to.

    Raises
    ------
    DataError
        If there are too few groups for the folds.
    """
    records = _read(job, *job.recipe.stages[-1])
    records = records[records["label"].isin(CLASSES)].reset_index(drop=True)
    records = _marked(job, splits.group_near_duplicates(records))
    _check_enough(records, job.recipe.folds)
    share = job.recipe.phantoms
    if share and (records["source"] != PHANTOM).any():
        drawn = round(len(records) * share / (1.0 - share))
        folder = job.work / f"phantoms-{drawn}"
        if not (folder / "index.csv").exists():
            phantom.write(phantom.cohort(drawn // 2, frames_per_patient=2, seed=7), folder)
        drawn_records = _marked(job, read_phantoms(folder))
        records = pd.concat([records, drawn_records], ignore_index=True)
    return splits.kfold(records, job.recipe.folds, seed=job.fold_seed)


def _marked(job: Job, records: pd.DataFrame) -> pd.DataFrame:
    """Give each record its nodule's box, where the recipe crops to nodules."""
    if not SOURCES[job.recipe.stages[-1][0]].roi:
        return records
    boxes = pd.Series(preprocess.regions(records), index=records.index, dtype=object)
    return records.assign(roi=boxes)[boxes.notna()].reset_index(drop=True)


def _check_enough(records: pd.DataFrame, folds: int) -> None:
    """Refuse a set too small for its folds before hours of training, not after."""
    counts = records.groupby("label")["group"].nunique().reindex(CLASSES, fill_value=0)
    fewest, label = int(counts.min()), str(counts.idxmin())
    if fewest - math.ceil(fewest / folds) < out_of_fold.INNER_FOLDS:
        raise DataError(
            f"Training in {folds} folds needs groups of both labels, {out_of_fold.INNER_FOLDS} of "
            f"each when a fold is left out. Received: {fewest} of {label}."
        )


def cross_validate(job: Job) -> pd.DataFrame:
    """Score every thyroid frame with a chain that never saw its group, without a bundle.

    Parameters
    ----------
    job : Job
        What to run; its `out` is left alone.

    Returns
    -------
    DataFrame
        One row an image and head, as in `work/oof.csv`, which is written: `path, group,
        source, label, fold, head, probability`.

    Raises
    ------
    RecipeError, DataError
        As from `run`.
    """
    spec = _spec(job)
    starts.check_offered(spec, job.start)
    starts.check_unseen(job.start)
    _claim(job)
    history: list[dict[str, Any]] = []
    start = job.start
    for source, stage in job.recipe.stages[:-1]:
        start = _early_stage(job, spec, source, job.stage(stage), start, history)
    trainer = _Trainer(job, spec, start)
    found, _ = trainer.out_of_fold()
    return out_of_fold.write(found, job.work, job.data)


def _last_stage(job: Job, spec: BackboneSpec, start: str, history: list[dict[str, Any]]) -> Path:
    trainer = _Trainer(job, spec, start)
    records, network, stage = trainer.records, trainer.network, trainer.stage
    found, epochs = trainer.out_of_fold()
    out_of_fold.write(found, job.work, job.data)
    real = out_of_fold.reported(records)
    facts = out_of_fold.figures(records, found)
    if (~real).any():
        apart, _ = trainer.out_of_fold(phantoms=False)
        facts["with_and_without_phantoms"] = {
            "with": _by_source(facts["metrics"]),
            "without": _by_source(out_of_fold.summary(apart[out_of_fold.reported(apart)], None)),
        }
    if trainer.rounded is not None:
        facts["rounding"] = {"mantissa_bits": rounding.BITS, "largest_move": trainer.rounded}
    trainer.final(round(float(np.mean(epochs))))
    sigmoids = {
        head: out_of_fold.sigmoid(found[found["head"] == head]) for head in job.recipe.heads
    }
    if "softmax" in sigmoids:
        _calibrate(network, *sigmoids["softmax"])
    rounding.shorten(network)
    _, features = trainer.features()
    fitted: dict[str, Any] = {
        kind: heads.fit(kind, features, trainer.frames.labels, records["group"].to_numpy())
        for kind in job.recipe.heads
        if kind != "softmax"
    }
    for kind, model in fitted.items():
        heads.recalibrate(model, *sigmoids[kind])
        heads.slim(model)
    fitted["ood"], limits = _fit_ood(trainer)
    history.append(
        {
            "stage": stage.name,
            "trained": stage.trainable,
            "images": int((records["source"] != PHANTOM).sum()),
            "phantoms": int((records["source"] == PHANTOM).sum()),
            "classes": len(CLASSES),
            "epochs": round(float(np.mean(epochs))),
            "input size": trainer.size,
        }
    )
    region = "roi" if SOURCES[job.recipe.stages[-1][0]].roi else "scan"
    facts |= {
        "name": job.out.name,
        "title": job.title or f"{spec.title}{' ROI' if region == 'roi' else ''}",
        "backbone": spec.name,
        "recipe": job.recipe.name,
        # A path of this machine would tell readers of the card about the machine alone.
        "start": relative(job.start, (Path.cwd(),)),
        "classes": list(CLASSES),
        "input_size": trainer.size,
        "cam_layer": trainer.cam_layer,
        "pooling": trainer.pooling,
        "region": region,
        "heads": list(job.recipe.heads),
        "primary": job.recipe.primary,
        "chain": [*starts.history(job.start), *history],
        "stages": [asdict(job.stage(each)) for _, each in job.recipe.stages],
        "ood_limits": limits,
        "training_images": sorted(sha256(path) for path in records["path"]),
        "training_phantoms": _phantoms_met(job, records),
        "training_outlines": _outlines_met(job),
    }
    if trainer.pooling == "nodule":
        drawn = [row for row in facts["chain"] if "nodule threshold" in row]
        facts["nodule_threshold"] = drawn[-1]["nodule threshold"]
    extra = {}
    if spec.name in _KEEPS_STAGES:
        for row in history[:-1]:
            file = job.work / row["stage"] / "network.keras"
            if file.exists() and row["stage"] in manifest.CHECKPOINTS:
                extra[row["stage"]] = keras.saving.load_model(file, compile=False)
                rounding.shorten(extra[row["stage"]])
    if extra:
        facts["checkpoints"] = {
            f"{name}.keras": f"the network after the stage {name}" for name in extra
        }
    return bundle.write(job.out, facts, network, fitted, card.write(facts), extra)


def _phantoms_met(job: Job, records: pd.DataFrame) -> dict[str, int]:
    """Count the drawn patients that the start, an early stage or the last one has met."""
    start = manifest.bundle_of(job.start)
    before = {} if start is None else manifest.read_manifest(start).get("training_phantoms", {})
    groups = [
        nodule_stage.learned(job.work / stage.name)["group"]
        if SOURCES[source].outlines
        else _read(job, source, stage)["group"]
        for source, stage in job.recipe.stages[:-1]
        if source == "phantoms" or SOURCES[source].outlines
    ]
    return provenance.joined([before, *map(provenance.cohorts, [records["group"], *groups])])


def _fit_ood(trainer: "_Trainer") -> tuple[dict[str, Any], dict[str, float]]:
    """Fit the spaces of all kinds of training image: the last stage's, and those with outlines."""
    job, network = trainer.job, trainer.network
    read = [ood_readout(network, trainer.cam_layer, trainer.pooling)]
    tables, features = [trainer.records], pooled(network, trainer.frames.images, read)
    for source, stage in job.recipe.stages[:-1]:
        if SOURCES[source].outlines:
            table = nodule_stage.learned(job.work / stage.name)
            table = table.sample(frac=1, random_state=0).groupby("source").head(_MOST_OF_A_KIND)
            tables.append(table)
            # The label does not matter here, and some frames have none.
            frames = load_frames(table.assign(label=CLASSES[0]), CLASSES, trainer.size)
            features += pooled(network, frames.images, read)
    table = pd.concat(tables, ignore_index=True)
    return ood.fit(np.concatenate(features), table["group"], table["source"])


_MOST_OF_A_KIND = 600
"""Images that are plenty for the space of one kind of training image."""


def _outlines_met(job: Job) -> list[str]:
    """Name the real frames whose outlines the start or an early stage has learned."""
    start = manifest.bundle_of(job.start)
    met = [] if start is None else manifest.read_manifest(start).get("training_outlines", [])
    for source, stage in job.recipe.stages[:-1]:
        if SOURCES[source].outlines:
            met = [*met, *nodule_stage.learned_outlines(job.work / stage.name)]
    return sorted(set(met))


def _check_outlines(job: Job, records: pd.DataFrame) -> None:
    """Refuse a network that was told where the nodules of the frames to score are."""
    met = set(_outlines_met(job))
    if met and (told := [path for path in records["path"] if sha256(path) in met]):
        raise DataError(
            "A network must not have learned the outlines of frames that it is scored on. "
            f"Received: {len(told)} of them, among them {told[0]}."
        )


_KEEPS_STAGES = ("efficientnet-b0",)
"""Networks whose bundle holds its earlier stages too; those of the others are too large."""


def _by_source(summary: dict[str, Any]) -> dict[str, Any]:
    """Keep the AUROC of each head, over all and within each source."""
    return {
        head: {
            "all": figures["auroc"],
            "by_source": {name: within["auroc"] for name, within in figures["by_source"].items()},
        }
        for head, figures in summary["heads"].items()
    }


class _Trainer:
    """The last stage of a recipe, fold by fold and on all rows."""

    def __init__(self, job: Job, spec: BackboneSpec, start: str):
        self.job, self.spec = job, spec
        self.stage = job.stage(job.recipe.stages[-1][1])
        self.folder = job.work / self.stage.name
        self.size = self.stage.input_size or spec.input_size
        self.records = thyroid_records(job)
        _check_outlines(job, self.records)
        self.frames = load_frames(self.records, CLASSES, self.size)
        self.network = _built(spec, self.stage, len(CLASSES), self.size, job.recipe.network_head)
        head = upper_part(self.network, "features")
        untaught = head.get_weights()
        starts.apply(self.network, spec, start)
        # The head of a start may have been trained on the very frames that a fold tests.
        head.set_weights(untaught)
        self.views: Views | None = None
        self.read: np.ndarray | None = None
        self.exact: list[np.ndarray] | None = None
        self.rounded: float | None = None
        # An MLP flattens the map; its heads read what it reads.
        self.pooling = "average" if job.recipe.network_head == "mlp" else job.recipe.pooling
        self.cam_layer = nodule_map.READ if self.pooling == "nodule" else spec.cam_layer
        if boundary(spec, self.stage.trainable) == "features":
            # A frozen body is rounded before anything is fitted on it, so that the figures are
            # those of the file; the exact features tell what the rounding moved.
            if start != "none":
                self.exact = pooled(self.network, self.frames.images, self._tensors())
            rounding.shorten(self.network)
        self.first = self.network.get_weights()

    def _tensors(self) -> list[keras.KerasTensor]:
        """Give what the softmax reads, and what the other heads read."""
        return [
            self.network.get_layer("features").output,
            readout(self.network, self.cam_layer, self.pooling),
        ]

    def _train(self, stage: Stage, training: np.ndarray, validation: np.ndarray, name: str) -> int:
        """Train from the first weights; the frozen part runs once for all folds."""
        self.network.set_weights(self.first)
        cut = boundary(self.spec, stage.trainable)
        if cut is not None and self.views is None:
            self.views = (
                self._frozen()
                if cut == "features"
                else cache_views(self.network, self.spec, stage, self.frames)
            )
        rows = train_stage(
            self.network, self.spec, stage, self.frames, training, validation,
            self.folder / name, self.views,
        )  # fmt: skip
        return epochs_kept(rows, stage)

    def _frozen(self) -> Views:
        """Pool every view of every frame.

        Views that only training sees are pooled in the stage's arithmetic, the plain ones
        always as the bundle will.
        """
        plain, self.read = pooled(self.network, self.frames.images, self._tensors())
        views = self.stage.views if self.stage.augmentation is not None else 1
        quick = self._quick() if self.stage.precision != "float32" else self.network
        kept = [plain]
        for view in range(1, views):
            seed = (self.stage.seed, view)
            kept += pooled(quick, self.frames.images, seed=seed, how=self.stage.augmentation)
        return Views(np.stack(kept))

    def _quick(self) -> keras.Model:
        keras.config.set_dtype_policy(self.stage.precision)
        try:
            quick = build(self.spec, len(CLASSES), self.job.recipe.network_head, self.size)
        finally:
            keras.config.set_dtype_policy("float32")
        copy_weights(self.network, quick)
        return quick

    def features(self) -> list[np.ndarray]:
        """Pool every image as it is, for the softmax and for the other heads."""
        cut = boundary(self.spec, self.stage.trainable)
        if self.views is not None and self.read is not None:
            return [self.views.plain, self.read]
        if cut is None or self.views is None:
            return pooled(self.network, self.frames.images, self._tensors())
        return pooled_above(self.network, cut, self.views.plain, self._tensors())

    def out_of_fold(self, phantoms: bool = True) -> tuple[pd.DataFrame, list[int]]:
        """Score every image with a chain that never saw its group, nor phantoms unless asked."""
        parts, epochs = [], []
        folds = sorted(set(self.records["fold"]))
        kind = "fold" if phantoms else "real-fold"
        for fold in tqdm(folds, desc="Cross-validation", unit="fold"):
            file = self.folder / f"{kind}{fold}.csv"
            note = self.folder / f"{kind}{fold}.json"
            if not note.exists():
                table, facts = self._fold(fold, phantoms, f"{kind}{fold}")
                with whole(file) as temporary:
                    table.to_csv(temporary, index=False)
                with whole(note) as temporary:
                    temporary.write_text(json.dumps(facts))
            parts.append(pd.read_csv(file, dtype={"group": str}))
            facts = json.loads(note.read_text())
            epochs.append(int(facts["epochs"]))
        found = pd.concat(parts, ignore_index=True)
        if phantoms and "exact" in found:
            moved = (
                out_of_fold.cross_calibrated(found)["score"]
                - out_of_fold.cross_calibrated(found, "exact")["score"]
            )
            self.rounded = float(moved.abs().max())
        return out_of_fold.cross_calibrated(found), epochs

    def _fold(self, fold: int, phantoms: bool, name: str) -> tuple[pd.DataFrame, dict[str, int]]:
        used = out_of_fold.reported(self.records) | phantoms
        outer = (self.records["fold"] == fold).to_numpy()
        learned = ~outer & used.to_numpy()
        rows = np.flatnonzero(learned)
        chosen = out_of_fold.set_aside(self.records[learned], fold)
        best = self._train(self.stage, rows[~chosen], rows[chosen], name)
        average, read = self.features()
        tested = {"raw": (average[outer], read[outer])}
        if self.exact is not None:
            tested["exact"] = (self.exact[0][outer], self.exact[1][outer])
        scored = _score(
            self.network, read[learned], self.frames.labels[learned],
            self.records["group"].to_numpy()[learned], tested, self.job.recipe.heads,
        )  # fmt: skip
        known = self.records.loc[outer, ["path", "group", "source", "label", "fold"]]
        tables = [known.assign(head=head, **raw) for head, raw in scored]
        return pd.concat(tables, ignore_index=True), {"epochs": best}

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
    tested: dict[str, tuple[np.ndarray, np.ndarray]],
    kinds: tuple[str, ...],
) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Fit every head on features and score those of the test rows, before calibration.

    `tested` holds for each column what the softmax reads and what the other heads read.
    """
    found = []
    for kind in kinds:
        if kind == "softmax":
            upper = upper_part(network, "features")
            odds = {name: upper(rows, training=False).numpy() for name, (rows, _) in tested.items()}
            found.append((kind, {name: z[:, 1] - z[:, 0] for name, z in odds.items()}))
        else:
            head = CalibratedHead(heads.fit(kind, features, labels, groups))
            found.append((kind, {name: head.raw(rows) for name, (_, rows) in tested.items()}))
    return found


def _calibrate(network: keras.Model, slope: float, intercept: float) -> None:
    """Fold a sigmoid's slope and intercept into the two logits, exactly."""
    dense = network.get_layer("logits")
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel * slope, bias * slope + np.array([0.0, intercept], np.float32)])
