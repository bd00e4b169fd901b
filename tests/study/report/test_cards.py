"""A card shows where heatmaps look on unseen frames, and what fails on phantoms."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from thyro_demo.data import phantom
from thyro_demo.errors import DataError
from thyro_demo.study.report import cards

OUTLINE = [{"points": [{"x": 5, "y": 6}, {"x": 30, "y": 6}, {"x": 30, "y": 20}]}]


def frame(seed):
    """Draw a frame that is no copy of one with another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8)).astype(np.uint8)
    return Image.fromarray(coarse).resize((120, 96), Image.Resampling.BICUBIC)


def unseen(*arguments, **keywords):
    root = lay_out(*arguments, **keywords)
    return cards.unseen(root / "ddti", root / "thyroid_us")


def lay_out(root, used, copies=None):
    """Write a DDTI of cases 7 to 10, outlined but for 9, and frames taken from `used`.

    `copies` names the case whose frame another one repeats.
    """
    copies = copies or {}
    for folder in ("ddti", "thyroid_us"):
        (root / folder).mkdir()
    for case in (7, 8, 9, 10):
        frame(copies.get(case, case)).save(root / "ddti" / f"{case}_1.png")
        svg = "[]" if case == 9 else json.dumps(OUTLINE)
        mark = f"<mark><image>1</image><svg>{svg}</svg></mark>"
        (root / "ddti" / f"{case}.xml").write_text(f"<case><tirads>3</tirads>{mark}</case>")
    rows = ["path,label,group,source,ddti_case"]
    for row, case in enumerate([*used, ""]):
        frame(case or 99).save(root / "thyroid_us" / f"{row}.png")
        rows.append(f"{row}.png,benign,{row},ddti,{case}")
    (root / "thyroid_us" / "index.csv").write_text("\n".join(rows) + "\n")
    return root


def test_heatmaps_are_measured_on_outlined_cases_that_gave_no_training_frame(tmp_path):
    left = unseen(tmp_path, used=[8])
    assert list(left["case"]) == ["7", "10"]
    assert list(left.index) == [0, 1]


def test_a_frame_that_was_used_under_another_case_number_is_no_unseen_one(tmp_path):
    left = unseen(tmp_path, used=[8], copies={10: 8})
    assert list(left["case"]) == ["7"]


def test_cases_that_share_a_frame_are_one_group(tmp_path):
    left = unseen(tmp_path, used=[8], copies={10: 7})
    assert list(left["case"]) == ["7", "10"]
    assert left["group"].nunique() == 1


def test_a_set_that_used_every_outlined_case_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"outside the thyroid set.*Received: .* with none\.$"):
        unseen(tmp_path, used=[7, 8, 10])


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
