"""A report is whole, can be read back, and says what its figures come from."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from thyro_demo.errors import StudyError
from thyro_demo.evaluate import metrics, operating_points, results
from thyro_demo.study.report import report
from thyro_demo.study.report.report import Protocol, Published, Report, Table


@pytest.fixture(scope="module")
def scores(scored):
    """Make up scores of two systems on the same 80 images in 40 groups of two sources."""
    return pd.concat(
        [scored(0.5).assign(head="weak"), scored(3.0, 1).assign(head="strong")], ignore_index=True
    )


@pytest.fixture(scope="module")
def records(scores):
    """Make their record table; a source has one image size."""
    images = scores.drop_duplicates("path").drop(columns=["head", "score"])
    side = np.where(images["source"] == "east", 300, 560)
    return images.assign(width=side, height=side)


@pytest.fixture(scope="module")
def summary(scores, records):
    return report.summarise(scores, records, "malignant")


@pytest.fixture
def found(scores, summary):
    """Make a report of two tables and a picture."""
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, 1])
    return Report(
        Protocol("P4", "a title", "Authors, 2020", "malignant", ()), "80 images", True,
        (report.overall("Overall", summary, {}), report.by_source("Within", summary)),
        (("What", "why"),), scores, {"one": summary}, {"curve": ("What to see.", figure)},
        {"a job": "It failed."},
    )  # fmt: skip


def test_a_row_that_does_not_fit_its_columns_is_refused():
    with pytest.raises(StudyError, match=r"2 cells\. Received: \('a', 'b', 'c'\)\.$"):
        Table("Title", "Caption", ("one", "two"), (("a", "b"), ("a", "b", "c")))


def test_a_stroke_within_a_cell_does_not_end_it():
    text = Table("Title", "Caption", ("one", "two"), (("P(x|y)", "b"),)).markdown()
    assert text.splitlines()[-1] == r"| P(x\|y) | b |"


def test_what_is_written_is_what_the_report_holds(found, tmp_path):
    file = report.write(found, tmp_path / "P4")
    facts = json.loads(file.read_text(encoding="utf-8"))
    for name in ("images", "fast", "failures", "summaries"):
        assert facts[name] == getattr(found, name), name
    for name in ("key", "title", "reference"):
        assert facts[name] == getattr(found.protocol, name), name
    tables = [Table(each["title"], each["caption"], tuple(each["columns"]),
                    tuple(map(tuple, each["rows"]))) for each in facts["tables"]]  # fmt: skip
    assert tuple(tables) == found.tables
    assert facts["pictures"] == {"curve": "What to see."}
    with Image.open(tmp_path / "P4" / "curve.png") as image:
        assert image.size == (400, 200)
    kept = pd.read_csv(tmp_path / "P4" / "oof.csv", dtype={"group": str})
    pd.testing.assert_frame_equal(kept, found.scores, check_exact=False)


def test_the_text_says_that_phantoms_are_a_rehearsal_and_what_failed(found):
    text = found.markdown()
    assert report.TEACHING in text
    assert "a rehearsal, not a result" in text
    assert "- What: why" in text
    assert "- a job: It failed." in text
    assert "| strong |" in text
    assert "![What to see.](curve.png)" in text


def test_a_report_that_was_not_written_whole_is_none(found, tmp_path, monkeypatch):
    """The earlier report goes first, so that no pictures of two runs are beside each other."""
    file = report.write(found, tmp_path)

    def fail(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="full"):
        report.write(found, tmp_path)
    assert not file.exists()
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_a_figure_that_json_does_not_know_is_refused(found, tmp_path):
    found.summaries["one"]["heads"]["weak"]["auroc"]["high"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        report.write(found, tmp_path)
    assert not (tmp_path / "report.json").exists()
    found.summaries["one"]["heads"]["weak"]["auroc"]["high"] = None


def test_published_figures_stand_behind_ours_in_the_same_unit(scores, summary):
    row = Published("Strong", accuracy=88.0, sensitivity=90.5, auroc=0.937)
    table = report.overall("Overall", summary, {"strong": row, "weak": None})
    cells = {line[0]: dict(zip(table.columns, line, strict=True)) for line in table.rows}
    assert list(cells) == ["weak", "strong", "image size only"]
    strong = scores[scores["head"] == "strong"]
    ours = metrics.auroc(strong["label"] == "malignant", strong["score"])
    assert cells["strong"]["AUROC"].startswith(f"{ours:.3f} (")
    assert cells["strong"]["AUROC"].endswith(") / 0.937")
    assert cells["strong"]["Sensitivity, %"].endswith(") / 90.5")
    assert "/" not in cells["strong"]["Specificity, %"] + "".join(cells["weak"].values())
    assert "after “/” what was published" in table.caption
    assert "/" not in report.overall("Overall", summary, {"strong": None}).caption
    assert float(cells["strong"]["Accuracy, %"].split()[0]) == pytest.approx(
        100 * summary["heads"]["strong"]["accuracy"]["value"], abs=0.05
    )


def test_rates_are_those_at_the_youden_point_of_the_other_folds(scores, summary):
    strong = scores[scores["head"] == "strong"]
    right = 0
    for fold in range(5):
        others, here = strong[strong["fold"] != fold], strong[strong["fold"] == fold]
        point = operating_points.youden(others["label"] == "malignant", others["score"])
        right += ((here["score"] >= point) == (here["label"] == "malignant")).sum()
    assert summary["heads"]["strong"]["accuracy"]["value"] == right / 80


def test_a_table_by_source_holds_the_baseline_that_sees_no_pixel(scores, summary):
    table = report.by_source("Within", summary, ["strong"])
    assert table.columns == ("System", "all", "east", "west")
    assert [row[0] for row in table.rows] == ["strong", "image size only"]
    east = scores[(scores["head"] == "strong") & (scores["source"] == "east")]
    ours = metrics.auroc(east["label"] == "malignant", east["score"])
    assert table.rows[0][2].startswith(f"{ours:.3f} (")


def test_every_table_says_split_unit_and_interval(summary):
    for table in (report.overall("", summary, {}), report.by_source("", summary)):
        assert "80 images in 40 groups, 40 malignant" in table.caption
        assert "split: out-of-fold" in table.caption
        assert "95 % intervals from 2000 bootstrap resamples by group" in table.caption


def test_published_rows_are_read_as_printed(tmp_path):
    file = tmp_path / "published.csv"
    file.write_text(
        "table,system,accuracy,auroc,note\nfirst,VGG-16 é,78.95,,on 152 images\n"
        'first,"A, B",80.0,0.98,\n',
        encoding="utf-8",
    )
    (one, facts), (other, _) = report.published(file)
    assert one == Published("VGG-16 é", accuracy=78.95, note="on 152 images")
    assert facts["table"] == "first"
    assert other == Published("A, B", accuracy=80.0, auroc=0.98)
    # As a table writes them: nothing is rounded on the way.
    assert (str(one.accuracy), str(other.accuracy)) == ("78.95", "80.0")


def test_differences_are_those_of_the_run_with_its_facts(tmp_path):
    file = tmp_path / "differences.md"
    file.write_text(
        "# What differs\n\n## Images\n\nnot public; {count}\nof ours\n\n"
        "## Depth [fast]\n\n{epochs} epochs\n\n## Depth [offline]\n\nas published\n"
    )
    facts = {"count": 12, "epochs": 3}
    images = ("Images", "not public; 12 of ours")
    assert report.differences(file, **facts) == (images,)
    assert report.differences(file, ["fast"], **facts) == (images, ("Depth", "3 epochs"))
    assert report.differences(file, ["offline"], **facts) == (images, ("Depth", "as published"))


def test_a_report_leaves_its_results_and_none_of_an_earlier_one(found, summary, tmp_path):
    table = results.by_source(
        [("System", summary, "strong")], {}, what="A.", split="five grouped folds",
        made_by="python -m thyro_demo study P4 --data sets", note="Mind this.",
    )  # fmt: skip
    report.write(replace(found, results={"p4": table, "p4_more": table}), tmp_path)
    rehearsed = results.read(tmp_path / "p4.json")
    assert (rehearsed.rows, rehearsed.columns) == (table.rows, table.columns)
    assert rehearsed.made_by == "python -m thyro_demo study P4 --fast"
    assert rehearsed.note.endswith("a rehearsal, not a result. Mind this.")
    report.write(replace(found, results={"p4": table}, fast=False), tmp_path)
    assert {file.name for file in tmp_path.glob("*.json")} == {"report.json", "p4.json"}
    assert results.read(tmp_path / "p4.json") == table
