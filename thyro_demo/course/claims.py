"""What chapters 2 to 6 claim of every run: sentences, and whether this run bears them out.

What depends on chance is no claim: a chapter shows it with its interval, and says "in this run".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from thyro_demo.course.progressive import Snapshot, block_similarity, weight_changes
from thyro_demo.data import splits

Claims = dict[str, bool]
"""A sentence to whether it holds."""

Figures = Mapping[str, Mapping[str, float | None]]
"""Names to figures with `value`, `low` and `high`."""


def table(claims: Claims) -> pd.DataFrame:
    """Set out claims for readers: one row each, with "holds" or "DOES NOT HOLD"."""
    print("All claims hold." if all(claims.values()) else "Not every claim holds in this run.")
    verdicts = ["holds" if holds else "DOES NOT HOLD" for holds in claims.values()]
    return pd.DataFrame({"in this run": verdicts}, index=pd.Index(claims, name="claim"))


def scratch(
    steps: Mapping[str, np.ndarray],
    passed: np.ndarray,
    valley: np.ndarray,
    records: pd.DataFrame,
    parts: Mapping[str, np.ndarray],
    runs: Mapping[str, Any],
    scored: Sequence[pd.DataFrame],
) -> Claims:
    """Return what chapter 2 claims.

    Parameters
    ----------
    steps : mapping of str to ndarray
        "ReLU" and "pooling": what each of them leaves of one image.
    passed, valley : ndarray of float
        Losses along the walk with small steps, and at every weight that was tried.
    records : DataFrame
        Record table with `fold`.
    parts : mapping of str to ndarray of int64
        From `scratch.parts`.
    runs : mapping of str to live.Trained
        With "few patients" and "early stopping".
    scored : sequence of DataFrame
        Out-of-fold scores of the network, and of its controls, row by row.

    Returns
    -------
    dict of str to bool
        Claim to whether it holds.
    """
    groups = {name: set(records["group"].iloc[rows]) for name, rows in parts.items()}
    alone, stopped = (
        [row["validation_loss"] for row in runs[name].history]
        for name in ("few patients", "early stopping")
    )
    first = scored[0]["path"].to_numpy()
    return {
        "ReLU leaves nothing below zero, and pooling keeps the largest answer": bool(
            steps["ReLU"].min() == 0 and steps["pooling"].max() == steps["ReLU"].max()
        ),
        "Small gradient steps go downhill only, and end near the bottom": bool(
            np.all(np.diff(passed) < 0) and passed[-1] < valley.min() + 0.05
        ),
        "No patient is in training and in validation": not groups["many"] & groups["validation"],
        "The few patients are some of the many": groups["few"] <= groups["many"],
        "Early stopping is the same curve, cut off": bool(
            np.allclose(stopped, alone[: len(stopped)], atol=1e-3)
        ),
        "No patient is in two folds": not splits.crossing(records["group"], records["fold"]),
        "Network and controls scored the same frames, each once, between 0 and 1": all(
            len(one) == len(records)
            and np.array_equal(one["path"], first)
            and bool(one["score"].between(0, 1).all())
            for one in scored
        ),
    }


def progressive(
    freezing: Mapping[str, pd.DataFrame],
    chests: pd.DataFrame,
    before: Snapshot,
    after: Snapshot,
    frozen: Sequence[str],
    scored: Mapping[str, pd.DataFrame],
    manifest: Mapping[str, Any],
) -> Claims:
    """Return what chapter 3 claims.

    Parameters
    ----------
    freezing : mapping of str to DataFrame
        Network to its table from `progressive.freezing`.
    chests : DataFrame
        Record table of the middle stage, with `split`.
    before, after : Snapshot
        The network before and after the middle stage that the chapter trained.
    frozen : sequence of str
        Blocks that this stage left alone.
    scored : mapping of str to DataFrame
        Out-of-fold scores by stage, with `fold`.
    manifest : mapping
        Of the bundle at the end.

    Returns
    -------
    dict of str to bool
        Claim to whether it holds.
    """
    moved, alike = weight_changes(before, after), block_similarity(before, after)
    sums = [one.groupby("strategy", sort=False)["trained"].sum() for one in freezing.values()]
    return {
        "Each strategy trains more weights than the one before": all(
            bool(np.all(np.diff(one) > 0)) for one in sums
        ),
        "No patient of the middle stage is in training and in validation": not splits.crossing(
            chests["group"], chests["split"]
        ),
        "Frozen blocks did not move, and answer as before": bool(
            (moved[moved.index.isin(frozen)] == 0).all()
            and np.allclose(alike[list(frozen)], 1.0, atol=1e-5)
        ),
        "All trained blocks moved": bool((moved[~moved.index.isin(frozen)] > 0).all()),
        "Every frame was scored once at each stage, by a head that had not met its patient": all(
            bool(one["path"].is_unique) and not splits.crossing(one["group"], one["fold"])
            for one in scored.values()
        ),
        "The bundle at the end has a softmax, an SVM and a forest": (
            manifest["heads"] == ["softmax", "svm", "forest"]
        ),
    }


def heads(
    line: np.ndarray,
    points: np.ndarray,
    learned: Sequence[float],
    scored: pd.DataFrame,
    primary: str,
    figures: Figures,
) -> Claims:
    """Return what chapter 4 claims.

    Parameters
    ----------
    line : ndarray of float (n,)
        Log-odds of the softmax in the plane.
    points : ndarray of float (n, 2)
        Of the frames in that plane.
    learned : sequence of float
        AUROC of forests on what they learned from, smallest leaves first.
    scored : DataFrame
        Out-of-fold scores of all heads.
    primary : str
        The head named before.
    figures : mapping
        Head to AUROC with its interval.

    Returns
    -------
    dict of str to bool
        Claim to whether it holds.
    """
    wide = np.c_[points, np.ones(len(points))]
    fitted = np.linalg.lstsq(wide, line, rcond=None)[0]
    folds = [part for _, part in scored[scored["head"] == primary].groupby("fold")]
    return {
        "The boundary of a softmax is a straight line": bool(np.allclose(wide @ fitted, line)),
        "A forest with leaves of one frame recalls what it learned, larger leaves recall less": (
            learned[0] > 0.99 and learned[0] > learned[-1]
        ),
        "No patient is in two folds": not splits.crossing(scored["group"], scored["fold"]),
        "Every head scored every frame once, between 0 and 1": bool(
            scored.groupby("head")["path"].nunique().eq(scored["path"].nunique()).all()
            and not scored.duplicated(["head", "path"]).any()
            and scored["score"].between(0, 1).all()
        ),
        "Within a fold calibration keeps the order of frames, or reverses it as a whole": all(
            abs(part["raw"].corr(part["score"], method="spearman")) > 0.999
            or part["score"].nunique() == 1
            for part in folds
        ),
        "Every interval holds its figure": _inside(figures),
    }


def _inside(figures: Figures) -> bool:
    """Check that figures lie in their intervals."""
    return all(
        one["low"] is not None
        and one["value"] is not None
        and one["high"] is not None
        and one["low"] <= one["value"] <= one["high"]
        for one in figures.values()
    )


def evaluation(
    intervals: Figures,
    answers: Mapping[str, float],
    flagged: float,
    gains: pd.DataFrame,
    readers: pd.DataFrame,
) -> Claims:
    """Return what chapter 5 claims.

    Parameters
    ----------
    intervals : mapping
        The four of section 1, in their order: frames by group and by image, copies likewise.
    answers : mapping of str to float
        AUROC of "own answer" and "stretched".
    flagged : float
        Positive predictive value of a very good decision where one nodule in ten is malignant.
    gains : DataFrame
        From `evaluation.evaluate_flaws`.
    readers : DataFrame
        From `evaluation.radiologists`.

    Returns
    -------
    dict of str to bool
        Claim to whether it holds.
    """
    groups, images, again, flattered = (
        np.array([one["low"], one["high"], one["value"]], float) for one in intervals.values()
    )
    by_flaw = gains[gains["figure"] == "auroc"].set_index("flaw")
    return {
        "Copies change neither the AUROC nor its interval over groups": bool(
            np.allclose(groups, again)
        ),
        "Copies shorten the interval over images": bool(
            flattered[1] - flattered[0] < 0.7 * (images[1] - images[0])
        ),
        "Stretched scores have the same AUROC": answers["own answer"] == answers["stretched"],
        "Half of the flags of a very good decision are wrong at a prevalence of 10 %": bool(
            np.isclose(flagged, 0.5)
        ),
        "Test images in training flatter": bool(
            by_flaw.loc["test images in training", "gain_low"] > 0
        ),
        "Some printed rates of the radiologists took benign as positive": "benign"
        in set(readers["positive"]),
    }


def looking(
    by_hand: tuple[np.ndarray, np.ndarray],
    account: tuple[float, float],
    maps: Sequence[np.ndarray],
    restored: tuple[np.ndarray, np.ndarray],
    trained: pd.Series,
    shortcut: pd.DataFrame,
) -> Claims:
    """Return what chapter 6 claims.

    Parameters
    ----------
    by_hand : tuple of two ndarray
        The heatmap made by hand, and that of the package.
    account : tuple of two float
        Evidence and constant added up, and the log-odds.
    maps : sequence of ndarray
        Heatmaps of the heads of one network on one frame.
    restored : tuple of two ndarray
        Probabilities before the network forgot, and after it was restored.
    trained : Series of float
        Agreement of maps with themselves, while nothing is forgotten.
    shortcut : DataFrame
        Of `planting.Shortcut`: `view`, `marks` and `value`.

    Returns
    -------
    dict of str to bool
        Claim to whether it holds.
    """
    auroc = shortcut.set_index(["view", "marks"])["value"]
    learned, broken = (
        auroc["whole frame", marks] for marks in ("marks as in training", "marks on the benign")
    )
    return {
        "Grad-CAM by hand is Grad-CAM": bool(np.allclose(*by_hand, atol=1e-5)),
        "Evidence for, against and the constant add up to the log-odds": bool(
            np.isclose(*account, atol=1e-3)
        ),
        "Each head has a map of its own": len({one.tobytes() for one in maps}) == len(maps),
        "A network that has forgotten nothing draws the same map": bool((trained > 0.999).all()),
        "A network that forgot is restored": bool(np.array_equal(*restored)),
        "A head that saw whole frames falls when the marks change sides": bool(learned > broken),
        "The crop leaves the print without effect": bool(np.ptp(auroc["scan area"]) < 0.05),
    }
