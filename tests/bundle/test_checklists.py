"""The checklists are whole, true of each bundle, and lead to places that exist."""

import json
import re
import shlex
from pathlib import Path

import pytest

from thyro_demo import cli
from thyro_demo.bundle import checklists
from thyro_demo.bundle.manifest import names, read_manifest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "public": ["ddti", "web300", "other"],
    "own": ["east", "west"],
    "drawn": ["phantom"],
}
TRIPOD_AI = """1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g
    13 14 15 16 17 18a 18b 18c 18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c"""


def manifest(origin="public", **more):
    """Return what the checklists read of a manifest."""
    metrics = {
        "n": 638, "groups": 559, "positives": 421, "positive": "malignant", "unit": "group",
        "interval": {"resamples": 2000},
        "heads": {"svm": {"by_source": dict.fromkeys(SOURCES[origin])}},
    }  # fmt: skip
    return {
        "metrics": metrics, "primary": "svm", "recipe": "progressive",
        "backbone": "efficientnet-b0", "input_size": 224,
    } | more  # fmt: skip


def answers(text):
    """Collect the answers of both tables by number, and refuse a row that is not whole."""
    tables = text.split("</details>")[:-1]
    assert len(tables) == 2
    found = []
    for table in tables:
        # Markdown reads a table in HTML only after an empty line.
        assert re.search(r"<details>\n<summary>.+</summary>\n\n\| # \| Item \|", table)
        rows = [line for line in table.splitlines() if re.match(r"\| \d", line)]
        cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
        assert all(len(row) == 3 and all(row) and row[2].endswith(".") for row in cells)
        found.append({number: answer for number, _, answer in cells})
    return found


@pytest.fixture(params=SOURCES)
def text(request):
    return checklists.write(manifest(request.param))


def test_every_item_of_both_guidelines_is_answered_once():
    assert [row.number for row in checklists.TRIPOD_AI] == TRIPOD_AI.split()
    assert [row.number for row in checklists.CLAIM] == [str(number) for number in range(1, 45)]


def test_every_answer_is_filled_in_for_every_kind_of_frames(text):
    tripod, claim = answers(text)
    assert (len(tripod), len(claim)) == (52, 44)
    assert not set("{}") & set(text)


def test_places_and_commands_that_answers_name_exist(text):
    named = re.findall(r'(?:README|`([\w/]+README\.md)`), "([^"]+)"', text)
    assert {page for page, _ in named} >= {"", "thyro_demo/README.md"}
    for page, section in named:
        readme = (ROOT / (page or "README.md")).read_text(encoding="utf-8")
        assert f"\n## {section}\n" in readme
    code = re.findall(r"`([^`]+)`", text)
    paths = [each for each in code if each.startswith("thyro_demo/")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)
    commands = {each.split("thyro_demo ")[1] for each in code if each.startswith("python -m ")}
    assert len(commands) >= 4
    for command in commands:
        example = command.replace("LEFT TOP RIGHT BOTTOM", "10 20 210 120")
        cli.build_parser().parse_args(shlex.split(example))


@pytest.mark.parametrize("name", names(ROOT / "weights"))
def test_entries_of_a_shipped_manifest_that_answers_name_are_there(name):
    facts = read_manifest(ROOT / "weights" / name)
    text = checklists.write(facts)
    named = set(re.findall(r"`([a-z_]+)` in `manifest\.json`", text))
    named |= set(re.findall(r"`([a-z_]+)` (?:\w+ )?(?:counts|says so)", text)) - {"manifest"}
    assert "by_source" in named
    assert all(f'"{key}": ' in json.dumps(facts) for key in named)


def test_an_ensemble_sends_readers_to_its_members_for_stages():
    joined = manifest(members=[{"name": "vgg16"}, {"name": "resnet50"}], backbone="ensemble")
    tripod, claim = answers(checklists.write(joined))
    for answer in (tripod["12b"], tripod["13"], claim["24"], claim["25"]):
        assert "`manifest.json` of each member" in answer
    assert "shipped network" not in claim["26"]
    assert "train ensemble" in tripod["18f"]


def test_the_command_names_the_initial_weights_of_a_chain():
    (alone, _), (started, _) = (
        answers(checklists.write(manifest(initial_weights=named))) for named in ("none", "imagenet")
    )
    assert "--initial-weights" not in alone["18f"]
    assert "--initial-weights imagenet" in started["18f"]


def test_what_was_not_done_is_reported():
    tripod, claim = answers(checklists.write(manifest()))
    for number in ("5b", "8b", "8c", "10", "14", "17", "18a", "18b", "18c", "18d", "19"):
        assert tripod[number].startswith("Not done: "), number
    for number in ("13", "16", "18", "21", "33", "42", "44"):
        assert claim[number].startswith("Not done: "), number
    assert "not" in claim["14"]
    assert "pathology" in claim["14"]


@pytest.mark.parametrize("origin", ["own", "drawn"])
def test_no_public_set_is_named_where_none_was_used(origin):
    text = checklists.write(manifest(origin))
    assert not any(word in text for word in ("DDTI", "P1", "795", "grade", "Pedraza"))


def test_nobody_was_scanned_for_phantoms():
    tripod, claim = answers(checklists.write(manifest("drawn")))
    for answer in (tripod["5b"], tripod["14"], tripod["17"], claim["11"], claim["16"]):
        assert answer.startswith("Does not apply: ")


def test_numbers_are_those_of_the_manifest():
    tripod, claim = answers(checklists.write(manifest(phantom_metrics={"n": 160})))
    assert "638 frames of the 795" in tripod["20a"]
    assert "559 groups: 421 malignant, 217 not" in tripod["20a"]
    assert "160 phantoms" in claim["35"]
    assert "2000" in claim["29"]


def test_a_part_of_the_public_set_is_not_measured_against_the_whole():
    part = manifest()
    del part["metrics"]["heads"]["svm"]["by_source"]["other"]
    assert "795" not in checklists.write(part)


def test_heatmaps_and_robustness_are_claimed_only_where_they_were_measured():
    _, bare = answers(checklists.write(manifest()))
    _, full = answers(
        checklists.write(manifest(localisation={}, rounding={}, phantom_failures=[{}]))
    )
    for number in ("30", "31", "39"):
        assert "Not done: " in bare[number]
    assert "Not done" not in full["31"] + full["39"]
    assert full["30"].startswith("In part: ")


def test_a_network_that_sees_marked_nodules_claims_no_scan_area():
    _, claim = answers(checklists.write(manifest(region="roi")))
    assert "marks" in claim["10"]
    assert "scan area" not in claim["9"] + claim["10"]


def test_an_ensemble_names_its_members_and_no_network_of_its_own():
    joined = manifest(members=[{"name": "one"}, {"name": "two"}])
    for key in ("input_size", "recipe"):
        del joined[key]
    tripod, claim = answers(checklists.write(joined))
    assert "one, two" in claim["27"]
    assert "model.keras" not in tripod["22"] + claim["22"] + claim["43"]
