"""Compare bundles side by side on one image.

One forward pass of a backbone serves all of its heads, all of their heatmaps and every
ensemble that it is a member of. The page, the command line, the notebooks and the
benchmarks ask this one object, so that they cannot disagree. TensorFlow is imported when
the first bundle is loaded, not here: the page stands before the networks do.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from thyro_demo.data import images, preprocess
from thyro_demo.data.preprocess import Box
from thyro_demo.errors import BundleError, ImageError
from thyro_demo.explain.heads import heatmap, least_peak, nodule_map
from thyro_demo.models import manifest, passes

if TYPE_CHECKING:
    from thyro_demo.models.bundle import Bundle, Forward
    from thyro_demo.models.ensemble import Ensemble

NOTICE = "For teaching and research only; a model score is not a diagnosis."

HEADS = {
    "softmax": "softmax",
    "svm": "SVM",
    "linear-svm": "linear SVM",
    "forest": "forest",
    "average": "average",
}
"""Heads a bundle can hold, and how sentences name them."""

# Feature maps of three backbones take about a megabyte an image. A marked nodule is
# remembered apart from the scan area of its image, which other marks leave as it is.
_CUTS_REMEMBERED = 8

# More than two heads that stand apart are a list, not a sentence.
_FEW = 2


@dataclass(frozen=True)
class Prediction:
    """What one head of one bundle reads from one image.

    Attributes
    ----------
    model : str
        Name of the bundle.
    head : str
        A key of `HEADS`.
    score : float
        The model score, P(label "malignant"), 0–1.
    threshold : float
        The operating point the score is read at, 0–1.
    positive : bool
        Whether the score reaches the threshold.
    heatmap : ndarray of float32, shape (H, W), or None
        Where this head looks, 0–1, in the coordinates of the frame and 0 outside what
        its bundle saw; None where no map was asked for.
    milliseconds : float
        What this prediction alone would cost: the forward pass (of each member, for an
        ensemble) and the scores, which all heads of a bundle share, and this head's own
        map.
    """

    model: str
    head: str
    score: float
    threshold: float
    positive: bool
    heatmap: np.ndarray | None
    milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """What several bundles read from one image.

    Attributes
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        The decoded image, RGB.
    box : Box
        The scan area, which all models saw but those that read a marked nodule, in pixels.
    predictions : list of Prediction
        One per head, bundle after bundle.
    notices : list of str
        Sentences to show before any score.
    agreement : str
        One sentence on how many heads read above their threshold.
    milliseconds : float
        Wall time of the whole comparison, decoding included.
    roi : Box or None
        The box around the nodule as it was marked, in pixels.
    nodules : dict of str to ndarray of float32, shape (H, W)
        By model, where it sees the nodule, 0–1, in the coordinates of the frame; of the models
        that draw it.
    without_nodule : tuple of str
        The models that draw no nodule in this image.
    """

    frame: np.ndarray
    box: Box
    predictions: list[Prediction]
    notices: list[str]
    agreement: str
    milliseconds: float
    roi: Box | None = None
    nodules: dict[str, np.ndarray] = field(default_factory=dict)
    without_nodule: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the comparison as plain values, without frame and heatmaps.

        Returns
        -------
        dict
            Values that ``json.dumps`` takes as they are.
        """
        height, width = self.frame.shape[:2]
        return {
            "notice": NOTICE,
            "width": width,
            "height": height,
            "box": _sides(self.box),
            "roi": None if self.roi is None else _sides(self.roi),
            "notices": list(self.notices),
            "agreement": self.agreement,
            "milliseconds": round(self.milliseconds, 1),
            "without_nodule": list(self.without_nodule),
            "predictions": [
                {
                    "model": prediction.model,
                    "head": prediction.head,
                    "score": prediction.score,
                    "threshold": prediction.threshold,
                    "positive": prediction.positive,
                    "milliseconds": round(prediction.milliseconds, 1),
                }
                for prediction in self.predictions
            ],
        }


class Engine:
    """Bundles, loaded when first needed, and the features of the last images.

    A bundle is a network or an ensemble of networks; they are asked alike.

    All methods may be called from several threads; the page warms up in one while it
    answers in another.

    Parameters
    ----------
    root : Path, optional
        Folder of bundles; by default that of ``THYRO_WEIGHTS``, else ``weights/``.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root
        self._bundles: dict[str, Bundle | Ensemble] = {}
        # Loading an ensemble loads its members.
        self._loading = threading.RLock()
        # Features only: no pixel of an image outlives the call that brought it.
        self._images: OrderedDict[str, _Known] = OrderedDict()
        self._remembering = threading.Lock()

    def names(self) -> list[str]:
        """Name the bundles that can be compared, without loading them.

        Returns
        -------
        list of str
            Folders of the root that hold a manifest, in alphabetical order, then the
            bundles given to `add`.
        """
        found = manifest.names(self._root())
        return found + [name for name in list(self._bundles) if name not in found]

    def choose(self, names: Sequence[str] | None = None) -> list[str]:
        """Check which bundles are asked for.

        Parameters
        ----------
        names : sequence of str, optional
            By default all.

        Returns
        -------
        list of str
            The bundles, in the order given.

        Raises
        ------
        BundleError
            If there is no bundle, none is named, or a name is unknown.
        """
        known = self.names()
        if not known:
            raise BundleError(
                "A comparison needs a folder of bundles, each with its manifest.json. "
                f"Received: {self._root()} with none."
            )
        # A model that is named twice has one vote.
        chosen = known if names is None else _checked(list(dict.fromkeys(names)), known, "A model")
        if not chosen:
            raise BundleError(
                f"A comparison needs at least one of {', '.join(known)}. Received: none."
            )
        return chosen

    def heads(self, name: str) -> list[str]:
        """Name the heads of a bundle without loading it.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        list of str
            Keys of `HEADS`, in the order of its manifest.
        """
        return list(self._manifest(name)["heads"])

    def title(self, name: str) -> str:
        """Give the display name of a bundle, such as "EfficientNet-B0".

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        str
            The title in its manifest.
        """
        return self._manifest(name)["title"]

    def kind(self, name: str) -> str:
        """Tell what a bundle is and has to be shown, without loading it.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        {"scan", "roi", "ensemble"}
            One of `manifest.KINDS`; only "roi" needs a marked nodule.
        """
        return manifest.kind(self._manifest(name))

    def card(self, name: str) -> str:
        """Give the model card of a bundle.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        str
            Markdown; empty for a bundle in memory that has none.
        """
        self._check_name(name)
        folder = self._bundles[name].folder if name in self._bundles else self._root() / name
        path = Path(folder) / "README.md"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def add(self, bundle: Bundle | Ensemble) -> None:
        """Compare a bundle that is in memory, under its own name.

        Parameters
        ----------
        bundle : Bundle or Ensemble
            Freshly trained, or built for a benchmark.
        """
        self._bundles[bundle.name] = bundle
        with self._remembering:
            # They may stem from an earlier bundle of this name.
            self._images.clear()

    def warm_up(self, names: Sequence[str] | None = None) -> None:
        """Import TensorFlow, load bundles and trace their graphs before the first image.

        Parameters
        ----------
        names : sequence of str, optional
            Bundles to load; by default all.

        Raises
        ------
        BundleError
            If a bundle is unknown, damaged or foreign; the others are loaded first.
        """
        refused: BundleError | None = None
        for name in self.names() if names is None else names:
            try:
                self._bundle(name)
            except BundleError as error:
                refused = refused or error
        if refused is not None:
            raise refused

    def compare(
        self,
        image: np.ndarray | bytes | str | Path,
        names: Sequence[str] | None = None,
        maps: Iterable[str] = ("softmax",),
        roi: Box | None = None,
        operating_point: str = "youden",
    ) -> Comparison:
        """Score one image with every head of several bundles.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3), or bytes, str or Path
            A decoded RGB frame, or the content or path of an image file.
        names : sequence of str, optional
            Bundles to ask, in this order; by default all.
        maps : iterable of str
            Heads whose heatmaps are drawn at once; `explain` draws the others.
        roi : Box, optional
            Box around the nodule, in pixels of the frame. Bundles that read a marked
            nodule see it widened by `preprocess.NODULE_MARGIN`, as in training, and are
            left out without it; all others see the scan area.
        operating_point : {"youden", "sens95"}
            Which of its thresholds each score is read at.

        Returns
        -------
        Comparison
            Scores of all heads, and the maps that were asked for.

        Raises
        ------
        ImageError
            If `image` is not an image that can be read, or `roi` reaches out of it.
        BundleError
            If a bundle, head or operating point is unknown, a bundle cannot be loaded, or
            all that are asked read a marked nodule and there is none.
        """
        start = perf_counter()
        chosen = self.choose(names)
        drawn = _checked(maps, HEADS, "A head")
        _checked([operating_point], manifest.OPERATING_POINTS, "An operating point")
        frame = _frame(image)
        chosen, left_out = self._split(chosen, roi)
        cuts = self._cuts(frame, roi, chosen)
        predictions = [
            self._predict(cuts, name, head, head in drawn, operating_point)
            for name in chosen
            for head in self._read(cuts, name).scores
        ]
        titles = {name: self.title(name) for name in chosen}
        unlike = [titles[name] for name in chosen if self._read(cuts, name).ood_score > 1]
        nodules, empty = self._nodules(cuts, chosen)
        notices = [_without_nodule([titles[name] for name in empty])] if empty else []
        notices += [_unlike(unlike)] if unlike else []
        return Comparison(
            frame,
            cuts["scan"].known.box,
            predictions,
            notices + left_out,
            _agreement(predictions, titles),
            1000 * (perf_counter() - start),
            None if roi is None else Box(*roi),
            nodules,
            empty,
        )

    def explain(
        self,
        image: np.ndarray | bytes | str | Path,
        name: str,
        head: str,
        roi: Box | None = None,
        operating_point: str = "youden",
    ) -> Prediction:
        """Draw the heatmap of one head, from the features of `compare` when still at hand.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3), or bytes, str or Path
            As for `compare`; the last eight images need no second forward pass.
        name : str
            The bundle.
        head : str
            One of its `heads`.
        roi : Box, optional
            As for `compare`.
        operating_point : {"youden", "sens95"}
            As for `compare`.

        Returns
        -------
        Prediction
            With its heatmap.

        Raises
        ------
        ImageError
            If `image` is not an image that can be read, or `roi` reaches out of it.
        BundleError
            If the bundle, head or operating point is unknown, the bundle cannot be
            loaded, or it reads a marked nodule and there is none.
        """
        _checked([head], self.heads(name), f"A head of {self.title(name)}")
        _checked([operating_point], manifest.OPERATING_POINTS, "An operating point")
        self._split([name], roi)
        cuts = self._cuts(_frame(image), roi, [name])
        return self._predict(cuts, name, head, True, operating_point)

    def _root(self) -> Path:
        return manifest.weights_root() if self.root is None else Path(self.root)

    def _check_name(self, name: str) -> None:
        _checked([name], self.names(), "A model")

    def _manifest(self, name: str) -> dict[str, Any]:
        if name in self._bundles:
            return self._bundles[name].manifest
        self._check_name(name)
        return manifest.read_manifest(self._root() / name)

    def _bundle(self, name: str) -> Bundle | Ensemble:
        if name not in self._bundles:
            with self._loading:
                if name not in self._bundles:
                    self._check_name(name)
                    from thyro_demo.models import ensemble

                    loaded = ensemble.load_any(self._root() / name, self._bundle)
                    _trace(loaded)
                    self._bundles[name] = loaded
        return self._bundles[name]

    def _split(self, names: Sequence[str], roi: Box | None) -> tuple[list[str], list[str]]:
        """Leave out bundles that cannot be asked without a marked nodule, and say so."""
        waiting = [name for name in names if roi is None and self.kind(name) == "roi"]
        if not waiting:
            return list(names), []
        titles = _listed([self.title(name) for name in waiting])
        said = f"{titles} read{'s' * (len(waiting) == 1)} a marked nodule: mark it on the frame"
        if len(waiting) == len(names):
            raise BundleError(f"{said}, or choose another model. Received: no mark.")
        return [name for name in names if name not in waiting], [f"{said} to include it."]

    def _cuts(self, frame: np.ndarray, roi: Box | None, names: Sequence[str]) -> dict[str, _Cut]:
        """Cut out what these bundles see, and look up what is remembered of it."""
        scan = self._remember(frame, None)
        cuts = {"scan": _Cut(preprocess.crop(frame, scan.box), scan)}
        if roi is not None:
            preprocess.crop(frame, Box(*roi))
        if roi is not None and any(self.kind(name) == "roi" for name in names):
            nodule = self._remember(frame, Box(*roi))
            cuts["roi"] = _Cut(preprocess.crop(frame, nodule.box), nodule)
        return cuts

    def _cut(self, cuts: dict[str, _Cut], name: str) -> _Cut:
        return cuts["roi" if self.kind(name) == "roi" else "scan"]

    def _nodules(
        self, cuts: dict[str, _Cut], names: Sequence[str]
    ) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """Place each bundle's nodule map in the frame, and name those that draw no nodule."""
        placed, empty = {}, []
        for name in names:
            nodule, known = self._read(cuts, name).nodule, self._cut(cuts, name).known
            if nodule is not None:
                placed[name] = preprocess.place(nodule, known.box, known.shape)
                if nodule.max() < least_peak(self._bundle(name)):
                    empty.append(name)
        return placed, tuple(empty)

    def _read(self, cuts: dict[str, _Cut], name: str) -> _Reading:
        """Score an image with a bundle, from the one forward pass of each of its networks."""
        cut = self._cut(cuts, name)
        if name not in cut.known.readings:
            bundle = self._bundle(name)
            passes = [cut.run(network) for network in bundle.networks]
            start = perf_counter()
            forwards = [one.forward for one in passes]
            scores = {head: float(score[0]) for head, score in bundle.scores(*forwards).items()}
            ood_score = float(bundle.ood_score(*forwards)[0])
            nodule = nodule_map(forwards)
            passed = sum(one.milliseconds for one in passes) + 1000 * (perf_counter() - start)
            cut.known.readings[name] = _Reading(forwards, scores, ood_score, nodule, passed)
        return cut.known.readings[name]

    def _remember(self, frame: np.ndarray, roi: Box | None) -> _Known:
        """Look an image up by its content, as one of the last few or as a new one."""
        key = _key(frame, roi)
        with self._remembering:
            known = self._images.pop(key, None)
        if known is None:
            shape = (frame.shape[0], frame.shape[1])
            if roi is None:
                box = preprocess.scan_area(frame)
            else:
                box = preprocess.widen(roi, preprocess.NODULE_MARGIN, shape)
            known = _Known(box, shape)
        with self._remembering:
            self._images[key] = known
            while len(self._images) > _CUTS_REMEMBERED:
                self._images.popitem(last=False)
        return known

    def _predict(
        self, cuts: dict[str, _Cut], name: str, head: str, draw: bool, operating_point: str
    ) -> Prediction:
        reading, known = self._read(cuts, name), self._cut(cuts, name).known
        start = perf_counter()
        bundle = self._bundle(name)
        placed = None
        if draw:
            drawn = heatmap(bundle, reading.forwards, head)
            placed = preprocess.place(drawn, known.box, known.shape)
        score = reading.scores[head]
        threshold = float(bundle.thresholds[head][operating_point])
        passed = reading.milliseconds + 1000 * (perf_counter() - start)
        return Prediction(name, head, score, threshold, score >= threshold, placed, passed)


@dataclass(frozen=True)
class _Pass:
    """The forward pass of one network over one cut, and its time."""

    forward: Forward
    milliseconds: float


@dataclass(frozen=True)
class _Reading:
    """What the heads of one bundle make of the forward passes over one cut, and the time."""

    forwards: list[Forward]
    scores: dict[str, float]
    ood_score: float
    nodule: np.ndarray | None
    milliseconds: float


@dataclass(frozen=True)
class _Known:
    """What is remembered of one cut: its box, the frame's shape, what networks made of it."""

    box: Box
    shape: tuple[int, int]
    # By the network itself: another one may come under its name.
    passes: dict[Bundle, _Pass] = field(default_factory=dict)
    readings: dict[str, _Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class _Cut:
    """A cut of a frame for the time of one call, with what is remembered of it."""

    image: np.ndarray
    known: _Known
    squares: dict[int, np.ndarray] = field(default_factory=dict)

    def run(self, network: Bundle) -> _Pass:
        """Give the one forward pass of a network."""
        if network not in self.known.passes:
            start = perf_counter()
            size = network.input_size
            if size not in self.squares:
                self.squares[size] = preprocess.resize(self.image, size)
            forward = network.forward(self.squares[size][None])
            passed = 1000 * (perf_counter() - start)
            self.known.passes[network] = _Pass(forward, passed)
        return self.known.passes[network]


def score_records(
    bundle: Bundle | Ensemble, records: pd.DataFrame, batch: int = 16
) -> pd.DataFrame:
    """Score every image of a record table with every head.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        The bundle.
    records : DataFrame
        With ``path, label, group, source``, one row an image; for a bundle that reads a
        marked nodule also with what `preprocess.regions` reads.
    batch : int
        Images a forward pass.

    Returns
    -------
    DataFrame
        One row an image and head: ``path, group, source, label, head, score``, as
        `evaluate.report` reads it.

    Raises
    ------
    DataError
        If an image cannot be read, or has no nodule marked for a bundle that reads one:
        figures over the rest would not be those of the table.
    """
    parts = [seen.scores(bundle) for seen in passes.run(bundle, records, batch)]
    return pd.concat(parts, ignore_index=True)


def _frame(image: np.ndarray | bytes | str | Path) -> np.ndarray:
    """Decode what is not yet an RGB frame of uint8, (H, W, 3)."""
    if not isinstance(image, np.ndarray):
        return images.decode(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(
            "A frame has to be RGB of uint8, shape (H, W, 3). "
            f"Received: {image.dtype}, shape {image.shape}."
        )
    if min(image.shape[:2]) < images.MIN_SIDE:
        raise ImageError(
            f"Both sides of an image must have at least {images.MIN_SIDE} pixels. "
            f"Received: {image.shape[1]} × {image.shape[0]} pixels."
        )
    return image


def _sides(box: Box) -> dict[str, int]:
    return {side: int(value) for side, value in box._asdict().items()}


def _key(frame: np.ndarray, roi: Box | None) -> str:
    """Name a frame and a region by their content."""
    digest = hashlib.sha256(repr((frame.shape, roi and tuple(roi))).encode())
    digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def _checked(asked: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """Give back the names that were asked for, all of them known."""
    known = list(known)
    asked = list(asked)
    for name in asked:
        if name not in known:
            raise BundleError(f"{what} has to be one of {', '.join(known)}. Received: {name!r}.")
    return asked


def _trace(bundle: Bundle | Ensemble) -> None:
    """Run everything once, so that no user waits for a graph to be traced."""
    sizes = [network.input_size for network in bundle.networks]
    forwards = [
        network.forward(np.zeros((1, size, size, 3), np.float32))
        for network, size in zip(bundle.networks, sizes, strict=True)
    ]
    bundle.ood_score(*forwards)
    for head in bundle.scores(*forwards):
        heatmap(bundle, forwards, head)


def _without_nodule(titles: Sequence[str]) -> str:
    return (
        f"No nodule found by {_listed(titles)}: what follows is read from the whole frame and "
        "means little."
    )


def _unlike(titles: Sequence[str]) -> str:
    return (
        f"This image is unlike the training images of {_listed(titles)}: "
        "the scores below mean little."
    )


def _agreement(predictions: Sequence[Prediction], titles: dict[str, str]) -> str:
    """Say how many heads read above their threshold, and which stand apart."""
    above = [prediction for prediction in predictions if prediction.positive]
    below = [prediction for prediction in predictions if not prediction.positive]
    count = len(predictions)
    if count == 1:
        return f"The one head reads {'above' if above else 'below'} its threshold."
    if not above or not below:
        return f"All {count} heads read {'above' if above else 'below'} their threshold."
    said = f"{len(above)} of {count} heads read{'s' * (len(above) == 1)} above "
    said += "its threshold" if len(above) == 1 else "their threshold"
    few, side = (above, "above") if len(above) <= len(below) else (below, "below")
    if len(few) > _FEW or len(few) == len(above) == len(below):
        return said + "."
    names = _listed([f"{titles[one.model]} {HEADS.get(one.head, one.head)}" for one in few])
    return f"{said}; {names} read{'s' * (len(few) == 1)} {side}."


def _listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
