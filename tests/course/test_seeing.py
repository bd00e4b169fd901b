"""What the first chapter computes obeys the physics that it teaches."""

import numpy as np
import pytest

from thyro_demo.course import seeing
from thyro_demo.errors import DataError

TISSUE = np.zeros((300, 80), np.float32)
SLOPE = seeing.loss(7.5)
INNER = slice(30, 270)


def level(power, rows):
    return 10 * np.log10(power[rows].mean())


@pytest.mark.parametrize("depth", [3.0, 12.5, 31.0])
def test_an_echo_arrives_after_the_way_down_and_back(depth):
    heard = seeing.listen(np.array([depth]), np.array([1.0]))
    arrival = heard.time_us[heard.envelope.argmax()]
    assert arrival == pytest.approx(2 * depth / seeing.SPEED, abs=0.02)


def test_the_envelope_is_over_the_signal_and_a_short_pulse_parts_close_borders():
    borders, equal = np.array([10.0, 10.4]), np.ones(2)
    between = int(2 * 10.2 / seeing.SPEED * 100)
    for cycles, parted in ((2.0, True), (12.0, False)):
        heard = seeing.listen(borders, equal, cycles=cycles)
        assert np.all(heard.envelope >= np.abs(heard.signal) - 1e-6)
        assert (heard.envelope[between] < 0.5 * heard.envelope.max()) == parted


@pytest.mark.parametrize(("depths", "strengths"), [([-1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_a_reflector_without_a_place_or_a_strength_is_refused(depths, strengths):
    with pytest.raises(DataError, match="Received: "):
        seeing.listen(np.array(depths), np.array(strengths))


def test_a_border_sends_back_more_the_less_alike_its_sides_are():
    shares = [
        seeing.reflected("soft tissue", other)
        for other in ("soft tissue", "muscle", "fat", "bone", "air")
    ]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.99 < shares[-1] < 1
    assert seeing.reflected("bone", "fat") == seeing.reflected("fat", "bone")
    with pytest.raises(DataError, match="Received: stone"):
        seeing.reflected("bone", "stone")


def test_gain_makes_up_for_what_even_tissue_takes():
    dark = seeing.insonate(TISSUE, SLOPE)
    even = seeing.insonate(TISSUE, SLOPE, SLOPE)
    fallen = level(dark, slice(220, 270)) - level(dark, slice(30, 80))
    assert fallen == pytest.approx(-SLOPE * 19, abs=1.5)
    assert level(even, slice(220, 270)) == pytest.approx(level(even, slice(30, 80)), abs=1)


def test_gain_lifts_the_noise_with_the_echoes():
    silent = TISSUE - 200
    power = seeing.insonate(silent, 0, SLOPE)
    risen = level(power, slice(220, 270)) - level(power, slice(30, 80))
    assert risen == pytest.approx(SLOPE * 19, abs=1)


def test_what_swallows_sound_casts_a_shadow_and_what_does_not_a_veil():
    plate = np.zeros_like(TISSUE)
    plate[100:110, 20:60] = 1
    even = seeing.insonate(TISSUE, SLOPE, SLOPE)
    behind = slice(150, 250)
    shadow = seeing.insonate(TISSUE, SLOPE + 12 * plate, SLOPE)
    veil = seeing.insonate(TISSUE, SLOPE * (1 - plate), SLOPE)
    part = np.s_[behind, 30:50]
    assert level(shadow, part) == pytest.approx(level(even, part) - 12, abs=1)
    assert level(veil, part) == pytest.approx(level(even, part) + SLOPE, abs=0.3)
    assert level(shadow, np.s_[behind, :10]) == pytest.approx(
        level(even, np.s_[behind, :10]), abs=0.01
    )


def test_a_smooth_border_is_evener_than_a_rough_one():
    line = np.exp(-0.5 * ((np.arange(300) - 100) / 1.5) ** 2)[:, None] * np.ones((1, 80))
    unevenness = [
        np.std(np.log(seeing.insonate(TISSUE + 14 * line, coherence=mirror * line)[100, 10:70]))
        for mirror in (4.0, 0.0)
    ]
    assert unevenness[0] < 0.5 * unevenness[1]


def test_a_larger_dynamic_range_brings_greys_together():
    power = seeing.insonate(TISSUE)
    spread = [seeing.grey(power, reach)[INNER].std() for reach in (30, 60, 90)]
    assert spread == sorted(spread, reverse=True)
    assert seeing.grey(power * 0)[INNER].max() == 0
    assert seeing.grey(power * 1e12)[INNER].min() == 255


def test_a_blot_widens_with_depth_across_the_beam_alone():
    places = np.array([[5.0, 3.0], [20.0, 3.0], [35.0, 3.0]])
    blots = seeing.points(places, (40.0, 6.0), 0.05)
    across = [seeing.width(blots[int(depth / 0.05)], 0.05) for depth, _ in places]
    along = [
        seeing.width(blots[int(depth / 0.05) - 40 : int(depth / 0.05) + 40, 60], 0.05)
        for depth, _ in places
    ]
    assert across == sorted(across)
    assert across[2] > 1.5 * across[0] > 1.5 * along[0]
    assert max(along) - min(along) < 0.01


@pytest.mark.parametrize("place", [[-1.0, 3.0], [5.0, 6.0]])
def test_a_point_outside_the_block_is_refused(place):
    with pytest.raises(DataError, match="Received: "):
        seeing.points(np.array([[5.0, 3.0], place]), (40.0, 6.0), 0.05)


def test_the_width_of_a_gaussian_is_known():
    x = np.arange(-3, 3, 0.02)
    wide = seeing.width(np.exp(-0.5 * (x / 0.4) ** 2), 0.02)
    assert wide == pytest.approx(0.4 * np.sqrt(8 * np.log(2)), abs=1e-3)
    with pytest.raises(DataError, match="Received: "):
        seeing.width(x, 0.02)


def test_many_scatterers_follow_the_rayleigh_law_and_few_do_not():
    strength = np.linspace(0, 4, 41)
    law = 1 - np.exp(-(strength**2))
    gaps = []
    for count in (0.5, 200.0):
        grain = seeing.speckle(count, side_mm=24.0)
        assert np.mean(np.square(grain)) == pytest.approx(1, abs=1e-4)
        gaps.append(np.abs([(grain <= s).mean() for s in strength] - law).max())
    assert gaps[1] < 0.03 < 0.2 < gaps[0]
    fine = np.linspace(0, 6, 6001)
    assert seeing.rayleigh(fine).sum() * 0.001 == pytest.approx(1, abs=1e-3)


def test_a_disc_has_the_area_of_a_disc():
    marked = seeing.disc((200, 200), (10.0, 9.0), 5.0)
    assert marked.sum() * seeing.SPACING_MM**2 == pytest.approx(np.pi * 25, rel=0.02)
    assert marked[100, 90]
    assert not marked[30, 90]
