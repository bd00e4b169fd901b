"""Find bundles and read their manifests without waking TensorFlow.

The page lists models, titles and cards before any network is loaded.
"""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

from thyro_demo.errors import BundleError
from thyro_demo.models.pooling import POOLINGS

FORMAT = 1
REQUIRED = (
    "format", "name", "title", "backbone", "classes", "heads", "primary", "thresholds", "files",
    "probe", "training_images",
)  # fmt: skip
"""What every manifest holds; the shipped ones hold more."""

OF_A_NETWORK = ("input_size", "cam_layer", "ood_limits")
"""What the manifest of a network holds besides; an ensemble names its "members" instead."""

KINDS = ("scan", "roi", "ensemble")
"""Networks that see the scan area, networks that see a marked nodule, ensembles of the first."""

CHECKPOINTS = ("natural-64", "radiographs")
"""Earlier stages of its chain that a bundle may hold beside its network, each as NAME.keras."""

OPERATING_POINTS = ("youden", "sens95")
"""Thresholds that a bundle brings for each head: best Youden index, sensitivity ≥ 0.95."""

WORDS = ("none", "imagenet", "noisy-student")
"""Initial weights that are no file; see `initial_weights.load`."""

UNTOUCHED = ("none", "head")
"""What stages train, as `Stage.trainable` has it, that leave the network below its head alone."""

ONE_SPACE = "familiarity"
"""Key of the only space, in heads files from before each kind of training image had its own."""

_ONE_LIMIT = "familiarity_limit"
"""Its limit in such a manifest, in place of "ood_limits"."""

_FILES = {"model.keras", "heads.skops", "manifest.json", "README.md"} | {
    f"{name}.keras" for name in CHECKPOINTS
}

# Names become parts of file names (overlays, reports), so a manifest may not point elsewhere.
_NAME = re.compile(r"\w[\w .+-]{0,99}")
_MOST_BYTES = 2**24
_LONGEST_TITLE = 100


def weights_root() -> Path:
    """Find the folder of shipped bundles: THYRO_WEIGHTS, else `weights` beside the package.

    Returns
    -------
    Path
        The folder; it may be missing.
    """
    named = os.environ.get("THYRO_WEIGHTS")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "weights"


def names(root: str | Path | None = None) -> list[str]:
    """List the bundles of a folder.

    Parameters
    ----------
    root : str or Path, optional
        The folder; None takes `weights_root`.

    Returns
    -------
    list of str
        Folder names that hold a manifest, sorted.

    Examples
    --------
    >>> "efficientnet-b0" in names()
    True
    """
    root = weights_root() if root is None else Path(root)
    if not root.is_dir():
        return []
    # A hidden folder is what a writer that was killed left behind.
    return sorted(
        folder.name
        for folder in root.iterdir()
        # Not `Path.is_file`, which raises where another user's folder cannot be entered.
        if not folder.name.startswith(".") and os.path.isfile(folder / "manifest.json")
    )


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Read and check the manifest of a bundle.

    Parameters
    ----------
    folder : str or Path
        The bundle.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    BundleError
        If it is missing, damaged, or of another format.

    Examples
    --------
    >>> manifest = read_manifest(weights_root() / "efficientnet-b0")
    >>> manifest["title"], manifest["heads"]
    ('EfficientNet-B0', ['softmax', 'svm', 'forest'])
    """
    file = Path(folder) / "manifest.json"
    if not os.path.isfile(file):
        raise BundleError(
            "A bundle must be a folder with manifest.json, model.keras and heads.skops. "
            f"Received: {folder}."
        )
    try:
        if os.path.getsize(file) > _MOST_BYTES:
            raise ValueError("too large")
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise TypeError("no object")
        _rename(manifest)
        required = REQUIRED if "members" in manifest else REQUIRED + OF_A_NETWORK
        missing = [key for key in required if key not in manifest]
    except (ValueError, TypeError, RecursionError, OSError) as error:
        raise BundleError(
            f"A bundle's manifest must be undamaged JSON of at most {_MOST_BYTES:,} bytes. "
            f"Received: {file}."
        ) from error
    if missing or manifest["format"] != FORMAT:
        other = "" if missing else ascii(manifest["format"])[:20]
        what = f"lacks {', '.join(missing)}" if missing else f"format {other}"
        raise BundleError(
            f"A bundle's manifest must be of format {FORMAT}. Received: {file} ({what})."
        )
    if wrong := _misfits(manifest):
        raise BundleError(
            "A bundle's manifest must be as this project wrote it. "
            f"Received: {file} (wrong: {', '.join(wrong)})."
        )
    return manifest


def _rename(manifest: dict[str, Any]) -> None:
    """Rename the entries of an older manifest to what they are called now."""
    if manifest.get("pooling") == "deviation":
        manifest["pooling"] = "std"
    if "start" in manifest:
        manifest.setdefault("initial_weights", manifest.pop("start"))
    if _ONE_LIMIT in manifest:
        manifest.setdefault("ood_limits", {ONE_SPACE: manifest.pop(_ONE_LIMIT)})


def network_file(weights: str | Path) -> Path | None:
    """Find the file that holds initial weights.

    Parameters
    ----------
    weights : str or Path
        See `initial_weights.load`.

    Returns
    -------
    Path or None
        The file, in a bundle's folder its network, whether or not it is there; None for one of
        `WORDS`.
    """
    if weights in WORDS:
        return None
    path = Path(weights)
    return path / "model.keras" if path.is_dir() else path


def bundle_of(weights: str | Path) -> Path | None:
    """Find the bundle that holds initial weights.

    Parameters
    ----------
    weights : str or Path
        See `initial_weights.load`.

    Returns
    -------
    Path or None
        Its folder, also where its network is named; None where they are no bundle's.
    """
    file = network_file(weights)
    if file is None or file.name != "model.keras":
        return None
    return file.parent if (file.parent / "manifest.json").is_file() else None


def note_beside(network: Path) -> Path:
    """Name the note of a network without a bundle, which lists what it was trained on.

    Parameters
    ----------
    network : Path
        Its `.keras` file.

    Returns
    -------
    Path
        A JSON file, whether or not it is there: "chain", "training_phantoms" and
        "training_outlines", as in a manifest.
    """
    return network.with_suffix(".json")


def trained_on(weights: str | Path) -> dict[str, Any]:
    """Read what initial weights were trained on.

    Parameters
    ----------
    weights : str or Path
        See `initial_weights.load`.

    Returns
    -------
    dict
        The manifest of their bundle, or the note beside their file; empty where there is neither.

    Raises
    ------
    BundleError
        If the manifest or the note is damaged.
    """
    folder = bundle_of(weights)
    if folder is not None:
        return read_manifest(folder)
    file = network_file(weights)
    note = None if file is None else note_beside(file)
    if note is None or not note.is_file():
        return {}
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))
        sound = (
            isinstance(facts["chain"], list)
            and _are_texts(facts["training_outlines"])
            and _are_cohorts(facts["training_phantoms"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise BundleError(
            "The note beside a network must list what it was trained on, as `train` writes it; "
            f"train it again. Received: {note}, which is damaged."
        )
    return facts


def kind(manifest: dict[str, Any]) -> str:
    """Return what a bundle is and what it must be shown.

    Parameters
    ----------
    manifest : dict
        From `read_manifest`.

    Returns
    -------
    {"scan", "roi", "ensemble"}
        One of `KINDS`.
    """
    return "ensemble" if "members" in manifest else manifest.get("region", "scan")


def of_networks(folder: str | Path) -> list[dict[str, Any]]:
    """Read the manifests of the networks that a bundle runs.

    Parameters
    ----------
    folder : str or Path
        Its folder.

    Returns
    -------
    list of dict
        That of the bundle; of an ensemble those of its members, which are beside it.

    Raises
    ------
    BundleError
        As `read_manifest` does.
    """
    own = read_manifest(folder)
    if kind(own) != "ensemble":
        return [own]
    return [read_manifest(Path(folder).parent / member["name"]) for member in own["members"]]


def check_place(folder: str | Path) -> None:
    """Refuse a folder that no bundle can be written to, before hours of training.

    Parameters
    ----------
    folder : str or Path
        Its folder. Writing replaces the whole folder.

    Raises
    ------
    BundleError
        If its name would be refused by `read_manifest`, or it holds anything but a bundle.
    """
    folder = Path(folder)
    if not _NAME.fullmatch(folder.name):
        raise BundleError(
            "A bundle's folder must be named in letters, digits, spaces and . + - _ . "
            f"Received: {str(folder)!r}."
        )
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if (folder.exists() and not folder.is_dir()) or not held <= _FILES:
        raise BundleError(
            "A bundle's folder must be new, empty or hold an earlier bundle, which is replaced. "
            f"Received: {folder} with {', '.join(sorted(held - _FILES)[:3]) or 'a file there'}."
        )


def _misfits(manifest: dict[str, Any]) -> list[str]:
    """Name the entries whose kind or value no manifest of this project has."""
    heads, classes = manifest["heads"], manifest["classes"]
    names = [manifest["name"], *(heads if isinstance(heads, list) else [None])]
    fits = {
        "name or heads": all(isinstance(n, str) and _NAME.fullmatch(n) for n in names),
        "title": isinstance(title := manifest["title"], str)
        and title.isprintable()
        and 0 < len(title) <= _LONGEST_TITLE,
        "backbone": isinstance(manifest["backbone"], str),
        "classes": _are_texts(classes) and len(set(classes)) == len(classes) >= 2,
        "primary": isinstance(heads, list) and manifest["primary"] in heads,
        "thresholds": _are_thresholds(manifest["thresholds"], heads),
        "files": isinstance(files := manifest["files"], dict) and _are_texts([*files.values()]),
        "versions": isinstance(manifest.get("versions", {}), dict),
        "chain": isinstance(chain := manifest.get("chain", []), list)
        and all(isinstance(stage, dict) for stage in chain),
        "probe": isinstance(manifest["probe"], dict)
        and all(isinstance(score, float) for score in manifest["probe"].values()),
        "training_images": _are_texts(manifest["training_images"]),
        "training_phantoms": _are_cohorts(manifest.get("training_phantoms", {})),
        "training_outlines": isinstance(manifest.get("training_outlines", []), list),
    }
    fits |= _fits_of_an_ensemble(manifest) if "members" in manifest else _fits_of_one(manifest)
    return [name for name, fit in fits.items() if not fit]


def _fits_of_one(manifest: dict[str, Any]) -> dict[str, bool]:
    """List which entries of a network's manifest are sound."""
    size, limits = manifest["input_size"], manifest["ood_limits"]
    return {
        "input_size": isinstance(size, int) and 0 < size <= 4096,
        "cam_layer": isinstance(manifest["cam_layer"], str),
        "ood_limits": isinstance(limits, dict)
        and len(limits) > 0
        and all(isinstance(limit, float) and 0 < limit < math.inf for limit in limits.values()),
        "region": manifest.get("region", "scan") in ("scan", "roi"),
        "pooling": manifest.get("pooling", "average") in POOLINGS,
        "nodule_threshold": isinstance(least := manifest.get("nodule_threshold", 0.5), int | float)
        and 0 <= least <= 1,
    }


def _fits_of_an_ensemble(manifest: dict[str, Any]) -> dict[str, bool]:
    """List which entries of an ensemble's manifest are sound."""
    members, heads = manifest["members"], manifest["heads"]
    sound = isinstance(members, list) and all(
        isinstance(member, dict)
        and all(isinstance(member.get(key), str) for key in ("name", "sha256", "heads_sha256"))
        and _NAME.fullmatch(member["name"])
        for member in members
    )
    names = [member["name"] for member in members] if sound else []
    return {
        "heads": isinstance(heads, list) and set(map(str, heads)) <= {"svm", "average"},
        "members": sound and len(set(names)) == len(names) >= 2,
        "region": manifest.get("region", "scan") == "scan",
        "average": heads == ["svm"] or _is_average(manifest.get("average"), names),
    }


def _is_average(average: Any, names: list[str]) -> bool:
    """Check whether an entry names heads of members and the sigmoid over their mean."""
    if not isinstance(average, dict) or not isinstance(average.get("of"), list):
        return False
    sigmoid = (average.get("slope"), average.get("intercept"))
    return (
        all(isinstance(number, int | float) and abs(number) < math.inf for number in sigmoid)
        and len(average["of"]) > 0
        and all(_are_texts(pair) and len(pair) == 2 and pair[0] in names for pair in average["of"])
    )


def _are_texts(values: Any) -> bool:
    """Check whether an entry is a list of texts."""
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _are_cohorts(cohorts: Any) -> bool:
    """Check whether an entry counts the patients of cohorts of phantoms."""
    return isinstance(cohorts, dict) and all(isinstance(count, int) for count in cohorts.values())


def _are_thresholds(thresholds: Any, heads: Any) -> bool:
    """Check whether every head has its operating points, each 0–1."""
    if not isinstance(thresholds, dict) or not isinstance(heads, list):
        return False
    return all(
        isinstance(points := thresholds.get(str(head)), dict)
        and all(
            isinstance(point := points.get(name), int | float) and 0 <= point <= 1
            for name in OPERATING_POINTS
        )
        for head in heads
    )
