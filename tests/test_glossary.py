"""One word for one thing: old words are found nowhere but in the aliases that still read them."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KINDS = ("*.py", "*.md", "*.jinja", "*.yaml", "*.html")
# Old words, what is written in their place, and the files that keep one as an alias.
OLD = [
    (r"silence_branches", "zero_init_residual", ()),
    (r"check_unseen", "check_not_trained_on", ()),
    (r"near.cop(y|ies)", "near duplicate", ()),
    (
        r"familiarity",
        "out of distribution",
        ("thyro_demo/bundle/manifest.py", "tests/bundle/test_bundle.py"),
    ),
    (r"\bdeals?\b|\bdealt\b|\bdealing\b", "assign", ()),
    (r"(\b|_)told(\b|_)", "reported", ()),
    (r"\b(SVM|the|this|each) machine\b|(?<!vector )\bmachines\b", "SVM or host", ()),
    (r"(?<!standard[- ])\bdeviation pooling\b", "standard-deviation pooling", ()),
    (
        r"(?<!\w)--start\b",
        "--initial-weights",
        ("thyro_demo/cli/study.py", "thyro_demo/cli/train.py", "tests/cli/test_study.py"),
    ),
    (r"\btuned alone\b", "fine-tuned alone", ()),
    (r"\breads? above\b", "above the threshold", ()),
    (r"\bwhole\((path|folder|file)\)", "atomic_write", ()),
]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Read the pages of the project, but this one."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *KINDS]
    listed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    return {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in sorted(listed.stdout.splitlines())
        if (ROOT / name).is_file() and name != "tests/test_glossary.py"
    }


@pytest.mark.parametrize(("old", "new", "aliases"), OLD, ids=[new for _, new, _ in OLD])
def test_an_old_word_is_found_in_its_aliases_alone(old, new, aliases, pages):
    found = {name for name, text in pages.items() if re.search(old, text, re.IGNORECASE)}
    assert found == set(aliases), f"write {new}"
