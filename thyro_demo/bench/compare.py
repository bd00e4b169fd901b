"""What one comparison costs beside bare forward passes and beside Keras with tf-keras-vis.

Our side is `Engine.compare` as the page calls it: a frame it has never seen, found and
cropped, scored by every head of every bundle, with the maps of softmax and SVM placed in
the frame. The floor under it is nothing but the networks, each in a `tf.function` of its
own over a square that was cut beforehand.
"""

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from thyro_demo.bench.clock import Entrant, race
from thyro_demo.bench.figures import Figure, Outcome
from thyro_demo.bench.untrained import ROWS, untrained
from thyro_demo.bundle.bundle import POSITIVE, Bundle
from thyro_demo.data import scan_area
from thyro_demo.data.phantom import cohort
from thyro_demo.engine import Engine

BACKBONES = ("vgg16", "resnet50", "efficientnet-b0")
OVER_BARE, FORESTS_MS, OVER_PEER = 1.25, 80.0, 6.0
WARM_UP = 2
PEER = "tf_keras_vis.gradcam"


def run(
    backbones: Sequence[str] = BACKBONES,
    rounds: int = 15,
    rows: int = ROWS,
    input_size: int | None = None,
) -> Outcome:
    """Compare one image with every backbone, and let its peers do the same.

    Parameters
    ----------
    backbones : sequence of str
        Keys of `backbones.BACKBONES`.
    rounds : int
        Rounds that count; every one has frames of its own.
    rows : int
        Feature vectors the heads are fitted on.
    input_size : int, optional
        Side of the input in pixels; by default each backbone's own.

    Returns
    -------
    Outcome
        Three figures; the last is left out where tf-keras-vis is not installed.
    """
    engine = Engine()
    bundles = [
        untrained(name, rows, input_size).in_memory()
        for name in tqdm(backbones, "Building networks", unit="network")
    ]
    for bundle in bundles:
        engine.add(bundle)
    frames = _frames(2 * (rounds + WARM_UP))
    bench = _Bench(engine, bundles, frames[::2], frames[1::2])
    entrants = [
        Entrant("ours", bench.compare),
        Entrant("bare", bench.bare_forward),
        Entrant("forests", bench.draw_forests, prepare=bench.score_only),
    ]
    gradcam = _gradcam_module()
    if gradcam is not None:
        entrants.append(Entrant("peer", bench.peer(gradcam)))
    medians = race(entrants, rounds, WARM_UP, "Comparing")
    milliseconds = {name: 1000 * seconds for name, seconds in medians.items()}
    left_out = [] if gradcam is not None else [_LEFT_OUT]
    settings = {
        "backbones": list(backbones), "rounds": rounds, "heads fitted on": rows,
    }  # fmt: skip
    return Outcome("compare", _figures(milliseconds, len(bundles)), left_out, settings)


_LEFT_OUT = (
    "The row beside model.predict + tf-keras-vis needs the development requirements "
    "(pip install -r requirements-dev.txt) and is left out. Received: no tf-keras-vis."
)


class _Bench:
    """The rivals, each taking the number of a round.

    The engine remembers an image by its content, so the comparison and the forest maps
    have frames of their own in every round.
    """

    def __init__(
        self,
        engine: Engine,
        bundles: list[Bundle],
        compared: list[np.ndarray],
        explained: list[np.ndarray],
    ):
        self.engine, self.bundles = engine, bundles
        self.compared, self.explained = compared, explained
        self.names = [bundle.name for bundle in bundles]
        self.squares = [
            scan_area.prepare(compared[0], bundle.input_size)[0][None] for bundle in bundles
        ]
        self._tensors = [tf.constant(square) for square in self.squares]
        self._bare = [_bare(bundle.network) for bundle in bundles]

    def compare(self, turn: int) -> None:
        self.engine.compare(self.compared[turn], self.names, maps=("softmax", "svm"))

    def bare_forward(self, turn: int) -> None:
        for forward, tensor in zip(self._bare, self._tensors, strict=True):
            forward(tensor).numpy()

    def score_only(self, turn: int) -> None:
        self.engine.compare(self.explained[turn], self.names, maps=())

    def draw_forests(self, turn: int) -> None:
        for name in self.names:
            self.engine.explain(self.explained[turn], name, "forest")

    def peer(self, gradcam: ModuleType) -> Callable[[int], None]:
        """Build the peer's objects once, outside all timing."""
        logits = [
            keras.Model(bundle.network.inputs[0], bundle.network.get_layer("logits").output)
            for bundle in self.bundles
        ]
        drawers = [gradcam.Gradcam(model, clone=False) for model in logits]

        def run(turn: int) -> None:
            for bundle, square, drawer in zip(self.bundles, self.squares, drawers, strict=True):
                bundle.network.predict(square, verbose=0)
                drawer(_malignant, square, penultimate_layer=bundle.cam_layer)

        return run


def _malignant(logits: tf.Tensor) -> tf.Tensor:
    return logits[:, POSITIVE]


def _bare(network: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    return tf.function(lambda square: network(square, training=False))


def _frames(count: int) -> list[np.ndarray]:
    """Draw phantoms, uint8 (360, 480, 3), no two alike."""
    drawn = cohort(count, 1, seed=11)
    return [phantom.rgb for phantom in tqdm(drawn, "Phantoms", count, unit="frame")]


def _gradcam_module() -> ModuleType | None:
    """Import the peer, which only the development requirements bring."""
    try:
        return importlib.import_module(PEER)
    except ImportError:
        return None


def _figures(milliseconds: dict[str, float], networks: int) -> list[Figure]:
    ours, bare, forests = (milliseconds[name] for name in ("ours", "bare", "forests"))
    whole = f"{3 * networks} scores, {networks} softmax and {networks} SVM maps"
    found = [
        Figure(
            whole,
            ours=ours,
            unit="ms",
            value=ours / bare,
            bound=OVER_BARE,
            target=f"≤ {OVER_BARE} ×",
            peer=bare,
            peer_name=f"{networks} bare tf.function forward passes, nothing else",
            ratio=ours / bare,
        ),
        Figure(
            f"{networks} forest maps more",
            ours=forests,
            unit="ms",
            value=forests,
            bound=FORESTS_MS,
            target=f"≤ {FORESTS_MS:.0f} ms",
        ),
    ]
    if "peer" in milliseconds:
        peer = milliseconds["peer"]
        found.append(
            Figure(
                f"{whole}, again",
                ours=ours,
                unit="ms",
                value=peer / ours,
                bound=OVER_PEER,
                target=f"≥ {OVER_PEER:.0f} ×",
                at_least=True,
                peer=peer,
                peer_name=f"model.predict + tf-keras-vis Gradcam of the {networks} softmax heads "
                "alone, on squares cut beforehand",
                ratio=peer / ours,
            )
        )
    return found
