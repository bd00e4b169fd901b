"""The published tables hold together, and ours are beside them with intervals."""

import json

import numpy as np
import pandas as pd
import pytest

from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import StudyError
from thyro_demo.evaluate import metrics
from thyro_demo.study.graph import Job
from thyro_demo.study.protocols.p2 import plan, published, tables
from thyro_demo.study.protocols.p2.plan import Depth
from thyro_demo.study.protocols.p2.published import (
    CONCATENATION,
    FINE_TUNED,
    LETTERS,
    NETS,
    TRANSFERRED,
    System,
)
from thyro_demo.study.report import report
from thyro_demo.study.setting import Setting
from thyro_demo.study.steps import heads
from thyro_demo.study.steps.subsets import subsets


def test_published_accuracies_follow_from_their_rates_with_malignant_as_positive():
    heads = [row for both in published.SINGLE.values() for row in both]
    joined = [row for table in published.CONCATENATIONS.values() for row in table.values()]
    rows = [*published.NETWORKS.values(), *heads, *joined, *published.ENSEMBLES.values()]
    readable = [row for row in rows if row.sensitivity is not None]
    assert len(rows) == 6 + 2 * 28 + 2 * 63 + 63
    assert len(rows) - len(readable) == 4
    for row in readable:
        assert published.check(row).positive in ("malignant", "either"), row


def test_the_radiologists_accuracies_follow_only_with_benign_as_positive():
    assert [published.check(row).positive for row in published.READERS] == ["benign"] * 4
    first = published.check(published.READERS[0])
    # 95 of 100 and 36 of 50, against 47.5 of 50 and 72 of 100.
    assert first.benign == pytest.approx(100 * 131 / 150)
    assert first.malignant == pytest.approx(100 * 119.5 / 150)
    right = published.corrected(published.READERS[0])
    assert (right.sensitivity, right.specificity) == (72.0, 95.0)
    assert published.check(right).positive == "malignant"
    network = published.NETWORKS["A"]
    assert published.corrected(network) == network
    with pytest.raises(ValueError, match="Received: "):
        published.check(published.Published("nothing"))


def test_the_best_published_systems_are_those_that_are_named():
    best = published.CONCATENATIONS["svm"][published.BEST_CONCATENATION]
    assert (best.accuracy, best.sensitivity, best.specificity) == (94.7, 88.0, 98.0)
    best = published.ENSEMBLES[published.BEST_ENSEMBLE]
    assert (best.accuracy, best.sensitivity, best.specificity) == (94.7, 90.0, 97.0)
    joined = [row for table in published.CONCATENATIONS.values() for row in table.values()]
    for rows in (joined, published.ENSEMBLES.values()):
        assert [row.accuracy for row in rows].count(94.7) == 1
        assert max(row.accuracy for row in rows) == 94.7
    assert set(published.ENSEMBLES) == set(subsets(LETTERS, least=1))


def test_one_network_alone_is_its_row_of_chosen_features():
    for net in NETS:
        for head, table in published.CONCATENATIONS.items():
            row = published.SINGLE[net.letter, net.tap, head][net.after]
            alone = table[net.letter,]
            rates = ("accuracy", "sensitivity", "specificity")
            assert [getattr(row, rate) for rate in rates] == [
                getattr(alone, rate) for rate in rates
            ]


def scores(skill: float, seed: int, head: str = "some") -> pd.DataFrame:
    """Draw out-of-fold scores of 48 frames in 24 groups and two folds."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(24), 2)
    labels = groups % 2
    table = pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(48)],
            "group": groups.astype(str),
            "source": np.where(groups < 12, "east", "west"),
            "label": np.where(labels, "malignant", "benign"),
            "fold": 0,
            "head": head,
            "score": 1 / (1 + np.exp(-rng.normal(size=48) - skill * labels)),
            "width": 10,
            "height": 10,
        }
    )
    table.loc[grouped_folds(labels, groups, 2, seed=0)[0][1], "fold"] = 1
    return table


def test_figures_come_with_intervals_that_hold_them():
    found = tables.figures(scores(1.0, 0), "malignant")
    assert set(found) == {"accuracy", "sensitivity", "specificity", "auroc"}
    for low, value, high in ((one.low, one.value, one.high) for one in found.values()):
        assert 0 <= low < value < high <= 1
    better = tables.figures(scores(3.0, 0), "malignant")
    assert better["auroc"].value > found["auroc"].value


class _Systems:
    """Replaces the systems: two networks, their concatenation and nothing else."""

    def __init__(self, records, weights, depths, positive, size, trees):
        self.records, self.asked = records, (weights, depths, size, trees)
        _Systems.last = self

    def jobs(self):
        return []

    def scored(self, outcome):
        chosen = [
            *(System(FINE_TUNED, (letter,), "softmax") for letter in "AR"),
            *(System(CONCATENATION, LETTERS, head) for head in ("svm", "forest")),
        ]
        return {one: scores(1.0, seed, one.name) for seed, one in enumerate(chosen)}


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plan, "Systems", _Systems)
        patched.setattr(plan, "thyroid", lambda _: scores(0, 0).drop(columns=["head", "score"]))
        return plan.run(Setting(None, tmp_path_factory.mktemp("work")))


@pytest.mark.slow
def test_the_report_sets_every_experiment_beside_its_published_table(rehearsed, tmp_path):
    shown = {table.title: table for table in rehearsed.tables}
    assert len(shown["Features of one network, before and after fine-tuning"].rows) == 28
    assert len(shown["Concatenated features"].rows) == 63
    assert len(shown["Ensembles of averaged probabilities"].rows) == 63
    networks = shown["Fine-tuned"].rows
    assert [row[0] for row in networks] == [
        "AlexNet, fine-tuned", "ResNet-50, fine-tuned", "image size only",
    ]  # fmt: skip
    assert networks[0][1].endswith(" / 86.7")
    everything = shown["Concatenated features"].rows[-1]
    assert everything[0] == "A+O+V+Vv+R+I"
    assert all("(" in cell for cell in everything[1:])
    # What was not computed is no figure, though the published one stays.
    assert shown["Ensembles of averaged probabilities"].rows[-1][1] == "– / 92.0"
    assert set(rehearsed.summaries) == {"fine-tuned", "named beforehand"}
    assert rehearsed.scores["head"].iloc[0] == "AlexNet, fine-tuned"
    written = json.loads(report.write(rehearsed, tmp_path / "P2").read_text("utf-8"))
    assert written["pictures"]["plane"]
    assert (tmp_path / "P2" / "plane.png").stat().st_size > 10_000


def test_tables_with_figures_say_split_unit_and_interval(rehearsed):
    without = {"How the networks are fine-tuned", "Radiologists, as printed and corrected"}
    for table in rehearsed.tables:
        if table.title not in without:
            for word in ("out-of-fold", "by group", "95 % intervals", "48 images"):
                assert word in table.caption, table.title


def test_a_reader_sees_which_networks_start_from_nothing_and_what_was_cut(rehearsed):
    weights, depths, size, trees = _Systems.last.asked
    assert set(weights.values()) == {"none"}
    assert (size, trees) == (plan.FAST_SIDE, plan.FAST_TREES)
    differs = dict(rehearsed.differs)
    assert all(net.title in differs["Initial weights"] for net in NETS)
    assert "ResNet-50: not fine-tuned" in differs["Fine-tuning"]
    assert "Rehearsal" in differs
    cuts = {net.letter: plan._cut(net, depths[net.letter]) for net in NETS}
    table = {row[0]: row[1:] for row in tables.settings(weights, cuts).rows}
    assert table["VGG-19"] == ("54", "1e-05", "none", "random", "not fine-tuned")
    assert table["AlexNet"][:3] == ("7", "0.001", "× 0.1 every 5 epochs")
    assert table["OverFeat"][2] == "on a log scale to 0.0001"


def test_published_depths_cut_nothing():
    cuts = {net.letter: plan._cut(net, plan.PUBLISHED_DEPTHS[net.letter]) for net in NETS}
    full = tables.settings(dict.fromkeys(LETTERS, "none"), cuts)
    assert [row[-1].partition(",")[0] for row in full.rows] == [
        f"all {row[1]} epochs" for row in full.rows
    ]
    assert "cut" not in plan._fine_tuning(plan.PUBLISHED_DEPTHS)
    assert set(plan.PUBLISHED_DEPTHS.values()) == {Depth(None, None)}
    assert set(plan.DEPTHS) == set(plan.FAST_DEPTHS) == set(LETTERS)


def test_published_weights_are_taken_only_where_there_are_any(tmp_path):
    setting = Setting(None, tmp_path, weights="imagenet")
    first = {net.letter: plan._weights(setting, net) for net in NETS}
    assert first == {
        "A": "none", "O": "none", "V": "none", "Vv": "imagenet", "R": "imagenet", "I": "imagenet",
    }  # fmt: skip


def test_when_nothing_works_the_reason_is_named(monkeypatch, tmp_path):
    class _Failing(_Systems):
        def jobs(self):
            return [Job(heads.fit, {}, title="a network")]

        def scored(self, outcome):
            return {}

    monkeypatch.setattr(plan, "Systems", _Failing)
    monkeypatch.setattr(plan, "thyroid", lambda setting: scores(0, 0))
    with pytest.raises(StudyError, match="Received: a network: "):
        plan.run(Setting(None, tmp_path, workers=0))


def test_the_result_file_can_replace_the_committed_one(summary_of, replaces):
    networks = [System(FINE_TUNED, (letter,), "softmax").name for letter in LETTERS]
    alone = [System(TRANSFERRED, (letter,), "softmax").name for letter in LETTERS]
    parts = {FINE_TUNED: networks, TRANSFERRED: alone, tables.NAMED_BEFOREHAND: published.NAMED}
    summaries = {part: summary_of(names) for part, names in parts.items()}
    cut = plan._cut_down(plan.AFFORDABLE_DEPTHS)
    replaces(tables.to_results({}, summaries, cut, "malignant")["p2"], "p2")
    assert plan._cut_down(plan.PUBLISHED_DEPTHS) == []


def test_result_files_hold_the_figures_of_the_report(rehearsed, written, holds):
    found = written(rehearsed)
    assert set(found) == {"p2"}
    heads = {"AlexNet, fine-tuned (cut down)": (FINE_TUNED, "AlexNet, fine-tuned")}
    heads |= {"ResNet-50, fine-tuned (cut down)": (FINE_TUNED, "ResNet-50, fine-tuned")}
    heads |= {name: (tables.NAMED_BEFOREHAND, name) for name in ("all six, SVM", "all six, forest")}
    assert [row["system"] for row in found["p2"].rows] == list(heads)
    for row in found["p2"].rows:
        part, head = heads[row["system"]]
        holds(row, rehearsed.summaries[part], head)
        assert {"east", "west"} < set(row)
    assert found["p2"].made_by == "python -m thyro_demo study P2 --fast"
    assert "a rehearsal, not a result" in found["p2"].note


def test_the_paired_difference_is_that_of_the_joined_svm_to_the_one_on_resnet(rehearsed):
    joined, alone = (System(CONCATENATION, one, "svm") for one in (("O", "V", "R"), ("R",)))
    scored = {joined: scores(2.0, 1), alone: scores(1.0, 2).sample(frac=1, random_state=0)}
    found = tables.to_results(scored, rehearsed.summaries, [], "malignant")["paired_differences"]
    ((*_, images, difference),) = (tuple(row.values()) for row in found.rows)
    reached = [
        metrics.auroc(rows["label"] == "malignant", rows["score"]) for rows in scored.values()
    ]
    assert images == 48
    assert difference.value == pytest.approx(reached[0] - reached[1])
    assert difference.low < difference.value < difference.high
