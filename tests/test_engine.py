"""Comparison of bundles on one image, with bundles whose arithmetic can be done by hand."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.data.preprocess import Box, scan_area
from thyro_demo.engine import Comparison, Engine, Prediction, score_records
from thyro_demo.errors import BundleError, DataError, ImageError
from thyro_demo.models import bundle

ROOT = Path(__file__).resolve().parents[1]
CELLS = 4


class LinearForest:
    """A head of kind "forest" that scores the mean brightness of the features."""

    kind = "forest"

    def scores(self, features):
        return np.clip(features.mean(axis=1, dtype=np.float64), 0, 1)


class FakeBundle:
    """A backbone that averages 8-bit images to 4×4 cells of RGB, 0–1, with two heads."""

    def __init__(
        self, name="fake", size=32, threshold=0.5, distance=0.5, region="scan", nodule=None
    ):
        self.name = name
        self.nodule = nodule
        self.spread = np.zeros(6, np.float32), np.ones(6, np.float32)
        self.title = name.title()
        self.pooling = "average"
        self.networks = (self,)
        self.input_size = size
        self.classes = ["benign", "malignant"]
        self.heads = {"forest": LinearForest()}
        point = {"youden": threshold, "sens95": 0.0}
        self.thresholds = {"softmax": point, "forest": point}
        self.manifest = {
            "title": self.title, "heads": ["softmax", "forest"], "region": region
        }  # fmt: skip
        self.distance = distance
        self.passes = 0

    def forward(self, batch):
        self.passes += 1
        n, size = len(batch), self.input_size
        assert batch.shape == (n, size, size, 3)
        assert batch.dtype == np.float32
        tiles = batch.reshape(n, CELLS, size // CELLS, CELLS, size // CELLS, 3)
        feature_map = tiles.mean(axis=(2, 4)) / 255
        features = feature_map.mean(axis=(1, 2))
        score = features.mean(axis=1)
        return SimpleNamespace(
            feature_map=feature_map,
            features=features,
            probabilities=np.stack([1 - score, score], axis=1),
            softmax_gradient=np.full_like(feature_map, 1 / feature_map[0].size),
            nodule=None if self.nodule is None else np.repeat(self.nodule[None], n, axis=0),
        )

    def scores(self, forward):
        forest = self.heads["forest"].scores(forward.features)
        return {"softmax": forward.probabilities[:, 1], "forest": forest}

    def ood_score(self, forward):
        return np.full(len(forward.features), self.distance)


@pytest.fixture
def frame():
    """Draw a mid-grey scan area in a black border, with one bright quarter at its top left."""
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[20:100, 30:130] = 60
    frame[20:60, 30:80] = 240
    return frame


@pytest.fixture
def engine(tmp_path):
    engine = Engine(tmp_path)
    engine.add(FakeBundle("low", threshold=0.3))
    engine.add(FakeBundle("high", size=64, threshold=0.9))
    return engine


def test_every_head_of_every_bundle_is_scored(engine, frame):
    comparison = engine.compare(frame)
    assert isinstance(comparison, Comparison)
    read = [(one.model, one.head) for one in comparison.predictions]
    assert read == [
        ("low", "softmax"),
        ("low", "forest"),
        ("high", "softmax"),
        ("high", "forest"),
    ]
    assert all(0 <= one.score <= 1 for one in comparison.predictions)
    assert [one.positive for one in comparison.predictions] == [True, True, False, False]


def test_bundles_are_asked_in_the_order_given(engine, frame):
    predictions = engine.compare(frame, names=["high"]).predictions
    assert {one.model for one in predictions} == {"high"}


def test_only_the_maps_asked_for_are_drawn(engine, frame):
    drawn = {
        one.head
        for one in engine.compare(frame, maps=("forest",)).predictions
        if one.heatmap is not None
    }
    assert drawn == {"forest"}


def test_a_heatmap_lies_on_the_frame_where_the_evidence_is(engine, frame):
    comparison = engine.compare(frame, maps=("softmax", "forest"))
    box = scan_area(frame)
    assert comparison.box == box
    for one in comparison.predictions:
        assert one.heatmap.shape == frame.shape[:2]
        assert one.heatmap.dtype == np.float32
        assert one.heatmap.min() >= 0
        assert one.heatmap.max() <= 1
        outside = np.ones(frame.shape[:2], bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert not one.heatmap[outside].any()
        assert one.heatmap[25:50, 35:70].min() > one.heatmap[70:95, 90:125].max()


@pytest.fixture
def marked(tmp_path):
    """Give an engine with one network that sees the scan area and one that sees a nodule."""
    engine = Engine(tmp_path)
    engine.add(FakeBundle("area"))
    engine.add(FakeBundle("nodule", region="roi"))
    return engine


def test_a_marked_nodule_is_seen_with_its_margin_by_those_that_read_one(marked, frame):
    comparison = marked.compare(frame, maps=["softmax"], roi=Box(40, 28, 65, 52))
    assert (comparison.box, comparison.roi) == (scan_area(frame), Box(40, 28, 65, 52))
    area, _, nodule, _ = comparison.predictions
    assert area.score == marked.compare(frame, ["area"]).predictions[0].score
    assert nodule.score == pytest.approx(240 / 255, abs=1e-6)
    # 20 % of 25 columns and of 24 rows on each side, rounded outwards.
    seen = np.zeros(frame.shape[:2], bool)
    seen[23:57, 35:70] = True
    np.testing.assert_array_equal(nodule.heatmap > 0, seen)
    assert comparison.to_dict()["roi"] == {"left": 40, "top": 28, "right": 65, "bottom": 52}


def test_without_a_mark_a_network_that_reads_one_is_left_out_and_it_is_said(marked, frame):
    comparison = marked.compare(frame)
    assert {one.model for one in comparison.predictions} == {"area"}
    assert comparison.notices == [
        "Nodule reads a marked nodule: mark it on the frame to include it."
    ]
    assert comparison.roi is None
    assert marked.compare(frame, roi=Box(35, 25, 65, 55)).notices == []


def test_nothing_but_networks_that_need_a_mark_are_refused_without_one(marked, frame):
    for ask in (
        lambda: marked.compare(frame, ["nodule"]),
        lambda: marked.explain(frame, "nodule", "forest"),
    ):
        with pytest.raises(
            BundleError, match=r"^Nodule reads a marked nodule: .*Received: [^\n]+\.$"
        ):
            ask()


def test_another_mark_leaves_the_pass_over_the_scan_area_as_it_was(marked, frame):
    networks = [FakeBundle("area"), FakeBundle("nodule", region="roi")]
    for network in networks:
        marked.add(network)
    marked.compare(frame)
    for right in (65, 75, 65):
        marked.compare(frame, roi=Box(35, 25, right, 55))
        marked.explain(frame, "nodule", "forest", roi=Box(35, 25, right, 55))
    assert [network.passes for network in networks] == [1, 2]


def test_a_region_outside_the_frame_is_refused_and_the_engine_lives(engine, frame):
    with pytest.raises(ImageError, match="Received"):
        engine.compare(frame, roi=Box(0, 0, 500, 500))
    assert engine.compare(frame).predictions


def test_the_operating_point_decides_what_is_positive(engine, frame):
    predictions = engine.compare(frame, operating_point="sens95").predictions
    assert all(one.positive and one.threshold == 0 for one in predictions)


def test_array_file_and_bytes_give_the_same_reading(engine, frame, tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(frame).save(path)
    first, second, third = (
        [one.score for one in engine.compare(image).predictions]
        for image in (frame, path, path.read_bytes())
    )
    assert first == second == third


def test_one_forward_pass_serves_the_comparison_and_all_maps_on_demand(engine, frame):
    counted = FakeBundle("counted")
    engine.add(counted)
    engine.compare(frame, names=["counted"], maps=("softmax", "forest"))
    drawn = engine.explain(frame.copy(), "counted", "forest")
    assert isinstance(drawn, Prediction)
    assert drawn.heatmap.max() > 0.9
    assert counted.passes == 1


def test_a_map_on_demand_equals_the_map_of_the_comparison(engine, frame):
    compared = engine.compare(frame, names=["low"], maps=("forest",)).predictions[1]
    demanded = engine.explain(frame, "low", "forest")
    assert demanded.score == compared.score
    np.testing.assert_array_equal(demanded.heatmap, compared.heatmap)


def test_only_the_last_images_are_remembered(engine, frame):
    counted = FakeBundle("counted")
    engine.add(counted)
    for shade in range(9):
        frame[0, 0] = shade
        engine.compare(frame, names=["counted"])
    engine.explain(frame, "counted", "softmax")
    assert counted.passes == 9
    frame[0, 0] = 0
    engine.explain(frame, "counted", "softmax")
    assert counted.passes == 10


def test_a_bundle_that_replaces_another_is_asked_anew(engine, frame):
    engine.compare(frame)
    newer = FakeBundle("low")
    engine.add(newer)
    engine.compare(frame)
    assert newer.passes == 1


def test_a_model_that_is_named_twice_has_one_vote(engine, frame):
    name = engine.names()[0]
    once, twice = (engine.compare(frame, names) for names in ([name], [name, name]))
    assert twice.agreement == once.agreement
    assert len(twice.predictions) == len(once.predictions) > 0


def test_an_image_unlike_the_training_images_is_told_so_first(engine, frame):
    assert engine.compare(frame).notices == []
    engine.add(FakeBundle("strange", distance=1.2))
    engine.add(FakeBundle("odd", distance=3.0))
    assert engine.compare(frame).notices[0] == (
        "This image is unlike the training images of Strange and Odd: the scores below mean little."
    )


def drawn_nodule(peak):
    cells = np.zeros((CELLS, CELLS), np.float32)
    cells[1:3, 1:3] = peak
    return cells


def test_a_model_that_draws_no_nodule_is_named_before_any_score(tmp_path):
    engine = Engine(tmp_path)
    engine.add(FakeBundle("sees", nodule=drawn_nodule(0.9)))
    engine.add(FakeBundle("misses", nodule=drawn_nodule(0.1)))
    engine.add(FakeBundle("plain"))
    frame = np.random.default_rng(0).integers(20, 200, (64, 64, 3)).astype(np.uint8)
    found = engine.compare(frame, maps=())
    assert found.without_nodule == ("misses",)
    assert found.notices[0].startswith("No nodule found by Misses:")
    assert found.to_dict()["without_nodule"] == ["misses"]


def test_a_nodule_map_comes_in_the_coordinates_of_the_frame(tmp_path):
    engine = Engine(tmp_path)
    engine.add(FakeBundle("sees", nodule=drawn_nodule(1.0)))
    engine.add(FakeBundle("plain"))
    frame = np.zeros((80, 120, 3), np.uint8)
    frame[10:70, 20:100] = np.random.default_rng(0).integers(60, 200, (60, 80, 1))
    found = engine.compare(frame, maps=())
    assert set(found.nodules) == {"sees"}
    drawn, box = found.nodules["sees"], scan_area(frame)
    assert drawn.shape == frame.shape[:2]
    middle = (box.top + box.bottom) // 2, (box.left + box.right) // 2
    assert drawn[middle] == pytest.approx(drawn.max())
    outside = np.ones(drawn.shape, bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    assert not drawn[outside].any()


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ((0.0, 0.0), "All 4 heads read above their threshold."),
        ((1.0, 1.0), "All 4 heads read below their threshold."),
        ((0.0, 1.0), "2 of 4 heads read above their threshold."),
        (
            (0.0, 0.0, 1.0),
            "4 of 6 heads read above their threshold; "
            "Bundle2 softmax and Bundle2 forest read below.",
        ),
    ],
)
def test_agreement_is_told_in_words(tmp_path, frame, thresholds, sentence):
    engine = Engine(tmp_path)
    for index, threshold in enumerate(thresholds):
        engine.add(FakeBundle(f"bundle{index}", threshold=threshold))
    assert engine.compare(frame).agreement == sentence


def test_no_sentence_claims_a_diagnosis(engine, frame):
    comparison = engine.compare(frame)
    said = " ".join([comparison.agreement, *comparison.notices]).lower()
    assert not any(word in said for word in ("malignant", "benign", "cancer", "diagnos"))


def test_a_comparison_is_plain_json(engine, frame):
    read = json.loads(json.dumps(engine.compare(frame).to_dict()))
    assert (read["width"], read["height"]) == (160, 120)
    assert len(read["predictions"]) == 4
    assert "research" in read["notice"]


def test_the_total_time_covers_its_parts(engine, frame):
    comparison = engine.compare(frame, names=["low"])
    assert 0 < max(one.milliseconds for one in comparison.predictions) < comparison.milliseconds


@pytest.mark.parametrize(
    "settings",
    [
        {"names": ["resnet-9000"]},
        {"names": []},
        {"maps": ["lime"]},
        {"operating_point": "optimist"},
    ],
    ids=str,
)
def test_unknown_names_are_refused_in_one_sentence(engine, frame, settings):
    with pytest.raises(BundleError, match=r"^[^\n]+ Received: [^\n]+\.$"):
        engine.compare(frame, **settings)


def test_an_unknown_head_is_refused_in_one_sentence(engine, frame):
    with pytest.raises(BundleError, match=r"softmax, forest\. Received: 'svm'\.$"):
        engine.explain(frame, "low", "svm")


def test_without_bundles_the_engine_says_what_it_needs(tmp_path, frame):
    with pytest.raises(BundleError, match=r"manifest\.json.* Received: "):
        Engine(tmp_path).compare(frame)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((100, 100), np.uint8),
        np.zeros((100, 100, 3), np.float32),
        np.zeros((1, 1, 3), np.uint8),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"",
        "no such file.png",
    ],
    ids=["grey", "float", "1x1", "svg", "empty", "missing"],
)
def test_what_is_no_image_is_refused_and_the_next_image_works(engine, frame, image):
    with pytest.raises(ImageError, match="Received"):
        engine.compare(image)
    assert engine.compare(frame).predictions


def test_threads_share_an_engine(engine, frame):
    frames = [np.roll(frame, shift, axis=1) for shift in range(12)]
    expected = [[one.score for one in engine.compare(one).predictions] for one in frames]
    seen = [None] * len(frames)

    def ask(index):
        seen[index] = [one.score for one in engine.compare(frames[index]).predictions]

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(frames))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == expected


def test_importing_and_asking_for_names_leaves_tensorflow_alone(tiny_weights):
    program = (
        "import sys; from thyro_demo.engine import Engine; engine = Engine(sys.argv[1]); "
        "assert engine.names() == ['tiny'], engine.names(); "
        "assert engine.heads('tiny') == ['softmax', 'svm', 'forest']; "
        "assert engine.title('tiny') == 'Tiny net'; assert 'Tiny net' in engine.card('tiny'); "
        "Engine().names(); "
        "assert not {'tensorflow', 'keras', 'gradio'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tiny_weights],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def real(tiny_weights):
    """Load a saved bundle with TensorFlow behind the same engine."""
    engine = Engine(tiny_weights)
    engine.warm_up()
    return engine


def test_facts_are_known_without_loading(tiny_weights):
    engine = Engine(tiny_weights)
    assert engine.names() == ["tiny"]
    assert engine.heads("tiny") == ["softmax", "svm", "forest"]
    assert engine.title("tiny") == "Tiny net"
    assert engine.card("tiny").startswith("# Tiny net")


def test_all_heads_and_maps_come_from_one_comparison(real, spotted_frames):
    frame = spotted_frames[0][1]
    comparison = real.compare(frame, maps=("softmax", "svm", "forest"))
    assert [one.head for one in comparison.predictions] == ["softmax", "svm", "forest"]
    for one in comparison.predictions:
        assert 0 <= one.score <= 1
        assert one.heatmap.shape == (64, 64)
        assert np.isfinite(one.heatmap).all()


def test_scores_of_a_table_equal_those_of_single_images(real, spotted_frames, tmp_path):
    frames, labels = spotted_frames
    records = _records(frames[:10], labels[:10], tmp_path)
    table = score_records(bundle.load(real.root / "tiny"), records, batch=4)
    assert len(table) == 30
    for path, rows in table.groupby("path"):
        single = {one.head: one.score for one in real.compare(path).predictions}
        np.testing.assert_allclose(
            rows["score"], [single[head] for head in rows["head"]], atol=1e-5
        )


def test_fitted_heads_tell_the_spot(real, spotted_frames):
    frames, labels = spotted_frames
    read = [
        [one.positive for one in real.compare(frame).predictions if one.head != "softmax"]
        for frame in frames
    ]
    assert (np.array(read) == labels[:, None]).mean() > 0.9


def test_a_table_with_unreadable_images_is_refused_by_name(real, spotted_frames, tmp_path):
    records = _records(*spotted_frames, tmp_path)
    Path(records["path"][3]).write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"1 unreadable, .*3\.png\.$"):
        score_records(bundle.load(real.root / "tiny"), records)


def test_a_table_is_scored_inside_its_outlines_by_a_network_that_reads_nodules(
    spotted_frames, tmp_path
):
    frames, labels = spotted_frames
    records = _records(frames[:3], labels[:3], tmp_path)
    judged = FakeBundle("nodule", region="roi")
    boxes = [Box(10, 10, 30, 30), Box(0, 20, 20, 40), Box(44, 44, 64, 64)]
    table = score_records(judged, records.assign(roi=[" ".join(map(str, b)) for b in boxes]))
    engine = Engine(tmp_path)
    engine.add(judged)
    for frame, box, rows in zip(frames, boxes, table.groupby("path"), strict=False):
        single = [one.score for one in engine.compare(frame, roi=box).predictions]
        np.testing.assert_allclose(rows[1]["score"], single)
    with pytest.raises(DataError, match=r"1 without, .*1\.png\.$"):
        score_records(judged, records.assign(roi=["10 10 30 30", None, "44 44 64 64"]))


def test_a_damaged_bundle_is_refused_and_another_still_answers(
    tiny_weights, spotted_frames, tmp_path
):
    shutil.copytree(tiny_weights / "tiny", tmp_path / "damaged")
    (tmp_path / "damaged" / "heads.skops").write_bytes(b"changed")
    engine = Engine(tmp_path)
    engine.add(FakeBundle())
    with pytest.raises(BundleError, match="checksum"):
        engine.warm_up()
    assert engine.compare(spotted_frames[0][0], names=["fake"]).predictions


def test_a_warm_engine_has_traced_its_graphs(real, spotted_frames):
    comparison = real.compare(spotted_frames[0][2])
    assert comparison.milliseconds < 1000


def _records(frames, labels, folder):
    paths = [str(folder / f"{index}.png") for index in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    names = np.array(["benign", "malignant"])[labels]
    groups = [f"g{index // 2}" for index in range(len(frames))]
    return pd.DataFrame({"path": paths, "label": names, "group": groups, "source": "drawn"})
