"""The sentences that go with a comparison, and the names of heads in them."""

from __future__ import annotations

from collections.abc import Sequence

from thyro_demo.engine.predictions import Prediction

HEADS = {
    "softmax": "softmax",
    "svm": "SVM",
    "linear-svm": "linear SVM",
    "forest": "random forest",
    "average": "average",
}
"""Heads that a bundle can have, and their names within a sentence."""

# More heads than this that differ from the others are a list, not a sentence.
_FEW = 2


def agreement(predictions: Sequence[Prediction], titles: dict[str, str]) -> str:
    """Count the heads above their threshold, and name the few that differ from the others."""
    above = [prediction for prediction in predictions if prediction.positive]
    below = [prediction for prediction in predictions if not prediction.positive]
    count = len(predictions)
    if count == 1:
        return f"The one head is {'above' if above else 'below'} its threshold."
    if not above or not below:
        return f"All {count} heads are {'above' if above else 'below'} their threshold."
    one = len(above) == 1
    counted = f"{len(above)} of {count} heads {'is' if one else 'are'} above "
    counted += "its threshold" if one else "their threshold"
    few, side = (above, "above") if len(above) <= len(below) else (below, "below")
    if len(few) > _FEW or len(few) == len(above) == len(below):
        return counted + "."
    names = _joined([f"{titles[each.model]} {HEADS.get(each.head, each.head)}" for each in few])
    return f"{counted}; {names} {'is' if len(few) == 1 else 'are'} {side}."


def notices(titles: dict[str, str], no_nodule: Sequence[str], far: Sequence[str]) -> list[str]:
    """Warn of models without a nodule, and of those for which the image is out of distribution."""
    found = []
    if no_nodule:
        names = _joined([titles[name] for name in no_nodule])
        what = "the scores below come from the whole frame and mean little"
        found.append(f"No nodule found by {names}: {what}.")
    if far:
        names = _joined([titles[name] for name in far])
        what = "the scores below mean little"
        found.append(f"This image is unlike the training images of {names}: {what}.")
    return found


def mark_needed(titles: Sequence[str]) -> str:
    """Name the bundles that need a marked nodule, without the end of the sentence."""
    reads = "reads" if len(titles) == 1 else "read"
    return f"{_joined(titles)} {reads} a marked nodule: mark it on the frame"


def _joined(names: Sequence[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
