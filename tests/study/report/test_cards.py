"""A card shows where heatmaps look, by outlines not learned, and what fails on phantoms."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from thyro_demo.bundle import training_set
from thyro_demo.bundle.manifest import names, of_networks, read_manifest, weights_root
from thyro_demo.data import phantom
from thyro_demo.errors import DataError
from thyro_demo.files import sha256
from thyro_demo.study.report import cards

OUTLINE = [{"points": [{"x": 5, "y": 6}, {"x": 30, "y": 6}, {"x": 30, "y": 20}]}]


def frame(seed):
    """Draw a frame that is no copy of one with another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8)).astype(np.uint8)
    return Image.fromarray(coarse).resize((120, 96), Image.Resampling.BICUBIC)


def unlearned(root, learned, copies=None):
    """List what is left of a DDTI of cases 7 to 10, outlined but for 9.

    `learned` are the cases whose outlines a network knows; `copies` names the case whose frame
    another one repeats.
    """
    copies = copies or {}
    for case in (7, 8, 9, 10):
        frame(copies.get(case, case)).save(root / f"{case}_1.png")
        svg = "[]" if case == 9 else json.dumps(OUTLINE)
        mark = f"<mark><image>1</image><svg>{svg}</svg></mark>"
        (root / f"{case}.xml").write_text(f"<case><tirads>3</tirads>{mark}</case>")
    images = {case: sha256(root / f"{case}_1.png") for case in (7, 8, 10)}
    facts = {
        "training_outlines": [images[case] for case in learned],
        "training_images": list(images.values()),
    }
    return cards.unlearned(root, [facts])


def test_heatmaps_are_measured_on_cases_whose_outlines_were_not_learned(tmp_path):
    """Whose labels were learned makes no difference: they don't show where the nodule is."""
    left = unlearned(tmp_path, learned=[8])
    assert list(left["case"]) == ["7", "10"]
    assert list(left.index) == [0, 1]


def test_a_frame_whose_copy_was_learned_under_another_case_number_is_known(tmp_path):
    left = unlearned(tmp_path, learned=[8], copies={10: 8})
    assert list(left["case"]) == ["7"]


def test_cases_that_share_a_frame_are_one_group(tmp_path):
    left = unlearned(tmp_path, learned=[8], copies={10: 7})
    assert list(left["case"]) == ["7", "10"]
    assert left["group"].nunique() == 1


def test_a_set_whose_outlines_were_all_learned_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"must not have lent.*Received: .* with none\.$"):
        unlearned(tmp_path, learned=[7, 8, 10])


@pytest.mark.parametrize("name", names())
def test_the_shipped_cards_measure_heatmaps_on_outlines_that_no_network_has_learned(
    name, thyro_data
):
    networks = of_networks(weights_root() / name)
    left = cards.unlearned(thyro_data / "ddti", networks)
    measured = read_manifest(weights_root() / name)["localisation"]
    assert (measured["n"], measured["groups"]) == (len(left), left["group"].nunique())
    assert not training_set.learned(left, networks).any()


def test_failures_are_counted_one_change_at_a_time(monkeypatch):
    """A head that goes by brightness fails with the gain, and not in a mirror."""
    monkeypatch.setattr(cards, "PAIRS", 6)
    drawn = phantom.cohort
    monkeypatch.setattr(phantom, "cohort", lambda *a, **k: drawn(*a, **{"shape": (120, 160)} | k))
    frames = [one.frame for one in phantom.cohort(6, frames_per_patient=1, seed=77)]
    limit = 1.01 * max(frame.mean() for frame in frames)

    def compare(rgb, names, heatmaps):
        assert (rgb.ndim, names, heatmaps) == (3, ["net"], ())
        return SimpleNamespace(
            predictions=[
                SimpleNamespace(head="softmax", positive=True),
                SimpleNamespace(head="svm", positive=bool(rgb.mean() > limit)),
            ]
        )

    found = cards.failures(SimpleNamespace(compare=compare), "net", "svm")
    shares = {one["pitfall"]: one["share"] for one in found}
    brighter = np.mean([np.clip(1.35 * frame, 0, 255).mean() > limit for frame in frames])
    assert brighter > 0
    assert shares["More gain (35 % brighter)"] == pytest.approx(brighter)
    assert shares["A mirrored frame"] == 0
    assert shares["Phantoms drawn malignant"] == 1
    assert all(one["pitfall"] in one["sentence"] and "svm" in one["sentence"] for one in found)
