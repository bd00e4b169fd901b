"""The tables of the READMEs are generated, and a figure that was changed by hand is noticed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thyro_demo import cli
from thyro_demo.cli import docs
from thyro_demo.evaluate import results

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Copy what the pages are made from, and what they name, and write them."""
    root = tmp_path_factory.mktemp("project") / "copy"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "*.keras", "*.skops")
    for place in ("notebooks", "weights", "tests", "thyro_demo"):
        shutil.copytree(ROOT / place, root / place, ignore=left_out)
    for name in ("README.md", "LICENSE", "app.py", "pyproject.toml", "requirements.txt",
                 "requirements-dev.txt"):  # fmt: skip
        shutil.copy(ROOT / name, root)
    # Cards name networks, which are too large to copy: their names are enough.
    for network in (ROOT / "weights").glob("*/*.keras"):
        (root / network.relative_to(ROOT)).touch()
    (root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", root / ".ci")
    cli.main(["docs", "--root", str(root)])
    return root


@pytest.fixture
def project(whole):
    """Lend the copy, and undo what a test has changed."""
    files = [
        *whole.glob("*.md"),
        *(whole / "weights").rglob("*.md"),
        *whole.rglob("results/*.json"),
    ]
    before = {path: path.read_bytes() for path in files}
    yield whole
    for path, content in before.items():
        path.write_bytes(content)


def checked(root, capsys):
    code = cli.main(["docs", "--check", "--root", str(root)])
    return code, capsys.readouterr().out.splitlines()


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_pages_of_this_project_are_as_they_would_be_written(capsys):
    assert checked(ROOT, capsys) == (0, [])


def test_shipped_cards_hold_the_figures_of_their_manifests_and_are_left_alone(project, capsys):
    cards = sorted((project / "weights").glob("*/README.md"))
    assert len(cards) >= 4
    before = [card.read_bytes() for card in cards]
    assert cli.main(["docs", "--root", str(project)]) == 0
    assert [card.read_bytes() for card in cards] == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("page", "table"),
    [("README.md", "headline"), ("weights/README.md", "bundles"),
     ("weights/README.md", "middle_stage"), ("weights/README.md", "p1_flaws")],
)  # fmt: skip
def test_a_figure_that_was_changed_by_hand_is_named_and_nothing_written(
    project, capsys, page, table
):
    path = project / page
    text = path.read_text(encoding="utf-8")
    block = re.search(rf"<!-- table: {table} -->\n.*?<!-- end -->", text, re.DOTALL)[0]
    figure = re.search(r"\d\.\d{3}(?= )", block)[0]
    spoilt = block.replace(figure, f"{figure[:-1]}{9 - int(figure[-1])}", 1)
    path.write_text(text.replace(block, spoilt), encoding="utf-8")
    assert checked(project, capsys) == (1, [f"{page}: the table {table} differs."])
    assert spoilt in path.read_text(encoding="utf-8")
    assert cli.main(["docs", "--root", str(project)]) == 0
    assert capsys.readouterr().out == f"Wrote {page}: {table}.\n"
    assert path.read_text(encoding="utf-8") == text


def test_a_figure_of_a_card_that_was_changed_by_hand_is_named(project, capsys):
    card = project / "weights" / "vgg16" / "README.md"
    row = re.search(r"^\| svm \| (\d\.\d{3}) \(", card.read_text(encoding="utf-8"), re.MULTILINE)
    change(card, row[0], row[0].replace(row[1], "0.999"))
    code, lines = checked(project, capsys)
    assert code == 1
    assert [line.split(": the table ")[0] for line in lines] == ["weights/vgg16/README.md"]


def test_a_card_is_made_from_its_manifest_as_a_whole(project, capsys):
    card = project / "weights" / "vgg16" / "README.md"
    before = card.read_text(encoding="utf-8")
    change(card, "`thyro_demo/training/loop.py`", "`thyro_demo/training/no_such.py`")
    change(card, "## What it is", "## What it was")
    lines = checked(project, capsys)[1]
    assert lines[0].startswith("weights/vgg16/README.md: the ")
    assert cli.main(["docs", "--root", str(project)]) == 0
    assert card.read_text(encoding="utf-8") == before


def test_a_figure_that_a_study_computed_anew_is_written(project, capsys):
    path = project / "weights" / "results" / "middle_stage.json"
    known = results.read(path)
    row = known.rows[1] | {"VGG-16": results.figure((0.9, 0.85, 0.95))}
    rows = (known.rows[0], row, *known.rows[2:])
    results.write(known.model_copy(update={"rows": rows}), path)
    cli.main(["docs", "--root", str(project)])
    assert "Wrote weights/README.md: middle_stage." in capsys.readouterr().out
    page = (project / "weights" / "README.md").read_text(encoding="utf-8")
    assert "| natural | 0.900 (0.850–0.950) |" in page


@pytest.mark.parametrize(
    ("added", "reported"),
    [
        ("See `data/no_such.py`.", "the path data/no_such.py does not exist."),
        (
            "See `thyro_demo/explain/nothing`.",
            "the path thyro_demo/explain/nothing does not exist.",
        ),
        ("See [this](notes.md).", "the link notes.md leads nowhere."),
        ("See [this](LICENSE#no).", "the link LICENSE#no leads to no heading."),
        ("It reached 0.123 in all.", "the figure 0.123 is in no table."),
    ],
)
def test_what_a_page_names_has_to_exist(project, capsys, added, reported):
    change(project / "README.md", "## Limits", f"{added}\n\n## Limits")
    assert checked(project, capsys) == (1, [f"README.md: {reported}"])


def test_examples_of_outputs_and_other_code_are_no_paths(project, capsys):
    change(project / "README.md", "## Limits", "`runs/mine`, `a/b`, `index.csv`\n\n## Limits")
    assert checked(project, capsys) == (0, [])


@pytest.mark.parametrize("name", ["no_such", "../manifest"])
def test_a_table_that_does_not_exist_is_refused(project, capsys, name):
    change(project / "README.md", "table: headline", f"table: {name}")
    assert cli.main(["docs", "--root", str(project)]) == 2
    assert f"{name}.json" in capsys.readouterr().err


def test_a_folder_that_is_no_project_is_refused(tmp_path, capsys):
    assert cli.main(["docs", "--root", str(tmp_path)]) == 2
    assert "without README.md" in capsys.readouterr().err


@pytest.mark.slow
def test_pages_are_made_without_keras():
    code = (
        "import sys; from thyro_demo import cli; cli.main(['docs', '--check']); "
        "assert not {'keras', 'tensorflow', 'gradio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_headings_get_the_addresses_that_github_makes():
    text = "# What it is\n\n```bash\n# no heading\n```\n\n## I want to add …\n"
    assert docs.anchors(text) == {"what-it-is", "i-want-to-add-"}
