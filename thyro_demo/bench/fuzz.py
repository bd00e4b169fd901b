"""Feed damaged files to everything that reads files of others.

Each input follows from its kind, a seed and its number alone, whatever came before it: who
reads of a failure can make the very same input again with `made`.
"""

import contextlib
import io
import json
import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from thyro_demo.bench import dicom_files
from thyro_demo.bundle import manifest
from thyro_demo.data import datasets, images
from thyro_demo.errors import ThyroError

SEED = 2026
SHARES = {
    "png": 0.12, "jpeg": 0.12, "tiff": 0.12, "gif": 0.10, "ppm": 0.06, "bmp": 0.04, "webp": 0.06,
    "heic": 0.08, "dicom": 0.14, "table": 0.06, "manifest": 0.10,
}  # fmt: skip
"""Kinds of inputs, and how large a share of all each is."""

_PICTURES = ("png", "jpeg", "tiff", "gif", "ppm", "bmp", "webp")
# Where a file begins to be read: what a DICOM file has before that is nobody's business.
_BEGINS = {"dicom": 128}
_SIDE = 40
_MOST_SHOWN = 4096
# What parsers stumble on: ends of ranges, signs, lengths, separators.
_ODD_BYTES = (
    b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff",
    b"-1", b"9" * 30, b"1e999", b"NaN", b'"', b"\\u0000", b",", b"\n", b"\r", b"[" * 50, b"{}",
    b"null", b"../", b"\xef\xbb\xbf", b"\xff\xfe",
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """An input that got neither a result nor a sentence; `made` makes it again."""

    kind: str
    seed: int
    number: int
    what: str
    content: bytes

    def __str__(self) -> str:
        """Name all that is needed to repeat it."""
        shown = self.content[:_MOST_SHOWN].hex()
        return f"{self.kind}, seed {self.seed}, number {self.number}: {self.what}; input {shown}"


@dataclass
class Tally:
    """How inputs of one kind were answered: read in spite of all, refused in one sentence, else."""

    read: int
    refused: int
    failures: list[Failure]


def run(count: int, seed: int = SEED) -> dict[str, Tally]:
    """Feed inputs of every kind, `count` in all, to their readers; tally the answers by kind."""
    tallies = {kind: Tally(0, 0, []) for kind in SHARES}
    with (
        tempfile.TemporaryDirectory() as scratch,
        _silenced() as terminal,
        tqdm(total=count, desc="Fuzzing", unit="input", file=terminal) as bar,
    ):
        for kind, share in SHARES.items():
            for number in range(round(count * share)):
                _tally(tallies[kind], kind, seed, number, Path(scratch))
                bar.update()
    return tallies


def made(kind: str, seed: int, number: int) -> bytes:
    """Make the input of a kind and number: a sound file of that kind with some damage."""
    chance = random.Random(f"{kind}:{seed}:{number}")
    content = bytearray(chance.choice(_sound(kind)))
    for _ in range(chance.randint(1, 5)):
        _damage(content, chance, _BEGINS.get(kind, 0))
    return bytes(content)


def answer(kind: str, content: bytes, scratch: Path) -> bool:
    """Check that an input is read (True) or refused in one sentence (False)."""
    reader: Callable[[bytes, Path], None]
    reader = {"table": _read_table, "manifest": _read_manifest}.get(kind, _decode)
    try:
        reader(content, scratch)
    except ThyroError as error:
        refusal = str(error)
        assert "Received: " in refusal, f"a sentence without what was received: {refusal!r}"
        assert "\n" not in refusal, f"more than one line: {refusal!r}"
        return False
    return True


@contextlib.contextmanager
def _silenced() -> Iterator[TextIO]:
    """Send to nowhere what the C libraries print of damage, and yield the terminal for ours."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere, open(kept, "w", encoding="utf-8") as terminal:
        os.dup2(nowhere.fileno(), 2)
        logging.disable()
        try:
            yield terminal
        finally:
            logging.disable(logging.NOTSET)
            os.dup2(kept, 2)


def _tally(tally: Tally, kind: str, seed: int, number: int, scratch: Path) -> None:
    content = made(kind, seed, number)
    try:
        if answer(kind, content, scratch):
            tally.read += 1
        else:
            tally.refused += 1
    except Exception as error:
        # Whatever it is, it is what this bench looks for.
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        tally.failures.append(Failure(kind, seed, number, what, content))


def _decode(content: bytes, scratch: Path) -> None:
    image = images.decode(content)
    assert image.dtype == np.uint8, f"an image of {image.dtype}"
    assert image.shape[2:] == (3,), f"an image of {image.shape}"


def _read_table(content: bytes, scratch: Path) -> None:
    for name in ("a.png", "b.png", "c d.png"):
        (scratch / name).touch()
    (scratch / "index.csv").write_bytes(content)
    records = datasets.index_csv(scratch)
    assert set(datasets.REQUIRED) <= set(records.columns), "a table without its columns"
    for path in records["path"]:
        inside = scratch.resolve() in Path(path).resolve().parents
        assert inside, f"a path that leaves its folder: {path!r}"


def _read_manifest(content: bytes, scratch: Path) -> None:
    (scratch / "manifest.json").write_bytes(content)
    found = manifest.read_manifest(scratch)
    # What the page asks of every manifest before a network is loaded.
    assert manifest.kind(found) in manifest.KINDS
    for head in found["heads"]:
        for point in manifest.OPERATING_POINTS:
            assert 0 <= float(found["thresholds"][head][point]) <= 1
    assert "/" not in found["name"], "a name that is a path"


@cache
def _sound(kind: str) -> tuple[bytes, ...]:
    """Make sound files of a kind."""
    if kind in _PICTURES:
        return tuple(_pictures(kind))
    if kind in ("dicom", "heic"):
        return tuple(_dicom() if kind == "dicom" else _heic())
    if kind == "table":
        return tuple(text.encode() for text in _TABLES)
    return tuple(json.dumps(facts).encode() for facts in _manifests())


def _pictures(kind: str) -> Iterator[bytes]:
    """Draw small frames, in the modes and ways of packing that a kind has."""
    noise = np.random.default_rng(0).integers(0, 255, (_SIDE, _SIDE, 3)).astype(np.uint8)
    colour = Image.fromarray(noise)
    ways: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "png": [("RGB", {}), ("L", {}), ("P", {}), ("RGBA", {}), ("I;16", {}), ("1", {})],
        "jpeg": [("RGB", {}), ("L", {}), ("RGB", {"progressive": True}), ("CMYK", {})],
        "tiff": [
            ("RGB", {}), ("L", {"compression": "tiff_lzw"}), ("I;16", {}), ("F", {}),
            ("L", {"compression": "tiff_adobe_deflate"}), ("1", {"compression": "group4"}),
        ],
        "gif": [("P", {}), ("L", {}), ("P", {"interlace": 1})],
        "ppm": [("RGB", {}), ("L", {}), ("1", {})],
        "bmp": [("RGB", {}), ("L", {}), ("P", {})],
        "webp": [("RGB", {}), ("RGBA", {"lossless": True})],
    }  # fmt: skip
    for mode, options in ways[kind]:
        stream = io.BytesIO()
        image = colour.convert("L").convert("I").convert(mode) if mode == "I;16" else None
        with contextlib.suppress(KeyError):
            (image or colour.convert(mode)).save(stream, kind, **options)
        yield stream.getvalue()


def _heic() -> Iterator[bytes]:
    """Write small photos as phones do."""
    import pillow_heif

    noise = np.random.default_rng(0).integers(0, 255, (_SIDE, _SIDE, 3)).astype(np.uint8)
    for mode in ("RGB", "L", "RGBA"):
        stream = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(noise).convert(mode)).save(stream, quality=90)
        yield stream.getvalue()


def _dicom() -> Iterator[bytes]:
    """Write frames of ultrasound in every transfer syntax, several of them, and in colours."""
    noise = np.random.default_rng(0).integers(0, 255, (2, _SIDE, _SIDE, 3)).astype(np.uint8)
    grey = noise[..., 0]
    for syntax in (*dicom_files.LOSSLESS.values(), *dicom_files.LOSSY.values()):
        yield dicom_files.write(grey, syntax, "MONOCHROME2")
    explicit = dicom_files.LOSSLESS["explicit"]
    yield dicom_files.write(257 * grey.astype(np.uint16), explicit, "MONOCHROME1")
    yield dicom_files.write(noise, explicit, "RGB")
    yield dicom_files.write(noise, dicom_files.BASELINE, "YBR_FULL_422")


_TABLES = (
    "path,label,group\na.png,benign,1\nb.png,malignant,2\n",
    "path,label,group,source,size_mm\na.png,benign,007,x,12.5\nc d.png,malignant,,y,\n",
    'path,label,group,printed_grade,width\n"a.png",benign,"1,2",4,40\nb.png,malignant,2,5,40\n',
    "label;path;group\nbenign;a.png;1\n",
)


def _manifests() -> Iterator[dict[str, Any]]:
    """Write a manifest of a network, and one of an ensemble."""
    points = {"youden": 0.5, "sens95": 0.25}
    shared = {
        "format": 1, "name": "tiny", "title": "Tiny net", "backbone": "two-layer-cnn",
        "classes": ["benign", "malignant"], "primary": "svm", "training_images": ["ab"],
        "files": {"model.keras": "ab", "heads.skops": "cd"}, "probe": {"svm": 0.5},
        "versions": {"keras": "3.13.0"}, "chain": [{"stage": "thyroid", "trained": "head"}],
    }  # fmt: skip
    yield shared | {
        "heads": ["softmax", "svm"], "thresholds": {"softmax": points, "svm": points},
        "input_size": 64, "cam_layer": "conv2_pool", "ood_limits": {"ddti": 1.5},
        "pooling": "average", "region": "scan",
    }  # fmt: skip
    yield shared | {
        "heads": ["svm", "average"], "thresholds": {"svm": points, "average": points},
        "members": [{"name": n, "sha256": "ab", "heads_sha256": "cd"} for n in ("a", "b")],
        "average": {"of": [["a", "svm"], ["b", "svm"]], "slope": 1.0, "intercept": 0.0},
    }  # fmt: skip


def _damage(content: bytearray, chance: random.Random, begin: int) -> None:
    """Change a file in one place, half of the time near where it begins to be read."""
    place = chance.randrange(len(content) + 1)
    # The beginning decides how the rest is read.
    if chance.random() < 0.5:
        place = min(place, begin + chance.randrange(64))
    how = chance.randrange(6)
    if how == 0 and place < len(content):
        content[place] ^= 1 << chance.randrange(8)
    elif how == 1:
        content[place : place + 1] = chance.choice(_ODD_BYTES)
    elif how == 2:
        content[place:place] = chance.choice(_ODD_BYTES)
    elif how == 3:
        del content[place:]
    elif how == 4:
        del content[place : place + chance.randint(1, 9)]
    else:
        other = chance.randrange(len(content) + 1)
        content[place : place + 9] = content[other : other + chance.randint(1, 30)]
