"""Cut patches from mammograms and phantoms: around a mass, or from tissue without one.

A patch is a square within its film. Both kinds are drawn alike, so that neither size nor black
border reveals the label: a patch without a mass is about as large as that of a mass drawn at
random, at a place with about as much tissue.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from tqdm.auto import tqdm

from thyro_demo.data import scan_area
from thyro_demo.data.datasets import Abnormality
from thyro_demo.data.images import decode
from thyro_demo.data.roi import NODULE_MARGIN, nodule_boxes
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError
from thyro_demo.files import atomic_write

MASS, NORMAL = "mass", "normal"

MASSES = ("CIRC", "SPIC", "MISC")
"""Classes of mini-MIAS that are masses: well-defined, spiculated and ill-defined ones.

Calcifications are none, nor are architectural distortion (ARCH) and asymmetry (ASYM): there
tissue is drawn together, or more on one side than on the other, without a mass.
"""

_BACKGROUND = 20  # grey level outside the breast, at most
_THIN = 0.006  # of the film's width: half of what labels and edges measure across
# Standard deviation of the logarithm of a side around that of the mass. With the very side of one
# mass, folds without that mass would know the side for a normal one, and size alone would separate
# the labels.
_SIDE_SPREAD = 0.15
_PLACES = 64  # places that are tried for each patch without a mass
_RIVALS = 8  # of these, how many a false positive is chosen from
_ALIKE = 0.05  # largest difference of the shares of tissue in two patches that are alike


def mini_mias(
    films: pd.DataFrame, per_film: int = 2, seed: int = 0, false_positives: bool = True
) -> pd.DataFrame:
    """Choose patches around the masses of mini-MIAS, and as large ones of normal tissue.

    Patches without a mass come from films without any abnormality: a film with
    calcifications, a distortion or an asymmetry alone yields none of either kind.

    Parameters
    ----------
    films : DataFrame
        As `datasets.mini_mias` returns it.
    per_film : int
        Patches of each film without abnormality, 1 or more.
    seed : int
        Of sizes and places.
    false_positives : bool
        Take tissue that a simple detector would mark, because it is brighter in the middle
        than at the rim, as masses are; False takes tissue from anywhere in the breast.

    Returns
    -------
    DataFrame
        Record table, one row a patch: `path` of the film, `label` "mass" or "normal", the
        patient as `group`, `roi` (`Box` in pixels of the film), `width` and `height` of that
        box, `contrast` as the function of this name measures it, and `film`, the film's name.

    Raises
    ------
    DataError
        If no film shows a mass, or `per_film` is below 1.
    """
    marked = [
        [around(found, (height, width)) for found in row if _is_mass(found)]
        for row, height, width in films[["abnormalities", "height", "width"]].itertuples(
            index=False
        )
    ]
    bare = [not row for row in films["abnormalities"]]
    return _Cutter(breast, seed, false_positives).choose(films, marked, bare, per_film)


def phantoms(
    frames: pd.DataFrame, per_film: int = 2, seed: int = 0, false_positives: bool = True
) -> pd.DataFrame:
    """Choose patches around the nodules of phantoms, and as large ones of glands without.

    Parameters
    ----------
    frames : DataFrame
        As `datasets.phantoms` returns it: frames with a nodule, and glands. Autoimmune glands
        yield no patch.
    per_film : int
        Patches of each normal gland, 1 or more.
    seed : int
        Of sizes and places.
    false_positives : bool
        As for `mini_mias`.

    Returns
    -------
    DataFrame
        As `mini_mias` returns it; a "mass" is a nodule.

    Raises
    ------
    DataError
        If no frame has a nodule, or `per_film` is below 1.
    """
    sizes = frames[["height", "width"]].itertuples(index=False)
    marked = [
        [] if box is None else [_square(*_middle(box), max(box.width, box.height), shape)]
        for box, shape in zip(nodule_boxes(frames), sizes, strict=True)
    ]
    bare = [label == "normal" for label in frames["label"]]
    return _Cutter(_everywhere, seed, false_positives).choose(frames, marked, bare, per_film)


def write(patches: pd.DataFrame, folder: str | Path, side: int) -> pd.DataFrame:
    """Write every patch as a square PNG, whole or not at all.

    Parameters
    ----------
    patches : DataFrame
        As `mini_mias` returns it.
    folder : str or Path
        A new or empty folder, or patches written before, which are replaced.
    side : int
        Side of the files in pixels, `frame.MIN_SIDE` or more.

    Returns
    -------
    DataFrame
        The same records without `roi`, `path` now a patch's own file, all of which is the patch.

    Raises
    ------
    DataError
        If `folder` holds anything else.
    """
    folder = Path(folder)
    if folder.exists() and not _replaceable(folder):
        raise DataError(
            "The folder of patches must be new, empty or hold patches alone, which are replaced. "
            f"Received: folder={str(folder)!r}."
        )
    number = patches.groupby("film").cumcount() + 1
    names = [f"{film}-{n}.png" for film, n in zip(patches["film"], number, strict=True)]
    rows = patches.assign(name=names).groupby("path", sort=False)
    with atomic_write(folder) as temporary:
        temporary.mkdir(parents=True)
        for film, cuts in tqdm(rows, "patches", unit="film"):
            image = decode(film)
            for name, box in zip(cuts["name"], cuts["roi"], strict=True):
                square = scan_area.prepare(image, side, box)[0]
                Image.fromarray(np.round(square[..., 0]).astype(np.uint8)).save(temporary / name)
    return patches.drop(columns="roi").assign(path=[str(folder / name) for name in names])


def _replaceable(folder: Path) -> bool:
    """Check whether a folder holds nothing but files that are named as `write` names them."""
    return folder.is_dir() and all(
        entry.is_file() and re.fullmatch(r".+-\d+\.png", entry.name) for entry in folder.iterdir()
    )


def breast(film: np.ndarray) -> np.ndarray:
    """Find the breast on a film, the largest bright thing without labels: bool (H, W)."""
    bright = film[..., 0] > _BACKGROUND
    width = max(1, round(_THIN * film.shape[1]))
    regions, _ = ndimage.label(ndimage.binary_opening(bright, iterations=width))
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes((regions == sizes.argmax()) & (regions > 0))


def around(found: Abnormality, shape: tuple[int, int]) -> Box:
    """Return the square around an abnormality, with the margin of nodules, moved into the film."""
    return _square(found.x, found.y, 2 * found.radius, shape)


def contrast(film: np.ndarray, box: Box) -> float:
    """Measure how much brighter the middle of a patch is (−255 to 255) than its margin."""
    grey = scan_area.crop(film, box)[..., 0].astype(np.float64)
    margin = max(1, round(NODULE_MARGIN / (1 + 2 * NODULE_MARGIN) * box.width))
    middle = np.zeros(grey.shape, bool)
    middle[margin:-margin, margin:-margin] = True
    # What is as dark as the background is no tissue.
    lit = grey > _BACKGROUND
    if not (lit & middle).any() or not (lit & ~middle).any():
        return 0.0
    return float(grey[lit & middle].mean() - grey[lit & ~middle].mean())


def _is_mass(found: Abnormality) -> bool:
    """Check whether an abnormality is a mass that can be found on the film."""
    return found.kind in MASSES and bool(np.isfinite([found.x, found.y, found.radius]).all())


def _everywhere(frame: np.ndarray) -> np.ndarray:
    """Take all of a frame for tissue, bool (H, W)."""
    return np.ones(frame.shape[:2], bool)


def _middle(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def _square(x: float, y: float, across: float, shape: tuple[int, int]) -> Box:
    """Lay a square about a centre, with a margin, and move it into the film."""
    height, width = (int(side) for side in shape)
    side = min(round((1 + 2 * NODULE_MARGIN) * across), height, width)
    left = min(max(round(x - side / 2), 0), width - side)
    top = min(max(round(y - side / 2), 0), height - side)
    return Box(left, top, left + side, top + side)


class _Patch(NamedTuple):
    row: int
    box: Box
    label: str
    contrast: float


class _Cutter:
    """Chooses patches without a mass that are like those with one."""

    def __init__(
        self, tissue: Callable[[np.ndarray], np.ndarray], seed: int, false_positives: bool
    ):
        self.tissue, self.false_positives = tissue, false_positives
        self.rng = np.random.default_rng(seed)

    def choose(
        self,
        films: pd.DataFrame,
        marked: Sequence[Sequence[Box]],
        bare: Sequence[bool],
        per_film: int,
    ) -> pd.DataFrame:
        """Return one row a patch: those that are marked, then `per_film` of each bare film."""
        masses = [(row, box) for row, boxes in enumerate(marked) for box in boxes]
        if not masses or per_film < 1:
            raise DataError(
                "Films must show at least one mass, and per_film must be 1 or more. "
                f"Received: {len(masses)} masses, per_film={per_film}."
            )
        found, shares = [], []
        for row, box in masses:
            film = decode(films["path"].iloc[row])
            shares.append(float(scan_area.crop(self.tissue(film), box).mean()))
            found.append(_Patch(row, box, MASS, contrast(film, box)))
        empty = np.flatnonzero(bare)
        for row in tqdm(empty, "Normal tissue", unit="film", disable=len(empty) < 50):
            film = decode(films["path"].iloc[row])
            tissue = self.tissue(film)
            if not tissue.any():
                raise DataError(
                    "A film without an abnormality must show tissue, of which patches are cut. "
                    f"Received: {films['path'].iloc[row]}, all dark."
                )
            for like in self.rng.integers(len(masses), size=per_film):
                side = masses[like][1].width * np.exp(self.rng.normal(0, _SIDE_SPREAD))
                box = self._place(film, tissue, side, shares[like])
                found.append(_Patch(int(row), box, NORMAL, contrast(film, box)))
        return _table(films, found)

    def _place(self, film: np.ndarray, tissue: np.ndarray, side: float, share: float) -> Box:
        """Find a place with as much tissue in it; of several, perhaps the brightest inside."""
        rows, columns = np.nonzero(tissue)
        boxes = [
            _square(columns[at], rows[at], side / (1 + 2 * NODULE_MARGIN), tissue.shape)
            for at in self.rng.integers(len(rows), size=_PLACES)
        ]
        apart = np.array([abs(scan_area.crop(tissue, box).mean() - share) for box in boxes])
        order = np.argsort(apart, kind="stable")
        alike = [boxes[at] for at in order if apart[at] <= _ALIKE] or [boxes[order[0]]]
        if not self.false_positives:
            return alike[0]
        return max(alike[:_RIVALS], key=lambda box: contrast(film, box))


def _table(films: pd.DataFrame, found: Sequence[_Patch]) -> pd.DataFrame:
    """Make one record of each patch."""
    shown = films.iloc[[patch.row for patch in found]]
    return pd.DataFrame(
        {
            "path": shown["path"].to_numpy(),
            "label": [patch.label for patch in found],
            "group": shown["group"].to_numpy(),
            "source": shown["source"].to_numpy(),
            "width": [patch.box.width for patch in found],
            "height": [patch.box.height for patch in found],
            "contrast": [patch.contrast for patch in found],
            "film": [Path(path).stem for path in shown["path"]],
            # A box in each cell, not four columns.
            "roi": pd.Series([patch.box for patch in found], dtype=object),
        }
    )
