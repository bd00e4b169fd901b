"""Bundles as a hostile stranger would send them, made of a good one.

Each is one attack on whoever loads it: code in a layer or a pickle, a path that climbs out of
an archive, an archive that fills the memory, numbers that are none. The checksums in the
manifest fit, since a stranger writes both.
"""

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from thyro_demo.bundle import store
from thyro_demo.errors import BundleError
from thyro_demo.files import sha256

Attack = Callable[[Path], None]
"""Takes the folder of a bundle and spoils it."""

_VOUCHED = ("model.keras", "heads.skops")
_BOMB = 2**28


def attacks() -> dict[str, Attack]:
    """List the attacks by what a reader calls them."""
    return {
        "a Lambda layer": _with_lambda,
        "a Lambda layer in a nested network": _with_hidden_lambda,
        "a layer that reads files": _with_vocabulary,
        "a function of another module": _with_function,
        "a network nested as one layer": _nested,
        "a member of model.keras that climbs out": _climbing_network,
        "a zip bomb as network": _network_bomb,
        "weights that claim a terabyte": _shape_bomb,
        "weights that link to another file": _linked_weights,
        "NaN among the weights": _with_nan,
        "weights of another shape": _other_shapes,
        "a network of another input": _other_input,
        "a pickle as heads": _with_pickle,
        "a member of heads.skops that climbs out": _climbing_heads,
        "a zip bomb as heads": _heads_bomb,
        "a forged tree": _forged_tree,
        "a manifest whose name climbs out": lambda folder: edit(folder, name="../../elsewhere"),
        "a manifest that names files elsewhere": _files_elsewhere,
        "a manifest of 20 MB": _large_manifest,
        "a title that is a page of its own": lambda folder: edit(folder, title="<i>" * 1000),
        "no network": lambda folder: (folder / "model.keras").unlink(),
        "no heads": lambda folder: (folder / "heads.skops").unlink(),
        "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    }


def tried(good: Path, work: Path) -> dict[str, str]:
    """Try every attack on copies of a good bundle; return the refusals, empty where loaded."""
    answers = {}
    for name, attack in attacks().items():
        copy = work / good.name
        shutil.copytree(good, copy)
        attack(copy)
        try:
            store.load(copy)
            answers[name] = ""
        except BundleError as error:
            # Where the copy is means nothing to a reader.
            answers[name] = str(error).replace(f"{work}/", "")
        shutil.rmtree(copy)
    return answers


def edit(folder: Path, **entries: Any) -> None:
    """Change entries of the manifest in a bundle's folder."""
    file = folder / "manifest.json"
    facts = json.loads(file.read_text(encoding="utf-8")) | entries
    file.write_text(json.dumps(facts), encoding="utf-8")


def vouch(folder: Path) -> None:
    """Write the checksums of the files as they are into the manifest of a bundle's folder."""
    edit(folder, files={name: sha256(folder / name) for name in _VOUCHED})


def _repacked(file: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the members of an archive, and vouch for the result."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    vouch(file.parent)


def _described(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description of a network."""

    def rewrite(members: dict[str, bytes]) -> None:
        description = json.loads(members["config.json"])
        change(description)
        members["config.json"] = json.dumps(description).encode()

    _repacked(folder / "model.keras", rewrite)


def _weighed(folder: Path, change: Callable[[h5py.File], None]) -> None:
    """Change the weights of a network."""

    def rewrite(members: dict[str, bytes]) -> None:
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as weights:
            change(weights)
        members["model.weights.h5"] = content.getvalue()

    _repacked(folder / "model.keras", rewrite)


def _saved(folder: Path, network: keras.Model) -> None:
    network.save(folder / "model.keras")
    vouch(folder)


def _with_lambda(folder: Path) -> None:
    image = keras.Input((64, 64, 3))
    _saved(folder, keras.Model(image, keras.layers.Lambda(lambda x: x, name="evil")(image)))


def _with_hidden_lambda(folder: Path) -> None:
    inner = keras.Sequential([keras.layers.Lambda(lambda x: x, name="evil")], name="body")
    image = keras.Input((64, 64, 3))
    _saved(folder, keras.Model(image, inner(image)))


def _with_vocabulary(folder: Path) -> None:
    def change(description: dict[str, Any]) -> None:
        layer = description["config"]["layers"][1]
        layer |= {"module": "keras.layers", "class_name": "StringLookup"}
        layer["config"] = {"name": "words", "vocabulary": "/etc/passwd"}

    _described(folder, change)


def _with_function(folder: Path) -> None:
    def change(description: dict[str, Any]) -> None:
        layer = description["config"]["layers"][1]
        layer |= {"module": "keras.utils", "class_name": "get_file", "registered_name": None}
        layer["config"] = {"origin": "http://127.0.0.1:9/", "name": "fetched"}

    _described(folder, change)


def _nested(folder: Path) -> None:
    inner = keras.Sequential([keras.layers.Conv2D(4, 3)], name="resnet50")
    image = keras.Input((64, 64, 3))
    _saved(folder, keras.Model(image, inner(image)))


def _climbing_network(folder: Path) -> None:
    _repacked(folder / "model.keras", lambda members: members.update({"../../evil.txt": b"evil"}))


def _network_bomb(folder: Path) -> None:
    _repacked(
        folder / "model.keras", lambda members: members.update({"model.weights.h5": bytes(_BOMB)})
    )


def _shape_bomb(folder: Path) -> None:
    def change(weights: h5py.File) -> None:
        chunks = {"chunks": (1024, 1024), "compression": "gzip"}
        weights.create_dataset("claimed", (2**19, 2**19), "f4", fillvalue=0.0, **chunks)

    _weighed(folder, change)


def _linked_weights(folder: Path) -> None:
    def change(weights: h5py.File) -> None:
        weights["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")

    _weighed(folder, change)


def _with_nan(folder: Path) -> None:
    network = keras.saving.load_model(folder / "model.keras", compile=False)
    kernel, bias = network.get_layer("logits").get_weights()
    kernel[0, 0] = np.nan
    network.get_layer("logits").set_weights([kernel, bias])
    _saved(folder, network)


def _other_shapes(folder: Path) -> None:
    def change(description: dict[str, Any]) -> None:
        for layer in description["config"]["layers"]:
            if "filters" in layer["config"]:
                layer["config"]["filters"] += 1

    _described(folder, change)


def _other_input(folder: Path) -> None:
    image = keras.Input((96, 96, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="features")(image)
    _saved(folder, keras.Model(image, keras.layers.Dense(2, name="logits")(pooled)))


class _Evil:
    """What a pickle would run when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code of a stranger has run",)


def _with_pickle(folder: Path) -> None:
    (folder / "heads.skops").write_bytes(pickle.dumps({"svm": _Evil()}))
    vouch(folder)


def _climbing_heads(folder: Path) -> None:
    _repacked(folder / "heads.skops", lambda members: members.update({"../../evil.npy": b"evil"}))


def _heads_bomb(folder: Path) -> None:
    _repacked(folder / "heads.skops", lambda members: members.update({"1.npy": bytes(_BOMB)}))


def _forged_tree(folder: Path) -> None:
    """Lead a tree's first node to memory that is not its own."""

    def change(members: dict[str, bytes]) -> None:
        for name, content in members.items():
            if b"left_child" in content[:200] and name.endswith(".npy"):
                nodes = np.load(io.BytesIO(content))
                nodes["left_child"][0] = 2**40
                forged = io.BytesIO()
                np.save(forged, nodes)
                members[name] = forged.getvalue()

    _repacked(folder / "heads.skops", change)


def _files_elsewhere(folder: Path) -> None:
    held = folder / "model.keras"
    held.rename(folder.parent / "model.keras")
    names = {"../model.keras": sha256(folder.parent / "model.keras")}
    edit(folder, files=names | {"heads.skops": sha256(folder / "heads.skops")})


def _large_manifest(folder: Path) -> None:
    edit(folder, padding="x" * 20_000_000)
