"""A change does what its name says, and leaves the rest of the frame alone."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter

from thyro_demo.data import changes, phantom
from thyro_demo.errors import ImageError


@pytest.fixture(scope="module")
def drawn():
    return phantom.example("Spongiform")


def test_mirrored_twice_is_the_frame(drawn):
    assert np.array_equal(changes.mirrored(changes.mirrored(drawn.rgb)), drawn.rgb)
    assert not np.array_equal(changes.mirrored(drawn.rgb), drawn.rgb)


def test_gain_makes_no_pixel_darker(drawn):
    assert (changes.brighter(drawn.rgb) >= drawn.rgb).all()
    assert changes.brighter(drawn.rgb).mean() > 1.2 * drawn.rgb.mean()


def test_blur_takes_speckle_away(drawn):
    assert np.diff(changes.blurred(drawn.frame).astype(int)).std() < 0.7 * (
        np.diff(drawn.frame.astype(int)).std()
    )


def test_calipers_are_on_the_ends_of_the_nodule(drawn):
    ends = changes.longest(drawn.mask)
    marked = changes.with_calipers(drawn.rgb, ends)
    assert all(drawn.mask[end] and (marked[end] == 255).all() for end in ends)
    changed = (marked != drawn.rgb).any(axis=2)
    assert 0 < changed.sum() <= 2 * 21


def test_a_nodule_is_covered_and_nothing_else(drawn):
    erased = changes.without_nodule(drawn.rgb, drawn.mask)
    changed = (erased != drawn.rgb).any(axis=2)
    assert changed[drawn.mask].mean() > 0.9
    rows, columns = np.nonzero(drawn.mask)
    width = np.ptp(columns) + 1
    reach = width // 4
    near = np.zeros_like(drawn.mask)
    near[
        max(rows.min() - reach, 0) : rows.max() + reach,
        max(columns.min() - reach, 0) : columns.max() + reach,
    ] = True
    assert not changed[~near].any()


@pytest.mark.parametrize("name", [one for one in phantom.EXAMPLES if one != "No nodule"])
def test_tissue_in_a_nodules_place_is_as_bright_as_that_around_and_no_airway(name):
    drawn = phantom.example(name)
    erased = changes.without_nodule(drawn.rgb, drawn.mask).mean(axis=2)
    core = binary_erosion(drawn.mask, iterations=10)
    ring = binary_dilation(drawn.mask, iterations=20) & ~binary_dilation(drawn.mask, iterations=6)
    assert erased[core].mean() == pytest.approx(drawn.frame[ring].mean(), rel=0.25)
    # Smoothed over its speckle, nothing in it is as dark as an airway, a vessel or a cyst.
    assert (gaussian_filter(erased, 4)[core] > 0.4 * erased[core].mean()).all()


@pytest.mark.parametrize("edges", [(0, 120), (300, 480), (0, 480)])
def test_a_nodule_at_the_edge_is_covered_too(drawn, edges):
    mask = np.zeros_like(drawn.mask)
    mask[:, slice(*edges)] = True
    erased = changes.without_nodule(drawn.rgb, mask)
    assert erased.shape == drawn.rgb.shape
    assert np.array_equal(erased[~binary_dilation(mask, iterations=90)],
                          drawn.rgb[~binary_dilation(mask, iterations=90)])  # fmt: skip


def test_a_nodule_that_is_moved_is_found_where_it_went(drawn):
    moved = changes.with_nodule_moved(drawn.rgb, drawn.mask)
    columns = np.flatnonzero(drawn.mask.any(axis=0))
    left, right = columns[0], drawn.mask.shape[1] - columns[-1] - 1
    step = min(round(1.1 * (columns[-1] - columns[0] + 1)), max(left, right))
    step = -step if left >= right else step
    core = drawn.mask & np.roll(drawn.mask, 12, 0) & np.roll(drawn.mask, -12, 0)
    core &= np.roll(drawn.mask, 12, 1) & np.roll(drawn.mask, -12, 1)
    assert np.array_equal(np.roll(moved, -step, axis=1)[core], drawn.rgb[core])


@pytest.mark.parametrize("change", [changes.without_nodule, changes.with_nodule_moved])
def test_an_empty_mask_is_refused(change, drawn):
    with pytest.raises(ImageError, match=r"must be True somewhere\. Received: an empty mask\."):
        change(drawn.rgb, np.zeros_like(drawn.mask))
