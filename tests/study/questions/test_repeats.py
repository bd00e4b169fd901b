"""Bundles are scored in several splits into folds, each beside the earlier one of its name."""

from dataclasses import replace

import pandas as pd
import pytest

from thyro_demo.bench.untrained import untrained
from thyro_demo.errors import BundleError, DataError
from thyro_demo.evaluate import intervals
from thyro_demo.study.questions import cross_validation, ensembles, repeats
from thyro_demo.training.out_of_fold import read_back
from thyro_demo.training.recipes import RECIPES
from thyro_demo.training.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eagerly", "small_heads", "quick")]


@pytest.fixture
def quick_recipe(monkeypatch):
    stage = Stage("thyroid", "head", 1, input_size=32)
    known = replace(RECIPES["head"], stages=(("thyroid", stage),), heads=("softmax", "svm"),
                    folds=2, phantoms=0.0)  # fmt: skip
    monkeypatch.setitem(RECIPES, "head", known)
    monkeypatch.setattr(repeats, "SPLITS", 2)
    monkeypatch.setattr(intervals, "RESAMPLES", 50)


def bundles(folder, *names, recipe="head"):
    """Write small networks of a recipe, frozen on thyroid frames."""
    for rows, name in enumerate(names, 40):
        parts = untrained("two-layer-cnn", rows=rows, input_size=32)
        facts = {"name": name, "recipe": recipe, "chain": [{"stage": "thyroid", "trained": "head"}]}
        replace(parts, manifest=parts.manifest | facts).write(folder)


@pytest.mark.usefixtures("quick_recipe")
def test_networks_and_their_ensemble_are_compared_with_the_earlier_ones(clinic, tmp_path):
    root, earlier, work = (tmp_path / name for name in ("root", "earlier", "work"))
    bundles(root, "first", "second")
    ensembles.train(root, clinic, tmp_path / "made", root / "both", ("first", "second"))
    bundles(earlier, "second")
    found = repeats.run(root, clinic, work, earlier)
    assert [(row["bundle"], row["head"]) for row in found.rows] == [
        ("`both`", "svm"), ("`both`", "average"), ("`first`", "softmax"), ("`first`", "svm"),
        ("`second`", "softmax"), ("`second`", "svm"),
    ]  # fmt: skip
    for row in found.rows:
        for key in (cross_validation.WITHIN, cross_validation.ALL):
            assert row[key].low <= row[key].value <= row[key].high
            compared = row["bundle"] == "`second`"
            assert (row[key].gain is not None) == compared
    alone = repeats.run(root, clinic, work, earlier, ("second",))
    assert alone.rows == found.rows[-2:]
    assert "study repeats second --data sets --earlier FOLDER" in alone.made_by


@pytest.mark.usefixtures("quick_recipe")
def test_a_bundle_of_fewer_phantoms_is_compared_in_the_same_folds(clinic, tmp_path, monkeypatch):
    known = RECIPES["head"]
    monkeypatch.setitem(RECIPES, "head", replace(known, phantoms=0.5))
    monkeypatch.setitem(RECIPES, "linear", replace(known, name="linear", phantoms=0.0))
    root, earlier, work = (tmp_path / name for name in ("root", "earlier", "work"))
    bundles(root, "second")
    bundles(earlier, "second", recipe="linear")
    (row, _) = repeats.run(root, clinic, work, earlier).rows
    assert row[cross_validation.WITHIN].gain is not None
    folds = [
        cross_validation._folds(read_back(place / "second" / "oof.csv"))
        for place in (work, work / "earlier")
    ]
    assert len(folds[0])
    pd.testing.assert_series_equal(*folds)
    # With its own share the same frames would have been in other folds.
    apart = cross_validation.run("linear", "two-layer-cnn", clinic, str(earlier / "second"),
                                 tmp_path / "apart")  # fmt: skip
    here = cross_validation.run("head", "two-layer-cnn", clinic, str(root / "second"),
                                tmp_path / "here")  # fmt: skip
    with pytest.raises(DataError, match=r"same folds.*Received: frames in other folds, in split 0"):
        cross_validation.gained(here, apart)


def test_a_bundle_that_is_not_there_is_refused_before_the_others_are_scored(tmp_path):
    bundles(tmp_path, "first")
    with pytest.raises(BundleError, match=r"must be a folder with manifest\.json.*third"):
        repeats.run(tmp_path, tmp_path, tmp_path / "work", None, ("first", "third"))
    assert not (tmp_path / "work").exists()
