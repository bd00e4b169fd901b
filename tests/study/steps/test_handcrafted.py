"""Handcrafted features hold to their definitions: discs, stripes, published matrices."""

import numpy as np
import pytest
from skimage.draw import ellipse

from thyro_demo.errors import DataError
from thyro_demo.study.steps import handcrafted
from thyro_demo.study.steps.handcrafted import (
    FAMILIES,
    Region,
    glcm,
    glrlm,
    region,
    wavelet,
)

# Slices of the digital phantom of the Image Biomarker Standardisation Initiative, 0 outside.
# Zwanenburg et al., Radiology 295, 2020, under CC BY 4.0.
_SLICES = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)


def whole(grey):
    """Draw a region that is all nodule."""
    grey = np.asarray(grey, np.uint8)
    return Region(grey, np.ones(grey.shape, bool), 1.0)


def levels(image):
    """Draw a region whose sixteen grey levels are those of an image, 0 outside."""
    image = np.asarray(image)
    return Region((np.maximum(image - 1, 0) * 16).astype(np.uint8), image > 0, 1.0)


def named(family, region):
    """Measure a family, by the names of its features."""
    return dict(zip(family.names, family.measure(region), strict=True))


@pytest.fixture
def speckle():
    """Draw speckled grey levels and an ellipse in them."""
    rng = np.random.default_rng(0)
    grey = rng.gamma(2.0, 30.0, (60, 80)).clip(0, 255).astype(np.uint8)
    mask = np.zeros(grey.shape, bool)
    mask[ellipse(30, 40, 20, 28)] = True
    return Region(grey, mask, 0.01)


def test_every_feature_has_a_name_of_its_own_and_a_formula():
    names = [f"{family}: {name}" for family, name in handcrafted.NAMES]
    assert len(set(names)) == len(names) == 132
    for key, family in FAMILIES.items():
        assert len(handcrafted.columns(key)) == len(family.names)
        for name in family.names:
            assert any(name.startswith(what) for what in family.properties)
    together = np.concatenate([handcrafted.columns(key) for key in FAMILIES])
    np.testing.assert_array_equal(together, handcrafted.columns(handcrafted.ALL))


def test_a_disc_is_as_round_as_can_be():
    mask = np.zeros((64, 64), bool)
    mask[ellipse(31.5, 31.5, 32, 32)] = True
    found = named(FAMILIES["shape"], Region(mask.astype(np.uint8), mask, 1 / 64))
    for name in ("circularity", "sphericity", "convexity", "aspect"):
        assert found[name] == pytest.approx(1, abs=0.02), name
    # The longest diameter goes from corner to corner of pixels.
    for name in ("roundness", "compactness"):
        assert found[name] == pytest.approx(1, abs=0.06), name
    # Of a scan area whose side is the disc's diameter.
    assert found["area"] == pytest.approx(np.pi / 4, rel=0.01)
    assert found["perimeter"] == pytest.approx(np.pi, rel=0.02)


def test_a_rectangle_is_convex_and_its_formulas_follow_from_its_sides():
    mask = np.zeros((60, 90), bool)
    mask[10:50, 5:85] = True
    found = named(FAMILIES["shape"], Region(mask.astype(np.uint8), mask, 1.0))
    assert found["convexity"] == pytest.approx(1)
    assert found["aspect"] == 0.5
    assert found["area"] == 40 * 80
    # Crossings of lines in four directions count the sides of a rectangle 6 % short.
    assert found["perimeter"] == pytest.approx(240, rel=0.07)
    assert found["sphericity"] == pytest.approx(found["circularity"] ** 2)
    assert found["sphericity"] == pytest.approx(4 * np.pi * 3200 / found["perimeter"] ** 2)
    assert found["roundness"] == pytest.approx(4 * 3200 / (np.pi * (40**2 + 80**2)), rel=0.05)
    assert found["roundness"] == pytest.approx(found["compactness"] ** 2)


def test_a_bite_out_of_a_disc_makes_it_less_convex():
    mask = np.zeros((64, 64), bool)
    mask[ellipse(31.5, 31.5, 32, 32)] = True
    mask[28:36, 32:] = False
    found = named(FAMILIES["shape"], Region(mask.astype(np.uint8), mask, 1.0))
    # The bite adds twice its depth to the perimeter, less its mouth.
    assert found["convexity"] == pytest.approx(64 * np.pi / (64 * np.pi + 64 - 8), rel=0.03)


def test_a_constant_region_holds_no_information():
    found = handcrafted_of(whole(np.full((9, 7), 90)))
    for name, value in found.items():
        if "entropy" in name or "contrast" in name or "variance" in name or "skewness" in name:
            assert value == 0, name
    assert found["first order: energy"] == 1
    assert found["first order: mean"] == found["wavelet: mean, LL"] == 90
    assert found["GLCM: angular second moment, 16 levels, all"] == 1
    assert found["GLRLM: long runs, 0°"] == 7**2
    assert found["wavelet: energy of the band, HH"] == 0


def handcrafted_of(region):
    """Measure every family, by "family: name"."""
    return {
        f"{key}: {name}": value
        for key, family in FAMILIES.items()
        for name, value in named(family, region).items()
    }


def test_first_order_statistics_of_four_levels():
    found = named(FAMILIES["first order"], whole([[0, 0], [10, 30]]))
    assert found["energy"] == pytest.approx(0.5**2 + 0.25**2 + 0.25**2)
    assert found["entropy"] == pytest.approx(1.5)
    assert found["mean"] == 10
    assert found["variance"] == pytest.approx((100 + 100 + 0 + 400) / 4)
    assert found["standard deviation"] ** 2 == pytest.approx(found["variance"])
    assert found["skewness"] == pytest.approx((-1000 - 1000 + 8000) / 4 / 150**1.5)
    assert found["kurtosis"] == pytest.approx((1e4 + 1e4 + 16e4) / 4 / 150**2 - 3)
    assert found["median"] == 5


def test_neighbours_on_a_checkerboard_differ_along_the_rows_and_agree_across():
    board = 1 + 15 * (np.indices((8, 8)).sum(axis=0) % 2)
    found = named(FAMILIES["GLCM"], levels(board))
    for direction, contrast in (("0°", 225), ("45°", 0), ("90°", 225), ("135°", 0)):
        assert found[f"contrast, 16 levels, {direction}"] == pytest.approx(contrast)
        assert found[f"entropy, 16 levels, {direction}"] == pytest.approx(1, 1e-3)
        assert found[f"angular second moment, 16 levels, {direction}"] == pytest.approx(0.5, 0.01)
    # 2 × 56 straight pairs and 2 × 49 slanted ones.
    assert found["contrast, 16 levels, all"] == pytest.approx(225 * 112 / 210)
    assert found["correlation, 16 levels, 0°"] == pytest.approx(-1)
    assert found["correlation, 16 levels, 45°"] == pytest.approx(1)


def test_directions_are_those_of_haralick():
    """His figure 3: 45° is up to the right."""
    rising = np.fliplr(np.eye(6, dtype=int))
    pairs = glcm.matrices(1 + rising, 2)[1, 1]
    assert list(pairs) == [0, 10, 0, 0, 10]
    lengths = [np.flatnonzero(runs[1])[-1] + 1 for runs in glrlm.matrices(1 + rising, 2)]
    assert lengths == [1, 6, 1, 1, 6]


@pytest.mark.parametrize("count", glcm.LEVELS)
def test_properties_follow_from_haralicks_formulas(speckle, count):
    """Pair by pair, in loops, as his appendix writes them."""
    image = glcm.quantised(speckle, count)
    height, width = image.shape
    p = np.zeros((count, count))
    for row in range(height):
        for column in range(width - 1):
            a, b = image[row, column], image[row, column + 1]
            if a and b:
                p[a - 1, b - 1] += 1
                p[b - 1, a - 1] += 1
    p /= p.sum()
    i, j = np.indices(p.shape)
    mean = (i * p).sum()
    variance = ((i - mean) ** 2 * p).sum()
    wanted = {
        "angular second moment": (p**2).sum(),
        "contrast": ((i - j) ** 2 * p).sum(),
        "correlation": ((i - mean) * (j - mean) * p).sum() / variance,
        "homogeneity": (p / (1 + (i - j) ** 2)).sum(),
        "entropy": -(p[p > 0] * np.log2(p[p > 0])).sum(),
    }
    found = named(FAMILIES["GLCM"], speckle)
    for name, value in wanted.items():
        assert found[f"{name}, {count} levels, 0°"] == pytest.approx(value), name


def test_run_lengths_of_galloways_kind_of_image_by_hand():
    image = np.array([[1, 2, 3, 4], [1, 3, 4, 4], [3, 2, 2, 2], [4, 1, 4, 1]])
    along, rising, down, falling, _ = glrlm.matrices(image, 4)
    np.testing.assert_array_equal(along, [[4, 0, 0, 0], [1, 0, 1, 0], [3, 0, 0, 0], [3, 1, 0, 0]])
    np.testing.assert_array_equal(down, [[2, 1, 0, 0], [4, 0, 0, 0], [3, 0, 0, 0], [3, 1, 0, 0]])
    np.testing.assert_array_equal(rising, [[4, 0, 0, 0], [4, 0, 0, 0], [0, 0, 1, 0], [3, 1, 0, 0]])
    np.testing.assert_array_equal(falling, [[4, 0, 0, 0], [4, 0, 0, 0], [3, 0, 0, 0], [5, 0, 0, 0]])
    found = named(FAMILIES["GLRLM"], levels(image))
    # Along the rows 13 runs: 11 of one pixel, one of two, one of three.
    assert found["short runs, 0°"] == pytest.approx((11 + 1 / 4 + 1 / 9) / 13)
    assert found["long runs, 0°"] == pytest.approx((11 + 4 + 9) / 13)
    assert found["grey level non-uniformity, 0°"] == pytest.approx((16 + 4 + 9 + 16) / 13**2)
    assert found["run length non-uniformity, 0°"] == pytest.approx((121 + 1 + 1) / 13**2)
    assert found["run percentage, 0°"] == pytest.approx(13 / 16)


@pytest.mark.parametrize(
    ("key", "suffix", "published"),
    [
        (
            "GLCM",
            "16 levels, ",
            {
                "angular second moment": 0.368,
                "contrast": 5.28,
                "correlation": -0.0121,
                "homogeneity": 0.619,
                "entropy": 2.05,
            },
        ),
        (
            "GLRLM",
            "",
            {
                "short runs": 0.641,
                "long runs": 3.78,
                "grey level non-uniformity": 0.46,
                "run length non-uniformity": 0.492,
                "run percentage": 0.627,
            },
        ),
    ],
)
def test_texture_of_the_standard_phantom_is_as_published(key, suffix, published):
    """Means over slices and directions, to the three digits that the initiative prints."""
    rows = [named(FAMILIES[key], levels(image)) for image in _SLICES]
    for name, value in published.items():
        found = [row[f"{name}, {suffix}{angle}"] for row in rows for angle in glcm.DIRECTIONS[:4]]
        assert float(f"{np.mean(found):.3g}") == value, name


def test_a_quarter_turn_swaps_the_directions(speckle):
    turned = Region(np.rot90(speckle.grey), np.rot90(speckle.mask), speckle.pixel)
    swapped = {"0°": "90°", "90°": "0°", "45°": "135°", "135°": "45°", "all": "all"}
    for key in ("GLCM", "GLRLM"):
        before, after = named(FAMILIES[key], speckle), named(FAMILIES[key], turned)
        assert before != after
        for name, value in before.items():
            what, direction = name.rsplit(", ", 1)
            assert after[f"{what}, {swapped[direction]}"] == pytest.approx(value), name
    before, after = (named(FAMILIES["wavelet"], one) for one in (speckle, turned))
    assert before["variance, LH"] == pytest.approx(after["variance, HL"])
    assert before["variance, HH"] == pytest.approx(after["variance, HH"])


def test_the_bands_keep_the_energy_of_the_image():
    """Parseval: nothing is lost, and nothing is counted twice."""
    rng = np.random.default_rng(1)
    for sides in ((20, 30), (21, 15)):
        image = np.pad(rng.integers(0, 256, sides), 1).astype(np.uint8)
        energy = (image.astype(float) ** 2).sum()
        assert (wavelet.bands(image) ** 2).sum() == pytest.approx(energy)


def test_the_first_letter_of_a_band_is_the_filter_down_the_rows():
    upright = np.tile([0, 200], (12, 6))
    found = named(FAMILIES["wavelet"], whole(upright))
    assert found["energy of the band, LH"] == pytest.approx(100**2)
    assert found["energy of the band, HL"] == found["energy of the band, HH"] == 0
    lying = named(FAMILIES["wavelet"], whole(upright.T))
    assert lying["energy of the band, HL"] == pytest.approx(100**2)


def test_pixels_outside_the_mask_change_nothing(speckle):
    other = np.where(speckle.mask, speckle.grey, 255 - speckle.grey)
    changed = handcrafted_of(Region(other, speckle.mask, speckle.pixel))
    assert changed == handcrafted_of(speckle)
    # Inside they do: the comparison is no empty one.
    inside = np.where(speckle.mask, 255 - speckle.grey, speckle.grey)
    assert handcrafted_of(Region(inside, speckle.mask, speckle.pixel)) != changed


@pytest.mark.parametrize("mask", [np.ones((1, 1)), np.ones((1, 9)), np.eye(5), np.ones((2, 2))])
def test_the_smallest_nodules_have_finite_features(mask):
    rng = np.random.default_rng(2)
    for grey in (np.full(mask.shape, 7), rng.integers(0, 256, mask.shape)):
        found = handcrafted_of(Region(grey.astype(np.uint8), mask > 0, 1.0))
        assert np.isfinite(list(found.values())).all()
    frame = rng.integers(1, 256, (40, 50, 3)).astype(np.uint8)
    placed = np.zeros((40, 50), bool)
    placed[12 : 12 + mask.shape[0], 9 : 9 + mask.shape[1]] = mask > 0
    assert np.isfinite(handcrafted.measure(frame, placed)).all()


def tissue(gain=1.0, offset=0.0):
    """Draw a frame of smooth tissue with a dark ellipse, and its outline."""
    rng = np.random.default_rng(3)
    mask = np.zeros((240, 320), bool)
    mask[ellipse(120, 160, 44, 60)] = True
    waves = np.kron(rng.normal(0, 12, (60, 80)), np.ones((4, 4)))
    grey = np.where(mask, 70.0, 120.0) + waves
    return np.repeat((gain * grey + offset).clip(0, 255)[..., None], 3, axis=2), mask


def test_gain_and_the_size_of_the_export_hardly_change_a_feature():
    frame, mask = tissue()
    plain = dict(zip(handcrafted.NAMES, handcrafted.measure(frame.astype(np.uint8), mask),
                     strict=True))  # fmt: skip
    brighter = tissue(gain=1.2, offset=10)[0].astype(np.uint8)
    larger = np.kron(frame.astype(np.uint8), np.ones((2, 2, 1), np.uint8))
    for changed, outline in ((brighter, mask), (larger, np.kron(mask, np.ones((2, 2), bool)))):
        found = dict(zip(handcrafted.NAMES, handcrafted.measure(changed, outline), strict=True))
        for family, name in (
            ("shape", "area"), ("shape", "perimeter"), ("shape", "circularity"),
            ("first order", "mean"), ("first order", "standard deviation"),
            ("GLCM", "contrast, 16 levels, all"), ("GLRLM", "short runs, all"),
        ):  # fmt: skip
            key = family, name
            assert found[key] == pytest.approx(plain[key], rel=0.05), key


def test_a_nodule_stays_darker_than_its_surroundings():
    frame, mask = tissue()
    cut = region.cut(frame.astype(np.uint8), mask)
    assert max(cut.mask.any(axis=0).sum(), cut.mask.any(axis=1).sum()) == region.SIDE
    assert cut.inside.mean() < cut.grey[~cut.mask].mean() - 50
    # The ellipse is 2 · 44 by 2 · 60 pixels of 240 × 320, which is all scan area.
    area = named(FAMILIES["shape"], cut)["area"]
    assert area == pytest.approx(np.pi * 44 * 60 / (240 * 320), rel=0.03)


def test_of_an_outline_in_parts_the_largest_counts():
    frame, mask = tissue()
    parted = mask.copy()
    parted[5:15, 5:15] = True
    one, two = (handcrafted.measure(frame.astype(np.uint8), each) for each in (mask, parted))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("mask", [np.zeros((20, 30), bool), np.ones((30, 20), bool)])
def test_a_mask_that_is_none_is_refused(mask):
    with pytest.raises(DataError, match=r"^A nodule is a mask as large.*Received: mask .*frame"):
        handcrafted.measure(np.zeros((20, 30, 3), np.uint8), mask)
