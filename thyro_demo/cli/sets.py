"""Read a set for a command: what is left out, or read in another spelling, is printed."""

from pathlib import Path

import pandas as pd

from thyro_demo.cli.results import print_findings
from thyro_demo.data import datasets, images
from thyro_demo.errors import DataError


def readable(folder: str | Path) -> tuple[pd.DataFrame, int]:
    """Read a set without the images that cannot be read; these are named, and counted."""
    records = datasets.load(folder, quiet=True)
    for sentence in datasets.notes(records):
        print(sentence)
    bad = images.unreadable(records["path"])
    if len(bad) == len(records):
        raise DataError(
            f"A set must have at least one image that can be read. Received: {folder} with "
            f"{len(bad)} that cannot; the first: {bad[0]}"
        )
    if bad:
        print_findings("Left out, as they cannot be read", list(bad.values()))
    return records.drop(index=list(bad)).reset_index(drop=True), len(bad)
