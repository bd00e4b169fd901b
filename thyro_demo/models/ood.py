"""Out of distribution: how far a frame is from every kind of training image."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from thyro_demo.models.heads import rounded

COMPONENTS = 32
"""Most principal components of a kind; what is outside them is the residual."""

FOLDS = 5
"""Parts in which the groups of a kind are left out in turn, to find its limit."""

FEWEST = 40
"""Images below which a kind has no space of its own."""

PERCENTILE = 99
"""Share of the training images, percent, whose left-out distance is within the limit."""


def fit(
    features: np.ndarray, groups: Iterable[str], kinds: Iterable[str]
) -> tuple[dict[str, Pipeline], dict[str, float]]:
    """Fit the space of each kind of training image, and the distance that few of them exceed.

    One Gaussian over sources as different as photographs of two scanners and drawn phantoms is wide
    enough for a black frame, so each kind has its own. Distance is the Mahalanobis distance in
    the leading principal components together with the residual outside them (Lee et al. 2018,
    "A simple unified framework for detecting out-of-distribution samples", section 2.1; there
    the classes share one covariance, which here is each kind's own, and truncated).

    Parameters
    ----------
    features : ndarray of float32 (n, d)
        Features of the training images.
    groups : iterable of str (n)
        Groups; a limit is a percentile over images whose group was left out of the fit, since
        fitted images always look near.
    kinds : iterable of str (n)
        Kind of each image, such as its source. A kind of fewer than `FEWEST` images or `FOLDS`
        groups joins the largest.

    Returns
    -------
    dict of str to Pipeline
        By kind: scaler and principal components.
    dict of str to float
        By kind: the limit, in units of `distance`.
    """
    table = pd.DataFrame({"group": list(groups), "kind": list(kinds)})
    sizes = table.groupby("kind")["group"].agg(["size", "nunique"])
    small = sizes.index[(sizes["size"] < FEWEST) | (sizes["nunique"] < FOLDS)]
    largest = sizes["size"].idxmax()
    kind_of = table["kind"].where(~table["kind"].isin(small), largest)
    spaces, limits = {}, {}
    for kind, rows in table.groupby(kind_of)["group"]:
        name, held = str(kind), features[rows.index]
        spaces[name], limits[name] = _fit_one(held, rows.to_numpy())
    return spaces, limits


def _fit_one(features: np.ndarray, groups: np.ndarray) -> tuple[Pipeline, float]:
    left_out = np.empty(len(features))
    folds = min(FOLDS, len(np.unique(groups)))
    for fitted, left in GroupKFold(folds).split(features, groups=groups):
        left_out[left] = distance(_space(features[fitted]), features[left])
    return _space(features), float(np.percentile(left_out, PERCENTILE))


def _space(features: np.ndarray) -> Pipeline:
    parts = max(min(COMPONENTS, features.shape[1], len(features) // 4), 1)
    space = make_pipeline(StandardScaler(), PCA(parts, random_state=0)).fit(features)
    if parts < features.shape[1]:
        # Without a residual, what rounding leaves of it would be all there is.
        space[-1].components_ = rounded(space[-1].components_)
    return space


def distance(space: Pipeline, features: np.ndarray) -> np.ndarray:
    """Measure how far features (n, d) are from the training images of a kind; about 1 for those."""
    scaler, pca = space.steps[0][1], space.steps[1][1]
    scaled = scaler.transform(np.asarray(features, np.float64))
    along = pca.transform(scaled)
    outside = (scaled - pca.mean_) ** 2
    residual = outside.sum(axis=1) - (along**2).sum(axis=1)
    # Features that never vary in training leave components without variance.
    inside = (along**2 / np.maximum(pca.explained_variance_, 1e-12)).sum(axis=1)
    spread = max(float(pca.noise_variance_), 1e-12)
    return np.sqrt((inside + np.maximum(residual, 0.0) / spread) / scaled.shape[1])


def score(
    spaces: dict[str, Pipeline], limits: dict[str, float], features: np.ndarray
) -> np.ndarray:
    """Compare features with the kind of training image that they are nearest to.

    Parameters
    ----------
    spaces, limits : dict
        From `fit`.
    features : ndarray of float32 (n, d)
        Features.

    Returns
    -------
    ndarray of float64 (n,)
        Least distance over its limit; above 1 is out of distribution.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(60, 4))
    >>> spaces, limits = fit(features, [f"{row // 2}" for row in range(60)], ["ours"] * 60)
    >>> score(spaces, limits, np.array([[0.0] * 4, [9.0] * 4])) > 1
    array([False,  True])
    """
    return np.min([distance(spaces[kind], features) / limits[kind] for kind in spaces], axis=0)
