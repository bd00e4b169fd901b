"""Run a recipe, top to bottom: early stages, folds, final fit, bundle."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from thyro_demo.bundle import card, compress, manifest, network_file, store
from thyro_demo.data.records import PHANTOM
from thyro_demo.errors import RecipeError
from thyro_demo.files import atomic_write, relative, sha256
from thyro_demo.models import heads, ood
from thyro_demo.models.features import ood_readout, pooled
from thyro_demo.training import initial_weights, out_of_fold, pretrain, provenance, stage_images
from thyro_demo.training.cross_fit import CrossFit
from thyro_demo.training.job import TrainingJob, claim, network_of
from thyro_demo.training.out_of_fold import CLASSES
from thyro_demo.training.sources import SOURCES


def run(job: TrainingJob) -> Path:
    """Run a recipe from its initial weights to its bundle, or to its network.

    Parameters
    ----------
    job : TrainingJob
        What to run, on what, and where to keep it.

    Returns
    -------
    Path
        The bundle, or the `.keras` file of a recipe without one, with `manifest.note_beside` it.
        In `work`: the log of every stage, and `oof.csv` beside a bundle.

    Raises
    ------
    RecipeError
        If the recipe does not fit the backbone, a stage cannot be run, or the initial weights
        were trained on thyroid frames and so is the recipe.
    DataError
        If the images are not in the layout that a stage reads.
    BundleError
        If no bundle can be written to `out`.
    """
    if not job.recipe.writes_bundle:
        return _run_to_network(job)
    manifest.check_place(job.out)
    fit, history = _prepared(job, rounding=True)
    found, epochs = fit.out_of_fold()
    out_of_fold.write(found, job.work, (job.work, job.data))
    facts = _figures(fit, found)
    passes = round(float(np.mean(epochs)))
    fit.final(passes)
    fitted, facts["ood_limits"] = _final_heads(fit, found)
    facts |= _description(fit, [*history, _last_row(fit, passes)])
    extra = _checkpoints(job, history)
    if extra:
        facts["checkpoints"] = {
            f"{name}.keras": f"the network after the stage {name}" for name in extra
        }
    return store.write(job.out, facts, fit.network, fitted, card.write(facts), extra)


def cross_validate(job: TrainingJob) -> pd.DataFrame:
    """Score every thyroid frame with a chain that never saw its group, without a bundle.

    Parameters
    ----------
    job : TrainingJob
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
    return next(cross_validations(job))


def cross_validations(job: TrainingJob, repeats: int = 1) -> Iterator[pd.DataFrame]:
    """Score every thyroid frame as `cross_validate` does, in one split into folds after another.

    Parameters
    ----------
    job : TrainingJob
        What to run; its `out` is left alone.
    repeats : int
        Number of splits: a figure that moves with them is noise. The second writes to
        `work/split-1`, and so on.

    Yields
    ------
    DataFrame
        As from `cross_validate`, one a split.

    Raises
    ------
    RecipeError, DataError
        As from `run`.
    """
    fit, _ = _prepared(job)
    for seed in range(repeats):
        work = out_of_fold.split_folder(job.work, seed)
        if seed:
            fit = fit.split_again(seed, work)
        found, _ = fit.out_of_fold()
        yield out_of_fold.write(found, work, (job.work, job.data))


def run_once(job: TrainingJob) -> Path:
    """Train a network as `run` does, unless this job has written it before.

    Parameters
    ----------
    job : TrainingJob
        Of a recipe that ends in a network.

    Returns
    -------
    Path
        Its `.keras` file.

    Raises
    ------
    RecipeError, DataError
        As from `run`, or if what is there is of another job, or of other images.
    """
    if not job.out.is_file():
        return run(job)
    claim(job)
    for source, stage in job.recipe.stages:
        stage_images.read(job, source, job.stage(stage))
    return job.out


def _run_to_network(job: TrainingJob) -> Path:
    """Train the stages of a recipe without a bundle, and write the network of the last."""
    spec = network_of(job)
    initial_weights.check_available(spec, job.initial_weights)
    if job.out.suffix != ".keras":
        raise RecipeError(
            f"The network of the recipe {job.recipe.name} must go to a file named *.keras. "
            f"Received: {job.out}."
        )
    claim(job)
    trained = pretrain.run(job, spec, job.recipe.early)
    network = keras.saving.load_model(trained.weights, compile=False)
    compress.shorten(network)
    facts = {
        "chain": [*initial_weights.history(job.initial_weights), *trained.history],
        "training_phantoms": provenance.phantoms(job),
        "training_outlines": provenance.outlines(job),
    }
    # First, so that no network is without it: what goes on from here has met all of this.
    with atomic_write(manifest.note_beside(job.out)) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    with atomic_write(job.out) as temporary:
        store.save_network(network, temporary)
    return job.out


def _prepared(job: TrainingJob, rounding: bool = False) -> tuple[CrossFit, list[dict[str, Any]]]:
    """Train the early stages, and set up the last."""
    spec = network_of(job)
    initial_weights.check_available(spec, job.initial_weights)
    initial_weights.check_not_trained_on(job.initial_weights)
    claim(job)
    before = pretrain.run(job, spec, job.recipe.early)
    return CrossFit(job, spec, before.weights, rounding), before.history


def _figures(fit: CrossFit, found: pd.DataFrame) -> dict[str, Any]:
    """Measure the out-of-fold scores, with and without phantoms among the training images."""
    facts = out_of_fold.figures(fit.records, found)
    if not out_of_fold.reported(fit.records).all():
        apart, _ = fit.out_of_fold(phantoms=False)
        facts["with_and_without_phantoms"] = {
            "with": _by_source(facts["metrics"]),
            "without": _by_source(out_of_fold.summary(apart[out_of_fold.reported(apart)], None)),
        }
    if fit.rounded is not None:
        facts["rounding"] = {"mantissa_bits": compress.BITS, "largest_move": fit.rounded}
    return facts


def _by_source(summary: dict[str, Any]) -> dict[str, Any]:
    """Keep the AUROC of each head, over all and within each source."""
    return {
        head: {
            "all": figures["auroc"],
            "by_source": {name: within["auroc"] for name, within in figures["by_source"].items()},
        }
        for head, figures in summary["heads"].items()
    }


def _final_heads(fit: CrossFit, found: pd.DataFrame) -> tuple[dict[str, Any], dict[str, float]]:
    """Fit all heads on all frames, calibrated on the out-of-fold scores, and the OOD spaces."""
    kinds = fit.job.recipe.heads
    sigmoids = {head: out_of_fold.sigmoid(found[found["head"] == head]) for head in kinds}
    if "softmax" in sigmoids:
        _calibrate(fit.network, *sigmoids["softmax"])
    compress.shorten(fit.network)
    _, features = fit.features()
    groups = fit.records["group"].to_numpy()
    fitted: dict[str, Any] = {
        kind: heads.fit(kind, features, fit.frames.labels, groups)
        for kind in kinds
        if kind != "softmax"
    }
    for kind, model in fitted.items():
        heads.recalibrate(model, *sigmoids[kind])
        heads.slim(model)
    fitted["ood"], limits = _fit_ood(fit)
    return fitted, limits


def _calibrate(network: keras.Model, slope: float, intercept: float) -> None:
    """Fold a sigmoid's slope and intercept into the two logits, exactly."""
    dense = network.get_layer("logits")
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel * slope, bias * slope + np.array([0.0, intercept], np.float32)])


def _fit_ood(fit: CrossFit) -> tuple[dict[str, Any], dict[str, float]]:
    """Fit the spaces of all kinds of training image: the last stage's, and those with outlines."""
    read = [ood_readout(fit.network, fit.cam_layer, fit.pooling)]
    tables, features = [fit.records], pooled(fit.network, fit.frames.images, read)
    for table, images in provenance.images(fit.job, fit.size):
        tables.append(table)
        features += pooled(fit.network, images, read)
    table = pd.concat(tables, ignore_index=True)
    return ood.fit(np.concatenate(features), table["group"], table["source"])


def _last_row(fit: CrossFit, epochs: int) -> dict[str, Any]:
    """Describe the last stage, as the others are described."""
    drawn = fit.records["source"] == PHANTOM
    return {
        "stage": fit.stage.name,
        "trained": fit.stage.trainable,
        "images": int((~drawn).sum()),
        "phantoms": int(drawn.sum()),
        "classes": len(CLASSES),
        "epochs": epochs,
        "input size": fit.size,
    }


def _description(fit: CrossFit, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe a bundle for its manifest: what it is, and what it was trained on."""
    job, spec = fit.job, fit.spec
    region = "roi" if SOURCES[job.recipe.stages[-1][0]].roi else "scan"
    facts: dict[str, Any] = {
        "name": job.out.name,
        "title": job.title or f"{spec.title}{' ROI' if region == 'roi' else ''}",
        "backbone": spec.name,
        "recipe": job.recipe.name,
        # A path of this computer would mean nothing to readers of the card.
        "initial_weights": relative(job.initial_weights, (Path.cwd(),)),
        "classes": list(CLASSES),
        "input_size": fit.size,
        "cam_layer": fit.cam_layer,
        "pooling": fit.pooling,
        "region": region,
        "heads": list(job.recipe.heads),
        "primary": job.recipe.primary,
        "chain": [*initial_weights.history(job.initial_weights), *stages],
        "stages": [asdict(job.stage(each)) for _, each in job.recipe.stages],
        "training_images": sorted(sha256(path) for path in fit.records["path"]),
        "training_phantoms": provenance.phantoms(job, fit.records),
        "training_outlines": provenance.outlines(job),
    }
    if fit.pooling == "nodule":
        drawn = [row for row in facts["chain"] if "nodule threshold" in row]
        facts["nodule_threshold"] = drawn[-1]["nodule threshold"]
    return facts


def _checkpoints(job: TrainingJob, history: list[dict[str, Any]]) -> dict[str, keras.Model]:
    """Load the networks of the early stages that the bundle keeps too."""
    if job.backbone not in _KEEPS_STAGES:
        return {}
    kept = {}
    for name in [row["stage"] for row in history if row["stage"] in manifest.CHECKPOINTS]:
        kept[name] = keras.saving.load_model(job.work / name / "network.keras", compile=False)
        compress.shorten(kept[name])
    first = manifest.network_file(job.initial_weights)
    if first is not None and first.stem in manifest.CHECKPOINTS:
        kept[first.stem] = network_file.load(first)
    return kept


_KEEPS_STAGES = ("efficientnet-b0",)
"""Networks whose bundle holds its earlier stages too; those of the others are too large."""
