"""What the browser is given to answer at once, from the tables that the server answers from."""

from __future__ import annotations

from typing import Any

from thyro_demo.clinical import measurement, teaching_rule, tirads
from thyro_demo.ui import clinic_texts as texts
from thyro_demo.ui.catalogue import counted, words
from thyro_demo.ui.sentences import said

FEATURES = {
    "composition": tirads.COMPOSITION,
    "echogenicity": tirads.ECHOGENICITY,
    "shape": tirads.SHAPE,
    "margin": tirads.MARGIN,
}
"""The features of which one name applies, and the points of each name."""

NO_LEVEL = "none"
"""In the place of a level for a total of 1, which has none."""

MOST_POINTS = sum(max(table.values()) for table in FEATURES.values()) + sum(tirads.FOCI.values())


def tables() -> dict[str, Any]:
    """Collect points, levels, advice, verdicts, rules for typed lengths and texts.

    Returns
    -------
    dict
        Values that ``json.dumps`` takes as they are. Lists under "advice", "rule" and "verdict"
        hold the diameter from which an entry holds, in millimetres, smallest first.
    """
    totals = range(MOST_POINTS + 1)
    # What is advised depends on the level alone; any total of a level stands for it.
    levels = {tirads.level(points) or NO_LEVEL: points for points in totals}
    return {
        "points": FEATURES | {"foci": tirads.FOCI},
        "stop": tirads.SPONGIFORM,
        "level": [tirads.level(points) or NO_LEVEL for points in totals],
        "schedule": {level: texts.schedule(points) for level, points in levels.items()},
        "advice": {level: _advice(points) for level, points in levels.items()},
        "rule": {str(side).lower(): _rule(side) for side in (True, False)},
        "verdict": {
            level: {str(side).lower(): _verdicts(points, side) for side in (True, False)}
            for level, points in levels.items()
        },
        "number": measurement.NUMBER,
        "range": {
            "size": [measurement.SIZE.least, measurement.SIZE.most],
            "spacing": [measurement.SPACING.least, measurement.SPACING.most],
        },
        "refusal": texts.refusals(),
        "decimal": words("common")["decimal"],
        "totals": every_total(),
        "text": texts.texts(),
        "term": {name: term["shown"] for name, term in texts.terms().items()},
    }


def every_total() -> list[str]:
    """Write every total that features can have, from 0 points on."""
    return [counted(points) for points in range(MOST_POINTS + 1)]


def _advice(points: int) -> list[dict[str, Any]]:
    return [
        {"from": from_mm, "action": advice.action, "sentence": said(advice.sentence)}
        for from_mm, advice in tirads.bands(points)
    ]


def _rule(positive: bool) -> list[dict[str, Any]]:
    # The least size of the first band: none that can be typed is smaller.
    sizes = {0.0: measurement.SIZE.least, teaching_rule.FNA_FROM_MM: teaching_rule.FNA_FROM_MM}
    discussed = {
        from_mm: teaching_rule.is_discussed(positive, size) for from_mm, size in sizes.items()
    }
    return [
        {"from": from_mm, "discussed": each, "sentence": texts.rule(each, positive)}
        for from_mm, each in discussed.items()
    ]


def _verdicts(points: int, positive: bool) -> list[dict[str, Any]]:
    return [
        {"from": from_mm, "agree": found.agree, "sentence": texts.verdict(points, found)}
        for from_mm, found in teaching_rule.bands(points, positive)
    ]
