"""One run of a recipe: what to run, on what, and where it is kept."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from thyro_demo.bundle import manifest
from thyro_demo.errors import RecipeError
from thyro_demo.files import atomic_write, sha256
from thyro_demo.models.backbones import BackboneSpec, backbone
from thyro_demo.training.recipes import Recipe
from thyro_demo.training.stage import Stage


@dataclass(frozen=True)
class TrainingJob:
    """One run of a recipe.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    backbone : str
        Which network.
    data : Path
        Folder of the sets, each under its name in `sources.SOURCES`; for a recipe
        of one stage it may be the set itself.
    work : Path
        Where checkpoints and logs are kept; a killed run goes on from there.
    out : Path
        Folder of the bundle to write.
    initial_weights : str
        See `initial_weights.load`.
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
    initial_weights: str = "none"
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
            raise RecipeError(f"The cap on epochs must be 1 or more. Received: {self.epochs}.")
        return replace(stage, epochs=min(stage.epochs, self.epochs))


def network_of(job: TrainingJob) -> BackboneSpec:
    """Look up the network of a job; refuse one that its recipe is not made for."""
    if job.backbone not in job.recipe.backbones:
        raise RecipeError(
            f"The backbone of {job.recipe.name} must be one of {', '.join(job.recipe.backbones)}. "
            f"Received: {job.backbone!r}."
        )
    return backbone(job.backbone)


IMAGES = "data.sha256"
"""Note in a stage's folder of the images that it was begun with."""


def claim(job: TrainingJob) -> None:
    """Leave a note of the job in its work folder, or refuse a folder that holds another's."""
    # Stages and folds that are done are taken as they are, so they must be this job's.
    facts = {
        "recipe": job.recipe.name,
        "backbone": job.backbone,
        "initial_weights": job.initial_weights,
        "heads": list(job.recipe.heads),
        "network_head": job.recipe.network_head,
        "pooling": job.recipe.pooling,
        # These two decide in which fold a frame is.
        "phantoms": job.recipe.phantoms,
        "folds": job.recipe.folds,
        # As JSON reads it back: lists in place of tuples.
        "stages": json.loads(
            json.dumps([asdict(job.stage(stage)) for _, stage in job.recipe.stages])
        ),
    }
    file = manifest.network_file(job.initial_weights)
    if file is not None and file.is_file():
        # Another network may have the old name by the time that a killed run goes on.
        facts["initial_weights_sha256"] = sha256(file)
    note = job.work / "job.json"
    # The note of a stage's images alone is no work that another job would spoil.
    begun = any(
        path.name != IMAGES
        for _, stage in job.recipe.stages
        for path in (job.work / stage.name).glob("*")
    )
    if begun and note.exists() and json.loads(note.read_text(encoding="utf-8")) != facts:
        raise RecipeError(
            "A work folder must be empty or hold the same recipe, network, initial weights and "
            "epochs, so that it can be resumed; choose another --work folder or delete this one. "
            f"Received: {job.work}."
        )
    with atomic_write(note) as temporary:
        temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")
