"""A planted shortcut: marks around the scan that give the label away, and who falls for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from thyro_demo.data import preprocess
from thyro_demo.data.phantom import Phantom
from thyro_demo.data.preprocess import Box
from thyro_demo.evaluate import intervals, metrics
from thyro_demo.explain import localisation
from thyro_demo.models import heads as classifiers
from thyro_demo.models.bundle import Bundle
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.study import shortcuts
from thyro_demo.teach.path import evidence

_BATCH = 16

View = Callable[[np.ndarray, int], np.ndarray]
"""From a frame, uint8 (H, W, 3), and a side to a square, float32 (side, side, 3), 0–255."""


@dataclass(frozen=True, eq=False)
class Shortcut:
    """What heads learned that were trained where marks give the answer away.

    Parameters
    ----------
    heads : dict of str to CalibratedHead
        By view.
    table : DataFrame
        `view, marks, value, low, high`: AUROC with a 95 % interval over patients.
    """

    heads: dict[str, CalibratedHead]
    table: pd.DataFrame


def planted(
    bundle: Bundle,
    views: Mapping[str, View],
    train: Sequence[Phantom],
    tests: Mapping[str, Sequence[Phantom]],
    folds: int,
) -> Shortcut:
    """Train a linear machine on the frozen network's averages, once for each view.

    Parameters
    ----------
    bundle : Bundle
        Whose network is borrowed.
    views : mapping of str to callable
        How a frame becomes a square.
    train : sequence of Phantom
        Training patients.
    tests : mapping of str to sequence of Phantom
        Other patients, by what is printed on their frames.
    folds : int
        Inner folds of the machine.

    Returns
    -------
    Shortcut
        One head a view, and its AUROC on each of the tests.
    """
    fitted, rows = {}, []
    for name, view in views.items():
        features = _averages(bundle, view, train)
        groups = np.array([one.patient for one in train])
        model = classifiers.fit("linear-svm", features, _labels(train), groups, folds)
        fitted[name] = CalibratedHead(model)
        for marks, test in tests.items():
            scores = fitted[name].scores(_averages(bundle, view, test))
            patients = [one.patient for one in test]
            figure = intervals.group_bootstrap(metrics.auroc, _labels(test), scores, patients)
            rows.append({"view": name, "marks": marks} | figure._asdict())
    return Shortcut(fitted, pd.DataFrame(rows))


def linear_map(bundle: Bundle, head: CalibratedHead, square: np.ndarray) -> np.ndarray:
    """Draw where a linear machine on averages finds its evidence.

    Parameters
    ----------
    bundle : Bundle
        Whose network the head reads.
    head : CalibratedHead
        From `planted`.
    square : ndarray of float, shape (s, s, 3)
        What the network is shown, 0–255.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0–1, at the resolution of the feature map.
    """
    return evidence(head, bundle.forward(square[None].astype(np.float32)).feature_map[0])


def off_scan(bundle: Bundle, head: CalibratedHead, drawn: Iterable[Phantom]) -> pd.DataFrame:
    """Measure how much of a whole-frame head's map lies on the margin around the scan.

    Parameters
    ----------
    bundle : Bundle
        Whose network the head reads.
    head : CalibratedHead
        From `planted`, trained on whole frames.
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
        found = preprocess.place(
            linear_map(bundle, head, square), Box(0, 0, shape[1], shape[0]), shape
        )
        margin = np.ones(shape, bool)
        preprocess.crop(margin, preprocess.scan_area(frame))[:] = False
        share = localisation.energy(found, margin)
        rows.append({"group": one.patient, "share": share, "area": float(margin.mean())})
    return pd.DataFrame(rows)


def _averages(bundle: Bundle, view: View, drawn: Sequence[Phantom]) -> np.ndarray:
    """Average each channel of the feature map, (n, c)."""
    parts = []
    for start in range(0, len(drawn), _BATCH):
        squares = [view(one.rgb, bundle.input_size) for one in drawn[start : start + _BATCH]]
        parts.append(bundle.forward(np.stack(squares)).feature_map.mean(axis=(1, 2)))
    return np.concatenate(parts)


def _labels(drawn: Sequence[Phantom]) -> np.ndarray:
    return np.array([one.label == "malignant" for one in drawn], int)
