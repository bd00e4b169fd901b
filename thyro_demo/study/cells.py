"""The cells that protocols are made of: frames, features, fine-tuned networks, heads, scores."""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo import files
from thyro_demo.errors import DataError, LeakError, RecipeError, StudyError
from thyro_demo.models import heads, manifest, out_of_fold
from thyro_demo.study.grid import Cell, Outcome, content, given

if TYPE_CHECKING:
    from thyro_demo.models.transfer import Stage

Values = dict[str, np.ndarray]


def frames(records: pd.DataFrame, crop: bool = True) -> Cell:
    """Make the leaf that says which images there are, keyed by their bytes, not their place.

    Parameters
    ----------
    records : DataFrame
        Record table with `fold`; where it has a column `roi` (a `Box` in each row, or None),
        frames are cropped to that box and a margin.
    crop : bool
        Crop to the scan area where there is no box; off for images that are no scanner frames.

    Returns
    -------
    Cell
        Its value: `path`, `label`, `group`, `source` as strings (n,), `fold` int64 (n,),
        `sha256` (n,), `crop` bool () and, with boxes, `roi` int64 (n, 4), −1 for none.

    Raises
    ------
    DataError
        If an image is missing, or has no label, group or fold.
    """
    needed = ("path", "label", "group", "source", "fold")
    # A source may be unknown, which then counts as a source of its own.
    lacking = [
        name
        for name in needed
        if name not in records or (records[name].isna().any() and name != "source")
    ]
    if lacking or records.empty:
        raise DataError(
            f"Every frame of a grid has {', '.join(needed)}. Received: "
            + (f"no {lacking[0]}." if lacking else "an empty table.")
        )
    # Workers on a cluster have another working directory.
    value = {"path": np.array([os.path.abspath(path) for path in records["path"]])}
    value |= {name: records[name].astype(str).to_numpy(str) for name in ("label", "group")}
    value["source"] = records["source"].fillna("").astype(str).to_numpy(str)
    value["fold"] = records["fold"].to_numpy(np.int64)
    value["sha256"] = np.array([_digest(path) for path in records["path"]])
    value["crop"] = np.array(crop)
    if "roi" in records:
        boxes = [box if isinstance(box, tuple) else (-1,) * 4 for box in records["roi"]]
        value["roi"] = np.array(boxes, np.int64)
    known = {name: array for name, array in value.items() if name != "path"}
    return given(f"{len(records)} frames", {"frames": content(known)}, **value)


def _digest(path: str) -> str:
    """Hash the bytes of an image, which may be a member of a zip archive."""
    archive, mark, member = str(path).partition("::")
    try:
        if not mark:
            return files.sha256(archive)
        with zipfile.ZipFile(archive) as held:
            return hashlib.sha256(held.read(member)).hexdigest()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"Every frame of a grid is a file that can be read. Received: {path} ({error})."
        ) from None


def _images(shown: Cell) -> Cell:
    """Give the leaf of the images alone, so that features serve every deal of labels and folds."""
    value = _value(shown)
    known = {name: value[name] for name in ("sha256", "roi") if name in value}
    arrays = {name: value[name] for name in ("path", "roi") if name in value}
    return given(shown.title, {"images": content(known)}, **arrays)


def _value(shown: Cell) -> Mapping[str, np.ndarray]:
    if shown.value is None or "sha256" not in shown.value:
        raise StudyError(f"Images come as a cell from `frames`. Received: {shown.name}.")
    return shown.value


def _start(start: str) -> Cell:
    """Give the leaf of a start; a file is known by its content."""
    file = manifest.network_file(start)
    if file is None or not file.is_file():
        return given(f"start {start}", {"start": start}, start=np.array(start))
    place = np.array(os.path.abspath(start))
    return given(f"start {Path(start).name}", {"start": files.sha256(file)}, start=place)


def features(
    backbone: str,
    start: str,
    shown: Cell,
    taps: Sequence[str] = ("avg",),
    size: int | None = None,
) -> Cell:
    """Make the cell of a frozen network's features.

    Labels and folds are no part of its key: the same features serve every split.

    Parameters
    ----------
    backbone : str
        A key of `BACKBONES`.
    start : str
        As `starts.apply` takes it.
    shown : Cell
        From `frames`.
    taps : sequence of str
        "avg" (mean of the last feature map), "deviation" (see `features.readout`), "map" (the
        map itself, flattened), or the network's own "fc1", "fc2".
    size : int, optional
        Side of the input in pixels; the network's own without it.

    Returns
    -------
    Cell
        Its value: for each tap float32 (n, d).
    """
    settings = {
        "backbone": backbone,
        "taps": list(taps),
        "size": size,
        "crop": bool(_value(shown)["crop"]),
    }
    return Cell(
        "thyro_demo.study.networks:extract",
        settings,
        (_images(shown), _start(start)),
        f"{backbone} from {Path(start).stem}" + (f" at {size} pixels" if size else ""),
    )


def tuned(
    backbone: str,
    start: str,
    shown: Cell,
    fold: int,
    stage: "Stage",
    head: str = "softmax",
    taps: Sequence[str] = ("avg",),
    size: int | None = None,
    positive: str = out_of_fold.CLASSES[1],
) -> Cell:
    """Make the cell of a network that is fine-tuned on all folds but one.

    Parameters
    ----------
    backbone, start : str
        As for `features`.
    shown : Cell
        From `frames`.
    fold : int
        Tested; the others are trained on.
    stage : Stage
        How; with `patience`, one of six grouped folds of the training part says when to stop.
    head : str
        As `backbones.build` takes it.
    taps : sequence of str
        As for `features`.
    size : int, optional
        Side of the input in pixels; that of the stage or the network without it.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Cell
        Its value: `raw` float64 (m,), log-odds of the positive class on the tested rows;
        `rows` int64 (m,); `epochs` int64 (); for each tap float32 (n, d) of all rows.

    Raises
    ------
    StudyError
        If no row is in the fold, or none has the positive label.
    """
    value = _folded(shown, fold, positive)
    settings = {
        "backbone": backbone,
        "stage": asdict(stage),
        "head": head,
        "fold": int(fold),
        "taps": list(taps),
        "size": size,
        "crop": bool(value["crop"]),
        "positive": positive,
    }
    return Cell(
        "thyro_demo.study.networks:tune",
        settings,
        (shown, _start(start)),
        f"{backbone} from {Path(start).stem}, {stage.name} ({head}) without fold {fold}",
    )


def _folded(shown: Cell, fold: int, positive: str) -> Mapping[str, np.ndarray]:
    value = _value(shown)
    if not (value["fold"] == fold).any() or positive not in value["label"]:
        raise StudyError(
            "A fold that is scored has rows, and some label counts as positive. "
            f"Received: fold {fold}, label {positive!r}."
        )
    return value


def head(
    kind: str,
    read: Sequence[tuple[Cell, str]],
    shown: Cell,
    fold: int,
    positive: str = out_of_fold.CLASSES[1],
    **fixed: float | bool,
) -> Cell:
    """Make the cell of a head that is fitted on all folds but one.

    Parameters
    ----------
    kind : {"svm", "linear-svm", "forest"}
        See `heads.fit`, which chooses its settings in grouped inner folds.
    read : sequence of (Cell, str)
        Features: a cell and the tap of it; several are set side by side.
    shown : Cell
        From `frames`.
    fold : int
        Tested; the others are fitted on.
    positive : str
        The label that counts as positive.
    **fixed : float or bool
        `C`, `gamma`, `trees`, `standardise`: with any of them nothing is chosen, and what is
        left out is scikit-learn's default (`standardise` True).

    Returns
    -------
    Cell
        Its value: `raw` float64 (m,), decision value of a machine or mean vote of a forest on
        the tested rows, and `rows` int64 (m,).

    Raises
    ------
    RecipeError
        If a fixed setting is unknown.
    StudyError
        If no row is in the fold, or none has the positive label.
    LeakError
        If features come from a network that was tuned on the tested rows.
    """
    _folded(shown, fold, positive)
    if unknown := sorted(set(fixed) - set(_FIXED[kind])) if kind in _FIXED else [kind]:
        raise RecipeError(
            "A head is svm, linear-svm or forest, and fixed by C, gamma, standardise, or trees. "
            f"Received: {unknown[0]!r} for {kind!r}."
        )
    check_fold([cell for cell, _ in read], fold)
    sources = list(dict.fromkeys(cell for cell, _ in read))
    settings = {
        "kind": kind,
        "read": [[sources.index(cell), tap] for cell, tap in read],
        "fold": int(fold),
        "positive": positive,
        "fixed": dict(fixed),
    }
    how = "".join(f" {name}={value}" for name, value in fixed.items())
    what = " + ".join(f"{tap} of {cell.name}" for cell, tap in read)
    title = f"{kind}{how} on {what}, tested on fold {fold}"
    return Cell("thyro_demo.study.cells:fit", settings, (shown, *sources), title)


def check_fold(read: Iterable[Cell], fold: int) -> None:
    """Refuse features of a network that was tuned on the rows that a head is to be tested on.

    Parameters
    ----------
    read : iterable of Cell
        From `features` or `tuned`.
    fold : int
        Tested.

    Raises
    ------
    LeakError
        If one of the networks was tuned with another fold left out.
    """
    for cell in read:
        if cell.settings.get("fold", fold) != fold:
            raise LeakError(
                "A head on features of a tuned network tests the fold that the network has not "
                f"seen, {cell.settings['fold']}. Received: fold {fold}."
            )


_FIXED = {
    "svm": ("C", "gamma", "standardise"),
    "linear-svm": ("C", "standardise"),
    "forest": ("trees", "standardise"),
}


def fit(settings: dict[str, Any], shown: Values, *sources: Values) -> Values:
    """Fit a head on all folds but one and score that one.

    Parameters
    ----------
    settings : dict
        `kind`, `read` (pairs of the number of a source and its tap), `fold`, `positive` and
        `fixed`.
    shown : dict of str to ndarray
        From `frames`.
    *sources : dict of str to ndarray
        Features, float32 (n, d), by tap.

    Returns
    -------
    dict of str to ndarray
        `raw` float64 (m,) and `rows` int64 (m,).
    """
    rows = np.concatenate([sources[place][tap] for place, tap in settings["read"]], axis=1)
    tested = shown["fold"] == settings["fold"]
    labels = (shown["label"] == settings["positive"]).astype(int)
    learned = (rows[~tested], labels[~tested])
    if settings["fixed"]:
        raw = _fixed(settings["kind"], settings["fixed"], *learned, rows[tested])
    else:
        model = heads.fit(settings["kind"], *learned, shown["group"][~tested])
        raw = heads.CalibratedHead(model).raw(rows[tested])
    return {"raw": raw, "rows": np.flatnonzero(tested)}


def _fixed(
    kind: str, fixed: dict[str, Any], rows: np.ndarray, labels: np.ndarray, tested: np.ndarray
) -> np.ndarray:
    """Fit a head whose settings are given, and score the tested rows before calibration."""
    chosen = {name: value for name, value in fixed.items() if name in ("C", "gamma")}
    if kind == "forest":
        chosen = {"n_estimators": fixed["trees"]} if "trees" in fixed else {}
        estimator = RandomForestClassifier(**chosen, random_state=0)
    else:
        estimator = SVC(kernel="rbf" if kind == "svm" else "linear", **chosen)
    scaler = StandardScaler() if fixed.get("standardise", True) else "passthrough"
    model = make_pipeline(scaler, estimator).fit(rows.astype(np.float64), labels)
    if kind == "forest":
        return model.predict_proba(tested.astype(np.float64))[:, 1]
    return model.decision_function(tested.astype(np.float64))


def scores(
    outcome: Outcome,
    systems: Mapping[str, Sequence[Cell]],
    records: pd.DataFrame,
    positive: str = out_of_fold.CLASSES[1],
) -> pd.DataFrame:
    """Gather out-of-fold scores, those of each fold calibrated on the others.

    Parameters
    ----------
    outcome : Outcome
        Of the grid.
    systems : mapping of str to sequence of Cell
        By name of the system: one cell for each fold, with `raw` and `rows`.
    records : DataFrame
        The table that `frames` was made of.
    positive : str
        The label that counts as positive.

    Returns
    -------
    DataFrame
        `path, group, source, label, fold, head, raw, score`; a system with a failed cell is
        left out.

    Raises
    ------
    StudyError
        If every system failed, or one scores a row twice.
    """
    known = records[["path", "group", "source", "label", "fold"]].reset_index(drop=True)
    parts = []
    for name, cells in systems.items():
        if not all(cell in outcome for cell in cells):
            continue
        found = [outcome[cell] for cell in cells]
        rows = np.concatenate([one["rows"] for one in found])
        if len(set(rows)) < len(rows):
            raise StudyError(f"A system scores each frame once. Received: {name}, some twice.")
        raw = np.concatenate([one["raw"] for one in found])
        parts.append(known.iloc[rows].assign(head=name, raw=raw))
    if not parts:
        why = next(iter(outcome.failures.items()), ("no systems", "nothing to score"))
        raise StudyError(f"Scores need a system without a failure. Received: {': '.join(why)}")
    return out_of_fold.cross_calibrated(pd.concat(parts, ignore_index=True), positive=positive)
