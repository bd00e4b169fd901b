"""Find bundles and read their manifests without waking TensorFlow.

The page lists models, titles and cards before any network is loaded.
"""

import json
import os
from pathlib import Path
from typing import Any

from thyro_demo.errors import BundleError

FORMAT = 1
REQUIRED = (
    "format", "name", "title", "backbone", "classes", "input_size", "cam_layer", "heads",
    "primary", "thresholds", "familiarity_limit", "files", "probe", "training_images",
)  # fmt: skip
"""What every manifest says; the shipped ones say more."""

OPERATING_POINTS = ("youden", "sens95")
"""Thresholds that a bundle brings for each head: best Youden index, sensitivity ≥ 0.95."""


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
    """
    root = weights_root() if root is None else Path(root)
    if not root.is_dir():
        return []
    return sorted(folder.name for folder in root.iterdir() if (folder / "manifest.json").is_file())


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
    """
    file = Path(folder) / "manifest.json"
    if not file.is_file():
        raise BundleError(
            "A bundle has to be a folder with manifest.json, model.keras and heads.skops. "
            f"Received: {folder}."
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        missing = [key for key in REQUIRED if key not in manifest]
    except (ValueError, TypeError) as error:
        raise BundleError(
            f"A bundle's manifest has to be undamaged JSON. Received: {file}."
        ) from error
    if missing or manifest["format"] != FORMAT:
        what = f"lacks {', '.join(missing)}" if missing else f"format {manifest['format']}"
        raise BundleError(
            f"A bundle's manifest has to be of format {FORMAT}. Received: {file} ({what})."
        )
    return manifest
