"""A report writes every number with its interval, keeps to its folder and asks no host."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from thyro_demo.errors import DataError
from thyro_demo.evaluate import metrics, plots, report

FIGURES = {
    "auroc",
    "average_precision",
    "accuracy",
    "sensitivity",
    "specificity",
    "f1",
    "ece",
    "brier",
}


def predict(heads=("softmax", "svm"), n=60, perfect=False, seed=0):
    """Make a table of predictions over three sources with two frames a patient."""
    generator = np.random.default_rng(seed)
    malignant = np.repeat(generator.random(n // 2) < 0.5, 2)
    images = pd.DataFrame(
        {
            "path": [f"frames/{i}.png" for i in range(n)],
            "group": np.repeat([f"patient {i}" for i in range(n // 2)], 2),
            "source": np.array(["ddti", "web", "web", "phantom"])[np.arange(n) // 2 % 4],
            "label": np.where(malignant, "malignant", "benign"),
            "fold": np.arange(n) // 2 % 5,
        }
    )
    noise = 0.0 if perfect else 0.25
    return pd.concat(
        [
            images.assign(
                head=head,
                score=np.clip(
                    np.where(malignant, 0.8, 0.2) + noise * generator.normal(size=n), 0, 1
                ),
            )
            for head in heads
        ],
        ignore_index=True,
    )


def halves(predictions):
    return dict.fromkeys(predictions["head"], 0.5)


@pytest.fixture(scope="module")
def predictions():
    return predict()


@pytest.fixture(scope="module")
def written(predictions, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "efficientnet"
    return report.write(
        predictions, halves(predictions), folder, "Frames <of> phantoms", resamples=100
    ).parent


def test_every_figure_has_an_interval_overall_and_within_each_source(predictions, written):
    summary = json.loads((written / "report.json").read_text(encoding="utf-8"))
    assert (summary["n"], summary["groups"], summary["unit"]) == (60, 30, "group")
    assert summary["split"] == "out-of-fold"
    assert set(summary["heads"]) == {"softmax", "svm"}
    for head in summary["heads"].values():
        parts = head["by_source"].values()
        assert sum(part["n"] for part in parts) == 60
        assert sum(part["groups"] for part in parts) == 30
        for part in (head, *parts):
            assert set(part) >= FIGURES | {"confusion"}
            for name in FIGURES:
                assert set(part[name]) == {"value", "low", "high"}


def test_the_numbers_are_those_of_the_metrics(predictions):
    summary = report.summarise(predictions, halves(predictions), resamples=20)
    rows = predictions[(predictions["head"] == "svm") & (predictions["source"] == "web")]
    labels = rows["label"] == "malignant"
    part = summary["heads"]["svm"]["by_source"]["web"]
    assert part["auroc"]["value"] == metrics.auroc(labels, rows["score"])
    assert part["sensitivity"]["value"] == metrics.sensitivity(labels, rows["score"], 0.5)
    assert part["confusion"] == metrics.confusion(labels, rows["score"], 0.5)


def test_the_difference_of_two_heads_is_that_of_their_figures(predictions):
    shuffled = predictions.sample(frac=1, random_state=1)
    summary = report.summarise(shuffled, halves(predictions), resamples=20)
    (pair,) = summary["auroc_differences"]
    a, b = (summary["heads"][pair[side]]["auroc"]["value"] for side in "ab")
    assert pair["value"] == pytest.approx(a - b)


def test_the_table_that_is_kept_yields_the_same_report(predictions, written):
    kept = pd.read_csv(written / "predictions.csv", converters={"score": float})
    again = report.summarise(kept, halves(predictions), resamples=100)
    assert again == json.loads((written / "report.json").read_text(encoding="utf-8"))


def test_the_page_holds_its_figures_and_asks_no_host(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    assert "http" not in page
    assert "<script" not in page
    assert "<link" not in page
    sources = re.findall(r'src="([^"]{0,40})', page)
    assert len(sources) == len(plots.FIGURES)
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_the_page_states_what_it_is_and_where_its_numbers_come_from(written):
    page = (written / "index.html").read_text(encoding="utf-8")
    assert "Teaching and research only" in page
    assert "diagnos" not in page
    assert "out-of-fold" in page
    assert "60 images" in page
    assert "30 groups" in page
    assert "Frames &lt;of&gt; phantoms" in page
    assert "<of>" not in page


def test_the_figures_are_images_as_wide_as_a_sharp_phone(written):
    for name in plots.FIGURES:
        with Image.open(io.BytesIO((written / f"{name}.png").read_bytes())) as image:
            assert image.width == 960


def test_a_perfect_classifier_has_nothing_wrong(tmp_path):
    predictions = predict(heads=("softmax",), perfect=True)
    page = report.write(predictions, {"softmax": 0.5}, tmp_path / "r", "Perfect", resamples=50)
    head = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))["heads"]["softmax"]
    for name in ("auroc", "average_precision", "accuracy", "sensitivity", "specificity", "f1"):
        assert head[name] == {"value": 1, "low": 1, "high": 1}
    assert (head["confusion"]["fp"], head["confusion"]["fn"]) == (0, 0)


def test_one_class_is_null_in_the_numbers_and_still_a_report(tmp_path):
    predictions = predict(heads=("softmax",), n=16).assign(label="benign", group=np.nan)
    page = report.write(predictions, {"softmax": 0.5}, tmp_path / "r", "Benign", resamples=50)
    text = (page.parent / "report.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    summary = json.loads(text)
    assert summary["heads"]["softmax"]["auroc"] == {"value": None, "low": None, "high": None}
    assert summary["heads"]["softmax"]["specificity"]["value"] is not None
    assert (summary["unit"], summary["groups"]) == ("image", None)
    assert "names no groups" in page.read_text(encoding="utf-8")


def test_a_head_without_an_operating_point_has_no_figures_at_one(tmp_path):
    predictions = predict(heads=("image size only",), n=16)
    page = report.write(
        predictions, {"image size only": float("nan")}, tmp_path / "r", "Size", resamples=20
    )
    head = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))["heads"][
        "image size only"
    ]
    assert head["confusion"] is None
    assert head["threshold"] is None
    assert head["accuracy"]["value"] is None
    assert head["auroc"]["value"] is not None


def test_an_unknown_source_is_reported_as_such():
    predictions = predict(heads=("softmax",), n=16).assign(source=np.nan)
    summary = report.summarise(predictions, {"softmax": 0.5}, resamples=20)
    assert summary["heads"]["softmax"]["by_source"]["unknown"]["n"] == 16


def test_an_earlier_report_is_replaced_and_a_foreign_folder_is_not(tmp_path):
    predictions = predict(heads=("softmax",), n=16)
    folder = tmp_path / "r"
    report.write(predictions, {"softmax": 0.5}, folder, "First", resamples=5)
    page = report.write(predictions, {"softmax": 0.5}, folder, "Second", resamples=5)
    assert "Second" in page.read_text(encoding="utf-8")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes\.txt"):
        report.write(predictions, {"softmax": 0.5}, folder, "Third", resamples=5)
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["r"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="group"), "without group"),
        (lambda table: table.iloc[:0], "0 rows"),
        (lambda table: table.assign(score=2.0), "from 0 to 1"),
        (lambda table: table.assign(score=np.nan), "from 0 to 1"),
        (lambda table: table.assign(label=["a", "b"] * 16), "Every label"),
        (lambda table: table.assign(head="another"), "must have a threshold"),
        (lambda table: table.iloc[1:], "once"),
        (lambda table: table.assign(group=table.index.astype(str)), "same for every head"),
    ],
)
def test_a_table_that_is_not_one_is_refused_and_nothing_is_written(tmp_path, change, message):
    predictions = predict(n=16)
    with pytest.raises(DataError, match=message) as refusal:
        report.write(change(predictions), halves(predictions), tmp_path / "r", "Refused")
    assert "Received: " in str(refusal.value)
    assert not list(tmp_path.iterdir())
