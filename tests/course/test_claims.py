"""Chapters run to their end, and what they claim holds whatever chance decides."""

from pathlib import Path

import jupytext
import matplotlib.pyplot as plt
import pytest

from thyro_demo.course import claims, show

CHAPTERS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.stem for path in CHAPTERS.glob("0[2-6]_*.py"))


def test_a_claim_that_fails_is_written_out(capsys):
    drawn = claims.table({"two is two": True, "two is three": False})
    assert drawn.loc["two is two", "in this run"] == "holds"
    assert drawn.loc["two is three", "in this run"] == "DOES NOT HOLD"
    assert capsys.readouterr().out == "Not every claim holds in this run.\n"
    claims.table({"two is two": True})
    assert capsys.readouterr().out == "All claims hold.\n"


def run(name, seed, folder, patch):
    """Run the cells of a chapter, one after the other; return what its last cell shows."""
    source = [
        cell.source
        for cell in jupytext.read(CHAPTERS / f"{name}.py").cells
        if cell.cell_type == "code"
    ]
    settings = [("SEED = 0", f"SEED = {seed}"), ('OUT = "runs/course"', f"OUT = {str(folder)!r}")]
    for old, new in settings:
        source[1] = source[1].replace(old, new)
    shown = []
    patch.chdir(CHAPTERS)
    patch.setenv("THYRO_FAST", "1")
    patch.delenv("THYRO_DATA", raising=False)
    patch.setattr(show, "picture", plt.close)
    patch.setattr(claims, "table", shown.append)
    left = {"__name__": "chapter"}
    for cell in source:
        exec(compile(cell, f"{name}.py", "exec"), left)
    return shown[-1]


@pytest.mark.parametrize("name", NAMES)
def test_each_claim_holds_in_the_rehearsal_that_is_published(name):
    """Its seed is 0; `course publish --check` knows whether its code is still the chapter's."""
    cells = jupytext.read(CHAPTERS / f"{name}.ipynb").cells
    printed = [
        output["text"]
        for cell in cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    ]
    assert [text for text in printed if "laim" in text] == ["All claims hold.\n"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_each_claim_holds_in_a_rehearsal(name, seed, tmp_path, monkeypatch):
    found = run(name, seed, tmp_path, monkeypatch)
    assert len(found) > 4
    assert not [claim for claim, holds in found.items() if not holds]
