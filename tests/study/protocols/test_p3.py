"""The classical system scores out of fold, reads its own family alone and reports intervals."""

import json
from dataclasses import replace
from functools import wraps
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.data.masks import polygon_mask
from thyro_demo.errors import DataError, RecipeError
from thyro_demo.evaluate import metrics, results
from thyro_demo.study import graph, setting
from thyro_demo.study.protocols.p3 import plan, tables
from thyro_demo.study.report import report
from thyro_demo.study.setting import Setting
from thyro_demo.study.steps import handcrafted
from thyro_demo.study.steps.handcrafted import ALL, FAMILIES, NAMES, classify
from thyro_demo.study.steps.handcrafted.classify import KINDS

_KEYS = ("kind", "family", "trees", "fold", "positive", "repeats")


@pytest.fixture
def quick(monkeypatch):
    """Let SVMs have little to choose from, forests few trees and sets few patients."""
    monkeypatch.setattr(classify, "_LINEAR_C", (0.1,))
    monkeypatch.setattr(classify, "_RBF_C", (1.0,))
    monkeypatch.setattr(classify, "_GAMMAS", (1.0,))
    monkeypatch.setattr(plan, "_FAST_TREES", 5)
    monkeypatch.setattr(plan, "REPEATS", 2)
    monkeypatch.setattr(setting, "_PATIENTS", 9)


@pytest.fixture
def shown():
    """Make 60 frames of 30 groups in three folds."""
    groups = np.repeat(np.arange(30), 2)
    labels = np.where(groups % 2 == 1, "malignant", "benign")
    return {"label": labels, "group": groups.astype(str), "fold": groups // 2 % 3}


@pytest.fixture
def measured(shown):
    """Make features of which the shape alone shows the label."""
    rows = np.random.default_rng(0).normal(size=(60, len(NAMES)))
    rows[:, handcrafted.columns("shape")] += 1.5 * (shown["label"] == "malignant")[:, None]
    return rows


def fitted(shown, rows, kind="SVM", family=ALL, fold=0, repeats=0):
    values = dict(zip(_KEYS, (kind, family, 20, fold, "malignant", repeats), strict=True))
    # Features come in parts, as they are computed.
    return classify.fit(values, shown, {"features": rows[:25]}, {"features": rows[25:]})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", KINDS)
def test_a_tested_frame_has_no_part_in_its_score(shown, measured, kind):
    before = fitted(shown, measured, kind)
    tested = shown["fold"] == 0
    np.testing.assert_array_equal(before["rows"], np.flatnonzero(tested))
    mixed = shown | {
        "label": np.where(tested, "benign", shown["label"]),
        "group": np.where(tested, "one", shown["group"]),
    }
    np.testing.assert_array_equal(fitted(mixed, measured, kind)["raw"], before["raw"])
    # What another tested frame shows doesn't count either.
    others = measured.copy()
    others[np.flatnonzero(tested)[1:]] = 100.0
    assert fitted(shown, others, kind)["raw"][0] == before["raw"][0]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", KINDS)
def test_a_system_reads_its_own_family_alone(shown, measured, kind):
    found = fitted(shown, measured, kind, "GLCM")
    others = measured.copy()
    rest = np.setdiff1d(np.arange(len(NAMES)), handcrafted.columns("GLCM"))
    others[:, rest] = np.random.default_rng(1).normal(size=(60, len(rest)))
    np.testing.assert_array_equal(fitted(shown, others, kind, "GLCM")["raw"], found["raw"])
    labels = shown["label"][found["rows"]] == "malignant"
    shape = fitted(shown, measured, kind, "shape")
    assert metrics.auroc(labels, shape["raw"]) > 0.9
    assert metrics.auroc(labels, found["raw"]) < 0.85


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_family_that_shows_the_label_matters(shown, measured, kind):
    values = [fitted(shown, measured, kind, fold=fold, repeats=10) for fold in range(3)]
    records = pd.DataFrame(shown).assign(source="clinic")
    odds, shuffled = tables._log_odds(records, values, "malignant")
    labels = shown["label"] == "malignant"
    whole = metrics.auroc(labels, odds)
    lost = {
        family: whole - np.mean([metrics.auroc(labels, scores) for scores in shuffled[:, place]])
        for place, family in enumerate(FAMILIES)
    }
    assert lost["shape"] > 0.15
    assert all(abs(loss) < lost["shape"] / 3 for name, loss in lost.items() if name != "shape")


def test_shuffling_moves_one_family_and_keeps_its_rows_together(measured):
    mixed = classify._shuffled(measured, "GLRLM", np.random.default_rng(0))
    own = handcrafted.columns("GLRLM")
    rest = np.setdiff1d(np.arange(len(NAMES)), own)
    np.testing.assert_array_equal(mixed[:, rest], measured[:, rest])
    assert (mixed[:, own] != measured[:, own]).any(axis=1).mean() > 0.9
    assert {tuple(row) for row in mixed[:, own]} == {tuple(row) for row in measured[:, own]}


def test_too_few_groups_and_unknown_systems_are_refused(shown, measured):
    few = shown | {"group": np.where(shown["label"] == "benign", "one", shown["group"])}
    with pytest.raises(RecipeError, match=r"at least 5 groups in each class.*Received: 1\.$"):
        fitted(few, measured)
    leaf = graph.leaf("frames", fold=shown["fold"])
    with pytest.raises(RecipeError, match=r"Received: 'forest' on 'colour'\.$"):
        classify.system("forest", "colour", leaf, [], 0, "malignant", 5)


@pytest.fixture
def outlined(tmp_path):
    """Write three frames of noise with one outline each, in the three ways of saying so."""
    rng = np.random.default_rng(0)
    corners = np.array([[10.0, 8], [40, 8], [40, 30], [10, 30]])
    mask = polygon_mask(corners, (50, 60))
    Image.fromarray(np.uint8(mask) * 255).save(tmp_path / "mask.png")
    Image.fromarray(np.zeros((50, 60), np.uint8)).save(tmp_path / "none.png")
    paths = [tmp_path / f"{row}.png" for row in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(1, 256, (50, 60, 3), dtype=np.uint8)).save(path)
    records = pd.DataFrame({"path": [str(path) for path in paths], "width": 60, "height": 50})
    small = corners / 4
    return {
        "polygons": records.assign(polygons=[[small, corners], [corners], [corners, small]]),
        "mask_paths": records.assign(
            mask_paths=[[str(tmp_path / "none.png"), str(tmp_path / "mask.png")]] * 3
        ),
        "mask_path": records.assign(mask_path=str(tmp_path / "mask.png")),
    }


def test_features_are_those_of_the_largest_outline_however_it_is_given(outlined, monkeypatch):
    # Two jobs: the second one's outlines start anew.
    monkeypatch.setattr(classify, "_TOGETHER", 2)
    found = {}
    for way, records in outlined.items():
        jobs = classify.features(records)
        assert len(jobs) == 2
        parts = [classify.extract(job.settings, *(need.value for need in job.needs))
                 for job in jobs]  # fmt: skip
        found[way] = np.concatenate([part["features"] for part in parts])
    assert found["polygons"].shape == (3, len(NAMES))
    np.testing.assert_array_equal(found["polygons"], found["mask_paths"])
    np.testing.assert_array_equal(found["polygons"], found["mask_path"])
    assert len(np.unique(found["polygons"], axis=0)) == 3
    frame = np.asarray(Image.open(outlined["polygons"]["path"][2]))
    mask = classify.largest_outline(outlined["polygons"].iloc[2])
    np.testing.assert_array_equal(found["polygons"][2], handcrafted.measure(frame, mask))


def test_the_outline_of_a_mask_is_the_nodule_however_it_is_numbered(outlined, tmp_path):
    """From 1 on, of another size than the frame, and beside polygons of other sets' frames."""
    row = outlined["mask_path"].iloc[0]
    expected = classify.largest_outline(row)
    white = Image.open(row["mask_path"])
    white.point(lambda grey: grey // 255).save(tmp_path / "ones.png")
    white.resize((180, 150), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    assert expected.any()
    for name in ("ones.png", "large.png"):
        given = pd.Series({**row, "mask_path": str(tmp_path / name), "polygons": np.nan})
        np.testing.assert_array_equal(classify.largest_outline(given), expected)


def test_a_frame_without_an_outline_is_refused(outlined):
    bare = outlined["polygons"].assign(polygons=[[], [], []])
    with pytest.raises(DataError, match=r"outlined nodule. Received: .*0\.png without\.$"):
        classify.features(bare)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_the_protocol_on_phantoms(tmp_path):
    found = plan.run(Setting(None, tmp_path, workers=0))
    assert found.fast
    assert not found.failures
    systems = [f"{kind}, {family}" for family in (ALL, *FAMILIES) for kind in KINDS]
    assert plan.PRIMARY in systems
    summary = found.summaries["phantoms"]
    assert list(summary["heads"]) == [*systems, *plan.ALONE, "image size only"]
    assert summary["unit"] == "group"
    # Every frame is scored once by every system, and groups never cross folds.
    assert set(found.scores.groupby(["head", "path"]).size()) == {1}
    assert (found.scores.groupby("group")["fold"].nunique() == 1).all()
    first, by_source, chosen, features = found.tables
    assert [row[0] for row in first.rows] == list(summary["heads"])
    assert "95 % intervals" in first.caption
    assert by_source.columns == ("System", "all", "scanner A", "scanner B", "scanner C")
    assert len(chosen.rows) == 1 + len(FAMILIES)
    assert {cell.split(",")[0] for row in chosen.rows for cell in row[1:]} <= {"linear", "rbf"}
    assert {row[0].split(" (")[0] for row in features.rows} == set(FAMILIES)
    written = json.loads(report.write(found, tmp_path / "report").read_text("utf-8"))
    assert written["key"] == "P3"
    assert (tmp_path / "report" / "importance-phantoms.png").stat().st_size > 5000


@pytest.mark.slow
def test_failed_systems_and_a_torn_set_leave_the_others(tmp_path, monkeypatch, written, holds):
    """Forests fail, and every image of one of two sets is torn."""

    @wraps(classify.fit)
    def fit(settings, shown, *measured):
        if settings["kind"] == "forest":
            raise RecipeError("A forest must have trees. Received: none.")
        rows = np.flatnonzero(shown["fold"] == settings["fold"])
        raw = np.concatenate([part["features"] for part in measured])[rows, 0]
        return {"rows": rows, "raw": raw, "chosen": np.array("linear, C 1")}

    monkeypatch.setattr(classify, "fit", fit)
    monkeypatch.setattr(tables, "importance", lambda *_: {})
    monkeypatch.setattr(setting, "_SCANNERS", {"scanner A": (100, 130)})
    (whole,) = plan._sets(Setting(None, tmp_path))
    paths = [tmp_path / "torn" / Path(path).name for path in whole.records["path"]]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(b"torn")
    torn = replace(whole, name="torn", records=whole.records.assign(path=list(map(str, paths))))
    monkeypatch.setattr(plan, "_sets", lambda _: [whole, torn])

    found = plan.run(Setting(None, tmp_path, workers=0))
    assert list(found.summaries) == ["phantoms"]
    systems = [f"SVM, {family}" for family in (ALL, *FAMILIES)]
    assert list(found.summaries["phantoms"]["heads"]) == [*systems, *plan.ALONE, "image size only"]
    places = [Path(path).relative_to(tmp_path).as_posix() for path in whole.records["path"]]
    assert set(found.scores["path"]) == set(places)
    table = written(found)["p3"]
    names = ("SVM, all families", *plan.ALONE)
    assert [row["system"] for row in table.rows] == [f"phantoms: {name}" for name in names]
    for row, name in zip(table.rows, names, strict=True):
        holds(row, found.summaries["phantoms"], name)
    # The forests of one set; of the other the features, and with them every system.
    assert len(found.failures) == 5 * len(systems) + 1 + 2 * 5 * len(systems)


def test_the_result_file_can_replace_the_committed_one(summary_of, replaces):
    systems = [f"{kind}, {family}" for family in (ALL, *FAMILIES) for kind in KINDS]
    heads = [*systems, *plan.ALONE, "image size only"]
    summaries = {
        "thyroid nodules": summary_of(heads, ("ddti",), 243),
        "breast lesions": summary_of(heads, ("busi",), 647),
    }
    pair = {"a": "SVM, all families", "b": "nodule area only"}
    known = {"value": 0.2, "low": 0.1, "high": 0.3}
    differences = summaries["breast lesions"]["auroc_differences"]
    differences += [pair | known, {"a": pair["a"], "b": systems[2]} | known]
    found = tables.to_results(summaries, list(plan.ALONE))
    replaces(found["p3"], "p3")
    (row,) = found["paired_differences"].rows
    committed = results.read(results.PUBLISHED / "paired_differences.json")
    (theirs,) = (each for each in committed.rows if each["protocol"] == "P3")
    assert found["paired_differences"].columns == committed.columns
    assert {key: row[key] for key in row if key != "auroc"} == {
        key: theirs[key] for key in theirs if key != "auroc"
    }
    assert row["auroc"] == results.figure(known)
