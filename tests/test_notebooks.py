"""The course holds: its cells are in order, stay thin, and name only what exists."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
CHAPTERS = [script for script in SCRIPTS if script.stem[0].isdigit()]
LONGEST_FUNCTION = 15
MOST_LINES, MOST_PICTURES = 300, 10
"""Lines of code of a chapter without blank ones, and its pictures: what a lesson can hold."""

PARAMETERS = """\
FAST = os.environ.get("THYRO_FAST", "0") == "1"
SEED = 0
DATA = {fast}os.environ.get("THYRO_DATA", "")
OUT = "runs/course\""""

CORE, LECTURE = "00b_transfer_in_keras", "lecture_50_minutes"
FORMS = {
    CORE: ("BACKBONE", "START", "DATA", "OUT", "SEED", "FAST", "SHARE", "PASSWORD"),
    LECTURE: ("SEED", "OUT"),
}
"""What a reader may change where it is a form, field by field."""

CLAIMED = ("2", "3", "4", "5", "6")
"""Chapters whose claims are in `thyro_demo.course.claims`, a function each."""

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
each_chapter = pytest.mark.parametrize("script", CHAPTERS, ids=lambda path: path.stem)


def number(script: Path) -> str:
    """Return the number of a chapter, with a letter where it is between two others: 0, 0b, 1."""
    return script.stem.partition("_")[0].removeprefix("0")


def cells(script: Path, kind: str) -> list:
    return [cell for cell in jupytext.read(script).cells if cell.cell_type == kind]


def prose(script: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(script, "markdown"))


def tree(script: Path) -> ast.Module:
    return ast.parse(script.read_text(encoding="utf-8"))


def reach(name: str) -> object:
    """Import what a dotted name means: a module, or something in one."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(reach(module), attribute)


def imported(script: Path) -> dict[str, object]:
    """Import what a chapter takes from the package: its name there, and the thing itself."""
    found: dict[str, object] = {}
    for node in ast.walk(tree(script)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("thyro_demo"):
            for alias in node.names:
                found[alias.asname or alias.name] = reach(f"{node.module}.{alias.name}")
    return found


@each
def test_title_badge_and_disclaimer_come_first(script):
    first, badge = cells(script, "markdown")[0].source, f"/blob/main/notebooks/{script.stem}.ipynb"
    assert first.startswith("# ")
    assert badge in first
    assert "teaching and research only" in first.lower()


@each
def test_install_parameters_and_imports_follow_in_this_order(script):
    code = cells(script, "code")
    install, parameters, imports = code[:3]
    tagged = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert '"google.colab" in sys.modules' in install.source
    # What no reader changes is one line that can be opened.
    assert install.metadata.get("cellView") == "form"
    assert install.source.startswith("# @title Set up ")
    assert tagged == [parameters]
    if script.stem in FORMS:
        fields = re.findall(r"^(\w+) = .*# @param", parameters.source, re.MULTILINE)
        assert tuple(fields) == FORMS[script.stem]
    else:
        # Of chapters that teach with cached features a rehearsal takes real images too.
        fast = "" if number(script) in CLAIMED else '"" if FAST else '
        assert parameters.source == PARAMETERS.format(fast=fast)
    chapter = number(script) if number(script).isdigit() else f'"{number(script)}"'
    data = "DATA" if script in CHAPTERS else '""'
    assert imports.source.endswith(f"\nlesson = begin({chapter}, FAST, SEED, {data}, OUT)")


@each
def test_every_chapter_is_installed_in_the_same_way(script):
    assert cells(script, "code")[0].source == cells(SCRIPTS[0], "code")[0].source


def test_in_colab_the_first_cell_fetches_the_project_once_and_enters_it(tmp_path, monkeypatch):
    asked = []

    def run(command, check):
        assert check
        asked.append(command)
        if command[0] == "git":
            (tmp_path / "ThyroDemo" / "thyro_demo").mkdir(parents=True)

    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "path", list(sys.path))
    cell = compile(cells(SCRIPTS[0], "code")[0].source, "set up", "exec")
    # The second time the cell is run again, the third time the runtime has been restarted.
    for start in (tmp_path, tmp_path / "ThyroDemo", tmp_path):
        monkeypatch.chdir(start)
        exec(cell, {})
        assert Path.cwd().samefile(tmp_path / "ThyroDemo")
        assert Path(sys.path[0]).samefile(tmp_path / "ThyroDemo")
    home = "https://github.com/ThyroDemo/ThyroDemo"
    assert asked == [
        ["git", "clone", "--depth", "1", home],
        [sys.executable, "-m", "pip", "install", "-q", "-r", "ThyroDemo/requirements.txt"],
    ]


def test_without_the_project_the_first_cell_says_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"project's folder \(https.* Received: "):
        exec(cells(SCRIPTS[0], "code")[0].source, {})


@each_chapter
def test_title_names_the_chapter(script):
    assert cells(script, "markdown")[0].source.startswith(f"# Chapter {number(script)}. ")


@each
def test_chapter_runs_on_any_python_3(script):
    notebook = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@each
def test_no_function_is_too_long_to_read_at_a_glance(script):
    for node in ast.walk(tree(script)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@each
def test_no_chapter_is_longer_than_a_lesson(script):
    source = [cell.source for cell in cells(script, "code")]
    lines = [line for cell in source for line in cell.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    assert sum(cell.count("show.picture(") for cell in source) <= MOST_PICTURES


@each
def test_plots_are_collapsed_so_that_what_learns_is_in_view(script):
    for cell in cells(script, "code"):
        if "show.picture(" in cell.source:
            assert cell.metadata.get("cellView") == "form", cell.source
            assert cell.source.startswith("# @title "), cell.source


@each
def test_each_name_of_the_package_in_the_code_exists(script):
    known = imported(script)
    assert known
    for node in ast.walk(tree(script)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = known.get(node.value.id)
            if isinstance(owner, ModuleType):
                assert hasattr(owner, node.attr), f"{node.value.id}.{node.attr}"


@each
def test_each_name_of_the_package_in_the_prose_exists(script):
    known = imported(script)
    for start, rest in re.findall(r"`(\w+)\.([\w.]+)", prose(script)):
        if start == "thyro_demo":
            reach(f"{start}.{rest}")
        elif isinstance(known.get(start), ModuleType):
            assert hasattr(known[start], rest.split(".")[0]), f"{start}.{rest}"


@each
def test_each_link_is_an_address_or_a_file_that_exists(script):
    text = prose(script)
    inline = re.findall(r"\]\(([^)\s]+)\)", text)
    named = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", text, re.MULTILINE))
    used = set(re.findall(r"\]\[([\w-]+)\]", text))
    assert used == set(named)
    for target in [*inline, *named.values()]:
        place, _, _ = target.partition("#")
        parts = urlsplit(target)
        assert (parts.scheme in ("http", "https") and parts.hostname) or (
            place and (script.parent / place).exists()
        ), target


@each
def test_each_picture_is_checked_for_its_title_and_followed_by_what_to_see(script):
    cells = jupytext.read(script).cells
    for place, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        # `show.picture` refuses a figure without a title or without names on its axes.
        assert "plt.show(" not in cell.source, cell.source
        if "show.picture(" in cell.source:
            after = cells[place + 1 : place + 3]
            assert any("*What to see:*" in follower.source for follower in after), cell.source


@each_chapter
def test_answers_are_folded_and_the_quiz_has_five_questions(script):
    text = prose(script)
    quiz = text.partition("## Quiz")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\*\*\d\.\*\*", quiz, re.MULTILINE)) == 5
    assert quiz.count("<details><summary>") == quiz.count("</details>") == 5
    exercises = text.partition("## Exercises")[2].partition("## Quiz")[0]
    asked = len(re.findall(r"^\*\*\d\.\*\*", exercises, re.MULTILINE))
    assert asked == exercises.count("<details><summary>") == exercises.count("</details>") > 0


@each
def test_chapter_ends_with_checks_of_what_it_claims(script):
    source = [cell.source for cell in cells(script, "code")]
    if number(script) in CLAIMED:
        # A claim that fails in front of readers is a line of a table, and fails in test_claims.
        assert "claims.table(" in source[-1]
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree(script)))
    else:
        assert "assert " in source[-1]


@each_chapter
def test_chapters_are_numbered_without_a_gap(script):
    numbers = [int(number(one)) for one in CHAPTERS if number(one).isdigit()]
    assert numbers == list(range(len(numbers)))
    assert int(number(script).rstrip("b")) in numbers
