"""What a bundle was trained on: images by their content, phantoms by the patient they show."""

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd
from tqdm import tqdm

from thyro_demo.files import sha256

_PATIENT = re.compile(r"(phantom-\d+)-(\d+)")


def cohorts(groups: Iterable[Any]) -> dict[str, int]:
    """Compute how far into each cohort of phantoms some groups reach.

    Parameters
    ----------
    groups : iterable
        Groups of a record table; those that are no patients of `phantom.cohort` are passed over.

    Returns
    -------
    dict of str to int
        By name of the cohort ("phantom-7" has seed 7) the number of its first patients that hold
        all of them.
    """
    return joined({cohort: number + 1} for cohort, number in _patients(groups))


def joined(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Join what several trainings met.

    Parameters
    ----------
    parts : iterable of dict of str to int
        From `cohorts`.

    Returns
    -------
    dict of str to int
        By cohort the farthest that any of them reached.
    """
    found: dict[str, int] = {}
    for part in parts:
        for cohort, count in part.items():
            found[cohort] = max(found.get(cohort, 0), count)
    return found


def _patients(groups: Iterable[Any]) -> list[tuple[str, int]]:
    """Read cohort and number of each drawn patient; near duplicates are joined by "+"."""
    names = [name for group in groups for name in str(group).split("+")]
    matches = [match for name in names if (match := _PATIENT.fullmatch(name))]
    return [(match[1], int(match[2])) for match in matches]


def seen(records: pd.DataFrame, manifests: Iterable[dict[str, Any]]) -> pd.Series:
    """List which frames some bundles were trained on.

    Real frames are known by the checksum of their file. Phantoms are known by their patient
    too: whoever draws a cohort again, with another version of a library or another size, gets
    other files of the same patients.

    Parameters
    ----------
    records : DataFrame
        With `path` and `group`.
    manifests : iterable of dict
        Of a bundle, and of each member of an ensemble.

    Returns
    -------
    Series of bool
        True for training frames, on the index of `records`.
    """
    held = list(manifests)
    return _known(records, {image for facts in held for image in facts["training_images"]}, held)


def learned(records: pd.DataFrame, manifests: Iterable[dict[str, Any]]) -> pd.Series:
    """Report on which frames some networks have learned where the nodule is.

    A frame whose label alone was learned is not among them: a heatmap is judged by the outline.

    Parameters
    ----------
    records : DataFrame
        With `path` and `group`.
    manifests : iterable of dict
        Of each network; one without the key "training_outlines" is taken to have learned the
        outlines of all of its training images.

    Returns
    -------
    Series of bool
        True for such frames, and for phantoms of the patients that were trained on, on the index
        of `records`.
    """
    held = list(manifests)
    images = {
        image
        for facts in held
        for image in facts.get("training_outlines", facts["training_images"])
    }
    return _known(records, images, held)


def _known(records: pd.DataFrame, images: set[str], held: list[dict[str, Any]]) -> pd.Series:
    """Mark the frames whose file is among some checksums, and phantoms that were met."""
    reach = joined(facts.get("training_phantoms", {}) for facts in held)
    marks = {
        # A member of an archive is no file of its own, so no manifest can name it.
        path: "::" not in path and sha256(path) in images
        for path in tqdm(
            records["path"].unique(), "Checksums", unit="image", leave=False, disable=None
        )
    }
    drawn = [
        any(number < reach.get(cohort, 0) for cohort, number in _patients([group]))
        for group in records["group"]
    ]
    return records["path"].map(marks).astype(bool) | pd.Series(drawn, records.index, dtype=bool)
