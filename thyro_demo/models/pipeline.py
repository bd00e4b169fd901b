"""From record tables to batches: decode and crop once, augment in the graph."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm.auto import tqdm

from thyro_demo.data.images import decode
from thyro_demo.data.preprocess import NODULE_MARGIN, Box, prepare, widen
from thyro_demo.errors import DataError


@dataclass(frozen=True)
class Augmentation:
    """How far a training view may depart from the frame.

    A vertical flip is left out on purpose: sound travels downward, so shadows and
    enhancement below a nodule carry meaning, and no scanner shows the skin at the bottom.

    Parameters
    ----------
    flip : bool
        Mirror left and right with probability one half.
    shift : float
        Largest shift along each axis, as a share of the side, 0–0.5.
    zoom : float
        Largest relative change of scale, 0–0.5.
    gain : float
        Standard deviation of brightness (share of 255) and of the logarithm of contrast.
    speckle : float
        Largest standard deviation of multiplicative noise; each view has its own between
        zero and this, so that frames without added noise stay familiar.
    """

    flip: bool = True
    shift: float = 0.06
    zoom: float = 0.10
    gain: float = 0.08
    speckle: float = 0.06


@dataclass(frozen=True)
class Frames:
    """Decoded, cropped and resized images of one record table, row by row.

    Parameters
    ----------
    images : ndarray of uint8 (n, s, s, 3)
        RGB.
    labels : ndarray of int64 (n,)
        Index into `classes`.
    classes : tuple of str
        Names of the labels.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def load_frames(
    records: pd.DataFrame, classes: Sequence[str], size: int, crop: bool = True
) -> Frames:
    """Decode, crop to the scan area and resize every image of a table, once.

    Parameters
    ----------
    records : DataFrame
        Record table with `path` and `label`; where it has a column `roi` (a `Box` in each
        row), frames are cropped to that box and a margin instead.
    classes : sequence of str
        Class names in the order of the network's outputs.
    size : int
        Side of the result, pixels.
    crop : bool
        Crop to the scan area first. Off for sets that are no scanner frames
        (natural images, radiographs).

    Returns
    -------
    Frames
        One row a record, in the same order.

    Raises
    ------
    DataError
        If a label is not among `classes`.
    """
    unknown = sorted(set(records["label"]) - set(classes))
    if unknown:
        raise DataError(
            f"Every label has to be one of {', '.join(classes)}. Received: {', '.join(unknown)}."
        )
    images = np.empty((len(records), size, size, 3), np.uint8)

    boxes = records["roi"] if "roi" in records else [None] * len(records)

    def load(row: int, path: str, roi: Box | None) -> None:
        image = decode(path)
        whole = None if crop else Box(0, 0, image.shape[1], image.shape[0])
        box = whole if roi is None else widen(roi, NODULE_MARGIN, image.shape)
        images[row] = np.round(prepare(image, size, box)[0]).astype(np.uint8)

    # Pillow decodes and resizes outside Python's lock.
    with ThreadPoolExecutor(2) as pool:
        jobs = pool.map(load, range(len(records)), records["path"], boxes)
        for _ in tqdm(jobs, total=len(records), desc="Reading images", unit="image"):
            pass
    index = {name: number for number, name in enumerate(classes)}
    labels = records["label"].map(index).to_numpy(np.int64)
    return Frames(images, labels, tuple(classes))


def augment(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Draw one augmented view of each image of a batch.

    Parameters
    ----------
    images : Tensor of uint8 or float32 (n, s, s, 3)
        RGB, 0–255.
    seed : Tensor of int32 (2,)
        The same seed draws the same views, on any number of threads.
    augmentation : Augmentation
        How far views may depart.

    Returns
    -------
    Tensor of float32 (n, s, s, 3)
        RGB, 0–255.
    """
    images = tf.cast(images, tf.float32)
    count, side = tf.shape(images)[0], tf.cast(tf.shape(images)[1], tf.float32)
    draws = tf.random.experimental.stateless_split(seed, 6)
    mirror = tf.ones((count,))
    if augmentation.flip:
        coin = tf.random.stateless_uniform((count,), draws[0])
        mirror = tf.where(coin < 0.5, -1.0, 1.0)
    scale = 1.0 + augmentation.zoom * tf.random.stateless_uniform((count,), draws[1], -1.0, 1.0)
    shift = side * augmentation.shift * tf.random.stateless_uniform((count, 2), draws[2], -1.0, 1.0)
    # Rows of the projective transform, from pixels of the view to pixels of the frame,
    # about the centre of the frame.
    centre, zero = (side - 1.0) / 2.0, tf.zeros((count,))
    across, down = mirror * scale, scale
    rows = [
        across, zero, centre - across * centre + shift[:, 0],
        zero, down, centre - down * centre + shift[:, 1],
        zero, zero,
    ]  # fmt: skip
    views = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    tone = augmentation.gain * tf.random.stateless_normal((count, 2, 1, 1, 1), draws[3])
    views = views * tf.exp(tone[:, 0]) + 255.0 * tone[:, 1]
    noise = tf.random.stateless_normal(tf.concat([tf.shape(views)[:3], [1]], 0), draws[4])
    strength = augmentation.speckle * tf.random.stateless_uniform((count, 1, 1, 1), draws[5])
    return tf.clip_by_value(views * (1.0 + strength * noise), 0.0, 255.0)


def batches(
    images: np.ndarray,
    order: np.ndarray,
    batch: int,
    seed: tuple[int, int] = (0, 0),
    augmentation: Augmentation | None = None,
    side: int | None = None,
) -> tf.data.Dataset:
    """Give the images of one epoch in a fixed order, batch by batch.

    Parameters
    ----------
    images : ndarray of uint8 (n, s, s, 3)
        All images, decoded and cropped.
    order : ndarray of int64 (m,)
        Rows of `images` to give.
    batch : int
        Batch size.
    seed : tuple of int
        Run and epoch; with the number of the batch it fixes every view.
    augmentation : Augmentation, optional
        None gives the images as they are.
    side : int, optional
        Shrink to this side by area averages; None leaves the size.

    Returns
    -------
    tf.data.Dataset
        Of float32 (batch, s, s, 3), 0–255.
    """
    held = tf.constant(images)
    run, epoch = seed
    rows = tf.data.Dataset.from_tensor_slices(np.asarray(order, np.int64)).batch(batch)

    def view(number: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        picked = tf.cast(tf.gather(held, chosen), tf.float32)
        if augmentation is not None:
            key = tf.stack([tf.constant(run, tf.int64), number + 100_003 * epoch])
            picked = augment(picked, key, augmentation)
        if side is not None and side != images.shape[1]:
            picked = tf.image.resize(picked, (side, side), "area")
        return picked

    return rows.enumerate().map(view, num_parallel_calls=2, deterministic=True).prefetch(2)
