"""How unlike the training images a frame is, told from its pooled features."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

COMPONENTS = 32


def fit(features: np.ndarray, groups: np.ndarray) -> tuple[Pipeline, float]:
    """Fit the space of the training images and the distance that few of them exceed.

    Distance is the Mahalanobis distance in the leading principal components together with
    the residual outside them (Lee et al. 2018, "A simple unified framework for detecting
    out-of-distribution samples", with one class and a truncated covariance).

    Parameters
    ----------
    features : ndarray of float32 (n, d)
        Pooled features of the training images.
    groups : ndarray (n,)
        Groups; the limit is the 99th percentile over images whose group was left out of
        the fit, since fitted images always look familiar.

    Returns
    -------
    Pipeline
        Scaler and principal components.
    float
        The limit, in units of `distance`.
    """
    parts = min(COMPONENTS, features.shape[1], len(features) // 4)
    held_out = np.empty(len(features))
    for fitted, left in GroupKFold(5).split(features, groups=groups):
        space = make_pipeline(StandardScaler(), PCA(parts, random_state=0)).fit(features[fitted])
        held_out[left] = distance(space, features[left])
    space = make_pipeline(StandardScaler(), PCA(parts, random_state=0)).fit(features)
    return space, float(np.percentile(held_out, 99))


def distance(space: Pipeline, features: np.ndarray) -> np.ndarray:
    """Measure how far features lie from the training images.

    Parameters
    ----------
    space : Pipeline
        From `fit`.
    features : ndarray of float32 (n, d)
        Pooled features.

    Returns
    -------
    ndarray of float64 (n,)
        Root of the mean squared standardised coordinate, residual included; about 1 for a
        training image.
    """
    scaler, pca = space.steps[0][1], space.steps[1][1]
    scaled = scaler.transform(np.asarray(features, np.float64))
    along = pca.transform(scaled)
    outside = (scaled - pca.mean_) ** 2
    residual = outside.sum(axis=1) - (along**2).sum(axis=1)
    # Features that never vary in training leave components without variance.
    inside = (along**2 / np.maximum(pca.explained_variance_, 1e-12)).sum(axis=1)
    spread = max(float(pca.noise_variance_), 1e-12)
    return np.sqrt((inside + np.maximum(residual, 0.0) / spread) / scaled.shape[1])
