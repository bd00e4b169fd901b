"""The systems of Lee et al.: settings as published, and no score from a network that saw it."""

import numpy as np
import pandas as pd
import pytest

from thyro_demo.data.splits import grouped_folds
from thyro_demo.study import graph
from thyro_demo.study.protocols.p2.plan import Depth, Part, Systems
from thyro_demo.study.protocols.p2.published import (
    CONCATENATION,
    ENSEMBLE,
    FEATURES,
    FINE_TUNED,
    LETTERS,
    NETS,
    TRANSFERRED,
    System,
)
from thyro_demo.study.steps import heads, networks, subsets
from thyro_demo.training.stage import learning_rate

FOLDS = 2
NONE = dict.fromkeys(LETTERS, Depth(0))
WEIGHTS = dict.fromkeys(LETTERS, "none")


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("frames")
    groups = np.repeat(np.arange(24), 2)
    table = pd.DataFrame(
        {
            "path": [str(folder / f"{row}.png") for row in range(48)],
            "label": np.where(groups % 2, "malignant", "benign"),
            "group": groups.astype(str),
            "source": np.where(groups < 12, "east", "west"),
        }
    )
    for path in table["path"]:
        with open(path, "w") as stream:
            stream.write(path)
    for number, (_, tested) in enumerate(grouped_folds(groups % 2, groups, FOLDS, seed=0)):
        table.loc[tested, "fold"] = number
    return table.astype({"fold": int})


@pytest.fixture
def drawn(monkeypatch):
    """Put drawn features and scores in the place of the networks."""

    def values(backbone, taps, salt, skill):
        rng = np.random.default_rng([len(backbone), ord(backbone[0]), salt])
        labels = np.repeat(np.arange(24), 2) % 2
        return {
            tap: (rng.normal(size=(48, 6)) + skill * labels[:, None]).astype(np.float32)
            for tap in taps
        }

    def features(backbone, weights, shown, taps, size=None):
        return graph.leaf(f"frozen {backbone}", **values(backbone, taps, 0, 0.4))

    def fine_tuned(backbone, weights, shown, fold, stage, head, taps, size, positive):
        rows = np.flatnonzero(shown.value["fold"] == fold)
        facts = {"backbone": backbone, "fold": fold, "epochs": stage.stop_after, "size": size}
        found = values(backbone, taps, 1 + fold, 0.8)
        raw = found[taps[-1]][rows].sum(axis=1).astype(float)
        return graph.leaf(f"fine-tuned {backbone}", facts, raw=raw, rows=rows, **found)

    monkeypatch.setattr(networks, "features", features)
    monkeypatch.setattr(networks, "fine_tuned", fine_tuned)


def test_optimisers_and_schedules_are_the_published_ones():
    # In the middle of the first, fifth, sixth and last epoch.
    rates = {
        net.letter: [learning_rate(net.stage, n - 0.5) for n in (1, 5, 6, net.stage.epochs)]
        for net in NETS
    }
    np.testing.assert_allclose(rates["A"], [1e-3, 1e-3, 1e-4, 1e-4])
    np.testing.assert_allclose(rates["I"], [1e-3, 1e-3, 1e-4, 1e-4])
    np.testing.assert_allclose(rates["Vv"], [1e-5] * 4)
    np.testing.assert_allclose(rates["R"], [1e-4] * 4)
    for letter in ("O", "V"):
        np.testing.assert_allclose(rates[letter][::3], [1e-3, 1e-4])
        assert rates[letter][1] / rates[letter][2] == pytest.approx(10 ** (1 / 19))
    assert [net.stage.epochs for net in NETS] == [7, 20, 20, 54, 37, 9]
    assert {(net.stage.optimiser, net.stage.batch) for net in NETS} == {("sgd", 33)}
    assert {net.stage.patience for net in NETS} == {None}


def test_there_are_28_feature_rows_57_concatenations_and_63_ensembles(records, drawn):
    systems = Systems(records, WEIGHTS, dict.fromkeys(LETTERS, Depth()))
    kinds = pd.Series([system.experiment for system in systems.parts]).value_counts()
    assert kinds[TRANSFERRED] == kinds[FINE_TUNED] == 6
    assert kinds[FEATURES] == 2 * 28
    several = [s for s in systems.parts if s.experiment == CONCATENATION and len(s.networks) > 1]
    assert len(several) == 2 * 57
    assert len({system.name for system in systems.parts}) == len(systems.parts)


def test_concatenations_read_the_features_that_the_paper_chose(records, drawn):
    systems = Systems(records, WEIGHTS, dict.fromkeys(LETTERS, Depth()))
    part = systems.parts[System(CONCATENATION, ("A", "O"), "svm")]
    for fold, job in enumerate(part.jobs):
        needs = [need.title for need in job.needs[1:]]
        assert needs == [
            "fine-tuned alexnet", "fine-tuned overfeat", "fine-tuned vgg-f",
            "frozen vgg19", "frozen resnet50", "frozen inception-v3",
        ]  # fmt: skip
        assert [need.settings["fold"] for need in job.needs[1:4]] == [fold] * 3
        taps = {letter: tap for letter, (_, tap) in job.settings["read"].items()}
        assert taps == {"A": "fc2", "O": "fc2", "V": "fc1", "Vv": "fc2", "R": "avg", "I": "avg"}


def test_a_network_that_is_not_fine_tuned_is_read_as_it_is(records, drawn):
    systems = Systems(records, WEIGHTS, NONE | {"A": Depth(3, 96)})
    assert set(systems.fine_tuned) == {"A"}
    assert systems.fine_tuned["A"][0].settings == {
        "backbone": "alexnet", "fold": 0, "epochs": 3, "size": 96,
    }  # fmt: skip
    assert System(FINE_TUNED, ("O",), "softmax") not in systems.parts
    assert System(FEATURES, ("O",), "svm", "fc1", True) not in systems.parts
    part = systems.parts[System(CONCATENATION, LETTERS, "forest")]
    titles = [need.title for need in part.jobs[1].needs[1:]]
    assert titles[:2] == ["fine-tuned alexnet", "frozen overfeat"]


@pytest.mark.slow
def test_every_frame_is_scored_once_and_ensembles_are_averages(records, drawn, tmp_path):
    systems = Systems(records, WEIGHTS, NONE | {"A": Depth(1)}, trees=3)
    keep = [
        System(TRANSFERRED, ("A",), "softmax"),
        System(FINE_TUNED, ("A",), "softmax"),
        *(System(CONCATENATION, (letter,), head) for letter in "AR" for head in ("svm", "forest")),
    ]
    # Two networks in the place of six: the others would be more of the same.
    two = {
        head: tuple(
            subsets.on_subsets(
                head,
                {"A": (systems.frozen["A"], "fc2"), "R": (systems.frozen["R"], "avg")},
                systems.shown, fold, trees=3,
            )
            for fold in range(FOLDS)
        )
        for head in ("svm", "forest")
    }  # fmt: skip
    systems.parts = {
        system: Part(two[system.head], "AR".index(system.networks[0]))
        if system.experiment == CONCATENATION
        else systems.parts[system]
        for system in keep
    }
    outcome = graph.run(systems.jobs(), tmp_path, workers=0)
    assert outcome.failures == {}
    scored = systems.scored(outcome)
    for rows in scored.values():
        assert sorted(rows["path"]) == sorted(records["path"])
        assert rows["score"].between(0, 1).all()
    mean = {
        letter: (
            scored[System(CONCATENATION, (letter,), "svm")]["score"]
            + scored[System(CONCATENATION, (letter,), "forest")]["score"]
        )
        / 2
        for letter in "AR"
    }
    both = scored[System(ENSEMBLE, ("A", "R"), "average")]
    np.testing.assert_allclose(both["score"], (mean["A"] + mean["R"]) / 2)
    np.testing.assert_allclose(scored[System(ENSEMBLE, ("A",), "average")]["score"], mean["A"])
    assert set(scored) - set(keep) == {
        System(ENSEMBLE, chosen, "average") for chosen in (("A",), ("R",), ("A", "R"))
    }


def test_a_system_with_a_failed_job_is_left_out_and_the_others_stay(records, drawn, tmp_path):
    systems = Systems(records, WEIGHTS, NONE)
    good = systems.parts[System(TRANSFERRED, ("A",), "softmax")]
    bad = graph.Job(heads.fit, {}, (), "broken")
    systems.parts = {
        System(TRANSFERRED, ("A",), "softmax"): good,
        System(TRANSFERRED, ("O",), "softmax"): Part((bad, *good.jobs[1:])),
        System(CONCATENATION, ("A",), "svm"): Part((bad, bad), 0),
    }
    outcome = graph.run(systems.jobs(), tmp_path, workers=0)
    assert list(systems.scored(outcome)) == [System(TRANSFERRED, ("A",), "softmax")]
