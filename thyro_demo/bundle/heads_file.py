"""Open a `heads.skops` file that may come from a stranger.

skops runs no code of a file's author, but the compiled parts of scikit-learn trust their
arrays: a tree whose children lead out of its nodes, or an SVM with fewer vectors than it
claims, reads or writes memory that is not its own. So only what a heads file of this project
holds is built at all, and its arrays are compared with each other before anything is scored.
"""

import hashlib
import io
import json
import pickletools
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from numpy.lib import format as npy_format
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.bundle.manifest import ONE_SPACE
from thyro_demo.bundle.network_file import check_expansion
from thyro_demo.errors import BundleError

OOD = "ood"
"""The one entry that is no head but the spaces of the training images, by kind."""

_SCHEMA = "schema.json"
_MOST_BYTES = 2**30
# What skops has to trust beside the estimators and arrays that it trusts by itself.
_TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.tree._tree.Tree",
)
_TREE = "sklearn.tree._tree.Tree"
_ALLOWED = {
    *_TRUSTED,
    "sklearn.calibration.CalibratedClassifierCV",
    "sklearn.decomposition._pca.PCA",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.svm._classes.SVC",
    "sklearn.tree._classes.DecisionTreeClassifier",
    *(f"builtins.{name}" for name in ("dict", "list", "tuple", "str", "int", "float", "bool")),
    *(f"numpy.{name}" for name in ("ndarray", "int32", "int64", "float32", "float64", "bool")),
    "numpy.bool_",
}


def save(heads: dict[str, object], path: str | Path) -> None:
    """Write fitted estimators, by name, to one compressed skops file."""
    skops.io.dump(heads, path, compression=zipfile.ZIP_DEFLATED, compresslevel=9)


def load(path: str | Path, checksum: str | None = None) -> dict[str, Any]:
    """Read a file that `save` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    checksum : str, optional
        SHA-256 that the bundle's manifest holds for it. Without it, or where the file has
        another one, no forest is built.

    Returns
    -------
    dict of str to object
        The estimators.

    Raises
    ------
    BundleError
        If the file is damaged, a pickle, unpacks to too much, holds types that a heads file
        never holds, a forest without its checksum, or arrays that do not fit each other.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        _check_is_archive(path, content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(path, archive)
            schema = json.loads(archive.read(_SCHEMA))
        vouched = hashlib.sha256(content).hexdigest() == checksum
        _check_types(path, schema, vouched)
        with warnings.catch_warnings():
            # Whether another version scores alike is measured by the bundle's probe.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            found = skops.io.loads(content, trusted=list(_TRUSTED))
        if not isinstance(found, dict):
            raise TypeError(f"{type(found).__name__} in place of heads by name")
    except BundleError:
        raise
    except Exception as error:
        # skops raises whatever its parts raise (zip, JSON, NumPy, scikit-learn).
        raise BundleError(
            f"A heads file must be one that this project saved, undamaged. Received: {path} "
            f"({type(error).__name__})."
        ) from error
    for name, estimator in found.items():
        _check_arrays(path, str(name), estimator)
    return found


def _check_is_archive(path: Path, content: bytes) -> None:
    if not zipfile.is_zipfile(io.BytesIO(content)) and _is_pickle(content):
        raise BundleError(
            "A heads file must be an archive of skops, never a pickle, which runs code of "
            f"whoever wrote it. Received: {path} (a pickle)."
        )


def _is_pickle(content: bytes) -> bool:
    """Check whether bytes are a pickle, by reading its instructions without following them."""
    try:
        first, *_ = pickletools.genops(content)
    except Exception:
        return content[:1] == b"\x80" and content[1:2] <= b"\x0f"
    return first is not None


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Look through the directory of the archive, and the headers of its arrays."""
    left = _MOST_BYTES
    for info in archive.infolist():
        stem, _, suffix = info.filename.rpartition(".")
        if info.filename != _SCHEMA and not (suffix == "npy" and stem.isdecimal()):
            raise BundleError(
                f"A heads file must hold {_SCHEMA} and numbered arrays alone. "
                f"Received: {path} with {ascii(info.filename)[1:-1][:60]}."
            )
        check_expansion(path, info, left)
        left -= info.file_size
        if suffix == "npy":
            with archive.open(info) as stream:
                _check_header(path, info, stream)


def _check_header(path: Path, info: zipfile.ZipInfo, stream: Any) -> None:
    """Refuse an array that claims more numbers than follow."""
    read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    shape, _, dtype = read[npy_format.read_magic(stream)](stream)
    claimed = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
    if claimed != info.file_size - stream.tell():
        raise BundleError(
            "An array of a heads file must be as large as its header states. "
            f"Received: {path} with {info.filename} of {claimed:,} bytes."
        )


def _check_types(path: Path, schema: Any, vouched: bool) -> None:
    """Refuse what no heads file of this project holds, before any of it is built."""
    types = set(_types(schema))
    if foreign := sorted(types - _ALLOWED):
        raise BundleError(
            "A heads file may hold scikit-learn SVMs and forests alone. "
            f"Received: {ascii(', '.join(foreign))[1:201]} in {path}."
        )
    if _TREE in types and not vouched:
        raise BundleError(
            "A heads file with a forest must have the checksum that its manifest holds, since a "
            f"forged tree can crash the process. Received: {path} with another checksum."
        )


def _types(schema: Any) -> Iterator[str]:
    """Name every type in a schema of skops, at any depth."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield f"{value.get('__module__')}.{value.get('__class__')}"
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_arrays(path: Path, name: str, estimator: Any) -> None:
    """Refuse an estimator whose parts do not fit each other."""
    try:
        if name in (OOD, ONE_SPACE):
            spaces = estimator if name == OOD else {ONE_SPACE: estimator}
            _need(type(spaces) is dict and len(spaces) > 0, "no spaces by kind")
            for space in spaces.values():
                _check_space(*_steps(space, StandardScaler, PCA))
            return
        if type(estimator) is not CalibratedClassifierCV:
            raise ValueError("no calibrated classifier")
        (inner,) = estimator.calibrated_classifiers_
        (sigmoid,) = inner.calibrators
        _need(np.isfinite([float(sigmoid.a_), float(sigmoid.b_)]).all(), "a sigmoid of NaN")
        if type(inner.estimator) is RandomForestClassifier:
            _check_forest(inner.estimator)
        else:
            scaler, svm = _steps(inner.estimator, StandardScaler, SVC)
            _check_svm(scaler, svm)
        used = estimator.n_features_in_ == inner.estimator.n_features_in_
        _need(used, "another number of features inside")
    except Exception as error:
        # A forged part fails in as many ways as attributes can be wrong.
        raise BundleError(
            "The arrays of a head must fit each other, and be finite. "
            f"Received: {path} with {ascii(name)[1:-1]} ({type(error).__name__}: {error})."
        ) from error


def _need(fits: Any, fault: str) -> None:
    if not fits:
        raise ValueError(fault)


def _steps(pipeline: Any, *kinds: type) -> list[Any]:
    _need(type(pipeline) is Pipeline, "no pipeline")
    steps = [step for _, step in pipeline.steps]
    _need([type(step) for step in steps] == list(kinds), "other steps")
    return steps


def _check_scaler(scaler: StandardScaler, dims: int) -> None:
    for array in (scaler.mean_, scaler.scale_):
        _need(np.shape(array) == (dims,) and np.isfinite(array).all(), "a scaler of other arrays")
    _need(scaler.n_features_in_ == dims, "a scaler of another size")


def _check_space(scaler: StandardScaler, pca: PCA) -> None:
    parts, dims = np.shape(pca.components_)
    _check_scaler(scaler, dims)
    _need(np.shape(pca.mean_) == (dims,), "a mean of another size")
    _need(np.shape(pca.explained_variance_) == (parts,), "variances of another size")
    arrays = (pca.components_, pca.mean_, pca.explained_variance_, pca.noise_variance_)
    _need(all(np.isfinite(array).all() for array in arrays), "numbers that are not finite")


def _check_svm(scaler: StandardScaler, svm: SVC) -> None:
    """Compare the arrays that libsvm reads without asking for their sizes."""
    vectors, dims = svm.support_vectors_.shape
    _check_scaler(scaler, dims)
    sizes = {
        "support_": (vectors,), "_n_support": (2,), "dual_coef_": (1, vectors),
        "_dual_coef_": (1, vectors), "intercept_": (1,), "_intercept_": (1,),
        "_probA": (0,), "_probB": (0,), "classes_": (2,),
    }  # fmt: skip
    for name, size in sizes.items():
        _need(np.shape(getattr(svm, name)) == size, f"{name} of another size")
    counts = np.asarray(svm._n_support)
    _need((counts >= 0).all() and counts.sum() == vectors, "support vectors of other classes")
    _need(svm.kernel in ("rbf", "linear") and svm._sparse is False, "another kernel")
    _need(svm.n_features_in_ == dims == svm.shape_fit_[1], "another number of features")
    arrays = (svm.support_vectors_, svm._dual_coef_, svm._intercept_, svm._gamma)
    _need(all(np.isfinite(array).all() for array in arrays), "numbers that are not finite")


def _check_forest(forest: RandomForestClassifier) -> None:
    dims = forest.n_features_in_
    _need(len(forest.estimators_) > 0, "no tree")
    for classifier in forest.estimators_:
        tree = classifier.tree_
        nodes = tree.node_count
        fits = (tree.n_features, tree.n_outputs, tree.max_n_classes) == (dims, 1, 2)
        _need(fits and nodes > 0 and tree.value.shape == (nodes, 1, 2), "a tree of other sizes")
        left, right, split = tree.children_left, tree.children_right, tree.feature
        inner = left != -1
        _need((inner == (right != -1)).all(), "a node with one child")
        # Children come after their node, so that every way through a tree ends.
        for child in (left[inner], right[inner]):
            after = (child > np.flatnonzero(inner)) & (child < nodes)
            _need(after.all(), "a node outside its tree")
        _need(((split[inner] >= 0) & (split[inner] < dims)).all(), "a split on no feature")
        shares = tree.value[:, 0]
        _need(np.isfinite(shares).all() and (shares.sum(axis=1) > 0).all(), "a leaf without votes")
