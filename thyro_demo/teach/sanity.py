"""Whether a map has to do with the score it explains, and with what the network has learned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

from thyro_demo.data import preprocess
from thyro_demo.data.preprocess import Box
from thyro_demo.engine import Engine
from thyro_demo.explain.cam import grad_cam
from thyro_demo.models.backbones import backbone
from thyro_demo.models.bundle import Bundle
from thyro_demo.teach.looking import Case, agreement, drawn, onlookers

TRAINED = "as trained"
"""Name of the network that has forgotten nothing."""


@dataclass(frozen=True, eq=False)
class Curves:
    """How a score falls and rises as a frame is taken away or given back along a map.

    Parameters
    ----------
    shares : ndarray of float64, shape (steps + 1,)
        Share of the scan area that was changed, 0–1.
    deletion : ndarray of float64, shape (steps + 1,)
        Score, 0–1, while the hottest pixels are blurred first.
    insertion : ndarray of float64, shape (steps + 1,)
        Score, 0–1, while the hottest pixels are made sharp first.
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def areas(self) -> dict[str, float]:
        """Areas under both curves, 0–1, by their names."""
        return {
            name: float(((curve[1:] + curve[:-1]) / 2).mean())
            for name, curve in (("deletion", self.deletion), ("insertion", self.insertion))
        }


def curves(
    bundle: Bundle, head: str, frame: np.ndarray, heatmap: np.ndarray, steps: int = 10
) -> Curves:
    """Take a frame away along a map, and give it back, and watch the score.

    A map that names the pixels the score rests on makes it fall soon when they go, and
    rise soon when they come.

    Parameters
    ----------
    bundle : Bundle
        One network.
    head : str
        Whose score is watched.
    frame : ndarray of uint8, shape (H, W, 3)
        RGB.
    heatmap : ndarray of float32, shape (H, W)
        0–1, in the frame's coordinates.
    steps : int
        Into how many equal parts the pixels are dealt.

    Returns
    -------
    Curves
        Of 2 · (steps + 1) forward passes.

    References
    ----------
    Petsiuk et al., "RISE: Randomized input sampling for explanation of black-box models",
    BMVC 2018, section 4.2. One departure: pixels that are taken away become blurred in both
    curves, because a grey hole is itself like no frame that the network has seen.
    """
    square, box = preprocess.prepare(frame, bundle.input_size)
    side = bundle.input_size
    heat = preprocess.place(preprocess.crop(heatmap, box), Box(0, 0, side, side), (side, side))
    picture = Image.fromarray(np.round(square).astype(np.uint8))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(side / 16)), np.float32)
    # Equal pixels, all those without evidence among them, go in an order of chance.
    chance = np.random.default_rng(0).random(heat.size)
    rank = np.empty(heat.size, int)
    rank[np.lexsort((chance, -heat.ravel()))] = np.arange(heat.size)
    shares = np.linspace(0, 1, steps + 1)
    hot = (rank.reshape(side, side) < shares[:, None, None] * heat.size)[..., None]
    batch = np.concatenate([np.where(hot, blurred, square), np.where(hot, square, blurred)])
    scores = bundle.score(bundle.forward(batch.astype(np.float32)), head)
    return Curves(shares, scores[: steps + 1], scores[steps + 1 :])


def faithfulness(
    engine: Engine, bundle: Bundle, head: str, cases: Iterable[Case], steps: int, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, Curves]]:
    """Measure a head's own map, and the onlookers', by deletion and insertion.

    Parameters
    ----------
    engine : Engine
        Holds the bundle.
    bundle : Bundle
        One network.
    head : str
        Whose score is watched and whose map is tried.
    cases : iterable of Case
        Frames that the bundle was not trained on.
    steps : int
        As for `curves`.
    seed : int
        Of the random maps.

    Returns
    -------
    DataFrame
        One row a case and map: `name, group, map, deletion, insertion`, areas 0–1.
    dict of str to Curves
        Mean over the cases, by map.
    """
    rows = []
    found: dict[str, list[Curves]] = {}
    for number, case in enumerate(cases):
        compared = engine.compare(case.frame, [bundle.name], [head])
        shape = (case.frame.shape[0], case.frame.shape[1])
        maps = drawn(compared) | onlookers(compared.box, shape, seed + number)
        for which, heatmap in maps.items():
            one = curves(bundle, head, case.frame, heatmap, steps)
            found.setdefault(which, []).append(one)
            rows.append({"name": case.name, "group": case.group, "map": which} | one.areas)
    means = {
        which: Curves(
            several[0].shares,
            np.mean([one.deletion for one in several], axis=0),
            np.mean([one.insertion for one in several], axis=0),
        )
        for which, several in found.items()
    }
    return pd.DataFrame(rows), means


def forgetting(
    bundle: Bundle, frames: Sequence[np.ndarray], groups: Sequence[str], draws: int, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Shuffle a network's weights from the top down, and compare its Grad-CAM with before.

    Within each layer the weights change places, so that their values stay and what they
    meant is lost; layers that normalise measure their averages anew on these frames. The
    bundle is as before when this returns.

    Parameters
    ----------
    bundle : Bundle
        One network with a softmax.
    frames : sequence of ndarray of uint8, shape (H, W, 3)
        RGB.
    groups : sequence of str
        Patient of each frame.
    draws : int
        How many times to shuffle.
    seed : int
        Of the shuffles.

    Returns
    -------
    DataFrame
        One row a stage and frame: `stage, group, agreement`, −1 to 1, the mean of all
        draws. Stages go from `TRAINED` through the head to the whole network.
    dict of str to ndarray of float32, shape (n, h, w)
        The maps of the first draw, by stage.

    References
    ----------
    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3, the
    cascading randomisation. They draw new weights; shuffled ones keep the scale of every
    layer, which networks without their training statistics are touchy about.
    """
    squares = np.stack([preprocess.prepare(one, bundle.input_size)[0] for one in frames])
    network, trained = bundle.network, bundle.network.get_weights()
    maps = {TRAINED: _softmax_maps(bundle, squares)}
    found: dict[str, list[list[float]]] = {
        TRAINED: [[agreement(one, one) for one in maps[TRAINED]]]
    }
    try:
        for draw in range(draws):
            for stage, cut in _stages(bundle).items():
                network.set_weights(trained)
                _forget(network, cut, squares, np.random.default_rng([seed, draw]))
                now = _softmax_maps(bundle, squares)
                maps.setdefault(stage, now)
                pairs = zip(maps[TRAINED], now, strict=True)
                found.setdefault(stage, []).append([agreement(*pair) for pair in pairs])
    finally:
        network.set_weights(trained)
    rows = [
        {"stage": stage, "group": group, "agreement": value}
        for stage, several in found.items()
        for group, value in zip(groups, np.mean(several, axis=0), strict=True)
    ]
    return pd.DataFrame(rows), maps


def _stages(bundle: Bundle) -> dict[str, str]:
    """Name the stages of forgetting, and the last layer that each leaves alone."""
    blocks = backbone(bundle.manifest["backbone"]).boundaries
    stages = {"the head": "features"} | {f"+ {name}": cut for name, cut in blocks.items()}
    return stages | {"the whole network": "normalise"}


def _softmax_maps(bundle: Bundle, squares: np.ndarray) -> np.ndarray:
    forward = bundle.forward(squares)
    return grad_cam(forward.feature_map, forward.softmax_gradient)


def _forget(network: keras.Model, cut: str, squares: np.ndarray, rng: np.random.Generator) -> None:
    """Shuffle the weights of every layer above a cut, in place."""
    names = [layer.name for layer in network.layers]
    above = network.layers[names.index(cut) + 1 :]
    for layer in reversed(above):
        # From the head down, so that a deeper stage shuffles the head as a shallower one did.
        weights = [rng.permutation(one.ravel()).reshape(one.shape) for one in layer.get_weights()]
        layer.set_weights(weights)
    averaging = [one for one in above if isinstance(one, keras.layers.BatchNormalization)]
    if averaging:
        momenta = [layer.momentum for layer in averaging]
        for layer in averaging:
            layer.momentum = 0.0
        tensor = network.get_layer(cut).output
        below = keras.Model(network.inputs[0], tensor)(squares, training=False)
        keras.Model(tensor, network.outputs[0])(below, training=True)
        for layer, momentum in zip(averaging, momenta, strict=True):
            layer.momentum = momentum
