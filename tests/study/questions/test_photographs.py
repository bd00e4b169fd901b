"""Networks of more and more passes over photographs are judged on the same thyroid frames."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.data import phantom
from thyro_demo.errors import RecipeError
from thyro_demo.evaluate import metrics
from thyro_demo.files import sha256
from thyro_demo.models.backbones import backbone
from thyro_demo.models.networks import build
from thyro_demo.models.pipeline import Frames
from thyro_demo.study.questions import cross_validation, photographs, short_chains

pytestmark = pytest.mark.usefixtures("eagerly")


def test_a_network_that_is_missing_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(RecipeError, match=r"as `train natural-64.*Received: .*missing\.$"):
        photographs.run("vgg16", tmp_path, tmp_path / "work", tmp_path / "none.keras")
    assert not (tmp_path / "work").exists()


def test_a_network_that_draws_no_nodule_map_is_refused(tmp_path):
    (tmp_path / "net.keras").touch()
    with pytest.raises(RecipeError, match=r"backbone of nodules must be one of.*'resnet50v2'\.$"):
        photographs.run("resnet50v2", tmp_path, tmp_path / "work", tmp_path / "net.keras")


@pytest.mark.parametrize("most", [3, 12, 19, 20])
def test_each_cycle_goes_on_from_the_one_before_and_none_goes_on_beyond(
    most, tmp_path, monkeypatch
):
    jobs = []

    def train(job):
        jobs.append((job.initial_weights, job.epochs, job.recipe.name))
        job.out.touch()
        return job.out

    monkeypatch.setattr(photographs, "run_once", train)
    start = tmp_path / "natural.keras"
    longer = [("natural.keras", 3), ("6-passes.keras", 6), ("12-passes.keras", 8)]
    wanted = [3, *(passes for passes in (6, 12, 20) if passes <= most)]
    found = list(photographs._longer("efficientnet-b0", tmp_path, tmp_path, start, most))
    assert [passes for passes, _ in found] == wanted
    expected = longer[: len(wanted) - 1]
    assert jobs == [(str(tmp_path / name), cycle, "natural-more") for name, cycle in expected]


def test_a_photograph_is_named_when_its_own_class_scores_highest(tmp_path):
    network = build(backbone("two-layer-cnn"), 3, input_size=32)
    logits = network.get_layer("logits")
    logits.set_weights([np.zeros(logits.kernel.shape), np.array([0.0, 5.0, 1.0])])
    network.save(tmp_path / "net.keras")
    images = np.zeros((8, 32, 32, 3), np.uint8)
    shown = Frames(images, np.array([1, 1, 1, 0, 2, 1, 2, 0]), ("a", "b", "c"))
    found = photographs._named(str(tmp_path / "net.keras"), shown)
    assert found.value == 0.5
    assert 0.2 < found.low < 0.5 < found.high < 0.8


@pytest.fixture
def found(scored):
    """Make up what three networks do; the third points at every nodule."""
    rng = np.random.default_rng(0)
    maps = pd.DataFrame({"path": [f"{row}.png" for row in range(30)],
                         "group": [str(row // 2) for row in range(30)]})  # fmt: skip
    return {
        passes: photographs._Found(
            photographs.intervals.share(10 * passes, 200),
            [scored(skill, seed=passes).rename(columns={"score": "probability"})],
            maps.assign(pointing=pointing, dice=rng.random(30)).sample(frac=1, random_state=passes),
        )
        for passes, skill, pointing in ((3, 0.5, 0.0), (6, 1.0, 0.0), (12, 2.0, 1.0))
    }


def test_a_gain_is_the_difference_to_the_fewest_passes_on_the_same_frames(found):
    table = photographs._table("vgg16", found)
    assert [row["passes"] for row in table.rows] == [3, 6, 12]
    assert "80 real frames" in table.what
    assert "--backbone vgg16 --passes 12 " in table.made_by
    assert "30 DDTI frames of 15 cases" in table.what
    first, *others = table.rows
    keys = (cross_validation.ALL, "pointing", "dice")
    assert all(first[key].gain is None for key in keys)
    for row in others:
        one = found[row["passes"]]
        auroc = [metrics.auroc(each["label"] == "malignant", each["probability"])
                 for each in (one.scores[0], found[3].scores[0])]  # fmt: skip
        assert row[cross_validation.ALL].gain.value == pytest.approx(auroc[0] - auroc[1])
        dice = [each.set_index("path")["dice"] for each in (one.maps, found[3].maps)]
        assert row["dice"].gain.value == pytest.approx((dice[0] - dice[1]).mean())
        assert row["dice"].gain.low < row["dice"].gain.value < row["dice"].gain.high
    assert [row["pointing"].gain.value for row in others] == [0.0, 1.0]


@pytest.mark.slow
def test_a_map_is_measured_on_cases_whose_outlines_its_network_has_not_learned(
    tmp_path, monkeypatch
):
    ddti, folder = tmp_path / "ddti", tmp_path / "work"
    ddti.mkdir()
    corners = [{"x": x, "y": y} for x, y in ((60, 40), (110, 40), (110, 80), (60, 80))]
    mark = f"<mark><image>1</image><svg>{json.dumps([{'points': corners}])}</svg></mark>"
    for case, drawn in enumerate(phantom.cohort(5, 1, seed=9, shape=(120, 160))):
        Image.fromarray(drawn.rgb).save(ddti / f"{case}_1.png")
        (ddti / f"{case}.xml").write_text(f"<case><tirads>3</tirads>{mark}</case>")
    keras.utils.set_random_seed(0)
    network = build(backbone("two-layer-cnn"), 2, "nodule", input_size=64)

    def train(name, network_name, data, place, weights):
        note = place / name
        note.mkdir(parents=True)
        (note / "outlines.json").write_text(json.dumps([sha256(ddti / "0_1.png")]))
        network.save(place / "network.keras")
        return str(place / "network.keras")

    monkeypatch.setattr(short_chains, "train", train)
    maps = photographs._maps("two-layer-cnn", tmp_path, folder, "none")
    assert sorted(path[-7:] for path in maps["path"]) == [f"{case}_1.png" for case in range(1, 5)]
    assert maps[["pointing", "dice"]].notna().all(axis=None)
