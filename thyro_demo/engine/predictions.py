"""What a comparison returns: one prediction per head, and the sentences that go with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thyro_demo.data.frame import Spacing
from thyro_demo.data.scan_area import Box

_MOST_DECIMALS = 6

NOTICE = "For teaching and research only; a model score is not a diagnosis."


@dataclass(frozen=True)
class Prediction:
    """What one head of one bundle predicts for one image.

    Attributes
    ----------
    model : str
        Name of the bundle.
    head : str
        A key of `HEADS`.
    score : float
        The model score, P(label "malignant"), 0–1.
    threshold : float
        The operating point that the score is compared with, 0–1.
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

    def rounded(self, decimals: int = 2) -> tuple[str, str]:
        """Round score and threshold, with as many decimals as make them differ if they do.

        Parameters
        ----------
        decimals : int, optional
            The least number of decimals.

        Returns
        -------
        tuple of str
            Score and threshold, with the same number of decimals.

        Examples
        --------
        >>> Prediction("vgg16", "svm", 0.6512, 0.6479, True, None, 40.0).rounded()
        ('0.651', '0.648')
        """
        while True:
            both = f"{self.score:.{decimals}f}", f"{self.threshold:.{decimals}f}"
            if both[0] != both[1] or self.score == self.threshold or decimals >= _MOST_DECIMALS:
                return both
            decimals += 1


@dataclass(frozen=True)
class Comparison:
    """What several bundles predict for one image.

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
        One sentence on how many heads are above their threshold.
    milliseconds : float
        Wall time of the whole comparison, decoding included.
    roi : Box or None
        The box around the nodule as it was marked, in pixels.
    nodules : dict of str to ndarray of float32, shape (H, W)
        By model, where it sees the nodule, 0–1, in the coordinates of the frame; of the models
        that draw it.
    without_nodule : tuple of str
        The models that draw no nodule in this image.
    spacing : Spacing or None
        Millimetres a pixel of the frame; None where its file does not state them.
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
    spacing: Spacing | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values, without frame and heatmaps.

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
            "spacing_mm": None if self.spacing is None else self.spacing._asdict(),
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


def _sides(box: Box) -> dict[str, int]:
    return {side: int(value) for side, value in box._asdict().items()}
