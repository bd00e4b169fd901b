"""Bundles: a trained network with its heads, thresholds, figures and card in one folder.

``model.keras`` loads with plain Keras, ``heads.skops`` with skops, ``manifest.json`` describes
what they are and holds the checksum of each, ``README.md`` is the model card. Earlier
stages of the network's chain may be beside it. What joins several bundles is in
`ensemble`.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.pipeline import Pipeline

from thyro_demo.bundle import heads_file
from thyro_demo.bundle.manifest import (
    ONE_SPACE,
)
from thyro_demo.models import nodule_map, ood
from thyro_demo.models.features import ood_readout, readout, whole_frame
from thyro_demo.models.heads import CalibratedHead

POSITIVE = 1


@dataclass(frozen=True)
class Forward:
    """What one forward pass of a batch provides to all heads and heatmaps.

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
        Its folder.
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
        self._spaces: dict[str, Pipeline] = spaces_of(fitted)
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
            RGB, 0–255, cropped and resized by `scan_area.prepare`.

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
        """Return mean and standard deviation by which pooled features of a nodule are scaled."""
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
        """Report how far images are from the training images.

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


def spaces_of(fitted: dict[str, Any]) -> dict[str, Pipeline]:
    """Find the spaces of the training images; an older bundle has one for all kinds."""
    return fitted[heads_file.OOD] if heads_file.OOD in fitted else {ONE_SPACE: fitted[ONE_SPACE]}


def _given(feature_map: np.ndarray, nodule: np.ndarray | None) -> list[tf.Tensor]:
    """List what a network's pooling starts from."""
    given = [tf.constant(feature_map)]
    return given if nodule is None else [*given, tf.constant(nodule[..., None])]
