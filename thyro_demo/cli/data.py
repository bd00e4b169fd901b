"""``data``: list, fetch, check and split image sets."""

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

HELP = "list, fetch, check and split sets of real images"

LEAK = 1
"""Exit code of ``check`` when the published parts of a set leak."""

_NAMED = 4  # images named of a finding; the others are counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(
        title="sub-commands", metavar="COMMAND", dest="command", required=True
    )

    commands.add_parser(
        "list", help="public sets, their licences, homes and sizes, and where they are here"
    )

    fetch = commands.add_parser(
        "fetch", help="fetch a set from its public home; a download that broke is resumed"
    )
    fetch.add_argument("key", metavar="SET", help="key of the set in `data list`, such as p1")
    fetch.add_argument(
        "--out", metavar="FOLDER", help="where to put it (default: its folder in data)"
    )
    fetch.add_argument(
        "--url", metavar="MIRROR", help="address, or archive on this computer, in place of its home"
    )

    check = commands.add_parser(
        "check", help="what a folder holds, and whether its published parts leak (then exit 1)"
    )
    check.add_argument("folder", metavar="FOLDER", help="a set in a layout that is known")

    split = commands.add_parser(
        "split", help="write a table with training, validation, test or folds"
    )
    split.add_argument("folder", metavar="FOLDER", help="a set in a layout that is known")
    split.add_argument("--out", required=True, metavar="CSV", help="the table to write")
    how = split.add_mutually_exclusive_group()
    how.add_argument(
        "--folds", type=int, metavar="N", help="assign groups to N folds of cross-validation"
    )
    how.add_argument(
        "--fractions",
        type=float,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        default=(0.7, 0.15, 0.15),
        help="shares of the three parts (default: 0.7 0.15 0.15)",
    )
    split.add_argument("--seed", type=int, default=0, help="seed of the shuffle (default: 0)")
    split.add_argument(
        "--image-level",
        action="store_true",
        help="let each image without a group be its own, in place of grouping near duplicates",
    )


def run(args: argparse.Namespace) -> int:
    """Run one sub-command; `LEAK` if ``check`` found a leak across published parts."""
    commands = {"list": _list, "fetch": _fetch, "check": _check, "split": _split}
    return commands[args.command](args)


def _list(args: argparse.Namespace) -> int:
    from thyro_demo.data.places import here
    from thyro_demo.data.public_sets import SETS, how

    for key, known in SETS.items():
        print(f"{key}: {known.title}")
        print(f"  size     {known.size}")
        print(f"  licence  {known.licence}")
        print(f"  home     {known.home}")
        if known.traps:
            print(f"  traps    {known.traps}")
        print(f"  get it   {how(key)}")
        print(f"  here     {here().find(key) or 'not found'}")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from thyro_demo.data.download import fetch

    folder = fetch(args.key, args.out, args.url)
    print(f"Fetched into {folder}; `python -m thyro_demo data check {folder}` shows what it holds.")
    return 0


def _check(args: argparse.Namespace) -> int:
    from thyro_demo.cli.results import print_findings
    from thyro_demo.data import datasets, images, near_duplicates, splits

    records = datasets.load(args.folder, quiet=True)
    name = str(datasets.layout(args.folder))
    print(f"{args.folder}: {datasets.LAYOUTS[name].title}, {len(records)} images")
    for sentence in datasets.notes(records):
        print(sentence)
    _print_counts(records)
    bad = images.unreadable(records["path"])
    print_findings("cannot be read", list(bad.values()))
    records = records.drop(index=list(bad)).reset_index(drop=True)

    clusters = near_duplicates.clusters(records)
    print(f"near duplicates: {len(records) - len(set(clusters))} images beyond the first of each")
    names = [_relative(path, args.folder) for path in records["path"]]
    findings = [
        ("near duplicates under two labels", clusters, records["label"]),
        ("near duplicates in two groups", clusters, records["group"]),
    ]
    if "published_split" in records.columns:
        sides = records["published_split"]
        findings += [
            ("near duplicates in two published parts", clusters, sides),
            ("groups in two published parts", records["group"], sides),
        ]
    leaks = False
    for what, keys, sides in findings:
        members = splits.crossing(keys, sides)
        print_findings(what, [_some(rows, sides, names) for rows in members])
        leaks |= bool(members) and what.endswith("published parts")
    return LEAK if leaks else 0


def _some(rows: "np.ndarray", sides: "pd.Series", names: list[str]) -> str:
    """Name the images of a finding, one of each side first, and count what is too much."""
    firsts = sides.iloc[rows].drop_duplicates().index
    order = [*firsts, *(row for row in rows if row not in firsts)]
    rest = len(order) - max(_NAMED, len(firsts))
    shown = ", ".join(names[row] for row in order[: max(_NAMED, len(firsts))])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _print_counts(records: "pd.DataFrame") -> None:
    """Print how many images each label has, by source, and how many groups there are."""
    import pandas as pd

    labels = records["label"].fillna("(none)")
    print(pd.crosstab(labels, records["source"], margins=True, margins_name="all").to_string())
    missing = int(records["group"].isna().sum())
    print(f"groups: {records['group'].nunique()}; images without a group: {missing}")


def _relative(path: str, folder: str) -> str:
    """Name an image as a table in its folder would, with the same sign on every system."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _split(args: argparse.Namespace) -> int:
    from pathlib import Path

    from thyro_demo.cli.results import check_writable
    from thyro_demo.cli.sets import readable
    from thyro_demo.data import near_duplicates, splits
    from thyro_demo.errors import DataError
    from thyro_demo.files import atomic_write

    check_writable(Path(args.out), folder=False)
    records, left_out = readable(args.folder)
    labels = records["label"]
    own = [Path(args.folder, name).resolve() for name in ("index.csv", "groups.csv")]
    unnamed = left_out + (0 if labels.isna().all() else int(labels.isna().sum()))
    if unnamed and Path(args.out).resolve() in own:
        raise DataError(
            "A table in the place of the set's own must name all of its images: write it "
            f"elsewhere. Received: --out {args.out}, without {unnamed} of them."
        )
    if labels.isna().all():
        print("No image has a label: only groups are kept whole.")
        records = records.assign(label="none")
    elif unlabelled := int(labels.isna().sum()):
        print(f"Left out: {unlabelled} images without a label.")
        records = records[labels.notna()].reset_index(drop=True)
    if not args.image_level:
        records = near_duplicates.group(records)
    if args.folds is not None:
        column = "fold"
        records = splits.kfold(records, args.folds, args.seed, args.image_level)
    else:
        column = "split"
        records = splits.split(records, args.fractions, args.seed, args.image_level)
    _print_shares(records, column)
    lists = [name for name in records.columns if isinstance(records[name].iloc[0], list)]
    if labels.isna().all():
        records["label"] = labels
    for column in {"path", "mask_path"} & set(records.columns):
        records[column] = [
            _relative(path, args.folder) if isinstance(path, str) else path
            for path in records[column]
        ]
    with atomic_write(args.out) as temporary:
        records.drop(columns=lists).to_csv(temporary, index=False)
    print(f"Wrote {args.out}; its paths are relative to {args.folder}.")
    return 0


def _print_shares(records: "pd.DataFrame", column: str) -> None:
    """Print images and groups of each label on each side."""
    sides = records.groupby([column, "label"])["path"].size().unstack(fill_value=0)
    print(sides.assign(groups=records.groupby(column)["group"].nunique()).to_string())
