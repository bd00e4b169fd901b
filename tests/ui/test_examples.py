"""What the page offers is seeded, named once, and shows what is known of it."""

import numpy as np
from PIL import Image

from thyro_demo.data import phantom
from thyro_demo.data.scan_area import crop
from thyro_demo.ui.examples import collect, draw_chart, gallery


def test_every_phantom_example_is_offered_with_its_points_and_its_label(tmp_path):
    examples = {example.name: example for example in collect(tmp_path / "absent")}
    assert set(phantom.EXAMPLES) < set(examples)
    for name in (*phantom.EXAMPLES, *phantom.PITFALLS):
        drawn = phantom.example(name)
        assert name == examples[name].caption
        assert ("TI-RADS" in examples[name].truth) == (drawn.features is not None)
        assert f" {drawn.label}" in examples[name].truth
        assert (examples[name].roi is None) == (drawn.features is None)
        if examples[name].roi is not None:
            outside = drawn.mask.copy()
            crop(outside, examples[name].roi)[:] = False
            assert not outside.any()


def test_one_example_is_no_ultrasound_at_all(tmp_path):
    assert collect(tmp_path / "absent")[-1].caption == "Not ultrasound"
    assert np.ptp(draw_chart().astype(int), axis=2).mean() > 20


def test_frames_are_rgb_and_the_same_each_time(tmp_path):
    example = collect(tmp_path / "absent")[0]
    frame = example.read()
    assert frame.dtype == np.uint8
    assert frame.shape[2] == 3
    np.testing.assert_array_equal(frame, example.read())


def test_fetched_frames_are_offered_a_handful_of_each_label(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    for label in ("benign", "malignant"):
        (tmp_path / label).mkdir()
        for number in range(5):
            Image.fromarray(np.roll(grey, 7 * number)).save(tmp_path / label / f"{number}.png")
    real = [example for example in collect(tmp_path) if example.name.startswith("real")]
    captions = [example.caption for example in real]
    assert captions == ["Real frame, benign"] * 3 + ["Real frame, malignant"] * 3
    # Both classes have a 0.png, 1.png, …: one name for two frames would open the wrong one.
    assert len({example.name for example in real}) == 6


def test_a_damaged_frame_takes_only_itself_away(tmp_path, capsys):
    grey = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    for label in ("benign", "malignant"):
        (tmp_path / label).mkdir()
        Image.fromarray(grey).save(tmp_path / label / "whole.png")
    (tmp_path / "benign" / "cut.png").write_bytes(b"cut")
    real = [example for example in collect(tmp_path) if example.name.startswith("real")]
    assert [example.name for example in real] == [
        "real: benign/whole.png", "real: malignant/whole.png",
    ]  # fmt: skip
    assert "Received: cut.png" in capsys.readouterr().out


def test_a_set_fetched_by_halves_takes_only_its_own_examples_away(tmp_path, capsys):
    (tmp_path / "index.csv").write_text("nothing\n")
    assert len(collect(tmp_path)) == len(phantom.EXAMPLES) + len(phantom.PITFALLS) + 1
    assert "Received:" in capsys.readouterr().out


def test_each_example_is_a_button_that_a_keyboard_reaches(examples):
    html = gallery(examples)
    assert html.count("<button") == len(examples)
    assert 'data-example="test chart"' in html
