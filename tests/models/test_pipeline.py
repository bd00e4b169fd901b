"""Images come in the order of their records, and views stay ultrasound."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from thyro_demo.data.scan_area import Box, resize
from thyro_demo.errors import DataError
from thyro_demo.models.pipeline import Augmentation, augment, batches, load_frames

NOTHING = Augmentation(flip=False, shift=0.0, zoom=0.0, gain=0.0, speckle=0.0)


def views(images, seed=0, augmentation=None):
    return augment(images, tf.constant([seed, 0]), augmentation or Augmentation()).numpy()


@pytest.fixture
def records(tmp_path, spotted_frames):
    images, labels = spotted_frames
    paths = []
    for row in range(6):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(images[row]).save(paths[-1])
    return pd.DataFrame({"path": paths, "label": np.array(["benign", "malignant"])[labels[:6]]})


def test_frames_are_in_the_order_of_their_records(records, spotted_frames):
    frames = load_frames(records, ("benign", "malignant"), 64, crop=False)
    np.testing.assert_array_equal(frames.images, spotted_frames[0][:6])
    np.testing.assert_array_equal(frames.labels, [0, 1, 0, 1, 0, 1])
    assert frames.images.dtype == np.uint8


def test_labels_count_in_the_order_of_the_classes(records):
    frames = load_frames(records, ("malignant", "benign"), 32)
    np.testing.assert_array_equal(frames.labels, [1, 0, 1, 0, 1, 0])
    assert frames.images.shape == (6, 32, 32, 3)


def test_a_label_that_is_no_class_is_refused(records):
    with pytest.raises(DataError, match=r"one of normal.*Received: benign, malignant\.$"):
        load_frames(records, ("normal",), 32)


def test_the_same_seed_draws_the_same_views(spotted_frames):
    images = spotted_frames[0][:8]
    np.testing.assert_array_equal(views(images, 5), views(images, 5))
    assert (views(images, 5) != views(images, 6)).any()


def test_a_view_without_any_change_is_the_frame(spotted_frames):
    images = spotted_frames[0][:4]
    np.testing.assert_allclose(views(images, augmentation=NOTHING), images, atol=1e-3)


def test_the_skin_stays_on_top():
    images = np.full((200, 32, 32, 3), 40, np.uint8)
    images[:, :10] = 200
    drawn = views(images).mean(axis=(2, 3))
    assert (drawn[:, :6].mean(axis=1) > drawn[:, -6:].mean(axis=1)).all()


def test_half_of_the_views_are_mirrored():
    images = np.full((400, 32, 32, 3), 40, np.uint8)
    images[:, :, :10] = 200
    drawn = views(images).mean(axis=(1, 3))
    mirrored = drawn[:, -6:].mean(axis=1) > drawn[:, :6].mean(axis=1)
    assert 0.4 < mirrored.mean() < 0.6


def test_views_keep_the_mean_brightness():
    drawn = views(np.full((600, 16, 16, 3), 110, np.uint8))
    assert drawn.mean() == pytest.approx(110, rel=0.02)
    assert drawn.min() >= 0
    assert drawn.max() <= 255


def test_speckle_is_grey_and_grows_with_brightness():
    images = np.full((50, 16, 16, 3), 50, np.uint8)
    images[:, 8:] = 150
    only = Augmentation(flip=False, shift=0.0, zoom=0.0, gain=0.0, speckle=0.1)
    drawn = views(images, augmentation=only)
    np.testing.assert_allclose(np.ptp(drawn, axis=-1), 0.0, atol=1e-4)
    assert drawn[:, 8:].std() == pytest.approx(3 * drawn[:, :8].std(), rel=0.1)


def test_batches_follow_the_order_and_the_epoch(spotted_frames):
    images = spotted_frames[0]
    order = np.array([7, 3, 11, 0, 5])
    plain = np.concatenate([batch.numpy() for batch in batches(images, order, 2)])
    np.testing.assert_array_equal(plain, images[order])
    first, again, second = (
        np.concatenate(list(batches(images, order, 2, (0, epoch), Augmentation())))
        for epoch in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def _overlaps(many, few):
    """Compute which share of each of `few` equal parts of a line each of `many` pixels covers."""
    edges = np.arange(few + 1) * many / few
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(many)
    shared = np.minimum(high, pixels + 1) - np.maximum(low, pixels)
    return np.clip(shared, 0, None) * few / many


@pytest.mark.parametrize("side", [16, 24])
def test_smaller_images_are_exact_means_of_areas(side, spotted_frames):
    """Also where a pixel of the small image covers parts of pixels: 64 into 24."""
    images = spotted_frames[0][:5]
    order = np.array([4, 0, 3])
    found = np.concatenate([batch.numpy() for batch in batches(images, order, 2, side=side)])
    rows = _overlaps(64, side)
    expected = np.einsum("ih,nhwc,jw->nijc", rows, images[order].astype(float), rows)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_side_that_images_have_leaves_them_alone(spotted_frames):
    images = spotted_frames[0][:2]
    (found,) = batches(images, np.arange(2), 2, side=64)
    np.testing.assert_array_equal(found, images)


def test_a_record_with_its_nodules_box_is_cropped_to_it_and_a_margin(records, spotted_frames):
    boxes = [Box(10, 20, 30, 40), *[Box(0, 0, 64, 64)] * 5]
    cropped = load_frames(records, ("benign", "malignant"), 64, boxes=boxes).images
    around = spotted_frames[0][0][16:44, 6:34]
    np.testing.assert_allclose(cropped[0], resize(around, 64), atol=0.51)
    np.testing.assert_array_equal(cropped[1:], spotted_frames[0][1:6])


def test_a_users_column_of_regions_is_left_alone(records):
    """A set may carry it as text, for `evaluate`."""
    named = records.assign(roi="10 20 30 40")
    found = load_frames(named, ("benign", "malignant"), 64).images
    np.testing.assert_array_equal(found, load_frames(records, ("benign", "malignant"), 64).images)
