"""The page holds every report, its checklists lead into it, and it asks no host."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from thyro_demo.bundle import checklists
from thyro_demo.errors import StudyError
from thyro_demo.evaluate import results
from thyro_demo.study.protocols import PROTOCOLS
from thyro_demo.study.questions import paired
from thyro_demo.study.report import audit, page, report
from thyro_demo.study.report.report import Protocol, Report, Table

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def summary(scored):
    scores = scored(1.0)
    side = np.where(scores["source"] == "east", 300, 560)
    return report.summarise(scores, scores.assign(width=side, height=side), "malignant")


@pytest.fixture(scope="module")
def made(scored, summary):
    """Return a function that makes up the report of a protocol."""

    def make(key, fast=False, pictures=True, failures=None):
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot([0, 1], [0, 1])
        return Report(
            Protocol(key, f"a <title> of {key}", "Authors & others, 2020, https://example.org",
                     "malignant", ()),
            "80 images", fast,
            (
                report.overall("Overall", summary, {}),
                Table("Odd <cells>", "Split & unit", ("a<b", "c"),
                      (("<script>alert(1)</script>", "0.84 (0.80–0.88) / 0.9"),)),
            ),
            (("What <differs>", "because & why"),),
            scored(1.0).rename(columns={"score": "probability"}),
            {"one": summary}, {"curve": ("What to <see>.", figure)} if pictures else {},
            failures or {},
        )  # fmt: skip

    return make


@pytest.fixture
def rendered(made, tmp_path):
    """Return a function that writes the page of some reports and returns its text."""

    def write(*reports):
        for each in reports:
            report.write(each, tmp_path / each.protocol.key)
        return page.collect(tmp_path).read_text(encoding="utf-8")

    return write


def facts(*reports):
    """List what the checklists read of reports."""
    return [
        {name: getattr(each, name) for name in ("fast", "summaries", "pictures", "failures")}
        | {"key": each.protocol.key, "tables": [vars(table) for table in each.tables]}
        for each in reports
    ]


def answers(text, anchor):
    """List the answers of a checklist by number, as HTML."""
    rows = re.findall(rf'<tr id="{anchor}-(\w+)">.*?<td>.*?</td><td>(.+?)</td></tr>', text)
    return dict(rows)


@pytest.mark.parametrize("fast", [(False,), (True,), (False, True)])
def test_every_item_of_both_guidelines_has_an_answer(made, rendered, fast):
    keys = ("P1", "P4")[: len(fast)]
    text = rendered(*(made(key, each) for key, each in zip(keys, fast, strict=True)))
    for anchor, items in (("tripod-ai", checklists.TRIPOD_AI), ("claim", checklists.CLAIM)):
        found = answers(text, anchor)
        assert list(found) == [row.number for row in items]
        assert not [number for number, answer in found.items() if set("{}") & set(answer)]


@pytest.mark.parametrize("keys", [("P1",), ("P2", "P3"), tuple(PROTOCOLS)])
def test_every_link_leads_to_a_place_of_the_page(made, rendered, keys):
    reports = [made(key, fast=key == "P5", pictures=key != "P2",
                    failures={"part": "why"} if key == "P3" else {}) for key in keys]  # fmt: skip
    text = rendered(*reports)
    places = re.findall(r'id="([^"]+)"', text)
    assert len(places) == len(set(places))
    links = set(re.findall(r'href="([^"]*)"', text))
    assert links <= {f"#{place}" for place in places}
    assert {f"#{audit.anchor(key, 'tables')}" for key in keys} <= links
    # A link that was not rendered would be there as text.
    assert "](#" not in text


def test_the_page_holds_its_pictures_and_asks_no_host(made, rendered):
    text = rendered(made("P1"), made("P4"))
    sources = re.findall(r'src="([^"]{0,22})', text)
    assert sources == ["data:image/png;base64,"] * 2
    assert not re.search(r"<(script|link|iframe|object|base)\b|@import|url\(", text)
    assert "http" not in text.replace("https://example.org", "")


def test_what_reports_hold_is_text_and_not_markup(made, rendered):
    text = rendered(made("P1"))
    for said in ("a &lt;title&gt; of P1", "Authors &amp; others", "Odd &lt;cells&gt;", "a&lt;b",
                 "&lt;script&gt;alert(1)&lt;/script&gt;", "What &lt;differs&gt;",
                 "because &amp; why", "What to &lt;see&gt;."):  # fmt: skip
        assert said in text
    assert not re.search(r"<(title|cells|script|differs|see)>(?!Published)", text)


def test_an_interval_is_under_its_figure(made, rendered):
    text = rendered(made("P1"))
    assert "<td>0.84 / 0.9<small>(0.80–0.88)</small></td>" in text


def test_a_rehearsal_is_marked_in_page_contents_and_section(made, rendered):
    text = rendered(made("P1"), made("P4", fast=True))
    assert "<b>Rehearsal on phantoms:</b> P4." in text
    contents = text.partition("<nav>")[2].partition("</nav>")[0]
    first, second = contents.partition('href="#p4"')[::2]
    assert "rehearsal" not in first
    assert "rehearsal on phantoms" in second
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', text, re.DOTALL))
    assert "Rehearsal" in sections["p4"]
    assert "Rehearsal" not in sections["p1"]
    assert "not run" in sections["summary"]
    assert "Teaching and research only" in text


def test_images_alone_are_no_rehearsal(made, rendered):
    assert "ehearsal" not in rendered(made("P1"), made("P3"))


def test_no_answer_claims_a_protocol_that_was_not_run(made, rendered):
    text = rendered(made("P1"))
    claim = answers(text, "claim")
    assert claim["33"].startswith("Not done: P4")
    assert claim["27"].startswith("Not done: ")
    assert claim["31"].startswith("Not done: ")
    said = " ".join([*claim.values(), *answers(text, "tripod-ai").values()])
    assert set(re.findall(r"\bP\d\b", said)) == {"P1", "P4"}


def test_answers_follow_what_was_run_and_on_what(made):
    _, held_out = audit.fill(facts(made("P4"), made("P3")))
    _, drawn = audit.fill(facts(made("P4", fast=True)))
    real, phantoms = ({row.number: row.answer for row in each.rows} for each in (held_out, drawn))
    assert real["33"].startswith("In part: each source held out whole, [P4](#p4-tables).")
    assert phantoms["33"].startswith("Rehearsed on simulated scanners alone: [P4](#p4-tables).")
    assert "[P3](#p3-pictures)" in real["31"]
    for number in ("11", "16"):
        assert "nobody was scanned" in phantoms[number]
        assert "nobody was scanned" not in real[number]


def test_images_and_phantoms_beside_each_other_are_kept_apart(made):
    tripod, _ = audit.fill(facts(made("P1"), made("P5", fast=True)))
    ethics = next(row.answer for row in tripod.rows if row.number == "17")
    images, phantoms = ethics.split("[P5](#p5): ")
    assert images.startswith("[P1](#p1): Not done: ")
    assert phantoms == "Does not apply: nobody was scanned."


def test_what_was_not_done_is_answered(made):
    tripod, claim = audit.fill(facts(made("P4")))
    numbers = ("2", "3c", "5b", "6a", "6c", "8b", "8c", "10", "14", "17", "18a", "18b", "18d", "19")
    for listed, asked in ((tripod, numbers), (claim, ("2", "13", "16", "18", "21", "44"))):
        known = {row.number: row.answer for row in listed.rows}
        assert [number for number in asked if not known[number].startswith("Not done: ")] == []


def test_numbers_are_those_of_the_reports(made):
    tripod, claim = audit.fill(facts(made("P4")))
    flow = next(row.answer for row in tripod.rows if row.number == "20a")
    assert "[P4](#p4-images): 80 images in 40 groups, 40 malignant, 40 not." in flow
    spread = next(row.answer for row in claim.rows if row.number == "29")
    assert "2,000 bootstrap resamples of whole groups" in spread


def test_images_without_groups_are_named(made):
    (loose,) = facts(made("P5"))
    summary = loose["summaries"]["one"] | {"unit": "image", "groups": None}
    _, claim = audit.fill([loose | {"summaries": {"one": summary}}])
    known = {row.number: row.answer for row in claim.rows}
    assert "images count one by one" in known["20"]
    assert "[P5](#p5-images): 80 images, 40 malignant" in known["35"]


def test_sections_of_the_readme_and_files_that_answers_name_exist(made):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    answered = " ".join(row.answer for listed in audit.fill(facts(*map(made, PROTOCOLS)))
                    for row in listed.rows)  # fmt: skip
    sections = set(re.findall(r'README, "([^"]+)"', answered))
    assert sections
    assert sections <= set(re.findall(r"^## (.+)$", readme, re.MULTILINE))
    paths = set(re.findall(r"`(thyro_demo/[^`]+)`", answered))
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def test_parts_that_failed_are_named(made, rendered):
    text = rendered(made("P2", failures={"vgg19, fold 3": "Out of <memory>."}))
    assert "<b>vgg19, fold 3</b>: Out of &lt;memory&gt;." in text
    assert '<a href="#p2-failures">parts failed: 1</a>' in text


def test_without_a_report_there_is_no_page(tmp_path):
    (tmp_path / "P7").mkdir()
    (tmp_path / "P7" / "report.json").write_text("{}")
    with pytest.raises(StudyError, match=r"^A page must be made of .* with none\.$"):
        page.collect(tmp_path)
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda facts: facts["tables"][0]["rows"][0].append("more"), "cells. Received: "),
        (lambda facts: facts.pop("summaries"), "KeyError: 'summaries'"),
        (lambda facts: facts["tables"][0].pop("columns"), "KeyError: 'columns'"),
        (lambda facts: facts["pictures"].update(gone="?"), "FileNotFoundError"),
    ],
)
def test_a_damaged_report_is_refused_and_no_page_is_left(made, tmp_path, spoil, said):
    file = report.write(made("P1"), tmp_path / "P1")
    damaged = json.loads(file.read_text(encoding="utf-8"))
    spoil(damaged)
    file.write_text(json.dumps(damaged), encoding="utf-8")
    with pytest.raises(StudyError) as refusal:
        page.collect(tmp_path)
    assert said in str(refusal.value)
    assert not (tmp_path / "index.html").exists()


def test_a_file_that_is_no_report_is_refused(tmp_path):
    (tmp_path / "P1").mkdir()
    (tmp_path / "P1" / "report.json").write_text("{ not json")
    with pytest.raises(StudyError, match=r"whole and unchanged\. Received: .*JSONDecodeError"):
        page.collect(tmp_path)


def test_the_results_of_all_reports_are_gathered_and_rows_of_one_table_joined(made, tmp_path):
    rows = {key: paired.result(key, "ours", "theirs", 80, (0.1, 0.0, 0.2)) for key in ("P3", "P2")}
    for key, row in rows.items():
        alone = {key.lower(): row.model_copy(update={"what": key})}
        report.write(replace(made(key), results={paired.FILE: row} | alone), tmp_path / key)
    # Its report was not written to the end.
    (tmp_path / "P3" / "report.json").rename(tmp_path / "P3" / "kept")
    folder = tmp_path / "results"
    assert set(page.gather_results(tmp_path)) == set(folder.iterdir())
    assert {file.stem for file in folder.iterdir()} == {paired.FILE, "p2"}
    (tmp_path / "P3" / "kept").rename(tmp_path / "P3" / "report.json")
    page.gather_results(tmp_path)
    assert {file.stem for file in folder.iterdir()} == {paired.FILE, "p2", "p3"}
    joined = results.read(folder / f"{paired.FILE}.json")
    assert joined.rows == rows["P2"].rows + rows["P3"].rows
    assert results.read(folder / "p3.json").what == "P3"
