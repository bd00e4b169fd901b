"""Complete a bundle's card: where its heatmaps look, and failures shown on phantoms."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from thyro_demo.bundle import card, manifest, training_set
from thyro_demo.data import changes, datasets, near_duplicates, phantom
from thyro_demo.engine import Engine
from thyro_demo.errors import DataError
from thyro_demo.evaluate.formatting import count_of
from thyro_demo.explain import evaluate_maps
from thyro_demo.files import atomic_write

PAIRS = 40
"""Phantoms that each pitfall is shown on, once with it and once without."""


def complete(folder: Path, data: Path) -> None:
    """Add heatmap figures and phantom failures to a bundle's manifest and card.

    Parameters
    ----------
    folder : Path
        The bundle.
    data : Path
        Folder that holds the set `ddti` by name.

    Raises
    ------
    BundleError
        If the bundle cannot be read.
    DataError
        If the set is not there, or no outlined case is left whose outlines were not learned.
    """
    facts = manifest.read_manifest(folder)
    engine = Engine(folder.parent)
    if facts.get("region", "scan") == "scan":
        records = unlearned(data / "ddti", manifest.of_networks(folder))
        table = evaluate_maps.measure(records, _maps(engine, folder.name, records))
        facts["localisation"] = evaluate_maps.summarise(table)
        facts["phantom_failures"] = failures(engine, folder.name, facts["primary"])
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # Card and manifest change together or not at all.
    with atomic_write(folder) as temporary:
        shutil.copytree(folder, temporary)
        (temporary / "README.md").write_text(card.write(facts), encoding="utf-8")
        (temporary / "manifest.json").write_text(text, encoding="utf-8")


def unlearned(ddti: Path, manifests: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """List the outlined DDTI frames of cases whose outlines some networks have not learned.

    DDTI stores some frames under several case numbers, so the number alone does not
    decide whether a frame was met. A label that was learned shows nothing of where the nodule is.

    Parameters
    ----------
    ddti : Path
        Folder of DDTI.
    manifests : sequence of dict
        Of these networks.

    Returns
    -------
    DataFrame
        Record table with `polygons`; no frame of its cases, and no near duplicate of one, has lent
        a network its outline. Cases that share a copy are one group.

    Raises
    ------
    DataError
        If no such frame is left.
    """
    outlined = near_duplicates.group(evaluate_maps.outlined(datasets.ddti(ddti)))
    met = set(outlined.loc[training_set.learned(outlined, manifests), "group"])
    left = outlined[~outlined["group"].isin(met)].reset_index(drop=True)
    if left.empty:
        raise DataError(
            "Some outlined DDTI cases must not have lent the network their outlines, for heatmaps "
            f"to be measured on. Received: {ddti} with none."
        )
    return left


def _maps(
    engine: Engine, name: str, records: pd.DataFrame
) -> Iterator[tuple[str, str, np.ndarray]]:
    heads = engine.heads(name)
    for path in tqdm(records["path"], "Heatmaps", unit="frame"):
        for prediction in engine.compare(path, [name], heads).predictions:
            if prediction.heatmap is not None:
                yield prediction.head, path, prediction.heatmap


def failures(engine: Engine, name: str, head: str) -> list[dict[str, Any]]:
    """Count how often a change that means nothing moves the primary head over its threshold.

    Parameters
    ----------
    engine : Engine
        Holds the bundle.
    name : str
        Its name.
    head : str
        Its primary head.

    Returns
    -------
    list of dict
        `pitfall`, `share` (0–1), `n` and a `sentence` for the card.
    """
    drawn = list(phantom.cohort(PAIRS, frames_per_patient=1, seed=77))
    plain = [_positive(engine, name, head, one.frame) for one in drawn]
    found = []
    for pitfall, change in _CHANGES.items():
        changed = [_positive(engine, name, head, change(one.frame)) for one in drawn]
        moved = int(np.sum(np.not_equal(plain, changed)))
        sentence = (
            f"{pitfall}: on {count_of(moved, PAIRS)} phantoms this alone moved the {head} head to "
            "the other side of its threshold."
        )
        found.append({"pitfall": pitfall, "share": moved / PAIRS, "n": PAIRS, "sentence": sentence})
    labels = np.array([one.label == "malignant" for one in drawn])
    missed = int(np.sum(labels & ~np.array(plain)))
    found.append(
        {
            "pitfall": "Phantoms drawn malignant",
            "share": missed / max(int(labels.sum()), 1),
            "n": int(labels.sum()),
            "sentence": f"Phantoms drawn malignant: {count_of(missed, int(labels.sum()))} are "
            f"below the threshold of the {head} head.",
        }
    )
    return found


def _positive(engine: Engine, name: str, head: str, frame: np.ndarray) -> bool:
    rgb = np.repeat(frame[..., None], 3, axis=2)
    predictions = engine.compare(rgb, [name], ()).predictions
    return next(one.positive for one in predictions if one.head == head)


_CHANGES = {
    "More gain (35 % brighter)": changes.brighter,
    "A mirrored frame": changes.mirrored,
    "Two calipers inside the scan": changes.with_calipers,
    "A split screen that shows the same view twice": changes.split,
}
