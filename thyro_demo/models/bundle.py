"""Bundles: a trained network with its heads, thresholds, figures and card in one folder.

``model.keras`` loads with plain Keras, ``heads.skops`` with skops, ``manifest.json`` says
what they are and holds the checksum of each, ``README.md`` is the model card. Earlier
stages of the network's chain may lie beside it. What joins several bundles is in
`ensemble`.
"""

import io
import json
import math
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import sklearn
import tensorflow as tf
from sklearn.pipeline import Pipeline

from thyro_demo.errors import BundleError
from thyro_demo.files import sha256, whole
from thyro_demo.models import heads_file, network_file, nodule_map, ood
from thyro_demo.models.features import ood_readout, readout, whole_frame
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.models.manifest import (
    CHECKPOINTS,
    FORMAT,
    ONE_SPACE,
    check_place,
    read_manifest,
)

POSITIVE = 1


@dataclass(frozen=True)
class Forward:
    """What one forward pass of a batch gives to all heads and heatmaps.

    Parameters
    ----------
    feature_map : ndarray of float32 (n, h, w, c)
        Output of the CAM layer.
    features : ndarray of float32 (n, d)
        Pooled features.
    probabilities : ndarray of float32 (n, classes)
        Softmax output, 0–1.
    softmax_gradient : ndarray of float32 (n, h, w, c)
        Gradient of the positive class's log-odds by the feature map.
    nodule : ndarray of float32 (n, h, w), or None
        Nodule map, 0–1, of a network that has one; the gradients take it as given.
    """

    feature_map: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray
    softmax_gradient: np.ndarray
    nodule: np.ndarray | None = None


class Bundle:
    """A loaded bundle.

    Parameters
    ----------
    folder : Path
        Where it lies.
    manifest : dict
        Content of its `manifest.json`.
    network : keras.Model
        Flat network, float32 (n, s, s, 3) 0–255 in, probabilities out.
    fitted : dict of str to object
        Calibrated heads by name, and "ood", the spaces of the training images by kind.
    """

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        network: keras.Model,
        fitted: dict[str, Any],
    ):
        self.folder, self.manifest, self.network = folder, manifest, network
        self.name: str = manifest["name"]
        self.title: str = manifest["title"]
        self.classes: list[str] = manifest["classes"]
        self.input_size: int = manifest["input_size"]
        self.cam_layer: str = manifest["cam_layer"]
        self.thresholds: dict[str, dict[str, float]] = manifest["thresholds"]
        self._spaces: dict[str, Pipeline] = _spaces(fitted)
        self.heads = {
            name: CalibratedHead(fitted[name]) for name in manifest["heads"] if name != "softmax"
        }
        self.pooling: str = manifest.get("pooling", "average")
        read = readout(network, self.cam_layer, self.pooling)
        self.dims: int = read.shape[-1]
        self.ood_dims: int = ood_readout(network, self.cam_layer, self.pooling).shape[-1]
        # What has to run for its heads; an ensemble has several.
        self.networks = (self,)
        # What the pooling starts from: the feature map, and the nodule map that weighs it.
        given = [network.get_layer(self.cam_layer).output]
        if self.pooling == "nodule":
            given.append(network.get_layer(nodule_map.OUTPUT).output)
        self._lower = keras.Model(network.inputs[0], given)
        self._upper = keras.Model(given, [read, network.get_layer("logits").output])

    @cached_property
    def _run(self) -> Any:
        size = self.input_size

        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32)])
        def run(batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # One tensor comes back bare, two in a list.
            feature_map, *nodule = tf.nest.flatten(self._lower(batch, training=False))
            with tf.GradientTape() as tape:
                tape.watch(feature_map)
                features, logits = self._upper([feature_map, *nodule], training=False)
                # Log-odds rather than probability: a saturated softmax has no gradient.
                others = tf.concat([logits[:, :POSITIVE], logits[:, POSITIVE + 1 :]], axis=1)
                odds = logits[:, POSITIVE] - tf.reduce_logsumexp(others, axis=1)
            gradient = tape.gradient(odds, feature_map)
            found = feature_map, features, tf.nn.softmax(logits), gradient
            return *found, *(cells[..., 0] for cells in nodule)

        return run

    @cached_property
    def _pull(self) -> Any:
        pool = keras.Model(self._upper.inputs, self._upper.outputs[0])

        @tf.function(reduce_retracing=True)
        def pull(given: list[tf.Tensor], cotangent: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(given[0])
                features = pool(given, training=False)
            return tape.gradient(features, given[0], output_gradients=cotangent)

        return pull

    def forward(self, batch: np.ndarray) -> Forward:
        """Run the network once.

        Parameters
        ----------
        batch : ndarray of float32 (n, s, s, 3)
            RGB, 0–255, cropped and resized by `preprocess.prepare`.

        Returns
        -------
        Forward
            For every head and heatmap.
        """
        return Forward(*(part.numpy() for part in self._run(tf.constant(batch, tf.float32))))

    def pull_back(
        self, feature_map: np.ndarray, cotangent: np.ndarray, nodule: np.ndarray | None = None
    ) -> np.ndarray:
        """Carry a gradient by the pooled features back to the feature map.

        Parameters
        ----------
        feature_map : ndarray of float32 (n, h, w, c)
            From `forward`.
        cotangent : ndarray of float32 (n, d)
            Gradient by the pooled features.
        nodule : ndarray of float32 (n, h, w), optional
            From `forward`, of a network that has a nodule map.

        Returns
        -------
        ndarray of float32 (n, h, w, c)
            Gradient by the feature map.
        """
        given = _given(feature_map, nodule)
        return self._pull(given, tf.constant(cotangent, tf.float32)).numpy()

    def pool(self, feature_maps: np.ndarray, nodule: np.ndarray | None = None) -> np.ndarray:
        """Compute the pooled features of feature maps, as the network does.

        Parameters
        ----------
        feature_maps : ndarray of float32 (n, h, w, c)
            Feature maps, changed ones too.
        nodule : ndarray of float32 (n, h, w), optional
            As for `pull_back`.

        Returns
        -------
        ndarray of float32 (n, d)
            Pooled features.
        """
        features, _ = self._upper(_given(feature_maps, nodule), training=False)
        return features.numpy()

    @cached_property
    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Give mean and standard deviation by which pooled features of a nodule are scaled."""
        norm = self.network.get_layer("features")
        mean, variance = norm.get_weights()
        return mean, np.sqrt(variance + norm.epsilon)

    def scores(self, forward: Forward) -> dict[str, np.ndarray]:
        """Score a batch with every head.

        Parameters
        ----------
        forward : Forward
            From `forward`.

        Returns
        -------
        dict of str to ndarray of float64 (n,)
            Score of the positive class by head, 0–1, in the manifest's order.
        """
        return {head: self.score(forward, head) for head in self.manifest["heads"]}

    def score(self, forward: Forward, head: str) -> np.ndarray:
        """Score a batch with one head.

        Parameters
        ----------
        forward : Forward
            From `forward`.
        head : str
            One of the manifest's heads.

        Returns
        -------
        ndarray of float64 (n,)
            Score of the positive class, 0–1.
        """
        if head == "softmax":
            return forward.probabilities[:, POSITIVE].astype(np.float64)
        return self.heads[head].scores(forward.features)

    def ood_score(self, forward: Forward) -> np.ndarray:
        """Report how far images lie from the training images.

        Parameters
        ----------
        forward : Forward
            From `forward`.

        Returns
        -------
        ndarray of float64 (n,)
            As `ood.score`; above 1 is out of distribution.
        """
        read = forward.features
        if self.pooling == "nodule":
            read = whole_frame(forward.feature_map[..., : self.ood_dims // 2]).numpy()
        return ood.score(self._spaces, self.manifest["ood_limits"], read)


def _spaces(fitted: dict[str, Any]) -> dict[str, Pipeline]:
    """Find the spaces of the training images; an older bundle has one for all kinds."""
    return fitted[heads_file.OOD] if heads_file.OOD in fitted else {ONE_SPACE: fitted[ONE_SPACE]}


def _given(feature_map: np.ndarray, nodule: np.ndarray | None) -> list[tf.Tensor]:
    """List what a network's pooling starts from."""
    given = [tf.constant(feature_map)]
    return given if nodule is None else [*given, tf.constant(nodule[..., None])]


def save_network(network: keras.Model, path: Path) -> None:
    """Save a network as a standard `.keras` file, its weights deflated.

    Within the file of weights the bytes of equal rank stand together (HDF5's own shuffle
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
    """Name the versions of what a bundle depends on.

    Returns
    -------
    dict of str to str
        Python, TensorFlow, Keras, scikit-learn and NumPy.
    """
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
        Where it is to lie; an earlier bundle of this name is replaced.
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
            f"A network beside the bundle's own has to be one of {', '.join(CHECKPOINTS)}. "
            f"Received: {', '.join(sorted(unknown))}."
        )
    calibrated = {
        name: CalibratedHead(fitted[name]) for name in manifest["heads"] if name in fitted
    }
    with whole(folder) as temporary:
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
    """Write all of a bundle but its networks: heads, card, and the manifest with checksums.

    Parameters
    ----------
    folder : Path
        Holds the networks, if any, and nothing else.
    manifest : dict
        All but "format", "files", "probe" and "versions".
    fitted : dict of str to object
        For the heads file.
    card : str
        Markdown of the model card.
    scores : dict of str to float
        From `probe`.
    """
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
        If a file is missing, does not match its checksum, or gives other scores here.
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
            "A bundle's model.keras has to be a network of this project that fits its manifest and "
            f"heads. Received: {folder / 'model.keras'}{reason} with Keras {keras.__version__}, "
            f"saved with {manifest.get('versions', {}).get('keras', 'another')}."
        ) from error
    check_probe(manifest, bundle.heads)
    return bundle


def load_heads(
    folder: Path, manifest: dict[str, Any], needed: Iterable[str], files: Iterable[str]
) -> dict[str, Any]:
    """Compare the files of a bundle with their checksums, then load its heads.

    Parameters
    ----------
    folder : Path
        The bundle.
    manifest : dict
        From `read_manifest`.
    needed : iterable of str
        What the heads file has to hold.
    files : iterable of str
        Every file that will be read.

    Returns
    -------
    dict of str to object
        Estimators by name.

    Raises
    ------
    BundleError
        If a file is missing or does not match its checksum, or a head is missing.
    """
    for name in files:
        if fault := _fault(folder / name, manifest["files"].get(name)):
            raise BundleError(
                "Every file of a bundle has to match its checksum in manifest.json; fetch the "
                f"bundle again. Received: {folder / name} ({fault})."
            )
    fitted = heads_file.load(folder / "heads.skops", manifest["files"]["heads.skops"])
    if lacking := set(needed) - set(fitted):
        raise BundleError(
            "A bundle's heads.skops has to hold the heads that its manifest names. "
            f"Received: {folder / 'heads.skops'} without {', '.join(sorted(lacking))}."
        )
    return fitted


def _fault(file: Path, checksum: str | None) -> str:
    """Say why a file is not the one that a manifest means; nothing where it is."""
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
    spaces, limits = _spaces(fitted), bundle.manifest["ood_limits"]
    if spaces.keys() != limits.keys():
        raise _MisfitError(f"{len(limits)} limits for {len(spaces)} kinds of training image")
    if any(space.n_features_in_ != bundle.ood_dims for space in spaces.values()):
        raise _MisfitError(f"another space of training images than of {bundle.ood_dims} features")


def probe(calibrated: dict[str, CalibratedHead]) -> dict[str, float]:
    """Score one fixed vector, so that library versions that change the scores are noticed.

    Parameters
    ----------
    calibrated : dict of str to CalibratedHead
        Heads by name.

    Returns
    -------
    dict of str to float
        Score of each head, 0–1.
    """
    found = {}
    for name, head in calibrated.items():
        size = (1, head.model.n_features_in_)
        vector = np.abs(np.random.default_rng(0).normal(size=size)).astype(np.float32)
        found[name] = float(head.scores(vector)[0])
    return found


def check_probe(manifest: dict[str, Any], calibrated: dict[str, CalibratedHead]) -> None:
    """Refuse heads that score otherwise here than where they were written.

    Parameters
    ----------
    manifest : dict
        With the scores as they were.
    calibrated : dict of str to CalibratedHead
        Heads by name.

    Raises
    ------
    BundleError
        If a score differs by more than 1e-6.
    """
    for name, score in probe(calibrated).items():
        expected = manifest["probe"].get(name, math.nan)
        if not abs(score - expected) <= 1e-6:
            raise BundleError(
                f"The {name} head of {manifest['name']} has to score its probe {expected:.6f}; use "
                f"the library versions in its manifest. Received: {score:.6f} with scikit-learn "
                f"{sklearn.__version__}."
            )
