"""Maps of many frames are measured in pairs, without being held, and averaged over groups."""

import json
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.data import datasets, images, masks, scan_area
from thyro_demo.errors import DataError, ThyroError
from thyro_demo.evaluate import intervals
from thyro_demo.explain import evaluate_maps
from thyro_demo.explain.localisation import centred_gaussian, energy

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
    return masks.nodule_mask(row._asdict())


def test_each_map_is_measured_on_its_own_frame_in_any_order(records):
    maps = [("oracle", row.path, _nodule(row).astype(np.float32)) for row in records.itertuples()]
    maps += [("blank", path, np.zeros((120, 160), np.float32)) for path in records["path"][::-1]]
    table = evaluate_maps.measure(records, reversed(maps))
    assert list(table.columns) == ["path", "group", "head", "pointing", "energy"]
    assert len(table) == 3 * 4
    assert dict(zip(table["path"], table["group"], strict=True)) == dict(
        zip(records["path"], records["group"], strict=True)
    )
    oracle = table[table["head"] == "oracle"]
    assert (oracle[["pointing", "energy"]] == 1).all(axis=None)
    # A blank map has the outline's share of the scan area, not of the frame.
    box = scan_area.find(images.decode(records["path"][0]))
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

    assert len(evaluate_maps.measure(records, draw())) == 4 * 4
    assert len(held) == 12


def test_frames_without_an_outline_are_left_out(records):
    bare = records.copy()
    bare.at[1, "polygons"] = []
    kept = evaluate_maps.outlined(bare)
    assert list(kept.index) == [0, 2, 3]
    assert len(evaluate_maps.measure(kept, [])) == 3
    with pytest.raises(DataError, match=r"Received: 1 without, among them .*1\.png\.$"):
        evaluate_maps.measure(bare, [])
    with pytest.raises(DataError, match="Received: columns path, group"):
        evaluate_maps.outlined(bare.drop(columns="polygons"))


def test_masks_of_any_kind_serve(records, tmp_path):
    maps = [("flat", path, np.ones((120, 160), np.float32)) for path in records["path"]]
    drawn = evaluate_maps.measure(records, maps)
    paths = []
    for number, row in enumerate(records.itertuples()):
        paths.append(str(tmp_path / f"mask{number}.png"))
        Image.fromarray(_nodule(row).astype(np.uint8) * 255).save(paths[-1])
    bare = records.drop(columns="polygons")
    masked = evaluate_maps.measure(bare.assign(mask_path=paths), maps)
    pd.testing.assert_frame_equal(drawn, masked)


def test_records_that_cannot_be_measured_are_refused(records):
    for broken in (
        records.drop(columns="group"),
        records.iloc[:0],
        records.assign(group=[None, "a", "b", "c"]),
        pd.concat([records, records[:1]]),
    ):
        with pytest.raises(DataError, match="Received: "):
            evaluate_maps.measure(broken, [])


def test_a_map_of_no_record_or_of_another_size_is_refused(records):
    path = records["path"][0]
    with pytest.raises(DataError, match="Received: path=other"):
        evaluate_maps.measure(records, [("svm", "other.png", np.ones((120, 160)))])
    with pytest.raises(ThyroError, match=r"Received: heatmap \(7, 7\), mask \(120, 160\)"):
        evaluate_maps.measure(records, [("svm", path, np.ones((7, 7)))])


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
    # The head's rows are in another order: pairs are made by path.
    return pd.concat([blind, better[::-1]], ignore_index=True)


def test_the_summary_has_its_form_and_pairs_the_frames():
    table = _table()
    summary = evaluate_maps.summarise(table)
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


def test_further_frames_of_a_group_that_repeat_the_others_do_not_narrow_the_interval():
    table = _table(frames_per_group=1)
    copies = [table.assign(path=table["path"] + f"?{copy}") for copy in range(5)]
    once, often = (evaluate_maps.summarise(t) for t in (table, pd.concat(copies)))
    assert often["n"] == 5 * once["n"]
    assert often["gaussian"]["energy"] == pytest.approx(once["gaussian"]["energy"])


def test_the_mean_under_weights_is_the_mean_of_repeated_rows():
    # Groups of 3, 3, … and 1, so that resamples differ in length.
    table = _table(frames_per_group=3)
    frames = table[table["head"] == "gaussian"]
    slow = intervals.group_bootstrap(
        lambda _, values: values.mean(), frames["energy"], frames["energy"], frames["group"]
    )
    assert evaluate_maps.summarise(table)["gaussian"]["energy"] == pytest.approx(slow._asdict())


def test_one_group_shows_nothing_about_other_patients():
    summary = evaluate_maps.summarise(_table(frames_per_group=40))
    assert summary["groups"] == 1
    assert summary["gaussian"]["energy"]["low"] is None
    assert summary["heads"]["svm"]["energy_gain"]["high"] is None
    json.dumps(summary, allow_nan=False)


def test_heads_that_drew_other_frames_cannot_be_paired():
    table = _table()
    renamed = table.copy()
    renamed.loc[79, "path"] = "another.png"
    with pytest.raises(DataError, match="Received: 39 of 39 frames by svm"):
        evaluate_maps.summarise(table[:-1])
    with pytest.raises(DataError, match="Received: 41 of 40 frames by svm"):
        evaluate_maps.summarise(pd.concat([table, table[-1:]]))
    with pytest.raises(DataError, match="Received: 40 of 40 frames by svm"):
        evaluate_maps.summarise(table[table["head"] == "svm"])
    with pytest.raises(DataError, match="Received: 40 of 40 frames by svm"):
        evaluate_maps.summarise(renamed)
    with pytest.raises(DataError, match="Received: no energy"):
        evaluate_maps.summarise(table.drop(columns="energy"))


# --- Real outlines


def test_real_outlines_are_nearer_to_the_middle_than_chance(thyro_data: Path):
    # With x and y swapped, or outlines of another frame's size, they would not.
    single = evaluate_maps.outlined(datasets.ddti(thyro_data / "ddti"))
    single = single[single["polygons"].map(len) == 1][::10]
    flat = (("flat", path, np.ones((360, 560), np.float32)) for path in single["path"])
    found = evaluate_maps.summarise(evaluate_maps.measure(single, flat))
    assert found["n"] > 15
    assert found["heads"]["flat"]["energy_gain"]["high"] < -0.05
    assert found["heads"]["flat"]["pointing_gain"]["high"] < -0.3
    assert 0.1 < found["gaussian"]["energy"]["value"] < 0.5
