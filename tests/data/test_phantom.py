"""Phantoms behave as ultrasound and as a fair teaching set should."""

import csv
import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from scipy.ndimage import binary_dilation

from thyro_demo.clinical import tirads
from thyro_demo.clinical.tirads import Features, points
from thyro_demo.data.phantom import (
    EXAMPLES,
    PITFALLS,
    Phantom,
    ScannerFrame,
    cohort,
    contact_sheet,
    draw,
    example,
    malignant_probability,
    physics,
    sample_features,
    uniform_envelope,
    write,
)
from thyro_demo.errors import DataError

SOLID = Features("solid or almost completely solid", "hypoechoic", "wider than tall", "smooth")
CYST = Features("cystic or almost completely cystic", "anechoic", "wider than tall", "smooth")
TALL = Features("solid or almost completely solid", "hypoechoic", "taller than wide", "smooth")

# Several tests look at the same frames.
drawn, shown = functools.cache(draw), functools.cache(example)


def longest_diameter(mask: np.ndarray) -> float:
    z, x = np.nonzero(mask)
    angles = np.linspace(0, np.pi, 90, endpoint=False)
    along = np.outer(x, np.cos(angles)) + np.outer(z, np.sin(angles))
    return float(np.ptp(along, axis=0).max() + 1)


def below(phantom: Phantom, columns: np.ndarray) -> float:
    """Mean grey of these columns from the nodule's lower edge down 5 mm."""
    deepest = int(np.nonzero(phantom.mask.any(axis=1))[0].max())
    reach = deepest + 4, deepest + 4 + round(5 / phantom.spacing_mm)
    return float(phantom.frame[slice(*reach), :][:, columns].mean())


def changed_below(marked: Features, plain: Features, seeds: range) -> float:
    """Mean grey behind the nodule's middle, with one feature against without."""
    change = []
    for seed in seeds:
        first, second = drawn(marked, 16.0, seed), drawn(plain, 16.0, seed)
        middle = round(float(np.nonzero(first.mask)[1].mean()))
        columns = np.arange(middle - 12, middle + 13)
        change.append(below(first, columns) - below(second, columns))
    return float(np.mean(change))


# --- physics ---


def test_uniform_tissue_has_a_rayleigh_envelope():
    envelope = uniform_envelope(seed=3)
    assert envelope.dtype == np.float32
    # 1.91 is the signal-to-noise ratio of fully developed speckle: sqrt(pi / (4 - pi)).
    assert envelope.mean() / envelope.std() == pytest.approx(1.913, abs=0.04)
    # Far enough apart to be independent.
    apart = envelope[::8, ::24].ravel()
    scale = np.sqrt(np.mean(envelope**2) / 2)
    assert stats.kstest(apart, stats.rayleigh(scale=scale).cdf).pvalue > 0.01


def test_uniform_tissue_is_equally_bright_at_every_depth():
    envelope = uniform_envelope(seed=4, shape=(360, 960))
    power = (envelope**2).reshape(6, -1).mean(axis=1)
    assert np.all(np.abs(10 * np.log10(power)) < 0.6)


def test_speckle_widens_with_depth():
    envelope = uniform_envelope(seed=5)
    centred = envelope - envelope.mean()

    def width(rows):
        part = centred[rows]
        return float((part[:, 3:] * part[:, :-3]).mean() / part.var())

    assert width(slice(280, 360)) > width(slice(0, 80)) + 0.2


def test_a_louder_scatterer_map_yields_that_many_decibels_more():
    still = np.zeros((120, 160), np.float32)
    rng = [np.random.default_rng(0) for _ in range(2)]
    quiet = physics.echo_power(rng[0], still, still, 0.1, noise_db=-120.0)
    loud = physics.echo_power(rng[1], still + 6.0, still, 0.1, noise_db=-120.0)
    assert 10 * np.log10(loud.mean() / quiet.mean()) == pytest.approx(6.0, abs=0.01)


def test_a_specular_interface_is_steadier_than_speckle():
    still = np.zeros((120, 480), np.float32)
    mirror = np.zeros_like(still)
    mirror[58:62] = 3.0
    power = physics.echo_power(np.random.default_rng(0), still, mirror, 0.1)
    envelope = np.sqrt(power)
    assert envelope[60].mean() / envelope[60].std() > 2 * envelope[20].mean() / envelope[20].std()


# --- one frame ---


def test_the_same_seed_draws_the_same_frame():
    first, second = draw(SOLID, 12.0, seed=7), draw(SOLID, 12.0, seed=7)
    np.testing.assert_array_equal(first.frame, second.frame)
    np.testing.assert_array_equal(first.mask, second.mask)
    assert first.label == second.label
    assert (first.frame != draw(SOLID, 12.0, seed=8).frame).mean() > 0.5


@pytest.mark.parametrize("shape", [(360, 480), (301, 405), (96, 96)])
def test_a_frame_has_the_asked_shape_and_is_not_flat(shape):
    phantom = draw(SOLID, 10.0, seed=1, shape=shape)
    assert phantom.frame.shape == phantom.mask.shape == shape
    assert phantom.frame.dtype == np.uint8
    assert phantom.mask.dtype == bool
    assert phantom.frame.std() > 20


@pytest.mark.parametrize(
    ("size_mm", "shape", "margin", "seed"),
    [
        (size, shape, margin, seed)
        for seed, (size, shape, margin) in enumerate(
            itertools.product((5.0, 14.0, 33.0), tirads.SHAPE, tirads.MARGIN)
        )
    ],
)
def test_the_mask_has_the_asked_size_and_shape(size_mm, shape, margin, seed):
    features = Features("solid or almost completely solid", "isoechoic", shape, margin)
    phantom = draw(features, size_mm, seed)
    diameter = longest_diameter(phantom.mask) * phantom.spacing_mm
    assert diameter == pytest.approx(size_mm, rel=0.1)
    rows, columns = phantom.mask.any(axis=1).sum(), phantom.mask.any(axis=0).sum()
    assert (rows > columns) == (shape == "taller than wide")
    border = np.ones(phantom.mask.shape, bool)
    border[1:-1, 1:-1] = False
    assert not phantom.mask[border].any(), "the nodule is cut by the frame"


@pytest.mark.parametrize("composition", tirads.COMPOSITION)
@pytest.mark.parametrize("echogenicity", tirads.ECHOGENICITY)
def test_every_composition_and_echogenicity_can_be_drawn(composition, echogenicity):
    features = Features(composition, echogenicity, "wider than tall", "smooth", tuple(tirads.FOCI))
    phantom = draw(features, 9.0, seed=2, shape=(120, 160))
    assert phantom.mask.any()
    assert phantom.points == points(features)


def test_echogenicity_orders_the_grey_inside():
    greys = []
    for echogenicity in ("hyperechoic", "isoechoic", "hypoechoic", "very hypoechoic"):
        features = Features(
            "solid or almost completely solid", echogenicity, "wider than tall", "smooth"
        )
        inside = [drawn(features, 15.0, seed) for seed in range(4)]
        greys.append(np.mean([p.frame[p.mask].mean() for p in inside]))
    greys.append(np.mean([p.frame[p.mask].mean() for p in (draw(CYST, 15.0, s) for s in range(4))]))
    assert np.all(np.diff(greys) < -8)


def test_it_is_darker_behind_a_macrocalcification():
    calcified = Features(*list(vars(SOLID).values())[:4], foci=("macrocalcifications",))
    # The plate is anywhere in the nodule: the darkest columns are its shadow.
    drops = []
    for seed in range(6):
        first, second = drawn(calcified, 16.0, seed), drawn(SOLID, 16.0, seed)
        columns = np.nonzero(first.mask.any(axis=0))[0].reshape(-1, 1)
        plate = [below(first, c) - below(second, c) for c in columns]
        drops.append(np.min(np.convolve(plate, np.ones(9) / 9, "valid")))
    assert np.median(drops) < -20


def test_it_is_darker_behind_a_calcified_rim():
    rim = Features(*list(vars(SOLID).values())[:4], foci=("peripheral (rim) calcifications",))
    assert changed_below(rim, SOLID, range(8)) < -8


def test_it_is_brighter_behind_a_cyst():
    assert changed_below(CYST, SOLID, range(8)) > 8


def test_punctate_foci_are_bright_points():
    dotted = Features(*list(vars(SOLID).values())[:4], foci=("punctate echogenic foci",))
    brightest = [
        [np.percentile(p.frame[p.mask], 99.5) for p in (drawn(f, 15.0, s) for s in range(4))]
        for f in (dotted, SOLID)
    ]
    assert np.mean(brightest[0]) > np.mean(brightest[1]) + 40


def test_an_extension_leaves_the_gland_and_others_stay_inside():
    beyond = Features(
        "solid or almost completely solid",
        "hypoechoic",
        "wider than tall",
        "extrathyroidal extension",
    )
    tops = {
        name: np.mean(
            [
                np.nonzero(p.mask.any(axis=1))[0][0] * p.spacing_mm
                for p in (draw(f, 14.0, s) for s in range(8))
            ]
        )
        for name, f in (("beyond", beyond), ("inside", SOLID))
    }
    assert tops["beyond"] < tops["inside"] - 2.0


def test_a_gland_without_a_nodule_is_labelled_by_its_texture():
    for texture in ("normal", "autoimmune"):
        phantom = draw(None, seed=5, texture=texture)
        assert (phantom.label, phantom.points, phantom.features) == (texture, None, None)
        assert phantom.size_mm == 0
        assert not phantom.mask.any()


def test_an_autoimmune_gland_is_darker_and_less_even():
    middle = (slice(150, 210), slice(210, 270))
    greys = {
        texture: [
            draw(None, seed=s, texture=texture).frame[middle].astype(float) for s in range(12)
        ]
        for texture in ("normal", "autoimmune")
    }
    mean = {texture: np.mean([g.mean() for g in part]) for texture, part in greys.items()}
    # Means over 12 × 12 pixels average the speckle out and leave the texture.
    uneven = {
        texture: np.mean([g.reshape(5, 12, 5, 12).mean(axis=(1, 3)).std() for g in part])
        for texture, part in greys.items()
    }
    assert mean["autoimmune"] < mean["normal"] - 10
    assert uneven["autoimmune"] > 1.2 * uneven["normal"]


def test_a_deeper_scan_shows_the_same_nodule_smaller_and_never_cuts_it_off():
    shallow, deep, asked_too_little = (
        draw(SOLID, 15.0, seed=7, depth_mm=depth) for depth in (40.0, 80.0, 20.0)
    )
    assert deep.spacing_mm == pytest.approx(2 * shallow.spacing_mm)
    assert deep.mask.sum() < 0.3 * shallow.mask.sum()
    assert asked_too_little.spacing_mm * 360 > 20
    assert not asked_too_little.mask[[0, -1]].any()


def test_gain_makes_everything_brighter():
    grey = [draw(SOLID, seed=7, gain_db=gain).frame.mean() for gain in (-10, 0, 10)]
    assert grey[0] < grey[1] - 10 < grey[2] - 30


@pytest.mark.parametrize(
    "other",
    [
        replace(SOLID, echogenicity="hyperechoic"),
        replace(SOLID, composition="spongiform"),
        replace(SOLID, margin="ill-defined"),
        replace(SOLID, foci=("punctate echogenic foci",)),
    ],
    ids=lambda features: f"{features.composition}, {features.echogenicity}, {features.margin}",
)
def test_all_else_is_equal_around_nodules_that_differ_in_a_feature(other):
    frames = [draw(one, 15.0, seed=7, all_else_equal=True) for one in (SOLID, other)]
    # But for a soft margin and what is behind the nodule.
    near = np.add.reduce([binary_dilation(one.mask, iterations=25) for one in frames]) > 0
    near |= near.any(axis=0)
    assert near.mean() < 0.7
    apart = frames[0].frame.astype(int) - frames[1].frame
    # Fourier transforms round everywhere.
    assert np.abs(apart[~near]).max() <= 1
    assert np.abs(apart[near]).max() > 30


@pytest.mark.parametrize(
    "options",
    [
        {"size_mm": 2.0},
        {"size_mm": float("nan")},
        {"seed": -1},
        {"shape": (20, 480)},
        {"texture": "cirrhotic"},
        {"shape": (100, 100), "scanner": ScannerFrame()},
        {"depth_mm": 5.0},
        {"depth_mm": float("nan")},
        {"gain_db": 30.0},
        {"gain_db": float("nan")},
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(options):
    with pytest.raises(DataError, match="Received: ") as caught:
        draw(SOLID, **options)
    assert "\n" not in str(caught.value)


# --- the label ---


def test_the_label_probability_rises_with_the_points():
    chances = [malignant_probability(total) for total in range(18)]
    assert np.all(np.diff(chances) > 0)
    assert chances[0] < 0.01
    assert chances[17] > 0.99


@pytest.mark.slow
def test_the_points_allow_the_auroc_that_is_promised():
    rng = np.random.default_rng(0)
    totals = np.array([points(sample_features(rng)) for _ in range(4000)])
    chance = np.array([malignant_probability(total) for total in range(18)])[totals]
    assert 0.45 < chance.mean() < 0.55
    order = chance[:, None] - chance[None, :]
    pairs = chance[:, None] * (1 - chance[None, :])
    best = (pairs * ((order > 0) + 0.5 * (order == 0))).sum() / pairs.sum()
    assert 0.93 < best < 0.96


# --- cohorts ---


@pytest.fixture(scope="module")
def patients() -> list[Phantom]:
    return list(cohort(60, 2, seed=1, shape=(96, 128)))


def test_a_patient_keeps_nodule_and_label_and_never_repeats_a_frame(patients):
    assert len(patients) == 120
    assert len({p.patient for p in patients}) == 60
    for first, second in zip(patients[::2], patients[1::2], strict=True):
        assert first.patient == second.patient
        assert first.features == second.features
        assert (first.label, first.size_mm) == (second.label, second.size_mm)
        assert (first.frame != second.frame).mean() > 0.5


def test_a_frame_of_a_cohort_can_be_drawn_again(patients):
    for phantom in patients[:6]:
        again = draw(
            phantom.features,
            phantom.size_mm,
            phantom.seed,
            phantom.frame.shape,
            patient=phantom.patient,
        )
        np.testing.assert_array_equal(again.frame, phantom.frame)


def test_a_larger_cohort_begins_with_the_same_patients(patients):
    few = list(cohort(3, 2, seed=1, shape=(96, 128)))
    for first, second in zip(few, patients, strict=False):
        np.testing.assert_array_equal(first.frame, second.frame)


def test_threads_don_t_change_the_frames(patients):
    threaded = list(cohort(5, 2, seed=1, shape=(96, 128), workers=3))
    assert len(threaded) == 10
    for first, second in zip(threaded, patients, strict=False):
        np.testing.assert_array_equal(first.frame, second.frame)


def test_neither_size_nor_spacing_reveals_the_label():
    # The size is drawn without regard to the label. The spacing follows from the depth, which
    # must hold a lobe that makes room for the nodule; that trace is too weak for 300 frames.
    frames = list(cohort(300, 1, seed=5, shape=(64, 96)))
    malignant = np.array([p.label == "malignant" for p in frames])
    size = np.array([p.size_mm for p in frames])
    spacing = np.array([p.spacing_mm for p in frames])
    assert 0.35 < malignant.mean() < 0.65
    for drawn in (size, spacing):
        assert stats.ks_2samp(drawn[malignant], drawn[~malignant]).pvalue > 0.01


def test_a_diffuse_cohort_has_both_textures_and_no_nodule():
    frames = list(cohort(20, 1, seed=2, shape=(96, 128), diffuse=True))
    assert {p.label for p in frames} == {"normal", "autoimmune"}
    assert not any(p.mask.any() for p in frames)


def outside(phantom: Phantom, scanner: ScannerFrame) -> np.ndarray:
    top, right, bottom, left = scanner.margins
    margin = phantom.frame.copy()
    height, width = margin.shape
    margin[top : height - bottom, left : width - right] = 0
    return margin


def test_a_shortcut_is_planted_on_the_chosen_class_alone():
    scanner = ScannerFrame()
    frames = list(
        cohort(12, 1, seed=3, shape=(200, 260), scanner=scanner, scanner_on=("malignant",))
    )
    assert {p.label for p in frames} == {"benign", "malignant"}
    for phantom in frames:
        assert outside(phantom, scanner).any() == (phantom.label == "malignant")
        assert not outside_mask(phantom, scanner).any()


def outside_mask(phantom: Phantom, scanner: ScannerFrame) -> np.ndarray:
    height, width = scanner.scan_shape(phantom.frame.shape)
    top, _, _, left = scanner.margins
    mask = phantom.mask.copy()
    mask[top : top + height, left : left + width] = False
    return mask


def test_the_scan_is_the_same_with_and_without_marks():
    scanner = ScannerFrame()
    top, right, bottom, left = scanner.margins
    inside = (slice(top, 300 - bottom), slice(left, 400 - right))
    marked = draw(SOLID, 12.0, 4, (300, 400), scanner=scanner)
    blank = draw(SOLID, 12.0, 4, (300, 400), scanner=scanner.blank)
    np.testing.assert_array_equal(marked.frame[inside], blank.frame[inside])
    np.testing.assert_array_equal(marked.mask, blank.mask)


@pytest.mark.parametrize(
    "options",
    [{"patients": 0}, {"frames_per_patient": 0}, {"workers": 0}, {"scanner_on": ("cat",)}],
)
def test_a_cohort_that_cannot_be_is_refused_at_once(options):
    with pytest.raises(DataError, match="Received: "):
        cohort(**{"patients": 2, **options})


# --- files, examples, sheet ---


def test_written_frames_come_back_with_their_table(patients, tmp_path, capsys):
    folder = write(patients[:4], tmp_path / "phantoms")
    with open(folder / "index.csv", newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == 4
    for row, phantom in zip(table, patients, strict=False):
        assert (row["label"], row["group"], row["source"]) == (
            phantom.label,
            phantom.patient,
            "phantom",
        )
        assert (int(row["width"]), int(row["height"])) == phantom.frame.shape[::-1]
        assert int(row["points"]) == phantom.points
        assert row["composition"] == phantom.features.composition
        np.testing.assert_array_equal(np.asarray(Image.open(folder / row["path"])), phantom.frame)
        mask = np.asarray(Image.open(folder / row["mask_path"]))
        np.testing.assert_array_equal(mask == 255, phantom.mask)


def test_phantoms_replace_phantoms_and_nothing_else(patients, tmp_path, capsys):
    folder = write(patients[:3], tmp_path / "phantoms")
    write(patients[:1], folder)
    assert [path.name for path in (folder / "frames").iterdir()] == ["000000.png"]
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="Received: folder="):
        write(patients[:1], folder)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_an_interrupted_write_leaves_nothing(patients, tmp_path, capsys):
    def broken():
        yield patients[0]
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write(broken(), tmp_path / "phantoms")
    assert list(tmp_path.iterdir()) == []


def test_examples_show_every_feature_that_scores():
    shown = {name for features, _, _ in EXAMPLES.values() if features for name in flat(features)}
    tables = (tirads.COMPOSITION, tirads.ECHOGENICITY, tirads.SHAPE, tirads.MARGIN, tirads.FOCI)
    assert {name for table in tables for name in table} - shown == {"cannot be determined"}


def flat(features: Features) -> tuple[str, ...]:
    named = (features.composition, features.echogenicity, features.shape, features.margin)
    return named + features.foci


def test_examples_keep_what_their_names_promise():
    assert shown("Looks benign, labelled malignant").label == "malignant"
    assert shown("Looks malignant, labelled benign").label == "benign"
    assert points(EXAMPLES["Looks benign, labelled malignant"][0]) <= 3
    assert points(EXAMPLES["Looks malignant, labelled benign"][0]) >= 7
    assert shown("No nodule").features is None
    assert shown("Autoimmune gland, no nodule").label == "autoimmune"
    assert outside(shown("Scanner's text around the scan"), ScannerFrame()).any()
    with pytest.raises(DataError, match="Received: name='cat'"):
        example("cat")


def test_two_labels_are_against_the_odds_as_their_names_state():
    against = set()
    for name in (*EXAMPLES, *PITFALLS):
        frame = shown(name)
        if frame.features is not None:
            malignant = malignant_probability(frame.points)
            if (malignant if frame.label == "malignant" else 1 - malignant) < 0.5:
                against.add(name)
    assert against == {"Looks benign, labelled malignant", "Looks malignant, labelled benign"}


def test_no_two_examples_show_one_patient():
    patients = [shown(name).patient for name in (*EXAMPLES, *PITFALLS)]
    assert len(set(patients)) == len(patients)


def test_a_contact_sheet_holds_every_frame(patients):
    sheet = contact_sheet(patients[:5], columns=2, width=100, captions=False)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (8 + 3 * (75 + 8), 8 + 2 * (100 + 8))
    assert sheet[-60:, 120:].max() < 30, "the last place of five in three rows of two is empty"


def test_an_empty_contact_sheet_is_refused():
    with pytest.raises(DataError, match="Received: 0 frames"):
        contact_sheet([])
