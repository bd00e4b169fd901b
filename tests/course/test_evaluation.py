"""An evaluation counts patients, keeps its thresholds, and finds nothing where nothing is."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from thyro_demo.course import evaluation, heads, misread
from thyro_demo.data import splits
from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics, operating_points
from thyro_demo.evaluate.intervals import Interval


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
    assert heads.area(rows) == pytest.approx(heads.area(copies))
    by_image = [length(heads.area(table, "image")) for table in (rows, copies)]
    assert by_image[1] == pytest.approx(by_image[0] / 2, rel=0.15)
    # Two alike frames a patient: drawing them one by one counts each patient twice.
    assert by_image[0] < 0.85 * length(heads.area(rows))


def test_what_is_undefined_is_none():
    nothing = Interval(0.5, float("nan"), float("nan")).to_dict()
    assert nothing == {"value": 0.5, "low": None, "high": None}
    one_class = made_up(1.0)
    one_class = one_class[one_class["label"] == "benign"]
    assert heads.area(one_class)["value"] is None


def test_a_source_that_predicts_the_class_helps_over_all_sources_and_not_within():
    rows = made_up(0.0, 200)
    uneven = evaluation.unequal_sources(rows, {"east": 0.9, "west": 0.1})
    # A "network" that knows the source, and nothing else.
    knows = uneven.assign(score=(uneven["source"] == "east") * 0.8 + 0.1)
    found = evaluation.by_source(knows)
    assert found["all sources"]["value"] > 0.8
    assert found["within east"]["value"] == found["within west"]["value"] == 0.5


def test_unequal_sources_keep_whole_groups_and_come_close_to_their_shares():
    rows = made_up(0.0, 200)
    shares = {"east": 0.8, "west": 0.25}
    uneven = evaluation.unequal_sources(rows, shares)
    assert set(uneven["path"]) <= set(rows["path"])
    assert uneven.groupby("group").size().eq(2).all()
    found = uneven.groupby("source")["label"].agg(lambda names: (names == "malignant").mean())
    assert found.to_dict() == pytest.approx(shares, abs=0.03)
    only = evaluation.unequal_sources(rows, {"east": 0.8})
    assert (only["source"] == "west").sum() == (rows["source"] == "west").sum()


@pytest.mark.parametrize("shares", [{"north": 0.5}, {"east": 1.0}, {"east": 0.0}])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(DataError, match="Received"):
        evaluation.unequal_sources(made_up(0.0), shares)


def test_a_source_of_one_class_is_kept_whole_and_has_no_share():
    rows = made_up(0.0)
    lone = rows[(rows["source"] == "west") | (rows["label"] == "benign")]
    kept = evaluation.unequal_sources(lone, {"west": 0.5})
    assert (kept["source"] == "east").sum() == (lone["source"] == "east").sum()
    with pytest.raises(DataError, match="Received: east, with 15 benign and 0 malignant"):
        evaluation.unequal_sources(lone, {"east": 0.5})


def test_an_interval_shrinks_with_the_root_of_the_groups():
    found = evaluation.interval_lengths(made_up(0.7, 400), [25, 100, 400], repeats=4)
    ratios = found["length"].to_numpy()[:-1] / found["length"].to_numpy()[1:]
    assert ratios == pytest.approx([2, 2], rel=0.25)
    with pytest.raises(DataError, match="Received: 401"):
        evaluation.interval_lengths(made_up(0.7, 400), [401])


def test_the_threshold_of_a_fold_comes_from_the_others():
    rows = made_up(1.0)
    called = evaluation.decide(rows, operating_points.youden)
    assert list(called["path"]) == list(rows["path"])
    # Whatever the labels of a fold, its own threshold stays.
    turned = rows.copy()
    turned.loc[turned["fold"] == 0, "label"] = "malignant"
    again = evaluation.decide(turned, operating_points.youden)
    own = called["fold"] == 0
    assert (again["called"][own] == called["called"][own]).all()
    for _, fold in called.groupby("fold"):
        assert fold.loc[fold["called"], "score"].min() > fold.loc[~fold["called"], "score"].max()


def test_rates_are_those_of_the_counts():
    rows = made_up(1.0)
    called = rows.assign(called=rows["label"] == "malignant")
    assert all(one["value"] == 1 for one in evaluation.rates(called).values())
    everybody = evaluation.rates(rows.assign(called=True))
    assert everybody["sensitivity"]["value"] == 1
    assert everybody["specificity"]["value"] == 0


def test_radiologists_that_took_benign_as_positive_are_found():
    table = evaluation.radiologists().set_index("reader")
    one = table.loc["Radiologist 1 by TIRADS"]
    assert one["accuracy"] == one["if benign"] != one["if malignant"]
    assert one["positive"] == "benign"
    # 100 benign images weigh twice as much as 50 malignant ones.
    right = (one["sensitivity set right"] + 2 * one["specificity set right"]) / 3
    assert right == pytest.approx(one["accuracy"], abs=0.05)


def nearest(rows, labels, learned, tested):
    """Predict the label of the nearest learned frame."""
    far = ((rows[tested][:, None] - rows[learned][None]) ** 2).sum(axis=2)
    return labels[learned][far.argmin(axis=1)].astype(float)


def by(units):
    """Make an evaluation of the nearest neighbour that assigns groups, or images, to folds."""

    def evaluate(rows, labels, groups):
        scores = np.zeros(len(labels))
        assigned = groups if units == "groups" else np.arange(len(labels))
        for learned, tested in splits.grouped_folds(labels, assigned, 5, seed=0):
            scores[tested] = nearest(rows, labels, learned, tested)
        return metrics.auroc(labels, scores)

    return evaluate


def test_the_coin_finds_an_evaluation_that_recognises_patients():
    groups = np.repeat(np.arange(50), 2)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 6))[groups] + 0.01 * rng.normal(size=(100, 6))
    both = {"sound": by("groups"), "by image": by("images")}
    found = evaluation.trials(both, rows, groups % 2, groups, draws=6)
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
    figure = evaluation.draw_reliability(
        {"ours": (rows["label"] == "malignant", rows["score"])}, "Reliability"
    )
    axes = Figure().subplots()
    evaluation.draw_confusion(axes, evaluation.decide(rows, operating_points.youden), "Youden")
    for one in (figure.axes[0], axes):
        assert one.get_title()
        assert one.get_xlabel()
        assert one.get_ylabel()
    counted = sum(int(text.get_text().split("\n")[0]) for text in axes.texts)
    assert counted == len(rows)


def called():
    """Make decisions on six patients: two false alarms of one patient, one of another, one miss."""
    rows = [
        ("a0", "a", "benign", 0.9, True), ("a1", "a", "benign", 0.8, True),
        ("b", "b", "benign", 0.7, True), ("c", "c", "benign", 0.1, False),
        ("d", "d", "malignant", 0.2, False), ("e", "e", "malignant", 0.6, True),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["path", "group", "label", "score", "called"])


def test_the_worst_misread_frames_come_first_and_one_of_each_patient():
    found = misread.worst(called())
    assert list(found["path"]) == ["a0", "b", "d"]
    assert list(misread.worst(called(), each=1)["path"]) == ["a0", "d"]


def test_misread_frames_are_shown_with_their_score_and_their_error(tmp_path):
    table = called()
    table["path"] = [str(tmp_path / f"{name}.png") for name in table["path"]]
    for path in table["path"]:
        Image.new("L", (48, 36), 80).save(path)
    figure = misread.draw(misread.worst(table), table, "Misread")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [
        "false alarm: benign, score 0.90", "false alarm: benign, score 0.70",
        "missed: malignant, score 0.20",
    ]  # fmt: skip


def test_the_noise_of_a_mask_is_not_drawn_as_the_nodule_of_a_misread_frame(tmp_path, monkeypatch):
    nodule = np.zeros((36, 48), bool)
    nodule[8:24, 16:40] = True
    noise = np.random.default_rng(0).integers(0, 12, nodule.shape, np.uint8)
    Image.fromarray(np.maximum(nodule * np.uint8(255), noise)).save(tmp_path / "mask.jpg")
    Image.new("L", (48, 36), 80).save(tmp_path / "frame.png")
    table = called()[:1].assign(path=str(tmp_path / "frame.png"))
    drawn = []
    monkeypatch.setattr(misread.show, "frame", lambda *given: drawn.append(given[-1]))
    misread.draw(table, table.assign(mask_path=str(tmp_path / "mask.jpg")), "Misread")
    np.testing.assert_array_equal(drawn, [nodule])


def test_a_reader_who_counts_points_is_set_beside_the_network():
    table = called()
    records = table[["path"]].assign(points=[0, 1, 2, 3, 7, 8])
    found = misread.against_points(table, records)
    assert found["reader"].value == 1
    assert found["network minus reader"].value == found["network"].value - 1
    assert misread.against_points(table, records[["path"]]) == {}
