"""Means against the source shortcut change what they say, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from thyro_demo.errors import RecipeError
from thyro_demo.study.questions import paired, shortcuts


@pytest.fixture
def records():
    """Make 30 rows of two sources that betray the class, most of them benign."""
    rng = np.random.default_rng(0)
    east = rng.random(30) < 0.6
    malignant = rng.random(30) < np.where(east, 0.2, 0.7)
    return pd.DataFrame(
        {
            "source": np.where(east, "east", "west"),
            "label": np.where(malignant, "malignant", "benign"),
            "group": np.arange(30).astype(str),
            "fold": np.arange(30) % 3,
        }
    )


def test_every_pair_of_source_and_class_weighs_alike(records):
    weights = shortcuts.balanced(records)
    totals = records.assign(weight=weights).groupby(["source", "label"])["weight"].sum()
    assert len(totals) == 4
    np.testing.assert_allclose(totals, 30 / 4)
    assert weights.mean() == pytest.approx(1.0)


def test_blends_stay_in_class_and_fold_and_cross_sources(records):
    """Each image is its row's number, so that a blend shows its two rows."""
    images = np.zeros((30, 1, 30, 3), np.uint8)
    images[np.arange(30), 0, np.arange(30)] = 200
    blends, blended = shortcuts.mixed(images, records)
    pd.testing.assert_frame_equal(blended, records)
    for row, blend in enumerate(blends[:, 0, :, 0]):
        (places,) = np.nonzero(blend)
        partners = set(places) - {row}
        assert row in places
        assert len(partners) <= 1
        assert blend.sum() == pytest.approx(200, abs=1)
        mine = records.iloc[row]
        alike = records[(records["label"] == mine["label"]) & (records["fold"] == mine["fold"])]
        elsewhere = set(alike.index[alike["source"] != mine["source"]])
        assert partners <= (elsewhere or set(alike.index))
        if elsewhere:
            assert len(partners) == 1
            assert 80 <= blend[row] <= 120
    again, _ = shortcuts.mixed(images, records)
    np.testing.assert_array_equal(again, blends)


def test_even_intensity_gives_every_frame_the_same_grey():
    rng = np.random.default_rng(1)
    for mean, spread in ((60, 20), (140, 45), (100, 1)):
        frame = np.clip(rng.uniform(-1, 1, (80, 100, 1)) * spread + mean, 11, 255)
        even = shortcuts.even_intensity(np.repeat(frame.astype(np.uint8), 3, axis=2), 64)
        assert even.shape == (64, 64, 3)
        assert even.mean() == pytest.approx(shortcuts._MIDDLE, abs=0.5)
        if spread > 1:
            assert even.std() == pytest.approx(shortcuts._SPREAD, rel=0.02)


def test_even_scale_leaves_no_more_detail_than_the_coarsest_source_has():
    lines = np.zeros((448, 448, 3), np.uint8)
    lines[:, ::2] = 255
    coarse, fine = (view(lines, 224) for view in (shortcuts.even_scale, shortcuts.scan_area))
    assert coarse.shape == fine.shape == (224, 224, 3)
    steps = np.zeros((448, 448, 3), np.uint8)
    steps[:, 224:] = 255
    sharp = [np.abs(np.diff(view(steps, 224)[100, :, 0])).max()
             for view in (shortcuts.scan_area, shortcuts.even_scale)]  # fmt: skip
    assert sharp[1] < 0.8 * sharp[0]


def test_a_means_is_compared_with_the_plain_crop_on_the_same_frames(scored):
    table = paired.against(
        {shortcuts.PLAIN: scored(1.0), "other": scored(2.5)}, shortcuts.PLAIN, "means"
    )
    assert list(table["source"]) == ["all", "east", "west"] * 2
    plain, other = (table[table["means"] == name].set_index("source") for name in
                    (shortcuts.PLAIN, "other"))  # fmt: skip
    np.testing.assert_allclose(other["gain"], other["auroc"] - plain["auroc"])
    assert (plain["gain"] == 0).all()
    assert other.loc["all", "gain_low"] > 0
    text = shortcuts.result(table).markdown().splitlines()
    assert text[0] == "| Means | All | east | west |"
    assert [line.split("|")[1].strip() for line in text[2:]] == [shortcuts.PLAIN, "other"]
    first = plain.loc["all"]
    assert f"| {first['auroc']:.3f} ({first['low']:.3f}–{first['high']:.3f}) |" in text[2]
    whole = other.loc["all"]
    gain = f"+{whole['gain']:.3f} (+{whole['gain_low']:.3f} to +{whole['gain_high']:.3f})"
    # The difference has its interval, and over all frames alone.
    assert text[3].count(gain) == text[3].count(" to ") == 1


def test_sources_of_the_public_set_are_named_as_in_the_cards():
    names = ("all", "ddti", "other", "web300")
    row = {"means": shortcuts.PLAIN, "auroc": 0.8, "low": 0.7, "high": 0.9}
    table = pd.DataFrame([row | {"source": name} for name in names])
    head = shortcuts.result(table).markdown().splitlines()[0]
    assert head == "| Means | All | DDTI frames (560×360) | 300×225 frames | the rest |"


def test_a_network_that_was_trained_on_thyroid_frames_is_refused(trained_bundle, clinic, tmp_path):
    with pytest.raises(RecipeError, match=r"no thyroid frame.*trained on them: all\.$"):
        shortcuts.run(trained_bundle("all"), clinic, tmp_path / "work")
    assert not (tmp_path / "work").exists()
