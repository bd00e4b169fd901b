import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from thyro_demo.evaluate import metrics
from thyro_demo.study import cells, leaks, scoreboard
from thyro_demo.study.protocols import p1
from thyro_demo.study.setting import Setting

BY_SYSTEM = {one.system: one for one in p1.PRINTED}
ON_TEST_IMAGES = [one for one in p1.PRINTED if one.row.sensitivity is not None]


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


@pytest.mark.parametrize("one", p1.PRINTED, ids=lambda one: one.row.system)
def test_every_published_accuracy_is_a_share_of_whole_images(one):
    assert 100 * one.right / one.images == pytest.approx(one.row.accuracy, abs=0.0051)


def test_the_published_gain_of_the_forest_is_three_images():
    assert p1._printed_gain("VGG-16 + forest of the original") == "+1.97 (3 images of 152)"
    assert p1._printed_gain("VGG-16 + SVM of the original") == "−0.66 (1 image of 152)"
    # The two validation parts are of different size.
    assert p1._printed_gain("EfficientNet-B0 + MLP of the original") == "−4.87"
    assert p1._printed_gain("VGG-16 + softmax") == "–"


def test_the_printed_table_holds_each_row_with_an_interval():
    table = p1.as_printed()
    assert [row[0] for row in table.rows] == [row.system for row in p1.PROTOCOL.published]
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


def test_a_softmax_layer_of_two_classes_is_logistic_regression(shown, monkeypatch):
    monkeypatch.setattr(p1, "_RIDGES", (0.1,))
    rows = features(shown, 1.0)
    found = p1.softmax({"fold": 2, "positive": "malignant"}, shown, {"avg": rows})
    tested = shown["fold"] == 2
    np.testing.assert_array_equal(found["rows"], np.flatnonzero(tested))
    centre, spread = rows[~tested].mean(0), rows[~tested].std(0)
    line = LogisticRegression(C=0.1).fit((rows[~tested] - centre) / spread, shown["label"][~tested])
    expected = line.decision_function((rows[tested] - centre) / spread)
    np.testing.assert_allclose(found["raw"], expected, atol=1e-3)
    assert metrics.auroc(shown["label"][tested] == "malignant", found["raw"]) > 0.9


def test_a_softmax_layer_cannot_tell_shuffled_labels(shown, monkeypatch):
    monkeypatch.setattr(p1, "_RIDGES", (0.1,))
    rng = np.random.default_rng(3)
    label = np.repeat(rng.permutation(shown["label"][::2]), 2)
    wrong = shown | {"label": label}
    raw = np.empty(len(label))
    for fold in range(5):
        found = p1.softmax({"fold": fold, "positive": "malignant"}, wrong,
                           {"avg": features(shown, 2.0)})  # fmt: skip
        raw[found["rows"]] = found["raw"]
    assert metrics.auroc(label == "malignant", raw) == pytest.approx(0.5, abs=0.2)


def test_a_forest_has_one_of_the_sizes_and_is_that_forest(shown):
    rows, sizes = features(shown, 1.0), [10, 20, 30]
    settings = {"fold": 1, "positive": "malignant", "trees": sizes}
    found = p1.forest(settings, shown, {"map": rows})
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
    assert p1._by_trees(rows, labels, part, [10, 20])[0] == pytest.approx(expected)


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
    gains = p1.compare(found).set_index("figure")
    assert set(gains["system"]) == {"Net + SVM"}
    by_head = dict(list(found.groupby("head")))
    then, now = (by_head[f"Net + SVM, {chain}"] for chain in p1.CHAINS)
    positive = now["label"] == "malignant"
    expected = metrics.auroc(positive, now["score"]) - metrics.auroc(positive, then["score"])
    assert gains.loc["auroc", "gain"] == pytest.approx(expected)
    assert 0 < gains.loc["auroc", "gain_low"] < expected < gains.loc["auroc", "gain_high"]


def test_a_system_compared_with_itself_gains_nothing(scored):
    both = [scored(1.0).assign(head=f"Net + SVM, {chain}") for chain in p1.CHAINS]
    gains = p1.compare(pd.concat(both))
    assert (gains[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    (axes,) = p1.draw(gains).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Net + SVM"]


def test_the_table_of_gains_has_a_sign_an_interval_and_what_was_published(found):
    records = found[found["head"] == "Net + SVM, natural"].assign(width=100, height=100)
    summary = scoreboard.summarise(found, records, "malignant")
    ((system, *_, auroc, accuracy, printed),) = p1.differences(p1.compare(found), summary).rows
    assert (system, printed) == ("Net + SVM", "–")
    assert auroc.startswith("+0.")
    assert accuracy[0] in "+−"


def test_a_network_without_its_natural_stage_is_left_out_with_a_sentence(tmp_path, monkeypatch):
    setting = Setting(tmp_path, tmp_path / "work", natural=str(tmp_path / "{backbone}.keras"))
    monkeypatch.setattr(p1, "BACKBONES", ("vgg16",))
    assert p1._starts(setting) == {}
    ((what, why),) = p1._left_out({})
    assert what.startswith("VGG-16")
    assert "train natural-64 --backbone vgg16" in why


def test_the_radiograph_network_beside_the_natural_one_is_taken(tmp_path):
    first = tmp_path / "vgg16-natural-64.keras"
    near = tmp_path / "vgg16-radiographs.keras"
    for file in (first, near):
        file.write_bytes(b"weights")
    setting = Setting(tmp_path, tmp_path / "work")
    assert p1._radiographs(setting, "vgg16", str(first)) == str(near)


@pytest.fixture
def planned(clinic, tmp_path):
    """Plan the systems of a rehearsal, without computing any."""
    from thyro_demo.data import datasets, splits

    records = splits.kfold(datasets.phantoms(clinic), 5)
    starts = {network: dict.fromkeys(p1.CHAINS, "none") for network in p1.BACKBONES}
    whole = Setting(tmp_path, tmp_path / "work")
    shown = cells.frames(records)
    return p1._systems(whole, shown, starts), p1._flaws(whole, records, starts)


def test_every_published_row_of_a_frozen_network_has_its_system(planned):
    systems, _ = planned
    frozen = {name for name, one in BY_SYSTEM.items() if one.row.sensitivity is not None}
    assert frozen <= set(systems)
    assert {name for name in systems if "MLP" in name} <= set(BY_SYSTEM)
    assert all(len(folds) == 5 for folds in systems.values())


def test_heads_of_the_original_have_its_settings(planned):
    systems, _ = planned
    machine = systems["VGG-16 + SVM of the original, natural"][0].settings
    assert machine["fixed"] == {"C": 1.0, "gamma": 0.001, "standardise": False}
    tuned = systems["EfficientNet-B0 + MLP of the original, progressive"][0].settings
    assert tuned["head"] == "mlp"
    assert (tuned["stage"]["frozen_layers"], tuned["stage"]["patience"]) == (221, 5)


@pytest.mark.parametrize("fast", [False, True])
def test_every_setting_of_the_last_stage_that_was_changed_is_named(tmp_path, fast):
    original = p1.ORIGINAL
    assert (original.learning_rate, original.epochs, original.input_size) == (1e-5, 80, 224)
    here = p1._stage(p1.PROGRESSIVE, fast)
    setting = Setting(None if fast else tmp_path, tmp_path)
    said = dict(p1._differs(setting))["MLP"]
    for name, value in vars(original).items():
        if value != getattr(here, name) and name != "frozen_layers":
            assert f"{value:g}" in said.split("in place of ", 1)[1]
            assert f"{getattr(here, name):g}" in said


def test_the_flaws_share_the_features_of_the_sound_network(planned):
    systems, flaws = planned
    read = systems["EfficientNet-B0 + SVM, progressive"][0].needs[1]
    assert read in flaws[leaks.SOUND.name].needs
