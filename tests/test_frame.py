"""The frame holds: what the README states is so, and imports go only downward."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import jupytext
import pytest
from packaging.requirements import Requirement

from thyro_demo import cli
from thyro_demo.cli import docs

ROOT = Path(__file__).resolve().parents[1]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in docs.PAGES}
README, OF_THE_CODE = PAGES["README.md"], PAGES["thyro_demo/README.md"]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LAYERS = SETTINGS["tool"]["importlinter"]["contracts"][0]["layers"]
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)

# What Google Colab brought in August 2026; NumPy and pandas as its Python 3.13 allows, and Pillow
# as pillow-heif does.
COLAB = {
    "gradio": "6.24.0",
    "keras": "3.13.0",
    "numpy": "2.1.0",
    "pandas": "2.2.3",
    "pillow": "11.1.0",
    "scikit-learn": "1.6.1",
    "tensorflow": "2.20.0",
}


def part(title: str) -> str:
    """Cut the section with this title out of the README of the code."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", OF_THE_CODE, re.DOTALL | re.MULTILINE)
    assert found, f"The README has no section {title}."
    return found[1]


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE))


def requirements(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    stated = [Requirement(line) for line in lines if line and line[0] not in "#-"]
    return {requirement.name: requirement for requirement in stated}


def first_column(table: str, column: int = 1) -> list[str]:
    cells = [row.split("|")[column] for row in table.splitlines() if row.startswith("|")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def commands_of_the_pages() -> list[str]:
    """Collect the commands for this package, in blocks of code and between backticks."""
    lines = []
    for text in PAGES.values():
        lines += [line for code in FENCED.findall(text) for line in code.splitlines()]
        # A command in running text may be broken over two lines.
        lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCED.sub("", text))]
    command = re.compile(r"!?(?:\.venv/bin/)?python (-m thyro_demo(?= [a-z])|app\.py)(.*)")
    found = filter(None, map(command.fullmatch, lines))
    return sorted({(("ui" if one[1] == "app.py" else "") + one[2]).strip() for one in found})


# --- The README's commands


@pytest.mark.parametrize(
    ("needs", "end"),
    [("requirements.txt", "python app.py"), ("requirements-dev.txt", "python -m pytest -q")],
)
def test_one_line_does_it_all_from_the_environment_to_the_end(needs, end):
    lines = [line for line in blocks("bash").splitlines() if line.endswith(f".venv/bin/{end}")]
    assert len(lines) == 1
    assert lines[0].startswith("python3 -m venv .venv")
    assert f".venv/bin/pip install -r {needs} && " in lines[0]
    shlex.split(lines[0])


def test_the_check_of_a_change_runs_the_readmes_tests():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    runs = re.findall(r'^part .*/bin/python" -m pytest -q(.*)$', script, re.MULTILINE)
    # The slow tests and the notebooks are chosen by an option; the README's line chooses nothing.
    assert [run for run in runs if not re.search(r" (-m|-k|--nbmake) ", run)]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("command", commands_of_the_pages())
def test_command_of_the_pages_is_understood(command):
    cli.build_parser().parse_args(shlex.split(command))


def test_the_readme_is_short_enough_to_be_read():
    assert len(README.encode()) <= 9000


def test_promises_are_the_targets_of_the_benches():
    from thyro_demo.bench import compare, concat, phantom, start, train, trust

    promised = [
        f"at most {compare.OVER_BARE:g} × the three bare",
        f"in {compare.FORESTS_MS:.0f} ms more",
        f"at least {compare.OVER_PEER:.0f} × faster than `model.predict`",
        f"at least {train.TARGET:.0f} × faster than the plain Keras loop",
        f"{phantom.TARGET:.0f} phantoms of",
        f"{start.TIMES:g} × the time of an empty Gradio app plus {start.PLUS_S:.0f} s",
        f"within {start.FIRST_S:.0f} s more",
        f"at least {concat.TARGET:.0f} × faster than `GridSearchCV`",
        f"bad input of {trust.LEAST_INPUTS:,} without an answer",
    ]
    assert [each for each in promised if each not in part("Promises")] == []


# --- The map of the code


def test_map_names_each_room_once_from_the_top_floor_down():
    rooms = [
        name.removeprefix("thyro_demo/")
        for name in first_column(part("The map of the rooms"), column=2)
    ]
    rooms = [re.sub(r"/$|\.py$", "", room) for room in rooms]
    floors = [room for layer in LAYERS for room in layer.split(" | ") if room != "__main__"]
    assert rooms == floors


def test_map_names_each_room_that_exists_and_no_other():
    package = ROOT / "thyro_demo"
    folders = {f"thyro_demo/{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {f"thyro_demo/{path.name}" for path in package.glob("[a-z]*.py")}
    assert set(first_column(part("The map of the rooms"), column=2)) == folders | modules


def test_imports_go_only_downward():
    # In a process of its own: the linter closes the streams that a test captures.
    lint = "from importlinter.cli import lint_imports_command as lint; lint()"
    answer = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout


# --- What is needed


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_each_dependency_has_its_reason_and_no_other_is_named(file):
    running, developing = part("Why each dependency").split("For development")
    reasons = running if file == "requirements.txt" else developing.partition("\n")[2]
    assert sorted(first_column(reasons)) == sorted(requirements(file))


@pytest.mark.parametrize(("package", "version"), COLAB.items())
def test_colabs_own_versions_are_left_alone(package, version):
    assert requirements("requirements.txt")[package].specifier.contains(version)


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_each_range_is_open_below_and_closed_above(file):
    for requirement in requirements(file).values():
        operators = {bound.operator for bound in requirement.specifier}
        assert operators == {">=", "<"}, requirement


# --- Notebooks


def test_one_public_home_is_named_everywhere():
    texts = [*PAGES.values(), *(script.read_text(encoding="utf-8") for script in SCRIPTS)]
    homes = {
        home
        for text in texts
        for home in re.findall(r"(?:colab\S*?/github|clone \S*?github\.com)/([\w-]+/[\w-]+)", text)
    }
    assert len(homes) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_equals_its_script(script):
    cells = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    kept = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    source = [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
    assert kept == source, f"Run: jupytext --update --to ipynb {script.relative_to(ROOT)}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_shows_a_rehearsal_on_phantoms_and_nothing_of_the_host(script):
    cells = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [one for cell in cells for one in cell.get("outputs", ())]
    assert all(one["output_type"] != "error" and one.get("name") != "stderr" for one in shown)
    texts = ["".join(one.get("text", "")) for one in shown]
    texts += ["".join(one.get("data", {}).get("text/html", "")) for one in shown]
    assert not [text for text in texts if re.search(r"(^|[\s\"'(])/\w+/\w+|[A-Z]:\\\\", text)]
    assert "a rehearsal: everything is small" in " ".join(texts)


def test_the_notebooks_are_small_enough_to_be_kept():
    sizes = [script.with_suffix(".ipynb").stat().st_size for script in SCRIPTS]
    assert sum(sizes) <= 6e6


def test_each_notebook_has_its_script():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks == {script.stem for script in SCRIPTS}
