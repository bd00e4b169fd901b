"""Scores and maps of one pass: what was found, on which frames, and what nobody may judge."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bundle import store
from thyro_demo.bundle.bundle import Forward
from thyro_demo.data import masks
from thyro_demo.engine import Engine, score_records
from thyro_demo.errors import DataError
from thyro_demo.explain import evaluate_maps, localise_records
from thyro_demo.explain.heatmaps import nodule_map

SIDE = 64


class Finder:
    """A network that takes what is bright for the nodule, and for malignant."""

    name = title = "finder"
    input_size = SIDE

    def __init__(self, has_map=True, blind=False, **more):
        self.manifest = {"heads": ["softmax"], "training_images": [], **more}
        self.networks = (self,)
        self.has_map, self.blind, self.passes = has_map, blind, 0

    def forward(self, batch):
        self.passes += len(batch)
        bright = (batch[..., 0] > 200).astype(np.float32)
        cells = (np.zeros_like(bright) if self.blind else bright)[..., None]
        score = bright.max(axis=(1, 2))
        return Forward(
            cells, cells.mean(axis=(1, 2)), np.stack([1 - score, score], axis=1),
            np.ones_like(cells), cells[..., 0] if self.has_map else None,
        )  # fmt: skip

    def scores(self, forward):
        return {"softmax": forward.probabilities[:, 1].astype(np.float64)}


@pytest.fixture
def records(tmp_path):
    """Write eight frames: six with a bright nodule, two without, and the mask of each."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(8):
        frame = rng.integers(30, 90, (SIDE, SIDE)).astype(np.uint8)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        if number < 6:
            top, left = rng.integers(2, 40, 2)
            mask[top : top + 20, left : left + 20] = 255
        frame[mask > 0] = 250
        for name, pixels in (("frame", frame), ("mask", mask)):
            Image.fromarray(pixels).save(tmp_path / f"{name}{number}.png")
        rows.append(
            {
                "path": str(tmp_path / f"frame{number}.png"),
                "mask_path": str(tmp_path / f"mask{number}.png"),
                "label": np.nan,
                "group": f"case-{number // 2}",
                "source": "one" if number < 4 else "two",
            }
        )
    return pd.DataFrame(rows)


def _nobody(records):
    return pd.Series(False, records.index)


def _measured(finder, records, learned=None, threshold=0.5):
    learned = _nobody(records) if learned is None else learned
    predictions, found = localise_records.run(finder, records, learned, batch=3)
    return predictions, localise_records.summarise(
        found, finder, {"softmax": threshold}, resamples=50
    )


def test_a_perfect_map_has_dice_and_pointing_1(records):
    _, summary = _measured(Finder(), records)
    assert (summary["n"], summary["groups"], summary["unit"]) == (6, 3, "group")
    for figure in (summary["nodule"]["dice"], summary["nodule"]["pointing"]):
        assert figure == {"value": 1.0, "low": 1.0, "high": 1.0}
    softmax = summary["heads"]["softmax"]
    assert softmax["pointing"]["value"] == softmax["energy"]["value"] == 1
    assert 0 < summary["gaussian"]["energy"]["value"] < 1
    assert softmax["energy_gain"]["value"] == pytest.approx(
        1 - summary["gaussian"]["energy"]["value"]
    )


def test_the_summary_has_its_form_and_its_sources(records):
    _, summary = _measured(Finder(), records)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert list(summary) == [
        "n", "groups", "unit", "nodule", "heads", "gaussian", "positive", "shuffled", "by_source",
        "empty", "without_outline", "kept_apart",
    ]  # fmt: skip
    assert {name: (part["n"], part["groups"]) for name, part in summary["by_source"].items()} == {
        "one": (4, 2),
        "two": (2, 1),
    }
    for part in summary["by_source"].values():
        assert set(part) == {"n", "groups", "nodule", "heads", "gaussian"}
    figures = {"pointing", "energy", "pointing_gain", "energy_gain"}
    assert set(summary["heads"]["softmax"]) == figures
    assert set(summary["positive"]["softmax"]) == {"n", "groups", "unit", "gaussian"} | figures


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_without_groups_each_frame_is_another_case(records, missing):
    # Each frame has a group of its own, or none is known of any. With a number in each row, for
    # pandas makes NaN of None among texts alone.
    records = records.assign(label=1)
    own = records.assign(group=[f"case-{number}" for number in range(len(records))])
    unknown = records.assign(group=pd.Series([missing] * len(records), dtype=object))
    expected, summary = (_measured(Finder(), each)[1] for each in (own, unknown))
    assert summary["unit"] == "image"
    assert summary["shuffled"]["softmax"] == expected["shuffled"]["softmax"]


def test_a_map_is_held_against_the_outline_of_the_last_frame_of_another_case(records):
    def box(path):
        rows, columns = np.nonzero(np.array(Image.open(path)))
        return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1

    shares = []
    # Two frames a case: the first four that follow another case look back at its second frame.
    for number, other in ((2, 1), (3, 1), (4, 3), (5, 3)):
        (top, bottom, left, right), (above, below, west, east) = (
            box(records["mask_path"][one]) for one in (number, other)
        )
        common = max(0, min(bottom, below) - max(top, above)) * max(
            0, min(right, east) - max(left, west)
        )
        shares.append(common / ((bottom - top) * (right - left)))
    _, summary = _measured(Finder(), records)
    assert summary["shuffled"]["softmax"]["energy"]["value"] == pytest.approx(np.mean(shares))
    assert "shuffled" not in _measured(Finder(), records[:2])[1]


def test_every_image_meets_each_network_once(records):
    finder = Finder()
    predictions, _ = _measured(finder, records)
    assert finder.passes == len(predictions) == len(records)


def test_a_network_that_sees_nothing_points_as_chance_does_and_overlaps_nowhere(records):
    _, summary = _measured(Finder(blind=True), records)
    assert summary["nodule"]["dice"]["value"] == 0
    assert summary["heads"]["softmax"]["pointing"]["value"] == pytest.approx(400 / SIDE**2)


def test_a_network_without_a_nodule_map_has_heads_and_gaussian_alone(records):
    _, summary = _measured(Finder(has_map=False), records)
    assert "nodule" not in summary
    assert "below" not in summary["empty"]
    assert (summary["empty"]["n"], summary["empty"]["groups"]) == (2, 1)
    assert summary["heads"]["softmax"]["energy"]["value"] == 1


@pytest.mark.parametrize(("least", "share"), [(0.3, 1.0), (0.0, 0.0)])
def test_frames_without_a_nodule_are_counted_apart(records, least, share):
    _, summary = _measured(Finder(nodule_threshold=least), records)
    assert summary["n"] == 6
    assert summary["empty"]["n"] == 2
    assert summary["empty"]["threshold"] == least
    assert summary["empty"]["below"]["value"] == share


def test_positive_frames_are_summarised_with_the_gaussian_on_the_same_ones(records):
    records = records.copy()
    # Two frames whose nodule is dark: their scores are below the threshold.
    for path in records["path"][:2]:
        Image.fromarray(np.full((SIDE, SIDE), 80, np.uint8)).save(path)
    _, summary = _measured(Finder(), records)
    positive = summary["positive"]["softmax"]
    assert (summary["n"], positive["n"], positive["groups"]) == (6, 4, 2)
    assert positive["pointing"]["value"] == 1 > summary["heads"]["softmax"]["pointing"]["value"]
    _, alone = _measured(Finder(), records[2:])
    assert positive["gaussian"] == alone["gaussian"]
    _, none = _measured(Finder(), records, threshold=1.1)
    assert none["positive"]["softmax"] == {"n": 0}


def test_what_was_learned_is_scored_and_not_measured(records):
    learned = pd.Series([True, True] + [False] * 5 + [True])
    predictions, summary = _measured(Finder(), records, learned)
    assert predictions["path"].nunique() == 8
    assert (summary["n"], summary["empty"]["n"], summary["kept_apart"]) == (4, 1, 3)
    _, summary = _measured(Finder(), records, ~_nobody(records))
    assert (summary["n"], summary["heads"], summary["kept_apart"]) == (0, {}, 8)


def test_frames_whose_nodule_nobody_outlined_are_counted(records):
    bare = records.drop(columns="mask_path").assign(polygons=[[]] * 8)
    corners = np.array([[10, 10], [30, 10], [30, 30]], np.float64)
    bare.at[3, "polygons"] = [corners]
    _, summary = _measured(Finder(), bare)
    assert (summary["n"], summary["without_outline"]) == (1, 7)
    assert list(localise_records.has_nodule(bare)) == [None] * 3 + [True] + [None] * 4
    bare.at[3, "polygons"] = []
    assert _measured(Finder(), bare)[1] is None


def test_whether_there_is_a_nodule_is_known_without_a_network(records):
    assert list(localise_records.has_nodule(records)) == [True] * 6 + [False] * 2
    assert localise_records.has_nodule(records[:0]).empty


def test_without_groups_the_image_is_the_unit(records):
    _, summary = _measured(Finder(), records.assign(group=None))
    assert (summary["groups"], summary["unit"]) == (None, "image")


def test_a_mask_of_another_size_is_refused(records, monkeypatch):
    monkeypatch.setattr(localise_records.masks, "nodule_mask", lambda record: np.ones((8, 8), bool))
    with pytest.raises(DataError, match=r"Received: mask \(8, 8\), frame \(64, 64\)"):
        localise_records.run(Finder(), records, _nobody(records))


def test_scores_and_maps_are_those_of_the_engine(tiny_weights, records):
    judged = store.load(tiny_weights / "tiny")
    predictions, found = localise_records.run(judged, records, _nobody(records), batch=3)
    pd.testing.assert_frame_equal(predictions, score_records(judged, records, batch=3))
    engine = Engine(tiny_weights)
    heads = judged.manifest["heads"]
    outlined = records[:6]
    single = evaluate_maps.measure(
        outlined,
        (
            (one.head, path, one.heatmap)
            for path in outlined["path"]
            for one in engine.compare(path, ["tiny"], heads).predictions
        ),
    )
    both = found.maps.merge(single, on=["path", "group", "head"])
    assert len(both) == len(single) == 6 * 4
    np.testing.assert_allclose(both["energy_x"], both["energy_y"], atol=1e-4)
    np.testing.assert_allclose(both["pointing_x"], both["pointing_y"], atol=1e-4)


def test_the_map_of_an_ensemble_is_the_mean_on_the_largest_grid():
    cells = np.zeros((1, 2, 2, 1), np.float32)

    def drawn(nodule):
        return Forward(cells, cells[:, 0, 0], cells[:, 0, 0], cells, nodule)

    large, small = np.ones((1, 4, 4), np.float32), np.full((1, 2, 2), 0.5, np.float32)
    np.testing.assert_allclose(nodule_map([drawn(large), drawn(small)]), np.full((4, 4), 0.75))
    assert nodule_map([drawn(large), drawn(None)]) is None
    assert nodule_map([drawn(None)]) is None


def test_frames_from_ddti_get_the_outlines_of_the_set_beside_them(tmp_path):
    (tmp_path / "ddti").mkdir()
    points = [{"x": x, "y": y} for x, y in ((5, 5), (20, 5), (20, 20))]
    svg = json.dumps([{"points": points}]).replace('"', "&quot;")
    (tmp_path / "ddti" / "7.xml").write_text(
        f"<case><tirads>4a</tirads><mark><image>1</image><svg>{svg}</svg></mark></case>"
    )
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "ddti" / "7_1.jpg")
    rows = pd.DataFrame({"path": ["a.png", "b.png"], "ddti_file": ["7_1.jpg", np.nan]})
    joined = masks.with_outlines(rows, tmp_path / "thyroid_us")
    assert [len(polygons) for polygons in joined["polygons"]] == [1, 0]
    own = joined.assign(mask_path="mask.png")
    assert masks.with_outlines(own, tmp_path / "thyroid_us") is own
    assert masks.with_outlines(rows, tmp_path / "other" / "thyroid_us") is rows
    assert masks.polygon_mask(joined["polygons"][0][0], (40, 40)).any()
