"""Hold sources of images out whole: train on the others, freeze the cut-off there, test once.

A fold of mixed sources answers how a system does on more of the same. Another hospital is another
source; how a system does there, and whether its cut-off still holds, only a test on a source that
had no part in anything can show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from thyro_demo.data import splits
from thyro_demo.errors import StudyError
from thyro_demo.evaluate import intervals, operating_points, report
from thyro_demo.evaluate.intervals import Interval, Statistic
from thyro_demo.study.graph import Job, Outcome, Values
from thyro_demo.study.report.report import summarise
from thyro_demo.study.steps import heads, networks
from thyro_demo.training import out_of_fold
from thyro_demo.training.out_of_fold import BASELINE, CLASSES


@dataclass(frozen=True)
class Trial:
    """Frames assigned to folds, some of which are scored by heads fitted on the others.

    Parameters
    ----------
    title : str
        For people.
    rows : ndarray of int64 (n,)
        Which rows of the table of all frames.
    records : DataFrame
        These rows, with `fold`.
    tested : tuple of int
        The folds that are scored.
    """

    title: str
    rows: np.ndarray
    records: pd.DataFrame
    tested: tuple[int, ...]


def inside(records: pd.DataFrame, known: np.ndarray, title: str) -> Trial:
    """Make the internal test of some frames: every fold, scored by the others.

    Parameters
    ----------
    records : DataFrame
        All frames, with `fold`.
    known : ndarray of bool (n,)
        Which of them.
    title : str
        For people.

    Returns
    -------
    Trial
        With the folds as they are.

    Raises
    ------
    LeakError
        If a group is in two folds.
    """
    table = records[known].reset_index(drop=True)
    # Near duplicates are grouped where the frames are read.
    splits.check(table, "fold", hashes=False)
    return Trial(title, np.flatnonzero(known), table, tuple(sorted(map(int, set(table["fold"])))))


def held_out(records: pd.DataFrame, source: str) -> tuple[Trial, Trial]:
    """Hold a source out whole, and keep every group that has a frame in it from training.

    Parameters
    ----------
    records : DataFrame
        All frames, with `source` and `fold`.
    source : str
        The one held out.

    Returns
    -------
    validation : Trial
        The other sources in their grouped folds.
    test : Trial
        The source as fold 1, scored by heads fitted on fold 0: the frames of the validation.
    """
    outside = (records["source"] == source).to_numpy()
    known = ~records["group"].isin(set(records["group"][outside])).to_numpy()
    both = known | outside
    table = records[both].assign(fold=outside[both].astype(int)).reset_index(drop=True)
    splits.check(table, "fold", hashes=False)
    test = Trial(f"{source} held out", np.flatnonzero(both), table, (1,))
    return inside(records, known, f"without {source}"), test


def svms(
    trial: Trial,
    read: Mapping[str, tuple[Job, str]],
    positive: str = CLASSES[1],
    fixed: Mapping[str, float] | None = None,
) -> dict[str, list[Job]]:
    """Make the jobs that score a trial.

    Parameters
    ----------
    trial : Trial
        Which frames are scored by which.
    read : mapping of str to (Job, str)
        By name of the network: features of all frames, and the tap that its SVM reads.
    positive : str
        The label that counts as positive.
    fixed : mapping of str to float, optional
        Settings of the SVM, as `heads.head` takes them; without it they are chosen in inner
        folds.

    Returns
    -------
    dict of str to list of Job
        By name of the network, one SVM for each fold that is scored.
    """
    shown, rows = networks.frames(trial.records), {"rows": trial.rows.tolist()}
    found = {}
    for name, (features, tap) in read.items():
        part = Job(choose, rows, (features,), f"{name}, {trial.title}")
        found[name] = [
            heads.head("svm", [(part, tap)], shown, fold, positive, **(fixed or {}))
            for fold in trial.tested
        ]
    return found


def choose(settings: dict[str, Any], features: Values) -> Values:
    """Take some rows of features that are computed once for all frames; see `svms`."""
    return {tap: values[settings["rows"]] for tap, values in features.items()}


_KNOWN = ["path", "group", "source", "label", "fold"]


def raw_scores(outcome: Outcome, scored: Mapping[str, Sequence[Job]], trial: Trial) -> pd.DataFrame:
    """Gather the scores of a source held out, which nothing has calibrated yet.

    Parameters
    ----------
    outcome : Outcome
        Of the graph.
    scored : mapping of str to sequence of Job
        From `svms`.
    trial : Trial
        The test that `held_out` returns.

    Returns
    -------
    DataFrame
        `path, group, source, label, fold, head, raw`, a head being a network; one with a failed
        job is left out.

    Raises
    ------
    StudyError
        If every network failed.
    """
    parts = []
    for name, (job,) in scored.items():
        if job in outcome:
            found = outcome[job]
            known = trial.records[_KNOWN].iloc[found["rows"]]
            parts.append(known.assign(head=name, raw=found["raw"]))
    if not parts:
        raise StudyError(f"One network at least must not fail. Received: {outcome.first_failure}")
    return pd.concat(parts, ignore_index=True)


Systems = Mapping[str, Sequence[str]]
"""Members of each system: one network, or several whose probabilities are averaged."""


def averaged(found: pd.DataFrame, systems: Systems, column: str = "score") -> pd.DataFrame:
    """Average the probabilities of the members of each system.

    Parameters
    ----------
    found : DataFrame
        One row a frame and network: `path, group, source, label, fold, head` and the column.
    systems : mapping of str to sequence of str
        Members of each system.
    column : str
        Probabilities, 0–1.

    Returns
    -------
    DataFrame
        One row a frame and system, the mean as `score`; a system that lacks a member is left out.

    Raises
    ------
    StudyError
        If that leaves none.
    """
    table = found.pivot(index="path", columns="head", values=column)
    known = found.drop_duplicates("path")[_KNOWN]
    parts = [
        known.assign(head=system, score=known["path"].map(table[list(members)].mean(axis=1)))
        for system, members in systems.items()
        if set(members) <= set(table.columns)
    ]
    if not parts:
        raise StudyError(
            "A system must have the scores of all its members. Received: those of "
            f"{', '.join(map(str, table.columns))} alone."
        )
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Test:
    """What validation finds inside the sources that are known, and the test on the one held out.

    Parameters
    ----------
    source : str
        The one held out.
    inside, outside : DataFrame
        `path, group, source, label, fold, head, score`, a head being a system: out of fold among
        the other sources, and on the one held out. `BASELINE` is among the heads.
    cutoffs : dict of str to float
        Youden point of each system on the whole validation.
    within, beyond : dict
        Figures as from `evaluate.report.summarise`: inside at the Youden point of the
        other folds, outside at the cut-offs.
    """

    source: str
    inside: pd.DataFrame
    outside: pd.DataFrame
    cutoffs: dict[str, float]
    within: dict[str, Any]
    beyond: dict[str, Any]


def freeze(
    validation: Trial,
    validated: pd.DataFrame,
    test: Trial,
    tested: pd.DataFrame,
    systems: Systems,
    positive: str = CLASSES[1],
) -> Test:
    """Freeze sigmoids and cut-offs on the validation, then judge the source held out by them.

    Parameters
    ----------
    validation : Trial
        The other sources.
    validated : DataFrame
        The networks' scores there, from `heads.scores`.
    test : Trial
        The source held out.
    tested : DataFrame
        The networks' scores there, from `raw_scores`.
    systems : mapping of str to sequence of str
        Members of each system.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Test
        Nothing of the source held out has a part in what it is judged by.
    """
    sigmoids = {
        str(name): out_of_fold.sigmoid(rows, positive) for name, rows in validated.groupby("head")
    }

    def systems_of(rows: pd.DataFrame) -> pd.DataFrame:
        both = rows[rows["head"].isin(set(sigmoids) & set(tested["head"]))]
        slopes, intercepts = (
            both["head"].map({name: pair[place] for name, pair in sigmoids.items()})
            for place in (0, 1)
        )
        return averaged(both.assign(score=expit(slopes * both["raw"] + intercepts)), systems)

    cutoffs = {
        str(system): operating_points.youden(rows["label"] == positive, rows["score"])
        for system, rows in systems_of(validated).groupby("head", sort=False)
    }
    (source,) = set(test.records["source"][test.records["fold"] == 1])
    within = averaged(validated[validated["head"].isin(set(tested["head"]))], systems)
    beyond = _with_size(systems_of(tested), test, positive)
    return Test(
        str(source),
        _with_size(within, validation, positive),
        beyond,
        cutoffs,
        summarise(within, validation.records, positive),
        report.summarise(
            beyond, cutoffs | {BASELINE: float("nan")}, positive, split=f"{source} held out whole"
        ),
    )


def _with_size(found: pd.DataFrame, trial: Trial, positive: str) -> pd.DataFrame:
    """Add the scores of the baseline that sees the size of an image alone."""
    size = out_of_fold.size_rows(trial.records, positive)
    if size is None:
        return found
    return pd.concat([found, size[size["fold"].isin(trial.tested)]], ignore_index=True)


def decided(test: Test, head: str, positive: str = CLASSES[1]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn the scores of a system to 0 or 1: inside by other folds, outside by the cut-off.

    Parameters
    ----------
    test : Test
        From `freeze`.
    head : str
        The system.
    positive : str
        The label that counts as positive.

    Returns
    -------
    inside, outside : DataFrame
        Rows of that system, their `score` 0 or 1.
    """
    known, beyond = (rows[rows["head"] == head] for rows in (test.inside, test.outside))
    called = (beyond["score"] >= test.cutoffs[head]).astype(float)
    return out_of_fold.decisions(known, positive), beyond.assign(score=called)


def change(
    statistic: Statistic, inside: pd.DataFrame, outside: pd.DataFrame, positive: str = CLASSES[1]
) -> Interval:
    """Compute how far a figure outside is from that inside, on other images.

    Groups of both are drawn together, so that one resample shows how either could have turned out.

    Parameters
    ----------
    statistic : callable
        As in `intervals.group_bootstrap`; takes `weights`.
    inside, outside : DataFrame
        `label, group, score` of one system.
    positive : str
        The label that counts as positive.

    Returns
    -------
    Interval
        Of outside − inside.
    """
    both = pd.concat([inside, outside])
    first = np.arange(len(both)) < len(inside)

    def difference(
        labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None
    ) -> Any:
        there, here = (
            statistic(
                labels[part], scores[part], weights=None if weights is None else weights[..., part]
            )
            for part in (~first, first)
        )
        return there - here

    return intervals.group_bootstrap(
        difference, both["label"] == positive, both["score"], both["group"]
    )
