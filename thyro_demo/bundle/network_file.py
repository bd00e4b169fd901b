"""Open a `.keras` file that may come from a stranger.

Keras' own safe mode refuses what runs code of the file's author, but not all that its layers
can do: read other files, ask other hosts, or fill the memory. So a file is looked through
before Keras meets it: the archive by its directory, before anything is unpacked, the
description by its layers, the weights by their declared sizes.
"""

import inspect
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from thyro_demo.errors import BundleError

MEMBERS = {"metadata.json": 2**16, "config.json": 2**24, "model.weights.h5": 2**31}
"""What a `.keras` file holds, and the most bytes that each may unpack to."""

EXPANSION = 100
"""Most bytes that one stored byte may become; deflate alone reaches 1,000."""

# What Keras 3.15 writes into every file and 3.13, which Colab brings, refuses to read; with these
# values they do nothing.
_IDLE = {"input_axes": None, "output_axes": None, "renorm": False, "renorm_clipping": None}
_OWNERS = {"keras.layers": keras.layers, "keras.initializers": keras.initializers}

_SMALL = 2**22  # bytes; what is smaller harms nobody, however well it is packed
_SHOWN = 60

_LAYERS = {
    "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate",
    "Conv2D", "Conv2DTranspose", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout", "ELU",
    "Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "GroupNormalization", "Identity",
    "InputLayer", "LayerNormalization", "LeakyReLU", "MaxPooling2D", "Maximum", "Multiply",
    "Normalization", "PReLU", "Permute", "ReLU", "Rescaling", "Reshape", "SeparableConv2D",
    "Softmax", "SpatialDropout2D", "Subtract", "UpSampling2D", "ZeroPadding2D",
}  # fmt: skip
_CODE = ("Lambda", "__lambda__", "function")
_NETWORKS = ("Functional", "Model", "Sequential")
# Values and single operations of the graph: they compute, and know no file and no host.
_VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__", "__tuple__"}
_PLAIN = (
    "keras.initializers", "keras.constraints", "keras.regularizers", "keras.src.ops.core",
    "keras.src.ops.image", "keras.src.ops.math", "keras.src.ops.nn", "keras.src.ops.numpy",
)  # fmt: skip
# A scaled sum of two branches, which Inception-ResNet brings along.
_APPLICATIONS = {("keras.src.applications.inception_resnet_v2", "CustomScaleLayer")}
# Operations of `keras.src.ops.core` that take a function, which is code.
_TAKE_FUNCTIONS = {
    "AssociativeScan", "Cond", "ForiLoop", "Map", "Remat", "Scan", "Switch", "VectorizedMap",
    "WhileLoop",
}  # fmt: skip


def load(file: str | Path) -> keras.Model:
    """Load a network from a file that nobody vouches for.

    Parameters
    ----------
    file : str or Path
        The `.keras` file.

    Returns
    -------
    keras.Model
        The network, not compiled; all of its weights are finite.

    Raises
    ------
    BundleError
        If it is no archive that Keras wrote, holds or unpacks to more than a network needs,
        has layers that are not plain arithmetic, nests a network as one layer, or holds
        weights that do not fit or are not finite.
    """
    file = Path(file)
    description = _check_archive(file)
    try:
        with _readable(file, description) as readable:
            network = keras.saving.load_model(readable, compile=False, safe_mode=True)
    except Exception as error:
        # A file that is sound so far can still fail anywhere inside Keras.
        raise BundleError(
            "A network's layers and weights must fit each other, and this Keras must know them. "
            f"Received: {file} ({_reason(error)}) with Keras {keras.__version__}."
        ) from error
    _check_finite(file, network)
    return network


def portable(description: Any) -> bool:
    """Drop settings that do nothing, and that an earlier Keras refuses because it has no such name.

    Parameters
    ----------
    description : dict
        What `config.json` of a `.keras` file holds; it is changed.

    Returns
    -------
    bool
        Whether it held such a setting that this Keras does not know.
    """
    strange = False
    for part in _parts(description):
        settings, owner = part.get("config"), _OWNERS.get(str(part.get("module")))
        if owner is None or not isinstance(settings, dict):
            continue
        idle = [name for name, value in _IDLE.items() if settings.get(name, ...) is value]
        if "renorm" in idle and "renorm_momentum" in settings:
            idle.append("renorm_momentum")
        known = inspect.signature(getattr(owner, part["class_name"])).parameters if idle else {}
        for name in idle:
            strange |= name not in known
            del settings[name]
    return strange


@contextmanager
def _readable(file: Path, description: Any) -> Iterator[Path]:
    """Name a file that this Keras reads: the file itself, or a copy without strange settings."""
    if not portable(description):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "network.keras"
        with zipfile.ZipFile(file) as source, zipfile.ZipFile(copy, "w") as target:
            for name in MEMBERS:
                own = name == "config.json"
                target.writestr(name, json.dumps(description) if own else source.read(name))
        yield copy


def _check_archive(file: Path) -> Any:
    """Look through a file without letting Keras unpack it; return the description of its layers."""
    try:
        with zipfile.ZipFile(file) as archive:
            check_members(file, archive, MEMBERS)
            description = json.loads(archive.read("config.json"))
            weights = archive.read("model.weights.h5")
    except BundleError:
        raise
    except Exception as error:
        # zipfile and json raise nearly anything on a damaged file.
        raise BundleError(
            "A network must be an undamaged .keras file, as Keras writes it. "
            f"Received: {file} ({_reason(error)})."
        ) from error
    check_layers(file, description)
    _check_weights(file, weights)
    return description


def check_members(file: Path, archive: zipfile.ZipFile, allowed: dict[str, int]) -> None:
    """Compare the directory of an archive with its members and their most bytes, still packed."""
    names = archive.namelist()
    odd = next((name for name in names if name not in allowed or names.count(name) > 1), None)
    missing = next((name for name in allowed if name not in names), None)
    if odd is not None or missing is not None:
        what = f"without {missing}" if odd is None else f"with {_shown(odd)}"
        raise BundleError(
            f"An archive of this kind must hold {', '.join(allowed)}, once each, and nothing else. "
            f"Received: {file} {what}."
        )
    for info in archive.infolist():
        check_expansion(file, info, allowed[info.filename])


def check_expansion(file: Path, info: zipfile.ZipInfo, most: int) -> None:
    """Refuse a member of an archive that would unpack to far more than is stored, or to `most`."""
    limit = min(most, max(_SMALL, EXPANSION * info.compress_size))
    if info.file_size > limit:
        raise BundleError(
            f"A part of an archive may unpack to at most {EXPANSION} times what is stored, and to "
            f"at most {most:,} bytes. Received: {file} with {_shown(info.filename)} of "
            f"{info.file_size:,} bytes in {info.compress_size:,}."
        )


def check_layers(file: Path, description: Any) -> None:
    """Refuse all but one flat network of layers that only compute, as `config.json` has it."""
    if not isinstance(description, dict) or description.get("class_name") not in _NETWORKS:
        raise BundleError(
            "The outermost part of a network's description must be a Keras model. "
            f"Received: {file} with {_shown(_kind(description))}."
        )
    parts = list(_parts(description.get("config")))
    # First of all, and at any depth: it is the one that does harm when it is loaded.
    for part in parts:
        if part["class_name"] in _CODE:
            raise BundleError(
                "A network may have no Lambda layer and no function of its own: they run code of "
                f"whoever wrote the file. Received: {file} with the Lambda {_called(part)}."
            )
    for part in parts:
        if part["class_name"] in _NETWORKS:
            raise BundleError(
                "The layers of a network must be side by side, so that features and heatmaps "
                "can be taken between them; build on the inner network's tensors (inner.output) "
                "instead of calling it. "
                f"Received: {file} with the network {_called(part)} nested as one layer."
            )
        if not _is_plain(part):
            raise BundleError(
                "A network must be built of Keras layers that only compute, as those of this "
                f"project are. Received: {file} with {_shown(_kind(part))} {_called(part)}."
            )


def _called(part: dict[str, Any]) -> str:
    """Quote the name of a layer."""
    given = part.get("config")
    return repr(_shown(given.get("name", "") if isinstance(given, dict) else ""))


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every serialised object in a description, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _is_plain(part: dict[str, Any]) -> bool:
    """Check whether an object of a description only computes."""
    module, name = part.get("module"), part["class_name"]
    if not isinstance(name, str) or not isinstance(module, str | None):
        return False
    if module == "keras.layers":
        return name in _LAYERS
    if module is None or module == "builtins":
        return name in _VALUES
    if module == "keras":
        return name == "DTypePolicy"
    return (module, name) in _APPLICATIONS or (module in _PLAIN and name not in _TAKE_FUNCTIONS)


def _kind(part: Any) -> str:
    if not isinstance(part, dict):
        return type(part).__name__
    return f"{part.get('module')}.{part.get('class_name')}"


def _check_weights(file: Path, content: bytes) -> None:
    """Refuse weights that lead out of their file, or are far larger than what is stored."""
    declared = 0
    limit = min(MEMBERS["model.weights.h5"], max(_SMALL, EXPANSION * len(content)))

    def visit(group: h5py.Group) -> None:
        nonlocal declared
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise _odd_weights(file, f"a link {_shown(name)!r} to elsewhere")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item)
            elif not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
                raise _odd_weights(file, f"{_shown(name)!r}, whose numbers are elsewhere")
            else:
                declared += item.size * item.dtype.itemsize if item.shape is not None else 0
                if declared > limit:
                    raise _odd_weights(file, f"{declared:,} bytes in {len(content):,}")

    try:
        with h5py.File(io.BytesIO(content), "r") as weights:
            visit(weights)
    except BundleError:
        raise
    except (Exception, RecursionError) as error:
        raise BundleError(
            f"The weights of a network must be an undamaged HDF5 file. Received: {file} "
            f"({_reason(error)})."
        ) from error


def _odd_weights(file: Path, what: str) -> BundleError:
    return BundleError(
        f"The weights of a network must be in its own file, and at most {EXPANSION} times as large "
        f"as that file. Received: {file} with {what}."
    )


def _check_finite(file: Path, network: keras.Model) -> None:
    for layer in network.layers:
        for weight in layer.get_weights():
            if not np.isfinite(weight).all():
                raise BundleError(
                    "The weights of a network must be finite numbers. "
                    f"Received: {file} with NaN or infinity in the layer {_shown(layer.name)!r}."
                )


def _shown(text: Any) -> str:
    """Show a name that a stranger chose: printable, and no longer than a sentence bears."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in str(text))
    return plain if len(plain) <= _SHOWN else plain[:_SHOWN] + "…"


def _reason(error: BaseException) -> str:
    """Summarise in a few words what a library complained of."""
    text = " ".join(str(error).split())
    if "shape" in text:
        return "weights of other shapes than the layers"
    return _shown(f"{type(error).__name__}: {text.rstrip('.')}" if text else type(error).__name__)
