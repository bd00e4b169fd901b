"""Write a comparison as HTML: notices, agreement, scores beside thresholds, heatmaps.

Images travel inside the page as data addresses: no result is ever written to disk.
Opacity and colour scale are left to the browser (a style property and an SVG filter),
so that a reader can play with them without a network, or the network, being asked.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
from PIL import Image

from thyro_demo.data.preprocess import NODULE_MARGIN, Box
from thyro_demo.engine import Comparison, Prediction
from thyro_demo.explain.overlay import COLOUR_SCALES, colour_table

HEADS = {
    "softmax": "Softmax",
    "svm": "SVM",
    "linear-svm": "Linear SVM",
    "forest": "Random forest",
    "average": "Average",
}
"""Display name of each head; a head that is missing here is shown by its own name."""

_LONGEST_SIDE = 960
_STEPS = 33


def message(text: str, kind: str = "error") -> str:
    """Write one sentence for the place beside what caused it.

    Parameters
    ----------
    text : str
        The sentence; empty gives an empty place.
    kind : str, optional
        ``"error"``, ``"notice"`` or ``"busy"``.

    Returns
    -------
    str
        HTML.
    """
    if not text:
        return ""
    role = "alert" if kind == "error" else "status"
    return f'<p class="thyro-message thyro-{kind}" role="{role}">{escape(text)}</p>'


def summary(comparison: Comparison, titles: Mapping[str, str], truth: str = "") -> str:
    """Write everything about a comparison but its heatmaps, notices first.

    Parameters
    ----------
    comparison : Comparison
        What the engine answered.
    titles : mapping of str to str
        Display name of each model.
    truth : str, optional
        What is known of the frame, one sentence.

    Returns
    -------
    str
        HTML.
    """
    notices = "".join(message(notice, "notice") for notice in comparison.notices)
    told = [truth] if truth else []
    if comparison.roi is not None:
        told.append(_marked(comparison.roi))
    known = "".join(f'<p class="thyro-truth">{escape(sentence)}</p>' for sentence in told)
    return (
        f'{notices}<section class="thyro-card"><h2>What the heads read</h2>'
        f'<p class="thyro-agreement">{escape(comparison.agreement)}</p>{known}'
        f"{_table(comparison, titles)}"
        '<p class="thyro-fine">A model score is the model\'s own number between 0 and 1, not '
        "the probability that a nodule is malignant. The mark on each bar is the threshold "
        "that was chosen on scores of training images by networks that had not seen them. "
        f"{_times(comparison)}</p></section>"
    )


def heatmaps(
    frame: np.ndarray,
    predictions: Sequence[Prediction],
    titles: Mapping[str, str],
    borders: Mapping[str, str | None] | None = None,
    shares: Mapping[tuple[str, str], str] | None = None,
) -> str:
    """Write the heatmaps over their frame: a row for each head, a column for each model.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        The image, RGB.
    predictions : sequence of Prediction
        Those without a heatmap are passed over.
    titles : mapping of str to str
        Display name of each model.
    borders : mapping of str to (str or None), optional
        By model, the outline of the nodule it draws, as a data address.
    shares : mapping of (str, str) to str, optional
        By model and head, a sentence on how much of the map lies on the nodule.

    Returns
    -------
    str
        HTML; the frame is in it once, whatever the number of heatmaps.
    """
    borders, shares = borders or {}, shares or {}
    shown = [prediction for prediction in predictions if prediction.heatmap is not None]
    models = list(dict.fromkeys(prediction.model for prediction in shown))
    rows = "".join(
        f'<h3>{escape(head_title(head))}</h3><div class="thyro-row">'
        + "".join(
            _tile(prediction, titles, borders.get(model), shares.get((model, head), ""))
            for model in models
            for prediction in shown
            if (prediction.model, prediction.head) == (model, head)
        )
        + "</div>"
        for head in dict.fromkeys(prediction.head for prediction in shown)
    )
    height, width = frame.shape[:2]
    style = (
        f"--thyro-frame:url({jpeg(frame)});--thyro-ratio:{width}/{height};"
        f"--thyro-columns:{min(max(len(models), 2), 3)}"
    )
    return f'<div class="thyro-maps" style="{style}">{rows}</div>'


def legend() -> str:
    """Write the key of the heatmap colours.

    Returns
    -------
    str
        HTML; the bar takes whichever colour scale is chosen.
    """
    return (
        '<div class="thyro-legend"><span>low</span><i></i><span>raises the score most</span></div>'
    )


def colour_filters() -> str:
    """Write the SVG filters that turn a grey heatmap into one of the colour scales.

    Returns
    -------
    str
        HTML without a visible part. A filter takes grey level v to the colour of v and
        to the opacity v, as `thyro_demo.explain.overlay.overlay` does.
    """
    filters = "".join(
        f'<filter id="thyro-{scale}" color-interpolation-filters="sRGB">'
        '<feColorMatrix values="1 0 0 0 0 0 1 0 0 0 0 0 1 0 0 1 0 0 0 0"/>'
        "<feComponentTransfer>"
        + "".join(
            f'<feFunc{channel} type="table" tableValues="{_values(levels)}"/>'
            for channel, levels in zip("RGB", colour_table(scale, _STEPS).T, strict=True)
        )
        + "</feComponentTransfer></filter>"
        for scale in COLOUR_SCALES
    )
    return f'<svg class="thyro-filters" aria-hidden="true" width="0" height="0">{filters}</svg>'


def head_title(head: str) -> str:
    """Give the display name of a head.

    Parameters
    ----------
    head : str
        Name of the head in its bundle.

    Returns
    -------
    str
        The display name.
    """
    return HEADS.get(head, head)


def score(prediction: Prediction) -> str:
    """Write a score with as many decimals as it takes to lie on its side of the threshold.

    Parameters
    ----------
    prediction : Prediction
        Score and threshold.

    Returns
    -------
    str
        Two decimals, or more where both would read alike although the score is below.
    """
    return _apart(prediction)[0]


def threshold(prediction: Prediction) -> str:
    """Write a threshold with the decimals of its score.

    Parameters
    ----------
    prediction : Prediction
        Score and threshold.

    Returns
    -------
    str
        As `score`.
    """
    return _apart(prediction)[1]


def _apart(prediction: Prediction) -> tuple[str, str]:
    """Round score and threshold so that the rounded numbers compare as they do."""
    for digits in range(2, 6):
        both = f"{prediction.score:.{digits}f}", f"{prediction.threshold:.{digits}f}"
        if (float(both[0]) >= float(both[1])) == prediction.positive:
            return both
    return both


def reading(prediction: Prediction) -> str:
    """Say on which side of its threshold a score lies.

    Parameters
    ----------
    prediction : Prediction
        Score and threshold.

    Returns
    -------
    str
        "above threshold" or "below threshold".
    """
    return "above threshold" if prediction.positive else "below threshold"


def fitted(pixels: np.ndarray) -> np.ndarray:
    """Shrink a frame or a heatmap to what the page and its picture can show.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (H, W, 3) or (H, W)
        RGB, 0–255, or a heatmap, 0–1.

    Returns
    -------
    ndarray of the same dtype and range
        Its longer side 960 pixels at most; a smaller one as it came.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(image)


def jpeg(frame: np.ndarray) -> str:
    """Write a frame as a data address.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        RGB.

    Returns
    -------
    str
        A JPEG, its longer side 960 pixels at most.
    """
    stream = io.BytesIO()
    Image.fromarray(fitted(frame)).save(stream, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _marked(roi: Box) -> str:
    return (
        f"Marked nodule: {roi.width} × {roi.height} pixels at {roi.left}, {roi.top}; models that "
        f"read a nodule see {100 * NODULE_MARGIN:.0f} % more on each side, others the scan area."
    )


def _times(comparison: Comparison) -> str:
    """Say what the times count: a reader who adds the rows up gets more than the whole."""
    longest = max((shown.milliseconds for shown in comparison.predictions), default=0.0)
    # No row can cost more than the whole, unless some of it was done before.
    at_hand = comparison.milliseconds < longest
    return (
        "The time of a row is what that head alone would cost, with the forward pass that it "
        f"shares with others; the whole comparison took {comparison.milliseconds:.0f} ms"
        f"{', for features of this frame were still at hand' if at_hand else ''}."
    )


def _table(comparison: Comparison, titles: Mapping[str, str]) -> str:
    predictions = comparison.predictions
    # Roles are spelled out because a phone lays the rows out as cards, and a table that
    # is not displayed as one loses its meaning to screen readers.
    columns = ("Model", "Head", "Model score", "Threshold", "Reading", "Time")
    header = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in columns)
    body = "".join(
        _row(prediction, titles, first, prediction.model in comparison.without_nodule)
        for prediction, first in zip(predictions, _firsts(predictions), strict=True)
    )
    return (
        '<table class="thyro-scores" role="table"><thead role="rowgroup">'
        f'<tr role="row">{header}</tr></thead><tbody role="rowgroup">{body}</tbody></table>'
    )


def _row(
    prediction: Prediction, titles: Mapping[str, str], first: bool, without_nodule: bool
) -> str:
    side = "above" if prediction.positive else "below"
    marks = " thyro-first" * first + " thyro-faint" * without_nodule
    bar = (
        f'<span class="thyro-bar" aria-hidden="true" style="--score:{prediction.score:.4f};'
        f'--threshold:{prediction.threshold:.4f}"><i></i><b></b></span>'
    )
    return (
        f'<tr role="row" class="thyro-{side}{marks}">'
        f'<td role="cell" class="thyro-model">{escape(titles[prediction.model])}</td>'
        f'<td role="cell" class="thyro-head">{escape(head_title(prediction.head))}</td>'
        f'<td role="cell" class="thyro-score">{bar}<strong>{score(prediction)}</strong></td>'
        f'<td role="cell" class="thyro-threshold">{threshold(prediction)}</td>'
        f'<td role="cell" class="thyro-reading"><span>{reading(prediction)}</span></td>'
        f'<td role="cell" class="thyro-time">{prediction.milliseconds:.0f} ms</td></tr>'
    )


def _firsts(predictions: Iterable[Prediction]) -> list[bool]:
    """Mark the first row of each model."""
    seen: set[str] = set()
    marks = []
    for prediction in predictions:
        marks.append(prediction.model not in seen)
        seen.add(prediction.model)
    return marks


def _tile(prediction: Prediction, titles: Mapping[str, str], border: str | None, share: str) -> str:
    title, head = titles[prediction.model], head_title(prediction.head)
    says = f"Heatmap of {title}, {head}: score {score(prediction)}, {reading(prediction)}. {share}"
    outline = f'<img class="thyro-outline" src="{border}" alt="">' if border else ""
    said = f'<span class="thyro-share">{escape(share)}</span>' if share else ""
    assert prediction.heatmap is not None
    # The check box makes a tile grow on a tap or the space key, without a script.
    return (
        '<figure class="thyro-tile"><label>'
        f'<input type="checkbox" aria-label="Enlarge: {escape(says)}">'
        f'<span class="thyro-image" role="img" aria-label="{escape(says)}">'
        f'<img src="{_png(prediction.heatmap)}" alt="">{outline}</span></label>'
        f"<figcaption><strong>{escape(title)}</strong> "
        f"<span>{score(prediction)}&ensp;{prediction.milliseconds:.0f} ms</span>{said}"
        "</figcaption></figure>"
    )


def _values(levels: np.ndarray) -> str:
    return " ".join(f"{level:.3f}" for level in levels)


def _png(heatmap: np.ndarray) -> str:
    grey = np.rint(255 * np.clip(heatmap, 0, 1)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(fitted(grey)).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
