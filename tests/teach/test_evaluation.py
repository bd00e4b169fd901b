"""An evaluation counts patients, keeps its thresholds, and finds nothing where nothing is."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from thyro_demo.data import splits
from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics
from thyro_demo.evaluate.intervals import Interval
from thyro_demo.teach import evaluation


def made_up(skill, groups=60, seed=0):
    """Make up out-of-fold scores of groups of two frames, their classes `skill` apart."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 2)
    sick = group % 2 == 1
    return pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(2 * groups)],
            "group": group.astype(str),
            "source": np.array(["east", "west"])[group // 2 % 2],
            "label": np.where(sick, "malignant", "benign"),
            "fold": group % 5,
            "score": 1 / (1 + np.exp(-rng.normal(size=groups)[group] - skill * sick)),
        }
    )


def length(one):
    return one["high"] - one["low"]


def test_copies_narrow_an_interval_over_images_and_none_over_groups():
    rows = made_up(1.0)
    copies = pd.concat([rows] * 4, ignore_index=True)
    assert evaluation.area(rows) == pytest.approx(evaluation.area(copies))
    by_image = [length(evaluation.area(table, "image")) for table in (rows, copies)]
    assert by_image[1] == pytest.approx(by_image[0] / 2, rel=0.15)
    # Two alike frames a patient: drawing them one by one counts each patient twice.
    assert by_image[0] < 0.85 * length(evaluation.area(rows))


def test_what_is_undefined_is_told_as_none():
    nothing = Interval(0.5, float("nan"), float("nan")).told()
    assert nothing == {"value": 0.5, "low": None, "high": None}
    one_class = made_up(1.0)
    one_class = one_class[one_class["label"] == "benign"]
    assert evaluation.area(one_class)["value"] is None


def test_a_source_that_predicts_the_class_helps_over_all_sources_and_not_within():
    rows = made_up(0.0, 200)
    uneven = evaluation.unequal(rows, {"east": 0.9, "west": 0.1})
    # A "network" that knows the source, and nothing else.
    knows = uneven.assign(score=(uneven["source"] == "east") * 0.8 + 0.1)
    found = evaluation.within(knows)
    assert found["all sources"]["value"] > 0.8
    assert found["within east"]["value"] == found["within west"]["value"] == 0.5


def test_unequal_sources_keep_whole_groups_and_come_close_to_their_shares():
    rows = made_up(0.0, 200)
    shares = {"east": 0.8, "west": 0.25}
    uneven = evaluation.unequal(rows, shares)
    assert set(uneven["path"]) <= set(rows["path"])
    assert uneven.groupby("group").size().eq(2).all()
    found = uneven.groupby("source")["label"].agg(lambda names: (names == "malignant").mean())
    assert found.to_dict() == pytest.approx(shares, abs=0.03)
    only = evaluation.unequal(rows, {"east": 0.8})
    assert (only["source"] == "west").sum() == (rows["source"] == "west").sum()


@pytest.mark.parametrize("shares", [{"north": 0.5}, {"east": 1.0}, {"east": 0.0}])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(DataError, match="Received"):
        evaluation.unequal(made_up(0.0), shares)


def test_a_source_of_one_class_is_kept_whole_and_has_no_share():
    rows = made_up(0.0)
    lone = rows[(rows["source"] == "west") | (rows["label"] == "benign")]
    kept = evaluation.unequal(lone, {"west": 0.5})
    assert (kept["source"] == "east").sum() == (lone["source"] == "east").sum()
    with pytest.raises(DataError, match="Received: east, with 15 benign and 0 malignant"):
        evaluation.unequal(lone, {"east": 0.5})


def test_nothing_but_groups_and_images_is_drawn():
    with pytest.raises(DataError, match="Received: groups"):
        evaluation.area(made_up(1.0), "groups")


def test_an_interval_shrinks_with_the_root_of_the_groups():
    found = evaluation.shrinking(made_up(0.7, 400), [25, 100, 400], repeats=4)
    ratios = found["length"].to_numpy()[:-1] / found["length"].to_numpy()[1:]
    assert ratios == pytest.approx([2, 2], rel=0.25)
    with pytest.raises(DataError, match="Received: 401"):
        evaluation.shrinking(made_up(0.7, 400), [401])


def test_a_frozen_threshold_never_saw_its_fold():
    rows = made_up(1.0)
    called = evaluation.frozen(rows, metrics.youden_threshold)
    assert list(called["path"]) == list(rows["path"])
    # Whatever the labels of a fold, its own threshold stays.
    turned = rows.copy()
    turned.loc[turned["fold"] == 0, "label"] = "malignant"
    again = evaluation.frozen(turned, metrics.youden_threshold)
    own = called["fold"] == 0
    assert (again["threshold"][own] == called["threshold"][own]).all()
    assert called.groupby("fold")["threshold"].nunique().eq(1).all()


def test_rates_are_those_of_the_counts():
    rows = made_up(1.0)
    called = rows.assign(called=rows["label"] == "malignant")
    assert all(one["value"] == 1 for one in evaluation.rates(called).values())
    everybody = evaluation.rates(rows.assign(called=True))
    assert everybody["sensitivity"]["value"] == 1
    assert everybody["specificity"]["value"] == 0


def test_predictive_values_are_counts_of_a_thousand_nodules():
    # 100 malignant, 90 flagged; 900 benign, 90 flagged: half of the flags are right.
    found = evaluation.predictive(0.9, 0.9, 0.1)
    assert found.positive == pytest.approx(0.5)
    assert found.negative == pytest.approx(810 / 820)
    # A coin tells nothing: what is flagged is as often malignant as everybody is.
    many = np.linspace(0.1, 0.9, 9)
    assert evaluation.predictive(0.5, 0.5, many).positive == pytest.approx(many)
    assert np.isnan(evaluation.predictive(0.0, 1.0, 0.1).positive)


def test_net_benefit_of_doing_nothing_is_0_and_of_biopsying_everybody_at_the_prevalence_too():
    assert evaluation.net_benefit(0.0, 1.0, 0.2, 0.3) == 0
    assert evaluation.net_benefit(1.0, 0.0, 0.2, 0.2) == pytest.approx(0)
    assert evaluation.net_benefit(1.0, 1.0, 0.2, np.array([0.1, 0.5])) == pytest.approx(0.2)


def test_moved_probabilities_are_those_of_the_other_mix():
    assert evaluation.moved([0.3], 0.5, 0.5) == pytest.approx([0.3])
    # The score that says "as everybody here" says so there as well.
    assert evaluation.moved([0.5], 0.5, 0.1) == pytest.approx([0.1])
    # A flag of odds 9 : 1 among equals has odds 1 : 1 where one in ten is malignant.
    assert evaluation.moved([0.9], 0.5, 0.1) == pytest.approx([0.5])
    there = evaluation.moved([0.0, 0.2, 0.8, 1.0], 0.5, 0.1)
    assert np.all(np.diff(there) > 0)


def test_radiologists_that_took_benign_as_positive_are_found():
    table = evaluation.readers().set_index("reader")
    one = table.loc["Radiologist 1 by TIRADS"]
    assert one["accuracy"] == one["if benign"] != one["if malignant"]
    assert one["positive"] == "benign"
    # 100 benign images weigh twice as much as 50 malignant ones.
    right = (one["sensitivity set right"] + 2 * one["specificity set right"]) / 3
    assert right == pytest.approx(one["accuracy"], abs=0.05)


def test_a_coin_leaves_as_many_groups_of_each_class_and_parts_none():
    groups = np.repeat(np.arange(30), 3)
    labels = (groups < 10).astype(int)
    dealt = evaluation.coin(labels, groups, seed=1)
    assert dealt.sum() == labels.sum()
    assert all(len(set(dealt[groups == group])) == 1 for group in range(30))
    assert np.array_equal(dealt, evaluation.coin(labels, groups, seed=1))
    assert not np.array_equal(dealt, evaluation.coin(labels, groups, seed=2))
    assert not np.array_equal(dealt, labels)


def nearest(rows, labels, learned, tested):
    """Answer as the nearest learned frame does."""
    far = ((rows[tested][:, None] - rows[learned][None]) ** 2).sum(axis=2)
    return labels[learned][far.argmin(axis=1)].astype(float)


def by(units):
    """Make an evaluation of the nearest neighbour that deals groups, or images, to folds."""

    def evaluate(rows, labels, groups):
        scores = np.zeros(len(labels))
        dealt = groups if units == "groups" else np.arange(len(labels))
        for learned, tested in splits.grouped_folds(labels, dealt, 5, seed=0):
            scores[tested] = nearest(rows, labels, learned, tested)
        return metrics.auroc(labels, scores)

    return evaluate


def test_the_coin_finds_an_evaluation_that_recognises_patients():
    groups = np.repeat(np.arange(50), 2)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 6))[groups] + 0.01 * rng.normal(size=(100, 6))
    both = {"sound": by("groups"), "by image": by("images")}
    found = evaluation.trials(both, rows, groups % 2, groups, deals=6)
    assert found.groupby(["evaluation", "labels"]).size().loc["sound"].to_dict() == {
        "coin": 6, "true": 1,
    }  # fmt: skip
    coins = found[found["labels"] == "coin"].groupby("evaluation")["value"].mean()
    assert coins["by image"] > 0.7
    assert coins["sound"] < 0.58
    drawn = evaluation.draw_trials(found)
    assert [text.get_text() for text in drawn.axes[0].get_yticklabels()] == list(both)


def test_pictures_have_a_title_and_names_on_their_axes():
    rows = made_up(1.0)
    figure = evaluation.reliability(
        {"ours": (rows["label"] == "malignant", rows["score"])}, "Reliability"
    )
    axes = Figure().subplots()
    evaluation.confusion(axes, evaluation.frozen(rows, metrics.youden_threshold), "Youden")
    for one in (figure.axes[0], axes):
        assert one.get_title()
        assert one.get_xlabel()
        assert one.get_ylabel()
    counted = sum(int(text.get_text().split("\n")[0]) for text in axes.texts)
    assert counted == len(rows)
