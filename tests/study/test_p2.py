"""The published tables hold together, and ours stand beside them with intervals."""

import json

import numpy as np
import pandas as pd
import pytest

from thyro_demo.data.splits import grouped_folds
from thyro_demo.errors import StudyError
from thyro_demo.study import report
from thyro_demo.study.concatenation import subsets
from thyro_demo.study.protocols import lee_2019, p2
from thyro_demo.study.setting import Setting
from thyro_demo.study.six_networks import (
    CONCATENATION,
    FINE_TUNED,
    LETTERS,
    NETS,
    Depth,
    System,
)


def test_published_accuracies_follow_from_their_rates_with_malignant_as_positive():
    heads = [row for both in lee_2019.FEATURES.values() for row in both]
    joined = [row for table in lee_2019.CONCATENATIONS.values() for row in table.values()]
    rows = [*lee_2019.NETWORKS.values(), *heads, *joined, *lee_2019.ENSEMBLES.values()]
    readable = [row for row in rows if row.sensitivity is not None]
    assert len(rows) == 6 + 2 * 28 + 2 * 63 + 63
    assert len(rows) - len(readable) == 4
    for row in readable:
        assert lee_2019.check(row).positive in ("malignant", "either"), row


def test_the_radiologists_accuracies_follow_only_with_benign_as_positive():
    assert [lee_2019.check(row).positive for row in lee_2019.READERS] == ["benign"] * 4
    first = lee_2019.check(lee_2019.READERS[0])
    # 95 of 100 and 36 of 50, against 47.5 of 50 and 72 of 100.
    assert first.benign == pytest.approx(100 * 131 / 150)
    assert first.malignant == pytest.approx(100 * 119.5 / 150)
    right = lee_2019.corrected(lee_2019.READERS[0])
    assert (right.sensitivity, right.specificity) == (72.0, 95.0)
    assert lee_2019.check(right).positive == "malignant"
    network = lee_2019.NETWORKS["A"]
    assert lee_2019.corrected(network) == network
    with pytest.raises(ValueError, match="Received: "):
        lee_2019.check(lee_2019.Published("nothing"))


def test_the_best_published_systems_are_those_that_are_named():
    best = lee_2019.CONCATENATIONS["svm"][p2.BEST_CONCATENATION]
    assert (best.accuracy, best.sensitivity, best.specificity) == (94.7, 88.0, 98.0)
    best = lee_2019.ENSEMBLES[p2.BEST_ENSEMBLE]
    assert (best.accuracy, best.sensitivity, best.specificity) == (94.7, 90.0, 97.0)
    joined = [row for table in lee_2019.CONCATENATIONS.values() for row in table.values()]
    for rows in (joined, lee_2019.ENSEMBLES.values()):
        assert [row.accuracy for row in rows].count(94.7) == 1
        assert max(row.accuracy for row in rows) == 94.7
    assert set(lee_2019.ENSEMBLES) == set(subsets(LETTERS, least=1))


def test_one_network_alone_is_its_row_of_chosen_features():
    for net in NETS:
        for head, table in lee_2019.CONCATENATIONS.items():
            row = lee_2019.FEATURES[net.letter, net.tap, head][net.after]
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
    found = p2.figures(scores(1.0, 0))
    assert set(found) == {"accuracy", "sensitivity", "specificity", "auroc"}
    for low, value, high in ((one.low, one.value, one.high) for one in found.values()):
        assert 0 <= low < value < high <= 1
    better = p2.figures(scores(3.0, 0))
    assert better["auroc"].value > found["auroc"].value


class _Systems:
    """Stands in for the systems: two networks, their concatenation and nothing else."""

    def __init__(self, records, starts, depths, positive, size, trees):
        self.records, self.given = records, (starts, depths, size, trees)
        _Systems.last = self

    def cells(self):
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
        patched.setattr(p2, "Systems", _Systems)
        patched.setattr(p2, "thyroid", lambda _: scores(0, 0).drop(columns=["head", "score"]))
        return p2.run(Setting(None, tmp_path_factory.mktemp("work")))


def test_the_report_sets_every_experiment_beside_its_published_table(rehearsed, tmp_path):
    tables = {table.title: table for table in rehearsed.tables}
    assert len(tables["Features of one network, before and after fine-tuning"].rows) == 28
    assert len(tables["Concatenated features"].rows) == 63
    assert len(tables["Ensembles of averaged probabilities"].rows) == 63
    networks = tables["Fine-tuned"].rows
    assert [row[0] for row in networks] == [
        "AlexNet, fine-tuned", "ResNet-50, fine-tuned", "image size only",
    ]  # fmt: skip
    assert networks[0][1].endswith(" / 86.7")
    everything = tables["Concatenated features"].rows[-1]
    assert everything[0] == "A+O+V+Vv+R+I"
    assert all("(" in cell for cell in everything[1:])
    # What was not computed is no figure, though the published one stands.
    assert tables["Ensembles of averaged probabilities"].rows[-1][1] == "– / 92.0"
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


def test_a_reader_is_told_which_networks_start_from_nothing_and_what_was_cut(rehearsed):
    starts, depths, size, trees = _Systems.last.given
    assert set(starts.values()) == {"none"}
    assert (size, trees) == (p2.FAST_SIDE, p2.FAST_TREES)
    said = dict(rehearsed.differs)
    assert all(net.title in said["First weights"] for net in NETS)
    assert "ResNet-50: not fine-tuned" in said["Fine-tuning"]
    assert "Rehearsal" in said
    table = {row[0]: row[1:] for row in p2.settings(starts, depths).rows}
    assert table["VGG-19"] == ("54", "1e-05", "none", "random", "not fine-tuned")
    assert table["AlexNet"][:3] == ("7", "0.001", "× 0.1 every 5 epochs")
    assert table["OverFeat"][2] == "on a log scale to 0.0001"


def test_published_depths_cut_nothing():
    full = p2.settings(dict.fromkeys(LETTERS, "none"), p2.PUBLISHED_DEPTHS)
    assert [row[-1].partition(",")[0] for row in full.rows] == [
        f"all {row[1]} epochs" for row in full.rows
    ]
    assert "cut" not in p2._fine_tuning(p2.PUBLISHED_DEPTHS)
    assert set(p2.PUBLISHED_DEPTHS.values()) == {Depth(None, None)}
    assert set(p2.DEPTHS) == set(p2.FAST_DEPTHS) == set(LETTERS)


def test_published_weights_are_taken_only_where_there_are_any(tmp_path):
    setting = Setting(None, tmp_path, start="imagenet")
    first = {net.letter: p2._first(setting, net) for net in NETS}
    assert first == {
        "A": "none", "O": "none", "V": "none", "Vv": "imagenet", "R": "imagenet", "I": "imagenet",
    }  # fmt: skip


def test_when_nothing_works_the_reason_is_told(monkeypatch, tmp_path):
    class _Failing(_Systems):
        def cells(self):
            return [p2.grid.Cell("thyro_demo.study.six_networks:nothing", {}, title="a network")]

        def scored(self, outcome):
            return {}

    monkeypatch.setattr(p2, "Systems", _Failing)
    monkeypatch.setattr(p2, "thyroid", lambda setting: scores(0, 0))
    with pytest.raises(StudyError, match="Received: a network: "):
        p2.run(Setting(None, tmp_path, workers=0))
