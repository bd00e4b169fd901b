"""Compare bundles side by side on one image.

One forward pass of a network serves all of its heads, all of their heatmaps and every
ensemble that it is a member of. TensorFlow is imported when the first bundle is loaded, not
here: the page is ready before the networks are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from thyro_demo.bundle import manifest
from thyro_demo.data import scan_area
from thyro_demo.data.frame import Frame
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import sentences
from thyro_demo.engine.frame_cache import Crop, FrameCache, decoded
from thyro_demo.engine.predictions import Comparison, Prediction
from thyro_demo.errors import BundleError
from thyro_demo.explain.heatmaps import heatmap, least_peak

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle
    from thyro_demo.bundle.ensemble import Ensemble


class Engine:
    """Bundles, loaded when first needed, and the features of the last images.

    A bundle is a network or an ensemble of networks; both are used alike. All methods may be
    called from several threads; the page warms up in one while it answers in another.

    Parameters
    ----------
    root : Path, optional
        Folder of bundles; by default that of ``THYRO_WEIGHTS``, else ``weights/``.

    Examples
    --------
    >>> engine = Engine()
    >>> engine.title("efficientnet-b0"), engine.heads("efficientnet-b0")
    ('EfficientNet-B0', ['softmax', 'svm', 'forest'])
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root
        self._bundles: dict[str, Bundle | Ensemble] = {}
        # Loading an ensemble loads its members.
        self._loading = threading.RLock()
        self._cache = FrameCache()

    def names(self) -> list[str]:
        """Return the names of the bundles that can be compared, without loading them.

        Returns
        -------
        list of str
            Folders of the root that hold a manifest, in alphabetical order, then the
            bundles added by `add`.
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
            The bundles, each once, in the order of `names`.

        Raises
        ------
        BundleError
            If there is no bundle, none is named, or a name is unknown.
        """
        known = self.names()
        if not known:
            raise BundleError(
                "A folder of bundles must hold at least one, with its manifest.json. "
                f"Received: {self._root()} with none."
            )
        # A model that is named twice has one vote.
        chosen = known if names is None else _checked(list(dict.fromkeys(names)), known, "model")
        if not chosen:
            raise BundleError(
                f"A comparison must be of at least one of {', '.join(known)}. Received: none."
            )
        return chosen

    def heads(self, name: str) -> list[str]:
        """Return the names of a bundle's heads without loading it.

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

    def primary(self, name: str) -> str:
        """Return the head of a bundle that was named before any frame was scored.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        str
            One of its `heads`.
        """
        return str(self._manifest(name)["primary"])

    def title(self, name: str) -> str:
        """Return the display name of a bundle, such as "EfficientNet-B0".

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
        """Return what a bundle is and what it must be shown, without loading it.

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
        """Read the model card of a bundle.

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
        # What is remembered may come from an earlier bundle of this name.
        self._cache.clear()

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
        image: Frame | np.ndarray | bytes | str | Path,
        names: Sequence[str] | None = None,
        maps: Iterable[str] = ("softmax",),
        roi: Box | None = None,
        operating_point: str = "youden",
        longest: int | None = None,
    ) -> Comparison:
        """Score one image with every head of several bundles.

        Parameters
        ----------
        image : Frame, ndarray of uint8, shape (H, W, 3), bytes, str or Path
            A frame as `images.load` returns it, its RGB pixels alone, or the content or path
            of an image file, whose first frame is read.
        names : sequence of str, optional
            Bundles to compare, in this order; by default all.
        maps : iterable of str
            Heads whose heatmaps are drawn at once; `explain` draws the others.
        roi : Box, optional
            Box around the nodule, in pixels of the frame. Bundles that read a marked
            nodule see it widened by `roi.NODULE_MARGIN`, as in training, and are
            left out without it; all others see the scan area.
        operating_point : {"youden", "sens95"}
            Which of its thresholds each score is compared with.
        longest : int, optional
            Longest side of the maps in pixels: those of a larger frame are drawn to fit.

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
            all that are asked for read a marked nodule and there is none.

        Examples
        --------
        >>> from thyro_demo.data import phantom
        >>> frame = phantom.example("Spongiform").rgb
        >>> comparison = Engine().compare(frame, ["efficientnet-b0"])
        >>> [prediction.head for prediction in comparison.predictions]
        ['softmax', 'svm', 'forest']
        >>> comparison.predictions[0].heatmap.shape
        (360, 480)
        """
        begun = perf_counter()
        chosen = self.choose(names)
        drawn = _checked(maps, sentences.HEADS, "head")
        _checked([operating_point], manifest.OPERATING_POINTS, "operating point")
        frame = decoded(image)
        chosen, left_out = self._with_mark(chosen, roi)
        scan, crops = self._crops(frame, roi, chosen)
        predictions = [
            self._predict(crops[name], name, head, head in drawn, operating_point, longest)
            for name in chosen
            for head in crops[name].score(name, self._bundle(name)).scores
        ]
        titles = {name: self.title(name) for name in chosen}
        nodules, empty, far = self._nodules(crops, longest)
        notices = [*frame.notices, *sentences.notices(titles, empty, far), *left_out]
        agreement = sentences.agreement(predictions, titles)
        roi = None if roi is None else Box(*roi)
        passed = 1000 * (perf_counter() - begun)
        return Comparison(
            frame=frame.pixels,
            box=scan.box,
            predictions=predictions,
            notices=notices,
            agreement=agreement,
            milliseconds=passed,
            roi=roi,
            nodules=nodules,
            without_nodule=empty,
            spacing=frame.spacing,
        )

    def explain(
        self,
        image: Frame | np.ndarray | bytes | str | Path,
        name: str,
        head: str,
        roi: Box | None = None,
        operating_point: str = "youden",
        longest: int | None = None,
    ) -> Prediction:
        """Draw the heatmap of one head, from the features of `compare` when still remembered.

        Parameters
        ----------
        image : Frame, ndarray of uint8, shape (H, W, 3), bytes, str or Path
            As for `compare`; what a bundle sees of it needs no second forward pass while it is
            among the last eight crops: scan areas, and marked nodules that a bundle has seen.
        name : str
            The bundle.
        head : str
            One of its `heads`.
        roi : Box, optional
            As for `compare`.
        operating_point : {"youden", "sens95"}
            As for `compare`.
        longest : int, optional
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
        _checked([head], self.heads(name), "head", f" of {self.title(name)}")
        _checked([operating_point], manifest.OPERATING_POINTS, "operating point")
        self._with_mark([name], roi)
        _, crops = self._crops(decoded(image), roi, [name])
        return self._predict(crops[name], name, head, True, operating_point, longest)

    def _root(self) -> Path:
        return manifest.weights_root() if self.root is None else Path(self.root)

    def _check_name(self, name: str) -> None:
        _checked([name], self.names(), "model")

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
                    from thyro_demo.bundle import ensemble

                    loaded = ensemble.load_any(self._root() / name, self._bundle)
                    _trace(loaded)
                    self._bundles[name] = loaded
        return self._bundles[name]

    def _with_mark(self, names: Sequence[str], roi: Box | None) -> tuple[list[str], list[str]]:
        """Leave out bundles that need a marked nodule where there is none, with a notice."""
        waiting = [name for name in names if roi is None and self.kind(name) == "roi"]
        if not waiting:
            return list(names), []
        needed = sentences.mark_needed([self.title(name) for name in waiting])
        if len(waiting) == len(names):
            raise BundleError(f"{needed}, or choose another model. Received: no mark.")
        return [name for name in names if name not in waiting], [f"{needed} to include it."]

    def _crops(
        self, frame: Frame, roi: Box | None, names: Sequence[str]
    ) -> tuple[Crop, dict[str, Crop]]:
        """Cut out the scan area, and what each of these bundles sees."""
        scan = self._cache.crop(frame)
        if roi is None:
            return scan, dict.fromkeys(names, scan)
        # A box that reaches out of the frame is refused, whoever is asked.
        scan_area.crop(frame.pixels, Box(*roi))
        marked = [name for name in names if self.kind(name) == "roi"]
        nodule = self._cache.crop(frame, Box(*roi)) if marked else scan
        return scan, {name: nodule if name in marked else scan for name in names}

    def _nodules(
        self, crops: dict[str, Crop], longest: int | None
    ) -> tuple[dict[str, np.ndarray], tuple[str, ...], list[str]]:
        """Place nodule maps in the frame; list models without one, and those it is too far from."""
        placed, empty, far = {}, [], []
        for name, crop in crops.items():
            bundle = self._bundle(name)
            scored = crop.score(name, bundle)
            if scored.nodule is not None:
                placed[name] = crop.place(scored.nodule, longest)
                if scored.nodule.max() < least_peak(bundle):
                    empty.append(name)
            if scored.ood_score > 1:
                far.append(name)
        return placed, tuple(empty), far

    def _predict(
        self,
        crop: Crop,
        name: str,
        head: str,
        draw: bool,
        operating_point: str,
        longest: int | None,
    ) -> Prediction:
        bundle = self._bundle(name)
        scored = crop.score(name, bundle)
        begun = perf_counter()
        drawn = crop.place(heatmap(bundle, scored.forwards, head), longest) if draw else None
        score = scored.scores[head]
        threshold = float(bundle.thresholds[head][operating_point])
        passed = scored.milliseconds + 1000 * (perf_counter() - begun)
        return Prediction(name, head, score, threshold, score >= threshold, drawn, passed)


def _checked(asked: Iterable[str], known: Iterable[str], what: str, of: str = "") -> list[str]:
    """Return the names that were asked for, all of them known."""
    known = list(known)
    asked = list(asked)
    for name in asked:
        if name not in known:
            raise BundleError(
                f"The {what}{of} must be one of {', '.join(known)}. "
                f"Received: {what.replace(' ', '_')}={name!r}."
            )
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
