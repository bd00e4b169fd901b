"""The last stage, trained anew for every fold, and at the end on all frames."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.bundle import compress
from thyro_demo.data import splits
from thyro_demo.files import atomic_write
from thyro_demo.models import heads, nodule_map
from thyro_demo.models.backbones import BackboneSpec
from thyro_demo.models.features import pooled, pooled_above, readout
from thyro_demo.models.networks import build, copy_weights
from thyro_demo.models.pipeline import load_frames
from thyro_demo.training import initial_weights, out_of_fold, provenance, stage_images, thyroid_set
from thyro_demo.training.frozen_cache import Views, boundary, cache_views, upper_part
from thyro_demo.training.job import TrainingJob
from thyro_demo.training.loop import epochs_kept, train_stage
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.pretrain import new_network
from thyro_demo.training.sources import SOURCES
from thyro_demo.training.stage import Stage


class CrossFit:
    """The last stage of a recipe, fold by fold and on all rows.

    Parameters
    ----------
    job : TrainingJob
        What to run.
    spec : BackboneSpec
        The network's row.
    weights : str
        What the stage goes on from; see `initial_weights.load`.
    rounding : bool
        Whether to measure what rounding the weights of a frozen network moves.
    """

    def __init__(self, job: TrainingJob, spec: BackboneSpec, weights: str, rounding: bool = False):
        self.job, self.spec = job, spec
        self.stage = job.stage(job.recipe.stages[-1][1])
        self.folder = job.work / self.stage.name
        self.size = self.stage.input_size or spec.input_size
        self.records = _records(job)
        provenance.check_outlines(job, self.records)
        is_cropped = SOURCES[job.recipe.stages[-1][0]].roi
        boxes = self.records["roi"] if is_cropped else None
        self.frames = load_frames(self.records, CLASSES, self.size, boxes=boxes)
        self.network = new_network(
            spec, self.stage, len(CLASSES), self.size, job.recipe.network_head
        )
        head = upper_part(self.network, "features")
        random = head.get_weights()
        initial_weights.load(self.network, spec, weights)
        # The head of these weights may have been trained on the very frames that a fold tests.
        head.set_weights(random)
        self.views: Views | None = None
        self.read: np.ndarray | None = None
        self.exact: list[np.ndarray] | None = None
        self.rounded: float | None = None
        # An MLP flattens the map; its heads read what it reads.
        self.pooling = "average" if job.recipe.network_head == "mlp" else job.recipe.pooling
        self.cam_layer = nodule_map.READ if self.pooling == "nodule" else spec.cam_layer
        if boundary(spec, self.stage.trainable) == "features":
            # A frozen body is rounded before anything is fitted on it, so that the figures are
            # those of the file; the exact features show what the rounding moved.
            if rounding and weights != "none":
                self.exact = pooled(self.network, self.frames.images, self._tensors())
            compress.shorten(self.network)
        self.first = self.network.get_weights()

    def split_again(self, seed: int, work: Path) -> "CrossFit":
        """Split the same images into other folds; what the network computes of them is shared.

        Parameters
        ----------
        seed : int
            Of the split.
        work : Path
            Where the folds go.

        Returns
        -------
        CrossFit
            With these folds.
        """
        other = copy.copy(self)
        other.records = splits.kfold(self.records, self.job.recipe.folds, seed=seed)
        other.folder = work / self.stage.name
        return other

    def _tensors(self) -> list[keras.KerasTensor]:
        """Return what the softmax reads, and what the other heads read."""
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
        """Pool every image as it is.

        Returns
        -------
        list of ndarray of float32 (n, d)
            For the softmax, and for the other heads.
        """
        cut = boundary(self.spec, self.stage.trainable)
        if self.views is not None and self.read is not None:
            return [self.views.plain, self.read]
        if cut is None or self.views is None:
            return pooled(self.network, self.frames.images, self._tensors())
        return pooled_above(self.network, cut, self.views.plain, self._tensors())

    def out_of_fold(self, phantoms: bool = True) -> tuple[pd.DataFrame, list[int]]:
        """Score every image with a chain that never saw its group.

        Parameters
        ----------
        phantoms : bool
            Whether phantoms are among what it is trained on.

        Returns
        -------
        DataFrame
            One row an image and head, calibrated across folds.
        list of int
            Epochs that each fold kept.
        """
        parts, epochs = [], []
        folds = sorted(set(self.records["fold"]))
        kind = "fold" if phantoms else "real-fold"
        for fold in tqdm(folds, desc="Cross-validation", unit="fold"):
            file = self.folder / f"{kind}{fold}.csv"
            note = self.folder / f"{kind}{fold}.json"
            if not note.exists():
                table, facts = self._fold(fold, phantoms, f"{kind}{fold}")
                with atomic_write(file) as temporary:
                    table.to_csv(temporary, index=False)
                with atomic_write(note) as temporary:
                    temporary.write_text(json.dumps(facts))
            parts.append(out_of_fold.read_back(file))
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
        training = ~outer & used.to_numpy()
        rows = np.flatnonzero(training)
        chosen = out_of_fold.set_aside(self.records[training], fold)
        best = self._train(self.stage, rows[~chosen], rows[chosen], name)
        average, read = self.features()
        tested = {"raw": (average[outer], read[outer])}
        if self.exact is not None:
            tested["exact"] = (self.exact[0][outer], self.exact[1][outer])
        scored = _score(
            self.network, read[training], self.frames.labels[training],
            self.records["group"].to_numpy()[training], tested, self.job.recipe.heads,
        )  # fmt: skip
        known = self.records.loc[outer, ["path", "group", "source", "label", "fold"]]
        tables = [known.assign(head=head, **raw) for head, raw in scored]
        return pd.concat(tables, ignore_index=True), {"epochs": best}

    def final(self, epochs: int) -> None:
        """Train on all rows, as long as the folds did on average.

        Parameters
        ----------
        epochs : int
            Passes.
        """
        rows = np.arange(len(self.frames))
        stage = replace(self.stage, patience=None)
        # The schedule keeps its length: only the moment of stopping comes from the folds.
        nothing = np.empty(0, np.int64)
        self._train(replace(stage, stop_after=epochs), rows, nothing, "final")


def _records(job: TrainingJob) -> pd.DataFrame:
    """Read the last stage's frames, assigned to folds."""
    source, stage = job.recipe.stages[-1]
    records = stage_images.read(job, source, stage)
    return thyroid_set.assemble(
        records, job.work, job.recipe.folds, job.recipe.phantoms, roi=SOURCES[source].roi
    )


def _score(
    network: keras.Model,
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    tested: dict[str, tuple[np.ndarray, np.ndarray]],
    kinds: tuple[str, ...],
) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Fit every head on features and score those of the test rows, before calibration."""
    # `tested` holds for each column what the softmax reads and what the other heads read.
    found = []
    for kind in kinds:
        if kind == "softmax":
            upper = upper_part(network, "features")
            odds = {name: upper(rows, training=False).numpy() for name, (rows, _) in tested.items()}
            found.append((kind, {name: z[:, 1] - z[:, 0] for name, z in odds.items()}))
        else:
            head = heads.fit_uncalibrated(kind, features, labels, groups)
            raw = {name: heads.raw(head, rows) for name, (_, rows) in tested.items()}
            found.append((kind, raw))
    return found
