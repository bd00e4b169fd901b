"""Comparison of bundles on one image, with bundles whose arithmetic can be done by hand."""

import json
import threading

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data import scan_area
from thyro_demo.data.scan_area import Box
from thyro_demo.engine import Comparison, Engine, Prediction
from thyro_demo.errors import BundleError, ImageError

CELLS = 4


@pytest.fixture
def engine(tmp_path, fake_bundle):
    engine = Engine(tmp_path)
    engine.add(fake_bundle("low", threshold=0.3))
    engine.add(fake_bundle("high", size=64, threshold=0.9))
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


def test_a_heatmap_is_on_the_frame_where_the_evidence_is(engine, frame):
    comparison = engine.compare(frame, maps=("softmax", "forest"))
    box = scan_area.find(frame)
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
def marked(tmp_path, fake_bundle):
    """Build an engine with one network that sees the scan area and one that sees a nodule."""
    engine = Engine(tmp_path)
    engine.add(fake_bundle("area"))
    engine.add(fake_bundle("nodule", region="roi"))
    return engine


def test_a_marked_nodule_is_seen_with_its_margin_by_those_that_read_one(marked, frame):
    comparison = marked.compare(frame, maps=["softmax"], roi=Box(40, 28, 65, 52))
    assert (comparison.box, comparison.roi) == (scan_area.find(frame), Box(40, 28, 65, 52))
    area, _, nodule, _ = comparison.predictions
    assert area.score == marked.compare(frame, ["area"]).predictions[0].score
    assert nodule.score == pytest.approx(240 / 255, abs=1e-6)
    # 20 % of 25 columns and of 24 rows on each side, rounded outwards.
    seen = np.zeros(frame.shape[:2], bool)
    seen[23:57, 35:70] = True
    np.testing.assert_array_equal(nodule.heatmap > 0, seen)
    assert comparison.to_dict()["roi"] == {"left": 40, "top": 28, "right": 65, "bottom": 52}


def test_without_a_mark_a_network_that_reads_one_is_left_out_with_a_notice(marked, frame):
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


def test_another_mark_leaves_the_pass_over_the_scan_area_as_it_was(marked, frame, fake_bundle):
    networks = [fake_bundle("area"), fake_bundle("nodule", region="roi")]
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


def test_array_file_and_bytes_have_the_same_scores(engine, frame, tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(frame).save(path)
    first, second, third = (
        [one.score for one in engine.compare(image).predictions]
        for image in (frame, path, path.read_bytes())
    )
    assert first == second == third


def test_one_forward_pass_serves_the_comparison_and_all_maps_on_demand(engine, frame, fake_bundle):
    counted = fake_bundle("counted")
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


def test_only_the_last_images_are_remembered(engine, frame, fake_bundle):
    counted = fake_bundle("counted")
    engine.add(counted)
    for shade in range(9):
        frame[0, 0] = shade
        engine.compare(frame, names=["counted"])
    engine.explain(frame, "counted", "softmax")
    assert counted.passes == 9
    frame[0, 0] = 0
    engine.explain(frame, "counted", "softmax")
    assert counted.passes == 10


def test_a_bundle_that_replaces_another_is_asked_anew(engine, frame, fake_bundle):
    engine.compare(frame)
    newer = fake_bundle("low")
    engine.add(newer)
    engine.compare(frame)
    assert newer.passes == 1


def test_a_model_that_is_named_twice_has_one_vote(engine, frame):
    name = engine.names()[0]
    once, twice = (engine.compare(frame, names) for names in ([name], [name, name]))
    assert twice.agreement == once.agreement
    assert len(twice.predictions) == len(once.predictions) > 0


def test_an_image_out_of_distribution_has_a_notice(engine, frame, fake_bundle):
    assert engine.compare(frame).notices == []
    engine.add(fake_bundle("strange", distance=1.2))
    engine.add(fake_bundle("odd", distance=3.0))
    assert engine.compare(frame).notices[0] == (
        "This image is unlike the training images of Strange and Odd: the scores below mean little."
    )


def drawn_nodule(peak):
    cells = np.zeros((CELLS, CELLS), np.float32)
    cells[1:3, 1:3] = peak
    return cells


def test_a_model_that_draws_no_nodule_is_named_before_any_score(tmp_path, fake_bundle):
    engine = Engine(tmp_path)
    engine.add(fake_bundle("sees", nodule=drawn_nodule(0.9)))
    engine.add(fake_bundle("misses", nodule=drawn_nodule(0.1)))
    engine.add(fake_bundle("plain"))
    frame = np.random.default_rng(0).integers(20, 200, (64, 64, 3)).astype(np.uint8)
    found = engine.compare(frame, maps=())
    assert found.without_nodule == ("misses",)
    assert found.notices[0].startswith("No nodule found by Misses:")
    assert found.to_dict()["without_nodule"] == ["misses"]


def test_a_nodule_map_comes_in_the_coordinates_of_the_frame(tmp_path, fake_bundle):
    engine = Engine(tmp_path)
    engine.add(fake_bundle("sees", nodule=drawn_nodule(1.0)))
    engine.add(fake_bundle("plain"))
    frame = np.zeros((80, 120, 3), np.uint8)
    frame[10:70, 20:100] = np.random.default_rng(0).integers(60, 200, (60, 80, 1))
    found = engine.compare(frame, maps=())
    assert set(found.nodules) == {"sees"}
    drawn, box = found.nodules["sees"], scan_area.find(frame)
    assert drawn.shape == frame.shape[:2]
    middle = (box.top + box.bottom) // 2, (box.left + box.right) // 2
    assert drawn[middle] == pytest.approx(drawn.max())
    outside = np.ones(drawn.shape, bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    assert not drawn[outside].any()


def test_no_sentence_claims_a_diagnosis(engine, frame):
    comparison = engine.compare(frame)
    sentences = " ".join([comparison.agreement, *comparison.notices]).lower()
    assert not any(word in sentences for word in ("malignant", "benign", "cancer", "diagnos"))


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
    with pytest.raises(BundleError, match=r"softmax, forest\. Received: head='svm'\.$"):
        engine.explain(frame, "low", "svm")


def test_without_bundles_the_error_names_what_is_needed(tmp_path, frame):
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
