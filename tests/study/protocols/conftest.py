"""What the result files of protocols are compared with: committed files, and made-up figures."""

import numpy as np
import pytest

from thyro_demo.evaluate import results
from thyro_demo.evaluate.intervals import RESAMPLES
from thyro_demo.study import setting
from thyro_demo.study.report import report


@pytest.fixture
def summary_of():
    """Return a function that makes up the figures of some systems, no two alike."""
    rng = np.random.default_rng(0)

    def auroc():
        low, value, high = sorted(rng.uniform(size=3))
        return {"auroc": {"value": value, "low": low, "high": high}}

    def make(systems, sources=tuple(setting.SOURCES), n=638):
        heads = {name: auroc() | {"by_source": {one: auroc() for one in sources}}
                 for name in systems}  # fmt: skip
        return {"n": n, "unit": "group", "interval": {"resamples": RESAMPLES}, "heads": heads,
                "auroc_differences": []}  # fmt: skip

    return make


@pytest.fixture
def replaces():
    """Return a check that a result has the form of the committed one: all but the figures."""

    def check(ours, name):
        theirs = results.read(results.PUBLISHED / f"{name}.json")
        assert ours.columns == theirs.columns
        words = [column.key for column in ours.columns if column.show in ("text", "count")]
        labels = [[[row[key] for key in words] for row in one.rows] for one in (ours, theirs)]
        assert labels[0] == labels[1]
        for part in ("what", "made_by", "split", "unit", "interval", "note"):
            assert getattr(ours, part) == getattr(theirs, part), part
        assert not ours.imported

    return check


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a report and reads its result files, by name."""

    def write(found):
        report.write(found, tmp_path / "report")
        files = set((tmp_path / "report").glob("*.json")) - {tmp_path / "report" / "report.json"}
        return {file.stem: results.read(file) for file in files}

    return write


@pytest.fixture
def holds():
    """Return a check that a row holds the AUROCs of a system, over all images and by source."""

    def check(row, summary, head):
        figures = summary["heads"][head]
        within = {key: part["auroc"] for key, part in figures["by_source"].items()}
        shown = {key: cell for key, cell in row.items() if key not in ("system", "images")}
        assert row["images"] == summary["n"]
        assert "all" in shown
        for key, cell in shown.items():
            known = figures["auroc"] if key == "all" else within[key]
            assert cell == results.figure(known), key

    return check
