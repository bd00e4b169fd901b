"""P1: what was printed holds together, and every system reads what it should."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta
from sklearn.ensemble import RandomForestClassifier

from thyro_demo.errors import LeakError
from thyro_demo.evaluate import metrics
from thyro_demo.study.graph import Job
from thyro_demo.study.protocols.p1 import plan, tables
from thyro_demo.study.questions import held_out, leaks
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Report
from thyro_demo.study.setting import Setting
from thyro_demo.study.steps import networks

BY_SYSTEM = {one.system: one for one in tables.PRINTED}
ON_TEST_IMAGES = [one for one in tables.PRINTED if one.row.sensitivity is not None]


@pytest.mark.parametrize("one", ON_TEST_IMAGES, ids=lambda one: one.row.system)
def test_published_figures_are_those_of_whole_test_images(one):
    row = one.row
    found, spared = round(row.sensitivity * 0.99), round(row.specificity * 0.53)
    assert 100 * found / 99 == pytest.approx(row.sensitivity, abs=0.011)
    assert 100 * spared / 53 == pytest.approx(row.specificity, abs=0.011)
    assert found + spared == one.right
    assert 100 * one.right / 152 == pytest.approx(row.accuracy, abs=0.0051)
    # Precision and recall of `found` true and 53 − `spared` false positives.
    assert 200 * found / (found + 53 - spared + 99) == pytest.approx(row.f1, abs=0.011)


@pytest.mark.parametrize("one", tables.PRINTED, ids=lambda one: one.row.system)
def test_every_published_accuracy_is_a_share_of_whole_images(one):
    assert 100 * one.right / one.images == pytest.approx(one.row.accuracy, abs=0.0051)


def test_the_published_gain_of_the_forest_is_three_images():
    assert tables._printed_gain("VGG-16 + forest of the original") == "+1.97 (3 images of 152)"
    assert tables._printed_gain("VGG-16 + SVM of the original") == "−0.66 (1 image of 152)"
    # The two validation parts are of different size.
    assert tables._printed_gain("EfficientNet-B0 + MLP of the original") == "−4.87"
    assert tables._printed_gain("VGG-16 + softmax") == "–"


def test_the_printed_table_holds_each_row_with_an_interval():
    table = tables.as_printed()
    assert [row[0] for row in table.rows] == [row.system for row in plan.PROTOCOL.published]
    # Clopper and Pearson 1934, by quantiles of the beta distribution.
    low, high = 100 * beta.ppf(0.025, 120, 33), 100 * beta.ppf(0.975, 121, 32)
    assert table.rows[0][1:3] == ("120 of 152", f"78.95 ({low:.2f}–{high:.2f})")


@pytest.fixture
def shown():
    """Make 60 groups of two images in five folds; the label follows the group."""
    groups = np.repeat(np.arange(60), 2)
    return {
        "label": np.where(groups % 2, "malignant", "benign"),
        "group": groups.astype(str),
        "fold": groups // 2 % 5,
    }


def features(shown, skill, width=6):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(shown["label"]), width))
    return (noise + skill * (shown["label"] == "malignant")[:, None]).astype(np.float32)


def test_a_forest_has_one_of_the_sizes_and_is_that_forest(shown):
    rows, sizes = features(shown, 1.0), [10, 20, 30]
    settings = {"fold": 1, "positive": "malignant", "trees": sizes}
    found = plan.fit_forest(settings, shown, {"map": rows})
    assert found["trees"] in sizes
    tested, labels = shown["fold"] == 1, shown["label"] == "malignant"
    grown = RandomForestClassifier(int(found["trees"]), random_state=0)
    expected = grown.fit(rows[~tested], labels[~tested]).predict_proba(rows[tested])[:, 1]
    np.testing.assert_array_equal(found["raw"], expected)


def test_the_first_trees_of_a_forest_are_the_smaller_forest(shown):
    rows, labels = features(shown, 0.5), shown["label"] == "malignant"
    part = np.arange(80), np.arange(80, 120)
    smaller = RandomForestClassifier(10, random_state=0).fit(rows[:80], labels[:80])
    expected = metrics.auroc(labels[80:], smaller.predict_proba(rows[80:])[:, 1])
    assert plan._by_trees(rows, labels, part, [10, 20])[0] == pytest.approx(expected)


@pytest.fixture
def found(scored):
    """Make up scores of a system before and after the radiographs, and of one without a before."""
    tables = {
        "Net + SVM, natural": scored(0.5, seed=1),
        "Net + SVM, progressive": scored(3.0, seed=2),
        "Other + SVM, progressive": scored(1.0, seed=3),
    }
    return pd.concat([table.assign(head=name) for name, table in tables.items()])


def test_gains_are_paired_and_only_of_systems_with_both_chains(found):
    gains = tables.gains(found, "malignant").set_index("figure")
    assert set(gains["system"]) == {"Net + SVM"}
    by_head = dict(list(found.groupby("head")))
    then, now = (by_head[f"Net + SVM, {chain}"] for chain in tables.CHAINS)
    positive = now["label"] == "malignant"
    expected = metrics.auroc(positive, now["score"]) - metrics.auroc(positive, then["score"])
    assert gains.loc["auroc", "gain"] == pytest.approx(expected)
    assert 0 < gains.loc["auroc", "gain_low"] < expected < gains.loc["auroc", "gain_high"]


def test_a_system_compared_with_itself_gains_nothing(scored):
    both = [scored(1.0).assign(head=f"Net + SVM, {chain}") for chain in tables.CHAINS]
    gains = tables.gains(pd.concat(both), "malignant")
    assert (gains[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    (axes,) = tables.draw(gains).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Net + SVM"]


def test_the_table_of_gains_has_a_sign_an_interval_and_what_was_published(found):
    records = found[found["head"] == "Net + SVM, natural"].assign(width=100, height=100)
    summary = report.summarise(found, records, "malignant")
    ((system, *_, auroc, accuracy, printed),) = tables.differences(
        tables.gains(found, "malignant"), summary
    ).rows
    assert (system, printed) == ("Net + SVM", "–")
    assert auroc.startswith("+0.")
    assert accuracy[0] in "+−"


def test_a_network_without_its_natural_stage_is_left_out_with_a_sentence(tmp_path, monkeypatch):
    setting = Setting(tmp_path, tmp_path / "work", natural=str(tmp_path / "{backbone}.keras"))
    monkeypatch.setattr(plan, "BACKBONES", ("vgg16",))
    assert plan._weights(setting) == {}
    ((what, why),) = plan._left_out({})
    assert what.startswith("VGG-16")
    assert "train natural-64 --backbone vgg16" in why


def test_the_radiograph_network_of_a_bundle_is_taken_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "run_once", lambda job: job.out)
    first, near = tmp_path / "natural-64.keras", tmp_path / "radiographs.keras"
    for file in (first, near):
        file.write_bytes(b"weights")
    setting = Setting(tmp_path, tmp_path / "work")
    # Which network a file beside went on from is not known.
    trained = plan._radiographs(setting, "vgg16", str(first))
    assert trained.startswith(str(tmp_path / "work"))
    (tmp_path / "manifest.json").write_text("{}")
    assert plan._radiographs(setting, "vgg16", str(first)) == str(near)


@pytest.fixture
def planned(clinic, tmp_path):
    """Plan the systems of a rehearsal, without computing any."""
    from thyro_demo.data import datasets, splits

    records = splits.kfold(datasets.phantoms(clinic), 5)
    weights = {network: dict.fromkeys(tables.CHAINS, "none") for network in plan.BACKBONES}
    whole = Setting(tmp_path, tmp_path / "work")
    shown = networks.frames(records)
    return plan._systems(whole, shown, weights), plan._flaws(whole, records, weights)


def test_every_published_row_of_a_frozen_network_has_its_system(planned):
    systems, _ = planned
    frozen = {name for name, one in BY_SYSTEM.items() if one.row.sensitivity is not None}
    assert frozen <= set(systems)
    assert {name for name in systems if "MLP" in name} <= set(BY_SYSTEM)
    assert all(len(folds) == 5 for folds in systems.values())


def test_heads_of_the_original_have_its_settings(planned):
    systems, _ = planned
    svm = systems["VGG-16 + SVM of the original, natural"][0].settings
    assert svm["fixed"] == {"C": 1.0, "gamma": 0.001, "standardise": False}
    tuned = systems["EfficientNet-B0 + MLP of the original, progressive"][0].settings
    assert tuned["head"] == "mlp"
    assert (tuned["stage"]["frozen_layers"], tuned["stage"]["patience"]) == (221, 5)


@pytest.mark.parametrize("hide", [False, True], ids=["bare", "wrapped"])
def test_a_forest_reads_no_network_that_was_trained_on_the_tested_fold(planned, hide):
    systems, _ = planned
    fine_tuned = systems["EfficientNet-B0 + MLP of the original, natural"][0]
    shown = fine_tuned.needs[0]
    read = Job(held_out.choose, {"rows": [0]}, (fine_tuned,), "some rows") if hide else fine_tuned
    assert plan._forest(read, shown, 0, [10]).settings["fold"] == 0
    with pytest.raises(LeakError, match=r"Received: fold 1 on .*trained without fold 0\.$"):
        plan._forest(read, shown, 1, [10])


@pytest.mark.parametrize("fast", [False, True])
def test_every_setting_of_the_last_stage_that_was_changed_is_named(tmp_path, fast):
    original = plan.ORIGINAL
    assert (original.learning_rate, original.epochs, original.input_size) == (1e-5, 80, 224)
    here = plan._stage(tables.PROGRESSIVE, fast)
    setting = Setting(None if fast else tmp_path, tmp_path)
    why = dict(plan._differs(setting))["MLP"]
    for name, value in vars(original).items():
        if value != getattr(here, name) and name != "frozen_layers":
            assert f"{value:g}" in why.split("in place of ", 1)[1]
            assert f"{getattr(here, name):g}" in why


def test_the_flaws_share_the_features_of_the_sound_network(planned):
    systems, flaws = planned
    read = systems["EfficientNet-B0 + SVM, progressive"][0].needs[1]
    assert read in flaws[leaks.SOUND.name].needs


@pytest.fixture
def flawed():
    """Make up the figures of every flaw."""
    rng = np.random.default_rng(0)
    ends = ("value", "low", "high", "gain", "gain_low", "gain_high")
    rows = [
        {"flaw": flaw.name, "figure": name} | dict(zip(ends, rng.uniform(size=6), strict=True))
        for flaw in leaks.FLAWS
        for name in leaks.FIGURES
    ]
    return pd.DataFrame(rows)


def test_the_result_files_can_replace_the_committed_ones(planned, flawed, summary_of, replaces):
    systems, _ = planned
    summary = summary_of([*systems, "image size only"])
    found = tables.to_results(
        summary, flawed, plan.BACKBONES, "EfficientNet-B0", plan._cut(fast=False)
    )
    for name, result in found.items():
        replaces(result, name)
    assert set(tables.to_results(summary, None, plan.BACKBONES, "", "")) == {"p1"}


def test_result_files_hold_the_figures_of_the_report(scored, flawed, summary_of, written, holds):
    system = "VGG-16 + SVM, natural"
    scores = scored(1.0).assign(head=system)
    summary = report.summarise(scores, scores.assign(width=100, height=100), "malignant")
    made = tables.to_results(summary, flawed, plan.BACKBONES, "Net", "nothing")
    scores = scores.rename(columns={"score": "probability"})
    found = written(
        Report(plan.PROTOCOL, "", False, (), (), scores, {"one": summary}, results=made)
    )
    assert found == made
    own, size = found["p1"].rows
    holds(own, summary, system)
    holds(size, summary, "image size only")
    assert {"east", "west"} < set(own)
    by_flaw = flawed.set_index(["flaw", "figure"])
    for row in found["p1_flaws"].rows:
        for name in leaks.FIGURES:
            cell, known = row[name], by_flaw.loc[row["evaluation"], name]
            assert cell.ends == tuple(known[["value", "low", "high"]])
            if row["evaluation"] == leaks.SOUND.name:
                assert cell.gain is None
            else:
                assert cell.gain.ends == tuple(known[["gain", "gain_low", "gain_high"]])
