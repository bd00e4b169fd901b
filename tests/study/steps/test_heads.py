"""Heads are fitted on all folds but one, and read nothing that knows the tested one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from thyro_demo.data import splits
from thyro_demo.errors import LeakError, RecipeError, StudyError
from thyro_demo.evaluate import metrics
from thyro_demo.models import heads as models
from thyro_demo.study.graph import Job, run
from thyro_demo.study.questions import held_out
from thyro_demo.study.steps import heads, networks, subsets
from thyro_demo.study.steps.handcrafted import ALL, classify
from thyro_demo.training import out_of_fold
from thyro_demo.training.stage import Stage

NET, FOLDS = "two-layer-cnn", 3
STAGE = Stage("thyroid", "all", 1, batch=16, augmentation=None)


def test_heads_with_fixed_settings_are_scikit_learns(records, shown, read, value):
    tested = (records["fold"] == 2).to_numpy()
    labels = (records["label"] == "malignant").to_numpy(int)
    both = np.hstack([read.value["std"], read.value["avg"]])
    taps = [(read, "std"), (read, "avg")]
    for kind, fixed, model in (
        ("svm", {"C": 3.0, "gamma": 0.05}, make_pipeline(StandardScaler(), SVC(C=3, gamma=0.05))),
        ("svm", {"C": 2.0, "gamma": 0.1, "standardise": False}, SVC(C=2, gamma=0.1)),
        ("linear-svm", {"C": 0.1}, make_pipeline(StandardScaler(), SVC(C=0.1, kernel="linear"))),
        ("forest", {"trees": 7, "standardise": False}, RandomForestClassifier(7, random_state=0)),
    ):
        model.fit(both[~tested], labels[~tested])
        known = (
            model.predict_proba(both[tested])[:, 1]
            if kind == "forest"
            else model.decision_function(both[tested])
        )
        found = value(heads.head(kind, taps, shown, 2, **fixed))
        np.testing.assert_allclose(found["raw"], known, atol=1e-9)
        np.testing.assert_array_equal(found["rows"], np.flatnonzero(tested))


def test_heads_without_fixed_settings_are_those_of_bundles(records, shown, read, value):
    learned = (records["fold"] != 0).to_numpy()
    labels = (records["label"] == "malignant").to_numpy(int)
    model = models.fit("linear-svm", read.value["avg"][learned], labels[learned],
                       records["group"].to_numpy()[learned])  # fmt: skip
    found = value(heads.head("linear-svm", [(read, "avg")], shown, 0))
    known = models.CalibratedHead(model).raw(read.value["avg"][~learned])
    np.testing.assert_array_equal(found["raw"], known)


def test_heads_are_keyed_by_every_setting(shown, read):
    found = [
        heads.head("svm", [(read, "avg")], shown, 0),
        heads.head("svm", [(read, "avg")], shown, 1),
        heads.head("svm", [(read, "std")], shown, 0),
        heads.head("svm", [(read, "avg"), (read, "std")], shown, 0),
        heads.head("svm", [(read, "std"), (read, "avg")], shown, 0),
        heads.head("svm", [(read, "avg")], shown, 0, C=1.0),
        heads.head("svm", [(read, "avg")], shown, 0, C=2.0),
        heads.head("svm", [(read, "avg")], shown, 0, positive="benign"),
        heads.head("forest", [(read, "avg")], shown, 0),
        heads.softmax((read, "avg"), shown, 0),
        heads.softmax((read, "std"), shown, 0),
        heads.softmax((read, "avg"), shown, 1),
        heads.softmax((read, "avg"), shown, 0, "benign"),
        heads.softmax((read, "avg"), shown, 0, inner=6),
        heads.softmax((read, "avg"), shown, 0, ridges=(1.0,)),
        heads.softmax((read, "avg"), shown, 0, balanced=True),
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("kind", "fixed"), [("svm", {"trees": 3}), ("forest", {"C": 1.0}), ("tree", {})]
)
def test_a_head_that_nobody_knows_is_refused(shown, read, kind, fixed):
    with pytest.raises(RecipeError, match="A head must be svm"):
        heads.head(kind, [(read, "avg")], shown, 0, **fixed)


HEADS = {
    "head": lambda read, shown, fold: heads.head("svm", [(read, "avg")], shown, fold),
    "softmax": lambda read, shown, fold: heads.softmax((read, "avg"), shown, fold),
    "subsets": lambda read, shown, fold: subsets.on_subsets(
        "svm", {"net": (read, "avg")}, shown, fold
    ),
    "handcrafted": lambda read, shown, fold: classify.system(
        "SVM", ALL, shown, [read], fold, "malignant", 5
    ),
}


@pytest.fixture(params=list(HEADS))
def make(request):
    """Return a function that makes a head of each kind on a job of features."""
    return HEADS[request.param]


def wrapped(features):
    """Hide features in jobs that only choose rows of them."""
    first = Job(held_out.choose, {"rows": [0, 1]}, (features,), "some rows")
    return Job(held_out.choose, {"rows": [0]}, (first,), "fewer rows")


@pytest.mark.parametrize("hide", [lambda features: features, wrapped], ids=["bare", "wrapped"])
def test_a_head_does_not_test_what_its_network_was_fine_tuned_on(make, hide, shown):
    tuned = hide(networks.fine_tuned(NET, "none", shown, 0, STAGE))
    make(tuned, shown, 0)
    with pytest.raises(LeakError, match=r"fold 1 on .*trained without fold 0\.$"):
        make(tuned, shown, 1)


@pytest.mark.parametrize("hide", [lambda features: features, wrapped], ids=["bare", "wrapped"])
@pytest.mark.parametrize("change", ["fold", "label"])
def test_a_head_does_not_read_a_network_whose_frames_were_split_otherwise(
    make, hide, change, records, shown
):
    """The number of the fold is the same, but not what is in it."""
    again = splits.kfold(records.drop(columns="fold"), FOLDS, seed=1)
    if change == "label":
        again = records.assign(label=records["label"][::-1].to_numpy())
    tuned = hide(networks.fine_tuned(NET, "none", networks.frames(again), 0, STAGE))
    with pytest.raises(LeakError, match="split otherwise"):
        make(tuned, shown, 0)


def test_a_head_does_not_read_a_job_that_learned_from_every_fold(make, shown):
    everything = Job(held_out.choose, {"rows": []}, (shown,), "trained on all")
    with pytest.raises(LeakError, match=r"trained all, trained on every fold|on every fold\.$"):
        make(wrapped(everything), shown, 0)


def test_a_head_reads_frozen_features_whatever_the_folds_they_were_planned_with(
    make, records, shown
):
    again = splits.kfold(records.drop(columns="fold"), FOLDS, seed=1)
    frozen = networks.features(NET, "none", networks.frames(again))
    assert make(wrapped(frozen), shown, 2).settings["fold"] == 2


def drawn(skill=1.0, width=6):
    """Make 60 groups of two images in five folds, whose features depend on the label."""
    groups = np.repeat(np.arange(60), 2)
    label = np.where(groups % 2, "malignant", "benign")
    known = {"label": label, "group": groups.astype(str), "fold": groups // 2 % 5}
    noise = np.random.default_rng(0).normal(size=(120, width))
    return known, (noise + skill * (label == "malignant")[:, None]).astype(np.float32)


def fitted(known, rows, fold=2, ridges=(0.1,), inner=5, balanced=False):
    settings = {"tap": "avg", "fold": fold, "positive": "malignant", "inner": inner,
                "ridges": ridges, "balanced": balanced}  # fmt: skip
    return heads.fit_softmax(settings, known, {"avg": rows})


@pytest.mark.parametrize("balanced", [False, True])
def test_a_softmax_layer_of_two_classes_is_logistic_regression(balanced):
    known, rows = drawn()
    known["label"][::7] = "benign"
    found = fitted(known, rows, balanced=balanced)
    tested = known["fold"] == 2
    np.testing.assert_array_equal(found["rows"], np.flatnonzero(tested))
    centre, spread = rows[~tested].mean(0), rows[~tested].std(0)
    line = LogisticRegression(C=0.1, class_weight="balanced" if balanced else None)
    line.fit((rows[~tested] - centre) / spread, known["label"][~tested])
    expected = line.decision_function((rows[tested] - centre) / spread)
    np.testing.assert_allclose(found["raw"], expected, atol=1e-3)
    assert metrics.auroc(known["label"][tested] == "malignant", found["raw"]) > 0.8


def test_a_softmax_layer_finds_nothing_in_shuffled_labels():
    known, rows = drawn(2.0)
    label = np.repeat(np.random.default_rng(3).permutation(known["label"][::2]), 2)
    raw = np.empty(len(label))
    for fold in range(5):
        found = fitted(known | {"label": label}, rows, fold)
        raw[found["rows"]] = found["raw"]
    assert metrics.auroc(label == "malignant", raw) == pytest.approx(0.5, abs=0.2)


def test_a_softmax_layer_never_learns_what_a_tested_frame_is_called():
    known, rows = drawn()
    found = fitted(known, rows, 1, (1e-3, 1e-2), 6)
    tested = known["fold"] == 1
    renamed = known | {"label": np.where(tested, "malignant", known["label"])}
    again = fitted(renamed, rows, 1, (1e-3, 1e-2), 6)
    np.testing.assert_array_equal(found["raw"], again["raw"])


def test_too_few_groups_for_the_inner_folds_are_refused():
    known, rows = drawn()
    few = {name: array[:10] for name, array in known.items()}
    with pytest.raises(StudyError, match=r"at least 6 groups.*Received: 2 groups\.$"):
        fitted(few, rows[:10], 9, inner=6)


def test_scores_are_gathered_and_calibrated_out_of_fold(records, shown, read, tmp_path):
    systems = {
        "SVM": [heads.head("svm", [(read, "avg")], shown, fold, C=1.0) for fold in range(FOLDS)],
        "broken": [heads.head("svm", [(read, "fc1")], shown, fold) for fold in range(FOLDS)],
        "half": [
            heads.head("svm", [(read, tap)], shown, fold, C=1.0)
            for fold, tap in enumerate(("avg", "avg", "fc1"))
        ],
    }
    outcome = run([job for folds in systems.values() for job in folds], tmp_path, workers=0)
    found = heads.scores(outcome, systems, records.sample(frac=1, random_state=0).sort_index())
    assert set(found["head"]) == {"SVM"}
    assert sorted(found["path"]) == sorted(records["path"])
    known = records[["path", "group", "source", "label", "fold"]].copy()
    for job in systems["SVM"]:
        known.loc[outcome[job]["rows"], "raw"] = outcome[job]["raw"]
    known = out_of_fold.cross_calibrated(known.assign(head="SVM"))
    pd.testing.assert_frame_equal(
        found.sort_values("path", ignore_index=True), known.sort_values("path", ignore_index=True),
        check_like=True,
    )  # fmt: skip
    with pytest.raises(StudyError, match=r"must not fail\. Received: svm on fc1 of made up"):
        heads.scores(outcome, {"broken": systems["broken"]}, records)
    with pytest.raises(StudyError, match="each frame once"):
        heads.scores(outcome, {"twice": systems["SVM"][:1] * 2}, records)


@pytest.mark.slow
def test_frames_heads_and_scores_need_no_network_framework():
    heavy = "{'tensorflow', 'keras', 'ray'}"
    line = f"import sys, thyro_demo.study.steps.subsets; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", line],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout == "[]\n"
