"""Compare bundles side by side on one image.

One forward pass of a backbone serves all of its heads and all of their heatmaps. The
page, the command line, the notebooks and the benchmarks ask this one object, so that
they cannot disagree. TensorFlow is imported when the first bundle is loaded, not here:
the page stands before the networks do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from thyro_demo.data.preprocess import Box

NOTICE = "For teaching and research only; a model score is not a diagnosis."


@dataclass(frozen=True)
class Prediction:
    """What one head of one bundle reads from one image.

    Attributes
    ----------
    model : str
        Name of the bundle.
    head : str
        ``"softmax"``, ``"svm"`` or ``"forest"``.
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
        What this prediction alone costs: the forward pass of its backbone, which all
        heads of the bundle share, and this head's own score and map.
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

    Parameters
    ----------
    root : Path, optional
        Folder of bundles; by default that of ``THYRO_WEIGHTS``, else ``weights/``.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Name the bundles that can be compared, without loading them."""
        raise NotImplementedError

    def heads(self, name: str) -> list[str]:
        """Name the heads of a bundle, softmax first, without loading it."""
        raise NotImplementedError

    def title(self, name: str) -> str:
        """Give the display name of a bundle, such as "EfficientNet-B0"."""
        raise NotImplementedError

    def card(self, name: str) -> str:
        """Give the model card of a bundle, Markdown."""
        raise NotImplementedError

    def warm_up(self, names: Sequence[str] | None = None) -> None:
        """Import TensorFlow, load bundles and trace their graphs before the first image."""
        raise NotImplementedError

    def compare(
        self,
        image: np.ndarray | bytes | str | Path,
        names: Sequence[str] | None = None,
        maps: Sequence[str] = ("softmax",),
        roi: Box | None = None,
        operating_point: str = "youden",
    ) -> Comparison:
        """Score one image with every head of several bundles."""
        raise NotImplementedError

    def explain(
        self,
        image: np.ndarray | bytes | str | Path,
        name: str,
        head: str,
        roi: Box | None = None,
        operating_point: str = "youden",
    ) -> Prediction:
        """Draw the heatmap of one head, from the features of `compare` when still at hand."""
        raise NotImplementedError
