"""An ensemble is fitted on what its members' frozen networks compute, and loads beside them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from thyro_demo.bench.untrained import untrained
from thyro_demo.bundle import ensemble
from thyro_demo.errors import BundleError, RecipeError
from thyro_demo.evaluate import metrics
from thyro_demo.study.questions import ensembles
from thyro_demo.training.recipes import RECIPES

pytestmark = pytest.mark.usefixtures("eagerly", "small_heads", "few_resamples")

MEMBERS = ("first", "second")


@pytest.fixture(scope="module")
def root(small_heads, tmp_path_factory):
    """Write two small networks whose last stage trained nothing but a head."""
    root = tmp_path_factory.mktemp("ensemble")
    for name, size in zip(MEMBERS, (32, 48), strict=True):
        parts = untrained("two-layer-cnn", rows=40, input_size=size)
        recipe = {"recipe": "find-and-read", "chain": [{"trained": "head"}]}
        facts = parts.manifest | {"name": name} | recipe
        replace(parts, manifest=facts).write(root)
    return root


@pytest.fixture
def two_folds(monkeypatch):
    monkeypatch.setitem(RECIPES, "progressive", replace(RECIPES["progressive"], folds=2))


@pytest.mark.slow
@pytest.mark.usefixtures("quick", "two_folds")
def test_an_ensemble_is_scored_out_of_fold_written_and_loaded(root, clinic, tmp_path):
    out = ensembles.train(root, clinic, tmp_path / "work", root / "both", MEMBERS)
    facts = json.loads((out / "manifest.json").read_text("utf-8"))
    scores = pd.read_csv(tmp_path / "work" / "oof.csv", dtype={"group": str})

    # Every frame, 24 real ones and as many phantoms, is scored once by both heads.
    assert set(scores.groupby(["head", "path"]).size()) == {1}
    assert set(scores["head"]) == {"svm", "average"}
    assert set(scores.groupby("group")["fold"].nunique()) == {1}
    assert len(facts["training_images"]) == scores["path"].nunique() == 48
    for head, rows in scores[scores["source"] != "phantom"].groupby("head"):
        value = metrics.auroc(rows["label"] == "malignant", rows["probability"])
        assert facts["metrics"]["heads"][head]["auroc"]["value"] == pytest.approx(value, abs=1e-9)
    assert facts["primary"] == ensembles.PRIMARY == "svm"

    loaded = ensemble.load(out)
    assert [network.name for network in loaded.networks] == list(MEMBERS)
    grey = [np.full((2, network.input_size, network.input_size, 3), 90, np.float32)
            for network in loaded.networks]  # fmt: skip
    passes = [network.forward(each) for network, each in zip(loaded.networks, grey, strict=True)]
    found = loaded.scores(*passes)
    assert set(found) == {"svm", "average"}
    assert all(((score > 0) & (score < 1)).all() for score in found.values())
    # The average is of the members' own SVMs.
    means = np.mean([network.score(each, "svm") for network, each in
                     zip(loaded.networks, passes, strict=True)], axis=0)  # fmt: skip
    sigmoid = facts["average"]
    odds = sigmoid["slope"] * np.log(means / (1 - means)) + sigmoid["intercept"]
    np.testing.assert_allclose(found["average"], 1 / (1 + np.exp(-odds)), atol=1e-9)

    # Cross-validation alone finds the same; its phantoms are in a folder of its own.
    ensembles.cross_validate(root, clinic, tmp_path / "again", MEMBERS)
    first, second = (tmp_path / name / "oof.csv" for name in ("work", "again"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("quick", "two_folds")
@pytest.mark.parametrize("earlier", [[], [{"stage": "thyroid", "trained": "all"}]])
def test_a_member_that_was_trained_on_thyroid_frames_is_refused(earlier, trained_bundle, clinic,
                                                                tmp_path):  # fmt: skip
    """Also where its last stage froze what its initial weights had learned from them."""
    folder = trained_bundle("head" if earlier else "last block")
    facts = json.loads((folder / "manifest.json").read_text("utf-8"))
    facts["chain"] = earlier + facts["chain"]
    (folder / "manifest.json").write_text(json.dumps(facts), "utf-8")
    root = folder.parent
    with pytest.raises(RecipeError, match=r"no thyroid frame:.*Received: .*cnn, trained on"):
        ensembles.cross_validate(root, clinic, tmp_path / "work", ("two-layer-cnn", "other"))


def test_a_place_that_is_no_bundles_is_refused_first(root, clinic, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(BundleError, match=r"folder must be new, empty.*chapter\.txt\.$"):
        ensembles.train(root, clinic, tmp_path / "work", tmp_path / "thesis", MEMBERS)
    assert not (tmp_path / "work").exists()
