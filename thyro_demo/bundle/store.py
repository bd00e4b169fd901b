"""Bundles on disk: written whole or not at all, checked before anything is scored."""

import io
import json
import math
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import sklearn
import tensorflow as tf

from thyro_demo.bundle import heads_file, network_file
from thyro_demo.bundle.bundle import Bundle, spaces_of
from thyro_demo.bundle.manifest import (
    CHECKPOINTS,
    FORMAT,
    ONE_SPACE,
    check_place,
    read_manifest,
)
from thyro_demo.errors import BundleError
from thyro_demo.files import atomic_write, sha256
from thyro_demo.models.heads import CalibratedHead


def save_network(network: keras.Model, path: Path) -> None:
    """Save a network as a standard `.keras` file that earlier versions read, weights deflated.

    Within the file of weights the bytes of equal rank are together (HDF5's own shuffle
    filter, which every reader undoes unasked), so that the zeros of rounded numbers and
    their few exponents take no room.

    Parameters
    ----------
    network : keras.Model
        The network.
    path : Path
        File name ending in `.keras`.
    """
    plain = path.with_name("plain-" + path.name)
    network.save(plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                description = json.loads(content)
                network_file.portable(description)
                content = json.dumps(description).encode()
            target.writestr(name, _deflated(content) if name.endswith(".h5") else content)
    plain.unlink()


def _deflated(content: bytes) -> bytes:
    """Write an HDF5 file again with its arrays shuffled and deflated."""
    packed = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(packed, "w") as target:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                small = item.ndim == 0
                made = target.create_dataset(name, data=item[()], **({} if small else _DEFLATED))
            else:
                made = target.require_group(name)
            made.attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(copy)
    return packed.getvalue()


_DEFLATED: dict[str, Any] = {"compression": "gzip", "compression_opts": 9, "shuffle": True}


def versions() -> dict[str, str]:
    """Name the versions of Python, TensorFlow, Keras, scikit-learn and NumPy."""
    return {
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }


def write(
    folder: str | Path,
    manifest: dict[str, Any],
    network: keras.Model,
    fitted: dict[str, Any],
    card: str,
    extra: dict[str, keras.Model] | None = None,
) -> Path:
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    folder : str or Path
        Its folder; an earlier bundle of this name is replaced.
    manifest : dict
        All but "format", "files", "probe" and "versions", which are added here.
    network : keras.Model
        The network, already rounded: the heads were fitted on its features.
    fitted : dict of str to object
        Heads by name, and "ood".
    card : str
        Markdown of the model card.
    extra : dict of str to keras.Model, optional
        Networks of earlier stages, already rounded, by a name of `manifest.CHECKPOINTS`:
        each becomes NAME.keras.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the folder holds anything but an earlier bundle, or `extra` has another name.
    """
    folder = Path(folder)
    check_place(folder)
    if unknown := set(extra or ()) - set(CHECKPOINTS):
        raise BundleError(
            f"A network beside the bundle's own must be one of {', '.join(CHECKPOINTS)}. "
            f"Received: {', '.join(sorted(unknown))}."
        )
    calibrated = {
        name: CalibratedHead(fitted[name]) for name in manifest["heads"] if name in fitted
    }
    with atomic_write(folder) as temporary:
        temporary.mkdir()
        for name, saved in {"model": network, **(extra or {})}.items():
            save_network(saved, temporary / f"{name}.keras")
        write_facts(temporary, manifest, fitted, card, probe(calibrated))
    return folder


def write_facts(
    folder: Path,
    manifest: dict[str, Any],
    fitted: dict[str, Any],
    card: str,
    scores: dict[str, float],
) -> None:
    """Write all of a bundle but its networks: heads, card, and the manifest with checksums."""
    heads_file.save(fitted, folder / "heads.skops")
    files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    (folder / "README.md").write_text(card, encoding="utf-8")
    complete = manifest | {
        "format": FORMAT, "files": files, "probe": scores, "versions": versions(),
    }  # fmt: skip
    text = json.dumps(complete, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def load(folder: str | Path) -> Bundle:
    """Load a bundle and refuse one that is damaged, foreign or changed by other versions.

    Parameters
    ----------
    folder : str or Path
        The bundle.

    Returns
    -------
    Bundle
        Ready to run.

    Raises
    ------
    BundleError
        If a file is missing, does not match its checksum, or scores otherwise here.

    Examples
    --------
    >>> from thyro_demo.bundle.manifest import weights_root
    >>> bundle = load(weights_root() / "efficientnet-b0")
    >>> bundle.input_size, bundle.classes
    (256, ['benign', 'malignant'])
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    spaces = ONE_SPACE if ONE_SPACE in manifest["ood_limits"] else heads_file.OOD
    needed = {spaces, *manifest["heads"]} - {"softmax"}
    fitted = load_heads(folder, manifest, needed, ("model.keras", "heads.skops"))
    try:
        network = network_file.load(folder / "model.keras")
        _check_fit(manifest, network)
        bundle = Bundle(folder, manifest, network, fitted)
        _check_heads(bundle, fitted)
    except BundleError:
        raise
    except Exception as error:
        # A wrong file can fail anywhere inside Keras.
        reason = f" ({error})" if isinstance(error, _MisfitError) else ""
        raise BundleError(
            "A bundle's model.keras must be a network of this project that fits its manifest and "
            f"heads. Received: {folder / 'model.keras'}{reason} with Keras {keras.__version__}, "
            f"saved with {manifest.get('versions', {}).get('keras', 'another')}."
        ) from error
    check_probe(manifest, bundle.heads)
    return bundle


def load_heads(
    folder: Path, manifest: dict[str, Any], needed: Iterable[str], files: Iterable[str]
) -> dict[str, Any]:
    """Compare `files` of a bundle with their checksums, then load the heads that are needed."""
    for name in files:
        if fault := _fault(folder / name, manifest["files"].get(name)):
            raise BundleError(
                "Every file of a bundle must match its checksum in manifest.json; fetch the "
                f"bundle again. Received: {folder / name} ({fault})."
            )
    fitted = heads_file.load(folder / "heads.skops", manifest["files"]["heads.skops"])
    if lacking := set(needed) - set(fitted):
        raise BundleError(
            "A bundle's heads.skops must hold the heads that its manifest names. "
            f"Received: {folder / 'heads.skops'} without {', '.join(sorted(lacking))}."
        )
    return fitted


def _fault(file: Path, checksum: str | None) -> str:
    """Explain why a file is not the one that a manifest means; nothing where it is."""
    if not file.is_file():
        return "missing"
    try:
        return "" if sha256(file) == checksum else "changed"
    except OSError as error:
        return error.strerror or "unreadable"


class _MisfitError(ValueError):
    """Parts of a bundle that are sound, but not of one bundle; its text is ours to show."""


def _check_fit(manifest: dict[str, Any], network: keras.Model) -> None:
    """Compare a network with its manifest; Keras would find out at the first image only."""
    size, classes = manifest["input_size"], len(manifest["classes"])
    found = tuple(network.inputs[0].shape), tuple(network.get_layer("logits").output.shape)
    if found != ((None, size, size, 3), (None, classes)):
        raise _MisfitError(f"a network from {found[0]} to {found[1]}")


def _check_heads(bundle: Bundle, fitted: dict[str, Any]) -> None:
    """Compare heads with the features of their network, as scikit-learn does at the first image."""
    read = {name: head.model.n_features_in_ for name, head in bundle.heads.items()}
    if odd := [name for name, dims in read.items() if dims != bundle.dims]:
        raise _MisfitError(f"{bundle.dims} features, of which {odd[0]} reads {read[odd[0]]}")
    spaces, limits = spaces_of(fitted), bundle.manifest["ood_limits"]
    if spaces.keys() != limits.keys():
        raise _MisfitError(f"{len(limits)} limits for {len(spaces)} kinds of training image")
    if any(space.n_features_in_ != bundle.ood_dims for space in spaces.values()):
        raise _MisfitError(f"another space of training images than of {bundle.ood_dims} features")


def probe(calibrated: dict[str, CalibratedHead]) -> dict[str, float]:
    """Score one fixed vector by each head, so that versions that change the scores are noticed."""
    found = {}
    for name, head in calibrated.items():
        size = (1, head.model.n_features_in_)
        vector = np.abs(np.random.default_rng(0).normal(size=size)).astype(np.float32)
        found[name] = float(head.scores(vector)[0])
    return found


def check_probe(manifest: dict[str, Any], calibrated: dict[str, CalibratedHead]) -> None:
    """Refuse heads that score otherwise here than where they were written, by more than 1e-6."""
    for name, score in probe(calibrated).items():
        expected = manifest["probe"].get(name, math.nan)
        if not abs(score - expected) <= 1e-6:
            raise BundleError(
                f"The {name} head of {manifest['name']} must score its probe {expected:.6f}; use "
                f"the library versions in its manifest. Received: {score:.6f} with scikit-learn "
                f"{sklearn.__version__}."
            )
