"""What a frozen stage costs beside the plain Keras loop over the same frozen network.

`train_stage` runs the frozen layers once over every view and trains what is above on
the stored activations. The plain loop, as most tutorials have it, sets ``trainable`` to
False and calls ``model.fit``: every epoch runs the whole backbone again.
"""

from time import perf_counter

import keras
import numpy as np

from thyro_demo.bench.clock import Entrant, race
from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.models.backbones import BackboneSpec, backbone
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import Frames, batches
from thyro_demo.training.frozen_cache import freeze, upper_part
from thyro_demo.training.loop import train_stage
from thyro_demo.training.stage import Stage

TARGET = 8.0
VALIDATION = 0.25


def run(
    name: str = "efficientnet-b0",
    images: int = 256,
    epochs: int = 20,
    peer_epochs: int = 3,
    rounds: int = 1,
    input_size: int | None = None,
) -> Outcome:
    """Train the same head on the same views both ways.

    Parameters
    ----------
    name : str
        Key of `backbones.BACKBONES`.
    images : int
        Images, a quarter of them for validation. They are noise: time does not depend on
        what an image shows.
    epochs : int
        Epochs of the stage.
    peer_epochs : int
        Epochs that the plain loop really runs, at least 2. Those it does not run count as
        the median of all but its first, which traces the graph.
    rounds : int
        Repetitions of both sides, in turns.
    input_size : int, optional
        Side of the images in pixels; by default the backbone's own.

    Returns
    -------
    Outcome
        One figure, in seconds: caching, tracing, training and validation of all epochs.
    """
    spec = backbone(name)
    keras.utils.set_random_seed(0)
    network = build(spec, input_size=input_size)
    stage = Stage("frozen", trainable="head", epochs=epochs, views=2)
    frames = _frames(images, network.input_shape[1])
    held_out = round(images * VALIDATION)
    training, validation = np.arange(held_out, images), np.arange(held_out)
    loop = _PlainLoop(network, spec, stage, frames, training, validation)
    measured = min(peer_epochs, epochs)
    whole_runs: list[float] = []
    ours = Entrant(
        "ours", lambda _: train_stage(network, spec, stage, frames, training, validation)
    )
    peer = Entrant("peer", lambda _: whole_runs.append(loop.seconds(measured)))
    seconds = race([ours, peer], rounds, 0, "Training both ways")["ours"]
    settings = {
        "backbone": name,
        "images": images,
        "of them validation": held_out,
        "views": stage.views,
        "input_size": network.input_shape[1],
        "epochs": epochs,
        "epochs measured of the peer": measured,
        "rounds": rounds,
    }
    figure = _figure(spec, seconds, float(np.median(whole_runs)), epochs, peer_epochs)
    return Outcome("train", [figure], settings=settings)


def _figure(spec: BackboneSpec, ours: float, peer: float, epochs: int, peer_epochs: int) -> Figure:
    return Figure(
        f"{epochs} epochs over a frozen {spec.title}, caching included",
        ours=ours,
        unit="s",
        value=peer / ours,
        bound=TARGET,
        target=f"≥ {TARGET:.0f} ×",
        at_least=True,
        peer=peer,
        peer_name=_peer_name(epochs, peer_epochs),
        ratio=peer / ours,
    )


def _peer_name(epochs: int, peer_epochs: int) -> str:
    what = "model.fit on the same views, drawn beforehand and free of charge"
    if peer_epochs >= epochs:
        return what
    return f"{what}; {peer_epochs} of its {epochs} epochs measured, the others extrapolated"


def _frames(count: int, side: int) -> Frames:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side, 3), np.uint8)
    return Frames(images, np.arange(count) % 2, ("benign", "malignant"))


class _PlainLoop:
    """The peer: ``model.fit`` over the frozen network, one view of each image an epoch."""

    def __init__(
        self,
        network: keras.Model,
        spec: BackboneSpec,
        stage: Stage,
        frames: Frames,
        training: np.ndarray,
        validation: np.ndarray,
    ):
        self.network, self.spec, self.stage = network, spec, stage
        self.views = [_drawn(frames, training, stage, view) for view in range(stage.views)]
        self.labels = frames.labels[training]
        plain = frames.images[validation].astype(np.float32)
        self.held_out = (plain, frames.labels[validation])

    def seconds(self, measured: int) -> float:
        """Run some epochs and return the seconds of all."""
        freeze(self.network, self.spec, self.stage.trainable)
        model = upper_part(self.network, None)
        model.compile(
            keras.optimizers.Adam(self.stage.learning_rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        taken = []
        for epoch in range(measured):
            view = self.views[epoch % len(self.views)]
            start = perf_counter()
            model.fit(
                view,
                self.labels,
                batch_size=self.stage.batch,
                validation_data=self.held_out,
                verbose=0,
            )
            taken.append(perf_counter() - start)
        rest = self.stage.epochs - measured
        return sum(taken) + rest * float(np.median(taken[1:] or taken))


def _drawn(frames: Frames, rows: np.ndarray, stage: Stage, view: int) -> np.ndarray:
    """Draw one fixed view of every image, float32 (n, s, s, 3); view 0 is the image itself."""
    how = stage.augmentation if view else None
    drawn = batches(frames.images, rows, 32, (stage.seed, view), how)
    return np.concatenate([batch.numpy() for batch in drawn])
