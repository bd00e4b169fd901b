"""From record tables to batches: decode and crop once, augment in the graph."""

import functools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image
from tqdm.auto import tqdm

from thyro_demo.data.images import load as load_frame
from thyro_demo.data.roi import NODULE_MARGIN, widen
from thyro_demo.data.scan_area import Box, crop, prepare
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
        zero and this, so that frames without added noise occur as well.
    gamma : float
        Standard deviation of the logarithm of the exponent of a grey curve.
    depth : float
        Standard deviation of the logarithm of the gain at the lower edge over that at the
        upper one, as of a scanner's time gain compensation.
    grain : float
        Largest share of the noise that is smoothed over neighbouring pixels, 0–1: speckle has
        the grain of the probe, not of the pixels.
    shadow : float
        Probability of an acoustic shadow: a dark stripe from a random depth downward, 0–1.
    """

    flip: bool = True
    shift: float = 0.06
    zoom: float = 0.10
    gain: float = 0.08
    speckle: float = 0.06
    gamma: float = 0.0
    depth: float = 0.0
    grain: float = 0.0
    shadow: float = 0.0


@dataclass(frozen=True)
class Frames:
    """Decoded, cropped and resized images of one record table, row by row.

    Parameters
    ----------
    images : ndarray of uint8 (n, s, s, 3), or (n, s, s, 4)
        RGB; a fourth channel holds the nodule's mask, 0 or 255.
    labels : ndarray of int64 (n,)
        Index into `classes`; −1 where the label is not known.
    classes : tuple of str
        Names of the labels.
    outlined : ndarray of bool (n,), or None
        Where the mask is known, be it empty; None without masks.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    outlined: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


def load_frames(
    records: pd.DataFrame,
    classes: Sequence[str],
    size: int,
    crop: bool = True,
    boxes: Iterable[Box | None] | None = None,
) -> Frames:
    """Decode, crop to the scan area and resize every image of a table, once.

    Parameters
    ----------
    records : DataFrame
        Record table with `path` and `label`. A column `roi` of a user's set is left alone:
        whoever crops to regions hands them over as `boxes`.
    classes : sequence of str
        Class names in the order of the network's outputs.
    size : int
        Side of the result, pixels.
    crop : bool
        Crop to the scan area first. Off for sets that are no scanner frames
        (natural images, radiographs).
    boxes : iterable of (Box or None), optional
        The nodule of each record; frames are cropped to it and a margin instead.

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
            f"Every label must be one of {', '.join(classes)}. Received: {', '.join(unknown)}."
        )
    images = np.empty((len(records), size, size, 3), np.uint8)

    regions = [None] * len(records) if boxes is None else list(boxes)

    def load(row: int, path: str, roi: Box | None) -> None:
        frame = load_frame(path)
        image = frame.pixels
        whole = frame.area if crop else Box(0, 0, image.shape[1], image.shape[0])
        box = whole if roi is None else widen(roi, NODULE_MARGIN, image.shape)
        images[row] = np.round(prepare(image, size, box)[0]).astype(np.uint8)

    # Pillow decodes and resizes outside Python's lock.
    with ThreadPoolExecutor(2) as pool:
        jobs = pool.map(load, range(len(records)), records["path"], regions)
        for _ in tqdm(jobs, total=len(records), desc="Reading images", unit="image"):
            pass
    index = {name: number for number, name in enumerate(classes)}
    labels = records["label"].map(index).to_numpy(np.int64)
    return Frames(images, labels, tuple(classes))


def load_outlined(
    records: pd.DataFrame, masks: Iterable[np.ndarray | None], classes: Sequence[str], size: int
) -> Frames:
    """Decode, crop to the scan area and resize every image of a table, with its nodule's mask.

    Parameters
    ----------
    records : DataFrame
        Record table with `path` and `label`; a label that is none of `classes` counts as unknown.
    masks : iterable of (ndarray of bool (H, W), or None)
        The nodule of each record, in the coordinates of its frame; None where it is not known.
    classes : sequence of str
        Class names in the order of the network's outputs.
    size : int
        Side of the result, pixels.

    Returns
    -------
    Frames
        One row a record, in the same order, with masks.
    """
    images = np.empty((len(records), size, size, 4), np.uint8)
    outlined = np.zeros(len(records), bool)

    def load(row: int, path: str, mask: np.ndarray | None) -> None:
        frame = load_frame(path)
        square, box = prepare(frame.pixels, size, frame.area)
        images[row, ..., :3] = np.round(square)
        if mask is None:
            mask = np.zeros((box.bottom, box.right), bool)
        else:
            outlined[row] = True
        nodule = Image.fromarray(crop(mask, box).astype(np.uint8) * 255)
        images[row, ..., 3] = np.asarray(nodule.resize((size, size), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(2) as pool:
        jobs = pool.map(load, range(len(records)), records["path"], masks)
        for _ in tqdm(jobs, total=len(records), desc="Reading outlines", unit="image"):
            pass
    index = {name: number for number, name in enumerate(classes)}
    labels = records["label"].map(index).fillna(-1).to_numpy(np.int64)
    return Frames(images, labels, tuple(classes), outlined)


def augment(images: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Draw one augmented view of each image of a batch.

    Parameters
    ----------
    images : Tensor of uint8 or float32 (n, s, s, 3), or more channels
        RGB, 0–255; what follows, a mask, moves along and keeps its values.
    seed : Tensor of int32 (2,)
        The same seed draws the same views, on any number of threads.
    augmentation : Augmentation
        How far views may depart.

    Returns
    -------
    Tensor of float32, same shape
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
    views, masks = views[..., :3], views[..., 3:]
    tone = augmentation.gain * tf.random.stateless_normal((count, 2, 1, 1, 1), draws[3])
    views = views * tf.exp(tone[:, 0]) + 255.0 * tone[:, 1]
    noise = tf.random.stateless_normal(tf.concat([tf.shape(views)[:3], [1]], 0), draws[4])
    strength = augmentation.speckle * tf.random.stateless_uniform((count, 1, 1, 1), draws[5])
    if augmentation.gamma or augmentation.depth or augmentation.grain or augmentation.shadow:
        views, noise = _as_scanned(views, noise, draws[5], augmentation)
    views = tf.clip_by_value(views * (1.0 + strength * noise), 0.0, 255.0)
    return tf.concat([views, masks], axis=-1)


def _as_scanned(
    views: tf.Tensor, noise: tf.Tensor, seed: tf.Tensor, augmentation: Augmentation
) -> tuple[tf.Tensor, tf.Tensor]:
    """Vary views as another setting of the scanner would, and smooth their noise."""
    draws = tf.random.experimental.stateless_split(seed, 5)
    one = (tf.shape(views)[0], 1, 1, 1)
    exponent = tf.exp(augmentation.gamma * tf.random.stateless_normal(one, draws[0]))
    views = 255.0 * (tf.clip_by_value(views, 0.0, 255.0) / 255.0) ** exponent
    down = tf.linspace(-0.5, 0.5, tf.shape(views)[1])[None, :, None, None]
    across = tf.linspace(0.0, 1.0, tf.shape(views)[2])[None, None, :, None]
    views *= tf.exp(augmentation.depth * tf.random.stateless_normal(one, draws[1]) * down)
    place = tf.random.stateless_uniform((tf.shape(views)[0], 4, 1, 1, 1), draws[2])
    beside = tf.abs(across - place[:, 0]) / (0.02 + 0.08 * place[:, 1])
    below = tf.sigmoid((down + 0.5 - place[:, 2]) * 40.0)
    falls = tf.cast(place[:, 3] < augmentation.shadow, tf.float32)
    views *= 1.0 - 0.7 * falls * below * tf.exp(-(beside**2))
    # Three by three pixels, brought back to the spread of one.
    smooth = 3.0 * tf.nn.avg_pool2d(noise, 3, 1, "SAME")
    share = augmentation.grain * tf.random.stateless_uniform(one, draws[3])
    return views, (1.0 - share) * noise + share * smooth


@functools.cache
def _drawing(augmentation: Augmentation, channels: int) -> Any:
    """Trace `augment` once for all epochs, which takes longer than to draw a small batch."""
    draw = tf.function(functools.partial(augment, augmentation=augmentation), autograph=False)
    frames = tf.TensorSpec((None, None, None, channels), tf.float32)
    return draw.get_concrete_function(frames, tf.TensorSpec((2,), tf.int64))


def batches(
    images: np.ndarray,
    order: np.ndarray,
    batch: int,
    seed: tuple[int, int] = (0, 0),
    augmentation: Augmentation | None = None,
    side: int | None = None,
) -> tf.data.Dataset:
    """Yield the images of one epoch in a fixed order, batch by batch.

    Parameters
    ----------
    images : ndarray of uint8 (n, s, s, 3 or 4)
        All images, decoded and cropped.
    order : ndarray of int64 (m,)
        Rows of `images`.
    batch : int
        Batch size.
    seed : tuple of int
        Run and epoch; with the number of the batch it fixes every view.
    augmentation : Augmentation, optional
        None leaves the images as they are.
    side : int, optional
        Shrink to this side by area averages; None leaves the size.

    Returns
    -------
    tf.data.Dataset
        Of float32 (batch, s, s, 3 or 4), 0–255.
    """
    held = tf.constant(images)
    run, epoch = seed
    draw = None if augmentation is None else _drawing(augmentation, images.shape[3])
    rows = tf.data.Dataset.from_tensor_slices(np.asarray(order, np.int64)).batch(batch)

    def view(number: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        picked = tf.cast(tf.gather(held, chosen), tf.float32)
        if draw is not None:
            key = tf.stack([tf.constant(run, tf.int64), number + 100_003 * epoch])
            picked = draw(picked, key)
        if side is not None and side != images.shape[1]:
            picked = tf.image.resize(picked, (side, side), "area")
        return picked

    return rows.enumerate().map(view, num_parallel_calls=2, deterministic=True).prefetch(2)
