"""Chapter 6, a planted shortcut: marks around the scan that betray the label."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from thyro_demo.bundle.bundle import Bundle
from thyro_demo.data import scan_area
from thyro_demo.data.phantom import Phantom
from thyro_demo.data.scan_area import Box
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.explain import localisation
from thyro_demo.explain.svm import average_svm_map
from thyro_demo.models import heads as classifiers
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.study.questions import shortcuts

_BATCH = 16

View = Callable[[np.ndarray, int], np.ndarray]
"""From a frame, uint8 (H, W, 3), and a side to a square, float32 (side, side, 3), 0–255."""


@dataclass(frozen=True, eq=False)
class Shortcut:
    """Heads that were trained where marks betray the label, and how well they do without.

    Parameters
    ----------
    heads : dict of str to CalibratedHead
        By view.
    table : DataFrame
        `view, marks, value, low, high`: AUROC with a 95 % interval over patients.
    """

    heads: dict[str, CalibratedHead]
    table: pd.DataFrame


def train(
    bundle: Bundle,
    views: Mapping[str, View],
    phantoms: Sequence[Phantom],
    tests: Mapping[str, Sequence[Phantom]],
    folds: int,
) -> Shortcut:
    """Train a linear SVM on the frozen network's averages, once for each view.

    Parameters
    ----------
    bundle : Bundle
        Whose network is borrowed.
    views : mapping of str to callable
        How a frame becomes a square.
    phantoms : sequence of Phantom
        Training patients.
    tests : mapping of str to sequence of Phantom
        Other patients, by what is printed on their frames.
    folds : int
        Inner folds of the SVM.

    Returns
    -------
    Shortcut
        One head a view, and its AUROC on each of the tests.
    """
    fitted, rows = {}, []
    for name, view in views.items():
        features = _averages(bundle, view, phantoms)
        groups = np.array([one.patient for one in phantoms])
        model = classifiers.fit("linear-svm", features, _labels(phantoms), groups, folds)
        fitted[name] = CalibratedHead(model)
        for marks, test in tests.items():
            scores = fitted[name].scores(_averages(bundle, view, test))
            patients = [one.patient for one in test]
            figure = intervals.group_bootstrap(metrics.auroc, _labels(test), scores, patients)
            rows.append({"view": name, "marks": marks} | figure._asdict())
    return Shortcut(fitted, pd.DataFrame(rows))


def linear_map(bundle: Bundle, head: CalibratedHead, square: np.ndarray) -> np.ndarray:
    """Draw where a linear SVM on averages finds its evidence.

    Parameters
    ----------
    bundle : Bundle
        Whose network the head reads.
    head : CalibratedHead
        From `train`.
    square : ndarray of float, shape (s, s, 3)
        What the network is shown, 0–255.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0–1, at the resolution of the feature map.
    """
    feature_map = bundle.forward(square[None].astype(np.float32)).feature_map[0]
    return average_svm_map(head, feature_map)


def off_scan(bundle: Bundle, head: CalibratedHead, drawn: Iterable[Phantom]) -> pd.DataFrame:
    """Measure how much of a whole-frame head's map is on the margin around the scan.

    Parameters
    ----------
    bundle : Bundle
        Whose network the head reads.
    head : CalibratedHead
        From `train`, trained on whole frames.
    drawn : iterable of Phantom
        Frames with a margin.

    Returns
    -------
    DataFrame
        One row a frame: `group`, `share` (of the map, 0–1) and `area` (the margin's share of
        the frame, 0–1), which a map that looks at nothing would reach.
    """
    rows = []
    for one in drawn:
        frame = one.rgb
        square = shortcuts.whole_frame(frame, bundle.input_size)
        shape = frame.shape[:2]
        found = scan_area.place(
            linear_map(bundle, head, square), Box(0, 0, shape[1], shape[0]), shape
        )
        margin = np.ones(shape, bool)
        scan_area.crop(margin, scan_area.find(frame))[:] = False
        share = localisation.energy(found, margin)
        rows.append({"group": one.patient, "share": share, "area": float(margin.mean())})
    return pd.DataFrame(rows)


def _averages(bundle: Bundle, view: View, drawn: Sequence[Phantom]) -> np.ndarray:
    """Average each channel of the feature map, (n, c)."""
    parts = []
    for first in range(0, len(drawn), _BATCH):
        squares = [view(one.rgb, bundle.input_size) for one in drawn[first : first + _BATCH]]
        parts.append(bundle.forward(np.stack(squares)).feature_map.mean(axis=(1, 2)))
    return np.concatenate(parts)


def _labels(drawn: Sequence[Phantom]) -> np.ndarray:
    return np.array([one.label == "malignant" for one in drawn], int)
