"""Settings of one training stage: what is trained, how long, and at which rate."""

import math
from dataclasses import dataclass, field

from thyro_demo.errors import RecipeError
from thyro_demo.models.pipeline import Augmentation

TRAINABLE = ("none", "head", "last block", "last two blocks", "last four blocks", "all")


@dataclass(frozen=True)
class Stage:
    """Settings of one training stage.

    Parameters
    ----------
    name : str
        Name of the stage, also of its folder.
    trainable : {"none", "head", "last block", "last two blocks", "last four blocks", "all"}
        What is trained; all below is frozen, its batch normalisation included.
    epochs : int
        Most passes over the training part.
    learning_rate : float
        Peak of the schedule.
    optimiser : {"adam", "adamw", "sgd", "rmsprop"}
        SGD uses a momentum of 0.9.
    schedule : {"constant", "cosine", "step", "log"}
        Cosine falls to zero over `epochs`. "step" multiplies the rate by `decay` after every
        `decay_every` epochs. With "log" each epoch has a rate of its own, evenly spaced in the
        logarithm from `learning_rate` in the first to `final_rate` in the last. The latter two
        are those of P2.
    warm_up : float
        Epochs of linear rise at the start.
    batch : int
        Batch size, images.
    input_size : int or None
        Side of the input in pixels; None takes the backbone's own.
    patience : int or None
        Stop after so many epochs without a lower validation loss, and go back to the
        best epoch. None trains to the end and keeps the last epoch.
    stop_after : int or None
        End after so many epochs although the schedule is longer.
    class_weights : bool
        Weigh each class by the inverse of its frequency in the training part.
    label_smoothing : float
        Share of the target spread over all classes, 0–1.
    weight_decay : float
        Of AdamW.
    norm_momentum : float or None
        Momentum of the running statistics of trained batch normalisation; None keeps the
        network's own. A stage of few steps needs a short memory, or validation sees
        statistics of weights long gone.
    views : int
        Cached views of each image when something is frozen: the image as it is, as
        validation sees it too, and `views` − 1 augmented ones.
    augmentation : Augmentation or None
        None trains on the images as they are.
    seed : int
        Fixes order, views and dropout.
    sides : tuple of int
        Side of the images in each epoch, for a stage that trains all layers: small images
        first teach the same network in a fraction of the time (progressive learning, Tan &
        Le 2021, "EfficientNetV2"). The last one goes on; empty keeps `input_size`.
    precision : {"float32", "mixed_bfloat16"}
        Of the arithmetic in training; weights are float32 in both.
    limit : int or None
        Most images of a stage before the last, drawn in whole groups; None takes all.
    frozen_layers : int or None
        Number of layers of the base model that are frozen in a stage that otherwise trains all:
        its first ones, in the order of `base_layers`, the input layer counted. Published
        protocols draw the line so, in the middle of a block where it falls there. What can be
        run once is, over `views` of each image; see `cut_layer`.
    decay : float
        Factor of the schedule "step", above 0 and at most 1.
    decay_every : int
        Epochs from one step to the next.
    final_rate : float
        Rate of the last epoch of the schedule "log", above 0 and at most `learning_rate`.
    label_share : float
        Weight of the label's loss beside that of the nodule map, in a stage with outlines.
    """

    name: str
    trainable: str
    epochs: int
    learning_rate: float = 1e-3
    optimiser: str = "adam"
    schedule: str = "constant"
    warm_up: float = 0.0
    batch: int = 32
    input_size: int | None = None
    patience: int | None = None
    stop_after: int | None = None
    class_weights: bool = False
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    norm_momentum: float | None = None
    views: int = 2
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    seed: int = 0
    sides: tuple[int, ...] = ()
    precision: str = "float32"
    limit: int | None = None
    frozen_layers: int | None = None
    decay: float = 0.1
    decay_every: int = 5
    final_rate: float = 1e-4
    label_share: float = 1.0

    def __post_init__(self) -> None:
        if self.trainable not in TRAINABLE:
            raise RecipeError(
                f"What a stage trains must be one of {', '.join(TRAINABLE)}. "
                f"Received: trainable={self.trainable!r}."
            )
        if self.optimiser not in ("adam", "adamw", "sgd", "rmsprop"):
            raise RecipeError(
                f"The optimiser must be adam, adamw, sgd or rmsprop. Received: {self.optimiser!r}."
            )
        self._check_rates()
        if self.precision not in ("float32", "mixed_bfloat16"):
            raise RecipeError(
                f"The precision must be float32 or mixed_bfloat16. Received: {self.precision!r}."
            )
        if self.sides and self.trainable != "all":
            raise RecipeError(
                "A stage whose images grow must train all layers. "
                f"Received: trainable={self.trainable!r}."
            )
        if self.frozen_layers is not None and (
            self.frozen_layers < 1 or self.trainable != "all" or self.sides
        ):
            raise RecipeError(
                "A number of frozen layers must be at least 1, in a stage that trains all others "
                "on images of one size. Received: "
                f"{self.frozen_layers}, {self.trainable!r}, sides={self.sides}."
            )
        if self.epochs < 0 or self.batch < 1 or self.views < 1:
            raise RecipeError(
                "A stage must have epochs ≥ 0, batch ≥ 1 and views ≥ 1. Received: "
                f"epochs={self.epochs}, batch={self.batch}, views={self.views}."
            )

    def _check_rates(self) -> None:
        if self.schedule not in ("constant", "cosine", "step", "log"):
            raise RecipeError(
                f"The schedule must be constant, cosine, step or log. Received: {self.schedule!r}."
            )
        if not 0 < self.decay <= 1 or self.decay_every < 1:
            raise RecipeError(
                "A schedule of steps must have a decay above 0 and at most 1, and an epoch or more "
                f"a step. Received: decay={self.decay}, decay_every={self.decay_every}."
            )
        if self.schedule == "log" and not 0 < self.final_rate <= self.learning_rate:
            raise RecipeError(
                "A schedule on a log scale must fall to a rate above 0, no higher than its first. "
                f"Received: {self.learning_rate} to {self.final_rate}."
            )

    def side(self, epoch: int) -> int | None:
        """Return the side of the images in an epoch.

        Parameters
        ----------
        epoch : int
            From 0.

        Returns
        -------
        int or None
            Pixels; None leaves the images as they are loaded.
        """
        return self.sides[min(epoch, len(self.sides) - 1)] if self.sides else None


def learning_rate(stage: Stage, progress: float) -> float:
    """Compute the learning rate at a moment of a stage.

    Parameters
    ----------
    stage : Stage
        With peak, schedule, warm-up and length.
    progress : float
        Epochs done, fractions included.

    Returns
    -------
    float
        Learning rate.

    Examples
    --------
    >>> stage = Stage("thyroid", "head", epochs=10, learning_rate=0.01, schedule="cosine")
    >>> [round(learning_rate(stage, epochs), 4) for epochs in (0, 5, 10)]
    [0.01, 0.005, 0.0]
    """
    if progress < stage.warm_up:
        return stage.learning_rate * progress / stage.warm_up
    if stage.schedule == "constant":
        return stage.learning_rate
    # The last batch of an epoch still has that epoch's rate.
    finished = max(math.ceil(progress) - 1, 0)
    if stage.schedule == "step":
        return stage.learning_rate * stage.decay ** (finished // stage.decay_every)
    if stage.schedule == "log":
        fallen = min(finished / max(stage.epochs - 1, 1), 1.0)
        return stage.learning_rate * (stage.final_rate / stage.learning_rate) ** fallen
    share = (progress - stage.warm_up) / max(stage.epochs - stage.warm_up, 1e-9)
    return stage.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
