"""Compare bundles side by side on one image.

One forward pass of a backbone serves all of its heads and all of their heatmaps. The
page, the command line, the notebooks and the benchmarks ask this one object, so that
they cannot disagree. TensorFlow is imported when the first bundle is loaded, not here:
the page stands before the networks do.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from thyro_demo.data import images, preprocess
from thyro_demo.data.preprocess import Box
from thyro_demo.errors import BundleError, DataError, ImageError
from thyro_demo.explain.heads import heatmap
from thyro_demo.models import manifest

if TYPE_CHECKING:
    from thyro_demo.models.bundle import Bundle, Forward

NOTICE = "For teaching and research only; a model score is not a diagnosis."

HEADS = {"softmax": "softmax", "svm": "SVM", "linear-svm": "linear SVM", "forest": "forest"}
"""Heads a bundle can hold, and how sentences name them."""

# Feature maps of three backbones take about a megabyte an image.
_IMAGES_REMEMBERED = 8

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
        Where this head looks, 0–1, in the coordinates of the frame and 0 outside the
        scan area; None where no map was asked for.
    milliseconds : float
        What this prediction alone would cost: the forward pass and the scores, which all
        heads of a bundle share, and this head's own map.
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
        The scan area or region of interest that the models saw, in pixels.
    predictions : list of Prediction
        One per head, bundle after bundle.
    notices : list of str
        Sentences to show before any score.
    agreement : str
        One sentence on how many heads read above their threshold.
    milliseconds : float
        Wall time of the whole comparison, decoding included.
    """

    frame: np.ndarray
    box: Box
    predictions: list[Prediction]
    notices: list[str]
    agreement: str
    milliseconds: float

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
            "box": {side: int(value) for side, value in self.box._asdict().items()},
            "notices": list(self.notices),
            "agreement": self.agreement,
            "milliseconds": round(self.milliseconds, 1),
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

    All methods may be called from several threads; the page warms up in one while it
    answers in another.

    Parameters
    ----------
    root : Path, optional
        Folder of bundles; by default that of ``THYRO_WEIGHTS``, else ``weights/``.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root
        self._bundles: dict[str, Bundle] = {}
        self._loading = threading.Lock()
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
        chosen = known if names is None else _checked(names, known, "A model")
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

    def add(self, bundle: Bundle) -> None:
        """Compare a bundle that is in memory, under its own name.

        Parameters
        ----------
        bundle : Bundle
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
            Region the models see, in pixels of the frame; by default the scan area.
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
            If a bundle, head or operating point is unknown, or a bundle cannot be loaded.
        """
        start = perf_counter()
        chosen = self.choose(names)
        drawn = _checked(maps, HEADS, "A head")
        _checked([operating_point], manifest.OPERATING_POINTS, "An operating point")
        frame = _frame(image)
        known = self._read(frame, roi, chosen)
        predictions = [
            self._predict(known, name, head, head in drawn, operating_point)
            for name in chosen
            for head in known.readings[name].scores
        ]
        titles = {name: self.title(name) for name in chosen}
        unlike = [titles[name] for name in chosen if known.readings[name].distance > 1]
        return Comparison(
            frame,
            known.box,
            predictions,
            [_unlike(unlike)] if unlike else [],
            _agreement(predictions, titles),
            1000 * (perf_counter() - start),
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
            If the bundle, head or operating point is unknown, or the bundle cannot be
            loaded.
        """
        _checked([head], self.heads(name), f"A head of {self.title(name)}")
        _checked([operating_point], manifest.OPERATING_POINTS, "An operating point")
        known = self._read(_frame(image), roi, [name])
        return self._predict(known, name, head, True, operating_point)

    def _root(self) -> Path:
        return manifest.weights_root() if self.root is None else Path(self.root)

    def _check_name(self, name: str) -> None:
        _checked([name], self.names(), "A model")

    def _manifest(self, name: str) -> dict[str, Any]:
        if name in self._bundles:
            return self._bundles[name].manifest
        self._check_name(name)
        return manifest.read_manifest(self._root() / name)

    def _bundle(self, name: str) -> Bundle:
        if name not in self._bundles:
            with self._loading:
                if name not in self._bundles:
                    self._check_name(name)
                    from thyro_demo.models import bundle

                    loaded = bundle.load(self._root() / name)
                    _trace(loaded)
                    self._bundles[name] = loaded
        return self._bundles[name]

    def _read(self, frame: np.ndarray, roi: Box | None, names: Sequence[str]) -> _Known:
        """Run the one forward pass of each bundle, or remember it."""
        known = self._remember(frame, roi)
        cut = preprocess.crop(frame, known.box)
        squares: dict[int, np.ndarray] = {}
        for name in names:
            if name in known.readings:
                continue
            bundle = self._bundle(name)
            start = perf_counter()
            size = bundle.input_size
            if size not in squares:
                squares[size] = preprocess.resize(cut, size)
            forward = bundle.forward(squares[size][None])
            scores = {head: float(score[0]) for head, score in bundle.scores(forward).items()}
            distance = bundle.unlike(forward.features[0])
            passed = 1000 * (perf_counter() - start)
            known.readings[name] = _Reading(forward, scores, distance, passed)
        return known

    def _remember(self, frame: np.ndarray, roi: Box | None) -> _Known:
        """Look an image up by its content, as one of the last few or as a new one."""
        key = _key(frame, roi)
        with self._remembering:
            known = self._images.pop(key, None)
        if known is None:
            box = preprocess.scan_area(frame) if roi is None else Box(*roi)
            known = _Known(box, (frame.shape[0], frame.shape[1]), {})
        with self._remembering:
            self._images[key] = known
            while len(self._images) > _IMAGES_REMEMBERED:
                self._images.popitem(last=False)
        return known

    def _predict(
        self, known: _Known, name: str, head: str, draw: bool, operating_point: str
    ) -> Prediction:
        start = perf_counter()
        bundle, reading = self._bundle(name), known.readings[name]
        placed = None
        if draw:
            drawn = heatmap(bundle, reading.forward, head)
            placed = preprocess.place(drawn, known.box, known.shape)
        score = reading.scores[head]
        threshold = float(bundle.thresholds[head][operating_point])
        passed = reading.milliseconds + 1000 * (perf_counter() - start)
        return Prediction(name, head, score, threshold, score >= threshold, placed, passed)


@dataclass(frozen=True)
class _Reading:
    """The forward pass of one bundle over one image, what its heads make of it, its time."""

    forward: Forward
    scores: dict[str, float]
    distance: float
    milliseconds: float


@dataclass(frozen=True)
class _Known:
    """What is remembered of one image: where the models look, its shape, their readings."""

    box: Box
    shape: tuple[int, int]
    readings: dict[str, _Reading]


def score_records(bundle: Bundle, records: pd.DataFrame, batch: int = 16) -> pd.DataFrame:
    """Score every image of a record table with every head.

    Parameters
    ----------
    bundle : Bundle
        The bundle.
    records : DataFrame
        With ``path, label, group, source``, one row an image.
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
        If an image cannot be read: figures over the rest would not be those of the table.
    """
    parts, unreadable = [], []

    def prepare(path: str) -> np.ndarray | None:
        try:
            return preprocess.prepare(images.decode(path), bundle.input_size)[0]
        except ImageError:
            unreadable.append(path)
            return None

    starts = range(0, len(records), batch)
    # Pillow decodes and resizes outside Python's lock.
    with ThreadPoolExecutor(2) as pool:
        for start in tqdm(starts, "Scoring", unit="batch", leave=False, disable=None):
            rows = records.iloc[start : start + batch]
            squares = list(pool.map(prepare, rows["path"]))
            if not unreadable:
                forward = bundle.forward(np.stack([one for one in squares if one is not None]))
                known = rows[["path", "group", "source", "label"]]
                parts += [
                    known.assign(head=head, score=score)
                    for head, score in bundle.scores(forward).items()
                ]
    if unreadable:
        raise DataError(
            "Every image of a table has to be readable; mend these files or remove their rows. "
            f"Received: {len(unreadable)} unreadable, {_listed(sorted(unreadable)[:3])}."
        )
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


def _trace(bundle: Bundle) -> None:
    """Run everything once, so that no user waits for a graph to be traced."""
    size = bundle.input_size
    forward = bundle.forward(np.zeros((1, size, size, 3), np.float32))
    bundle.unlike(forward.features[0])
    for head in bundle.scores(forward):
        heatmap(bundle, forward, head)


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
