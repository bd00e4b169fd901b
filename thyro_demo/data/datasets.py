"""Read each public set in its own published layout into one record table.

A record table has one row per image and at least four columns:

``path``
    str that `images.decode` opens: a file, or ``archive.zip::member``.
``label``
    str, the class; missing where the set does not say.
``group``
    str, what must stay on one side of a split (patient, case); missing where the
    set does not say. A missing group is never turned into one patient per image
    here: `splits` asks for that choice.
``source``
    str, where the image comes from: the set, or the scanner within a set.

All further columns are free. `load` recognises a layout; `LAYOUTS` lists the loaders.
"""

import json
import os
import re
import warnings
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from thyro_demo.errors import DataError, ThyroError

REQUIRED = ("path", "label", "group", "source")
BENIGN, MALIGNANT = "benign", "malignant"

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm"}
_PHANTOM_LABELS = (BENIGN, MALIGNANT, "normal", "autoimmune")
_THYROID_FOLDERS = {"benin": BENIGN, "malin": MALIGNANT}
_PUBLISHED_PARTS = ("train", "val", "test")
_THYROID_PARTS = ("train", "test")
# Columns of a table that hold numbers; all others are text, so that "007" stays "007".
_NUMBERS = ("width", "height", "printed_grade", "size_mm", "spacing_mm", "points")
# Frame sizes that occur in one source of the P1 set alone.
_THYROID_SOURCES = {(560, 360): "ddti", (300, 225): "web300"}
# DDTI is labelled by its TI-RADS, not by pathology.
_DDTI_LABELS = {"2": BENIGN, "3": BENIGN} | dict.fromkeys(("4a", "4b", "4c", "5"), MALIGNANT)
_COVID_FOLDERS = {
    "Covid-19": "covid-19",
    "No_findings": "normal",
    "Pneumonia": "pneumonia",
    "COVID": "covid-19",
    "Normal": "normal",
    "Viral Pneumonia": "pneumonia",
    "Lung_Opacity": "lung opacity",
}
_PAEDIATRIC_FOLDERS = {"NORMAL": "normal", "PNEUMONIA": "pneumonia"}
_RADIOGRAPH_LABELS = ("covid-19", "normal", "pneumonia")
_BUSI_FOLDERS = ("benign", "malignant", "normal")
_MIAS_SIDE = 1024  # pixels; the frame in which Info.txt gives its coordinates
_MIAS_TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
# Scattered calcifications have a note, or nothing, where the centre and radius would stand.
_MIAS_ROW = re.compile(
    r"mdb\d{3}\s+[FGD]\s+(NORM|[A-Z]{4}\s+[BM](\s+\d+\s+\d+\s+\d+|\s+\*.*)?)\s*", re.ASCII
)


class Abnormality(NamedTuple):
    """One row of mini-MIAS's ``Info.txt``, in pixels of the image at hand.

    Attributes
    ----------
    kind : str
        CALC, CIRC, SPIC, MISC, ARCH or ASYM.
    severity : str
        "benign" or "malignant".
    x, y : float
        Centre; x to the right, y downward. NaN where the set gives none.
    radius : float
        Radius of a circle that encloses it. NaN where the set gives none.
    """

    kind: str
    severity: str
    x: float
    y: float
    radius: float


def thyroid(root: str | Path) -> pd.DataFrame:
    """Read the P1 thyroid set.

    Parameters
    ----------
    root : str or Path
        The folder that holds ``LES3BDD/{train,test}/{benin,malin}``, ``LES3BDD``
        itself, or the clone of its public home (``BDD20test80train/LES3BDD``).
        An ``index.csv`` in `root` is used where there is one; its cells of ``source``
        may be empty.

    Returns
    -------
    DataFrame
        Record table with labels "benign" and "malignant", `published_split`
        ("train" or "test", missing for an image in neither), `width` and `height`
        (pixels). Without ``index.csv`` every group is missing
        (`splits.group_near_duplicates` fills it). A source that is not given is told
        from the frame size: 560×360 "ddti", 300×225 "web300", else "other".

    Raises
    ------
    DataError
        If the layout is another one, a class is empty or the index is damaged.
    """
    root = _folder(root)
    parts = _thyroid_parts(root)
    if parts is None:
        raise DataError(
            "The P1 thyroid set is a folder with LES3BDD/train and LES3BDD/test, each with "
            f"benin and malin. Received: {root}"
        )
    if (root / "index.csv").is_file():
        records = _index(root, labels=(BENIGN, MALIGNANT))
    else:
        records = _table(
            {"path": str(path), "label": label, "group": np.nan}
            for part in parts
            for folder, label in _THYROID_FOLDERS.items()
            for path in _class_images(part / folder)
        )
    if not {"width", "height"} <= set(records.columns):
        records = _with_sizes(records)
    sizes = zip(records["width"], records["height"], strict=True)
    records = _with_source(records, [_THYROID_SOURCES.get(size, "other") for size in sizes])
    parts_of = [Path(path).parent.parent.name for path in records["path"]]
    split = [part if part in _THYROID_PARTS else np.nan for part in parts_of]
    return _ordered(records.assign(published_split=split))


def index_csv(root: str | Path) -> pd.DataFrame:
    """Read a folder that describes itself in an ``index.csv``.

    Parameters
    ----------
    root : str or Path
        Folder with ``index.csv``: columns ``path`` (relative to `root`), ``label``,
        ``group`` (cells may be empty), optionally ``source`` (the folder's name where
        the column or its cell is missing), and free ones.

    Returns
    -------
    DataFrame
        Record table; free columns keep their names.

    Raises
    ------
    DataError
        If a column is missing, a label is empty, a path is given twice, is not
        there or leaves `root`, or a cell of a column of numbers is none.
    """
    root = _folder(root)
    records = _index(root)
    return _ordered(_with_source(records, [root.resolve().name] * len(records)))


def phantoms(root: str | Path) -> pd.DataFrame:
    """Read a folder of phantoms that `phantom.write` wrote.

    Parameters
    ----------
    root : str or Path
        Folder with ``frames/``, ``masks/`` and ``index.csv``.

    Returns
    -------
    DataFrame
        Record table with labels "benign" and "malignant", or "normal" and "autoimmune"
        for glands without nodules, and the free columns of the index (sizes in
        millimetres, `mask_path` openable).

    Raises
    ------
    DataError
        If the index is missing or damaged, lacks masks or holds another label.
    """
    root = _folder(root)
    records = _index(root, labels=_PHANTOM_LABELS)
    if "mask_path" not in records.columns:
        raise DataError(
            f"An index of phantoms has a column mask_path. Received: {root / 'index.csv'} without"
        )
    records["mask_path"] = [_inside(root, path) for path in records["mask_path"]]
    return _ordered(_with_source(records, ["phantom"] * len(records)))


def ddti(root: str | Path) -> pd.DataFrame:
    """Read the Digital Database of Thyroid Images: frames, findings, outlines.

    Six of the published files are cut in the middle of a point; all whole points
    before the cut are kept. Outlines of fewer than three points are no outlines:
    they are left out and counted. An empty list of outlines, or ``null``, is none.

    Parameters
    ----------
    root : str or Path
        Folder of ``N.xml`` with ``N.jpg`` or ``N_1.jpg`` (first frame), ``N_2.jpg`` …
        Images of other names are no frames.

    Returns
    -------
    DataFrame
        Record table. The label follows the TI-RADS that the set gives (2, 3 benign;
        4a to 5 malignant; missing where it gives none), which is no pathology; the
        group is the case. Free columns: `case`, `image` (int), `age` (years), `sex`,
        `composition`, `echogenicity`, `margins`, `calcifications`, `tirads` (str,
        missing where empty), `polygons` (list of float64 (n, 2), x and y in pixels),
        `short_polygons` (int, how many were left out), `cut` (bool, the file is cut).

    Raises
    ------
    DataError
        If there is no case, a case has no frame, or an XML file cannot be read or holds
        outlines in another form.

    References
    ----------
    Pedraza et al., "An open access thyroid ultrasound image database", Proc. SPIE
    9287, 2015.
    """
    root = _folder(root)
    cases = sorted((path for path in root.glob("*.xml") if path.stem.isdecimal()), key=_number)
    if not cases:
        raise DataError(
            "DDTI is a folder of N.xml beside N.jpg or N_1.jpg, N_2.jpg and so on. "
            f"Received: {root}"
        )
    frames: dict[str, list[Path]] = {}
    for path in _images(root):
        if named := re.fullmatch(r"(\d+)(_\d+)?", path.stem):
            frames.setdefault(named[1], []).append(path)
    return _ordered(
        _table(row for case in cases for row in _ddti_case(case, frames.get(case.stem, [])))
    )


def busi(root: str | Path) -> pd.DataFrame:
    """Read the breast ultrasound set BUSI with its lesion masks.

    Parameters
    ----------
    root : str or Path
        ``Dataset_BUSI_with_GT``: folders benign, malignant and normal with
        ``benign (1).png``, ``benign (1)_mask.png``, ``benign (1)_mask_1.png`` …

    Returns
    -------
    DataFrame
        Record table with `mask_paths` (list of str). The set gives no patient, so
        every group is missing; it holds near copies that
        `splits.group_near_duplicates` finds.

    Raises
    ------
    DataError
        If a class is missing or empty.

    References
    ----------
    Al-Dhabyani et al., "Dataset of breast ultrasound images", Data in Brief 28, 2020.
    """
    root = _folder(root)
    return _ordered(
        _table(
            {
                "path": str(path),
                "label": label,
                "group": np.nan,
                "source": "busi",
                "mask_paths": [str(mask) for mask in masks],
            }
            for label in _BUSI_FOLDERS
            for path, masks in _with_masks(root / label)
        )
    )


def covid_xray(root: str | Path) -> pd.DataFrame:
    """Read a set of chest radiographs with COVID-19.

    Parameters
    ----------
    root : str or Path
        Folders Covid-19, No_findings and Pneumonia, or the COVID-19 Radiography
        Database: COVID, Normal, Viral Pneumonia and Lung_Opacity, each with ``images``.

    Returns
    -------
    DataFrame
        Record table with labels "covid-19", "normal", "pneumonia" and, in the second
        layout, "lung opacity". Files named after ChestX-ray14 (``00000061_012``) carry
        their patient's number, which becomes the group; all other groups are missing.

    Raises
    ------
    DataError
        If a class is missing or empty.
    """
    root = _folder(root)
    folders = [root / name for name in _COVID_FOLDERS if _listed(root, name)]
    if not {"covid-19", "normal"} <= {_COVID_FOLDERS[folder.name] for folder in folders}:
        raise DataError(
            "The COVID-19 radiographs are folders Covid-19, No_findings and Pneumonia, or "
            f"COVID, Normal, Viral Pneumonia and Lung_Opacity. Received: {root}"
        )
    return _ordered(
        _table(
            {
                "path": str(path),
                "label": _COVID_FOLDERS[folder.name],
                "group": _chestxray14_patient(path),
                "source": "covid_xray",
            }
            for folder in folders
            for path in _class_images(folder / "images" if _listed(folder, "images") else folder)
        )
    )


def paediatric_pneumonia(root: str | Path) -> pd.DataFrame:
    """Read the chest radiographs of children with pneumonia.

    Parameters
    ----------
    root : str or Path
        ``chest_xray`` with train, val and test, or a folder of NORMAL and PNEUMONIA.

    Returns
    -------
    DataFrame
        Record table with labels "normal" and "pneumonia", `cause` ("bacteria",
        "virus" or missing) and, where the set is published in parts,
        `published_split`. The group is the patient in the name: ``person7``,
        ``IM-0117`` or ``NORMAL2-IM-0394``.

    Raises
    ------
    DataError
        If a class is missing or empty.

    References
    ----------
    Kermany et al., "Identifying medical diagnoses and treatable diseases by
    image-based deep learning", Cell 172(5), 2018.
    """
    root = _folder(root)
    parts = [root / name for name in _PUBLISHED_PARTS if _listed(root / name, "NORMAL")] or [root]
    records = _table(
        {
            "path": str(path),
            "label": label,
            "group": _paediatric_patient(path),
            "source": "paediatric_pneumonia",
            "cause": next((c for c in ("bacteria", "virus") if f"_{c}_" in path.name), np.nan),
            "published_split": part.name,
        }
        for part in parts
        for folder, label in _PAEDIATRIC_FOLDERS.items()
        for path in _class_images(part / folder)
    )
    return _ordered(records.drop(columns="published_split") if parts == [root] else records)


def radiographs(root: str | Path) -> pd.DataFrame:
    """Read both sets of chest radiographs as one table.

    Parameters
    ----------
    root : str or Path
        Folder with one sub-folder in the layout of `covid_xray` and one in the layout
        of `paediatric_pneumonia`.

    Returns
    -------
    DataFrame
        Record table with labels "covid-19", "normal" and "pneumonia"; `source` tells
        the set. Lung opacities, which only one layout has, are left out.

    Raises
    ------
    DataError
        If one of the two sets is missing or damaged.
    """
    root = _folder(root)
    found = {layout(folder): folder for folder in _subfolders(root)}
    if not {"covid_xray", "paediatric_pneumonia"} <= set(found):
        raise DataError(
            "The radiographs are one folder with the COVID-19 set and the paediatric "
            f"pneumonia set side by side. Received: {root}"
        )
    both = [
        covid_xray(found["covid_xray"]),
        paediatric_pneumonia(found["paediatric_pneumonia"]),
    ]
    records = pd.concat(both, ignore_index=True)
    return records[records["label"].isin(_RADIOGRAPH_LABELS)].reset_index(drop=True)


def mini_mias(root: str | Path) -> pd.DataFrame:
    """Read the mini-MIAS mammograms.

    ``Info.txt`` counts pixels of a 1024×1024 frame from the lower left corner; here
    they become pixels of the image at hand, counted from the upper left one.

    Parameters
    ----------
    root : str or Path
        Folder with ``Info.txt`` and ``mdb001`` to ``mdb322`` (PGM, JPEG or PNG).

    Returns
    -------
    DataFrame
        Record table with labels "normal", "benign" and "malignant" (the graver one
        where an image has both), `tissue` ("fatty", "fatty-glandular",
        "dense-glandular"), `side`, `width`, `height` and `abnormalities` (list of
        `Abnormality`). Odd and following even numbers are one patient, hence one group.

    Raises
    ------
    DataError
        If ``Info.txt``, its rows or an image that it lists are missing, or a row is not as
        published.

    References
    ----------
    Suckling et al., "The Mammographic Image Analysis Society digital mammogram
    database", Excerpta Medica, International Congress Series 1069, 1994.
    """
    root = _folder(root)
    info = root / "Info.txt"
    if not info.is_file():
        raise DataError(
            f"mini-MIAS is a folder with Info.txt beside mdb001 to mdb322. Received: {root}"
        )
    films: dict[str, list[list[str]]] = {}
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        if not re.match(r"mdb\d{3}\b", line):
            continue
        if not _MIAS_ROW.fullmatch(line):
            raise DataError(
                "A row of Info.txt gives film, tissue (F, G or D) and NORM, or class, severity "
                f"(B or M), centre and radius. Received: {line.strip()} in {info}"
            )
        films.setdefault(line[:6], []).append(line.split())
    if not films:
        raise DataError(f"Info.txt has a row for every film. Received: {info} without any")
    images = {path.stem: path for path in _images(root)}
    if missing := sorted(set(films) - set(images)):
        raise DataError(
            f"Info.txt lists images that are not there. Received: {missing[0]} in {root}"
        )
    return _ordered(_table(_mias_row(images[name], films[name]) for name in sorted(films)))


def tiny_imagenet(root: str | Path, part: str = "train") -> pd.DataFrame:
    """Read one part of Tiny ImageNet, packed or unpacked.

    Parameters
    ----------
    root : str or Path
        Folder with ``train.zip`` and ``val.zip`` (members ``wnid/name``) and
        ``classes.csv``, or the unpacked ``tiny-imagenet-200``.
    part : {"train", "val"}
        Which part.

    Returns
    -------
    DataFrame
        Record table; the label is the WordNet id, `name` the class in words. Photographs
        without a patient: every group is missing.

    Raises
    ------
    DataError
        If the part is unknown, missing or a damaged archive, or a list of the unpacked
        set is not as published.
    """
    root = _folder(root)
    if part not in ("train", "val"):
        raise DataError(f"Tiny ImageNet has labels for the parts train and val. Received: {part}")
    archive = root / f"{part}.zip"
    members = _packed(archive) if archive.is_file() else _unpacked(root, part)
    names = _class_names(root)
    return _ordered(
        _table(
            {
                "path": path,
                "label": wnid,
                "group": np.nan,
                "source": "tiny_imagenet",
                "name": names.get(wnid, wnid),
            }
            for wnid, path in members
        )
    )


def class_folders(root: str | Path, groups: str | Path | None = None) -> pd.DataFrame:
    """Read a folder with one sub-folder per class.

    Parameters
    ----------
    root : str or Path
        Folder whose sub-folders are the classes; their names are the labels.
    groups : str or Path, optional
        CSV with columns ``path`` (relative to `root`) and ``group``, one row per
        image, for sets that know their patients; by default ``groups.csv`` in `root`,
        where there is one.

    Returns
    -------
    DataFrame
        Record table; the source is the name of `root`, the group is missing without
        a table of groups.

    Raises
    ------
    DataError
        If there are fewer than two classes, a class is empty, or the table of groups
        lacks a column or an image, or names an image twice.
    """
    root = _folder(root)
    classes = _subfolders(root)
    if len(classes) < 2:
        raise DataError(
            f"A folder of classes holds two or more folders of images. Received: {root} with "
            f"{len(classes)}"
        )
    records = _table(
        {"path": str(path), "label": folder.name, "group": np.nan, "source": root.resolve().name}
        for folder in classes
        for path in _class_images(folder)
    )
    if groups is None and (root / "groups.csv").is_file():
        groups = root / "groups.csv"
    if groups is not None:
        table = _read_csv(Path(groups), ("path", "group"))
        paths = _once(root, table["path"], Path(groups))
        known = dict(zip(paths, table["group"], strict=True))
        if missing := sorted(set(records["path"]) - set(known)):
            raise DataError(
                f"The table of groups needs a row for every image. Received: {groups} without "
                f"{missing[0]}"
            )
        records["group"] = [known[path] for path in records["path"]]
    return _ordered(records)


class Layout(NamedTuple):
    """A layout that `load` knows.

    Attributes
    ----------
    title : str
        What a reader calls it.
    fits : Callable
        Tells whether a folder looks like this layout.
    read : Callable
        Its loader.
    """

    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path], pd.DataFrame]


# In the order in which a folder is tried: the narrow descriptions before the wide ones.
LAYOUTS: dict[str, Layout] = {
    "thyroid": Layout("P1 thyroid set", lambda root: _thyroid_parts(root) is not None, thyroid),
    "phantoms": Layout(
        "phantoms",
        # A folder "frames" is a natural name in anybody's set; masks beside it are not.
        lambda root: (root / "index.csv").is_file() and _listed(root, "masks"),
        phantoms,
    ),
    "index_csv": Layout(
        "folder with an index.csv", lambda root: (root / "index.csv").is_file(), index_csv
    ),
    "ddti": Layout(
        "DDTI", lambda root: any(path.stem.isdecimal() for path in root.glob("*.xml")), ddti
    ),
    "mini_mias": Layout(
        "mini-MIAS",
        lambda root: (root / "Info.txt").is_file() and any(root.glob("mdb*")),
        mini_mias,
    ),
    "tiny_imagenet": Layout(
        "Tiny ImageNet, training part",
        lambda root: (root / "train.zip").is_file() or (root / "wnids.txt").is_file(),
        tiny_imagenet,
    ),
    "busi": Layout("BUSI", lambda root: any((root / "benign").glob("*_mask*")), busi),
    "covid_xray": Layout(
        "COVID-19 radiographs",
        lambda root: _listed(root, "Covid-19") or _listed(root, "COVID"),
        covid_xray,
    ),
    "paediatric_pneumonia": Layout(
        "paediatric pneumonia radiographs",
        lambda root: _listed(root, "PNEUMONIA") or _listed(root / "train", "PNEUMONIA"),
        paediatric_pneumonia,
    ),
    "radiographs": Layout(
        "both sets of chest radiographs",
        lambda root: (
            {"covid_xray", "paediatric_pneumonia"}
            <= {layout(folder) for folder in _subfolders(root)}
        ),
        radiographs,
    ),
    "class_folders": Layout(
        "folder of class folders",
        lambda root: sum(any(_images(folder)) for folder in _subfolders(root)) >= 2,
        class_folders,
    ),
}


def layout(root: str | Path) -> str | None:
    """Tell which layout a folder has.

    Parameters
    ----------
    root : str or Path
        The folder.

    Returns
    -------
    str or None
        A key of `LAYOUTS`, or None if it fits none.

    Raises
    ------
    DataError
        If the folder, or one in it, cannot be listed.
    """
    try:
        return next((name for name, known in LAYOUTS.items() if known.fits(Path(root))), None)
    except OSError as error:
        raise DataError(
            "A data folder and all in it can be listed. "
            f"Received: {root} ({error.strerror or error})"
        ) from error


def load(root: str | Path) -> pd.DataFrame:
    """Read a folder in whichever layout it has.

    Parameters
    ----------
    root : str or Path
        A folder in one of `LAYOUTS`.

    Returns
    -------
    DataFrame
        Record table.

    Raises
    ------
    DataError
        If the folder is missing, fits no layout, or fits one and is damaged.
    """
    root = _folder(root)
    name = layout(root)
    if name is None:
        raise DataError(
            "A data folder holds an index.csv with path, label and group, one folder of images "
            f"per class, or a public set as its home publishes it. Received: {root}"
        )
    known = LAYOUTS[name]
    try:
        return known.read(root)
    except ThyroError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, OSError) as error:
        # What a loader does not foresee in a damaged set is still the set's damage.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"A folder taken for '{known.title}' is whole and as published. "
            f"Received: {root} ({reason})"
        ) from error


def _folder(root: str | Path) -> Path:
    root = Path(root)
    # Not `root.is_dir()`, which raises where a path is too long.
    if not os.path.isdir(root):
        raise DataError(f"A data set is a folder that exists. Received: {root}")
    return root


def _listed(folder: Path, name: str) -> bool:
    """Tell whether a folder holds a folder of exactly this name.

    NORMAL and Normal are different sets, also on disks that ignore case.
    """
    return folder.is_dir() and name in os.listdir(folder) and (folder / name).is_dir()


def _subfolders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")


def _images(folder: Path) -> Iterator[Path]:
    """Name the images of a folder in order, without what macOS leaves beside them."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."):
                yield path


def _class_images(folder: Path) -> list[Path]:
    images = list(_images(folder))
    if not images:
        raise DataError(f"Every class is a folder with at least one image. Received: {folder}")
    return images


def _table(rows: Iterable[dict[Any, Any]]) -> pd.DataFrame:
    return pd.DataFrame.from_records(list(rows))


def _ordered(records: pd.DataFrame) -> pd.DataFrame:
    """Put the required columns first; missing groups stay missing, others are text."""
    free = [column for column in records.columns if column not in REQUIRED]
    records = records[[*REQUIRED, *free]].reset_index(drop=True)
    # One dtype under every pandas: object with str and NaN.
    for column in ("label", "group"):
        values = [str(value) if pd.notna(value) else np.nan for value in records[column]]
        records[column] = pd.Series(values, dtype=object)
    return records


def _read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table: `_NUMBERS` as numbers, the rest as text without blanks around it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # A patient may be called NA; and a comma more in each row must not shift the columns.
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, na_values=[""], index_col=False
            )
    except FileNotFoundError:
        raise DataError(f"A table of images is a CSV file that exists. Received: {path}") from None
    except (ValueError, pd.errors.ParserWarning) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"A table of images is a CSV file in UTF-8. Received: {path} ({first})"
        ) from error
    table.columns = [str(name).strip() for name in table.columns]
    if missing := [column for column in columns if column not in table.columns]:
        raise DataError(
            f"{path} needs the columns {', '.join(columns)}. Received: no {', '.join(missing)}"
        )
    if twice := sorted(table.columns[table.columns.duplicated()]):
        raise DataError(f"A table names each column once. Received: {path} with {twice[0]} twice")
    if table.empty:
        raise DataError(f"A table of images has at least one row. Received: {path}")
    for column in table.columns:
        cells = table[column].str.strip()
        table[column] = cells.where(cells != "", np.nan)
        if column in _NUMBERS:
            table[column] = _numbers(table[column], path)
    return table


def _numbers(cells: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce")
    strange = cells[cells.notna() & numbers.isna()]
    if len(strange):
        raise DataError(
            f"Cells of {cells.name} are numbers or empty. Received: {strange.iloc[0]} in {path}"
        )
    return numbers


def _inside(root: Path, path: Any) -> str:
    """Join a path of a table to its folder, refusing one that leaves it."""
    normal = os.path.normpath(str(path))
    if pd.isna(path) or os.path.isabs(normal) or normal.split(os.sep)[0] == "..":
        raise DataError(f"Paths in a table stay inside its folder {root}. Received: {path}")
    return str(root / normal)


def _once(root: Path, paths: pd.Series, table: Path) -> list[str]:
    """Join the paths of a table to its folder, refusing one that is named twice."""
    joined = pd.Series([_inside(root, path) for path in paths])
    if joined.duplicated().any():
        twice = joined[joined.duplicated()].iloc[0]
        raise DataError(f"A table names each image once. Received: {table} with {twice} twice")
    return joined.tolist()


def _with_source(records: pd.DataFrame, instead: list[str]) -> pd.DataFrame:
    """Fill in the source of each row that does not say its own."""
    given = records["source"] if "source" in records.columns else [np.nan] * len(records)
    sources = [own if pd.notna(own) else other for own, other in zip(given, instead, strict=True)]
    return records.assign(source=sources)


def _index(root: Path, labels: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Read ``index.csv`` and check every row against the folder."""
    index = root / "index.csv"
    records = _read_csv(index, ("path", "label", "group"))
    records["path"] = _once(root, records["path"], index)
    if missing := [path for path in records["path"] if not os.path.isfile(path)]:
        raise DataError(
            f"Every path of {index} is a file beside it. Received: {missing[0]}, one of "
            f"{len(missing)} that are not there"
        )
    if records["label"].isna().any():
        bare = records["path"][records["label"].isna()].iloc[0]
        raise DataError(f"Every row of {index} has a label. Received: none for {bare}")
    if labels and (unknown := sorted(set(records["label"]) - set(labels))):
        raise DataError(f"Labels of {index} are {' or '.join(labels)}. Received: {unknown[0]}")
    return records


def _with_sizes(records: pd.DataFrame) -> pd.DataFrame:
    """Add `width` and `height` from the headers; NaN where a file has no readable one."""
    sizes = [_size(path) for path in records["path"]]
    return records.assign(width=[w for w, _ in sizes], height=[h for _, h in sizes])


def _size(path: str | Path) -> tuple[float, float]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, Image.DecompressionBombError):
        # A damaged file is `check`'s and `decode`'s to report, by name.
        return np.nan, np.nan


def _number(path: Path) -> int:
    return int(path.stem)


def _thyroid_parts(root: Path) -> list[Path] | None:
    """Find the folders train and test of the P1 set, or None."""
    for base in (
        root,
        root / "LES3BDD",
        root / "BDD20test80train",
        root / "BDD20test80train" / "LES3BDD",
    ):
        parts = [base / name for name in _THYROID_PARTS]
        if all(_listed(part, folder) for part in parts for folder in _THYROID_FOLDERS):
            return parts
    return None


def _ddti_case(xml: Path, frames: list[Path]) -> Iterator[dict[str, Any]]:
    """Give one row per frame of a DDTI case."""
    if not frames:
        raise DataError(f"A DDTI case has at least one frame beside it. Received: {xml}")
    try:
        case = ElementTree.parse(xml).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise DataError(
            f"A DDTI case is a well-formed XML file. Received: {xml} ({error})"
        ) from error
    fields = ("sex", "composition", "echogenicity", "margins", "calcifications", "tirads")
    findings = {field: (case.findtext(field) or "").strip() or np.nan for field in fields}
    age = (case.findtext("age") or "").strip()
    outlines = {
        (mark.findtext("image") or "").strip(): mark.findtext("svg") or ""
        for mark in case.iter("mark")
    }
    for frame in frames:
        image = frame.stem.partition("_")[2] or "1"
        polygons, short, cut = _outlines(outlines.get(image, ""), xml)
        yield {
            "path": str(frame),
            "label": _DDTI_LABELS.get(str(findings["tirads"]), np.nan),
            "group": f"ddti-{xml.stem}",
            "source": "ddti",
            "case": xml.stem,
            "image": int(image),
            "age": float(age) if age.isdecimal() else np.nan,
            **findings,
            "polygons": polygons,
            "short_polygons": short,
            "cut": cut,
        }


def _outlines(svg: str, xml: Path) -> tuple[list[np.ndarray], int, bool]:
    """Read the outlines of one frame: polygons, how many are too short, whether it is cut."""
    try:
        shapes, cut = _shapes(svg)
        arrays = [np.array(shape, np.float64).reshape(-1, 2) for shape in shapes]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("a point that is not finite")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "Outlines of DDTI are a list of marks, each with points of x and y. "
            f"Received: {xml} with {' '.join(svg.split())[:60]}"
        ) from error
    polygons = [array for array in arrays if len(array) >= 3]
    return polygons, len(arrays) - len(polygons), cut


def _shapes(svg: str) -> tuple[list[list[tuple[Any, Any]]], bool]:
    """Read corners from what may be cut in the middle of a point."""
    try:
        marks = json.loads(svg or "[]") or []
    except json.JSONDecodeError:
        point = r'\{"x": *(-?[\d.]+), *"y": *(-?[\d.]+)\}'
        return [re.findall(point, mark) for mark in svg.split('"points"')[1:]], True
    return [[(point["x"], point["y"]) for point in mark["points"]] for mark in marks], False


def _with_masks(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Pair each BUSI frame with its masks."""
    masks: dict[str, list[Path]] = {}
    frames = []
    for path in _class_images(folder):
        frame, mask, _ = path.stem.partition("_mask")
        if mask:
            masks.setdefault(frame, []).append(path)
        else:
            frames.append(path)
    for path in frames:
        yield path, masks.get(path.stem, [])


def _chestxray14_patient(path: Path) -> str | float:
    match = re.fullmatch(r"(\d{8})_\d{3}", path.stem)
    return f"chestxray14-{match[1]}" if match else np.nan


def _paediatric_patient(path: Path) -> str | float:
    match = re.match(r"(person\d+)_|((?:NORMAL2-)?IM-\d+)-", path.stem)
    return (match[1] or match[2]) if match else np.nan


def _mias_row(path: Path, films: list[list[str]]) -> dict[str, Any]:
    """Turn the rows of ``Info.txt`` about one film into a record."""
    width, height = _size(path)
    found = [_abnormality(film, width, height) for film in films if film[2] != "NORM"]
    severities = {abnormality.severity for abnormality in found}
    number = int(path.stem[3:])
    return {
        "path": str(path),
        "label": next((s for s in (MALIGNANT, BENIGN) if s in severities), "normal"),
        "group": f"mias-{(number + 1) // 2:03d}",
        "source": "mini_mias",
        "tissue": _MIAS_TISSUES[films[0][1]],
        "side": "right" if number % 2 else "left",
        "width": width,
        "height": height,
        "abnormalities": found,
    }


def _abnormality(film: list[str], width: float, height: float) -> Abnormality:
    kind, severity, *place = film[2:]
    x, y, radius = map(float, place) if len(place) == 3 else (np.nan,) * 3
    scale = width / _MIAS_SIDE
    return Abnormality(
        kind,
        MALIGNANT if severity == "M" else BENIGN,
        x * scale,
        height - y * scale,
        radius * scale,
    )


def _packed(archive: Path) -> list[tuple[str, str]]:
    """List (wnid, path) of the images in an archive of Tiny ImageNet."""
    try:
        with zipfile.ZipFile(archive) as packed:
            names = packed.namelist()
    except zipfile.BadZipFile:
        raise DataError(
            f"A part of Tiny ImageNet is a whole zip archive. Received: {archive}"
        ) from None
    images = sorted(name for name in names if Path(name).suffix.lower() in _SUFFIXES)
    if not images:
        raise DataError(f"A part of Tiny ImageNet holds images as wnid/name. Received: {archive}")
    return [(name.split("/")[0], f"{archive}::{name}") for name in images]


def _unpacked(root: Path, part: str) -> list[tuple[str, str]]:
    """List (wnid, path) of the images in the folder ``tiny-imagenet-200``."""
    annotations = root / "val" / "val_annotations.txt"
    if part == "train" and (root / "train").is_dir():
        return [
            (folder.name, str(path))
            for folder in _subfolders(root / "train")
            for path in _class_images(folder / "images")
        ]
    if part == "val" and annotations.is_file():
        pairs = [line.split("\t") for line in _lines(annotations)]
        if not pairs or min(map(len, pairs)) < 2:
            raise DataError(
                "Each line of val_annotations.txt is a name, a tab, a WordNet id and a box. "
                f"Received: {annotations}"
            )
        return [(pair[1], str(root / "val" / "images" / pair[0])) for pair in pairs]
    raise DataError(
        f"Tiny ImageNet is a folder with train.zip and val.zip, or tiny-imagenet-200 unpacked. "
        f"Received: {root} without its part {part}"
    )


def _class_names(root: Path) -> dict[str, str]:
    """Read what each WordNet id is called."""
    if (root / "classes.csv").is_file():
        table = _read_csv(root / "classes.csv", ("wnid", "name"))
        return dict(zip(table["wnid"], table["name"], strict=True))
    if (root / "words.txt").is_file():
        return dict(line.split("\t", 1) for line in _lines(root / "words.txt") if "\t" in line)
    return {}


def _lines(path: Path) -> list[str]:
    """Read the lines of a list that are not blank."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"A list of Tiny ImageNet is text in UTF-8. Received: {path}") from error
    return [line for line in lines if line.strip()]
