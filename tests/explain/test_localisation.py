"""Maps are compared with outlines exactly, in pairs, and without being held."""

import json
import math
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from thyro_demo.clinical.tirads import Features
from thyro_demo.data import datasets, images, phantom, preprocess
from thyro_demo.data.preprocess import Box
from thyro_demo.errors import DataError, ImageError, ThyroError
from thyro_demo.evaluate import intervals
from thyro_demo.explain import localisation
from thyro_demo.explain.localisation import centred_gaussian, energy, pointing

SHAPE = (60, 90)

# --- One map, one outline


def test_both_figures_by_hand():
    nodule = np.array([[False, True], [False, True]])
    heatmap = np.array([[1.0, 4.0], [2.0, 1.0]])
    assert pointing(heatmap, nodule) == 1
    assert pointing(heatmap, ~nodule) == 0
    assert energy(heatmap, nodule) == 5 / 8
    assert energy(heatmap, ~nodule) == 3 / 8


def test_pixels_that_share_the_maximum_count_by_their_share_inside():
    nodule = np.array([[True, False], [True, False]])
    assert pointing(np.array([[2.0, 2.0], [2.0, 1.0]]), nodule) == 2 / 3


@pytest.mark.parametrize("empty", [np.zeros((2, 2)), np.full((2, 2), -3.0), np.eye(2) * np.nan])
def test_a_map_without_evidence_reads_as_a_flat_one(empty):
    nodule = np.array([[True, False], [False, False]])
    assert pointing(empty, nodule) == energy(empty, nodule) == 1 / 4


def test_evidence_against_the_class_is_no_evidence_for_it():
    nodule = np.array([[True, False], [False, False]])
    assert energy(np.array([[2.0, -9.0], [4.0, -1.0]]), nodule) == pytest.approx(1 / 3)


# Few values, so that ties and maps without evidence come up.
MAPS = npst.arrays(np.float32, (4, 5), elements=st.integers(-3, 5))
MASKS = npst.arrays(np.bool_, (4, 5))


@given(MAPS, MASKS)
def test_inside_and_outside_make_one(heatmap, nodule):
    for figure in (pointing, energy):
        assert 0 <= figure(heatmap, nodule) <= 1
        assert figure(heatmap, nodule) + figure(heatmap, ~nodule) == pytest.approx(1)
    assert energy(heatmap, np.ones_like(nodule)) == 1


@given(MAPS, MASKS, st.sampled_from([0.25, 4.0]))
def test_neither_scale_nor_orientation_of_a_map_matters(heatmap, nodule, factor):
    for figure in (pointing, energy):
        plain = figure(heatmap, nodule)
        assert figure(factor * heatmap, nodule) == pytest.approx(plain)
        assert figure(heatmap.T[::-1], nodule.T[::-1]) == pytest.approx(plain)


def test_a_map_of_another_shape_is_refused_in_one_sentence():
    for figure in (pointing, energy):
        with pytest.raises(ThyroError, match=r"Received: heatmap \(7, 7\), mask \(60, 90\)\.$"):
            figure(np.ones((7, 7)), np.ones(SHAPE, bool))


# --- Outlines


def test_outlines_that_overlap_are_one_area():
    corners = np.array([[10, 20], [29, 20], [29, 49], [10, 49]], float)
    beside, shifted = corners + np.array([50, 0]), corners + np.array([10, 0])
    assert localisation.mask([corners], SHAPE).sum() == 20 * 30
    assert localisation.mask([corners, corners], SHAPE).sum() == 20 * 30
    assert localisation.mask([corners, shifted], SHAPE).sum() == 30 * 30
    assert localisation.mask([corners, beside], SHAPE).sum() == 2 * 20 * 30
    assert localisation.mask([], SHAPE).shape == SHAPE
    assert not localisation.mask([], SHAPE).any()
    with pytest.raises(ImageError, match="three corners"):
        localisation.mask([corners, corners[:2]], SHAPE)


# --- The onlooker


def test_the_gaussian_sits_in_the_middle_of_the_scan_area_alone():
    box = Box(30, 10, 70, 50)
    drawn = centred_gaussian((60, 90), box)
    inside = preprocess.crop(drawn, box)
    assert drawn.dtype == np.float32
    assert inside.min() > 0
    outside = drawn.copy()
    preprocess.crop(outside, box)[:] = 0
    assert not outside.any()
    np.testing.assert_array_equal(inside, inside[::-1])
    np.testing.assert_array_equal(inside, inside[:, ::-1])
    # σ is a quarter of 40 pixels; the middle lies between columns 49 and 50.
    ratio = math.exp(-0.5 * (10.5**2 - 0.5**2) / 10**2)
    assert drawn[29, 60] / drawn[29, 50] == pytest.approx(ratio)
    assert drawn[19, 49] / drawn[29, 49] == pytest.approx(ratio)


def test_the_gaussian_is_round_where_a_network_sees_it():
    wide = Box(0, 0, 90, 30)
    square = np.asarray(
        Image.fromarray(centred_gaussian((30, 90), wide)).resize((30, 30), Image.Resampling.BOX)
    )
    np.testing.assert_allclose(square, square.T, atol=0.01)


def test_a_wider_gaussian_looks_less_at_the_middle():
    middle = np.zeros(SHAPE, bool)
    middle[25:35, 35:55] = True
    shares = [
        energy(centred_gaussian(SHAPE, Box(0, 0, 90, 60), spread), middle)
        for spread in (0.05, 0.25, 100.0)
    ]
    assert shares[0] > shares[1] > shares[2] == pytest.approx(middle.mean(), rel=1e-4)
    with pytest.raises(ThyroError, match=r"Received: spread=0\.$"):
        centred_gaussian(SHAPE, Box(0, 0, 90, 60), 0)


# --- A phantom


def test_a_coarse_map_of_the_nodule_beats_the_centre_on_a_phantom():
    features = Features(
        "solid or almost completely solid", "hypoechoic", "wider than tall", "smooth"
    )
    drawn = phantom.draw(features, seed=3, scanner=phantom.ScannerFrame())
    box = preprocess.scan_area(drawn.rgb)
    # What a network with a last map of 7 × 7 cells could at best say.
    cells = Image.fromarray(preprocess.crop(drawn.mask, box).astype(np.float32))
    coarse = np.asarray(cells.resize((7, 7), Image.Resampling.BOX))
    best = preprocess.place(coarse, box, drawn.mask.shape)
    blind = centred_gaussian(drawn.mask.shape, box)
    assert pointing(best, drawn.mask) == 1
    assert energy(best, drawn.mask) > energy(blind, drawn.mask) > drawn.mask.mean()
    assert energy(best.max() - best, drawn.mask) < drawn.mask.mean()
    # The mask's edges, left downwards and right upwards, are an outline in x and y.
    rows = np.flatnonzero(drawn.mask.any(axis=1))
    left = drawn.mask[rows].argmax(axis=1)
    right = drawn.mask.shape[1] - 1 - drawn.mask[rows, ::-1].argmax(axis=1)
    outline = np.concatenate([np.stack([left, rows], 1), np.stack([right, rows], 1)[::-1]])
    filled = localisation.mask([outline.astype(float)], drawn.mask.shape)
    assert (filled & drawn.mask).sum() / (filled | drawn.mask).sum() > 0.95


# --- Many maps


@pytest.fixture
def records(tmp_path: Path) -> pd.DataFrame:
    """Write four frames of noise with a black border, each with one outlined square."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        frame = np.zeros((120, 160, 3), np.uint8)
        frame[20:110, 40:150] = rng.integers(60, 200, (90, 110, 1))
        path = tmp_path / f"{number}.png"
        Image.fromarray(frame).save(path)
        left, top = rng.integers([45, 25], [110, 70])
        square = np.array([[0, 0], [30, 0], [30, 30], [0, 30]]) + np.array([left, top])
        rows.append(
            {"path": str(path), "group": f"case-{number // 2}", "polygons": [square.astype(float)]}
        )
    return pd.DataFrame(rows)


def _nodule(row) -> np.ndarray:
    return localisation.mask(row.polygons, (120, 160))


def test_each_map_is_measured_on_its_own_frame_in_any_order(records):
    maps = [("oracle", row.path, _nodule(row).astype(np.float32)) for row in records.itertuples()]
    maps += [("blank", path, np.zeros((120, 160), np.float32)) for path in records["path"][::-1]]
    table = localisation.measure(records, reversed(maps))
    assert list(table.columns) == ["path", "group", "head", "pointing", "energy"]
    assert len(table) == 3 * 4
    assert dict(zip(table["path"], table["group"], strict=True)) == dict(
        zip(records["path"], records["group"], strict=True)
    )
    oracle = table[table["head"] == "oracle"]
    assert (oracle[["pointing", "energy"]] == 1).all(axis=None)
    # A blank map reads the outline's share of the scan area, not of the frame.
    box = preprocess.scan_area(images.decode(records["path"][0]))
    assert box.width * box.height < 0.6 * 120 * 160
    blank = table[table["head"] == "blank"]
    assert blank[["pointing", "energy"]].to_numpy() == pytest.approx(
        31 * 31 / (box.width * box.height)
    )
    gaussian = table[table["head"] == "gaussian"].set_index("path")["energy"]
    for row in records.itertuples():
        expected = energy(centred_gaussian((120, 160), box), _nodule(row))
        assert gaussian[row.path] == pytest.approx(expected)


def test_maps_are_let_go_before_the_next_are_drawn(records):
    held: list[weakref.ref] = []

    def draw():
        for head in ("softmax", "svm", "forest"):
            for path in records["path"]:
                assert sum(reference() is not None for reference in held) <= 1
                heatmap = np.ones((120, 160), np.float32)
                held.append(weakref.ref(heatmap))
                yield head, path, heatmap
                del heatmap

    assert len(localisation.measure(records, draw())) == 4 * 4
    assert len(held) == 12


def test_frames_without_an_outline_are_left_out(records):
    bare = records.copy()
    bare.at[1, "polygons"] = []
    kept = localisation.outlined(bare)
    assert list(kept.index) == [0, 2, 3]
    assert len(localisation.measure(kept, [])) == 3
    with pytest.raises(DataError, match=r"Received: 1 without, among them .*1\.png\.$"):
        localisation.measure(bare, [])
    with pytest.raises(DataError, match="Received: the columns path, group"):
        localisation.outlined(bare.drop(columns="polygons"))


def test_masks_of_any_kind_serve(records, tmp_path):
    maps = [("flat", path, np.ones((120, 160), np.float32)) for path in records["path"]]
    drawn = localisation.measure(records, maps)
    paths = []
    for number, row in enumerate(records.itertuples()):
        paths.append(str(tmp_path / f"mask{number}.png"))
        Image.fromarray(_nodule(row).astype(np.uint8) * 255).save(paths[-1])
    bare = records.drop(columns="polygons")
    masked = localisation.measure(bare.assign(mask_path=paths), maps)
    pd.testing.assert_frame_equal(drawn, masked)


def test_records_that_cannot_be_measured_are_refused(records):
    for broken in (
        records.drop(columns="group"),
        records.iloc[:0],
        records.assign(group=[None, "a", "b", "c"]),
        pd.concat([records, records[:1]]),
    ):
        with pytest.raises(DataError, match="Received: "):
            localisation.measure(broken, [])


def test_a_map_of_no_record_or_of_another_size_is_refused(records):
    path = records["path"][0]
    with pytest.raises(DataError, match="Received: one of other"):
        localisation.measure(records, [("svm", "other.png", np.ones((120, 160)))])
    with pytest.raises(ThyroError, match=r"Received: heatmap \(7, 7\), mask \(120, 160\)"):
        localisation.measure(records, [("svm", path, np.ones((7, 7)))])


# --- The summary


def _table(frames: int = 40, frames_per_group: int = 2) -> pd.DataFrame:
    """Make up a Gaussian and a head that beats it by exactly 0.1, on frames that differ."""
    rng = np.random.default_rng(0)
    blind = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(frames)],
            "group": [f"case-{number // frames_per_group}" for number in range(frames)],
            "head": "gaussian",
            "pointing": rng.integers(0, 2, frames) * 0.9,
            "energy": rng.random(frames) * 0.9,
        }
    )
    better = blind.assign(
        head="svm", pointing=blind["pointing"] + 0.1, energy=blind["energy"] + 0.1
    )
    # The head's rows stand in another order: pairs are made by path.
    return pd.concat([blind, better[::-1]], ignore_index=True)


def test_the_summary_has_its_form_and_pairs_the_frames():
    table = _table()
    summary = localisation.summarise(table)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert {key: summary[key] for key in ("n", "groups", "unit")} == {
        "n": 40,
        "groups": 20,
        "unit": "group",
    }
    assert set(summary) == {"n", "groups", "unit", "heads", "gaussian"}
    assert set(summary["gaussian"]) == {"pointing", "energy"}
    assert set(summary["heads"]) == {"svm"}
    svm = summary["heads"]["svm"]
    assert set(svm) == {"pointing", "energy", "pointing_gain", "energy_gain"}
    for name in ("pointing", "energy"):
        own, gain = svm[name], svm[f"{name}_gain"]
        assert set(own) == {"value", "low", "high"}
        assert own["value"] == pytest.approx(table[name][table["head"] == "svm"].mean())
        assert own["low"] < own["value"] - 0.05 < own["value"] + 0.05 < own["high"]
        # On the same frames in every resample, the gain never moves.
        assert gain == pytest.approx({"value": 0.1, "low": 0.1, "high": 0.1})


def test_further_frames_of_a_group_that_say_the_same_do_not_narrow_the_interval():
    table = _table(frames_per_group=1)
    copies = [table.assign(path=table["path"] + f"?{copy}") for copy in range(5)]
    once, often = (localisation.summarise(t) for t in (table, pd.concat(copies)))
    assert often["n"] == 5 * once["n"]
    assert often["gaussian"]["energy"] == pytest.approx(once["gaussian"]["energy"])


def test_the_mean_under_weights_is_the_mean_of_repeated_rows():
    # Groups of 3, 3, … and 1, so that resamples differ in length.
    table = _table(frames_per_group=3)
    frames = table[table["head"] == "gaussian"]
    slow = intervals.group_bootstrap(
        lambda _, values: values.mean(), frames["energy"], frames["energy"], frames["group"]
    )
    assert localisation.summarise(table)["gaussian"]["energy"] == pytest.approx(slow._asdict())


def test_one_group_says_nothing_about_other_patients():
    summary = localisation.summarise(_table(frames_per_group=40))
    assert summary["groups"] == 1
    assert summary["gaussian"]["energy"]["low"] is None
    assert summary["heads"]["svm"]["energy_gain"]["high"] is None
    json.dumps(summary, allow_nan=False)


def test_heads_that_drew_other_frames_cannot_be_paired():
    table = _table()
    renamed = table.copy()
    renamed.loc[79, "path"] = "another.png"
    with pytest.raises(DataError, match="Received: 39 of 39 frames by svm"):
        localisation.summarise(table[:-1])
    with pytest.raises(DataError, match="Received: 41 of 40 frames by svm"):
        localisation.summarise(pd.concat([table, table[-1:]]))
    with pytest.raises(DataError, match="Received: 40 of 40 frames by svm"):
        localisation.summarise(table[table["head"] == "svm"])
    with pytest.raises(DataError, match="Received: 40 of 40 frames by svm"):
        localisation.summarise(renamed)
    with pytest.raises(DataError, match="Received: no energy"):
        localisation.summarise(table.drop(columns="energy"))


# --- Real outlines


def test_real_outlines_lie_nearer_to_the_middle_than_chance(thyro_data: Path):
    # With x and y swapped, or outlines of another frame's size, they would not.
    single = localisation.outlined(datasets.ddti(thyro_data / "ddti"))
    single = single[single["polygons"].map(len) == 1][::10]
    flat = (("flat", path, np.ones((360, 560), np.float32)) for path in single["path"])
    found = localisation.summarise(localisation.measure(single, flat))
    assert found["n"] > 15
    assert found["heads"]["flat"]["energy_gain"]["high"] < -0.05
    assert found["heads"]["flat"]["pointing_gain"]["high"] < -0.3
    assert 0.1 < found["gaussian"]["energy"]["value"] < 0.5
