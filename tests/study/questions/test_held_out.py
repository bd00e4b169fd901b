"""A source that is held out has a part in nothing that it is judged by."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from thyro_demo.errors import LeakError, StudyError
from thyro_demo.evaluate import metrics, operating_points
from thyro_demo.models.heads import platt
from thyro_demo.study import graph
from thyro_demo.study.questions import held_out
from thyro_demo.study.steps import heads, networks
from thyro_demo.training.stage import Stage

SYSTEMS = {"one": ("a",), "both": ("a", "b")}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Make 120 frames of three sources in 60 groups; two groups are in two sources."""
    folder = tmp_path_factory.mktemp("frames")
    group = np.arange(120) // 2
    source = np.array(["north", "south", "west"])[group % 3]
    source[[1, 3]] = ["west", "north"]
    for row in range(120):
        (folder / f"{row}.png").write_bytes(bytes([row]))
    return pd.DataFrame(
        {
            "path": [str(folder / f"{row}.png") for row in range(120)],
            "group": [f"g{number}" for number in group],
            "source": source,
            "label": np.where(group // 3 % 2, "malignant", "benign"),
            "fold": group // 3 % 5,
            "width": np.where(source == "west", 300, 560),
            "height": 360,
        }
    )


def made_up(trial, skill=2.0, names=("a", "b"), seed=0):
    """Make up raw scores of networks on the tested frames of a trial, as jobs would."""
    rng = np.random.default_rng(seed)
    rows = trial.records[trial.records["fold"].isin(trial.tested)].drop(columns=["width", "height"])
    positive = (rows["label"] == "malignant").to_numpy()
    return pd.concat(
        [rows.assign(head=name, raw=skill * positive + rng.normal(size=len(rows)))
         for name in names], ignore_index=True
    )  # fmt: skip


@pytest.fixture(scope="module")
def parted(records):
    """Hold "north" out, and make up scores of both parts."""
    validation, test = held_out.held_out(records, "north")
    calibrated = held_out.out_of_fold.cross_calibrated(made_up(validation))
    return validation, calibrated, test, made_up(test, seed=1)


@pytest.fixture(scope="module")
def judged(parted):
    return held_out.freeze(*parted, SYSTEMS)


def test_every_source_is_held_out_whole_and_none_of_its_groups_is_trained_on(records):
    for source in ("north", "south", "west"):
        validation, test = held_out.held_out(records, source)
        fold = test.records.set_index("path")["fold"]
        assert test.tested == (1,)
        assert set(fold.index[fold == 1]) == set(records["path"][records["source"] == source])
        assert set(fold.index[fold == 0]) == set(validation.records["path"])
        outside = set(records["group"][records["source"] == source])
        assert not outside & set(validation.records["group"])
        assert source not in set(validation.records["source"])
    # The two groups that are in two sources are lost to training, and to nothing else.
    left = {source: len(held_out.held_out(records, source)[0].rows) for source in ("north", "west")}
    assert left == {"north": 120 - 40 - 2, "west": 120 - 41 - 1}


def test_rows_are_the_places_of_the_frames_in_the_whole_table(records):
    for trial in held_out.held_out(records, "south"):
        assert list(records["path"].iloc[trial.rows]) == list(trial.records["path"])


def test_a_group_in_two_folds_is_refused(records):
    leaking = records.assign(fold=np.arange(120) % 5)
    with pytest.raises(LeakError, match="A group must be on one side"):
        held_out.inside(leaking, np.ones(120, bool), "all")


def test_features_of_a_network_that_saw_the_source_held_out_are_refused(records):
    """Whatever job takes their rows: no network that was fine-tuned on frames of all sources."""
    stage = Stage("thyroid", "all", 1, augmentation=None)
    fine_tuned = networks.fine_tuned("two-layer-cnn", "none", networks.frames(records), 1, stage)
    validation, test = held_out.held_out(records, "north")
    for trial, why in ((validation, "without fold 1"), (test, "split otherwise")):
        with pytest.raises(LeakError, match=rf"{why}\.$"):
            held_out.svms(trial, {"net": (fine_tuned, "avg")})
    frozen = networks.features("two-layer-cnn", "none", networks.frames(records))
    assert len(held_out.svms(test, {"net": (frozen, "avg")})["net"]) == 1


def test_an_ensemble_averages_its_members_frame_by_frame(records):
    first = records.assign(head="a", score=np.linspace(0, 1, 120))
    second = records.assign(head="b", score=0.5).sample(frac=1, random_state=0)
    found = held_out.averaged(pd.concat([first, second]), SYSTEMS)
    both = found[found["head"] == "both"].set_index("path")["score"]
    np.testing.assert_allclose(both[records["path"]], (np.linspace(0, 1, 120) + 0.5) / 2)


def test_a_system_that_lacks_a_member_is_left_out(records):
    found = held_out.averaged(records.assign(head="a", score=0.5), SYSTEMS)
    assert set(found["head"]) == {"one"}
    with pytest.raises(StudyError, match=r"Received: those of c alone\.$"):
        held_out.averaged(records.assign(head="c", score=0.5), SYSTEMS)


@pytest.mark.slow
def test_the_cut_off_is_the_youden_point_of_the_whole_validation(parted, judged):
    """Beside the same steps written out for one network."""
    _, calibrated, _, tested = parted
    known, beyond = (table[table["head"] == "a"] for table in (calibrated, tested))
    positive = known["label"] == "malignant"
    slope, intercept = platt(known["raw"].to_numpy(), positive.to_numpy())
    point = operating_points.youden(positive, expit(slope * known["raw"] + intercept))
    assert judged.cutoffs["one"] == pytest.approx(point)
    called = expit(slope * beyond["raw"] + intercept) >= point
    sick = beyond["label"] == "malignant"
    figures = judged.beyond["heads"]["one"]
    assert figures["sensitivity"]["value"] == pytest.approx(called[sick].mean())
    assert figures["specificity"]["value"] == pytest.approx((~called[~sick]).mean())
    assert judged.source == "north"
    assert judged.beyond["split"] == "north held out whole"


def test_the_source_held_out_changes_nothing_that_it_is_judged_by(parted, judged):
    validation, calibrated, test, tested = parted
    swapped = {"benign": "malignant", "malignant": "benign"}
    turned = test.records.assign(
        label=test.records["label"].mask(test.records["fold"] == 1,
                                         test.records["label"].map(swapped))
    )  # fmt: skip
    other = held_out.freeze(
        validation, calibrated,
        held_out.Trial(test.title, test.rows, turned, test.tested),
        tested.assign(label=tested["label"].map(swapped)), SYSTEMS,
    )  # fmt: skip
    assert other.cutoffs == judged.cutoffs
    assert other.within == judged.within
    for head in ("one", "both"):
        ours, theirs = (each.outside[each.outside["head"] == head] for each in (judged, other))
        np.testing.assert_array_equal(ours["score"], theirs["score"])
        assert other.beyond["heads"][head]["auroc"]["value"] == pytest.approx(
            1 - judged.beyond["heads"][head]["auroc"]["value"]
        )


def test_image_size_stands_beside_the_systems_without_a_cut_off(judged):
    for summary in (judged.within, judged.beyond):
        assert list(summary["heads"]) == ["one", "both", "image size only"]
        assert summary["heads"]["image size only"]["sensitivity"]["value"] is None
    assert set(judged.cutoffs) == {"one", "both"}


def test_decisions_come_from_other_folds_inside_and_from_the_cut_off_outside(judged):
    known, beyond = held_out.decided(judged, "one")
    assert set(known["score"]) | set(beyond["score"]) <= {0.0, 1.0}
    for rows, summary in ((known, judged.within), (beyond, judged.beyond)):
        sick = rows["label"] == "malignant"
        assert rows["score"][sick].mean() == pytest.approx(
            summary["heads"]["one"]["sensitivity"]["value"]
        )


def test_a_change_is_the_difference_of_two_figures_and_none_between_twins(scored):
    first, second = scored(2.5), scored(0.5, 1)
    found = held_out.change(metrics.auroc, first, second.assign(group=second["group"] + "b"))
    figures = [metrics.auroc(each["label"] == "malignant", each["score"])
               for each in (first, second)]  # fmt: skip
    assert found.value == pytest.approx(figures[1] - figures[0])
    assert found.low < found.value < found.high < 0
    twins = held_out.change(metrics.auroc, first, first)
    assert tuple(twins) == (0, 0, 0)


@pytest.mark.slow
def test_what_helps_in_two_sources_alone_fails_in_the_third(records, tmp_path):
    """A feature that shows the class in two sources and its opposite in the third."""
    rng = np.random.default_rng(0)
    sick = (records["label"] == "malignant").to_numpy()
    sign = np.where(records["source"] == "north", -1, 1) * np.where(sick, 1, -1)
    features = graph.leaf(
        "features", avg=(sign[:, None] + 0.3 * rng.normal(size=(120, 3))).astype(np.float32)
    )
    validation, test = held_out.held_out(records, "north")
    wanted = [
        held_out.svms(trial, {"a": (features, "avg")}, fixed={"C": 1.0})
        for trial in (validation, test)
    ]
    outcome = graph.run([job for each in wanted for job in each["a"]], tmp_path, workers=0)
    assert not outcome.failures
    found = held_out.freeze(
        validation, heads.scores(outcome, wanted[0], validation.records),
        test, held_out.raw_scores(outcome, wanted[1], test), {"one": ("a",)},
    )  # fmt: skip
    assert found.within["heads"]["one"]["auroc"]["value"] > 0.9
    assert found.beyond["heads"]["one"]["auroc"]["value"] < 0.1


def test_a_network_whose_job_failed_is_left_out(records, tmp_path):
    _, test = held_out.held_out(records, "north")
    good = graph.leaf("good", avg=np.random.default_rng(0).normal(size=(120, 2)))
    bad = graph.leaf("bad", avg=np.full((120, 2), np.nan))
    wanted = held_out.svms(test, {"a": (good, "avg"), "b": (bad, "avg")}, fixed={"C": 1.0})
    outcome = graph.run([job for each in wanted.values() for job in each], tmp_path, workers=0)
    assert set(held_out.raw_scores(outcome, wanted, test)["head"]) == {"a"}
    with pytest.raises(StudyError, match=r"^One network at least must not fail"):
        held_out.raw_scores(outcome, {"b": wanted["b"]}, test)
