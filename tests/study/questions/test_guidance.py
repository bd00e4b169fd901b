"""Heatmaps of a led loss and of a weighted pooling are measured on the same new outlines."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.bundle.manifest import weights_root
from thyro_demo.data import phantom
from thyro_demo.errors import RecipeError
from thyro_demo.study.questions import guidance
from thyro_demo.training import outlined_set

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eagerly")]

SHAPE = (120, 160)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Write a DDTI of six cases, of which the thyroid set has three; outlines are squares."""
    root = tmp_path_factory.mktemp("sets")
    for name in ("ddti", "thyroid_us"):
        (root / name).mkdir()
    rows = []
    for case, drawn in enumerate(phantom.cohort(6, 1, seed=3, shape=SHAPE)):
        Image.fromarray(drawn.rgb).save(root / "ddti" / f"{case}_1.png")
        corners = [{"x": x, "y": y} for x, y in ((60, 40), (110, 40), (110, 80), (60, 80))]
        mark = f"<mark><image>1</image><svg>{json.dumps([{'points': corners}])}</svg></mark>"
        (root / "ddti" / f"{case}.xml").write_text(f"<case><tirads>3</tirads>{mark}</case>")
        if case < 3:
            Image.fromarray(drawn.rgb).save(root / "thyroid_us" / f"{case}.png")
            rows.append((f"{case}.png", ("benign", "malignant")[case % 2], case, "ddti", case))
    table = pd.DataFrame(rows, columns=["path", "label", "group", "source", "ddti_case"])
    table.to_csv(root / "thyroid_us" / "index.csv", index=False)
    return root


@pytest.fixture(scope="module")
def table(sets, tmp_path_factory):
    work = tmp_path_factory.mktemp("guidance")
    drawn = phantom.cohort
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlined_set, "PATIENTS", 40)
        patch.setattr(outlined_set, "GLANDS", 4)
        patch.setattr(guidance, "SIDE", 64)
        patch.setattr(phantom, "cohort", lambda *a, **k: drawn(*a, **{"shape": SHAPE} | k))
        found = guidance.run("two-layer-cnn", sets, work, "none")
        again = guidance.run("two-layer-cnn", sets, work, "none")
        with pytest.raises(RecipeError, match=r"weights, stage and images.*Received: "):
            guidance.run("two-layer-cnn", sets, work, "imagenet")
    assert again == found
    return found


def test_every_way_is_measured_beside_the_nodule_map_and_the_gaussian(table):
    ways = [row["way"] for row in table.rows]
    assert ways == [*guidance.WAYS, "that nodule map itself", "a Gaussian at the centre"]
    for row in table.rows[: len(guidance.WAYS)]:
        for key in ("pointing", "energy", "shuffled", "auroc"):
            assert 0 <= row[key].low <= row[key].value <= row[key].high <= 1
        assert row["pointing"].gain is not None


def test_a_network_that_may_know_the_outlines_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"has learned no outline.*Received: .*vgg16\.$"):
        guidance.run("vgg16", tmp_path, tmp_path, str(weights_root() / "vgg16"))


def test_only_outlines_that_no_way_has_learned_are_measured_by(table):
    """Cases of the thyroid set lend no outline, so that theirs are left to measure by."""
    assert "on 3 DDTI frames of 3 cases whose outlines were not learned" in table.what
    blind = [row["energy"].value for row in table.rows if row["way"].startswith("a Gaussian")]
    assert np.isfinite(blind).all()
