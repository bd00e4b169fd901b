"""The frames that teach a network where the nodule is: outlines of every set but the thyroid set.

An outline is training data too. A case of the thyroid set is scored out of fold, and its
outline measures heatmaps, so none of them may be among the frames here: the DDTI cases that
the thyroid set holds are left out, near duplicates of its frames under other case numbers
as well. What remains are sweeps, breast ultrasound, the other DDTI cases, and phantoms.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from thyro_demo.data import datasets, near_duplicates, phantom
from thyro_demo.data.records import PHANTOM
from thyro_demo.errors import DataError
from thyro_demo.files import sha256

SETS = {"thyroid_sweeps": datasets.sweeps, "busi": datasets.busi, "ddti": datasets.ddti}
"""Folders under `--data` that hold outlines; those that are there are read."""

PATIENTS = 1000
"""Phantoms with a nodule, one frame each, of a cohort of its own."""

GLANDS = 200
"""Phantoms without a nodule, normal and autoimmune in equal parts."""

TIMES = {"thyroid_sweeps": 2, "ddti": 3}
"""How often a pass draws each frame of a set, once without a word: phantoms alone are plenty."""

HELD_OUT = 0.15
"""Share of the groups of each set that is only looked at."""

_SEEDS = {"nodules": 21, "glands": 22}


def draw(folder: Path) -> None:
    """Draw the phantoms of this stage, one frame a patient, unless they were drawn before."""
    for name, count, diffuse in (("nodules", PATIENTS, False), ("glands", GLANDS, True)):
        if not (folder / name / "index.csv").exists():
            drawn = phantom.cohort(
                count, frames_per_patient=1, seed=_SEEDS[name], diffuse=diffuse, workers=2
            )
            phantom.write(drawn, folder / name, total=count)


def read(data: Path, drawn: Path, thyroid: pd.DataFrame) -> pd.DataFrame:
    """Read the outlined frames of all sets, in two parts, without cases of the thyroid set."""
    tables = [
        _named(reader(data / folder), folder)
        for folder, reader in SETS.items()
        if (data / folder).is_dir()
    ]
    # Phantoms keep the name of their patient: by it they are known as training images later.
    tables += [datasets.phantoms(drawn / name).assign(set=name) for name in ("nodules", "glands")]
    records = _apart(pd.concat(tables, ignore_index=True), thyroid)
    check_apart(records, thyroid)
    return records.assign(split=_split(records))


def drawn_rows(records: pd.DataFrame) -> np.ndarray:
    """Return the training rows of a pass, those of some sets more than once (`TIMES`)."""
    times = records["set"].map(TIMES).fillna(1).astype(int).to_numpy()
    rows = np.flatnonzero(records["split"] == "train")
    return np.repeat(rows, times[rows])


def check_apart(records: pd.DataFrame, thyroid: pd.DataFrame) -> None:
    """Refuse outlines of frames that are to be scored: the network would know the answer."""
    scored = {sha256(path) for path in thyroid["path"]}
    real = records.loc[records["source"] != PHANTOM, "path"]
    if both := [path for path in real if sha256(path) in scored]:
        raise DataError(
            "Frames that a network is scored on must not have lent it their outlines. "
            f"Received: {len(both)} of them, among them {both[0]}."
        )


def _named(records: pd.DataFrame, folder: str) -> pd.DataFrame:
    """Name groups after their set, since sets count their cases alike."""
    if records["group"].isna().any():
        records = near_duplicates.group(records)
    return records.assign(set=folder, group=[f"{folder}/{group}" for group in records["group"]])


def _apart(records: pd.DataFrame, thyroid: pd.DataFrame) -> pd.DataFrame:
    """Leave out the cases of the thyroid set, and what is nearly a copy of one of its frames."""
    real = records["source"] != PHANTOM
    both = pd.concat([thyroid.assign(set="thyroid"), records[real]], ignore_index=True)
    joined = near_duplicates.group(both[["path", "label", "group", "source", "set"]])
    taken = set(joined.loc[joined["set"] == "thyroid", "group"])
    free = ~joined.loc[joined["set"] != "thyroid", "group"].isin(taken).to_numpy()
    if "ddti_case" in thyroid and "case" in records:
        cases = {str(int(float(case))) for case in thyroid["ddti_case"].dropna()}
        listed = (records["set"] == "ddti") & records["case"].isin(cases)
        free &= ~listed[real].to_numpy()
    keep = np.ones(len(records), bool)
    keep[np.flatnonzero(real)] = free
    return records[keep].reset_index(drop=True)


def _split(records: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Set whole groups of every set aside."""
    held: set[str] = set()
    for _, groups in records.groupby("set")["group"]:
        names = np.random.default_rng(seed).permutation(np.unique(groups))
        held |= set(names[: round(HELD_OUT * len(names))])
    return np.where(records["group"].isin(held), "validation", "train")
