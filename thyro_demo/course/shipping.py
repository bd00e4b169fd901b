"""Chapter 7: the files of a bundle, damaged bundles, model cards, and privacy of image files."""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from thyro_demo.bundle import bundle, heads_file, store
from thyro_demo.bundle.manifest import read_manifest
from thyro_demo.data import images, scan_area
from thyro_demo.errors import BundleError
from thyro_demo.evaluate import intervals

STATES = ("answered", "in part", "not done", "does not apply")
"""Possible states of the answer to an item of a checklist."""

NEEDED = ("README.md", "heads.skops", "manifest.json", "model.keras")
"""Files of a bundle with a network of its own; earlier stages may be beside them."""

_WRITTEN = ("format", "files", "probe", "versions", "checkpoints")


def contents(folder: Path) -> pd.DataFrame:
    """List the files of a bundle.

    Parameters
    ----------
    folder : Path
        The bundle.

    Returns
    -------
    DataFrame
        One row a file: `file`, `megabytes`, and the beginning of its `sha256` in the
        manifest, empty for a file without one.
    """
    known = read_manifest(folder)["files"]
    return pd.DataFrame(
        {
            "file": path.name,
            "megabytes": round(path.stat().st_size / 1e6, 2),
            "sha256": known.get(path.name, "")[:12],
        }
        for path in sorted(folder.iterdir())
    )


def save_again(loaded: bundle.Bundle, out: Path, title: str) -> Path:
    """Save a loaded bundle under another name.

    Parameters
    ----------
    loaded : Bundle
        One network with its heads, loaded from a folder.
    out : Path
        Folder of the new one; its last part becomes its name.
    title : str
        Its name for people.

    Returns
    -------
    Path
        The new bundle.

    Raises
    ------
    BundleError
        If the heads in its folder are damaged, or `out` is taken by something else.
    """
    kept = {key: value for key, value in loaded.manifest.items() if key not in _WRITTEN}
    fitted = heads_file.load(loaded.folder / "heads.skops", loaded.manifest["files"]["heads.skops"])
    card = (loaded.folder / "README.md").read_text(encoding="utf-8")
    facts = kept | {"name": out.name, "title": title}
    return store.write(out, facts, loaded.network, fitted, card)


def damages(folder: Path, work: Path) -> dict[str, str]:
    """Damage copies of a bundle in several ways, and try to load each.

    Parameters
    ----------
    folder : Path
        A bundle with a network of its own; it is left as it is.
    work : Path
        Where the copies are kept meanwhile.

    Returns
    -------
    dict of str to str
        What was done, and the message of the loader; empty where it noticed nothing.
    """
    messages = {}
    for what, harm in _HARMS.items():
        copy = work / folder.name
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for name in NEEDED:
            shutil.copy(folder / name, copy / name)
        harm(copy)
        try:
            store.load(copy)
            messages[what] = ""
        except BundleError as error:
            # The folder of the copy is of no interest to a reader.
            messages[what] = str(error).replace(f"{copy}/", "")
        shutil.rmtree(copy)
    return messages


def _flip(copy: Path) -> None:
    content = bytearray((copy / "heads.skops").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "heads.skops").write_bytes(bytes(content))


def _lose(copy: Path) -> None:
    (copy / "model.keras").unlink()


def _cut(copy: Path) -> None:
    text = (copy / "manifest.json").read_text(encoding="utf-8")
    (copy / "manifest.json").write_text(text[: len(text) // 2], encoding="utf-8")


def _other_scores(copy: Path) -> None:
    # The stored scores change, as a head's would under another version of scikit-learn.
    path = copy / "manifest.json"
    text = path.read_text(encoding="utf-8")
    before, after = text.rsplit('"probe": {', 1)
    after = re.sub(r": (0|1)\.\d+", ": 0.123456", after, count=1)
    path.write_text(f'{before}"probe": {{{after}', encoding="utf-8")


_HARMS: dict[str, Callable[[Path], None]] = {
    "one bit of the heads flipped": _flip,
    "the network lost": _lose,
    "the manifest cut in half": _cut,
    "heads that score otherwise than they did": _other_scores,
}


def sections(card: str) -> dict[str, str]:
    """Cut a model card at its headings.

    Parameters
    ----------
    card : str
        Markdown.

    Returns
    -------
    dict of str to str
        Heading of the second level to the text under it.
    """
    parts = re.split(r"^## (.+)$", card, flags=re.MULTILINE)
    return {
        heading.strip(): text.strip()
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def checklist(card: str) -> pd.DataFrame:
    """Read the checklists of two guidelines off a card, and the state of each answer.

    Parameters
    ----------
    card : str
        Model card of this project.

    Returns
    -------
    DataFrame
        One row an item: `guideline`, `item`, `asked`, `answer`, and `state`, one of `STATES`.
    """
    rows = []
    for block in card.split("<details>")[1:]:
        found = re.search(r"<summary>(\S+)", block)
        guideline = found[1] if found else ""
        for line in re.findall(r"^\| (\d+\w? \|.+) \|$", block, re.MULTILINE):
            item, asked, answer = line.split(" | ", 2)
            rows.append(
                {
                    "guideline": guideline,
                    "item": item,
                    "asked": asked,
                    "answer": answer,
                    "state": _state(answer),
                }
            )
    return pd.DataFrame(rows, columns=["guideline", "item", "asked", "answer", "state"])


def _state(answer: str) -> str:
    if answer.startswith("Not done"):
        return "not done"
    if answer.startswith("Does not apply"):
        return "does not apply"
    return "in part" if "Not done" in answer or answer.startswith("In part") else "answered"


def ood_score(loaded: bundle.Bundle, frame: np.ndarray) -> float:
    """Measure how far out of distribution a frame is for a bundle.

    Parameters
    ----------
    loaded : Bundle
        The bundle.
    frame : ndarray of uint8, shape (H, W, 3)
        RGB.

    Returns
    -------
    float
        Distance of its features over the one that 1 % of training images exceed; above 1 the
        app warns that the scores mean little.
    """
    square, _ = scan_area.prepare(frame, loaded.input_size)
    return float(loaded.ood_score(loaded.forward(square[None]))[0])


def share_out_of_distribution(
    loaded: bundle.Bundle, frames: Iterable[np.ndarray]
) -> dict[str, float]:
    """Compute the share of frames that the app would mark as unlike the training images.

    Parameters
    ----------
    loaded : Bundle
        The bundle.
    frames : iterable of ndarray of uint8, shape (H, W, 3)
        RGB, each of another patient.

    Returns
    -------
    dict of str to float
        `value`, the share of them, 0–1, with `low` and `high`, its 95 % interval (Wilson 1927).
    """
    found = [ood_score(loaded, frame) > 1 for frame in frames]
    return intervals.share(sum(found), len(found))._asdict()


def with_name(frame: np.ndarray, text: str) -> np.ndarray:
    """Burn a name into the corner of a frame, as scanners do.

    Parameters
    ----------
    frame : ndarray of uint8, shape (H, W, 3)
        RGB, with a margin below the scan.
    text : str
        What is written.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        A copy with the text at the lower left.
    """
    picture = Image.fromarray(frame)
    pen = ImageDraw.Draw(picture)
    pen.text((6, frame.shape[0] - 14), text, fill=(235, 235, 235), font=ImageFont.load_default(10))
    return np.asarray(picture)


def strip_metadata(source: Path, target: Path) -> Path:
    """Save the pixels of an image, and nothing else that its file contains.

    Parameters
    ----------
    source : Path
        Any image file that is read.
    target : Path
        A PNG file.

    Returns
    -------
    Path
        The target. What is written *on* the pixels stays.

    Raises
    ------
    ImageError
        If the source cannot be read.
    """
    Image.fromarray(images.decode(source)).save(target, "PNG")
    return target
