"""P4 tests two networks and two ensembles inside and outside, beside what was published."""

import json

import pytest

from thyro_demo.bundle import manifest
from thyro_demo.data import datasets, splits
from thyro_demo.errors import RecipeError, StudyError
from thyro_demo.evaluate import metrics
from thyro_demo.study.protocols.p4 import plan, tables
from thyro_demo.study.questions import held_out
from thyro_demo.study.report import report
from thyro_demo.study.setting import Setting

pytestmark = pytest.mark.usefixtures("eagerly", "small_heads")


@pytest.fixture(scope="module")
def found(clinic, eagerly, small_heads, tmp_path_factory):
    """Run it on drawn frames of two places, with two small networks of random weights."""
    records = splits.kfold(datasets.load(clinic), 5, seed=0)
    work = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THYRO_WEIGHTS", str(work / "none"))
        patch.setattr(plan, "thyroid", lambda setting: records)
        patch.setattr(plan, "_FAST_SIDE", 32)
        patch.setattr(plan, "SYSTEMS", {"small": ("two-layer-cnn",), "again": ("two-layer-cnn",)})
        return plan.run(Setting(None, work, workers=0))


@pytest.mark.slow
def test_every_frame_is_scored_once_inside_and_once_with_its_source_held_out(found):
    assert not found.failures
    scores = found.scores
    for system in ("small", "image size only"):
        assert (scores["head"] == system).sum() == 24
        for source, other in (("east", "west"), ("west", "east")):
            beyond = scores[scores["head"] == f"{system}, held out: {source}"]
            assert set(beyond["source"]) == {source}
            assert beyond["path"].is_unique
            known = scores[scores["head"] == f"{system}, without {source}"]
            assert set(known["source"]) == {other}
    assert scores["probability"].between(0, 1).all()
    assert not scores["path"].str.startswith("/").any()


def test_an_svm_reads_of_a_network_what_that_of_its_bundle_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(plan.networks, "features", lambda *given: given)
    bundle = manifest.weights_root() / "efficientnet-b0"
    facts = manifest.read_manifest(bundle)
    made, tap = plan.features_as_shipped("efficientnet-b0", Setting(tmp_path, tmp_path), None)
    assert made == ("efficientnet-b0", str(bundle), None, (facts["pooling"],), facts["input_size"])
    assert tap == facts["pooling"] == "nodule"


@pytest.mark.slow
def test_tables_are_those_of_the_scores(found):
    external = next(table for table in found.tables if table.title.startswith("External"))
    row = next(row for row in external.rows if row[0] == "west: small")
    scores = found.scores[found.scores["head"] == "small, held out: west"]
    ours = metrics.auroc(scores["label"] == "malignant", scores["probability"])
    assert row[external.columns.index("AUROC")].startswith(f"{ours:.3f} (")
    assert row[-1] == "0.821–0.885"
    internal = found.tables[0]
    assert {line[0]: line[-1] for line in internal.rows} == {
        "small": "0.898–0.937", "again": "0.898–0.937", "image size only": "–",
    }  # fmt: skip


@pytest.mark.slow
def test_the_change_from_inside_to_outside_is_shown_twice(found):
    table = next(table for table in found.tables if table.title.startswith("From"))
    lines = {row[0]: row for row in table.rows}
    assert set(lines) == {f"{source}: {system}" for source in ("east", "west")
                          for system in ("small", "again", "image size only")}  # fmt: skip
    for row in lines.values():
        inside, outside, moved = (
            float(cell.split()[0].replace("−", "-")) for cell in row[1:4]
        )  # fmt: skip
        assert moved == pytest.approx(outside - inside, abs=0.0016)
        assert " to " in row[3]
        assert " to " in row[4]


@pytest.mark.slow
def test_the_cut_off_that_a_table_shows_gives_its_rates(found):
    table = next(table for table in found.tables if "cut-off" in table.title)
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        source, system = row[0].split(": ")
        threshold = found.summaries[f"external, {source}"]["heads"][system]["threshold"]
        assert cells["Cut-off, 0–1"] == f"{threshold:.3f}"
        scores = found.scores[found.scores["head"] == f"{system}, held out: {source}"]
        labels = scores["label"] == "malignant"
        ours = 100 * metrics.specificity(labels, scores["probability"], threshold)
        assert cells["Specificity held out, %"].startswith(f"{ours:.1f} (")


@pytest.mark.slow
def test_every_table_says_how_sure_it_is_and_where_its_figures_come_from(found):
    for table in found.tables:
        assert "95 % intervals" in table.caption, table.title
        assert "by group" in table.caption
        assert "fold" in table.caption or "held out" in table.caption


@pytest.mark.slow
def test_what_was_published_and_what_is_done_instead_are_named(found):
    assert [row.auroc for row in plan.PROTOCOL.published] == [0.898, 0.937, 0.821, 0.885]
    differs = dict(found.differs)
    assert "760" in differs["Balance of the classes"]
    assert "12 malignant and 12 other" in differs["Balance of the classes"]
    assert "Choices made before" not in differs


@pytest.mark.slow
def test_a_report_of_it_can_be_written(found, tmp_path):
    facts = json.loads(report.write(found, tmp_path).read_text(encoding="utf-8"))
    assert facts["fast"]
    assert set(facts["summaries"]) == {
        "internal, all sources", "internal, without east", "external, east",
        "internal, without west", "external, west",
    }  # fmt: skip
    assert {each.name for each in tmp_path.glob("*.png")} == {"sources.png", "cutoffs.png"}


def test_two_single_networks_and_two_ensembles_are_named():
    sizes = [len(members) for members in plan.SYSTEMS.values()]
    assert sizes == [1, 1, 2, 3]


def test_a_network_that_was_trained_on_thyroid_frames_is_refused(
    trained_bundle, clinic, tmp_path, monkeypatch
):
    folder = trained_bundle("all")
    monkeypatch.setenv("THYRO_WEIGHTS", str(folder.parent))
    records = splits.kfold(datasets.load(clinic), 5, seed=0)
    monkeypatch.setattr(plan, "thyroid", lambda setting: records)
    monkeypatch.setattr(plan, "SYSTEMS", {"small": (folder.name,)})
    with pytest.raises(RecipeError, match="have seen no thyroid frame"):
        plan.run(Setting(None, tmp_path / "work", workers=0))


def test_one_source_cannot_be_held_out(clinic, tmp_path, monkeypatch):
    records = splits.kfold(datasets.load(clinic), 5, seed=0).assign(source="east")
    monkeypatch.setattr(plan, "thyroid", lambda setting: records)
    with pytest.raises(StudyError, match=r"two sources or more.*Received: east\.$"):
        plan.run(Setting(None, tmp_path / "work", workers=0))


def test_the_result_file_can_replace_the_committed_one(summary_of, replaces):
    heads = [*plan.SYSTEMS, "image size only"]
    counts = {"web300": 248, "ddti": 244, "other": 146}
    tests = [
        held_out.Test(source, None, None, {}, {}, summary_of(heads, (source,), n))
        for source, n in counts.items()
    ]
    replaces(tables.to_result(summary_of(heads), tests, list(plan.SYSTEMS)), "p4")


@pytest.mark.slow
def test_the_result_file_holds_the_figures_of_the_report(found, written, holds):
    table = written(found)["p4"]
    inside, *_ = found.summaries.values()
    rows = {row["system"]: row for row in table.rows}
    assert list(rows) == [
        "internal: small", "internal: again", "external, east held out: again",
        "external, west held out: again", "image size only",
    ]  # fmt: skip
    holds(rows["internal: small"], inside, "small")
    holds(rows["image size only"], inside, "image size only")
    for source in ("east", "west"):
        row = rows[f"external, {source} held out: again"]
        holds(row, found.summaries[f"external, {source}"], "again")
        assert row["images"] == 12
