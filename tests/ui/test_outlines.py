"""The page draws the nodule that a network sees, and counts how much of a map is on it."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data.scan_area import Box
from thyro_demo.ui import outlines
from thyro_demo.ui.outlines import Nodule


@pytest.fixture
def comparison(engine, speckle):
    return engine.compare(speckle, ["vgg16"], maps=["softmax"])


def disc(shape, x, y, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((columns - x) ** 2 + (rows - y) ** 2 < radius**2).astype(np.float32)


def test_a_map_inside_the_nodule_is_on_it_altogether(comparison):
    shape = comparison.frame.shape[:2]
    inside = disc(shape, 150, 115, 20)
    shown = replace(comparison.predictions[0], heatmap=inside)
    held = replace(comparison, predictions=[shown])
    nodule = Nodule(disc(shape, 150, 115, 55) > 0, "the nodule")
    (share,) = outlines.shares(held, nodule).values()
    assert share.sentence.startswith("100% of this map is on the nodule; a blob in the middle: ")
    away = replace(comparison, predictions=[replace(shown, heatmap=disc(shape, 20, 20, 10))])
    (share,) = outlines.shares(away, nodule).values()
    assert share.sentence.startswith("0% of this map")
    assert share.short == "0% on the nodule"


def test_of_a_map_without_evidence_no_share_is_named(comparison):
    shape = comparison.frame.shape[:2]
    empty = replace(comparison.predictions[0], heatmap=np.zeros(shape, np.float32))
    nodule = Nodule(disc(shape, 150, 115, 55) > 0, "the nodule")
    assert outlines.shares(replace(comparison, predictions=[empty]), nodule) == {}


def test_without_a_known_nodule_a_network_is_held_to_its_own(comparison):
    assert outlines.shares(comparison, None) == {}
    own = {"vgg16": disc(comparison.frame.shape[:2], 150, 115, 55)}
    (share,) = outlines.shares(replace(comparison, nodules=own), None).values()
    assert "the nodule that this network draws" in share.sentence
    assert share.short.endswith("% on its own outline")
    # A map too faint for a nodule found has no outline, or the page would contradict itself.
    faint = replace(comparison, nodules=own, without_nodule=("vgg16",))
    assert outlines.found(faint) == {}
    assert outlines.shares(faint, None) == {}
    nothing = {"vgg16": np.zeros(comparison.frame.shape[:2], np.float32)}
    assert outlines.shares(replace(comparison, nodules=nothing), None) == {}


@pytest.mark.parametrize(
    ("edges", "pixels"),
    [
        ((0, 0, 1, 1), 120 * 160),
        ((0.5, 0.5, 1, 1), 60 * 80),
        ((0.25, 0.5, 0.75, 1), 60 * 80),
        ((0.999, 0.999, 1, 1), 1),
        ((0.5, 0.5, 0.5001, 0.5001), 1),
    ],
)
def test_a_box_of_the_readers_is_a_share_of_the_frame_and_at_least_a_pixel(edges, pixels):
    nodule = outlines.boxed(edges, (120, 160))
    assert nodule.mask.sum() == pixels
    assert nodule.what == outlines.BY_READER


def test_a_mask_goes_before_a_marked_box():
    mask = np.zeros((40, 50), bool)
    mask[10:20, 10:20] = True
    box = Box(5, 5, 30, 30)
    known = outlines.known(mask, box, (40, 50))
    assert known is not None
    assert known.mask is mask
    marked = outlines.known(None, box, (40, 50))
    assert marked is not None
    assert marked.mask.sum() == 25 * 25
    assert outlines.known(np.zeros((40, 50), bool), None, (40, 50)) is None


def test_the_outline_runs_along_the_nodule_and_nowhere_else():
    nodule = disc((120, 160), 80, 60, 30)
    address = outlines.border(nodule)
    assert address is not None
    png = base64.b64decode(address.partition(",")[2])
    alpha = np.asarray(Image.open(io.BytesIO(png)))[..., 3] > 0
    assert alpha.any()
    assert not alpha[nodule == 0].any()
    assert not alpha[60, 80]
    assert outlines.border(np.zeros((120, 160), np.float32)) is None
