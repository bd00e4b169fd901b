"""The box around a nodule, in whichever way a table outlines it, and how it is widened."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thyro_demo.data import datasets, phantom
from thyro_demo.data.roi import mask_box, nodule_boxes, widen
from thyro_demo.data.scan_area import Box
from thyro_demo.errors import DataError


@given(st.tuples(*[st.integers(0, 60)] * 4), st.floats(0, 2))
def test_a_box_is_widened_on_every_side_as_far_as_the_frame_goes(corners, share):
    left, top, wide, high = corners
    box = Box(left, top, left + 1 + wide, top + 1 + high)
    wider = widen(box, share, (80, 100))
    assert wider.right == min(np.ceil(box.right + share * box.width), 100)
    assert wider.bottom == min(np.ceil(box.bottom + share * box.height), 80)
    assert wider.left == max(np.floor(left - share * box.width), 0)
    assert wider.top == max(np.floor(top - share * box.height), 0)


def test_the_box_of_a_mask_holds_all_of_it_and_no_more():
    mask = np.zeros((40, 60), bool)
    assert mask_box(mask) is None
    mask[7:20, 30:33] = True
    mask[12, 59] = True
    assert mask_box(mask) == (30, 7, 60, 20)


def test_a_nodule_is_found_in_every_form_a_table_has_it(tmp_path):
    mask = np.zeros((40, 60), np.uint8)
    paths = [str(tmp_path / name) for name in ("none.png", "one.png")]
    Image.fromarray(mask).save(paths[0])
    Image.fromarray(mask).save(tmp_path / "frame.png")
    mask[5:25, 10:50] = 255
    Image.fromarray(mask).save(paths[1])
    outline = np.array([[10.0, 5.0], [49.0, 5.0], [49.2, 24.0]])
    tables = [
        {"roi": [None, "10 5 50 25"]},
        {"roi": [None, Box(10, 5, 50, 25)]},
        {"x0": [None, 10], "y0": [None, 5], "x1": [None, 50], "y1": [None, 25]},
        {"polygons": [[], [outline / 2, outline]]},
        {"mask_path": paths},
        {"mask_paths": [[], paths]},
        {"polygons": [np.nan, [outline]], "mask_path": [np.nan, paths[0]]},
        {"polygons": [np.nan, np.nan], "mask_path": paths},
    ]
    for columns in tables:
        records = pd.DataFrame({"path": str(tmp_path / "frame.png"), "label": "benign"} | columns)
        assert nodule_boxes(records) == [None, Box(10, 5, 50, 25)], columns


def test_the_box_of_a_mask_follows_the_nodule_and_not_the_noise_beside_it(tmp_path):
    """Of a JPEG, of grey edges, in numbers from 1 on, and at another size than the frame's."""
    nodule = np.zeros((40, 60), np.uint8)
    nodule[5:25, 10:50] = 1
    rng = np.random.default_rng(0)
    noisy = np.maximum(nodule * 255, rng.integers(0, 12, nodule.shape, np.uint8))
    kinds = {
        "noisy.jpg": noisy,
        "edged.png": noisy,
        "numbers.png": nodule,
        "large.png": np.kron(nodule * np.uint8(255), np.ones((3, 3), np.uint8)),
    }
    for name, pixels in kinds.items():
        Image.fromarray(pixels).save(tmp_path / name)
    Image.fromarray(nodule).save(tmp_path / "frame.png")
    masks = [str(tmp_path / name) for name in kinds]
    records = pd.DataFrame({"path": str(tmp_path / "frame.png"), "mask_path": masks})
    assert nodule_boxes(records) == [Box(10, 5, 50, 25)] * 4


def test_several_masks_of_a_frame_have_one_box_around_all(tmp_path):
    one, other = np.zeros((2, 40, 60), bool)
    one[5:25, 10:20], other[30:35, 40:50] = True, True
    for name, mask in (("one", one), ("other", other), ("frame", other)):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / f"{name}.png") for name in ("one", "other")]
    records = pd.DataFrame({"path": [str(tmp_path / "frame.png")], "mask_paths": [paths]})
    assert nodule_boxes(records) == [Box(10, 5, 50, 35)]


def test_the_nodule_of_a_phantom_is_its_mask(tmp_path):
    drawn = list(phantom.cohort(2, 1, seed=4))
    records = datasets.phantoms(phantom.write(drawn, tmp_path / "drawn"))
    assert nodule_boxes(records) == [mask_box(one.mask) for one in drawn]


@pytest.mark.parametrize(
    "columns",
    [{}, {"roi": ["5 5 20"]}, {"roi": ["20 5 10 9"]}, {"roi": ["the left lobe"]}],
    ids=str,
)
def test_a_table_without_a_nodule_is_refused_in_one_sentence(columns):
    with pytest.raises(DataError, match=r"^[^\n]+ Received: [^\n]+\.$"):
        nodule_boxes(pd.DataFrame({"path": ["a.png"], **columns}))
