"""The nodule of a frame is the same pixels, whichever way its set outlines it."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.data import datasets, phantom
from thyro_demo.data.images import decode
from thyro_demo.data.masks import nodule_mask, polygon_mask, read_mask
from thyro_demo.errors import ImageError

NODULE = np.zeros((40, 60), bool)
NODULE[10:20, 15:35] = True


@pytest.fixture
def frame(tmp_path):
    path = tmp_path / "frame.png"
    Image.new("L", (60, 40), 90).save(path)
    return str(path)


def write(path, pixels, mode=None, **options) -> str:
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return str(path)


def palette() -> Image.Image:
    image = Image.new("P", (60, 40))
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.paste(1, (15, 10, 35, 20))
    return image


@pytest.mark.parametrize(
    ("name", "pixels", "mode"),
    [
        ("m.png", NODULE, "1"),
        ("m.png", NODULE * np.uint8(255), None),
        ("m.png", NODULE.astype(np.uint8), None),
        ("m.png", NODULE * np.uint8(3), None),
        ("m.png", NODULE * np.uint8(255), "RGB"),
        ("m.png", NODULE * np.uint8(255), "RGBA"),
        ("m.png", NODULE.astype(np.uint16), None),
        ("m.png", NODULE * np.uint16(65535), None),
        ("m.tif", NODULE.astype(np.float32), None),
        ("m.bmp", NODULE * np.uint8(255), None),
        ("m.gif", NODULE * np.uint8(255), None),
        ("m.jpg", NODULE * np.uint8(255), None),
        ("m.webp", NODULE * np.uint8(255), "RGB"),
    ],
)
def test_a_mask_of_any_depth_is_the_same_nodule(tmp_path, frame, name, pixels, mode):
    record = {"path": frame, "mask_path": write(tmp_path / name, pixels, mode)}
    np.testing.assert_array_equal(nodule_mask(record), NODULE)


def test_a_mask_in_colours_is_the_same_nodule(tmp_path, frame):
    palette().save(tmp_path / "m.png")
    record = {"path": frame, "mask_path": str(tmp_path / "m.png")}
    np.testing.assert_array_equal(nodule_mask(record), NODULE)


def test_a_jpeg_without_a_nodule_has_none_in_spite_of_its_noise(tmp_path):
    noise = np.random.default_rng(0).integers(0, 12, NODULE.shape, np.uint8)
    assert not read_mask(write(tmp_path / "m.jpg", noise)).any()


def test_a_mask_of_another_size_is_resized_to_the_nearest_pixel(tmp_path, frame):
    large = np.kron(NODULE, np.ones((3, 3), bool))
    record = {"path": frame, "mask_path": write(tmp_path / "m.png", large * np.uint8(255))}
    np.testing.assert_array_equal(nodule_mask(record), NODULE)


def test_a_torn_frame_has_the_size_that_its_set_lists(tmp_path, frame):
    """Else one torn image would end a study of others before it began."""
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"torn")
    record = {"path": str(torn), "mask_path": write(tmp_path / "m.png", NODULE * np.uint8(255))}
    height, width = NODULE.shape
    listed = record | {"height": float(height), "width": float(width)}
    np.testing.assert_array_equal(nodule_mask(listed), NODULE)
    for lacking in (record, listed | {"width": np.nan}):
        with pytest.raises(ImageError, match=r"torn\.png"):
            nodule_mask(lacking)


def test_outlines_are_filled_and_united(frame):
    square = np.array([(15, 10), (34, 10), (34, 19), (15, 19)], float)
    np.testing.assert_array_equal(nodule_mask({"path": frame, "polygons": [square]}), NODULE)
    both = nodule_mask({"path": frame, "polygons": [square, square + np.array([0, 15])]})
    assert both.sum() == 2 * NODULE.sum()


def test_several_masks_are_united(tmp_path, frame):
    masks = [write(tmp_path / f"{i}.png", np.roll(NODULE, 20 * i, 0)) for i in range(2)]
    found = nodule_mask({"path": frame, "mask_paths": masks})
    np.testing.assert_array_equal(found, NODULE | np.roll(NODULE, 20, 0))


@pytest.mark.parametrize(
    "facts",
    [
        {"label": "normal", "mask_paths": []},
        {"label": "normal", "mask_path": np.nan},
        {"label": "autoimmune"},
        {"label": np.nan, "mask_path": None, "nodule_share": 0.0},
    ],
    ids=str,
)
def test_where_the_set_states_that_there_is_no_nodule_the_mask_is_empty(frame, facts):
    found = nodule_mask(pd.Series({"path": frame} | facts))
    assert found.shape == NODULE.shape
    assert not found.any()


@pytest.mark.parametrize(
    "facts",
    [
        {"label": "benign"},
        {"label": "benign", "mask_paths": []},
        {"label": "malignant", "polygons": []},
        {"label": np.nan, "mask_path": np.nan, "nodule_share": np.nan},
        {"label": None, "mask_path": "", "polygons": np.nan, "mask_paths": np.nan},
    ],
    ids=str,
)
def test_where_nothing_is_known_there_is_no_mask(facts):
    # Nor is the frame opened for that.
    assert nodule_mask(pd.Series({"path": "nowhere.png"} | facts)) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_mask_fits_the_frame_as_it_is_decoded(tmp_path, kind):
    image = Image.new("L", (60, 40), 90)
    turned = image.getexif()
    turned[274] = 6
    path = tmp_path / "turned"
    image.save(path, kind, exif=turned)
    square = np.array([(5, 45), (15, 45), (15, 55), (5, 55)], float)
    found = nodule_mask({"path": str(path), "polygons": [square]})
    assert found.shape == decode(path).shape[:2] == (60, 40)
    assert found[50, 10]


def test_a_mask_is_turned_with_its_frame(tmp_path):
    turn = Image.Exif()
    turn[274] = 6
    Image.new("L", (60, 40), 90).save(tmp_path / "frame.jpg", exif=turn)
    pixels = np.zeros((40, 60), np.uint8)
    pixels[5:15, 40:55] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png", exif=turn)
    found = nodule_mask(
        {"path": str(tmp_path / "frame.jpg"), "mask_path": str(tmp_path / "mask.png")}
    )
    np.testing.assert_array_equal(found, np.rot90(pixels, -1) > 0)


def test_a_mask_of_a_form_that_runs_programs_is_not_opened(tmp_path):
    Image.new("L", (60, 40), 90).save(tmp_path / "mask.eps")
    with pytest.raises(ImageError, match=r"mask\.eps \(UnidentifiedImageError\)\.$"):
        read_mask(str(tmp_path / "mask.eps"))


def test_a_mask_that_cannot_be_read_is_one_sentence(tmp_path, frame):
    (tmp_path / "m.png").write_bytes(b"no mask")
    for path in ("m.png", "away.png"):
        with pytest.raises(ImageError, match=rf"Received: .*{path}") as error:
            nodule_mask({"path": frame, "mask_path": str(tmp_path / path)})
        assert "\n" not in str(error.value)


def test_phantoms_have_the_mask_that_they_were_drawn_with(tmp_path):
    drawn = [*phantom.cohort(2, 1, seed=3, shape=(120, 160))]
    phantom.write(drawn, tmp_path / "nodules")
    records = datasets.phantoms(tmp_path / "nodules")
    for one, (_, record) in zip(drawn, records.iterrows(), strict=True):
        np.testing.assert_array_equal(nodule_mask(record), one.mask)
    phantom.write(phantom.cohort(2, 1, seed=3, shape=(120, 160), diffuse=True), tmp_path / "glands")
    glands = datasets.phantoms(tmp_path / "glands")
    assert not any(nodule_mask(record).any() for _, record in glands.iterrows())


def test_real_outlines_are_on_their_frames(thyro_data):
    records = datasets.ddti(thyro_data / "ddti").sample(20, random_state=0)
    for _, record in records.iterrows():
        found = nodule_mask(record)
        assert (found is None) == (not record["polygons"])
        assert found is None or 0 < found.mean() < 0.6


def test_a_mask_is_filled_to_its_outline() -> None:
    mask = polygon_mask(np.array([[2, 3], [6, 3], [6, 8], [2, 8]]), (12, 12))
    assert mask.sum() == 5 * 6
    assert mask[3:9, 2:7].all()


@pytest.mark.parametrize(
    "polygon", [np.zeros((2, 2)), np.zeros((5, 3)), np.array([[0, 0], [9, np.nan], [5, 5]])]
)
def test_what_is_no_polygon_is_refused(polygon: np.ndarray) -> None:
    with pytest.raises(ImageError, match="Received: "):
        polygon_mask(polygon, (20, 20))
