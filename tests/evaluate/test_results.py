"""A published table keeps its digits, and shows no figure without interval, split and unit."""

import pytest
from pydantic import ValidationError

from thyro_demo.errors import DataError
from thyro_demo.evaluate import results
from thyro_demo.evaluate.results import Column, Interval, Result, figure

FILES = sorted(results.PUBLISHED.glob("*.json"))
COLUMNS = (
    Column(key="chain", title="Chain"),
    Column(key="images", title="Images", show="count"),
    Column(key="auroc", title="AUROC", show="figure"),
    Column(key="accuracy", title="Accuracy, %", show="percent"),
    Column(key="gain", title="Gain", show="gain"),
    Column(key="minutes", title="Minutes", show="number"),
)
ROWS = (
    {"chain": "natural", "images": 1638, "auroc": figure((0.84, 0.8, 0.88)),
     "accuracy": figure((0.751, 0.713, 0.788)), "minutes": 2.25},
    {"chain": "breast", "auroc": figure((0.85, 0.81, 0.9), gain=(0.01, -0.02, 0.04)),
     "accuracy": figure((0.835, None, None), gain=(0.085, 0.057, 0.111)),
     "gain": figure((-0.01, -0.0004, float("nan")))},
    {"chain": "none", "auroc": figure((float("nan"), None, None))},
)  # fmt: skip


def result(**changed):
    known = {
        "what": "What a test shows.",
        "made_by": "python -m thyro_demo study middle --data sets",
        "split": "grouped folds",
        "unit": "group",
        "interval": Interval(method="bootstrap of whole groups", resamples=2000),
        "columns": COLUMNS,
        "rows": ROWS,
    }
    return Result(**(known | changed))


def test_cells_are_written_as_their_column_asks():
    assert result().markdown().splitlines() == [
        "| Chain | Images | AUROC | Accuracy, % | Gain | Minutes |",
        "|---|---|---|---|---|---|",
        "| natural | 1,638 | 0.840 (0.800–0.880) | 75.1 (71.3–78.8) |  | 2.2 |",
        "| breast |  | 0.850 (0.810–0.900), +0.010 (−0.020 to +0.040) "
        "| 83.5, +8.5 (+5.7 to +11.1) | −0.010 |  |",
        "| none |  | – |  |  |  |",
    ]


def test_a_table_is_shown_with_its_interval_split_unit_and_command():
    assert (
        result(note="Phantoms.")
        .section()
        .endswith(
            "95 % intervals: bootstrap of whole groups, 2,000 resamples; split: grouped folds; "
            "unit: group. *Made by* `python -m thyro_demo study middle --data sets`. Phantoms."
        )
    )


def test_what_was_written_is_read_again_a_row_on_a_line(tmp_path):
    path = tmp_path / "new" / "middle.json"
    results.write(result(), path)
    assert results.read(path) == result()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith('  {"chain"') for line in lines) == len(ROWS)


@pytest.mark.parametrize("missing", ["split", "unit", "interval"])
def test_a_figure_without_interval_split_or_unit_is_refused(missing):
    with pytest.raises(ValidationError, match="auroc, accuracy, gain"):
        result(**{missing: None if missing == "interval" else ""})


def test_a_table_of_counts_needs_no_interval():
    bare = result(columns=COLUMNS[:2], rows=({"images": 3},), split="", unit="", interval=None)
    assert bare.section().endswith("*Made by* `python -m thyro_demo study middle --data sets`.")


@pytest.mark.parametrize(
    "row", [{"chain": 3}, {"auroc": "0.84"}, {"images": figure((1, 1, 1))}, {"unknown": "text"}]
)
def test_a_cell_that_does_not_fit_its_column_is_refused(row):
    with pytest.raises(ValidationError, match="does not fit its column"):
        result(rows=(row,))


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (None, "must be a JSON file"),
        ("{", "Invalid JSON"),
        ('{"rows": []}', "what: Field required"),
    ],
)
def test_a_file_that_is_no_result_is_refused_in_one_sentence(tmp_path, content, reported):
    path = tmp_path / "p1.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError) as refusal:
        results.read(path)
    assert reported in str(refusal.value)
    assert f"Received: {path}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_published_file_is_as_it_would_be_written(path, tmp_path):
    results.write(results.read(path), tmp_path / path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def summary(**by_source):
    """Make up the figures of the heads "svm" and "softmax"."""
    part = {"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}}
    within = {key: {"auroc": dict.fromkeys(("value", "low", "high"), value)}
              for key, value in by_source.items()}  # fmt: skip
    heads = dict.fromkeys(("svm", "softmax"), part | {"by_source": within})
    return {"n": 12, "unit": "group", "interval": {"resamples": 100}, "heads": heads}


def test_a_table_by_source_has_a_column_for_each_source_that_is_compared():
    known = summary(new=0.1, other=0.2, ddti=0.3)
    rows = [("SVM", known, "svm"), ("lost", known, "forest"), ("far", summary(far=0.4), "softmax")]
    titles = {"ddti": "DDTI frames", "web300": "300×225 frames", "other": "the rest"}
    about = {"what": "A.", "made_by": "a test", "split": "folds"}
    table = results.by_source(rows, titles, **about)
    # Known sources first; one that is alone and unknown says no more than "All".
    assert [column.title for column in table.columns] == [
        "System", "Images", "All", "DDTI frames", "the rest", "new",
    ]  # fmt: skip
    assert [row["system"] for row in table.rows] == ["SVM", "far"]
    assert table.rows[0]["ddti"] == figure((0.3, 0.3, 0.3))
    assert set(table.rows[1]) == {"system", "images", "all"}
    assert (table.unit, table.interval) == ("group", Interval(
        method="bootstrap of whole groups", resamples=100))  # fmt: skip
