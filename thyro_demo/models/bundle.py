"""Bundles: a trained network with its heads, thresholds, figures and card in one folder.

``model.keras`` loads with plain Keras, ``heads.skops`` with skops, ``manifest.json`` says
what they are and holds the checksum of each, ``README.md`` is the model card.
"""

import json
import math
import sys
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import sklearn
import tensorflow as tf
from sklearn.pipeline import Pipeline

from thyro_demo.errors import BundleError
from thyro_demo.files import sha256, whole
from thyro_demo.models import familiarity, heads
from thyro_demo.models.heads import CalibratedHead
from thyro_demo.models.manifest import FORMAT, check_place, read_manifest

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
    """

    feature_map: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray
    softmax_gradient: np.ndarray


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
        Calibrated heads by name, and the "familiarity" pipeline.
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
        self._space: Pipeline = fitted["familiarity"]
        self.heads = {
            name: CalibratedHead(fitted[name]) for name in manifest["heads"] if name != "softmax"
        }
        map_tensor = network.get_layer(self.cam_layer).output
        self._lower = keras.Model(network.inputs[0], map_tensor)
        self._upper = keras.Model(
            map_tensor, [network.get_layer("features").output, network.get_layer("logits").output]
        )

    @cached_property
    def _run(self) -> Any:
        size = self.input_size

        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32)])
        def run(batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
            feature_map = self._lower(batch, training=False)
            with tf.GradientTape() as tape:
                tape.watch(feature_map)
                features, logits = self._upper(feature_map, training=False)
                # Log-odds rather than probability: a saturated softmax has no gradient.
                others = tf.concat([logits[:, :POSITIVE], logits[:, POSITIVE + 1 :]], axis=1)
                odds = logits[:, POSITIVE] - tf.reduce_logsumexp(others, axis=1)
            gradient = tape.gradient(odds, feature_map)
            return feature_map, features, tf.nn.softmax(logits), gradient

        return run

    @cached_property
    def _pull(self) -> Any:
        pooled = self._upper.outputs[0]
        pool = keras.Model(self._upper.inputs[0], pooled)

        @tf.function(reduce_retracing=True)
        def pull(feature_map: tf.Tensor, cotangent: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(feature_map)
                features = pool(feature_map, training=False)
            return tape.gradient(features, feature_map, output_gradients=cotangent)

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

    def pull_back(self, feature_map: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """Carry a gradient by the pooled features back to the feature map.

        Parameters
        ----------
        feature_map : ndarray of float32 (n, h, w, c)
            From `forward`.
        cotangent : ndarray of float32 (n, d)
            Gradient by the pooled features.

        Returns
        -------
        ndarray of float32 (n, h, w, c)
            Gradient by the feature map.
        """
        pulled = self._pull(tf.constant(feature_map), tf.constant(cotangent, tf.float32))
        return pulled.numpy()

    def pool(self, feature_maps: np.ndarray) -> np.ndarray:
        """Compute the pooled features of feature maps, as the network does.

        Parameters
        ----------
        feature_maps : ndarray of float32 (n, h, w, c)
            Feature maps, changed ones too.

        Returns
        -------
        ndarray of float32 (n, d)
            Pooled features.
        """
        features, _ = self._upper(tf.constant(feature_maps), training=False)
        return features.numpy()

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
        found = {"softmax": forward.probabilities[:, POSITIVE].astype(np.float64)}
        found |= {name: head.scores(forward.features) for name, head in self.heads.items()}
        return {name: found[name] for name in self.manifest["heads"]}

    def unlike(self, features: np.ndarray) -> float:
        """Tell how unlike the training images one image is.

        Parameters
        ----------
        features : ndarray of float32 (d,)
            Pooled features of the image.

        Returns
        -------
        float
            Feature distance over the training images' 99th percentile; above 1 is unlike.
        """
        far = familiarity.distance(self._space, features[None])[0]
        return float(far / self.manifest["familiarity_limit"])


def slim(network: keras.Model) -> None:
    """Round all weights to float16 precision, in place, kept as float32.

    The file then deflates to about half. Values beyond float16's range would become
    infinite; they are left as they are.

    Parameters
    ----------
    network : keras.Model
        Any network.
    """
    for variable in network.variables:
        if variable.dtype == "float32":
            exact = variable.numpy()
            with np.errstate(over="ignore"):
                rounded = exact.astype(np.float16).astype(np.float32)
            variable.assign(np.where(np.isfinite(rounded), rounded, exact))


def save_network(network: keras.Model, path: Path) -> None:
    """Save a network as a standard `.keras` file, its zip deflated.

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
            target.writestr(name, source.read(name))
    plain.unlink()


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
) -> Path:
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    folder : str or Path
        Where it is to lie; an earlier bundle of this name is replaced.
    manifest : dict
        All but "format", "files", "probe" and "versions", which are added here.
    network : keras.Model
        The network, already slimmed: the heads were fitted on its features.
    fitted : dict of str to object
        Heads by name, and "familiarity".
    card : str
        Markdown of the model card.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the folder holds anything but an earlier bundle.
    """
    folder = Path(folder)
    check_place(folder)
    scores = _probe(
        network, {n: CalibratedHead(fitted[n]) for n in manifest["heads"] if n in fitted}
    )
    with whole(folder) as temporary:
        temporary.mkdir()
        save_network(network, temporary / "model.keras")
        heads.save(fitted, temporary / "heads.skops")
        (temporary / "README.md").write_text(card, encoding="utf-8")
        files = {name: sha256(temporary / name) for name in ("model.keras", "heads.skops")}
        complete = manifest | {
            "format": FORMAT, "files": files, "probe": scores, "versions": versions(),
        }  # fmt: skip
        text = json.dumps(complete, indent=1, ensure_ascii=False, allow_nan=False)
        (temporary / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return folder


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
    for name in ("model.keras", "heads.skops"):
        file = folder / name
        if not file.is_file() or sha256(file) != manifest["files"].get(name):
            raise BundleError(
                "Every file of a bundle has to match its checksum in manifest.json; fetch the "
                f"bundle again. Received: {file} ({'changed' if file.is_file() else 'missing'})."
            )
    fitted = heads.load(folder / "heads.skops")
    if lacking := {"familiarity", *manifest["heads"]} - {"softmax", *fitted}:
        raise BundleError(
            "A bundle's heads.skops has to hold the heads that its manifest names. "
            f"Received: {folder / 'heads.skops'} without {', '.join(sorted(lacking))}."
        )
    try:
        network = keras.saving.load_model(folder / "model.keras", compile=False)
        _check_fit(manifest, network)
        bundle = Bundle(folder, manifest, network, fitted)
    except Exception as error:
        # A wrong file can fail anywhere inside Keras.
        raise BundleError(
            "A bundle's model.keras has to be a network of this project that this Keras can "
            f"read. Received: {folder / 'model.keras'} with Keras {keras.__version__}, saved with "
            f"{manifest.get('versions', {}).get('keras', 'another')}."
        ) from error
    _check_probe(bundle)
    return bundle


def _check_fit(manifest: dict[str, Any], network: keras.Model) -> None:
    """Compare a network with its manifest; Keras would find out at the first image only."""
    size, classes = manifest["input_size"], len(manifest["classes"])
    found = tuple(network.inputs[0].shape), tuple(network.get_layer("logits").output.shape)
    if found != ((None, size, size, 3), (None, classes)):
        raise ValueError(f"a network from {found[0]} to {found[1]}")


def _probe(network: keras.Model, calibrated: dict[str, CalibratedHead]) -> dict[str, float]:
    """Score one fixed vector, so that library versions that change the scores are noticed."""
    dims = network.get_layer("features").output.shape[-1]
    vector = np.abs(np.random.default_rng(0).normal(size=(1, dims))).astype(np.float32)
    return {name: float(head.scores(vector)[0]) for name, head in calibrated.items()}


def _check_probe(bundle: Bundle) -> None:
    expected_scores = bundle.manifest["probe"]
    for name, score in _probe(bundle.network, bundle.heads).items():
        expected = expected_scores.get(name, math.nan)
        if not abs(score - expected) <= 1e-6:
            raise BundleError(
                f"The {name} head of {bundle.name} has to score its probe {expected:.6f}; use the "
                f"library versions in its manifest. Received: {score:.6f} with scikit-learn "
                f"{sklearn.__version__}."
            )
