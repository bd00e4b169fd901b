"""A comparison as HTML: notices, verdict, scores beside thresholds, heatmaps.

Opacity and colour scale are left to the browser (a style property and an SVG filter), so that a
reader can change them without a network, or the network, being asked.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from thyro_demo.data.frame import Spacing
from thyro_demo.data.roi import NODULE_MARGIN
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Comparison, Prediction
from thyro_demo.explain.overlay import COLOUR_SCALES, colour_table
from thyro_demo.ui.catalogue import figure, percent, words
from thyro_demo.ui.examples import Example
from thyro_demo.ui.html import render
from thyro_demo.ui.outlines import Share
from thyro_demo.ui.pictures import blank, frame_address, map_address, thumbnail
from thyro_demo.ui.sentences import said

_JUDGED = ("malignant", "benign")
"""Labels that a head above its threshold, or below it, agrees with."""

NO_EVIDENCE = "No evidence for the label “malignant”: this map is empty."
"""What stands in the place of a heatmap that would be a blank picture."""


class Lines(NamedTuple):
    """Lines that are laid over heatmaps, as data addresses.

    Attributes
    ----------
    borders : mapping of str to (str or None)
        By model, the outline of the nodule it draws.
    known : str or None
        The outline that came with the frame; shown when it is asked for.
    box : str or None
        The edge of a box that the reader drew.
    """

    borders: Mapping[str, str | None]
    known: str | None
    box: str | None


NO_LINES = Lines({}, None, None)


class Wording(NamedTuple):
    """A prediction in words and rounded figures; the side of the threshold also without it."""

    head: str
    score: str
    threshold: str
    side: str
    short: str


def wording(prediction: Prediction) -> Wording:
    """Name head and side of the threshold, and round score and threshold together."""
    score, threshold = prediction.rounded()
    sides = words("common")["sides"]
    short = sides["above" if prediction.positive else "below"]
    side = f"{short} {sides['of']}"
    return Wording(head_title(prediction.head), figure(score), figure(threshold), side, short)


def head_title(head: str) -> str:
    """Return the display name of a head; one that is unknown is shown by its own name."""
    return words("common")["heads"].get(head, head)


def summary(
    comparison: Comparison, titles: Mapping[str, str], example: Example | None = None
) -> str:
    """Write all but the heatmaps, notices first.

    Parameters
    ----------
    comparison : Comparison
        What the heads predict, with the frame they saw.
    titles : mapping of str to str
        Display name of each model.
    example : Example, optional
        What is known of that very frame.

    Returns
    -------
    str
        HTML.
    """
    longest = max((shown.milliseconds for shown in comparison.predictions), default=0.0)
    text = words("compare")["summary"]
    known = [] if example is None else [said(example.truth)]
    label = "" if example is None else example.label
    return render(
        "summary",
        comparison=comparison,
        titles=titles,
        name=text["upload"]
        if example is None
        else text["example"].format(caption=said(example.caption)),
        picture=thumbnail(comparison.frame),
        verdict=verdict(comparison, label),
        known=known + ([_marked(comparison.roi)] if comparison.roi else []),
        wording=wording,
        agrees=functools.partial(agrees, label=label),
        judged=label in _JUDGED,
        # No row can cost more than the whole, unless some of it was done before.
        remembered=comparison.milliseconds < longest,
    )


def agrees(prediction: Prediction, label: str) -> bool | None:
    """Check a prediction against the label of its frame; None where no head predicts it."""
    return prediction.positive == (label == _JUDGED[0]) if label in _JUDGED else None


def verdict(comparison: Comparison, label: str) -> str:
    """Lead with one sentence: how many heads are above, and the label where it is known."""
    agreement = said(comparison.agreement)
    if not label:
        return agreement
    kind = "labelled_apart" if ";" in agreement else "labelled"
    return words("compare")["summary"][kind].format(
        agreement=agreement.removesuffix("."), label=said(label)
    )


def heatmaps(
    frame: np.ndarray,
    predictions: Sequence[Prediction],
    titles: Mapping[str, str],
    lines: Lines = NO_LINES,
    shares: Mapping[tuple[str, str], Share] | None = None,
    grid: bool = False,
    spacing: Spacing | None = None,
) -> str:
    """Write the heatmaps over their frame: a row for each head, a column for each model.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        The image, RGB; it is in the page once.
    predictions : sequence of Prediction
        Those without a heatmap are passed over.
    titles : mapping of str to str
        Display name of each model.
    lines : Lines, optional
        What is drawn over them.
    shares : mapping of (str, str) to Share, optional
        By model and head, how much of the map is on the nodule.
    grid : bool, optional
        Whether they are small, with a row for each model and a column for each head.
    spacing : Spacing, optional
        Of the frame's pixels: what is drawn on it is then measured in millimetres.

    Returns
    -------
    str
        HTML.
    """
    shown = [prediction for prediction in predictions if prediction.heatmap is not None]
    models = list(dict.fromkeys(prediction.model for prediction in shown))
    by_model = sorted(shown, key=lambda prediction: models.index(prediction.model))
    height, width = frame.shape[:2]
    row_of = attrgetter("model" if grid else "head")
    rows = {
        row: [one for one in by_model if row_of(one) == row]
        for row in dict.fromkeys(row_of(one) for one in (by_model if grid else shown))
    }
    return render(
        "heatmaps",
        frame=frame_address(frame),
        ratio=f"{width}/{height}",
        mm=f"{width * spacing.across:.2f} {height * spacing.down:.2f}" if spacing else "",
        columns=max(len(row) for row in rows.values())
        if grid and rows
        else min(max(len(models), 2), 3),
        rows=rows,
        grid=grid,
        titles=titles,
        lines=lines,
        shares=shares or {},
        head_title=head_title,
        wording=wording,
        map_address=map_address,
        blank=blank,
        no_evidence=said(NO_EVIDENCE),
    )


def filters() -> dict[str, dict[str, str]]:
    """List the levels of each colour channel, by colour scale, as an SVG filter takes them."""
    return {
        scale: {
            channel: " ".join(f"{level:.3f}" for level in levels)
            for channel, levels in zip("RGB", colour_table(scale).T, strict=True)
        }
        for scale in COLOUR_SCALES
    }


def _marked(roi: Box) -> str:
    return words("compare")["summary"]["marked"].format(
        width=roi.width,
        height=roi.height,
        left=roi.left,
        top=roi.top,
        margin=percent(NODULE_MARGIN),
    )
