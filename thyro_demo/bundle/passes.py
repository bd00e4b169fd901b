"""One forward pass of each network over the images of a table, batch by batch.

Whatever is asked of these images, scores, heatmaps or the nodule map, reads the same passes, so
that no network runs twice.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from thyro_demo.bundle import manifest
from thyro_demo.data import images, scan_area
from thyro_demo.data.roi import NODULE_MARGIN, nodule_boxes, widen
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError, ImageError

if TYPE_CHECKING:
    from thyro_demo.bundle.bundle import Bundle, Forward
    from thyro_demo.bundle.ensemble import Ensemble

_NAMED = 3


class Batch(NamedTuple):
    """Some images of a table, as the networks of a bundle saw them.

    Attributes
    ----------
    rows : DataFrame
        Their records.
    boxes : list of Box
        What was cut out of each frame.
    shapes : list of tuple of int
        Height and width of each frame in pixels.
    forwards : list of Forward
        One of each of the bundle's networks.
    """

    rows: pd.DataFrame
    boxes: list[Box]
    shapes: list[tuple[int, int]]
    forwards: "list[Forward]"

    def scores(self, bundle: "Bundle | Ensemble") -> pd.DataFrame:
        """Score these images with every head.

        Parameters
        ----------
        bundle : Bundle or Ensemble
            Whose networks saw them.

        Returns
        -------
        DataFrame
            One row an image and head: ``path, group, source, label, head, score``.
        """
        known = self.rows[["path", "group", "source", "label"]]
        return pd.concat(
            [
                known.assign(head=head, score=score)
                for head, score in bundle.scores(*self.forwards).items()
            ]
        )


class _Cut(NamedTuple):
    box: Box
    shape: tuple[int, int]
    squares: dict[int, np.ndarray]


def run(bundle: "Bundle | Ensemble", records: pd.DataFrame, batch: int = 16) -> Iterator[Batch]:
    """Run the networks of a bundle over every image of a table, once.

    Parameters
    ----------
    bundle : Bundle or Ensemble
        The bundle.
    records : DataFrame
        With `path`, one row an image; for a bundle that reads a marked nodule also with what
        `roi.nodule_boxes` reads.
    batch : int
        Images a forward pass.

    Yields
    ------
    Batch
        The images in their order.

    Raises
    ------
    DataError
        If an image cannot be read, or has no nodule marked for a bundle that reads one: figures
        over the rest would not be those of the table. All unreadable images are counted first.
    """
    rois = _rois(bundle, records)
    sizes = {network.input_size for network in bundle.networks}
    unreadable: list[str] = []

    def prepare(row: int) -> _Cut | None:
        path, roi = records["path"].iloc[row], rois[row]
        try:
            frame = images.load(path)
        except ImageError:
            unreadable.append(path)
            return None
        image = frame.pixels
        box = roi and widen(roi, NODULE_MARGIN, image.shape)
        box = box or frame.scan_area()
        cut = scan_area.crop(image, box)
        squares = {size: scan_area.resize(cut, size) for size in sizes}
        return _Cut(box, (image.shape[0], image.shape[1]), squares)

    starts = range(0, len(records), batch)
    # Pillow decodes and resizes outside Python's lock.
    with ThreadPoolExecutor(2) as pool:
        for start in tqdm(starts, "Images", unit="batch", leave=False, disable=None):
            rows = records.iloc[start : start + batch]
            cuts = [cut for cut in pool.map(prepare, range(start, start + len(rows))) if cut]
            if not unreadable:
                squares = {size: np.stack([cut.squares[size] for cut in cuts]) for size in sizes}
                yield Batch(
                    rows,
                    [cut.box for cut in cuts],
                    [cut.shape for cut in cuts],
                    [one.forward(squares[one.input_size]) for one in bundle.networks],
                )
    if unreadable:
        raise DataError(
            "Every image of a table must be readable; mend these files or remove their rows. "
            f"Received: {len(unreadable)} unreadable, {_first(sorted(unreadable))}."
        )


def _rois(bundle: "Bundle | Ensemble", records: pd.DataFrame) -> Sequence[Box | None]:
    """Find the marked nodule of each image, for a bundle that reads them."""
    if manifest.kind(bundle.manifest) != "roi":
        return [None] * len(records)
    rois = nodule_boxes(records)
    missing = [path for path, roi in zip(records["path"], rois, strict=True) if roi is None]
    if missing:
        raise DataError(
            f"{bundle.title} reads a marked nodule, so every image of a table must have one. "
            f"Received: {len(missing)} without, {_first(missing)}."
        )
    return rois


def _first(paths: Sequence[str]) -> str:
    return ", ".join(paths[:_NAMED])
