"""What is remembered of the last frames: what was cut out, forward passes and scores.

No pixel of a frame outlives the call that brought it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from thyro_demo.data import images, scan_area
from thyro_demo.data.frame import MIN_SIDE, Frame, shrunk, within
from thyro_demo.data.roi import NODULE_MARGIN, widen
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import ImageError
from thyro_demo.explain.heatmaps import nodule_map

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle, Forward
    from thyro_demo.bundle.ensemble import Ensemble

# Feature maps of three backbones take about a megabyte an image. A marked nodule is
# remembered apart from the scan area of its image, which other marks leave as it is.
_REMEMBERED = 8


@dataclass(frozen=True)
class _Pass:
    """The forward pass of one network over one crop, and its time."""

    forward: Forward
    milliseconds: float


@dataclass(frozen=True)
class Scored:
    """What the heads of one bundle make of the forward passes over one crop, and the time."""

    forwards: list[Forward]
    scores: dict[str, float]
    ood_score: float
    nodule: np.ndarray | None
    milliseconds: float


@dataclass(frozen=True)
class _Remembered:
    """One crop without its pixels: its box, the frame's shape, what networks made of it."""

    box: Box
    shape: tuple[int, int]
    # By the network itself: another one may come under its name.
    passes: dict[Bundle, _Pass] = field(default_factory=dict)
    scored: dict[str, Scored] = field(default_factory=dict)


@dataclass(frozen=True)
class Crop:
    """What bundles see of a frame, for the time of one call, with what is remembered of it."""

    image: np.ndarray
    _remembered: _Remembered
    _squares: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def box(self) -> Box:
        """Where the crop was cut out, in pixels of the frame."""
        return self._remembered.box

    def place(self, drawn: np.ndarray, longest: int | None = None) -> np.ndarray:
        """Place a map (h, w) of the crop in the coordinates of the frame (H, W), made to fit."""
        box, whole = self._remembered.box, self._remembered.shape
        shape = within(whole, longest)
        if shape != whole:
            box = shrunk(box, max(shape) / max(whole), shape)
        return scan_area.place(drawn, box, shape)

    def score(self, name: str, bundle: Bundle | Ensemble) -> Scored:
        """Score the crop with a bundle, from the one forward pass of each of its networks."""
        if name not in self._remembered.scored:
            passes = [self._run(network) for network in bundle.networks]
            begun = perf_counter()
            forwards = [one.forward for one in passes]
            scores = {head: float(score[0]) for head, score in bundle.scores(*forwards).items()}
            ood_score = float(bundle.ood_score(*forwards)[0])
            nodule = nodule_map(forwards)
            passed = sum(one.milliseconds for one in passes) + 1000 * (perf_counter() - begun)
            self._remembered.scored[name] = Scored(forwards, scores, ood_score, nodule, passed)
        return self._remembered.scored[name]

    def _run(self, network: Bundle) -> _Pass:
        passes = self._remembered.passes
        if network not in passes:
            begun = perf_counter()
            size = network.input_size
            if size not in self._squares:
                self._squares[size] = scan_area.resize(self.image, size)
            forward = network.forward(self._squares[size][None])
            passes[network] = _Pass(forward, 1000 * (perf_counter() - begun))
        return passes[network]


class FrameCache:
    """The last few crops, each found again by the content of its frame and its region."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def crop(self, frame: Frame, roi: Box | None = None) -> Crop:
        """Cut out the scan area of a frame, or its marked nodule with a margin."""
        pixels = frame.pixels
        key = _key(frame, roi)
        with self._lock:
            remembered = self._last.pop(key, None)
        if remembered is None:
            shape = (pixels.shape[0], pixels.shape[1])
            box = frame.scan_area() if roi is None else widen(roi, NODULE_MARGIN, shape)
            remembered = _Remembered(box, shape)
        with self._lock:
            self._last[key] = remembered
            while len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
        return Crop(scan_area.crop(pixels, remembered.box), remembered)

    def clear(self) -> None:
        """Forget all crops."""
        with self._lock:
            self._last.clear()


def _key(frame: Frame, roi: Box | None) -> str:
    # Two files of the same pixels may state two scan areas.
    region = frame.area if roi is None else roi
    digest = hashlib.sha256(repr((frame.pixels.shape, roi is None, region)).encode())
    digest.update(np.ascontiguousarray(frame.pixels).data)
    return digest.hexdigest()


def decoded(image: Frame | np.ndarray | bytes | str | Path) -> Frame:
    """Decode what is not yet a frame."""
    if isinstance(image, Frame):
        return image
    if not isinstance(image, np.ndarray):
        return images.load(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(
            "A frame must be RGB of uint8, shape (H, W, 3). "
            f"Received: {image.dtype}, shape {image.shape}."
        )
    if min(image.shape[:2]) < MIN_SIDE:
        raise ImageError(
            f"Both sides of an image must have at least {MIN_SIDE} pixels. "
            f"Received: {image.shape[1]} × {image.shape[0]} pixels."
        )
    return Frame(image)
